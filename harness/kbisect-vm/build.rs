//! Builds the guest program as a static binary, so that it can be embedded.
//!
//! Cargo has no stable way to depend on another crate's binary for another set of flags, so this
//! calls cargo with a target directory of its own (a shared one would wait for our own lock).

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let harness = manifest_dir.join("..");
    for source in ["kbisect-guest/src", "kbisect-guest/Cargo.toml", "kbisect-proto/src"] {
        println!("cargo::rerun-if-changed={}", harness.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    // The guest is an x86-64 Linux machine whatever the flags of this build are. A target given by
    // name keeps the flags away from build scripts and proc macros, which cannot be static.
    let target = "x86_64-unknown-linux-gnu";
    let build = out.join("guest");
    let mut command = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    command
        .args(["build", "--profile", "guest", "--target", target, "--manifest-path"])
        .arg(harness.join("kbisect-guest/Cargo.toml"))
        .arg("--target-dir")
        .arg(&build)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    // Clippy and coverage tools wrap the compiler; the guest is not theirs.
    for wrapper in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
        command.env_remove(wrapper);
    }
    let status = command.status().expect("cargo runs, for it runs this");
    assert!(
        status.success(),
        "cannot build the guest program (a static glibc is needed: libc6-dev)"
    );
    let program = build.join(target).join("guest/kbisect-guest");
    std::fs::copy(&program, out.join("kbisect-guest")).expect("cargo just built it");
}
