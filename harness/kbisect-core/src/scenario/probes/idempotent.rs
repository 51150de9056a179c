//! `idempotent`: a step that is done again changes nothing.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, within};
use super::super::suggest::choices;
use super::super::words;
use super::count::printed;
use super::kind::{Kind, Reading};
use crate::command::Ran;
use crate::node_state::{Difference, KEPT};
use crate::wrong::{CheckFailure, Wrong};

/// How often a step can be done again.
const TIMES: RangeInclusive<u32> = 1..=100;
/// Without being told: a second and a third time.
const AGAIN: u32 = 2;

/// A step that leaves everything as it is when it is done again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotentProbe {
    /// Name of the step, which is one of the check's node.
    pub step: String,
    /// How often it is done again.
    #[serde(default = "again", skip_serializing_if = "is_again")]
    pub times: u32,
}

fn again() -> u32 {
    AGAIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_again(times: &u32) -> bool {
    *times == AGAIN
}

impl IdempotentProbe {
    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let step = table.require("step", "the step that is done again").and_then(|item| {
            let name = item.text()?;
            let here = || reading.steps.iter().filter(|step| reading.node == Some(&*step.node));
            if !here().any(|step| step.name == name) {
                let known = choices(name, here().map(|step| step.name.as_str()));
                let shown = words::shown(name);
                item.wrong(format!("the node has no step named `{shown}` (there are: {known})"));
            }
            Some(name.to_owned())
        });
        let times = table.get("times").and_then(|item| item.number(TIMES));
        table.finish();
        Some(Self { step: step?, times: times.unwrap_or(AGAIN) })
    }

    /// Compares the node's state before with that after the step was done again; `round` counts from 1.
    ///
    /// # Errors
    /// What is different.
    pub fn judge(&self, round: u32, before: &Ran, after: &Ran) -> Result<(), CheckFailure> {
        let what = "what the node's programs say of its state is";
        let (before, after) = (printed(before, KEPT, what)?, printed(after, KEPT, what)?);
        let difference = Difference::between(&before, &after);
        if difference.is_empty() {
            return Ok(());
        }
        let (told, more) = difference.told();
        let changed = difference.sections();
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        let detail = format!("done for the {} time: {}{more}", ordinal(round + 1), told.join("; "));
        let wrong = format!("`{}` done again changes {}", self.step, changed.join(", "));
        Err(CheckFailure::wrong(detail, Wrong::Other("idempotent", wrong)))
    }

    /// The step failed when it was done again.
    #[must_use]
    pub fn refused(&self, round: u32, ran: &Ran) -> CheckFailure {
        let detail = format!("done for the {} time: {}", ordinal(round + 1), ran.describe());
        let wrong = format!("`{}` fails when it is done again", self.step);
        CheckFailure::wrong(detail, Wrong::Other("idempotent", wrong))
    }
}

fn ordinal(number: u32) -> String {
    match number {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        number => format!("{number}th"),
    }
}

impl Kind for IdempotentProbe {
    fn verifies_payload(&self) -> bool {
        false
    }

    fn needs_frames(&self) -> bool {
        false
    }

    fn does_again(&self) -> Option<&str> {
        Some(&self.step)
    }

    fn summary(&self) -> String {
        format!("`{}` is done {} more times, and changes nothing", self.step, self.times)
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        within(check.key, self.times, TIMES)?;
        words::line(&self.step).map(drop).map_err(|message| invalid(check.key, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandEnd;

    fn ran(text: &str) -> Ran {
        Ran { end: CommandEnd::Status(0), stdout: text.into(), stderr: Vec::new() }
    }

    fn probe() -> IdempotentProbe {
        IdempotentProbe { step: "automation".to_owned(), times: 2 }
    }

    #[test]
    fn what_is_there_twice_is_different() {
        let before = "### rules\n-A INPUT -j DROP\n### routes\ndefault via 192.0.2.1\n";
        let after = "### rules\n-A INPUT -j DROP\n  -A INPUT -j DROP\n### routes\n\n";
        let probe = probe();
        assert!(probe.judge(1, &ran(before), &ran(before)).is_ok());
        let failure = probe.judge(1, &ran(before), &ran(after)).unwrap_err();
        assert_eq!(
            failure.detail,
            "done for the second time: - default via 192.0.2.1; + -A INPUT -j DROP"
        );
        let title = failure.wrong.unwrap().to_string();
        assert_eq!(title, "idempotent: `automation` done again changes routes, rules");
    }

    #[test]
    fn what_cannot_be_read_is_no_difference() {
        let mut none = ran("### rules\n");
        none.end = CommandEnd::Status(127);
        assert!(probe().judge(1, &ran("### rules\n"), &none).is_err());
        let long = ran(&"x\n".repeat(KEPT as usize / 2));
        let failure = probe().judge(2, &long, &long).unwrap_err();
        assert_eq!(failure.wrong, Some(Wrong::Unclear));
        let many: String = (0..20).map(|at| format!("rule {at}\n")).collect();
        let failure = probe().judge(2, &ran(""), &ran(&many)).unwrap_err();
        assert!(failure.detail.ends_with("; 14 more"), "{}", failure.detail);
        let refused = probe().refused(2, &none).detail;
        assert!(refused.starts_with("done for the third time: "), "{refused}");
    }
}
