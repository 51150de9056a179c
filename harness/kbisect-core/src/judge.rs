//! From what was observed in a trial to its verdict.
//!
//! The order of the rules is the point: our own failures first (they never are `bad`), then what
//! the kernel said of itself, then what it did to packets, and `good` only with positive proof.

#[cfg(test)]
mod disturbed_tests;
mod lacks;
mod scenario;
mod seen;
mod service;
mod symptoms;
#[cfg(test)]
mod tests;
mod time;
mod words;

use crate::disturbed::Cause;
use crate::fault::ScenarioFault;
use crate::scenario::WarningPolicy;
use crate::trial::{
    CheckResult, CheckStatus, ConsoleReport, Phase, Symptom, SymptomKind, Untestable, Verdict,
};

pub use crate::command::CommandEnd;
pub use crate::wrong::Wrong;
pub use lacks::{Sought as SoughtFeature, module_of_device, sought, text_of};
pub use scenario::{
    Failed, NodePart, Unprepared, accepts, fault_of_absent, fault_of_check, fault_of_given,
    fault_of_node, fault_of_service, fault_of_step,
};
pub use seen::{MachineEnd, Observation, Refused, ServiceDown, ServiceEnd};
pub use words::line_of;

use self::service::service_down;
use self::symptoms::{crash, one_line, symptom};
use self::time::{Basis, undecided};

/// A verdict, and what took another one away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Set when the time that the verdict would have rested on was disturbed.
    pub disturbed: Option<Cause>,
}

/// Draws the verdict.
pub fn judge(seen: &Observation, warnings: WarningPolicy) -> Verdict {
    judge_whole(seen, warnings).verdict
}

/// As [`judge`], and says whether a disturbance is why there is no answer.
pub fn judge_whole(seen: &Observation, warnings: WarningPolicy) -> Judged {
    let (verdict, basis) = conclude(seen, warnings);
    let plain = |verdict| Judged { verdict, disturbed: None };
    let what = match &verdict {
        Verdict::Bad(symptom) => {
            if let Some(why) = wrong_clock(seen, symptom.kind) {
                return plain(Verdict::Infra(format!("{why}, so this says nothing: {symptom}")));
            }
            symptom.to_string()
        }
        Verdict::Skip(why) => why.to_string(),
        Verdict::Good | Verdict::Infra(_) | Verdict::Scenario(_) => return plain(verdict),
    };
    match undecided(&seen.gaps, basis) {
        Some((why, disturbed)) => Judged {
            verdict: Verdict::Infra(format!("{why}, so this says nothing: {what}")),
            disturbed,
        },
        None => plain(verdict),
    }
}

/// The clock that is wrong and can have brought a symptom about: whatever was not done in time.
fn wrong_clock(seen: &Observation, kind: SymptomKind) -> Option<&String> {
    match kind {
        // A stall that was made fatal is still a stall.
        SymptomKind::Panic => {
            let first = seen.reports.iter().find(|report| report.phase > Phase::Boot)?;
            seen.clock.as_ref().filter(|_| first.kind == SymptomKind::Hang)
        }
        // Silence is measured by the host's clock, a stall by the guest's.
        SymptomKind::Hang => {
            let stall = |report: &ConsoleReport| {
                report.kind == SymptomKind::Hang && report.phase > Phase::Boot
            };
            seen.clock.as_ref().filter(|_| seen.reports.iter().any(stall))
        }
        kind if kind.is_in_time() => seen.clock.as_ref().or(seen.peer_clock.as_ref()),
        _ => None,
    }
}

/// The verdict as if time had run for everyone, and the time that it rests on.
fn conclude(seen: &Observation, warnings: WarningPolicy) -> (Verdict, Basis) {
    let plain = |verdict| (verdict, Basis::Stands);
    // A kernel that said it cannot go on needs no word from QEMU: how that ended says no more.
    if let MachineEnd::QemuEnded(error) = &seen.end
        && !seen.reports.iter().any(|report| report.fatal)
        && !seen.panicked
    {
        return plain(Verdict::Infra(error.clone()));
    }
    if !seen.hello {
        let waited = seen.boot_timeout.map(|_| Basis::Silence(seen.booting));
        let basis = waited.unwrap_or(Basis::Stands);
        return (before_user_space(seen), basis);
    }
    let after_boot = || seen.reports.iter().filter(|report| report.phase > Phase::Boot);
    // A stall that rests on disturbed time does not hide what came after it.
    let stands = |report: &&ConsoleReport| undecided(&seen.gaps, seen.rests_on(report)).is_none();
    // A crash of the candidate explains whatever else went wrong, also on our side.
    if let Some(report) = after_boot().find(|report| report.fatal) {
        // A stall that proves nothing does not hide an oops. A panic may be no more than what the stall
        // led to (softlockup_panic, hung_task_panic), so it rests on the stall.
        let counts = |earlier: &&ConsoleReport| report.kind != SymptomKind::Oops || stands(earlier);
        let mut before = after_boot().take_while(|earlier| !std::ptr::eq(*earlier, report));
        let first = before.find(counts).unwrap_or(report);
        return (Verdict::Bad(crash(first, report)), seen.rests_on(first));
    }
    let oops_like = |report: &&ConsoleReport| {
        matches!(report.kind, SymptomKind::Oops | SymptomKind::Panic | SymptomKind::Hang)
    };
    let mut complaints = after_boot().filter(oops_like);
    let first = complaints.next();
    let told = first.filter(stands).or_else(|| complaints.find(stands)).or(first);
    if let Some(report) = told {
        return (Verdict::Bad(crash(report, report)), seen.rests_on(report));
    }
    if seen.panicked {
        let title = "kernel panic without a report on the console".to_owned();
        let detail = format!("pvpanic told of it in phase {}", seen.phase);
        return plain(Verdict::Bad(symptom(SymptomKind::Panic, title, detail, None)));
    }
    // What a program does not understand, or the reference kernel refuses on a node of its own, no
    // kernel under test was asked for.
    let certain = |fault: &&ScenarioFault| fault.cause.is_certain() || seen.fault_at_reference;
    if let Some(fault) = seen.fault.as_ref().filter(certain) {
        return plain(Verdict::Scenario(fault.clone()));
    }
    if let Some(seconds) = seen.boot_timeout {
        return plain(Verdict::Infra(format!(
            "the boot was too slow: user space came up only after the {seconds} s that it may take here \
             (--slow 3 makes all deadlines three times as long)"
        )));
    }
    if let Some(error) = &seen.infra {
        return plain(Verdict::Infra(error.clone()));
    }
    if let Some(verdict) = ended(seen) {
        let silent = matches!(seen.end, MachineEnd::Silent { .. });
        return (verdict, if silent { Basis::Silence(seen.silence) } else { Basis::Stands });
    }
    if !seen.lacks.is_empty() {
        return plain(Verdict::Skip(Untestable::Lacks { features: seen.lacks.clone() }));
    }
    match (&seen.refused, &seen.service) {
        // A step that failed because the application is gone says less than the application's end.
        (Some(refused), Some(service)) if !refused.rules && refused.on_candidate => {
            return (service_down(service, seen, warnings), Basis::Failed(service.window));
        }
        (Some(refused), _) => return (refusal(refused), refused.basis()),
        (None, Some(service)) => {
            return (service_down(service, seen, warnings), Basis::Failed(service.window));
        }
        (None, None) => {}
    }
    if let Some(failed) = seen.checks.iter().find(|check| check.status == CheckStatus::Fail) {
        return failed_check(seen, failed);
    }
    let missing = |check: &CheckResult| {
        check.status == CheckStatus::NotRun && !seen.unclear.contains_key(&check.name)
    };
    if !seen.answered_at_end || seen.checks.iter().any(missing) {
        return plain(Verdict::Infra(
            "the trial ended without the guest's word that all is done".to_owned(),
        ));
    }
    match (after_boot().next(), warnings) {
        (Some(report), WarningPolicy::Bad) => {
            (Verdict::Bad(crash(report, report)), seen.rests_on(report))
        }
        _ => {
            let needed = |check: &&CheckResult| seen.unclear.get(&check.name) == Some(&true);
            seen.checks
                .iter()
                .find(needed)
                .map_or(plain(Verdict::Good), |check| unclear(seen, check))
        }
    }
}

/// A kernel that does not reach user space cannot answer; that is never `bad`.
fn before_user_space(seen: &Observation) -> Verdict {
    if let Some(error) = &seen.infra {
        return Verdict::Infra(error.clone());
    }
    let crash = seen.reports.iter().find(|report| report.fatal).or_else(|| seen.reports.first());
    let why = match (crash, &seen.boot_error, &seen.end) {
        (Some(report), ..) => report.title.clone(),
        (None, Some(error), _) => error.clone(),
        (None, None, MachineEnd::Restarted) => "the machine restarted".to_owned(),
        (None, None, MachineEnd::PoweredOff) => "the machine switched itself off".to_owned(),
        (None, None, MachineEnd::ChannelBroken(error)) => error.clone(),
        (None, None, _) => match seen.boot_timeout {
            Some(seconds) => format!("no sign of life within {seconds} s"),
            None => "it ended early".to_owned(),
        },
    };
    Verdict::Skip(Untestable::NoBoot { said: why })
}

fn ended(seen: &Observation) -> Option<Verdict> {
    let phase = seen.phase;
    let (kind, title, detail) = match &seen.end {
        MachineEnd::Running | MachineEnd::QemuEnded(_) => return None,
        MachineEnd::Silent { seconds } => (
            SymptomKind::Hang,
            "the machine stopped answering".to_owned(),
            format!(
                "no sign of life for {seconds} s in phase {phase}, nothing on the console{}",
                if seen.watchdog { ", and its watchdog ran out" } else { "" }
            ),
        ),
        MachineEnd::Restarted => (
            SymptomKind::Reboot,
            "the machine restarted without a word".to_owned(),
            format!("a restart in phase {phase} without a report on the console"),
        ),
        MachineEnd::PoweredOff => (
            SymptomKind::Reboot,
            "the machine switched itself off".to_owned(),
            format!("it went off in phase {phase} though nobody asked for it"),
        ),
        MachineEnd::ChannelBroken(error) => (
            SymptomKind::Hang,
            "the guest channel broke".to_owned(),
            format!("{error}, in phase {phase}"),
        ),
    };
    Some(Verdict::Bad(symptom(kind, title, detail, None)))
}

fn refusal(refused: &Refused) -> Verdict {
    let Refused { step, node, output, .. } = refused;
    let detail = format!("step `{step}` on {node}: {}", one_line(output));
    if !refused.on_candidate {
        return Verdict::Infra(format!(
            "{detail} (a reference node: the scenario or the image is at fault)"
        ));
    }
    let (kind, title) = if refused.rules {
        (SymptomKind::RulesRefused, format!("rules refused: {step} on {node}"))
    } else {
        (SymptomKind::CheckFailed, format!("step failed: {step} on {node}"))
    };
    Verdict::Bad(symptom(kind, title, detail, Some(node.clone())))
}

/// A check that could not tell is no proof of anything.
fn unclear(seen: &Observation, check: &CheckResult) -> (Verdict, Basis) {
    let window = seen.check_windows.get(&check.name).copied().unwrap_or_default();
    let why = Untestable::Unclear { check: check.name.clone(), said: check.detail.clone() };
    (Verdict::Skip(why), Basis::Failed(window))
}

fn failed_check(seen: &Observation, failed: &CheckResult) -> (Verdict, Basis) {
    let window = seen.check_windows.get(&failed.name).copied().unwrap_or_default();
    if let Some((check, loss)) = seen.losses.iter().find(|(check, _)| *check == failed.name) {
        let detail = format!("check `{check}`: {}; {}", failed.detail, loss.detail);
        let basis = loss.window.map_or(Basis::Failed(window), Basis::Proof);
        let lost = symptom(loss.kind, loss.title.clone(), detail, None);
        return (Verdict::Bad(Symptom { loss: loss.place.clone().map(Box::new), ..lost }), basis);
    }
    let wrong = seen.wrong.get(&failed.name);
    if let Some(why) = wrong.and_then(Wrong::of_reference) {
        return (
            Verdict::Infra(format!("check `{}`: {}; {why}", failed.name, failed.detail)),
            Basis::Stands,
        );
    }
    let title = match wrong {
        Some(wrong) => format!("{}: {wrong}", failed.name),
        None => format!("check failed: {}", failed.name),
    };
    let place = Some(failed.name.clone());
    let symptom = symptom(SymptomKind::CheckFailed, title, failed.detail.clone(), place);
    (Verdict::Bad(symptom), Basis::Failed(window))
}
