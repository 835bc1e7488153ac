//! What a replacement says of the bundles that it descends from: `was/<old id>/`, a folder for each. (FORMAT.md, "What was removed")
//!
//! ```text
//! was/4c93b8…/manifest.toml
//! was/4c93b8…/manifest.toml.2F5A6F1C0E9B1D47.minisig
//! was/4c93b8…/removed
//! ```
//!
//! `removed` opens the leaves of the old article tree that the newer one lacks. Put back between the leaves of the newer tree they lead to the
//! root that the old manifest states, so that whoever signed that one has signed every article which is left.

use std::fmt::{self, Write as _};

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::ids::BundleId;

use super::manifest::{self, Manifest};
use super::signatures::{MAX_SIGNATURE_BYTES, MAX_SIGNATURES, SignatureFile, key_id_of};
use super::{tar, tree};

/// The folder of the folders in the bundle.
pub const FOLDER: &str = "was/";
/// The most bundles that a replacement descends from.
pub const MAX_WAS: usize = 256;
/// The longest stretch of the tar that the folders fill, in bytes: all of it lies in the last frame, which every reader reads.
pub const MAX_WAS_BYTES: u64 = 4 << 20;

/// The name of the list of removed leaves in a folder.
const REMOVED: &str = "removed";

/// A leaf of an article tree, opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedLeaf {
    /// The article's number in the old bundle.
    pub position: u64,
    /// Digest of its id.
    pub id: Digest,
    /// Digest of its lines.
    pub lines: Digest,
}

/// A bundle that a replacement descends from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Was {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its signatures, ascending by key id.
    pub signatures: Vec<SignatureFile>,
    /// The leaves of its article tree that the next bundle of the line lacks, ascending by position.
    pub removed: Vec<RemovedLeaf>,
}

impl RemovedLeaf {
    /// Reads position and digests, with a space between them; a number may stand in another form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (position, id, lines) = (words.next()?, words.next()?, words.next()?);
        let leaf = Self { position: position.parse().ok()?, id: id.parse().ok()?, lines: lines.parse().ok()? };
        words.next().is_none().then_some(leaf)
    }
}

impl fmt::Display for RemovedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.position, self.id, self.lines)
    }
}

/// Reads a list of removed leaves; `None` for anything but its one form: not empty, ascending by position, one line each.
pub fn decode_removed(bytes: &[u8]) -> Option<Vec<RemovedLeaf>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let removed = text.strip_suffix('\n')?.split('\n').map(RemovedLeaf::parse).collect::<Option<Vec<_>>>()?;
    let is_one_form = removed.is_sorted_by(|one, other| one.position < other.position);
    (is_one_form && encode_removed(&removed) == text).then_some(removed)
}

/// Returns the text of a list of removed leaves.
pub fn encode_removed(removed: &[RemovedLeaf]) -> String {
    let mut out = String::new();
    for leaf in removed {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{leaf}");
    }
    out
}

/// Puts removed leaves, ascending by position, back between the leaves that are left; `None` where a position lies beyond the end.
pub fn put_back(removed: &[RemovedLeaf], left: &[Digest]) -> Option<Vec<Digest>> {
    let (mut left, mut all) = (left.iter(), Vec::with_capacity(left.len() + removed.len()));
    for leaf in removed {
        while (all.len() as u64) < leaf.position {
            all.push(*left.next()?);
        }
        all.push(tree::leaf_of(&leaf.id, &leaf.lines));
    }
    all.extend(left);
    Some(all)
}

impl Was {
    /// Returns the bundle's id.
    pub fn id(&self) -> BundleId {
        BundleId(Digest::of(self.manifest.to_string().as_bytes()))
    }

    /// Returns its files in the order of the tar, by their names in the top folder.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let folder = format!("{FOLDER}{}/", self.id());
        let mut files = vec![(format!("{folder}{}", manifest::NAME), self.manifest.to_string().into_bytes())];
        files.extend(self.signatures.iter().map(|file| (format!("{folder}{}", file.name()), file.bytes.clone())));
        files.push((format!("{folder}{REMOVED}"), encode_removed(&self.removed).into_bytes()));
        files
    }
}

/// Says by which limit a line is too long for a bundle with this top folder: what there is too much of, how much, and the limit.
pub fn over_limit(line: &[Was], top: &str) -> Option<(&'static str, u64, u64)> {
    if line.len() > MAX_WAS {
        return Some(("bundles that a replacement descends from", line.len() as u64, MAX_WAS as u64));
    }
    let files = line.iter().flat_map(Was::files);
    let member = |(name, bytes): (String, Vec<u8>)| {
        let size = bytes.len() as u64;
        tar::header_len(&format!("{top}/{name}"), size) + size + tar::padding(size)
    };
    let bytes = files.map(member).sum();
    (bytes > MAX_WAS_BYTES).then_some((
        "bytes about the bundles that a replacement descends from",
        bytes,
        MAX_WAS_BYTES,
    ))
}

/// The folders of a bundle while their files come, one after the other.
#[derive(Debug, Default)]
pub struct Folders(Vec<Folder>);

#[derive(Debug)]
struct Folder {
    id: String,
    manifest: Vec<u8>,
    signatures: Vec<SignatureFile>,
    removed: Option<Vec<u8>>,
}

impl Folders {
    /// Takes the next file, by its name below `was/`; `false` for one that does not belong there, or not in this place.
    pub fn take(&mut self, name: &str, bytes: &[u8]) -> bool {
        let Some((id, file)) = name.split_once('/') else { return false };
        let bytes = bytes.to_vec();
        if file == manifest::NAME {
            let is_next = self.0.last().is_none_or(|last| last.removed.is_some());
            if is_next {
                self.0.push(Folder { id: id.to_owned(), manifest: bytes, signatures: Vec::new(), removed: None });
            }
            return is_next;
        }
        let open = self.0.last_mut().filter(|folder| folder.id == id && folder.removed.is_none());
        match (open, key_id_of(file)) {
            (Some(folder), _) if file == REMOVED => folder.removed = Some(bytes),
            (Some(folder), Some(key_id)) if folder.signatures.last().is_none_or(|last| *last.key_id < *key_id) => {
                folder.signatures.push(SignatureFile { key_id: key_id.to_owned(), bytes });
            }
            _ => return false,
        }
        true
    }

    /// Reads what was taken: the bundles of the line, the newest first, and everything that is wrong with the folders by themselves.
    pub fn read(self, top: &str) -> (Vec<Was>, Vec<Finding>) {
        let (mut line, mut findings) = (Vec::new(), Vec::new());
        for folder in self.0 {
            match folder.read() {
                Ok(was) => line.push(was),
                Err(finding) => findings.push(finding),
            }
        }
        if let Some((what, found, limit)) = over_limit(&line, top) {
            findings.push(Finding::new(
                Code::OverLimit,
                FOLDER,
                format!("{found} {what}, at most {limit} are allowed"),
            ));
            line.truncate(MAX_WAS);
        }
        (line, findings)
    }
}

impl Folder {
    fn read(self) -> Result<Was, Finding> {
        let place = format!("{FOLDER}{}", self.id);
        let wrong = |file: &str, detail: String| Finding::new(Code::Was, format!("{place}/{file}"), detail);
        let manifest = Manifest::decode(&self.manifest).map_err(|fault| wrong(manifest::NAME, fault.to_string()))?;
        let id = Digest::of(&self.manifest).to_string();
        if id != self.id {
            return Err(wrong(
                manifest::NAME,
                format!("is of bundle {id}, not of the one that the folder is named for"),
            ));
        }
        let over = |detail: String| Finding::new(Code::OverLimit, &place, detail);
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(over(format!("{} signatures, at most {MAX_SIGNATURES} are allowed", self.signatures.len())));
        }
        if let Some(file) = self.signatures.iter().find(|file| file.bytes.len() as u64 > MAX_SIGNATURE_BYTES) {
            return Err(over(format!(
                "a signature of {} bytes, at most {MAX_SIGNATURE_BYTES} are allowed",
                file.bytes.len()
            )));
        }
        let removed = self.removed.ok_or_else(|| wrong(REMOVED, "absent".into()))?;
        let removed = decode_removed(&removed)
            .ok_or_else(|| wrong(REMOVED, "is no list of removed leaves in its one form".into()))?;
        Ok(Was { manifest, signatures: self.signatures, removed })
    }
}

/// Finds what of a line does not lead from one manifest to the next: each is of the bundle that the newer one replaces, and says the same but
/// for what the removed articles change.
pub fn line_findings(newest: &Manifest, line: &[Was]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut newer = newest;
    for was in line {
        let id = was.id();
        let mut wrong = |detail: &str| findings.push(Finding::new(Code::Was, format!("{FOLDER}{id}"), detail));
        if newer.replaces != [id] {
            wrong("is not the bundle that the one after it replaces");
        }
        if !is_repeated(newer, &was.manifest) {
            wrong("its manifest says more that is otherwise than the removed articles make");
        }
        if newer.articles.checked_add(was.removed.len() as u64) != Some(was.manifest.articles) {
            wrong("has another number of articles than are left and were removed");
        }
        newer = &was.manifest;
    }
    if !newer.replaces.is_empty() {
        let ids: Vec<_> = newer.replaces.iter().map(BundleId::to_string).collect();
        let detail = format!("nothing is said of what was replaced: {}", ids.join(", "));
        findings.push(Finding::new(Code::Was, FOLDER, detail));
    }
    findings
}

/// Says whether a newer manifest repeats everything of an old one that a removal does not change.
fn is_repeated(newer: &Manifest, old: &Manifest) -> bool {
    let expected = Manifest {
        articles: newer.articles,
        files: newer.files,
        bytes: newer.bytes,
        checksums: newer.checksums,
        root: newer.root,
        times: old.times.and(newer.times),
        replaces: newer.replaces.clone(),
        ..old.clone()
    };
    expected == *newer && old.times.is_some() == newer.times.is_some()
}

/// Finds where the removed leaves, put back between those of a bundle, do not lead to the root that an old manifest states.
pub fn tree_finding(line: &[Was], leaves: &[Digest]) -> Option<Finding> {
    let mut leaves = leaves.to_vec();
    for was in line {
        match put_back(&was.removed, &leaves) {
            Some(all) if tree::root(&all) == was.manifest.root => leaves = all,
            _ => {
                let detail = "the removed leaves and those that are left do not lead to its root";
                return Some(Finding::new(Code::Was, format!("{FOLDER}{}", was.id()), detail));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf(position: u64, id: &str) -> RemovedLeaf {
        RemovedLeaf { position, id: Digest::of(id.as_bytes()), lines: Digest::of(b"lines") }
    }

    fn leaf_hash(n: u64) -> Digest {
        let removed = leaf(n, &n.to_string());
        tree::leaf_of(&removed.id, &removed.lines)
    }

    /// The manifest of a bundle that holds the articles with these numbers.
    fn manifest(articles: &[u64], replaces: Option<BundleId>) -> Manifest {
        let leaves: Vec<Digest> = articles.iter().map(|&n| leaf_hash(n)).collect();
        Manifest {
            archive: None,
            name: "library".parse().unwrap(),
            title: "Library".into(),
            articles: articles.len() as u64,
            files: 2 * articles.len() as u64,
            bytes: 9,
            checksums: Digest::of(format!("{articles:?}").as_bytes()),
            root: tree::root(&leaves),
            times: None,
            part: None,
            base: Some(7),
            replaces: replaces.into_iter().collect(),
            reinstates: Vec::new(),
        }
    }

    /// A line from which the numbers in `gone` were taken, some at each step: the newest manifest, its leaves, and the line.
    fn line(count: u64, gone: &[Vec<u64>]) -> (Manifest, Vec<Digest>, Vec<Was>) {
        let mut articles: Vec<u64> = (0..count).collect();
        let mut newest = manifest(&articles, None);
        let mut line = Vec::new();
        for step in gone {
            let taken = |n: &(usize, &u64)| step.contains(n.1);
            let removed: Vec<_> =
                articles.iter().enumerate().filter(taken).map(|(at, n)| leaf(at as u64, &n.to_string())).collect();
            if removed.is_empty() || removed.len() == articles.len() {
                continue;
            }
            articles.retain(|n| !step.contains(n));
            let signatures = vec![SignatureFile { key_id: "0123456789ABCDEF".into(), bytes: b"signed".to_vec() }];
            let was = Was { manifest: newest, signatures, removed };
            newest = manifest(&articles, Some(was.id()));
            line.insert(0, was);
        }
        let leaves = articles.iter().map(|&n| leaf_hash(n)).collect();
        (newest, leaves, line)
    }

    fn read(files: &[(String, Vec<u8>)]) -> (Vec<Was>, Vec<Finding>) {
        let mut folders = Folders::default();
        for (name, bytes) in files {
            assert!(folders.take(name.strip_prefix(FOLDER).unwrap(), bytes), "{name}");
        }
        folders.read("library")
    }

    #[test]
    fn a_step_left_out_changed_or_told_twice_is_found() {
        let (newest, leaves, line) = line(9, &[vec![0, 8], vec![3]]);
        let is_found = |line: &[Was]| !line_findings(&newest, line).is_empty() || tree_finding(line, &leaves).is_some();
        assert!(!is_found(&line));
        for wrong in
            [&line[..0], &line[..1], &line[1..], &[line[1].clone(), line[0].clone()], &[&line[..], &line[..]].concat()]
        {
            assert!(is_found(wrong));
        }
        let changes: [fn(&mut Was); 5] = [
            |was| was.removed[0].lines = Digest::of(b"other"),
            |was| was.removed[0].position += 1,
            |was| was.removed.clear(),
            |was| was.manifest.title = "Other".into(),
            |was| was.manifest.replaces = vec![BundleId(Digest::of(b"before"))],
        ];
        for change in changes {
            for step in 0..line.len() {
                let mut wrong = line.clone();
                change(&mut wrong[step]);
                assert!(is_found(&wrong));
            }
        }
        let (plain, ..) = super::tests::line(9, &[]);
        assert_eq!(line_findings(&plain, &[]), []);
        assert_ne!(line_findings(&plain, &line), []);
    }

    #[test]
    fn files_that_do_not_belong_there_or_not_in_their_place_are_not_taken() {
        let (.., line) = line(4, &[vec![1], vec![2]]);
        let files: Vec<_> = line.iter().flat_map(Was::files).collect();
        for at in 0..files.len() - 1 {
            let mut folders = Folders::default();
            let mut turned = files.clone();
            let file = turned.remove(at);
            turned.push(file);
            let taken = turned.iter().all(|(name, bytes)| folders.take(name.strip_prefix(FOLDER).unwrap(), bytes));
            let (read, findings) = folders.read("library");
            assert!(!taken || !findings.is_empty() || read != line, "{at}");
        }
        for stranger in ["x", "x/removed", "removed", "manifest.toml", "x/index/head", ""] {
            assert!(!Folders::default().take(stranger, b"x"), "{stranger}");
        }
    }

    #[test]
    fn a_line_is_as_long_as_the_limits_allow_and_no_longer() {
        let (.., line) = line(4, &[vec![1]]);
        assert_eq!(over_limit(&vec![line[0].clone(); MAX_WAS], "library"), None);
        assert!(over_limit(&vec![line[0].clone(); MAX_WAS + 1], "library").is_some());
        let mut large = line;
        let signature = large[0].signatures[0].clone();
        large[0].signatures = vec![SignatureFile { bytes: vec![b'x'; 9_000], ..signature }; MAX_SIGNATURES];
        assert_eq!(over_limit(&vec![large[0].clone(); 12], "library"), None);
        assert!(over_limit(&vec![large[0].clone(); 15], "library").is_some());
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written_and_leads_to_every_root(
            count in 1_u64..40,
            gone in prop::collection::vec(prop::collection::vec(0_u64..40, 1..6), 0..5),
        ) {
            let (newest, leaves, line) = line(count, &gone);
            let files: Vec<_> = line.iter().flat_map(Was::files).collect();
            prop_assert_eq!(read(&files), (line.clone(), Vec::new()));
            prop_assert_eq!(line_findings(&newest, &line), Vec::new());
            prop_assert_eq!(tree_finding(&line, &leaves), None);
            prop_assert_eq!(over_limit(&line, "library"), None);
        }

        #[test]
        fn a_list_of_removed_leaves_has_one_form(text in "([0-3 ]{1,3}|0[0-9]| )?([01]{64} [01]{64}\n?){0,2}", number in any::<u64>()) {
            if let Some(removed) = decode_removed(text.as_bytes()) {
                prop_assert_eq!(encode_removed(&removed), text);
            }
            let one = encode_removed(&[leaf(number, "x")]);
            prop_assert_eq!(decode_removed(one.as_bytes()), Some(vec![leaf(number, "x")]));
            for bad in [one.repeat(2), format!("{one}\n"), format!("0{one}"), one.to_uppercase(), one.trim_end().to_owned()] {
                prop_assert_eq!(decode_removed(bad.as_bytes()), None);
            }
        }
    }
}
