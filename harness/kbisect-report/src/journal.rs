//! Reads the journal of a run: one JSON object a line, one line an event.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::gate::GateLine;
use kbisect_core::run::{JournalLine, RunEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// File name of the journal in a run's folder.
pub const JOURNAL_NAME: &str = "journal.jsonl";

/// That of checks in folders of before they had the same journal as searches.
pub const EARLIER_CHECK_JOURNAL: &str = "check.jsonl";

/// Schema of the plans that this version understands.
const PLAN_SCHEMA: &str = "kbisect.plan/2";

/// Events that this version understands.
const EVENTS: [&str; 28] = [
    "began",
    "check-began",
    "run-began",
    "selftest-began",
    "minimize-began",
    "resumed",
    "environment-changed",
    "budget-set",
    "trial-began",
    "trial-cancelled",
    "phase-began",
    "checked",
    "trial-ended",
    "reference-tried",
    "symptom-chosen",
    "weighed",
    "decoded",
    "changes",
    "forgone",
    "note",
    "went-on",
    "further",
    "scenario-error",
    "interrupted",
    "failed",
    "ended",
    "decided",
    "completed",
];

/// Events of the journal of checks as it was before.
const EARLIER_EVENTS: [&str; 5] = ["began", "resumed", "trial-ended", "reference-tried", "ended"];

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// The events in order.
    pub lines: Vec<JournalLine>,
    /// Set when the end of the file was passed over.
    pub warning: Option<JournalWarning>,
    /// Length in bytes of the lines above. A resumed run cuts the file to this length before it
    /// appends to it.
    pub intact_bytes: u64,
}

/// What was passed over at the end of a journal: the line that was being written when the run was
/// killed. A line counts once its line break is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalWarning {
    /// 1-based number of the cut line.
    pub line: usize,
    /// Its length in bytes.
    pub bytes: usize,
}

impl fmt::Display for JournalWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, bytes } = self;
        write!(
            f,
            "the last line ({line}) of the journal is cut off: its {bytes} bytes are left out"
        )
    }
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("cannot read the journal `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A whole line is not what kbisect writes.
    #[error("line {line} of the journal is damaged")]
    Damaged {
        /// 1-based line.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// An event that this version does not know.
    #[error("line {line} of the journal has the unknown event `{event}`")]
    UnknownEvent {
        /// 1-based line.
        line: usize,
        /// Its name.
        event: String,
    },
    /// A plan of another shape.
    #[error("line {line} of the journal has a plan of the unknown schema `{schema}`")]
    UnknownPlan {
        /// 1-based line.
        line: usize,
        /// Its schema.
        schema: String,
    },
}

impl JournalError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => {
                Some("name a folder that `kbisect` wrote, such as results/RUN-ID".to_owned())
            }
            Self::Damaged { .. } => {
                Some("the file was changed after it was written; start a new run".to_owned())
            }
            Self::UnknownEvent { .. } | Self::UnknownPlan { .. } => Some(
                "it was written by another version of kbisect; use that version, or a newer one"
                    .to_owned(),
            ),
        }
    }
}

/// Reads a journal's bytes. A last line without its line break is passed over with a warning.
///
/// # Errors
/// [`JournalError`] names the line that is damaged, or that another version wrote.
pub fn read_journal(bytes: &[u8]) -> Result<Journal, JournalError> {
    read_journal_after(bytes, 0)
}

/// As [`read_journal`], for the bytes that follow `before` lines which were read already.
pub fn read_journal_after(bytes: &[u8], before: usize) -> Result<Journal, JournalError> {
    read_lines(bytes, before, |text, line| Ok(vec![read_line(text, line)?]))
}

/// As [`read_journal`], for the journal of a check of before: what comes of it are events of today.
/// `intact_bytes` counts those of the earlier form.
pub fn read_earlier_check_journal(bytes: &[u8]) -> Result<Journal, JournalError> {
    read_lines(bytes, 0, |text, line| {
        let read: GateLine = read_known(text, line, &EARLIER_EVENTS)?;
        Ok(read.into_lines())
    })
}

fn read_lines(
    bytes: &[u8],
    before: usize,
    read: impl Fn(&[u8], usize) -> Result<Vec<JournalLine>, JournalError>,
) -> Result<Journal, JournalError> {
    let intact = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, rest) = bytes.split_at(intact);
    let mut lines = Vec::new();
    let mut line = before + 1;
    for text in whole.split_inclusive(|byte| *byte == b'\n') {
        lines.extend(read(text, line)?);
        line += 1;
    }
    let warning = (!rest.is_empty()).then_some(JournalWarning { line, bytes: rest.len() });
    Ok(Journal { lines, warning, intact_bytes: intact as u64 })
}

/// Reads the journal in a run's folder.
///
/// # Errors
/// As [`read_journal`], and when the file cannot be read.
pub fn read_journal_of(run_dir: &Path) -> Result<Journal, JournalError> {
    let path = run_dir.join(JOURNAL_NAME);
    let earlier = run_dir.join(EARLIER_CHECK_JOURNAL);
    if !path.exists() && earlier.is_file() {
        let bytes =
            fs::read(&earlier).map_err(|source| JournalError::Read { path: earlier, source })?;
        return read_earlier_check_journal(&bytes);
    }
    let bytes = fs::read(&path).map_err(|source| JournalError::Read { path, source })?;
    read_journal(&bytes)
}

fn read_line(text: &[u8], line: usize) -> Result<JournalLine, JournalError> {
    read_known(text, line, &EVENTS)
}

fn read_known<T: DeserializeOwned>(
    text: &[u8],
    line: usize,
    events: &[&str],
) -> Result<T, JournalError> {
    let damaged = |source| JournalError::Damaged { line, source };
    let value: Value = serde_json::from_slice(text).map_err(damaged)?;
    if let Some(event) = value.get("event").and_then(Value::as_str)
        && !events.contains(&event)
    {
        return Err(JournalError::UnknownEvent { line, event: event.to_owned() });
    }
    if let Some(schema) = value.pointer("/plan/schema").and_then(Value::as_str)
        && schema != PLAN_SCHEMA
    {
        return Err(JournalError::UnknownPlan { line, schema: schema.to_owned() });
    }
    serde_json::from_value(value).map_err(damaged)
}

/// The line of an event, line break included, as [`read_journal`] expects it.
pub fn journal_line(at_ms: u64, event: &RunEvent) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(&JournalLine { at_ms, event: event.clone() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use kbisect_core::evidence::Decoded;
    use kbisect_core::run::{Aim, Tried};
    use kbisect_core::search::{Outcome, Role};
    use kbisect_core::trial::{CheckResult, CheckStatus, Phase};

    use super::*;

    fn events() -> Vec<RunEvent> {
        let result = CheckResult {
            name: "payload".to_owned(),
            status: CheckStatus::Fail,
            detail: "line one\nline two \u{1b}[2J".to_owned(),
            wall_s: 1.5,
        };
        vec![
            RunEvent::TrialBegan {
                number: 1,
                aim: Aim::Version { index: 4, role: Role::BadEnd, estimated_left: 5, reason: None },
                worker: Some(2),
            },
            RunEvent::TrialCancelled { number: 2, reason: "moot".to_owned() },
            RunEvent::PhaseBegan { number: 1, phase: Phase::Boot },
            RunEvent::Checked { number: 1, result },
            RunEvent::Decoded {
                number: 1,
                decoded: Decoded::Unavailable { reason: "there is none".to_owned() },
            },
            RunEvent::Note { text: "a note".to_owned() },
            RunEvent::Interrupted,
            RunEvent::Resumed,
            RunEvent::Failed { error: "disk full".to_owned() },
            RunEvent::Ended { outcome: Outcome::Found { last_old: 1, first_new: 2 } },
        ]
    }

    fn written() -> Vec<u8> {
        let line = |(at, event): (usize, &RunEvent)| journal_line(at as u64, event).unwrap();
        events().iter().enumerate().flat_map(line).collect()
    }

    fn read_events(bytes: &[u8]) -> Vec<RunEvent> {
        read_journal(bytes).unwrap().lines.into_iter().map(|line| line.event).collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = written();
        assert_eq!(read_events(&bytes), events());
        let journal = read_journal(&bytes).unwrap();
        assert_eq!(journal.warning, None);
        assert_eq!(journal.intact_bytes, bytes.len() as u64);
        assert_eq!(journal.lines[3].at_ms, 3);
    }

    #[test]
    fn an_empty_journal_has_no_events() {
        let journal = read_journal(b"").unwrap();
        assert_eq!((journal.lines.len(), journal.warning, journal.intact_bytes), (0, None, 0));
    }

    /// A run that is killed while it writes leaves a part of a line, of whatever length.
    #[test]
    fn a_cut_last_line_is_passed_over_wherever_it_is_cut() {
        let bytes = written();
        let before = read_events(&bytes).len() - 1;
        let start = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for end in start + 1..bytes.len() {
            let journal = read_journal(&bytes[..end]).unwrap();
            assert_eq!(journal.lines.len(), before);
            assert_eq!(journal.intact_bytes, start as u64);
            let warning = journal.warning.unwrap();
            assert_eq!(warning, JournalWarning { line: before + 1, bytes: end - start });
        }
    }

    #[test]
    fn zeros_after_a_power_cut_are_passed_over() {
        let mut bytes = written();
        let whole = bytes.len() as u64;
        bytes.extend([0; 512]);
        let journal = read_journal(&bytes).unwrap();
        assert_eq!(journal.intact_bytes, whole);
        assert_eq!(journal.warning.unwrap().bytes, 512);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let good = journal_line(1, &RunEvent::Resumed).unwrap();
        for broken in ["{\"at_ms\":2,\"ev\n", "\n", "[]\n", "{\"at_ms\":2}\n", "\u{0}\u{0}\n"] {
            let bytes = [&good[..], broken.as_bytes(), &good[..]].concat();
            let error = read_journal(&bytes).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{broken:?}: {error}");
            assert_eq!(error.to_string(), "line 2 of the journal is damaged");
        }
        let not_utf8 =
            [&good[..], b"{\"at_ms\":2,\"event\":\"note\",\"text\":\"\xff\"}\n"].concat();
        let error = read_journal(&not_utf8).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }));
    }

    #[test]
    fn events_and_plans_of_another_version_are_told_as_such() {
        let error = read_journal(b"{\"at_ms\":1,\"event\":\"paused\"}\n").unwrap_err();
        assert_eq!(error.to_string(), "line 1 of the journal has the unknown event `paused`");
        assert!(error.hint().unwrap().contains("another version"));
        let plan = b"{\"at_ms\":1,\"event\":\"began\",\"plan\":{\"schema\":\"kbisect.plan/3\"}}\n";
        let error = read_journal(plan).unwrap_err();
        assert!(error.to_string().contains("`kbisect.plan/3`"), "{error}");
    }

    /// Also an event that its own reader of before did not know.
    #[test]
    fn the_journal_of_a_check_of_before_is_read_as_events_of_today() {
        let kernel = serde_json::json!({
            "version": "6.12.1", "package_version": "6.12.1", "flavour": "amd64",
            "source": "test", "id": "x",
        });
        let trial = serde_json::json!({
            "scenario": "s", "number": 1, "kernel": kernel, "verdict": "good", "checks": [],
            "timings_s": {}, "wall_s": 1.0, "directory": "x", "accelerator": "tcg", "repeat": "x",
        });
        let environment = serde_json::json!({
            "qemu": "8", "accelerator": "kvm", "image": "i", "host": "h", "cpus": 2,
            "placement": "split",
        });
        let lines = [
            serde_json::json!({ "at_ms": 1, "event": "resumed", "environment": environment }),
            serde_json::json!({ "at_ms": 2, "event": "trial-ended", "trial": trial }),
            serde_json::json!({ "at_ms": 3, "event": "reference-tried", "trial": trial }),
            serde_json::json!({ "at_ms": 4, "event": "ended", "aborted": null, "environment": environment }),
        ];
        let bytes: Vec<u8> =
            lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        let journal = read_earlier_check_journal(&bytes).unwrap();
        assert_eq!(journal.intact_bytes, bytes.len() as u64);
        let events: Vec<RunEvent> = journal.lines.into_iter().map(|line| line.event).collect();
        assert_eq!(events[0], RunEvent::Resumed);
        let scenario = "s".to_owned();
        assert!(
            matches!(&events[2], RunEvent::TrialEnded { tried: Tried::Scenario { scenario: it, .. }, .. } if *it == scenario)
        );
        assert!(
            matches!(&events[3], RunEvent::ReferenceTried { scenario: Some(it), .. } if *it == scenario)
        );
        assert_eq!(events.last(), Some(&RunEvent::Completed));
        let cut = read_earlier_check_journal(&bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(cut.warning.unwrap().line, 4);
        let damaged = [&bytes[..], b"{\"at_ms\"\n"].concat();
        assert!(matches!(
            read_earlier_check_journal(&damaged),
            Err(JournalError::Damaged { line: 5, .. })
        ));
        let other =
            read_earlier_check_journal(b"{\"at_ms\":1,\"event\":\"paused\"}\n").unwrap_err();
        assert!(other.to_string().contains("`paused`"), "{other}");
    }

    /// The list of known events is that of the type, as the journal's schema has it.
    #[test]
    fn the_known_events_are_those_of_the_schema() {
        let schema: Value = serde_json::from_str(crate::schema("journal").unwrap()).unwrap();
        let names: Vec<_> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["properties"]["event"]["const"].as_str().unwrap())
            .collect();
        assert_eq!(names, EVENTS);
    }
}
