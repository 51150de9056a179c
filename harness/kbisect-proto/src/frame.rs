//! Framing: `length: u32 BE | crc32: u32 BE | body`.
//!
//! The check sum is there because one end runs on a kernel that is suspected of corrupting data.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest body in bytes. A peer that announces more lies or is broken.
pub const MAX_BODY: usize = 1 << 20;

const HEADER: usize = 8;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is over [`MAX_BODY`].
    #[error("guest channel announced a frame of {announced} bytes, the limit is {MAX_BODY}")]
    TooLarge {
        /// Announced length in bytes.
        announced: usize,
    },
    /// The check sum does not fit the body.
    #[error("guest channel delivered a frame whose check sum does not fit")]
    Checksum,
    /// The body is no message.
    #[error("guest channel delivered a frame that is no message: {0}")]
    Body(postcard::Error),
}

/// Encodes one message as a frame.
///
/// # Errors
/// [`FrameError::TooLarge`] when the message does not fit in a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = postcard::to_extend(message, vec![0; HEADER]).map_err(FrameError::Body)?;
    let length = bytes.len() - HEADER;
    if length > MAX_BODY {
        return Err(FrameError::TooLarge { announced: length });
    }
    let sum = crc32(&bytes[HEADER..]);
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    bytes[4..8].copy_from_slice(&sum.to_be_bytes());
    Ok(bytes)
}

/// Collects bytes as they arrive and gives out whole messages. Holds at most one frame and what
/// was pushed last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Makes an empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next whole message, if there is one.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot be trusted from there on.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((head, body)) = rest.split_at_checked(HEADER) else { return Ok(None) };
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = word(0) as usize;
        if length > MAX_BODY {
            return Err(FrameError::TooLarge { announced: length });
        }
        let Some(body) = body.get(..length) else { return Ok(None) };
        if crc32(body) != word(4) {
            return Err(FrameError::Checksum);
        }
        let message = postcard::from_bytes(body).map_err(FrameError::Body)?;
        self.start += HEADER + length;
        Ok(Some(message))
    }
}

/// CRC-32 (IEEE 802.3), bit by bit from a table of sixteen: small, and fast enough for frames.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0u32; 16];
        let mut index = 0;
        while index < 16 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0u32, |sum, byte| {
        let sum = sum ^ u32::from(*byte);
        let sum = (sum >> 4) ^ TABLE[(sum & 15) as usize];
        (sum >> 4) ^ TABLE[(sum & 15) as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_has_the_standard_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn messages_survive_any_split() {
        let messages = [vec![1u8, 2, 3], vec![], vec![9; 70_000]];
        let stream: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        for step in [1, 7, 4096, stream.len()] {
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            for part in stream.chunks(step) {
                decoder.push(part);
                while let Some(message) = decoder.next_message::<Vec<u8>>().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, messages, "split into {step}");
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_anything_is_kept() {
        let mut decoder = Decoder::new();
        decoder.push(&[0xff; 8]);
        assert_eq!(
            decoder.next_message::<Vec<u8>>(),
            Err(FrameError::TooLarge { announced: 0xffff_ffff })
        );
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut frame = encode(&vec![5u8; 40]).unwrap();
        frame[20] ^= 4;
        let mut decoder = Decoder::new();
        decoder.push(&frame);
        assert_eq!(decoder.next_message::<Vec<u8>>(), Err(FrameError::Checksum));
    }
}
