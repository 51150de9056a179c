//! Modules of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::mounts::MODULES;

/// Modules that were asked for by name.
#[derive(Default)]
pub struct Modules {
    names: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
}

impl Modules {
    /// Loads modules with their dependencies, from the module image. What does not exist or does not
    /// load shows where it is needed. Without `modprobe`, whose start alone costs as much as all this
    /// under emulation. Each module once: the kernel would check its signature before it says that it
    /// has it.
    pub fn load(&mut self, names: &[String]) {
        let names = names.iter().map(|name| name.replace('-', "_"));
        let new: Vec<String> = names.filter(|name| self.names.insert(name.clone())).collect();
        if new.is_empty() {
            return;
        }
        let tree = Path::new(MODULES);
        let text = fs::read_to_string(tree.join("modules.dep")).unwrap_or_default();
        let mut found: BTreeMap<String, (&str, &str)> = BTreeMap::new();
        // modules.dep(5): `path: dependency dependency ...`, each to be loaded before those left of it.
        for line in text.lines() {
            let Some((path, dependencies)) = line.split_once(':') else { continue };
            let base = path.rsplit('/').next().unwrap_or(path);
            let stem = base.split('.').next().unwrap_or(base);
            // Most are not it, and this is all done by an emulator.
            let wanted = new.iter().find(|name| is_module(name, stem));
            if let Some(name) = wanted {
                found.entry(name.clone()).or_insert((path, dependencies));
            }
        }
        for (path, dependencies) in new.iter().filter_map(|name| found.get(name)) {
            for path in dependencies.split_whitespace().rev().chain([*path]) {
                let path = tree.join(path);
                if !self.files.contains(&path) && insert(&path).is_ok() {
                    self.files.insert(path);
                }
            }
        }
    }
}

/// Inserts one module; one that is there already is fine.
pub fn insert(path: &Path) -> Result<(), String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    match nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a file's stem is that of a module, whose name has underscores where the stem may have dashes.
fn is_module(name: &str, stem: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    name.len() == stem.len() && name.bytes().zip(stem.bytes()).all(same)
}
