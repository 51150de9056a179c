//! What a kernel needs to boot under kbisect, and the archive of modules that brings it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::cpio;
use super::error::ImportError;
use crate::files::at;
use crate::modules::{Lookup, Provided};

/// Directory of the archive, in the initramfs.
const DIR: &str = "kbisect/modules";

/// Needed by every trial: disk, network, guest channel, root file system; with the configuration
/// option that builds it in.
const REQUIRED: [(&str, &str); 6] = [
    ("virtio_pci", "VIRTIO_PCI"),
    ("virtio_blk", "VIRTIO_BLK"),
    ("virtio_net", "VIRTIO_NET"),
    ("virtio_console", "VIRTIO_CONSOLE"),
    ("squashfs", "SQUASHFS"),
    ("overlay", "OVERLAY_FS"),
];
/// Good to have. The driver of QEMU's ISA device for panics is `pvpanic` up to 5.12, `pvpanic_mmio` from then
/// on.
const OPTIONAL: [&str; 3] = ["virtio_rng", "pvpanic", "pvpanic_mmio"];

/// The boot archive's content.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BootModules {
    /// File names in the archive, in the order in which they are to be inserted.
    pub order: Vec<String>,
    pub missing: Vec<String>,
}

/// Names the required features that a kernel lacks.
pub fn missing(provides: impl Fn(&str) -> Provided) -> Vec<String> {
    let lacks = |module: &str| provides(module) == Provided::Missing;
    REQUIRED.iter().filter(|(m, _)| lacks(m)).map(|(m, _)| (*m).to_owned()).collect()
}

/// The configuration option that builds a required feature in.
pub fn option_of(module: &str) -> Option<&'static str> {
    REQUIRED.iter().find(|(name, _)| *name == module).map(|(_, option)| *option)
}

/// Writes the boot archive of a module tree (`/lib/modules/RELEASE`), modules uncompressed.
pub fn write(tree: &Path, lookup: &Lookup, archive: &Path) -> Result<BootModules, ImportError> {
    // The way to the devices first, so that they are there when their drivers come.
    let (transport, required) = (REQUIRED[0].0, REQUIRED[1..].iter().map(|(module, _)| *module));
    let mut files = Vec::new();
    for name in std::iter::once(transport).chain(OPTIONAL).chain(required) {
        // One that is missing, or whose dependencies are, is left out and told below.
        for file in lookup.closure(&[name]).unwrap_or_default() {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    let out = BufWriter::new(File::create(archive).map_err(at(archive))?);
    let mut cpio = cpio::Writer::new(out);
    let mut order = Vec::new();
    cpio.directory("kbisect").and_then(|()| cpio.directory(DIR)).map_err(at(archive))?;
    for (n, file) in files.iter().enumerate() {
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{n:02}-{base}");
        let path = tree.join(file);
        let data = std::fs::read(&path).map_err(at(&path))?;
        cpio.file(&format!("{DIR}/{name}"), &data).map_err(at(archive))?;
        order.push(name);
    }
    let list: String = order.iter().map(|name| format!("{name}\n")).collect();
    cpio.file(&format!("{DIR}/order"), list.as_bytes()).map_err(at(archive))?;
    let out = cpio.finish().map_err(at(archive))?;
    let mut file = out.into_inner().map_err(|error| at(archive)(error.into_error()))?;
    file.flush().map_err(at(archive))?;
    let usable = |module: &str| match lookup.closure(&[module]) {
        Ok(_) => lookup.provides(module),
        Err(_) => Provided::Missing,
    };
    Ok(BootModules { order, missing: missing(usable) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let with = |have: &'static [&'static str]| {
            missing(move |m| if have.contains(&m) { Provided::Module } else { Provided::Missing })
        };
        let rest = ["virtio_blk", "virtio_net", "virtio_console", "squashfs"];
        assert_eq!(with(&["virtio_pci", "overlay"]), rest);
        assert_eq!(with(&["overlay"])[0], "virtio_pci");
    }

    #[test]
    fn the_archive_holds_modules_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = dir.path().join("kernel");
        std::fs::create_dir(&kernel).unwrap();
        for name in ["virtio.ko", "virtio_pci.ko", "squashfs.ko"] {
            std::fs::write(kernel.join(name), name).unwrap();
        }
        let dep =
            "kernel/virtio_pci.ko: kernel/virtio.ko\nkernel/virtio.ko:\nkernel/squashfs.ko:\n";
        std::fs::write(dir.path().join("modules.dep"), dep).unwrap();
        std::fs::write(
            dir.path().join("modules.builtin"),
            "kernel/overlay.ko\nkernel/virtio_blk.ko\n",
        )
        .unwrap();
        let archive = dir.path().join("boot.cpio");
        let boot = write(dir.path(), &Lookup::read(dir.path()), &archive).unwrap();
        assert_eq!(boot.order, ["00-virtio.ko", "01-virtio_pci.ko", "02-squashfs.ko"]);
        assert_eq!(boot.missing, ["virtio_net", "virtio_console"]);
        let entries = cpio::tests::read(&std::fs::read(&archive).unwrap());
        let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "kbisect",
                "kbisect/modules",
                "kbisect/modules/00-virtio.ko",
                "kbisect/modules/01-virtio_pci.ko",
                "kbisect/modules/02-squashfs.ko",
                "kbisect/modules/order"
            ]
        );
        assert_eq!(entries[3].1, b"virtio_pci.ko");
        assert_eq!(entries[5].1, b"00-virtio.ko\n01-virtio_pci.ko\n02-squashfs.ko\n");
    }
}
