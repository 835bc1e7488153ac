//! The one seam to where an archive lies: whole files, by path, put in place so that a kill leaves the old state or the new.
//!
//! Every step that changes the disk (write, sync, rename, remove) passes [`Steps`] first, so that a test can end the world before any of
//! them. Paths are relative with `/`, made by the archive's layout and never by outside text.

#[cfg(feature = "s3")]
mod bucket;
pub mod disk;
mod file;
mod hashed;
#[cfg(feature = "http")]
mod http;
mod local;
#[cfg(not(all(feature = "http", feature = "s3")))]
mod offline;
mod remote;

pub use hashed::Hashed;
pub use local::{Object, Store, Write};
pub use remote::{Access, Arriving, Condition, Posted, Remote};

use std::io;

/// Told of each step before it is taken.
pub trait Steps: Send + Sync {
    /// Takes note of a step; `what` names it and its place.
    ///
    /// # Errors
    /// An error stops the step, as if the process had been killed before it.
    fn step(&self, what: &str) -> io::Result<()>;
}

/// What failed, reduced to what callers act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// It is larger than it may be.
    TooLarge,
    /// The connection broke, or was too slow; it may go better another time.
    Broken,
    /// Anything else.
    Other,
}

/// Why something in the store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{place}: cannot be {doing}")]
pub struct Error {
    /// What kind of failure it is.
    pub failed: Failed,
    /// The path in the store.
    pub place: String,
    /// Read, written, listed, removed.
    pub doing: &'static str,
    /// The system's word.
    #[source]
    pub source: io::Error,
}

impl Error {
    fn new(place: &str, doing: &'static str, source: io::Error) -> Self {
        let failed = match source.kind() {
            io::ErrorKind::NotFound => Failed::NotFound,
            io::ErrorKind::AlreadyExists => Failed::Exists,
            io::ErrorKind::FileTooLarge => Failed::TooLarge,
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof => Failed::Broken,
            _ => Failed::Other,
        };
        Self { failed, place: place.to_owned(), doing, source }
    }

    /// Says whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.failed == Failed::NotFound
    }
}
