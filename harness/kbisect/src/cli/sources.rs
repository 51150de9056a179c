//! The options that name sources of kernels, and give services another address. They follow from the
//! sources themselves.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use kbisect_kernels::{COMMIT_PLACE, Source};

use super::command::ARCHIVES;

/// Options of the sources of kernels.
#[derive(Clone, Debug, Default)]
pub struct SourceArgs {
    /// Where to look, as it was named.
    pub named: Vec<Source>,
    /// Other addresses of services.
    pub urls: Vec<(Source, String)>,
    /// The git tree whose commits are built.
    pub git: Option<PathBuf>,
    /// The folder of patches that are built one after the other.
    pub quilt: Option<PathBuf>,
    /// Where kernels of commits are that somebody else built.
    pub template: Option<String>,
}

/// How a git tree is named.
const GIT: &str = "git:";
/// How a folder of patches is named.
const QUILT: &str = "quilt:";

/// How kernels that somebody else built are named.
const URLS: &str = "urls:";

/// A source as it is typed.
#[derive(Clone, Debug)]
enum Typed {
    Known(Source),
    Git(PathBuf),
    Quilt(PathBuf),
    Urls(String),
}

/// Reads the name of a source, or `git:PATH`.
#[derive(Clone)]
struct Names;

impl TypedValueParser for Names {
    type Value = Typed;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Typed, clap::Error> {
        if let Some(path) = value.to_str().and_then(|text| text.strip_prefix(GIT)) {
            return Ok(Typed::Git(PathBuf::from(path)));
        }
        if let Some(path) = value.to_str().and_then(|text| text.strip_prefix(QUILT)) {
            return Ok(Typed::Quilt(PathBuf::from(path)));
        }
        if let Some(template) = value.to_str().and_then(|text| text.strip_prefix(URLS)) {
            if template.contains(COMMIT_PLACE) {
                return Ok(Typed::Urls(template.to_owned()));
            }
            let text = format!(
                "`{template}` has no {COMMIT_PLACE} in it, which stands for a commit's id\n"
            );
            return Err(clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command));
        }
        let known = PossibleValuesParser::new(known()).try_map(|name| name.parse::<Source>());
        known.parse_ref(command, arg, value).map(Typed::Known)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let git = PossibleValue::new("git:PATH").help("The commits of a git tree, which are built");
        let quilt =
            PossibleValue::new("quilt:DIR").help("The patches of a series, on --base git:PATH");
        let urls = PossibleValue::new("urls:TEMPLATE").help(
            "With git:PATH: kernels that somebody else built, as https://HOST/{commit}/bzImage",
        );
        Some(Box::new(known().chain([git, quilt, urls])))
    }
}

fn known() -> impl Iterator<Item = PossibleValue> {
    Source::all().map(|source| PossibleValue::new(source.name).help(source.help))
}

impl Args for SourceArgs {
    fn augment_args(command: Command) -> Command {
        let named = Arg::new("sources")
            .long("source")
            .value_name("NAME[,NAME]")
            .value_delimiter(',')
            .value_parser(Names)
            .action(clap::ArgAction::Append)
            .help(format!(
                "Where to look for kernels, beside the local store; separated by commas, or repeated \
                 [default: {}]",
                Source::default()
            ));
        let urls = Source::all().filter_map(|source| {
            let option = source.address?.option;
            let help = format!("Address of {}, or of a mirror", source.title);
            Some(Arg::new(option).long(option).value_name("URL").help(help))
        });
        std::iter::once(named)
            .chain(urls)
            .fold(command, |command, arg| command.arg(arg.global(true).help_heading(ARCHIVES)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SourceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = || matches.get_many::<Typed>("sources").into_iter().flatten();
        let named = typed().filter_map(|typed| match typed {
            Typed::Known(source) => Some(*source),
            Typed::Git(_) | Typed::Quilt(_) | Typed::Urls(_) => None,
        });
        let mut trees = typed().filter_map(|typed| match typed {
            Typed::Git(path) => Some(path.clone()),
            Typed::Known(_) | Typed::Quilt(_) | Typed::Urls(_) => None,
        });
        let mut stacks = typed().filter_map(|typed| match typed {
            Typed::Quilt(path) => Some(path.clone()),
            Typed::Known(_) | Typed::Git(_) | Typed::Urls(_) => None,
        });
        let mut templates = typed().filter_map(|typed| match typed {
            Typed::Urls(template) => Some(template.clone()),
            Typed::Known(_) | Typed::Git(_) | Typed::Quilt(_) => None,
        });
        let url = |source: Source| {
            let url = matches.get_one::<String>(source.address?.option)?;
            Some((source, url.clone()))
        };
        let urls = Source::all().filter_map(url).collect();
        let (git, quilt) = (trees.next_back(), stacks.next_back());
        Ok(Self { named: named.collect(), urls, git, quilt, template: templates.next_back() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
