//! `kbisect scenario import`: existing checks as checks of a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_core::adopt::{self, Adopted, GOSS_BINARY, Wanted};
use kbisect_core::scenario::{FILE_NAME, Scenario};
use kbisect_report::ImportDocument;
use kbisect_report::words::{import_head, import_next, import_note, import_text};

use super::{kselftest, scenario_new};
use crate::cli::{Global, ImportArgs, ImportFormat};
use crate::run::write_whole;
use crate::settings::scenario::{self, LoadedScenario};
use crate::{errors, output};

/// No file is larger (bytes): it becomes one of a scenario's.
const FILE_MAX: u64 = 16 << 20;
/// Deadline of a check in seconds; a self-test of the kernel makes networks, and waits for them.
const TIMEOUT_S: f64 = 10.0;
const SELF_TEST_S: f64 = 300.0;
/// The node that runs checks where nobody says another, and a scenario has several.
const MONITOR: &str = "monitor";

/// Contents by path.
type Files = BTreeMap<String, Vec<u8>>;

/// The scenario that checks are added to.
struct Target {
    /// Its folder, as it is shown.
    folder: PathBuf,
    loaded: LoadedScenario,
    text: String,
}

/// Takes checks over.
///
/// # Errors
/// For files that cannot be read, are not of that format or hold no check that can be taken over, and
/// for scenarios that would not be valid with them. Nothing is written then.
pub fn import(args: &ImportArgs, global: &Global) -> anyhow::Result<()> {
    let target = args.into.as_deref().map(Target::load).transpose()?;
    check_args(args)?;
    let mut wanted = wanted(args, target.as_ref())?;
    let made = match args.format {
        ImportFormat::Kselftest => {
            let (made, source) = kselftest::made(args, global, &wanted)?;
            wanted.file = source;
            made
        }
        _ => made(args, &wanted, target.as_ref())?,
    };
    if made.checks.is_empty() {
        let notes: Vec<String> = made.left_out.iter().map(ToString::to_string).collect();
        let hint = made.left_out.iter().find_map(|note| note.reason.hint());
        let named = notes.iter().map(|note| format!("{}: {note}", wanted.file)).collect::<Vec<_>>();
        return Err(errors::usage(named.join("\n"), hint.unwrap_or_default()));
    }
    let head = import_head(args.format.name(), &wanted.file);
    let (folder, text) = match (&target, &args.output) {
        (Some(target), _) => {
            let text = format!("\n{head}{}", adopt::fragment(&made, &wanted));
            target.add(&text, &made, args.dry_run)?;
            (Some(target.folder.clone()), text)
        }
        (None, Some(folder)) => {
            let text = format!("{head}\n{}", adopt::scenario(&made, &wanted));
            new_folder(folder, &text, &made, args.dry_run)?;
            (Some(folder.clone()), text)
        }
        (None, None) => (None, format!("{head}{}", adopt::fragment(&made, &wanted))),
    };
    let written = folder.filter(|_| !args.dry_run).map(|folder| folder.display().to_string());
    let document = ImportDocument::new(args.format.name(), &wanted.file, &made, written, &text);
    if global.json {
        return output::json(&document);
    }
    if !global.quiet {
        for note in document.left_out.iter().chain(&document.remarks) {
            output::say(&import_note(&document.file, note));
        }
    }
    let lines: Vec<String> = import_text(&document).lines().map(output::clean).collect();
    match &document.folder {
        Some(folder) => {
            let next = import_next(&path_of(Path::new(folder)));
            output::print(&format!("{}\n{next}", lines.join("\n")))
        }
        None => {
            // What is printed can be put into a file; what is said of it does not belong there.
            lines.iter().filter(|_| !global.quiet).for_each(|line| output::say(line));
            output::print(&text)
        }
    }
}

impl Target {
    fn load(name: &str) -> anyhow::Result<Self> {
        // A folder that is there is meant, also without a slash.
        let path =
            if Path::new(name).is_dir() { path_of(Path::new(name)) } else { name.to_owned() };
        let loaded = scenario::load(&path)?;
        let folder = PathBuf::from(&loaded.origin);
        let file = folder.join(FILE_NAME);
        if !file.is_file() || name.contains(':') {
            return Err(errors::usage(
                format!("`{name}` is no scenario of yours that checks can be added to"),
                "name the folder of one, or make a new one with --output FOLDER",
            ));
        }
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        Ok(Self { folder, loaded, text })
    }

    /// Names and addresses of its nodes.
    fn hosts(&self) -> BTreeMap<String, String> {
        let scenario = &self.loaded.scenario;
        let addresses =
            scenario.addresses().map(|(node, address)| (address.to_string(), node.to_owned()));
        let names = scenario.nodes.keys().map(|name| (name.clone(), name.clone()));
        addresses.chain(names).collect()
    }

    /// Adds what was made: its files, then `scenario.toml`, each whole or not at all.
    fn add(&self, text: &str, made: &Adopted, dry_run: bool) -> anyhow::Result<()> {
        let shown = self.folder.join(FILE_NAME).display().to_string();
        let there = &self.loaded.scenario.assets;
        if let Some((path, _)) = made
            .files
            .iter()
            .find(|(path, content)| there.get(*path).is_some_and(|old| old != *content))
        {
            return Err(errors::usage(
                format!(
                    "`{}` is there already, with another content",
                    self.folder.join(path).display()
                ),
                "rename one of them: nothing is overwritten",
            ));
        }
        let whole = format!("{}\n{text}", self.text.trim_end());
        let files = there.clone().into_iter().chain(made.files.clone()).collect();
        Scenario::parse(&self.loaded.scenario.name, &shown, &whole)?.with_assets(files)?;
        if dry_run {
            return Ok(());
        }
        let mut written = Vec::new();
        let new = made.files.iter().filter(|(path, _)| !there.contains_key(*path));
        let result = new.map(|(path, content)| (self.folder.join(path), content)).try_for_each(
            |(path, content)| {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("cannot make `{}`", folder.display()))?;
                }
                write_new(&path, content)?;
                written.push(path);
                Ok(())
            },
        );
        let result =
            result.and_then(|()| write_whole(&self.folder.join(FILE_NAME), whole.as_bytes()));
        if result.is_err() {
            // A file that no check names is half of an import.
            for path in written {
                let _ = fs::remove_file(path);
            }
        }
        result
    }
}

fn wanted(args: &ImportArgs, target: Option<&Target>) -> anyhow::Result<Wanted> {
    let mut hosts = target.map(Target::hosts).unwrap_or_default();
    let nodes: BTreeSet<String> = hosts.values().cloned().collect();
    let known = |node: &str| target.is_none() || nodes.contains(node);
    let list = || nodes.iter().cloned().collect::<Vec<_>>().join(", ");
    for (host, node) in &args.map {
        if !known(node) {
            return Err(errors::usage(
                format!("--map {host}={node}: there is no node `{node}`"),
                format!("nodes of the scenario are: {}", list()),
            ));
        }
        hosts.insert(host.clone(), node.clone());
    }
    let node = match (&args.node, nodes.len()) {
        (Some(node), _) => node.clone(),
        (None, 1) => nodes.iter().next().cloned().unwrap_or_default(),
        (None, _) if args.format == ImportFormat::Kselftest => kselftest::NODE.to_owned(),
        (None, _) => MONITOR.to_owned(),
    };
    if !known(&node) {
        return Err(match args.node {
            Some(_) => errors::usage(
                format!("--node {node}: there is no node `{node}`"),
                format!("nodes of the scenario are: {}", list()),
            ),
            None => errors::usage(
                "which node runs the checks is not said",
                format!("--node NAME, one of: {}", list()),
            ),
        });
    }
    let file = args.file().file_name().unwrap_or_default().to_string_lossy();
    let checks = target.map(|target| target.loaded.scenario.checks.as_slice()).unwrap_or_default();
    Ok(Wanted {
        file: file.chars().filter(|c| !c.is_control()).collect(),
        node,
        hosts,
        env: args.env.iter().cloned().collect(),
        taken: checks.iter().map(|check| check.name.clone()).collect(),
        timeout_s: args.timeout.unwrap_or(match args.format {
            ImportFormat::Kselftest => SELF_TEST_S,
            _ => TIMEOUT_S,
        }),
    })
}

/// Refuses options that mean nothing for a format.
fn check_args(args: &ImportArgs) -> anyhow::Result<()> {
    if args.format == ImportFormat::Kselftest {
        return Ok(());
    }
    if let Some(file) = args.files.get(1) {
        return Err(errors::usage(
            format!("`{}`: one file at a time is taken over", file.display()),
            "add the others with --into",
        ));
    }
    let given = [("--tree", args.tree.is_some()), ("--learn", args.learn.is_some())];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(errors::usage(
            format!("{option} is about self-tests of the kernel alone"),
            format!("leave {option} out"),
        )),
    }
}

fn made(args: &ImportArgs, wanted: &Wanted, target: Option<&Target>) -> anyhow::Result<Adopted> {
    let content = read(args.file())?;
    let shown = args.file().display();
    let text = || {
        String::from_utf8(content.clone()).map_err(|_| {
            errors::usage(format!("`{shown}` is no text"), "name a text file in UTF-8")
        })
    };
    if let Some(binary) = args.binary.as_ref().filter(|_| args.format != ImportFormat::Goss) {
        return Err(errors::usage(
            format!("--binary {}: only goss files need a program", binary.display()),
            "leave it out",
        ));
    }
    let made = match args.format {
        ImportFormat::CmdChecklist => adopt::from_checklist(&text()?, wanted),
        ImportFormat::Plugins => adopt::from_plugins(&text()?, wanted),
        ImportFormat::Ktap => adopt::from_program(&content, wanted),
        ImportFormat::Goss => {
            let binary = args.binary.as_deref().map(read).transpose()?;
            let is_there = target
                .is_some_and(|target| target.loaded.scenario.assets.contains_key(GOSS_BINARY));
            if binary.is_none() && !is_there {
                return Err(errors::usage(
                    format!("goss itself is missing: the scenario has no file `{GOSS_BINARY}`"),
                    "take its static program for x86-64 from the project's releases and name it: \
                     --binary FILE copies it into the scenario's folder",
                ));
            }
            adopt::from_goss(&text()?, binary.as_deref(), wanted)
        }
        ImportFormat::Kselftest => adopt::from_program(&content, wanted),
    };
    made.map_err(|error| errors::usage(format!("{shown}: {error}"), error.hint()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("cannot read `{}`", path.display());
    let is_file = fs::metadata(path).with_context(reading)?.is_file();
    let mut content = Vec::new();
    if is_file {
        let file = File::open(path).with_context(reading)?;
        file.take(FILE_MAX + 1).read_to_end(&mut content).with_context(reading)?;
    }
    if !is_file || content.len() as u64 > FILE_MAX {
        return Err(errors::usage(
            format!("`{}` is no file of at most {} MiB", path.display(), FILE_MAX >> 20),
            "name a file that can be one of a scenario's",
        ));
    }
    Ok(content)
}

/// Makes the folder of a new scenario, whole or not at all.
fn new_folder(folder: &Path, text: &str, made: &Adopted, dry_run: bool) -> anyhow::Result<()> {
    // Without a trailing slash, so that its parent is what it looks like.
    let folder: PathBuf = folder.components().collect();
    let name = scenario_new::name_of(&folder)?;
    if folder.symlink_metadata().is_ok() {
        return Err(errors::usage(
            format!("`{}` is there already", folder.display()),
            "name another folder, or add to the scenario in it with --into",
        ));
    }
    let shown = folder.join(FILE_NAME).display().to_string();
    Scenario::parse(&name, &shown, text)?.with_assets(made.files.clone())?;
    if dry_run {
        return Ok(());
    }
    let mut files: Files = made.files.clone();
    files.insert(FILE_NAME.to_owned(), text.as_bytes().to_vec());
    scenario_new::write(&folder, &files)
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
        file.persist_noclobber(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// A folder as commands read it: `./x` is a path where `x` would be a name.
fn path_of(folder: &Path) -> String {
    match folder.is_absolute() || folder.starts_with(".") || folder.starts_with("..") {
        true => folder.display().to_string(),
        false => Path::new(".").join(folder).display().to_string(),
    }
}
