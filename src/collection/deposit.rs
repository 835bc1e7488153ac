//! Taking a bundle in that was made elsewhere: checked whole, countersigned for this archive, published.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::archive::catalog::Catalog;
use crate::archive::{Publication, Writer, layout};
use crate::folder;
use crate::folder::rewrite::{self, Target};
use crate::format::bundle::{Bundle, check};
use crate::ids::BundleId;
use crate::keys::{PublicKey, Signer};
use crate::pipeline::processors;
use crate::store::disk;
use crate::watch::Watch;

use super::add::{keys_of, publish_bundle};
use super::{Error, follow};

/// Takes a bundle in, signed anew for this archive by `signers`; what `others` have signed for it already is logged too. Returns its id; `None` where the archive has it already.
///
/// # Errors
/// Where it is damaged, made for another archive, or holds an article of an id that the archive has already or has withdrawn.
pub fn deposit(
    writer: &mut Writer<'_>,
    catalog: &mut Catalog,
    path: &Path,
    (signers, others): (&[&dyn Signer], &[PublicKey]),
    time: Timestamp,
    watch: &dyn Watch,
) -> Result<Option<BundleId>, Error> {
    let archive = writer.archive();
    follow(archive, catalog, writer.checkpoint(), watch)?;
    let refused = |reason: String| Error::Deposit { path: path.to_owned(), reason };
    let read = |source: io::Error| folder::Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let report = check(&file, processors(), watch)?;
    if let Some(finding) = report.findings.first() {
        return Err(refused(format!("it is damaged: {finding}")));
    }
    let bundle = Bundle::open(file)?;
    if catalog.bundle(bundle.id())?.is_some() {
        return Ok(None);
    }
    if let Some(named) = bundle.manifest().archive.as_ref().filter(|named| *named != archive.origin()) {
        return Err(refused(format!("it is made for the archive {named}, not for {}", archive.origin())));
    }
    let contents = bundle.contents()?;
    for revision in crate::archive::revisions(&bundle, &contents)? {
        if catalog.current(&revision.id)?.is_some() {
            return Err(refused(format!("the archive has an article {:?} already", revision.id)));
        }
        if catalog.withdrawn(&revision.id)?.is_some() {
            return Err(refused(format!("the article {:?} was withdrawn", revision.id)));
        }
    }
    let copy = archive.store().path(&format!("{}/{}.tar.zst", layout::INCOMING, bundle.id()));
    let write = |source| folder::Error::Write { path: copy.clone(), source };
    std::fs::create_dir_all(archive.store().path(layout::INCOMING)).map_err(write)?;
    rewrite::sign(&bundle, Target::New(&copy, disk::PUBLIC), Some(archive.origin()), time, signers)?;
    let mut publication = Publication::default();
    let mut keys = keys_of(signers);
    keys.extend_from_slice(others);
    let id = publish_bundle(&mut publication, &copy, &keys, archive.origin())?;
    writer.publish(publication)?;
    follow(archive, catalog, writer.checkpoint(), watch)?;
    Ok(Some(id))
}
