//! Two checkpoints of one log: the same history, one the beginning of the other, or a fork that a third person can check.

use crate::archive::Log;
use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::fork::Fork;
use crate::keys::{Note, VerifierKey};
use crate::merkle;
use crate::store::Store;

use super::Error;

/// A checkpoint and, where it lies in an archive, the archive's tiles.
#[derive(Debug, Clone)]
pub struct HeadFile {
    /// What a person calls it.
    pub name: String,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The archive, where there is one.
    pub store: Option<Store>,
    /// What was kept beside it as the proof of a fork.
    pub proof: Option<Fork>,
}

/// What two checkpoints say of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Both are of one size and root.
    Same,
    /// The larger one's tiles lead to both roots.
    Extends {
        /// The name of the smaller one.
        smaller: String,
        /// The name of the larger one.
        larger: String,
    },
    /// The log's key has signed two histories.
    Fork {
        /// How that is known.
        proof: String,
    },
    /// The sizes differ and no tiles are at hand.
    Unknown {
        /// What would tell.
        wanted: String,
    },
}

/// Reads a checkpoint that the log's key has signed, from an archive or a file.
///
/// # Errors
/// Where it cannot be read, or that key has not signed it.
pub fn read_head(
    name: &str,
    bytes: Option<Vec<u8>>,
    store: Option<Store>,
    log: &VerifierKey,
) -> Result<HeadFile, Error> {
    let bytes = match (bytes, &store) {
        (Some(bytes), _) => bytes,
        (None, Some(store)) => store.read(checkpoint::NAME, MAX_CHECKPOINT_BYTES)?,
        (None, None) => Vec::new(),
    };
    let note = Note::parse(&bytes)?;
    let origin =
        log.name().parse().map_err(|_| crate::archive::Error::Checkpoint("the key has no origin's name".into()))?;
    let checkpoint = crate::archive::read_checkpoint(note.verified(log)?, &origin)?;
    Ok(HeadFile { name: name.to_owned(), checkpoint, store, proof: None })
}

/// Compares two checkpoints.
///
/// # Errors
/// Where tiles cannot be read, or lead to another root than the checkpoint beside them.
pub fn compare(a: &HeadFile, b: &HeadFile) -> Result<Comparison, Error> {
    let (smaller, larger) = if a.checkpoint.size <= b.checkpoint.size { (a, b) } else { (b, a) };
    if smaller.checkpoint.size == larger.checkpoint.size {
        return Ok(match smaller.checkpoint.root == larger.checkpoint.root {
            true => Comparison::Same,
            false => Comparison::Fork {
                proof: format!("both are signed, with {} leaves and different roots", larger.checkpoint.size),
            },
        });
    }
    if let Some(proof) = larger.proof.as_ref().filter(|proof| proof.size == smaller.checkpoint.size) {
        let (old, new) = (&smaller.checkpoint, &larger.checkpoint);
        merkle::verify_consistency(old.size, new.size, &proof.root, &new.root, &proof.hashes)
            .map_err(|fault| crate::archive::Error::Log(format!("the proof beside {}: {fault}", larger.name)))?;
        if proof.root != old.root {
            let proof = format!(
                "{} leads from another root at {} leaves than {} has, by the proof beside it",
                larger.name, old.size, smaller.name
            );
            return Ok(Comparison::Fork { proof });
        }
    }
    let Some(store) = &larger.store else {
        let wanted = format!("the archive that {} is of, for its tiles", larger.name);
        return Ok(Comparison::Unknown { wanted });
    };
    let mut log = Log::new(store, larger.checkpoint.size).signed(larger.checkpoint.root);
    if log.root(smaller.checkpoint.size)? == smaller.checkpoint.root {
        return Ok(Comparison::Extends { smaller: smaller.name.clone(), larger: larger.name.clone() });
    }
    let size = smaller.checkpoint.size;
    Ok(Comparison::Fork {
        proof: format!(
            "the tiles of {} lead to its root, and give another root at {size} leaves than {} has",
            larger.name, smaller.name
        ),
    })
}
