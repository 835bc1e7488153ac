//! Making the bundle that replaces another, without some of its articles. (FORMAT.md, "What was removed")

use std::io::BufWriter;
use std::path::Path;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::format::bundle::{self, Bundle, Contents, Source};
use crate::ids::BundleId;
use crate::keys::Signer;
use crate::run::Run;

use super::pack::{LEVEL, PackedBundle, sign_manifest};
use super::rewrite::refuse_malformed_signatures;
use super::{Error, publish};

/// Takes articles out of a bundle, by their numbers: some of them, ascending. What is left becomes a bundle in the folder `output`, signed by
/// `signers` for the archive that the manifest names.
///
/// # Errors
/// Where what stays is damaged, or the rest would descend from more bundles than it may; where signing, reading or writing fails.
pub fn without<S: Source>(
    (bundle, contents): (&Bundle<S>, &Contents),
    removed: &[usize],
    output: &Path,
    (signers, time): (&[&dyn Signer], Timestamp),
    run: Run<'_>,
) -> Result<PackedBundle, Error> {
    refuse_malformed_signatures(bundle)?;
    let rest = bundle::without(bundle, contents, removed)?;
    let manifest = rest.manifest();
    let text = manifest.to_string();
    let id = BundleId(Digest::of(text.as_bytes()));
    let signatures = sign_manifest(&text, manifest.archive.as_ref(), time, signers)?;
    let file = publish::unnamed(output)?;
    let write = |source| Error::Write { path: output.to_owned(), source };
    let out = BufWriter::with_capacity(1 << 20, file.reopen().map_err(write)?);
    let (_, file_bytes) = rest.write(signatures, LEVEL, out, run)?;
    // What a reader would refuse gets no name.
    let read_back = Bundle::open(file.as_file())?;
    read_back.contents()?;
    file.as_file().sync_all().map_err(write)?;
    let path = output.join(publish::bundle_name(&manifest.name, id));
    let kept = publish::place(file, &path, id, signers, false, run)?;
    publish::sync_folder(output)?;
    Ok(PackedBundle { file: path, id, manifest: manifest.clone(), file_bytes, kept })
}
