//! What changed between the two sides of an answer, ranked; or between any two kernels.

use std::path::Path;

use kbisect_core::changes::{Clues, RankedChange, WhatChanged};
use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::run::RunEvent;
use kbisect_core::version::PackageVersion;
use kbisect_kernels::Catalog;
use kbisect_report::{ChangesDocument, Dossier, JOURNAL_NAME, read_journal_of};

use super::files::kept_scenario;
use super::forgone::forgone;
use super::later::add;
use super::ranker::{Origin, Ranker};
use crate::cli::{ChangesArgs, Global, Range};
use crate::settings::global::run_folder;
use crate::ui::Ui;
use crate::{errors, output, settings};

/// Ranks what changed, for a run or between two kernels.
///
/// # Errors
/// When there are no two kernels to compare. That their changes are not known is an answer.
pub fn changes(args: &ChangesArgs, global: &Global) -> anyhow::Result<()> {
    let settings = global.settings()?;
    let ui = Ui::new(global);
    let progress = ui.progress();
    let origin = match (&args.git, &args.changelog) {
        (Some(folder), _) => Origin::Git(folder.clone()),
        (None, Some(file)) => Origin::File(file.clone()),
        (None, None) => Origin::Archive,
    };
    let work = Ranker { settings: &settings, progress: progress.as_ref(), origin };
    let folder = Path::new(&args.target);
    let is_run = folder.is_dir() || args.results.join(folder).is_dir();
    let changes = match args.target.parse::<Range>() {
        Ok(range) if !is_run => of_range(&range, args, global, &work)?,
        _ => of_run(args, &work)?,
    };
    ui.finish();
    if global.json {
        let schema = "kbisect.changes/1".to_owned();
        return output::json(&ChangesDocument { schema, changes });
    }
    output::print(&tell(&changes))
}

fn of_run(args: &ChangesArgs, work: &Ranker<'_>) -> anyhow::Result<WhatChanged> {
    let folder = run_folder(Path::new(&args.target), &args.results)?;
    let dossier = Dossier::read(&folder)?;
    let scenario = match &args.scenario {
        Some(name) => Some(settings::scenario::load(name)?.scenario),
        // Without it the ranking is poorer, and still one.
        None => kept_scenario(&folder).ok(),
    };
    let text = args.symptom_text.as_deref();
    let changes = work.of_run(&dossier, scenario.as_ref(), text).ok_or_else(|| {
        errors::usage(
            format!("the run in `{}` has no two sides to compare", folder.display()),
            "name a bisection that ended with an answer, or two kernels: OLD..NEW --scenario NAME",
        )
    })?;
    if folder.join(JOURNAL_NAME).is_file() {
        add(&folder, RunEvent::Changes { changes: Box::new(changes.clone()) })?;
        let lines = read_journal_of(&folder)?.lines;
        if let Some(forgone) = forgone(&lines, work, &|| false) {
            add(&folder, RunEvent::Forgone { forgone: Box::new(forgone) })?;
        }
    }
    Ok(changes)
}

fn of_range(
    range: &Range,
    args: &ChangesArgs,
    global: &Global,
    work: &Ranker<'_>,
) -> anyhow::Result<WhatChanged> {
    if args.scenario.is_none() && args.symptom_text.is_none() {
        return Err(errors::usage(
            "what are the changes to be compared with?",
            "name a scenario with --scenario NAME, or give words with --symptom-text TEXT",
        ));
    }
    let scenario = args.scenario.as_ref().map(|name| settings::scenario::load(name));
    let scenario = scenario.transpose()?.map(|loaded| loaded.scenario);
    let mut clues = Clues::of(scenario.as_ref(), None);
    clues.text(args.symptom_text.as_deref().unwrap_or_default());
    let (old, new) = match work.origin {
        Origin::Archive => {
            let store = global.store(work.settings)?;
            let catalog = Catalog::load(work.settings, &store, work.progress)?;
            (catalog.resolve(&range.old)?.kernel, catalog.resolve(&range.new)?.kernel)
        }
        Origin::File(_) | Origin::Git(_) => (named(&range.old)?, named(&range.new)?),
    };
    if old.package_version >= new.package_version {
        return Err(errors::usage(
            format!("{} is not older than {}", range.old, range.new),
            "the older kernel comes first",
        ));
    }
    Ok(work.between(&old, &new, &clues))
}

/// A kernel of which only the version matters.
fn named(version: &str) -> anyhow::Result<Kernel> {
    let package_version = PackageVersion::parse(version)?;
    // With a revision it is a package's version, without it an upstream release.
    let source = if package_version.revision().is_some() { "debian" } else { "upstream" };
    Ok(Kernel {
        version: package_version.upstream().to_owned(),
        package_version,
        flavour: String::new(),
        source: source.to_owned(),
        id: KernelId(String::new()),
        release: None,
        name: None,
        variant: None,
    })
}

fn tell(changes: &WhatChanged) -> String {
    let ranking = match changes {
        WhatChanged::Unavailable { reason } => {
            return format!("what changed is not available, because {}\n", output::clean(reason));
        }
        WhatChanged::Ranked(ranking) => ranking,
    };
    let mut text = format!("{}\n", output::clean(&kbisect_report::changes_sentence(ranking)));
    for change in &ranking.top {
        text += &line(change);
    }
    for note in &ranking.notes {
        text += &format!("note: {}\n", output::clean(note));
    }
    text
}

fn line(ranked: &RankedChange) -> String {
    let RankedChange { rank, score, .. } = ranked;
    let subject = output::clean(&ranked.change.subject);
    let (origin, because) = (output::clean(&ranked.origin()), output::clean(&ranked.because()));
    format!("{rank:>3}. {subject} ({origin})\n     {score:.1} points: {because}\n")
}
