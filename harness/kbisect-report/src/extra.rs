//! What a report says beyond the result: how the run was asked for, and what happened around it.

use kbisect_core::run::{JournalLine, Plan, RunEvent};

/// What a report says beyond the result. Everything is optional: without it the report is shorter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// The command as typed.
    pub command: Vec<String>,
    /// One line about the scenario.
    pub scenario_summary: String,
    /// What the scenario is about, in paragraphs.
    pub description: String,
    /// The rules that nodes under test load.
    pub rules: Vec<Rules>,
    /// SHA-256 over the scenario's files.
    pub scenario_sha256: String,
    /// The older end, as typed.
    pub old_end: String,
    /// The newer end, as typed.
    pub new_end: String,
    /// Notes that were given while it ran, in order.
    pub notes: Vec<String>,
    /// How often the run was resumed.
    pub resumed: usize,
    /// Who met the failure, if that is somebody else than who sends the report: `Name <mail>`.
    pub reporter: Option<String>,
    /// Address of a page on which the failure is talked about.
    pub ticket: Option<String>,
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The node that loads it.
    pub node: String,
    /// Its name in the scenario.
    pub file: String,
    /// The text.
    pub text: String,
}

impl Extra {
    /// Takes it from a journal, so that a report made later says the same.
    pub fn from_journal(lines: &[JournalLine]) -> Self {
        let mut extra = Self::default();
        for line in lines {
            match &line.event {
                RunEvent::Began { plan } => extra.take_plan(plan),
                RunEvent::Note { text } => extra.notes.push(text.clone()),
                RunEvent::Resumed => extra.resumed += 1,
                _ => {}
            }
        }
        extra
    }

    fn take_plan(&mut self, plan: &Plan) {
        self.command.clone_from(&plan.command);
        self.scenario_summary.clone_from(&plan.scenario_summary);
        self.scenario_sha256.clone_from(&plan.scenario_sha256);
        self.old_end.clone_from(&plan.old_end);
        self.new_end.clone_from(&plan.new_end);
    }
}
