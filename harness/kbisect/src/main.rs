//! The command line of kbisect: finds which kernel version broke a network service.

mod cli;
mod commands;
mod errors;
mod exit;
mod output;
mod run;
mod settings;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let form = cli::Form::of(&arguments);
    match cli::parse(arguments) {
        Ok(cli) => commands::dispatch(&cli).unwrap_or_else(|error| {
            errors::report(&error, cli.global.json);
            form.exit(errors::class(&error))
        }),
        Err(refusal) => refusal.tell(&form),
    }
}
