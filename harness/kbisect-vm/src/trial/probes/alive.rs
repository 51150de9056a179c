//! `alive`: the node answers.

use std::time::Duration;

use kbisect_core::scenario::Check;
use kbisect_core::wrong::{CheckFailure, Wrong};
use kbisect_proto::Request;

use super::super::{Stop, Trial};
use super::Outcome;
use crate::machine::CallError;

impl Trial<'_> {
    pub(super) async fn alive(&mut self, check: &Check) -> Result<Outcome, Stop> {
        let deadline = self.lab.patience(Duration::from_secs(10));
        let machine = self.machine(&check.node)?;
        let id = machine.next_id();
        match machine.call(id, &Request::Ping { id }, deadline).await {
            Ok(_) => Ok(Ok("it answers".to_owned())),
            Err(CallError::Deadline) => {
                Ok(Err(CheckFailure::wrong("it does not answer".to_owned(), Wrong::NotAlive)))
            }
            Err(CallError::Down) => Err(Stop),
        }
    }
}
