//! Reader of TAP and KTAP (testanything.org, versions 13 and 14; the kernel's Documentation/dev-tools/ktap.rst).
//!
//! What a program prints is hostile: every line is either understood or passed over.

use std::collections::{BTreeMap, BTreeSet};

use super::outcome::Outcome;
use super::own_lines::{self, OwnLine};
use super::program::clean;

/// Most characters of a name that are kept.
const MOST_NAME: usize = 160;
/// Most levels of a path that are told.
const MOST_LEVELS: usize = 16;

/// What a program reported.
#[derive(Debug, Default)]
pub(super) struct Report {
    cases: Vec<Case>,
    /// A plan had more cases than were reported.
    pub(super) is_short: bool,
    /// Why the program gave up.
    pub(super) bailed: Option<String>,
    /// Why it left all of its cases out.
    pub(super) left_out: Option<String>,
}

/// A case that was reported.
#[derive(Debug)]
struct Case {
    name: String,
    /// The case that it is a part of.
    within: Option<usize>,
    outcome: Outcome,
}

/// Cases of one level that belong together.
struct Block {
    indent: usize,
    /// Behind `# `, as the runner of the kernel's self-tests nests.
    in_comment: bool,
    plan: Option<usize>,
    results: usize,
}

/// A line that means something.
enum Line<'a> {
    Version,
    Plan(usize, Option<&'a str>),
    Case(Told<'a>),
}

struct Told<'a> {
    passed: bool,
    number: Option<&'a str>,
    name: &'a str,
    directive: &'a str,
}

/// Reads what a program printed.
pub(super) fn read(text: &str) -> Report {
    read_lines(text, &mut |_| None)
}

/// Reads what a self-test of the kernel printed: TAP, KTAP, and results in the words that its scripts have
/// for themselves. A name that comes again has its number behind it.
pub(super) fn read_self_test(text: &str) -> Report {
    let mut before = String::new();
    let mut report = read_lines(text, &mut |line| own_lines::read(line, &mut before));
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for case in report.cases.iter_mut().filter(|case| case.within.is_none()) {
        let number = count.entry(case.name.clone()).or_default();
        *number += 1;
        if *number > 1 {
            case.name = format!("{} ({number})", case.name);
        }
    }
    report
}

fn read_lines(text: &str, own: &mut dyn FnMut(&str) -> Option<OwnLine>) -> Report {
    let mut report = Report::default();
    let mut blocks: Vec<Block> = Vec::new();
    // Cases that belong to no other yet, with their indent.
    let mut lone: Vec<(usize, usize)> = Vec::new();
    for line in text.lines() {
        let (indent, in_comment, rest) = indented(line);
        if let Some(why) = rest.strip_prefix("Bail out!").filter(|_| !in_comment) {
            report.bailed.get_or_insert(clean(why, MOST_NAME));
            continue;
        }
        if let Some(OwnLine { name, outcome }) = own(line) {
            let name = clean(&name, MOST_NAME);
            report.cases.push(Case { name, within: None, outcome });
            continue;
        }
        let Some(line) = meaning(rest) else { continue };
        let is_open = |block: &Block| block.indent == indent && block.in_comment == in_comment;
        // What looks like a plan or a case in a comment is one where a version said so.
        let announced = match &line {
            Line::Version => true,
            Line::Plan(..) => blocks.iter().any(is_open),
            Line::Case(told) => told.number.is_some() && blocks.iter().any(is_open),
        };
        if in_comment && !announced {
            continue;
        }
        while let Some(block) = blocks.pop_if(|block| block.indent > indent) {
            report.is_short |= block.is_short();
        }
        let again = |block: &mut Block| {
            block.indent == indent
                && match line {
                    Line::Version => true,
                    Line::Plan(..) => block.plan.is_some(),
                    Line::Case(_) => false,
                }
        };
        if let Some(block) = blocks.pop_if(again) {
            report.is_short |= block.is_short();
        }
        if blocks.last().is_none_or(|block| block.indent < indent) {
            blocks.push(Block { indent, in_comment, plan: None, results: 0 });
        }
        let Some(block) = blocks.last_mut() else { continue };
        match line {
            Line::Version => {}
            Line::Plan(number, why) => {
                block.plan = Some(number);
                if let Some(why) = why {
                    report.left_out.get_or_insert(clean(why, MOST_NAME));
                }
            }
            Line::Case(told) => {
                block.results += 1;
                let index = report.cases.len();
                report.cases.push(Case {
                    name: told.name(block.results),
                    within: None,
                    outcome: told.outcome(),
                });
                while let Some((_, part)) = lone.pop_if(|(deeper, _)| *deeper > indent) {
                    report.cases[part].within = Some(index);
                }
                lone.push((indent, index));
            }
        }
    }
    report.is_short |= blocks.iter().any(Block::is_short);
    report
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// How many cases ended so, or at all; of a case with parts, its parts count.
    pub(super) fn count(&self, outcome: Option<Outcome>) -> usize {
        let wholes: BTreeSet<usize> = self.cases.iter().filter_map(|case| case.within).collect();
        let cases = self.cases.iter().enumerate().filter(|(index, _)| !wholes.contains(index));
        cases.filter(|(_, case)| outcome.is_none_or(|outcome| case.outcome == outcome)).count()
    }

    /// Paths of the cases that failed, parts before their whole. A whole whose part failed says no more.
    pub(super) fn failed(&self) -> Vec<String> {
        let failed = |case: &&Case| case.outcome == Outcome::Failed;
        let told: BTreeSet<usize> =
            self.cases.iter().filter(failed).filter_map(|case| case.within).collect();
        let cases = self.cases.iter().enumerate();
        let first = cases.filter(|(index, case)| failed(case) && !told.contains(index));
        first.map(|(index, _)| self.path(index)).collect()
    }

    /// How the case with this path ended, parts of it included: failed if one did, else as it is told itself.
    pub(super) fn outcome_of(&self, path: &str) -> Option<Outcome> {
        let whole = (0..self.cases.len()).rev().find(|index| self.path(*index) == path)?;
        let is_part = |mut index: usize| {
            for _ in 0..MOST_LEVELS {
                match self.cases[index].within {
                    Some(within) if within == whole => return true,
                    Some(within) => index = within,
                    None => return false,
                }
            }
            false
        };
        let failed = |index: &usize| self.cases[*index].outcome == Outcome::Failed;
        if (0..self.cases.len()).filter(failed).any(is_part) {
            return Some(Outcome::Failed);
        }
        Some(self.cases[whole].outcome)
    }

    /// Every case that has no parts, or is told apart from them, and how it ended.
    pub(super) fn outcomes(&self) -> Vec<(String, Outcome)> {
        let wholes: BTreeSet<usize> = self.cases.iter().filter_map(|case| case.within).collect();
        let cases = (0..self.cases.len()).filter(|index| !wholes.contains(index));
        cases.map(|index| (self.path(index), self.cases[index].outcome)).collect()
    }

    /// Paths of the first cases.
    pub(super) fn paths(&self, most: usize) -> Vec<String> {
        (0..self.cases.len().min(most)).map(|index| self.path(index)).collect()
    }

    /// Its name behind those of the cases that it is a part of.
    fn path(&self, index: usize) -> String {
        let mut names = Vec::new();
        let mut at = Some(index);
        while let Some(case) = at.map(|at| &self.cases[at]).filter(|_| names.len() < MOST_LEVELS) {
            names.push(case.name.as_str());
            at = case.within;
        }
        names.reverse();
        names.join("/")
    }
}

impl Block {
    fn is_short(&self) -> bool {
        self.plan.is_some_and(|plan| self.results < plan)
    }
}

impl Told<'_> {
    fn name(&self, count: usize) -> String {
        let name = clean(self.name, MOST_NAME);
        match self.number {
            _ if !name.is_empty() => name,
            Some(number) => clean(number, MOST_NAME),
            None => count.to_string(),
        }
    }

    fn outcome(&self) -> Outcome {
        let is = |word: &str| {
            self.directive.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        match self.passed {
            // Older runners say `not ok` of what they left out.
            _ if is("SKIP") => Outcome::Skipped,
            _ if is("XFAIL") => Outcome::ExpectedToFail,
            false if is("TODO") => Outcome::ExpectedToFail,
            true => Outcome::Passed,
            false => Outcome::Failed,
        }
    }
}

/// How far a line is indented, whether it stands behind `# `, and the rest of it.
fn indented(line: &str) -> (usize, bool, &str) {
    let mut rest = line.trim_end_matches('\r');
    let mut in_comment = false;
    loop {
        rest = rest.trim_start_matches(' ');
        match rest.strip_prefix("# ") {
            Some(inner) => {
                rest = inner;
                in_comment = true;
            }
            None => return (line.trim_end_matches('\r').len() - rest.len(), in_comment, rest),
        }
    }
}

fn meaning(text: &str) -> Option<Line<'_>> {
    let text = text.trim_end();
    let version = text.strip_prefix("KTAP version ").or_else(|| text.strip_prefix("TAP version "));
    if version.is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit())) {
        return Some(Line::Version);
    }
    if let Some(plan) = text.strip_prefix("1..") {
        let (number, comment) = plan.split_once('#').unwrap_or((plan, ""));
        let number = number.trim().parse().ok()?;
        return Some(Line::Plan(number, (number == 0).then_some(comment.trim())));
    }
    let (passed, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let word = rest.split(' ').next().unwrap_or_default();
    let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let (number, rest) = match is_number {
        true => (Some(word), rest[word.len()..].trim_start()),
        false => (None, rest),
    };
    let rest =
        rest.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or(rest).trim_start();
    let (name, directive) = directive(rest);
    Some(Line::Case(Told { passed, number, name, directive }))
}

/// A name, and what stands behind it: ` # WORD`, or `#SKIP` and the like without a blank.
fn directive(text: &str) -> (&str, &str) {
    for (at, _) in text.match_indices('#') {
        let (name, behind) = (&text[..at], &text[at + 1..]);
        let apart = name.is_empty() || name.ends_with(' ');
        let word = behind.trim_start().to_ascii_lowercase();
        let known = ["skip", "xfail", "todo"].iter().any(|known| word.starts_with(known));
        if apart && (known || behind.starts_with(' ')) {
            return (name.trim_end(), behind.trim_start());
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_with_the_names_of_their_wholes() {
        let text = "KTAP version 1\n1..2\n  KTAP version 1\n  1..2\n    KTAP version 1\n    1..1\n    \
                    # a_test: initializing\n    not ok 1 deep\n  not ok 1 inner\n  ok 2 other # SKIP no such device\n\
                    not ok 1 - outer\nok 2 last # XFAIL known\n";
        let report = read(text);
        assert_eq!(report.failed(), ["outer/inner/deep"]);
        assert_eq!(
            report.paths(9),
            ["outer/inner/deep", "outer/inner", "outer/other", "outer", "last"]
        );
        assert!(!report.is_short);
        let count = |outcome| report.count(Some(outcome));
        assert_eq!(report.count(None), 3);
        assert_eq!((count(Outcome::Failed), count(Outcome::Skipped)), (1, 1));
        assert_eq!(count(Outcome::ExpectedToFail), 1);
        for (path, outcome) in [
            ("outer", Some(Outcome::Failed)),
            ("outer/inner/deep", Some(Outcome::Failed)),
            ("outer/other", Some(Outcome::Skipped)),
            ("last", Some(Outcome::ExpectedToFail)),
            ("deep", None),
        ] {
            assert_eq!(report.outcome_of(path), outcome, "{path}");
        }
    }

    /// As kselftest's runner nests: the whole is judged by an exit status, its parts are comments.
    #[test]
    fn a_case_in_a_comment_counts_where_a_version_announced_it() {
        let text = "TAP version 13\n1..1\n# selftests: net: t.sh\n# TAP version 13\n# 1..2\n# ok 1 a\n\
                    # not ok 2 b # exit=1\nok 1 selftests: net: t.sh\n";
        let report = read(text);
        assert_eq!(report.failed(), ["selftests: net: t.sh/b"]);
        assert!(!report.is_short);
        let talk = read("1..1\n# not ok 2 by a long way\n# not ok yet\n# 1..7\nok 1 a\n");
        assert_eq!((talk.failed(), talk.is_short), (Vec::new(), false));
    }

    #[test]
    fn lines_are_understood_or_passed_over() {
        for (line, name, outcome) in [
            ("ok 1 a", "a", Some(Outcome::Passed)),
            ("ok 1 - a b", "a b", Some(Outcome::Passed)),
            ("ok", "1", Some(Outcome::Passed)),
            ("ok 7", "7", Some(Outcome::Passed)),
            ("not ok a", "a", Some(Outcome::Failed)),
            ("not ok 1 a # TIMEOUT 45 seconds", "a", Some(Outcome::Failed)),
            ("not ok 1 a # TODO later", "a", Some(Outcome::ExpectedToFail)),
            ("ok 1 a # TODO later", "a", Some(Outcome::Passed)),
            ("not ok 1 a # SKIP", "a", Some(Outcome::Skipped)),
            ("ok 1 a #skip none", "a", Some(Outcome::Skipped)),
            // goss writes it so.
            ("ok 3 - # SKIP Service: x", "3", Some(Outcome::Skipped)),
            ("ok 1 case #3", "case #3", Some(Outcome::Passed)),
            ("not ok 1 a # XFAIL b # c", "a", Some(Outcome::ExpectedToFail)),
            ("ok 1 --flag", "--flag", Some(Outcome::Passed)),
            ("\tok 1 a", "", None),
            ("okay 1 a", "", None),
            ("not okay", "", None),
            ("not  ok 1", "", None),
            ("1..x", "", None),
            ("TAP version x", "", None),
        ] {
            let report = read(&format!("{line}\r\n"));
            let found = report.cases.first().map(|case| (case.name.as_str(), case.outcome));
            assert_eq!(found, outcome.map(|outcome| (name, outcome)), "{line}");
        }
    }

    #[test]
    fn plans_are_held_against_what_came() {
        for (text, short) in [
            ("1..2\nok 1 a\nok 2 b\n", false),
            ("1..2\nok 1 a\n", true),
            ("ok 1 a\n1..2\n", true),
            ("ok 1 a\nok 2 b\n1..2\n", false),
            ("1..1\n  1..2\n  ok 1 x\nok 1 a\n", true),
            // Two programs, one after the other.
            ("TAP version 13\n1..2\nok 1 a\nTAP version 13\n1..1\nok 1 b\n", true),
            ("1..1\nok 1 a\n1..1\nok 1 b\n", false),
            ("1..1\nok 1 a\nok 2 b\n", false),
        ] {
            assert_eq!(read(text).is_short, short, "{text}");
        }
        let left_out = read("1..0 # SKIP no module\n");
        assert_eq!(left_out.left_out.as_deref(), Some("SKIP no module"));
        let bailed = read("1..2\nok 1 a\n  Bail out! no\x1b[31m root\n");
        assert_eq!(bailed.bailed.as_deref(), Some("no[31m root"));
    }

    #[test]
    fn hostile_output_takes_no_time_and_no_memory() {
        let deep: String =
            (0..1200).map(|n| format!("{}ok 1 {n}\n", " ".repeat(1200 - n))).collect();
        assert!(read(&deep).paths(1)[0].matches('/').count() < MOST_LEVELS);
        let many = "not ok 1\n".repeat(100_000);
        assert_eq!(read(&many).failed().len(), 100_000);
        let long = format!("not ok 1 {}", "é\x07".repeat(500_000));
        assert!(read(&long).failed()[0].chars().count() <= MOST_NAME);
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read(text in "([ #]{0,4}(ok|not ok|1\\.\\.|Bail out!|KTAP version 1| )[ -~é\n]{0,12}\n?){0,20}") {
            let report = read(&text);
            for path in report.paths(50) {
                assert!(report.outcome_of(&path).is_some(), "{path}");
            }
            assert!(report.count(None) <= text.lines().count());
        }
    }
}
