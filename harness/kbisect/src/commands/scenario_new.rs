//! `kbisect scenario new`: a scenario's folder from dumps of a host, or from a template.

use std::fs::{self, File, Permissions};
use std::io::{IsTerminal as _, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_core::import::{self, Finding, Imported, Options};
use kbisect_report::ScenariosDocument;

use crate::cli::{Global, NewScenarioArgs};
use crate::settings::scenario;
use crate::settings::templates::{self, Files};
use crate::ui::interview;
use crate::{errors, output};

/// A dump is not larger than this (bytes).
const DUMP_MAX: u64 = 16 << 20;
/// Nor are all of them together (bytes).
const TOTAL_MAX: u64 = 64 << 20;

/// Makes a scenario.
///
/// # Errors
/// For a folder that is there already or cannot be a scenario's, dumps that cannot be read, and
/// [`import::ImportError`] for those that no scenario can be made of. Nothing is written then.
pub fn new(args: &NewScenarioArgs, global: &Global) -> anyhow::Result<()> {
    match (&args.from_host, &args.template) {
        (Some(from), _) => from_host(from, args, global),
        (None, Some(template)) => {
            let folder = args.output.clone();
            let folder = folder.unwrap_or_else(|| Path::new("scenarios").join(template));
            from_template(template, &folder, &[], global)
        }
        (None, None) if may_ask(global) => {
            let folder = args.output.as_deref();
            let answers = interview(&mut std::io::stdin().lock(), folder);
            let Some(answers) = answers else {
                return Err(errors::usage("no answer: nothing was written", nothing_named()));
            };
            from_template(answers.template, &answers.folder, &answers.networks, global)
        }
        (None, None) => {
            Err(errors::usage("nothing says what the scenario is to be", nothing_named()))
        }
    }
}

/// Whether there is somebody to ask.
fn may_ask(global: &Global) -> bool {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    terminal && !global.json && !global.quiet
}

fn nothing_named() -> String {
    let names: Vec<&str> = templates::names().collect();
    format!("give --from-host DIR, or --template with one of {}", names.join(", "))
}

fn from_template(
    template: &str,
    folder: &Path,
    networks: &[([u8; 3], [u8; 3])],
    global: &Global,
) -> anyhow::Result<()> {
    let folder: PathBuf = folder.components().collect();
    name_of(&folder)?;
    is_free(&folder)?;
    let mut files = templates::files(template)
        .ok_or_else(|| errors::usage(format!("no template `{template}`"), nothing_named()))?;
    templates::renumber(&mut files, networks);
    write(&folder, &files)?;
    tell(&folder, "It runs as it is. Put your own rules, sysctls and application in, then:", global)
}

fn from_host(from: &Path, args: &NewScenarioArgs, global: &Global) -> anyhow::Result<()> {
    let (dumps, mut warnings) = read(from)?;
    let folder = folder(from, args)?;
    let name = name_of(&folder)?;
    is_free(&folder)?;
    let ignored = args.ignore_interface.iter().cloned().collect();
    let options = Options { node: args.node.clone(), ignored };
    let Imported { files, warnings: found } = import::from_dumps(&name, &dumps, &options)?;
    warnings.extend(found);
    write(&folder, &files)?;
    if !global.quiet {
        for warning in &warnings {
            output::say(&format!("warning: {warning}"));
        }
    }
    tell(&folder, "Look for EDIT in its scenario.toml, then:", global)
}

fn is_free(folder: &Path) -> anyhow::Result<()> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(errors::usage(
        format!("`{}` is there already", folder.display()),
        "name another folder with --output, or remove it: nothing is overwritten",
    ))
}

/// Says what was made, and what comes next.
fn tell(folder: &Path, next: &str, global: &Global) -> anyhow::Result<()> {
    // As `scenario check` reads it: `./x` is a path where `x` would be a name.
    let path = match folder.is_absolute() || folder.starts_with(".") {
        true => folder.to_owned(),
        false => Path::new(".").join(folder),
    };
    let path = path.display().to_string();
    let loaded = scenario::load(&path)?;
    if global.json {
        return output::json(&ScenariosDocument::new(vec![loaded.listed()]));
    }
    output::print(&format!(
        "{path}: nodes {}, links {}, checks {}\n\
         {next}\n  kbisect scenario check {path}\n  kbisect run KERNEL --scenario {path}\n",
        loaded.scenario.nodes.len(),
        loaded.scenario.links.len(),
        loaded.scenario.checks.len(),
    ))
}

fn folder(from: &Path, args: &NewScenarioArgs) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &args.output {
        // Without a trailing slash, so that its parent is what it looks like.
        return Ok(folder.components().collect());
    }
    let real = from.canonicalize();
    let real = real.with_context(|| format!("cannot read `{}`", from.display()))?;
    let name = real.file_name().unwrap_or_default();
    Ok(Path::new("scenarios").join(name))
}

/// The scenario's name: that of its folder.
pub(super) fn name_of(folder: &Path) -> anyhow::Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(errors::usage(
        format!("`{}` cannot be a scenario's folder", folder.display()),
        "its name is the scenario's: 1 to 32 of a-z, 0-9 and -; give one with --output FOLDER",
    ))
}

/// Reads the files of a folder. Links are not followed: dumps are handed from person to person.
fn read(folder: &Path) -> anyhow::Result<(Files, Vec<Finding>)> {
    let reading = || format!("cannot read `{}`", folder.display());
    if !folder.is_dir() {
        return Err(errors::usage(
            format!("`{}` is no folder with dumps", folder.display()),
            "take them on the host with scripts/host-dump DIR, and name that folder",
        ));
    }
    let mut dumps = Files::new();
    let mut warnings = Vec::new();
    let mut left = TOTAL_MAX;
    for item in fs::read_dir(folder).with_context(reading)? {
        let item = item.with_context(reading)?;
        let name = item.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if !item.file_type().with_context(reading)?.is_file() {
            warnings.push(Finding {
                file: name,
                line: None,
                place: String::new(),
                message: "not looked at: no plain file".to_owned(),
            });
            continue;
        }
        let path = item.path();
        let reading = || format!("cannot read `{}`", path.display());
        let mut content = Vec::new();
        let limit = DUMP_MAX.min(left);
        let file = File::open(&path).with_context(reading)?;
        file.take(limit + 1).read_to_end(&mut content).with_context(reading)?;
        let size = content.len() as u64;
        if size > limit {
            return Err(errors::usage(
                format!("`{}` is too large for a dump", path.display()),
                format!(
                    "a dump has at most {} MiB, all together {} MiB; a full internet routing table \
                     is not part of a scenario",
                    DUMP_MAX >> 20,
                    TOTAL_MAX >> 20
                ),
            ));
        }
        left -= size;
        dumps.insert(name, content);
    }
    Ok((dumps, warnings))
}

/// Writes the folder in one go: it is made beside its place and moved there when it is whole.
pub(super) fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    let writing = || format!("cannot write `{}`", folder.display());
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(writing)?;
    let made = tempfile::Builder::new()
        .prefix(".new-scenario-")
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .with_context(writing)?;
    for (name, content) in files {
        if let Some(folder) = made.path().join(name).parent() {
            fs::create_dir_all(folder).with_context(writing)?;
        }
        fs::write(made.path().join(name), content).with_context(writing)?;
    }
    fs::rename(made.path(), folder).with_context(writing)?;
    // Its folder is in its place; there is nothing left to remove.
    let _ = made.keep();
    Ok(())
}
