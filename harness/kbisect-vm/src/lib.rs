//! QEMU, QMP, machines, wires, the guest channel, and the trial that is made of them.
//!
//! The only asynchronous crate. One task owns one machine; every wait has a deadline and an owner.

pub mod accel;
mod commands;
mod exit;
pub mod guest;
pub mod image;
pub mod initramfs;
pub mod lab;
mod lock;
pub mod machine;
pub mod network;
mod preparation;
pub mod process;
pub mod pulse;
pub mod qemu;
pub mod qmp;
pub mod rise;
pub mod session;
pub mod shell;
pub mod states;
pub mod times;
pub mod timing;
pub mod trial;
pub mod wire;
