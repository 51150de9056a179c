//! Arguments of a report.

use std::path::PathBuf;

use clap::Args;
use kbisect_report::{Format, FormatError, Recipient};

use crate::settings::global::NEWEST;

/// Arguments of `kbisect report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The run: its folder, or its name below the results folder
    #[arg(value_name = "RUN", default_value = NEWEST)]
    pub run: PathBuf,
    /// Its form.
    #[arg(long, value_name = "FORM", value_parser = format_of, help = forms())]
    pub format: Option<Format>,
    /// Who reads it: debian, upstream (mails), ticket (Markdown), chat, manager (a few plain sentences)
    #[arg(long = "for", value_name = "RECIPIENT", conflicts_with_all = ["format", "bundle"])]
    pub recipient: Option<Recipient>,
    /// Who met the failure, if it was not you: for the kernel's tracker of regressions
    #[arg(long, value_name = "NAME <MAIL>", value_parser = reporter, requires = "recipient")]
    pub reporter: Option<String>,
    /// Page on which the failure is talked about: for the same
    #[arg(long, value_name = "URL", value_parser = page, requires = "recipient")]
    pub ticket: Option<String>,
    /// File to write in place of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write everything about the run into one .tar.zst [default name: that of the run]
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "format", help_heading = "Bundle")]
    #[expect(clippy::option_option, reason = "absent, present, present with a file")]
    pub bundle: Option<Option<PathBuf>>,
    /// Include the kernels that reproduce.sh boots (about 50 MB each)
    #[arg(long, requires = "bundle", help_heading = "Bundle")]
    pub with_kernel: bool,
    /// Include the root image (about 55 MB)
    #[arg(long, requires = "bundle", help_heading = "Bundle")]
    pub with_image: bool,
    /// Include this program: reproduce.sh needs nothing but QEMU then, with the two above
    #[arg(long, requires = "bundle", help_heading = "Bundle")]
    pub with_tool: bool,
    /// Replace addresses, hardware addresses and host names by placeholders; payload of captured frames
    /// becomes blank
    #[arg(long, help_heading = "Redaction")]
    pub redact: bool,
    /// Replace what matches, too; may be repeated
    #[arg(
        long = "redact-pattern",
        value_name = "REGEX",
        requires = "redact",
        help_heading = "Redaction"
    )]
    pub redact_patterns: Vec<String>,
    /// Write no bundle in which this still matches; may be repeated
    #[arg(long = "secret", value_name = "REGEX", requires = "bundle", help_heading = "Redaction")]
    pub secrets: Vec<String>,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

fn reporter(text: &str) -> Result<String, &'static str> {
    let has_mail = text
        .trim()
        .strip_suffix('>')
        .and_then(|rest| rest.split_once('<'))
        .is_some_and(|(name, mail)| !name.trim().is_empty() && mail.contains('@'));
    let is_line = !text.chars().any(char::is_control);
    (has_mail && is_line).then(|| text.trim().to_owned()).ok_or("expected `Name <mail@address>`")
}

fn page(text: &str) -> Result<String, &'static str> {
    let is_page = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    let is_word = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    (is_page && is_word).then(|| text.to_owned()).ok_or("expected an address: https://...")
}

fn forms() -> String {
    format!(
        "Form of the report: {}; of a check {} [default: md, or json with --json]",
        Format::words(false),
        Format::words(true)
    )
}

fn format_of(word: &str) -> Result<Format, String> {
    word.parse().map_err(|error: FormatError| format!("{error}; {}", error.hint()))
}
