//! The options that name sources of kernels, and give services another address. They follow from the
//! sources themselves.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use kbisect_kernels::Source;

use super::command::ARCHIVES;

/// Options of the sources of kernels.
#[derive(Clone, Debug, Default)]
pub struct SourceArgs {
    /// Where to look, as it was named.
    pub named: Vec<Source>,
    /// Other addresses of services.
    pub urls: Vec<(Source, String)>,
}

impl Args for SourceArgs {
    fn augment_args(command: Command) -> Command {
        let values = Source::all().map(|source| PossibleValue::new(source.name).help(source.help));
        let parser = PossibleValuesParser::new(values).try_map(|name| name.parse::<Source>());
        let named = Arg::new("sources")
            .long("source")
            .value_name("NAME[,NAME]")
            .value_delimiter(',')
            .value_parser(parser)
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
        let named = matches.get_many("sources").into_iter().flatten().copied().collect();
        let url = |source: Source| {
            let url = matches.get_one::<String>(source.address?.option)?;
            Some((source, url.clone()))
        };
        Ok(Self { named, urls: Source::all().filter_map(url).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
