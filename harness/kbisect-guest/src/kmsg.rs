//! The kernel's message buffer, without starting a program.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// The device; asked for by this name.
pub const PATH: &str = "/dev/kmsg";

/// Reads what is in the buffer, as dmesg(1) prints it (Documentation/ABI/testing/dev-kmsg); nothing
/// when it cannot be read.
pub fn read() -> Option<Vec<u8>> {
    let mut device =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(PATH).ok()?;
    // One record a read; 8 KiB is the longest.
    let mut record = [0; 8192];
    let mut text = Vec::new();
    loop {
        match device.read(&mut record) {
            Ok(0) => return Some(text),
            Ok(count) => append(&mut text, &record[..count]),
            // Records were overwritten meanwhile: the next read gives the oldest that is left.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return Some(text),
        }
    }
}

/// `6,1234,5678901,-;text\n KEY=value\n` -> `[    5.678901] text`.
fn append(text: &mut Vec<u8>, record: &[u8]) {
    let line = record.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(at) = line.iter().position(|byte| *byte == b';') else { return };
    let head = String::from_utf8_lossy(&line[..at]);
    let micros: u64 = head.split(',').nth(2).and_then(|word| word.parse().ok()).unwrap_or(0);
    text.extend(format!("[{:5}.{:06}] ", micros / 1_000_000, micros % 1_000_000).bytes());
    text.extend(&line[at + 1..]);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_lines() {
        let mut text = Vec::new();
        append(&mut text, b"6,339,5140900,-;NET: Registered protocol\n SUBSYSTEM=net\n");
        append(&mut text, b"4,340,12000001,c,caller=T1;odd; one");
        append(&mut text, b"nonsense");
        let expected = "[    5.140900] NET: Registered protocol\n[   12.000001] odd; one\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
