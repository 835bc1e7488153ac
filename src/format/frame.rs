//! One zstd frame: content size and checksum in it, no dictionary, a window of at most 8 MiB. (FORMAT.md, "Frames")
//!
//! The last frame of a bundle is stored: its blocks are raw, so manifest and signatures can be read without any decoder, and it has one
//! form only. Of a compressed frame many forms decode to the same bytes; [`mark`] tells them apart.
//!
//! Frames are compressed and decoded whole, in buffers whose sizes are known beforehand; a frame from outside is refused before
//! it is decoded where its header claims more than the table or the format allows.

use twox_hash::XxHash64;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx};

/// The largest plain size of a frame, in bytes; also the largest window.
pub const MAX_FRAME_BYTES: u64 = 8 << 20;
/// The highest compression level.
pub const MAX_LEVEL: i32 = 22;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SINGLE_SEGMENT: u8 = 1 << 5;
const UNUSED_BITS: u8 = 0b0001_1000;
const CHECKSUM: u8 = 1 << 2;
const DICTIONARY_BITS: u8 = 0b11;

/// The size of a raw block, the largest that zstd allows, in bytes.
const RAW_BLOCK_BYTES: usize = 128 << 10;

/// Returns a frame's mark, XXH64 of its packed bytes: against accidents, not against malice.
pub fn mark(packed: &[u8]) -> u64 {
    XxHash64::oneshot(0, packed)
}

/// Returns the stored frame of `plain`: a single segment, an eight-byte content size, raw blocks, the checksum.
pub fn store(plain: &[u8]) -> Vec<u8> {
    const EIGHT_BYTE_SIZE: u8 = 3 << 6;
    let mut out = MAGIC.to_vec();
    out.push(EIGHT_BYTE_SIZE | SINGLE_SEGMENT | CHECKSUM);
    out.extend_from_slice(&(plain.len() as u64).to_le_bytes());
    let blocks = plain.chunks(RAW_BLOCK_BYTES);
    let last = blocks.len().saturating_sub(1);
    for (n, block) in blocks.enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(n == last);
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    if plain.is_empty() {
        out.extend_from_slice(&[1, 0, 0]);
    }
    // The frame's checksum is the low half of XXH64 of the content.
    out.extend_from_slice(&XxHash64::oneshot(0, plain).to_le_bytes()[..4]);
    out
}

/// Why bytes are no frame of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// Another magic number, or none.
    #[error("no zstd frame begins here")]
    Magic,
    /// Content size or checksum absent, a dictionary, or a reserved bit set.
    #[error("the zstd frame header has {0}")]
    Header(&'static str),
    /// The frame declares another plain size than it must have.
    #[error("the zstd frame declares {found} bytes, expected {expected}")]
    Size {
        /// What the table says, or the limit.
        expected: u64,
        /// What the frame says.
        found: u64,
    },
    /// The frame ends before or after the bytes that are its own by the table.
    #[error("the zstd frame is {found} bytes long, expected {expected}")]
    Length {
        /// What the table says.
        expected: u64,
        /// What the frame's blocks say.
        found: u64,
    },
    /// zstd refuses to decode it; includes a wrong frame checksum.
    #[error("the zstd frame does not decode: {0}")]
    Decode(&'static str),
}

/// Compresses frames; keeps its tables between them.
pub struct FrameEncoder {
    context: CCtx<'static>,
    level: i32,
    /// Room for the longest frame so far; used again, since fresh memory costs more than the copy.
    room: Vec<u8>,
}

impl FrameEncoder {
    /// Makes an encoder for one level of zstd, 1 to [`MAX_LEVEL`].
    pub fn new(level: i32) -> Self {
        let mut encoder = Self { context: CCtx::create(), level: 0, room: Vec::new() };
        encoder.set_level(level);
        encoder
    }

    /// Changes the level for the frames that follow.
    pub fn set_level(&mut self, level: i32) {
        if level != self.level {
            self.level = level;
            for parameter in [
                CParameter::CompressionLevel(level),
                CParameter::ChecksumFlag(true),
                CParameter::ContentSizeFlag(true),
                CParameter::DictIdFlag(false),
            ] {
                let done = self.context.set_parameter(parameter);
                debug_assert!(done.is_ok());
            }
        }
    }

    /// Compresses `plain`, at most [`MAX_FRAME_BYTES`], into one frame at the end of `out`.
    ///
    /// # Errors
    /// Only when zstd cannot allocate its tables; its own word for that is returned.
    pub fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), FrameFault> {
        let bound = zstd_safe::compress_bound(plain.len());
        if self.room.len() < bound {
            self.room.resize(bound, 0);
        }
        let written = self.context.compress2(&mut self.room[..], plain).map_err(decode_fault)?;
        out.extend_from_slice(&self.room[..written]);
        Ok(())
    }
}

/// Decodes frames; keeps its tables between them.
pub struct FrameDecoder(DCtx<'static>);

impl Default for FrameDecoder {
    fn default() -> Self {
        Self(DCtx::create())
    }
}

impl FrameDecoder {
    /// Decodes one frame that fills `packed` wholly and holds `plain` bytes, into `out`, which it replaces.
    ///
    /// # Errors
    /// Names what is not as declared; `out` is then empty.
    pub fn decode(&mut self, packed: &[u8], plain: u64, out: &mut Vec<u8>) -> Result<(), FrameFault> {
        let done = self.decode_into(packed, plain, out);
        if done.is_err() {
            out.clear();
        }
        done
    }

    fn decode_into(&mut self, packed: &[u8], plain: u64, out: &mut Vec<u8>) -> Result<(), FrameFault> {
        let found = declared_size(packed)?;
        if found != plain || plain > MAX_FRAME_BYTES {
            return Err(FrameFault::Size { expected: plain.min(MAX_FRAME_BYTES), found });
        }
        let length = zstd_safe::find_frame_compressed_size(packed).map_err(decode_fault)?;
        if length != packed.len() {
            return Err(FrameFault::Length { expected: packed.len() as u64, found: length as u64 });
        }
        // What is left from the frame before is overwritten whole, so it need not be zeroed.
        out.resize(plain as usize, 0);
        match self.0.decompress(&mut out[..], packed).map_err(decode_fault)? {
            written if written as u64 == plain => Ok(()),
            written => Err(FrameFault::Size { expected: plain, found: written as u64 }),
        }
    }
}

/// Returns the length of the frame that `packed` begins with, in bytes.
///
/// # Errors
/// Where no whole frame of the allowed form begins there.
pub fn frame_len(packed: &[u8]) -> Result<usize, FrameFault> {
    declared_size(packed)?;
    zstd_safe::find_frame_compressed_size(packed).map_err(decode_fault)
}

/// Returns the plain size that a frame's header declares, after checking the header's form.
///
/// # Errors
/// Names what the header has that no frame of a bundle may have.
pub fn declared_size(packed: &[u8]) -> Result<u64, FrameFault> {
    let descriptor = match packed.strip_prefix(&MAGIC) {
        Some([descriptor, ..]) => *descriptor,
        _ => return Err(FrameFault::Magic),
    };
    if descriptor & UNUSED_BITS != 0 {
        return Err(FrameFault::Header("a reserved bit set"));
    }
    if descriptor & CHECKSUM == 0 {
        return Err(FrameFault::Header("no checksum"));
    }
    if descriptor & DICTIONARY_BITS != 0 {
        return Err(FrameFault::Header("a dictionary id"));
    }
    if descriptor & SINGLE_SEGMENT == 0 {
        let window = packed.get(5).copied().ok_or(FrameFault::Header("no window"))?;
        let base = 1_u64 << (10 + (window >> 3));
        if base + base / 8 * u64::from(window & 7) > MAX_FRAME_BYTES {
            return Err(FrameFault::Header("too large a window"));
        }
    }
    let size = zstd_safe::get_frame_content_size(packed).map_err(|_| FrameFault::Header("no content size"))?;
    let size = size.ok_or(FrameFault::Header("no content size"))?;
    if size > MAX_FRAME_BYTES {
        return Err(FrameFault::Size { expected: MAX_FRAME_BYTES, found: size });
    }
    Ok(size)
}

fn decode_fault(code: usize) -> FrameFault {
    FrameFault::Decode(zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        FrameEncoder::new(3).encode(plain, &mut out).unwrap();
        out
    }

    #[test]
    fn decodes_what_was_encoded() {
        for plain in [&b""[..], b"a", &[7; 100_000]] {
            let mut out = Vec::new();
            FrameDecoder::default().decode(&frame(plain), plain.len() as u64, &mut out).unwrap();
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn refuses_every_flipped_bit_and_every_cut() {
        let plain: Vec<u8> = (0..600_u32).flat_map(|n| n.to_le_bytes()).collect();
        let good = frame(&plain);
        let mut out = Vec::new();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let decoded = FrameDecoder::default().decode(&bad, plain.len() as u64, &mut out);
            assert!(decoded.is_err() || out == plain, "byte {at}");
            assert!(FrameDecoder::default().decode(&good[..at], plain.len() as u64, &mut out).is_err(), "cut {at}");
        }
    }

    #[test]
    fn zstd_decodes_what_is_stored() {
        for len in [0, 1, RAW_BLOCK_BYTES, RAW_BLOCK_BYTES + 1, 300_000] {
            let plain: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            assert_eq!(zstd::decode_all(&store(&plain)[..]).unwrap(), plain);
            assert_eq!(declared_size(&store(&plain)), Ok(len as u64));
        }
    }

    #[test]
    fn refuses_bytes_after_the_frame_and_frames_without_checksum() {
        let mut out = Vec::new();
        let mut long = frame(b"abc");
        long.extend_from_slice(&frame(b""));
        assert!(matches!(FrameDecoder::default().decode(&long, 3, &mut out), Err(FrameFault::Length { .. })));
        let plain = zstd::bulk::compress(b"abc", 3).unwrap();
        assert_eq!(declared_size(&plain), Err(FrameFault::Header("no checksum")));
    }
}
