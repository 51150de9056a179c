//! Files of any size, a piece at a time.

use std::io::{self, Read};

/// Most bytes of a text that are held at once, and of a block of a capture.
pub(crate) const PIECE: usize = 16 << 20;

/// Calls back with a text's pieces, which end where a line does, or at least a word. Gives `false` for
/// a file in which neither ends for [`PIECE`] bytes: nobody can tell what it holds.
pub(crate) fn of_text(
    mut reader: impl Read,
    mut call: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut held = Vec::new();
    loop {
        let room = PIECE - held.len();
        let read = reader.by_ref().take(room as u64).read_to_end(&mut held)?;
        if read < room {
            call(&held)?;
            return Ok(true);
        }
        let end = |wanted: fn(&u8) -> bool| held.iter().rposition(wanted).map(|at| at + 1);
        let Some(end) = end(|byte| *byte == b'\n').or_else(|| end(u8::is_ascii_whitespace)) else {
            return Ok(false);
        };
        call(&held[..end])?;
        held.drain(..end);
    }
}

/// As [`of_text`], for any bytes: pieces of what has no lines overlap, so that what lies across their ends
/// is seen in one of them.
pub(crate) fn of_bytes(
    mut reader: impl Read,
    mut call: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    const OVERLAP: usize = 64 << 10;
    let mut held = Vec::new();
    loop {
        let room = PIECE - held.len();
        let read = reader.by_ref().take(room as u64).read_to_end(&mut held)?;
        if read < room {
            return call(&held);
        }
        let end = held.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        call(&held[..end.unwrap_or(held.len())])?;
        held.drain(..end.unwrap_or(held.len() - OVERLAP));
    }
}

/// Calls back with a capture's blocks; with the rest where it is cut off or damaged.
pub(crate) fn of_capture(
    mut reader: impl Read,
    mut call: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = Vec::new();
    loop {
        block.clear();
        if reader.by_ref().take(8).read_to_end(&mut block)? == 0 {
            return Ok(());
        }
        let length = block.get(4..8).and_then(|word| word.try_into().ok());
        let length = length.map_or(0, u32::from_le_bytes) as usize;
        if (12..=PIECE).contains(&length) {
            reader.by_ref().take(length as u64 - 8).read_to_end(&mut block)?;
        }
        let whole = block.len() == length;
        call(&block)?;
        if !whole {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> (bool, Vec<usize>) {
        let mut lengths = Vec::new();
        let whole = of_text(bytes, |piece| {
            lengths.push(piece.len());
            Ok(())
        });
        (whole.unwrap(), lengths)
    }

    #[test]
    fn pieces_end_with_a_line_or_a_word() {
        assert_eq!(pieces(b"one\ntwo"), (true, vec![7]));
        let mut long = vec![b'x'; PIECE - 3];
        long.extend(b"\n10.0.0.1\n");
        assert_eq!(pieces(&long), (true, vec![PIECE - 2, 9]));
        long[PIECE - 3] = b' ';
        assert_eq!(pieces(&long), (true, vec![PIECE - 2, 9]));
        assert_eq!(pieces(&vec![b'x'; PIECE + 1]), (false, vec![]));
    }
}
