//! Keys and signatures: minisign's files byte for byte, and nothing of our own beside them. (FORMAT.md, "Keys and signatures")
//!
//! A [`PublicKey`] is admitted once, at load, and then trusted to be sound; a [`Signature`] is a `.minisig` file; its
//! trusted comment is a [`Comment`] of fixed grammar; whoever can sign is a [`Signer`]: a [`SecretKey`], or a key that
//! an ssh-agent holds. Legacy signatures, weak keys and signatures with more than one reading are refused by name.
//!
//! Nothing here says whether a key is *trusted*: that a signature verifies is only a fact about a key.

#[cfg(unix)]
pub mod agent;
mod comment;
mod minisign;
mod note;
mod public;
mod secret;
mod signature;
mod ssh;

use std::fmt;

use crate::digest::Digest;
use crate::ids::KeyId;

pub use comment::{Comment, Kind};
pub use note::{MAX_NOTE_BYTES, Note, VerifierKey};
pub use public::{MAX_PUBLIC_KEY_FILE_BYTES, PUBLIC_KEY_BYTES, PublicKey};
pub use secret::{
    MAX_PASSPHRASE_BYTES, MAX_SCRYPT_BYTES, MAX_SCRYPT_LOG2_N, MAX_SECRET_KEY_FILE_BYTES, Passphrase, SecretKey,
};
pub use signature::{MAX_SIGNATURE_FILE_BYTES, MAX_TRUSTED_LINE_BYTES, MAX_UNTRUSTED_LINE_BYTES, Signature};

/// Length of an ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// One who can sign: a key in memory, or a key that somebody else holds.
pub trait Signer {
    /// Returns the public key that verifies what this signer signs.
    fn public(&self) -> &PublicKey;

    /// Returns the plain ed25519 signature of `message`.
    ///
    /// # Errors
    /// A signer outside this process may refuse or fail.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Error>;
}

/// Why a public key is not admitted although it has the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFault {
    /// The bytes are no point of the curve.
    NotOnCurve,
    /// The bytes are a second spelling of a point.
    NotCanonical,
    /// The point has small order: such a key signs everything.
    SmallOrder,
    /// The point has a part of small order: implementations would disagree about its signatures.
    Torsion,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOnCurve => "not a point of the curve",
            Self::NotCanonical => "not canonically encoded",
            Self::SmallOrder => "a point of small order",
            Self::Torsion => "a point with a part of small order",
        })
    }
}

/// Why something about keys or signatures was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no public key in any of the forms read.
    #[error("public key: {rule}")]
    PublicKeyFormat {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A public key that no honest generator makes.
    #[error("public key {id}: expected a sound ed25519 key, found {fault}")]
    WeakPublicKey {
        /// The id that came with the key.
        id: KeyId,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// A file that is no minisign secret key.
    #[error("secret key: {rule}")]
    SecretKeyFormat {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// The secret key is sealed and no pass phrase was given.
    #[error("secret key: sealed, and no pass phrase given")]
    PassphraseMissing,
    /// The secret key does not open. One message for both causes: they cannot be told apart.
    #[error("secret key: wrong pass phrase or damaged file")]
    SecretKeyUnopened,
    /// A secret key file whose scrypt parameters ask for more than the caps.
    #[error(
        "secret key: expected scrypt parameters within 1 GiB and N = 2^20, found opslimit {opslimit}, memlimit {memlimit}"
    )]
    ScryptLimits {
        /// libsodium's limit of operations, as found in the file.
        opslimit: u64,
        /// libsodium's limit of memory in bytes, as found in the file.
        memlimit: u64,
    },
    /// A pass phrase that minisign could not be given.
    #[error("pass phrase: {rule}")]
    PassphraseFormat {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A file that is no minisign signature.
    #[error("signature: line {line}: {rule}")]
    SignatureFormat {
        /// Number of the line, from 1.
        line: usize,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A signature over the content itself, as minisign made before 0.6.
    #[error("signature by {id}: expected a prehashed signature (ED), found a legacy one (Ed)")]
    LegacySignature {
        /// The id in the signature.
        id: KeyId,
    },
    /// The signature names another key than the one it is checked with.
    #[error("signature by {found}: expected a signature by {expected}")]
    WrongKey {
        /// Id of the key at hand.
        expected: KeyId,
        /// Id in the signature.
        found: KeyId,
    },
    /// The signature does not verify.
    #[error("signature by {id}: does not match the content")]
    BadSignature {
        /// Id of the key it was checked with.
        id: KeyId,
    },
    /// The content's signature verifies, the trusted comment's does not.
    #[error("signature by {id}: does not match its trusted comment")]
    BadCommentSignature {
        /// Id of the key it was checked with.
        id: KeyId,
    },
    /// A trusted comment outside the grammar.
    #[error("trusted comment: {rule}, found {found:?}")]
    CommentFormat {
        /// The rule that is broken.
        rule: &'static str,
        /// What stood there, cut to 80 characters.
        found: String,
    },
    /// The signature was made for a file of another kind.
    #[error("trusted comment: expected kind {expected}, found {found}")]
    OtherKind {
        /// The kind of the file at hand.
        expected: Kind,
        /// The kind in the comment.
        found: Kind,
    },
    /// The signature was made for another archive.
    #[error("trusted comment: expected archive {expected}, found {found}")]
    OtherArchive {
        /// The archive at hand, `-` for none.
        expected: String,
        /// The archive in the comment, `-` for none.
        found: String,
    },
    /// The signature speaks of other content than it signs.
    #[error("trusted comment: expected sha256:{expected}, found sha256:{found}")]
    OtherDigest {
        /// Digest of the content at hand.
        expected: Digest,
        /// Digest in the comment.
        found: Digest,
    },
    /// A signed note or a verifier key outside its grammar.
    #[error("signed note: {rule}")]
    NoteFormat {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A note that the key at hand has not signed.
    #[error("signed note: expected a signature by {by}, found none")]
    NoteUnsigned {
        /// The name of the key.
        by: String,
    },
    /// The ssh-agent could not be reached, or the connection broke.
    #[error("ssh-agent: connection failed")]
    AgentConnection(#[source] std::io::Error),
    /// The ssh-agent said no.
    #[error("ssh-agent: refused to {request}")]
    AgentRefused {
        /// What it was asked for.
        request: &'static str,
    },
    /// A message to or from the ssh-agent is outside the protocol or beyond the caps.
    #[error("ssh-agent: {rule}")]
    AgentProtocol {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// The ssh-agent returned a signature that does not verify.
    #[error("ssh-agent: returned a signature that {id} does not verify")]
    AgentSignature {
        /// Id of the key it was asked to sign with.
        id: KeyId,
    },
}

/// Cuts what is quoted in an error to 80 characters.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}
