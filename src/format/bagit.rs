//! The BagIt tag files, pure functions of the manifest and the checksum list. (RFC 8493; FORMAT.md, "The tag files")
//!
//! They make an unpacked bundle a valid bag. Nothing is learnt from them: a reader makes them anew and compares.

use crate::digest::Digest;

use super::manifest::Manifest;
use super::{checksums, manifest, times};

/// The declaration's name.
pub const BAGIT: &str = "bagit.txt";
/// The bag's own metadata.
pub const BAG_INFO: &str = "bag-info.txt";
/// The digests of the other tag files.
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";

/// Returns `bagit.txt`, the same in every bundle.
pub const fn declaration() -> &'static str {
    "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
}

/// Returns `bag-info.txt`.
pub fn info(manifest: &Manifest) -> String {
    format!("Payload-Oxum: {}.{}\n", manifest.bytes, manifest.files)
}

/// Returns `tagmanifest-sha256.txt`: the other tag files but the signatures and the index, ascending by name.
pub fn tag_manifest(manifest: &Manifest) -> String {
    let files = [
        (BAG_INFO, Some(Digest::of(info(manifest).as_bytes()))),
        (BAGIT, Some(Digest::of(declaration().as_bytes()))),
        (checksums::NAME, Some(manifest.checksums)),
        (manifest::NAME, Some(Digest::of(manifest.to_string().as_bytes()))),
        (times::NAME, manifest.times),
    ];
    let files = files.iter().filter_map(|(name, digest)| digest.map(|digest| (name, digest)));
    files.map(|(name, digest)| format!("{digest}  {name}\n")).collect()
}
