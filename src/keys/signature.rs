//! Signatures: minisign's `.minisig` file, of exactly four lines.
//!
//! ```text
//! untrusted comment: signature from vellum secret key
//! RUQf6LRCGA9i5…            base64 of `ED`, the key id (8 bytes) and a signature (64) of the content's BLAKE2b-512
//! trusted comment: vellum/1<TAB>manifest<TAB>…
//! y/rUw2y8…                 base64 of a signature (64) of the first one's 64 bytes and the trusted comment
//! ```
//! Printing gives the bytes that were read. Legacy signatures (`Ed`), comments with control characters, and lines that
//! minisign itself would find too long are refused. Parsing proves nothing: [`Signature::verify`] does.

use std::fmt;

use blake2::{Blake2b512, Digest as _};

use super::minisign::{self, COMMENT_PREFIX, ED25519, MAX_COMMENT_LINE_BYTES, printable};
use super::{Comment, Error, PublicKey, SIGNATURE_BYTES, Signer};
use crate::digest::Digest;
use crate::ids::{KEY_ID_BYTES, KeyId};

/// Longest first line, in bytes without its LF.
pub const MAX_UNTRUSTED_LINE_BYTES: usize = MAX_COMMENT_LINE_BYTES;
/// Longest third line, in bytes without its LF: the most that fits minisign's buffer of 8192 with LF and NUL.
pub const MAX_TRUSTED_LINE_BYTES: usize = 8190;
/// Longest signature file, in bytes.
pub const MAX_SIGNATURE_FILE_BYTES: usize =
    MAX_UNTRUSTED_LINE_BYTES + 1 + 100 + 1 + MAX_TRUSTED_LINE_BYTES + 1 + 88 + 1;

const PREHASHED: [u8; 2] = *b"ED";
const TRUSTED_PREFIX: &str = "trusted comment: ";
const OUR_COMMENT: &str = "signature from vellum secret key";
const DECODED_BYTES: usize = PREHASHED.len() + KEY_ID_BYTES + SIGNATURE_BYTES;

/// A prehashed minisign signature, well-formed but not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    untrusted: Box<str>,
    id: KeyId,
    content: [u8; SIGNATURE_BYTES],
    trusted: Box<str>,
    global: [u8; SIGNATURE_BYTES],
}

impl Signature {
    /// Signs `content`, and with it `comment`.
    ///
    /// # Errors
    /// [`Error::OtherDigest`] if the comment speaks of other content; whatever the signer fails with.
    pub fn sign(signer: &dyn Signer, content: &[u8], comment: &Comment) -> Result<Self, Error> {
        let expected = Digest::of(content);
        if *comment.digest() != expected {
            return Err(Error::OtherDigest { expected, found: *comment.digest() });
        }
        let trusted = comment.to_string();
        let signature = signer.sign(&prehash(content))?;
        let global = signer.sign(&global_message(&signature, &trusted))?;
        Ok(Self {
            untrusted: OUR_COMMENT.into(),
            id: signer.public().id(),
            content: signature,
            trusted: trusted.into(),
            global,
        })
    }

    /// Reads the bytes of a `.minisig` file.
    ///
    /// # Errors
    /// [`Error::SignatureFormat`] with the line and the rule, or [`Error::LegacySignature`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let refused = |line, rule| Error::SignatureFormat { line, rule };
        if bytes.len() > MAX_SIGNATURE_FILE_BYTES {
            return Err(refused(1, "expected at most 9404 bytes in the file"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.iter().take(error.valid_up_to());
            refused(1 + before.filter(|&&byte| byte == b'\n').count(), "expected UTF-8")
        })?;
        Self::parse(text)
    }

    /// Reads the text of a `.minisig` file.
    ///
    /// # Errors
    /// [`Error::SignatureFormat`] with the line and the rule, or [`Error::LegacySignature`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |line, rule| Error::SignatureFormat { line, rule };
        let mut lines = text.split('\n');
        let (Some(first), Some(second), Some(third), Some(fourth), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(refused(text.split_terminator('\n').count(), "expected four lines, each ended by LF"));
        };

        if first.len() > MAX_UNTRUSTED_LINE_BYTES {
            return Err(refused(1, "expected at most 1022 bytes"));
        }
        let untrusted = first.strip_prefix(COMMENT_PREFIX).ok_or(refused(1, "expected `untrusted comment: `"))?;
        if third.len() > MAX_TRUSTED_LINE_BYTES {
            return Err(refused(3, "expected at most 8190 bytes"));
        }
        let trusted = third.strip_prefix(TRUSTED_PREFIX).ok_or(refused(3, "expected `trusted comment: `"))?;
        for (line, comment) in [(1, untrusted), (3, trusted)] {
            if !printable(comment) {
                return Err(refused(line, "expected no control characters but tab"));
            }
        }

        let mut decoded = [0; DECODED_BYTES];
        minisign::decode_exact(second, &mut decoded).ok_or(refused(2, "expected 100 characters of base64"))?;
        let (algorithm, rest) = decoded.split_at(PREHASHED.len());
        let (id, signature) = rest.split_at(KEY_ID_BYTES);
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(id);
        let id = KeyId::from_bytes(key_id);
        if algorithm == ED25519 {
            return Err(Error::LegacySignature { id });
        }
        if algorithm != PREHASHED {
            return Err(refused(2, "expected the algorithm ED"));
        }
        let mut content = [0; SIGNATURE_BYTES];
        content.copy_from_slice(signature);
        let mut global = [0; SIGNATURE_BYTES];
        minisign::decode_exact(fourth, &mut global).ok_or(refused(4, "expected 88 characters of base64"))?;

        Ok(Self { untrusted: untrusted.into(), id, content, trusted: trusted.into(), global })
    }

    /// Puts a signature together from the parts that a leaf of a log keeps of it.
    pub fn of_parts(
        id: KeyId,
        content: [u8; SIGNATURE_BYTES],
        comment: &Comment,
        global: [u8; SIGNATURE_BYTES],
    ) -> Self {
        Self { untrusted: OUR_COMMENT.into(), id, content, trusted: comment.to_string().into(), global }
    }

    /// Returns the signature of the content and that of the trusted comment.
    pub const fn parts(&self) -> (&[u8; SIGNATURE_BYTES], &[u8; SIGNATURE_BYTES]) {
        (&self.content, &self.global)
    }

    /// Checks the signature of the trusted comment alone, which binds what the comment says, the digest of the content too.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if the signature names another key, [`Error::BadCommentSignature`].
    pub fn verify_comment(&self, key: &PublicKey) -> Result<(), Error> {
        if self.id != key.id() {
            return Err(Error::WrongKey { expected: key.id(), found: self.id });
        }
        key.verify_raw(&global_message(&self.content, &self.trusted), &self.global)
            .map_err(|_| Error::BadCommentSignature { id: self.id })
    }

    /// Checks both signatures: that of `content` and that of the trusted comment.
    ///
    /// What the comment says is not looked at: see [`Signature::comment`] and [`Comment::agrees_with`].
    ///
    /// # Errors
    /// [`Error::WrongKey`] if the signature names another key, [`Error::BadSignature`], [`Error::BadCommentSignature`].
    pub fn verify(&self, key: &PublicKey, content: &[u8]) -> Result<(), Error> {
        if self.id != key.id() {
            return Err(Error::WrongKey { expected: key.id(), found: self.id });
        }
        key.verify_raw(&prehash(content), &self.content)?;
        self.verify_comment(key)
    }

    /// Returns the id of the key that is said to have signed.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Returns the trusted comment in vellum's grammar; it deserves its name only once verified.
    ///
    /// # Errors
    /// [`Error::CommentFormat`] for any other comment, such as minisign's own.
    pub fn comment(&self) -> Result<Comment, Error> {
        self.trusted.parse()
    }

    /// Returns the trusted comment as it stands; it deserves its name only once verified.
    pub fn trusted_comment(&self) -> &str {
        &self.trusted
    }

    /// Returns the comment that no signature covers.
    pub fn untrusted_comment(&self) -> &str {
        &self.untrusted
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(DECODED_BYTES);
        bytes.extend_from_slice(&PREHASHED);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.content);
        writeln!(f, "{COMMENT_PREFIX}{}", self.untrusted)?;
        writeln!(f, "{}", minisign::encode(&bytes))?;
        writeln!(f, "{TRUSTED_PREFIX}{}", self.trusted)?;
        writeln!(f, "{}", minisign::encode(&self.global))
    }
}

/// Returns the 64 bytes that are signed in the content's place.
fn prehash(content: &[u8]) -> [u8; 64] {
    Blake2b512::digest(content).into()
}

/// Returns what the second signature covers.
fn global_message(signature: &[u8; SIGNATURE_BYTES], trusted: &str) -> Vec<u8> {
    [signature, trusted.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED_KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const PUBLISHED: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    #[test]
    fn verifies_the_signature_that_minisign_publishes() {
        let (key, read) = (PublicKey::parse(PUBLISHED_KEY).unwrap(), Signature::parse(PUBLISHED).unwrap());
        assert_eq!(read.to_string(), PUBLISHED);
        assert_eq!(read.key_id().to_string(), "E7620F1842B4E81F");
        assert_eq!(read.untrusted_comment(), "signature from minisign secret key");
        assert_eq!(read.trusted_comment(), "timestamp:1633700835\tfile:test\tprehashed");
        read.verify(&key, b"test").unwrap();
    }

    #[test]
    fn names_the_line_and_the_rule_of_every_refusal() {
        let lines: Vec<&str> = PUBLISHED.lines().collect();
        let with = |number: usize, line: &str| {
            let mut lines = lines.clone();
            lines[number - 1] = line;
            lines.join("\n") + "\n"
        };
        // The last character before `=` holds two unused bits: `o` and `p` would decode to the same bytes.
        let (loose, loose_global) = (lines[1].replace("wo=", "wp="), lines[3].replace("BQ==", "BR=="));
        for (line, text) in [
            (1, ""),
            (1, "untrusted comment:none"),
            (1, "Untrusted comment: x"),
            (1, "untrusted comment: \u{1b}[2J"),
            (1, "untrusted comment: x\r"),
            (2, ""),
            (2, &lines[1][4..]),
            (2, &loose),
            (2, &lines[1].replace("RUQ", "RVQ")),
            (3, "trusted comment:x"),
            (3, "trusted comment: \u{9b}31m"),
            (3, "trusted comment: \u{7f}"),
            (4, ""),
            (4, lines[3].trim_end_matches('=')),
            (4, &loose_global),
            (4, &format!("{} ", lines[3])),
        ] {
            let outcome = Signature::parse(&with(line, text));
            let named = matches!(outcome, Err(Error::SignatureFormat { line: found, .. }) if found == line);
            assert!(named, "{text:?}: {outcome:?}");
        }
        let mut bytes = PUBLISHED.as_bytes().to_vec();
        let place = PUBLISHED.find("timestamp").unwrap();
        bytes[place] = 0xff;
        assert!(matches!(Signature::decode(&bytes), Err(Error::SignatureFormat { line: 3, .. })));
        assert!(Signature::decode(&vec![b'\n'; MAX_SIGNATURE_FILE_BYTES + 1]).is_err());
        let legacy = PUBLISHED.replace("\nRUQ", "\nRWQ");
        assert!(matches!(Signature::parse(&legacy), Err(Error::LegacySignature { .. })));
    }
}
