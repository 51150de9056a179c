//! The state that nodes under test are in once they are set up.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use kbisect_core::command::CommandEnd;
use kbisect_core::node_state;
use kbisect_core::scenario::Step;
use kbisect_proto::Command;
use sha2::{Digest, Sha256};

use super::{Stop, Trial};

/// How long a node may take to print its state.
const PATIENCE: Duration = Duration::from_secs(20);

/// What prints a node's state.
pub(super) fn state_command() -> Command {
    Command { argv: node_state::argv(), stdin: Vec::new(), keep: node_state::KEPT }
}

impl Trial<'_> {
    /// Keeps the states of the nodes under test, where these steps are what the scenario's ways differ by.
    pub(super) async fn keep_states(&mut self, steps: &[Step]) -> Result<(), Stop> {
        if self.limits.brief || !steps.iter().any(|step| step.way.is_some()) {
            return Ok(());
        }
        let nodes = self.lab.plan().nodes_under_test().map(|node| node.name.clone());
        let nodes: Vec<String> = nodes.filter(|node| !self.off.contains(node)).collect();
        let mut states = BTreeMap::new();
        for node in nodes {
            let ran = self.exec(&node, state_command(), self.lab.patience(PATIENCE)).await?;
            let whole = ran.stdout.len() < node_state::KEPT as usize;
            if ran.end != CommandEnd::Status(0) || !whole {
                self.notes.push(format!("the state of {node} is not known: {}", ran.describe()));
                continue;
            }
            let path = self.directory.join("states");
            let written = fs::create_dir_all(&path)
                .and_then(|()| fs::write(path.join(format!("{node}.txt")), &ran.stdout));
            if let Err(error) = written {
                self.notes.push(format!("the state of {node} cannot be kept: {error}"));
            }
            let text = String::from_utf8_lossy(&ran.stdout);
            let hash = Sha256::digest(node_state::in_order(&text));
            states.insert(node, hash.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        self.states = states;
        Ok(())
    }
}
