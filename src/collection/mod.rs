//! Works on a whole archive: adding a folder's articles, taking in bundles made elsewhere, proving, checking, withdrawing.

pub mod add;
pub mod audit;
mod deposit;
mod follow;
pub mod prove;
mod seen;
pub mod withdraw;

pub use deposit::deposit;
pub use follow::follow;

use std::io;
use std::path::PathBuf;

use crate::archive;
use crate::folder;
use crate::format::bundle;
use crate::keys;
use crate::store;

/// What may go wrong with a work on an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The folder that is packed, or a bundle's file.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// A key or signature.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// No such article.
    #[error("no article {0:?}")]
    NoArticle(String),
    /// The article was withdrawn.
    #[error("the article {0:?} was withdrawn")]
    Withdrawn(String),
    /// The bundle's file is not there.
    #[error("bundle {0}: its file is not there")]
    NoBundle(crate::ids::BundleId),
    /// A bundle that cannot be taken into this archive.
    #[error("{path}: {reason}")]
    Deposit {
        /// The bundle's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What the rest of a bundle must be, and is not.
    #[error("the bundle without the article did not come out as expected: {0}")]
    Rest(String),
    /// A cache cannot be written.
    #[error("{path}: cannot be written")]
    Cache {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Archive(error.into())
    }
}

impl From<archive::catalog::Error> for Error {
    fn from(error: archive::catalog::Error) -> Self {
        Self::Archive(error.into())
    }
}
