//! `ktap`: a program that reports in TAP or KTAP, as tests of the kernel do.

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, rule};
use super::super::words;
use super::kind::{Kind, Reading};
use super::outcome::Outcome;
use super::program::{self, clean};
use super::tap::{self, Report};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Most cases that are named.
const MOST_NAMED: usize = 8;
/// Most characters of a line that is told.
const MOST_TEXT: usize = 200;
/// Exit status of a program that left all out (the kernel's `KSFT_SKIP`).
const SKIPPED: i32 = 4;

/// A program that reports in TAP or KTAP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KtapProbe {
    /// Program and arguments, no shell.
    pub run: Vec<String>,
    /// How it tells of its cases.
    #[serde(default, skip_serializing_if = "KtapFormat::is_default")]
    pub format: KtapFormat,
    /// The one case that counts, by its name behind those that it is a part of, `outer/inner`.
    #[serde(default)]
    pub case: Option<String>,
    /// Whether the cases count that no other check of the same program names, and how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest: bool,
    /// What a line has that tells of a failure beside `not ok`; with it, a program that reports nothing
    /// passes by its exit status.
    #[serde(default)]
    pub fail_text: Option<String>,
    /// Whether it verifies payload, so that `scenario check` does not warn.
    #[serde(default)]
    pub payload: bool,
}

/// How a program tells of its cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KtapFormat {
    /// In TAP or KTAP.
    #[default]
    Ktap,
    /// In these, or in the words that scripts of the kernel's self-tests have for themselves.
    Kselftest,
}

impl KtapFormat {
    const WORDS: [(&str, Self); 2] = [("ktap", Self::Ktap), ("kselftest", Self::Kselftest)];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn read(self, text: &str) -> Report {
        match self {
            Self::Ktap => tap::read(text),
            Self::Kselftest => tap::read_self_test(text),
        }
    }
}

/// The cases that a program told of, and how they ended.
#[must_use]
pub fn cases_of(text: &str, format: KtapFormat) -> Vec<(String, Outcome)> {
    format.read(text).outcomes()
}

impl KtapProbe {
    /// How many bytes of the program's output are kept.
    pub const KEPT: u32 = 768 << 10;

    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let run = table.require("run", "the program and its arguments");
        let run = run.and_then(|item| program::read(&item, reading));
        let text = |key| table.get(key).and_then(|item| item.parsed(words::line));
        let (case, fail_text) = (text("case"), text("fail_text"));
        if let (Some(_), Some(_), Some(item)) = (&case, &fail_text, table.get("fail_text")) {
            item.wrong("`case` names what counts: nothing is left for `fail_text`");
        }
        let format = table.get("format").and_then(|item| item.one_of(&KtapFormat::WORDS));
        let rest = table.get("rest").and_then(|item| item.truth()).unwrap_or(false);
        if let (Some(_), true, Some(item)) = (&case, rest, table.get("rest")) {
            item.wrong("`case` names what counts: there is no rest");
        }
        let payload = table.get("payload").and_then(|item| item.truth());
        table.finish();
        Some(Self {
            run: run?,
            format: format.unwrap_or_default(),
            case,
            rest,
            fail_text,
            payload: payload.unwrap_or(false),
        })
    }

    /// The program and its arguments. `assets` is the folder of the scenario's files in the guest.
    pub fn argv(&self, assets: &str) -> Vec<String> {
        program::argv(&self.run, assets)
    }

    /// Whether it looks at a part of what the program reported, so that one run of it serves several checks.
    pub fn is_part(&self) -> bool {
        self.case.is_some() || self.rest
    }

    /// Says what the program reported. `not ok` counts whatever its exit status. `named` are the cases that
    /// other checks of the same program name.
    ///
    /// # Errors
    /// What was wrong; what left all out, or reported nothing, could not tell.
    pub fn judge(&self, ran: &Ran, named: &[&str]) -> Result<String, CheckFailure> {
        if let CommandEnd::NotStarted(_) = ran.end {
            return Err(CheckFailure::of(ran.end.to_string()));
        }
        let text = String::from_utf8_lossy(&ran.stdout);
        let report = self.format.read(&text);
        match &self.case {
            Some(case) => one(case, &report, ran),
            None => self.all(&report, &text, ran, if self.rest { named } else { &[] }),
        }
    }

    fn all(
        &self,
        report: &Report,
        text: &str,
        ran: &Ran,
        elsewhere: &[&str],
    ) -> Result<String, CheckFailure> {
        let mut failed = report.failed();
        let any_failed = !failed.is_empty();
        failed.retain(|case| !elsewhere.contains(&case.as_str()));
        if let Some(first) = failed.first() {
            let (number, all) =
                (report.count(Some(Outcome::Failed)).max(failed.len()), report.count(None));
            let mut detail = format!("{number} of {all} failed: {}", named(&failed));
            if !matches!(ran.end, CommandEnd::Status(_)) {
                detail.push_str(&format!("; it {}", ran.end));
            }
            // The first alone: which others fail with it may differ from kernel to kernel.
            return Err(wrong(detail, format!("not ok: {first}")));
        }
        let said = self.fail_text.as_ref().and_then(|part| {
            let line = text.lines().find(|line| line.contains(part.as_str()))?;
            Some((clean(line, MOST_TEXT), part))
        });
        if let Some((line, part)) = said {
            return Err(wrong(line, format!("it printed `{part}`")));
        }
        if let Some(why) = &report.bailed {
            return Err(wrong(format!("bailed out: {why}"), "bailed out".to_owned()));
        }
        match &ran.end {
            CommandEnd::TimedOut => {
                let detail = format!("{}: {}", ran.end, counted(report));
                return Err(CheckFailure::wrong(detail, Wrong::NotEnded));
            }
            // Scripts end so as well when one case of many was left out.
            CommandEnd::Status(SKIPPED)
                if self.format == KtapFormat::Ktap
                    || report.count(Some(Outcome::Passed)) == 0 && !any_failed =>
            {
                return Err(CheckFailure::unclear(format!("skipped: {}", last_line(ran))));
            }
            CommandEnd::Status(_) | CommandEnd::Signal(_) | CommandEnd::NotStarted(_) => {}
        }
        if let Some(why) = report.left_out.as_ref().filter(|_| report.is_empty()) {
            return Err(CheckFailure::unclear(format!("all was left out: {why}")));
        }
        if report.is_empty() && self.fail_text.is_none() && self.format == KtapFormat::Ktap {
            let said = last_line(ran);
            return Err(CheckFailure::unclear(format!(
                "{}, and reported nothing: {said}",
                ran.end
            )));
        }
        let is_told = match &ran.end {
            CommandEnd::Status(0) => true,
            CommandEnd::Status(SKIPPED) => self.format == KtapFormat::Kselftest,
            // What failed has a check of its own.
            CommandEnd::Status(_) => any_failed,
            CommandEnd::Signal(_) | CommandEnd::TimedOut | CommandEnd::NotStarted(_) => false,
        };
        if !is_told {
            let detail = format!("{}, though no case failed: {}", ran.end, counted(report));
            let wrong = Wrong::Ended { how: ran.end.to_string(), expected: 0 };
            return Err(CheckFailure::wrong(detail, wrong));
        }
        if ran.stdout.len() >= Self::KEPT as usize {
            let most = Self::KEPT >> 10;
            return Err(CheckFailure::unclear(format!(
                "it printed more than the {most} KiB that are read"
            )));
        }
        if report.is_short {
            let detail = format!("fewer cases were reported than planned: {}", counted(report));
            return Err(wrong(detail, "fewer cases than planned".to_owned()));
        }
        if !report.is_empty() && report.count(None) == report.count(Some(Outcome::Skipped)) {
            return Err(CheckFailure::unclear(format!(
                "every case was skipped: {}",
                counted(report)
            )));
        }
        Ok(counted(report))
    }
}

/// Looks at one case alone.
fn one(case: &str, report: &Report, ran: &Ran) -> Result<String, CheckFailure> {
    match report.outcome_of(case) {
        Some(Outcome::Passed) => Ok(format!("ok: {case}")),
        Some(Outcome::ExpectedToFail) => Ok(format!("fails as expected: {case}")),
        Some(Outcome::Failed) => Err(wrong(format!("not ok: {case}"), format!("not ok: {case}"))),
        Some(Outcome::Skipped) => Err(CheckFailure::unclear(format!("skipped: {case}"))),
        None if ran.end == CommandEnd::TimedOut => {
            let detail = format!("{} and did not come to `{case}`", ran.end);
            Err(CheckFailure::wrong(detail, Wrong::NotEnded))
        }
        None => {
            let there = named(&report.paths(MOST_NAMED + 1));
            let there = if there.is_empty() { last_line(ran) } else { there };
            Err(CheckFailure::unclear(format!(
                "{}, and reported no case `{case}`: {there}",
                ran.end
            )))
        }
    }
}

fn wrong(detail: String, title: String) -> CheckFailure {
    CheckFailure::wrong(detail, Wrong::Other("ktap", title))
}

fn named(paths: &[String]) -> String {
    let mut text = paths.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if paths.len() > MOST_NAMED {
        text.push_str(", ...");
    }
    text
}

/// How many cases ended how.
fn counted(report: &Report) -> String {
    let mut parts = Vec::new();
    for (outcome, word) in [
        (Outcome::Passed, "ok"),
        (Outcome::Failed, "not ok"),
        (Outcome::Skipped, "skipped"),
        (Outcome::ExpectedToFail, "expected to fail"),
    ] {
        match report.count(Some(outcome)) {
            0 => {}
            number => parts.push(format!("{number} {word}")),
        }
    }
    if parts.is_empty() { "no case".to_owned() } else { parts.join(", ") }
}

/// The last line that the program printed.
fn last_line(ran: &Ran) -> String {
    let said = [&ran.stderr, &ran.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let lines = said.iter().flat_map(|text| text.lines().rev());
    let last = lines.map(|line| clean(line, MOST_TEXT)).find(|line| !line.is_empty());
    last.unwrap_or_else(|| "it printed nothing".to_owned())
}

impl Kind for KtapProbe {
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
        let case = self.case.iter().map(|case| format!(", case {case}")).collect::<String>();
        let rest = if self.rest { ", other cases and its end" } else { "" };
        format!("KTAP of {}{case}{rest}", self.run.join(" "))
    }

    fn advice(&self) -> &'static str {
        "it looks at what was there before, or at nothing that arrives: let it ask another node, or take \
         `payload` off"
    }

    fn case_of(&self, program: &[String]) -> Option<&str> {
        self.case.as_deref().filter(|_| self.run == program)
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        for text in [&self.case, &self.fail_text].into_iter().flatten() {
            rule(check.key, words::line(text))?;
        }
        program::check_kept(check.key, &self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> KtapProbe {
        KtapProbe {
            run: vec!["t".to_owned()],
            format: KtapFormat::Ktap,
            case: None,
            rest: false,
            fail_text: None,
            payload: false,
        }
    }

    fn ran(end: CommandEnd, stdout: &str) -> Ran {
        Ran { end, stdout: stdout.into(), stderr: b"said\n".to_vec() }
    }

    fn other(text: &str) -> Option<Wrong> {
        Some(Wrong::Other("ktap", text.to_owned()))
    }

    #[test]
    fn what_is_reported_and_how_it_ended_make_the_outcome() {
        let status = CommandEnd::Status;
        let unclear = || Some(Wrong::Unclear);
        let ended = |how: &str| Some(Wrong::Ended { how: how.to_owned(), expected: 0 });
        for (end, stdout, expected) in [
            (status(0), "1..2\nok 1 a\nok 2 b # SKIP x\n", Ok("1 ok, 1 skipped")),
            (status(0), "1..1\nnot ok 1 a # XFAIL\n", Ok("1 expected to fail")),
            // Whatever the exit status.
            (
                status(0),
                "1..2\nok 1 a\nnot ok 2 b\n",
                Err(("1 of 2 failed: b", other("not ok: b"))),
            ),
            (status(4), "not ok 1 b\n", Err(("1 of 1 failed: b", other("not ok: b")))),
            (
                CommandEnd::TimedOut,
                "not ok 1 b\n",
                Err(("1 of 1 failed: b; it did not end in time", other("not ok: b"))),
            ),
            (
                CommandEnd::TimedOut,
                "ok 1 b\n",
                Err(("did not end in time: 1 ok", Some(Wrong::NotEnded))),
            ),
            (status(4), "", Err(("skipped: said", unclear()))),
            (status(4), "1..2\nok 1 a\n", Err(("skipped: said", unclear()))),
            (status(0), "1..0 # SKIP none\n", Err(("all was left out: SKIP none", unclear()))),
            (status(0), "ok 1 a # SKIP\n", Err(("every case was skipped: 1 skipped", unclear()))),
            (
                status(0),
                "fine\n",
                Err(("ended with status 0, and reported nothing: said", unclear())),
            ),
            (status(1), "", Err(("ended with status 1, and reported nothing: said", unclear()))),
            (
                status(1),
                "ok 1 a\n",
                Err((
                    "ended with status 1, though no case failed: 1 ok",
                    ended("ended with status 1"),
                )),
            ),
            (
                CommandEnd::Signal(11),
                "1..2\nok 1 a\n",
                Err((
                    "was ended by signal 11, though no case failed: 1 ok",
                    ended("was ended by signal 11"),
                )),
            ),
            (
                status(0),
                "1..2\nok 1 a\n",
                Err((
                    "fewer cases were reported than planned: 1 ok",
                    other("fewer cases than planned"),
                )),
            ),
            (
                status(1),
                "1..2\nBail out! no root\n",
                Err(("bailed out: no root", other("bailed out"))),
            ),
        ] {
            let expected = expected.map(str::to_owned);
            let expected = expected
                .map_err(|(detail, wrong)| CheckFailure { detail: detail.to_owned(), wrong });
            assert_eq!(probe().judge(&ran(end.clone(), stdout), &[]), expected, "{end}: {stdout}");
        }
        let long = format!("ok 1 a\n{}", "x".repeat(KtapProbe::KEPT as usize));
        let failure = probe().judge(&ran(status(0), &long), &[]).expect_err("it is cut off");
        assert_eq!(failure.wrong, unclear());
    }

    #[test]
    fn one_case_counts_alone() {
        let probe = KtapProbe { case: Some("a/b".to_owned()), ..probe() };
        let text = |result: &str| format!("  {result}\nnot ok 1 a\nnot ok 2 c\n");
        let judged = |end, result: &str| {
            let judged = probe.judge(&ran(end, &text(result)), &[]);
            judged.map_err(|failure| (failure.detail, failure.wrong))
        };
        let status = CommandEnd::Status;
        assert_eq!(judged(status(1), "ok 1 b"), Ok("ok: a/b".to_owned()));
        assert_eq!(
            judged(status(0), "not ok 1 b"),
            Err(("not ok: a/b".to_owned(), other("not ok: a/b")))
        );
        let skipped = Err(("skipped: a/b".to_owned(), Some(Wrong::Unclear)));
        assert_eq!(judged(status(0), "ok 1 b # SKIP"), skipped);
        let missing = judged(status(1), "ok 1 x").expect_err("it is not there");
        let expected = "ended with status 1, and reported no case `a/b`: a/x, a, c";
        assert_eq!(missing, (expected.to_owned(), Some(Wrong::Unclear)));
        let late = judged(CommandEnd::TimedOut, "ok 1 x").expect_err("it is not there");
        assert_eq!(late.1, Some(Wrong::NotEnded));
    }

    /// A self-test of the kernel prints `FAIL:` and exits with 0.
    #[test]
    fn a_text_tells_of_failures_that_no_case_does() {
        let probe = KtapProbe { fail_text: Some("FAIL:".to_owned()), ..probe() };
        let judged = |end, text: &str| probe.judge(&ran(end, text), &[]);
        let failure =
            judged(CommandEnd::Status(0), "PASS: a\n FAIL: b took 3 s\n").expect_err("it fails");
        assert_eq!(failure.detail, "FAIL: b took 3 s");
        assert_eq!(failure.wrong, other("it printed `FAIL:`"));
        assert_eq!(judged(CommandEnd::Status(0), "PASS: a\n"), Ok("no case".to_owned()));
        let ended = judged(CommandEnd::Status(2), "PASS: a\n").expect_err("its status");
        assert_eq!(ended.detail, "ended with status 2, though no case failed: no case");
    }

    /// Its scripts have words of their own, also for what is left out; their exit status says less.
    #[test]
    fn self_tests_of_the_kernel_are_understood() {
        let probe = KtapProbe { format: KtapFormat::Kselftest, ..probe() };
        let status = CommandEnd::Status;
        let text = "TEST: a   [ OK ]\nTEST: b   [FAIL]\nTEST: b   [ OK ]\nTEST: c   [SKIP]\n";
        let failure = probe.judge(&ran(status(0), text), &[]).expect_err("b fails");
        assert_eq!(failure.detail, "1 of 4 failed: b");
        assert_eq!(failure.wrong, other("not ok: b"));
        let late = probe.judge(&ran(CommandEnd::TimedOut, text), &[]).expect_err("b fails");
        assert_eq!(late.detail, "1 of 4 failed: b; it did not end in time");
        let cases = cases_of(text, KtapFormat::Kselftest);
        let names: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "b (2)", "c"]);
        let again = KtapProbe { case: Some("b (2)".to_owned()), ..probe.clone() };
        assert_eq!(again.judge(&ran(status(1), text), &[]), Ok("ok: b (2)".to_owned()));
        // One that was left out among others, and a script that has no lines at all.
        let text = "TEST: a   [ OK ]\nTEST: c   [SKIP]\n";
        let judged = |end, text: &str| probe.judge(&ran(end, text), &[]);
        assert_eq!(judged(status(4), text), Ok("1 ok, 1 skipped".to_owned()));
        assert_eq!(judged(status(0), "talk\n"), Ok("no case".to_owned()));
        let failure = judged(status(1), "talk\n").expect_err("its status");
        assert_eq!(failure.detail, "ended with status 1, though no case failed: no case");
        assert_eq!(judged(status(4), "talk\n").expect_err("skipped").wrong, Some(Wrong::Unclear));
    }

    #[test]
    fn the_rest_is_what_no_other_check_names() {
        let probe = KtapProbe { format: KtapFormat::Kselftest, rest: true, ..probe() };
        let text = "PASS: a\nFAIL: b\nFAIL: c\n";
        let status = CommandEnd::Status;
        let judged = |end, named: &[&str]| probe.judge(&ran(end, text), named);
        assert_eq!(judged(status(1), &["a", "b"]).expect_err("c").wrong, other("not ok: c"));
        assert_eq!(judged(status(1), &["a", "b", "c"]), Ok("1 ok, 2 not ok".to_owned()));
        let late = judged(CommandEnd::TimedOut, &["a", "b", "c"]).expect_err("it hangs");
        assert_eq!(late.wrong, Some(Wrong::NotEnded));
        let ended = judged(CommandEnd::Signal(9), &["a", "b", "c"]).expect_err("it died");
        assert!(matches!(ended.wrong, Some(Wrong::Ended { .. })), "{ended:?}");
    }

    /// What goss 0.3 and 0.4 print with `--format tap`.
    #[test]
    fn goss_is_understood() {
        let text = "1..3\nok 1 - Port: tcp:22: listening: matches expectation: [true]\n\
                    not ok 2 - Process: nginx: running: doesn't match, expect: [true] found: [false]\n\
                    ok 3 - # SKIP Service: x: enabled: skipped\n";
        let failure = probe().judge(&ran(CommandEnd::Status(1), text), &[]).expect_err("one fails");
        let first = "Process: nginx: running: doesn't match, expect: [true] found: [false]";
        assert_eq!(failure.detail, format!("1 of 3 failed: {first}"));
        assert_eq!(failure.wrong, other(&format!("not ok: {first}")));
    }
}
