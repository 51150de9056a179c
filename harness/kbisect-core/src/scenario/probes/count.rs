//! How many of something there must be.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::cursor::Table;
use super::super::kept_rules::{Checked, invalid, within};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Largest number that a check can ask for.
const MOST: u64 = 1 << 53;

/// How many there must be; nothing set means one at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Count {
    /// So many or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
    /// So many or fewer; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
}

/// What a program printed that counts something, if it ran to its end and all of it was kept: `most` bytes are
/// not. `what` is what it told of, with its verb.
///
/// # Errors
/// How it ended otherwise; that it cannot be told.
pub(super) fn printed<'r>(
    ran: &'r Ran,
    most: u32,
    what: &str,
) -> Result<Cow<'r, str>, CheckFailure> {
    let wrong = match &ran.end {
        CommandEnd::Status(0) if ran.stdout.len() < most as usize => {
            return Ok(String::from_utf8_lossy(&ran.stdout));
        }
        CommandEnd::Status(0) => {
            let detail = format!("{what} over the {} KiB that can be read", most >> 10);
            return Err(CheckFailure::unclear(detail));
        }
        CommandEnd::TimedOut => Wrong::NotEnded,
        end => Wrong::Ended { how: end.to_string(), expected: 0 },
    };
    Err(CheckFailure::wrong(ran.describe(), wrong))
}

impl Count {
    /// Reads `at_least`, `at_most` and `none`.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let number = |key| table.get(key).and_then(|item| item.number(0..=MOST));
        let (at_least, at_most) = (number("at_least"), number("at_most"));
        let none = table.get("none");
        if let Some(item) = &none {
            if table.get("at_least").is_some() || table.get("at_most").is_some() {
                item.wrong("`none` leaves nothing for `at_least` and `at_most` to say");
            }
            if item.truth() == Some(false) {
                item.wrong("write `none = true`, or leave it out");
            }
            return Self { at_least: None, at_most: Some(0) };
        }
        let count = Self { at_least, at_most };
        if let (Err(message), Some(item)) = (count.fits(), table.get("at_least")) {
            item.wrong(message);
        }
        count
    }

    pub(super) fn check_kept(&self, key: &str) -> Checked {
        for number in [self.at_least, self.at_most].into_iter().flatten() {
            within(key, number, 0..=MOST)?;
        }
        self.fits().map_err(|message| invalid(key, message))
    }

    /// Whether some number does, and some other does not.
    fn fits(self) -> Result<(), String> {
        match (self.least(), self.at_most) {
            (least, Some(most)) if least > most => {
                Err(format!("at least {least} and at most {most} is no number"))
            }
            (0, None) => Err("at least 0 is always so".to_owned()),
            _ => Ok(()),
        }
    }

    fn least(self) -> u64 {
        self.at_least.unwrap_or(if self.at_most.is_none() { 1 } else { 0 })
    }

    /// Whether it is as many as there must be.
    pub(super) fn holds(self, number: u64) -> bool {
        number >= self.least() && self.at_most.is_none_or(|most| number <= most)
    }

    /// What must be, in words.
    pub(super) fn expected(self) -> String {
        match (self.least(), self.at_most) {
            (_, Some(0)) => "none expected".to_owned(),
            (least, None) => format!("at least {least} expected"),
            (0, Some(most)) => format!("at most {most} expected"),
            (least, Some(most)) if least == most => format!("{least} expected"),
            (least, Some(most)) => format!("{least} to {most} expected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_against_both_ends() {
        for (at_least, at_most, expected, holds) in [
            (None, None, "at least 1 expected", [false, true, true]),
            (Some(2), None, "at least 2 expected", [false, false, true]),
            (None, Some(0), "none expected", [true, false, false]),
            (None, Some(1), "at most 1 expected", [true, true, false]),
            (Some(1), Some(1), "1 expected", [false, true, false]),
            (Some(1), Some(2), "1 to 2 expected", [false, true, true]),
        ] {
            let count = Count { at_least, at_most };
            assert_eq!(count.expected(), expected);
            assert_eq!([0, 1, 2].map(|number| count.holds(number)), holds, "{expected}");
        }
    }
}
