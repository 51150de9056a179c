//! Reading captures: pcap (draft-ietf-opsawg-pcap) and pcapng, Ethernet only. A capture comes from
//! a production host and is hostile input: lengths are checked, sizes are bounded, nothing panics.

use std::time::Duration;

/// Largest frame that is taken, in bytes.
const MAX_FRAME: usize = 65_536;
/// Most frames of one capture.
const MAX_FRAMES: usize = 100_000;
/// Link type of Ethernet.
const ETHERNET: u32 = 1;

/// One frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Time since the first frame.
    pub at: Duration,
    /// The frame, from the destination address on.
    pub data: Vec<u8>,
}

/// Why a capture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("it is no capture: neither pcap nor pcapng")]
    Format,
    /// The file ends inside a packet or block.
    #[error("it is truncated: it ends inside packet {packet}")]
    Truncated {
        /// Number of the packet, from 1.
        packet: usize,
    },
    /// Frames of another kind.
    #[error("its link type is {found}, only Ethernet (1) can be replayed")]
    LinkType {
        /// The link type.
        found: u32,
    },
    /// A packet that was cut when it was captured.
    #[error(
        "packet {packet} was cut to {captured} of {whole} bytes: capture whole packets (tcpdump -s 0)"
    )]
    Cut {
        /// Number of the packet, from 1.
        packet: usize,
        /// Bytes that are there.
        captured: u32,
        /// Bytes that there were.
        whole: u32,
    },
    /// Too much of something.
    #[error("{0}")]
    TooLarge(String),
    /// Nothing in it.
    #[error("it holds no packets")]
    Empty,
}

/// Reads a capture.
///
/// # Errors
/// [`CaptureError`]; half a capture is none.
pub fn read(bytes: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
    let magic: [u8; 4] =
        bytes.get(..4).and_then(|head| head.try_into().ok()).ok_or(CaptureError::Format)?;
    let mut frames = Frames::default();
    match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => read_pcap(bytes, Order::Little, 1_000, &mut frames)?,
        [0xa1, 0xb2, 0xc3, 0xd4] => read_pcap(bytes, Order::Big, 1_000, &mut frames)?,
        [0x4d, 0x3c, 0xb2, 0xa1] => read_pcap(bytes, Order::Little, 1, &mut frames)?,
        [0xa1, 0xb2, 0x3c, 0x4d] => read_pcap(bytes, Order::Big, 1, &mut frames)?,
        [0x0a, 0x0d, 0x0d, 0x0a] => read_pcapng(bytes, &mut frames)?,
        _ => return Err(CaptureError::Format),
    }
    if frames.list.is_empty() { Err(CaptureError::Empty) } else { Ok(frames.list) }
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(word),
            Self::Big => u32::from_be_bytes(word),
        })
    }
}

#[derive(Default)]
struct Frames {
    list: Vec<CapturedFrame>,
    first: Option<u64>,
}

impl Frames {
    fn next_number(&self) -> usize {
        self.list.len() + 1
    }

    fn push(&mut self, nanos: u64, data: &[u8], whole: u32) -> Result<(), CaptureError> {
        let packet = self.next_number();
        if data.len() < whole as usize {
            return Err(CaptureError::Cut { packet, captured: data.len() as u32, whole });
        }
        if data.len() > MAX_FRAME {
            return Err(CaptureError::TooLarge(format!(
                "packet {packet} has {} bytes",
                data.len()
            )));
        }
        if self.list.len() >= MAX_FRAMES {
            return Err(CaptureError::TooLarge(format!("it has more than {MAX_FRAMES} packets")));
        }
        let first = *self.first.get_or_insert(nanos);
        let at = Duration::from_nanos(nanos.saturating_sub(first));
        self.list.push(CapturedFrame { at, data: data.to_vec() });
        Ok(())
    }
}

fn read_pcap(
    bytes: &[u8],
    order: Order,
    unit: u64,
    frames: &mut Frames,
) -> Result<(), CaptureError> {
    let kind = order.word(bytes, 20).ok_or(CaptureError::Truncated { packet: 1 })? & 0xffff;
    if kind != ETHERNET {
        return Err(CaptureError::LinkType { found: kind });
    }
    let mut at = 24;
    while at < bytes.len() {
        let cut = CaptureError::Truncated { packet: frames.next_number() };
        let word = |offset: usize| order.word(bytes, at + offset);
        let (Some(seconds), Some(fraction), Some(captured), Some(whole)) =
            (word(0), word(4), word(8), word(12))
        else {
            return Err(cut);
        };
        let Some(data) = bytes.get(at + 16..).and_then(|rest| rest.get(..captured as usize)) else {
            return Err(cut);
        };
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        frames.push(nanos, data, whole)?;
        at += 16 + captured as usize;
    }
    Ok(())
}

fn read_pcapng(bytes: &[u8], frames: &mut Frames) -> Result<(), CaptureError> {
    let mut order = Order::Little;
    let mut units: Vec<Unit> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let cut = CaptureError::Truncated { packet: frames.next_number() };
        if bytes[at..].starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            order = match bytes.get(at + 8..at + 12) {
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                _ => return Err(CaptureError::Format),
            };
            units.clear();
        }
        let (Some(kind), Some(length)) = (order.word(bytes, at), order.word(bytes, at + 4)) else {
            return Err(cut);
        };
        let length = length as usize;
        let body = match bytes.get(at..).and_then(|rest| rest.get(..length)) {
            Some(block) if length >= 12 && length.is_multiple_of(4) => &block[8..length - 4],
            _ => return Err(cut),
        };
        match kind {
            1 => {
                let link = order.word(body, 0).ok_or(cut)?;
                let link = match order {
                    Order::Little => link & 0xffff,
                    Order::Big => link >> 16,
                };
                if link != ETHERNET {
                    return Err(CaptureError::LinkType { found: link });
                }
                units.push(resolution(body.get(8..).unwrap_or_default(), order));
            }
            6 => {
                let word = |offset| order.word(body, offset);
                let (Some(interface), Some(high), Some(low), Some(captured), Some(whole)) =
                    (word(0), word(4), word(8), word(12), word(16))
                else {
                    return Err(cut);
                };
                let Some(data) = body.get(20..).and_then(|rest| rest.get(..captured as usize))
                else {
                    return Err(cut);
                };
                let unit = units.get(interface as usize).copied().unwrap_or(Unit::MICROSECOND);
                let stamp = u64::from(high) << 32 | u64::from(low);
                frames.push(unit.nanos(stamp), data, whole)?;
            }
            _ => {}
        }
        at += length;
    }
    Ok(())
}

/// The unit of time stamps: a second over a power. Whole numbers, since nanoseconds since 1970 need
/// more digits than a float has.
#[derive(Clone, Copy)]
enum Unit {
    Ten(u32),
    Two(u32),
}

impl Unit {
    const MICROSECOND: Self = Self::Ten(6);

    /// A time stamp in nanoseconds, rounded down.
    fn nanos(self, stamp: u64) -> u64 {
        let stamp = u128::from(stamp);
        let nanos = match self {
            Self::Ten(power @ 0..=9) => stamp * 10u128.pow(9 - power),
            Self::Ten(power) => 10u128.checked_pow(power - 9).map_or(0, |over| stamp / over),
            Self::Two(power) => (stamp * 1_000_000_000) >> power,
        };
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// The unit of an interface, from the option `if_tsresol` (9); microseconds without it.
fn resolution(mut options: &[u8], order: Order) -> Unit {
    while let Some(head) = order.word(options, 0) {
        let (code, length) = match order {
            Order::Little => (head & 0xffff, head >> 16),
            Order::Big => (head >> 16, head & 0xffff),
        };
        if code == 9 {
            return match options.get(4) {
                Some(power) if power & 0x80 == 0 => Unit::Ten(u32::from(*power)),
                Some(power) => Unit::Two(u32::from(power & 0x7f)),
                None => Unit::MICROSECOND,
            };
        }
        let next = 4 + (length as usize).next_multiple_of(4);
        if code == 0 || next > options.len() {
            break;
        }
        options = &options[next..];
    }
    Unit::MICROSECOND
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcapng;

    fn pcap(link: u32, packets: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, link] {
            bytes.extend(word.to_le_bytes());
        }
        for (seconds, micros, data, whole) in packets {
            for word in [*seconds, *micros, data.len() as u32, *whole] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn frames_come_with_their_time_since_the_first() {
        let bytes = pcap(1, &[(5, 900_000, &[7; 60], 60), (6, 100_000, &[8; 61], 61)]);
        let frames = read(&bytes).unwrap();
        assert_eq!(frames[0], CapturedFrame { at: Duration::ZERO, data: vec![7; 60] });
        assert_eq!(frames[1], CapturedFrame { at: Duration::from_millis(200), data: vec![8; 61] });
    }

    #[test]
    fn our_own_captures_can_be_replayed() {
        let mut bytes = pcapng::header(&["a", "b"]);
        pcapng::packet(&mut bytes, 0, 1_000_000_000, &[1; 60]);
        pcapng::packet(&mut bytes, 1, 1_000_500_000, &[2; 63]);
        let frames = read(&bytes).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].data, [2; 63]);
        assert_eq!(frames[1].at, Duration::from_micros(500));
    }

    /// A float of 64 bits knows the nanoseconds of today to a quarter of a microsecond only.
    #[test]
    fn times_since_1970_keep_their_nanoseconds() {
        let begin = 1_700_000_000_000_000_001;
        let mut bytes = pcapng::header(&["a"]);
        pcapng::packet(&mut bytes, 0, begin, &[1; 60]);
        pcapng::packet(&mut bytes, 0, begin + 3, &[2; 60]);
        assert_eq!(read(&bytes).unwrap()[1].at, Duration::from_nanos(3));
        assert_eq!(Unit::Two(10).nanos(1536), 1_500_000_000);
        assert_eq!([Unit::Ten(12).nanos(1999), Unit::Ten(127).nanos(u64::MAX)], [1, 0]);
        assert_eq!(Unit::Ten(0).nanos(u64::MAX), u64::MAX);
    }

    #[test]
    fn what_cannot_be_replayed_is_named() {
        let whole = pcap(1, &[(0, 0, &[7; 60], 60)]);
        assert_eq!(read(&whole[..50]), Err(CaptureError::Truncated { packet: 1 }));
        assert_eq!(read(b"not a capture"), Err(CaptureError::Format));
        assert_eq!(read(&pcap(113, &[])), Err(CaptureError::LinkType { found: 113 }));
        assert_eq!(read(&pcap(1, &[])), Err(CaptureError::Empty));
        let cut = pcap(1, &[(0, 0, &[7; 60], 1500)]);
        assert_eq!(read(&cut), Err(CaptureError::Cut { packet: 1, captured: 60, whole: 1500 }));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let mut bytes = pcapng::header(&["a"]);
        pcapng::packet(&mut bytes, 0, 1, &[1; 60]);
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = read(&damaged);
                let _ = read(&damaged[..at]);
            }
        }
    }
}
