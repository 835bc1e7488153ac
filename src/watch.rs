//! How the library tells of progress and is told to stop.
//!
//! The library never prints. It hands each step to a [`Watch`]; the command line draws a bar from it, tests collect
//! it, a caller who does not care passes [`Silent`].

use crate::finding::Finding;

/// Receives progress and findings while a long task runs; called from several threads.
pub trait Watch: Sync {
    /// Takes note that a task has begun; `total` is in the task's unit, where it is known already.
    fn begin(&self, _task: Task, _total: Option<u64>) {}

    /// Takes note that the total has become known or has grown.
    fn total(&self, _total: u64) {}

    /// Takes note of `amount` more of the task's unit done.
    fn advance(&self, _amount: u64) {}

    /// Takes note of something found on the way, as soon as it is known.
    fn finding(&self, _finding: &Finding) {}

    /// Says whether the task shall stop; asked at least once a frame.
    fn cancelled(&self) -> bool {
        false
    }
}

/// The long tasks that have a progress of their own; each counts bytes of uncompressed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Reading, hashing and compressing a folder.
    Pack,
    /// Checking a bundle.
    Verify,
    /// Writing articles out of a bundle.
    Extract,
    /// Compressing a bundle anew.
    Recompress,
    /// Getting what is whole out of a damaged bundle.
    Salvage,
    /// Following the log with the catalog; counts leaves.
    Index,
    /// Moving bundles to or from another place; counts bytes of their files.
    Sync,
}

/// A watch that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watch for Silent {}
