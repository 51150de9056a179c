//! `ktap`: a program in the node that reports in TAP or KTAP.

use std::fs;
use std::time::Instant;

use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::scenario::{Check, KtapProbe};
use kbisect_proto::{ASSETS_DIR, Command};

use super::super::shared::SharedRun;
use super::super::{Stop, Trial};
use super::Outcome;

/// Folder, below a trial's, of what such programs printed.
const FOLDER: &str = "output";

impl Trial<'_> {
    pub(super) async fn ktap(&mut self, check: &Check, probe: &KtapProbe) -> Result<Outcome, Stop> {
        let argv = probe.argv(ASSETS_DIR);
        let shared = self.shared.take();
        let same = |run: &SharedRun| run.node == check.node && run.argv == argv;
        let run = match shared.filter(|run| probe.is_part() && same(run)) {
            Some(run) => run,
            None => {
                let command =
                    Command { argv: argv.clone(), stdin: Vec::new(), keep: KtapProbe::KEPT };
                let began = Instant::now();
                let ran = self.exec(&check.node, command, self.timeout(check)).await?;
                self.keep_output(check, &ran);
                SharedRun { node: check.node.clone(), argv, began, ran }
            }
        };
        // What it is judged by happened while the program ran.
        self.asked = run.began;
        let judged = probe.judge(&run.ran, &self.cases_elsewhere(check, probe));
        let ran = run.ran.clone();
        self.shared = probe.is_part().then_some(run);
        // What it prints is about what it tests; only its own start can be the scenario's fault.
        Ok(match &ran.end {
            CommandEnd::NotStarted(_) => {
                judged.map_err(|failure| self.not_started(check, failure, &ran))
            }
            _ => judged,
        })
    }

    /// Cases of the same program that other checks name.
    fn cases_elsewhere(&self, check: &Check, probe: &KtapProbe) -> Vec<&str> {
        let others = self.lab.scenario().checks.iter().filter(|other| other.node == check.node);
        let cases = others.filter_map(|other| other.probe.case_of(&probe.run));
        if probe.rest { cases.collect() } else { Vec::new() }
    }

    /// Keeps what the program printed. That it cannot be written is no reason to end a trial.
    fn keep_output(&self, check: &Check, ran: &Ran) {
        if ran.stdout.is_empty() && ran.stderr.is_empty() {
            return;
        }
        let folder = self.directory.join(FOLDER);
        let text = [&ran.stdout[..], &ran.stderr[..]].concat();
        let end = serde_json::to_vec(&ran.end).unwrap_or_default();
        let write = |suffix: &str, bytes: &[u8]| {
            fs::write(folder.join(format!("{}.{suffix}", check.name)), bytes)
        };
        let _ = fs::create_dir_all(&folder)
            .and_then(|()| write("txt", &text))
            .and_then(|()| write("end.json", &end));
    }
}
