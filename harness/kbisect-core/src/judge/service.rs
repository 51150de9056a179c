//! The verdict when a service failed.

use super::seen::{Observation, ServiceDown, ServiceEnd};
use super::symptoms::{crash, one_line, symptom};
use crate::oom::{self, Killed};
use crate::scenario::WarningPolicy;
use crate::trial::{Phase, Symptom, SymptomKind, Verdict};

/// Draws the verdict on a service that failed.
pub(super) fn service_down(
    down: &ServiceDown,
    seen: &Observation,
    warnings: WarningPolicy,
) -> Verdict {
    let ServiceDown { service, node, error, .. } = down;
    let mut detail = format!("service `{service}` on {node}: {}", one_line(error));
    if !down.on_candidate {
        return Verdict::Infra(format!(
            "{detail} (a reference node: the scenario or the image is at fault)"
        ));
    }
    let reports = || seen.reports.iter().filter(|report| report.phase > Phase::Boot);
    let killed: Vec<Killed> = reports().flat_map(|report| oom::killed(&report.text)).collect();
    let how = end_of(down, &killed);
    if how == ServiceEnd::OutOfMemory {
        let whom: Vec<String> =
            killed.iter().take(3).map(|it| format!("{} ({})", it.pid, it.name)).collect();
        detail += &format!("; the kernel killed process {} for want of memory", whom.join(", "));
    }
    let how = match how {
        ServiceEnd::NotStarted => "did not start".to_owned(),
        ServiceEnd::NotReady => "not ready in time".to_owned(),
        ServiceEnd::Status(status) => format!("ended with status {status}"),
        ServiceEnd::Signal(signal) => format!("killed by {}", signal_name(signal)),
        ServiceEnd::OutOfMemory => "killed: out of memory".to_owned(),
    };
    let place = Some(node.clone());
    let title = format!("service {service} on {node} {how}");
    let down = symptom(SymptomKind::ServiceDown, title, detail, place);
    // What the kernel itself complained of comes first; that a process was killed for want of memory
    // is told above.
    let complaint = reports().find(|report| oom::killed(&report.text).is_empty());
    Verdict::Bad(match (complaint, warnings) {
        (None, _) => down,
        (Some(report), WarningPolicy::Bad) => {
            let first = crash(report, report);
            let detail = format!("{}; {}", first.detail, down.detail);
            Symptom { detail, ..first }
        }
        (Some(report), WarningPolicy::Record) => {
            let detail = format!("{}; on the console: {}", down.detail, report.title);
            Symptom { detail, ..down }
        }
    })
}

/// How a service ended, with the kernel's word on who was killed for want of memory. A shell says
/// 137 when what it ran was killed.
fn end_of(down: &ServiceDown, killed: &[Killed]) -> ServiceEnd {
    const KILL: i32 = 9;
    let by_kill = matches!(down.how, ServiceEnd::Signal(KILL) | ServiceEnd::Status(137));
    let named = killed.iter().any(|it| oom::is_program(&it.name, &down.program));
    let ended = matches!(down.how, ServiceEnd::Signal(_) | ServiceEnd::Status(_));
    // Nobody else in a guest sends that signal unasked.
    if ended && (named || by_kill && !killed.is_empty()) {
        return ServiceEnd::OutOfMemory;
    }
    down.how
}

/// A signal's name (signal(7), numbers of x86, arm64 and riscv64).
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disturbed::Window;
    use crate::judge::{Refused, judge};
    use crate::trial::ConsoleReport;

    const OOM: &str =
        "Out of memory: Killed process 231 (worker) total-vm:90kB, anon-rss:8kB, UID:0";

    fn down(how: ServiceEnd) -> ServiceDown {
        ServiceDown {
            service: "app".to_owned(),
            node: "client".to_owned(),
            on_candidate: true,
            program: "/opt/bin/worker".to_owned(),
            how,
            window: Window::default(),
            error: "after 3 s: no memory left".to_owned(),
        }
    }

    fn seen(service: ServiceDown, texts: &[(&str, Phase)]) -> Observation {
        let report = |(text, phase): &(&str, Phase)| ConsoleReport {
            console: None,
            kind: SymptomKind::Warning,
            title: format!("title of {}", &text[..6]),
            phase: *phase,
            fatal: false,
            line: 1,
            alt_titles: Vec::new(),
            frames: Vec::new(),
            text: (*text).to_owned(),
        };
        Observation {
            phase: Phase::Checks,
            hello: true,
            service: Some(service),
            reports: texts.iter().map(report).collect(),
            ..Observation::default()
        }
    }

    fn symptom_of(seen: &Observation, warnings: WarningPolicy) -> Symptom {
        judge(seen, warnings).symptom().expect("it is bad").clone()
    }

    #[test]
    fn the_title_says_how_it_ended_and_the_detail_what_it_said() {
        for (how, words) in [
            (ServiceEnd::NotStarted, "did not start"),
            (ServiceEnd::NotReady, "not ready in time"),
            (ServiceEnd::Status(7), "ended with status 7"),
            (ServiceEnd::Signal(11), "killed by SIGSEGV"),
            (ServiceEnd::Signal(34), "killed by signal 34"),
        ] {
            let found = symptom_of(&seen(down(how), &[]), WarningPolicy::Bad);
            assert_eq!(found.kind, SymptomKind::ServiceDown);
            assert_eq!(found.title, format!("service app on client {words}"));
            assert!(found.detail.contains("no memory left"), "{}", found.detail);
        }
    }

    #[test]
    fn a_reference_service_is_our_own_affair() {
        let service = ServiceDown { on_candidate: false, ..down(ServiceEnd::Status(1)) };
        assert_eq!(judge(&seen(service, &[]), WarningPolicy::Bad).word(), "infra");
    }

    #[test]
    fn a_kill_for_want_of_memory_is_named() {
        let oom = [(OOM, Phase::Workload)];
        // By its own name, by the signal, and as a shell passes it on.
        for how in [ServiceEnd::Status(1), ServiceEnd::Signal(9), ServiceEnd::Status(137)] {
            let found = symptom_of(&seen(down(how), &oom), WarningPolicy::Bad);
            assert_eq!(found.title, "service app on client killed: out of memory");
            assert!(found.detail.contains("231 (worker)"), "{}", found.detail);
        }
        let other = |how| ServiceDown { program: "sh".to_owned(), ..down(how) };
        let title = |how| symptom_of(&seen(other(how), &oom), WarningPolicy::Bad).title;
        assert_eq!(title(ServiceEnd::Status(137)), "service app on client killed: out of memory");
        assert_eq!(title(ServiceEnd::Status(1)), "service app on client ended with status 1");
        assert_eq!(title(ServiceEnd::NotReady), "service app on client not ready in time");
        let none = symptom_of(&seen(down(ServiceEnd::Signal(9)), &[]), WarningPolicy::Bad);
        assert_eq!(none.title, "service app on client killed by SIGKILL");
    }

    #[test]
    fn what_the_kernel_complained_of_is_not_hidden() {
        let complaint = [(OOM, Phase::Checks), ("WARNING: CPU: 0", Phase::Checks)];
        let seen = seen(down(ServiceEnd::Signal(11)), &complaint);
        let found = symptom_of(&seen, WarningPolicy::Bad);
        assert_eq!((found.kind, found.title.as_str()), (SymptomKind::Warning, "title of WARNIN"));
        assert!(found.detail.contains("service `app` on client"), "{}", found.detail);
        let found = symptom_of(&seen, WarningPolicy::Record);
        assert_eq!(found.kind, SymptomKind::ServiceDown);
        assert!(found.detail.contains("on the console: title of WARNIN"), "{}", found.detail);
        let boot =
            super::tests::seen(down(ServiceEnd::Signal(11)), &[("WARNING: CPU: 0", Phase::Boot)]);
        let found = symptom_of(&boot, WarningPolicy::Bad);
        assert_eq!(
            found.kind,
            SymptomKind::ServiceDown,
            "the boot's complaints are another matter"
        );
    }

    #[test]
    fn a_step_that_failed_for_want_of_the_service_does_not_hide_it() {
        let refused = |rules| Refused {
            step: "use it".to_owned(),
            node: "client".to_owned(),
            rules,
            on_candidate: true,
            timed_out: false,
            window: Window::default(),
            output: "connection refused".to_owned(),
        };
        let with = |refused| {
            let seen =
                Observation { refused: Some(refused), ..seen(down(ServiceEnd::Status(1)), &[]) };
            symptom_of(&seen, WarningPolicy::Bad).kind
        };
        assert_eq!(with(refused(false)), SymptomKind::ServiceDown);
        assert_eq!(with(refused(true)), SymptomKind::RulesRefused);
    }
}
