//! Taking a bundle in that was made elsewhere: checked whole, countersigned for this archive, published.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::archive::catalog::Catalog;
use crate::archive::history::LoggedBundle;
use crate::archive::{Pin, Publication, Writer, layout};
use crate::folder;
use crate::folder::rewrite::{self, Target};
use crate::format::bundle::{self, Bundle};
use crate::ids::BundleId;
use crate::keys::{Kind, PublicKey, Signer};
use crate::run::Run;
use crate::store::disk;
use crate::trust::policy::{Role, is_signed};

use super::add::{keys_of, publish_bundle, standing_against};
use super::{Error, follow, wanting};

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposited {
    /// It is logged.
    Logged(BundleId),
    /// The archive has it already.
    There,
    /// It waits in `incoming/` for further signatures.
    Waits {
        /// Its id.
        id: BundleId,
        /// How many signatures it takes.
        needed: u64,
        /// How many there are.
        found: u64,
    },
}

/// Takes a bundle in, signed anew for this archive by `signers`; what others have signed for it already is logged too. Where the policy asks for
/// more signatures, it waits in `incoming/`, with those that there are.
///
/// An article that the archive has gets a new revision, if the bundle was made when the log had that one.
///
/// # Errors
/// Where it is damaged, made for another archive or on another log, replaces a bundle, or holds an article that was withdrawn, or one that the
/// archive has from a bundle which was logged after this one was made.
pub fn deposit(
    writer: &mut Writer<'_>,
    catalog: &mut Catalog,
    path: &Path,
    (signers, pin): (&[&dyn Signer], &Pin),
    time: Timestamp,
    run: Run<'_>,
) -> Result<Deposited, Error> {
    let archive = writer.archive();
    let history = writer.history(pin, run)?;
    follow(archive, catalog, (&history, writer.checkpoint()), run)?;
    let refused = |reason: String| Error::Deposit { path: path.to_owned(), reason };
    let read = |source: io::Error| folder::Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let damaged = |error: bundle::Error| match error {
        bundle::Error::Damaged(finding) => refused(format!("it is damaged: {finding}")),
        other => other.into(),
    };
    let bundle = Bundle::open(file).map_err(damaged)?;
    let manifest = bundle.manifest();
    if history.bundle(bundle.id()).is_some_and(LoggedBundle::counts) {
        archive.store().remove(&layout::incoming_bundle(bundle.id()))?;
        return Ok(Deposited::There);
    }
    if let Some(named) = manifest.archive.as_ref().filter(|named| *named != archive.origin()) {
        return Err(refused(format!("it is made for the archive {named}, not for {}", archive.origin())));
    }
    if !manifest.replaces.is_empty() {
        return Err(refused("it replaces a bundle, which only a withdrawal does".into()));
    }
    let (base, size) = (manifest.base.unwrap_or(0), writer.checkpoint().size);
    if base > size {
        return Err(refused(format!("it was made on a log of {base} leaves, this one has {size}")));
    }
    let publishers: Vec<PublicKey> =
        history.authority.keys_for(Role::Publish).into_iter().map(|known| known.key).collect();
    let signed = bundle.tail().signatures.iter().map(|signature| signature.bytes.clone()).collect::<Vec<_>>();
    let mut keys = keys_of(signers);
    let by = |key: &&PublicKey| {
        signed.iter().any(|file| is_signed(file, key, &bundle.tail().manifest, Kind::Manifest, archive.origin()))
    };
    keys.extend(publishers.iter().filter(by).cloned());
    let mut waits = wanting(&history, Role::Publish, size, &keys)?;
    if !manifest.reinstates.is_empty() {
        let more = wanting(&history, Role::Withdraw, size, &keys)?;
        waits = waits.or(more);
    }
    let contents = bundle.contents().map_err(damaged)?;
    for n in 0..contents.list.article_count() {
        let id = contents.id(n);
        if standing_against(&history, catalog, id)?.is_some_and(|logged| !manifest.reinstates.contains(&logged.digest))
        {
            return Err(refused(format!("the article {id:?} was withdrawn")));
        }
        if catalog.current(id)?.is_some_and(|current| current.number.place.0 >= base) {
            return Err(Error::Conflict { path: path.to_owned(), id: id.to_owned() });
        }
    }
    let copy = archive.store().path(&format!("{}/{}.tar.zst", layout::INCOMING, bundle.id()));
    let write = |source| folder::Error::Write { path: copy.clone(), source };
    std::fs::create_dir_all(archive.store().path(layout::INCOMING)).map_err(write)?;
    // Proves it, every byte: the copy, since what was read may change meanwhile.
    match rewrite::sign(&bundle, Target::New(&copy, disk::PUBLIC), Some(archive.origin()), time, signers, run) {
        Err(folder::Error::Bundle(error)) => return Err(damaged(error)),
        other => other?,
    };
    let waiting = layout::incoming_bundle(bundle.id());
    if let Some((needed, found)) = waits {
        let store = archive.store();
        store.adopt(&copy, &waiting)?;
        return Ok(Deposited::Waits { id: bundle.id(), needed, found });
    }
    let mut publication = Publication::default();
    let id = publish_bundle(&mut publication, &copy, &keys, archive.origin())?;
    writer.publish(publication)?;
    archive.store().remove(&waiting)?;
    follow(archive, catalog, (&writer.history(pin, run)?, writer.checkpoint()), run)?;
    Ok(Deposited::Logged(id))
}
