//! The whole way: files in, files out.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, ImportError};
use super::known::Known;
use super::made::Made;
use super::plan::Plan;
use super::{checks, forwards, proposals, read, render};
use crate::scenario::Scenario;

/// What the user wants of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the node that stands for the host.
    pub node: String,
    /// Interfaces to leave out, with all that hangs on them.
    pub ignored: BTreeSet<String>,
}

/// A scenario's folder that was made of dumps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Files by path, `scenario.toml` included.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was left out or should be looked at; the file says it too.
    pub warnings: Vec<Finding>,
}

/// Makes the scenario `name` (that of its folder) of the files of a dump, by file name. What a file
/// holds is told by its content; see scripts/host-dump for the commands.
///
/// # Errors
/// [`ImportError::Dumps`] for dumps that are incomplete or broken, and for interfaces that cannot be
/// rebuilt; [`ImportError::Generated`] when the result is no valid scenario.
pub fn from_dumps(
    name: &str,
    dumps: &BTreeMap<String, Vec<u8>>,
    options: &Options,
) -> Result<Imported, ImportError> {
    let (mut host, mut warnings) = read::read(dumps, &options.ignored)?;
    let known = Known::read(&host);
    let mut plan = Plan::make(&mut host, &options.node, &known)?;
    warnings.append(&mut plan.warnings);
    let way = checks::choose(&host, &known, &mut plan);
    let tried = forwards::choose(&host, &known, &mut plan, way.as_ref());
    warnings.extend(proposals::untried(&known, &tried));
    let made = Made { host: &host, known: &known, plan: &plan, way: way.as_ref(), tried: &tried };
    let mut files = render::assets(&made);
    let text = render::scenario(name, &made, &warnings);
    Scenario::parse(name, "scenario.toml", &text)
        .and_then(|parsed| parsed.with_assets(files.clone()))
        .map_err(ImportError::Generated)?;
    files.insert("scenario.toml".to_owned(), text.into_bytes());
    Ok(Imported { files, warnings })
}
