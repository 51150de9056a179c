//! The few programs that kbisect starts, and what to install when one is missing.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use kbisect_process::{Ended, run_within};

/// Most bytes of output that are of interest.
const MOST_OUTPUT: u64 = 64 << 20;

/// A program of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Gpgv,
    Depmod,
    Mksquashfs,
    Unsquashfs,
}

/// A program could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("`{program}` is not installed")]
    Missing { program: &'static str, package: &'static str },
    #[error("cannot start `{program}`")]
    Start { program: &'static str, source: io::Error },
    #[error("`{program}` failed: {detail}")]
    Failed { program: &'static str, detail: String },
}

impl ToolError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { package, .. } => Some(format!("install the package `{package}`")),
            Self::Start { .. } | Self::Failed { .. } => None,
        }
    }
}

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::Gpgv => "gpgv",
            Self::Depmod => "depmod",
            Self::Mksquashfs => "mksquashfs",
            Self::Unsquashfs => "unsquashfs",
        }
    }

    /// How long it may take on a slow and busy host; it works on this host's files alone.
    fn deadline(self) -> Duration {
        match self {
            Self::Gpgv => Duration::from_secs(120),
            Self::Depmod | Self::Mksquashfs | Self::Unsquashfs => Duration::from_secs(1800),
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Gpgv => "gpgv",
            Self::Depmod => "kmod",
            Self::Mksquashfs | Self::Unsquashfs => "squashfs-tools",
        }
    }

    /// Runs the program to its end and gives its output, whatever its exit status.
    pub fn output<S: AsRef<OsStr>>(self, args: &[S]) -> Result<Output, ToolError> {
        let program = self.program();
        let path = self.find().ok_or(ToolError::Missing { program, package: self.package() })?;
        let mut command = Command::new(path);
        command.args(args).env("LC_ALL", "C");
        match run_within(command, self.deadline(), MOST_OUTPUT) {
            Ok(ended) => {
                let Ended { status, stdout, stderr, .. } = ended;
                Ok(Output { status, stdout, stderr })
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(ToolError::Failed { program, detail: error.to_string() })
            }
            Err(source) => Err(ToolError::Start { program, source }),
        }
    }

    /// Runs the program and fails unless it succeeds.
    pub fn run<S: AsRef<OsStr>>(self, args: &[S]) -> Result<Output, ToolError> {
        let output = self.output(args)?;
        if output.status.success() {
            return Ok(output);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        let detail = last.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned());
        Err(ToolError::Failed { program: self.program(), detail })
    }

    /// depmod lives in /sbin, which an ordinary user's PATH need not have.
    fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|dir| dir.join(self.program()))
            .find(|file| file.is_file())
    }
}
