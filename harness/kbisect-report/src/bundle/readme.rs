//! A text for whoever opens the bundle.

use std::fmt::Write;

use super::Carries;
use crate::dossier::Dossier;
use crate::text::line;

pub(super) fn readme(
    dossier: &Dossier,
    carries: Carries,
    redacted: bool,
    left_out: &[(String, String)],
) -> String {
    let mut to = String::new();
    let mut put = |text: &str| {
        let _ = writeln!(to, "{text}");
    };
    put(&line(&dossier.verdict(), 1000));
    if let Some(symptom) = dossier.symptom() {
        put(&format!("Symptom: {}", line(&symptom.to_string(), 1000)));
    }
    put("");
    put("Begin with report.html: it opens in any browser, without network or scripts.");
    put("");
    for (name, what) in [
        ("report.html, report.md, report.txt", "the report: to read, for a ticket, for a mail"),
        ("result.json, junit.xml, report.ktap, bisect.log", "the same for programs and for git"),
        ("journal.jsonl", "every event of the run; all reports follow from it"),
        ("reproduce.sh", "repeats the trial; its head says what it needs"),
        ("scenario/", "hosts, links, rules, services, checks, with all files"),
        ("trials/N-VERSION/candidate/", "console of the kernel under test, QEMU's command line"),
        ("trials/N-VERSION/wires/", "every frame on each wire, as pcapng (Wireshark opens it)"),
        ("trials/N-VERSION/collect/", "network state of the hosts under test afterwards"),
        ("lab/", "console and command line of the machine with the other hosts"),
        ("configs/", "kernel configurations around the change, and their difference"),
        ("versions/", "packages of the kernels with SHA-256, packages of the root image"),
        ("manifest.json, SHA256SUMS", "how the bundle was made; check: sha256sum -c SHA256SUMS"),
    ] {
        put(&format!("  {name}"));
        put(&format!("      {what}"));
    }
    put("");
    put("To repeat the trial:");
    put("");
    put("  ./reproduce.sh");
    put("");
    put("needs qemu-system-x86_64 (7.2 or newer) and:");
    for (here, what, otherwise) in [
        (carries.tool, "kbisect", "kbisect of the same version in PATH"),
        (carries.kernels, "both kernels", "the Debian archive, to fetch the kernels by SHA-256"),
        (carries.image, "the root image", "mmdebstrap and squashfs-tools, to build the root image"),
    ] {
        if here {
            put(&format!("  - {what}: included"));
        } else {
            put(&format!("  - {otherwise}"));
        }
    }
    put("");
    if redacted {
        put(
            "Addresses, hardware addresses and host names are placeholders, the same in all files; the",
        );
        put("payload of captured frames is blank. Subnets fit together as they did.");
    } else {
        put("Nothing was redacted: addresses, names and payload are those of the run.");
    }
    if !left_out.is_empty() {
        put("");
        put("Left out:");
        for (path, why) in left_out {
            put(&format!("  {}: {}", line(path, 300), line(why, 300)));
        }
    }
    to
}
