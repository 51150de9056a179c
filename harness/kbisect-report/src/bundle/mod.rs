//! Everything about a run in one file, for whoever gets the ticket.
//!
//! The archive is a function of its content: names are sorted, times and owners are fixed, and what
//! is made anew (reports, sums) follows from the run alone.

mod archive;
mod document;
mod files;
mod readme;
mod script;

use std::io::{self, Write};
use std::path::PathBuf;

use regex::bytes::Regex;

pub use document::{BundleDocument, BundleManifest, LeftOut, Placeholder, Replacement};
pub use files::{BundleFile, redactor_of};

use crate::dossier::Dossier;
use crate::redact::{Hosts, RedactRules, Redactor, Survey};

/// What goes into a bundle beside the run's folder.
#[derive(Debug, Default)]
pub struct BundleOptions {
    /// Files from elsewhere: configurations, kernels, image, program.
    pub files: Vec<BundleFile>,
    /// What is replaced beside addresses and host names; nothing leaves all of them as they are.
    pub redact: Option<RedactRules>,
    /// Patterns of which no trace may be in the bundle.
    pub secrets: Vec<Regex>,
    /// What is included for `reproduce.sh`.
    pub carries: Carries,
    /// Command that made the bundle.
    pub command: Vec<String>,
}

/// What `reproduce.sh` finds in the bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carries {
    /// Kernel of the trial and of the reference hosts.
    pub kernels: bool,
    /// Root image.
    pub image: bool,
    /// The program itself.
    pub tool: bool,
}

/// A bundle that is ready to be written.
#[derive(Debug)]
pub struct Bundle {
    folder: String,
    files: Vec<BundleFile>,
    /// Seconds since 1970-01-01 UTC that all files get: the run's beginning.
    time: u64,
    /// What was left out, and why.
    pub left_out: Vec<(String, String)>,
    /// What was replaced: old, new, how often.
    pub replaced: Vec<(String, String, usize)>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The dossier was not made from a folder.
    #[error("the run has no folder to bundle")]
    NoFolder,
    /// A file cannot be read or written.
    #[error("cannot read `{path}` for the bundle")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret is left.
    #[error(
        "a configured secret remains in {}: {}",
        if places.len() == 1 { "a file".to_owned() } else { format!("{} files", places.len()) },
        places.join(", ")
    )]
    Secret {
        /// Files, with the number of the first line; never the secret.
        places: Vec<String>,
    },
    /// The archive cannot be written.
    #[error("cannot write the bundle")]
    Write(#[from] io::Error),
}

impl BundleError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Secret { .. } => Some(
                "nothing was written; replace it with --redact --redact-pattern REGEX, or leave the \
                 pattern out if it matches something harmless"
                    .to_owned(),
            ),
            Self::NoFolder | Self::Read { .. } | Self::Write(_) => None,
        }
    }
}

impl Bundle {
    /// Puts a bundle together.
    ///
    /// # Errors
    /// [`BundleError`], above all when a secret remains: then there is no bundle.
    pub fn new(dossier: &Dossier, options: BundleOptions) -> Result<Self, BundleError> {
        let BundleOptions { files: more, redact, secrets, carries, command } = options;
        let mut dossier = dossier.clone();
        let folder = dossier.folder.clone().ok_or(BundleError::NoFolder)?;
        // In the bundle the run's folder is where the report lies.
        dossier.set_run_dir(".");
        let mut left_out = Vec::new();
        let mut found = files::of_run(&folder, &mut left_out)?;
        found.extend(files::reports(&dossier));
        found.extend(more.into_iter().map(BundleFile::foreign));
        found
            .push(BundleFile::text("reproduce.sh", script::script(&dossier, carries)).executable());
        let mut redact = match redact {
            Some(rules) => Some(redactor(rules, &found, &command)?),
            None => None,
        };
        if let Some(redactor) = &mut redact {
            found = redacted(found, redactor, &mut left_out)?;
        }
        let replaced: Vec<(String, String, usize)> = redact
            .iter()
            .flat_map(Redactor::replaced)
            .map(|(old, new, count)| (old.to_owned(), new.to_owned(), count))
            .collect();
        let readme = readme::readme(&dossier, carries, redact.is_some(), &left_out);
        let readme = match &mut redact {
            Some(redactor) => redactor.text(&readme),
            None => readme,
        };
        found.push(BundleFile::text("README.txt", readme));
        found.push(files::manifest(&dossier, &command, &replaced, &left_out, redact.as_mut()));
        check_secrets(&found, &secrets)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        let sums = files::sums(&found)?;
        found.push(BundleFile::text("SHA256SUMS", sums));
        let name = dossier.name();
        let name = redact.as_mut().map(|redactor| redactor.text(&name)).unwrap_or(name);
        let time = dossier.began_s();
        Ok(Self { folder: name, files: found, time, left_out, replaced })
    }

    /// Name of the folder in the archive: that of the run.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Writes the archive: tar, compressed with zstd.
    pub fn write(&self, to: impl Write) -> Result<(), BundleError> {
        archive::write(&self.folder, &self.files, self.time, to)
    }
}

/// Makes the redactor of everything that goes along.
fn redactor(
    rules: RedactRules,
    files: &[BundleFile],
    command: &[String],
) -> Result<Redactor, BundleError> {
    let mut survey = Survey::new(rules);
    for file in files.iter().filter(|file| !file.public) {
        file.survey(&mut survey)?;
    }
    survey.text(&command.join("\n"), Hosts::All);
    Ok(survey.finish())
}

/// Applies the redactor to names and content. What stays as it is says so: kernels, image, program.
fn redacted(
    files: Vec<BundleFile>,
    redactor: &mut Redactor,
    left_out: &mut Vec<(String, String)>,
) -> Result<Vec<BundleFile>, BundleError> {
    let mut kept = Vec::new();
    for mut file in files {
        if file.public {
            kept.push(file);
            continue;
        }
        let content = file.redacted(redactor)?;
        file.path = redactor.text(&file.path);
        match content {
            Ok(content) => kept.push(BundleFile { content, ..file }),
            Err(why) => left_out.push((file.path, why.to_owned())),
        }
    }
    Ok(kept)
}

fn check_secrets(files: &[BundleFile], secrets: &[Regex]) -> Result<(), BundleError> {
    if secrets.is_empty() {
        return Ok(());
    }
    let mut places = Vec::new();
    for file in files.iter().filter(|file| !file.public) {
        if let Some(line) = file.line_of(secrets)? {
            places.push(format!("{} (line {line})", file.path));
        } else if secrets.iter().any(|secret| secret.is_match(file.path.as_bytes())) {
            places.push("the name of a file".to_owned());
        }
    }
    if places.is_empty() { Ok(()) } else { Err(BundleError::Secret { places }) }
}
