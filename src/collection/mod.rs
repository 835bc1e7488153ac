//! Works on a whole archive: adding a folder's articles, taking in bundles made elsewhere, proving, checking, withdrawing.

pub mod add;
pub mod audit;
mod deposit;
mod follow;
pub mod policy;
pub mod prove;
mod seen;
mod waiting;
pub mod withdraw;

pub use deposit::{Deposited, deposit};
pub use follow::{follow, open_holder};
pub use waiting::{Incoming, Waiting, waiting};

use std::io;
use std::path::PathBuf;

use crate::archive::{self, History};
use crate::folder;
use crate::format::bundle;
use crate::ids::LeafIndex;
use crate::keys::{self, PublicKey};
use crate::store;
use crate::trust::authority::Signed;
use crate::trust::policy::{PolicyFault, Role};

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
    /// An article of more files than a proof holds.
    #[error("{0:?} has more files than a proof can hold")]
    ManyFiles(String),
    /// The archive is closed.
    #[error("the archive is closed: version {0} of its policy says that nothing is added any more")]
    Closed(u64),
    /// A proposal that contradicts itself, does not go on from the version before, or is not signed by enough.
    #[error("the policy: {0}")]
    Policy(PolicyFault),
    /// A key that the policy does not have.
    #[error("the policy has no key {0:?}")]
    NoKey(String),
    /// A first policy by which something that counts would no longer.
    #[error(
        "by this policy {what} would no longer count, which was signed by {by}: it must have that key, with the role {role}, and be made on a log \
         that has it"
    )]
    LeavesOut {
        /// A bundle, statement or document.
        what: String,
        /// Who has signed it.
        by: String,
        /// What the key must be able to do.
        role: &'static str,
    },
    /// A policy that was made on another log.
    #[error("version {version} of the policy was made on a log that had another root at {size} leaves")]
    OtherLog {
        /// The policy's version.
        version: u64,
        /// The size that it names.
        size: u64,
    },
    /// More statements than a manifest may name.
    #[error("the folder holds articles against which {0} statements stand, and one bundle names {max} at most", max = crate::format::manifest::MAX_LIST_ENTRIES)]
    TooManyStatements(usize),
    /// An article cannot be added, by the rule that no bundle revises what was logged after it was made.
    #[error("{path}: the archive has an article {id:?} already, from a bundle that was logged after this one was made")]
    Conflict {
        /// The bundle's file.
        path: PathBuf,
        /// The article.
        id: String,
    },
    /// The keys at hand do not reach the policy's threshold.
    #[error("version {version} of the policy asks for {needed} key{} to {role}, {found} of those at hand may", if *.needed == 1 { "" } else { "s" })]
    Threshold {
        /// The policy's version.
        version: u64,
        /// What is to be done.
        role: &'static str,
        /// How many keys it takes.
        needed: u64,
        /// How many at hand may.
        found: u64,
    },
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

/// Checks as [`require`] does; where only further keys are missing, returns what it takes and how many are at hand: it can wait for them.
pub(crate) fn wanting(
    history: &History,
    role: Role,
    size: u64,
    keys: &[PublicKey],
) -> Result<Option<(u64, u64)>, Error> {
    match require(history, role, size, keys) {
        Err(Error::Threshold { needed, found, .. }) if found > 0 => Ok(Some((needed, found))),
        other => other.map(|()| None),
    }
}

/// Checks that signatures by these keys, in leaves from `size` on, would count: nothing is written that the policy would not let count.
///
/// # Errors
/// [`Error::Threshold`] says what it takes.
pub fn require(history: &History, role: Role, size: u64, keys: &[PublicKey]) -> Result<(), Error> {
    let leaf = LeafIndex(size);
    let signed: Vec<_> = keys.iter().map(|key| Signed { leaf, key: *key.as_bytes() }).collect();
    let Some(policy) = history.authority.policy() else { return Ok(()) };
    if policy.closed {
        return Err(Error::Closed(policy.version));
    }
    let met = history.authority.judge(role, leaf, &signed);
    if met.is_met() {
        return Ok(());
    }
    let (version, role, needed, found) = (policy.version, role.as_str(), met.needed, met.by.len() as u64);
    Err(Error::Threshold { version, role, needed, found })
}
