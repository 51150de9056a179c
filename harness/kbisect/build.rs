//! Embeds the scenarios and templates that kbisect is shipped with, so that the installed binary works
//! from anywhere.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let scenarios = manifest_dir.join("../../scenarios");
    println!("cargo::rerun-if-changed={}", scenarios.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KBISECT_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let version = match env::var("KBISECT_COMMIT") {
        Ok(commit) => format!("{version} ({commit})"),
        Err(_) => version,
    };
    println!("cargo::rustc-env=KBISECT_VERSION={version}");
    embed(&scenarios, "scenarios.rs");
    embed(&scenarios.join("templates"), "templates.rs");
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
