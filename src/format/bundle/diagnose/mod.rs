//! Saying of a damaged bundle everything that is wrong with it, and which articles are whole.
//!
//! Slower than [`super::prove`] and of one thread, but it never stops at the first fault. Where list and index can still be believed the
//! layout tells what each damaged frame held; otherwise the tar is walked header by header, and taken up again after a gap at
//! the next frame that begins with one. Memory stays bounded by a frame and the checksum list.

mod frames;
mod walk;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList, MAX_LIST_BYTES};
use crate::format::frame::{self, FrameDecoder};
use crate::format::index::Index;
use crate::format::manifest::{BundleId, Manifest};
use crate::format::tar;
use crate::watch::Watch;

use super::open::{Frame, frame_finding, read_frame, stored_finding};
use super::{Bundle, Error, Source, Tail};

/// What is known of one file of the checksum list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileState {
    /// Its bytes are those that the list names.
    Whole,
    /// Not a byte of it was found.
    Missing,
    /// Some of it was found, or all of it with wrong bytes.
    Damaged,
}

/// What is known of one article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleState {
    /// Its path.
    pub path: String,
    /// Whole if all its files are, missing if all are, else damaged.
    pub state: FileState,
}

/// Everything that could be found out about a bundle.
#[derive(Debug, Default)]
pub struct Report {
    /// The last frame's members, if it could be read.
    pub tail: Option<Tail>,
    /// The manifest, if it is well-formed.
    pub manifest: Option<Manifest>,
    /// Everything wrong, in order of the checks.
    pub findings: Vec<Finding>,
    /// The articles of the checksum list; `None` where there is no list to believe.
    pub articles: Option<Vec<ArticleState>>,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
}

impl Report {
    /// Returns the bundle's id, if there is a manifest.
    pub fn id(&self) -> Option<BundleId> {
        self.manifest.as_ref()?;
        self.tail.as_ref().map(|tail| BundleId(Digest::of(&tail.manifest)))
    }
}

/// Takes the files of a damaged bundle as they are found, one after the other.
pub trait Salvor {
    /// Takes note that the content of a file begins; `path` is below the top folder.
    ///
    /// # Errors
    /// An error ends the diagnosis.
    fn begin(&mut self, path: &str) -> std::io::Result<()>;

    /// Takes the next bytes of the file's content.
    ///
    /// # Errors
    /// An error ends the diagnosis.
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// Takes note that the content has ended; `digest` is `None` where part of it was lost.
    ///
    /// # Errors
    /// An error ends the diagnosis.
    fn end(&mut self, digest: Option<Digest>) -> std::io::Result<()>;
}

/// A salvor that keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct KeepNothing;

impl Salvor for KeepNothing {
    fn begin(&mut self, _path: &str) -> std::io::Result<()> {
        Ok(())
    }

    fn bytes(&mut self, _bytes: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _digest: Option<Digest>) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file as it was found in the tar.
#[derive(Debug)]
struct Seen {
    /// Below the top folder.
    path: String,
    size: u64,
    digest: Option<Digest>,
}

/// Examines every byte of a bundle and reports all that is wrong with it.
///
/// # Errors
/// Only where the source cannot be read, the salvor fails, or the watch asks to stop: damage is in the report.
pub fn diagnose<S: Source>(source: &S, salvor: &mut dyn Salvor, watch: &dyn Watch) -> Result<Report, Error> {
    let mut report =
        Report { file_bytes: source.size().map_err(Error::io("reading the bundle's size"))?, ..Report::default() };
    let frames = frames::find(source, &mut report.findings, watch)?;

    let mut decoder = FrameDecoder::default();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    let mut content_frames = &frames[..];
    if let Some((last, before)) = frames.split_last() {
        match read_frame(source, last, &mut decoder, &mut packed, &mut plain) {
            Ok(()) if frames::begins_tail(&plain) => {
                content_frames = before;
                let (tail, findings) = Tail::decode(&plain);
                report.findings.extend(findings);
                report.findings.extend(stored_finding(last, &packed, &plain));
                let (manifest, findings) = tail.manifest();
                report.findings.extend(findings);
                (report.tail, report.manifest) = (Some(tail), manifest);
            }
            Ok(()) => report.findings.push(Finding::new(Code::Manifest, "manifest.toml", "the tail is absent")),
            Err(Error::Damaged(finding)) => {
                content_frames = before;
                report.findings.push(*finding);
                report.findings.push(Finding::new(Code::Manifest, "manifest.toml", "the tail cannot be read"));
            }
            Err(error) => return Err(error),
        }
    } else {
        report.findings.push(Finding::new(Code::Manifest, "manifest.toml", "there is no frame to hold it"));
    }

    let contents = Bundle::open(source).and_then(|bundle| bundle.contents()).ok();
    let top = report.tail.as_ref().map(|tail| tail.top.clone());
    let mut walked = None;
    if let (Some(contents), Some(top)) = (&contents, &top) {
        walked = walk::by_layout(source, content_frames, contents, top, salvor, watch)?;
    }
    let (mut seen, list_bytes, findings) = match walked {
        Some(walked) => walked,
        None => walk::by_headers(source, content_frames, top.as_deref(), salvor, watch)?,
    };
    report.findings.extend(findings);
    let list = match contents {
        Some(contents) => Some(contents.list),
        None => vouched_list(report.manifest.as_ref(), list_bytes, &mut report.findings),
    };
    if let Some(list) = list {
        seen.retain(|seen| seen.path != checksums::NAME);
        let marks = marks(source, content_frames)?;
        compare(&list, &seen, content_frames, marks, &mut report);
    }
    report.findings.sort_by_key(|finding| finding.code);
    report.findings.dedup();
    Ok(report)
}

/// Takes the checksum list that was found, if the manifest vouches for it.
fn vouched_list(
    manifest: Option<&Manifest>,
    found: Option<Vec<u8>>,
    findings: &mut Vec<Finding>,
) -> Option<ChecksumList> {
    let mut fault = |detail: String| {
        findings.push(Finding::new(Code::Checksums, checksums::NAME, detail));
        None
    };
    let Some(bytes) = found else { return fault("absent, or it cannot be read".into()) };
    let Some(manifest) = manifest else { return fault("no manifest vouches for it".into()) };
    if Digest::of(&bytes) != manifest.checksums {
        return fault("not the one that the manifest names".into());
    }
    ChecksumList::decode(bytes).map_err(|error| fault(error.to_string())).ok()
}

/// Holds what was seen against the list, and the list against the manifest.
fn compare(list: &ChecksumList, seen: &[Seen], frames: &[Frame], marks: Vec<u64>, report: &mut Report) {
    let mut states = vec![FileState::Missing; list.len()];
    let mut sizes: Vec<Option<u64>> = vec![None; list.len()];
    for (n, file) in seen.iter().enumerate() {
        let Some(line) = list.find(&file.path) else {
            report.findings.push(Finding::new(Code::Extra, &file.path, "not in the checksum list"));
            continue;
        };
        if sizes[line].is_some() {
            report.findings.push(Finding::new(Code::Tar, &file.path, "stands twice in the tar"));
            continue;
        }
        sizes[line] = Some(file.size);
        states[line] = match file.digest {
            Some(digest) if digest == list.digest(line) => FileState::Whole,
            found => {
                let detail = match found {
                    Some(digest) => format!("expected sha256 {}, found {digest}", list.digest(line)),
                    None => "part of it could not be read".to_owned(),
                };
                report.findings.push(Finding::new(Code::Content, &file.path, detail));
                FileState::Damaged
            }
        };
        let before = n.checked_sub(1).and_then(|before| seen.get(before));
        if before.is_some_and(|before| order(&before.path) >= order(&file.path)) {
            report.findings.push(Finding::new(Code::Tar, &file.path, "does not stand in its place in the tar"));
        }
    }
    for (line, _) in states.iter().enumerate().filter(|(_, state)| **state == FileState::Missing) {
        report.findings.push(Finding::new(Code::Missing, list.path(line), "in the checksum list, not in the bundle"));
    }
    report.findings.extend(list_findings(list, report.manifest.as_ref(), sizes.iter().copied().sum()));
    if let (Some(tail), Some(sizes)) = (&report.tail, sizes.into_iter().collect::<Option<Vec<_>>>()) {
        let index = Index { list_offset: 0, list_size: list.text().len() as u64, frames: marks, sizes };
        let offset = index.layout(&tail.top, list).map_or(0, |layout| layout.end());
        let index = Index { list_offset: offset, ..index };
        match Index::decode(&tail.index) {
            Ok(said) if said == index => {}
            Ok(said) if (Index { frames: index.frames.clone(), ..said.clone() }) == index => {
                let other = (0..frames.len()).filter(|&n| said.frames.get(n) != index.frames.get(n));
                let fault = "decodes, but is not as it was written";
                report.findings.extend(other.map(|n| frame_finding(&frames[n], fault)));
            }
            _ => report.findings.push(Finding::new(Code::Index, "index", "does not say where the members lie")),
        }
    }
    report.articles = Some(article_states(list, &states));
}

/// Returns the marks of frames as they are.
fn marks<S: Source>(source: &S, frames: &[Frame]) -> Result<Vec<u64>, Error> {
    let mut packed = Vec::new();
    frames
        .iter()
        .map(|at| {
            packed.resize(at.size.packed as usize, 0);
            source.read_at(&mut packed, at.packed_at).map_err(Error::io("reading the bundle"))?;
            Ok(frame::mark(&packed))
        })
        .collect()
}

/// Content before metadata, each by path.
fn order(path: &str) -> (bool, &str) {
    (checksums::is_metadata(path), path)
}

/// Checks a list against the format and its manifest: paths, articles, counts.
pub(super) fn list_findings(list: &ChecksumList, manifest: Option<&Manifest>, bytes: Option<u64>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for fault in list.faults() {
        let code = match fault {
            checksums::ListFault::TooMany { .. } => Code::OverLimit,
            checksums::ListFault::Path { .. } | checksums::ListFault::FileAndFolder(_) => Code::Path,
            _ => Code::Checksums,
        };
        findings.push(Finding::new(code, checksums::NAME, fault));
    }
    for (line, owner) in list.owners().iter().enumerate() {
        if owner.is_none() {
            findings.push(Finding::new(
                Code::Metadata,
                list.path(line),
                "belongs to no article: there is no article.toml above it",
            ));
        }
    }
    if let Some(manifest) = manifest {
        let articles = list.articles().count() as u64;
        for (what, said, found) in [
            ("articles", manifest.articles, Some(articles)),
            ("files", manifest.files, Some(list.len() as u64)),
            ("bytes", manifest.bytes, bytes),
        ] {
            if found.is_some_and(|found| found != said) {
                let detail = format!("says {said} {what}, found {}", found.unwrap_or_default());
                findings.push(Finding::new(Code::Manifest, "manifest.toml", detail));
            }
        }
    }
    findings
}

pub(super) fn article_states(list: &ChecksumList, states: &[FileState]) -> Vec<ArticleState> {
    let mut articles: Vec<ArticleState> =
        list.articles().map(|(path, line)| ArticleState { path: path.to_owned(), state: states[line] }).collect();
    for (line, owner) in list.owners().into_iter().enumerate() {
        let Some(article) = owner.and_then(|owner| articles.get_mut(owner as usize)) else { continue };
        if article.state != states[line] {
            article.state = FileState::Damaged;
        }
    }
    articles
}

/// The longest content that a walk keeps in memory.
const MAX_KEPT_BYTES: u64 = MAX_LIST_BYTES + tar::BLOCK_BYTES;

fn damaged(frame: &Frame, error: Error) -> Result<Finding, Error> {
    match error {
        Error::Damaged(finding) => Ok(*finding),
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(frame_finding(frame, "the file ends before"))
        }
        other => Err(other),
    }
}
