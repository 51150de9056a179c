//! Which symptom is looked for, when the bad end fails in several ways: named, asked for, or the most
//! frequent one.

use std::io::IsTerminal;
use std::time::Duration;

use kbisect_core::bayes::{Ending, Tally};
use kbisect_core::mark::{Marked, mark, mark_named};
use kbisect_core::run::{
    ChosenBy, Due, RunEvent, SymptomChoice, SymptomCount, SymptomName, choice_due,
    named_is_missing, symptoms_of_bad_end, target_symptom,
};
use kbisect_core::search::Role;
use kbisect_core::trial::TrialRecord;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::context::Base;
use crate::cli::Global;
use crate::output;

/// How often a question is put before the default is taken.
const ASKED: usize = 3;
/// How long one wait for an answer takes: as long as Ctrl-C may go unnoticed.
const WAIT: Duration = Duration::from_millis(200);

/// The event that has to come before the next trial, if the trials so far call for one: which symptom
/// it is, or that the one that was named cannot be had. With `may_ask` the user is asked.
pub fn settle<'a>(
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    base: &Base,
    may_ask: bool,
) -> anyhow::Result<Option<RunEvent>> {
    let seen = symptoms_of_bad_end(events.clone());
    let chosen = |symptom, by| {
        let choice = SymptomChoice { by, seen: seen.clone() };
        Ok(Some(RunEvent::SymptomChosen { symptom: Box::new(symptom), choice }))
    };
    match choice_due(events.clone()) {
        Some(Due::Named(symptom)) => chosen(symptom, ChosenBy::Named),
        Some(Due::Ask) => {
            let asked = if may_ask { ask(&seen, base)? } else { None };
            let by = if asked.is_some() { ChosenBy::Asked } else { ChosenBy::MostFrequent };
            let at = asked.unwrap_or(0);
            match seen.get(at) {
                Some(count) => chosen(count.symptom.clone(), by),
                None => Ok(None),
            }
        }
        None if is_number_beyond(events.clone()) => {
            // No trial of this end would add to the list in good time: it failed often enough.
            let tally =
                Tally { others: seen.iter().map(|count| count.runs).sum(), ..Tally::default() };
            Ok(Some(RunEvent::Decided { ending: Ending::NotReproduced { tally } }))
        }
        None => Ok(None),
    }
}

/// What a trial tells the search of a run with these events so far.
pub fn mark_of<'a>(
    record: &TrialRecord,
    role: Role,
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    named: Option<&SymptomName>,
) -> Marked {
    match (target_symptom(events), named) {
        (None, Some(name @ (SymptomName::Kind(_) | SymptomName::Title(_)))) => {
            mark_named(record, role, name)
        }
        (target, _) => mark(record, role, target),
    }
}

/// Whether there is somebody to ask.
pub fn may_ask(global: &Global) -> bool {
    !global.json
        && !global.quiet
        && std::env::var_os("CI").is_none()
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal()
}

fn is_number_beyond<'a>(events: impl IntoIterator<Item = &'a RunEvent> + Clone) -> bool {
    let by_number = events.clone().into_iter().any(|event| match event {
        RunEvent::Began { plan } => {
            plan.options.doubt.is_some()
                && matches!(plan.options.symptom, Some(SymptomName::Number(_)))
        }
        _ => false,
    });
    by_number && named_is_missing(events).is_some()
}

/// Asks for a number. None when there is no answer that makes sense: the first one is taken then.
fn ask(seen: &[SymptomCount], base: &Base) -> anyhow::Result<Option<usize>> {
    let mut question =
        vec!["The bad end fails in several ways. Which one is looked for?".to_owned()];
    question.extend(seen.iter().enumerate().map(|(at, count)| {
        let s = if count.runs == 1 { "" } else { "s" };
        format!("  {}  {} run{s}  {}", at + 1, count.runs, count.symptom)
    }));
    let answer = base.ui.pause(|| {
        for line in &question {
            output::say(line);
        }
        for _ in 0..ASKED {
            output::prompt(&format!("1 to {} [1]: ", seen.len()));
            let line = line(base)?;
            match line.trim().parse::<usize>() {
                _ if line.trim().is_empty() => return Some(0),
                Ok(number) if (1..=seen.len()).contains(&number) => return Some(number - 1),
                _ => {}
            }
        }
        None
    });
    base.go_on()?;
    Ok(answer)
}

/// A line of standard input, without waiting for one when somebody wants to stop; none when it ended or the user wants to stop.
pub fn line(base: &Base) -> Option<String> {
    let stdin = std::io::stdin();
    loop {
        if base.interrupt.is_set() {
            return None;
        }
        let wait = Timespec::try_from(WAIT).ok()?;
        let mut waited = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut waited, Some(&wait)).is_ok_and(|ready| ready > 0) {
            let mut line = String::new();
            return (stdin.read_line(&mut line).ok()? > 0).then_some(line);
        }
    }
}
