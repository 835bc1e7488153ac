//! Signed notes, and the log's own key. (C2SP signed-note)
//!
//! ```text
//! <text, ends with a line feed>
//!
//! — example.org/library M9e0luh4jTG+…
//! ```
//!
//! A verifier key is `<name>+<key id, 8 hex>+<base64 of 0x01 and the public key>`. Unknown signatures are ignored; a known key whose signature fails
//! rejects the whole note. Verification is strict, like all of vellum's.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};

use super::{Error, KeyId, PUBLIC_KEY_BYTES, PublicKey, SIGNATURE_BYTES, Signer};
use crate::digest::Digest;

/// The longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 << 10;
/// The most signature lines.
const MAX_NOTE_SIGNATURES: usize = 64;
/// The longest name of a key, in bytes.
const MAX_KEY_NAME_BYTES: usize = 255;

/// The type byte of an Ed25519 key.
const ED25519: u8 = 1;
const HASH_BYTES: usize = 4;
const LEAD: &str = "\u{2014} ";

/// The public half of a log's key: who it is and how its notes are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: PublicKey,
}

impl VerifierKey {
    /// Names a public key; its id becomes the one of a key without any, since a verifier key carries none.
    ///
    /// # Errors
    /// [`Error::NoteFormat`] where the name is empty, too long, or holds white space, control characters or `+`.
    pub fn new(name: &str, key: &PublicKey) -> Result<Self, Error> {
        let good = !name.is_empty()
            && name.len() <= MAX_KEY_NAME_BYTES
            && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
        if !good {
            return Err(Error::NoteFormat { rule: "the key has no valid name" });
        }
        let key = PublicKey::from_bytes(KeyId::of_bare_key(key.as_bytes()), *key.as_bytes())?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Returns the name of the key, which for a log is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }

    fn hash(&self) -> [u8; HASH_BYTES] {
        let mut bytes = format!("{}\n", self.name).into_bytes();
        bytes.push(ED25519);
        bytes.extend_from_slice(self.key.as_bytes());
        let digest = Digest::of(&bytes);
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::NoteFormat { rule: "expected a verifier key, <name>+<8 hex>+<base64>" };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let mut bytes = [0; 1 + PUBLIC_KEY_BYTES];
        let decoded = Base64::decode(key, &mut bytes).map_err(|_| malformed())?;
        let Some((&ED25519, key)) = decoded.split_first() else { return Err(malformed()) };
        let key: [u8; PUBLIC_KEY_BYTES] = key.try_into().map_err(|_| malformed())?;
        let verifier = Self::new(name, &PublicKey::from_bytes(KeyId::of_bare_key(&key), key)?)?;
        if verifier.to_string() == text { Ok(verifier) } else { Err(malformed()) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.hash()), Base64::encode_string(&bytes))
    }
}

/// A text and the signatures below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    /// Name, key hash and signature of each line.
    signatures: Vec<(String, Vec<u8>)>,
}

impl Note {
    /// Signs a text, which must end with a line feed, by the name of `signer`'s key.
    ///
    /// # Errors
    /// [`Error::NoteFormat`] for a text that no note can carry; where the signer fails.
    pub fn sign(text: &str, name: &str, signer: &dyn Signer) -> Result<Self, Error> {
        check_text(text)?;
        let verifier = VerifierKey::new(name, signer.public())?;
        let mut payload = verifier.hash().to_vec();
        payload.extend_from_slice(&signer.sign(text.as_bytes())?);
        Ok(Self { text: text.to_owned(), signatures: vec![(name.to_owned(), payload)] })
    }

    /// Reads a note; its signatures are not checked yet.
    ///
    /// # Errors
    /// [`Error::NoteFormat`] names the rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let broken = |rule| Error::NoteFormat { rule };
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(broken("longer than a note may be"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| broken("not UTF-8"))?;
        let at = note.rfind("\n\n").ok_or(broken("there is no blank line before the signatures"))?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(broken("the last line does not end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let (name, payload) = line
                .strip_prefix(LEAD)
                .and_then(|rest| rest.split_once(' '))
                .ok_or(broken("a signature line has another form"))?;
            let payload = Base64::decode_vec(payload).map_err(|_| broken("a signature is no base64"))?;
            if payload.len() <= HASH_BYTES || name.is_empty() || name.contains(['+', '\t']) {
                return Err(broken("a signature line has another form"));
            }
            signatures.push((name.to_owned(), payload));
        }
        if signatures.len() > MAX_NOTE_SIGNATURES {
            return Err(broken("more signatures than a note may have"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Returns the text, if this key has signed it.
    ///
    /// # Errors
    /// [`Error::NoteUnsigned`] where it has not; [`Error::BadSignature`] where a signature in its name fails.
    pub fn verified(&self, by: &VerifierKey) -> Result<&str, Error> {
        let mut signed = false;
        for (name, payload) in &self.signatures {
            let (hash, signature) = payload.split_at(HASH_BYTES);
            if *name == by.name && hash == by.hash() {
                if signature.len() != SIGNATURE_BYTES {
                    return Err(Error::NoteFormat { rule: "a signature has another length" });
                }
                by.key.verify_raw(self.text.as_bytes(), signature)?;
                signed = true;
            }
        }
        if signed { Ok(&self.text) } else { Err(Error::NoteUnsigned { by: by.name.clone() }) }
    }

    /// Returns the text, which nobody vouches for yet.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|(name, payload)| writeln!(f, "{LEAD}{name} {}", Base64::encode_string(payload)))
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    let good = text.ends_with('\n') && !text.contains(|c: char| c < ' ' && c != '\n');
    if good {
        Ok(())
    } else {
        Err(Error::NoteFormat { rule: "the text does not end with a line feed, or holds control characters" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    #[test]
    fn a_verifier_key_has_one_form() {
        let secret = SecretKey::generate([7; 40]);
        let key = VerifierKey::new("example.org/library", secret.public()).unwrap();
        assert_eq!(key.to_string().parse::<VerifierKey>().unwrap().to_string(), key.to_string());
        assert!(key.to_string().replace("library", "librarz").parse::<VerifierKey>().is_err());
        assert!(VerifierKey::new("a b", secret.public()).is_err());
    }

    #[test]
    fn a_note_verifies_by_its_key_alone() {
        let (secret, other) = (SecretKey::generate([7; 40]), SecretKey::generate([8; 40]));
        let by = |name: &str, key: &SecretKey| VerifierKey::new(name, key.public()).unwrap();
        let note = Note::sign("a\n\nb\n", "log", &secret).unwrap();
        let bytes = note.to_string();
        let read = Note::parse(bytes.as_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.verified(&by("log", &secret)).unwrap(), "a\n\nb\n");
        assert!(matches!(read.verified(&by("log", &other)), Err(Error::NoteUnsigned { .. })));
        assert!(matches!(read.verified(&by("gol", &secret)), Err(Error::NoteUnsigned { .. })));
        let forged = Note::parse(bytes.replace("b\n", "c\n").as_bytes()).unwrap();
        assert!(matches!(forged.verified(&by("log", &secret)), Err(Error::BadSignature { .. })));
        for bad in ["", "a\n", "a\n\n", "a\n\nb\n", "a\u{1}\n\n\u{2014} log AAAAAAAA\n", "a\n\n\u{2014} log AAAA\n"] {
            assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
