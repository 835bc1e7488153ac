//! Reading files so that what is read is what was there: a file that changes under the reader is noticed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::digest::{Digest, Hasher};

use super::Error;
use super::stat::Stat;
use super::walk::SourceFile;

/// How often a file that keeps changing is read anew before it is refused.
pub(super) const MAX_TRIES: usize = 8;

/// Why a file could not be read as it was listed.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It is not the file that was listed any more.
    Changed,
    /// The system's word.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Changed } else { Self::Io(error) }
    }
}

/// Makes sure that a folder can be listed, or a file be opened.
///
/// # Errors
/// [`Error::Read`]; where it is neither, its cause says so.
pub fn readable(path: &Path) -> Result<(), Error> {
    let look = || {
        let metadata = fs::metadata(path)?;
        match metadata.is_dir() {
            true => fs::read_dir(path).map(drop),
            false if metadata.is_file() => open(path).map(drop),
            false => Err(io::Error::other("is neither a file nor a folder")),
        }
    };
    look().map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Opens a file without waiting for a writer, should it have become a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Fills `out` from the file at `offset`; the file must be as it was listed, before and after.
pub(super) fn read_as_listed(file: &SourceFile, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
    let open = open(&file.location())?;
    let as_listed = |open: &File| Ok::<_, io::Error>(Stat::from(&open.metadata()?) == file.stat);
    if !as_listed(&open)? {
        return Err(ReadError::Changed);
    }
    open.read_exact_at(out, offset)?;
    if as_listed(&open)? { Ok(()) } else { Err(ReadError::Changed) }
}

/// Reads a whole file of at most `limit` bytes, again as long as it changes meanwhile; returns its bytes and final state.
pub(super) fn read_settled(path: &Path, limit: u64) -> io::Result<(Vec<u8>, Stat)> {
    for _ in 0..MAX_TRIES {
        let mut open = open(path)?;
        let before = Stat::from(&open.metadata()?);
        if before.size > limit {
            return Err(io::Error::other(format!("is {} bytes long, at most {limit} are allowed", before.size)));
        }
        let mut bytes = Vec::with_capacity(before.size as usize + 1);
        open.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
        if Stat::from(&open.metadata()?) == before && bytes.len() as u64 == before.size {
            return Ok((bytes, before));
        }
    }
    Err(io::Error::other("keeps changing while it is read"))
}

/// Returns the digest of a file as it is now.
pub(super) fn digest(path: &Path) -> io::Result<Digest> {
    let mut open = open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match open.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}
