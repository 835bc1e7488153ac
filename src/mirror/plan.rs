//! What new leaves ask for: bundles to be had, statements, policies and documents to be read, and what must hold of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::archive::Log;
use crate::digest::Digest;
use crate::format::leaf::Leaf;
use crate::format::manifest::BundleId;

use super::Error;

/// A bundle that the log has.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    /// Its leaf.
    pub(super) index: u64,
    pub(super) id: BundleId,
    /// Size of its file, in bytes.
    pub(super) size: u64,
    /// Digest of its file.
    pub(super) file: Digest,
    pub(super) replaces: Option<BundleId>,
    /// The leaves that follow it at once.
    pub(super) articles: Vec<Leaf>,
    /// Leaf, key and digest of each signature.
    pub(super) signatures: Vec<(u64, [u8; 32], Digest)>,
}

/// A withdrawal that the log has.
#[derive(Debug, Clone)]
pub(super) struct Withdrawn {
    pub(super) index: u64,
    pub(super) statement: Digest,
    pub(super) signatures: Vec<([u8; 32], Digest)>,
}

/// What some leaves say, in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) bundles: Vec<Logged>,
    by_id: HashMap<BundleId, usize>,
    pub(super) withdrawn: Vec<Withdrawn>,
    pub(super) documents: BTreeMap<String, (u64, Digest)>,
    pub(super) policies: Vec<(u64, u64, Digest)>,
    /// Article leaves that stand alone: a return to an earlier revision, in a bundle of before.
    pub(super) returns: Vec<(u64, BundleId, Digest, Digest)>,
}

impl Plan {
    /// Reads leaves; `first` is the index of the first.
    pub(super) fn read(first: u64, leaves: &[Vec<u8>]) -> Result<Self, Error> {
        let mut plan = Self::default();
        let mut open: Option<usize> = None;
        for (index, bytes) in (first..).zip(leaves) {
            let leaf = Leaf::decode(bytes).map_err(|fault| Error::Leaf { index, detail: fault.to_string() })?;
            let within = open.take();
            match leaf {
                Leaf::Bundle { id, size, file, replaces } => {
                    let (articles, signatures) = (Vec::new(), Vec::new());
                    plan.by_id.insert(id, plan.bundles.len());
                    open = replaces.is_none().then_some(plan.bundles.len());
                    plan.bundles.push(Logged { index, id, size, file, replaces, articles, signatures });
                }
                Leaf::Article { id, lines, bundle } => match within {
                    Some(at) if plan.bundles[at].id == bundle => {
                        plan.bundles[at].articles.push(Leaf::Article { id, lines, bundle });
                        open = within;
                    }
                    _ => plan.returns.push((index, bundle, id, lines)),
                },
                Leaf::Signature { bundle, key, file } => {
                    // One of a bundle of before changes nothing that was judged.
                    if let Some(at) = plan.by_id.get(&bundle) {
                        plan.bundles[*at].signatures.push((index, key, file));
                    }
                }
                Leaf::Withdraw { statement, signatures } => {
                    plan.withdrawn.push(Withdrawn { index, statement, signatures });
                }
                Leaf::Policy { version, file } => plan.policies.push((index, version, file)),
                Leaf::Document { name, file } => drop(plan.documents.insert(name, (index, file))),
            }
        }
        Ok(plan)
    }

    /// Reads all leaves of a log.
    pub(super) fn of_log(log: &Log<'_>) -> Result<Self, Error> {
        Self::read(0, &all_leaves(log)?)
    }

    /// Returns a bundle, the newest leaf of its id.
    pub(super) fn bundle(&self, id: BundleId) -> Option<&Logged> {
        self.by_id.get(&id).map(|at| &self.bundles[*at])
    }

    /// Returns the articles that a bundle must hold: those logged with it, or with the ones whose place it took.
    pub(super) fn articles_of(&self, id: BundleId) -> HashSet<(Digest, Digest)> {
        let mut found = HashSet::new();
        let (mut at, mut seen) = (Some(id), HashSet::new());
        while let Some(logged) = at.filter(|id| seen.insert(*id)).and_then(|id| self.bundle(id)) {
            found.extend(logged.articles.iter().filter_map(|leaf| match leaf {
                Leaf::Article { id, lines, .. } => Some((*id, *lines)),
                _ => None,
            }));
            at = logged.replaces;
        }
        found
    }
}

/// Reads all leaves of a log.
pub(super) fn all_leaves(log: &Log<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut leaves = Vec::new();
    for number in 0..log.size().div_ceil(crate::format::tile::TILE_WIDTH) {
        leaves.extend(log.read_entries(number)?);
    }
    Ok(leaves)
}
