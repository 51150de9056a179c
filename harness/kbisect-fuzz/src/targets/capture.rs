//! Captures of a production host: pcap and pcapng, and the addresses that their frames get.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kbisect_core::capture::{CaptureError, CapturedFrame, read};
use kbisect_core::flow::fingerprint;
use kbisect_core::pcapng;
use kbisect_core::rewrite::Rewrite;

const MAX_FRAME: usize = 65_536;

pub(super) fn target(file: &[u8]) {
    let frames = match read(file) {
        Ok(frames) => frames,
        Err(error) => {
            let number = match error {
                CaptureError::Truncated { packet } | CaptureError::Cut { packet, .. } => packet,
                _ => 0,
            };
            assert!(number <= file.len() && !error.to_string().is_empty());
            return;
        }
    };
    assert!(!frames.is_empty(), "an empty capture is an error");
    let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
    assert!(bytes <= file.len(), "{bytes} bytes of frames out of {}", file.len());
    assert!(frames[0].at.is_zero() && frames.iter().all(|frame| frame.data.len() <= MAX_FRAME));
    assert_eq!(read(&written(&frames)).as_ref(), Ok(&frames), "written and read again");
    frames.iter().for_each(|frame| rewritten(&frame.data));
}

fn written(frames: &[CapturedFrame]) -> Vec<u8> {
    let mut file = pcapng::header(&["wan"]);
    for frame in frames {
        let nanos = u64::try_from(frame.at.as_nanos()).expect("a capture's clock has 64 bits");
        pcapng::packet(&mut file, 0, nanos, &frame.data);
    }
    file
}

/// Addresses and headers change, what recognises a frame behind a router does not.
fn rewritten(frame: &[u8]) {
    let before = fingerprint(frame);
    let addresses = before.map_or_else(BTreeMap::new, |(direction, _)| {
        let other: IpAddr = match direction.from {
            std::net::SocketAddr::V4(_) => [192, 0, 2, 77].into(),
            std::net::SocketAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77].into(),
        };
        BTreeMap::from([(direction.from.ip(), other)])
    });
    for vlan in [None, Some(7)] {
        let rewrite = Rewrite { to: [2; 6], from: [4; 6], vlan, addresses: addresses.clone() };
        let Some(after) = rewrite.frame(frame) else { continue };
        assert!(after.len() <= frame.len() + 4, "{} from {} bytes", after.len(), frame.len());
        assert_eq!((&after[..6], &after[6..12]), (&[2; 6][..], &[4; 6][..]));
        assert_eq!(
            fingerprint(&after).map(|(_, hash)| hash),
            before.map(|(_, hash)| hash),
            "a rewritten frame is the same frame"
        );
    }
}
