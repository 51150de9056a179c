//! The kernel's own self-tests: which files a script needs, which helpers, which packages; and the checks that
//! are made of it.
//!
//! Scripts are read, never run: what they name is looked for among the files of their tree. What is found too
//! much goes along in vain, what is not found is said.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{MOST_SCRIPTS, SelfTestError};
use super::names::Names;
use super::tools::{package_of, together};
use super::wanted::{Adopted, Made, NewCheck, Wanted};
use crate::scenario::Outcome;

/// Folder of the files in a scenario's.
const FOLDER: &str = "selftests";
/// What starts a script where it lies.
const STARTER: &str = "selftests/start";
/// Its text.
const START: &str = include_str!("start.sh");

/// Files of a tree, by path below its folder of self-tests.
pub type TestFiles = BTreeMap<String, Vec<u8>>;

/// A script, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// Path below the folder of self-tests, `net/pmtu.sh`.
    pub path: String,
    /// It, what it sources and calls.
    pub files: BTreeSet<String>,
    /// Helpers in C: path of the program -> path of its source.
    pub helpers: BTreeMap<String, String>,
    /// BPF objects that it loads, which are not built.
    pub objects: BTreeSet<String>,
    /// Packages that have what it calls.
    pub packages: BTreeSet<String>,
    /// Programs that it calls and no package has.
    pub lacks: BTreeSet<String>,
}

/// What a case came to when it was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// Cases by script, in their order.
    pub cases: BTreeMap<String, Vec<(String, Outcome)>>,
    /// Scripts that did not come to an end of their own: how they ended.
    pub ended: BTreeMap<String, String>,
}

/// The scripts that were named, and those of folders that were.
///
/// # Errors
/// [`SelfTestError`] for the first that is none.
pub fn self_tests(files: &TestFiles, named: &[String]) -> Result<Vec<SelfTest>, SelfTestError> {
    let mut paths: Vec<String> = Vec::new();
    for name in named {
        let plain = name.trim_end_matches('/');
        if plain.starts_with('/') || plain.split('/').any(|part| matches!(part, ".." | "." | "")) {
            return Err(SelfTestError::Outside(name.clone()));
        }
        match files.contains_key(plain) {
            true => paths.push(plain.to_owned()),
            false => paths.extend(of_folder(files, plain)?),
        }
    }
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    if paths.len() > MOST_SCRIPTS {
        return Err(SelfTestError::TooMany(paths.len()));
    }
    paths.into_iter().map(|path| self_test(files, path)).collect()
}

/// The scripts that a folder's Makefile names as tests.
fn of_folder(files: &TestFiles, folder: &str) -> Result<Vec<String>, SelfTestError> {
    let Some(makefile) = files.get(&format!("{folder}/Makefile")) else {
        let stem = folder.rsplit('/').next().unwrap_or_default().trim_end_matches(".sh");
        let like = |path: &&String| {
            let own = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".sh");
            path.ends_with(".sh") && (own.contains(stem) || stem.contains(own))
        };
        let near = files.keys().filter(like).take(4).cloned().collect();
        return Err(SelfTestError::NoScript { name: folder.to_owned(), near });
    };
    let text = String::from_utf8_lossy(makefile).replace("\\\n", " ");
    let lists = text.lines().filter_map(|line| {
        let (name, list) = line.split_once('=')?;
        (name.trim_end_matches([':', '+', '?', ' ']).trim() == "TEST_PROGS").then_some(list)
    });
    let words = lists.flat_map(str::split_whitespace).filter(|word| word.ends_with(".sh"));
    let paths = words.map(|word| format!("{folder}/{word}"));
    let there: Vec<String> = paths.filter(|path| files.contains_key(path)).collect();
    if there.is_empty() { Err(SelfTestError::NoScripts(folder.to_owned())) } else { Ok(there) }
}

/// What a script needs, and what that needs.
fn self_test(files: &TestFiles, path: String) -> Result<SelfTest, SelfTestError> {
    if !files.get(&path).is_some_and(|content| content.starts_with(b"#!")) {
        return Err(SelfTestError::NoText(path));
    }
    let mut test = SelfTest {
        path: path.clone(),
        files: BTreeSet::new(),
        helpers: BTreeMap::new(),
        objects: BTreeSet::new(),
        packages: BTreeSet::new(),
        lacks: BTreeSet::new(),
    };
    let mut left = vec![path];
    while let Some(path) = left.pop() {
        let Some(content) = files.get(&path).filter(|_| test.files.insert(path.clone())) else {
            continue;
        };
        // A file that is no text names nothing.
        let Ok(text) = std::str::from_utf8(content) else { continue };
        left.extend(test.read(files, &path, text));
    }
    Ok(test)
}

impl SelfTest {
    /// Takes note of what a file names; gives the files that are to be read as well.
    fn read(&mut self, files: &TestFiles, path: &str, text: &str) -> Vec<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text: String = lines.map(|line| without_variables(line) + "\n").collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
        let words: BTreeSet<&str> = text.split(|c: char| !plain(c)).collect();
        let holds = |word: &str| {
            let begin = format!("{folder}/{word}/");
            files.range(begin.clone()..).next().is_some_and(|(file, _)| file.starts_with(&begin))
        };
        // `$(dirname $0)/sub` names it as well.
        let names = words.iter().map(|word| word.trim_start_matches(['.', '/']));
        let below: BTreeSet<&str> = names.filter(|word| is_name(word) && holds(word)).collect();
        let mut found = Vec::new();
        for word in &words {
            // What a variable leads to stands in the script's own folder, or in one that it names.
            let (bare, is_path) = match word.trim_start_matches("./").trim_start_matches('/') {
                bare if bare.len() < word.len() => (bare, true),
                bare => (bare, false),
            };
            if bare.is_empty() {
                continue;
            }
            let places = std::iter::once(folder.to_owned())
                .chain(below.iter().map(|name| format!("{folder}/{name}")));
            let mut there: Vec<String> = places.filter_map(|place| joined(&place, bare)).collect();
            there.retain(|path| files.contains_key(path));
            if there.is_empty() {
                self.programs(files, folder, bare, is_path);
            }
            // Sources and folders' own files are words, too.
            found.extend(there.into_iter().filter(|path| is_needed(path)));
        }
        found
    }

    /// Takes note of a helper or a program that a word names.
    fn programs(&mut self, files: &TestFiles, folder: &str, word: &str, is_path: bool) {
        match package_of(word) {
            Some(Some(package)) => {
                self.packages.insert(package.to_owned());
            }
            Some(None) => {
                self.lacks.insert(word.to_owned());
            }
            None => {}
        }
        let Some(program) = joined(folder, word) else { return };
        if let Some(stem) = program.strip_suffix(".o") {
            if files.contains_key(&format!("{stem}.c")) {
                self.objects.insert(program);
            }
            return;
        }
        let source = format!("{program}.c");
        // `tun` and `tls` are words of many scripts, and programs where they are called by a path.
        let is_plain = !word.contains('_') && word.len() < 7;
        if files.contains_key(&source) && (is_path || !is_plain) {
            self.helpers.insert(program, source);
        }
    }

    /// The command that starts it.
    fn run(&self) -> Vec<String> {
        let [starter, folder] = [STARTER, FOLDER].map(|path| format!("{{assets}}/{path}"));
        vec![starter, folder, self.path.clone()]
    }
}

/// A line without the names of variables: what stands behind one is a path from where it leads.
fn without_variables(line: &str) -> String {
    let mut parts = line.split('$');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        plain.push(' ');
        plain.push_str(part.trim_start_matches('{').trim_start_matches(name));
    }
    plain
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && !word.contains('/') && !word.starts_with('.')
}

/// Whether a file that a script names is one that it uses.
fn is_needed(path: &str) -> bool {
    ![".c", ".h", ".mk", ".rst", "/Makefile", "/config", "/settings", "/.gitignore"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// A path in a folder, with `..` resolved; nothing where it leads out.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Scripts that are taken over, and what goes along.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The scripts.
    pub tests: &'a [SelfTest],
    /// The files of their tree.
    pub files: &'a TestFiles,
    /// Helpers that were built, by their path.
    pub programs: &'a TestFiles,
}

/// Makes checks of scripts: one for each of their cases where these are known, and one for what is left of a
/// script and for how it ended. A case that failed when it was learnt is only recorded.
#[must_use]
pub fn from_self_tests(chosen: Chosen<'_>, learnt: Option<&Learnt>, wanted: &Wanted) -> Adopted {
    let mut names = Names::of_checks(&wanted.taken);
    let mut made = Adopted::default();
    for test in chosen.tests {
        let stem = test.path.rsplit('/').next().unwrap_or_default();
        let stem = stem.strip_suffix(".sh").unwrap_or(stem);
        let mut add = |case: Option<&String>, rest, record_only| {
            let words: Vec<&str> = std::iter::once(stem).chain(case.map(String::as_str)).collect();
            let title = std::iter::once(test.path.as_str()).chain(case.map(String::as_str));
            made.checks.push(NewCheck {
                name: names.of(&words.join(" ")),
                node: wanted.node.clone(),
                title: title.collect::<Vec<_>>().join(": "),
                line: 1,
                made: Made::SelfTest { run: test.run(), case: case.cloned(), rest, record_only },
            });
        };
        let cases = learnt.and_then(|learnt| learnt.cases.get(&test.path));
        let cases = cases.map(Vec::as_slice).unwrap_or_default();
        for (case, outcome) in cases.iter().filter(|(_, outcome)| *outcome != Outcome::Skipped) {
            add(Some(case), false, *outcome == Outcome::Failed);
        }
        let ended = learnt.is_some_and(|learnt| learnt.ended.contains_key(&test.path));
        add(None, !cases.is_empty(), ended);
        let own = test.files.iter().map(|path| (path, chosen.files.get(path)));
        let helpers = test.helpers.keys().map(|path| (path, chosen.programs.get(path)));
        for (path, content) in own.chain(helpers) {
            let content = content.map(|content| (format!("{FOLDER}/{path}"), content.clone()));
            made.files.extend(content);
        }
        made.packages.extend(test.packages.iter().cloned());
    }
    together(&mut made.packages);
    made.files.insert(STARTER.to_owned(), START.as_bytes().to_vec());
    // A scenario in which nothing could fail is none.
    let counts = |check: &NewCheck| !check.made.is_record_only();
    if !made.checks.iter().any(counts)
        && let Some(check) = made.checks.last_mut()
    {
        check.made.count();
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::scenario;
    use crate::scenario::Scenario;

    /// A stand-in for a tree.
    fn tree() -> TestFiles {
        let files: [(&str, &[u8]); 12] = [
            (
                "net/Makefile",
                b"TEST_PROGS := one.sh \\\n\ttwo.sh\nTEST_PROGS += gone.sh\nTEST_FILES := lib.sh\n",
            ),
            (
                "net/one.sh",
                b"#!/bin/bash\nsource lib.sh\n# ./other.sh\n./sender -x; jq . x; tun add\n",
            ),
            (
                "net/two.sh",
                b"#!/bin/sh\nlib=$(dirname $0)/sub\n. $lib/lib.sh\n./tun; netperf; x load prog.bpf.o\n",
            ),
            ("net/lib.sh", b"check ../kselftest/helper.sh ../../../etc/x\n"),
            ("net/other.sh", b"#!/bin/sh\n"),
            ("net/sender.c", b"int main(void) { return 0; }\n"),
            ("net/tun.c", b"int main(void) { return 0; }\n"),
            ("net/prog.bpf.c", b"x\n"),
            ("net/sub/lib.sh", b"x\n"),
            ("net/binary.sh", b"\x7fELF\xff\xfe"),
            ("kselftest/helper.sh", b"\xff\xfe"),
            ("kselftest.h", b"x\n"),
        ];
        files.map(|(path, content)| (path.to_owned(), content.to_vec())).into()
    }

    fn of(names: &[&str]) -> Result<Vec<SelfTest>, SelfTestError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self_tests(&tree(), &names)
    }

    #[test]
    fn what_a_script_needs_is_found() {
        let tests = of(&["net/", "net/one.sh"]).expect("they are there");
        let texts = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        let [one, two] = &tests[..] else { panic!("{tests:?}") };
        assert_eq!(texts(&one.files), "kselftest/helper.sh net/lib.sh net/one.sh");
        assert_eq!(one.helpers.keys().collect::<Vec<_>>(), ["net/sender"]);
        assert_eq!((texts(&one.packages), one.lacks.len()), ("jq".to_owned(), 0));
        assert!(two.files.contains("net/sub/lib.sh"), "{two:?}");
        assert_eq!(two.helpers.keys().collect::<Vec<_>>(), ["net/tun"]);
        assert_eq!(
            (texts(&two.objects), texts(&two.lacks)),
            ("net/prog.bpf.o".into(), "netperf".into())
        );
    }

    #[test]
    fn what_is_no_script_is_named() {
        let error = |name: &str| of(&[name]).expect_err("it is none");
        assert_eq!(error("net/../one.sh"), SelfTestError::Outside("net/../one.sh".to_owned()));
        assert_eq!(error("/etc/passwd"), SelfTestError::Outside("/etc/passwd".to_owned()));
        assert_eq!(error("net/binary.sh"), SelfTestError::NoText("net/binary.sh".to_owned()));
        assert_eq!(error("net/sender.c"), SelfTestError::NoText("net/sender.c".to_owned()));
        assert!(error("net/on.sh").hint().contains("net/one.sh"), "{}", error("net/on.sh").hint());
        assert!(matches!(error("mm"), SelfTestError::NoScript { .. }));
    }

    #[test]
    fn each_case_is_a_check_and_the_rest_is_one() {
        let tests = of(&["net/one.sh"]).expect("it is there");
        let wanted = Wanted { node: "host".to_owned(), timeout_s: 60.0, ..Wanted::default() };
        let case = |name: &str, outcome| (name.to_owned(), outcome);
        let learnt = Learnt {
            cases: BTreeMap::from([(
                "net/one.sh".to_owned(),
                vec![
                    case("IPv4: a \"route\" is added, \u{e9}", Outcome::Passed),
                    case("b", Outcome::Failed),
                    case("c", Outcome::Skipped),
                ],
            )]),
            ended: BTreeMap::new(),
        };
        let programs = TestFiles::from([("net/sender".to_owned(), b"\x7fELF".to_vec())]);
        let files = tree();
        let chosen = Chosen { tests: &tests, files: &files, programs: &programs };
        let made = from_self_tests(chosen, Some(&learnt), &wanted);
        let names: Vec<&str> = made.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["one-ipv4-a-route-is-added", "one-b", "one"]);
        let text = scenario(&made, &wanted);
        let parsed = Scenario::parse("x", "scenario.toml", &text).expect(&text);
        let (read, _) = parsed.with_assets(made.files.clone()).expect("files");
        let recorded: Vec<bool> = read.checks.iter().map(|check| check.record_only).collect();
        assert_eq!(recorded, [false, true, false]);
        assert!(read.image.packages.contains(&"jq".to_owned()));
        assert!(made.files.contains_key("selftests/net/sender"));
        // Nothing is known yet: a check for each script.
        let none = TestFiles::new();
        let whole = from_self_tests(Chosen { programs: &none, ..chosen }, None, &wanted);
        assert_eq!(whole.checks.len(), 1);
        assert!(!whole.files.contains_key("selftests/net/sender"));
    }

    proptest::proptest! {
        #[test]
        fn any_script_is_read(text in "(source |\\./|\\.\\./|/|lib\\.sh|sender|sub/| |\n|[ -~é]{0,8}){0,20}") {
            let mut files = tree();
            files.insert("net/any.sh".to_owned(), format!("#!/bin/sh\n{text}").into_bytes());
            let test = self_test(&files, "net/any.sh".to_owned()).expect("it is a script");
            assert!(test.files.iter().all(|path| files.contains_key(path)));
        }
    }
}
