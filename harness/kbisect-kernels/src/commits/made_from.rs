//! Which files of a tree a kernel was made from, by the lists that the build keeps of each object.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::sandbox::SRC;

/// Most bytes of a list that are read: a build is not trusted.
const MOST: u64 = 4 << 20;
/// Most files.
const MOST_FILES: usize = 100_000;

/// Files of a tree that a build folder's objects were made from, as paths below the tree.
pub(super) fn made_from(build: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    collect(build, &mut files);
    files
}

fn collect(folder: &Path, files: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() {
            collect(&entry.path(), files);
        } else if kind.is_file() && is_list(&name) {
            let small = entry.metadata().is_ok_and(|meta| meta.len() <= MOST);
            let Some(text) = small.then(|| fs::read(entry.path()).ok()).flatten() else { continue };
            let text = String::from_utf8_lossy(&text);
            let named = text
                .split_ascii_whitespace()
                .filter_map(|word| word.strip_prefix(SRC)?.strip_prefix('/'));
            let room = MOST_FILES.saturating_sub(files.len());
            files.extend(named.take(room).filter_map(plain));
        }
    }
}

/// Whether a file of this name is the list of an object.
pub(super) fn is_list(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".cmd")
}

/// A path without its detours; nothing for what is no file's.
fn plain(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.trim_end_matches(['\\', ')', ';']).split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_objects_name_is_what_a_kernel_was_made_from() {
        let build = tempfile::tempdir().unwrap();
        fs::create_dir(build.path().join("net")).unwrap();
        let list = "cmd_net/x.o := gcc -I/src/include -o x.o /src/net/x.c\n\ndeps_net/x.o := \\\n  \
                    /src/include/linux/a.h \\\n  /src/net/../lib/b.h \\\n  include/generated/c.h \\\n";
        fs::write(build.path().join("net/.x.o.cmd"), list).unwrap();
        fs::write(build.path().join("net/x.cmd"), "/src/net/other.c").unwrap();
        std::os::unix::fs::symlink("/proc/self/mem", build.path().join("net/.y.o.cmd")).unwrap();
        let files: Vec<String> = made_from(build.path()).into_iter().collect();
        assert_eq!(files, ["include/linux/a.h", "lib/b.h", "net/x.c"]);
        assert!(made_from(&build.path().join("none")).is_empty());
    }
}
