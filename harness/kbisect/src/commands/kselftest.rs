//! `kbisect scenario import kselftest`: scripts of the kernel's own self-tests as checks.

mod helpers;
mod learn;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use kbisect_core::adopt::{
    Adopted, Chosen, Learnt, Note, Reason, SelfTest, TestFiles, Wanted, from_self_tests, self_tests,
};
use kbisect_core::scenario::Outcome;
use kbisect_kernels::{SourceTreeError, WantedSource, source_tree};

use crate::cli::{Global, ImportArgs};
use crate::errors;
use crate::settings::global::image_definition;
use crate::ui::Ui;

/// The node that runs self-tests where nobody says another.
pub(super) const NODE: &str = "host";
/// `--learn none`.
const NOTHING: &str = "none";
/// Where self-tests lie in a kernel's source.
const FOLDER: &str = "tools/testing/selftests";
/// Folders of it that scripts of network tests use.
const PARTS: [&str; 3] = ["net", "lib", "kselftest"];
/// No file of these is larger (bytes).
const FILE_MAX: u64 = 8 << 20;
/// Most cases that a remark names.
const NAMED: usize = 6;

/// Makes checks of the scripts that were named. Tells where they come from, too.
///
/// # Errors
/// For a source that cannot be had, and for names that are no scripts in it. Nothing is written then.
pub fn made(
    args: &ImportArgs,
    global: &Global,
    wanted: &Wanted,
) -> anyhow::Result<(Adopted, String)> {
    let ui = Ui::new(global);
    let settings = global.settings()?;
    let release = image_definition(None)?.suite().to_owned();
    let source = match &args.tree {
        Some(text) => WantedSource::parse(text, &release),
        None => WantedSource::OfRelease(release),
    };
    let tree = source_tree(&source, &settings, ui.progress().as_ref()).map_err(source_error)?;
    let files = files(&tree.folder)?;
    let named: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let tests = self_tests(&files, &named)
        .map_err(|error| errors::usage(format!("{}: {error}", tree.name), error.hint()))?;
    let built = helpers::build(&tests, &files, &tree.folder, &settings.cache_dir, &mut |what| {
        ui.doing(what);
    })?;
    ui.finish();
    let chosen = Chosen { tests: &tests, files: &files, programs: &built.programs };
    let whole = from_self_tests(chosen, None, wanted);
    let learnt = match args.learn.as_deref() {
        Some(NOTHING) => None,
        // Nothing is run where nothing is to be written.
        _ if args.dry_run => None,
        kernel => Some(learn::learn(&whole, wanted, kernel, &args.results, global)?),
    };
    let mut made = match &learnt {
        Some((learnt, _)) => from_self_tests(chosen, Some(learnt), wanted),
        None => whole,
    };
    let note = |test: &SelfTest, reason| Note { line: 0, title: test.path.clone(), reason };
    for test in &tests {
        let notes = remarks(test, &built.failed, learnt.as_ref());
        made.remarks.extend(notes.into_iter().map(|reason| note(test, reason)));
    }
    Ok((made, tree.name))
}

fn source_error(error: SourceTreeError) -> anyhow::Error {
    let hint = error.hint();
    let is_usage = matches!(
        error,
        SourceTreeError::Absent { .. }
            | SourceTreeError::NoTests(_)
            | SourceTreeError::NoTree(_)
            | SourceTreeError::Io(_)
            | SourceTreeError::Import(_)
    );
    let message = errors::message(&error.into());
    match is_usage {
        true => errors::usage(
            message,
            hint.unwrap_or_else(|| "name another with --tree PACKAGE or --tree PATH".to_owned()),
        ),
        false => errors::infrastructure(
            message,
            hint.unwrap_or_else(|| {
                "`kbisect doctor` looks at the archive; --tree PATH needs none".to_owned()
            }),
        ),
    }
}

/// What there is to say of a script.
fn remarks(
    test: &SelfTest,
    failed: &BTreeMap<String, String>,
    learnt: Option<&(Learnt, String)>,
) -> Vec<Reason> {
    let joined =
        |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    for helper in test.helpers.keys() {
        if let Some(why) = failed.get(helper) {
            found.push(Reason::Unbuilt { helper: helper.clone(), why: why.clone() });
        }
    }
    if !test.objects.is_empty() {
        found.push(Reason::Objects { objects: joined(&mut test.objects.iter()) });
    }
    if !test.lacks.is_empty() {
        found.push(Reason::NoPackage { programs: joined(&mut test.lacks.iter()) });
    }
    let Some((learnt, kernel)) = learnt else { return found };
    let kernel = kernel.clone();
    let cases = learnt.cases.get(&test.path).map(Vec::as_slice).unwrap_or_default();
    if cases.is_empty() {
        found.push(Reason::NoCases { kernel: kernel.clone() });
    }
    let of = |wanted: Outcome| {
        let of = cases.iter().filter(|(_, outcome)| *outcome == wanted);
        let names: Vec<&str> = of.map(|(name, _)| name.as_str()).collect();
        let more = if names.len() > NAMED { ", ..." } else { "" };
        let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join("; ");
        (!names.is_empty()).then(|| format!("{} ({shown}{more})", names.len()))
    };
    found.extend(of(Outcome::Skipped).map(|cases| Reason::Skips { kernel: kernel.clone(), cases }));
    found.extend(of(Outcome::Failed).map(|cases| Reason::Fails { kernel: kernel.clone(), cases }));
    found
}

/// The files of a tree that scripts of network tests can use, by path below the folder of self-tests.
fn files(tree: &Path) -> anyhow::Result<TestFiles> {
    let root = tree.join(FOLDER);
    let mut files = TestFiles::new();
    for part in PARTS {
        collect(&root.join(part), part, &mut files)?;
    }
    for entry in entries(&root)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("kselftest") && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.insert(name, read(&entry.path())?);
        }
    }
    Ok(files)
}

/// Links are passed over: they could lead anywhere.
fn collect(folder: &Path, prefix: &str, files: &mut TestFiles) -> anyhow::Result<()> {
    for entry in entries(folder)? {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        let path = format!("{prefix}/{name}");
        if kind.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else if kind.is_file() && entry.metadata().is_ok_and(|meta| meta.len() <= FILE_MAX) {
            files.insert(path, read(&entry.path())?);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", folder.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}
