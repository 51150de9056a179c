//! From words to commands: `kbisect GOOD..BAD ...` needs no command word.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::short::asked;
use super::{Cli, Series, command};
use crate::errors;
use crate::exit::{self, Class};
use crate::settings::scenario;

/// What is known about a command line before it is parsed: how to report that it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    is_run: bool,
    json: bool,
}

impl Form {
    /// Looks at the words.
    pub fn of(arguments: &[OsString]) -> Self {
        let first = first_word(arguments).and_then(|at| arguments[at].to_str());
        let json = arguments.iter().skip(1).take_while(|a| *a != "--").any(|a| a == "--json");
        Self { is_run: first == Some("run"), json }
    }

    /// The exit code of a failure.
    pub fn exit(self, class: Class) -> ExitCode {
        exit::code(class.code(self.is_run))
    }
}

/// Why there is no command to carry out.
#[derive(Debug)]
pub enum Refusal {
    /// A request for help, or words that clap refuses.
    Clap(Box<clap::Error>),
    /// A first word that is neither a command nor a range.
    Word(anyhow::Error),
}

impl Refusal {
    /// Prints what is to be said and gives the exit code.
    pub fn tell(&self, form: &Form) -> ExitCode {
        match self {
            Self::Word(error) => errors::report(error, form.json),
            Self::Clap(error) => {
                // Nobody is left to be told when this fails.
                let _ = error.print();
                if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                    return exit::code(exit::OK);
                }
                let bare = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
                if form.json && error.kind() == bare {
                    errors::document("the command is not complete", Some("see --help".to_owned()));
                } else if form.json {
                    let (message, hint) = in_short(&error.render().to_string());
                    errors::document(&message, hint);
                }
            }
        }
        form.exit(Class::Usage)
    }
}

/// Parses the words, the program's own name first.
///
/// # Errors
/// [`Refusal`], which also stands for `--help` and `--version`.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Cli, Refusal> {
    if let Some(at) = first_word(&arguments) {
        let word = arguments[at].to_string_lossy().into_owned();
        if word.contains("..") || Series::is_file(&word) {
            arguments.insert(1, "bisect".into());
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Refusal::Word(lone_version(&word, &arguments[at + 1..])));
        }
    }
    let arguments = asked(arguments);
    let clap = |error| Refusal::Clap(Box::new(error));
    let matches =
        command().try_get_matches_from(arguments).map_err(|error| {
            match lacks_scenario(&error) {
                true => Refusal::Word(no_scenario()),
                false => clap(error),
            }
        })?;
    Cli::from_arg_matches(&matches).map_err(clap)
}

fn lacks_scenario(error: &clap::Error) -> bool {
    let missing = error.get(ContextKind::InvalidArg);
    error.kind() == ErrorKind::MissingRequiredArgument
        && matches!(missing, Some(ContextValue::Strings(all)) if all.iter().any(|arg| arg.starts_with("--scenario ")))
}

fn no_scenario() -> anyhow::Error {
    let known: Vec<String> = scenario::list().into_iter().map(|named| named.name).collect();
    errors::usage(
        "no scenario is named: what is to run on the kernels?",
        format!(
            "add --scenario NAME, or a folder of your own; there are {}; `kbisect scenario list` says what each \
             of them is",
            known.join(", ")
        ),
    )
}

fn lone_version(word: &str, rest: &[OsString]) -> anyhow::Error {
    let next = rest.first().and_then(|word| word.to_str());
    let hint = match next {
        Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("a range is written with two dots: kbisect {word}..{next} --scenario NAME")
        }
        _ => format!(
            "a bisection needs a range, GOOD..BAD; one kernel is tried with `kbisect run {word} --scenario \
             NAME`"
        ),
    };
    errors::usage(format!("`{word}` is neither a command nor a range of kernels"), hint)
}

/// Position of the first word that is no option and no option's value.
fn first_word(arguments: &[OsString]) -> Option<usize> {
    let command = command();
    let bisect = command.find_subcommand("bisect");
    // An option of a bisection can stand before its range.
    let options: Vec<&clap::Arg> =
        command.get_arguments().chain(bisect.into_iter().flat_map(|b| b.get_arguments())).collect();
    let takes_value = |word: &str| {
        let optional = |arg: &clap::Arg| arg.is_require_equals_set();
        options.iter().any(|arg| {
            let long = word.strip_prefix("--").is_some_and(|name| arg.get_long() == Some(name));
            let short = word.strip_prefix('-').is_some_and(|name| {
                arg.get_short().is_some_and(|letter| name.ends_with(letter))
                    && !name.starts_with('-')
            });
            (long || short) && arg.get_action().takes_values() && !optional(arg)
        })
    };
    let mut at = 1;
    while let Some(word) = arguments.get(at) {
        let word = word.to_string_lossy();
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') || word == "-" {
            return Some(at);
        }
        at += if takes_value(&word) { 2 } else { 1 };
    }
    None
}

/// The first paragraph of clap's text in one line, and its tip.
fn in_short(text: &str) -> (String, Option<String>) {
    let one_line = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = text.split("\n\n").map(one_line);
    let message = parts.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let hint = parts.find_map(|part| {
        part.strip_prefix("tip: ").or(part.strip_prefix("Usage: ")).map(str::to_owned)
    });
    (message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Endpoint};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn parsed(line: &str) -> Cli {
        parse(words(line)).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_range_needs_no_command_word() {
        for line in [
            "kbisect 6.12.43..6.12.96 --scenario x --skip-endpoint good",
            "kbisect --scenario x --skip-endpoint good 6.12.43..6.12.96",
            "kbisect -q --suite sid -s x 6.12.43..6.12.96 --skip-endpoint=good",
            "kbisect bisect 6.12.43..6.12.96 --scenario=x --skip-endpoint good",
        ] {
            let Some(Command::Bisect(args)) = parsed(line).command else { panic!("{line}") };
            assert_eq!(args.series.to_string(), "6.12.43..6.12.96", "{line}");
            assert_eq!(args.trial.scenario, "x", "{line}");
            assert_eq!(args.skip_endpoint, [Endpoint::Good], "{line}");
        }
    }

    #[test]
    fn a_series_file_needs_none_either() {
        for line in ["kbisect lab/x.toml -s cloudgw", "kbisect -s cloudgw ../lab/x.toml"] {
            let Some(Command::Bisect(args)) = parsed(line).command else { panic!("{line}") };
            assert_eq!(args.series.to_string(), "x", "{line}");
        }
    }

    #[test]
    fn ranges_of_other_commands_stay_theirs() {
        let line = "kbisect --suite sid kernels fetch 6.1..6.2 6.3";
        assert!(matches!(parsed(line).command, Some(Command::Kernels(_))));
        let line = "kbisect scenario check ../x";
        assert!(matches!(parsed(line).command, Some(Command::Scenario(_))));
    }

    #[test]
    fn a_shell_is_asked_for_with_or_without_a_node() {
        let shell = |line: &str| match parsed(line).command {
            Some(Command::Run(args)) => args.shell,
            other => panic!("{other:?}"),
        };
        assert_eq!(shell("kbisect run 6.1 -s x"), None);
        assert_eq!(shell("kbisect run --shell 6.1 -s x"), Some(None));
        assert_eq!(shell("kbisect run 6.1 -s x --shell=gw"), Some(Some("gw".to_owned())));
    }

    #[test]
    fn two_versions_are_answered_with_the_range() {
        let Err(Refusal::Word(error)) = parse(words("kbisect 6.1 6.2 -s x")) else { panic!() };
        assert!(errors::hint(&error).unwrap().contains("kbisect 6.1..6.2"));
    }

    #[test]
    fn usage_errors_of_run_stop_a_git_bisection() {
        let form = Form::of(&words("kbisect --suite sid run --json"));
        assert_eq!(form, Form { is_run: true, json: true });
        assert!(!Form::of(&words("kbisect --suite run 6.1..6.2")).is_run);
    }

    #[test]
    fn claps_text_in_one_line() {
        let Err(Refusal::Clap(error)) = parse(words("kbisect verify")) else { panic!() };
        let (message, hint) = in_short(&error.render().to_string());
        assert!(message.contains("not provided") && !message.contains('\n'), "{message}");
        assert!(hint.unwrap().contains("kbisect verify"));
    }

    #[test]
    fn without_a_scenario_those_that_there_are_are_named() {
        for typed in ["kbisect 6.1..6.2", "kbisect run 6.1"] {
            let Err(Refusal::Word(error)) = parse(words(typed)) else { panic!("{typed}") };
            let hint = errors::hint(&error).unwrap();
            assert!(hint.contains("cloudgw, connlimit") && hint.contains("--scenario"), "{hint}");
        }
    }
}
