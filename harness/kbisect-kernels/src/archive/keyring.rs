//! Signature checks of indexes with gpgv.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{FileError, at};
use crate::tools::{Tool, ToolError};

/// Why the signature of an index is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("no keyring to verify the archive's signature with")]
    NoKeyring,
    #[error("the index is not signed")]
    Unsigned,
    #[error("the index has no good signature: {detail}")]
    Bad { detail: String },
    /// gpgv could not be run.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// Keys that may sign an index, as files that gpgv can read.
#[derive(Debug)]
pub struct Keyring {
    files: Vec<PathBuf>,
    /// Holds keyrings that had to be converted.
    scratch: tempfile::TempDir,
}

impl Keyring {
    /// Prepares keyrings. gpgv reads binary ones only, so that armoured ones (`.asc`) are converted.
    pub fn prepare(files: &[PathBuf]) -> Result<Self, SignatureError> {
        let scratch = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
        let mut prepared = Vec::new();
        for (n, path) in files.iter().enumerate() {
            let bytes = fs::read(path).map_err(at(path))?;
            if bytes.starts_with(b"-----BEGIN PGP") {
                let text = String::from_utf8_lossy(&bytes);
                let target = scratch.path().join(format!("{n}.gpg"));
                fs::write(&target, dearmour(&text)).map_err(at(path))?;
                prepared.push(target);
            } else {
                prepared.push(path.canonicalize().map_err(at(path))?);
            }
        }
        if prepared.is_empty() {
            return Err(SignatureError::NoKeyring);
        }
        Ok(Self { files: prepared, scratch })
    }

    /// Checks a clear-signed text and gives what was really signed, never anything around it.
    pub fn verify(&self, signed: &[u8]) -> Result<String, SignatureError> {
        if !signed.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            return Err(SignatureError::Unsigned);
        }
        let scratch = self.scratch.path();
        let dir = tempfile::tempdir_in(scratch).map_err(at(scratch))?;
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        fs::write(&input, signed).map_err(at(scratch))?;
        let mut args = self.arguments();
        args.extend([Path::new("--output"), &output, &input]);
        let result = Tool::Gpgv.output(&args)?;
        // The exit status is of no use alone: it is 2 as soon as one of several signatures is by a
        // key that is not in the keyring, which is normal while keys are replaced.
        judge(&String::from_utf8_lossy(&result.stdout))?;
        Ok(fs::read_to_string(&output).map_err(at(scratch))?)
    }

    /// Checks a signature that lies beside what it signs, armoured or not.
    pub fn verify_detached(&self, text: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let scratch = self.scratch.path();
        let dir = tempfile::tempdir_in(scratch).map_err(at(scratch))?;
        let (input, beside) = (dir.path().join("in"), dir.path().join("sig"));
        fs::write(&input, text).map_err(at(scratch))?;
        fs::write(&beside, signature).map_err(at(scratch))?;
        let mut args = self.arguments();
        args.extend([beside.as_path(), input.as_path()]);
        let result = Tool::Gpgv.output(&args)?;
        judge(&String::from_utf8_lossy(&result.stdout))
    }

    fn arguments(&self) -> Vec<&Path> {
        let mut args: Vec<&Path> = vec![Path::new("--status-fd"), Path::new("1")];
        for file in &self.files {
            args.extend([Path::new("--keyring"), file.as_path()]);
        }
        args
    }
}

/// Judges gpgv's status lines: one good signature is enough, a broken one is too much.
fn judge(status: &str) -> Result<(), SignatureError> {
    let lines: Vec<&str> =
        status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")).collect();
    let find = |word: &str| {
        lines
            .iter()
            .find(|line| line.split(' ').next() == Some(word))
            .map(|line| (*line).to_owned())
    };
    let bad = |detail: String| Err(SignatureError::Bad { detail });
    if let Some(line) = find("BADSIG") {
        return bad(format!("the text was changed after it was signed ({line})"));
    }
    // GOODSIG alone is also said of a signature that is good but too weak; VALIDSIG is not.
    if find("GOODSIG").is_some() && find("VALIDSIG").is_some() {
        return Ok(());
    }
    for (word, meaning) in [
        ("EXPKEYSIG", "the signing key has expired"),
        ("REVKEYSIG", "the signing key was revoked"),
        ("EXPSIG", "the signature has expired"),
        ("NO_PUBKEY", "the signing key is not in the keyring"),
        ("ERRSIG", "the signature cannot be checked"),
    ] {
        if let Some(line) = find(word) {
            return bad(format!("{meaning} ({line})"));
        }
    }
    Err(SignatureError::Unsigned)
}

/// Decodes the blocks of an armoured keyring (RFC 4880 §6.2); the CRC is gpgv's business no more.
fn dearmour(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in text.split("-----BEGIN PGP PUBLIC KEY BLOCK-----").skip(1) {
        let body = block.split("-----END").next().unwrap_or("");
        // Headers end at the first empty line; without headers that is the first line.
        let body = body.replace('\r', "");
        let data = body.split_once("\n\n").map_or(body.as_str(), |(_, data)| data);
        let digits: String =
            data.lines().map(str::trim).filter(|line| !line.starts_with('=')).collect();
        base64(&digits, &mut bytes);
    }
    bytes
}

fn base64(digits: &str, bytes: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_signature_is_enough_and_a_broken_one_too_much() {
        let good = "[GNUPG:] GOODSIG A name\n[GNUPG:] VALIDSIG B 1\n";
        assert!(judge(good).is_ok());
        assert!(judge(&format!("{good}[GNUPG:] ERRSIG C\n[GNUPG:] NO_PUBKEY C\n")).is_ok());
        assert!(judge(&format!("{good}[GNUPG:] BADSIG C name\n")).is_err());
        assert!(judge("[GNUPG:] GOODSIG A name\n").is_err(), "good, but by a weak digest");
        let expired = judge("[GNUPG:] EXPKEYSIG A n\n[GNUPG:] VALIDSIG B 1\n").unwrap_err();
        assert!(expired.to_string().contains("key has expired"), "{expired}");
        let unknown = judge("[GNUPG:] ERRSIG C\n[GNUPG:] NO_PUBKEY C\n").unwrap_err();
        assert!(unknown.to_string().contains("not in the keyring"), "{unknown}");
        assert!(matches!(judge(""), Err(SignatureError::Unsigned)));
    }

    #[test]
    fn text_around_a_forged_status_line_does_not_count() {
        // A user id can hold anything, a line break excepted.
        let forged = "[GNUPG:] ERRSIG C GOODSIG VALIDSIG\nGOODSIG\nVALIDSIG x\n";
        assert!(judge(forged).is_err());
    }

    #[test]
    fn armour_is_decoded_with_and_without_headers() {
        let plain = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\naGVsbG8gd29y\nbGQ=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(dearmour(plain), b"hello world");
        let headed = plain.replace("-----\n\na", "-----\nVersion: 1\nComment: x\n\na");
        assert_eq!(dearmour(&headed), b"hello world");
        assert_eq!(dearmour(&format!("{plain}{plain}")), b"hello worldhello world");
    }
}
