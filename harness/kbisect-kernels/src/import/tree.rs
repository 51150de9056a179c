//! Kernels in directories: what `make` leaves, an unpacked package, an image with a module tree.

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::kernel::KernelId;

use super::bzimage;
use super::error::ImportError;
use super::sink::{Role, Sink, is_depmod_output, is_image};
use crate::files::at;
use crate::hash;

const BZIMAGE_IN_BUILD: &str = "arch/x86/boot/bzImage";
const MODULE_DIRS: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// The files of one kernel.
#[derive(Debug)]
pub struct Tree {
    files: Vec<(Role, PathBuf)>,
    place: String,
}

impl Tree {
    /// Takes a bare image, and its module tree when one is given.
    pub fn of_image(image: &Path, modules: Option<&Path>) -> Result<Self, ImportError> {
        let release = bzimage::read(image)?.release;
        let mut files = vec![(Role::Image, image.to_owned())];
        let dir = image.parent().unwrap_or(Path::new("."));
        let configs = [dir.join(format!("config-{release}")), dir.join("../../../.config")];
        let in_build = image.ends_with(BZIMAGE_IN_BUILD);
        let config = configs.into_iter().take(if in_build { 2 } else { 1 }).find(|c| c.is_file());
        files.extend(config.map(|path| (Role::Config, path)));
        let place = image.display().to_string();
        if let Some(modules) = modules {
            let tree = find_tree(modules, &release).ok_or_else(|| ImportError::NoModules {
                release: release.clone(),
                place: modules.display().to_string(),
            })?;
            add_modules(&tree, &release, &mut files)?;
        }
        Ok(Self { files, place })
    }

    /// Takes a directory that holds one image, and its modules when it has any.
    pub fn of_dir(dir: &Path, modules: Option<&Path>) -> Result<Self, ImportError> {
        let place = dir.display().to_string();
        let image = the_image(dir, &place)?;
        let release = bzimage::read(&image)?.release;
        let mut files = vec![(Role::Image, image)];
        let trees: Vec<PathBuf> =
            MODULE_DIRS.iter().map(|sub| dir.join(sub)).filter(|path| path.is_dir()).collect();
        let tree = match modules {
            Some(modules) => find_tree(modules, &release),
            None => trees.iter().find_map(|path| find_tree(path, &release)),
        };
        if tree.is_none() && (modules.is_some() || !trees.is_empty()) {
            let place = modules.map_or(place, |path| path.display().to_string());
            return Err(ImportError::NoModules { release, place });
        }
        let config = [format!("boot/config-{release}"), format!("config-{release}")]
            .iter()
            .map(|name| dir.join(name))
            .chain(tree.iter().map(|tree| tree.join("config")))
            .chain([dir.join("config"), dir.join(".config")])
            .find(|path| path.is_file());
        files.extend(config.map(|path| (Role::Config, path)));
        let map = dir.join(format!("boot/System.map-{release}"));
        files.extend(map.is_file().then_some((Role::SystemMap, map)));
        if let Some(tree) = tree {
            add_modules(&tree, &release, &mut files)?;
        }
        Ok(Self { files, place })
    }

    /// Where it comes from, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Hash over all files and what they are to the kernel.
    pub fn id(&self) -> Result<KernelId, ImportError> {
        let mut lines = Vec::new();
        for (role, path) in &self.files {
            let hash = hash::of_file(path).map_err(at(path))?;
            lines.push(match role {
                Role::Module { below, .. } => format!("modules/{} {hash}\n", below.display()),
                other => format!("{other:?} {hash}\n"),
            });
        }
        lines.sort();
        Ok(KernelId(hash::of_bytes(lines.concat().as_bytes())))
    }

    /// Puts all files into the sink.
    pub fn feed(self, sink: &mut Sink) -> Result<(), ImportError> {
        for (role, path) in self.files {
            let data = fs::read(&path).map_err(at(&path))?;
            sink.put(&self.place, role, data)?;
        }
        Ok(())
    }
}

/// Finds the one image of a directory; copies and links of the same content are one.
fn the_image(dir: &Path, place: &str) -> Result<PathBuf, ImportError> {
    let mut places = vec![dir.to_owned(), dir.join("boot"), dir.join("arch/x86/boot")];
    for sub in MODULE_DIRS {
        let releases = fs::read_dir(dir.join(sub)).into_iter().flatten().flatten();
        places.extend(releases.map(|entry| entry.path()));
    }
    let mut images: Vec<(String, PathBuf)> = Vec::new();
    for dir in places {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path = entry.path();
            if !(name.starts_with("vmlinuz") || name.starts_with("bzImage")) || !path.is_file() {
                continue;
            }
            let hash = hash::of_file(&path).map_err(at(&path))?;
            if images.iter().all(|(known, _)| *known != hash) {
                images.push((hash, path));
            }
        }
    }
    images.sort_by(|a, b| a.1.cmp(&b.1));
    match images.len() {
        0 => Err(ImportError::NoImage(place.to_owned())),
        1 => Ok(images.remove(0).1),
        _ => Err(ImportError::SeveralImages {
            place: place.to_owned(),
            images: images.iter().map(|(_, path)| path.display().to_string()).collect(),
        }),
    }
}

/// Finds a release's module tree: the directory itself, or one below it in the usual places.
fn find_tree(dir: &Path, release: &str) -> Option<PathBuf> {
    let below = MODULE_DIRS.iter().map(|sub| dir.join(sub).join(release));
    let found = below.chain([dir.join(release)]).find(|path| path.is_dir());
    let is_tree = || dir.join("kernel").is_dir() || dir.join("modules.order").is_file();
    // A tree may have been moved; but one that is named after another release is a mistake.
    let named_otherwise = || {
        let name =
            dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name != release && name.starts_with(|c: char| c.is_ascii_digit())
    };
    found.or_else(|| (is_tree() && !named_otherwise()).then(|| dir.to_owned()))
}

fn add_modules(
    tree: &Path,
    release: &str,
    files: &mut Vec<(Role, PathBuf)>,
) -> Result<(), ImportError> {
    let root = tree.canonicalize().map_err(at(tree))?;
    let mut dirs = vec![PathBuf::new()];
    while let Some(below) = dirs.pop() {
        let dir = root.join(&below);
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let entry = entry.map_err(at(&dir))?;
            let path = entry.path();
            let name = below.join(entry.file_name());
            let kind = entry.file_type().map_err(at(&path))?;
            if kind.is_dir() {
                dirs.push(name);
                continue;
            }
            // Links to other modules of the tree count; `build` and `source` lead elsewhere.
            let real = match path.canonicalize() {
                Ok(real) if real.starts_with(&root) && real.is_file() => real,
                _ => continue,
            };
            let top = below.as_os_str().is_empty();
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            let no_module = top
                && (is_depmod_output(&file_name)
                    || (is_image(&file_name) || matches!(&*file_name, "config" | "System.map")));
            if !no_module {
                files.push((Role::Module { release: release.to_owned(), below: name }, real));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::bzimage::tests::image;
    use super::*;

    fn write(path: PathBuf, data: impl AsRef<[u8]>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    fn modules(tree: &Tree) -> Vec<String> {
        let mut names: Vec<String> = tree
            .files
            .iter()
            .filter_map(|(role, _)| match role {
                Role::Module { below, .. } => Some(below.display().to_string()),
                _ => None,
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_as_make_leaves_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(at("boot/vmlinuz-6.1.9"), image("6.1.9 (me) #1"));
        write(at("boot/config-6.1.9"), "CONFIG_X=y");
        write(at("lib/modules/6.1.9/kernel/a.ko"), "a");
        write(at("lib/modules/6.1.9/modules.order"), "kernel/a.ko");
        write(at("lib/modules/6.1.9/modules.dep"), "by depmod");
        write(at("lib/modules/6.0.0/kernel/other.ko"), "other");
        std::os::unix::fs::symlink("/usr/src", at("lib/modules/6.1.9/build")).unwrap();
        let tree = Tree::of_dir(dir.path(), None).unwrap();
        assert_eq!(modules(&tree), ["kernel/a.ko", "modules.order"]);
        assert!(tree.files.iter().any(|(role, _)| *role == Role::Config));
        let id = tree.id().unwrap();
        write(at("lib/modules/6.1.9/modules.dep"), "by another depmod");
        assert_eq!(Tree::of_dir(dir.path(), None).unwrap().id().unwrap(), id);
        write(at("lib/modules/6.1.9/kernel/a.ko"), "changed");
        assert_ne!(Tree::of_dir(dir.path(), None).unwrap().id().unwrap(), id);
    }

    #[test]
    fn directories_that_are_no_kernel_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let error = || Tree::of_dir(dir.path(), None).unwrap_err();
        assert!(matches!(error(), ImportError::NoImage(..)));
        write(at("bzImage"), image("6.1.9 x"));
        write(at("boot/vmlinuz"), image("6.1.9 x"));
        assert!(Tree::of_dir(dir.path(), None).is_ok(), "the same twice is one image");
        write(at("lib/modules/6.1.8/kernel/a.ko"), "a");
        assert!(matches!(error(), ImportError::NoModules { .. }));
        write(at("vmlinuz-old"), image("6.1.8 x"));
        assert!(matches!(error(), ImportError::SeveralImages { images, .. } if images.len() == 2));
    }

    #[test]
    fn module_trees_are_found_where_people_have_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(at("bzImage"), image("6.1.9 x"));
        write(at("inst/lib/modules/6.1.9/kernel/a.ko"), "a");
        for given in ["inst", "inst/lib/modules", "inst/lib/modules/6.1.9"] {
            let tree = Tree::of_image(&at("bzImage"), Some(&at(given))).unwrap();
            assert_eq!(modules(&tree), ["kernel/a.ko"], "{given}");
        }
        write(at("inst2/6.1.8/kernel/a.ko"), "a");
        for given in ["inst2", "inst2/6.1.8", "none"] {
            let error = Tree::of_image(&at("bzImage"), Some(&at(given))).unwrap_err();
            assert!(matches!(error, ImportError::NoModules { .. }), "{given}: {error}");
        }
        assert_eq!(modules(&Tree::of_image(&at("bzImage"), None).unwrap()), Vec::<String>::new());
    }
}
