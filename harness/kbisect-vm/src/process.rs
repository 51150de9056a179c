//! Child processes that die with us, and the sockets that they inherit.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Pid, Signal};

/// Makes `command` lead a process group and die when the thread that starts it does, also on
/// `kill -9`. (The kernel ties the signal to the thread, see prctl(2), so start children from a thread
/// that lives as long as they do.)
pub fn die_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    command.process_group(0);
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died between fork and prctl.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::Error::other("the parent process is gone"))
            }
        });
    }
}

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
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok(Self { ours, theirs: theirs.into() })
    }

    /// The number that the child knows its end by.
    #[must_use]
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

/// Kills a whole process group.
pub fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}
