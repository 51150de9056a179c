//! Plain text: a mail to a kernel list (Documentation/admin-guide/reporting-regressions.rst).

use kbisect_core::trial::VerdictKind;
use std::collections::BTreeSet;
use std::fmt::Write;

use kbisect_core::answer::Trial;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{ConfigurationKind, PlannedCommit, RunEvent};
use kbisect_core::search::Direction;

pub(crate) use crate::bisect_log::introduced as introduced_by;
use crate::bisect_log::{bisect_log, introduced};
use crate::changed;
use crate::dossier::{Dossier, Subject};
use crate::extra::Extra;
use crate::fields::{State, fields};
use crate::rules::{marked, suspects};
use crate::sections;
use crate::story::{Story, duration};
use crate::text::{line, lines, plain_lines};
use crate::words;

/// Most lines of a trace: lists want a short one, the whole is in the bundle.
const TRACE_LINES: usize = 40;
/// Most lines of frames, counters or state.
const STATE_LINES: usize = 20;
/// Longest beginning of a commit's subject that names a subsystem.
const LONGEST_PREFIX: usize = 30;
/// Lists of subsystems, by what subjects of their commits begin with (MAINTAINERS).
const LISTS: [(&[&str], &str); 6] = [
    (&["netfilter", "ipvs", "netlink/netfilter"], "netfilter-devel@vger.kernel.org"),
    (&["bpf", "xdp", "selftests/bpf"], "bpf@vger.kernel.org"),
    (&["wifi", "mac80211", "cfg80211"], "linux-wireless@vger.kernel.org"),
    (&["kvm", "x86/kvm"], "kvm@vger.kernel.org"),
    (&["virtio", "virtio_net", "vhost"], "virtualization@lists.linux.dev"),
    (
        &[
            "net",
            "ipv4",
            "ipv6",
            "tcp",
            "udp",
            "vrf",
            "bridge",
            "bonding",
            "net/sched",
            "net_sched",
            "mptcp",
        ],
        "netdev@vger.kernel.org",
    ),
];
/// Most lines of a file of rules.
const RULES: usize = 60;
/// Most changes that are named.
const CHANGES: usize = 5;
/// Where lines are broken. Traces and commands are left as they are.
const WIDTH: usize = 76;

/// Writes the mail, recipients and subject first.
pub(crate) fn mail(dossier: &Dossier) -> String {
    let mut to = String::new();
    let is_regression =
        |story: &Story<'_>| story.found() && story.result.direction == Direction::Regression;
    if dossier.story().is_some_and(|story| is_regression(&story)) {
        let _ = writeln!(to, "{}", folded(&format!("To: {}", recipients(dossier))));
    }
    let _ = writeln!(to, "{}\n", folded(&format!("Subject: {}", line(&subject(dossier), 300))));
    to + &mail_body(dossier, true)
}

/// What stands below the subject; `regzbot` for the kernel's tracker of regressions.
pub(crate) fn mail_body(dossier: &Dossier, regzbot: bool) -> String {
    let mut to = String::new();
    if let Some(headline) = dossier.story().and_then(|story| story.headline()) {
        paragraph(&mut to, &headline.sentences());
    }
    paragraph(&mut to, &dossier.verdict());
    if let Some(symptom) = dossier.symptom() {
        paragraph(&mut to, &format!("Symptom: {symptom}"));
    }
    commit(&mut to, dossier);
    for remark in dossier.story().map(|story| story.remarks()).unwrap_or_default() {
        paragraph(&mut to, &remark);
    }
    if let Some(warning) = &dossier.warning {
        paragraph(&mut to, &warning.to_string());
    }
    if let Some(commit) = fixes(dossier) {
        let _ = writeln!(to, "Fixes: {}\n", line(&words::named(commit), 300));
    }
    table(&mut to, dossier);
    kind_of_kernels(&mut to, dossier, regzbot);
    seen(&mut to, dossier);
    rules(&mut to, dossier);
    changes(&mut to, dossier);
    confidence(&mut to, dossier);
    environment(&mut to, dossier);
    if let Some(log) = bisect_log(dossier) {
        heading(&mut to, "Bisection log");
        to.push_str(&log);
        to.push('\n');
    }
    heading(&mut to, "How to repeat");
    for (what, command) in dossier.commands() {
        let _ = writeln!(to, "  # {what}\n  {}", line(&command, 1000));
    }
    to.push('\n');
    not_available(&mut to, dossier);
    if let Some(range) = introduced(dossier).filter(|_| regzbot) {
        let _ = writeln!(to, "#regzbot introduced: {range}");
        let title = dossier.symptom().map(|symptom| symptom.title.clone()).unwrap_or_default();
        let _ = writeln!(to, "#regzbot title: {}", line(&title, 200));
        let Extra { reporter, ticket, .. } = &dossier.extra;
        for (word, said) in [("from", reporter), ("monitor", ticket)] {
            if let Some(said) = said {
                let _ = writeln!(to, "#regzbot {word}: {}", line(said, 200));
            }
        }
        to.push('\n');
    }
    paragraph(
        &mut to,
        &format!(
            "Made by kbisect {}, a tool: it may contain errors.",
            line(dossier.tool_version(), 40)
        ),
    );
    to.truncate(to.trim_end().len());
    to.push('\n');
    to
}

/// The commit that was found, and what came of taking it back.
fn commit(to: &mut String, dossier: &Dossier) {
    let Subject::Bisection(result) = &dossier.subject else { return };
    if let Some(commit) = dossier.story().and_then(|story| story.culprit()) {
        paragraph(to, &words::culprit(commit, result.direction));
    }
    if let Some(test) = &result.revert {
        let label = words::revert_heading(result.direction);
        paragraph(to, &format!("{label}: {}.", words::revert(test, result.direction)));
        for note in &test.notes {
            paragraph(to, &format!("Note: {note}"));
        }
    }
    for further in &result.further {
        let label = words::further_label(further.because);
        paragraph(to, &format!("{label}: {}", words::further(further, result.direction)));
    }
}

/// The commit that a fix would name.
fn fixes(dossier: &Dossier) -> Option<&PlannedCommit> {
    let story = dossier.story()?;
    story.culprit().filter(|_| story.result.direction == Direction::Regression)
}

/// Lists that a regression goes to: the tracker's, and those of the subsystem of what is most suspect.
fn recipients(dossier: &Dossier) -> String {
    let mut lists = vec!["regressions@lists.linux.dev", "stable@vger.kernel.org"];
    let suspect = prefix(dossier).unwrap_or_default().to_lowercase();
    let of_it = LISTS.iter().find(|(prefixes, _)| prefixes.contains(&suspect.as_str()));
    lists.extend(of_it.map(|(_, list)| *list));
    lists.join(", ")
}

/// What the subject of the commit that was found begins with, or else that of the most suspect change.
fn prefix(dossier: &Dossier) -> Option<String> {
    let story = dossier.story()?;
    let subject = match story.culprit() {
        Some(commit) => commit.subject.clone(),
        None => changed::ranking(story.result)?.top.first()?.change.subject.clone(),
    };
    let (prefix, _) = subject.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/ ".contains(c);
    (prefix.len() <= LONGEST_PREFIX && prefix.chars().all(plain)).then(|| prefix.trim().to_owned())
}

pub(crate) fn subject(dossier: &Dossier) -> String {
    let (kind, title) = titled(dossier);
    format!("[{kind}] {title}")
}

/// What kind of mail it is, and what it is about.
pub(crate) fn titled(dossier: &Dossier) -> (&'static str, String) {
    let title = dossier.symptom().map_or_else(
        || dossier.heading(),
        |symptom| format!("{}: {}", symptom.kind, symptom.title),
    );
    let part = subsystem(dossier).or_else(|| prefix(dossier));
    let part = part.map(|name| format!(" ({name})")).unwrap_or_default();
    let heading = || ("kbisect", format!("{}: {}", dossier.scenario(), dossier.heading()));
    let Some(story) = dossier.story() else {
        return match dossier.trials().first().map(|trial| trial.verdict) {
            Some(VerdictKind::Bad) => ("BUG", format!("{title} on {}{part}", on(dossier))),
            _ => heading(),
        };
    };
    let sides = story.sides();
    match (&dossier.subject, sides.as_slice()) {
        (Subject::Bisection(result), [old, new]) if result.direction == Direction::Regression => {
            let new = story.label(new.kernel);
            let since = match story.found() {
                true => new,
                false => format!("a version after {}, up to {new}", story.label(old.kernel)),
            };
            ("REGRESSION", format!("{title} since {since}{part}"))
        }
        _ => heading(),
    }
}

fn on(dossier: &Dossier) -> String {
    dossier.trials().first().map(|trial| dossier.label(&trial.kernel)).unwrap_or_default()
}

/// What part of the kernel the symptom names: the module of the trace, as `[nf_tables]` stands in it.
fn subsystem(dossier: &Dossier) -> Option<String> {
    let text = &dossier.bad()?.reports.first()?.text;
    let module = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(" [")?;
        let (name, rest) = rest.split_once(']')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (rest.trim().is_empty() && line.contains('+') && name.chars().all(plain)).then_some(name)
    })?;
    Some(module.to_owned())
}

/// Failures of runs: last good, first bad, the newest of the series.
fn table(to: &mut String, dossier: &Dossier) {
    let Some(story) = dossier.story() else { return };
    let mut rows: Vec<(String, &Kernel)> =
        story.sides().into_iter().map(|side| (side.label.to_owned(), side.kernel)).collect();
    if rows.is_empty() {
        return;
    }
    if let Some(newest) = dossier.series().last()
        && rows.iter().all(|(_, kernel)| kernel.id != newest.kernel.id)
    {
        rows.push(("newer end".to_owned(), &newest.kernel));
    }
    heading(to, "Failed runs");
    let mut row = |role: &str, version: &str, (bad, all): (usize, usize)| {
        let runs = if all == 0 { "not run".to_owned() } else { format!("{bad}:{all}") };
        let _ = writeln!(to, "  {role:<27} {:<24} fail:runs {runs}", line(version, 60));
    };
    for (role, kernel) in rows {
        let of = |verdict: VerdictKind| {
            let same = dossier.trials().iter().filter(|trial| trial.kernel.id == kernel.id);
            same.filter(|trial| trial.verdict == verdict).count()
        };
        let (good, bad) = (of(VerdictKind::Good), of(VerdictKind::Bad));
        row(&role, kernel.package_version.as_str(), (bad, good + bad));
    }
    if let Subject::Bisection(result) = &dossier.subject {
        let role = words::changed_bad_end(result.direction);
        let count = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        if let Some(newest) = result.affected.as_ref().and_then(|it| it.newest.as_ref()) {
            let counts = (count(newest.trials.fails), count(newest.trials.counted()));
            row("newest of the series", newest.kernel.package_version.as_str(), counts);
        }
        match &result.revert {
            Some(test) => {
                let counts = (count(test.changed.fails), count(test.changed.counted()));
                row(role, test.onto.label(), counts);
            }
            None => {
                let why = words::not_reverted(result, story.culprit().is_some());
                let _ = writeln!(to, "  {role:<27} not run: {}", line(&why, 200));
            }
        }
    }
    to.push('\n');
}

fn kind_of_kernels(to: &mut String, dossier: &Dossier, for_upstream: bool) {
    let distribution = dossier
        .trials()
        .iter()
        .any(|trial| trial.kernel.source.starts_with("debian") || trial.kernel.variant.is_some());
    let built = dossier.journal.iter().any(|line| match &line.event {
        RunEvent::Began { plan } => {
            let of = plan.options.commits.as_ref();
            of.is_some_and(|of| of.configuration != ConfigurationKind::Elsewhere)
        }
        _ => false,
    });
    if built {
        paragraph(
            to,
            "The kernels were built from the commits of a git tree; `candidate/config` of each trial is what \
             they were configured with.",
        );
    }
    if distribution && for_upstream {
        paragraph(
            to,
            "The kernels are Debian's packages, with Debian's patches and configuration. Upstream asks \
             for a vanilla kernel: repeat it with one before this goes to an upstream list.",
        );
    }
}

fn seen(to: &mut String, dossier: &Dossier) {
    let Some(trial) = dossier.bad() else { return };
    heading(to, &format!("What was seen on {}", line(&dossier.label(&trial.kernel), 60)));
    if let Some(symptom) = &trial.symptom {
        paragraph(to, &symptom.detail);
    }
    for (what, list) in [
        ("Frames of the failed connections:", &trial.hops),
        ("Counters that tell of losses, from set-up to end:", &trial.counters),
        ("Rules that counted packets, and connection tracking:", &trial.state),
    ] {
        if !list.is_empty() {
            let _ = writeln!(to, "{what}\n{}", indented(&list.join("\n"), STATE_LINES));
        }
    }
    trace(to, trial);
    for check in &trial.checks {
        let status = match check.status {
            kbisect_core::trial::CheckStatus::Pass => "pass",
            kbisect_core::trial::CheckStatus::Fail => "FAIL",
            kbisect_core::trial::CheckStatus::Recorded => "fail (only recorded)",
            kbisect_core::trial::CheckStatus::NotRun => "not run",
        };
        let _ = writeln!(to, "  check {}: {status}", line(&check.name, 80));
    }
    to.push('\n');
}

/// The rules that nodes under test load: without them nobody can repeat it.
fn rules(to: &mut String, dossier: &Dossier) {
    let suspects = match &dossier.subject {
        Subject::Bisection(result) => suspects(result),
        Subject::Trial(_) => BTreeSet::new(),
    };
    for rules in &dossier.extra.rules {
        heading(to, &format!("Rules of {} ({})", line(&rules.node, 40), line(&rules.file, 80)));
        let text = marked(&rules.text, &suspects);
        let _ = writeln!(to, "{}\n", indented(&text, RULES));
    }
}

fn trace(to: &mut String, trial: &Trial) {
    if let Some(report) = sections::telling(trial).first() {
        let console = report.console.as_ref().map(|path| format!(" in {}", line(path, 80)));
        let console = console.unwrap_or_default();
        let text = indented(&report.text, TRACE_LINES);
        let _ = writeln!(to, "Console{console}, line {}:\n{text}", report.line);
    }
}

/// The first changes of the ranking: the whole is in the other forms.
fn changes(to: &mut String, dossier: &Dossier) {
    let Subject::Bisection(result) = &dossier.subject else { return };
    let Some(ranking) = changed::ranking(result) else { return };
    heading(to, "What changed");
    paragraph(to, &format!("{} {}", changed::changes_sentence(ranking), changed::NO_PROOF));
    for ranked in ranking.top.iter().take(CHANGES) {
        let subject = line(&ranked.change.subject, 300);
        let text = format!("{}. {subject} ({})", ranked.rank, line(&ranked.origin(), 60));
        let _ = writeln!(to, "{}", wrapped(&text, "   "));
        let _ = writeln!(to, "   {}", wrapped(&line(&ranked.because(), 600), "   "));
    }
    for note in &ranking.notes {
        to.push('\n');
        let _ = writeln!(to, "{}", wrapped(&format!("Note: {}", line(note, 600)), ""));
    }
    to.push('\n');
}

fn confidence(to: &mut String, dossier: &Dossier) {
    let Subject::Bisection(result) = &dossier.subject else { return };
    heading(to, "Confidence");
    let statement = result.confidence.statement.trim_end_matches('.');
    paragraph(to, &format!("{}: {statement}.", crate::doubt::level(&result.confidence)));
    for text in crate::doubt::sentences(result) {
        paragraph(to, &text);
    }
    for text in result.warnings.iter().chain(&dossier.extra.notes) {
        paragraph(to, &format!("Note: {text}"));
    }
}

fn environment(to: &mut String, dossier: &Dossier) {
    heading(to, "Environment");
    let environment = dossier.environment();
    let files = dossier.evidence.bad.as_ref().or(dossier.evidence.good.as_ref());
    let mut row = |name: &str, value: &str| {
        if !value.trim().is_empty() {
            let _ = writeln!(to, "  {name:<13} {}", line(value, 300));
        }
    };
    if let Some(trial) = dossier.bad().or(dossier.good()) {
        row("kernel", trial.release.as_deref().unwrap_or_default());
    }
    if let Some(files) = files {
        row("built", files.proc_version.as_deref().unwrap_or_default());
        row("command line", files.cmdline.as_deref().unwrap_or_default());
        row("taint", files.taint.as_deref().unwrap_or_default());
    }
    let accelerator = match (environment.accelerator.as_str(), &environment.accelerator_reason) {
        (name, Some(reason)) if name != "kvm" => format!("{name} (not KVM: {reason})"),
        (name, _) => name.to_owned(),
    };
    row("QEMU", &format!("{}, {accelerator}", environment.qemu));
    row("host", &format!("{}, {} CPUs", environment.host, environment.cpus));
    row("scenario", &format!("{}: {}", dossier.scenario(), dossier.extra.scenario_summary));
    row("files", &dossier.extra.scenario_sha256);
    row(
        "took",
        &duration(match &dossier.subject {
            Subject::Bisection(result) => result.wall_s,
            Subject::Trial(result) => result.trial.wall_s,
        }),
    );
    to.push('\n');
}

fn not_available(to: &mut String, dossier: &Dossier) {
    heading(to, "Not in this mail");
    for field in fields(dossier) {
        if let State::Missing(why) | State::Partly(why) = field.state {
            let _ = writeln!(to, "{}", wrapped(&format!("- {}: {why}", field.name), "  "));
        }
    }
    to.push('\n');
}

fn heading(to: &mut String, text: &str) {
    let _ = writeln!(to, "{text}\n{}", "-".repeat(text.chars().count()));
}

fn paragraph(to: &mut String, text: &str) {
    let text = line(text, 2000);
    if !text.is_empty() {
        let _ = writeln!(to, "{}\n", wrapped(&text, ""));
    }
}

/// A field of a mail's head, folded (RFC 5322 §2.2.3).
pub(crate) fn folded(field: &str) -> String {
    wrapped(field, " ")
}

/// Breaks a text into lines of at most [`WIDTH`] characters; a longer word stays whole.
fn wrapped(text: &str, indent: &str) -> String {
    textwrap::fill(text, plain_lines(WIDTH).subsequent_indent(indent))
}

fn indented(text: &str, max: usize) -> String {
    lines(text, max).lines().map(|line| format!("  {line}\n")).collect()
}
