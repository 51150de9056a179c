//! `alive = true`: the node answers.

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck};
use super::kind::Kind;

/// The node's kernel runs and schedules user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliveProbe;

impl AliveProbe {
    pub(super) fn read(item: &Item<'_>) -> Option<Self> {
        if !item.truth()? {
            item.wrong("write `alive = true`, or leave the check out");
        }
        Some(Self)
    }
}

impl Kind for AliveProbe {
    fn verifies_payload(&self) -> bool {
        false
    }

    fn is_liveness(&self) -> bool {
        true
    }

    fn summary(&self) -> String {
        "answers".to_owned()
    }

    fn advice(&self) -> &'static str {
        ""
    }

    fn check_kept(&self, _: &KeptCheck<'_>) -> Checked {
        Ok(())
    }
}
