//! What new leaves ask for: bundles to be had, statements, policies and documents to be read, and what must hold of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::archive::Log;
use crate::digest::Digest;
use crate::format::leaf::Leaf;
use crate::format::tile::TILE_WIDTH;
use crate::ids::BundleId;

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
    pub(super) articles: ArticleSum,
    /// Leaf, key and digest of each signature.
    pub(super) signatures: Vec<(u64, [u8; 32], Digest)>,
}

/// A sum over article leaves, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArticleSum(Digest);

impl ArticleSum {
    /// The sum over no leaves.
    pub(super) fn empty() -> Self {
        Self(Digest::of(b""))
    }

    /// Takes one more leaf in, as it stands in the log.
    pub(super) fn push(&mut self, leaf: &[u8]) {
        let mut bytes = self.0.as_bytes().to_vec();
        bytes.extend_from_slice(leaf);
        self.0 = Digest::of(&bytes);
    }
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
    /// The articles of each bundle, by the digests of their ids and lines, where they are kept.
    articles: Option<HashMap<BundleId, Vec<(Digest, Digest)>>>,
    /// The bundle whose article leaves may follow.
    open: Option<usize>,
    /// Article leaves that stand alone: a return to an earlier revision, in a bundle of before.
    pub(super) returns: Vec<(u64, BundleId, Digest, Digest)>,
}

impl Plan {
    /// Keeps which articles each bundle must hold, for what withdraws.
    pub(super) fn with_articles() -> Self {
        Self { articles: Some(HashMap::new()), ..Self::default() }
    }

    /// Takes in the next leaf.
    pub(super) fn push(&mut self, index: u64, bytes: &[u8]) -> Result<(), Error> {
        let leaf = Leaf::decode(bytes).map_err(|fault| Error::Leaf { index, detail: fault.to_string() })?;
        let within = self.open.take();
        match leaf {
            Leaf::Bundle { id, size, file, replaces } => {
                self.by_id.insert(id, self.bundles.len());
                self.open = replaces.is_none().then_some(self.bundles.len());
                let (articles, signatures) = (ArticleSum::empty(), Vec::new());
                self.bundles.push(Logged { index, id, size, file, replaces, articles, signatures });
            }
            Leaf::Article { id, lines, bundle } => match within {
                Some(at) if self.bundles[at].id == bundle => {
                    self.bundles[at].articles.push(bytes);
                    self.open = within;
                    if let Some(articles) = &mut self.articles {
                        articles.entry(bundle).or_default().push((id, lines));
                    }
                }
                _ => self.returns.push((index, bundle, id, lines)),
            },
            Leaf::Signature { bundle, key, file } => {
                // One of a bundle of before changes nothing that was judged.
                if let Some(at) = self.by_id.get(&bundle) {
                    self.bundles[*at].signatures.push((index, key, file));
                }
            }
            Leaf::Withdraw { statement, signatures } => {
                self.withdrawn.push(Withdrawn { index, statement, signatures });
            }
            Leaf::Policy { version, file } => self.policies.push((index, version, file)),
            Leaf::Document { name, file } => drop(self.documents.insert(name, (index, file))),
        }
        Ok(())
    }

    /// Takes in all leaves of a log.
    pub(super) fn of_log(mut self, log: &Log<'_>) -> Result<Self, Error> {
        for number in 0..log.size().div_ceil(TILE_WIDTH) {
            for (index, leaf) in (number * TILE_WIDTH..).zip(log.read_entries(number)?) {
                self.push(index, &leaf)?;
            }
        }
        Ok(self)
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
            let articles = self.articles.as_ref().and_then(|articles| articles.get(&logged.id));
            found.extend(articles.into_iter().flatten());
            at = logged.replaces;
        }
        found
    }
}
