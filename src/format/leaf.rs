//! The leaves of the log: what an archive holds, each a short text. (FORMAT.md, "The log")
//!
//! ```text
//! vellum-leaf/1 article
//! id sha256:<hex of the article's id>
//! lines sha256:<hex of its lines of the checksum list>
//! bundle <id>
//! ```
//!
//! Clear ids and paths stay out of the log, since it outlives a withdrawal. One form only; an unknown kind is refused.

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::digest::Digest;

use crate::ids::BundleId;

/// What lies at the top of an archive and is no document.
const RESERVED: [&str; 8] =
    ["archive.toml", "bundles", "checkpoint", "claim", "incoming", "tile", "trust", "withdrawn"];
/// How each leaf begins.
const VERSION: &str = "vellum-leaf/1";
/// The longest leaf, in bytes.
pub const MAX_LEAF_BYTES: usize = 1024;
/// Names of documents of the archive are this long at most, in bytes.
const MAX_DOCUMENT_NAME_BYTES: usize = 64;

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaf {
    /// A bundle was taken in; its articles' leaves follow at once, unless it replaces another.
    Bundle {
        /// Its id.
        id: BundleId,
        /// Size of its file as it was published, in bytes.
        size: u64,
        /// Digest of that file.
        file: Digest,
        /// The bundle whose rest this is, after a withdrawal.
        replaces: Option<BundleId>,
    },
    /// A revision of an article.
    Article {
        /// Digest of its id.
        id: Digest,
        /// Digest of its lines of the checksum list.
        lines: Digest,
        /// The bundle that holds it.
        bundle: BundleId,
    },
    /// A signature that a bundle was taken in with, or that was added.
    Signature {
        /// The bundle.
        bundle: BundleId,
        /// The whole public key.
        key: [u8; 32],
        /// Digest of the `.minisig` file.
        file: Digest,
    },
    /// An article was withdrawn.
    Withdraw {
        /// Digest of the statement.
        statement: Digest,
        /// Whole public keys and digests of the statement's `.minisig` files, ascending by key; absent in the first archives.
        signatures: Vec<([u8; 32], Digest)>,
    },
    /// A version of the trust policy.
    Policy {
        /// Its number.
        version: u64,
        /// Digest of its file.
        file: Digest,
    },
    /// A document for whoever finds the archive.
    Document {
        /// Its name in the archive.
        name: String,
        /// Its digest.
        file: Digest,
    },
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed leaf: {0}")]
pub struct LeafFault(pub &'static str);

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
}

/// The lines of a leaf, taken one by one.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn leaf(mut self) -> Result<Leaf, LeafFault> {
        let kind = self.field(VERSION).ok_or(LeafFault("of another format"))?;
        let missing = LeafFault("a field is missing or malformed");
        let leaf = match kind {
            "bundle" => (|| {
                let (id, size, file) = (self.bundle("id")?, self.field("size")?.parse().ok()?, self.digest("file")?);
                Some(Leaf::Bundle { id, size, file, replaces: self.bundle("replaces") })
            })(),
            "article" => (|| {
                let (id, lines, bundle) = (self.digest("id")?, self.digest("lines")?, self.bundle("bundle")?);
                Some(Leaf::Article { id, lines, bundle })
            })(),
            "signature" => (|| {
                let (bundle, key) = (self.bundle("bundle")?, bare_key(self.field("key")?)?);
                Some(Leaf::Signature { bundle, key, file: self.digest("file")? })
            })(),
            "withdraw" => (|| {
                let (statement, mut signatures) = (self.digest("statement")?, Vec::new());
                while let Some(line) = self.field("signature") {
                    let (key, file) = line.split_once(' ')?;
                    signatures.push((bare_key(key)?, Digest::from_labelled(file).ok()?));
                }
                signatures.is_sorted_by(|(a, _), (b, _)| a < b).then_some(Leaf::Withdraw { statement, signatures })
            })(),
            "policy" => (|| {
                let version = self.field("version")?.parse().ok()?;
                Some(Leaf::Policy { version, file: self.digest("file")? })
            })(),
            "document" => (|| {
                let name = self.field("name").filter(|name| is_document_name(name))?.to_owned();
                Some(Leaf::Document { name, file: self.digest("file")? })
            })(),
            _ => return Err(LeafFault("of an unknown kind")),
        };
        leaf.filter(|_| self.0.is_empty()).ok_or(missing)
    }

    /// Takes the next line where it begins with `name`.
    fn field(&mut self, name: &str) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        self.0 = rest;
        Some(value)
    }

    fn digest(&mut self, name: &str) -> Option<Digest> {
        Digest::from_labelled(self.field(name)?).ok()
    }

    fn bundle(&mut self, name: &str) -> Option<BundleId> {
        self.field(name)?.parse().ok()
    }
}

fn bare_key(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let whole = Base64::decode(text, &mut key).ok()?.len() == 32;
    whole.then_some(key)
}

fn is_document_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !RESERVED.contains(&name)
        && name.len() <= MAX_DOCUMENT_NAME_BYTES
        && !name.starts_with('.')
        && !name.is_empty()
        && name.bytes().all(good)
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle { id, size, file, replaces } => {
                write!(f, "{VERSION} bundle\nid {id}\nsize {size}\nfile {}\n", file.labelled())?;
                replaces.map_or(Ok(()), |old| writeln!(f, "replaces {old}"))
            }
            Self::Article { id, lines, bundle } => {
                write!(f, "{VERSION} article\nid {}\nlines {}\nbundle {bundle}\n", id.labelled(), lines.labelled())
            }
            Self::Signature { bundle, key, file } => {
                let key = Base64::encode_string(key);
                write!(f, "{VERSION} signature\nbundle {bundle}\nkey {key}\nfile {}\n", file.labelled())
            }
            Self::Withdraw { statement, signatures } => {
                write!(f, "{VERSION} withdraw\nstatement {}\n", statement.labelled())?;
                signatures.iter().try_for_each(|(key, file)| {
                    writeln!(f, "signature {} {}", Base64::encode_string(key), file.labelled())
                })
            }
            Self::Policy { version, file } => {
                write!(f, "{VERSION} policy\nversion {version}\nfile {}\n", file.labelled())
            }
            Self::Document { name, file } => write!(f, "{VERSION} document\nname {name}\nfile {}\n", file.labelled()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves() -> impl Strategy<Value = Leaf> {
        let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
        let bundle = any::<[u8; 32]>().prop_map(|bytes| BundleId(Digest::from_bytes(bytes)));
        prop_oneof![
            (bundle.clone(), any::<u64>(), digest.clone(), prop::option::of(bundle.clone()))
                .prop_map(|(id, size, file, replaces)| Leaf::Bundle { id, size, file, replaces }),
            (digest.clone(), digest.clone(), bundle.clone()).prop_map(|(id, lines, bundle)| Leaf::Article {
                id,
                lines,
                bundle
            }),
            (any::<u64>(), digest.clone()).prop_map(|(version, file)| Leaf::Policy { version, file }),
            (bundle, any::<[u8; 32]>(), digest.clone()).prop_map(|(bundle, key, file)| Leaf::Signature {
                bundle,
                key,
                file
            }),
            (digest.clone(), prop::collection::btree_map(any::<[u8; 32]>(), digest.clone(), 0..4)).prop_map(
                |(statement, signatures)| Leaf::Withdraw { statement, signatures: signatures.into_iter().collect() }
            ),
            digest.prop_map(|file| Leaf::Document { name: "README.txt".into(), file }),
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
            prop_assert_eq!(Leaf::decode(leaf.to_string().as_bytes()), Ok(leaf.clone()));
            let text = leaf.to_string();
            for bad in [format!("{text}\n"), text.trim_end().to_owned(), text.replace("sha256:", "sha257:") + "x", text.replacen("/1", "/2", 1)] {
                prop_assert!(Leaf::decode(bad.as_bytes()).is_err());
            }
        }
    }
}
