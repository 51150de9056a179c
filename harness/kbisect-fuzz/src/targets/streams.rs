//! What comes over wires and from servers inside the guest.

use kbisect_core::framing::{Frames, MAX_FRAME, addresses, whole_frames};
use kbisect_guest::answers::{dns_addresses, http_head};

/// The stream of frames that QEMU writes.
pub(super) fn wire(input: &[u8]) {
    let Some(used) = whole_frames(input) else { return };
    assert!(used <= input.len());
    let mut total = 0;
    for (raw, frame) in Frames(&input[..used]) {
        assert!(frame.len() <= MAX_FRAME && raw.len() == frame.len() + 4);
        let _ = addresses(frame);
        total += raw.len();
    }
    assert_eq!(total, used, "whole frames are frames");
    // What is left waits for its rest: it is no frame yet.
    assert_eq!(whole_frames(&input[used..]), Some(0));
}

/// Answers of HTTP servers, as the guest's program reads them.
pub(super) fn guest_http(input: &[u8]) {
    if let Err(error) = http_head(input) {
        assert!(!error.is_empty());
    }
}

/// Answers of DNS servers; the first byte says what was asked for.
pub(super) fn guest_dns(input: &[u8]) {
    let (kind, message) = input.split_first().map_or((0, input), |(kind, rest)| (*kind, rest));
    let kind = if kind & 1 == 0 { 1 } else { 28 };
    if let Some(found) = dns_addresses(message, kind) {
        // Each takes at least 14 bytes of the message.
        assert!(found.len() * 14 <= message.len());
    }
}
