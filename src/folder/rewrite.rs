//! Replacing a bundle's file by one that says the same: signed by more keys, or compressed otherwise.
//!
//! The new file is made beside the old one, proved, brought to disk, and only then put in its place. A bundle that is replaced is locked
//! from before it is read, so that of two who sign it at once neither loses a signature.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use jiff::Timestamp;

use crate::format::bundle::{self, Bundle, Contents, Nobody, Scope, Source, countersign, prove, recompress};
use crate::ids::{KeyId, Origin};
use crate::keys::{Signature, Signer};
use crate::run::Run;
use crate::store::disk::{self, Links, Rewrite};
use crate::trust;

use super::Error;
use super::pack::sign_manifest;

/// Where a bundle's new file goes.
pub enum Target<'a> {
    /// To a path where nothing is, with this mode.
    New(&'a Path, u32),
    /// In the place of the one that was read.
    InPlace(Rewrite),
}

/// Locks a bundle's file that is to be replaced, or the one that a link leads to; what is read from now on is what will be replaced.
///
/// # Errors
/// [`Error::Cancelled`] where the watch asks to stop while another process has the lock; where there is no regular file.
pub fn lock(path: &Path, run: Run<'_>) -> Result<Rewrite, Error> {
    Rewrite::begin(path, Links::Follow, run).map_err(|source| match source.kind() {
        io::ErrorKind::Interrupted => Error::Cancelled,
        _ => Error::Read { path: path.to_owned(), source },
    })
}

/// Adds signatures to a bundle and writes it to `target`; a signer that has signed already signs anew. Returns the new size, in bytes.
///
/// The signatures are made for `archive`, by default the one that the manifest names. What was written is proved, every byte of it, before it
/// gets its name: the file that was read may change meanwhile.
///
/// # Errors
/// Where signing, reading or writing fails, or the bundle is not whole; the old file is then as it was.
pub fn sign<S: Source>(
    bundle: &Bundle<S>,
    target: Target<'_>,
    archive: Option<&Origin>,
    time: Timestamp,
    signers: &[&dyn Signer],
    run: Run<'_>,
) -> Result<u64, Error> {
    refuse_malformed_signatures(bundle)?;
    let text = String::from_utf8_lossy(&bundle.tail().manifest).into_owned();
    let archive = archive.or(bundle.manifest().archive.as_ref());
    let added = sign_manifest(&text, archive, time, signers)?;
    let mut signatures = bundle.tail().signatures.clone();
    signatures.retain(|old| added.iter().all(|new| new.key_id != old.key_id));
    signatures.extend(added);
    rewrite(
        target,
        |out| countersign(bundle, signatures, out).map(|(_, bytes)| bytes),
        |new, contents| prove(new, contents, Scope::Everything, &Nobody, run),
    )
}

/// Returns for which other archive one of the signers has signed a bundle: its file holds one signature of a key, and a new one would take the
/// place of that.
pub fn signed_elsewhere<S: Source>(
    bundle: &Bundle<S>,
    archive: Option<&Origin>,
    signers: &[&dyn Signer],
) -> Option<(KeyId, String)> {
    let archive = archive.or(bundle.manifest().archive.as_ref()).map(Origin::as_str);
    signers.iter().find_map(|signer| {
        let id = signer.public().id();
        let file = bundle.tail().signatures.iter().find(|file| file.key_id == id.to_string())?;
        let signature = Signature::decode(&file.bytes).ok()?;
        signature.verify(signer.public(), &bundle.tail().manifest).ok()?;
        let comment = signature.comment().ok()?;
        (comment.archive() != archive).then(|| (id, comment.archive().unwrap_or("no archive").to_owned()))
    })
}

/// Refuses to carry on signature files that every reader refuses.
pub(super) fn refuse_malformed_signatures<S: Source>(bundle: &Bundle<S>) -> Result<(), Error> {
    let finding = trust::form_findings(bundle.tail()).into_iter().next();
    finding.map_or(Ok(()), |finding| Err(bundle::Error::from(finding).into()))
}

/// Compresses a proved bundle anew and writes it to `target`. Returns the new size, in bytes.
///
/// # Errors
/// Where the bundle is not whole, or reading or writing fails; what was there is then as it was.
pub fn compress_anew<S: Source>(
    bundle: &Bundle<S>,
    contents: &Contents,
    target: Target<'_>,
    level: i32,
    frame_bytes: u64,
    run: Run<'_>,
) -> Result<u64, Error> {
    refuse_malformed_signatures(bundle)?;
    prove(bundle, contents, Scope::Everything, &Nobody, run)?;
    rewrite(
        target,
        |out| recompress(bundle, contents, level, frame_bytes, out, run).map(|(_, bytes)| bytes),
        |_, _| Ok(()),
    )
}

/// Makes a bundle's file, proves that it can be opened and what else is asked of it, and puts it in place.
fn rewrite(
    target: Target<'_>,
    make: impl FnOnce(BufWriter<File>) -> Result<u64, bundle::Error>,
    look: impl FnOnce(&Bundle<File>, &Contents) -> Result<(), bundle::Error>,
) -> Result<u64, Error> {
    let path = match &target {
        Target::New(path, _) => path.to_path_buf(),
        Target::InPlace(rewrite) => rewrite.path().to_owned(),
    };
    let write = |source| Error::Write { path: path.clone(), source };
    let file = match &target {
        Target::New(path, mode) => disk::unfinished(disk::parent(path), *mode),
        Target::InPlace(rewrite) => rewrite.unfinished(),
    };
    let file = file.map_err(write)?;
    let bytes = make(BufWriter::with_capacity(1 << 20, file.reopen().map_err(write)?))?;
    let new = Bundle::open(file.as_file().try_clone().map_err(write)?)?;
    look(&new, &new.contents()?)?;
    let named = match target {
        Target::New(path, _) => disk::name(file, path),
        Target::InPlace(rewrite) => rewrite.finish(file),
    };
    match named {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(path)),
        other => other.map(|()| bytes).map_err(write),
    }
}
