//! Reading `.rpm` packages in-process: lead, signature header, header, and a compressed cpio archive
//! (rpm's `docs/manual/format*.md`). Their content is hostile until proven otherwise. Scripts in them are
//! not even looked at.
//!
//! Header and payload are compared with the digests that the package itself carries (rpm 4.14 and
//! newer), so that damage is found. Who made a package is for the user to know, as with `.deb` files:
//! its signature is not checked.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use super::deb::{clean, file_name};
use super::error::ImportError;
use super::sink::{Role, Sink, decoder};
use crate::files::at;
use crate::hash::{self, Hasher};

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
const ENTRY: usize = 16;
/// A kernel's header names some ten thousand files and has 2 MB.
const MAX_HEADER: u32 = 64 << 20;
const MAX_ENTRIES: usize = 200_000;
const MAX_NAME: u64 = 4096;
/// No file of a kernel comes near this; a vmlinuz has 15 MB.
const MAX_FILE: u64 = 512 << 20;
const MAX_UNPACKED_MIB: u64 = 4096;

/// Tags of the signature header.
const SIGNATURE_SHA256: u32 = 273;
/// Tags of the header.
const NAME: u32 = 1000;
const PAYLOAD_FORMAT: u32 = 1124;
const PAYLOAD_COMPRESSOR: u32 = 1125;
const PAYLOAD_DIGEST: u32 = 5092;
const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
/// SHA-256, by the numbers of OpenPGP.
const SHA256: u32 = 8;

/// Whether a file begins as a package does.
pub fn is_package(head: &[u8]) -> bool {
    head.starts_with(&LEAD_MAGIC)
}

/// Reads a package's name.
pub fn name(rpm: &Path) -> Result<Option<String>, ImportError> {
    let mut reader = BufReader::new(File::open(rpm).map_err(at(rpm))?);
    let headers = Headers::read(&mut reader).map_err(|reason| broken(&file_name(rpm), reason))?;
    Ok(headers.main.text(NAME))
}

/// Puts the kernel's files of a package into the sink.
pub fn unpack(rpm: &Path, sink: &mut Sink) -> Result<(), ImportError> {
    let name = file_name(rpm);
    let file = File::open(rpm).map_err(at(rpm))?;
    let mut reader = BufReader::with_capacity(1 << 17, file);
    let headers = Headers::read(&mut reader).map_err(|reason| broken(&name, reason))?;
    headers.verify().map_err(|reason| broken(&name, reason))?;
    let header = &headers.main;
    let format = header.text(PAYLOAD_FORMAT).unwrap_or_else(|| "cpio".to_owned());
    if format != "cpio" {
        return Err(broken(&name, format!("its payload is `{format}`, not cpio")));
    }
    let compressor = header.text(PAYLOAD_COMPRESSOR).unwrap_or_else(|| "gzip".to_owned());
    let promised = match header.number(PAYLOAD_DIGEST_ALGORITHM) {
        Some(SHA256) | None => header.text(PAYLOAD_DIGEST),
        Some(_) => None,
    };
    let hasher = Rc::new(RefCell::new(Hasher::default()));
    let payload = Hashed { reader, hasher: Rc::clone(&hasher) };
    let mut payload = decompressed(&compressor, payload)
        .map_err(|error| broken(&name, format!("its payload cannot be read: {error}")))?;
    Archive { reader: &mut payload, package: &name, unpacked: 0 }.unpack(sink)?;
    // What follows the archive is part of the digest, but never of the kernel.
    io::copy(&mut payload.take(MAX_UNPACKED_MIB << 20), &mut io::sink())
        .map_err(|error| broken(&name, format!("its payload is broken: {error}")))?;
    let got = hasher.take().finish();
    match promised {
        Some(promised) if !promised.eq_ignore_ascii_case(&got) => {
            Err(broken(&name, "its payload is not the one that its header names".to_owned()))
        }
        _ => Ok(()),
    }
}

fn decompressed<'a>(compressor: &str, reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let format = match compressor {
        "gzip" => "gz",
        "zstd" => "zst",
        // The header may name levels and threads behind the name.
        other => other,
    };
    Ok(Box::new(BufReader::with_capacity(1 << 17, decoder(format, reader)?)))
}

/// Hashes what is read through it.
struct Hashed<R> {
    reader: R,
    hasher: Rc<RefCell<Hasher>>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        io::Write::write_all(&mut *self.hasher.borrow_mut(), &buffer[..n])?;
        Ok(n)
    }
}

struct Headers {
    signature: Header,
    main: Header,
    /// SHA-256 of the main header.
    digest: String,
}

impl Headers {
    fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut lead = [0; LEAD];
        exactly(reader, &mut lead)?;
        if !is_package(&lead) {
            return Err("it does not begin as an rpm package does".to_owned());
        }
        let (signature, length) = Header::read(reader, None)?;
        let padding = (8 - length % 8) % 8;
        exactly(reader, &mut [0; 8][..padding])?;
        let mut bytes = Vec::new();
        let (main, _) = Header::read(reader, Some(&mut bytes))?;
        Ok(Self { signature, main, digest: hash::of_bytes(&bytes) })
    }

    fn verify(&self) -> Result<(), String> {
        match self.signature.text(SIGNATURE_SHA256) {
            Some(promised) if !promised.eq_ignore_ascii_case(&self.digest) => {
                Err("its header is damaged: its SHA-256 is another".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// One header: an index of tags, and their values.
struct Header {
    index: Vec<u8>,
    values: Vec<u8>,
}

impl Header {
    /// Reads a header; `copy` takes all of its bytes. Gives its length, too.
    fn read(reader: &mut impl Read, copy: Option<&mut Vec<u8>>) -> Result<(Self, usize), String> {
        let mut head = [0; ENTRY];
        exactly(reader, &mut head)?;
        if head[..4] != HEADER_MAGIC {
            return Err("one of its headers does not begin as a header of rpm does".to_owned());
        }
        let (entries, size) = (number(&head[8..12]), number(&head[12..16]));
        let index = u64::from(entries) * ENTRY as u64;
        if index > u64::from(MAX_HEADER) || size > MAX_HEADER {
            return Err("one of its headers is larger than that of any package".to_owned());
        }
        let index = take(reader, index)?;
        let values = take(reader, u64::from(size))?;
        let length = ENTRY + index.len() + values.len();
        if let Some(copy) = copy {
            copy.extend([head.as_slice(), &index, &values].concat());
        }
        Ok((Self { index, values }, length))
    }

    /// Where the value of a tag begins, with its type.
    fn find(&self, tag: u32) -> Option<(u32, &[u8])> {
        let entry = self.index.chunks_exact(ENTRY).find(|entry| number(&entry[..4]) == tag)?;
        let offset = usize::try_from(number(&entry[8..12])).ok()?;
        Some((number(&entry[4..8]), self.values.get(offset..)?))
    }

    /// A text, or the first of several.
    fn text(&self, tag: u32) -> Option<String> {
        const TEXTS: [u32; 3] = [6, 8, 9];
        let (kind, value) = self.find(tag)?;
        let end = value.iter().position(|byte| *byte == 0)?;
        TEXTS.contains(&kind).then(|| String::from_utf8_lossy(&value[..end]).into_owned())
    }

    /// A number of 32 bits.
    fn number(&self, tag: u32) -> Option<u32> {
        const INT32: u32 = 4;
        let (kind, value) = self.find(tag)?;
        (kind == INT32).then(|| value.get(..4).map(number))?
    }
}

/// A cpio archive of the `newc` kind (cpio(5)).
struct Archive<'a, R> {
    reader: &'a mut R,
    package: &'a str,
    unpacked: u64,
}

/// What an archive says of a file.
struct Entry {
    mode: u32,
    size: u64,
    name: Vec<u8>,
}

impl<R: Read> Archive<'_, R> {
    fn unpack(&mut self, sink: &mut Sink) -> Result<(), ImportError> {
        const TYPE: u32 = 0o170_000;
        const REGULAR: u32 = 0o100_000;
        for _ in 0..MAX_ENTRIES {
            let entry = self.entry().map_err(|reason| broken(self.package, reason))?;
            if entry.name == b"TRAILER!!!" {
                return Ok(());
            }
            let shown = String::from_utf8_lossy(&entry.name).into_owned();
            let refuse = |reason| ImportError::Unsafe {
                file: self.package.to_owned(),
                entry: shown.clone(),
                reason,
            };
            let path = clean(Path::new(&shown)).map_err(refuse)?;
            self.unpacked += entry.size;
            if self.unpacked > MAX_UNPACKED_MIB << 20 {
                return Err(self.too_big());
            }
            // Links are passed over: none is ever made.
            let role = (entry.mode & TYPE == REGULAR).then(|| Role::of(&path)).flatten();
            match role {
                Some(_) if entry.size > MAX_FILE => {
                    return Err(refuse("is larger than any file of a kernel"));
                }
                Some(role) => {
                    let data =
                        self.data(entry.size).map_err(|reason| broken(self.package, reason))?;
                    sink.put(self.package, role, data)?;
                }
                None => self.skip(entry.size).map_err(|reason| broken(self.package, reason))?,
            }
        }
        Err(self.too_big())
    }

    fn too_big(&self) -> ImportError {
        ImportError::TooBig { file: self.package.to_owned(), limit: MAX_UNPACKED_MIB }
    }

    fn entry(&mut self) -> Result<Entry, String> {
        const FIELDS: usize = 13;
        let mut head = [0; 6 + FIELDS * 8];
        exactly(self.reader, &mut head)?;
        if !matches!(&head[..6], b"070701" | b"070702") {
            // Files of more than 4 GB are packed in a way of rpm's own.
            return Err(
                "its payload is no cpio archive of the usual kind (rpm format 6 is not read)"
                    .to_owned(),
            );
        }
        let field = |n: usize| {
            let digits = std::str::from_utf8(&head[6 + n * 8..14 + n * 8]).ok()?;
            digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
            u32::from_str_radix(digits, 16).ok()
        };
        let (Some(mode), Some(size), Some(length)) = (field(1), field(6), field(11)) else {
            return Err("an entry of its payload is no entry".to_owned());
        };
        if u64::from(length) > MAX_NAME {
            return Err("a name in its payload is longer than any path".to_owned());
        }
        let mut name = take(self.reader, u64::from(length))?;
        self.pad(head.len() as u64 + u64::from(length))?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(Entry { mode, size: u64::from(size), name })
    }

    fn data(&mut self, size: u64) -> Result<Vec<u8>, String> {
        let data = take(self.reader, size)?;
        self.pad(size)?;
        Ok(data)
    }

    fn skip(&mut self, size: u64) -> Result<(), String> {
        let copied = io::copy(&mut self.reader.by_ref().take(size), &mut io::sink());
        match copied {
            Ok(copied) if copied == size => self.pad(size),
            Ok(_) => Err("it is cut short".to_owned()),
            Err(error) => Err(format!("its payload is broken: {error}")),
        }
    }

    /// Everything begins at a multiple of four.
    fn pad(&mut self, length: u64) -> Result<(), String> {
        let padding = (4 - length % 4) % 4;
        exactly(self.reader, &mut [0; 4][..padding as usize])
    }
}

/// Reads so many bytes. The number is what a package says: memory is taken as they come.
fn take(reader: &mut impl Read, size: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(size).read_to_end(&mut bytes);
    match read {
        Ok(read) if read as u64 == size => Ok(bytes),
        Ok(_) => Err("it is cut short".to_owned()),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

fn exactly(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), String> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn broken(file: &str, reason: String) -> ImportError {
    ImportError::Package { file: file.to_owned(), reason }
}
