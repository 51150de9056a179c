//! What can go wrong with an image, and what to do about it.

use std::path::PathBuf;

use super::command::Privilege;
use super::definition::DefinitionError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The definition was refused.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A tool of the build is not installed.
    #[error("`{tool}` is not installed; it is needed to build the root image")]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// The keyring cannot be read.
    #[error("cannot read the archive keyring `{}`", .path.display())]
    Keyring {
        /// The keyring.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No file system has room for the unpacked tree.
    #[error(
        "not enough disk space to build the root image: {free_mib} MiB free under `{}`, {need_mib} MiB needed",
        .path.display()
    )]
    NoSpace {
        /// The directory that was looked at.
        path: PathBuf,
        /// Free there.
        free_mib: u64,
        /// Needed.
        need_mib: u64,
    },
    /// A file operation of ours failed.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// mmdebstrap or sqfstar failed.
    #[error("building the root image failed: {cause}\n  {}\n  log: {}", .lines.join("\n  "), .log.display())]
    Build {
        /// What the log points at.
        cause: BuildCause,
        /// The telling lines of the log, the last ones.
        lines: Vec<String>,
        /// The whole log.
        log: PathBuf,
    },
    /// The image was built and is not there now.
    #[error("the root image `{}` was removed while it was being built", .path.display())]
    Vanished {
        /// Where it should be.
        path: PathBuf,
    },
}

/// What a failed build's log points at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildCause {
    /// No range in /etc/subuid or /etc/subgid.
    #[error("this user has no subordinate user and group ids")]
    NoSubordinateIds,
    /// The kernel or a security module forbids user namespaces.
    #[error("this user may not create user namespaces")]
    NoUserNamespaces,
    /// A container's root, without the right to mount.
    #[error("this root user may not create mount namespaces")]
    NoMountRight,
    /// The mirror's name or address cannot be reached.
    #[error("the package mirror cannot be reached")]
    MirrorUnreachable,
    /// The mirror answers, but without this release.
    #[error("the package mirror does not hold this release")]
    SuiteMissing,
    /// The mirror lacks, or has changed, what its index names.
    #[error("the package mirror does not hold what its own index names")]
    MirrorInconsistent,
    /// The index is not signed by the keyring.
    #[error("the package mirror's signature was refused")]
    SignatureRefused,
    /// The index is older than it may be, or this machine's clock is wrong.
    #[error("the package mirror's index has expired")]
    IndexExpired,
    /// A package of the definition does not exist there.
    #[error("package `{0}` does not exist on the mirror")]
    PackageMissing(String),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// None of the above.
    #[error("mmdebstrap or sqfstar ended with an error")]
    Unknown,
}

impl ImageError {
    /// Says what to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ToolMissing { package, .. } => {
                Some(format!("run scripts/deps, or install the Debian package `{package}`"))
            }
            Self::Keyring { .. } => Some(
                "install the Debian package `debian-archive-keyring`, or name a keyring that \
                 can be read"
                    .to_owned(),
            ),
            Self::NoSpace { .. } => {
                Some("free some space, or choose another cache directory".to_owned())
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space, or choose another cache directory".to_owned())
            }
            Self::Build { cause, .. } => cause.hint(),
            Self::Vanished { .. } => Some("run the command again".to_owned()),
            Self::Definition(_) | Self::Io { .. } => None,
        }
    }
}

impl BuildCause {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSubordinateIds => {
                "`kbisect doctor` says the command that gives this user some; scripts/deps runs it"
            }
            Self::NoUserNamespaces => {
                "allow them (sysctl kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces), or \
                 build the image once as root with the same cache directory"
            }
            Self::NoMountRight => "run as an ordinary user, or in a container with CAP_SYS_ADMIN",
            Self::MirrorUnreachable => {
                "check the network and proxy; the mirror is taken from apt's sources"
            }
            Self::SuiteMissing => {
                "use a mirror that still serves the release that the image definition names"
            }
            Self::MirrorInconsistent => "it may be changing just now: try again in some minutes",
            Self::SignatureRefused => {
                "bring the package `debian-archive-keyring` up to date, or name the keyring that \
                 signs this mirror"
            }
            Self::IndexExpired => {
                "check this machine's clock; for a frozen mirror set \
                 Acquire::Check-Valid-Until \"false\" in apt's configuration"
            }
            Self::PackageMissing(_) => {
                "correct the image definition, or use a mirror that holds the whole release"
            }
            Self::DiskFull => "free some space, or choose another cache directory",
            Self::Unknown => return None,
        };
        Some(hint.to_owned())
    }

    /// Reads the cause off a build log.
    pub(super) fn of_log(log: &str, privilege: Privilege) -> Self {
        let has = |texts: &[&str]| texts.iter().any(|text| log.contains(text));
        // mmdebstrap's words, and util-linux's; at the limit of namespaces they go on with "No space
        // left on device", hence before the disk.
        if has(&["unshare() failed", "unshare syscall failed", "unshare: "]) {
            return match privilege {
                Privilege::User => Self::NoUserNamespaces,
                Privilege::Root => Self::NoMountRight,
            };
        }
        // A full disk makes all the rest fail in odd ways.
        if has(&["No space left on device", "Disk quota exceeded"]) {
            return Self::DiskFull;
        }
        if has(&["/etc/subuid", "/etc/subgid", "newuidmap", "newgidmap"]) {
            return Self::NoSubordinateIds;
        }
        if has(&["is not valid yet", "is expired"]) {
            return Self::IndexExpired;
        }
        if has(&["NO_PUBKEY", "is not signed", "BADSIG", "EXPKEYSIG", "REVKEYSIG"]) {
            return Self::SignatureRefused;
        }
        if let Some((_, rest)) = log.split_once("E: Unable to locate package ") {
            let name: String = rest.chars().take_while(|c| !c.is_whitespace()).collect();
            return Self::PackageMissing(name);
        }
        if has(&["does not have a Release file"]) {
            return Self::SuiteMissing;
        }
        if has(&["404  Not Found", "Hash Sum mismatch", "File has unexpected size"]) {
            return Self::MirrorInconsistent;
        }
        if has(&["E: Failed to fetch", "Some index files failed to download"]) {
            return Self::MirrorUnreachable;
        }
        Self::Unknown
    }
}

/// Returns the last few lines of `log` that tell of an error; without any, its last lines.
pub(super) fn telling_lines(log: &str) -> Vec<String> {
    const LIMIT: usize = 4;
    const SIGNS: [&str; 7] = ["E: ", "W: ", "error", "failed", "cannot", "No space", "FATAL"];
    // What merely follows from an error further up.
    const ECHOES: [&str; 8] = [
        "E: mmdebstrap failed to run",
        "E: setup failed",
        "received signal PIPE",
        "Error occurred reading tar file",
        "apt-get update --error-on=any",
        "Some index files failed to download",
        "unsandboxed",
        "delaying package configuration",
    ];
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let any = |line: &str, texts: &[&str]| texts.iter().any(|text| line.contains(text));
    let mut telling: Vec<&str> =
        lines.iter().copied().filter(|line| any(line, &SIGNS) && !any(line, &ECHOES)).collect();
    telling.dedup();
    if telling.is_empty() {
        telling = lines;
    }
    telling[telling.len().saturating_sub(LIMIT)..].iter().map(|line| printable(line)).collect()
}

/// Package scripts write what they like: control sequences must not reach the terminal.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE_DIED: &str = "I: main() received signal PIPE: waiting for setup...\n\
        E: mmdebstrap failed to run\nFATAL ERROR: Error occurred reading tar file.  Aborting\n";

    #[test]
    fn each_common_failure_is_told_by_its_log_and_has_a_hint() {
        let cases = [
            (
                "Err:1 http://m/debian bookworm InRelease\n  Could not resolve 'm'\n\
                 E: Failed to fetch http://m/debian/dists/bookworm/InRelease  Could not resolve 'm'\n\
                 E: Some index files failed to download.",
                BuildCause::MirrorUnreachable,
            ),
            (
                "E: The repository 'http://m/debian bookwurm Release' does not have a Release file.",
                BuildCause::SuiteMissing,
            ),
            (
                "W: GPG error: http://m/debian bookworm InRelease: NO_PUBKEY 6ED0E7B82643E131\n\
                 E: The repository 'http://m/debian bookworm InRelease' is not signed.",
                BuildCause::SignatureRefused,
            ),
            (
                "E: Release file for http://m/dists/x/InRelease is expired (invalid since 3d)",
                BuildCause::IndexExpired,
            ),
            (
                "E: Failed to fetch http://m/debian/pool/k.deb  404  Not Found [IP: ::1 80]",
                BuildCause::MirrorInconsistent,
            ),
            (
                "E: Unable to locate package no-such-package\nE: setup failed: E: apt-get install",
                BuildCause::PackageMissing("no-such-package".to_owned()),
            ),
            ("Write failed because No space left on device", BuildCause::DiskFull),
            ("E: failed to parse /etc/subuid and /etc/subgid", BuildCause::NoSubordinateIds),
            ("E: unshare() failed: No space left on device", BuildCause::NoUserNamespaces),
        ];
        for (log, cause) in cases {
            let log = format!("I: running apt-get update...\n{log}\n{PIPE_DIED}");
            assert_eq!(BuildCause::of_log(&log, Privilege::User), cause, "{log}");
            assert!(cause.hint().is_some(), "{cause}");
        }
    }

    #[test]
    fn the_same_refusal_means_another_remedy_to_root() {
        let log = "unshare: unshare failed: Operation not permitted";
        assert_eq!(BuildCause::of_log(log, Privilege::Root), BuildCause::NoMountRight);
        assert_eq!(BuildCause::of_log(log, Privilege::User), BuildCause::NoUserNamespaces);
    }

    #[test]
    fn an_unknown_failure_is_not_explained_away() {
        let cause = BuildCause::of_log("dpkg: error processing package x", Privilege::User);
        assert_eq!(cause, BuildCause::Unknown);
        assert_eq!(cause.hint(), None);
    }

    #[test]
    fn the_error_shows_the_reason_and_not_its_echoes() {
        let log = format!(
            "I: installing...\nE: Unable to locate package \x1b[31mfoo\nE: setup failed: E: x\n\
             {PIPE_DIED}mmdebstrap ended with exit status: 25\n"
        );
        assert_eq!(telling_lines(&log), ["E: Unable to locate package [31mfoo"]);
        assert_eq!(telling_lines("one\n\ntwo\n"), ["one", "two"]);
    }
}
