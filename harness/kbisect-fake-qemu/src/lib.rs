//! A stand-in for QEMU that does what a script tells it. For tests only: nothing that is installed
//! depends on it.
//!
//! It is started as QEMU is, with the sockets that kbisect hands over, speaks QMP and the guest
//! channel's messages, and prints on the console. The script is part of the file given with
//! `-kernel`, so that each kernel of a series can behave in its own way; see [`script`].

pub mod args;
pub mod guest;
mod locate;
pub mod play;
pub mod script;
pub mod text;

pub use locate::path;

/// Makes the content of a kernel image that kbisect takes for one of release `release`, and that
/// the stand-in plays `script` from.
pub fn image(release: &str, script: &str) -> Vec<u8> {
    // The boot protocol's flag, magic and pointer to the version text.
    let mut bytes = vec![0; 0x400];
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x200_u16.to_le_bytes());
    bytes.extend(format!("{release} (fake@kbisect) #1\0").bytes());
    bytes.extend(format!("{}\n{script}", script::MARK).bytes());
    bytes
}
