//! Where the bytes of a bundle go while it is packed: to its file, or aside until their turn comes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::format::bundle::{BundleWriter, Error, Output};

/// What a spool keeps in memory, in bytes.
const SPOOL_MEMORY_BYTES: usize = 8 << 20;

impl Output for File {
    fn cut_back(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

/// Frames held back: in memory while they are few, else in an unnamed temporary file.
pub(super) struct Spool(tempfile::SpooledTempFile);

impl Spool {
    /// Makes an empty spool whose file, if one is needed, lies in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
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

/// Appends everything that a spool holds to a bundle.
pub(super) fn append<W: Output>(writer: &mut BundleWriter<W>, spool: BundleWriter<Spool>) -> Result<(), Error> {
    let failed = |source| Error::Io { doing: "reading back the metadata", source };
    let (frames, Spool(mut file)) = spool.into_frames();
    file.rewind().map_err(failed)?;
    let mut buffer = Vec::new();
    for frame in frames {
        buffer.resize(frame.packed as usize, 0);
        file.read_exact(&mut buffer).map_err(failed)?;
        writer.push(&buffer, u64::from(frame.plain))?;
    }
    Ok(())
}
