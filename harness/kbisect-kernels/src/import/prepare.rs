//! From unpacked files to what the store keeps.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::boot::{self, BootModules};
use super::bzimage::{self, Banner};
use super::error::ImportError;
use super::sink::{Found, module_dir};
use crate::files::at;
use crate::modules::Lookup;
use crate::ready::config_value;
use crate::tools::Tool;

/// Names of a kernel's files in the store.
pub const VMLINUZ: &str = "vmlinuz";
/// Configuration.
pub const CONFIG: &str = "config";
/// Symbol table.
pub const SYSTEM_MAP: &str = "System.map";
/// Module tree.
pub const MODULES: &str = "modules.squashfs";
/// Boot modules.
pub const BOOT: &str = "boot.cpio";

/// What squashfs can be compressed with, the fastest to read first; the kernel itself must know it.
const COMPRESSIONS: [(&str, &str); 5] = [
    ("lz4", "SQUASHFS_LZ4"),
    ("zstd", "SQUASHFS_ZSTD"),
    ("lzo", "SQUASHFS_LZO"),
    ("gzip", "SQUASHFS_ZLIB"),
    ("xz", "SQUASHFS_XZ"),
];

/// A kernel that is ready to be moved into the store.
#[derive(Debug)]
pub struct Prepared {
    pub banner: Banner,
    /// Boot modules; `None` without a module tree.
    pub modules: Option<BootModules>,
}

/// Whether a kernel may come without modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// A distribution's kernel without modules is not whole.
    Required,
    /// All may be built in.
    Optional,
}

/// Turns what a sink has taken into `work` into a kernel in `out`, which is made.
pub fn prepare(
    work: &Path,
    found: &Found,
    modules: Modules,
    place: &str,
    out: &Path,
) -> Result<Prepared, ImportError> {
    let image = match found.images.as_slice() {
        [image] => image,
        [] => return Err(ImportError::NoImage(place.to_owned())),
        several => {
            let images = several.iter().filter_map(|image| bzimage::read(image).ok());
            let images = images.map(|banner| banner.release).collect();
            return Err(ImportError::SeveralImages { place: place.to_owned(), images });
        }
    };
    let banner = bzimage::read(image).map_err(|error| in_place(error, place))?;
    let has_tree = found.releases.contains(&banner.release);
    if !has_tree && (modules == Modules::Required || !found.releases.is_empty()) {
        let release = banner.release.clone();
        return Err(ImportError::NoModules { release, place: place.to_owned() });
    }
    fs::create_dir_all(out).map_err(at(out))?;
    let take = |from: &Path, name: &str| fs::rename(from, out.join(name)).map_err(at(from));
    take(image, VMLINUZ)?;
    let config_text = match &found.config {
        Some(config) => {
            let bytes = fs::read(config).map_err(at(config))?;
            take(config, CONFIG)?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        None => None,
    };
    if let Some(map) = &found.system_map {
        take(map, SYSTEM_MAP)?;
    }
    let modules = has_tree
        .then(|| prepare_modules(work, &banner.release, config_text.as_deref(), out))
        .transpose()?;
    Ok(Prepared { banner, modules })
}

/// Makes what the store keeps of the module tree in `work`: indexes, boot archive, image.
pub fn prepare_modules(
    work: &Path,
    release: &str,
    config: Option<&str>,
    out: &Path,
) -> Result<BootModules, ImportError> {
    let tree = module_dir(work, release);
    let base = work.join("tree");
    // Some depmods look below /usr/lib only.
    let usr = base.join("usr");
    fs::create_dir_all(&usr).map_err(at(&usr))?;
    let link = usr.join("lib");
    std::os::unix::fs::symlink("../lib", &link).map_err(at(&link))?;
    let args: [OsString; 3] = ["-b".into(), base.into(), release.into()];
    Tool::Depmod.run(&args)?;
    let lookup = Lookup::read(&tree);
    let boot = boot::write(&tree, &lookup, &out.join(BOOT))?;
    for name in crate::modules::INDEX_FILES {
        let from = tree.join(name);
        if from.is_file() {
            fs::copy(&from, out.join(name)).map_err(at(&from))?;
        }
    }
    squash(&tree, compression(config), &out.join(MODULES))?;
    Ok(boot)
}

/// Picks a compression that the kernel can read; lz4 when its configuration is not known.
fn compression(config: Option<&str>) -> &'static str {
    let known =
        |option: &str| config.is_some_and(|c| config_value(c, option).as_deref() == Some("y"));
    COMPRESSIONS.iter().find(|(_, option)| known(option)).unwrap_or(&COMPRESSIONS[0]).0
}

fn squash(tree: &Path, compression: &str, image: &PathBuf) -> Result<(), ImportError> {
    let mut args: Vec<OsString> = vec![tree.into(), image.into()];
    // Fixed times and owners: the same modules make the same image.
    let options =
        "-quiet -no-progress -noappend -no-xattrs -all-root -mkfs-time 0 -all-time 0 -comp";
    args.extend(options.split(' ').chain([compression]).map(OsString::from));
    Tool::Mksquashfs.run(&args)?;
    Ok(())
}

/// A message about a scratch file helps nobody: it is to name what the user gave.
fn in_place(error: ImportError, place: &str) -> ImportError {
    match error {
        ImportError::NotBzImage { reason, .. } => {
            ImportError::NotBzImage { path: PathBuf::from(place), reason }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compression_is_one_that_the_kernel_knows() {
        assert_eq!(compression(None), "lz4");
        assert_eq!(compression(Some("CONFIG_SQUASHFS_XZ=y\nCONFIG_SQUASHFS_ZLIB=y\n")), "gzip");
        assert_eq!(compression(Some("CONFIG_SQUASHFS_ZSTD=y\nCONFIG_SQUASHFS_LZ4=y\n")), "lz4");
    }
}
