//! Source lines for kernel traces: from `function+0x1c/0x90 [module]` to file, line and the
//! functions that were inlined there, by the DWARF of a vmlinux and of modules.
//!
//! Synchronous; files are mapped, not read. Both sides are hostile: traces come from a guest's
//! console, files from packages. What does not fit is left as it was printed.

mod image;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

pub use image::ImageError;
use image::SourceLine;
use trace::Reference;

/// Most lines of a decoded trace: a recursion fills the whole stack with the same functions.
const MAX_LINES: usize = 400;

/// Files with debug information.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The kernel.
    pub vmlinux: PathBuf,
    /// Modules by name, with `_` for `-`.
    pub modules: BTreeMap<String, PathBuf>,
}

/// A decoded trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The trace, a function a line, those inlined into it before it.
    pub text: String,
    /// Functions that were found.
    pub found: usize,
    /// Functions that were not, each with the reason, once.
    pub unknown: Vec<String>,
}

/// Names the modules that a report's trace goes through.
pub fn modules_of(report: &str) -> BTreeSet<String> {
    report.lines().filter_map(trace::reference).filter_map(|found| found.module).collect()
}

/// Decodes the trace of a report.
///
/// # Errors
/// [`ImageError`] when the vmlinux cannot be used. A module that cannot is named in the result.
pub fn decode(report: &str, files: &Files) -> Result<Decoded, ImageError> {
    let lines: Vec<(String, Option<Reference>)> = report
        .lines()
        .filter_map(trace::trace_line)
        .take(MAX_LINES)
        .map(|body| (body.to_owned(), trace::reference(body)))
        .collect();
    let mut wanted: BTreeMap<Option<&String>, BTreeSet<&Reference>> = BTreeMap::new();
    for reference in lines.iter().filter_map(|(_, reference)| reference.as_ref()) {
        wanted.entry(reference.module.as_ref()).or_default().insert(reference);
    }
    let mut places: BTreeMap<&Reference, Vec<SourceLine>> = BTreeMap::new();
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    for (module, references) in &wanted {
        let path = match module {
            None => Some(&files.vmlinux),
            Some(name) => files.modules.get(*name),
        };
        let Some(path) = path else {
            let name = module.map_or("the kernel", String::as_str);
            unknown.insert(format!("no debug information for module {name}"));
            continue;
        };
        match image::resolve(path, references.iter().copied()) {
            Ok(found) => {
                for (reference, result) in found {
                    match result {
                        Ok(found) => drop(places.insert(reference, found)),
                        Err(reason) => drop(unknown.insert(reason)),
                    }
                }
            }
            Err(error) if module.is_none() => return Err(error),
            Err(error) => drop(unknown.insert(error.to_string())),
        }
    }
    let mut decoded = Decoded { found: places.len(), ..Decoded::default() };
    for (body, reference) in &lines {
        let known =
            reference.as_ref().and_then(|reference| Some((reference, places.get(reference)?)));
        match known {
            Some((reference, places)) => write_places(&mut decoded.text, body, reference, places),
            None => decoded.text += &format!("{body}\n"),
        }
    }
    decoded.unknown = unknown.into_iter().collect();
    Ok(decoded)
}

/// Writes the functions of one place, the innermost first; the last is the one that was printed.
fn write_places(to: &mut String, body: &str, reference: &Reference, places: &[SourceLine]) {
    let indent: String = body.chars().take_while(|c| *c == ' ').collect();
    let Some((outer, inlined)) = places.split_last() else { return };
    for place in inlined {
        let _ = writeln!(to, "{indent}{} {}:{} [inline]", place.function, place.file, place.line);
    }
    // What stood before the function (`RIP: 0010:`) stays.
    let head = body.split(&reference.name).next().unwrap_or(&indent);
    let module = reference.module.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
    let _ = writeln!(
        to,
        "{head}{}+{:#x}/{:#x} {}:{}{module}",
        reference.name, reference.offset, reference.size, outer.file, outer.line
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_once() {
        let report = "RIP: 0010:a+0x1/0x20 [nf_tables]\n b+0x1/0x20 [nf_tables]\n c+0x1/0x20\n \
                      ? d+0x1/0x20 [ghost]\n e+0x2/0x30 [nft_fake 12ab]\n";
        let names: Vec<String> = modules_of(report).into_iter().collect();
        assert_eq!(names, ["nf_tables", "nft_fake"]);
    }

    #[test]
    fn a_vmlinux_that_is_none_is_an_error() {
        let files = Files { vmlinux: "/nonexistent/vmlinux".into(), modules: BTreeMap::new() };
        let error = decode(" a+0x1/0x20\n", &files).expect_err("there is no such file");
        assert!(error.to_string().contains("/nonexistent/vmlinux"), "{error}");
        let decoded = decode("no trace here", &files).expect("nothing is looked up");
        assert_eq!(decoded, Decoded::default());
    }
}
