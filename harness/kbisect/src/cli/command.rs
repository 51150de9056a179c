//! The command line as clap has it, with options shown only where they mean something.

use clap::{Command, CommandFactory};

use super::Cli;
use super::short::with_short_help;

/// Heading of the options that say where kernels are looked for.
pub const ARCHIVES: &str = "Kernel archives";

/// Commands that look for no kernels, with those below them; of a command that has several kinds, those
/// that do not.
const WITHOUT_KERNELS: [&[&str]; 12] = [
    &["tour"],
    &["watch"],
    &["stop"],
    &["score"],
    &["detect"],
    &["schema"],
    &["completions"],
    &["man"],
    &["scenario", "list"],
    &["scenario", "check"],
    &["scenario", "show"],
    &["scenario", "new"],
];

/// All that can be typed. Options of the archives can be typed anywhere, and are shown where kernels are
/// looked for.
pub fn command() -> Command {
    let mut command = Cli::command();
    // Options for all commands are theirs only then.
    command.build();
    let command = WITHOUT_KERNELS.into_iter().fold(command, without_archives);
    with_short_help(command, "")
}

fn without_archives(command: Command, path: &[&str]) -> Command {
    match path {
        [] => command.mut_args(|arg| {
            let of_archives = arg.get_help_heading() == Some(ARCHIVES);
            if of_archives { arg.hide(true) } else { arg }
        }),
        [first, rest @ ..] => {
            command.mut_subcommand(*first, |command| without_archives(command, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a command.
    fn help(path: &[&str]) -> String {
        let mut command = command();
        let mut at = &mut command;
        for name in path {
            at = at.find_subcommand_mut(name).unwrap();
        }
        at.render_long_help().to_string()
    }

    #[test]
    fn options_of_the_archives_show_where_kernels_are_looked_for() {
        for path in [&["bisect"][..], &["check"], &["kernels", "list"], &["scenario", "selftest"]] {
            assert!(help(path).contains("--suite"), "{path:?}");
        }
        for path in WITHOUT_KERNELS {
            let help = help(path);
            assert!(!help.contains("--suite") && !help.contains(ARCHIVES), "{path:?}: {help}");
            assert!(help.contains("--json"), "{path:?}: {help}");
        }
    }
}
