//! The head of an x86 kernel image (the boot protocol, Documentation/arch/x86/boot.rst).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ImportError;
use super::vmlinux::{self, ElfError};
use crate::files::at;

const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const VERSION_POINTER: usize = 0x20e;
/// The version text lies within the set-up sectors, of which there are at most 64.
const HEAD_BYTES: u64 = 64 * 1024;

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// `uname -r`.
    pub release: String,
    /// Package version, when the image is Debian's own.
    pub debian_version: Option<String>,
}

/// Reads the head of a kernel image, or what an unpacked kernel with a PVH entry says of itself.
pub fn read(path: &Path) -> Result<Banner, ImportError> {
    if vmlinux::is_elf(path) {
        let wrong = |error: ElfError| match error {
            ElfError::Io(source) => at(path)(source).into(),
            other => ImportError::NotVmlinux { path: path.to_owned(), source: other },
        };
        vmlinux::check(path).map_err(wrong)?;
        let text = vmlinux::version_text(path).map_err(wrong)?;
        return banner(&text)
            .map_err(|reason| ImportError::NotBzImage { path: path.to_owned(), reason });
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(HEAD_BYTES).read_to_end(&mut head).map_err(at(path))?;
    parse(&head).map_err(|reason| ImportError::NotBzImage { path: path.to_owned(), reason })
}

fn parse(head: &[u8]) -> Result<Banner, &'static str> {
    let is_image = head.get(BOOT_FLAG..BOOT_FLAG + 2) == Some(&[0x55, 0xaa])
        && head.get(MAGIC..MAGIC + 4) == Some(b"HdrS");
    if !is_image {
        return Err("it has no Linux boot header");
    }
    let pointer = head.get(VERSION_POINTER..VERSION_POINTER + 2).ok_or("it is cut short")?;
    let start = usize::from(u16::from_le_bytes([pointer[0], pointer[1]])) + 0x200;
    let text = head.get(start..).ok_or("it is cut short")?;
    let end = text.iter().position(|b| *b == 0).ok_or("its version is cut short")?;
    banner(&String::from_utf8_lossy(&text[..end]))
}

fn banner(text: &str) -> Result<Banner, &'static str> {
    let release = text.split_whitespace().next().ok_or("it does not say its version")?;
    // A release becomes part of paths, so that it is to be a plain name.
    let plain = release.starts_with(|c: char| c.is_ascii_digit())
        && release.chars().all(|c| c.is_ascii_alphanumeric() || "+-._~".contains(c));
    if !plain {
        return Err("its version is not a release name");
    }
    let debian_version = text
        .split_once(" Debian ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .map(str::to_owned);
    Ok(Banner { release: release.to_owned(), debian_version })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Makes the head of an image with a version text, and some bytes after it.
    pub fn image(text: &str) -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        bytes[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xaa]);
        bytes[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        bytes[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0x200_u16.to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(0);
        bytes.resize(0x800, 0);
        bytes
    }

    #[test]
    fn debian_images_tell_release_and_package_version() {
        let text = "6.1.0-53-cloud-amd64 (team@example.invalid) #1 SMP PREEMPT_DYNAMIC \
                    Debian 6.1.187-1 (2026-08-01)";
        let banner = parse(&image(text)).unwrap();
        assert_eq!(banner.release, "6.1.0-53-cloud-amd64");
        assert_eq!(banner.debian_version.as_deref(), Some("6.1.187-1"));
        let banner = parse(&image("5.10.43 (me@here) #3 SMP Mon")).unwrap();
        assert_eq!((banner.release.as_str(), banner.debian_version), ("5.10.43", None));
    }

    #[test]
    fn what_is_no_image_is_named() {
        assert!(parse(b"").is_err());
        assert!(parse(&[0; 4096]).is_err());
        let whole = image("6.1.0");
        assert!(parse(&whole[..0x300]).is_err(), "cut before the text");
        assert!(parse(&whole[..0x402]).is_err(), "cut inside the text");
        for text in ["", " ", "../../etc", "6.1/..", "x6.1"] {
            assert!(parse(&image(text)).is_err(), "{text:?}");
        }
        for pointer in [0xffff_u16, 0xfe00] {
            let mut image = image("6.1.0");
            image[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&pointer.to_le_bytes());
            assert!(parse(&image).is_err());
        }
    }
}
