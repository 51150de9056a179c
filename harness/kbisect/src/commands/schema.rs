//! `kbisect schema`: the JSON Schemas of what is printed, written and read.

use kbisect_report::{SCHEMA_NAMES, schema as schema_of};

use crate::cli::{Global, SchemaArgs};
use crate::{errors, output};

/// Prints a schema, or the names of all.
///
/// # Errors
/// An unknown name.
pub fn schema(args: &SchemaArgs, global: &Global) -> anyhow::Result<()> {
    let names = SCHEMA_NAMES.join(", ");
    match &args.name {
        None if global.json => Err(errors::usage(
            "no schema was named, and a list of names is no JSON document",
            format!("schemas are: {names}"),
        )),
        None => output::print(&format!("{}\n", SCHEMA_NAMES.join("\n"))),
        Some(name) => match schema_of(name) {
            Some(text) => output::print(&format!("{}\n", text.trim_end())),
            None => {
                Err(errors::usage(format!("no schema `{name}`"), format!("schemas are: {names}")))
            }
        },
    }
}
