//! Walking the tar of a damaged bundle from header to header, and on after a gap at the next block that is a header.

use std::collections::HashSet;

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::article::{Article, ArticleError, MAX_ARTICLE_TOML_BYTES};
use crate::format::bundle::open::{Frame, read_frame};
use crate::format::bundle::{Error, Source, Tail};
use crate::format::checksums::{self, DATA, MAX_FILES, MAX_LIST_BYTES};
use crate::format::frame::FrameDecoder;
use crate::format::index::{self, MAX_BLOCKS, MAX_PIECE_BYTES};
use crate::format::manifest::Manifest;
use crate::format::tar::{self, BLOCK_BYTES, Entry, HeaderFault, MAX_HEADER_BYTES};
use crate::format::times::{self, MAX_TIMES_BYTES};
use crate::watch::Watch;

use super::damaged;

/// Members that a walk takes note of: twice those of the largest bundle.
const MAX_SEEN: usize = 2 * MAX_FILES as usize;

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
    pub(super) list: Option<Vec<u8>>,
    pub(super) times: Option<Vec<u8>>,
    /// The pieces of the index, by their numbers.
    pub(super) pieces: Vec<Option<Vec<u8>>>,
    pub(super) findings: Vec<Finding>,
}

fn salvage(source: std::io::Error) -> Error {
    Error::Io { doing: "writing what was salvaged", source }
}

/// Walks the tar in these frames.
pub(super) fn walk<S: Source>(
    source: &S,
    frames: &[Frame],
    tail: Option<&Tail>,
    manifest: Option<&Manifest>,
    salvor: &mut dyn Salvor,
    watch: &dyn Watch,
) -> Result<Walk, Error> {
    let mut walker = Walker {
        salvor,
        walk: Walk::default(),
        open: None,
        top: tail.map(|tail| tail.top.clone()),
        stage: 0,
        padding: 0,
        rest: Vec::new(),
        lost: false,
        tag_files: HashSet::new(),
    };
    let limit = manifest.map_or(u64::MAX, most_plain);
    let mut decoder = FrameDecoder::default();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    for frame in frames {
        if watch.cancelled() {
            return Err(Error::Cancelled);
        }
        if frame.end() > limit || walker.walk.seen.len() > MAX_SEEN {
            let detail = "more than the manifest's counts allow; what follows was not read";
            walker.walk.findings.push(Finding::new(Code::OverLimit, "tar", detail));
            walker.lost = true;
            break;
        }
        match read_frame(source, frame, &mut decoder, &mut packed, &mut plain) {
            Ok(()) => walker.take(&plain)?,
            Err(error) => {
                walker.walk.findings.push(damaged(frame, error)?);
                walker.gap(u64::from(frame.size.plain))?;
            }
        }
        watch.advance(u64::from(frame.size.plain));
    }
    if walker.open.is_some() {
        walker.end()?;
    }
    if !walker.rest.is_empty() && !walker.lost {
        walker.walk.findings.push(Finding::new(Code::Tar, "tar", "ends inside a header"));
    }
    Ok(walker.walk)
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
}

impl Walker<'_> {
    fn begin(&mut self, path: String, size: u64) -> Result<(), Error> {
        let limit = match path.as_str() {
            checksums::NAME => MAX_LIST_BYTES,
            times::NAME => MAX_TIMES_BYTES,
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
            self.walk.seen.push(Seen { path: open.path, size: open.size, digest, id });
        } else {
            self.tag_file(&open.path, whole);
        }
        Ok(())
    }

    /// Keeps a member that is none of the files; each has its place in the order.
    fn tag_file(&mut self, path: &str, bytes: Option<Vec<u8>>) {
        let piece = path
            .strip_prefix(index::PIECES)
            .and_then(|n| n.parse().ok())
            .filter(|&n: &usize| n < MAX_BLOCKS && index::piece_name(n) == path);
        let stage = match (path, piece) {
            (checksums::NAME, _) => 1,
            (times::NAME, _) => 2,
            (_, Some(n)) => 3 + n,
            _ => {
                self.walk.findings.push(Finding::new(Code::Extra, path, "no member of a bundle"));
                return;
            }
        };
        if !self.tag_files.insert(path.to_owned()) || stage <= self.stage {
            self.walk.findings.push(Finding::new(Code::Tar, path, "stands twice, or not in its place"));
            return;
        }
        self.stage = stage;
        match piece {
            None if stage == 1 => self.walk.list = bytes,
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
                let Some(at) = next_header(bytes) else { return Ok(()) };
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
                    self.walk.findings.push(Finding::new(Code::Tar, place, "is not padded with zeros"));
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
                            self.walk.findings.push(Finding::new(
                                Code::Tar,
                                &path,
                                "does not stand in its place in the tar",
                            ));
                        }
                        self.begin(path, size)?;
                    }
                    Ok(Entry::End) => {
                        self.walk.findings.push(Finding::new(Code::Tar, "tar", "ends before its tail"));
                        self.go_on_after(&mut bytes);
                    }
                    Err(HeaderFault::Short) if (bytes.len() as u64) < MAX_HEADER_BYTES => {
                        self.rest = bytes.to_vec();
                        return Ok(());
                    }
                    Err(fault) => {
                        let place = format!("after {}", self.last_path());
                        self.walk.findings.push(Finding::new(Code::Tar, place, fault));
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
                self.walk.findings.push(Finding::new(Code::TopFolder, &path, detail));
            }
            Some(_) => {}
            None => self.top = Some(top.to_owned()),
        }
        below.to_owned()
    }
}

/// Finds the next block that is a file's header; frames begin at blocks, as a packer cuts them.
fn next_header(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len())
        .step_by(BLOCK_BYTES as usize)
        .find(|&at| matches!(tar::decode_header(&bytes[at..]), Ok(Entry::File { .. })))
}
