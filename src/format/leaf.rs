//! The leaves of the log: what an archive took in, each a short text with the signatures by which it counts. (FORMAT.md, "The log")
//!
//! ```text
//! vellum-leaf/1 bundle
//! size 48213
//! file sha256:<hex of the file>
//! signature <public key> <signature> <global signature> <time>
//!
//! format = "vellum-manifest/1"
//! …
//! ```
//!
//! No clear id or path of an article stands in a leaf, since it outlives a withdrawal. One form only; what is of an unknown kind or in another
//! form is refused by name, and a reader of a log calls such a leaf void.

use std::fmt;

use base64ct::{Base64, Encoding};
use jiff::Timestamp;

use crate::digest::Digest;
use crate::ids::{BundleId, KEY_ID_BYTES, KeyId};

use super::manifest::{MAX_MANIFEST_BYTES, Manifest};

/// What lies at the top of an archive and is no document.
const RESERVED: [&str; 10] = [
    "FORMAT.md",
    "README.txt",
    "archive.toml",
    "bundles",
    "checkpoint",
    "claim",
    "incoming",
    "tile",
    "trust",
    "withdrawn",
];
/// How the names of files end that are being written; whoever finds one with no writer at work may remove it.
pub const UNFINISHED: &str = ".unfinished";
/// How each leaf begins.
const VERSION: &str = "vellum-leaf/1";
/// The longest leaf, in bytes: a manifest and some sixteen signatures.
pub const MAX_LEAF_BYTES: usize = 8 << 10;
const _: () = assert!(MAX_MANIFEST_BYTES < MAX_LEAF_BYTES as u64);
/// Names of documents of the archive are this long at most, in bytes.
const MAX_DOCUMENT_NAME_BYTES: usize = 64;
/// The largest number in a leaf, the same as in a manifest.
const MAX_NUMBER: u64 = i64::MAX as u64;
/// Length of a public key, in bytes.
const KEY_BYTES: usize = 32;
/// Length of a signature, in bytes.
const SIGNATURE_BYTES: usize = 64;
/// What the base64 of a public key begins with once decoded, as in minisign's own lines.
const ED25519: [u8; 2] = *b"Ed";

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaf {
    /// A bundle: the first leaf of its id is its place, each one a form of its file.
    Bundle {
        /// Its manifest, whose SHA-256 is the bundle's id.
        manifest: Box<Manifest>,
        /// Size of its file, in bytes.
        size: u64,
        /// Digest of that file.
        file: Digest,
        /// Who has signed the manifest for this archive.
        signatures: Vec<LeafSignature>,
    },
    /// Further signatures of a bundle that was logged before.
    Signature {
        /// The bundle.
        bundle: BundleId,
        /// Who has signed its manifest.
        signatures: Vec<LeafSignature>,
    },
    /// Articles were withdrawn.
    Withdraw {
        /// Digest of the statement.
        statement: Digest,
        /// Who has signed the statement.
        signatures: Vec<LeafSignature>,
    },
    /// A version of the trust policy.
    Policy {
        /// Its number.
        version: u64,
        /// Digest of its file.
        file: Digest,
        /// Who has signed it.
        signatures: Vec<LeafSignature>,
    },
    /// A document for whoever finds the archive.
    Document {
        /// Its name in the archive.
        name: String,
        /// Its digest.
        file: Digest,
        /// Who has signed it.
        signatures: Vec<LeafSignature>,
    },
}

/// A `.minisig` file as a leaf keeps it: the whole public key, both signatures and the time; kind, archive and digest follow from the leaf.
#[derive(Clone, PartialEq, Eq)]
pub struct LeafSignature {
    /// The id of the key that is said to have signed.
    pub id: KeyId,
    /// The 32 bytes of that key.
    pub key: [u8; KEY_BYTES],
    /// The signature of the content.
    pub content: [u8; SIGNATURE_BYTES],
    /// The signature of the first one and the trusted comment.
    pub global: [u8; SIGNATURE_BYTES],
    /// When the signer claims to have signed.
    pub time: Timestamp,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed leaf: {0}")]
pub struct LeafFault(pub &'static str);

impl LeafSignature {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (key, content, global, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let key: [u8; ED25519.len() + KEY_ID_BYTES + KEY_BYTES] = exact(key)?;
        let (id, bytes) = key.strip_prefix(&ED25519)?.split_first_chunk::<KEY_ID_BYTES>()?;
        Some(Self {
            id: KeyId::from_bytes(*id),
            key: bytes.try_into().ok()?,
            content: exact(content)?,
            global: exact(global)?,
            time: time.parse().ok()?,
        })
        .filter(|_| words.next().is_none())
    }
}

impl fmt::Display for LeafSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&ED25519[..], self.id.as_bytes(), &self.key].concat();
        let [key, content, global] = [&key[..], &self.content, &self.global].map(Base64::encode_string);
        write!(f, "{key} {content} {global} {}", self.time)
    }
}

impl fmt::Debug for LeafSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafSignature({} at {})", self.id, self.time)
    }
}

impl Leaf {
    /// Reads a leaf.
    ///
    /// # Errors
    /// Anything but a known kind in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafFault> {
        if bytes.len() > MAX_LEAF_BYTES {
            return Err(LeafFault("longer than a leaf may be"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| LeafFault("not UTF-8"))?;
        let leaf = Fields(text).leaf()?;
        if leaf.to_string() == text { Ok(leaf) } else { Err(LeafFault("not in its one form")) }
    }

    /// Returns the signatures that it carries.
    pub fn signatures(&self) -> &[LeafSignature] {
        match self {
            Self::Bundle { signatures, .. }
            | Self::Signature { signatures, .. }
            | Self::Withdraw { signatures, .. }
            | Self::Policy { signatures, .. }
            | Self::Document { signatures, .. } => signatures,
        }
    }
}

/// Returns signatures in the order in which a leaf has them, one for each key.
pub fn ordered(mut signatures: Vec<LeafSignature>) -> Vec<LeafSignature> {
    signatures.sort_by_key(|signature| signature.key);
    signatures.dedup_by_key(|signature| signature.key);
    signatures
}

/// The lines of a leaf, taken one by one.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn leaf(mut self) -> Result<Leaf, LeafFault> {
        let kind = self.field(VERSION).ok_or(LeafFault("of another format"))?;
        let leaf = match kind {
            "bundle" => self.bundle()?,
            "signature" => self.further(),
            "withdraw" => self.withdrawal(),
            "policy" => self.policy(),
            "document" => self.document(),
            _ => return Err(LeafFault("of an unknown kind")),
        };
        leaf.filter(|_| self.0.is_empty()).ok_or(LeafFault("a field is missing or malformed"))
    }

    fn bundle(&mut self) -> Result<Option<Leaf>, LeafFault> {
        let (Some(size), Some(file)) = (self.number("size"), self.digest("file")) else { return Ok(None) };
        let Some(signatures) = self.signatures() else { return Ok(None) };
        let Some(manifest) = std::mem::take(&mut self.0).strip_prefix('\n') else { return Ok(None) };
        let manifest = Manifest::decode(manifest.as_bytes()).map_err(|_| LeafFault("its manifest is none"))?;
        Ok(Some(Leaf::Bundle { manifest: Box::new(manifest), size, file, signatures }))
    }

    fn further(&mut self) -> Option<Leaf> {
        let bundle = self.field("bundle")?.parse().ok()?;
        let signatures = self.signatures().filter(|signatures| !signatures.is_empty())?;
        Some(Leaf::Signature { bundle, signatures })
    }

    fn withdrawal(&mut self) -> Option<Leaf> {
        let statement = self.digest("statement")?;
        Some(Leaf::Withdraw { statement, signatures: self.signatures()? })
    }

    fn policy(&mut self) -> Option<Leaf> {
        let (version, file) = (self.number("version")?, self.digest("file")?);
        Some(Leaf::Policy { version, file, signatures: self.signatures()? })
    }

    fn document(&mut self) -> Option<Leaf> {
        let name = self.field("name").filter(|name| is_document_name(name))?.to_owned();
        let file = self.digest("file")?;
        Some(Leaf::Document { name, file, signatures: self.signatures()? })
    }

    /// Takes the next line where it begins with `name`.
    fn field(&mut self, name: &str) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        self.0 = rest;
        Some(value)
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok().filter(|number| *number <= MAX_NUMBER)
    }

    fn digest(&mut self, name: &str) -> Option<Digest> {
        Digest::from_labelled(self.field(name)?).ok()
    }

    /// Takes the lines of signatures, one for each key, ascending.
    fn signatures(&mut self) -> Option<Vec<LeafSignature>> {
        // Most leaves have one, and a long log has many leaves.
        let mut signatures = Vec::with_capacity(1);
        while let Some(line) = self.field("signature") {
            signatures.push(LeafSignature::parse(line)?);
        }
        signatures.is_sorted_by(|one, other| one.key < other.key).then_some(signatures)
    }
}

fn exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let whole = Base64::decode(text, &mut bytes).ok()?.len() == N;
    whole.then_some(bytes)
}

pub(crate) fn is_document_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !RESERVED.contains(&name)
        && !name.ends_with(UNFINISHED)
        && name.len() <= MAX_DOCUMENT_NAME_BYTES
        && !name.starts_with('.')
        && !name.is_empty()
        && name.bytes().all(good)
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signatures = |f: &mut fmt::Formatter<'_>, signatures: &[LeafSignature]| {
            signatures.iter().try_for_each(|signature| writeln!(f, "signature {signature}"))
        };
        match self {
            Self::Bundle { manifest, size, file, signatures: by } => {
                write!(f, "{VERSION} bundle\nsize {size}\nfile {}\n", file.labelled())?;
                signatures(f, by)?;
                write!(f, "\n{manifest}")
            }
            Self::Signature { bundle, signatures: by } => {
                write!(f, "{VERSION} signature\nbundle {bundle}\n")?;
                signatures(f, by)
            }
            Self::Withdraw { statement, signatures: by } => {
                write!(f, "{VERSION} withdraw\nstatement {}\n", statement.labelled())?;
                signatures(f, by)
            }
            Self::Policy { version, file, signatures: by } => {
                write!(f, "{VERSION} policy\nversion {version}\nfile {}\n", file.labelled())?;
                signatures(f, by)
            }
            Self::Document { name, file, signatures: by } => {
                write!(f, "{VERSION} document\nname {name}\nfile {}\n", file.labelled())?;
                signatures(f, by)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
        prop::collection::vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().unwrap())
    }

    fn signatures() -> impl Strategy<Value = Vec<LeafSignature>> {
        let one =
            (bytes(), bytes(), bytes(), bytes(), 0..4_000_000_000_i64).prop_map(|(id, key, content, global, time)| {
                LeafSignature {
                    id: KeyId::from_bytes(id),
                    key,
                    content,
                    global,
                    time: Timestamp::from_second(time).unwrap(),
                }
            });
        prop::collection::vec(one, 0..3).prop_map(ordered)
    }

    fn manifest() -> Box<Manifest> {
        let (checksums, root) = (Digest::of(b"list").labelled(), Digest::of(b"tree").labelled());
        let text = format!(
            "format = \"vellum-manifest/1\"\narchive = \"example.org/a\"\nname = \"a\"\ntitle = \"A\"\narticles = 1\nfiles = 2\n\
             bytes = 9\nchecksums = \"{checksums}\"\nroot = \"{root}\"\nbase = 7\n"
        );
        Box::new(Manifest::decode(text.as_bytes()).unwrap())
    }

    fn leaves() -> impl Strategy<Value = Leaf> {
        let digest = || any::<[u8; 32]>().prop_map(Digest::from_bytes);
        let bundle = digest().prop_map(BundleId);
        prop_oneof![
            (0..=MAX_NUMBER, digest(), signatures()).prop_map(|(size, file, signatures)| Leaf::Bundle {
                manifest: manifest(),
                size,
                file,
                signatures
            }),
            (bundle, signatures().prop_filter("some", |some| !some.is_empty()))
                .prop_map(|(bundle, signatures)| Leaf::Signature { bundle, signatures }),
            (digest(), signatures()).prop_map(|(statement, signatures)| Leaf::Withdraw { statement, signatures }),
            (0..=MAX_NUMBER, digest(), signatures()).prop_map(|(version, file, signatures)| Leaf::Policy {
                version,
                file,
                signatures
            }),
            (digest(), signatures()).prop_map(|(file, signatures)| Leaf::Document {
                name: "NOTES.txt".into(),
                file,
                signatures
            }),
        ]
    }

    #[test]
    fn a_document_takes_no_place_that_means_something_else() {
        let leaf = |name: &str| format!("{VERSION} document\nname {name}\nfile {}\n", Digest::of(b"").labelled());
        assert!(Leaf::decode(leaf("NOTES.txt").as_bytes()).is_ok());
        for name in RESERVED.iter().chain(&["", ".vellum", "a/b", "..", "a b"]) {
            assert!(Leaf::decode(leaf(name).as_bytes()).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_leaf_is_read_as_it_was_written(leaf in leaves()) {
            let text = leaf.to_string();
            prop_assert_eq!(Leaf::decode(text.as_bytes()), Ok(leaf));
            for bad in [
                format!("{text}\n"),
                text.strip_suffix('\n').unwrap().to_owned(),
                text.replacen("/1", "/2", 1),
                text.replacen("\nsignature ", "\nsignature  ", 1) + "x",
            ] {
                prop_assert!(Leaf::decode(bad.as_bytes()).is_err(), "{}", bad);
            }
        }

        #[test]
        fn signatures_of_a_leaf_ascend_by_key_and_no_key_signs_twice(several in signatures()) {
            prop_assume!(several.len() > 1);
            let mut turned = several.clone();
            turned.reverse();
            let (mut twice, statement) = (several.clone(), Digest::of(b""));
            twice.push(several[several.len() - 1].clone());
            for signatures in [turned, twice] {
                let leaf = Leaf::Withdraw { statement, signatures };
                prop_assert!(Leaf::decode(leaf.to_string().as_bytes()).is_err());
            }
        }
    }
}
