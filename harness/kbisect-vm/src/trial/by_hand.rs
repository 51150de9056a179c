//! A trial by hand: somebody decides of each thing that is about to be done.

use std::fmt;
use std::sync::Arc;

use kbisect_core::by_hand::{Part, Skipped};

use super::{Notice, Stop, Trial};
use crate::shell;

/// Somebody who decides. Asked on a thread of its own: the machines go on meanwhile, and are listened to.
pub trait Hands: Send + Sync + fmt::Debug {
    /// Shows what is next in a list of the scenario, and says what is to become of it.
    fn decide(&self, part: Part, at: usize) -> Choice;
}

/// What is to become of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is done.
    Do,
    /// It is left out.
    Skip,
    /// A shell in its node first.
    Shell,
    /// The run ends here.
    Abort,
}

impl Trial<'_> {
    /// Asks whether something is to be done. Nobody is asked but in a trial by hand.
    pub(super) async fn may(&mut self, part: Part, at: usize) -> Result<bool, Stop> {
        let Some(hands) = self.hands.clone() else { return Ok(true) };
        let scenario = self.lab.scenario().clone();
        let node = match part {
            Part::Nodes => "",
            Part::Setup => &scenario.setup[at].node,
            Part::Services => &scenario.services[at].node,
            Part::Replay => &scenario.replay[at].node,
            Part::Checks => &scenario.checks[at].node,
        };
        self.tell(Notice::ShellBegins);
        loop {
            let asked = Arc::clone(&hands);
            let choice = tokio::task::spawn_blocking(move || asked.decide(part, at)).await;
            match choice.unwrap_or(Choice::Abort) {
                Choice::Do => return Ok(true),
                // Without nodes there is nothing to do, and to look into.
                Choice::Skip | Choice::Shell if part == Part::Nodes => {}
                Choice::Skip => {
                    self.skipped.push(Skipped { part, at });
                    return Ok(false);
                }
                Choice::Shell => shell::in_node(self.machine_of(node), node).await,
                Choice::Abort => {
                    self.tell(Notice::Aborted);
                    // The session ends the trial.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
