//! Lookups in one object file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use addr2line::gimli::{Dwarf, DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{
    Object, ObjectKind, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolSection,
};

use crate::trace::Reference;

/// Padding that the kernel counts to a function and the symbol table does not, in bytes: the next
/// function's alignment and the room for its patches.
const PADDING: u64 = 256;
/// Most inlined functions of one place.
const MAX_INLINED: usize = 64;
/// Longest text of a file name or function, in characters.
const MAX_TEXT: usize = 300;

/// Why an object file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no object file, or a damaged one.
    #[error("`{}` is no object file that can be read: {reason}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It has no line numbers.
    #[error("`{}` has no debug information", path.display())]
    NoLines {
        /// File.
        path: PathBuf,
    },
}

/// A function at a place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    pub function: String,
    /// File, relative to the kernel's source where that can be told.
    pub file: String,
    /// 1-based line; 0 when the compiler made the code.
    pub line: u32,
}

/// What became of a lookup: the places, the innermost first, or why there are none.
pub type Lookup = Result<Vec<SourceLine>, String>;

/// Looks functions up in one file.
pub fn resolve<'r>(
    path: &Path,
    references: impl Iterator<Item = &'r Reference>,
) -> Result<Vec<(&'r Reference, Lookup)>, ImageError> {
    let failed = |source| ImageError::Open { path: path.to_owned(), source };
    // A run folder of somebody else may name anything, and a pipe would be waited for.
    if !path.metadata().map_err(failed)?.is_file() {
        let reason = "it is no regular file".to_owned();
        return Err(ImageError::Format { path: path.to_owned(), reason });
    }
    let file = File::open(path).map_err(failed)?;
    // SAFETY: the file is one of the store or one that the user named; if it is cut while it is
    // mapped the process ends by a signal, which is what a damaged file deserves here.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
    let format = |reason: String| ImageError::Format { path: path.to_owned(), reason };
    let object = object::File::parse(&*map).map_err(|error| format(error.to_string()))?;
    let sections = DwarfSections::load(|id| section(&object, id)).map_err(format)?;
    if object.section_by_name(".debug_info").is_none() {
        return Err(ImageError::NoLines { path: path.to_owned() });
    }
    let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let dwarf: Dwarf<EndianSlice<'_, RunTimeEndian>> =
        sections.borrow(|data| EndianSlice::new(data, endian));
    let context =
        addr2line::Context::from_dwarf(dwarf).map_err(|error| format(error.to_string()))?;
    let references: Vec<&Reference> = references.collect();
    let symbols = symbols(&object, &references);
    let mut found = Vec::new();
    for reference in references {
        let lookup = address(reference, symbols.get(reference.name.as_str()))
            .map_err(|why| format!("{} {why}", reference.name))
            .and_then(|address| {
                places(&context, address, reference)
                    .map_err(|why| format!("{}: {why}", reference.name))
            });
        found.push((reference, lookup));
    }
    Ok(found)
}

/// Where a function starts, by its symbol; the size tells whether it is the same build.
fn address(reference: &Reference, symbols: Option<&Vec<(u64, u64)>>) -> Result<u64, &'static str> {
    let symbols = symbols.ok_or("is not in the symbol table")?;
    let fits =
        |size: u64| size == 0 || (size <= reference.size && reference.size - size <= PADDING);
    let mut fitting = symbols.iter().filter(|(_, size)| fits(*size));
    let (start, _) = fitting.next().ok_or("has another size: the file is of another build")?;
    // Static functions of one name and size: nothing tells which it was.
    if fitting.any(|(other, _)| other != start) {
        return Err("is not the only function of its name and size");
    }
    start.checked_add(reference.instruction()).ok_or("is at an address that cannot be")
}

fn places(
    context: &addr2line::Context<EndianSlice<'_, RunTimeEndian>>,
    address: u64,
    reference: &Reference,
) -> Lookup {
    let mut frames =
        context.find_frames(address).skip_all_loads().map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    while let Some(frame) = frames.next().map_err(|error| error.to_string())? {
        let location = frame.location.as_ref();
        let (Some(file), line) =
            (location.and_then(|l| l.file), location.and_then(|l| l.line).unwrap_or(0))
        else {
            continue;
        };
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        found.push(SourceLine {
            function: clean(name.as_deref().unwrap_or(&reference.name)),
            file: clean(&in_source(file)),
            line,
        });
        if found.len() >= MAX_INLINED {
            break;
        }
    }
    if found.is_empty() { Err("has no line numbers".to_owned()) } else { Ok(found) }
}

/// Addresses and sizes of the functions that are looked for, by name.
fn symbols<'o>(
    object: &'o object::File<'_>,
    references: &[&Reference],
) -> HashMap<&'o str, Vec<(u64, u64)>> {
    let wanted: std::collections::HashSet<&str> =
        references.iter().map(|reference| reference.name.as_str()).collect();
    let mut found: HashMap<&str, Vec<(u64, u64)>> = HashMap::new();
    for symbol in object.symbols() {
        let Ok(name) = symbol.name() else { continue };
        if wanted.contains(name) && !symbol.is_undefined() {
            let base = base_of(object, symbol.section());
            let place = (base.saturating_add(symbol.address()), symbol.size());
            let places = found.entry(name).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    found
}

/// Reads a section, with its relocations applied if the file is not linked, as modules are.
fn section<'o>(object: &'o object::File<'_>, id: SectionId) -> Result<Cow<'o, [u8]>, String> {
    let Some(section) = object.section_by_name(id.name()) else { return Ok(Cow::Borrowed(&[])) };
    let data = section.uncompressed_data().map_err(|error| error.to_string())?;
    if object.kind() != ObjectKind::Relocatable {
        return Ok(data);
    }
    let mut data = data.into_owned();
    for (offset, relocation) in section.relocations() {
        let symbol = match relocation.target() {
            RelocationTarget::Symbol(index) => object.symbol_by_index(index).ok(),
            _ => None,
        };
        let base = symbol
            .map_or(0, |symbol| base_of(object, symbol.section()).wrapping_add(symbol.address()));
        let value = base.wrapping_add_signed(relocation.addend()).to_le_bytes();
        let bytes = usize::from(relocation.size()) / 8;
        let Some(at) = usize::try_from(offset).ok() else { continue };
        let end = at.saturating_add(bytes);
        if let (4 | 8, Some(place)) = (bytes, data.get_mut(at..end)) {
            place.copy_from_slice(&value[..bytes]);
        }
    }
    Ok(Cow::Owned(data))
}

/// Sections of a file that is not linked all start at 0: each gets a range of its own, so that an
/// address means one place. Debug sections stay, for what points into them are offsets.
fn base_of(object: &object::File<'_>, section: SymbolSection) -> u64 {
    let SymbolSection::Section(SectionIndex(index)) = section else { return 0 };
    if object.kind() != ObjectKind::Relocatable {
        return 0;
    }
    let is_debug = object
        .section_by_index(SectionIndex(index))
        .ok()
        .and_then(|section| section.name().ok().map(|name| name.starts_with(".debug")))
        .unwrap_or(true);
    if is_debug { 0 } else { (index as u64) << 32 }
}

/// The path below the kernel's source: builds name it from anywhere.
fn in_source(path: &str) -> String {
    const TOP: [&str; 22] = [
        "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc",
        "kernel", "lib", "mm", "net", "rust", "samples", "security", "sound", "tools", "usr",
        "virt", "debian",
    ];
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part != ".." || parts.last().is_none_or(|last| *last == "..") {
            parts.push(part);
        } else {
            parts.pop();
        }
    }
    // `include/linux/net` has a `linux` too, but a name that is relative is one below the source.
    let root = parts
        .windows(2)
        .position(|pair| pair[0].starts_with("linux") && TOP.contains(&pair[1]))
        .filter(|_| path.starts_with('/'));
    let below = match root {
        Some(root) => &parts[root + 1..],
        None if path.starts_with('/') => return format!("/{}", parts.join("/")),
        None => &parts[..],
    };
    match below {
        // Debian builds each flavour in a copy of the source below it.
        ["debian", "build", _, rest @ ..] if !rest.is_empty() => rest.join("/"),
        below => below.join("/"),
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_source() {
        for (path, expected) in [
            ("/build/reproducible-path/linux-6.1.176/net/core/dev.c", "net/core/dev.c"),
            (
                "/build/linux-5.10.223/debian/build/build_amd64/../../../net/ipv4/tcp.c",
                "net/ipv4/tcp.c",
            ),
            ("/build/linux-5.10.223/debian/build/build_amd64/mm/slub.c", "mm/slub.c"),
            ("debian/build/build_amd64/mm/slub.c", "mm/slub.c"),
            ("/usr/src/linux/include/linux/skbuff.h", "include/linux/skbuff.h"),
            ("./include/linux/skbuff.h", "include/linux/skbuff.h"),
            ("net/ipv4/tcp.c", "net/ipv4/tcp.c"),
            ("/home/me/kernel-tree/mm/slub.c", "/home/me/kernel-tree/mm/slub.c"),
        ] {
            assert_eq!(in_source(path), expected, "{path}");
        }
    }

    #[test]
    fn the_size_tells_builds_and_namesakes_apart() {
        let reference = Reference {
            module: None,
            name: "f".to_owned(),
            offset: 0x10,
            size: 0x90,
            exact: false,
        };
        assert_eq!(address(&reference, Some(&vec![(0x1000, 0x8a)])), Ok(0x100f));
        let exact = Reference { exact: true, ..reference.clone() };
        assert_eq!(address(&exact, Some(&vec![(0x1000, 0x8a), (0x2000, 0x400)])), Ok(0x1010));
        for symbols in [vec![(0x1000, 0x300)], vec![(0x1000, 0x8a), (0x2000, 0x8c)]] {
            assert!(address(&reference, Some(&symbols)).is_err(), "{symbols:?}");
        }
        assert!(address(&reference, None).is_err());
    }
}
