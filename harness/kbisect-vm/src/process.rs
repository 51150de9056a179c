//! The sockets that child processes inherit.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

pub use kbisect_process::{die_with_us, kill_group, run_within, stop_flag};

/// A pair of connected stream sockets: one end to keep, one that a child inherits under the number
/// that it has here.
pub struct Inherited {
    /// Our end.
    pub ours: UnixStream,
    /// The child's end. Close it after the child was started.
    pub theirs: OwnedFd,
}

impl Inherited {
    /// Makes a pair. Ours is closed in children, theirs is not inherited either until
    /// [`inherit`] says so.
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok(Self { ours, theirs: theirs.into() })
    }

    /// The number that the child knows its end by.
    pub fn number(&self) -> i32 {
        self.theirs.as_raw_fd()
    }
}

/// Lets the child keep these files open under their numbers.
pub fn inherit(command: &mut Command, numbers: Vec<i32>) {
    use std::os::unix::process::CommandExt;
    // SAFETY: only system calls between fork and exec; the numbers stay open until after spawn.
    unsafe {
        command.pre_exec(move || {
            for number in &numbers {
                let fd = rustix::fd::BorrowedFd::borrow_raw(*number);
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            Ok(())
        });
    }
}
