//! Bundles that wait in an archive's `incoming/` for further signatures: no part of any verdict, not mirrored, not served. (FORMAT.md, "The archive")

use std::fs::File;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::archive::{Archive, History, layout};
use crate::folder;
use crate::folder::pack::PackedBundle;
use crate::format::bundle::{self, Bundle};
use crate::ids::{BundleId, LeafIndex};
use crate::keys::Kind;
use crate::path::EntryPath;
use crate::trust::authority::{Met, Signed};
use crate::trust::policy::{Role, is_signed};

use super::Error;

/// A bundle that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Its id.
    pub id: BundleId,
    /// Its file.
    pub file: PathBuf,
    /// Which part of a split pack it is, from 1 on.
    pub part: u64,
    /// Since when it lies there.
    pub since: Option<Timestamp>,
    /// Who has signed it, of those who may publish.
    pub met: Met,
}

/// Returns the bundles that wait, parts of one pack in their order; what is no bundle under its own id is none.
///
/// # Errors
/// Where the folder cannot be read.
pub fn waiting(archive: &Archive, history: &History) -> Result<Vec<Waiting>, Error> {
    let mut found = Vec::new();
    for (id, file, bundle) in Incoming::of(archive)?.bundles {
        let changed = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = changed.and_then(|time| Timestamp::try_from(time).ok());
        let (part, met) = (bundle.manifest().part.map_or(1, |part| part.number), met(archive, history, &bundle));
        found.push(Waiting { id, file, part, since, met });
    }
    found.sort_by_key(|waiting| (waiting.part, waiting.since, waiting.id));
    Ok(found)
}

/// Judges the signatures that a bundle carries as if they were logged now.
fn met(archive: &Archive, history: &History, bundle: &Bundle<File>) -> Met {
    let leaf = LeafIndex(history.size);
    let mut signed = Vec::new();
    for key in history.authority.keys() {
        let mut files = bundle.tail().signatures.iter();
        let by = |file: &bundle::SignatureFile| {
            is_signed(&file.bytes, &key.key, &bundle.tail().manifest, Kind::Manifest, archive.origin())
        };
        if files.any(by) {
            signed.push(Signed { leaf, key: *key.key.as_bytes() });
        }
    }
    history.authority.judge(Role::Publish, leaf, &signed)
}

/// What lies in `incoming/`.
#[derive(Default)]
pub struct Incoming {
    /// The bundles, each in a plain file under its own id.
    pub bundles: Vec<(BundleId, PathBuf, Bundle<File>)>,
    /// The names of what is none.
    pub others: Vec<String>,
}

impl Incoming {
    /// Opens the bundles that lie in an archive's `incoming/`.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn of(archive: &Archive) -> Result<Self, Error> {
        let mut found = Self::default();
        for name in archive.store().list(layout::WAITING)? {
            let file = archive.store().path(&format!("{}/{name}", layout::WAITING));
            // Not what a link or a pipe leads to: anybody may have put it there.
            let is_plain = file.symlink_metadata().is_ok_and(|found| found.is_file());
            let open = is_plain.then(|| File::open(&file).ok()).flatten();
            let bundle = open.and_then(|open| Bundle::open(open).ok());
            match bundle.filter(|bundle| layout::incoming_bundle(bundle.id()).ends_with(&name)) {
                Some(bundle) => found.bundles.push((bundle.id(), file, bundle)),
                None => found.others.push(name),
            }
        }
        Ok(found)
    }
}

/// Lets the bundles of a pack wait. They take the place of what waited of the same source, but for one of the same id, which keeps its signatures.
pub(super) fn keep_waiting(
    archive: &Archive,
    packed: &[PackedBundle],
    source: &EntryPath,
) -> Result<Vec<PathBuf>, Error> {
    let store = archive.store();
    for (id, _, bundle) in Incoming::of(archive)?.bundles {
        let Ok(contents) = bundle.contents() else { continue };
        let first = contents.list.article(0);
        let is_of_source = first.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if is_of_source && packed.iter().all(|new| new.id != id) {
            store.remove(&layout::incoming_bundle(id))?;
        }
    }
    let mut kept = Vec::new();
    for new in packed {
        let place = layout::incoming_bundle(new.id);
        if store.exists(&place) {
            let write = |source| folder::Error::Write { path: new.file.clone(), source };
            std::fs::remove_file(&new.file).map_err(write)?;
        } else {
            store.adopt(&new.file, &place)?;
        }
        kept.push(store.path(&place));
    }
    Ok(kept)
}
