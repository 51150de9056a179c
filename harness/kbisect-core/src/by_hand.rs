//! A trial by hand: what was left out of it, and the scenario that is left.

use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// A list of a scenario that a trial goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The nodes, all at once: they cannot be left out.
    Nodes,
    /// Steps of the set-up.
    Setup,
    /// Services.
    Services,
    /// Steps of the replay.
    Replay,
    /// Checks.
    Checks,
}

/// Something that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// Its list.
    pub part: Part,
    /// Its place in the list.
    pub at: usize,
}

/// The scenario of what was done; nothing when no check that counts is left, which would be no scenario.
#[must_use]
pub fn confirmed(scenario: &Scenario, skipped: &[Skipped]) -> Option<Scenario> {
    let mut left = scenario.clone();
    keep(&mut left.setup, Part::Setup, skipped);
    keep(&mut left.services, Part::Services, skipped);
    keep(&mut left.replay, Part::Replay, skipped);
    keep(&mut left.checks, Part::Checks, skipped);
    let Scenario { replay, checks, .. } = &mut left;
    for check in checks.iter_mut() {
        // What came after something that is gone comes at the end.
        let is_there = |name: &String| replay.iter().any(|step| step.name == *name);
        check.after = check.after.take().filter(is_there);
    }
    // What it is made of is not what these were written for.
    left.flavours.clear();
    left.faults.clear();
    left.expect = None;
    left.checks.iter().any(|check| !check.record_only).then_some(left)
}

fn keep<T>(list: &mut Vec<T>, part: Part, skipped: &[Skipped]) {
    let mut at = 0;
    list.retain(|_| {
        let stays = !skipped.contains(&Skipped { part, at });
        at += 1;
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        schema = "kbisect.scenario/1"
        summary = "x"
        expect = "good"
        [nodes.gw]
        kernel = "candidate"
        [[setup]]
        node = "gw"
        run = "one"
        [[setup]]
        node = "gw"
        run = "two"
        [[replay]]
        name = "reload"
        node = "gw"
        run = "three"
        [[checks]]
        name = "alive"
        node = "gw"
        after = "reload"
        alive = true
    "#;

    #[test]
    fn what_was_done_is_a_scenario_again() {
        let scenario = Scenario::parse("x", "scenario.toml", TEXT).unwrap().scenario().clone();
        let skipped = [(Part::Setup, 0), (Part::Replay, 0)].map(|(part, at)| Skipped { part, at });
        let left = confirmed(&scenario, &skipped).unwrap();
        assert_eq!((left.setup.len(), left.setup[0].name.as_str()), (1, "run two"));
        assert_eq!((left.replay.len(), left.checks[0].after.as_ref()), (0, None));
        let kept = serde_json::to_vec(&left).unwrap();
        assert_eq!(Scenario::from_kept(&kept).unwrap(), left);
        assert!(confirmed(&scenario, &[Skipped { part: Part::Checks, at: 0 }]).is_none());
    }
}
