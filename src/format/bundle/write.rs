//! Writing a bundle in one pass: frames in order, then the tail, then the table.
//!
//! The writer can be cut back to a mark, because a file may change while it is read. Nothing here makes the file durable: that is the
//! caller's part, who knows where it lies.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use crate::format::frame::{self, MAX_FRAME_BYTES};
use crate::format::index::Index;
use crate::format::seekable::{self, FrameSize, MAX_FRAMES};

use super::{Error, Tail};

/// Something that takes a bundle's bytes and can be cut back.
pub trait Output: Write {
    /// Drops everything after the first `len` bytes and goes on writing there.
    ///
    /// # Errors
    /// Where what is below fails.
    fn cut_back(&mut self, len: u64) -> io::Result<()>;
}

impl Output for File {
    fn cut_back(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

impl<W: Output> Output for BufWriter<W> {
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
    marks: Vec<u64>,
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
        Self { out, frames: Vec::new(), marks: Vec::new(), packed: 0, plain: 0 }
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
        self.marks.push(frame::mark(packed));
        self.packed += packed.len() as u64;
        self.plain += plain;
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
        self.marks.truncate(mark.frames);
        (self.packed, self.plain) = (mark.packed, mark.plain);
        Ok(())
    }

    /// Appends everything that a spool holds.
    ///
    /// # Errors
    /// Where reading the spool or writing fails.
    pub fn append(&mut self, spool: BundleWriter<Spool>) -> Result<(), Error> {
        let mut file = spool.out.0;
        file.rewind().map_err(Error::io("reading back the metadata"))?;
        let mut buffer = Vec::new();
        for frame in spool.frames {
            buffer.resize(frame.packed as usize, 0);
            file.read_exact(&mut buffer).map_err(Error::io("reading back the metadata"))?;
            self.push(&buffer, u64::from(frame.plain))?;
        }
        Ok(())
    }

    /// Writes the tail, with an index that knows the frames' marks, and the table; returns the output and its length in bytes.
    ///
    /// # Errors
    /// Where writing fails, or the tail is too long for a frame.
    pub fn finish(mut self, mut tail: Tail, index: Index) -> Result<(W, u64), Error> {
        tail.index = Index { frames: std::mem::take(&mut self.marks), ..index }.encode().into_bytes();
        let plain = tail.encode();
        self.push(&frame::store(&plain), plain.len() as u64)?;
        let table = seekable::encode(&self.frames);
        self.out.write_all(&table).map_err(Error::io("writing the bundle"))?;
        self.out.flush().map_err(Error::io("writing the bundle"))?;
        Ok((self.out, self.packed + table.len() as u64))
    }
}

/// Frames held back until their turn comes: in memory while they are few, else in an unnamed temporary file.
pub struct Spool(tempfile::SpooledTempFile);

/// What a spool keeps in memory, in bytes.
const SPOOL_MEMORY_BYTES: usize = 8 << 20;

impl Spool {
    /// Makes an empty spool whose file, if one is needed, lies in `folder`.
    pub fn new(folder: &std::path::Path) -> Self {
        Self(tempfile::spooled_tempfile_in(SPOOL_MEMORY_BYTES, folder))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for Spool {
    fn cut_back(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.seek(SeekFrom::Start(len)).map(drop)
    }
}
