//! Taking articles out: a signed statement, a leaf, and for each bundle that held one of them another that holds the rest. (FORMAT.md,
//! "Withdrawal")

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::archive::catalog::Catalog;
use crate::archive::history::LoggedBundle;
use crate::archive::{Archive, Pin, Publication, Writer, layout};
use crate::digest::Digest;
use crate::folder::extract::Extraction;
use crate::folder::pack::{PackOptions, pack};
use crate::folder::walk::WalkOptions;
use crate::format::bundle::{Bundle, Contents, Scope};
use crate::format::leaf::{self, Leaf};
use crate::format::withdrawal::{RemovedLeaf, Replaced, Withdrawal};
use crate::ids::LeafIndex;
use crate::keys::{Comment, Kind, Signature, Signer};
use crate::run::Run;
use crate::store::Object;
use crate::trust::logged;
use crate::trust::policy::Role;

use super::add::{keys_of, publish_bundle, standing_against};
use super::{Error, follow, open_holder, require};

/// What is withdrawn, and what the statement tells of it.
#[derive(Debug, Clone, Copy)]
pub struct WithdrawOptions<'a> {
    /// Ids of articles.
    pub ids: &'a [String],
    /// Whether the statement tells the ids, and not their digests alone.
    pub clear: bool,
    /// Why; one line, which everybody can read.
    pub reason: Option<&'a str>,
    /// When.
    pub time: Timestamp,
}

/// Withdraws articles, all revisions of them; returns the statement's digest and what it says.
///
/// # Errors
/// Where one of them is not there, the signers may not withdraw, or anything cannot be read or written; the archive then holds what it held.
pub fn withdraw(
    writer: &mut Writer<'_>,
    catalog: &mut Catalog,
    options: &WithdrawOptions<'_>,
    (signers, pin): (&[&dyn Signer], &Pin),
    run: Run<'_>,
) -> Result<(Digest, Withdrawal), Error> {
    let archive = writer.archive();
    let history = writer.history(pin, run)?;
    follow(archive, catalog, (&history, writer.checkpoint()), run)?;
    let size = writer.checkpoint().size;
    require(&history, Role::Withdraw, size, &keys_of(signers))?;
    let mut holders: BTreeMap<LeafIndex, &LoggedBundle> = BTreeMap::new();
    for id in options.ids {
        if standing_against(&history, catalog, id)?.is_some() {
            return Err(Error::Withdrawn(id.clone()));
        }
        let revisions = catalog.history(id)?;
        if revisions.iter().all(|revision| revision.withdrawn) {
            return Err(Error::NoArticle(id.clone()));
        }
        for revision in revisions.iter().filter(|revision| !revision.withdrawn) {
            if let Some(first) = history.bundle(revision.bundle) {
                holders.insert(first.place, first);
            }
        }
    }
    let ids: BTreeSet<Digest> = options.ids.iter().map(|id| Digest::of(id.as_bytes())).collect();
    let mut publication = Publication::default();
    let mut clear = if options.clear { options.ids.to_vec() } else { Vec::new() };
    clear.sort();
    clear.dedup();
    let mut statement = Withdrawal {
        archive: archive.origin().clone(),
        size,
        ids: ids.iter().copied().collect(),
        clear,
        reason: options.reason.map(str::to_owned),
        bundles: Vec::new(),
    };
    for first in holders.into_values() {
        let Some((bundle, contents, old)) = open_holder(archive, &history, first.id)? else { continue };
        let removed = removed_leaves(&contents, &ids);
        let new = rest(archive, (&bundle, &contents), &removed, (signers, options.time), run)?;
        let keys = keys_of(signers);
        let new = new.map(|file| publish_bundle(&mut publication, &file, &keys, archive.origin())).transpose()?;
        statement.bundles.push(Replaced { old: old.id, new, removed });
    }
    statement.bundles.sort_by_key(|replaced| replaced.old);
    let text = statement.to_string();
    let digest = Digest::of(text.as_bytes());
    let mut signatures = Vec::new();
    for signer in signers {
        let comment = Comment::new(Kind::Withdraw, Some(archive.origin().as_str()), digest, options.time)?;
        let signature = Signature::sign(*signer, text.as_bytes(), &comment)?;
        let place = layout::statement_signature(&digest, &signer.public().id().to_string());
        signatures.extend(logged::keep(signer.public(), &signature));
        publication.files.push((place, signature.to_string().into_bytes()));
    }
    // The caches would still call the articles unchanged.
    for name in archive.store().list(layout::SEEN)? {
        archive.store().remove(&format!("{}/{name}", layout::SEEN))?;
    }
    publication.files.push((layout::statement(&digest), text.into_bytes()));
    publication.leaves.push(Leaf::Withdraw { statement: digest, signatures: leaf::ordered(signatures) });
    writer.publish(publication)?;
    follow(archive, catalog, (&writer.history(pin, run)?, writer.checkpoint()), run)?;
    Ok((digest, statement))
}

/// Opens the leaves of a bundle's article tree that go.
fn removed_leaves(contents: &Contents, ids: &BTreeSet<Digest>) -> Vec<RemovedLeaf> {
    let list = &contents.list;
    let leaf = |n: usize| RemovedLeaf {
        position: n as u64,
        id: Digest::of(contents.id(n).as_bytes()),
        lines: Digest::of(list.lines_text(n).as_bytes()),
    };
    (0..list.article_count()).map(leaf).filter(|leaf| ids.contains(&leaf.id)).collect()
}

/// Makes the bundle that holds the rest, byte for byte; `None` where nothing is left.
fn rest(
    archive: &Archive,
    (bundle, contents): (&Bundle<Object>, &Contents),
    removed: &[RemovedLeaf],
    (signers, time): (&[&dyn Signer], Timestamp),
    run: Run<'_>,
) -> Result<Option<std::path::PathBuf>, Error> {
    let mut keep = vec![true; contents.list.len()];
    for leaf in removed {
        contents.list.lines(leaf.position as usize).for_each(|line| keep[line] = false);
    }
    if !keep.contains(&true) {
        return Ok(None);
    }
    let store = archive.store();
    let folder = store.path(&format!("{}/rest-{}", layout::INCOMING, bundle.id()));
    let mut extraction = Extraction::begin(&folder, false)?;
    extraction.add(bundle, contents, Scope::Lines(&keep), run)?;
    extraction.finish(false)?;
    let manifest = bundle.manifest();
    let options = PackOptions {
        archive: manifest.archive.clone(),
        walk: WalkOptions { allow_percent: true, all: true, ..WalkOptions::default() },
        bundle_bytes: u64::MAX,
        base: manifest.base,
        replaces: vec![bundle.id()],
        reinstates: manifest.reinstates.clone(),
        ..PackOptions::new(manifest.name.clone(), manifest.title.clone(), time)
    };
    let packed = pack(&folder, &store.path(layout::INCOMING), &options, signers, run);
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
