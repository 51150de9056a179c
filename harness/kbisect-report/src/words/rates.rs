//! How often checks fail on one kernel, in words.

use kbisect_core::run::{CheckRate, Rates};

use super::percent;

/// How many trials there were, and what they rest on.
pub(crate) fn rates_of(rates: &Rates) -> String {
    let Rates { trials, boots, unanswered, .. } = rates;
    let boots_are = if *boots == 1 { "boot" } else { "boots" };
    let unanswered = match unanswered {
        0 => String::new(),
        number => format!(", {number} of them without an answer"),
    };
    let flaky = rates.flaky().count();
    let always = rates.checks.iter().filter(|check| check.failed > 0 && check.passed == 0).count();
    format!(
        "{trials} trials of {boots} {boots_are}{unanswered}: {flaky} of {} checks flaky, {always} failed each time",
        rates.checks.len()
    )
}

/// How often a check failed.
pub(crate) fn failed_of(check: &CheckRate) -> String {
    let made = check.failed + check.passed;
    match check.untold {
        _ if made == 0 => "could not tell in any".to_owned(),
        0 => format!("{} of {made}", check.failed),
        untold => format!("{} of {made}, {untold} could not tell", check.failed),
    }
}

/// Its rate, with the interval.
pub(crate) fn rate(check: &CheckRate) -> String {
    match &check.rate {
        Some(rate) => {
            format!("{} ({} to {})", percent(rate.mean), percent(rate.low), percent(rate.high))
        }
        None => "-".to_owned(),
    }
}
