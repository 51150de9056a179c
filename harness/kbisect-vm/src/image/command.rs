//! The command lines of a build.

use std::path::Path;
use std::process::Command;

use super::ImageSources;
use super::definition::{ARCHITECTURE, Compression, Content};
use super::script;
use super::supervise::supervised;

/// Makes usr-merged trees without the package `usrmerge`, which would bring all of Perl.
const MERGED_USR_HOOK: &str = "/usr/share/mmdebstrap/hooks/merged-usr";
/// Time stamp of everything in the image: any fixed one makes two builds comparable.
const EPOCH: &str = "1700000000";

/// Left out when packing: apt's configuration names the mirror, and mmdebstrap needs it until its end.
const LEFT_OUT: [&str; 3] = ["etc/apt", "var/lib/apt", "var/cache/apt"];

/// How the chroot is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// In a user namespace with subordinate ids.
    User,
    /// As root, in a mount and process namespace.
    Root,
}

/// Returns the command that writes the root file system as a tar stream to standard output.
pub(super) fn mmdebstrap(
    content: &Content,
    sources: &ImageSources,
    privilege: Privilege,
    scratch: &Path,
    keyring: &Path,
) -> Command {
    let mut command = match privilege {
        Privilege::User => supervised("mmdebstrap"),
        Privilege::Root => {
            // mmdebstrap as root mounts in the namespace it is started in, and a killed one leaves
            // the host's /proc and /sys mounted in a directory that is going to be deleted.
            let mut command = supervised("unshare");
            command.args(["--mount-proc", "--pid", "--fork", "--kill-child=KILL", "--"]);
            command.arg("mmdebstrap");
            command
        }
    };
    command.args(arguments(content, sources, privilege, keyring));
    command
        .env("TMPDIR", scratch)
        .env("SOURCE_DATE_EPOCH", EPOCH)
        // Error messages are read by BuildCause.
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A directory that the subordinate user can enter, unlike perhaps ours.
        .env("HOME", "/")
        .current_dir("/");
    command
}

fn arguments(
    content: &Content,
    sources: &ImageSources,
    privilege: Privilege,
    keyring: &Path,
) -> Vec<String> {
    let mode = match privilege {
        Privilege::User => "unshare",
        Privilege::Root => "root",
    };
    let mut arguments = vec![
        "--variant=essential".to_owned(),
        format!("--mode={mode}"),
        "--format=tar".to_owned(),
        format!("--architectures={ARCHITECTURE}"),
        format!("--include={}", content.packages.join(",")),
        format!("--customize-hook={}", script::customize(content)),
    ];
    if content.merged_usr && Path::new(MERGED_USR_HOOK).is_dir() {
        arguments.push(format!("--hook-dir={MERGED_USR_HOOK}"));
    }
    arguments.extend(content.exclude.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push("--aptopt=Acquire::Languages \"none\"".to_owned());
    arguments.extend(sources.apt_options.iter().map(|option| format!("--aptopt={option}")));
    arguments.extend([content.suite.clone(), "-".to_owned()]);
    let line = |url: &str, suite: &str| {
        format!("deb [signed-by={}] {} {suite} main", keyring.display(), url.trim_end_matches('/'))
    };
    arguments.push(line(&sources.mirror_url, &content.suite));
    if let (true, Some(url)) = (content.security, &sources.security_url) {
        arguments.push(line(url, &format!("{}-security", content.suite)));
    }
    arguments
}

/// Returns the command that packs a tar stream from standard input as squashfs into `output`.
pub(super) fn sqfstar(compression: Compression, privilege: Privilege, output: &Path) -> Command {
    let mut command = match privilege {
        Privilege::Root => Command::new("sqfstar"),
        Privilege::User => {
            // The root directory belongs to whoever runs sqfstar 4.5, -root-uid or not.
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--", "sqfstar"]);
            command
        }
    };
    command.args(["-quiet", "-no-progress", "-no-xattrs", "-b", "128K", "-root-mode", "0755"]);
    command.args(match compression {
        // Not -Xhc: a sixth smaller and no faster to read, but a third of the whole build's time.
        Compression::Lz4 => &["-comp", "lz4"][..],
        Compression::Zstd => &["-comp", "zstd"],
        Compression::None => &["-noI", "-noId", "-noD", "-noF", "-noX"],
    });
    // The variable and the options exclude each other.
    command.args(["-all-time", EPOCH, "-mkfs-time", EPOCH]).env_remove("SOURCE_DATE_EPOCH");
    command.arg(output).args(LEFT_OUT);
    command
}

#[cfg(test)]
mod tests {
    use super::super::definition::ImageDefinition;
    use super::*;

    fn sources() -> ImageSources {
        ImageSources {
            mirror_url: "http://mirror.example/debian/".to_owned(),
            security_url: Some("http://mirror.example/debian-security".to_owned()),
            keyring: "/unused".into(),
            apt_options: vec!["Acquire::Check-Valid-Until \"false\"".to_owned()],
        }
    }

    #[test]
    fn the_arguments_name_sources_keyring_and_packages() {
        let definition = ImageDefinition::built_in();
        let all =
            arguments(&definition.content, &sources(), Privilege::User, Path::new("/s/key.gpg"));
        assert!(all.contains(&"--mode=unshare".to_owned()));
        assert!(all.contains(&"--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned()));
        let tail: Vec<_> = all.iter().rev().take(4).rev().map(String::as_str).collect();
        assert_eq!(
            tail,
            [
                "bookworm",
                "-",
                "deb [signed-by=/s/key.gpg] http://mirror.example/debian bookworm main",
                "deb [signed-by=/s/key.gpg] http://mirror.example/debian-security \
                 bookworm-security main",
            ]
        );
    }

    #[test]
    fn without_security_url_only_the_release_is_used() {
        let definition = ImageDefinition::built_in();
        let sources = ImageSources { security_url: None, ..sources() };
        let all = arguments(&definition.content, &sources, Privilege::Root, Path::new("/k"));
        assert!(all.contains(&"--mode=root".to_owned()));
        assert_eq!(all.iter().filter(|a| a.starts_with("deb ")).count(), 1);
    }
}
