//! Saying of a damaged bundle everything that is wrong with it, and which articles are whole.
//!
//! Slower than [`super::prove`] and of one thread, but it never stops at the first fault. The frames are found once, by their own headers
//! and the table. Some of them are tails: what these say of signatures and contents is all that is believed, and a list that is damaged is
//! believed block by block. The tar is walked header by header and taken up again after a gap. Time grows with the file, memory is bounded
//! by a frame, the tails and the checksum lists; what is wrong in too many places is counted.

mod faults;
mod frames;
mod list;
mod tails;
mod walk;

use std::collections::HashMap;

use jiff::civil::DateTime;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList};
use crate::format::index::{self, Head};
use crate::format::manifest::Manifest;
use crate::format::times;
use crate::ids::BundleId;
use crate::run::Run;

use super::open::{Frame, frame_finding};
use super::read::{content_findings, list_findings};
use super::{Contents, Error, Source, Tail};

use tails::{Found, Tails};
pub use tails::{Judge, Judged, MAX_BUNDLES};
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
    /// Whether the signatures count, where that was asked.
    pub counts: bool,
    /// The checksum list, if it is the one that the manifest names; else those of its lines that the manifest's root proves.
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

    /// Says whether the checksum list, or some of it, is lost.
    pub fn is_partial(&self) -> bool {
        match (&self.list, &self.manifest) {
            (Some(list), Some(manifest)) => list.len() as u64 != manifest.files,
            _ => true,
        }
    }
}

/// A salvor that keeps nothing.
struct KeepNothing;

impl Salvor for KeepNothing {}

/// Examines every byte of a bundle and reports all that is wrong with it.
///
/// # Errors
/// Only where the source cannot be read, or the watch asks to stop: damage is in the report.
pub fn diagnose<S: Source>(source: &S, run: Run<'_>) -> Result<Report, Error> {
    let reports = Remains::of(source, |frames, findings| tails::last(source, frames, findings), run)?.reports(run)?;
    Ok(reports.into_iter().next_back().unwrap_or_default())
}

/// What is left of a file that held a bundle, or several.
pub struct Remains<'a, S> {
    source: &'a S,
    frames: Vec<Frame>,
    tails: Tails,
    findings: Vec<Finding>,
    file_bytes: u64,
}

impl<'a, S: Source> Remains<'a, S> {
    /// Finds frames and tails. The bundles are those whose signatures count; where there is none, the last one; with `unsigned`, all.
    ///
    /// # Errors
    /// Only where the source cannot be read, or the watch asks to stop.
    pub fn find(source: &'a S, judge: &Judge<'_>, unsigned: bool, run: Run<'_>) -> Result<Self, Error> {
        Self::of(source, |frames, findings| tails::all(source, frames, judge, unsigned, findings, run), run)
    }

    fn of(
        source: &'a S,
        tails: impl FnOnce(&[Frame], &mut Vec<Finding>) -> Result<Tails, Error>,
        run: Run<'_>,
    ) -> Result<Self, Error> {
        let file_bytes = source.size().map_err(Error::io("reading the bundle's size"))?;
        let mut findings = Vec::new();
        let frames = frames::find(source, &mut findings, run)?;
        let tails = tails(&frames, &mut findings)?;
        Ok(Self { source, frames, tails, findings, file_bytes })
    }

    /// Says whether the file is one bundle, however damaged: nothing of another was found in it.
    pub fn is_one(&self) -> bool {
        match (&self.tails.found[..], &self.tails.ends[..]) {
            ([], []) => true,
            ([found], [end]) => found.frame == *end && end + 1 == self.frames.len(),
            _ => false,
        }
    }

    /// Reports on each bundle, in order of the file. There is at least one report, and the last one has what is wrong with the file.
    ///
    /// # Errors
    /// Only where the source cannot be read, or the watch asks to stop.
    pub fn reports(&self, run: Run<'_>) -> Result<Vec<Report>, Error> {
        let wanted = walk::named(&self.tails);
        let mut walk = walk(self.source, &self.frames, &self.tails, wanted, self.file_bytes, &mut KeepNothing, run)?;
        let mut reports = Vec::new();
        for found in &self.tails.found {
            let mut report = Report {
                tail: Some(found.tail.clone()),
                manifest: found.manifest.clone(),
                findings: [&found.findings[..], &found.judged.findings].concat(),
                counts: found.judged.counts,
                file_bytes: self.file_bytes,
                ..Report::default()
            };
            if let Some((list, is_whole)) = self.list(found, &mut walk, &mut report.findings)? {
                compare(list, is_whole, &walk, self.is_one(), &mut report);
            }
            reports.push(report);
        }
        if reports.is_empty() {
            let mut report = Report { file_bytes: self.file_bytes, ..Report::default() };
            report.findings.push(list_fault(if walk.has_list { "no manifest names it" } else { UNREADABLE }));
            reports.push(report);
        }
        if let Some(last) = reports.last_mut() {
            last.findings.extend(self.findings.iter().cloned());
            last.findings.append(&mut walk.findings);
        }
        for report in &mut reports {
            report.findings.sort_by_key(|finding| finding.code);
            report.findings.dedup();
        }
        Ok(reports)
    }

    /// Hands all files that are found to `salvor`.
    ///
    /// # Errors
    /// Where the source cannot be read, the salvor fails, or the watch asks to stop.
    pub fn walk(&self, salvor: &mut dyn Salvor, run: Run<'_>) -> Result<(), Error> {
        walk(self.source, &self.frames, &self.tails, HashMap::new(), self.file_bytes, salvor, run).map(|_| ())
    }

    /// Returns the checksum list that a bundle's manifest names, and whether it is whole; where it is damaged, that made anew, or what the
    /// manifest's root proves of it.
    fn list(
        &self,
        found: &Found,
        walk: &mut Walk,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<(ChecksumList, bool)>, Error> {
        let named = found.manifest.as_ref().map(|manifest| manifest.checksums);
        let of_same = |other: &&Found| other.manifest.as_ref().map(|manifest| manifest.checksums) == named;
        let bytes = match named {
            Some(digest) if self.tails.found.iter().filter(of_same).count() > 1 => walk.named.get(&digest).cloned(),
            Some(digest) => walk.named.remove(&digest),
            None => None,
        };
        if let Some(bytes) = bytes {
            return Ok(match ChecksumList::decode(bytes) {
                Ok(list) => Some((list, true)),
                Err(fault) => {
                    findings.push(list_fault(fault));
                    None
                }
            });
        }
        findings.push(list_fault(match (walk.has_list, named) {
            (false, _) => UNREADABLE,
            (true, None) => "no manifest names it",
            (true, Some(_)) => "not the one that the manifest names",
        }));
        let tar = self.tails.ends.partition_point(|&end| end < found.frame);
        let from = tar.checked_sub(1).map_or(0, |before| self.tails.ends[before] + 1);
        let (frames, tail) = (&self.frames[from..found.frame], &self.frames[found.frame]);
        let mut lost = Vec::new();
        let proved = list::proved(self.source, frames, tail, found, &mut lost)?;
        if let Some(remade) = named.and_then(|digest| list::remade(proved.as_ref(), &walk.seen, tar, &digest)) {
            return Ok(Some((remade, true)));
        }
        // All of it proved, and still another: the manifest contradicts itself, and neither of the two is to be believed.
        if proved.is_some() && lost.is_empty() {
            findings.push(list_fault("the manifest's root proves another list than the one that it names"));
            return Ok(None);
        }
        findings.append(&mut lost);
        Ok(proved.map(|list| (list, false)))
    }
}

/// What is said of a checksum list of which no whole one was found.
const UNREADABLE: &str = "absent, or it cannot be read";

fn list_fault(detail: impl std::fmt::Display) -> Finding {
    Finding::new(Code::Checksums, checksums::NAME, detail)
}

/// Holds what was seen against the list, and the list, the articles and the index against the manifest.
///
/// Where the file `is_one` bundle, every file that was found must be one of the list, in its place. In a file of several bundles it may be
/// another's; and of two files of one path it is the one whose bytes fit. A list that is not whole says nothing of files that it lacks.
fn compare(list: ChecksumList, is_whole: bool, walk: &Walk, is_one: bool, report: &mut Report) {
    let lines: HashMap<&str, usize> = (0..list.len()).map(|line| (list.path(line), line)).collect();
    let mut states = vec![FileState::Missing; list.len()];
    let mut sizes: Vec<Option<u64>> = vec![None; list.len()];
    let mut ids: Vec<Option<Option<&str>>> = vec![None; list.article_count()];
    let mut before = None;
    for file in &walk.seen {
        let Some(&line) = lines.get(file.path.as_str()) else {
            if is_one && is_whole {
                report.findings.push(Finding::new(Code::Extra, &file.path, "not in the checksum list"));
            }
            continue;
        };
        let is_second = sizes[line].is_some();
        let place = (list.is_metadata(line), line);
        if is_one && is_second {
            report.findings.push(Finding::new(Code::Tar, &file.path, "stands twice in the tar"));
        } else if is_one && before.is_some_and(|before| before >= place) {
            report.findings.push(Finding::new(Code::Tar, &file.path, "does not stand in its place in the tar"));
        }
        if !is_second {
            before = Some(place);
        }
        if file.digest != Some(list.digest(line)) {
            if !is_second && (is_one || file.digest.is_none()) {
                let detail = match file.digest {
                    Some(digest) => format!("expected sha256 {}, found {digest}", list.digest(line)),
                    None => "part of it could not be read".to_owned(),
                };
                report.findings.push(Finding::new(Code::Content, &file.path, detail));
                (states[line], sizes[line]) = (FileState::Damaged, Some(file.size));
            }
            continue;
        }
        (states[line], sizes[line]) = (FileState::Whole, Some(file.size));
        if let (true, Some(article)) = (list.is_metadata(line), list.owner(line)) {
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
        let of_list = if is_whole { list_findings(&list, &manifest) } else { Vec::new() };
        let sound = is_one && is_whole && of_list.is_empty();
        report.findings.extend(of_list);
        let sizes: Option<Vec<u64>> = sizes.into_iter().collect();
        let ids: Option<Vec<Option<Box<str>>>> = ids.into_iter().map(|id| id.map(|id| id.map(Box::from))).collect();
        compare_times(&list, is_whole, &manifest, walk, report);
        if let (true, Some(sizes), Some(ids)) = (sound, sizes, ids) {
            let ids = ids.into_iter().enumerate().map(|(n, id)| id.filter(|id| **id != *list.article(n))).collect();
            compare_index(list.clone(), &sizes, ids, &manifest, walk, report);
        }
    }
    report.articles = Some(article_states(&list, &states));
    (report.list, report.states) = (Some(list), states);
}

/// Holds the times that were found against the manifest.
fn compare_times(list: &ChecksumList, is_whole: bool, manifest: &Manifest, walk: &Walk, report: &mut Report) {
    let fault = match (manifest.times.map(|digest| walk.named.get(&digest)), &walk.times) {
        (None, None) => return,
        (None, Some(_)) => "the manifest does not name it".to_owned(),
        (Some(None), None) => UNREADABLE.to_owned(),
        (Some(None), Some(_)) => "not the one that the manifest names".into(),
        (Some(Some(bytes)), _) => {
            let decoded = match is_whole {
                true => times::decode(bytes, list),
                false => times::decode(&times_of(bytes, list), list),
            };
            match decoded {
                Ok(times) => {
                    report.times = times;
                    return;
                }
                Err(fault) => fault.to_string(),
            }
        }
    };
    report.findings.push(Finding::new(Code::TagFile, times::NAME, fault));
}

/// Returns the lines of the times that speak of files of the list.
fn times_of(times: &[u8], list: &ChecksumList) -> Vec<u8> {
    let of_list = |line: &&[u8]| {
        let path = memchr::memmem::find(line, b"  ").and_then(|at| std::str::from_utf8(&line[at + 2..]).ok());
        path.and_then(|path| list.find(path.trim_end_matches('\n'))).is_some()
    };
    times.split_inclusive(|&byte| byte == b'\n').filter(of_list).collect::<Vec<_>>().concat()
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
