//! Options of the search under doubt.

use clap::Args;
use kbisect_core::bayes::Settings;

/// For failures that show in some runs only. Any of them (but --quick) chooses the search under doubt.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Failures that show in some runs only")]
pub struct DoubtArgs {
    /// Repeat trials until chance is ruled out; the options below imply it
    #[arg(long)]
    pub flaky: bool,
    /// Halve the range, as by default, and end there: nothing is tried again, so the answer is unconfirmed
    #[arg(long, conflicts_with_all = ["flaky", "stop", "strict", "robust", "p_min", "budget"])]
    pub quick: bool,
    /// Name a culprit from this probability on [default: 0.99]
    #[arg(long, value_name = "PROBABILITY", value_parser = stop)]
    pub stop: Option<f64>,
    /// Compare the culprit and its neighbour until chance explains the difference with 1 %, not 5 %
    #[arg(long)]
    pub strict: bool,
    /// Bad kernels fail at rates that differ from one to the next
    #[arg(long)]
    pub robust: bool,
    /// The lowest failure rate that is worth searching [default: 0.05]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub p_min: Option<f64>,
    /// End after so many runs (200runs) or so much time (90m, 2h), with what is known by then
    #[arg(long, value_name = "RUNS|TIME", value_parser = budget)]
    pub budget: Option<Budget>,
}

/// What a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Runs.
    Runs(u32),
    /// Seconds.
    Seconds(u64),
}

impl DoubtArgs {
    /// The settings of the search under doubt; `None` for plain halving.
    pub fn settings(&self) -> Option<Settings> {
        let implied = self.strict || self.robust || self.flaky;
        let given = self.stop.is_some() || self.p_min.is_some() || self.budget.is_some();
        if !implied && !given {
            return None;
        }
        let default = Settings::default();
        Some(Settings {
            stop: self.stop.unwrap_or(default.stop),
            p_min: self.p_min.unwrap_or(default.p_min),
            strict: self.strict,
            robust: self.robust,
            budget: match self.budget {
                Some(Budget::Runs(runs)) => Some(runs),
                Some(Budget::Seconds(_)) | None => None,
            },
            ..default
        })
    }

    /// Seconds that the search may take.
    pub fn budget_s(&self) -> Option<u64> {
        match self.budget {
            Some(Budget::Seconds(seconds)) => Some(seconds),
            Some(Budget::Runs(_)) | None => None,
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    number.map_err(|_| format!("`{text}` is no number, such as 0.99 or 99%"))
}

fn stop(text: &str) -> Result<f64, String> {
    let stop = number(text)?;
    if stop > 0.5 && stop < 1.0 {
        Ok(stop)
    } else {
        Err("it lies above 0.5 and below 1: nothing is ever certain".to_owned())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = number(text)?;
    // Rarer failures take thousands of runs to be seen at all.
    if (0.001..=1.0).contains(&rate) { Ok(rate) } else { Err("it is from 0.001 to 1".to_owned()) }
}

pub fn budget(text: &str) -> Result<Budget, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let wrong = || format!("`{text}` is no budget: give runs (200runs) or time (90m, 2h, 30s)");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match text[digits.len()..].trim() {
        "runs" | "run" => {
            return match u32::try_from(number) {
                Ok(0) => Err("a budget of no runs finds nothing".to_owned()),
                Ok(runs) => Ok(Budget::Runs(runs)),
                Err(_) => Err(wrong()),
            };
        }
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(0) => Err("a budget of no time finds nothing".to_owned()),
        Some(seconds) => Ok(Budget::Seconds(seconds)),
        None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_runs_or_time() {
        assert_eq!(budget("200runs"), Ok(Budget::Runs(200)));
        assert_eq!(budget("2h"), Ok(Budget::Seconds(7200)));
        assert_eq!(budget("90 m"), Ok(Budget::Seconds(5400)));
        for wrong in ["", "h", "0runs", "0s", "5", "-3h", "99999999999999999999h", "5 days"] {
            assert!(budget(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_numbers_or_percent() {
        assert_eq!(stop("99.5%"), Ok(0.995));
        assert_eq!(rate("0.3"), Ok(0.3));
        for wrong in ["1", "0.5", "NaN", "x", "150%"] {
            assert!(stop(wrong).is_err(), "{wrong}");
        }
        assert!(rate("0").is_err());
    }

    #[test]
    fn each_option_chooses_the_search_under_doubt() {
        assert_eq!(DoubtArgs::default().settings(), None);
        let strict = DoubtArgs { strict: true, ..DoubtArgs::default() };
        assert!(strict.settings().is_some_and(|settings| settings.strict));
        let budget = DoubtArgs { budget: Some(Budget::Seconds(60)), ..DoubtArgs::default() };
        assert!(budget.settings().is_some_and(|settings| settings.budget.is_none()));
        assert_eq!(budget.budget_s(), Some(60));
    }
}
