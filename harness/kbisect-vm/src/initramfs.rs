//! The initramfs of a machine: the kernel's boot modules and the guest program, as concatenated
//! `newc` archives (see Documentation/driver-api/early-userspace/buffer-format.rst).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Writes the initramfs to `target`: `boot_modules` (an archive, if the kernel has modules), then
/// the guest program as `/init`.
pub fn compose(target: &Path, boot_modules: Option<&Path>, guest: &[u8]) -> io::Result<()> {
    let mut out = io::BufWriter::new(File::create(target)?);
    if let Some(path) = boot_modules {
        let mut archive = Vec::new();
        File::open(path)?.read_to_end(&mut archive)?;
        archive.resize(archive.len().next_multiple_of(512), 0);
        out.write_all(&archive)?;
    }
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "root"] {
        archive.entry(&Entry { name: directory, mode: 0o040_755, device: (0, 0), data: &[] });
    }
    // The kernel opens /dev/console for PID 1 before devtmpfs can be mounted.
    archive.entry(&Entry { name: "dev/console", mode: 0o020_600, device: (5, 1), data: &[] });
    archive.entry(&Entry { name: "init", mode: 0o100_755, device: (0, 0), data: guest });
    archive.entry(&Entry { name: "TRAILER!!!", mode: 0, device: (0, 0), data: &[] });
    out.write_all(&archive.bytes)?;
    out.flush()
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn entry(&mut self, entry: &Entry<'_>) {
        self.count += 1;
        let fields = [
            self.count,
            entry.mode,
            0,
            0,
            1,
            0,
            entry.data.len() as u32,
            0,
            0,
            entry.device.0,
            entry.device.1,
            entry.name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(entry.name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(entry.data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_the_program_and_a_console() {
        let directory = tempfile::tempdir().unwrap();
        let modules = directory.path().join("modules.cpio");
        std::fs::write(&modules, b"070701-stand-in").unwrap();
        let target = directory.path().join("initramfs");
        compose(&target, Some(&modules), b"\x7fELF guest").unwrap();
        let bytes = std::fs::read(&target).unwrap();
        assert!(bytes.starts_with(b"070701-stand-in"));
        let ours = &bytes[512..];
        assert!(ours.starts_with(b"070701"));
        for part in [&b"dev/console\0"[..], b"init\0", b"\x7fELF guest", b"TRAILER!!!\0"] {
            assert!(ours.windows(part.len()).any(|window| window == part), "{part:?}");
        }
        assert_eq!(ours.len() % 4, 0);
    }
}
