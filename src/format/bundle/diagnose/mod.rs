//! Saying of a damaged bundle everything that is wrong with it, and which articles are whole.
//!
//! Slower than [`super::prove`] and of one thread, but it never stops at the first fault. The frames are found once, by their own headers
//! and the table; the tail is the last of them, and what it says of signatures and contents is all that is believed. The tar is walked
//! header by header and taken up again after a gap. Time grows with the file, memory is bounded by a frame and the checksum list.

mod frames;
mod walk;

use std::collections::HashMap;

use jiff::civil::DateTime;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList};
use crate::format::frame::FrameDecoder;
use crate::format::index::{self, Head};
use crate::format::manifest::{self, Manifest};
use crate::format::times;
use crate::ids::BundleId;
use crate::run::Run;

use super::open::{Frame, frame_finding, read_frame};
use super::read::{content_findings, list_findings};
use super::{Contents, Error, Source, Tail};

pub use walk::Salvor;
use walk::{Walk, walk};

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
    /// The checksum list, if it is the one that the manifest names.
    pub list: Option<ChecksumList>,
    /// What is known of the file of each of its lines.
    pub states: Vec<FileState>,
    /// When the files were last changed, in UTC, for each line that has it; empty where that is not known.
    pub times: Vec<Option<DateTime>>,
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

/// A salvor that keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct KeepNothing;

impl Salvor for KeepNothing {}

/// Examines every byte of a bundle and reports all that is wrong with it.
///
/// # Errors
/// Only where the source cannot be read, the salvor fails, or the watch asks to stop: damage is in the report.
pub fn diagnose<S: Source>(source: &S, salvor: &mut dyn Salvor, run: Run<'_>) -> Result<Report, Error> {
    let mut report =
        Report { file_bytes: source.size().map_err(Error::io("reading the bundle's size"))?, ..Report::default() };
    let frames = frames::find(source, &mut report.findings, run)?;
    let before_tail = find_tail(source, &frames, &mut report)?;
    let walk = walk(source, before_tail, report.tail.as_ref(), report.manifest.as_ref(), salvor, run)?;
    report.findings.extend(walk.findings.iter().cloned());
    if let Some(list) = believed_list(report.manifest.as_ref(), walk.list.as_deref(), &mut report.findings) {
        compare(list, &walk, &mut report);
    }
    report.findings.sort_by_key(|finding| finding.code);
    report.findings.dedup();
    Ok(report)
}

/// Reads the tail, the last of the frames; returns the frames before it.
fn find_tail<'a, S: Source>(source: &S, frames: &'a [Frame], report: &mut Report) -> Result<&'a [Frame], Error> {
    let absent = |what: &str| Finding::new(Code::Manifest, manifest::NAME, what);
    let Some((last, before)) = frames.split_last() else {
        report.findings.push(absent("there is no frame to hold it"));
        return Ok(frames);
    };
    let mut plain = Vec::new();
    match read_frame(source, last, &mut FrameDecoder::default(), &mut Vec::new(), &mut plain) {
        Ok(()) if frames::begins_tail(&plain) => {
            let (tail, findings) = Tail::decode(&plain);
            report.findings.extend(findings);
            let (manifest, findings) = tail.manifest();
            report.findings.extend(findings);
            (report.tail, report.manifest) = (Some(tail), manifest);
            Ok(before)
        }
        Ok(()) => {
            report.findings.push(absent("the tail is absent"));
            Ok(frames)
        }
        Err(error) => {
            report.findings.push(damaged(last, error)?);
            report.findings.push(absent("the tail cannot be read"));
            Ok(before)
        }
    }
}

/// Takes the checksum list that was found, if it is the one that the manifest names.
fn believed_list(
    manifest: Option<&Manifest>,
    found: Option<&[u8]>,
    findings: &mut Vec<Finding>,
) -> Option<ChecksumList> {
    let mut fault = |detail: String| {
        findings.push(Finding::new(Code::Checksums, checksums::NAME, detail));
        None
    };
    let Some(bytes) = found else { return fault("absent, or it cannot be read".into()) };
    let Some(manifest) = manifest else { return fault("no manifest names it".into()) };
    if Digest::of(bytes) != manifest.checksums {
        return fault("not the one that the manifest names".into());
    }
    ChecksumList::decode(bytes.to_vec()).map_err(|error| fault(error.to_string())).ok()
}

/// Holds what was seen against the list, and the list, the articles and the index against the manifest.
fn compare(list: ChecksumList, walk: &Walk, report: &mut Report) {
    let lines: HashMap<&str, usize> = (0..list.len()).map(|line| (list.path(line), line)).collect();
    let mut states = vec![FileState::Missing; list.len()];
    let mut sizes: Vec<Option<u64>> = vec![None; list.len()];
    let mut ids: Vec<Option<Option<&str>>> = vec![None; list.article_count()];
    let mut before = None;
    for file in &walk.seen {
        let Some(&line) = lines.get(file.path.as_str()) else {
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
        let place = (list.is_metadata(line), line);
        if before.is_some_and(|before| before >= place) {
            report.findings.push(Finding::new(Code::Tar, &file.path, "does not stand in its place in the tar"));
        }
        before = Some(place);
        if let (FileState::Whole, true, Some(article)) = (states[line], list.is_metadata(line), list.owner(line)) {
            match &file.id {
                Some(Ok(id)) => ids[article] = Some(id.as_deref()),
                Some(Err(fault)) => {
                    report.findings.push(Finding::new(Code::Metadata, &file.path, fault));
                    states[line] = FileState::Damaged;
                }
                None => {}
            }
        }
    }
    for (line, _) in states.iter().enumerate().filter(|(_, state)| **state == FileState::Missing) {
        report.findings.push(Finding::new(Code::Missing, list.path(line), "in the checksum list, not in the bundle"));
    }
    if let Some(manifest) = report.manifest.clone() {
        let of_list = list_findings(&list, &manifest);
        let sound = of_list.is_empty();
        report.findings.extend(of_list);
        let sizes: Option<Vec<u64>> = sizes.into_iter().collect();
        let ids: Option<Vec<Option<Box<str>>>> = ids.into_iter().map(|id| id.map(|id| id.map(Box::from))).collect();
        compare_times(&list, &manifest, walk, report);
        if let (true, Some(sizes), Some(ids)) = (sound, sizes, ids) {
            let ids = ids.into_iter().enumerate().map(|(n, id)| id.filter(|id| **id != *list.article(n))).collect();
            compare_index(list.clone(), &sizes, ids, &manifest, walk, report);
        }
    }
    report.articles = Some(article_states(&list, &states));
    (report.list, report.states) = (Some(list), states);
}

/// Holds the times that were found against the manifest.
fn compare_times(list: &ChecksumList, manifest: &Manifest, walk: &Walk, report: &mut Report) {
    let fault = match (&walk.times, manifest.times) {
        (None, None) => return,
        (Some(_), None) => "the manifest does not name it".to_owned(),
        (None, Some(_)) => "absent, or it cannot be read".to_owned(),
        (Some(bytes), Some(expected)) if Digest::of(bytes) != expected => "not the one that the manifest names".into(),
        (Some(bytes), Some(_)) => match times::decode(bytes, list) {
            Ok(times) => {
                report.times = times;
                return;
            }
            Err(fault) => fault.to_string(),
        },
    };
    report.findings.push(Finding::new(Code::TagFile, times::NAME, fault));
}

/// Makes tree and index anew of what was found, and compares them.
fn compare_index(
    list: ChecksumList,
    sizes: &[u64],
    ids: Vec<Option<Box<str>>>,
    manifest: &Manifest,
    walk: &Walk,
    report: &mut Report,
) {
    let Some(tail) = &report.tail else { return };
    let contents = Contents::new(&tail.top, list, sizes, ids, walk.times.clone());
    let blocks = contents.blocks();
    let (pieces, head, _) = contents.index(&blocks);
    let wrong = |name: &str| Finding::new(Code::Index, name, "does not say where the members lie");
    let mut findings = content_findings(&contents, &blocks, manifest, &tail.was);
    if Head::decode(&tail.head).as_ref() != Ok(&head) {
        findings.push(wrong(index::HEAD));
    }
    for (n, piece) in pieces.iter().enumerate() {
        if walk.pieces.get(n).and_then(|found| found.as_deref()) != Some(piece.as_bytes()) {
            findings.push(wrong(&index::piece_name(n)));
        }
    }
    let more =
        (pieces.len()..walk.pieces.len()).map(|n| Finding::new(Code::Extra, index::piece_name(n), "no such block"));
    findings.extend(more);
    report.findings.extend(findings);
}

pub(super) fn article_states(list: &ChecksumList, states: &[FileState]) -> Vec<ArticleState> {
    let state_of = |n: usize| {
        let mut lines = list.lines(n).filter(|&line| list.owner(line) == Some(n)).map(|line| states[line]);
        let first = lines.next().unwrap_or(FileState::Missing);
        if lines.all(|state| state == first) { first } else { FileState::Damaged }
    };
    let path = |n: usize| list.article(n).to_owned();
    (0..list.article_count()).map(|n| ArticleState { path: path(n), state: state_of(n) }).collect()
}

fn damaged(frame: &Frame, error: Error) -> Result<Finding, Error> {
    match error {
        Error::Damaged(finding) => Ok(*finding),
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(frame_finding(frame, "the file ends before"))
        }
        other => Err(other),
    }
}
