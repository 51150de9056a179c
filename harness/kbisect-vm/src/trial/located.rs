//! Where packets of a failed check were lost: told from frames, once they prove it.

use std::net::IpAddr;
use std::time::Duration;

use kbisect_core::disturbed::{Standing, Whose, Window};
use kbisect_core::flow::{Account, Direction, Ends, Failure, Loss, Since, Sought};
use kbisect_core::scenario::Check;
use kbisect_core::trial::CheckStatus;
use kbisect_core::wrong::{CheckFailure, Wrong};

use super::Trial;

/// A frame that a living router has not passed on for this long is lost.
const LOSS_PERSISTS: Duration = Duration::from_millis(1500);
/// The same, once another check has failed for a loss that the frames prove: the verdict stands, and
/// what follows only describes it.
const LOSS_REPEATS: Duration = Duration::from_millis(250);
/// How long something must have been lost at the end of a check.
const LOSS_TOLD: Duration = Duration::from_secs(1);
/// The last frames, such as a reset that answers a stray one, may still be on their way.
const SETTLES: Duration = Duration::from_millis(40);

impl Trial<'_> {
    /// A failure of the node's own system. That of a reference node is never charged to the
    /// candidate.
    pub(super) fn local(&self, check: &Check, failure: CheckFailure, why: &str) -> CheckFailure {
        // With cut wires it is kbisect that keeps a neighbour from answering.
        let ours = self.loses_on_purpose();
        let wrong = if ours || self.lab.plan().is_under_test(&check.node) {
            Wrong::Local(why.to_owned())
        } else {
            Wrong::Reference(format!("{} is a reference node", check.node))
        };
        CheckFailure { wrong: Some(wrong), ..failure }
    }

    /// Ends when a connection of the check is lost for certain although its deadline has not passed,
    /// with the reason. Never ends otherwise. Cancel-safe.
    pub(super) async fn hopeless(
        &self,
        check: &Check,
        sought: Option<Sought>,
    ) -> (Direction, String) {
        let Some(sought) = sought else { return std::future::pending().await };
        // What the replay broke may be mended by a fail-over.
        if self.loses_on_purpose() && !self.is_control {
            return std::future::pending().await;
        }
        // What cannot pass without its frames need not be waited for.
        let impossible = self.lab.wires().are_broken() && check.probe.needs_frames();
        let wires = self.lab.wires();
        let own = self.addresses_of(&check.node);
        let mut before = None;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let cut_off = impossible
                .then(|| wires.with_refused(|flows| flows.sought(&own, sought).next()).flatten());
            if let Some(flow) = cut_off.flatten() {
                return (flow, format!("frames of {flow} were sent into a wire that is cut"));
            }
            // Looked at twice before it is said.
            match self.lost_for_certain(check, sought, &own) {
                Some(found) if before == Some(found.0) => return found,
                found => before = found.map(|(flow, _)| flow),
            }
        }
    }

    /// A connection of the check that is lost, whatever is waited for.
    fn lost_for_certain(
        &self,
        check: &Check,
        sought: Sought,
        own: &[IpAddr],
    ) -> Option<(Direction, String)> {
        let (plan, wires) = (self.lab.plan(), self.lab.wires());
        let members = wires.members();
        let began = match sought.since {
            Since::Opened(at) | Since::Used(at) => at,
        };
        let repeats = self.loss_is_proven();
        let persists = if repeats { LOSS_REPEATS } else { LOSS_PERSISTS };
        let now = self.lab.pulse().now();
        let failure = Failure { now, began, waited: true, persists };
        let alive = |window: Window| match self.lab.pulse().standing(window, Whose::Everyone) {
            Standing::Sound => true,
            Standing::Short => repeats,
            Standing::Disturbed { .. } => false,
        };
        for node in plan.nodes_under_test() {
            let suspect = node.name.as_str();
            let ends =
                Ends { client: &check.node, suspect, wires: &members, names: &plan.addresses };
            let certain = wires.with_flows(|flows| {
                flows.sought(own, sought).find(|flow| {
                    let found = flows.is_hopeless(*flow, &ends, now);
                    found.is_some_and(|found| alive(found.window))
                })
            });
            if let Some(flow) = certain.flatten() {
                let why = format!("the answer to {flow} was delivered, and the SYN was sent again");
                return Some((flow, why));
            }
            // Only a router can be told by counts: what an endpoint does with a frame is its own.
            let at_end = check.node == suspect
                || plan.addresses.get(&sought.to.ip()).is_some_and(|name| name == suspect);
            if at_end || !self.lives(suspect) {
                continue;
            }
            let losing = wires.with_flows(|flows| {
                flows.sought(own, sought).find_map(|flow| {
                    let window = flows.loss_so_far(flow, &ends, failure)?.window?;
                    alive(window).then_some((flow, window))
                })
            });
            if let Some((flow, window)) = losing.flatten() {
                let seconds = window.ms() as f64 / 1000.0;
                let why =
                    format!("frames of {flow} went in and did not come out for {seconds:.1} s");
                return Some((flow, why));
            }
        }
        None
    }

    pub(super) fn addresses_of(&self, node: &str) -> Vec<IpAddr> {
        let addresses = self.lab.plan().addresses.iter();
        addresses.filter(|(_, name)| *name == node).map(|(address, _)| *address).collect()
    }

    /// Whether a check that counts has failed, with frames that show where.
    fn loss_is_proven(&self) -> bool {
        self.seen.checks.iter().any(|check| {
            check.status == CheckStatus::Fail
                && self.seen.losses.iter().any(|(name, _)| *name == check.name)
        })
    }

    /// Whether a node's machine gave a sign of life within the last second.
    fn lives(&self, node: &str) -> bool {
        let heard = self.machine_of(node).map(|machine| machine.look(|state| state.heard));
        heard.is_some_and(|heard| heard.elapsed() < Duration::from_secs(1))
    }

    /// Finds out, from the frames, what became of the connection of a failed check, which `waited`
    /// for something. Gives what was wrong where that is the reference side.
    pub(super) async fn locate(
        &mut self,
        check: &Check,
        flow: Direction,
        waited: bool,
    ) -> Option<Wrong> {
        // What kbisect does not carry, or has dropped, is lost inside no node.
        if self.loses_on_purpose() {
            return None;
        }
        self.failed.push((flow.from, flow.to));
        tokio::time::sleep(SETTLES).await;
        let first = self.accounts(check, flow, waited);
        // Looked at twice before it is said.
        tokio::time::sleep(SETTLES).await;
        let again = self.accounts(check, flow, waited);
        let mut wrong = None;
        for ((suspect, account), (_, before)) in again.into_iter().zip(first) {
            for line in &account.lines {
                let line = format!("{}: {line}", check.name);
                if !self.hops.contains(&line) {
                    self.hops.push(line);
                }
            }
            if let Some(off) = account.off {
                let note = format!("{}: where packets were lost cannot be told: {off}", check.name);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            let title = |loss: &Option<Loss>| loss.as_ref().map(|loss| loss.title.clone());
            let loss = account.loss.clone().filter(|_| title(&account.loss) == title(&before.loss));
            if loss.is_none() && waited && suspect == check.node {
                wrong = wrong.or_else(|| self.of_reference(&account, flow, &suspect));
            }
            self.seen.losses.extend(loss.map(|loss| (check.name.clone(), loss)));
        }
        wrong
    }

    fn accounts(&self, check: &Check, flow: Direction, waited: bool) -> Vec<(String, Account)> {
        let (plan, pulse) = (self.lab.plan(), self.lab.pulse());
        let members = self.lab.wires().members();
        let now = pulse.now();
        let began = now.saturating_sub(self.asked.elapsed());
        let repeats = self.loss_is_proven();
        let persists = if repeats { LOSS_REPEATS } else { LOSS_TOLD };
        let failure = Failure { now, began, waited, persists };
        let account = |suspect: &str| {
            let ends =
                Ends { client: &check.node, suspect, wires: &members, names: &plan.addresses };
            self.lab.wires().with_flows(|flows| flows.account(flow, &ends, failure))
        };
        let nodes = plan.nodes_under_test();
        nodes.filter_map(|node| Some((node.name.clone(), account(&node.name)?))).collect()
    }

    /// Whether a reference node that was asked said nothing at all, or nobody told a client under test
    /// where it is.
    fn of_reference(&self, account: &Account, flow: Direction, suspect: &str) -> Option<Wrong> {
        let plan = self.lab.plan();
        let on_reference = |node: &String| !plan.is_under_test(node);
        let server = plan.addresses.get(&flow.to.ip()).filter(|node| on_reference(node));
        if account.off.is_none()
            && let Some(server) = server
            && account.is_unanswered(flow.transport)
        {
            return Some(Wrong::Reference(format!(
                "{server}, a reference node, was handed the whole request and gave no answer at all"
            )));
        }
        let members = self.lab.wires().members();
        let mut others = members
            .values()
            .filter(|members| members.iter().any(|node| node == suspect))
            .flatten()
            .filter(|node| *node != suspect);
        let began = self.lab.pulse().now().saturating_sub(self.asked.elapsed());
        let in_vain =
            self.lab.wires().with_flows(|flows| flows.asks_in_vain(suspect, began)) == Some(true);
        (in_vain && others.all(on_reference)).then(|| {
            Wrong::Reference(format!(
                "{suspect} asked who has the next address, and no reference node answered"
            ))
        })
    }
}
