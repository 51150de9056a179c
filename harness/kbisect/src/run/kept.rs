//! What a run that is resumed takes from its plan, and the command that resumes it.

use std::path::Path;

use kbisect_core::job::Subject;
use kbisect_core::kernel::Kernel;
use kbisect_core::options::MachineChoices;
use kbisect_core::run::{Environment, Plan, RunEvent, Tried, end_of_search, wall_seconds};
use kbisect_vm::accel::NoKvm;

use super::context::{Base, Context};
use super::journal::Journal;
use super::kernels;
use crate::cli::{self, AccelChoice, Budget, Chosen, Global, MachineArgs, ResumeArgs};
use crate::errors;

/// What a run that is resumed takes from its plan, so that its trials are as they were.
pub struct Kept<'a> {
    /// Where it took place.
    pub environment: &'a Environment,
    /// How its machines ran.
    pub machine: MachineChoices,
    /// Whether kernels boot in every trial.
    pub cold: bool,
    /// The kernel of the reference nodes.
    pub reference: &'a Kernel,
}

impl Kept<'_> {
    /// The options of machines, as if they were typed again.
    pub fn machine(&self, args: &ResumeArgs) -> MachineArgs {
        MachineArgs {
            accel: accelerator_of(self.environment),
            qemu: args.again.qemu.clone(),
            image: args.again.image.clone(),
            cold: self.cold,
            chosen: Chosen::Planned(self.machine),
        }
    }

    /// Everything that trials need, again.
    ///
    /// # Errors
    /// When the reference kernel is not there any more, or the root image is another one.
    pub fn context(
        &self,
        base: Base,
        machine: &MachineArgs,
        subject: &Subject,
    ) -> anyhow::Result<Context> {
        let placement = match self.environment.placement.as_str() {
            "single" => cli::Placement::Single,
            _ => cli::Placement::Split,
        };
        let needs = (&subject.scenario.image, &*subject.name);
        let version = self.reference.package_version.as_str();
        let reference = kernels::reference(&base, Some(&self.reference.id.0))
            .or_else(|_| kernels::reference(&base, Some(version)))?;
        let context = Context::new(base, machine, needs, reference, placement)?;
        if context.image.key != self.environment.image {
            return Err(errors::infrastructure(
                "the root image is not the one that the run began with",
                "user space must be the same in all trials of a run: use the same kbisect (and --image, \
                 if it was given), or start a new run",
            ));
        }
        Ok(context)
    }
}

/// The accelerator for the rest of a run: emulation where the user wanted it.
pub fn accelerator_of(environment: &Environment) -> AccelChoice {
    let asked_for = NoKvm::NotWanted.to_string();
    if environment.accelerator_reason == Some(asked_for) {
        AccelChoice::Tcg
    } else {
        AccelChoice::Auto
    }
}

/// Seconds that the search may take.
pub fn budget_s(plan: &Plan, journal: &Journal) -> Option<u64> {
    let set = journal.events().rev().find_map(|event| match event {
        RunEvent::BudgetSet { seconds, .. } => Some(*seconds),
        _ => None,
    });
    set.unwrap_or(plan.options.budget_s)
}

/// The event that gives a run another budget; nothing when its search ended for another reason than
/// the old one.
///
/// # Errors
/// When the run has no budget to speak of, or used that much already.
pub fn new_budget(
    budget: Budget,
    plan: &Plan,
    journal: &Journal,
) -> anyhow::Result<Option<RunEvent>> {
    if plan.options.doubt.is_none() {
        return Err(errors::usage(
            "this run is not under doubt (--flaky), so it has no budget",
            "leave --budget out",
        ));
    }
    let for_want_of_budget = |event: &RunEvent| {
        use kbisect_core::bayes::{Ending, RangeReason};
        match event {
            RunEvent::Decided { ending: Ending::Range { why, .. } } => {
                // Several changes are told in place of the budget that was used up.
                matches!(why, RangeReason::Budget | RangeReason::SeveralChanges(_))
            }
            RunEvent::Decided { ending: Ending::NotReproduced { tally } } => tally.fails == 0,
            _ => false,
        }
    };
    if end_of_search(journal.events()).is_some_and(|end| !for_want_of_budget(end)) {
        return Ok(None);
    }
    let is_trial = |event: &&RunEvent| {
        let is_version = matches!(event, RunEvent::TrialEnded { tried: Tried::Version { .. }, .. });
        is_version && matches!(event, RunEvent::TrialEnded { mark: Some(_), .. })
    };
    let (made, spent) =
        (journal.events().filter(is_trial).count() as u64, wall_seconds(&journal.lines));
    let used = |what: String| {
        Err(errors::usage(
            format!("that budget is used already: {what}"),
            "give more than that, or leave --budget out to see the result again",
        ))
    };
    match budget {
        Budget::Runs(runs) if u64::from(runs) <= made => used(format!("{made} runs were made")),
        Budget::Seconds(seconds) if seconds as f64 <= spent => {
            used(format!("the run took {spent:.0} s"))
        }
        Budget::Runs(runs) => Ok(Some(RunEvent::BudgetSet { runs: Some(runs), seconds: None })),
        Budget::Seconds(seconds) => {
            Ok(Some(RunEvent::BudgetSet { runs: None, seconds: Some(seconds) }))
        }
    }
}

/// The command that goes on with a run, with the options that find the same things again.
pub fn resume_command(folder: &Path, global: &Global, machine: &MachineArgs) -> String {
    let mut words = vec!["kbisect".to_owned(), "resume".to_owned(), shown(folder)];
    let mut options = global.words();
    let others = options.split_off(if global.cache_dir.is_some() { 2 } else { 0 });
    for (option, path) in [("--qemu", &machine.qemu), ("--image", &machine.image)] {
        if let Some(path) = path {
            options.extend([option.to_owned(), path.display().to_string()]);
        }
    }
    words.extend(options.iter().chain(&others).map(|word| quoted(word)));
    words.join(" ")
}

/// The shortest way to name a run folder: relative to where the user is.
fn shown(folder: &Path) -> String {
    seen_from(&std::env::current_dir().unwrap_or_default(), folder)
}

fn seen_from(here: &Path, folder: &Path) -> String {
    match folder.strip_prefix(here) {
        Ok(same) if same.as_os_str().is_empty() => ".".to_owned(),
        below => quoted(&below.unwrap_or(folder).display().to_string()),
    }
}

/// A word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+~=,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::SourceArgs;
    use kbisect_kernels::Source;

    #[test]
    fn the_command_names_what_differs_from_the_defaults() {
        let plain =
            resume_command(Path::new("/r/one"), &Global::default(), &MachineArgs::default());
        assert_eq!(plain, "kbisect resume /r/one");
        let global = Global {
            offline: true,
            cache_dir: Some("/my cache".into()),
            suites: vec!["sid".to_owned()],
            sources: SourceArgs {
                named: vec![Source::SNAPSHOT],
                urls: vec![(Source::SNAPSHOT, "https://s.example".to_owned())],
                git: None,
                quilt: None,
                template: None,
            },
            ..Global::default()
        };
        let machine = MachineArgs { qemu: Some("/opt/qemu".into()), ..MachineArgs::default() };
        assert_eq!(
            resume_command(Path::new("/r/it's"), &global, &machine),
            "kbisect resume '/r/it'\\''s' --cache '/my cache' --qemu /opt/qemu \
             --snapshot-url https://s.example --source snapshot --suite sid --offline"
        );
    }

    #[test]
    fn a_folder_is_named_from_where_the_user_is() {
        let from = |here: &str| seen_from(Path::new(here), Path::new("/r/one"));
        assert_eq!([from("/r/one"), from("/r"), from("/x")], [".", "one", "/r/one"]);
    }

    #[test]
    fn emulation_is_kept_only_where_it_was_a_wish() {
        let environment = |reason: Option<&str>| Environment {
            accelerator_reason: reason.map(str::to_owned),
            ..Environment::default()
        };
        let wish = NoKvm::NotWanted.to_string();
        assert_eq!(accelerator_of(&environment(Some(&wish))), AccelChoice::Tcg);
        assert_eq!(accelerator_of(&environment(Some("/dev/kvm is missing"))), AccelChoice::Auto);
        assert_eq!(accelerator_of(&environment(None)), AccelChoice::Auto);
    }
}
