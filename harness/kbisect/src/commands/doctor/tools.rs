//! Programs of the host.

use std::fs;
use std::path::PathBuf;

use kbisect_report::{DoctorCheck, DoctorStatus};

use super::{advise, found};

/// Where Debian begins to give out subordinate ids, and how many each user gets.
const FIRST_ID: u64 = 100_000;
const RANGE: u64 = 65_536;

/// A program, and the Debian package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
    what_for: &'static str,
    /// Only the build of the root image needs it.
    image_only: bool,
}

const TOOLS: [Tool; 7] = [
    tool("gpgv", "gpgv", "verifies the archive"),
    tool("depmod", "kmod", "imports kernels"),
    tool("mksquashfs", "squashfs-tools", "imports kernels"),
    for_image("sqfstar", "squashfs-tools"),
    for_image("mmdebstrap", "mmdebstrap"),
    for_image("newuidmap", "uidmap"),
    for_image("unshare", "util-linux"),
];

const fn tool(program: &'static str, package: &'static str, what_for: &'static str) -> Tool {
    Tool { program, package, what_for, image_only: false }
}

const fn for_image(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package, what_for: "builds the root image", image_only: true }
}

/// Missing programs, one finding each; one finding in all when none is missing.
pub fn checks(has_image: bool) -> Vec<DoctorCheck> {
    let root = rustix::process::geteuid().is_root();
    // As root no subordinate ids are needed, as a user no mount namespace of one's own.
    let needed = |tool: &&Tool| match tool.program {
        "newuidmap" => !root,
        "unshare" => root,
        _ => true,
    };
    let status = |for_image: bool| {
        if for_image && has_image { DoctorStatus::Warn } else { DoctorStatus::Fail }
    };
    let mut checks: Vec<DoctorCheck> = TOOLS
        .iter()
        .filter(needed)
        .filter(|tool| !is_installed(tool.program))
        .map(|tool| {
            let detail = format!("`{}` is not installed; it {}", tool.program, tool.what_for);
            let hint = format!("install the package {}", tool.package);
            advise("tools", status(tool.image_only), detail, hint)
        })
        .collect();
    if checks.is_empty() {
        let names: Vec<&str> = TOOLS.iter().filter(needed).map(|tool| tool.program).collect();
        checks.push(found("tools", DoctorStatus::Ok, names.join(", ")));
    }
    if !root {
        checks.push(subordinate_ids(status(true)));
    }
    checks
}

/// Tools of root live in sbin, which an ordinary user's PATH need not have.
fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// A user builds the image in a user namespace with ids of its own (subuid(5)).
fn subordinate_ids(missing: DoctorStatus) -> DoctorCheck {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let uid = rustix::process::getuid().as_raw().to_string();
    let files = ["/etc/subuid", "/etc/subgid"]
        .map(|file| (file, fs::read_to_string(file).unwrap_or_default()));
    let lacking: Vec<&str> = files
        .iter()
        .filter(|(_, text)| !has_range(text, &user, &uid))
        .map(|(file, _)| *file)
        .collect();
    if lacking.is_empty() {
        return found("ids", DoctorStatus::Ok, "subordinate user and group ids");
    }
    let first = files.iter().map(|(_, text)| first_free(text)).max().unwrap_or(FIRST_ID);
    let range = format!("{first}-{}", first + RANGE - 1);
    advise(
        "ids",
        missing,
        format!(
            "no range for this user in {}: the root image cannot be built",
            lacking.join(" and ")
        ),
        format!("run `sudo usermod --add-subuids {range} --add-subgids {range} $USER`"),
    )
}

/// The first id behind all ranges: users whose ranges overlap could touch each other's files.
fn first_free(text: &str) -> u64 {
    let ends = text.lines().filter_map(|line| {
        let mut numbers = line.split(':').skip(1).map(|field| field.trim().parse::<u64>().ok());
        numbers.next()??.checked_add(numbers.next()??)
    });
    ends.max().unwrap_or(0).max(FIRST_ID)
}

fn has_range(text: &str, user: &str, uid: &str) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let owner = fields.next().unwrap_or_default();
        let size = fields.nth(1).and_then(|count| count.trim().parse::<u64>().ok());
        let ours = (!user.is_empty() && owner == user) || owner == uid;
        ours && size.is_some_and(|size| size >= RANGE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_belong_to_a_name_or_a_number() {
        let text = "root:1:10\nana:100000:65536\n1001:200000:65536\nbob:300000:10\n";
        assert!(has_range(text, "ana", "1000"));
        assert!(has_range(text, "eve", "1001"));
        assert!(!has_range(text, "bob", "1002"), "too few ids for a Debian tree");
        assert!(!has_range(text, "", "1003"));
    }

    #[test]
    fn a_new_range_lies_behind_those_of_others() {
        assert_eq!(first_free(""), 100_000);
        assert_eq!(first_free("root:1:10\n"), 100_000);
        assert_eq!(first_free("ana:100000:65536\nbob:300000:10\nbroken:1\n"), 300_010);
    }
}
