//! The tail of a bundle, its last frame: tag files, manifest, signatures, what a replacement was, head of the index. (FORMAT.md, "The bundle")
//!
//! The frame begins with `bagit.txt`, so a reader finds it by the seek table alone. Members stand in one order; whatever else
//! stands there is a finding.

use crate::finding::{Code, Finding};
use crate::format::bagit;
use crate::format::index::{self, Head};
use crate::format::manifest::{self, Manifest};
use crate::format::signatures::{MAX_SIGNATURE_BYTES, MAX_SIGNATURES, SignatureFile, key_id_of};
use crate::format::tar::{self, Entry};
use crate::format::was::{self, Was};

/// The place of the folders about replaced bundles in the order of the members, and of the head after it.
const WAS: usize = 4 + 2 * MAX_SIGNATURES;
const HEAD: usize = WAS + 1;

/// What the last frame holds, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tail {
    /// The one top folder.
    pub top: String,
    /// `bagit.txt`.
    pub bagit: Vec<u8>,
    /// `bag-info.txt`.
    pub bag_info: Vec<u8>,
    /// `manifest.toml`.
    pub manifest: Vec<u8>,
    /// `tagmanifest-sha256.txt`.
    pub tag_manifest: Vec<u8>,
    /// The signatures, ascending by key id.
    pub signatures: Vec<SignatureFile>,
    /// Of a replacement, the bundles that it descends from, the newest first.
    pub was: Vec<Was>,
    /// The head of the index.
    pub head: Vec<u8>,
}

impl Tail {
    /// Makes the tail of a manifest.
    pub fn new(manifest: &Manifest, mut signatures: Vec<SignatureFile>, head: &Head) -> Self {
        signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        Self {
            top: manifest.name.to_string(),
            bagit: bagit::declaration().into(),
            bag_info: bagit::info(manifest).into(),
            manifest: manifest.to_string().into(),
            tag_manifest: bagit::tag_manifest(manifest).into(),
            signatures,
            was: Vec::new(),
            head: head.encode().into_bytes(),
        }
    }

    /// Returns the plain bytes of the last frame, the end of the tar included.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |name: &str, bytes: &[u8]| tar::encode_file(&format!("{}/{name}", self.top), bytes, &mut out);
        put(bagit::BAGIT, &self.bagit);
        put(bagit::BAG_INFO, &self.bag_info);
        put(manifest::NAME, &self.manifest);
        put(bagit::TAG_MANIFEST, &self.tag_manifest);
        for signature in &self.signatures {
            put(&signature.name(), &signature.bytes);
        }
        for (name, bytes) in self.was.iter().flat_map(Was::files) {
            put(&name, &bytes);
        }
        put(index::HEAD, &self.head);
        out.resize(out.len() + tar::END_BYTES as usize, 0);
        out
    }

    /// Reads the plain bytes of a last frame: what could be read, and everything that is wrong with the rest.
    pub fn decode(plain: &[u8]) -> (Self, Vec<Finding>) {
        let mut tail = Self::default();
        let mut findings = Vec::new();
        let mut at = 0;
        let mut order = 0;
        let mut folders = was::Folders::default();
        loop {
            let (path, size, header) = match tar::decode_header(plain.get(at..).unwrap_or_default()) {
                Ok(Entry::File { path, size, header }) => (path, size, header),
                Ok(Entry::End) => break,
                Err(fault) => {
                    let detail = format!("{fault}, at byte {at} of the last frame");
                    findings.push(Finding::new(Code::Tar, "tail", detail));
                    return (tail, findings);
                }
            };
            let path = String::from_utf8_lossy(&path).into_owned();
            let start = at + header as usize;
            let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
            let Some(bytes) = end.and_then(|end| plain.get(start..end)) else {
                let detail = format!("claims {size} bytes, the last frame ends before");
                findings.push(Finding::new(Code::Tar, path, detail));
                return (tail, findings);
            };
            at = start + bytes.len();
            let next = at + tar::padding(size) as usize;
            if plain.get(at..next).is_none_or(|padding| !tar::is_zero(padding)) {
                findings.push(Finding::new(Code::Tar, &path, "is not padded with zeros"));
            }
            at = next;
            let (top, name) = path.split_once('/').unwrap_or(("", &path));
            if order == 0 {
                tail.top = top.to_owned();
            } else if tail.top != top {
                findings.push(Finding::new(Code::TopFolder, &path, format!("outside the top folder {:?}", tail.top)));
            }
            if let Some(below) = name.strip_prefix(was::FOLDER) {
                if order <= WAS && folders.take(below, bytes) {
                    order = WAS;
                } else {
                    findings.push(Finding::new(Code::Was, &path, "does not belong there, or not in this place"));
                }
                continue;
            }
            match tail.take(name, bytes.to_vec()) {
                Some(rank) if rank >= order => order = rank + 1,
                Some(_) => findings.push(Finding::new(Code::Tar, &path, "stands twice, or not in its place")),
                None => findings.push(Finding::new(Code::Extra, &path, "no member of a bundle's tail")),
            }
        }
        let end = plain.get(at..).unwrap_or_default();
        if end.len() as u64 != tar::END_BYTES || !tar::is_zero(end) {
            findings.push(Finding::new(Code::Tar, "tail", "the tar does not end with just two blocks of zeros"));
        }
        if tail.signatures.len() > MAX_SIGNATURES {
            let detail = format!("{} signatures, at most {MAX_SIGNATURES} are allowed", tail.signatures.len());
            findings.push(Finding::new(Code::OverLimit, "tail", detail));
            tail.signatures.truncate(MAX_SIGNATURES);
        }
        for signature in tail.signatures.iter().filter(|file| file.bytes.len() as u64 > MAX_SIGNATURE_BYTES) {
            let detail = format!("{} bytes, at most {MAX_SIGNATURE_BYTES} are allowed", signature.bytes.len());
            findings.push(Finding::new(Code::OverLimit, signature.name(), detail));
        }
        let (line, of_line) = folders.read(&tail.top);
        tail.was = line;
        findings.extend(of_line);
        (tail, findings)
    }

    /// Puts a member where it belongs and returns its rank in the order; `None` for a stranger.
    fn take(&mut self, name: &str, bytes: Vec<u8>) -> Option<usize> {
        let (place, rank) = match name {
            bagit::BAGIT => (&mut self.bagit, 0),
            bagit::BAG_INFO => (&mut self.bag_info, 1),
            manifest::NAME => (&mut self.manifest, 2),
            bagit::TAG_MANIFEST => (&mut self.tag_manifest, 3),
            index::HEAD => (&mut self.head, HEAD),
            _ => {
                let key_id = key_id_of(name)?;
                let ascending = self.signatures.last().is_none_or(|last| last.key_id.as_str() < key_id);
                self.signatures.push(SignatureFile { key_id: key_id.to_owned(), bytes });
                return Some(if ascending { 4 + self.signatures.len().min(MAX_SIGNATURES) } else { 0 });
            }
        };
        *place = bytes;
        Some(rank)
    }

    /// Reads the manifest and holds the tag files, the top folder and the bundles before it against it.
    pub fn manifest(&self) -> (Option<Manifest>, Vec<Finding>) {
        let manifest = match Manifest::decode(&self.manifest) {
            Ok(manifest) => manifest,
            Err(fault) => {
                let detail = if self.manifest.is_empty() { "absent".into() } else { fault.to_string() };
                return (None, vec![Finding::new(Code::Manifest, manifest::NAME, detail)]);
            }
        };
        let mut findings = Vec::new();
        if self.top != manifest.name.as_str() {
            let detail = format!("expected {:?}, as the manifest names it", manifest.name.as_str());
            findings.push(Finding::new(Code::TopFolder, &self.top, detail));
        }
        for (name, found, expected) in [
            (bagit::BAGIT, &self.bagit, bagit::declaration().to_owned()),
            (bagit::BAG_INFO, &self.bag_info, bagit::info(&manifest)),
            (bagit::TAG_MANIFEST, &self.tag_manifest, bagit::tag_manifest(&manifest)),
        ] {
            if *found != expected.as_bytes() {
                findings.push(Finding::new(Code::TagFile, name, "not what the manifest makes it"));
            }
        }
        findings.extend(was::line_findings(&manifest, &self.was));
        (Some(manifest), findings)
    }
}
