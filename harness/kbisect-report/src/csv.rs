//! A line for each trial, with its numbers: for a spreadsheet.

use crate::dossier::Dossier;

/// Writes the report.
pub(crate) fn csv(dossier: &Dossier) -> String {
    let mut to = "number,kernel,verdict,seconds\n".to_owned();
    for trial in dossier.trials() {
        // Versions and verdicts are words without commas and quotes.
        let version = &trial.kernel.package_version;
        to += &format!("{},{version},{},{:.1}\n", trial.number, trial.verdict, trial.wall_s);
    }
    to
}
