//! Uncompressed kernels: 64-bit ELF files with a PVH entry (elf(5); the note is Xen's
//! `XEN_ELFNOTE_PHYS32_ENTRY`, xen/include/public/elfnote.h).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::payload::LARGEST;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const MOST_SEGMENTS: u16 = 64;
const LARGEST_NOTES: u64 = 1 << 20;
const X86_64: u16 = 62;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
const PVH_ENTRY: u32 = 18;
/// What every kernel has in its read-only data (init/version.c).
const BANNER: &[u8] = b"Linux version ";

/// Why a file cannot be booted by a PVH entry.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is no 64-bit x86 ELF file")]
    NotElf,
    #[error("its ELF headers do not fit its content")]
    Lies,
    #[error("it has no PVH entry (CONFIG_PVH is not set)")]
    NoEntry,
}

/// Whether a file begins as ELF files do.
pub fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

/// Checks that QEMU can boot a file by its PVH entry: what its headers say is in the file, and fits
/// into a small machine.
pub fn check(path: &Path) -> Result<(), ElfError> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = [0; HEADER];
    file.read_exact(&mut head).map_err(|_| ElfError::NotElf)?;
    let plain = head.starts_with(b"\x7fELF\x02\x01") && half(&head, 18) == X86_64;
    if !plain {
        return Err(ElfError::NotElf);
    }
    let (at, count) = (long(&head, 32), half(&head, 56));
    if half(&head, 54) as usize != PROGRAM_HEADER || count == 0 || count > MOST_SEGMENTS {
        return Err(ElfError::Lies);
    }
    let mut table = vec![0; PROGRAM_HEADER * count as usize];
    if within(at, table.len() as u64, length).is_none() {
        return Err(ElfError::Lies);
    }
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut table)?;
    let (mut loaded, mut entry) = (0_u64, None);
    for segment in table.chunks_exact(PROGRAM_HEADER) {
        let (kind, offset) = (word(segment, 0), long(segment, 8));
        let (in_file, in_memory) = (long(segment, 32), long(segment, 40));
        if !matches!(kind, LOAD | NOTE) {
            continue;
        }
        within(offset, in_file, length).ok_or(ElfError::Lies)?;
        if kind == LOAD {
            // Where it goes, QEMU puts it: beyond the machine's memory nothing would run.
            let end = long(segment, 24).checked_add(in_memory).ok_or(ElfError::Lies)?;
            loaded = loaded.max(end);
            if in_file > in_memory {
                return Err(ElfError::Lies);
            }
        } else if in_file <= LARGEST_NOTES {
            let mut notes = vec![0; in_file as usize];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut notes)?;
            entry = entry.or(pvh_entry(&notes));
        }
    }
    if loaded == 0 || loaded > LARGEST {
        return Err(ElfError::Lies);
    }
    match entry {
        Some(entry) if u64::from(entry) < loaded => Ok(()),
        Some(_) => Err(ElfError::Lies),
        None => Err(ElfError::NoEntry),
    }
}

/// The text that the kernel prints first, up to its line end: `6.1.0 (me@here) ... #1 SMP ...`.
///
/// # Errors
/// Those of reading; [`ElfError::NotElf`] when there is no such text.
pub fn version_text(path: &Path) -> Result<String, ElfError> {
    const LONGEST: usize = 1024;
    let mut file = File::open(path)?;
    let mut window = Vec::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut chunk)?;
        window.extend_from_slice(&chunk[..count]);
        let mut from = 0;
        while let Some(at) = find(&window[from..], BANNER).map(|at| from + at) {
            let text = &window[at + BANNER.len()..];
            // A format, or the text itself, whose end is to be at hand.
            let end = text.iter().take(LONGEST).position(|byte| matches!(byte, b'\n' | 0));
            match end {
                Some(end) if text[0].is_ascii_digit() => {
                    return Ok(String::from_utf8_lossy(&text[..end]).into_owned());
                }
                None if count > 0 && text.len() < LONGEST => break,
                _ => from = at + BANNER.len(),
            }
        }
        if count == 0 {
            return Err(ElfError::NotElf);
        }
        // What may be the beginning of the text stays.
        let keep = window.len().saturating_sub(BANNER.len() + LONGEST);
        window.drain(..keep);
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The address in the note, among all of a segment.
fn pvh_entry(notes: &[u8]) -> Option<u32> {
    let mut rest = notes;
    while rest.len() >= 12 {
        let (name, size, kind) = (word(rest, 0), word(rest, 4), word(rest, 8));
        let name_end = 12_usize.checked_add(name as usize)?;
        let begin = 12_usize.checked_add((name as usize).checked_next_multiple_of(4)?)?;
        let end = begin.checked_add(size as usize)?;
        let (text, content) = (rest.get(12..name_end)?, rest.get(begin..end)?);
        if kind == PVH_ENTRY && text == b"Xen\0" && content.len() >= 4 {
            return Some(word(content, 0));
        }
        rest = rest.get(end.checked_next_multiple_of(4)?..)?;
    }
    None
}

fn within(offset: u64, size: u64, length: u64) -> Option<()> {
    (offset.checked_add(size)? <= length).then_some(())
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A kernel with one segment, a note of this kind, and a banner.
    pub fn elf(note_kind: u32) -> Vec<u8> {
        let mut file = vec![0; 0x1000];
        file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        file[16..20].copy_from_slice(&[2, 0, 62, 0]);
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..58].copy_from_slice(&[56, 0, 2, 0]);
        let mut segment = |at: usize, kind: u32, offset: u64, address: u64, size: u64| {
            file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            for (field, value) in [(8, offset), (24, address), (32, size), (40, size)] {
                file[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
            }
        };
        segment(64, LOAD, 0x1000, 0x100_0000, 0x800);
        segment(120, NOTE, 0xb0, 0, 20);
        let mut note =
            [4_u32, 4, note_kind].iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        note.extend(b"Xen\0");
        note.extend(0x100_0000_u32.to_le_bytes());
        file[0xb0..0xb0 + note.len()].copy_from_slice(&note);
        let mut text = vec![0x90; 0x800];
        let banner = b"Linux version %s\0Linux version 6.1.0-test (me@here) #1 SMP Mon\n\0";
        text[0x100..0x100 + banner.len()].copy_from_slice(banner);
        file.extend(text);
        file
    }

    fn checked(bytes: &[u8]) -> Result<(), ElfError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinux");
        std::fs::write(&path, bytes).unwrap();
        check(&path)
    }

    #[test]
    fn a_kernel_with_a_pvh_entry_can_be_booted_by_it() {
        checked(&elf(PVH_ENTRY)).unwrap();
        assert!(matches!(checked(&elf(17)), Err(ElfError::NoEntry)));
        assert!(matches!(checked(b"MZ"), Err(ElfError::NotElf)));
        let mut other = elf(PVH_ENTRY);
        other[18] = 183;
        assert!(matches!(checked(&other), Err(ElfError::NotElf)), "arm64");
    }

    #[test]
    fn headers_that_lie_are_found_before_qemu_reads_them() {
        let whole = elf(PVH_ENTRY);
        assert!(matches!(checked(&whole[..0x1400]), Err(ElfError::Lies)), "cut short");
        let lies: [(usize, u64); 7] = [
            (32, u64::MAX - 8),
            (64 + 8, u64::MAX),
            (64 + 32, 1 << 40),
            (64 + 40, 1 << 40),
            (64 + 40, 1),
            (64 + 24, u64::MAX - 4),
            (120 + 32, 1 << 30),
        ];
        for (at, value) in lies {
            let mut file = whole.clone();
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert!(matches!(checked(&file), Err(ElfError::Lies)), "{at:#x}");
        }
        for (at, value) in [(54, 0), (56, 0), (57, 0xff)] {
            let mut file = whole.clone();
            file[at] = value;
            assert!(checked(&file).is_err(), "{at}");
        }
        // Notes whose lengths run over, or round and round.
        for length in [u32::MAX, u32::MAX - 3, 0x7fff_ffff] {
            let mut file = whole.clone();
            file[0xb0..0xb4].copy_from_slice(&length.to_le_bytes());
            assert!(matches!(checked(&file), Err(ElfError::NoEntry)));
        }
    }

    #[test]
    fn the_version_is_what_it_prints_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinux");
        // Across the border of two reads, too.
        for before in [0, (1 << 20) - 0x1110, (1 << 20) - 0x1120, 3 << 20] {
            let mut bytes = vec![0; before];
            bytes.extend(elf(PVH_ENTRY));
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(version_text(&path).unwrap(), "6.1.0-test (me@here) #1 SMP Mon");
        }
        std::fs::write(&path, b"\x7fELF and no more").unwrap();
        assert!(matches!(version_text(&path), Err(ElfError::NotElf)));
    }
}
