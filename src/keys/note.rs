//! Signed notes, and the log's own key. (C2SP signed-note)
//!
//! ```text
//! <text, ends with a line feed>
//!
//! — example.org/library M9e0luh4jTG+…
//! ```
//!
//! A verifier key is `<name>+<key id, 8 hex>+<base64 of a type and the public key>`: type 0x01 for a log, 0x04 for a witness, whose cosignature
//! carries its time (C2SP tlog-cosignature, `cosignature/v1`). Unknown signatures are ignored; a known key whose signature fails rejects the
//! whole note. Verification is strict, like all of vellum's.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};

use super::{Error, PUBLIC_KEY_BYTES, PublicKey, SIGNATURE_BYTES, Signer};
use crate::digest::Digest;
use crate::ids::KeyId;

/// The longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 << 10;
/// The most signature lines.
const MAX_NOTE_SIGNATURES: usize = 64;
/// Cosignatures by keys that nobody has named which a copy of a note keeps.
const MAX_STRANGERS: usize = 16;
/// The longest name of a key, in bytes.
const MAX_KEY_NAME_BYTES: usize = 255;

/// The type byte of a log's Ed25519 key.
const ED25519: u8 = 1;
/// The type byte of a witness's Ed25519 key, which signs with a time.
const COSIGNATURE: u8 = 4;
const TIME_BYTES: usize = 8;
const HASH_BYTES: usize = 4;
const LEAD: &str = "\u{2014} ";

/// The public half of a log's or a witness's key: who it is and how its signatures are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: PublicKey,
    witness: bool,
}

impl VerifierKey {
    /// Names a log's public key; its id becomes the one of a key without any, since a verifier key carries none.
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
        Ok(Self { name: name.to_owned(), key, witness: false })
    }

    /// Names a witness's public key.
    ///
    /// # Errors
    /// As [`VerifierKey::new`].
    pub fn of_witness(name: &str, key: &PublicKey) -> Result<Self, Error> {
        Ok(Self { witness: true, ..Self::new(name, key)? })
    }

    /// Says whether it is a witness's key and not a log's.
    pub fn is_witness(&self) -> bool {
        self.witness
    }

    fn kind(&self) -> u8 {
        if self.witness { COSIGNATURE } else { ED25519 }
    }

    /// Returns the name of the key, which for a log is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }

    /// Says whether a person means this key: by its line, by the eight digits that stand in it, or by the id that its files are called for.
    pub fn is_called(&self, text: &str) -> bool {
        let short = format!("{:08x}", u32::from_be_bytes(self.hash()));
        let id = self.key.id().to_string();
        text == self.to_string() || text.eq_ignore_ascii_case(&short) || text.eq_ignore_ascii_case(&id)
    }

    /// Says whether a signature line says that it is by this key.
    fn made(&self, name: &str, payload: &[u8]) -> bool {
        *name == self.name && payload.starts_with(&self.hash())
    }

    fn hash(&self) -> [u8; HASH_BYTES] {
        let mut bytes = format!("{}\n", self.name).into_bytes();
        bytes.push(self.kind());
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
        let Some((&kind @ (ED25519 | COSIGNATURE), key)) = decoded.split_first() else { return Err(malformed()) };
        let key: [u8; PUBLIC_KEY_BYTES] = key.try_into().map_err(|_| malformed())?;
        let key = PublicKey::from_bytes(KeyId::of_bare_key(&key), key)?;
        let verifier = Self { witness: kind == COSIGNATURE, ..Self::new(name, &key)? };
        if verifier.to_string() == text { Ok(verifier) } else { Err(malformed()) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind()];
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

    /// Adds the signature of another key of the same name.
    ///
    /// # Errors
    /// As [`Note::sign`]; [`Error::NoteFormat`] where the note would hold too many.
    pub fn sign_too(&mut self, name: &str, signer: &dyn Signer) -> Result<(), Error> {
        let verifier = VerifierKey::new(name, signer.public())?;
        let mut payload = verifier.hash().to_vec();
        payload.extend_from_slice(&signer.sign(self.text.as_bytes())?);
        self.add(name.to_owned(), payload)
    }

    /// Adds a witness's cosignature of `time`, in seconds since 1970, in the place of an earlier one of its.
    ///
    /// # Errors
    /// [`Error::NoteFormat`] where the note would hold too many; where the signer fails.
    pub fn cosign(&mut self, name: &str, signer: &dyn Signer, time: u64) -> Result<(), Error> {
        let witness = VerifierKey::of_witness(name, signer.public())?;
        let mut payload = witness.hash().to_vec();
        payload.extend_from_slice(&time.to_be_bytes());
        payload.extend_from_slice(&signer.sign(self.cosigned_text(time).as_bytes())?);
        self.add(name.to_owned(), payload)
    }

    /// Takes over another note's cosignature by this witness, where it is good and newer than the one here; says whether it did.
    ///
    /// # Errors
    /// As [`Note::cosigned`]; [`Error::NoteFormat`] where the texts differ or the note would hold too many.
    pub fn take_cosignature(&mut self, other: &Self, by: &VerifierKey) -> Result<bool, Error> {
        if other.text != self.text {
            return Err(Error::NoteFormat { rule: "the cosignature is of another text" });
        }
        let (theirs, ours) = (other.cosigned(by)?, self.cosigned(by)?);
        if theirs.is_none() || theirs <= ours {
            return Ok(false);
        }
        // The newest of theirs, which has just been verified.
        let newest =
            other.signatures.iter().filter(|(name, payload)| by.made(name, payload)).max_by_key(|(_, p)| time_of(p));
        newest.map_or(Ok(false), |(name, payload)| self.add(name.clone(), payload.clone()).map(|()| true))
    }

    /// Leaves out what whoever shows a note may have put there: signatures by `known` keys stay, and of others a few that have the form of a
    /// cosignature, so that there is room for more.
    pub fn leave_out_strangers(&mut self, known: &[VerifierKey]) {
        let mut strangers = 0;
        self.signatures.retain(|(name, payload)| {
            if known.iter().any(|key| key.made(name, payload)) {
                return true;
            }
            strangers += 1;
            let is_cosignature = payload.len() == HASH_BYTES + TIME_BYTES + SIGNATURE_BYTES;
            is_cosignature && name.len() <= MAX_KEY_NAME_BYTES && strangers <= MAX_STRANGERS
        });
    }

    fn add(&mut self, name: String, payload: Vec<u8>) -> Result<(), Error> {
        let same = |(n, p): &(String, Vec<u8>)| *n == name && p[..HASH_BYTES] == payload[..HASH_BYTES];
        self.signatures.retain(|line| !same(line));
        if self.signatures.len() >= MAX_NOTE_SIGNATURES {
            return Err(Error::NoteFormat { rule: "more signatures than a note may have" });
        }
        self.signatures.push((name, payload));
        Ok(())
    }

    fn cosigned_text(&self, time: u64) -> String {
        format!("cosignature/v1\ntime {time}\n{}", self.text)
    }

    /// Returns when a witness cosigned, in seconds since 1970, as it says; `None` where it has not.
    ///
    /// # Errors
    /// [`Error::BadSignature`] where a cosignature in its name fails.
    pub fn cosigned(&self, by: &VerifierKey) -> Result<Option<u64>, Error> {
        let mut newest = None;
        for (_, payload) in self.signatures.iter().filter(|(name, payload)| by.is_witness() && by.made(name, payload)) {
            let time = time_of(payload).filter(|_| payload.len() == HASH_BYTES + TIME_BYTES + SIGNATURE_BYTES);
            let time = time.ok_or(Error::NoteFormat { rule: "a cosignature has another length" })?;
            by.key.verify_raw(self.cosigned_text(time).as_bytes(), &payload[HASH_BYTES + TIME_BYTES..])?;
            newest = newest.max(Some(time));
        }
        Ok(newest)
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
            if !by.is_witness() && by.made(name, payload) {
                let signature = &payload[HASH_BYTES..];
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

fn time_of(payload: &[u8]) -> Option<u64> {
    payload.get(HASH_BYTES..)?.first_chunk::<TIME_BYTES>().map(|bytes| u64::from_be_bytes(*bytes))
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
    fn a_cosignature_carries_its_time_and_is_no_signature_of_the_log() {
        let (log, witness) = (SecretKey::generate([7; 40]), SecretKey::generate([8; 40]));
        let by = VerifierKey::of_witness("w", witness.public()).unwrap();
        assert_eq!(by.to_string().parse::<VerifierKey>().unwrap(), by);
        let plain = Note::sign("a\n1\n", "log", &log).unwrap();
        let (mut older, mut newer) = (plain.clone(), plain.clone());
        older.cosign("w", &witness, 100).unwrap();
        newer.cosign("w", &witness, 200).unwrap();
        let read = Note::parse(newer.to_string().as_bytes()).unwrap();
        assert_eq!(read.cosigned(&by).unwrap(), Some(200));
        assert_eq!(plain.cosigned(&by).unwrap(), None);
        assert!(read.verified(&by).is_err());
        let as_log = VerifierKey::new("w", witness.public()).unwrap();
        assert!(read.verified(&as_log).is_err());
        assert!(older.take_cosignature(&newer, &by).unwrap());
        assert_eq!(older, newer);
        assert!(!newer.take_cosignature(&plain, &by).unwrap());
        let forged = Note::parse(newer.to_string().replace("a\n1\n", "a\n2\n").as_bytes()).unwrap();
        assert!(forged.cosigned(&by).is_err());
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
