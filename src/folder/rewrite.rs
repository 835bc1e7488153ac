//! Replacing a bundle's file by one that says the same: signed by more keys, or compressed otherwise.
//!
//! The new file is made beside the old one, proved, brought to disk, and only then put in its place.

use std::fs::File;
use std::io::BufWriter;
use std::num::NonZeroUsize;
use std::path::Path;

use jiff::Timestamp;
use tempfile::NamedTempFile;

use crate::format::bundle::{Bundle, Contents, Nobody, Scope, Source, countersign, prove, recompress};
use crate::format::manifest::Origin;
use crate::keys::Signer;
use crate::watch::Watch;

use super::pack::sign_manifest;
use super::{Error, publish};

/// Adds signatures to a bundle and writes it to `path`, its own place or another; a signer that has signed already signs anew. Returns the new size, in bytes.
///
/// The signatures are made for `archive`, by default the one that the manifest names.
///
/// # Errors
/// Where signing, reading or writing fails; the old file is then as it was.
pub fn sign<S: Source>(
    bundle: &Bundle<S>,
    path: &Path,
    archive: Option<&Origin>,
    time: Timestamp,
    signers: &[&dyn Signer],
) -> Result<u64, Error> {
    let text = String::from_utf8_lossy(&bundle.tail().manifest).into_owned();
    let archive = archive.or(bundle.manifest().archive.as_ref());
    let added = sign_manifest(&text, archive, time, signers)?;
    let mut signatures = bundle.tail().signatures.clone();
    signatures.retain(|old| added.iter().all(|new| new.key_id != old.key_id));
    signatures.extend(added);
    rewrite(path, |out| countersign(bundle, signatures, out).map(|(_, bytes)| bytes))
}

/// Compresses a proved bundle anew and writes it to `path`. Returns the new size, in bytes.
///
/// # Errors
/// Where the bundle is not whole, or reading or writing fails; what was at `path` is then as it was.
pub fn compress_anew<S: Source>(
    bundle: &Bundle<S>,
    contents: &Contents,
    path: &Path,
    level: i32,
    frame_bytes: u64,
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<u64, Error> {
    prove(bundle, contents, Scope::Everything, &Nobody, threads, watch)?;
    rewrite(path, |out| recompress(bundle, contents, level, frame_bytes, threads, out, watch).map(|(_, bytes)| bytes))
}

/// Makes a file's replacement, proves that it can be opened, and puts it in place.
fn rewrite(
    path: &Path,
    make: impl FnOnce(BufWriter<File>) -> Result<u64, crate::format::bundle::Error>,
) -> Result<u64, Error> {
    let path = publish::resolved(path);
    let write = |source| Error::Write { path: path.clone(), source };
    let file: NamedTempFile = publish::unnamed(publish::parent(&path))?;
    let bytes = make(BufWriter::with_capacity(1 << 20, file.reopen().map_err(write)?))?;
    Bundle::open(file.as_file().try_clone().map_err(write)?)?.contents()?;
    file.as_file().sync_all().map_err(write)?;
    publish::replace(file, &path)?;
    publish::sync_folder(publish::parent(&path))?;
    Ok(bytes)
}
