//! Help that fits a screen, and `--help all` for the rest.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// What asks for all of it, after `--help`.
const ALL: &str = "all";
/// Longest line about an option.
const LINE: usize = 74;

/// Makes `--help` the short one of a command, and of those below it. Options that stand under a heading of their
/// own are in the long one, and so are examples and exit codes.
pub fn with_short_help(command: Command, path: &str) -> Command {
    let path = match path {
        "" => command.get_name().to_owned(),
        path => format!("{path} {}", command.get_name()),
    };
    let after = command.get_after_help().map(ToString::to_string);
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    // Without one of its own the long one would end as the short one does.
    let command = command
        .mut_args(short)
        .after_help(format!("All options, examples, exit codes: {path} --help {ALL}"))
        .after_long_help(after.unwrap_or_default());
    below.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| with_short_help(below, &path))
    })
}

fn short(arg: Arg) -> Arg {
    let full = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
    if arg.get_id() == "help" {
        let text = format!("Print this; --help {ALL} prints all");
        return arg.help(text.clone()).long_help(text);
    }
    let is_detail = arg.get_help_heading().is_some();
    let arg = arg.hide_short_help(is_detail);
    match full {
        Some(full) => arg.help(first(&full)).long_help(full),
        None => arg,
    }
}

/// What a text begins with: as much as says what it is about.
fn first(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    let least = 4;
    let ends = [": ", "; ", ". ", " (", " [default", ", "];
    let cut = ends.into_iter().filter_map(|end| {
        let at = text.get(least..)?.find(end)? + least;
        // A list of few words may stay.
        (end != ", " || text.chars().count() > LINE).then_some(at)
    });
    match cut.min() {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// Turns what asks for help into what clap calls it: `-h` is the short one, `--help` the long one.
pub fn asked(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_help = |word: &OsString| word == "--help" || word == "-h";
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let Some(at) = arguments.get(..end).and_then(|words| words.iter().position(is_help)) else {
        return arguments;
    };
    if arguments.get(at + 1).is_some_and(|next| next == OsStr::new(ALL)) {
        arguments.remove(at + 1);
        arguments[at] = "--help".into();
    } else {
        arguments[at] = "-h".into();
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    /// Names of commands, with those below them.
    fn paths(command: &Command, above: &str, to: &mut Vec<String>) {
        for below in command.get_subcommands().filter(|it| it.get_name() != "help") {
            let path = format!("{above} {}", below.get_name());
            paths(below, &path, to);
            to.push(path);
        }
    }

    #[test]
    fn help_of_a_command_fits_forty_lines() {
        let mut all = vec![String::new()];
        paths(&command(), "", &mut all);
        assert!(all.len() > 30);
        for path in all {
            let mut command = command();
            let mut at = &mut command;
            for name in path.split_whitespace() {
                at = at.find_subcommand_mut(name).unwrap();
            }
            let (short, long) = (at.render_help().to_string(), at.render_long_help().to_string());
            assert!(short.lines().count() <= 40, "{path}: {}\n{short}", short.lines().count());
            assert!(short.lines().count() <= long.lines().count() + 3, "{path}");
        }
    }

    #[test]
    fn all_of_it_comes_when_it_is_asked_for() {
        assert_eq!(asked(words("kbisect run --help all")), words("kbisect run --help"));
        assert_eq!(asked(words("kbisect run --help")), words("kbisect run -h"));
        assert_eq!(asked(words("kbisect run -- --help")), words("kbisect run -- --help"));
    }

    #[test]
    fn a_line_about_an_option_is_what_its_text_begins_with() {
        for (text, expected) in [
            (
                "Folder that runs are written to [default: results]",
                "Folder that runs are written to",
            ),
            (
                "Where to look for kernels, beside the local store; separated by commas, or repeated, as often as needed",
                "Where to look for kernels",
            ),
            ("Kernels: a version, a release", "Kernels"),
            ("Print it", "Print it"),
        ] {
            assert_eq!(first(text), expected);
        }
    }
}
