//! Commands to paste: what repeats a run, goes on with it, or makes its answer surer.

use kbisect_core::answer::Trial;
use kbisect_core::kernel::Kernel;
use kbisect_core::search::Direction;

use crate::extra::Extra;
use crate::story::{Ending, Story};
use crate::text::{as_kbisect, command_line, shell_word};

/// What the command of a trial that fails does.
pub(crate) const THAT_FAILS: &str = "The trial that fails";
/// What a command with `--shell` does.
pub(crate) const WITH_SHELL: &str = "The same with a shell at the point of failure";

/// Commands that repeat a trial; one that fails with a shell as well.
pub(crate) fn of_trial(
    what: &'static str,
    repeat: &str,
    fails: bool,
) -> Vec<(&'static str, String)> {
    let shell = fails.then(|| (WITH_SHELL, format!("{repeat} --shell")));
    std::iter::once((what, repeat.to_owned())).chain(shell).collect()
}

impl<'a> Story<'a> {
    /// The command that goes on with a run that is not complete.
    pub(crate) fn resume(&self) -> Option<String> {
        matches!(self.ending(), Ending::Interrupted | Ending::Failed)
            .then(|| format!("kbisect resume {}", shell_word(&self.result.run_dir)))
    }

    /// The command that repeats the most telling trial: the one that fails, else the last one.
    pub(crate) fn repeat(&self) -> Option<&'a str> {
        let shown = self.shown_trial().or(self.result.trials.last());
        shown.map(|trial| trial.repeat.as_str()).or(self.result.repeat.as_deref())
    }

    /// Commands that repeat it, each with what it does.
    pub(crate) fn commands(
        &self,
        good: Option<&Trial>,
        extra: &Extra,
    ) -> Vec<(&'static str, String)> {
        let fails = self.shown_trial().is_some();
        let what = if fails { THAT_FAILS } else { "The last trial" };
        let repeat = self.repeat().map(|repeat| of_trial(what, repeat, fails));
        let mut commands = repeat.unwrap_or_default();
        commands.extend(good.map(|good| ("The trial that passes", good.repeat.clone())));
        if !extra.command.is_empty() {
            commands.push(("The whole bisection", command_line(&as_kbisect(&extra.command))));
        }
        commands
    }

    /// The one command that makes sense after a run that found something: the search for the fix, where kernels
    /// are found without an option, else what a ticket wants.
    pub(crate) fn next(&self) -> Option<String> {
        let result = self.result;
        if !self.found() || result.run_dir.is_empty() {
            return None;
        }
        let affected = result.affected.as_ref().filter(|it| it.fixed.is_none());
        let newest = affected.and_then(|it| it.newest.as_ref());
        if let (Some(affected), Some(newest)) = (affected, newest)
            && newest.fails == Some(false)
        {
            let ends = [&affected.to, &newest.kernel];
            let at_hand =
                |kernel: &&Kernel| kernel.source == "local" || kernel.source.starts_with("debian:");
            if ends.iter().all(at_hand) {
                let [old, new] = ends.map(|end| end.package_version.as_str());
                let scenario = shell_word(&result.scenario);
                return Some(format!("kbisect {old}..{new} --scenario {scenario} --find-fix"));
            }
        }
        Some(format!("kbisect report {} --bundle", shell_word(&result.run_dir)))
    }

    /// The command that makes an answer surer whose sides were not tried often enough.
    pub(crate) fn surer(&self) -> Option<String> {
        let result = self.result;
        let sides = self.sides();
        let [old, new] = sides.as_slice() else { return None };
        if !self.found() || result.confidence.level != "unconfirmed" {
            return None;
        }
        let ends = [old, new].map(|side| match self.commit(side.kernel) {
            Some(commit) => commit.label(),
            None => side.kernel.package_version.as_str(),
        });
        let [old, new] = ends.map(shell_word);
        let scenario = shell_word(&result.scenario);
        let fix = if result.direction == Direction::Fix { " --find-fix" } else { "" };
        Some(format!("kbisect {old}..{new} --scenario {scenario}{fix} --flaky"))
    }
}
