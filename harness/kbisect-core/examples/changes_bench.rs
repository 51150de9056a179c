//! Times the ranking of changes; `scripts/bench changes` runs it.
//!
//!     changes_bench [CHANGELOG OLD NEW SCENARIO [RESULT]]
//!
//! Without arguments a changelog of 5,000 commits is made up, and the time is held against the number
//! to hold: the exit code is 1 when it is missed, or the planted commit is not first. With arguments,
//! a real changelog (plain text) is ranked between two package versions for the folder of a scenario,
//! and the first ten are printed; `RESULT` is the result.json of a failed trial.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use kbisect_core::changes::{ChangeSource, Changelog, Clues, rank};
use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::run::RunResult;
use kbisect_core::scenario::Scenario;
use kbisect_core::version::PackageVersion;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Commits of the made-up changelog.
const COMMITS: usize = 5000;
/// Seconds that parsing and ranking may take.
const TARGET_S: f64 = 2.0;
/// The commit that is to be first.
const PLANTED: &str = "netfilter: nft_gatekeeper: count what was turned away";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => made_up(),
        [changelog, old, new, scenario, result @ ..] => {
            let text = std::fs::read_to_string(changelog)?;
            let scenario = scenario_in(Path::new(scenario))?;
            let result: Option<RunResult> = match result.first() {
                Some(path) => Some(serde_json::from_slice(&std::fs::read(path)?)?),
                None => None,
            };
            let clues =
                Clues::of(Some(&scenario), result.as_ref().map(|result| &result.trial.record));
            let seconds = ranked(&text, old, new, &clues, true)?.1;
            println!("{} bytes, {seconds:.3} s", text.len());
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("usage: changes_bench [CHANGELOG OLD NEW SCENARIO [RESULT]]".into()),
    }
}

fn made_up() -> Result<ExitCode> {
    let scenario = "
        schema = 'kbisect.scenario/1'
        summary = 'x'
        [requires]
        modules = ['nf_tables', 'xt_gatekeeper', 'nf_conntrack', 'vrf', '8021q', 'bridge']
        [nodes.a]
        kernel = 'candidate'
        devices = ['b type bridge', 'v type vrf table 10']
        [[setup]]
        name = 'rules'
        node = 'a'
        run = 'iptables -A INPUT -m gatekeeper -m conntrack --ctstate NEW -j REJECT'
        [[checks]]
        name = 'alive'
        node = 'a'
        alive = true
    ";
    let scenario =
        Scenario::parse("bench", "scenario.toml", scenario)?.with_assets(BTreeMap::new())?.0;
    let clues = Clues::of(Some(&scenario), None);
    let (first, seconds) = ranked(&changelog(), "6.12.1-1", "6.12.99-1", &clues, false)?;
    let held = seconds <= TARGET_S && first.as_deref() == Some(PLANTED);
    println!(
        "changes: {COMMITS} made-up commits parsed and ranked in {seconds:.3} s   target {TARGET_S} {}",
        if held { "ok" } else { "MISSED" }
    );
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Subjects of four to nine words, a fifth of them of network code.
fn changelog() -> String {
    let areas = [
        "net",
        "netfilter: nf_tables",
        "netfilter: conntrack",
        "tcp",
        "bridge",
        "drm/amd/display",
        "btrfs",
        "usb: gadget",
        "wifi: mac80211",
        "ext4",
        "scsi: core",
        "mm/slub",
        "sched/fair",
        "iommu",
        "KVM: x86",
        "ALSA: hda",
        "perf",
        "nvme",
        "ACPI",
        "gpio",
    ];
    let words = [
        "fix", "leak", "in", "error", "path", "of", "queue", "reset", "handle", "missing",
        "unlock", "counter", "avoid", "stale", "pointer", "when", "device", "is", "removed",
        "lookup",
    ];
    let mut text =
        "linux (6.12.99-1) trixie; urgency=medium\n\n  * New upstream stable update:\n    \
                    https://example.org/ChangeLog-6.12.99\n"
            .to_owned();
    let mut state = 1usize;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for n in 0..COMMITS {
        if n == COMMITS / 3 {
            let _ = writeln!(text, "    - {PLANTED}");
            continue;
        }
        let _ = write!(text, "    - {}: subsystem_{}_fn()", areas[next(areas.len())], next(3000));
        for _ in 0..4 + next(6) {
            let _ = write!(text, " {}", words[next(words.len())]);
        }
        text.push('\n');
    }
    text + "\n -- A <a@example.org>  Mon, 02 Feb 2026 10:00:00 +0000\n"
}

/// The first subject, and the seconds that parsing and ranking took.
fn ranked(
    text: &str,
    old: &str,
    new: &str,
    clues: &Clues,
    print: bool,
) -> Result<(Option<String>, f64)> {
    let (old, new) = (kernel(old)?, kernel(new)?);
    let source = ChangeSource::Changelog {
        package: "linux-libc-dev".to_owned(),
        version: new.package_version.to_string(),
        sha256: String::new(),
    };
    let began = Instant::now();
    let segment = Changelog::parse(text).between(&old, &new);
    let ranking = rank(segment, clues, source, &old.version, &new.version);
    let seconds = began.elapsed().as_secs_f64();
    if print {
        println!(
            "{} changes, {} touching",
            ranking.considered.changes, ranking.considered.touching
        );
        for change in ranking.top.iter().take(10) {
            println!(
                "{:>3} {:>6} {} ({})",
                change.rank,
                change.score,
                change.change.subject,
                change.origin()
            );
            println!("           {}", change.because());
        }
        ranking.notes.iter().for_each(|note| println!("note: {note}"));
    }
    Ok((ranking.top.first().map(|first| first.change.subject.clone()), seconds))
}

fn kernel(version: &str) -> Result<Kernel> {
    let package_version = PackageVersion::parse(version)?;
    Ok(Kernel {
        version: package_version.upstream().to_owned(),
        package_version,
        flavour: "cloud-amd64".to_owned(),
        source: "debian:x".to_owned(),
        id: KernelId(version.to_owned()),
        release: None,
        name: None,
        variant: None,
    })
}

fn scenario_in(folder: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(folder.join("scenario.toml"))?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files
            .insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(Scenario::parse(&name, "scenario.toml", &text)?.with_assets(files)?.0)
}
