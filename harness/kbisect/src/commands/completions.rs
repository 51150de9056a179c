//! `kbisect completions`: made from the definition of the command line, so that they never say anything else than
//! `--help`.

use crate::cli::{CompletionsArgs, Global, command};
use crate::{errors, output};

/// Prints the script for a shell.
///
/// # Errors
/// With `--json`, since it is no document; when standard output cannot be written.
pub fn completions(args: &CompletionsArgs, global: &Global) -> anyhow::Result<()> {
    no_document(global)?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "kbisect", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

fn no_document(global: &Global) -> anyhow::Result<()> {
    if global.json {
        return Err(errors::usage("this command has no JSON document", "leave --json out"));
    }
    Ok(())
}
