//! Taking an article out: a signed statement, a leaf, and for each bundle that held it one that holds the rest. (FORMAT.md, "Withdrawal")

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::archive::catalog::Catalog;
use crate::archive::{Publication, Writer, layout};
use crate::digest::Digest;
use crate::folder::extract::{Extraction, Shape};
use crate::folder::pack::{PackOptions, pack};
use crate::folder::walk::WalkOptions;
use crate::format::bundle::{Bundle, Scope};
use crate::format::leaf::Leaf;
use crate::format::withdrawal::Withdrawal;
use crate::ids::BundleId;
use crate::keys::{Comment, Kind, Signature, Signer};
use crate::pipeline::processors;
use crate::store::Object;
use crate::watch::Watch;

use super::add::{keys_of, publish_bundle};
use super::{Error, follow};

/// Withdraws an article, all revisions of it; returns the statement's digest and what it says.
///
/// # Errors
/// Where there is no such article, or anything cannot be read or written; the archive then holds what it held.
pub fn withdraw(
    writer: &mut Writer<'_>,
    catalog: &mut Catalog,
    id: &str,
    reason: &str,
    signers: &[&dyn Signer],
    time: Timestamp,
    watch: &dyn Watch,
) -> Result<(Digest, Withdrawal), Error> {
    let archive = writer.archive();
    follow(archive, catalog, writer.checkpoint(), watch)?;
    if catalog.current(id)?.is_none() && catalog.withdrawn(id)?.is_some() {
        return Err(Error::Withdrawn(id.to_owned()));
    }
    let mut holders: BTreeMap<u64, BundleId> = BTreeMap::new();
    for revision in catalog.history(id)?.into_iter().filter(|revision| !revision.withdrawn) {
        let row = catalog.resolve(revision.bundle)?.ok_or(Error::NoBundle(revision.bundle))?;
        holders.insert(row.leaf, row.id);
    }
    if holders.is_empty() {
        return Err(Error::NoArticle(id.to_owned()));
    }
    let mut publication = Publication::default();
    let mut statement = Withdrawal {
        archive: archive.origin().clone(),
        article: id.to_owned(),
        reason: reason.to_owned(),
        bundles: Vec::new(),
    };
    for old in holders.into_values() {
        let bundle = super::prove::open_bundle(archive, catalog, old)?;
        let new = rest(writer, &bundle, id, signers, time, watch)?;
        let new =
            new.map(|file| publish_bundle(&mut publication, &file, &keys_of(signers), archive.origin())).transpose()?;
        statement.bundles.push((old, new));
    }
    let text = statement.to_string();
    let digest = Digest::of(text.as_bytes());
    let mut signatures = Vec::new();
    for signer in signers {
        let comment = Comment::new(Kind::Withdraw, Some(archive.origin().as_str()), digest, time)?;
        let signature = Signature::sign(*signer, text.as_bytes(), &comment)?;
        let place = layout::statement_signature(&digest, &signer.public().id().to_string());
        let signature = signature.to_string().into_bytes();
        signatures.push((*signer.public().as_bytes(), Digest::of(&signature)));
        publication.files.push((place, signature));
    }
    signatures.sort();
    signatures.dedup_by_key(|(key, _)| *key);
    // The caches would still call the article unchanged.
    for name in archive.store().list(layout::SEEN)? {
        archive.store().remove(&format!("{}/{name}", layout::SEEN))?;
    }
    publication.files.push((layout::statement(&digest), text.into_bytes()));
    publication.leaves.push(Leaf::Withdraw { statement: digest, signatures });
    writer.publish(publication)?;
    follow(archive, catalog, writer.checkpoint(), watch)?;
    Ok((digest, statement))
}

/// Makes the bundle that holds the rest, byte for byte; `None` where nothing is left.
fn rest(
    writer: &Writer<'_>,
    bundle: &Bundle<Object>,
    id: &str,
    signers: &[&dyn Signer],
    time: Timestamp,
    watch: &dyn Watch,
) -> Result<Option<std::path::PathBuf>, Error> {
    let contents = bundle.contents()?;
    let mut keep = vec![true; contents.list.len()];
    for revision in crate::archive::revisions(bundle, &contents)?.iter().filter(|revision| revision.id == id) {
        revision.line_numbers.iter().for_each(|&line| keep[line] = false);
    }
    if !keep.contains(&true) {
        return Ok(None);
    }
    let store = writer.archive().store();
    let folder = store.path(&format!("{}/rest-{}", layout::INCOMING, bundle.id()));
    let mut extraction = Extraction::begin(&folder, Shape::Folders, false)?;
    extraction.add(bundle, &contents, Scope::Lines(&keep), processors(), watch)?;
    extraction.finish(false)?;
    let manifest = bundle.manifest();
    let options = PackOptions {
        archive: Some(writer.archive().origin().clone()),
        walk: WalkOptions { allow_percent: true, all: true, ..WalkOptions::default() },
        bundle_bytes: u64::MAX,
        base: manifest.base,
        replaces: vec![bundle.id()],
        ..PackOptions::new(manifest.name.clone(), manifest.title.clone(), time)
    };
    let packed = pack(&folder, &store.path(layout::INCOMING), &options, signers, watch);
    let removed = std::fs::remove_dir_all(&folder);
    let packed = packed?;
    removed.map_err(|source| crate::folder::Error::Write { path: folder, source })?;
    let expected: String =
        (0..contents.list.len()).filter(|&line| keep[line]).map(|line| contents.list.line(line)).collect();
    match packed.bundles.as_slice() {
        [one] if one.manifest.checksums == Digest::of(expected.as_bytes()) => Ok(Some(one.file.clone())),
        _ => Err(Error::Rest(format!("bundle {}", bundle.id()))),
    }
}
