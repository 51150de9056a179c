//! Programs of the host.

use std::fs;
use std::path::PathBuf;

use kbisect_report::{DoctorCheck, DoctorStatus};

use super::{advise, found};

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
    let lacking: Vec<&str> = ["/etc/subuid", "/etc/subgid"]
        .into_iter()
        .filter(|file| !has_range(&fs::read_to_string(file).unwrap_or_default(), &user, &uid))
        .collect();
    if lacking.is_empty() {
        return found("ids", DoctorStatus::Ok, "subordinate user and group ids");
    }
    advise(
        "ids",
        missing,
        format!(
            "no range for this user in {}: the root image cannot be built",
            lacking.join(" and ")
        ),
        "run `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`",
    )
}

fn has_range(text: &str, user: &str, uid: &str) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let owner = fields.next().unwrap_or_default();
        let size = fields.nth(1).and_then(|count| count.trim().parse::<u64>().ok());
        let ours = (!user.is_empty() && owner == user) || owner == uid;
        ours && size.is_some_and(|size| size >= 65_536)
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
}
