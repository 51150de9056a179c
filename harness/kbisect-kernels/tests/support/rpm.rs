//! Writes rpm packages (rpm's `docs/manual/format*.md`), with or without flaws.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::deb::{self, Entry};

/// How the payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    Gzip,
    Xz,
    Zstd,
}

impl Compressor {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    fn compress(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Self::Xz => deb::xz(data),
            Self::Zstd => zstd::encode_all(data, 1).unwrap(),
        }
    }
}

/// A package with these files.
pub fn package(name: &str, compressor: Compressor, entries: &[Entry]) -> Vec<u8> {
    assemble(name, compressor.name(), &compressor.compress(&cpio(entries)))
}

/// A package with any payload; its digests are right.
pub fn assemble(name: &str, compressor: &str, payload: &[u8]) -> Vec<u8> {
    let main = header(&[
        (1000, 6, text(name)),
        (1001, 6, text("6.12.57")),
        (1124, 6, text("cpio")),
        (1125, 6, text(compressor)),
        (5092, 8, text(&sha256(payload))),
        (5093, 4, 8_u32.to_be_bytes().to_vec()),
    ]);
    let mut signature = header(&[(273, 6, text(&sha256(&main)))]);
    signature.resize(signature.len().next_multiple_of(8), 0);
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1];
    lead.extend(name.bytes().take(60));
    lead.resize(96, 0);
    [lead, signature, main, payload.to_vec()].concat()
}

/// A cpio archive of the `newc` kind.
pub fn cpio(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        match entry {
            Entry::File(path, data) => put(&mut archive, path, 0o100_644, data),
            Entry::Link(path, target) => put(&mut archive, path, 0o120_777, target.as_bytes()),
        }
    }
    put(&mut archive, "TRAILER!!!", 0, b"");
    archive
}

fn put(archive: &mut Vec<u8>, path: &str, mode: u32, data: &[u8]) {
    let length = path.len() + 1;
    let fields = [1, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, length as u32, 0];
    archive.extend(b"070701");
    archive.extend(fields.map(|field| format!("{field:08x}")).concat().bytes());
    archive.extend(path.bytes().chain([0]));
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(data);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

fn header(tags: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let (mut index, mut values) = (Vec::new(), Vec::new());
    for (tag, kind, value) in tags {
        if *kind == 4 {
            values.resize(values.len().next_multiple_of(4), 0);
        }
        for number in [*tag, *kind, values.len() as u32, 1] {
            index.extend(number.to_be_bytes());
        }
        values.extend(value);
    }
    let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    bytes.extend((tags.len() as u32).to_be_bytes());
    bytes.extend((values.len() as u32).to_be_bytes());
    [bytes, index, values].concat()
}

fn text(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
