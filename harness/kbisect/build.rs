//! Embeds the scenarios and templates that kbisect is shipped with, so that the installed binary works
//! from anywhere.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let scenarios = manifest_dir.join("../../scenarios");
    println!("cargo::rerun-if-changed={}", scenarios.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KBISECT_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let version =
        match env::var("KBISECT_COMMIT").ok().or_else(|| commit(&manifest_dir.join("../.."))) {
            Some(commit) => format!("{version} ({commit})"),
            None => version,
        };
    println!("cargo::rustc-env=KBISECT_VERSION={version}");
    embed(&scenarios, "scenarios.rs");
    embed(&scenarios.join("templates"), "templates.rs");
}

/// The commit and its day, where the sources are those of a checkout: `0123456789ab 2026-11-29, changed`.
fn commit(checkout: &Path) -> Option<String> {
    let git = checkout.join(".git");
    if !git.is_dir() {
        return None;
    }
    // The log grows with each commit and each checkout.
    for file in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git.join(file).display());
    }
    println!("cargo::rerun-if-changed={}", checkout.join("harness").display());
    let said = |words: &[&str]| {
        let output = Command::new("git").arg("-C").arg(checkout).args(words).output().ok()?;
        let text = output.status.success().then(|| String::from_utf8(output.stdout).ok());
        text.flatten().map(|text| text.trim().to_owned())
    };
    let commit =
        said(&["log", "-1", "--abbrev=12", "--format=%h %cs"]).filter(|it| !it.is_empty())?;
    let is_same = said(&["status", "--porcelain", "--", "harness"]).is_some_and(|it| it.is_empty());
    Some(if is_same { commit } else { format!("{commit}, changed") })
}

/// Writes code for all scenarios of a folder: name, and files with their content.
fn embed(scenarios: &Path, to: &str) {
    let mut code = String::from("&[\n");
    for folder in entries(scenarios) {
        if !folder.join("scenario.toml").is_file() {
            continue;
        }
        let _ = writeln!(code, "    ({:?}, &[", name_of(&folder));
        let mut files = Vec::new();
        collect(&folder, &folder, &mut files);
        for (relative, path) in files {
            // The file itself, so that cargo notices a change of its content.
            println!("cargo::rerun-if-changed={}", path.display());
            let path = path.canonicalize().expect("the file was just listed");
            let _ = writeln!(code, "        ({relative:?}, include_bytes!({path:?})),");
        }
        code.push_str("    ]),\n");
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join(to), code).expect("cargo made the output directory");
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let relative = path.strip_prefix(root).expect("it was listed below the root");
            let relative = relative.to_str().expect("names of shipped files are ASCII");
            files.push((relative.to_owned(), path));
        }
    }
}

/// What is in a folder, in a fixed order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listing
        .map(|entry| entry.expect("the folder can be read to its end").path())
        .filter(|path| !name_of(path).starts_with('.'))
        .collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("names of shipped files are ASCII")
}
