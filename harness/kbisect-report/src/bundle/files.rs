//! What a bundle holds.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

use super::BundleError;
use super::document::{self, BundleManifest, Placeholder};
use crate::dossier::Dossier;
use crate::format::Format;
use crate::redact::{Hosts, Redactor, Rereadable, Survey, pieces};

/// Files that are made anew for each trial or bundle.
const PASSED_OVER: [&str; 7] =
    ["report.html", "report.md", "result.json", "initramfs", "journal.lock", ".lock", "vmcore"];

/// One file of a bundle.
#[derive(Debug)]
pub struct BundleFile {
    pub(super) path: String,
    pub(super) content: Content,
    pub(super) executable: bool,
    /// Holds nothing of the user's: it is neither redacted nor searched for secrets.
    pub(super) public: bool,
    /// Comes from elsewhere than the run's folder.
    pub(super) foreign: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// Redacted, and too large for memory: a file without a name.
    Unnamed(File),
}

/// Most bytes of a redacted file that are kept in memory.
const IN_MEMORY: usize = 4 << 20;

impl BundleFile {
    /// A file with a text.
    pub fn text(path: &str, text: String) -> Self {
        let content = Content::Bytes(text.into_bytes());
        Self { path: path.to_owned(), content, executable: false, public: false, foreign: false }
    }

    /// A file that is read when the bundle is written.
    pub fn file(path: &str, file: &Path) -> Self {
        let content = Content::File(file.to_owned());
        Self { path: path.to_owned(), content, executable: false, public: false, foreign: false }
    }

    /// Marks a file that can be run.
    #[must_use]
    pub fn executable(self) -> Self {
        Self { executable: true, ..self }
    }

    /// Marks a file from elsewhere: none of the hosts in it is one of the scenario.
    pub(super) fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Marks a file of which anybody has a copy: a kernel's, the program.
    #[must_use]
    pub fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// Opens it: length and reader.
    pub(super) fn open(&self) -> Result<(u64, Box<dyn Rereadable + '_>), BundleError> {
        let opened = |file: File| -> io::Result<(u64, Box<dyn Rereadable>)> {
            Ok((file.metadata()?.len(), Box::new(file)))
        };
        match &self.content {
            Content::Bytes(bytes) => Ok((bytes.len() as u64, Box::new(Cursor::new(bytes)))),
            Content::File(path) => File::open(path).and_then(opened).map_err(reading(path)),
            Content::Unnamed(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Ok(opened(file)?)
            }
        }
    }

    /// Takes note of what is to be replaced in it.
    pub(super) fn survey(&self, survey: &mut Survey) -> Result<(), BundleError> {
        survey.text(&self.path, Hosts::WithDomain);
        let hosts = if self.foreign { Hosts::All } else { Hosts::WithDomain };
        let (_, mut source) = self.open()?;
        Ok(survey.file(&mut *source, hosts)?)
    }

    /// Number of the first line with a match of any of the patterns.
    pub(super) fn line_of(&self, patterns: &[Regex]) -> Result<Option<usize>, BundleError> {
        let (mut line, mut found) = (1, None);
        let (_, source) = self.open()?;
        pieces::of_bytes(source, |piece| {
            let hits = patterns.iter().filter_map(|pattern| pattern.find(piece));
            let hit = hits.map(|hit| hit.start()).min();
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            found = found.or(hit.map(|at| line + lines(&piece[..at])));
            line += lines(piece);
            Ok(())
        })?;
        Ok(found)
    }

    /// Its redacted content, or why there is none.
    pub(super) fn redacted(
        &self,
        redactor: &mut Redactor,
    ) -> Result<Result<Content, &'static str>, BundleError> {
        let mut to = tempfile::SpooledTempFile::new(IN_MEMORY);
        let (_, mut source) = self.open()?;
        if let Some(why) = redactor.file(&mut *source, &mut to)? {
            return Ok(Err(why));
        }
        to.flush()?;
        Ok(Ok(match to.into_inner() {
            tempfile::SpooledData::InMemory(bytes) => Content::Bytes(bytes.into_inner()),
            tempfile::SpooledData::OnDisk(file) => Content::Unnamed(file),
        }))
    }
}

fn reading(path: &Path) -> impl Fn(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Read { path: path.clone(), source }
}

/// Looks at a run's own files, and makes the redactor of what they hold.
pub fn redactor_of(folder: &Path, mut survey: Survey) -> Result<Redactor, BundleError> {
    for file in of_run(folder, &mut Vec::new())? {
        file.survey(&mut survey)?;
    }
    Ok(survey.finish())
}

/// The run's own files. Links and special files are left out: they could lead anywhere.
pub(super) fn of_run(
    folder: &Path,
    left_out: &mut Vec<(String, String)>,
) -> Result<Vec<BundleFile>, BundleError> {
    let mut found = Vec::new();
    collect(folder, "", &mut found, left_out)?;
    Ok(found)
}

fn collect(
    folder: &Path,
    prefix: &str,
    found: &mut Vec<BundleFile>,
    left_out: &mut Vec<(String, String)>,
) -> Result<(), BundleError> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .map_err(reading(folder))?
        .collect::<Result<_, _>>()
        .map_err(reading(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(reading(&path))?;
        if name.starts_with("vmcore") {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            left_out.push((relative, format!("a memory dump ({size} bytes) is handed on apart")));
        } else if PASSED_OVER.contains(&name.as_str()) || name.starts_with('.') || is_archive(&name)
        {
            // Made anew, or of no use elsewhere.
        } else if kind.is_dir() {
            collect(&path, &format!("{relative}/"), found, left_out)?;
        } else if kind.is_file() {
            found.push(BundleFile::file(&relative, &path));
        } else {
            left_out.push((relative, "a link or a special file".to_owned()));
        }
    }
    Ok(())
}

/// Bundles that were written into the run's folder before.
fn is_archive(name: &str) -> bool {
    name.ends_with(".tar.zst")
}

/// The report in every form that the run has.
pub(super) fn reports(dossier: &Dossier) -> Vec<BundleFile> {
    Format::ALL
        .into_iter()
        .filter_map(|format| Some((format, format.render(dossier).ok()?)))
        .map(|(format, text)| BundleFile::text(format.file_name(), text))
        .collect()
}

/// What was done to make the bundle. Placeholders are listed, never what they stand for.
pub(super) fn manifest(
    dossier: &Dossier,
    command: &[String],
    replaced: &[(String, String, usize)],
    left_out: &[(String, String)],
    redactor: Option<&mut Redactor>,
) -> BundleFile {
    let mut placeholders: Vec<Placeholder> = Vec::new();
    for (_, new, count) in replaced {
        match placeholders.iter_mut().find(|known| known.placeholder == *new) {
            Some(known) => known.count += count,
            None => placeholders.push(Placeholder { placeholder: new.clone(), count: *count }),
        }
    }
    placeholders.sort_by(|a, b| a.placeholder.cmp(&b.placeholder));
    let manifest = BundleManifest {
        schema: "kbisect.manifest/1".to_owned(),
        run: dossier.name(),
        tool: format!("kbisect {}", env!("CARGO_PKG_VERSION")),
        run_by: format!("kbisect {}", dossier.tool_version()),
        command: command.to_vec(),
        redacted: redactor.is_some(),
        placeholders,
        left_out: document::left_out(left_out),
    };
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
    // The command can hold the very patterns.
    let text = redactor.map(|redactor| redactor.text(&text)).unwrap_or(text);
    BundleFile::text("manifest.json", text)
}

/// SHA-256 of every file, in the form of sha256sum(1).
pub(super) fn sums(files: &[BundleFile]) -> Result<String, BundleError> {
    let mut text = String::new();
    let mut buffer = vec![0; 1 << 16];
    for file in files {
        let mut hash = Sha256::new();
        let (_, mut reader) = file.open()?;
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                length => hash.update(&buffer[..length]),
            }
        }
        let _ = writeln!(text, "{}  {}", hex::encode(hash.finalize()), file.path);
    }
    Ok(text)
}
