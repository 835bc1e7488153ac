//! A proof that an article was logged, as a C2SP `.tlog-proof`. (FORMAT.md, "Proofs"; C2SP tlog-proof)
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the article: its bundle's leaf, its id, its lines, its path in the article tree>
//! index 41
//! <base64 hash>…
//!
//! <the signed checkpoint>
//! ```
//!
//! The `extra` is signed by nobody: a verifier hashes the leaf, checks its inclusion, and holds id and lines against the root in the manifest
//! that the leaf carries.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};

use crate::digest::Digest;
use crate::merkle::{self, MAX_PROOF_HASHES};
use crate::path::{EntryPath, MAX_ID_BYTES};

use super::bundle::MAX_SIGNATURES;
use super::checksums::{ChecksumList, ListFault};
use super::manifest::{Manifest, ManifestFault};
use super::tree;

/// The ending of the file name of a proof by a log.
pub const ENDING: &str = ".tlog-proof";
/// The ending of the file name of a proof by a bundle's signatures.
pub const ARTICLE_ENDING: &str = ".vellum-proof";
/// The most that the lines of an article in a proof may come to, in bytes.
pub const MAX_LINES_BYTES: usize = 16 << 20;
/// The longest proof, in bytes.
pub const MAX_PROOF_BYTES: u64 = 32 << 20;

const FORMAT: &str = "c2sp.org/tlog-proof@v1";
const EXTRA: &str = "vellum-proof/1";

/// A proof as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What the leaf is about.
    pub extra: Extra,
    /// The leaf's index in the log.
    pub index: u64,
    /// The proof of inclusion.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// What is proved, in the clear: a `vellum-proof/1`. By itself it proves an article by the signatures of its bundle's manifest; in a
/// [`Proof`] the leaf of a log commits to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extra {
    /// The exact leaf of the bundle; empty where no log commits to it.
    pub leaf: Vec<u8>,
    /// The bundle's manifest; empty where a leaf carries it.
    pub manifest: Vec<u8>,
    /// The manifest's signatures.
    pub signatures: Vec<Vec<u8>>,
    /// The article's id.
    pub id: String,
    /// The article's lines of the checksum list.
    pub lines: String,
    /// The article's number in the bundle, and the path from its leaf to the manifest's root.
    pub path: Option<(u64, Vec<Digest>)>,
}

/// Why bytes are no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed proof: {0}")]
pub struct ProofFault(pub &'static str);

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    /// Names what is not as the format has it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofFault> {
        if bytes.len() as u64 > MAX_PROOF_BYTES {
            return Err(ProofFault("longer than a proof may be"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProofFault("not UTF-8"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ProofFault("there is no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(ProofFault("of another format"));
        }
        let extra = lines
            .next()
            .and_then(|line| line.strip_prefix("extra "))
            .ok_or(ProofFault("the second line is no extra"))?;
        let extra = Base64::decode_vec(extra).map_err(|_| ProofFault("the extra is no base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(|index| index.parse().ok());
        let mut proof = Self {
            extra: Extra::decode(&extra)?,
            index: index.ok_or(ProofFault("there is no index"))?,
            hashes: Vec::new(),
            checkpoint: checkpoint.to_owned(),
        };
        for line in lines {
            let mut hash = [0; 32];
            let whole = Base64::decode(line, &mut hash).is_ok_and(|bytes| bytes.len() == 32);
            if !whole || proof.hashes.len() == MAX_PROOF_HASHES {
                return Err(ProofFault("a line is no hash, or there are too many"));
            }
            proof.hashes.push(Digest::from_bytes(hash));
        }
        if proof.encode() == text { Ok(proof) } else { Err(ProofFault("not in its one form")) }
    }

    /// Returns the proof's file.
    pub fn encode(&self) -> String {
        let mut out =
            format!("{FORMAT}\nextra {}\nindex {}\n", Base64::encode_string(&self.extra.encode()), self.index);
        for hash in &self.hashes {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{}", Base64::encode_string(hash.as_bytes()));
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }
}

impl Extra {
    /// Returns the proof's bytes: parts, each with its name and length on a line of its own before it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = format!("{EXTRA}\n").into_bytes();
        let mut part = |name: &str, bytes: &[u8]| {
            out.extend_from_slice(format!("{name} {}\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
            out.push(b'\n');
        };
        if !self.leaf.is_empty() {
            part("leaf", &self.leaf);
        }
        if !self.manifest.is_empty() {
            part("manifest", &self.manifest);
        }
        self.signatures.iter().for_each(|signature| part("signature", signature));
        part("id", self.id.as_bytes());
        part("lines", self.lines.as_bytes());
        if let Some((number, hashes)) = &self.path {
            let hashes: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
            part("path", format!("{number}\n{hashes}").as_bytes());
        }
        out
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// Anything but the one form is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofFault> {
        if bytes.len() as u64 > MAX_PROOF_BYTES {
            return Err(ProofFault("longer than a proof may be"));
        }
        Self::parts(bytes).ok_or(ProofFault("its parts are not those of a vellum-proof/1"))
    }

    fn parts(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(format!("{EXTRA}\n").as_bytes())?;
        let mut extra = Self::default();
        while !rest.is_empty() {
            let end = rest.iter().position(|&b| b == b'\n')?;
            let (name, length) = std::str::from_utf8(&rest[..end]).ok()?.split_once(' ')?;
            let (part, after) = rest[end + 1..].split_at_checked(length.parse().ok()?)?;
            match name {
                "leaf" => extra.leaf = part.to_vec(),
                "manifest" => extra.manifest = part.to_vec(),
                "signature"
                    if extra.signatures.len() < MAX_SIGNATURES && extra.signatures.iter().all(|s| s != part) =>
                {
                    extra.signatures.push(part.to_vec());
                }
                "id" => extra.id = String::from_utf8(part.to_vec()).ok()?,
                "lines" => extra.lines = String::from_utf8(part.to_vec()).ok()?,
                "path" => {
                    let text = std::str::from_utf8(part).ok()?;
                    let mut lines = text.strip_suffix('\n')?.split('\n');
                    let number = lines.next()?.parse().ok()?;
                    let hashes = lines.map(|line| line.parse().ok()).collect::<Option<Vec<_>>>()?;
                    extra.path = Some((number, hashes));
                }
                _ => return None,
            }
            rest = after.strip_prefix(b"\n")?;
        }
        (extra.encode() == bytes && extra.lines.len() <= MAX_LINES_BYTES).then_some(extra)
    }

    /// Says whether bytes begin like a proof that no log commits to.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(EXTRA.as_bytes())
    }

    /// Checks that id and lines are those of an article of the bundle whose manifest the proof carries; returns the manifest, to be
    /// trusted only for its signatures.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn manifest_of_article(&self) -> Result<Manifest, ArticleFault> {
        let manifest = Manifest::decode(&self.manifest)?;
        self.check_article(&manifest)?;
        Ok(manifest)
    }

    /// Checks that id and lines are those of an article of the bundle of this manifest.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn check_article(&self, manifest: &Manifest) -> Result<(), ArticleFault> {
        let list = ChecksumList::decode(self.lines.clone().into_bytes())?;
        if let Some(fault) = list.faults().into_iter().next() {
            return Err(fault.into());
        }
        if list.article_count() != 1 {
            return Err(ArticleFault::Several(list.article_count()));
        }
        if self.id.len() > MAX_ID_BYTES || EntryPath::parse(&self.id).is_err() {
            return Err(ArticleFault::Id);
        }
        let (number, hashes) = self.path.as_ref().ok_or(ArticleFault::NoPath)?;
        let leaf = tree::leaf(&self.id, &self.lines);
        Ok(merkle::verify_inclusion(&leaf, *number, manifest.articles, hashes, &manifest.root)?)
    }

    /// Returns the paths that have the bytes of this digest, `data/` included.
    pub fn paths_of(&self, file: &Digest) -> Vec<String> {
        let wanted = format!("{file}  ");
        self.lines.lines().filter_map(|line| line.strip_prefix(&wanted)).map(str::to_owned).collect()
    }
}

/// Why id and lines are not those of an article of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArticleFault {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestFault),
    /// The lines.
    #[error("the article's lines: {0}")]
    Lines(#[from] ListFault),
    /// Lines of none or of several articles.
    #[error("the lines are those of {0} articles, expected one")]
    Several(usize),
    /// The id.
    #[error("the article's id breaks the rules of ids")]
    Id,
    /// No path to the root.
    #[error("the proof has no path to the manifest's root")]
    NoPath,
    /// The path leads elsewhere.
    #[error("the article: {0}")]
    Path(#[from] merkle::ProofFault),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proofs() -> impl Strategy<Value = Proof> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..40);
        let hashes = || prop::collection::vec(any::<[u8; 32]>().prop_map(Digest::from_bytes), 0..20);
        let path = prop::option::of((any::<u64>(), hashes()));
        let extra =
            (bytes(), "[a-z\n]{0,9}", "[ -~\n]{0,80}", bytes(), prop::collection::vec(bytes(), 0..3), path).prop_map(
                |(leaf, id, lines, manifest, signatures, path)| Extra { leaf, manifest, signatures, id, lines, path },
            );
        let hashes = hashes();
        (extra, any::<u64>(), hashes, "[a-z\n]{0,40}").prop_map(|(extra, index, hashes, checkpoint)| Proof {
            extra,
            index,
            hashes,
            checkpoint,
        })
    }

    proptest! {
        #[test]
        fn a_proof_is_read_as_it_was_written(proof in proofs()) {
            prop_assert_eq!(Proof::decode(proof.encode().as_bytes()), Ok(proof.clone()));
        }

        #[test]
        fn any_bytes_are_a_proof_or_refused(proof in proofs(), at: prop::sample::Index, byte: u8) {
            let mut bytes = proof.encode().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert!(Proof::decode(&bytes).is_err() || Proof::decode(&bytes).unwrap().encode().as_bytes() == bytes);
        }
    }
}
