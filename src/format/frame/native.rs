//! Frames compressed and decoded by the zstd of C.

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective};

use super::FrameFault;

/// Compresses frames; keeps its tables between them.
pub struct FrameEncoder {
    context: CCtx<'static>,
    level: i32,
    /// Room for the longest frame so far; used again, since fresh memory costs more than the copy.
    room: Vec<u8>,
}

impl FrameEncoder {
    /// Makes an encoder for one level of zstd, 1 to [`MAX_LEVEL`](super::MAX_LEVEL).
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

    /// Compresses `plain`, at most [`MAX_FRAME_BYTES`](super::MAX_FRAME_BYTES), into one frame at the end of `out`.
    ///
    /// # Errors
    /// Only when zstd cannot allocate its tables; its own word for that is returned.
    pub fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), FrameFault> {
        let bound = zstd_safe::compress_bound(plain.len());
        if self.room.len() < bound {
            self.room.resize(bound, 0);
        }
        let written = self.context.compress2(&mut self.room[..], plain).map_err(fault)?;
        out.extend_from_slice(&self.room[..written]);
        Ok(())
    }
}

/// Decodes frames; keeps its tables between them.
pub(super) struct Decoder(DCtx<'static>);

impl Default for Decoder {
    fn default() -> Self {
        Self(DCtx::create())
    }
}

impl Decoder {
    /// Decodes a frame of `plain` bytes into `out`, which it replaces; returns how many bytes it gave.
    pub(super) fn decode(&mut self, packed: &[u8], plain: usize, out: &mut Vec<u8>) -> Result<usize, FrameFault> {
        // What is left from the frame before is overwritten whole, so it need not be zeroed.
        out.resize(plain, 0);
        self.0.decompress(&mut out[..], packed).map_err(fault)
    }

    /// Decodes the first bytes of a frame, so many as `out` has room for; returns how many there were.
    pub(super) fn begin(&mut self, packed: &[u8], out: &mut [u8]) -> Result<usize, FrameFault> {
        let mut input = InBuffer::around(packed);
        let mut output = OutBuffer::around(out);
        self.0.reset(ResetDirective::SessionOnly).map_err(fault)?;
        loop {
            let before = (input.pos(), output.pos());
            let left = self.0.decompress_stream(&mut output, &mut input).map_err(fault)?;
            if left == 0 || output.pos() == output.capacity() || before == (input.pos(), output.pos()) {
                break;
            }
        }
        let found = output.pos();
        self.0.reset(ResetDirective::SessionOnly).map_err(fault)?;
        Ok(found)
    }
}

fn fault(code: usize) -> FrameFault {
    FrameFault::Decode(zstd_safe::get_error_name(code))
}
