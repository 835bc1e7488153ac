//! What a log says, folded once: bundles and their forms, who has signed them, what was withdrawn, which policy was in force where. (FORMAT.md,
//! "The log", "Withdrawal" and "Trust policy")
//!
//! Whether a leaf counts follows from the log and the policies alone; what does not count is *void*, reported, and stops nobody. Everybody who
//! asks what an archive holds asks here: nobody else walks leaves.

mod judge;
mod known;
mod leaves;
mod papers;
mod policies;

use std::collections::{BTreeMap, HashMap};

use crate::digest::{Digest, Hasher};
use crate::format::leaf::{LeafSignature, ordered};
use crate::format::manifest::{Manifest, PartOf};
use crate::format::withdrawal::{RemovedLeaf, Replaced, Withdrawal};
use crate::ids::{BundleId, LeafIndex, Origin};
use crate::keys::{Kind, PublicKey, Signature};
use crate::trust::authority::{Authority, Met, Signed};
use crate::trust::logged;
use crate::trust::policy::{Role, is_signed};

pub use papers::Papers;
pub(in crate::archive) use papers::present;

/// What a bundle's file holds for each of its files beside the content, at most, in bytes: headers, padding, its line of the list, its place.
const MAX_BYTES_AROUND_A_FILE: u64 = 8 << 10;
/// The same for each article.
const MAX_BYTES_AROUND_AN_ARTICLE: u64 = 2 << 10;
/// The same for the tail, with the statements of what was withdrawn.
const MAX_BYTES_OF_A_TAIL: u64 = 16 << 20;

/// What a log says.
#[derive(Debug, Default)]
pub struct History {
    /// Number of leaves.
    pub size: u64,
    /// Whom to believe, policies at their leaves.
    pub authority: Authority,
    /// Every bundle of the log in the order of their places, those that do not count too.
    pub bundles: Vec<LoggedBundle>,
    /// Every statement of withdrawal, the earliest first, those that do not count too.
    pub statements: Vec<LoggedStatement>,
    /// The newest document of each name that counts.
    pub documents: BTreeMap<String, LoggedDocument>,
    /// The policies that were logged and count, by version, with the digests of their files.
    pub policies: BTreeMap<u64, (LeafIndex, Digest)>,
    /// Versions of the policy that those signed who may, and that do not count all the same: each must be there, or could be one that does.
    pub refused: BTreeMap<u64, Digest>,
    /// Statements that those signed who may, and that do not count all the same: each must be there, or could be one that does.
    pub refused_statements: Vec<Digest>,
    /// Leaves that do not count, and why.
    pub void: Vec<(LeafIndex, String)>,
    /// What the log has and the archive lacks, by place.
    pub missing: Vec<String>,
    /// A policy that this reader has no reason to believe, where keys are pinned.
    pub foreign_policy: Option<LeafIndex>,
    by_id: HashMap<BundleId, usize>,
    /// The bundles that name each statement in `reinstates`, signed by who may withdraw.
    reinstating: HashMap<Digest, Vec<usize>>,
}

/// A bundle of the log.
#[derive(Debug)]
pub struct LoggedBundle {
    /// Its id.
    pub id: BundleId,
    /// Its first leaf.
    pub place: LeafIndex,
    /// What the manifest says.
    pub facts: Facts,
    /// Its files, the earliest first; any of them makes an archive complete.
    pub forms: Vec<Form>,
    /// The good signatures of its leaves, by keys that may count.
    pub signed: Vec<Signed>,
    /// What it is worth.
    pub standing: Standing,
    /// What took its place.
    pub replaced: Option<Replacement>,
    /// The first bundle of its line, where it is a replacement.
    pub line: Option<BundleId>,
}

/// A file of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its size, in bytes.
    pub size: u64,
    /// Its digest.
    pub file: Digest,
}

/// What history needs of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Number of articles.
    pub articles: u64,
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Root of the article tree.
    pub root: Digest,
    /// Digest of all that a replacement repeats.
    pub repeated: Digest,
    /// Which part of a split pack it is.
    pub part: Option<PartOf>,
    /// The log's size when it was packed.
    pub base: u64,
    /// What it replaces.
    pub replaces: Vec<BundleId>,
    /// What it reinstates.
    pub reinstates: Vec<Digest>,
}

/// What a bundle of the log is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It counts, by its signatures or as the replacement that a statement names.
    Counts,
    /// It does not, and why.
    Void(String),
}

/// What took a bundle's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The statement's leaf.
    pub leaf: LeafIndex,
    /// The bundle that holds the rest; none where nothing was left.
    pub new: Option<BundleId>,
}

/// The articles of a place in the archive, by their positions in the first bundle of the line.
#[derive(Debug, Default)]
pub struct Line {
    /// The positions of those that the holder has, in its order.
    pub kept: Vec<u64>,
    /// Those that were taken out, in no order.
    pub removed: Vec<(u64, RemovedLeaf)>,
}

/// A statement of withdrawal in the log.
#[derive(Debug)]
pub struct LoggedStatement {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its digest.
    pub digest: Digest,
    /// Who has signed it.
    pub met: Met,
    /// Its good signatures.
    pub signed: Vec<Signed>,
    /// What it says, where it counts and is there.
    pub statement: Option<Withdrawal>,
    /// Those of its bundles that are no replacement, and why.
    pub void: Vec<(BundleId, String)>,
}

/// A document of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDocument {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// The leaf of the first document of its name that counts.
    pub first: LeafIndex,
    /// Its digest.
    pub file: Digest,
    /// Its good signatures.
    pub signed: Vec<Signed>,
}

/// Why a log cannot be believed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryFault {
    /// The log ends before the policy that a person vouches for.
    #[error(
        "the log does not have version {version} of the policy, which is vouched for: it is behind what is known here"
    )]
    Behind {
        /// That version.
        version: u64,
    },
    /// An earlier version is not there.
    #[error("version {version} of the policy is missing, or is not the one that the next version names")]
    Earlier {
        /// Which.
        version: u64,
    },
    /// Root keys have signed a policy that the archive does not show.
    #[error("leaf {leaf}: version {version} of the policy was signed by who may, and is withheld")]
    Withheld {
        /// Its leaf.
        leaf: LeafIndex,
        /// Its number.
        version: u64,
    },
    /// A policy was made on another log.
    #[error(
        "version {version} of the policy was made on a log that had another root at {size} leaves: this is not that log"
    )]
    OtherLog {
        /// The policy's version.
        version: u64,
        /// The size that it names.
        size: u64,
    },
}

impl LoggedBundle {
    /// Says whether it counts.
    pub fn counts(&self) -> bool {
        self.standing == Standing::Counts
    }

    /// L6: says whether its article takes the place of the one of that id which was current, by that one's place: it does not revise what was
    /// logged after it was made.
    pub fn revises(&self, before: Option<LeafIndex>) -> bool {
        before.is_none_or(|before| before.0 < self.facts.base)
    }

    /// Returns the most bytes that a file of it can take: what the manifest says it holds, with all that is around it.
    pub fn max_file_bytes(&self) -> u64 {
        let Facts { articles, files, bytes, .. } = &self.facts;
        // Headers, padding, paths and the list of each file; article tree and index of each article; the tail.
        bytes
            .saturating_add(bytes / 64)
            .saturating_add(files.saturating_mul(MAX_BYTES_AROUND_A_FILE))
            .saturating_add(articles.saturating_mul(MAX_BYTES_AROUND_AN_ARTICLE))
            .saturating_add(MAX_BYTES_OF_A_TAIL)
    }

    /// Returns the forms whose files can be this bundle, the newest first.
    pub fn credible(&self) -> impl Iterator<Item = &Form> {
        let most = self.max_file_bytes();
        self.forms.iter().rev().filter(move |form| form.size <= most)
    }

    /// Returns the size of the file to be fetched, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.credible().next().map_or(0, |form| form.size)
    }

    /// Returns the form that was logged last.
    pub fn newest(&self) -> &Form {
        self.forms.last().unwrap_or_else(|| unreachable!("a bundle is known by a form"))
    }
}

impl Facts {
    fn of(manifest: &Manifest) -> Self {
        let mut repeated = manifest.clone();
        // What a withdrawal changes.
        (repeated.articles, repeated.files, repeated.bytes) = (0, 0, 0);
        (repeated.checksums, repeated.root, repeated.times) = (Digest::of(b""), Digest::of(b""), None);
        repeated.replaces = Vec::new();
        Self {
            articles: manifest.articles,
            files: manifest.files,
            bytes: manifest.bytes,
            root: manifest.root,
            repeated: Digest::of(repeated.to_string().as_bytes()),
            part: manifest.part,
            base: manifest.base.unwrap_or(0),
            replaces: manifest.replaces.clone(),
            reinstates: manifest.reinstates.clone(),
        }
    }
}

impl History {
    /// Returns a bundle of the log.
    pub fn bundle(&self, id: BundleId) -> Option<&LoggedBundle> {
        self.by_id.get(&id).map(|at| &self.bundles[*at])
    }

    /// Says whether enough keys that may publish have signed a bundle; of a replacement, nobody need have.
    pub fn met(&self, bundle: &LoggedBundle) -> Met {
        self.authority.judge(Role::Publish, bundle.place, &bundle.signed)
    }

    /// Returns the bundle that holds now what `id` held; none where nothing is left, or the log does not have it.
    pub fn holder(&self, id: BundleId) -> Option<&LoggedBundle> {
        let mut bundle = self.bundle(id)?;
        while let Some(replacement) = bundle.replaced {
            bundle = self.bundle(replacement.new?)?;
        }
        Some(bundle)
    }

    /// Returns the place of a bundle: its first leaf, or that of the first bundle of its line.
    pub fn place(&self, bundle: &LoggedBundle) -> LeafIndex {
        bundle.line.and_then(|first| self.bundle(first)).map_or(bundle.place, |first| first.place)
    }

    /// Walks the bundles of which a file must be there: those that count and that none has replaced.
    pub fn held(&self) -> impl Iterator<Item = &LoggedBundle> {
        self.bundles.iter().filter(|bundle| bundle.counts() && bundle.replaced.is_none())
    }

    /// Walks the places of the archive, in order: the first bundle of each line that counts, and the one that holds its articles now.
    pub fn lines(&self) -> impl Iterator<Item = (&LoggedBundle, Option<&LoggedBundle>)> {
        let first = self.bundles.iter().filter(|bundle| bundle.counts() && bundle.facts.replaces.is_empty());
        first.map(|bundle| (bundle, self.holder(bundle.id)))
    }

    /// Returns the bundles of a line from its first one to the holder.
    pub fn descent(&self, first: BundleId) -> Vec<&LoggedBundle> {
        let mut line: Vec<&LoggedBundle> = self.bundle(first).into_iter().collect();
        while let Some(next) = line.last().and_then(|bundle| self.bundle(bundle.replaced?.new?)) {
            line.push(next);
        }
        line
    }

    /// Says whether nothing is left of what a bundle held.
    pub fn is_gone(&self, first: BundleId) -> bool {
        self.descent(first).last().is_some_and(|last| last.replaced.is_some_and(|replaced| replaced.new.is_none()))
    }

    /// A bundle was read and is not what is left of the one whose place it was to take: that one keeps its place.
    pub fn refuse(&mut self, new: BundleId) {
        for at in 0..self.bundles.len() {
            if self.bundles[at].replaced.is_some_and(|replaced| replaced.new == Some(new)) {
                self.bundles[at].replaced = None;
            }
        }
        if let Some(at) = self.by_id.get(&new) {
            let why = "is not what is left of the bundle whose place it was to take";
            self.bundles[*at].standing = Standing::Void(why.into());
            self.void.push((self.bundles[*at].place, why.into()));
        }
    }

    /// Returns what each of the articles of a line's first bundle became, as far as the bundle `to` of the line.
    pub fn line(&self, first: &LoggedBundle, to: Option<BundleId>) -> Line {
        let mut line = Line { kept: (0..first.facts.articles).collect(), removed: Vec::new() };
        let mut bundle = first;
        while let Some(replacement) = bundle.replaced.filter(|_| Some(bundle.id) != to) {
            for removed in self.replaced_by(bundle.id).into_iter().flat_map(|replaced| replaced.removed.iter().rev()) {
                let at = usize::try_from(removed.position).ok().filter(|at| *at < line.kept.len());
                if let Some(at) = at {
                    line.removed.push((line.kept.remove(at), *removed));
                }
            }
            match replacement.new.and_then(|new| self.bundle(new)) {
                Some(new) => bundle = new,
                None => break,
            }
        }
        line
    }

    /// Returns the id of a withdrawn article by its digest, where a statement tells it.
    pub fn clear_id(&self, key: &Digest) -> Option<&str> {
        self.statements.iter().rev().find_map(|logged| logged.statement.as_ref()?.clear_id(key))
    }

    /// Returns what the statement that counts says of a bundle that was replaced.
    fn replaced_by(&self, old: BundleId) -> Option<&Replaced> {
        let at = self.bundle(old)?.replaced?.leaf;
        let logged = self.statements.iter().find(|logged| logged.leaf == at)?;
        logged.statement.as_ref()?.bundles.iter().find(|replaced| replaced.old == old)
    }

    /// W1: says whether a replacement holds just what is left of the bundle before it, by the leaves of its article tree: put back, the
    /// removed ones lead to the root that was signed first.
    pub fn is_rest(&self, new: &LoggedBundle, leaves: &[Digest]) -> bool {
        let [old] = new.facts.replaces[..] else { return false };
        let (Some(before), Some(replaced)) = (self.bundle(old), self.replaced_by(old)) else { return false };
        replaced.new == Some(new.id) && replaced.put_back(leaves) == Some((before.facts.root, before.facts.articles))
    }

    /// Returns a digest of which bundles below `size` count: a policy may change that afterwards.
    pub fn standing(&self, size: u64) -> Digest {
        let mut hasher = Hasher::new();
        for bundle in self.bundles.iter().filter(|bundle| bundle.place.0 < size && bundle.facts.replaces.is_empty()) {
            hasher.update(bundle.id.0.as_bytes());
            hasher.update(&[u8::from(bundle.counts())]);
        }
        // One that was not there was not heeded.
        for logged in self.statements.iter().filter(|logged| logged.leaf.0 < size && logged.statement.is_none()) {
            hasher.update(logged.digest.as_bytes());
        }
        hasher.finish()
    }

    /// W3: from which place on an article is shown, by the digest of its id: every place, those from a leaf on, or none while a statement
    /// stands. `holds` says whether a bundle that reinstates holds it.
    pub fn shown_from(
        &self,
        id: &Digest,
        holds: &dyn Fn(&LoggedBundle) -> bool,
    ) -> Result<LeafIndex, &LoggedStatement> {
        let mut from = LeafIndex(0);
        for logged in &self.statements {
            let Some(statement) = &logged.statement else { continue };
            if statement.ids.binary_search(id).is_err() {
                continue;
            }
            let again = self.reinstating.get(&logged.digest).into_iter().flatten().map(|at| &self.bundles[*at]);
            let again = again.filter(|bundle| bundle.place > logged.leaf && holds(bundle)).map(|bundle| bundle.place);
            from = from.max(again.min().ok_or(logged)?);
        }
        Ok(from)
    }
}

/// Reads the `.minisig` files that a bundle's leaf makes of signatures: those of these keys, made for this archive.
pub fn leaf_signatures(files: &[Vec<u8>], keys: &[PublicKey], manifest: &[u8], origin: &Origin) -> Vec<LeafSignature> {
    let mut kept = Vec::new();
    for file in files {
        let by = keys.iter().find(|key| is_signed(file, key, manifest, Kind::Manifest, origin));
        if let (Some(key), Ok(signature)) = (by, Signature::decode(file)) {
            kept.extend(logged::keep(key, &signature));
        }
    }
    ordered(kept)
}

/// Returns the bytes of the files of these bundles, as their leaves state them; what a thief states may be more than there is.
pub fn total<'a>(bundles: impl Iterator<Item = &'a LoggedBundle>) -> u64 {
    bundles.fold(0, |sum, bundle| sum.saturating_add(bundle.file_bytes()))
}
