//! `kbisect completions` and `kbisect man`: made from the definition of the command line, so that
//! they never say anything else than `--help`.

use std::fs;

use anyhow::Context as _;

use crate::cli::{CompletionsArgs, Global, ManArgs, command};
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

/// Writes a page for each command.
///
/// # Errors
/// With `--json`; when the folder or a page cannot be written.
pub fn man(args: &ManArgs, global: &Global) -> anyhow::Result<()> {
    no_document(global)?;
    let folder = &args.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command(), folder))
        .with_context(|| format!("cannot write the pages to `{}`", folder.display()))?;
    if !global.quiet {
        output::say(&format!("read the first one with: man {}/kbisect.1", folder.display()));
    }
    Ok(())
}

fn no_document(global: &Global) -> anyhow::Result<()> {
    if global.json {
        return Err(errors::usage("this command has no JSON document", "leave --json out"));
    }
    Ok(())
}
