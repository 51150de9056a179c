//! The commands, one module each.

mod bundle;
mod completions;
mod config;
mod detect;
mod doctor;
mod image;
mod kernels;
mod kselftest;
mod man;
mod report;
mod scenario;
mod scenario_import;
mod scenario_new;
mod schema;
mod score;
mod stop;
mod tour;
mod watch;
mod welcome;

use std::process::ExitCode;

use crate::cli::{Cli, Command, PoolCommand};
use crate::{errors, exit, run};

/// Carries out a command line.
///
/// # Errors
/// Whatever kept the command from its answer; `errors::class` tells the exit code.
pub fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    let done = |result: anyhow::Result<()>| result.map(|()| exit::code(exit::OK));
    // It would be looked into by nobody.
    let reads_tree = matches!(cli.command, Some(Command::Bisect(_) | Command::Config(_)));
    let stack = global.sources.quilt.is_some() || global.sources.template.is_some();
    if stack && !matches!(cli.command, Some(Command::Bisect(_)))
        || global.sources.git.is_some() && !reads_tree
    {
        return Err(errors::usage(
            "the commits of a git tree are candidates of a bisection only",
            "kbisect GOOD..BAD --source git:PATH --scenario NAME; what it built is found by its commit later",
        ));
    }
    match &cli.command {
        None => done(welcome::welcome(global)),
        Some(Command::Bisect(args)) => run::bisect(args, global),
        Some(Command::Run(args)) => run::run_one(args, global),
        Some(Command::Check(args)) => run::check(args, global),
        Some(Command::Minimize(args)) => run::minimize(args, global),
        Some(Command::Resume(args)) => run::resume(args, global),
        Some(Command::Verify(args)) => run::verify(args, global),
        Some(Command::Tour(args)) => tour::tour_of(args, global),
        Some(Command::Score(args)) => done(score::score(args, global)),
        Some(Command::Stop(args)) => done(stop::stop(args, global)),
        Some(Command::Watch(args)) => watch::watch(args, global),
        Some(Command::Config(args)) => done(config::config(args, global)),
        Some(Command::Kernels(args)) => done(kernels::kernels(args, global)),
        Some(Command::Scenario(args)) => scenario::scenario(args, global),
        Some(Command::Image(args)) => done(image::image(args, global)),
        Some(Command::Detect(args)) => done(detect::detect(args, global)),
        Some(Command::Decode(args)) => done(run::decode(args, global)),
        Some(Command::Changes(args)) => done(run::changes(args, global)),
        Some(Command::Report(args)) => done(report::report(args, global)),
        Some(Command::Schema(args)) => done(schema::schema(args, global)),
        Some(Command::Completions(args)) => done(completions::completions(args, global)),
        Some(Command::Worker(args)) => done(run::serve(global, args.qemu.as_deref())),
        Some(Command::Pool(args)) => match &args.command {
            PoolCommand::Check { pools } => done(run::pool_check(pools, global)),
        },
        Some(Command::Man(args)) => done(man::man(args, global)),
        Some(Command::Doctor(args)) => doctor::doctor(args, global),
    }
}
