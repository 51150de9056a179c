//! The program in the guest: PID 1, the agent that answers the harness, and the first process of
//! each isolated node. One static binary in three roles.
//!
//! It runs on kernels from 3.x on, under an emulator that makes every process start expensive, so it
//! starts few processes and needs nothing but the kernel.

mod agent;
mod boot;
mod exec;
mod init;
mod kmsg;
mod links;
mod modules;
mod mounts;
mod node;
mod offers;
mod outbox;
mod probes;
mod programs;
mod service;
mod shell;
mod wake;
mod watchdog;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|role| role == node::HOLDER) {
        return node::holder(&arguments[2..]);
    }
    if std::process::id() == 1 {
        init::init();
    }
    eprintln!("kbisect-guest is PID 1 of kbisect's guests and does nothing elsewhere");
    ExitCode::from(2)
}
