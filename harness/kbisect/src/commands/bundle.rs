//! `kbisect report --bundle`: everything about a run in one file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_kernels::Settings;
use kbisect_report::{
    Bundle, BundleDocument, BundleFile, BundleOptions, Carries, Dossier, RedactRules, pattern,
};

use crate::cli::{Global, ReportArgs};
use crate::{errors, output};

/// Replacements that are listed; the rest is counted.
const LISTED: usize = 40;

/// Writes the bundle of a run.
///
/// # Errors
/// A kernel or image that is to be included and not there; a pattern that is none; a secret that
/// remains; files that cannot be read or written.
pub fn bundle(args: &ReportArgs, global: &Global, dossier: &Dossier) -> anyhow::Result<()> {
    let settings = global.settings()?;
    let carries =
        Carries { kernels: args.with_kernel, image: args.with_image, tool: args.with_tool };
    let mut files = configs(dossier, &settings, global)?;
    if carries.kernels {
        files.extend(kernels(dossier, &settings, global)?);
    }
    files.extend(image(dossier, &settings, carries.image)?);
    if carries.tool {
        let tool = std::env::current_exe().context("cannot find this program's own file")?;
        files.push(BundleFile::file("bin/kbisect", &tool).executable().public());
    }
    let redact = rules(args, &settings)?;
    let command = std::iter::once("kbisect".to_owned()).chain(std::env::args().skip(1));
    let options = BundleOptions {
        files,
        redact,
        secrets: secrets(args, &settings)?,
        carries,
        command: command.collect(),
    };
    let bundle = Bundle::new(dossier, options)?;
    let path = match (args.bundle.clone().flatten(), args.output.clone()) {
        (Some(_), Some(_)) => {
            return Err(errors::usage(
                "two files are named for one bundle",
                "leave out -o, or the name after --bundle",
            ));
        }
        (Some(path), None) | (None, Some(path)) => path,
        (None, None) => PathBuf::from(format!("{}.tar.zst", bundle.folder())),
    };
    let size = write(&bundle, &path)?;
    if !global.quiet {
        tell(&bundle, args.redact);
    }
    if global.json {
        return output::json(&BundleDocument::new(path.display().to_string(), size, &bundle));
    }
    output::print(&format!("{} ({})\n", path.display(), output::bytes(size)))
}

/// What is to be redacted, if that was asked for.
///
/// # Errors
/// A pattern that is none.
pub fn rules(args: &ReportArgs, settings: &Settings) -> anyhow::Result<Option<RedactRules>> {
    if !args.redact {
        return Ok(None);
    }
    let given = args.redact_patterns.iter().chain(&settings.redact_patterns);
    let patterns = given
        .map(|text| {
            pattern(text).map_err(|error| {
                errors::usage(error.to_string(), "see the syntax of Rust's regex crate")
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let archive = settings.mirrors.iter().flat_map(|mirrors| [&mirrors.main, &mirrors.security]);
    let mirrors = archive.chain(settings.services.values().map(|service| &service.url)).cloned();
    Ok(Some(RedactRules { patterns, names: vec![host], mirrors: mirrors.collect() }))
}

fn secrets(args: &ReportArgs, settings: &Settings) -> anyhow::Result<Vec<regex::bytes::Regex>> {
    let given = args.secrets.iter().chain(&settings.secret_patterns);
    given
        .map(|text| {
            // The same rules, and the same words when it is none.
            pattern(text).map_err(|error| {
                errors::usage(error.to_string(), "see the syntax of Rust's regex crate")
            })?;
            Ok(regex::bytes::Regex::new(text)?)
        })
        .collect()
}

/// Configurations and packages of the kernels, as far as the store has them.
fn configs(
    dossier: &Dossier,
    settings: &Settings,
    global: &Global,
) -> anyhow::Result<Vec<BundleFile>> {
    let store = global.store(settings)?;
    let mut files = Vec::new();
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut done: BTreeSet<KernelId> = BTreeSet::new();
    for (role, kernel) in dossier.kernels() {
        if !done.insert(kernel.id.clone()) {
            continue;
        }
        let name = file_name(kernel);
        let Some(ready) = store.get(&kernel.id) else {
            files.push(BundleFile::text(
                &format!("configs/{name}.missing.txt"),
                format!("The {role} kernel {name} is not in the local store any more, so its configuration is not here.\n"),
            ));
            continue;
        };
        if let Some(text) = ready.config.as_ref().and_then(|path| fs::read_to_string(path).ok()) {
            texts.push((name.clone(), text));
        }
        let meta = ready.dir.join("meta.json");
        if meta.is_file() {
            files.push(BundleFile::file(&format!("versions/kernel-{name}.json"), &meta));
        }
    }
    if let [(old, a), (new, b), ..] = texts.as_slice() {
        files.push(BundleFile::text("configs/difference.txt", difference(old, a, new, b)));
    }
    for (name, text) in texts {
        files.push(BundleFile::text(&format!("configs/config-{name}"), text));
    }
    Ok(files)
}

/// Options that differ, one a line.
fn difference(old: &str, a: &str, new: &str, b: &str) -> String {
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| line.contains("CONFIG_")).map(str::to_owned).collect()
    };
    let (a, b) = (lines(a), lines(b));
    let mut text = format!("--- {old}\n+++ {new}\n");
    for line in a.difference(&b) {
        text += &format!("-{line}\n");
    }
    for line in b.difference(&a) {
        text += &format!("+{line}\n");
    }
    if a == b {
        text += "no option differs\n";
    }
    text
}

/// The kernels that `reproduce.sh` boots, in the form of a store.
fn kernels(
    dossier: &Dossier,
    settings: &Settings,
    global: &Global,
) -> anyhow::Result<Vec<BundleFile>> {
    let store = global.store(settings)?;
    let mut files = Vec::new();
    let mut done: BTreeSet<KernelId> = BTreeSet::new();
    let wanted =
        dossier.kernels().into_iter().filter(|(role, _)| matches!(*role, "shown" | "reference"));
    for (role, kernel) in wanted {
        if !done.insert(kernel.id.clone()) {
            continue;
        }
        let ready = store.get(&kernel.id).ok_or_else(|| {
            errors::usage(
                format!("the {role} kernel {} is not in the local store", kernel.package_version),
                format!(
                    "fetch it with `kbisect kernels fetch {}`, or leave --with-kernel out",
                    kernel.package_version
                ),
            )
        })?;
        let mut entries: Vec<_> = fs::read_dir(&ready.dir)
            .with_context(|| format!("cannot read `{}`", ready.dir.display()))?
            .collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries.iter().filter(|entry| entry.path().is_file()) {
            let name = entry.file_name();
            let path = format!("cache/kernels/v1/{}/{}", kernel.id, name.to_string_lossy());
            files.push(BundleFile::file(&path, &entry.path()).public());
        }
    }
    Ok(files)
}

/// The root image's list of packages, and the image itself if it is asked for.
fn image(dossier: &Dossier, settings: &Settings, whole: bool) -> anyhow::Result<Vec<BundleFile>> {
    let key = dossier.image();
    let plain =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let folder = settings.cache_dir.join("images").join(key);
    let manifest = folder.join("image.json");
    if !plain || !manifest.is_file() {
        if whole {
            return Err(errors::usage(
                format!("the root image {key} is not in the cache"),
                "build it with `kbisect image build`, or leave --with-image out",
            ));
        }
        return Ok(Vec::new());
    }
    let mut files = vec![BundleFile::file("versions/image.json", &manifest)];
    if whole {
        for name in ["image.json", "root.squashfs"] {
            let path = format!("cache/images/{key}/{name}");
            files.push(BundleFile::file(&path, &folder.join(name)).public());
        }
    }
    Ok(files)
}

fn file_name(kernel: &Kernel) -> String {
    let label = match &kernel.name {
        Some(name) => format!("{name}-{}", kernel.package_version),
        None => kernel.package_version.to_string(),
    };
    kbisect_report::plain::file_name(&label)
}

/// Writes the archive whole or not at all; gives its size.
fn write(bundle: &Bundle, path: &Path) -> anyhow::Result<u64> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let writing = || format!("cannot write `{}`", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    bundle.write(std::io::BufWriter::new(file.as_file_mut()))?;
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(writing)?;
    let size = file.as_file().metadata().with_context(writing)?.len();
    file.as_file().sync_data().with_context(writing)?;
    file.persist(path).map_err(|error| error.error).with_context(writing)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(writing)?;
    Ok(size)
}

/// Says what was replaced and what was left out.
fn tell(bundle: &Bundle, redacted: bool) {
    replaced(
        bundle.replaced.iter().map(|(old, new, count)| (old.as_str(), new.as_str(), *count)),
        redacted,
    );
    for (path, why) in &bundle.left_out {
        output::say(&format!("left out: {path}: {why}"));
    }
}

/// Says what was replaced.
pub fn replaced<'a>(list: impl Iterator<Item = (&'a str, &'a str, usize)>, redacted: bool) {
    let list: Vec<_> = list.collect();
    for (old, new, count) in list.iter().take(LISTED) {
        output::say(&format!("replaced: {old} -> {new} ({count} times)"));
    }
    if list.len() > LISTED {
        output::say(&format!("replaced: {} further texts", list.len() - LISTED));
    }
    if redacted && list.is_empty() {
        output::say("nothing was replaced");
    }
}
