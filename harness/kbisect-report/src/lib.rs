//! What people and programs get to read: reports in Markdown, the summary on the terminal, the JSON
//! documents and their schemas, and the reader of a run's journal.
//!
//! Invariant: a report is a function of the run's folder: the journal, and the evidence beside it.
//! Nothing here asks the clock, the host or the network, so a report made again later is the same,
//! byte by byte.

mod bisect_log;
mod bundle;
mod changed;
mod commands;
mod conclusion;
mod disturbed;
mod document;
mod documents;
mod dossier;
mod doubt;
mod dry_run;
mod evidence;
mod extra;
mod fields;
mod format;
mod gate;
mod html;
mod imported;
mod journal;
mod junit;
mod ktap;
mod links;
mod mail;
mod markdown;
mod minimize;
pub mod plain;
mod print;
mod recipient;
mod redact;
mod rules;
mod schema;
mod sections;
mod selftest;
mod story;
mod terminal;
mod text;
pub mod words;

pub use bundle::{
    Bundle, BundleDocument, BundleError, BundleFile, BundleManifest, BundleOptions, Carries,
    LeftOut, Placeholder, Replacement, redactor_of,
};
pub use changed::changes_sentence;
pub use conclusion::bisect_result;
pub use documents::{
    BuiltInterface, BuiltNode, ChangesDocument, ConfigDocument, DebugDocument, DecodeDocument,
    DecodedTrace, DetectDocument, DetectedReport, DoctorAccelerator, DoctorCheck, DoctorDocument,
    DoctorStatus, ErrorDocument, KernelsDocument, ListedKernel, ListedScenario, ListedState,
    ScannedFile, ScenariosDocument,
};
pub use dossier::{Dossier, DossierError, Subject};
pub use dry_run::{DryRunDocument, PlannedTrial};

pub use extra::{Extra, Rules};
pub use format::{Format, FormatError, RenderError};
pub use gate::{
    check_result, html_check, markdown_check, read_check, svg_map, terminal_summary_check,
};
pub use html::html;
pub use imported::{ImportDocument, ImportNote, ImportedCheck};
pub use journal::{
    EARLIER_CHECK_JOURNAL, JOURNAL_NAME, Journal, JournalError, JournalWarning, journal_line,
    read_earlier_check_journal, read_journal, read_journal_after, read_journal_of,
};
pub use junit::junit_check;
pub use markdown::{markdown, markdown_run};
pub use minimize::{minimize_result, terminal_summary_minimize};
pub use recipient::{Recipient, RecipientError};
pub use redact::{Hosts, PatternError, RedactRules, Redactor, Rereadable, Survey, pattern};
pub use schema::{SCHEMA_NAMES, schema};
pub use selftest::terminal_summary_selftest;
pub use terminal::{Style, terminal_summary, terminal_summary_run};
