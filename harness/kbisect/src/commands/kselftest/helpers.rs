//! Helpers of self-tests in C, built once: linked statically, so that they run in a guest whatever its libc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use kbisect_core::adopt::{SelfTest, TestFiles};
use kbisect_process::run_within;
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::output;

/// Longest that one is compiled.
const DEADLINE: Duration = Duration::from_secs(120);
/// Words for the compiler, before those of one helper.
const FLAGS: [&str; 5] = ["-O2", "-s", "-w", "-static", "-fno-strict-aliasing"];
/// Changes when the way they are built does.
const VERSION: &str = "1";

/// What was built, and what was not: helper -> why.
#[derive(Debug, Default)]
pub struct Built {
    pub programs: TestFiles,
    pub failed: BTreeMap<String, String>,
}

/// Builds the helpers of scripts, or takes them from the cache. One that cannot be built is told of, and
/// others are built.
///
/// # Errors
/// For a cache that cannot be used, and Ctrl-C.
pub fn build(
    tests: &[SelfTest],
    files: &TestFiles,
    tree: &Path,
    cache: &Path,
    doing: &mut dyn FnMut(&str),
) -> anyhow::Result<Built> {
    let helpers: BTreeMap<&String, &String> = tests.iter().flat_map(|test| &test.helpers).collect();
    let mut built = Built::default();
    if helpers.is_empty() {
        return Ok(built);
    }
    let compiler = match compiler() {
        Ok(compiler) => compiler,
        Err(why) => {
            built.failed =
                helpers.into_keys().map(|helper| (helper.clone(), why.clone())).collect();
            return Ok(built);
        }
    };
    let root = cache.join("selftests/v1");
    fs::create_dir_all(&root).with_context(|| format!("cannot make `{}`", root.display()))?;
    let work = tempfile::Builder::new().prefix(".build-").tempdir_in(&root)?;
    let mut shop = Shop { files, tree, compiler, root: &root, work: work.path(), headers: None };
    for (helper, source) in helpers {
        doing(helper);
        match shop.build(helper, source)? {
            Ok(program) => drop(built.programs.insert(helper.clone(), program)),
            Err(why) => drop(built.failed.insert(helper.clone(), why)),
        }
    }
    Ok(built)
}

/// The C compiler and its version, or why there is none.
fn compiler() -> Result<String, String> {
    let mut command = Command::new("gcc");
    command.arg("--version");
    match run_within(command, DEADLINE, 1 << 16) {
        Ok(ended) if ended.status.success() => {
            Ok(String::from_utf8_lossy(&ended.stdout).lines().next().unwrap_or_default().to_owned())
        }
        Ok(ended) => Err(format!("gcc: {}", ended.status)),
        Err(error) => Err(format!("gcc: {error}")),
    }
}

struct Shop<'a> {
    files: &'a TestFiles,
    tree: &'a Path,
    compiler: String,
    root: &'a Path,
    work: &'a Path,
    /// The source's own headers for user space and their hash, once they are needed.
    headers: Option<(PathBuf, String)>,
}

impl Shop<'_> {
    fn build(&mut self, helper: &str, source: &str) -> anyhow::Result<Result<Vec<u8>, String>> {
        let (headers, hash) = self.headers()?;
        let libraries = libraries(self.files, helper);
        let key = self.key(source, &hash, &libraries);
        let cached = self.root.join(key);
        if let Ok(program) = fs::read(&cached) {
            return Ok(Ok(program));
        }
        let folder = self.work.join("tree");
        // A helper includes what lies beside it.
        for (path, content) in self.files.iter().filter(|(path, _)| is_source(path)) {
            let to = folder.join(path);
            if !to.is_file() {
                put(&to, content)?;
            }
        }
        let program = self.work.join("program");
        let mut command = Command::new("gcc");
        command.args(FLAGS).arg("-isystem").arg(&headers).arg("-I").arg(&folder);
        command.arg("-idirafter").arg(self.tree.join("tools/include"));
        command.arg("-o").arg(&program).arg(folder.join(source)).args(&libraries);
        let ended = match run_within(command, DEADLINE, 1 << 20) {
            Ok(ended) => ended,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                return Err(error.into());
            }
            Err(error) => return Ok(Err(error.to_string())),
        };
        if !ended.status.success() {
            return Ok(Err(complaint(&ended.stderr, &folder)));
        }
        let content = fs::read(&program)?;
        fs::rename(&program, &cached)?;
        Ok(Ok(content))
    }

    /// What a program is made of.
    fn key(&self, source: &str, headers: &str, libraries: &[String]) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &[u8]| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(VERSION.as_bytes());
        add(self.compiler.as_bytes());
        add(headers.as_bytes());
        libraries.iter().for_each(|library| add(library.as_bytes()));
        add(source.as_bytes());
        for (path, content) in self.files {
            if path == source || path.ends_with(".h") {
                add(path.as_bytes());
                add(content);
            }
        }
        hex::encode(hash.finalize())
    }

    /// Headers for user space of the tree's own version: those of the host may lack what tests ask for. They
    /// are made as the kernel's scripts/headers_install.sh makes them.
    fn headers(&mut self) -> anyhow::Result<(PathBuf, String)> {
        if let Some(made) = &self.headers {
            return Ok(made.clone());
        }
        let (from, to) = (self.tree.join("include/uapi"), self.work.join("include"));
        fs::create_dir_all(&to)?;
        let mut hash = Sha256::new();
        let clean = Cleaner::new();
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            let mut entries: Vec<_> =
                fs::read_dir(from.join(&folder)).into_iter().flatten().flatten().collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let path = folder.join(entry.file_name());
                match entry.file_type() {
                    // The host's own are those of its processor.
                    Ok(kind) if kind.is_dir() && !path.starts_with("asm-generic") => {
                        left.push(path)
                    }
                    Ok(kind) if kind.is_file() => {
                        let text = fs::read(entry.path())?;
                        let text = clean.header(&String::from_utf8_lossy(&text));
                        hash.update(text.as_bytes());
                        put(&to.join(&path), text.as_bytes())?;
                    }
                    _ => {}
                }
            }
        }
        Ok(self.headers.insert((to, hex::encode(hash.finalize()))).clone())
    }
}

fn is_source(path: &str) -> bool {
    path.ends_with(".c") || path.ends_with(".h")
}

fn put(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Libraries that the folder's Makefile has for a helper.
fn libraries(files: &TestFiles, helper: &str) -> Vec<String> {
    let (folder, name) = helper.rsplit_once('/').unwrap_or(("", helper));
    let makefile = files.get(&format!("{folder}/Makefile"));
    let text = String::from_utf8_lossy(makefile.map_or(&[][..], Vec::as_slice)).into_owned();
    let own = format!("/{name}:");
    let words = text.lines().filter(|line| line.contains(&own) && line.contains("LDLIBS"));
    let words: BTreeSet<String> = words
        .flat_map(str::split_whitespace)
        .filter(|word| is_library(word))
        .map(str::to_owned)
        .collect();
    words.into_iter().collect()
}

fn is_library(word: &str) -> bool {
    word.strip_prefix("-l").is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
    })
}

/// The first error of the compiler, in one line and without the folder it worked in.
fn complaint(stderr: &[u8], folder: &Path) -> String {
    let text = String::from_utf8_lossy(stderr).replace(&format!("{}/", folder.display()), "");
    let line = text.lines().find(|line| line.contains("error") || line.contains("cannot find"));
    output::clean(line.or(text.lines().next()).unwrap_or_default())
}

/// What makes a header of the kernel one for user space.
struct Cleaner {
    dropped: Regex,
    words: Regex,
    guards: Regex,
    packed: Regex,
    plain: Regex,
}

impl Cleaner {
    fn new() -> Self {
        let expression = |text| Regex::new(text).expect("the expression is constant");
        Self {
            dropped: expression(r"(?m)^\s*#\s*include\s*<linux/compiler(_types)?\.h>\s*$"),
            words: expression(r"\b(__user|__force|__iomem|__attribute_const__)\b\s?"),
            guards: expression(r"(?m)^(\s*#\s*(?:ifndef|define|endif).*?)\b_UAPI"),
            packed: expression(r"(^|[^A-Za-z0-9_])__packed([^A-Za-z0-9_]|$)"),
            plain: expression(r"\b(inline|asm|volatile)\b(\s)"),
        }
    }

    fn header(&self, text: &str) -> String {
        let text = self.dropped.replace_all(text, "");
        let text = self.words.replace_all(&text, "");
        let text = self.guards.replace_all(&text, "${1}");
        let text = self.packed.replace_all(&text, "${1}__attribute__((packed))${2}");
        self.plain.replace_all(&text, "__${1}__${2}").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(source: &str) -> TestFiles {
        let makefile = "TEST_GEN_FILES := a b\n$(OUTPUT)/a: LDLIBS += -lpthread -l$(x) -lm\n";
        [("net/Makefile", makefile), ("net/a.c", source), ("net/beside.h", "#define STATUS 0\n")]
            .map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec()))
            .into()
    }

    fn test() -> SelfTest {
        SelfTest {
            path: "net/t.sh".to_owned(),
            files: BTreeSet::new(),
            helpers: BTreeMap::from([("net/a".to_owned(), "net/a.c".to_owned())]),
            objects: BTreeSet::new(),
            packages: BTreeSet::new(),
            lacks: BTreeSet::new(),
        }
    }

    #[test]
    fn a_helper_is_built_once_and_an_error_is_told() {
        let cache = tempfile::tempdir().unwrap();
        let tree = cache.path().join("tree");
        put(
            &tree.join("include/uapi/linux/made_up.h"),
            b"#ifndef _UAPI_MADE_UP_H\n#define _UAPI_MADE_UP_H\n#include <linux/compiler.h>\n\
              struct made_up { void __user *at; } __packed;\n#endif\n",
        )
        .unwrap();
        let source = "#include <linux/made_up.h>\n#include \"beside.h\"\n\
                      int main(void) { struct made_up a = { 0 }; return a.at ? 1 : STATUS; }\n";
        let build = |source: &str| {
            build(&[test()], &files(source), &tree, cache.path(), &mut |_| ()).unwrap()
        };
        let built = build(source);
        assert_eq!(built.failed, BTreeMap::new());
        assert!(built.programs["net/a"].starts_with(b"\x7fELF"));
        assert_eq!(build(source).programs, built.programs);
        let broken = build("int main(void) { return nothing; }\n");
        assert!(broken.failed["net/a"].contains("nothing"), "{broken:?}");
        assert!(!broken.failed["net/a"].contains(&cache.path().display().to_string()));
    }

    #[test]
    fn only_libraries_are_taken_from_a_makefile() {
        assert_eq!(libraries(&files(""), "net/a"), ["-lm", "-lpthread"]);
        assert!(libraries(&files(""), "net/b").is_empty() && libraries(&files(""), "x").is_empty());
    }
}
