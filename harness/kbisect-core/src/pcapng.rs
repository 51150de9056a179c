//! Writing pcapng (IETF draft-ietf-opsawg-pcapng), as bytes.

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const ETHERNET: u16 = 1;

/// Section header and one Ethernet interface for each name, with time stamps in nanoseconds.
pub fn header(interfaces: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4du32.to_le_bytes());
    body.extend(1u16.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    body.extend((-1i64).to_le_bytes());
    option(&mut body, 4, b"kbisect");
    end_of_options(&mut body);
    block(&mut out, SECTION_HEADER, &body);
    for name in interfaces {
        let mut body = Vec::new();
        body.extend(ETHERNET.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        body.extend(0u32.to_le_bytes());
        option(&mut body, 2, name.as_bytes());
        option(&mut body, 9, &[9]);
        end_of_options(&mut body);
        block(&mut out, INTERFACE, &body);
    }
    out
}

/// Appends one packet. `nanos` is the time since 1970-01-01 UTC in nanoseconds.
pub fn packet(out: &mut Vec<u8>, interface: u32, nanos: u64, frame: &[u8]) {
    let padded = frame.len().next_multiple_of(4);
    let total = (32 + padded) as u32;
    for word in [
        ENHANCED_PACKET,
        total,
        interface,
        (nanos >> 32) as u32,
        nanos as u32,
        frame.len() as u32,
        frame.len() as u32,
    ] {
        out.extend(word.to_le_bytes());
    }
    out.extend(frame);
    out.resize(out.len() + padded - frame.len(), 0);
    out.extend(total.to_le_bytes());
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(usize::from(u16::MAX));
    body.extend(code.to_le_bytes());
    body.extend((length as u16).to_le_bytes());
    body.extend(&value[..length]);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let total = (body.len() + 12) as u32;
    out.extend(kind.to_le_bytes());
    out.extend(total.to_le_bytes());
    out.extend(body);
    out.extend(total.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the blocks and returns (kind, body) pairs; panics when the framing is wrong.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word =
            |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let total = word(bytes, 4) as usize;
            assert_eq!(total % 4, 0);
            assert_eq!(word(bytes, total - 4) as usize, total);
            found.push((word(bytes, 0), bytes[8..total - 4].to_vec()));
            bytes = &bytes[total..];
        }
        found
    }

    #[test]
    fn a_file_is_framed_as_the_format_says() {
        let mut file = header(&["lan: client", "lan: server"]);
        packet(&mut file, 1, 0x1_0000_0002, &[7; 61]);
        let found = blocks(&file);
        let kinds: Vec<u32> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE, INTERFACE, ENHANCED_PACKET]);
        let packet = &found[3].1;
        assert_eq!(packet[..4], 1u32.to_le_bytes());
        assert_eq!(packet[4..8], 1u32.to_le_bytes(), "upper half of the time");
        assert_eq!(packet[8..12], 2u32.to_le_bytes(), "lower half of the time");
        assert_eq!(packet[12..16], 61u32.to_le_bytes());
        assert_eq!(packet[20..81], [7; 61]);
    }
}
