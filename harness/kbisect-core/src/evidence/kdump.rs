//! The header of a compressed kernel dump (makedumpfile's IMPLEMENTATION, diskdump_mod.h; QEMU's
//! include/sysemu/dump.h), as far as it says which kernel the dump is of.
//!
//! The notes in it were written by the guest: whatever they claim is bounded and cleaned.

/// Bytes of a dump's beginning that are enough: header, sub-header and notes.
pub const HEAD: usize = 256 << 10;

const SIGNATURE: &[u8] = b"KDUMP   ";
/// Offset of the block size: signature, version, six fields of `utsname`, time stamp, status.
const BLOCK_SIZE: usize = 8 + 4 + 6 * 65 + 22 + 4;
/// Offset of the place of the notes in the sub-header, which is the second block.
const VMCOREINFO: usize = 32;

/// What a dump says of its kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelOfDump {
    /// Build id, lower-case hexadecimal digits.
    pub build_id: Option<String>,
    /// `uname -r`.
    pub release: Option<String>,
}

/// Whether a file begins as a compressed dump that is not flattened.
pub fn is_dump(head: &[u8]) -> bool {
    head.starts_with(SIGNATURE)
}

/// Reads the beginning of a dump. What is not there, or makes no sense, is `None`.
pub fn kernel_of(head: &[u8]) -> KernelOfDump {
    let Some(note) = vmcoreinfo(head) else { return KernelOfDump::default() };
    let text = String::from_utf8_lossy(note);
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let clean: String = value.chars().filter(|c| !c.is_control()).take(128).collect();
        Some(clean)
    };
    let is_id = |id: &String| {
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    KernelOfDump { build_id: field("BUILD-ID").filter(is_id), release: field("OSRELEASE") }
}

fn vmcoreinfo(head: &[u8]) -> Option<&[u8]> {
    if !is_dump(head) {
        return None;
    }
    let block = u32::from_le_bytes(head.get(BLOCK_SIZE..BLOCK_SIZE + 4)?.try_into().ok()?);
    let sub = usize::try_from(block).ok()?.checked_add(VMCOREINFO)?;
    let word = |at: usize| {
        let bytes = head.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (offset, size) = (word(sub)?, word(sub.checked_add(8)?)?);
    head.get(offset..offset.checked_add(size)?).filter(|note| !note.is_empty())
}

/// Makes the beginning of a dump with such a note, for tests of what reads it.
pub fn head_with(note: &str) -> Vec<u8> {
    let block = 4096_usize;
    let mut head = vec![0; 2 * block];
    head[..SIGNATURE.len()].copy_from_slice(SIGNATURE);
    head[BLOCK_SIZE..BLOCK_SIZE + 4].copy_from_slice(&(block as u32).to_le_bytes());
    let sub = block + VMCOREINFO;
    head[sub..sub + 8].copy_from_slice(&(2 * block as u64).to_le_bytes());
    head[sub + 8..sub + 16].copy_from_slice(&(note.len() as u64).to_le_bytes());
    head.extend(note.bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_named_by_the_note() {
        let head = head_with("OSRELEASE=6.1.0-56-fake\nBUILD-ID=36858234c5\nPAGESIZE=4096\n");
        let kernel = kernel_of(&head);
        assert_eq!(kernel.release.as_deref(), Some("6.1.0-56-fake"));
        assert_eq!(kernel.build_id.as_deref(), Some("36858234c5"));
    }

    #[test]
    fn hostile_heads_are_survived() {
        assert_eq!(kernel_of(b""), KernelOfDump::default());
        assert_eq!(kernel_of(b"KDUMP   "), KernelOfDump::default());
        let whole = head_with("BUILD-ID=zz\nOSRELEASE=a\u{1b}[2Jb\n");
        let kernel = kernel_of(&whole);
        assert_eq!((kernel.build_id, kernel.release.as_deref()), (None, Some("a[2Jb")));
        for cut in 0..whole.len() {
            let _ = kernel_of(&whole[..cut]);
        }
        let mut wrong = whole.clone();
        for at in (BLOCK_SIZE..BLOCK_SIZE + 4).chain(4096..4096 + 64) {
            wrong[at] = 0xff;
        }
        assert_eq!(kernel_of(&wrong), KernelOfDump::default());
    }
}
