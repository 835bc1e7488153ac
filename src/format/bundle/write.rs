//! Writing a bundle in one pass: frames in order, then the tail, then the table.
//!
//! The writer can be cut back to a mark, because a file may change while it is read. Nothing here makes the file durable: that is the
//! caller's part, who knows where it lies.

use std::io::{self, Write};

use crate::format::frame::{FrameEncoder, MAX_FRAME_BYTES};
use crate::format::framing::Cut;
use crate::format::seekable::{self, FrameSize, MAX_FRAMES};

use super::{Error, Tail};

/// The level of zstd for the tail: it is small, and read first.
const TAIL_LEVEL: i32 = 19;
/// The level of zstd for the checksum list: higher ones make more of it, as they take digests for matches.
pub const LIST_LEVEL: i32 = 1;
/// The level of zstd for a small bundle's one frame before the tail: there no level takes long.
pub const SMALL_LEVEL: i32 = 19;

/// Something that takes a bundle's bytes and can be cut back.
pub trait Output: Write {
    /// Drops everything after the first `len` bytes and goes on writing there.
    ///
    /// # Errors
    /// Where what is below fails.
    fn cut_back(&mut self, len: u64) -> io::Result<()>;
}

impl<W: Output> Output for io::BufWriter<W> {
    fn cut_back(&mut self, len: u64) -> io::Result<()> {
        self.flush()?;
        self.get_mut().cut_back(len)
    }
}

impl Output for Vec<u8> {
    fn cut_back(&mut self, len: u64) -> io::Result<()> {
        self.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// Writes frames and remembers how long each is.
pub struct BundleWriter<W> {
    out: W,
    frames: Vec<FrameSize>,
    packed: u64,
    plain: u64,
}

/// A place between two frames to which a writer can be cut back.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    frames: usize,
    packed: u64,
    plain: u64,
}

impl<W: Output> BundleWriter<W> {
    /// Starts a bundle at the beginning of `out`.
    pub fn new(out: W) -> Self {
        Self { out, frames: Vec::new(), packed: 0, plain: 0 }
    }

    /// Appends a frame that holds `plain` bytes of the tar.
    ///
    /// # Errors
    /// Where writing fails or the bundle has too many frames.
    pub fn push(&mut self, packed: &[u8], plain: u64) -> Result<(), Error> {
        if self.frames.len() >= MAX_FRAMES {
            let found = self.frames.len() as u64 + 1;
            return Err(Error::OverLimit { what: "frames", found, limit: MAX_FRAMES as u64 });
        }
        if plain > MAX_FRAME_BYTES {
            return Err(Error::OverLimit { what: "bytes in a frame", found: plain, limit: MAX_FRAME_BYTES });
        }
        self.out.write_all(packed).map_err(Error::io("writing the bundle"))?;
        self.frames.push(FrameSize { packed: packed.len() as u32, plain: plain as u32 });
        self.packed += packed.len() as u64;
        self.plain += plain;
        Ok(())
    }

    /// Compresses and appends the frames that a stretch of the tar is cut into; `plain` begins where the first of them does.
    ///
    /// # Errors
    /// As for [`Self::push`], or where zstd fails.
    pub fn push_cuts(&mut self, cuts: &[Cut], plain: &[u8], level: i32) -> Result<(), Error> {
        let from = cuts.first().map_or(0, |cut| cut.from);
        let mut encoder = FrameEncoder::new(level);
        let mut packed = Vec::new();
        for cut in cuts {
            let piece = &plain[(cut.from - from) as usize..(cut.to - from) as usize];
            packed.clear();
            encoder.encode(piece, &mut packed).map_err(Error::compressing)?;
            self.push(&packed, piece.len() as u64)?;
        }
        Ok(())
    }

    /// Returns how much of the tar has been written, in bytes.
    pub fn plain(&self) -> u64 {
        self.plain
    }

    /// Returns the place after the last frame.
    pub fn mark(&self) -> Mark {
        Mark { frames: self.frames.len(), packed: self.packed, plain: self.plain }
    }

    /// Drops every frame after `mark`.
    ///
    /// # Errors
    /// Where the output cannot be cut back.
    pub fn cut_back(&mut self, mark: Mark) -> Result<(), Error> {
        self.out.cut_back(mark.packed).map_err(Error::io("cutting the bundle back"))?;
        self.frames.truncate(mark.frames);
        (self.packed, self.plain) = (mark.packed, mark.plain);
        Ok(())
    }

    /// Returns the frames' sizes and the output, without a tail: for frames that are held back until their turn comes.
    pub fn into_frames(self) -> (Vec<FrameSize>, W) {
        (self.frames, self.out)
    }

    /// Writes the tail and the table; returns the output and the file's length in bytes.
    ///
    /// # Errors
    /// Where writing fails, or the tail is too long for a frame.
    pub fn finish(mut self, tail: &Tail) -> Result<(W, u64), Error> {
        let plain = tail.encode();
        let mut packed = Vec::new();
        FrameEncoder::new(TAIL_LEVEL).encode(&plain, &mut packed).map_err(Error::compressing)?;
        self.push(&packed, plain.len() as u64)?;
        let table = seekable::encode(&self.frames);
        self.out.write_all(&table).map_err(Error::io("writing the bundle"))?;
        self.out.flush().map_err(Error::io("writing the bundle"))?;
        Ok((self.out, self.packed + table.len() as u64))
    }
}
