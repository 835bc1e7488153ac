//! Walking the tar of a damaged bundle from header to header, and on after a gap at the next block that is a header.

use std::collections::{HashMap, HashSet};

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::article::{Article, ArticleError, MAX_ARTICLE_TOML_BYTES};
use crate::format::bundle::open::{Frame, read_frame};
use crate::format::bundle::{Error, Source};
use crate::format::checksums::{self, DATA, MAX_FILES, MAX_LIST_BYTES};
use crate::format::frame::FrameDecoder;
use crate::format::index::{self, MAX_BLOCKS, MAX_PIECE_BYTES};
use crate::format::manifest::Manifest;
use crate::format::tar::{self, BLOCK_BYTES, Entry, HeaderFault, MAX_HEADER_BYTES};
use crate::format::times::{self, MAX_TIMES_BYTES};
use crate::run::Run;

use super::damaged;
use super::faults::Faults;
use super::tails::{Found, Tails};

/// What a walk reads and takes note of beside what the manifests state: files, bytes of their paths, and bytes of tar for each byte of the file,
/// against frames that are next to nothing packed.
const MAX_STRANGE_FILES: u64 = MAX_FILES;
const MAX_STRANGE_PATH_BYTES: u64 = 16 << 20;
const STRANGE_BYTES_A_BYTE: u64 = 64;
/// The longest checksum list, or times, of a bundle beside others whose signatures do not count, in bytes.
const MAX_STRANGE_LIST_BYTES: u64 = 4 << 20;
/// The longest line of a checksum list or of times, in bytes.
const MAX_LINE_BYTES: u64 = MAX_LIST_BYTES / MAX_FILES;
/// Bytes of checksum lists and times that are held: those of the largest bundle.
const MAX_NAMED_BYTES: u64 = MAX_LIST_BYTES + MAX_TIMES_BYTES;
/// Places where a header may begin that are looked at in vain, for each frame, before only those are that lie on blocks.
const FALSE_HEADERS: usize = 1 << 12;

/// Takes the files of a damaged bundle as they are found, one after the other.
pub trait Salvor {
    /// Called where the content of a file begins; `path` is below the top folder. Says whether its bytes are wanted.
    ///
    /// # Errors
    /// An error ends the walk.
    fn begin(&mut self, _path: &str) -> std::io::Result<bool> {
        Ok(false)
    }

    /// Called with the next bytes of the file's content.
    ///
    /// # Errors
    /// An error ends the walk.
    fn bytes(&mut self, _bytes: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    /// Called where the content has ended; `digest` is `None` where part of it was lost.
    ///
    /// # Errors
    /// An error ends the walk.
    fn end(&mut self, _digest: Option<Digest>) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file as it was found in the tar.
#[derive(Debug)]
pub(super) struct Seen {
    /// In which of the file's tars it was, counted from 0.
    pub(super) tar: usize,
    /// Below the top folder.
    pub(super) path: String,
    pub(super) size: u64,
    /// `None` where part of it was lost.
    pub(super) digest: Option<Digest>,
    /// Of metadata the id in it, or what is wrong with it.
    pub(super) id: Option<Result<Option<String>, ArticleError>>,
}

/// What a walk came upon.
#[derive(Default)]
pub(super) struct Walk {
    /// The files under `data/`.
    pub(super) seen: Vec<Seen>,
    /// Whether there was a whole checksum list, whatever it says.
    pub(super) has_list: bool,
    /// The checksum lists and times that manifests name, by their digests.
    pub(super) named: HashMap<Digest, Vec<u8>>,
    pub(super) times: Option<Vec<u8>>,
    /// The pieces of the index, by their numbers.
    pub(super) pieces: Vec<Option<Vec<u8>>>,
    pub(super) findings: Vec<Finding>,
}

fn salvage(source: std::io::Error) -> Error {
    Error::Io { doing: "writing what was salvaged", source }
}

/// Returns the checksum lists and times that manifests name, by their digests: how long they may be, in bytes.
pub(super) fn named(tails: &Tails) -> HashMap<Digest, u64> {
    let mut wanted = HashMap::new();
    for found in &tails.found {
        let Some(manifest) = &found.manifest else { continue };
        let of_files = manifest.files.min(MAX_FILES) * MAX_LINE_BYTES;
        let is_strange = !found.judged.counts && tails.ends.len() > 1;
        let most = if is_strange { of_files.min(MAX_STRANGE_LIST_BYTES) } else { of_files };
        for digest in manifest.times.into_iter().chain([manifest.checksums]) {
            let held: &mut u64 = wanted.entry(digest).or_default();
            *held = most.max(*held);
        }
    }
    wanted
}

/// Walks the tars in these frames: each ends with a tail, and another one may begin after it. Lists and times are held that are `wanted`.
pub(super) fn walk<S: Source>(
    source: &S,
    frames: &[Frame],
    tails: &Tails,
    wanted: HashMap<Digest, u64>,
    file_bytes: u64,
    salvor: &mut dyn Salvor,
    run: Run<'_>,
) -> Result<Walk, Error> {
    let mut walker = Walker::new(salvor, wanted);
    let mut strange = Allowance {
        bytes: file_bytes.saturating_mul(STRANGE_BYTES_A_BYTE),
        files: MAX_STRANGE_FILES,
        path_bytes: MAX_STRANGE_PATH_BYTES,
    };
    let no_manifest = tails.found.iter().all(|found| found.manifest.is_none());
    let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
    let mut from = 0;
    for end in tails.ends.iter().copied().chain([frames.len()]) {
        let found = tails.found.iter().find(|found| found.frame == end);
        let mut own = match found.and_then(|found| found.manifest.as_ref()) {
            _ if no_manifest => Allowance::of_any(),
            Some(manifest) => Allowance::of(manifest),
            None => Allowance::default(),
        };
        walker.begin_tar(found);
        let frames = frames.get(from..end).unwrap_or_default();
        let own_from = own.last_of(frames);
        let (mut packed_at, mut plain_at) = frames.first().map_or((0, 0), |first| (first.packed_at, first.plain_at));
        for (n, frame) in frames.iter().enumerate() {
            if run.watch.cancelled() {
                return Err(Error::Cancelled);
            }
            let is_own = n >= own_from;
            if !is_own && !strange.takes(u64::from(frame.size.plain), 0, 0) {
                walker.pass_over()?;
                continue;
            }
            if frame.plain_at != plain_at {
                walker.gap(frame.plain_at - plain_at)?;
            } else if frame.packed_at != packed_at {
                walker.break_off()?;
            }
            (packed_at, plain_at) = (frame.packed_at + u64::from(frame.size.packed), frame.end());
            let before = (walker.walk.seen.len(), walker.path_bytes);
            match read_frame(source, frame, &mut decoder, &mut packed, &mut plain) {
                Ok(()) => walker.take(&plain)?,
                Err(error) => {
                    walker.faults.push(damaged(frame, error)?);
                    walker.gap(u64::from(frame.size.plain))?;
                }
            }
            let files = (walker.walk.seen.len() - before.0) as u64;
            let path_bytes = walker.path_bytes - before.1;
            let is_allowed = (is_own && own.takes(0, files, path_bytes)) || strange.takes(0, files, path_bytes);
            if !is_allowed {
                // A bundle's own files may follow still.
                walker.walk.seen.truncate(before.0);
                walker.path_bytes = before.1;
                walker.pass_over()?;
            }
            run.watch.advance(u64::from(frame.size.plain));
        }
        walker.end_tar()?;
        from = end + 1;
    }
    Ok(walker.finish())
}

/// How much more is walked.
#[derive(Default)]
struct Allowance {
    bytes: u64,
    files: u64,
    path_bytes: u64,
}

impl Allowance {
    /// What a manifest states.
    fn of(manifest: &Manifest) -> Self {
        let files = manifest.files.min(MAX_FILES);
        Self { bytes: most_plain(manifest), files, path_bytes: files * MAX_LINE_BYTES }
    }

    /// What any bundle may hold, where nothing states its bytes.
    fn of_any() -> Self {
        Self { bytes: u64::MAX, files: MAX_FILES, path_bytes: MAX_FILES * MAX_LINE_BYTES }
    }

    /// Returns from which frame on the last ones are within what is allowed: those of a bundle are right before its tail.
    fn last_of(&self, frames: &[Frame]) -> usize {
        let mut left = self.bytes;
        let fits = |frame: &&Frame| {
            let after = left.checked_sub(u64::from(frame.size.plain));
            left = after.unwrap_or(left);
            after.is_some()
        };
        frames.len() - frames.iter().rev().take_while(fits).count()
    }

    /// Takes from what is allowed, if there is enough.
    fn takes(&mut self, bytes: u64, files: u64, path_bytes: u64) -> bool {
        let is_enough = bytes <= self.bytes && files <= self.files && path_bytes <= self.path_bytes;
        if is_enough {
            self.bytes -= bytes;
            self.files -= files;
            self.path_bytes -= path_bytes;
        }
        is_enough
    }
}

/// Returns the longest tar before the tail that a manifest's counts allow, in bytes.
fn most_plain(manifest: &Manifest) -> u64 {
    let files = manifest.files.min(MAX_FILES);
    let tag_files = MAX_LIST_BYTES + MAX_TIMES_BYTES + MAX_BLOCKS as u64 * (MAX_PIECE_BYTES + 2 * BLOCK_BYTES);
    manifest.bytes.saturating_add(files * (MAX_HEADER_BYTES + BLOCK_BYTES)).saturating_add(tag_files)
}

/// A file that is being walked through.
struct Open {
    path: String,
    size: u64,
    left: u64,
    /// `None` once a part was lost.
    hasher: Option<Hasher>,
    /// The bytes, of files that say something about others.
    kept: Option<Vec<u8>>,
    /// Whether the salvor wants its bytes.
    wanted: bool,
}

struct Walker<'a> {
    salvor: &'a mut dyn Salvor,
    walk: Walk,
    open: Option<Open>,
    top: Option<String>,
    /// How far the order of members has come: files, list, times, pieces.
    stage: usize,
    /// Zeros still to come after the last content.
    padding: u64,
    /// The beginning of a header that the next frame goes on with.
    rest: Vec<u8>,
    /// Whether it is unknown what stands here.
    lost: bool,
    /// Names of the tag files seen, since each stands once.
    tag_files: HashSet<String>,
    /// The checksum lists and times that manifests name, by their digests: how long they may be, in bytes.
    wanted: HashMap<Digest, u64>,
    /// Bytes of the paths of the files seen.
    path_bytes: u64,
    /// Number of tars that have ended.
    tar: usize,
    /// What is wrong with the tars.
    faults: Faults,
    /// Whether there was more than is read.
    has_unread: bool,
}

impl<'a> Walker<'a> {
    fn new(salvor: &'a mut dyn Salvor, wanted: HashMap<Digest, u64>) -> Self {
        Self {
            salvor,
            walk: Walk::default(),
            open: None,
            top: None,
            stage: 0,
            padding: 0,
            rest: Vec::new(),
            lost: false,
            tag_files: HashSet::new(),
            wanted,
            path_bytes: 0,
            tar: 0,
            faults: Faults::default(),
            has_unread: false,
        }
    }

    /// Returns what was come upon, with what is wrong.
    fn finish(mut self) -> Walk {
        self.walk.findings = self.faults.into_findings(Code::Tar, "tar");
        if self.has_unread {
            let detail = "more than the manifest's counts allow; not all of it was read";
            self.walk.findings.push(Finding::new(Code::OverLimit, "tar", detail));
        }
        self.walk
    }

    /// Begins a tar; `found` is the tail that it ends with, if it is to be gone by.
    fn begin_tar(&mut self, found: Option<&Found>) {
        self.top = found.map(|found| found.tail.top.clone());
        (self.stage, self.padding, self.lost) = (0, 0, false);
        self.tag_files.clear();
    }

    /// Ends a tar where its tail begins, or the file ends.
    fn end_tar(&mut self) -> Result<(), Error> {
        self.end()?;
        if !self.rest.is_empty() && !self.lost {
            self.faults.push(Finding::new(Code::Tar, "tar", "ends inside a header"));
        }
        self.rest.clear();
        self.tar += 1;
        Ok(())
    }

    /// Takes note that a frame is not read.
    fn pass_over(&mut self) -> Result<(), Error> {
        self.has_unread = true;
        self.break_off()
    }

    /// Takes note that an unknown number of bytes is lost.
    fn break_off(&mut self) -> Result<(), Error> {
        self.rest.clear();
        (self.padding, self.lost) = (0, true);
        self.end()
    }

    fn begin(&mut self, path: String, size: u64) -> Result<(), Error> {
        let limit = match path.as_str() {
            checksums::NAME | times::NAME => {
                let held: u64 = self.walk.named.values().map(|bytes| bytes.len() as u64).sum();
                let most = self.wanted.values().copied().max().unwrap_or(0);
                most.min(MAX_NAMED_BYTES.saturating_sub(held))
            }
            _ if checksums::is_metadata(&path) => MAX_ARTICLE_TOML_BYTES,
            _ if path.starts_with(index::PIECES) => MAX_PIECE_BYTES,
            _ => 0,
        };
        let kept = (size <= limit && limit > 0).then(Vec::new);
        let wanted = self.salvor.begin(&path).map_err(salvage)?;
        self.open = Some(Open { path, size, left: size, hasher: Some(Hasher::new()), kept, wanted });
        self.bytes(&[])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.left -= bytes.len() as u64;
        if let Some(hasher) = &mut open.hasher {
            hasher.update(bytes);
            if open.wanted {
                self.salvor.bytes(bytes).map_err(salvage)?;
            }
            if let Some(kept) = &mut open.kept {
                kept.extend_from_slice(bytes);
            }
        }
        if open.left == 0 { self.end() } else { Ok(()) }
    }

    /// Takes note that `len` bytes of the open file are lost.
    fn lose(&mut self, len: u64) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        (open.hasher, open.kept) = (None, None);
        open.left = open.left.saturating_sub(len);
        if open.left == 0 { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let digest = open.hasher.filter(|_| open.left == 0).map(Hasher::finish);
        if open.wanted {
            self.salvor.end(digest).map_err(salvage)?;
        }
        let whole = open.kept.filter(|_| digest.is_some());
        if open.path.starts_with(DATA) {
            let read = checksums::is_metadata(&open.path) && digest.is_some();
            let id =
                read.then(|| whole.map_or_else(|| Err(ArticleError::too_long(open.size)), |b| Article::read_id(&b)));
            self.path_bytes += open.path.len() as u64;
            self.walk.seen.push(Seen { tar: self.tar, path: open.path, size: open.size, digest, id });
        } else {
            self.tag_file(&open.path, whole, digest);
        }
        Ok(())
    }

    /// Keeps a member that is none of the files; each has its place in the order.
    fn tag_file(&mut self, path: &str, bytes: Option<Vec<u8>>, digest: Option<Digest>) {
        let piece = path
            .strip_prefix(index::PIECES)
            .and_then(|n| n.parse().ok())
            .filter(|&n: &usize| n < MAX_BLOCKS && index::piece_name(n) == path);
        let stage = match (path, piece) {
            (checksums::NAME, _) => 1,
            (times::NAME, _) => 2,
            (_, Some(n)) => 3 + n,
            _ => {
                self.faults.push(Finding::new(Code::Extra, path, "no member of a bundle"));
                return;
            }
        };
        self.walk.has_list |= stage == 1 && digest.is_some();
        // What a manifest names is that wherever it stands.
        let most = digest.and_then(|digest| self.wanted.get(&digest)).copied();
        if let (Some(digest), Some(bytes)) = (digest, bytes.as_ref().filter(|bytes| Some(bytes.len() as u64) <= most)) {
            self.walk.named.entry(digest).or_insert_with(|| bytes.clone());
        }
        if !self.tag_files.insert(path.to_owned()) || stage <= self.stage {
            self.faults.push(Finding::new(Code::Tar, path, "stands twice, or not in its place"));
            return;
        }
        self.stage = stage;
        match piece {
            None if stage == 1 => {}
            None => self.walk.times = bytes,
            Some(n) => {
                self.walk.pieces.resize(self.walk.pieces.len().max(n + 1), None);
                self.walk.pieces[n] = bytes;
            }
        }
    }

    /// Passes over `len` bytes that could not be read.
    fn gap(&mut self, len: u64) -> Result<(), Error> {
        let open = self.open.as_ref().map_or(0, |open| open.left);
        let was_open = self.open.is_some();
        self.lose(len)?;
        let beyond = len.saturating_sub(open);
        self.lost |= beyond > self.padding || !self.rest.is_empty() || (!was_open && self.padding == 0);
        self.padding = self.padding.saturating_sub(beyond);
        if self.lost {
            self.rest.clear();
            self.padding = 0;
            if self.open.is_some() {
                self.end()?;
            }
        }
        Ok(())
    }

    fn take(&mut self, plain: &[u8]) -> Result<(), Error> {
        let joined;
        let mut bytes = plain;
        if !self.rest.is_empty() {
            joined = [std::mem::take(&mut self.rest).as_slice(), plain].concat();
            bytes = &joined;
        }
        while !bytes.is_empty() {
            if self.lost {
                let Some(at) = next_header(bytes) else {
                    // A header may begin at the end of these and go on in the next frame.
                    self.rest = bytes[bytes.len().saturating_sub(MAX_HEADER_BYTES as usize - 1)..].to_vec();
                    return Ok(());
                };
                bytes = &bytes[at..];
                self.lost = false;
            }
            if let Some(open) = &self.open {
                let (content, after) = bytes.split_at(bytes.len().min(open.left as usize));
                self.bytes(content)?;
                bytes = after;
            } else if self.padding > 0 {
                let (zeros, after) = bytes.split_at(bytes.len().min(self.padding as usize));
                if !tar::is_zero(zeros) {
                    let place = self.last_path();
                    self.faults.push(Finding::new(Code::Tar, place, "is not padded with zeros"));
                }
                self.padding -= zeros.len() as u64;
                bytes = after;
            } else {
                match tar::decode_header(bytes) {
                    Ok(Entry::File { path, size, header }) => {
                        bytes = &bytes[header as usize..];
                        self.padding = tar::padding(size);
                        let path = self.below_top(&path);
                        if path.starts_with(DATA) && self.stage > 0 {
                            self.faults.push(Finding::new(Code::Tar, &path, "does not stand in its place in the tar"));
                        }
                        self.begin(path, size)?;
                    }
                    Ok(Entry::End) => {
                        self.faults.push(Finding::new(Code::Tar, "tar", "ends before its tail"));
                        self.go_on_after(&mut bytes);
                    }
                    Err(HeaderFault::Short) if (bytes.len() as u64) < MAX_HEADER_BYTES => {
                        self.rest = bytes.to_vec();
                        return Ok(());
                    }
                    Err(fault) => {
                        let place = format!("after {}", self.last_path());
                        self.faults.push(Finding::new(Code::Tar, place, fault));
                        self.go_on_after(&mut bytes);
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes over a block that is no header.
    fn go_on_after(&mut self, bytes: &mut &[u8]) {
        *bytes = bytes.get(BLOCK_BYTES as usize..).unwrap_or_default();
        self.lost = true;
    }

    fn last_path(&self) -> String {
        self.walk.seen.last().map_or_else(|| "tar".to_owned(), |seen| seen.path.clone())
    }

    fn below_top(&mut self, path: &[u8]) -> String {
        let path = String::from_utf8_lossy(path).into_owned();
        let (top, below) = path.split_once('/').unwrap_or(("", &path));
        match &self.top {
            Some(expected) if expected != top => {
                let detail = format!("outside the top folder {expected:?}");
                self.faults.push(Finding::new(Code::TopFolder, &path, detail));
            }
            Some(_) => {}
            None => self.top = Some(top.to_owned()),
        }
        below.to_owned()
    }
}

/// Finds the next header of a file. Frames may be cut anywhere, so that it may begin on whatever byte.
fn next_header(bytes: &[u8]) -> Option<usize> {
    let is_header = |at: usize| matches!(tar::decode_header(&bytes[at..]), Ok(Entry::File { .. }));
    let mut from = 0;
    for _ in 0..FALSE_HEADERS {
        let at = tar::next_header(bytes, from)?;
        if is_header(at) {
            return Some(at);
        }
        from = at + 1;
    }
    let block = BLOCK_BYTES as usize;
    (from.next_multiple_of(block)..bytes.len()).step_by(block).find(|&at| is_header(at))
}
