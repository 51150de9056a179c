//! `plugin`: a monitoring plugin, as Nagios and its kin run them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck};
use super::kind::{Kind, Reading};
use super::program::{self, clean};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Most characters of a plugin's text that are kept.
const MOST_TEXT: usize = 200;
/// Most values of performance data that are kept.
const MOST_VALUES: usize = 16;
/// Most characters of one value with its label and limits.
const MOST_VALUE: usize = 80;

/// A monitoring plugin (monitoring-plugins.org, "Development Guidelines").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginProbe {
    /// Program and arguments, no shell.
    pub run: Vec<String>,
    /// What status 1 means.
    #[serde(default)]
    pub warning: PluginWarning,
    /// Whether the plugin verifies payload, so that `scenario check` does not warn.
    #[serde(default)]
    pub payload: bool,
}

/// What it means that a plugin warns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginWarning {
    /// It is noted, and the check passes.
    #[default]
    Record,
    /// The check fails.
    Bad,
}

/// A value of performance data, `'label'=value[unit];warn;crit;min;max`.
#[derive(Debug, PartialEq)]
struct Value {
    label: String,
    /// Value with its unit, and the limits as they stand.
    data: String,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, self.data)
    }
}

impl PluginProbe {
    /// How many bytes of a plugin's output are kept.
    pub const KEPT: u32 = 16 << 10;

    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let run = table.require("run", "the plugin and its arguments");
        let run = run.and_then(|item| program::read(&item, reading));
        let warning = table.get("warning").and_then(|item| {
            item.one_of(&[("record", PluginWarning::Record), ("bad", PluginWarning::Bad)])
        });
        let payload = table.get("payload").and_then(|item| item.truth());
        table.finish();
        let (warning, payload) = (warning.unwrap_or_default(), payload.unwrap_or(false));
        Some(Self { run: run?, warning, payload })
    }

    /// The program and its arguments. `assets` is the folder of the scenario's files in the guest.
    pub fn argv(&self, assets: &str) -> Vec<String> {
        program::argv(&self.run, assets)
    }

    /// Says what the plugin found. One that could not tell did not fail.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, ran: &Ran) -> Result<String, CheckFailure> {
        let told = told(ran);
        let failed = |state: &str| {
            let wrong = Wrong::Other("plugin", state.to_owned());
            Err(CheckFailure::wrong(format!("{state}: {told}"), wrong))
        };
        match (&ran.end, self.warning) {
            (CommandEnd::Status(0), _) => Ok(told),
            (CommandEnd::Status(1), PluginWarning::Record) => Ok(format!("WARNING: {told}")),
            (CommandEnd::Status(1), PluginWarning::Bad) => failed("WARNING"),
            (CommandEnd::Status(2), _) => failed("CRITICAL"),
            (CommandEnd::Status(3), _) => Err(CheckFailure::unclear(format!("UNKNOWN: {told}"))),
            (end @ (CommandEnd::Status(_) | CommandEnd::Signal(_)), _) => {
                Err(CheckFailure::unclear(format!("the plugin {end}: {told}")))
            }
            (CommandEnd::TimedOut, _) => {
                Err(CheckFailure::wrong(format!("{}: {told}", ran.end), Wrong::NotEnded))
            }
            (CommandEnd::NotStarted(_), _) => Err(CheckFailure::of(ran.end.to_string())),
        }
    }
}

/// The first line that the plugin printed, with its performance data behind it.
fn told(ran: &Ran) -> String {
    let lines = [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let mut lines = lines.iter().flat_map(|text| text.lines());
    let Some(line) = lines.find(|line| !clean(line, 1).is_empty()) else {
        return "it printed nothing".to_owned();
    };
    let (text, data) = line.split_once('|').unwrap_or((line, ""));
    let values: Vec<String> = values(data).iter().map(ToString::to_string).collect();
    let text = clean(text, MOST_TEXT);
    if values.is_empty() {
        return text;
    }
    format!("{text} ({})", values.join(", ")).trim().to_owned()
}

/// The values of performance data. What is no value is passed over.
fn values(data: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = data.trim();
    while !rest.is_empty() && found.len() < MOST_VALUES {
        let quoted = rest.strip_prefix('\'').and_then(label_in_quotes);
        let (label, after) = match quoted {
            Some((label, after)) => (label, after),
            None => {
                let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let word = after.split_whitespace().next().unwrap_or_default();
        let at_once = !after.starts_with(char::is_whitespace);
        if let Some(data) = word
            .strip_prefix('=')
            .filter(|data| is_value(data))
            .filter(|_| at_once && !label.is_empty())
        {
            let data = clean(data.trim_end_matches(';'), MOST_VALUE);
            found.push(Value { label: clean(&label, MOST_VALUE), data });
        }
        rest = if at_once { after[word.len()..].trim_start() } else { after.trim_start() };
    }
    found
}

/// A label up to the quote that ends it, and what is behind; two quotes are one of the label.
fn label_in_quotes(text: &str) -> Option<(String, &str)> {
    let mut label = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        label.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return Some((label, after)),
        }
    }
}

/// Whether a text begins with a number and a unit; `U` is a value that could not be determined.
fn is_value(data: &str) -> bool {
    let value = data.split(';').next().unwrap_or_default();
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit() || "-+.".contains(c));
    let number = &value[..value.len() - unit.len()];
    let is_unit = unit.chars().all(|c| c.is_alphabetic() || c == '%');
    value == "U" || (number.parse::<f64>().is_ok() && is_unit)
}

impl Kind for PluginProbe {
    fn texts(&self) -> Vec<&str> {
        self.run.iter().map(String::as_str).collect()
    }

    fn verifies_payload(&self) -> bool {
        self.payload
    }

    fn uses_network(&self) -> bool {
        self.payload
    }

    /// It has to fail by itself: whether it can is the question.
    fn needs_frames(&self) -> bool {
        false
    }

    fn summary(&self) -> String {
        let warning = match self.warning {
            PluginWarning::Record => "",
            PluginWarning::Bad => ", a warning is a failure",
        };
        format!("plugin {}{warning}", self.run.join(" "))
    }

    fn advice(&self) -> &'static str {
        "it looks at what was there before, or at nothing that arrives: let it ask another node, or take \
         `payload` off"
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        program::check_kept(check.key, &self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> PluginProbe {
        let run = vec!["/p/check_http".to_owned(), "-H".to_owned(), "192.0.2.1".to_owned()];
        PluginProbe { run, warning: PluginWarning::Record, payload: false }
    }

    fn ran(end: CommandEnd, stdout: &[u8]) -> Ran {
        Ran { end, stdout: stdout.to_vec(), stderr: Vec::new() }
    }

    #[test]
    fn each_status_has_its_meaning() {
        let strict = PluginProbe { warning: PluginWarning::Bad, ..probe() };
        let status = CommandEnd::Status;
        let other = |state: &str| Some(Wrong::Other("plugin", state.to_owned()));
        for (end, recorded, judged) in [
            (status(0), Ok("said"), Ok("said")),
            (status(1), Ok("WARNING: said"), Err(("WARNING: said", other("WARNING")))),
            (
                status(2),
                Err(("CRITICAL: said", other("CRITICAL"))),
                Err(("CRITICAL: said", other("CRITICAL"))),
            ),
            (
                status(3),
                Err(("UNKNOWN: said", Some(Wrong::Unclear))),
                Err(("UNKNOWN: said", Some(Wrong::Unclear))),
            ),
            (
                status(127),
                Err(("the plugin ended with status 127: said", Some(Wrong::Unclear))),
                Err(("the plugin ended with status 127: said", Some(Wrong::Unclear))),
            ),
            (
                CommandEnd::Signal(11),
                Err(("the plugin was ended by signal 11: said", Some(Wrong::Unclear))),
                Err(("the plugin was ended by signal 11: said", Some(Wrong::Unclear))),
            ),
            (
                CommandEnd::TimedOut,
                Err(("did not end in time: said", Some(Wrong::NotEnded))),
                Err(("did not end in time: said", Some(Wrong::NotEnded))),
            ),
        ] {
            let ran = ran(end, b"said\nmore\n");
            for (probe, expected) in [(probe(), recorded), (strict.clone(), judged)] {
                let expected = expected.map(str::to_owned);
                let expected = expected
                    .map_err(|(detail, wrong)| CheckFailure { detail: detail.to_owned(), wrong });
                assert_eq!(probe.judge(&ran), expected, "{:?}", ran.end);
            }
        }
    }

    /// As plugins of the package monitoring-plugins printed it, and what breaks the rules.
    #[test]
    fn text_and_performance_data_of_the_first_line_are_told() {
        for (line, expected) in [
            (
                "HTTP OK: HTTP/1.1 200 OK - 65 bytes in 0.003 second response time |time=0.003s;;;0.000000 size=65B;;;0",
                "HTTP OK: HTTP/1.1 200 OK - 65 bytes in 0.003 second response time (time=0.003s;;;0.000000, size=65B;;;0)",
            ),
            ("TEXT | 'a b'=1.5%;80;90;0;100", "TEXT (a b=1.5%;80;90;0;100)"),
            ("TEXT | 'it''s'=-2 x=U", "TEXT (it's=-2, x=U)"),
            ("TEXT | a=1;;;; b = 2 =3 c 'd e=5 f=6", "TEXT (a=1, e=5, f=6)"),
            ("TEXT | a=x b=1.2.3 c=4$", "TEXT"),
            ("TEXT", "TEXT"),
            ("| a=1", "(a=1)"),
            ("", "it printed nothing"),
        ] {
            assert_eq!(told(&ran(CommandEnd::Status(0), line.as_bytes())), expected, "{line}");
        }
    }

    #[test]
    fn what_a_plugin_prints_is_cleaned_and_bounded() {
        let binary = b"\x00\xff\n\x1b[31mred\x07 \xfe|x=1\x00s\n";
        assert_eq!(told(&ran(CommandEnd::Status(0), binary)), "[31mred");
        let long = format!("{}|{}", "é".repeat(5000), "a=1 ".repeat(5000));
        let told = told(&ran(CommandEnd::Status(0), long.as_bytes()));
        assert!(told.chars().count() < 300, "{told}");
        assert_eq!(told.matches("a=1").count(), MOST_VALUES);
        let only_complaints =
            Ran { end: CommandEnd::Status(3), stdout: Vec::new(), stderr: b"no host\n".to_vec() };
        let failure = probe().judge(&only_complaints).expect_err("it could not tell");
        assert_eq!(failure.detail, "UNKNOWN: no host");
    }
}
