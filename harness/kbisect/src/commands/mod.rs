//! The commands, one module each.

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::{exit, run};

/// Carries out a command line.
///
/// # Errors
/// Whatever kept the command from its answer; `errors::class` tells the exit code.
pub fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Some(Command::Bisect(args)) => run::bisect(args, global),
        Some(Command::Run(args)) => run::run_one(args, global),
        Some(Command::Resume(args)) => run::resume(args, global),
        Some(_) => anyhow::bail!("not yet"),
        None => Ok(exit::code(exit::OK)),
    }
}
