//! The checked-in schemas are those of the types.
//!
//! To write them anew after a change of a document:
//! `KBISECT_UPDATE_SCHEMAS=1 cargo test -p kbisect-report --test schemas`

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use kbisect_core::gate::{GateLine, GateResult};
use kbisect_core::minimize::MinimizeResult;
use kbisect_core::run::{BisectResult, JournalLine, Plan, RunResult};
use kbisect_core::selftest::SelftestResult;
use kbisect_report::{
    BundleDocument, BundleManifest, ChangesDocument, ConfigDocument, DebugDocument, DecodeDocument,
    DetectDocument, DoctorDocument, DryRunDocument, ErrorDocument, ImportDocument, KernelsDocument,
    SCHEMA_NAMES, ScenariosDocument, schema,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schemas that are made from types. `scenario` is not among them: it describes a file that
/// people write, in a shape that no type has.
fn generated() -> Vec<(&'static str, Value)> {
    vec![
        ("bisect", of::<BisectResult>("bisect", "The result of a bisection.")),
        ("run", of::<RunResult>("run", "The result of one trial.")),
        (
            "selftest",
            of::<SelftestResult>("selftest", "Whether checks can fail, and what a failure needs."),
        ),
        (
            "minimize",
            of::<MinimizeResult>(
                "minimize",
                "What a failure needs, and the smallest scenario that shows it.",
            ),
        ),
        ("check", of::<GateResult>("check", "Kernels and scenarios against a baseline.")),
        ("check-journal", of::<GateLine>("check-journal", "One line of a check's journal.")),
        ("plan", of::<Plan>("plan", "What a bisection will do.")),
        ("dry-run", of::<DryRunDocument>("dry-run", "What a command would do.")),
        ("journal", of::<JournalLine>("journal", "One line of a run's journal.")),
        ("detect", of::<DetectDocument>("detect", "Failures found in console logs.")),
        ("doctor", of::<DoctorDocument>("doctor", "Whether this host can run trials.")),
        ("kernels", of::<KernelsDocument>("kernels", "The kernels that are known.")),
        ("debug", of::<DebugDocument>("debug", "Files with the debug information of a kernel.")),
        ("decode", of::<DecodeDocument>("decode", "Traces with source lines.")),
        ("changes", of::<ChangesDocument>("changes", "What changed between two kernels.")),
        ("config", of::<ConfigDocument>("config", "The configuration of a kernel for a scenario.")),
        ("scenarios", of::<ScenariosDocument>("scenarios", "The scenarios that are known.")),
        ("import", of::<ImportDocument>("import", "Existing checks that were taken over.")),
        ("bundle", of::<BundleDocument>("bundle", "A bundle that was written.")),
        ("manifest", of::<BundleManifest>("manifest", "How a bundle was made.")),
        ("error", of::<ErrorDocument>("error", "Why a command failed.")),
    ]
}

/// The schema of what serde writes, with the name in its place.
fn of<T: JsonSchema>(name: &str, title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut value = settings.into_generator().into_root_schema_for::<T>().to_value();
    let version = if name == "plan" { 2 } else { 1 };
    value["$id"] = json!(format!("kbisect.{name}/{version}"));
    value["title"] = json!(title);
    if let Some(tag) = value.pointer_mut("/properties/schema") {
        tag["const"] = json!(format!("kbisect.{name}/{version}"));
    }
    value
}

#[test]
fn checked_in_schemas_are_up_to_date() {
    let update = std::env::var_os("KBISECT_UPDATE_SCHEMAS").is_some();
    for (name, value) in generated() {
        let text = format!("{value:#}\n");
        if update {
            let file = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(Path::new(&file), text).unwrap();
        } else {
            let message =
                "stale: run `KBISECT_UPDATE_SCHEMAS=1 cargo test -p kbisect-report --test schemas`";
            assert!(schema(name) == Some(text.as_str()), "schemas/{name}.json is {message}");
        }
    }
}

#[test]
fn every_schema_is_generated_but_that_of_the_scenario_file() {
    let mut names: Vec<_> = generated().into_iter().map(|(name, _)| name).collect();
    names.push("scenario");
    assert_eq!(names, SCHEMA_NAMES);
}
