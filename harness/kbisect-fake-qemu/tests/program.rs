//! The program can be found by tests of other packages, and is what it says.

use std::process::Command;

#[test]
fn it_says_a_version_that_kbisect_takes() {
    let output = Command::new(kbisect_fake_qemu::path()).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.starts_with("QEMU emulator version 10."), "{text}");
}

#[test]
fn without_a_kernel_there_is_no_machine() {
    let output = Command::new(kbisect_fake_qemu::path()).args(["-m", "64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
