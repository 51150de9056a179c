//! What a kernel's source tree says of its options: Kconfig files and Makefiles, read within bounds. A tree
//! is hostile input: nothing outside of it is read, and no more than a kernel can have.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::kconfig::{self, Options};

/// Largest file that is read, in bytes; the largest Makefile has 100 kB.
const LARGEST: u64 = 1 << 20;
/// Most bytes of all files; the Kconfig files of a kernel have 6 MB.
const MOST_BYTES: u64 = 64 << 20;
/// Most files of either kind; a kernel has 1,700 Kconfig files.
const MOST_FILES: usize = 20_000;
/// Most entries of all folders that are looked into.
const MOST_ENTRIES: usize = 200_000;
/// Deepest folder.
const DEEPEST: usize = 12;

/// Folders below which modules are looked for.
const MODULE_DIRS: [&str; 10] = [
    "net",
    "drivers/net",
    "drivers/virtio",
    "drivers/block",
    "drivers/char",
    "drivers/watchdog",
    "lib",
    "crypto",
    "arch/x86/crypto",
    "fs",
];

/// Options and modules of a source tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// Options by name.
    pub options: Options,
    /// Module -> options that build it; module names with `_` for `-`.
    modules: BTreeMap<String, Vec<String>>,
}

impl Tree {
    /// Reads a source tree, for x86.
    ///
    /// # Errors
    /// The folder cannot be used, or has no Kconfig file. What cannot be read in it is left out.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = Files { root: root.canonicalize()?, bytes: 0, files: 0 };
        fs::metadata(root.join("Kconfig"))?;
        let options = kconfig::read("Kconfig", |path| files.text(path));
        let mut tree = Self { options, modules: BTreeMap::new() };
        let mut files = Files { bytes: 0, files: 0, ..files };
        let mut left = MOST_ENTRIES;
        for dir in MODULE_DIRS {
            tree.makefiles(Path::new(dir), 0, &mut files, &mut left);
        }
        Ok(tree)
    }

    /// Whether there is an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// The options that build a module, by its name.
    pub fn options_of(&self, module: &str) -> &[String] {
        self.modules.get(&module.replace('-', "_")).map_or(&[], Vec::as_slice)
    }

    fn makefiles(&mut self, dir: &Path, depth: usize, files: &mut Files, left: &mut usize) {
        let Some(path) = files.place(dir) else { return };
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let below = dir.join(entry.file_name());
            // Of the entry itself: a link is neither.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEEPEST {
                self.makefiles(&below, depth + 1, files, left);
            } else if kind.is_file() && (below.ends_with("Makefile") || below.ends_with("Kbuild")) {
                let text = below.to_str().and_then(|path| files.text(path)).unwrap_or_default();
                self.add_makefile(&text);
            }
        }
    }

    /// Takes `obj-$(CONFIG_X) += name.o ...` lines.
    fn add_makefile(&mut self, text: &str) {
        let text = text.replace("\\\n", " ");
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some(rest) = line.strip_prefix("obj-$(CONFIG_") else { continue };
            let Some((option, rest)) = rest.split_once(')') else { continue };
            let Some((_, objects)) = rest.split_once('=') else { continue };
            for object in objects.split_whitespace() {
                let Some(module) = object.strip_suffix(".o") else { continue };
                let options = self.modules.entry(module.replace('-', "_")).or_default();
                if !options.iter().any(|known| known == option) {
                    options.push(option.to_owned());
                }
            }
        }
    }
}

/// Reads files of a tree, and of nothing else.
struct Files {
    root: PathBuf,
    bytes: u64,
    files: usize,
}

impl Files {
    /// Where a path of the tree is; nothing for one that leads out of it.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let place = plain.then(|| self.root.join(path).canonicalize().ok()).flatten()?;
        place.starts_with(&self.root).then_some(place)
    }

    fn text(&mut self, path: &str) -> Option<String> {
        let place = self.place(Path::new(path))?;
        let is_file = fs::metadata(&place).ok()?.is_file();
        if !is_file || self.files >= MOST_FILES || self.bytes >= MOST_BYTES {
            return None;
        }
        self.files += 1;
        let mut content = Vec::new();
        File::open(place).ok()?.take(LARGEST).read_to_end(&mut content).ok()?;
        self.bytes += content.len() as u64;
        Some(String::from_utf8_lossy(&content).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn modules_are_found_by_their_objects() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "Kconfig", "config A\n\tbool \"a\"\n");
        write(
            dir.path(),
            "net/netfilter/Makefile",
            "obj-$(CONFIG_A) += a.o \\\n\tb-c.o sub/ # no.o\nobj-$(CONFIG_B) := a.o\nobj-y += always.o\n",
        );
        write(dir.path(), "sound/Makefile", "obj-$(CONFIG_S) += far.o\n");
        let tree = Tree::read(dir.path()).unwrap();
        assert_eq!(tree.options_of("a"), ["A", "B"]);
        assert_eq!(tree.options_of("b_c"), ["A"]);
        assert_eq!(tree.options_of("b-c"), ["A"]);
        for none in ["no", "always", "far", "sub/"] {
            assert!(tree.options_of(none).is_empty(), "{none}");
        }
        assert!(tree.has("A") && !tree.has("B"), "options are those of Kconfig files");
    }

    #[test]
    fn nothing_outside_of_the_tree_is_read() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "Kconfig", "config SECRET\n\tbool \"s\"\n");
        write(outside.path(), "deep/Makefile", "obj-$(CONFIG_SECRET) += secret.o\n");
        let dir = tempfile::tempdir().unwrap();
        let name = outside.path().file_name().unwrap().to_str().unwrap();
        let absolute = outside.path().join("Kconfig");
        let text = format!(
            "source \"../{name}/Kconfig\"\nsource \"{}\"\nsource \"link\"\nsource \"fs\"\n\
             config LAST\n\tbool \"l\"\n",
            absolute.display()
        );
        write(dir.path(), "Kconfig", &text);
        symlink(&absolute, dir.path().join("link")).unwrap();
        symlink(outside.path(), dir.path().join("net")).unwrap();
        fs::create_dir(dir.path().join("fs")).unwrap();
        symlink(outside.path().join("deep"), dir.path().join("fs/deep")).unwrap();
        let tree = Tree::read(dir.path()).unwrap();
        assert!(tree.has("LAST"));
        assert!(!tree.has("SECRET"));
        assert!(tree.options_of("secret").is_empty());
    }

    #[test]
    fn a_folder_without_kconfig_is_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Tree::read(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
