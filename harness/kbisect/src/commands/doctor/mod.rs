//! `kbisect doctor`: whether this machine is ready.

mod archive;
mod host;
mod machines;
mod tools;

use std::process::ExitCode;

use kbisect_report::{DoctorCheck, DoctorDocument, DoctorStatus};

use crate::cli::{DoctorArgs, Global};
use crate::ui::Ui;
use crate::ui::paint::{Ink, Paint};
use crate::{exit, output};

/// Looks at everything that a trial needs.
///
/// # Errors
/// When the settings cannot be found out; what is missing is no error but a finding.
pub fn doctor(args: &DoctorArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let ui = Ui::new(global);
    let settings = global.settings()?;
    let image = args.machine.image_definition()?;
    ui.doing("looking at QEMU and KVM");
    let (mut checks, accelerator) = machines::checks(args, &settings);
    checks.push(host::memory());
    checks.push(host::room("cache", &settings.cache_dir, host::CACHE));
    checks.push(host::room("results", &args.results, host::RESULTS));
    let built = archive::image(&image, &settings);
    let has_image = built.status == DoctorStatus::Ok;
    checks.extend(tools::checks(has_image));
    checks.push(built);
    checks.push(archive::kernels(&settings));
    ui.doing("asking the mirror");
    checks.push(archive::keyring(&settings));
    checks.push(archive::mirror(&settings, image.suite()));
    let expected = machines::expected_trial(&accelerator, &args.results);
    ui.finish();
    let document = DoctorDocument::new(checks, accelerator, Some(expected.seconds));
    if global.json {
        output::json(&document)?;
    } else {
        output::print(&tell(&document, &expected.why, Paint::for_stdout(global.color)))?;
    }
    Ok(exit::code(if document.ready { exit::OK } else { exit::INFRASTRUCTURE }))
}

fn tell(document: &DoctorDocument, why: &str, paint: Paint) -> String {
    let width = document.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &document.checks {
        let (ink, word) = match check.status {
            DoctorStatus::Ok => (Ink::Good, "ok  "),
            DoctorStatus::Warn => (Ink::Warning, "warn"),
            DoctorStatus::Fail => (Ink::Bad, "FAIL"),
        };
        let detail = output::clean(&check.detail);
        text.push_str(&format!("{}  {:width$}  {detail}\n", paint.ink(ink, word), check.name));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("      {:width$}  -> {}\n", "", output::clean(hint)));
        }
    }
    let seconds = document.expected_trial_s.unwrap_or_default();
    text.push_str(&format!("\na trial takes about {seconds:.0} s here ({why})\n"));
    text.push_str(if document.ready {
        "ready: kbisect 6.12.43..6.12.96 --scenario connlimit\n"
    } else {
        "not ready: see the lines marked FAIL; on Debian, scripts/deps installs what is missing\n"
    });
    text
}

/// A finding without advice.
fn found(name: &str, status: DoctorStatus, detail: impl Into<String>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), status, detail: detail.into(), hint: None }
}

/// A finding with what to do about it.
fn advise(
    name: &str,
    status: DoctorStatus,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> DoctorCheck {
    DoctorCheck { hint: Some(hint.into()), ..found(name, status, detail) }
}
