//! The text files of a module tree (modules.dep(5), depmod.d(5)), read into memory.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::scenario::nearest;

use super::Provided;
use super::alias::{matches, name_of_file, normal, normal_pattern};

/// Names of the files that a [`Lookup`] is read from.
pub const FILES: [&str; 5] = [
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.builtin",
    "modules.builtin.modinfo",
];

/// Longest chain of modules that need each other: real ones have a dozen, and each takes room on the
/// stack.
const DEEPEST: usize = 200;

/// What a kernel has, by name.
#[derive(Debug, Default)]
pub struct Lookup {
    modules: HashMap<String, Module>,
    soft: HashMap<String, Soft>,
    /// Aliases that hold no wildcard, which are those that people ask for.
    plain_aliases: HashMap<String, Vec<String>>,
    patterns: Vec<(String, String)>,
    builtin: HashSet<String>,
}

#[derive(Debug)]
struct Module {
    path: PathBuf,
    needs: Vec<String>,
}

#[derive(Debug, Default)]
struct Soft {
    pre: Vec<String>,
    post: Vec<String>,
}

impl Lookup {
    /// Reads the files of a directory. One that is not there says nothing.
    pub fn read(dir: &Path) -> Self {
        let text = |name: &str| {
            let bytes = fs::read(dir.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let texts = FILES.map(text);
        Self::of(texts.each_ref().map(String::as_str))
    }

    /// Reads the texts of the files, in the order of [`FILES`].
    pub fn of([dep, alias, soft, builtin, modinfo]: [&str; 5]) -> Self {
        let mut lookup = Self::default();
        dep.lines().for_each(|line| lookup.take_dependency(line));
        alias.lines().for_each(|line| lookup.take_alias(line));
        soft.lines().for_each(|line| lookup.take_soft(line));
        lookup.builtin.extend(builtin.lines().map(name_of_file));
        // `name.alias=text`, each ended by a zero byte.
        for (name, alias) in modinfo.split('\0').filter_map(|entry| {
            let (key, value) = entry.split_once('=')?;
            Some((key.strip_suffix(".alias")?, value))
        }) {
            lookup.put_alias(alias, name);
        }
        lookup
    }

    /// Says where the kernel has a module, by name or alias.
    pub fn provides(&self, name: &str) -> Provided {
        let targets = self.targets(name);
        if targets.iter().any(|target| self.builtin.contains(target)) {
            Provided::Builtin
        } else if targets.is_empty() {
            Provided::Missing
        } else {
            Provided::Module
        }
    }

    /// The file of a module.
    pub fn file(&self, name: &str) -> Option<&Path> {
        self.modules.get(&normal(name)).map(|module| module.path.as_path())
    }

    /// The module whose name is nearly this; built-in ones count.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let mut names: Vec<&str> =
            self.modules.keys().chain(&self.builtin).map(String::as_str).collect();
        // A map has no order: of two that are as near the answer is to be the same each time.
        names.sort_unstable();
        nearest(&normal(name), &names).map(str::to_owned)
    }

    /// Lists the files to insert, in order; an error is the name that is missing.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<PathBuf>, String> {
        let mut order = Order { lookup: self, seen: HashSet::new(), files: Vec::new(), depth: 0 };
        for name in names {
            match self.provides(name) {
                Provided::Missing => return Err((*name).to_owned()),
                Provided::Builtin => {}
                Provided::Module => {
                    for target in self.wanted(name) {
                        order.visit(&target)?;
                    }
                }
            }
        }
        Ok(order.files)
    }

    /// The modules, built in or not, that a name stands for: itself, or those with the alias.
    fn targets(&self, name: &str) -> Vec<String> {
        let name = normal(name);
        if self.builtin.contains(&name) || self.modules.contains_key(&name) {
            return vec![name];
        }
        let mut targets = self.plain_aliases.get(&name).cloned().unwrap_or_default();
        let fits = |entry: &&(String, String)| matches(entry.0.as_bytes(), name.as_bytes());
        targets.extend(self.patterns.iter().filter(fits).map(|(_, target)| target.clone()));
        targets.retain(|t| self.builtin.contains(t) || self.modules.contains_key(t));
        targets
    }

    /// The modules to insert for a name. Where an alias stands for several (one for each kind of
    /// processor), the portable one is enough, and it is the one that loads anywhere.
    fn wanted(&self, name: &str) -> Vec<String> {
        let targets = self.targets(name);
        match targets.iter().find(|target| target.ends_with("_generic")) {
            Some(generic) if targets.len() > 1 => vec![generic.clone()],
            _ => targets,
        }
    }

    fn take_dependency(&mut self, line: &str) {
        let Some((path, needs)) = line.split_once(':') else { return };
        let needs = needs.split_whitespace().map(name_of_file).collect();
        self.modules.insert(name_of_file(path), Module { path: PathBuf::from(path), needs });
    }

    fn take_alias(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if let (Some("alias"), Some(alias), Some(name)) = (words.next(), words.next(), words.next())
        {
            self.put_alias(alias, name);
        }
    }

    fn put_alias(&mut self, alias: &str, name: &str) {
        let (alias, name) = (normal_pattern(alias), normal(name));
        if alias.contains(['*', '?', '[']) {
            self.patterns.push((alias, name));
        } else {
            self.plain_aliases.entry(alias).or_default().push(name);
        }
    }

    fn take_soft(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { return };
        let soft = self.soft.entry(normal(name)).or_default();
        let mut after = false;
        for word in words {
            match word {
                "pre:" => after = false,
                "post:" => after = true,
                module if after => soft.post.push(module.to_owned()),
                module => soft.pre.push(module.to_owned()),
            }
        }
    }
}

struct Order<'a> {
    lookup: &'a Lookup,
    seen: HashSet<String>,
    files: Vec<PathBuf>,
    /// Modules that wait for what they need.
    depth: usize,
}

impl Order<'_> {
    fn visit(&mut self, name: &str) -> Result<(), String> {
        if self.lookup.builtin.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        if self.depth == DEEPEST {
            return Err(name.to_owned());
        }
        self.depth += 1;
        let done = self.visit_new(name);
        self.depth -= 1;
        done
    }

    fn visit_new(&mut self, name: &str) -> Result<(), String> {
        let module = self.lookup.modules.get(name).ok_or_else(|| name.to_owned())?;
        let soft = self.lookup.soft.get(name);
        for before in soft.iter().flat_map(|soft| &soft.pre) {
            self.visit_soft(before);
        }
        for needed in &module.needs {
            self.visit(needed)?;
        }
        self.files.push(module.path.clone());
        for after in soft.iter().flat_map(|soft| &soft.post) {
            self.visit_soft(after);
        }
        Ok(())
    }

    /// A soft dependency that is not there, or lacks something itself, is none.
    fn visit_soft(&mut self, name: &str) {
        for target in self.lookup.wanted(name) {
            let (seen, files) = (self.seen.clone(), self.files.len());
            if self.visit(&target).is_err() {
                self.seen = seen;
                self.files.truncate(files);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup() -> Lookup {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(
            "modules.dep",
            "kernel/drivers/virtio/virtio.ko:\n\
             kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko\n\
             kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko\n\
             kernel/fs/squashfs/squashfs.ko:\n\
             kernel/lib/libcrc32c.ko:\n\
             kernel/crypto/crc32c-generic.ko:\n\
             kernel/arch/crc32c-intel.ko:\n\
             kernel/net/nf.ko: kernel/lib/libcrc32c.ko\n\
             kernel/net/broken.ko: kernel/net/gone.ko\n\
             kernel/net/post.ko:\n",
        );
        write(
            "modules.alias",
            "# Aliases\nalias fs-squashfs squashfs\nalias crc32c crc32c_intel\nalias crc32c crc32c_generic\n\
             alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\nalias stray nowhere\n",
        );
        write(
            "modules.softdep",
            "# Soft\nsoftdep libcrc32c pre: crc32c\nsoftdep nf pre: absent broken post: post\n",
        );
        write("modules.builtin", "kernel/drivers/char/virtio-console.ko\nkernel/fs/ext4/ext4.ko\n");
        write("modules.builtin.modinfo", "ext4.license=GPL\0ext4.alias=fs-ext4\0");
        Lookup::read(dir.path())
    }

    fn closure(names: &[&str]) -> Vec<String> {
        let files = lookup().closure(names).unwrap();
        files.iter().map(|file| name_of_file(file.to_str().unwrap())).collect()
    }

    #[test]
    fn names_and_aliases_are_told_apart_from_what_is_missing() {
        let lookup = lookup();
        for (name, expected) in [
            ("virtio_pci", Provided::Module),
            ("virtio-pci", Provided::Module),
            ("virtio_console", Provided::Builtin),
            ("fs-squashfs", Provided::Module),
            ("fs-ext4", Provided::Builtin),
            ("pci:v00001AF4d00001000sv0sd0bc0sc0i0", Provided::Module),
            ("stray", Provided::Missing),
            ("9p", Provided::Missing),
        ] {
            assert_eq!(lookup.provides(name), expected, "{name}");
        }
    }

    #[test]
    fn dependencies_come_first_and_once() {
        assert_eq!(
            closure(&["virtio_pci", "squashfs", "virtio_console", "virtio_ring"]),
            ["virtio", "virtio_ring", "virtio_pci", "squashfs"]
        );
    }

    #[test]
    fn soft_dependencies_count_when_they_can() {
        assert_eq!(closure(&["nf"]), ["crc32c_generic", "libcrc32c", "nf", "post"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(lookup().closure(&["squashfs", "9p"]), Err("9p".to_owned()));
        assert_eq!(lookup().closure(&["broken"]), Err("gone".to_owned()));
        assert_eq!(Lookup::read(Path::new("/nowhere")).closure(&["x"]), Err("x".to_owned()));
    }

    /// Each module that waits takes room on the stack.
    #[test]
    fn a_chain_that_no_kernel_has_is_refused() {
        let chain = |length: usize| -> String {
            (0..length).map(|at| format!("m{at}.ko: m{}.ko\n", at + 1)).collect()
        };
        let long = Lookup::of([&chain(100_000), "", "", "", ""]);
        assert!(long.closure(&["m0"]).is_err());
        let short = Lookup::of([&(chain(100) + "m100.ko:\n"), "", "", "", ""]);
        assert_eq!(short.closure(&["m0"]).unwrap().len(), 101);
    }
}
