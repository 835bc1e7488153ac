//! Public keys: 32 bytes of ed25519 and the id they are selected by, admitted once and then known to be sound.
//!
//! ```text
//! untrusted comment: minisign public key E7620F1842B4E81F
//! RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
//! ```
//! The base64 line holds `Ed`, the key id (8 bytes) and the key (32). The line alone is read as well, and so is
//! OpenSSH's `ssh-ed25519 AAAA… comment`. Refused: keys that are not canonically encoded, of small order, or with a part
//! of small order; with such keys two honest verifiers can disagree about one signature.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use ed25519_dalek::VerifyingKey;

use super::minisign::{self, COMMENT_PREFIX, ED25519, MAX_COMMENT_LINE_BYTES};
use super::{Error, KeyFault, SIGNATURE_BYTES, ssh};
use crate::ids::{KEY_ID_BYTES, KeyId};

/// Length of an ed25519 public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Longest public key file that is read, in bytes; an OpenSSH comment has no limit of its own.
pub const MAX_PUBLIC_KEY_FILE_BYTES: usize = 4096;

const DECODED_BYTES: usize = ED25519.len() + KEY_ID_BYTES + PUBLIC_KEY_BYTES;
const _: () = assert!(MAX_COMMENT_LINE_BYTES + 2 * DECODED_BYTES < MAX_PUBLIC_KEY_FILE_BYTES);

/// A sound ed25519 public key and its id. Compared by its bytes, then by its id.
#[derive(Clone)]
pub struct PublicKey {
    id: KeyId,
    key: VerifyingKey,
}

impl PublicKey {
    /// Admits the 32 bytes of a key.
    ///
    /// # Errors
    /// [`Error::WeakPublicKey`] if they are no curve point, not canonical, of small order or not torsion-free.
    pub fn from_bytes(id: KeyId, bytes: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, Error> {
        let refused = |fault| Error::WeakPublicKey { id, fault };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| refused(KeyFault::NotOnCurve))?;
        let point = key.to_edwards();
        if point.compress().to_bytes() != bytes {
            return Err(refused(KeyFault::NotCanonical));
        }
        if point.is_small_order() {
            return Err(refused(KeyFault::SmallOrder));
        }
        if !point.is_torsion_free() {
            return Err(refused(KeyFault::Torsion));
        }
        Ok(Self { id, key })
    }

    /// Wraps a key derived from a secret one, which is sound by construction.
    pub(super) fn derived(id: KeyId, key: VerifyingKey) -> Self {
        Self { id, key }
    }

    /// Reads a minisign `.pub` file, its base64 line alone, or an OpenSSH `ssh-ed25519 AAAA… comment` line.
    ///
    /// White space around the text is ignored: a key may come from a command line or a mail.
    ///
    /// # Errors
    /// [`Error::PublicKeyFormat`] or [`Error::WeakPublicKey`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |rule| Error::PublicKeyFormat { rule };
        if text.len() > MAX_PUBLIC_KEY_FILE_BYTES {
            return Err(refused("expected at most 4096 bytes"));
        }
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(ssh::KEY_TYPE).and_then(|rest| rest.strip_prefix(' ')) {
            return parse_ssh(rest);
        }
        let line = if text.starts_with(COMMENT_PREFIX) { minisign::body_line(text).map_err(refused)? } else { text };
        let mut bytes = [0; DECODED_BYTES];
        minisign::decode_exact(line, &mut bytes)
            .ok_or(refused("expected 56 characters of base64, as in a minisign public key, or an ssh-ed25519 line"))?;
        let (algorithm, rest) = bytes.split_at(ED25519.len());
        if algorithm != ED25519 {
            return Err(refused("expected the algorithm Ed"));
        }
        let (mut id, mut key) = ([0; KEY_ID_BYTES], [0; PUBLIC_KEY_BYTES]);
        id.copy_from_slice(&rest[..KEY_ID_BYTES]);
        key.copy_from_slice(&rest[KEY_ID_BYTES..]);
        Self::from_bytes(KeyId::from_bytes(id), key)
    }

    /// Returns the id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        self.key.as_bytes()
    }

    /// Returns the base64 line, `RW…`, without a line end.
    pub fn to_line(&self) -> String {
        let mut bytes = Vec::with_capacity(DECODED_BYTES);
        bytes.extend_from_slice(&ED25519);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.as_bytes());
        minisign::encode(&bytes)
    }

    /// Returns the line `ssh-ed25519 AAAA…` that OpenSSH has for this key.
    pub fn to_ssh_line(&self) -> String {
        format!("{} {}", ssh::KEY_TYPE, minisign::encode(&ssh::blob(self)))
    }

    /// Returns the 32 bytes in base64, as a leaf of the log has them.
    pub fn to_bare(&self) -> String {
        <base64ct::Base64 as base64ct::Encoding>::encode_string(self.as_bytes())
    }

    /// Returns the text of minisign's own `.pub` file for this key.
    pub fn to_file(&self) -> String {
        format!("{COMMENT_PREFIX}minisign public key {}\n{}\n", self.id, self.to_line())
    }

    /// Checks a plain ed25519 signature of `message`, strictly: one signature has one reading, R of small order and S
    /// out of range are refused.
    ///
    /// # Errors
    /// [`Error::BadSignature`] for anything but a valid signature of 64 bytes.
    pub fn verify_raw(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let refused = || Error::BadSignature { id: self.id };
        let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| refused())?;
        self.key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).map_err(|_| refused())
    }

    fn order(&self) -> (&[u8; PUBLIC_KEY_BYTES], KeyId) {
        (self.as_bytes(), self.id)
    }
}

/// Reads what follows `ssh-ed25519 ` in a line.
fn parse_ssh(rest: &str) -> Result<PublicKey, Error> {
    let refused = |rule| Error::PublicKeyFormat { rule };
    if rest.contains(['\n', '\r']) {
        return Err(refused("expected one ssh-ed25519 line"));
    }
    let body = rest.split([' ', '\t']).next().unwrap_or(rest);
    let mut blob = [0; ssh::BLOB_BYTES];
    minisign::decode_exact(body, &mut blob).ok_or(refused("expected 68 characters of base64 after `ssh-ed25519`"))?;
    ssh::public_key(&blob)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_line())
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    #[test]
    fn names_what_is_wrong_with_a_weak_key() {
        let id = KeyId::from_bytes([0; KEY_ID_BYTES]);
        let number = |low: u8| {
            let mut bytes = [0; PUBLIC_KEY_BYTES];
            bytes[0] = low;
            bytes
        };
        // The field's prime is 2^255 - 19, so this spells 1 as the prime plus 1.
        let mut second_spelling = [0xff; PUBLIC_KEY_BYTES];
        (second_spelling[0], second_spelling[PUBLIC_KEY_BYTES - 1]) = (0xee, 0x7f);
        let mixed = (ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes();
        let mut cases = vec![
            (number(2), KeyFault::NotOnCurve),
            (second_spelling, KeyFault::NotCanonical),
            (mixed, KeyFault::Torsion),
        ];
        cases.extend(EIGHT_TORSION.map(|point| (point.compress().to_bytes(), KeyFault::SmallOrder)));
        for (bytes, expected) in cases {
            let outcome = PublicKey::from_bytes(id, bytes);
            assert!(matches!(outcome, Err(Error::WeakPublicKey { fault, .. }) if fault == expected), "{outcome:?}");
        }
        assert!(PublicKey::from_bytes(id, ED25519_BASEPOINT_POINT.compress().to_bytes()).is_ok());
    }

    #[test]
    fn orders_by_the_key_then_by_the_id() {
        let key = |seed: u8, id: u8| {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
            PublicKey::derived(KeyId::from_bytes([id; KEY_ID_BYTES]), key)
        };
        assert_eq!(key(1, 1), key(1, 1));
        assert!(key(1, 1) < key(1, 2));
        assert_eq!(key(1, 2).cmp(&key(2, 1)), key(1, 1).as_bytes().cmp(key(2, 1).as_bytes()));
    }
}
