//! What is said beside the recorded bisection of `kbisect tour`.

use crate::text::plain_lines;

/// Where the tour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TourStep {
    /// It begins.
    Incident,
    /// The bad end was tried.
    BadEnd,
    /// The good end was tried.
    GoodEnd,
    /// One kernel is left.
    Narrowed,
    /// Both sides were tried again.
    Confirmed,
    /// Changes were ranked.
    Changes,
    /// The newest kernel was tried.
    Newest,
    /// It is over.
    YourTurn,
}

/// What is said there, in lines of so many columns.
#[must_use]
pub fn tour(step: TourStep, columns: usize) -> Vec<String> {
    let lines = textwrap::wrap(said(step), plain_lines(columns.saturating_sub(2)));
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

fn said(step: TourStep) -> &'static str {
    match step {
        TourStep::Incident => {
            "A recording of a real run (Ctrl-C ends it). After an upgrade from 6.12.43 to 6.12.86 connections that a host \
             opens hang. Ping works, ports answer, rules load. Which kernel broke it? Each is booted in a machine of its \
             own, with the real rules and real traffic."
        }
        TourStep::BadEnd => {
            "Both ends are tried first. The newer one fails: the answer to the SYN reaches the host, and is lost inside it. \
             That is seen on the wire, not guessed from a time-out."
        }
        TourStep::GoodEnd => {
            "The older one passes, so that the scenario can tell them apart. Now the range is halved."
        }
        TourStep::Narrowed => {
            "6.12.57 passes and 6.12.69 fails, and there is nothing between them. A single trial can mislead: \
             both are tried again, by turns, and from a fresh boot."
        }
        TourStep::Confirmed => "3 of 3 against 0 of 3. That is confirmed.",
        TourStep::Changes => {
            "2,083 changes lie between the two. Those that have names in common with the failure, the rules and the devices \
             come first; the guilty one is number 1."
        }
        TourStep::Newest => {
            "One more trial, of the newest kernel of the series: it passes. So there is somewhere to go, and the answer \
             can say what to do."
        }
        TourStep::YourTurn => {
            "That was a recording. Here: kbisect doctor, then kbisect 6.12.43..6.12.86 --scenario connlimit. \
             For a failure of your own: kbisect scenario new --template gateway --output ./my-gateway"
        }
    }
}
