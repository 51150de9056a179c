//! The compressed kernel inside a bzImage (the boot protocol, Documentation/arch/x86/boot.rst).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Most bytes that an uncompressed kernel may have.
pub const LARGEST: u64 = 512 << 20;

const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PROTOCOL: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const HEAD: usize = 0x250;
const SECTOR: u64 = 512;
/// Where the header of version 2.08 begins to tell of a payload.
const WITH_PAYLOAD: u16 = 0x208;
/// Memory that unpacking xz may take, in bytes.
const XZ_MEMORY: u64 = 256 << 20;
/// Largest block of lz4's legacy frame, uncompressed (lz4_Frame_format.md).
const LZ4_BLOCK: usize = 8 << 20;
const LZ4_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Why the kernel inside an image cannot be used alone.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("the kernel inside the image cannot be unpacked")]
    Io(#[from] io::Error),
    #[error("the image does not say where the compressed kernel is")]
    NoPayload,
    #[error("the image is cut short")]
    Truncated,
    #[error("the kernel inside the image is compressed by an unknown method")]
    UnknownMethod,
    #[error("the kernel inside the image unpacks to more than {} MiB", LARGEST >> 20)]
    TooLarge,
}

/// Unpacks the kernel inside an image.
///
/// # Errors
/// [`PayloadError`]; what was written until then is of no use.
pub fn unpack(image: &Path, out: &mut impl Write) -> Result<(), PayloadError> {
    let mut file = File::open(image)?;
    let length = file.metadata()?.len();
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|_| PayloadError::Truncated)?;
    let (offset, size) = place(&head)?;
    let end = offset.checked_add(size).ok_or(PayloadError::Truncated)?;
    if size < 8 || end > length {
        return Err(PayloadError::Truncated);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut payload = BufReader::with_capacity(1 << 20, file.take(size));
    let mut reader = decoder(&mut payload)?;
    let copied = io::copy(&mut reader.by_ref().take(LARGEST + 1), out).map_err(cut_short)?;
    if copied > LARGEST { Err(PayloadError::TooLarge) } else { Ok(()) }
}

/// A stream that ends too early is an image that was cut.
fn cut_short(error: io::Error) -> PayloadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => PayloadError::Truncated,
        _ => PayloadError::Io(error),
    }
}

/// Offset and length of the payload in the file.
fn place(head: &[u8; HEAD]) -> Result<(u64, u64), PayloadError> {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let protocol = u16::from_le_bytes([head[PROTOCOL], head[PROTOCOL + 1]]);
    if head[MAGIC..MAGIC + 4] != *b"HdrS" || protocol < WITH_PAYLOAD {
        return Err(PayloadError::NoPayload);
    }
    // "If the setup_sects field contains 0, the real value is 4."
    let sectors = match head[SETUP_SECTORS] {
        0 => 4,
        count => u64::from(count),
    };
    let code = (sectors + 1) * SECTOR;
    let (offset, size) = (word(PAYLOAD_OFFSET), word(PAYLOAD_LENGTH));
    if size == 0 {
        return Err(PayloadError::NoPayload);
    }
    Ok((code + u64::from(offset), u64::from(size)))
}

/// The unpacked kernel. Behind its compressed form the image may keep its size, which is left over.
fn decoder<'a>(
    payload: &'a mut BufReader<impl Read + 'a>,
) -> Result<Box<dyn Read + 'a>, PayloadError> {
    use std::io::BufRead;
    let begin = payload.fill_buf()?;
    let begins = |magic: &[u8]| begin.starts_with(magic);
    Ok(if begins(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::GzDecoder::new(payload))
    } else if begins(b"\xfd7zXZ\0") {
        let stream =
            liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::other)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(payload, stream))
    } else if begins(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(payload)?.single_frame())
    } else if begins(&LZ4_MAGIC) {
        payload.consume(LZ4_MAGIC.len());
        Box::new(Lz4 { payload, block: Vec::new(), at: 0, ended: false })
    } else {
        return Err(PayloadError::UnknownMethod);
    })
}

/// Reads lz4's legacy frame: blocks of [`LZ4_BLOCK`] bytes, the last one shorter.
struct Lz4<R> {
    payload: R,
    block: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && !self.ended {
            self.next()?;
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl<R: Read> Lz4<R> {
    fn next(&mut self) -> io::Result<()> {
        self.block.clear();
        self.at = 0;
        let mut length = [0; 4];
        self.payload.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        // Even what cannot be compressed grows by 1/255 and 16 bytes only.
        if length > LZ4_BLOCK + LZ4_BLOCK / 255 + 16 {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut packed = vec![0; length];
        self.payload.read_exact(&mut packed)?;
        self.block = lz4_flex::block::decompress(&packed, LZ4_BLOCK).map_err(io::Error::other)?;
        // A short block is the last one; the kernel's size comes behind it.
        self.ended = self.block.len() < LZ4_BLOCK;
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Makes an image around a payload, as the kernel's build does.
    pub fn image_of(payload: &[u8]) -> Vec<u8> {
        let mut image = super::super::bzimage::tests::image("6.1.0-test");
        image[SETUP_SECTORS] = 3;
        image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&0x40_u32.to_le_bytes());
        let length = payload.len() as u32;
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.resize(4 * 512 + 0x40, 0);
        image.extend(payload);
        image
    }

    fn unpacked(image: &[u8]) -> Result<Vec<u8>, PayloadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bzImage");
        std::fs::write(&path, image).unwrap();
        let mut out = Vec::new();
        unpack(&path, &mut out).map(|()| out)
    }

    fn packed(method: &str, plain: &[u8]) -> Vec<u8> {
        let mut bytes = match method {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(plain).unwrap();
                return encoder.finish().unwrap();
            }
            "xz" => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            "zstd" => zstd::encode_all(plain, 1).unwrap(),
            _ => {
                let mut bytes = LZ4_MAGIC.to_vec();
                for block in plain.chunks(LZ4_BLOCK) {
                    let packed = lz4_flex::block::compress(block);
                    bytes.extend((packed.len() as u32).to_le_bytes());
                    bytes.extend(packed);
                }
                bytes
            }
        };
        // scripts/Makefile.lib appends the size, but for gzip, which has it already.
        bytes.extend((plain.len() as u32).to_le_bytes());
        bytes
    }

    fn plain() -> Vec<u8> {
        (0..(9u32 << 20)).map(|n| (n >> 8) as u8 ^ n as u8).collect()
    }

    #[test]
    fn the_kernel_comes_out_whichever_way_it_was_packed() {
        let plain = plain();
        for method in ["gzip", "xz", "zstd", "lz4"] {
            let out = unpacked(&image_of(&packed(method, &plain))).unwrap();
            assert!(out == plain, "{method}: {} bytes", out.len());
        }
    }

    #[test]
    fn images_that_are_damaged_are_named_as_such() {
        let plain = plain();
        for method in ["gzip", "xz", "zstd", "lz4"] {
            let whole = image_of(&packed(method, &plain));
            for cut in [0x100, 0x24f, 2100, whole.len() / 2, whole.len() - 1] {
                let found = unpacked(&whole[..cut]);
                assert!(matches!(found, Err(PayloadError::Truncated)), "{method} {cut}: {found:?}");
            }
            let mut damaged = whole.clone();
            let middle = whole.len() / 2;
            damaged[middle..middle + 64].fill(0xff);
            assert!(unpacked(&damaged).is_err() || unpacked(&damaged).unwrap() != plain);
        }
        let unknown = unpacked(&image_of(b"\x89LZO\0\r\n\x1a\n more of it"));
        assert!(matches!(unknown, Err(PayloadError::UnknownMethod)), "{unknown:?}");
        let mut old = image_of(&packed("gzip", &plain));
        old[PROTOCOL..PROTOCOL + 2].copy_from_slice(&0x207_u16.to_le_bytes());
        assert!(matches!(unpacked(&old), Err(PayloadError::NoPayload)));
        let mut lies = image_of(&packed("gzip", &plain));
        lies[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 8].fill(0xff);
        assert!(matches!(unpacked(&lies), Err(PayloadError::Truncated)));
    }

    #[test]
    fn what_unpacks_to_no_end_is_given_up() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..=LARGEST >> 20 {
            encoder.write_all(&zeros).unwrap();
        }
        let image = image_of(&encoder.finish().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bzImage");
        std::fs::write(&path, image).unwrap();
        let found = unpack(&path, &mut io::sink());
        assert!(matches!(found, Err(PayloadError::TooLarge)), "{found:?}");
    }
}
