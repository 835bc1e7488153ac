//! Frames decoded in Rust, where there is no C: slower, the same frames and the same refusals.

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;
use twox_hash::XxHash64;

use super::{CHECKSUM_BYTES, FrameFault};

/// Decodes frames.
#[derive(Default)]
pub(super) struct Decoder;

impl Decoder {
    /// Decodes a frame of `plain` bytes into `out`, which it replaces; returns how many bytes it gave.
    pub(super) fn decode(&mut self, packed: &[u8], plain: usize, out: &mut Vec<u8>) -> Result<usize, FrameFault> {
        out.clear();
        out.reserve_exact(plain);
        let corrupt = FrameFault::Decode("Data corruption detected");
        let decoder = StreamingDecoder::new(packed).map_err(|_| corrupt.clone())?;
        // One byte more shows a frame that holds more than it declares.
        decoder.take(plain as u64 + 1).read_to_end(out).map_err(|_| corrupt)?;
        // The frame's checksum is the low half of XXH64 of its content.
        let sum = XxHash64::oneshot(0, out).to_le_bytes();
        if packed.last_chunk::<CHECKSUM_BYTES>().is_some_and(|stated| sum.starts_with(stated)) {
            Ok(out.len())
        } else {
            Err(FrameFault::Decode("Restored data doesn't match checksum"))
        }
    }
    /// Decodes the first bytes of a frame, so many as `out` has room for; returns how many there were.
    pub(super) fn begin(&mut self, packed: &[u8], out: &mut [u8]) -> Result<usize, FrameFault> {
        let corrupt = FrameFault::Decode("Data corruption detected");
        let mut decoder = StreamingDecoder::new(packed).map_err(|_| corrupt.clone())?;
        let mut found = 0;
        while found < out.len() {
            match decoder.read(&mut out[found..]).map_err(|_| corrupt.clone())? {
                0 => break,
                len => found += len,
            }
        }
        Ok(found)
    }
}
