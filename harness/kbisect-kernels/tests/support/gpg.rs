//! A throw-away signing key.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Key {
    home: tempfile::TempDir,
}

impl Key {
    /// Makes a key. Without gpg the tests of signatures cannot run, and say so by failing.
    pub fn new() -> Self {
        // gpg-agent's socket lies in there, and the path of a socket is short.
        let home = tempfile::Builder::new().prefix("kb").tempdir_in("/tmp").unwrap();
        let key = Self { home };
        key.gpg(
            &["--quick-gen-key", "archive test <test@archive.invalid>", "ed25519", "sign", "never"],
            b"",
        );
        let exported = key.gpg(&["--export"], b"");
        std::fs::write(key.keyring(), exported.stdout).unwrap();
        key
    }

    /// The public key as a binary keyring.
    pub fn keyring(&self) -> PathBuf {
        self.home.path().join("public.gpg")
    }

    /// The public key in ASCII armour.
    pub fn armoured_keyring(&self) -> PathBuf {
        let path = self.home.path().join("public.asc");
        std::fs::write(&path, self.gpg(&["--armor", "--export"], b"").stdout).unwrap();
        path
    }

    pub fn clearsign(&self, text: &str) -> Vec<u8> {
        self.gpg(&["--clearsign"], text.as_bytes()).stdout
    }

    /// A signature of its own.
    pub fn detach_sign(&self, text: &[u8]) -> Vec<u8> {
        self.gpg(&["--detach-sign", "--armor"], text).stdout
    }

    fn gpg(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = base(self.home.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg cannot be started: install the package `gpg` to run these tests");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // gpg starts an agent for the key; it is to go with the key.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

fn base(home: &Path) -> Command {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home);
    command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"]);
    command.args(["--passphrase", ""]);
    command
}
