//! `commands`: shell texts in the node, one after the other; the first that fails ends the check.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::assets::AssetRef;
use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, rule, within};
use super::super::words;
use super::body::first_line;
use super::kind::{Kind, Reading};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Exit status of a program.
const EXIT_STATUS: RangeInclusive<i32> = 0..=255;
/// Commands, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandsProbe {
    /// One at least.
    pub list: Vec<ListedCommand>,
}

/// A command of a list, and what it must answer. What is not set is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedCommand {
    /// Shell text, run by the guest's `sh` in a process of its own.
    pub run: String,
    /// Expected exit status.
    #[serde(default)]
    pub status: Option<i32>,
    /// Expected standard output after trimming white space at both ends.
    #[serde(default)]
    pub stdout: Option<String>,
    /// The same of its standard error.
    #[serde(default)]
    pub stderr: Option<String>,
    /// Whether it verifies payload, so that `scenario check` does not warn.
    #[serde(default)]
    pub payload: bool,
}

impl CommandsProbe {
    /// How many bytes of a command's output are kept.
    pub const KEPT: u32 = 64 << 10;

    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let elements = item.elements();
        let number = elements.len();
        let list: Vec<ListedCommand> =
            elements.iter().filter_map(|element| ListedCommand::read(element, reading)).collect();
        if let Err(message) = fits(number) {
            item.wrong(message);
        }
        (list.len() == number).then_some(Self { list })
    }

    /// What runs a command: the guest's shell, which is told nothing but its text.
    pub fn argv(command: &ListedCommand) -> Vec<String> {
        ["sh", "-c", &command.run].map(str::to_owned).into()
    }

    /// Says whether a command, counted from 0, ended as it must.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, index: usize, ran: &Ran) -> Result<String, CheckFailure> {
        let Some(command) = self.list.get(index) else {
            return Err(CheckFailure::unclear(format!("there is no command {}", index + 1)));
        };
        let (number, all) = (index + 1, self.list.len());
        let CheckFailure { detail, wrong } = match command.judge(ran) {
            Ok(said) if number < all || all == 1 => return Ok(said),
            Ok(_) => return Ok(format!("{all} commands ended as expected")),
            Err(failure) if all == 1 => return Err(failure),
            Err(failure) => failure,
        };
        let wrong =
            wrong.map(|wrong| Wrong::Other("command", format!("{number} of {all}: {wrong}")));
        Err(CheckFailure { detail: format!("command {number} of {all}: {detail}"), wrong })
    }
}

impl ListedCommand {
    /// Most commands of a check.
    pub const MOST: usize = 100;
    /// Most bytes of a text that is expected.
    pub const MOST_EXPECTED: usize = 32 << 10;

    fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let run = table.require("run", "shell text for the guest");
        let run = run.and_then(|item| AssetRef::script(&item, reading.assets));
        let status = table.get("status").and_then(|item| item.number(EXIT_STATUS));
        let text = |key| table.get(key).and_then(|item| item.parsed(expected));
        let (stdout, stderr) = (text("stdout"), text("stderr"));
        let payload = table.get("payload").and_then(|item| item.truth());
        table.finish();
        Some(Self { run: run?, status, stdout, stderr, payload: payload.unwrap_or(false) })
    }

    fn judge(&self, ran: &Ran) -> Result<String, CheckFailure> {
        match (&ran.end, self.status) {
            (CommandEnd::NotStarted(_), _) => return Err(CheckFailure::of(ran.end.to_string())),
            (CommandEnd::TimedOut, _) => {
                return Err(CheckFailure::wrong(ran.describe(), Wrong::NotEnded));
            }
            (CommandEnd::Status(status), Some(expected)) if *status == expected => {}
            (end, Some(expected)) => {
                let wrong = Wrong::Ended { how: end.to_string(), expected };
                return Err(CheckFailure::wrong(ran.describe(), wrong));
            }
            (CommandEnd::Status(_) | CommandEnd::Signal(_), None) => {}
        }
        let stdout = String::from_utf8_lossy(&ran.stdout);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        compared("output", self.stdout.as_deref(), &stdout, Wrong::Output)?;
        let wrong = Wrong::Other("command", "not the error output expected".to_owned());
        compared("error output", self.stderr.as_deref(), &stderr, wrong)?;
        Ok(first_line(&stdout))
    }

    fn expects(&self) -> bool {
        self.status.is_some() || self.stdout.is_some() || self.stderr.is_some()
    }
}

/// Holds a text against the one expected, where there is one.
fn compared(
    what: &str,
    expected: Option<&str>,
    came: &str,
    wrong: Wrong,
) -> Result<(), CheckFailure> {
    match expected.map(str::trim) {
        Some(expected) if expected != came.trim() => {
            let (came, expected) = (came.trim().escape_debug(), expected.escape_debug());
            let detail = format!("the {what} is `{came}`, expected `{expected}`");
            Err(CheckFailure::wrong(detail, wrong))
        }
        _ => Ok(()),
    }
}

fn expected(text: &str) -> Result<String, String> {
    match text.len() {
        0..=ListedCommand::MOST_EXPECTED => Ok(text.to_owned()),
        len => Err(format!("must have at most {} bytes, not {len}", ListedCommand::MOST_EXPECTED)),
    }
}

fn fits(number: usize) -> Result<(), String> {
    match number {
        0 => Err("must have one command at least".to_owned()),
        1..=ListedCommand::MOST => Ok(()),
        _ => Err(format!("must have at most {} commands, not {number}", ListedCommand::MOST)),
    }
}

impl Kind for CommandsProbe {
    fn texts(&self) -> Vec<&str> {
        self.list.iter().map(|command| command.run.as_str()).collect()
    }

    fn verifies_payload(&self) -> bool {
        self.list.iter().any(|command| command.payload)
    }

    fn uses_network(&self) -> bool {
        self.verifies_payload()
    }

    /// It has to fail by itself: whether it can is the question.
    fn needs_frames(&self) -> bool {
        false
    }

    fn protocols(&self) -> Vec<&'static str> {
        let pings = self.list.iter().any(|command| command.run.contains("ping"));
        if pings { vec!["icmp"] } else { Vec::new() }
    }

    fn summary(&self) -> String {
        let first = self.list.first().map(|command| command.run.trim()).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default();
        match self.list.len() {
            0 | 1 => format!("runs {first}"),
            number => format!("runs {first} and {} more", number - 1),
        }
    }

    fn lint(&self, _packages: &[String]) -> Option<(&'static str, String)> {
        let expects = self.list.iter().any(ListedCommand::expects);
        let message =
            "nothing is expected of any command: give one a `status`, `stdout` or `stderr`";
        (!expects).then(|| ("commands", message.to_owned()))
    }

    fn advice(&self) -> &'static str {
        "it looks at what was there before, or at nothing that arrives: let it fetch something new and \
         compare it, or take `payload` off"
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        fits(self.list.len()).map_err(|message| invalid(check.key, message))?;
        for command in &self.list {
            rule(check.key, words::script(&command.run))?;
            for text in [&command.stdout, &command.stderr].into_iter().flatten() {
                rule(check.key, expected(text))?;
            }
            if let Some(status) = command.status {
                within(check.key, status, EXIT_STATUS)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(end: CommandEnd, stdout: &str, stderr: &str) -> Ran {
        Ran { end, stdout: stdout.into(), stderr: stderr.into() }
    }

    fn command(status: Option<i32>, stdout: Option<&str>, stderr: Option<&str>) -> ListedCommand {
        let text = |text: Option<&str>| text.map(str::to_owned);
        ListedCommand { status, stdout: text(stdout), stderr: text(stderr), ..Default::default() }
    }

    #[test]
    fn what_is_expected_is_compared_and_nothing_else() {
        let status = CommandEnd::Status;
        let out = |wrong| Err(Some(wrong));
        let complaints = Wrong::Other("command", "not the error output expected".to_owned());
        let ended = Wrong::Ended { how: "ended with status 1".to_owned(), expected: 0 };
        let killed = Wrong::Ended { how: "was ended by signal 9".to_owned(), expected: 0 };
        for (command, end, expected) in [
            (command(None, None, None), status(3), Ok(())),
            (command(None, None, None), CommandEnd::Signal(9), Ok(())),
            (command(Some(0), None, None), CommandEnd::Signal(9), out(killed)),
            (command(Some(3), None, None), status(3), Ok(())),
            (command(Some(0), Some("a"), None), status(1), out(ended)),
            (command(None, Some(" out "), Some("err\n")), status(0), Ok(())),
            (command(None, Some("ou"), None), status(0), out(Wrong::Output)),
            (command(None, None, Some("")), status(0), out(complaints)),
            (command(None, None, None), CommandEnd::TimedOut, out(Wrong::NotEnded)),
        ] {
            let probe = CommandsProbe { list: vec![command] };
            let judged = probe.judge(0, &ran(end.clone(), "out\n", "\nerr\n"));
            let judged = judged.map(drop).map_err(|failure| failure.wrong);
            assert_eq!(judged, expected, "{:?} {end}", probe.list);
        }
    }

    #[test]
    fn which_of_several_failed_is_told() {
        let list = vec![command(Some(0), None, None), command(None, Some("x"), None)];
        let probe = CommandsProbe { list };
        assert_eq!(probe.judge(0, &ran(CommandEnd::Status(0), "a\nb", "")), Ok("a".to_owned()));
        let last = probe.judge(1, &ran(CommandEnd::Status(0), "x", ""));
        assert_eq!(last, Ok("2 commands ended as expected".to_owned()));
        let failure =
            probe.judge(1, &ran(CommandEnd::Status(0), "y\u{1b}", "")).expect_err("another");
        assert_eq!(failure.detail, "command 2 of 2: the output is `y\\u{1b}`, expected `x`");
        let wrong = Wrong::Other("command", "2 of 2: not the output expected".to_owned());
        assert_eq!(failure.wrong, Some(wrong));
        assert!(probe.judge(2, &ran(CommandEnd::Status(0), "", "")).is_err());
    }
}
