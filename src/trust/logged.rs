//! Signatures as the leaves of a log carry them: a `.minisig` file without what the leaf says already. (FORMAT.md, "The log")

use crate::digest::Digest;
use crate::format::leaf::LeafSignature;
use crate::ids::Origin;
use crate::keys::{Comment, Kind, PublicKey, Signature};

/// Keeps a signature that `key` has made for a leaf; `None` where its trusted comment is none of vellum's.
pub fn keep(key: &PublicKey, signature: &Signature) -> Option<LeafSignature> {
    let (content, global) = signature.parts();
    let time = signature.comment().ok()?.time();
    Some(LeafSignature { id: key.id(), key: *key.as_bytes(), content: *content, global: *global, time })
}

/// Returns the `.minisig` file that a leaf's signature stands for.
pub fn file(logged: &LeafSignature, kind: Kind, archive: &Origin, digest: &Digest) -> Option<Signature> {
    let comment = Comment::new(kind, Some(archive.as_str()), *digest, logged.time).ok()?;
    Some(Signature::of_parts(logged.id, logged.content, &comment, logged.global))
}

/// Says whether `key` has signed something of this kind and digest for this archive.
///
/// The signature of the trusted comment binds all of that, so that what was signed need not be at hand.
pub fn is_by(logged: &LeafSignature, key: &PublicKey, kind: Kind, archive: &Origin, digest: &Digest) -> bool {
    logged.key == *key.as_bytes()
        && file(logged, kind, archive, digest).is_some_and(|signature| signature.verify_comment(key).is_ok())
}
