//! PID 1: brings the machine up, starts the agent, reaps.

use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, fork};

use crate::{agent, boot};

/// Brings the machine up, starts the agent and reaps orphans for ever.
pub fn init() -> ! {
    let booted = boot::bring_up();
    // Fork before any thread exists; the child needs no exec then.
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => agent::run(&booted),
        Ok(ForkResult::Parent { child }) => loop {
            match wait() {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) if pid == child => {
                    println!("kbisect-guest: the agent ended, powering off");
                    boot::power_off();
                }
                _ => {}
            }
        },
        Err(error) => {
            println!("kbisect-guest: cannot fork: {error}");
            boot::power_off();
        }
    }
}
