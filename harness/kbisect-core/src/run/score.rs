//! A journal scored again, with the model of today and other settings if need be.

use super::{JournalLine, RunEvent};
use crate::bayes::{Settings, Why};
use crate::method::{Method, MethodError, Next, with_ends};

/// A journal's counts under the search under doubt, whatever search made the trials.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The journal as if that search had been chosen: without its end, or with the end that the counts
    /// amount to.
    pub lines: Vec<JournalLine>,
    /// The version that would be tried next, and why; nothing when the counts decide.
    pub next: Option<(usize, Option<Why>)>,
}

/// Scores a journal again. `settings` gets those of the run's own search under doubt, if it had one,
/// and gives the ones to use. `None` when the journal has no plan.
///
/// # Errors
/// [`MethodError`] for settings out of bounds.
pub fn score_again(
    lines: &[JournalLine],
    settings: impl FnOnce(Option<Settings>) -> Settings,
) -> Result<Option<Scored>, MethodError> {
    let is_end = |event: &RunEvent| {
        matches!(
            event,
            RunEvent::Ended { .. }
                | RunEvent::Decided { .. }
                | RunEvent::BudgetSet { .. }
                | RunEvent::Interrupted
                | RunEvent::ScenarioError { .. }
                | RunEvent::Failed { .. }
        )
    };
    let mut lines: Vec<JournalLine> =
        lines.iter().filter(|line| !is_end(&line.event)).cloned().collect();
    let began = lines.iter_mut().find_map(|line| match &mut line.event {
        RunEvent::Began { plan } => Some(plan),
        _ => None,
    });
    let Some(plan) = began else { return Ok(None) };
    let (direction, options) = (plan.direction, &mut plan.options);
    let settings = Settings { budget: None, ..settings(options.doubt) };
    options.doubt = Some(with_ends(settings, direction, options.assume_old, options.assume_new));
    let plan = plan.as_ref().clone();
    let method = Method::replay(&plan, lines.iter().map(|line| &line.event))?;
    let next = match method.next() {
        Next::Try { index, reason, .. } => Some((index, reason)),
        // Nothing runs, so there is nothing to wait for.
        Next::Wait => None,
        Next::Done(event) => {
            let at_ms = lines.last().map_or(0, |line| line.at_ms);
            lines.push(JournalLine { at_ms, event });
            None
        }
    };
    Ok(Some(Scored { lines, next }))
}
