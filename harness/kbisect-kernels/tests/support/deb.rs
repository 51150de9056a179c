//! Tiny kernels and packages.

use std::io::Write;

/// A kernel image: boot header, version text, and enough noise to be no meta package.
pub fn image(release: &str, debian_version: &str) -> Vec<u8> {
    image_with(&format!("{release} (builder@host) #1 SMP Debian {debian_version} (2026-01-01)"))
}

/// The same, by another distribution.
pub fn plain_image(release: &str) -> Vec<u8> {
    image_with(&format!("{release} (builder@host) #1 SMP PREEMPT_DYNAMIC 2026-01-01"))
}

fn image_with(text: &str) -> Vec<u8> {
    let mut bytes = vec![0_u8; 0x400];
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x200_u16.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
    let mut state = 1_u32;
    bytes.extend((0..32 * 1024).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    bytes
}

/// The modules that a kernel must have.
pub const MODULES: [&str; 6] =
    ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "squashfs", "overlay"];

pub enum Entry {
    File(String, Vec<u8>),
    Link(String, String),
}

pub fn file(path: impl Into<String>, data: impl Into<Vec<u8>>) -> Entry {
    Entry::File(path.into(), data.into())
}

/// A module tree as packages have it: compressed modules below `prefix`/lib/modules.
pub fn modules(prefix: &str, release: &str) -> Vec<Entry> {
    let dir = format!("{prefix}lib/modules/{release}");
    let mut entries: Vec<Entry> = MODULES
        .iter()
        .map(|name| file(format!("{dir}/kernel/drivers/{name}.ko.xz"), xz(name.as_bytes())))
        .collect();
    entries.push(file(format!("{dir}/modules.order"), ""));
    entries.push(file(format!("{dir}/modules.builtin"), "kernel/drivers/char/builtin.ko\n"));
    entries.push(Entry::Link(format!("{dir}/build"), format!("/usr/src/linux-headers-{release}")));
    entries
}

/// A package of one kernel, as they are up to 6.18.
pub fn image_package(release: &str, version: &str) -> Vec<u8> {
    let mut entries = modules("./", release);
    entries.push(file(format!("./boot/vmlinuz-{release}"), image(release, version)));
    entries.push(file(format!("./boot/config-{release}"), "CONFIG_SQUASHFS_LZ4=y\n"));
    entries.push(file(format!("./boot/System.map-{release}"), "look elsewhere\n"));
    deb(&format!("linux-image-{release}"), version, &entries)
}

pub fn deb(name: &str, version: &str, entries: &[Entry]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
    let control = tar(&[file("./control", control)]);
    ar(&[
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.xz", xz(&control)),
        ("data.tar.xz", xz(&tar(entries))),
    ])
}

pub fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, data) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), data.len() as u64);
        builder.append(&header, data.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Writes paths as they are: the tar crate itself would refuse the hostile ones.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let (path, data): (&str, &[u8]) = match entry {
            Entry::File(path, data) => {
                header.set_entry_type(tar::EntryType::Regular);
                (path, data)
            }
            Entry::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name_literal(target).unwrap();
                (path, &[])
            }
        };
        header.set_size(data.len() as u64);
        assert!(path.len() < 100, "{path}");
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn xz(data: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}
