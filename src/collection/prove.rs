//! Proofs of single articles, made from an archive and checked with nothing but the log's public key. (FORMAT.md, "Proofs")

use crate::archive::Archive;
use crate::archive::catalog::Catalog;
use crate::digest::Digest;
use crate::format::bundle::Bundle;
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::Leaf;
use crate::format::manifest::Manifest;
use crate::format::proof::{Extra, MAX_LINES_BYTES, Proof};
use crate::ids::BundleId;
use crate::keys::{Note, VerifierKey};
use crate::merkle;
use crate::store::Object;

use super::Error;

/// Opens the bundle that holds now what `id` held.
///
/// # Errors
/// Where its file is gone or cannot be read.
pub fn open_bundle(archive: &Archive, catalog: &Catalog, id: BundleId) -> Result<Bundle<Object>, Error> {
    let row = catalog.resolve(id)?.ok_or(Error::NoBundle(id))?;
    let bundle = Bundle::open(archive.store().open(&row.file)?)?;
    if bundle.id() == row.id { Ok(bundle) } else { Err(Error::NoBundle(id)) }
}

/// Returns leaf, key and digest of each signature that the log has of a bundle, each proved to be in the log.
///
/// # Errors
/// Where the tiles cannot be read.
pub fn signature_leaves(
    archive: &Archive,
    catalog: &Catalog,
    checkpoint: &Checkpoint,
    id: BundleId,
) -> Result<Vec<(u64, [u8; 32], Digest)>, Error> {
    let Some((row, _)) = catalog.bundle(id)? else { return Ok(Vec::new()) };
    let mut log = archive.log(checkpoint);
    let mut found = Vec::new();
    // They follow the leaves of the bundle's articles.
    for index in row.leaf + 1 + row.articles..checkpoint.size {
        let leaf = log.leaf(index)?;
        let Leaf::Signature { bundle, key, file } = leaf else { break };
        if bundle == id && is_logged(archive, checkpoint, index, &leaf)? {
            found.push((index, key, file));
        }
    }
    Ok(found)
}

/// Makes the proof that an article's current revision was logged.
///
/// # Errors
/// Where there is no such article, or log and bundle do not agree.
pub fn prove_article(
    archive: &Archive,
    catalog: &Catalog,
    (checkpoint, note): (&Checkpoint, &str),
    id: &str,
    signed: bool,
) -> Result<Proof, Error> {
    let revision = match catalog.current(id)? {
        Some(revision) => revision,
        None if catalog.withdrawn(id)?.is_some() => return Err(Error::Withdrawn(id.to_owned())),
        None => return Err(Error::NoArticle(id.to_owned())),
    };
    let mut log = archive.log(checkpoint);
    let leaf = log.entry(revision.leaf)?;
    let bundle = open_bundle(archive, catalog, revision.bundle)?;
    let contents = bundle.contents()?;
    let lines: String = contents.list.article_lines(&revision.path).map(|line| contents.list.line(line)).collect();
    if Digest::of(lines.as_bytes()) != revision.lines {
        return Err(crate::archive::Error::Log(format!("leaf {} is not what its bundle yields", revision.leaf)).into());
    }
    let mut extra = Extra { leaf, id: id.to_owned(), lines, ..Extra::default() };
    if signed {
        extra.manifest = bundle.tail().manifest.clone();
        extra.signatures = bundle.tail().signatures.iter().map(|signature| signature.bytes.clone()).collect();
    }
    let proof =
        Proof { extra, index: revision.leaf, hashes: log.inclusion(revision.leaf)?, checkpoint: note.to_owned() };
    Ok(proof)
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
    /// The leaf's index.
    pub index: u64,
    /// The log's origin and size.
    pub checkpoint: Checkpoint,
    /// The manifest that the proof carries, if it is the bundle's.
    pub manifest: Option<Manifest>,
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
    /// Id or lines are not what the leaf commits to.
    #[error("the article's {0} is not what the leaf commits to")]
    Article(&'static str),
    /// The file is none of the article's.
    #[error("the file's digest {0} is none of the article's")]
    File(Digest),
}

/// Checks that a file of this digest was part of an article that `log` has logged.
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
    let Leaf::Article { id, lines, bundle } = leaf else { return Err(Disproof::Leaf("is not an article's".into())) };
    if Digest::of(proof.extra.id.as_bytes()) != id {
        return Err(Disproof::Article("id"));
    }
    debug_assert!(proof.extra.lines.len() <= MAX_LINES_BYTES, "capped where it is read");
    if Digest::of(proof.extra.lines.as_bytes()) != lines {
        return Err(Disproof::Article("lines"));
    }
    let paths = proof.extra.paths_of(&file);
    if paths.is_empty() {
        return Err(Disproof::File(file));
    }
    let manifest = match proof.extra.manifest.as_slice() {
        [] => None,
        bytes if Digest::of(bytes) == bundle.0 => Manifest::decode(bytes).ok(),
        _ => return Err(Disproof::Article("manifest")),
    };
    Ok(Proved { article: proof.extra.id.clone(), paths, bundle, index: proof.index, checkpoint, manifest })
}

/// Says whether an article's leaf is in the log of the checkpoint.
///
/// # Errors
/// Where the tiles cannot be read.
pub fn is_logged(archive: &Archive, checkpoint: &Checkpoint, index: u64, leaf: &Leaf) -> Result<bool, Error> {
    let mut log = archive.log(checkpoint);
    if index >= checkpoint.size || log.entry(index)? != leaf.to_string().as_bytes() {
        return Ok(false);
    }
    let hash = merkle::leaf_hash(leaf.to_string().as_bytes());
    let proof = log.inclusion(index)?;
    Ok(merkle::verify_inclusion(&hash, index, checkpoint.size, &proof, &checkpoint.root).is_ok())
}
