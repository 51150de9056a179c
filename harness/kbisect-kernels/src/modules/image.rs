//! One module file: what it says about itself (include/linux/module.h, kernel/module.c).
//!
//! The file is the user's, and may be damaged: nothing here panics or trusts a length.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::alias::normal;
use crate::import::sink::decoder;

/// No module comes near: with all of its debugging information the largest take some 100 MiB.
const LIMIT: u64 = 512 << 20;
/// Ends a signed module (kernel/module_signature.h).
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// `struct module_signature` before that text: kind and lengths of what lies before it.
const SIGNATURE_SIZE: usize = 12;
/// The only kind of signature that the kernel takes: PKCS#7.
const PKCS7: u8 = 2;
/// `struct modversion_info` on a 64-bit kernel: a checksum of 8 bytes, and the name.
const VERSION_SIZE: usize = 64;
const X86_64: u16 = 62;
const RELOCATABLE: u16 = 1;
const HEADER_SIZE: usize = 64;
const SECTION_SIZE: usize = 64;

/// What a module file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleImage {
    /// Name under which the kernel knows it, in normal form.
    pub name: String,
    /// What it was built for: `5.10.0-30-cloud-amd64 SMP mod_unload modversions `.
    pub vermagic: String,
    /// Checksums of the kernel's symbols that it was built against; empty without
    /// `CONFIG_MODVERSIONS`.
    pub versions: BTreeMap<String, u64>,
    pub signature: Signature,
}

/// The signature at the end of a module file. Whether the kernel knows the key is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    #[default]
    Absent,
    /// There is one of the right form.
    Present,
    /// There is something that the kernel refuses to read.
    Damaged,
}

/// Reads a module file, decompressed if need be (`.ko`, `.ko.xz`, `.ko.zst`, `.ko.gz`): its content
/// decides, not its name.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    let format = [
        ("xz", b"\xfd7zXZ\0".as_slice()),
        ("zst", b"\x28\xb5\x2f\xfd".as_slice()),
        ("gz", b"\x1f\x8b".as_slice()),
    ];
    let Some((format, _)) = format.into_iter().find(|(_, magic)| bytes.starts_with(magic)) else {
        return Ok(bytes);
    };
    let mut plain = Vec::new();
    decoder(format, bytes.as_slice())?.take(LIMIT + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > LIMIT {
        return Err(io::Error::other("it unpacks to more than any module"));
    }
    Ok(plain)
}

impl ModuleImage {
    /// Reads the file's content. `stem` is the name of the file, for modules that do not say theirs
    /// (before 4.15).
    ///
    /// # Errors
    /// Why it is no module for x86-64, as a lower-case fragment.
    pub fn parse(bytes: &[u8], stem: &str) -> Result<Self, &'static str> {
        let elf = Elf::parse(bytes)?;
        let Some(info) = elf.section(".modinfo") else {
            return Err("it is an object file without module information, not a module");
        };
        let mut image = Self { name: normal(stem), ..Self::default() };
        for entry in info.split(|byte| *byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            match entry.split_once('=') {
                Some(("name", value)) => image.name = normal(value),
                Some(("vermagic", value)) => image.vermagic = value.to_owned(),
                _ => {}
            }
        }
        if image.vermagic.is_empty() {
            return Err("it does not say which kernel it was built for (no vermagic)");
        }
        for entry in elf.section("__versions").unwrap_or_default().chunks_exact(VERSION_SIZE) {
            let (checksum, name) = entry.split_at(8);
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let checksum = u64::from_le_bytes(checksum.try_into().expect("eight bytes"));
            image.versions.insert(String::from_utf8_lossy(name).into_owned(), checksum);
        }
        image.signature = signature(bytes);
        Ok(image)
    }

    /// The release that it was built for.
    pub fn release(&self) -> &str {
        self.vermagic.split_whitespace().next().unwrap_or_default()
    }
}

/// Looks for a signature as the kernel does (mod_check_sig in kernel/module_signature.c).
fn signature(bytes: &[u8]) -> Signature {
    let Some(rest) = bytes.strip_suffix(SIGNED) else { return Signature::Absent };
    let Some(at) = rest.len().checked_sub(SIGNATURE_SIZE) else { return Signature::Damaged };
    let (content, info) = rest.split_at(at);
    let length = info.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
    let known = info[..8] == [0, 0, PKCS7, 0, 0, 0, 0, 0];
    if known && length > 0 && length < content.len() {
        Signature::Present
    } else {
        Signature::Damaged
    }
}

/// A relocatable ELF file for x86-64: its sections by name.
struct Elf<'a> {
    bytes: &'a [u8],
    sections: &'a [u8],
    names: &'a [u8],
}

impl<'a> Elf<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err("it is no ELF file");
        }
        // 64 bits, little-endian.
        if bytes.get(4..6) != Some(&[2, 1]) || half(bytes, 18) != Some(X86_64) {
            return Err("it is built for another processor");
        }
        if half(bytes, 16) != Some(RELOCATABLE) {
            return Err("it is a program or a library, not a module");
        }
        let cut = "it is cut short";
        let number = |at: usize| half(bytes, at).map(usize::from).ok_or(cut);
        let (count, names) = (number(60)?, number(62)?);
        let start = wide(bytes, 40).ok_or(cut)?;
        if bytes.len() < HEADER_SIZE || half(bytes, 58) != Some(SECTION_SIZE as u16) {
            return Err(cut);
        }
        let sections = part(bytes, start, count * SECTION_SIZE).ok_or(cut)?;
        let mut elf = Self { bytes, sections, names: &[] };
        let header = sections.chunks_exact(SECTION_SIZE).nth(names).ok_or(cut)?;
        elf.names = elf.content(header).ok_or(cut)?;
        Ok(elf)
    }

    fn section(&self, name: &str) -> Option<&'a [u8]> {
        let named = |header: &&[u8]| {
            let at = word(header, 0).map_or(usize::MAX, |at| at as usize);
            let text = self.names.get(at..).unwrap_or_default();
            text.split(|byte| *byte == 0).next() == Some(name.as_bytes())
        };
        self.content(self.sections.chunks_exact(SECTION_SIZE).find(named)?)
    }

    fn content(&self, header: &[u8]) -> Option<&'a [u8]> {
        part(self.bytes, wide(header, 24)?, wide(header, 32)?)
    }
}

fn part(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn wide(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
}

#[cfg(test)]
#[path = "../../tests/support/module.rs"]
mod fake;

#[cfg(test)]
mod tests {
    use super::fake::FakeModule;
    use super::*;

    fn parse(bytes: &[u8]) -> Result<ModuleImage, &'static str> {
        ModuleImage::parse(bytes, "some-file")
    }

    #[test]
    fn a_module_says_what_it_is() {
        let fake = FakeModule {
            name: Some("nft-vrf"),
            vermagic: "5.10.0-30-cloud-amd64 SMP mod_unload modversions ",
            versions: &[("module_layout", 0xdcd_d7f5), ("nf_reset_ct", 7)],
            ..FakeModule::default()
        };
        let image = parse(&fake.bytes()).unwrap();
        assert_eq!(image.name, "nft_vrf");
        assert_eq!(image.release(), "5.10.0-30-cloud-amd64");
        assert_eq!(image.versions["nf_reset_ct"], 7);
        assert_eq!(image.versions.len(), 2);
        assert_eq!(image.signature, Signature::Absent);
        let nameless = FakeModule { name: None, ..fake };
        assert_eq!(parse(&nameless.bytes()).unwrap().name, "some_file");
    }

    #[test]
    fn signatures_are_seen() {
        let signed = FakeModule::default().signed();
        assert_eq!(parse(&signed).unwrap().signature, Signature::Present);
        let at = signed.len() - SIGNED.len() - SIGNATURE_SIZE;
        for (n, byte) in [(2, 1), (0, 1), (8, 0xff), (11, 0)] {
            let mut broken = signed.clone();
            broken[at + n] = byte;
            assert_eq!(parse(&broken).unwrap().signature, Signature::Damaged, "{n}");
        }
        assert_eq!(signature(SIGNED), Signature::Damaged);
    }

    #[test]
    fn what_is_no_module_says_why() {
        let good = FakeModule::default().bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (bytes, reason) in [
            (Vec::new(), "no ELF file"),
            (b"obj-m := vrf.o\n".to_vec(), "no ELF file"),
            (with(18, 183), "another processor"),
            (with(4, 1), "another processor"),
            (with(16, 3), "not a module"),
            (FakeModule { info: false, ..FakeModule::default() }.bytes(), "not a module"),
            (FakeModule { vermagic: "", ..FakeModule::default() }.bytes(), "no vermagic"),
            (with(40, 0xff), "cut short"),
            (with(62, 0xff), "cut short"),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn no_cut_and_no_changed_byte_makes_it_panic() {
        let fake = FakeModule { versions: &[("module_layout", 1)], ..FakeModule::default() };
        let good = fake.signed();
        for length in 0..good.len() {
            let _ = parse(&good[..length]);
        }
        for at in 0..good.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let _ = parse(&bytes);
            }
        }
    }

    #[test]
    fn the_content_decides_about_the_compression() {
        let dir = tempfile::tempdir().unwrap();
        let plain = FakeModule::default().bytes();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        std::io::Write::write_all(&mut xz, &plain).unwrap();
        let xz = xz.finish().unwrap();
        let zst = zstd::encode_all(plain.as_slice(), 1).unwrap();
        let path = dir.path().join("vrf.ko");
        for bytes in [&plain, &xz, &zst] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_file(&path).unwrap(), plain);
        }
        std::fs::write(&path, &xz[..xz.len() / 2]).unwrap();
        assert!(read_file(&path).is_err());
    }
}
