//! Traces of objects that a compiler made: one that is linked, as a vmlinux is, and one that is
//! not, as modules are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbisect_symbols::{Files, decode};
use object::{Object, ObjectSymbol};

const SOURCE: &str = "\
int sink;
static inline __attribute__((always_inline)) void inner(int *place)
{
    *place = sink;
}
__attribute__((noinline)) void outer(int *place)
{
    inner(place);
    sink = 7;
}
int main(void)
{
    int place;
    outer(&place);
    return place;
}
";

/// Compiles the source; `cc` comes with what is needed to build kbisect (scripts/deps).
fn compile(folder: &Path, output: &str, options: &[&str]) -> PathBuf {
    let (source, target) = (folder.join("fake.c"), folder.join(output));
    std::fs::write(&source, SOURCE).unwrap();
    let status = Command::new("cc")
        .args(["-g", "-O1", "-ffunction-sections"])
        .args(options)
        .arg(&source)
        .arg("-o")
        .arg(&target)
        .status()
        .expect("cc is there: scripts/deps installs it");
    assert!(status.success());
    target
}

fn size_of(path: &Path, function: &str) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    file.symbols().find(|symbol| symbol.name() == Ok(function)).unwrap().size()
}

/// All that is decoded for the instructions of a function.
fn lines(files: &Files, function: &str, size: u64, module: &str) -> Vec<String> {
    let module = if module.is_empty() { String::new() } else { format!(" [{module}]") };
    // A few bytes of padding, as the kernel counts them.
    let trace = (1..size).map(|at| format!(" {function}+{at:#x}/{:#x}{module}\n", size + 5));
    let decoded = decode(&trace.collect::<String>(), files).unwrap();
    assert!(decoded.unknown.is_empty(), "{:?}", decoded.unknown);
    decoded.text.lines().map(str::to_owned).collect()
}

#[test]
fn a_linked_file_is_decoded_with_what_was_inlined() {
    let folder = tempfile::tempdir().unwrap();
    let vmlinux = compile(folder.path(), "vmlinux", &["-no-pie"]);
    let size = size_of(&vmlinux, "outer");
    let lines = lines(&Files { vmlinux, modules: BTreeMap::new() }, "outer", size, "");
    let inlined = lines.iter().position(|line| line.contains(" inner ")).unwrap();
    assert!(lines[inlined].ends_with("fake.c:4 [inline]"), "{}", lines[inlined]);
    assert!(lines[inlined + 1].contains(" outer+0x"), "{}", lines[inlined + 1]);
    assert!(lines[inlined + 1].ends_with("fake.c:8"), "{}", lines[inlined + 1]);
    assert!(lines.iter().any(|line| line.ends_with("fake.c:9")), "{lines:?}");
}

#[test]
fn a_module_is_decoded_though_it_is_not_linked() {
    let folder = tempfile::tempdir().unwrap();
    let vmlinux = compile(folder.path(), "vmlinux", &["-no-pie"]);
    let module = compile(folder.path(), "nft_fake.ko", &["-c"]);
    let size = size_of(&module, "outer");
    let modules = BTreeMap::from([("nft_fake".to_owned(), module)]);
    let files = Files { vmlinux, modules };
    let found = lines(&files, "outer", size, "nft_fake");
    let inlined = found.iter().position(|line| line.contains(" inner ")).unwrap();
    assert!(found[inlined].ends_with("fake.c:4 [inline]"), "{}", found[inlined]);
    assert!(found[inlined + 1].ends_with("fake.c:8 [nft_fake]"), "{}", found[inlined + 1]);
    // `main` is in another section, which starts at the same address.
    let size = size_of(&files.modules["nft_fake"], "main");
    let main = lines(&files, "main", size, "nft_fake");
    assert!(main.iter().any(|line| line.ends_with("fake.c:14 [nft_fake]")), "{main:?}");
    assert!(!main.iter().any(|line| line.contains(" inner ")), "{main:?}");
}

#[test]
fn what_does_not_fit_stays_as_printed_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let vmlinux = compile(folder.path(), "vmlinux", &["-no-pie"]);
    let files = Files { vmlinux, modules: BTreeMap::new() };
    let trace = " outer+0x4/0x4000\n ghost+0x1/0x20\n f+0x1/0x20 [nft_fake]\n";
    let decoded = decode(trace, &files).unwrap();
    assert_eq!((decoded.text.as_str(), decoded.found), (trace, 0));
    let said = decoded.unknown.join("\n");
    for words in ["another build", "ghost is not in the symbol table", "module nft_fake"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(compile(folder.path(), "vmlinux", &["-no-pie"])).unwrap();
    for (name, bytes) in [
        ("empty", &[][..]),
        ("no ELF", b"something else"),
        ("cut short", &whole[..whole.len() / 2]),
    ] {
        let vmlinux = folder.path().join("damaged");
        std::fs::write(&vmlinux, bytes).unwrap();
        let files = Files { vmlinux, modules: BTreeMap::new() };
        assert!(decode(" outer+0x4/0x20\n", &files).is_err(), "{name}");
    }
    // A pipe would be waited for without end.
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let files = Files { vmlinux: pipe, modules: BTreeMap::new() };
    assert!(decode(" outer+0x4/0x20\n", &files).unwrap_err().to_string().contains("no regular"));
    let stripped = compile(folder.path(), "stripped", &["-no-pie", "-g0"]);
    let files = Files { vmlinux: stripped, modules: BTreeMap::new() };
    let error = decode(" outer+0x4/0x20\n", &files).unwrap_err();
    assert!(error.to_string().contains("no debug information"), "{error}");
}
