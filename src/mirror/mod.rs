//! Mirrors: a verified copy of an archive, kept up to date from origins that need not be honest; and the same archive put into a bucket.
//!
//! [`sync()`] pulls; [`cosign`] says as a witness what is held; [`collect`] gathers what witnesses say, [`submit`] asks a public one; [`compare()`] tells a fork;
//! [`push()`] puts an archive into a bucket. Nothing that an origin says is believed before log, policy and digests bear it out.

mod bundle;
mod checked;
mod collect;
mod compare;
mod fetch;
mod fork;
mod obtain;
mod papers;
mod push;
mod submit;
mod sync;
mod whole;
mod witness;

pub use collect::{Collected, collect};
pub use compare::{Comparison, HeadFile, compare, read_head};
pub use push::{PushReport, push};
pub use submit::submit;
pub use sync::{Dropped, Held, SyncOptions, SyncReport, sync};
pub use witness::{Cosigned, Witness, cosign};

use std::io;

use crate::archive::history::HistoryFault;
use crate::archive::{self, Log, Vouched};
use crate::format::bundle as format;
use crate::ids::{BundleId, LeafIndex, Origin};
use crate::keys;
use crate::store;

/// Bytes of one stream are told to it as they arrive, so that it can hold them up, or call the stream too slow.
pub type Meter<'a> = Box<dyn FnMut(u64) -> io::Result<()> + Send + 'a>;

/// Time, for the works that must not know it: how fast bytes may come, how slow they may, and waiting.
pub trait Pace: Sync {
    /// Begins a stream.
    fn stream(&self) -> Meter<'_>;

    /// Waits before trial number `trial`, the first of which is 1.
    fn wait(&self, trial: u32);
}

/// Holds a state of the log against what was seen of it elsewhere; says why they do not go together.
pub type Seen<'a> = &'a (dyn Fn(&Vouched, &mut Log<'_>) -> Result<(), String> + Sync + 'a);

/// What may go wrong with a mirror.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archive, its log or its policy.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A key or signature.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] format::Error),
    /// A file of the mirror's own.
    #[error("{place}: cannot be written")]
    Write {
        /// Its place.
        place: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The origin's log and the one that is held contradict each other; both checkpoints are kept.
    #[error(
        "{origin}: its log and the one held here are two histories: {detail}; both checkpoints are kept in {evidence}"
    )]
    Fork {
        /// The origin.
        origin: String,
        /// What was found.
        detail: String,
        /// The folder of the evidence.
        evidence: String,
    },
    /// Two origins' logs contradict each other, and nothing says which is the archive's; both checkpoints are kept.
    #[error(
        "{} and {}: their logs are two histories: at {at} leaves the roots differ; both checkpoints are kept in {evidence}",
        .origins[0], .origins[1]
    )]
    TwoHistories {
        /// The origins.
        origins: [String; 2],
        /// The smaller one's size.
        at: u64,
        /// The folder of the evidence.
        evidence: String,
    },
    /// The origin has less than what is held; both checkpoints are kept.
    #[error("{origin}: its log has {found} leaves, {held} are held here; both checkpoints are kept in {evidence}")]
    Rollback {
        /// The origin.
        origin: String,
        /// Leaves it has.
        found: u64,
        /// Leaves held.
        held: u64,
        /// The folder of the evidence.
        evidence: String,
    },
    /// What the log says is not borne out.
    #[error("leaf {index}: {detail}")]
    Leaf {
        /// The leaf.
        index: LeafIndex,
        /// What does not hold.
        detail: String,
    },
    /// Too few witnesses, or too long ago.
    #[error("the checkpoint is not {what}: {reason}")]
    NotVouched {
        /// Witnessed or fresh.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// No origin gave what was asked for.
    #[error("{what}: no origin has it whole: {}", .faults.join("; "))]
    Unobtainable {
        /// What.
        what: String,
        /// What each said.
        faults: Vec<String>,
    },
    /// A bundle that is not what the log says.
    #[error("bundle {id}: {detail}")]
    BadBundle {
        /// Which.
        id: BundleId,
        /// What does not hold.
        detail: String,
    },
    /// A bundle that does not hold just what is left of the one whose place it is to take.
    #[error("bundle {id}: is not what is left of the bundle whose place it takes")]
    NotTheRest {
        /// Which.
        id: BundleId,
    },
    /// The mirror does not hold everything.
    #[error("the mirror does not hold all of its log: {0}")]
    Incomplete(String),
    /// A witness did not cosign.
    #[error("{witness}: {why}")]
    Witness {
        /// Its address.
        witness: String,
        /// What it answered.
        why: String,
    },
    /// A witness never goes back.
    #[error("refused to cosign: {0}")]
    Backwards(String),
    /// The origin's log does not go together with what was seen of it elsewhere.
    #[error("{origin}: {why}")]
    SeenOther {
        /// The origin.
        origin: String,
        /// What does not hold.
        why: String,
    },
    /// The log lacks what a person vouches for, or withholds a policy.
    #[error("{origin}: {fault}")]
    History {
        /// The origin.
        origin: String,
        /// What does not hold.
        fault: HistoryFault,
    },
    /// What lies in the bucket is not an earlier state of this archive.
    #[error("the bucket: {0}")]
    Bucket(String),
    /// The folder is where an archive is published from.
    #[error("{0}: an archive is published from here; a mirror needs a folder of its own")]
    Publisher(String),
    /// The folder holds something else than a mirror of this archive.
    #[error("{folder}: expected an empty folder or a mirror of {name}, found {found}")]
    NotAMirror {
        /// The folder.
        folder: String,
        /// The archive to be mirrored.
        name: Origin,
        /// What lies there.
        found: String,
    },
    /// The archive lacks what its log has.
    #[error("{archive}: {lack}; nothing was pushed")]
    Lacking {
        /// The archive.
        archive: String,
        /// What is missing, or of another size.
        lack: String,
    },
    /// The work was asked to stop.
    #[error("stopped")]
    Cancelled,
}

impl Error {
    /// Says whether another origin may do better.
    pub(crate) fn is_origins(&self) -> bool {
        self.is_lie() || matches!(self, Self::Unobtainable { .. } | Self::Archive(_) | Self::Store(_) | Self::Keys(_))
    }

    /// Says whether an origin is at fault rather than this side or the way there.
    pub(crate) fn is_lie(&self) -> bool {
        matches!(
            self,
            Self::Fork { .. }
                | Self::Rollback { .. }
                | Self::Leaf { .. }
                | Self::BadBundle { .. }
                | Self::NotVouched { .. }
                | Self::History { .. }
                | Self::SeenOther { .. }
        )
    }
}
