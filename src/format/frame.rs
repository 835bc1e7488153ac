//! One zstd frame: content size and checksum in it, no dictionary, a window of at most 8 MiB. (FORMAT.md, "Frames")
//!
//! Frames are compressed and decoded whole, in buffers whose sizes are known beforehand. Headers are read here and not by the decoder, so
//! that a frame from outside is refused before it is decoded where it claims more than the table or the format allows, and every decoder
//! is asked for the same frames. Two decoders may be built in: that of C, and a slower one in Rust for where there is no C.

#[cfg(feature = "archive")]
mod native;
#[cfg(any(test, not(feature = "archive")))]
mod pure;

#[cfg(feature = "archive")]
use native::Decoder;
#[cfg(feature = "archive")]
pub use native::FrameEncoder;
#[cfg(not(feature = "archive"))]
use pure::Decoder;

/// The largest plain size of a frame, in bytes; also the largest window.
pub const MAX_FRAME_BYTES: u64 = 8 << 20;
/// The highest compression level.
pub const MAX_LEVEL: i32 = 22;

/// What every frame begins with.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SINGLE_SEGMENT: u8 = 1 << 5;
const UNUSED_BITS: u8 = 0b0001_1000;
const CHECKSUM: u8 = 1 << 2;
const DICTIONARY_BITS: u8 = 0b11;
const CHECKSUM_BYTES: usize = 4;
/// The largest block that zstd allows, in bytes.
const MAX_BLOCK_BYTES: usize = 128 << 10;
const BLOCK_HEADER_BYTES: usize = 3;

/// Returns how long a frame of `plain` bytes may be in the file: more than any encoder makes of them.
pub const fn max_packed(plain: u64) -> u64 {
    plain + (plain >> 7) + 1024
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
    /// The bytes end within the frame.
    #[error("the zstd frame is cut off")]
    Cut,
    /// The frame declares another plain size than it must have, none, or more than [`MAX_FRAME_BYTES`].
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

/// Decodes frames; keeps its tables between them.
#[derive(Default)]
pub struct FrameDecoder(Decoder);

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

    /// Decodes the first bytes of the frame that `packed` begins with, so many as `out` has room for, and returns them. They are not checked:
    /// the frame's checksum is that of all its bytes.
    ///
    /// # Errors
    /// Where no frame begins there, or it does not decode so far.
    pub fn begin<'a>(&mut self, packed: &[u8], out: &'a mut [u8]) -> Result<&'a [u8], FrameFault> {
        Header::read(packed)?;
        let found = self.0.begin(packed, out)?;
        Ok(&out[..found])
    }

    fn decode_into(&mut self, packed: &[u8], plain: u64, out: &mut Vec<u8>) -> Result<(), FrameFault> {
        let found = declared_size(packed)?;
        if found != plain {
            return Err(FrameFault::Size { expected: plain, found });
        }
        let length = frame_len(packed)?;
        if length != packed.len() {
            return Err(FrameFault::Length { expected: packed.len() as u64, found: length as u64 });
        }
        match self.0.decode(packed, plain as usize, out)? as u64 {
            written if written == plain => Ok(()),
            written => Err(FrameFault::Size { expected: plain, found: written }),
        }
    }
}

/// Returns the length of the frame that `packed` begins with, in bytes, by the headers of its blocks.
///
/// # Errors
/// Where no whole frame of the allowed form begins there.
pub fn frame_len(packed: &[u8]) -> Result<usize, FrameFault> {
    measure(packed, &mut 0)
}

/// Returns the length of a frame, and counts the headers of blocks that were read for it, those of a frame that is none too.
///
/// # Errors
/// As for [`frame_len`].
pub fn measure(packed: &[u8], blocks: &mut usize) -> Result<usize, FrameFault> {
    let mut at = Header::read(packed)?.len;
    loop {
        *blocks += 1;
        let block = packed.get(at..at + BLOCK_HEADER_BYTES).ok_or(FrameFault::Cut)?;
        let word = u32::from_le_bytes([block[0], block[1], block[2], 0]);
        let size = (word >> 3) as usize;
        let stored = match word >> 1 & 3 {
            0 | 2 => size,
            1 => 1,
            _ => return Err(FrameFault::Header("a block of a reserved type")),
        };
        if size > MAX_BLOCK_BYTES {
            return Err(FrameFault::Header("too large a block"));
        }
        at += BLOCK_HEADER_BYTES + stored;
        if word & 1 == 1 {
            break;
        }
    }
    at += CHECKSUM_BYTES;
    if at <= packed.len() { Ok(at) } else { Err(FrameFault::Cut) }
}

/// Returns the plain size that a frame's header declares, after checking the header's form.
///
/// # Errors
/// Names what the header has that no frame of a bundle may have.
pub fn declared_size(packed: &[u8]) -> Result<u64, FrameFault> {
    Header::read(packed).map(|header| header.plain)
}

/// A frame's header.
struct Header {
    /// Its own length, in bytes.
    len: usize,
    /// The content size that it states, in bytes.
    plain: u64,
}

impl Header {
    fn read(packed: &[u8]) -> Result<Self, FrameFault> {
        let rest = packed.strip_prefix(&MAGIC).ok_or(FrameFault::Magic)?;
        let (&descriptor, rest) = rest.split_first().ok_or(FrameFault::Magic)?;
        if descriptor & UNUSED_BITS != 0 {
            return Err(FrameFault::Header("a reserved bit set"));
        }
        if descriptor & CHECKSUM == 0 {
            return Err(FrameFault::Header("no checksum"));
        }
        if descriptor & DICTIONARY_BITS != 0 {
            return Err(FrameFault::Header("a dictionary id"));
        }
        let single = descriptor & SINGLE_SEGMENT != 0;
        let mut rest = rest;
        if !single {
            let (&window, after) = rest.split_first().ok_or(FrameFault::Cut)?;
            let base = 1_u64 << (10 + (window >> 3));
            if base + base / 8 * u64::from(window & 7) > MAX_FRAME_BYTES {
                return Err(FrameFault::Header("too large a window"));
            }
            rest = after;
        }
        let (bytes, add) = match descriptor >> 6 {
            0 if single => (1, 0),
            0 => return Err(FrameFault::Header("no content size")),
            1 => (2, 256),
            2 => (4, 0),
            _ => (8, 0),
        };
        let field = rest.get(..bytes).ok_or(FrameFault::Cut)?;
        let mut size = [0; 8];
        size[..bytes].copy_from_slice(field);
        let plain = u64::from_le_bytes(size).saturating_add(add);
        if plain == 0 || plain > MAX_FRAME_BYTES {
            return Err(FrameFault::Size { expected: MAX_FRAME_BYTES, found: plain });
        }
        Ok(Self { len: MAGIC.len() + 1 + usize::from(!single) + bytes, plain })
    }
}

#[cfg(all(test, feature = "archive"))]
mod tests {
    use zstd::zstd_safe;

    use super::*;

    fn frame(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        FrameEncoder::new(3).encode(plain, &mut out).unwrap();
        out
    }

    #[test]
    fn decodes_what_was_encoded() {
        for plain in [&b"a"[..], &[7; 100_000]] {
            let mut out = Vec::new();
            FrameDecoder::default().decode(&frame(plain), plain.len() as u64, &mut out).unwrap();
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn both_decoders_read_the_beginning_of_a_frame_one_after_the_other() {
        let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut native, mut pure) = (native::Decoder::default(), pure::Decoder);
        for plain in [&b"a"[..], &[7; 100_000], &noise] {
            let (packed, expected) = (frame(plain), &plain[..plain.len().min(512)]);
            let (mut one, mut other) = ([0; 512], [0; 512]);
            assert_eq!(native.begin(&packed, &mut one).map(|len| &one[..len]), Ok(expected));
            assert_eq!(pure.begin(&packed, &mut other).map(|len| &other[..len]), Ok(expected));
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
    fn headers_are_read_as_zstd_reads_them() {
        for len in [1, 255, 256, 257, 65_791, 65_792, 300_000, 1 << 20] {
            let plain: Vec<u8> = (0..len as u32).map(|n| (n % 251) as u8 ^ (n >> 9) as u8).collect();
            for level in [1, 3, 19] {
                let mut packed = Vec::new();
                FrameEncoder::new(level).encode(&plain, &mut packed).unwrap();
                assert_eq!(declared_size(&packed), Ok(len as u64));
                packed.extend_from_slice(b"more");
                assert_eq!(frame_len(&packed).unwrap(), zstd_safe::find_frame_compressed_size(&packed).unwrap());
                assert_eq!(frame_len(&packed), Ok(packed.len() - 4));
                assert!((packed.len() as u64) < max_packed(len as u64));
            }
        }
    }

    #[test]
    fn both_decoders_give_the_same_bytes_and_refuse_the_same_frames_but_for_bits_that_carry_nothing() {
        let plain: Vec<u8> = (0..3000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let good = frame(&plain);
        let mut lenient = 0;
        for at in 0..good.len() {
            for bit in [0, 1, 0x40] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                let Ok(declared) = declared_size(&bad).map(|size| size as usize) else { continue };
                if frame_len(&bad) != Ok(bad.len()) {
                    continue;
                }
                let (mut one, mut other) = (Vec::new(), Vec::new());
                let native = native::Decoder::default().decode(&bad, declared, &mut one) == Ok(declared);
                let pure = pure::Decoder.decode(&bad, declared, &mut other) == Ok(declared);
                match (native, pure) {
                    (true, true) => assert_eq!(one, other, "byte {at}, bit {bit}"),
                    // The decoder in Rust does not ask whether a bit stream was used up.
                    (false, true) => {
                        assert_eq!(other, plain, "byte {at}, bit {bit}");
                        lenient += 1;
                    }
                    (true, false) => panic!("byte {at}, bit {bit}: only the decoder of C takes it"),
                    (false, false) => assert_ne!(bit, 0),
                }
            }
        }
        assert!(lenient <= 3, "{lenient}");
    }

    #[test]
    fn refuses_bytes_after_the_frame_and_frames_without_checksum() {
        let mut out = Vec::new();
        let mut long = frame(b"abc");
        long.extend_from_slice(&frame(b"d"));
        assert!(matches!(FrameDecoder::default().decode(&long, 3, &mut out), Err(FrameFault::Length { .. })));
        let plain = zstd::bulk::compress(b"abc", 3).unwrap();
        assert_eq!(declared_size(&plain), Err(FrameFault::Header("no checksum")));
    }
}
