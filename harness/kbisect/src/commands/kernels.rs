//! `kbisect kernels`: what there is, and what is in the local store.

use std::time::Duration;

use kbisect_core::kernel::Kernel;
use kbisect_core::version::PackageVersion;
use kbisect_kernels::{
    AddRequest, Candidate, CandidateState, Catalog, PruneRule, ReadyKernel, ResolveError, Settings,
    Source, Store, VariantRequest, prune_sources,
};
use kbisect_report::{DebugDocument, KernelsDocument, ListedKernel, ListedState};
use kbisect_vm::states::{self, States};
use serde::Serialize;

use crate::cli::{
    AddArgs, DebugArgs, FetchArgs, Global, Kernels, KernelsArgs, KernelsCommand, ListArgs,
    PruneArgs, Range,
};
use crate::ui::Ui;
use crate::{errors, output};

const DAY: u64 = 24 * 60 * 60;

/// Carries out a command about kernels.
///
/// # Errors
/// Those of the settings, the archives and the store.
pub fn kernels(args: &KernelsArgs, global: &Global) -> anyhow::Result<()> {
    let settings = global.settings()?;
    let store = global.store(&settings)?;
    let work = Work { settings, store, global };
    match &args.command {
        KernelsCommand::List(args) => work.list(args),
        KernelsCommand::Fetch(args) => work.fetch(args),
        KernelsCommand::Add(args) => work.add(args),
        KernelsCommand::Debug(args) => work.debug(args),
        KernelsCommand::Prune(args) => work.prune(args),
    }
}

struct Work<'a> {
    settings: Settings,
    store: Store,
    global: &'a Global,
}

impl Work<'_> {
    fn list(&self, args: &ListArgs) -> anyhow::Result<()> {
        if args.stored {
            return self.show(self.store.list()?.iter().map(of_ready).collect());
        }
        let ui = Ui::new(self.global);
        let catalog = self.catalog(&ui)?;
        let candidates = match &args.kernels {
            Some(Kernels::Between(range)) => listed(&catalog, range)?,
            Some(Kernels::One(spec)) => of_series(&catalog, spec)?,
            None => catalog.all(),
        };
        ui.finish();
        self.show(candidates.iter().map(of_candidate).collect())
    }

    fn fetch(&self, args: &FetchArgs) -> anyhow::Result<()> {
        let ui = Ui::new(self.global);
        let catalog = self.catalog(&ui)?;
        // All names first: a typing error is told before anything is downloaded.
        let mut wanted: Vec<(Candidate, Asked)> = Vec::new();
        for spec in &args.kernels {
            match spec.parse::<Range>() {
                Ok(range) if spec.contains("..") => {
                    for candidate in catalog.series(&range.old, &range.new)? {
                        if let CandidateState::Untestable { reason } = &candidate.state {
                            let version = &candidate.kernel.package_version;
                            ui.note(&format!("{version} is left out: {reason}"));
                        } else {
                            wanted.push((candidate, Asked::InRange));
                        }
                    }
                }
                _ => wanted.push((catalog.resolve(spec)?, Asked::ByName)),
            }
        }
        let progress = ui.progress();
        let mut ready = Vec::new();
        for (candidate, asked) in &wanted {
            for note in &candidate.notes {
                ui.note(note);
            }
            match self.store.ensure(candidate, &self.settings, progress.as_ref()) {
                Ok(kernel) => ready.push(kernel),
                // What a range holds is what a list says; that it is not there ends nothing.
                Err(error) if error.is_final() && *asked == Asked::InRange => {
                    ui.note(&format!("left out: {}", errors::message(&error.into())));
                }
                Err(error) => return Err(error.into()),
            }
        }
        ui.finish();
        self.show(ready.iter().map(of_ready).collect())
    }

    fn debug(&self, args: &DebugArgs) -> anyhow::Result<()> {
        let ui = Ui::new(self.global);
        let candidate = self.catalog(&ui)?.resolve(&args.kernel)?;
        let progress = ui.progress();
        let ready = self.store.ensure(&candidate, &self.settings, progress.as_ref())?;
        let modules = args.modules.iter().map(|name| name.replace('-', "_")).collect();
        let id = &ready.kernel.id;
        let found = self.store.debug_info(id, &modules, &self.settings, progress.as_ref())?;
        ui.finish();
        for name in modules.iter().filter(|name| !found.modules.contains_key(*name)) {
            output::say(&format!("warning: {} has no module {name}", found.package));
        }
        if self.global.json {
            return output::json(&DebugDocument {
                schema: "kbisect.debug/1".to_owned(),
                kernel: ready.kernel.clone(),
                package: found.package,
                vmlinux: found.vmlinux.display().to_string(),
                modules: found
                    .modules
                    .iter()
                    .map(|(name, path)| (name.clone(), path.display().to_string()))
                    .collect(),
            });
        }
        let paths = std::iter::once(&found.vmlinux).chain(found.modules.values());
        output::print(&paths.map(|path| format!("{}\n", path.display())).collect::<String>())
    }

    fn add(&self, args: &AddArgs) -> anyhow::Result<()> {
        let ui = Ui::new(self.global);
        if let (Some(base), Some(name)) = (&args.base, &args.name) {
            return self.add_variant(base, name, args, &ui);
        }
        let request = AddRequest {
            inputs: args.paths.clone(),
            modules: args.modules.clone(),
            name: args.name.clone(),
            replace: args.replace,
            version: args.kernel_version.clone(),
        };
        let ready = self.store.add(&request, ui.progress().as_ref())?;
        let missing = ready.missing_for_boot();
        if !missing.is_empty() {
            ui.note(&format!(
                "warning: it cannot run trials, for it lacks {} (neither built in nor a module)",
                missing.join(", ")
            ));
        }
        ui.finish();
        self.show(vec![of_ready(&ready)])
    }

    fn add_variant(&self, base: &str, name: &str, args: &AddArgs, ui: &Ui) -> anyhow::Result<()> {
        let candidate = self.catalog(ui)?.resolve(base)?;
        for note in &candidate.notes {
            ui.note(note);
        }
        let progress = ui.progress();
        let request = VariantRequest {
            base: self.store.ensure(&candidate, &self.settings, progress.as_ref())?,
            modules: args.replacements.clone(),
            cmdline: args
                .cmdline
                .iter()
                .flat_map(|words| words.split_whitespace())
                .map(str::to_owned)
                .collect(),
            name: name.to_owned(),
            replace: args.replace,
        };
        let added = self.store.add_variant(&request, progress.as_ref())?;
        for note in &added.notes {
            ui.note(&format!("note: {note}"));
        }
        ui.finish();
        self.show(vec![of_ready(&added.kernel)])
    }

    fn prune(&self, args: &PruneArgs) -> anyhow::Result<()> {
        let stored = self.store.list()?;
        let named = args
            .kernels
            .iter()
            .map(|spec| {
                let found = stored.iter().find(|ready| is_called(&ready.kernel, spec));
                found.map(|ready| ready.kernel.id.clone()).ok_or_else(|| {
                    errors::usage(
                        format!("no kernel `{spec}` is in the store"),
                        "`kbisect kernels list --stored` names those that are, with their ids",
                    )
                })
            })
            .collect::<anyhow::Result<_>>()?;
        let rule = PruneRule {
            named,
            keep: if args.all { Some(0) } else { args.keep },
            max_bytes: args.max_size,
            older_than: args.older_than.map(|days| Duration::from_secs(days.saturating_mul(DAY))),
            dry_run: args.dry_run,
        };
        let report = self.store.prune(&rule)?;
        // A saved state is of no use without its kernel, and none is needed without any.
        let states = States::new(&self.settings.cache_dir, states::DEFAULT_LIMIT);
        let limit = if args.all { 0 } else { states::DEFAULT_LIMIT };
        let states_freed_bytes = if args.dry_run { 0 } else { states.prune(limit) };
        let sources = match args.all {
            true => prune_sources(&self.settings.cache_dir, args.dry_run)?,
            false => 0,
        };
        if self.global.json {
            return output::json(&PrunedDocument {
                schema: "kbisect.pruned/1",
                removed: report.removed,
                in_use: report.in_use,
                freed_bytes: report.freed_bytes,
                left_bytes: report.left_bytes,
                debug_removed: report.debug_removed,
                states_freed_bytes,
                sources_freed_bytes: sources,
                dry_run: args.dry_run,
            });
        }
        let word = if args.dry_run { "would remove" } else { "removed" };
        let mut text = String::new();
        for kernel in &report.removed {
            text.push_str(&format!("{word} {}\n", identity(kernel)));
        }
        for package in &report.debug_removed {
            text.push_str(&format!("{word} debug information {package}\n"));
        }
        if states_freed_bytes > 0 {
            text.push_str(&format!(
                "removed saved states, {}\n",
                output::bytes(states_freed_bytes)
            ));
        }
        if sources > 0 {
            let bytes = output::bytes(sources);
            text.push_str(&format!("{word} source files and what was built of them, {bytes}\n"));
        }
        for kernel in &report.in_use {
            text.push_str(&format!("kept {}: it is in use\n", identity(kernel)));
        }
        let count = match report.removed.len() {
            1 => "1 kernel".to_owned(),
            count => format!("{count} kernels"),
        };
        text.push_str(&format!(
            "{word} {count}, {}; {} left\n",
            output::bytes(report.freed_bytes),
            output::bytes(report.left_bytes)
        ));
        output::print(&text)
    }

    fn catalog(&self, ui: &Ui) -> anyhow::Result<Catalog> {
        Ok(Catalog::load(&self.settings, &self.store, ui.progress().as_ref())?)
    }

    fn show(&self, kernels: Vec<ListedKernel>) -> anyhow::Result<()> {
        if self.global.json {
            return output::json(&KernelsDocument::new(kernels));
        }
        if kernels.is_empty() {
            return output::print("no kernels\n");
        }
        let mut rows: Vec<Vec<String>> =
            vec![["VERSION", "PACKAGE", "ID", "SOURCE", "STATE"].map(str::to_owned).to_vec()];
        rows.extend(kernels.iter().map(row));
        output::print(&output::table(&rows))
    }
}

/// How a kernel that is to be fetched was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByName,
    InRange,
}

/// Whether a kernel is called so: never a bare upstream version, which several kernels share.
fn is_called(kernel: &Kernel, spec: &str) -> bool {
    const SHORTEST_ID: usize = 8;
    let by_id = spec.len() >= SHORTEST_ID && kernel.id.0.starts_with(spec);
    let by_version = kernel.variant.is_none() && kernel.package_version.as_str() == spec;
    kernel.name.as_deref() == Some(spec) || by_version || by_id
}

/// What `kernels prune --json` prints.
#[derive(Serialize)]
struct PrunedDocument {
    schema: &'static str,
    removed: Vec<Kernel>,
    in_use: Vec<Kernel>,
    freed_bytes: u64,
    left_bytes: u64,
    debug_removed: Vec<String>,
    states_freed_bytes: u64,
    sources_freed_bytes: u64,
    dry_run: bool,
}

/// The kernels of a range. Unlike a bisection, a list can do without kernels at its very ends:
/// `6.12..6.13` is what there is of a series.
fn listed(catalog: &Catalog, range: &Range) -> anyhow::Result<Vec<Candidate>> {
    let error = match catalog.series(&range.old, &range.new) {
        Err(error @ ResolveError::Unknown { .. }) => error,
        other => return Ok(other?),
    };
    let ends = (PackageVersion::parse(&range.old), PackageVersion::parse(&range.new));
    let (Ok(old), Ok(new)) = ends else { return Err(error.into()) };
    let upstream = |version: &PackageVersion| PackageVersion::parse(version.upstream()).ok();
    let within = |candidate: &Candidate| {
        let version = &candidate.kernel.package_version;
        // An end without a revision stands for all of its upstream version.
        *version >= old
            && (*version <= new
                || new.revision().is_none() && upstream(version) == Some(new.clone()))
    };
    let found: Vec<Candidate> = catalog.all().into_iter().filter(within).collect();
    if found.is_empty() { Err(error.into()) } else { Ok(found) }
}

/// The kernels of a series (`5.10`), or those that a version names.
fn of_series(catalog: &Catalog, spec: &str) -> anyhow::Result<Vec<Candidate>> {
    let below = format!("{spec}.");
    let ours = |candidate: &Candidate| {
        let kernel = &candidate.kernel;
        kernel.version == spec
            || kernel.version.starts_with(&below)
            || kernel.package_version.as_str() == spec
            || kernel.name.as_deref() == Some(spec)
    };
    let found: Vec<Candidate> = catalog.all().into_iter().filter(ours).collect();
    if found.is_empty() { Ok(vec![catalog.resolve(spec)?]) } else { Ok(found) }
}

fn of_candidate(candidate: &Candidate) -> ListedKernel {
    let (state, reason) = match &candidate.state {
        CandidateState::Stored => (ListedState::Stored, None),
        CandidateState::Downloadable { .. } | CandidateState::Buildable => {
            (ListedState::Downloadable, None)
        }
        CandidateState::Untestable { reason } => (ListedState::Untestable, Some(reason.clone())),
    };
    let own = candidate.kernel.source.strip_prefix("debian:").map(str::to_owned);
    ListedKernel {
        state,
        reason,
        bytes: candidate.download_bytes(),
        suites: own.into_iter().chain(candidate.also_in.iter().cloned()).collect(),
        name: candidate.kernel.name.clone(),
        kernel: candidate.kernel.clone(),
    }
}

fn of_ready(ready: &ReadyKernel) -> ListedKernel {
    let kernel = ready.kernel.clone();
    ListedKernel {
        state: ListedState::Stored,
        reason: None,
        bytes: 0,
        suites: kernel.source.strip_prefix("debian:").map(str::to_owned).into_iter().collect(),
        name: kernel.name.clone(),
        kernel,
    }
}

fn row(listed: &ListedKernel) -> Vec<String> {
    let kernel = &listed.kernel;
    let state = match (listed.state, &listed.reason) {
        (ListedState::Stored, _) => "stored".to_owned(),
        // A list names versions, not their packages.
        (ListedState::Downloadable, _) if Source::is_estimate(kernel) => {
            format!("about {}", output::bytes(listed.bytes))
        }
        (ListedState::Downloadable, _) => output::bytes(listed.bytes),
        (ListedState::Untestable, Some(reason)) => format!("untestable: {reason}"),
        (ListedState::Untestable, None) => "untestable".to_owned(),
    };
    let source = kernel.source.strip_prefix("debian:").unwrap_or(&kernel.source);
    let cells = [
        kernel.label().to_owned(),
        kernel.package_version.to_string(),
        kernel.id.short().to_owned(),
        source.to_owned(),
        state,
    ];
    cells.map(|cell| output::clean(&cell)).to_vec()
}

fn identity(kernel: &Kernel) -> String {
    let text = format!("{} ({}, {})", kernel.label(), kernel.package_version, kernel.id.short());
    output::clean(&text)
}
