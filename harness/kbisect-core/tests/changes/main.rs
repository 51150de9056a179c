//! What changed between two kernels: changelogs and logs read, cut, ranked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod changelog;
mod gitlog;
mod ranking;

use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;

/// A kernel of Debian's.
fn debian(version: &str) -> Kernel {
    let package_version = PackageVersion::parse(version).unwrap();
    Kernel {
        version: package_version.upstream().to_owned(),
        package_version,
        flavour: "cloud-amd64".to_owned(),
        source: "debian:trixie".to_owned(),
        id: KernelId(version.to_owned()),
        release: None,
        name: None,
        variant: None,
    }
}

/// A kernel of the user's, with an upstream version.
fn local(version: &str) -> Kernel {
    Kernel { source: "local".to_owned(), ..debian(version) }
}

/// Three packages with four stable releases, a rebuild, and a mainline release before them.
const LOG: &str = "\
linux (6.12.9-1~bpo12+1) bookworm-backports; urgency=medium

  * Rebuild for bookworm-backports

 -- A Person <a@example.org>  Mon, 02 Feb 2026 10:00:00 +0000

linux (6.12.9-1) trixie-security; urgency=high

  * New upstream stable update:
    https://www.example.org/pub/ChangeLog-6.12.8
    - net: tidy the queue of the loopback device before it is handed
      to the next one (CVE-2026-10001)
    - [arm64] bridge: align a table
    https://www.example.org/pub/ChangeLog-6.12.9
    - [x86,arm64] mm: count pages twice
    - [media] tuner: sleep longer (Closes: #1012345, #1012346)

  [ A Person ]
  * gatekeeper: Enable GATEKEEPER as module

 -- A Person <a@example.org>  Mon, 02 Feb 2026 09:00:00 +0000

linux (6.12.7-2) trixie; urgency=medium

  * Fix a build failure

 -- A Person <a@example.org>  Mon, 05 Jan 2026 09:00:00 +0000

linux (6.12.7-1) trixie; urgency=medium

  * New upstream stable update: https://www.example.org/pub/ChangeLog-6.12.7
    - tcp: remember the window

 -- A Person <a@example.org>  Sun, 04 Jan 2026 09:00:00 +0000

linux (6.12-1~exp1) experimental; urgency=medium

  * New upstream release: https://www.example.org/Linux_6.12

 -- A Person <a@example.org>  Sun, 07 Dec 2025 09:00:00 +0000

# Older entries have been removed from this changelog.
";
