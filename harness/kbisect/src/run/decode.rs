//! Source lines for the trace of a failed trial, or of any console log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kbisect_core::console::classify;
use kbisect_core::evidence::Decoded;
use kbisect_core::kernel::KernelId;
use kbisect_core::run::{EvidenceChoices, RunEvent, RunResult};
use kbisect_core::trial::{Phase, TrialRecord};
use kbisect_kernels::{Progress, Settings, Store};
use kbisect_report::{DecodeDocument, DecodedTrace, Dossier, JOURNAL_NAME};
use kbisect_symbols::Files;

use super::later::add;
use super::single::write_result;
use crate::cli::{DecodeArgs, Global};
use crate::settings::global::run_folder;
use crate::ui::Ui;
use crate::{errors, output};

/// Most bytes of a console log that are read.
const MAX_LOG: u64 = 256 << 20;
/// Most entries of a folder tree that modules are looked for in.
const MAX_ENTRIES: usize = 200_000;

/// Where debug information comes from.
pub enum Sources {
    /// A kernel of the user's, and a folder with modules.
    Given { vmlinux: PathBuf, modules: PathBuf },
    /// The debug package of the kernel in question.
    Archive,
}

impl Sources {
    /// What was asked for on the command line; nothing when nothing was.
    #[must_use]
    pub fn of(chosen: &EvidenceChoices) -> Option<Self> {
        match &chosen.vmlinux {
            Some(vmlinux) => {
                let modules = chosen.debug_modules.as_deref().map(Path::new);
                Some(Self::given(Path::new(vmlinux), modules))
            }
            None => chosen.debug_info.then_some(Self::Archive),
        }
    }

    fn given(vmlinux: &Path, modules: Option<&Path>) -> Self {
        let beside = vmlinux.parent().unwrap_or(Path::new("."));
        let modules = modules.unwrap_or(beside).to_owned();
        Self::Given { vmlinux: vmlinux.to_owned(), modules }
    }
}

/// Decodes traces.
pub struct Decoder<'a> {
    /// Kernels, and their debug packages.
    pub store: &'a Store,
    /// Where to look for packages.
    pub settings: &'a Settings,
    /// Where downloads tell how far they are.
    pub progress: Arc<dyn Progress>,
}

impl Decoder<'_> {
    /// Decodes the report that a trial's verdict rests on; `None` when there is no report.
    pub fn record(&self, record: &TrialRecord, sources: &Sources) -> Option<Decoded> {
        let title = record.symptom.as_ref().map(|symptom| symptom.title.as_str());
        let mut reports = record.reports.iter();
        let report = reports
            .clone()
            .find(|report| Some(report.title.as_str()) == title)
            .or_else(|| reports.find(|report| report.phase > Phase::Boot))?;
        let replaced = record.kernel.variant.as_ref().map_or(&[][..], |variant| &variant.modules);
        Some(self.text(&report.text, &record.kernel.id, replaced, sources))
    }

    /// Decodes a report of a kernel, some of whose modules may have been replaced.
    fn text(
        &self,
        text: &str,
        kernel: &KernelId,
        replaced: &[String],
        sources: &Sources,
    ) -> Decoded {
        let wanted = kbisect_symbols::modules_of(text);
        let (mut files, source) = match sources {
            Sources::Given { vmlinux, modules } => {
                let modules = find_modules(modules, &wanted);
                let source = vmlinux.display().to_string();
                (Files { vmlinux: vmlinux.clone(), modules }, source)
            }
            Sources::Archive => {
                let progress = self.progress.as_ref();
                match self.store.debug_info(kernel, &wanted, self.settings, progress) {
                    Ok(found) => {
                        let source = found.package.clone();
                        (Files { vmlinux: found.vmlinux, modules: found.modules }, source)
                    }
                    Err(error) => {
                        return Decoded::Unavailable { reason: errors::message(&error.into()) };
                    }
                }
            }
        };
        // What the stock package says of a module that was replaced is about other code.
        files.modules.retain(|name, _| !replaced.contains(name));
        match kbisect_symbols::decode(text, &files) {
            Err(error) => Decoded::Unavailable { reason: errors::message(&error.into()) },
            Ok(decoded) if decoded.text.is_empty() => {
                Decoded::Unavailable { reason: "the report has no trace".to_owned() }
            }
            Ok(decoded) if decoded.found == 0 => {
                let why = decoded.unknown.first().map_or("nothing was found", String::as_str);
                Decoded::Unavailable { reason: format!("{source} does not fit: {why}") }
            }
            Ok(decoded) => {
                let mut text = decoded.text;
                for line in &decoded.unknown {
                    text += &format!("({line})\n");
                }
                Decoded::Lines { source, text }
            }
        }
    }
}

/// Finds `NAME.ko` or `NAME.ko.debug` in a folder and below.
fn find_modules(folder: &Path, wanted: &BTreeSet<String>) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        if found.len() == wanted.len() || seen > MAX_ENTRIES {
            break;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            let path = entry.path();
            // Links are not followed: trees of modules have one that leads to their own source.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = name.strip_suffix(".debug").unwrap_or(&name);
            let Some(name) = name.strip_suffix(".ko").map(|name| name.replace('-', "_")) else {
                continue;
            };
            if wanted.contains(&name) {
                found.insert(name, path);
            }
        }
    }
    found
}

/// Decodes the trace of a run's failed trial, or those of a console log.
pub fn decode(args: &DecodeArgs, global: &Global) -> anyhow::Result<()> {
    let settings = global.settings()?;
    let store = global.store(&settings)?;
    let ui = Ui::new(global);
    let work = Decoder { store: &store, settings: &settings, progress: ui.progress() };
    let given = args.vmlinux.as_deref();
    let given = given.map(|vmlinux| Sources::given(vmlinux, args.debug_modules.as_deref()));
    let traces = if args.target == Path::new("-") || args.target.is_file() {
        log(args, global, &work, &ui, given)?
    } else {
        vec![run(args, &work, &ui, &given.unwrap_or(Sources::Archive))?]
    };
    ui.finish();
    if global.json {
        let schema = "kbisect.decode/1".to_owned();
        return output::json(&DecodeDocument { schema, traces });
    }
    output::print(&traces.iter().map(tell).collect::<String>())
}

fn tell(trace: &DecodedTrace) -> String {
    let title = output::clean(&trace.title);
    match &trace.decoded {
        Decoded::Lines { source, text } => {
            let lines = text.lines().map(|line| format!("  {}\n", output::clean(line)));
            format!("{title} (line {}, {source})\n{}", trace.line, lines.collect::<String>())
        }
        Decoded::Unavailable { reason } => {
            let reason = output::clean(reason);
            format!("{title} (line {}): no debug information, because {reason}\n", trace.line)
        }
    }
}

fn log(
    args: &DecodeArgs,
    global: &Global,
    work: &Decoder<'_>,
    ui: &Ui,
    given: Option<Sources>,
) -> anyhow::Result<Vec<DecodedTrace>> {
    let name = args.target.display();
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = if args.target == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(fs::File::open(&args.target).with_context(|| format!("cannot read `{name}`"))?)
    };
    reader
        .take(MAX_LOG)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{name}`"))?;
    let (kernel, sources) = match (&args.kernel, given) {
        (_, Some(sources)) => (KernelId(String::new()), sources),
        (Some(spec), None) => {
            let progress = ui.progress();
            let catalog =
                kbisect_kernels::Catalog::load(work.settings, work.store, progress.as_ref())?;
            let candidate = catalog.resolve(spec)?;
            let ready = work.store.ensure(&candidate, work.settings, progress.as_ref())?;
            (ready.kernel.id.clone(), Sources::Archive)
        }
        (None, None) => {
            return Err(errors::usage(
                format!("which kernel wrote `{name}`?"),
                "name it with --kernel KERNEL, or its debug information with --vmlinux FILE",
            ));
        }
    };
    let reports = classify(&bytes);
    if reports.is_empty() && !global.quiet {
        output::say(&format!("no kernel failure in {name}"));
    }
    let trace = |report: kbisect_core::console::Report| DecodedTrace {
        decoded: work.text(&report.text, &kernel, &[], &sources),
        title: report.title,
        line: report.line,
    };
    Ok(reports.into_iter().map(trace).collect())
}

/// Decodes the trace of a run's failed trial, and makes it a part of the run.
fn run(
    args: &DecodeArgs,
    work: &Decoder<'_>,
    ui: &Ui,
    sources: &Sources,
) -> anyhow::Result<DecodedTrace> {
    let folder = run_folder(&args.target, &args.results)?;
    let dossier = Dossier::read(&folder)?;
    let nothing = || {
        errors::usage(
            format!("no kernel of the run in `{}` crashed", folder.display()),
            "name a run with a panic, an oops or another report on the console",
        )
    };
    let record = dossier.bad().cloned().ok_or_else(nothing)?;
    let decoded = match &args.kernel {
        Some(_) => {
            return Err(errors::usage(
                "the kernel of a run is known",
                "leave --kernel out; it is for console logs",
            ));
        }
        None => work.record(&record, sources).ok_or_else(nothing)?,
    };
    if folder.join(JOURNAL_NAME).is_file() {
        let number = record.number;
        add(&folder, RunEvent::Decoded { number, decoded: decoded.clone() })?;
    } else {
        let path = folder.join("result.json");
        let text = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut result: RunResult = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is damaged", path.display()))?;
        result.trial.record.evidence.decoded = Some(decoded.clone());
        write_result(&folder, &result)?;
    }
    ui.finish();
    let title = record.symptom.as_ref().map(|symptom| symptom.title.clone()).unwrap_or_default();
    let line = record.reports.iter().find(|report| report.title == title).map_or(0, |r| r.line);
    Ok(DecodedTrace { title, line, decoded })
}
