//! The user's hands in a trial by hand: what is next is shown, and an answer read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use kbisect_core::by_hand::{Part, confirmed};
use kbisect_core::job::Subject;
use kbisect_core::scenario::Scenario;
use kbisect_report::words::{NOBODY_ANSWERS, by_hand, planned, planned_file};
use kbisect_vm::trial::{Choice, Hands, TrialResult};

use super::files::keep_scenario;

/// Most bytes of an answer.
const LONGEST: usize = 256;

/// Asks on standard error, and reads answers from standard input. Where that ends the run ends.
#[derive(Debug)]
pub struct AtTerminal(pub Arc<Scenario>);

impl Hands for AtTerminal {
    fn decide(&self, part: Part, at: usize) -> Choice {
        eprint!("\n{}", planned(&self.0, part, at));
        let file = planned_file(&self.0, part, at);
        let others = match (part, &file) {
            (Part::Nodes, _) => "",
            (_, None) => ", [s]kip, s[h]ell",
            (_, Some(_)) => ", [s]kip, s[h]ell, [v]iew the file",
        };
        loop {
            eprint!("do it? [y]es{others}, [a]bort: ");
            let _ = io::stderr().flush();
            let Some(line) = answer() else {
                eprintln!("\n{NOBODY_ANSWERS}");
                return Choice::Abort;
            };
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

/// A line of standard input; nothing at its end. Not buffered: what comes after it may be for a shell.
fn answer() -> Option<String> {
    let mut input = io::stdin().as_fd().try_clone_to_owned().map(File::from).ok()?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST {
        match input.read(&mut byte) {
            Ok(1..) if byte != *b"\n" => line.push(byte[0]),
            Ok(1..) => break,
            Ok(0) if line.is_empty() => return None,
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&line).into_owned())
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
