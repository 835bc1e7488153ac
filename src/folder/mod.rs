//! A folder on disk becomes bundles, and bundles become a folder again. (FORMAT.md, "Articles")

pub mod derive;
pub mod extract;
pub mod litter;
mod overwrite;
pub mod pack;
mod publish;
mod read;
pub mod rewrite;
pub mod salvage;
pub mod stat;
pub mod text;
mod tree;
pub mod walk;
mod without;

pub use pack::article_id;
pub use publish::BUNDLE_ENDING;
pub use read::readable;
pub use without::without;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use crate::format::checksums::ListFault;
use crate::format::frame::FrameFault;
use crate::format::manifest::ManifestFault;
use crate::format::{bundle, manifest};
use crate::keys;

/// What may go wrong between a folder and a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Things that cannot be taken into a bundle; all of them.
    #[error("{} cannot be packed", files(.0))]
    Refused(Vec<walk::Refusal>),
    /// Nothing to pack.
    #[error("{0}: no article found")]
    NoArticles(PathBuf),
    /// More than one file holds.
    #[error("{0}: the folder needs several bundles")]
    Several(PathBuf),
    /// A file or folder cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{path}: cannot be written")]
    Write {
        /// Which, or the folder that it would lie in.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A file that is never the same twice.
    #[error("{0}: keeps changing while it is read")]
    KeepsChanging(PathBuf),
    /// A bundle of the same id is there, but not as it would be made now.
    #[error("{path}: a bundle with the same articles is there already, and {why}")]
    OtherForm {
        /// Where it lies.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },
    /// Something is there that is no bundle, where one is to be replaced.
    #[error("{0}: is not a bundle, and is not replaced")]
    NoBundle(PathBuf),
    /// Something is there already.
    #[error("{0}: exists already")]
    Exists(PathBuf),
    /// The output would be packed as well.
    #[error("{output}: lies inside {root}, which is being packed")]
    OutputInside {
        /// The output folder.
        output: PathBuf,
        /// The packed folder.
        root: PathBuf,
    },
    /// Two files would have the same place.
    #[error("{one:?} and {other:?} would both become {path:?}")]
    SamePlace {
        /// The path below the target.
        path: String,
        /// One file, as the bundle has it.
        one: String,
        /// The other.
        other: String,
    },
    /// Two names that the file system takes for one.
    #[error("{one:?} and {other:?} are one name on this file system")]
    Folds {
        /// One of them, below the target.
        one: String,
        /// The other.
        other: String,
    },
    /// A file of one bundle would be a folder of another.
    #[error("{0:?} would be a file and a folder at once")]
    FileAndFolder(String),
    /// Something else lies where a file or folder would go.
    #[error("{path}: expected {expected}, found {found}")]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// A folder, or a file.
        expected: &'static str,
        /// What lies there.
        found: &'static str,
    },
    /// A checksum list that is being written or read breaks a rule of the format.
    #[error("the checksum list is not valid: {0}")]
    List(ListFault),
    /// A bundle's name cannot carry its number.
    #[error("no name for the next part: {0}")]
    Name(manifest::ManifestFault),
    /// zstd failed.
    #[error("compressing: {0}")]
    Frame(FrameFault),
    /// Two signers of one key id cannot both sign a bundle.
    #[error("two signers have the key id {0}")]
    SameKeyId(String),
    /// The bundle itself.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// A key or signature.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The watch asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Counts the files that are refused, each once whatever is wrong with it.
fn files(refusals: &[walk::Refusal]) -> String {
    let places: HashSet<&str> = refusals.iter().map(|refusal| refusal.place.as_str()).collect();
    format!("{} file{}", places.len(), if places.len() == 1 { "" } else { "s" })
}

impl From<ManifestFault> for Error {
    fn from(fault: ManifestFault) -> Self {
        Self::Name(fault)
    }
}
