//! Reading the captures that the harness wrote: pcapng, one file a wire, one interface a sender.
//!
//! A capture that was cut off is read as far as it goes. A run's folder may come from elsewhere, so
//! lengths are checked and sizes are bounded.

use super::packet::Packet;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Option `if_name` of an interface.
const IF_NAME: u16 = 2;
/// Most frames of one wire that are looked at.
const MAX_FRAMES: usize = 200_000;

/// One frame on a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Nanoseconds since 1970-01-01 UTC.
    pub(crate) at: u64,
    /// Position in [`Capture::senders`].
    pub(crate) sender: usize,
    /// What it carries.
    pub(crate) packet: Packet,
}

/// The frames of one wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capture {
    /// Wire name.
    pub(crate) wire: String,
    /// Nodes that can send on it, in the order of the file's interfaces.
    pub(crate) senders: Vec<String>,
    /// Frames in the order of the file.
    pub(crate) frames: Vec<Frame>,
    /// Why not all of the file was read.
    pub(crate) cut: Option<String>,
}

impl Capture {
    /// Reads a file of the harness: little endian, nanoseconds, interfaces called `wire: node`.
    pub(crate) fn read(wire: &str, bytes: &[u8]) -> Self {
        let mut capture = Self { wire: wire.to_owned(), ..Self::default() };
        for (number, block) in (Blocks { rest: bytes }).enumerate() {
            let Some(block) = block else {
                capture.cut = Some(format!("it ends inside block {}", number + 1));
                break;
            };
            match block.kind {
                SECTION_HEADER if block.body.get(..4) != Some(&0x1a2b_3c4du32.to_le_bytes()) => {
                    capture.cut = Some("it is not in the byte order of this program".to_owned());
                    break;
                }
                INTERFACE => {
                    let name = interface_name(block.body).unwrap_or_default();
                    capture.senders.push(sender_of(wire, &name).to_owned());
                }
                ENHANCED_PACKET if capture.frames.len() >= MAX_FRAMES => {
                    capture.cut = Some(format!("only the first {MAX_FRAMES} frames are shown"));
                    break;
                }
                ENHANCED_PACKET => capture.frames.extend(frame(block.body)),
                _ => {}
            }
        }
        capture
    }
}

/// One block of a pcapng file.
pub(crate) struct Block<'a> {
    pub(crate) kind: u32,
    /// Without type and lengths.
    pub(crate) body: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Walks the blocks of a little-endian file; `None` once where it is cut off.
pub(crate) struct Blocks<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Option<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let block = (|| {
            let (kind, length) = (word(self.rest, 0)?, word(self.rest, 4)? as usize);
            let whole = self.rest.get(..length)?;
            let framed = length >= 12 && length.is_multiple_of(4);
            framed.then(|| Block { kind, body: &whole[8..length - 4], whole })
        })();
        self.rest = match &block {
            Some(block) => &self.rest[block.whole.len()..],
            None => &[],
        };
        Some(block)
    }
}

/// A 32-bit word, little endian.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The node in an interface's name: `lan: sent by client`, or `lan: client`.
fn sender_of<'a>(wire: &str, name: &'a str) -> &'a str {
    let rest = name.strip_prefix(wire).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(name);
    rest.strip_prefix("sent by ").unwrap_or(rest)
}

fn frame(body: &[u8]) -> Option<Frame> {
    let (sender, high, low) = (word(body, 0)?, word(body, 4)?, word(body, 8)?);
    let data = body.get(20..)?.get(..word(body, 12)? as usize)?;
    let at = u64::from(high) << 32 | u64::from(low);
    Some(Frame { at, sender: sender as usize, packet: Packet::of(data) })
}

fn interface_name(body: &[u8]) -> Option<String> {
    let mut options = body.get(8..)?;
    loop {
        let head = word(options, 0)?;
        let (code, length) = (head as u16, (head >> 16) as usize);
        let value = options.get(4..)?.get(..length)?;
        if code == IF_NAME {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        if code == 0 {
            return None;
        }
        options = options.get(4 + length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use kbisect_core::pcapng;
    use proptest::prelude::*;

    use super::*;

    fn file() -> Vec<u8> {
        let mut bytes = pcapng::header(&["lan: sent by client", "lan: server"]);
        pcapng::packet(&mut bytes, 1, 1_000_000_007, &[9; 60]);
        pcapng::packet(&mut bytes, 0, 1_000_000_009, &[8; 61]);
        bytes
    }

    #[test]
    fn what_the_harness_writes_is_read() {
        let capture = Capture::read("lan", &file());
        assert_eq!(capture.senders, ["client", "server"]);
        let seen: Vec<_> = capture.frames.iter().map(|frame| (frame.sender, frame.at)).collect();
        assert_eq!(seen, [(1, 1_000_000_007), (0, 1_000_000_009)]);
        assert_eq!(capture.cut, None);
    }

    #[test]
    fn a_capture_that_was_cut_off_is_read_as_far_as_it_goes() {
        let bytes = file();
        let capture = Capture::read("lan", &bytes[..bytes.len() - 5]);
        assert_eq!(capture.frames.len(), 1);
        assert!(capture.cut.unwrap().contains("block 5"));
    }

    proptest! {
        #[test]
        fn damage_does_no_harm(at in 0usize..200, byte in any::<u8>()) {
            let mut bytes = file();
            let at = at % bytes.len();
            bytes[at] = byte;
            prop_assert!(Capture::read("lan", &bytes).frames.len() <= 2);
        }
    }
}
