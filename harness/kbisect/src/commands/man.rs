//! `kbisect man`: a page for each command, with what it reads and sets in the places where pages have it.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use crate::cli::words::parts;
use crate::cli::{Global, ManArgs, command, man_words};
use crate::{errors, output};

/// Writes a page for each command.
///
/// # Errors
/// With `--json`; when the folder or a page cannot be written.
pub fn man(args: &ManArgs, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return Err(errors::usage("this command has no JSON document", "leave --json out"));
    }
    let folder = &args.folder;
    let mut pages = Vec::new();
    collect(&command(), &mut pages);
    let names: Vec<String> = pages.iter().map(|page| page.name.clone()).collect();
    fs::create_dir_all(folder)
        .and_then(|()| {
            pages.iter().try_for_each(|page| {
                fs::write(folder.join(format!("{}.1", page.name)), page.roff(&names)?)
            })
        })
        .with_context(|| format!("cannot write the pages to `{}`", folder.display()))?;
    if !global.quiet {
        output::say(&format!("read the first one with: man {}/kbisect.1", folder.display()));
    }
    Ok(())
}

/// A page.
struct Page {
    name: String,
    command: Command,
    /// Examples and exit codes, as `--help all` has them.
    after: String,
}

fn collect(command: &Command, to: &mut Vec<Page>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let plain =
        command.clone().after_help(None::<&'static str>).after_long_help(None::<&'static str>);
    to.push(Page { name, command: plain, after });
    let shown = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    command.get_subcommands().filter(shown).for_each(|below| collect(below, to));
}

impl Page {
    fn roff(&self, all: &[String]) -> std::io::Result<Vec<u8>> {
        let mut page = Vec::new();
        Man::new(self.command.clone()).render(&mut page)?;
        let mut text = String::new();
        let (examples, codes) = parts(&self.after);
        section(&mut text, "EXAMPLES", examples);
        section(&mut text, "EXIT STATUS", codes);
        let mut list = |name: &str, entries: &[(&str, &str)]| {
            let _ = writeln!(text, ".SH {name}");
            for (what, about) in entries {
                let _ = writeln!(text, ".TP\n{}\n{}", escaped(what), escaped(about));
            }
        };
        list("FILES", &man_words::FILES);
        list("ENVIRONMENT", &man_words::ENVIRONMENT);
        let near = |name: &&String| {
            let other = name.as_str();
            let is_above = self.name.rsplit_once('-').is_some_and(|(above, _)| above == other);
            let is_below = other.rsplit_once('-').is_some_and(|(above, _)| above == self.name);
            other == "kbisect" || is_above || is_below
        };
        let others = all.iter().filter(|name| **name != self.name).filter(near);
        let others: Vec<String> = others.map(|name| format!("{name}(1)")).collect();
        let also = [others.as_slice(), &man_words::ALSO.map(str::to_owned)].concat().join(", ");
        section(&mut text, "SEE ALSO", &also);
        page.extend(text.into_bytes());
        Ok(page)
    }
}

/// A section, with its lines as they are.
fn section(to: &mut String, name: &str, text: &str) {
    let text = text.trim_matches('\n').trim_end();
    if !text.is_empty() {
        let lines: Vec<String> = text.lines().map(escaped).collect();
        let _ = writeln!(to, ".SH {name}\n.nf\n{}\n.fi", lines.join("\n"));
    }
}

/// A line that is no request of roff's (groff(7)).
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}
