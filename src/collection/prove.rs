//! Proofs of single articles, made from an archive and checked with nothing but the log's public key. (FORMAT.md, "Proofs")
//!
//! The log proves the leaf of the bundle, the leaf carries the manifest, and the manifest's article tree proves the article. What a withdrawal
//! left of a bundle is proved by the bundle that was logged first, whose tree the leaves that are left restore.

use crate::archive::catalog::Catalog;
use crate::archive::history::LoggedBundle;
use crate::archive::{Archive, History};
use crate::digest::Digest;
use crate::format::bundle::Contents;
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::{Leaf, LeafSignature};
use crate::format::manifest::Manifest;
use crate::format::proof::{Extra, MAX_LINES_BYTES, Proof};
use crate::format::tree;
use crate::ids::{BundleId, LeafIndex};
use crate::keys::{Note, VerifierKey};
use crate::merkle;

use super::{Error, open_holder};

/// Makes the proof that an article's current revision was logged.
///
/// # Errors
/// Where there is no such article, or log and bundle do not agree.
pub fn prove_article(
    archive: &Archive,
    catalog: &Catalog,
    history: &History,
    (checkpoint, note): (&Checkpoint, &str),
    id: &str,
) -> Result<Proof, Error> {
    let revision = catalog.current(id)?.ok_or_else(|| Error::NoArticle(id.to_owned()))?;
    let first = history.bundle(revision.bundle).ok_or(Error::NoBundle(revision.bundle))?;
    let (_, contents, holder) = open_holder(archive, history, first.id)?.ok_or(Error::NoBundle(first.id))?;
    let disagree = || crate::archive::Error::Log(format!("leaf {} is not what its bundle yields", first.place));
    let n = (0..contents.list.article_count()).find(|&n| contents.id(n) == id).ok_or_else(disagree)?;
    let lines = contents.list.lines_text(n).to_owned();
    if lines.len() > MAX_LINES_BYTES {
        return Err(Error::ManyFiles(id.to_owned()));
    }
    let leaves = first_leaves(history, first, (holder, &contents));
    let position = revision.number.position;
    if leaves.get(position as usize) != Some(&tree::leaf(id, &lines)) || tree::root(&leaves) != first.facts.root {
        return Err(disagree().into());
    }
    let mut log = archive.log(checkpoint);
    let extra = Extra {
        leaf: log.entry(first.place.0)?,
        id: id.to_owned(),
        lines,
        path: Some((position, tree::path(&leaves, position as usize))),
        ..Extra::default()
    };
    let hashes = log.inclusion(first.place.0)?;
    Ok(Proof { extra, index: first.place.0, hashes, checkpoint: note.to_owned() })
}

/// Returns the leaves of a line's first article tree, from what is left of it and from the statements that took the others out.
fn first_leaves(history: &History, first: &LoggedBundle, (holder, left): (&LoggedBundle, &Contents)) -> Vec<Digest> {
    let line = history.line(first, Some(holder.id));
    let mut leaves = vec![merkle::empty_root(); line.kept.len() + line.removed.len()];
    let mut put = |position: u64, leaf: Digest| {
        if let Some(place) = usize::try_from(position).ok().and_then(|at| leaves.get_mut(at)) {
            *place = leaf;
        }
    };
    for (n, position) in line.kept.iter().enumerate().take(left.list.article_count()) {
        put(*position, tree::leaf(left.id(n), left.list.lines_text(n)));
    }
    for (position, removed) in &line.removed {
        put(*position, tree::leaf_of(&removed.id, &removed.lines));
    }
    leaves
}

/// What a proof has been found to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The article's id.
    pub article: String,
    /// The paths in its bundle that have the file's bytes.
    pub paths: Vec<String>,
    /// The bundle.
    pub bundle: BundleId,
    /// Its manifest.
    pub manifest: Manifest,
    /// The signatures that the leaf carries; nobody has judged them yet.
    pub signatures: Vec<LeafSignature>,
    /// The leaf's index.
    pub index: LeafIndex,
    /// The log's origin and size.
    pub checkpoint: Checkpoint,
}

/// Why a proof does not prove a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disproof {
    /// The checkpoint is not signed by the log's key, or malformed.
    #[error("the checkpoint: {0}")]
    Checkpoint(String),
    /// The leaf is not in the log.
    #[error("the leaf: {0}")]
    Leaf(String),
    /// Id or lines are not those of an article of the bundle.
    #[error("the article: {0}")]
    Article(String),
    /// The file is none of the article's.
    #[error("the file's digest {0} is none of the article's")]
    File(Digest),
}

/// Checks that a file of this digest was part of an article of a bundle that `log` has logged.
///
/// # Errors
/// Names what does not hold.
pub fn verify_proof(proof: &Proof, log: &VerifierKey, file: Digest) -> Result<Proved, Disproof> {
    let note = Note::parse(proof.checkpoint.as_bytes()).map_err(|error| Disproof::Checkpoint(error.to_string()))?;
    let text = note.verified(log).map_err(|error| Disproof::Checkpoint(error.to_string()))?;
    let checkpoint = Checkpoint::parse(text).map_err(|fault| Disproof::Checkpoint(fault.to_string()))?;
    if checkpoint.origin.as_str() != log.name() {
        return Err(Disproof::Checkpoint(format!("is of {}, expected {}", checkpoint.origin, log.name())));
    }
    let hash = merkle::leaf_hash(&proof.extra.leaf);
    merkle::verify_inclusion(&hash, proof.index, checkpoint.size, &proof.hashes, &checkpoint.root)
        .map_err(|fault| Disproof::Leaf(fault.to_string()))?;
    let leaf = Leaf::decode(&proof.extra.leaf).map_err(|fault| Disproof::Leaf(fault.to_string()))?;
    let Leaf::Bundle { manifest, signatures, .. } = leaf else {
        return Err(Disproof::Leaf("is not a bundle's".into()));
    };
    proof.extra.check_article(&manifest).map_err(|fault| Disproof::Article(fault.to_string()))?;
    let paths = proof.extra.paths_of(&file);
    if paths.is_empty() {
        return Err(Disproof::File(file));
    }
    Ok(Proved {
        article: proof.extra.id.clone(),
        paths,
        bundle: BundleId(Digest::of(manifest.to_string().as_bytes())),
        manifest: *manifest,
        signatures,
        index: LeafIndex(proof.index),
        checkpoint,
    })
}
