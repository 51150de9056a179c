//! `kbisect config`: the configuration that commits are built with for a scenario.

use std::collections::BTreeMap;
use std::path::Path;

use kbisect_kernels::commits::config::{derive, option};
use kbisect_kernels::commits::{Configuration, Recipe, Toolchain};
use kbisect_kernels::{Commits, commits};
use kbisect_report::{ConfigDocument, words};

use crate::cli::{ConfigArgs, Global};
use crate::run::Base;
use crate::settings::scenario::load;
use crate::{errors, output};

/// Prints the configuration.
///
/// # Errors
/// No tree, or one without that commit; those of the scenario.
pub fn config(args: &ConfigArgs, global: &Global) -> anyhow::Result<()> {
    let loaded = load(&args.scenario)?;
    let Some(tree) = &global.sources.git else {
        return Err(errors::usage(
            "no git tree is named: what there is to configure depends on it",
            "add --source git:PATH",
        ));
    };
    let commit = commits::commit(tree, &args.kernel)?;
    let base = Base::new(global)?;
    let needs = loaded.scenario.kernel_needs();
    let look = |src: &Path| derive(src, &needs);
    let progress = base.progress();
    let cache = &base.settings.cache_dir;
    let found = Commits::files_of(tree, &commit, cache, progress.as_ref(), look)?;
    base.go_on()?;
    let whole = match args.whole {
        true => {
            let fragment = Configuration::Fragment(found.fragment());
            let recipe = Recipe::new(tree, cache, fragment, Toolchain::default())?;
            let version = commits::version_of(tree, &commit)?;
            Some(commits::configured(&recipe, &commit, &version, progress.as_ref())?)
        }
        false => None,
    };
    base.go_on()?;
    base.ui.finish();
    if global.json {
        let options = whole.as_deref().map_or(found.options, options);
        return output::json(&ConfigDocument::new(&args.scenario, &commit, options, found.unknown));
    }
    if !found.unknown.is_empty() {
        base.ui.note(&words::no_option(&found.unknown));
    }
    match whole {
        Some(text) => output::print(&text),
        None => {
            let head = words::config_head(&args.scenario, &commit);
            output::print(&format!("{head}{}", found.fragment()))
        }
    }
}

/// The options of a `.config`.
fn options(text: &str) -> BTreeMap<String, String> {
    let options = text.lines().filter_map(option);
    options.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
