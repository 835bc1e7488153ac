//! OpenSSH's binary form of ed25519 keys and signatures: strings, each a big-endian u32 length and its bytes (RFC 4251 §5).
//!
//! ```text
//! 00 00 00 0b "ssh-ed25519" 00 00 00 20 <32 bytes>
//! ```
//! An ssh key has no minisign key id; it gets the first 8 bytes of the SHA-256 of its 32 bytes.

use super::{Error, PUBLIC_KEY_BYTES, PublicKey};
use crate::ids::KeyId;

/// The one key type read.
pub(super) const KEY_TYPE: &str = "ssh-ed25519";
/// Length of a public key blob, in bytes.
pub(super) const BLOB_BYTES: usize = 4 + KEY_TYPE.len() + 4 + PUBLIC_KEY_BYTES;

/// Takes one string off the front of `rest`.
pub(super) fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (string, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(string)
}

/// Appends one string; one of 4 GiB gets a length that no reader accepts.
pub(super) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(string);
}

/// Returns the fixed-length body of `blob` if its type is `ssh-ed25519`.
pub(super) fn ed25519_body<const N: usize>(blob: &[u8]) -> Option<[u8; N]> {
    let mut rest = blob;
    let (kind, body) = (take_string(&mut rest)?, take_string(&mut rest)?);
    (kind == KEY_TYPE.as_bytes() && rest.is_empty()).then_some(())?;
    body.try_into().ok()
}

/// Returns the key in `blob`, checked.
pub(super) fn public_key(blob: &[u8]) -> Result<PublicKey, Error> {
    let bytes: [u8; PUBLIC_KEY_BYTES] = ed25519_body(blob)
        .ok_or(Error::PublicKeyFormat { rule: "expected an ssh-ed25519 key of 32 bytes after `ssh-ed25519`" })?;
    PublicKey::from_bytes(KeyId::of_bare_key(&bytes), bytes)
}

/// Returns the blob of `key`.
pub(super) fn blob(key: &PublicKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOB_BYTES);
    put_string(&mut out, KEY_TYPE.as_bytes());
    put_string(&mut out, key.as_bytes());
    out
}
