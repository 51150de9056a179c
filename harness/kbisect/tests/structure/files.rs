//! The files of a crate, and which of them name each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// A file of source.
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its module; empty for the root.
    pub module: Vec<String>,
    /// Its text.
    pub text: String,
}

/// The files of a crate that are no tests.
pub fn sources(folder: &Path) -> Vec<Source> {
    let (mut found, root) = (Vec::new(), folder.join("src"));
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module(path.strip_prefix(&root).unwrap());
                let is_test =
                    module.last().is_some_and(|name| name == "tests" || name.ends_with("_tests"));
                if !is_test {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push(Source { path, module, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// Circles of files that name each other, each as a list of its modules.
pub fn circles(files: &[Source]) -> Vec<String> {
    let modules: BTreeMap<&[String], usize> =
        files.iter().enumerate().map(|(at, file)| (&file.module[..], at)).collect();
    let arrows: Vec<BTreeSet<usize>> = files.iter().map(|file| arrows(file, &modules)).collect();
    let reach: Vec<BTreeSet<usize>> = (0..files.len()).map(|from| reached(from, &arrows)).collect();
    let mut circles: BTreeSet<Vec<usize>> = BTreeSet::new();
    for at in 0..files.len() {
        if reach[at].contains(&at) {
            let both =
                (0..files.len()).filter(|to| reach[at].contains(to) && reach[*to].contains(&at));
            circles.insert(both.collect());
        }
    }
    let name = |at: &usize| files[*at].module.join("::");
    circles.iter().map(|all| all.iter().map(name).collect::<Vec<_>>().join(", ")).collect()
}

fn reached(from: usize, arrows: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(arrows[at].iter().filter(|to| found.insert(**to)));
    }
    found
}

/// The files that a file names. That a module hands on what its files hold is no arrow.
fn arrows(file: &Source, modules: &BTreeMap<&[String], usize>) -> BTreeSet<usize> {
    let tests = file.text.find("#[cfg(test)]\nmod tests {").unwrap_or(file.text.len());
    let comments = Regex::new(r"//.*").unwrap();
    let text = comments.replace_all(&file.text[..tests], "");
    let uses = Regex::new(r"(?m)^\s*(pub(?:\([^)]*\))? )?use ([^;]+);").unwrap();
    let inline = Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap();
    let mut paths = Vec::new();
    for found in uses.captures_iter(&text) {
        if found.get(1).is_none() {
            expand("", &found[2], &mut paths);
        }
    }
    let rest = uses.replace_all(&text, "");
    paths.extend(inline.find_iter(&rest).map(|found| found.as_str().to_owned()));
    let own = modules[&file.module[..]];
    let named = paths.iter().filter_map(|path| resolve(path, &file.module, modules));
    named.filter(|to| *to != own).collect()
}

/// Writes the paths of a tree of `use` one by one.
fn expand(prefix: &str, tree: &str, to: &mut Vec<String>) {
    let tree = tree.trim();
    let (Some(open), Some(close)) = (tree.find('{'), tree.rfind('}')) else {
        if !tree.is_empty() {
            to.push(format!("{prefix}{}", tree.split(" as ").next().unwrap_or(tree)));
        }
        return;
    };
    let (prefix, body) = (format!("{prefix}{}", &tree[..open]), &tree[open + 1..close]);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &body[begin..at], to);
                begin = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &body[begin..], to);
}

/// The file that a path leads to.
fn resolve(path: &str, module: &[String], modules: &BTreeMap<&[String], usize>) -> Option<usize> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut full: Vec<String> = match parts[0] {
        "crate" => Vec::new(),
        "super" => module[..module.len().saturating_sub(1)].to_vec(),
        "self" => module.to_vec(),
        first => {
            let child: Vec<String> = module.iter().cloned().chain([first.to_owned()]).collect();
            modules.get(&child[..])?;
            parts.insert(0, "self");
            module.to_vec()
        }
    };
    for part in &parts[1..] {
        if *part == "super" {
            full.pop();
        } else {
            full.push((*part).to_owned());
        }
    }
    loop {
        if let Some(at) = modules.get(&full[..]) {
            return Some(*at);
        }
        full.pop()?;
    }
}
