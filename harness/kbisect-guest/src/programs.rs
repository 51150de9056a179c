//! How programs start: where they are looked for, and how they get into a node.

use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::CloneFlags;

/// Search path of every program in the guest.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a child needs to enter a node before it runs its program.
pub struct Entry {
    /// Its name spaces, the one of mounts last.
    pub namespaces: Vec<(RawFd, CloneFlags)>,
    /// Whether one of them is of processes.
    pub new_pid_space: bool,
}

/// Makes `command` run inside a node, in a session of its own.
pub fn enter_before_exec(command: &mut Command, entry: Entry) {
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::libc::setsid();
            for (fd, kind) in &entry.namespaces {
                if nix::libc::setns(*fd, kind.bits()) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            if entry.new_pid_space { fork_into_pid_space() } else { Ok(()) }
        });
    }
}

/// A new PID space holds only children, so a program that shall live in it needs one more fork. The
/// process in between waits and ends as its child did.
pub fn fork_into_pid_space() -> std::io::Result<()> {
    // SAFETY: called between fork and exec in a process with one thread; only system calls follow.
    match unsafe { nix::libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(()),
        child => {
            // Nothing that others wait on may stay open here, above all std's exec-error pipe.
            for fd in 0..256 {
                // SAFETY: closing numbers that may not be open is harmless.
                unsafe { nix::libc::close(fd) };
            }
            let mut status = 0;
            // SAFETY: plain system calls with a valid pointer.
            unsafe {
                while nix::libc::waitpid(child, &raw mut status, 0) < 0 {}
                if nix::libc::WIFSIGNALED(status) {
                    let signal = nix::libc::WTERMSIG(status);
                    nix::libc::signal(signal, nix::libc::SIG_DFL);
                    nix::libc::kill(nix::libc::getpid(), signal);
                }
                nix::libc::_exit(nix::libc::WEXITSTATUS(status));
            }
        }
    }
}
