//! The JSON Schemas of everything that kbisect prints with `--json`, writes, or reads.
//!
//! They are made from the types by a test and checked in, so that a change of a document shows up
//! as a change of its schema.

/// Names that [`schema`] knows, in the order for lists.
pub const SCHEMA_NAMES: [&str; 22] = [
    "bisect",
    "run",
    "selftest",
    "minimize",
    "check",
    "check-journal",
    "plan",
    "dry-run",
    "journal",
    "detect",
    "doctor",
    "kernels",
    "debug",
    "decode",
    "changes",
    "config",
    "scenarios",
    "import",
    "bundle",
    "manifest",
    "error",
    "scenario",
];

/// Gives the JSON Schema (draft 2020-12) of a document by its name: `bisect`, or `kbisect.bisect/1`
/// as in the document's `schema` member.
///
/// `journal` is one line of `journal.jsonl`, `check-journal` one of `check.jsonl`, the journal of checks as it was before; `scenario` is the file `scenario.toml`, read as if it
/// were JSON; `scenarios` is the list of them.
pub fn schema(name: &str) -> Option<&'static str> {
    let short = name.strip_prefix("kbisect.").and_then(|rest| rest.split_once('/'));
    let short = short.filter(|(name, of)| *of == version(name)).map(|(name, _)| name);
    Some(match short.unwrap_or(name) {
        "bisect" => include_str!("../schemas/bisect.json"),
        "run" => include_str!("../schemas/run.json"),
        "selftest" => include_str!("../schemas/selftest.json"),
        "minimize" => include_str!("../schemas/minimize.json"),
        "check" => include_str!("../schemas/check.json"),
        "check-journal" => include_str!("../schemas/check-journal.json"),
        "plan" => include_str!("../schemas/plan.json"),
        "dry-run" => include_str!("../schemas/dry-run.json"),
        "journal" => include_str!("../schemas/journal.json"),
        "detect" => include_str!("../schemas/detect.json"),
        "doctor" => include_str!("../schemas/doctor.json"),
        "kernels" => include_str!("../schemas/kernels.json"),
        "debug" => include_str!("../schemas/debug.json"),
        "decode" => include_str!("../schemas/decode.json"),
        "changes" => include_str!("../schemas/changes.json"),
        "config" => include_str!("../schemas/config.json"),
        "scenarios" => include_str!("../schemas/scenarios.json"),
        "import" => include_str!("../schemas/import.json"),
        "bundle" => include_str!("../schemas/bundle.json"),
        "manifest" => include_str!("../schemas/manifest.json"),
        "error" => include_str!("../schemas/error.json"),
        "scenario" => include_str!("../schemas/scenario.json"),
        _ => return None,
    })
}

/// The version of a document.
fn version(name: &str) -> &'static str {
    match name {
        "plan" => "2",
        _ => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_schema_under_both_spellings() {
        for name in SCHEMA_NAMES {
            let text = schema(name).unwrap_or_else(|| panic!("{name}"));
            let long = format!("kbisect.{name}/{}", version(name));
            assert_eq!(schema(&long), Some(text));
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(value["$id"], long);
        }
    }

    #[test]
    fn unknown_names_and_versions_have_none() {
        for name in
            ["", "bisect/1", "kbisect.bisect/2", "kbisect.bisect", "kbisect.plan/1", "Bisect"]
        {
            assert_eq!(schema(name), None, "{name}");
        }
    }
}
