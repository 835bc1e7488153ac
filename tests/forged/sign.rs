//! Keys and minisign signatures, each part of which may be another.

use base64ct::{Base64, Encoding};
use blake2::{Blake2b512, Digest as _};
use ed25519_dalek::{Signer as _, SigningKey};

use super::forge::{hex, sha256};

#[derive(Clone)]
pub struct Key {
    secret: SigningKey,
    pub id: [u8; 8],
}

impl Key {
    pub fn new(seed: u8) -> Self {
        Self { secret: SigningKey::from_bytes(&[seed; 32]), id: [seed, 1, 2, 3, 4, 5, 6, 7] }
    }

    /// The key id as minisign prints it.
    pub fn printed(&self) -> String {
        printed(&self.id)
    }

    /// The public key as one line.
    pub fn line(&self) -> String {
        Base64::encode_string(&[&b"Ed"[..], &self.id, self.secret.verifying_key().as_bytes()].concat())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }

    /// Whether a signature of the file `message` by this key fits.
    pub fn fits(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.secret.verifying_key().verify_strict(&Blake2b512::digest(message), &signature).is_ok()
    }
}

pub fn printed(id: &[u8; 8]) -> String {
    hex(&id.iter().rev().copied().collect::<Vec<_>>()).to_uppercase()
}

/// A signature file taken apart.
#[derive(Clone)]
pub struct Minisig {
    pub untrusted: Vec<u8>,
    pub algorithm: [u8; 2],
    pub id: [u8; 8],
    pub signature: [u8; 64],
    pub comment: Vec<u8>,
    pub global: [u8; 64],
}

impl Minisig {
    /// A good signature of `message` with any comment.
    pub fn of(key: &Key, message: &[u8], comment: impl Into<Vec<u8>>) -> Self {
        let comment = comment.into();
        let signature = key.sign(&Blake2b512::digest(message));
        let global = key.sign(&[&signature[..], &comment].concat());
        let untrusted = b"vellum manifest".to_vec();
        Self { untrusted, algorithm: *b"ED", id: key.id, signature, comment, global }
    }

    pub fn blob(&self) -> String {
        Base64::encode_string(&[&self.algorithm[..], &self.id, &self.signature].concat())
    }

    pub fn text(&self) -> Vec<u8> {
        let global = Base64::encode_string(&self.global);
        [
            b"untrusted comment: ",
            &self.untrusted[..],
            b"\n",
            self.blob().as_bytes(),
            b"\ntrusted comment: ",
            &self.comment,
            b"\n",
            global.as_bytes(),
            b"\n",
        ]
        .concat()
    }
}

/// The trusted comment that the format asks for.
pub fn comment(manifest: &[u8], archive: Option<&str>) -> String {
    let archive = archive.unwrap_or("-");
    format!("vellum/1\tmanifest\tarchive:{archive}\tsha256:{}\ttime:2026-11-24T03:37:27Z", hex(&sha256(manifest)))
}
