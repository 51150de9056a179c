//! `reproduce.sh`: repeats the trial that fails.

use kbisect_core::kernel::Kernel;

use super::Carries;
use crate::dossier::{Dossier, Subject};
use crate::text::shell_word;

const BODY: &str = include_str!("reproduce.sh");

/// The script for the trial that a report shows.
pub(super) fn script(dossier: &Dossier, carries: Carries) -> String {
    let trial = dossier.bad().or(dossier.good()).or(dossier.trials().last());
    let symptom = trial.and_then(|trial| trial.symptom.as_ref());
    let reference = match &dossier.subject {
        Subject::Bisection(result) => Some(&result.reference),
        Subject::Trial(result) => result.reference.as_ref(),
    };
    let kernel = trial.map(|trial| &trial.kernel);
    let booted = trial.and_then(|trial| trial.booted.as_ref());
    // It becomes a word of a command: another form could be an option.
    let id = |kernel: &Kernel| kernel.id.is_hash().then(|| kernel.id.0.clone());
    let variables = [
        ("TOOL_VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("KERNEL_ID", kernel.and_then(id).unwrap_or_default()),
        (
            "KERNEL_PACKAGE",
            kernel.map(|kernel| kernel.package_version.to_string()).unwrap_or_default(),
        ),
        ("KERNEL_SOURCE", kernel.map(|kernel| kernel.source.clone()).unwrap_or_default()),
        ("REFERENCE_ID", reference.and_then(id).unwrap_or_default()),
        ("REFERENCE_SOURCE", reference.map(|kernel| kernel.source.clone()).unwrap_or_default()),
        ("PLACEMENT", dossier.environment().placement.clone()),
        ("TRIAL", trial.map(|trial| trial.directory.clone()).unwrap_or_default()),
        ("BOOT", booted.map(|booted| booted.way.word().to_owned()).unwrap_or_default()),
        ("CRYPTO_TESTS", flag(booted.is_some_and(|booted| booted.crypto_tests))),
        ("VERDICT", trial.map(|trial| trial.verdict.to_string()).unwrap_or_default()),
        ("KIND", symptom.map(|symptom| symptom.kind.to_string()).unwrap_or_default()),
        ("TITLE", symptom.map(|symptom| json(&symptom.title)).unwrap_or_default()),
        ("HAS_KERNELS", flag(carries.kernels)),
        ("HAS_IMAGE", flag(carries.image)),
    ];
    let mut head = String::new();
    for (name, value) in variables {
        // Line breaks in a value would not do harm within the quotes, but they would to the reader.
        let value = value.replace(|c: char| c.is_control(), " ");
        head += &format!("{name}={}\n", shell_word(&value));
    }
    BODY.replacen("# @variables@\n", &head, 1)
}

fn flag(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// A text as it stands in result.json.
fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
