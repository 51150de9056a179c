//! The user's hands in a trial by hand: what is next is shown, and an answer read.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use kbisect_core::by_hand::{Part, confirmed};
use kbisect_core::job::Subject;
use kbisect_core::scenario::Scenario;
use kbisect_report::words::{by_hand, planned, planned_file};
use kbisect_vm::trial::{Choice, Hands, TrialResult};

use super::files::keep_scenario;

/// Asks on standard error, and reads answers from standard input. Where that ends the run ends.
#[derive(Debug)]
pub struct AtTerminal(pub Arc<Scenario>);

impl Hands for AtTerminal {
    fn decide(&self, part: Part, at: usize) -> Choice {
        eprint!("\n{}", planned(&self.0, part, at));
        let file = planned_file(&self.0, part, at);
        let view = if file.is_some() { ", [v]iew the file" } else { "" };
        loop {
            eprint!("do it? [y]es, [s]kip, s[h]ell{view}, [a]bort: ");
            let _ = io::stderr().flush();
            let mut line = String::new();
            if io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
                eprintln!();
                return Choice::Abort;
            }
            match (line.trim().to_lowercase().as_str(), &file) {
                ("y" | "yes", _) => return Choice::Do,
                ("s" | "skip", _) => return Choice::Skip,
                ("h" | "shell", _) => return Choice::Shell,
                ("a" | "abort", _) => return Choice::Abort,
                ("v" | "view", Some(text)) => eprint!("{text}"),
                _ => {}
            }
        }
    }
}

/// Writes down what was confirmed, as a scenario that runs.
///
/// # Errors
/// Files that cannot be written.
pub fn keep_confirmed(
    run_folder: &Path,
    subject: &Subject,
    result: &mut TrialResult,
) -> anyhow::Result<()> {
    let left = confirmed(&subject.scenario, &result.skipped);
    if let Some(scenario) = &left {
        keep_scenario(&run_folder.join("confirmed"), scenario)?;
    }
    result.notes.extend(by_hand(&subject.scenario, &result.skipped, left.is_some()));
    Ok(())
}
