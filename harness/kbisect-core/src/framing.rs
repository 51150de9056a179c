//! Frames in a stream, as QEMU's `-netdev stream` writes them: a 4-byte big-endian length before each
//! (QEMU docs, net/stream.c).

/// Largest frame that is taken, in bytes: 64 KiB of payload plus headers, as virtio-net's largest.
pub const MAX_FRAME: usize = 65_536 + 256;

/// The frames of a batch: each with and without its length.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a>(pub &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = (&'a [u8], &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let length = frame_length(self.0)?;
        let (raw, rest) = self.0.split_at_checked(4 + length)?;
        self.0 = rest;
        Some((raw, &raw[4..]))
    }
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    let head: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    Some(u32::from_be_bytes(head) as usize)
}

/// How many bytes are whole frames; `None` if the stream makes no sense.
pub fn whole_frames(bytes: &[u8]) -> Option<usize> {
    let mut used = 0;
    while let Some(length) = frame_length(&bytes[used..]) {
        if length > MAX_FRAME {
            return None;
        }
        if bytes.len() < used + 4 + length {
            break;
        }
        used += 4 + length;
    }
    Some(used)
}

/// Where a frame goes to and where it comes from; broadcast where it is too short to say.
pub fn addresses(frame: &[u8]) -> ([u8; 6], [u8; 6]) {
    let at = |from: usize| {
        frame.get(from..from + 6).and_then(|part| part.try_into().ok()).unwrap_or([0xff; 6])
    };
    (at(0), at(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_cannot_be_ends_the_stream() {
        assert_eq!(whole_frames(&[0xff; 8]), None);
        assert_eq!(whole_frames(&[0, 0, 0, 2, 1]), Some(0));
        assert_eq!(whole_frames(&[0, 0, 0, 2, 1, 2, 0]), Some(6));
    }
}
