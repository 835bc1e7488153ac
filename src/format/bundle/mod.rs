//! A bundle: one immutable file of articles, `<id>.tar.zst`. (FORMAT.md, "The bundle")
//!
//! [`BundleWriter`] makes one in a single pass; [`Bundle`] opens one from its end, and reads one article or all [`Contents`]. [`check`] is the
//! judge: [`prove`] checks every byte of a whole bundle quickly, [`diagnose`] says of a damaged one what is wrong with it and what is still
//! whole. What a part of a bundle shows to be wrong is refused by whoever reads that part.

mod article;
mod check;
mod contents;
mod diagnose;
mod open;
mod prove;
mod read;
#[cfg(feature = "archive")]
mod rest;
#[cfg(feature = "archive")]
mod rewrite;
mod source;
mod tail;
#[cfg(feature = "archive")]
mod write;

pub use article::ProvedArticle;
pub use check::check;
pub use contents::Contents;
pub use diagnose::{ArticleState, FileState, Judge, Judged, MAX_BUNDLES, Remains, Report, Salvor, diagnose};
pub use open::Bundle;
pub use prove::{Nobody, Piece, Receiver, Scope, prove, read_files, read_metadata};
#[cfg(feature = "archive")]
pub use rest::{Rest, without};
#[cfg(feature = "archive")]
pub use rewrite::{countersign, recompress};
pub use source::Source;
pub use tail::Tail;
#[cfg(feature = "archive")]
pub use write::{BundleWriter, LIST_LEVEL, Mark, Output, SMALL_LEVEL};

use std::io;

use crate::finding::{Code, Finding};
pub use crate::format::signatures::{MAX_SIGNATURE_BYTES, MAX_SIGNATURES, SignatureFile};

/// The largest size that an index may claim of a file, in bytes, so that sums of sizes stay within a number.
const MAX_CLAIMED_BYTES: u64 = 1 << 46;

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
    /// What shall be removed from a bundle is not some of its articles.
    #[error("expected numbers of some of {articles} articles, ascending, found {found:?}")]
    NotSome {
        /// How many articles the bundle has.
        articles: usize,
        /// The numbers.
        found: Vec<usize>,
    },
    /// The watch asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    #[cfg(feature = "archive")]
    /// What zstd says when it cannot compress: that it has no memory.
    pub(crate) fn compressing(fault: crate::format::frame::FrameFault) -> Self {
        Self::Io { doing: "compressing", source: io::Error::other(fault.to_string()) }
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::Damaged(Box::new(finding))
    }
}

/// What is found where a file's bytes are not those of its line.
fn content_finding(path: &str) -> Finding {
    Finding::new(Code::Content, path, "not the bytes that the checksum list names")
}
