//! A bundle: one immutable file of articles, `<id>.tar.zst`. (FORMAT.md, "The bundle")
//!
//! [`BundleWriter`] makes one in a single pass; [`Bundle`] opens one from its end and reads single files; [`prove`] checks every byte of a
//! whole one quickly; [`diagnose`] says of a damaged one what is wrong with it and what is still whole.

mod check;
mod diagnose;
mod open;
mod prove;
mod rewrite;
mod source;
mod tail;
mod write;

pub use check::check;
pub use diagnose::{ArticleState, FileState, KeepNothing, Report, Salvor, diagnose};
pub use open::{Bundle, Contents};
pub use prove::{Nobody, Piece, Receiver, Scope, prove};
pub use rewrite::{countersign, recompress};
pub use source::Source;
pub use tail::{MAX_SIGNATURE_BYTES, MAX_SIGNATURES, SignatureFile, Tail};
pub use write::{BundleWriter, Mark, Output, Spool};

use std::io;

use crate::finding::Finding;

/// What may go wrong with a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file under the bundle could not be read or written.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The bundle cannot be read as one; the first finding says why.
    #[error("not a whole bundle: {0}")]
    Damaged(Box<Finding>),
    /// A limit of the format would be passed.
    #[error("{what}: {found}, at most {limit} are allowed")]
    OverLimit {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// The watch asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::Damaged(Box::new(finding))
    }
}
