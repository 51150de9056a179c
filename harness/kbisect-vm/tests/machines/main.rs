//! Trials against a stand-in for QEMU: what each behaviour of a machine is taken for.

mod bench;
mod failures;
mod hostile;
mod processes;
mod verdicts;
