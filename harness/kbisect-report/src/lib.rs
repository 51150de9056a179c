//! What people and programs get to read: reports in Markdown, the summary on the terminal, the JSON
//! documents and their schemas, and the reader of a run's journal.
//!
//! Invariant: a report is a function of the journal. Nothing here asks the clock, the host or the
//! network, so a report made again later is the same, byte by byte.

mod documents;

pub use documents::{
    DetectDocument, DetectedReport, DoctorAccelerator, DoctorCheck, DoctorDocument, DoctorStatus,
    KernelsDocument, ListedKernel, ListedScenario, ListedState, ScenariosDocument,
};
