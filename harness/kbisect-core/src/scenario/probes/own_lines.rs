//! Results as scripts of the kernel's self-tests write them beside KTAP: `TEST: name   [ OK ]`, `FAIL: name`,
//! `name    ok`, or a lone `[PASS]` below the line that says what was tried.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::outcome::Outcome;

/// A line that tells how a case ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnLine {
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// Longest line that is looked at, in bytes.
const LONGEST: usize = 1000;

static COLOURS: LazyLock<Regex> = LazyLock::new(|| expression(r"\x1b\[[0-9;]*m"));
static BEHIND: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^(?<name>.*?)\s*\[ *(?<word>[A-Za-z]+) *\]$"));
static BEFORE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^\[ *(?<word>[A-Za-z]+) *\]\s*(?<name>\S.*)$"));
static COLON: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^(?<word>PASS|FAIL|SKIP|XFAIL)(?::| -)\s+(?<name>\S.*)$"));
static APART: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"^(?<name>\S.*?)(?:\s{2,}|\.\.\.\s*)(?<word>ok|OK|PASS|FAIL|SKIP|fail|failed|skipped)(?: - .*)?$",
    )
});
/// Complaints of programs end in `: failed`.
static OF: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^(?<name>\S.*?):\s+(?<word>ok|OK|PASS|FAIL|SKIP)$"));
static ALONE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^(?<word>ok|OK|PASS|FAIL|SKIP|fail|failed|skipped)(?: - .*)?$"));
static KTAP: LazyLock<Regex> = LazyLock::new(|| expression(r"^(?:not ok\b|ok [0-9])"));

/// Fractions, and numbers with a unit of time.
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| expression(r"[0-9]+(?:\.[0-9]+)*(?<unit> ?(?:ms|us|ns|s|sec|seconds)\b)?"));
/// The names of name spaces end in what `mktemp -u XXXXXX` makes, another each time.
static RANDOM: LazyLock<Regex> = LazyLock::new(|| expression(r"-[A-Za-z0-9]{6}\b"));

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is constant")
}

/// Reads a line. `before` is the last one that told nothing: what a lone result is about.
pub(super) fn read(line: &str, before: &mut String) -> Option<OwnLine> {
    let plain = line.get(..LONGEST).unwrap_or(line);
    let plain = COLOURS.replace_all(plain, "");
    let plain = plain.trim();
    if plain.is_empty() || plain.starts_with('#') || KTAP.is_match(plain) {
        return None;
    }
    let found = [&BEHIND, &BEFORE, &COLON, &APART, &OF, &ALONE].into_iter().find_map(|form| {
        let parts = form.captures(plain)?;
        let outcome = outcome(&parts["word"])?;
        Some((parts.name("name").map_or("", |name| name.as_str()).to_owned(), outcome))
    });
    let Some((name, outcome)) = found else {
        *before = plain.to_owned();
        return None;
    };
    let name = match named(&name) {
        // What was said before may be of another program, with times and counts in it.
        name if name.is_empty() => without_times(&named(before)),
        name => name,
    };
    before.clear();
    (!name.is_empty()).then_some(OwnLine { name, outcome })
}

/// A text without what is measured; addresses and sizes stay.
fn without_times(text: &str) -> String {
    let stable = NUMBER.replace_all(text, |found: &Captures<'_>| {
        let unit = found.name("unit").map_or("", |unit| unit.as_str());
        let is_fraction = found[0].matches('.').count() == 1;
        if is_fraction || !unit.is_empty() { format!("N{unit}") } else { found[0].to_owned() }
    });
    stable.into_owned()
}

fn outcome(word: &str) -> Option<Outcome> {
    Some(match word.to_ascii_lowercase().as_str() {
        "ok" | "pass" | "passed" => Outcome::Passed,
        "fail" | "failed" => Outcome::Failed,
        "skip" | "skipped" => Outcome::Skipped,
        "xfail" => Outcome::ExpectedToFail,
        _ => return None,
    })
}

/// A name without what stands before or behind each of its kind, and single blanks.
fn named(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("TEST:").unwrap_or(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let stable = RANDOM.replace_all(&text, |found: &Captures<'_>| {
        let is_word = found[0].bytes().all(|b| b == b'-' || b.is_ascii_lowercase());
        if is_word { found[0].to_owned() } else { "-XXXXXX".to_owned() }
    });
    stable.trim_end_matches([':', '.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_from_talk() {
        use Outcome::{ExpectedToFail, Failed, Passed, Skipped};
        for (line, expected) in [
            ("TEST: IPv4 ping  - via  VRF        [ OK ]", Some(("IPv4 ping - via VRF", Passed))),
            ("    TEST: route add                [FAIL]", Some(("route add", Failed))),
            ("\x1b[31mTEST: a [SKIP]\x1b[0m", Some(("a", Skipped))),
            ("TEST: a: b   [XFAIL]", Some(("a: b", ExpectedToFail))),
            ("[PASS] tcp 1", Some(("tcp 1", Passed))),
            ("PASS: policy routing", Some(("policy routing", Passed))),
            ("  FAIL: took 3 s", Some(("took 3 s", Failed))),
            ("FAIL - 3/12 cases failed", Some(("3/12 cases failed", Failed))),
            ("ipv4 forwarding       ok", Some(("ipv4 forwarding", Passed))),
            ("gro flag   fail - expected 1", Some(("gro flag", Failed))),
            ("test_x: ok", Some(("test_x", Passed))),
            ("failed", Some(("what was said before", Failed))),
            ("[ OK ]", Some(("what was said before", Passed))),
            ("TEST: ns-D9EviA: no-device  [ OK ]", Some(("ns-XXXXXX: no-device", Passed))),
            ("Tests passed:  12", None),
            ("Tests failed:   0", None),
            ("look", None),
            ("all is ok", None),
            ("value [abc]", None),
            ("# TEST: a [ OK ]", None),
            ("FAIL:", None),
            ("ok 1 a: ok", None),
            ("not ok 1 a   [FAIL]", None),
            ("bind: failed", None),
            ("192.0.2.1 dev eth0  FAILED", None),
            ("PASS=1 FAIL=0", None),
        ] {
            let mut before = "what was said before:".to_owned();
            let read = read(line, &mut before).map(|own| (own.name, own.outcome));
            assert_eq!(read, expected.map(|(name, outcome)| (name.to_owned(), outcome)), "{line}");
        }
        assert_eq!(read("[ OK ]", &mut String::new()), None);
        let mut before = "rtt 0.374/12 ms of 192.0.2.1 port 80".to_owned();
        let name = "rtt N/N ms of 192.0.2.1 port 80".to_owned();
        assert_eq!(read("ok", &mut before).map(|own| own.name), Some(name));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "(TEST: |PASS: |\\[ ?|x)?[ -~é\x1b]{0,30}(\\[ OK \\]|  ok|\\])?") {
            let _ = read(&line, &mut String::new());
        }
    }
}
