//! The guest program, embedded so that the installed binary needs no other file.

/// A static x86-64 Linux program: PID 1, agent and node holder (crate kbisect-guest).
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kbisect-guest"));

/// What the guest prints on the console when user space is up. Reports before it belong to the
/// boot.
pub const MARKER: &[u8] = b"kbisect-guest: user space is up";
