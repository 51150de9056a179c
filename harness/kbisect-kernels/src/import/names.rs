//! Long names in tar archives: they come as entries of their own, before the entry that they are for
//! (tar(5)). The tar crate would read them whole, however long they claim to be.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// More than any path needs (bytes).
const MAX: u64 = 64 << 10;

/// The names for the next entry of an archive whose entries are read raw.
#[derive(Debug, Default)]
pub struct LongNames {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl LongNames {
    /// Reads an entry that only names the next one; says whether it was such an entry.
    pub fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        let local = kind.is_pax_local_extensions();
        let (gnu_path, gnu_link) = (kind.is_gnu_longname(), kind.is_gnu_longlink());
        if !local && !gnu_path && !gnu_link && !kind.is_pax_global_extensions() {
            return Ok(false);
        }
        if entry.size() > MAX {
            return Err(io::Error::other("a name in it is longer than any path"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if gnu_path {
            self.path = Some(bytes);
        } else if gnu_link {
            self.link = Some(bytes);
        } else if local {
            self.take_records(&bytes);
        }
        Ok(true)
    }

    /// Records of the pax format: `LENGTH KEY=VALUE` and a line feed; the length is that of it all.
    fn take_records(&mut self, mut bytes: &[u8]) {
        while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
            let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|n| n.parse().ok());
            let Some((record, rest)) = length.and_then(|length| bytes.split_at_checked(length))
            else {
                return;
            };
            let Some(record) = record.get(space + 1..).and_then(|r| r.strip_suffix(b"\n")) else {
                return;
            };
            if let Some(path) = record.strip_prefix(b"path=") {
                self.path = Some(path.to_vec());
            } else if let Some(link) = record.strip_prefix(b"linkpath=") {
                self.link = Some(link.to_vec());
            }
            bytes = rest;
        }
    }

    /// The path of an entry.
    pub fn path<R: Read>(&mut self, entry: &tar::Entry<'_, R>) -> PathBuf {
        path_of(self.path.take().unwrap_or_else(|| entry.header().path_bytes().into_owned()))
    }

    /// What an entry links to; empty when it is no link.
    pub fn link<R: Read>(&mut self, entry: &tar::Entry<'_, R>) -> PathBuf {
        let short = || entry.header().link_name_bytes().unwrap_or_default().into_owned();
        path_of(self.link.take().unwrap_or_else(short))
    }
}

fn path_of(mut bytes: Vec<u8>) -> PathBuf {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> io::Result<Vec<(String, String)>> {
        let mut archive = tar::Archive::new(archive);
        let mut long = LongNames::default();
        let mut names = Vec::new();
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry?;
            if !long.take(&mut entry)? {
                let path = long.path(&entry).display().to_string();
                names.push((path, long.link(&entry).display().to_string()));
            }
        }
        Ok(names)
    }

    fn entry(kind: u8, name: &str, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(size);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        header
    }

    #[test]
    fn long_names_of_both_kinds_are_read() {
        let (path, target) = ("p/".repeat(200) + "a", "t/".repeat(200) + "b");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = entry(b'2', "", 0);
        builder.append_link(&mut header, &path, &target).unwrap();
        let record = format!("path={path}\n");
        let record = format!("{} {record}", record.len() + 4);
        builder.append(&entry(b'x', "pax", record.len() as u64), record.as_bytes()).unwrap();
        builder.append(&entry(b'0', "short", 1), &b"1"[..]).unwrap();
        builder.append(&entry(b'0', "plain", 1), &b"2"[..]).unwrap();
        let none = String::new;
        let archive = builder.into_inner().unwrap();
        let expected = [(path.clone(), target), (path, none()), ("plain".to_owned(), none())];
        assert_eq!(names(&archive).unwrap(), expected);
    }

    #[test]
    fn a_name_of_a_gigabyte_is_refused_before_it_is_read() {
        for kind in [b'L', b'K', b'x', b'g'] {
            let error = names(entry(kind, "x", 1 << 30).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("longer than any path"), "{error}");
        }
    }

    #[test]
    fn records_that_lie_about_their_length_are_passed_over() {
        for record in ["999 path=x\n", "0 path=x\n", "3 path=x\n", "path=x\n", "x path=y\n", "5 "] {
            let mut builder = tar::Builder::new(Vec::new());
            builder.append(&entry(b'x', "pax", record.len() as u64), record.as_bytes()).unwrap();
            builder.append(&entry(b'0', "plain", 0), &b""[..]).unwrap();
            let names = names(&builder.into_inner().unwrap()).unwrap();
            assert_eq!(names, [("plain".to_owned(), String::new())], "{record:?}");
        }
    }
}
