//! Proving a bundle whole, quickly: every byte of every file, frames in parallel, memory bounded by the threads.
//!
//! Since the layout tells what must stand where, each frame is checked by itself: headers and padding are compared, contents hashed,
//! metadata parsed. The first thing wrong ends the proof; [`super::diagnose`] then finds the rest. A [`Receiver`] gets the contents on the
//! way, so that extraction reads nothing twice.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::article::{Article, MAX_ARTICLE_TOML_BYTES};
use crate::format::frame::FrameDecoder;
use crate::format::layout::{Part, Segment};
use crate::format::tar;
use crate::pipeline::{Relay, ordered};
use crate::run::Run;
use crate::watch::Silent;

use super::open::{Frame, read_frame};
use super::{Bundle, Contents, Error, Source, content_finding};

/// A piece of a file's content.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The file's line in the checksum list.
    pub line: usize,
    /// Where the piece begins in the file, in bytes.
    pub offset: u64,
    /// The piece.
    pub bytes: &'a [u8],
    /// Size of the whole file, in bytes.
    pub size: u64,
}

/// Takes contents while they are proved, from several threads, pieces of one file in any order.
///
/// A piece that is a whole file has been checked already; other pieces have not, so everything must be held back until the proof
/// has ended well.
pub trait Receiver: Sync {
    /// Takes a piece.
    ///
    /// # Errors
    /// An error ends the proof.
    fn piece(&self, piece: Piece<'_>) -> io::Result<()>;
}

/// A receiver that wants nothing, for when only the proof counts.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Receiver for Nobody {
    fn piece(&self, _piece: Piece<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// A receiver that joins the pieces of each small file, and hands it on whole.
pub(super) struct WholeFiles<F> {
    limit: u64,
    each: F,
    /// What there is of files that came in several pieces: how much, and where it goes.
    open: Mutex<HashMap<usize, (usize, Vec<u8>)>>,
}

impl<F: Fn(usize, &[u8]) -> io::Result<()> + Sync> WholeFiles<F> {
    /// Makes a receiver that calls `each` with line and bytes of every file of at most `limit` bytes.
    pub(super) fn new(limit: u64, each: F) -> Self {
        Self { limit, each, open: Mutex::default() }
    }
}

impl<F: Fn(usize, &[u8]) -> io::Result<()> + Sync> Receiver for WholeFiles<F> {
    fn piece(&self, piece: Piece<'_>) -> io::Result<()> {
        if piece.size > self.limit {
            return Ok(());
        }
        if piece.bytes.len() as u64 == piece.size {
            return (self.each)(piece.line, piece.bytes);
        }
        let whole = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let (have, bytes) = open.entry(piece.line).or_insert_with(|| (0, vec![0; piece.size as usize]));
            let from = piece.offset as usize;
            bytes[from..from + piece.bytes.len()].copy_from_slice(piece.bytes);
            *have += piece.bytes.len();
            if *have < bytes.len() {
                return Ok(());
            }
            open.remove(&piece.line).map(|(_, bytes)| bytes).unwrap_or_default()
        };
        (self.each)(piece.line, &whole)
    }
}

/// Which files to prove.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// All of them.
    Everything,
    /// Those whose line of the checksum list says so.
    Lines(&'a [bool]),
}

impl Scope<'_> {
    /// Says whether a line is among them.
    pub fn holds(self, line: usize) -> bool {
        match self {
            Self::Everything => true,
            Self::Lines(wanted) => wanted.get(line).copied().unwrap_or(false),
        }
    }
}

struct Prover<'a, S> {
    bundle: &'a Bundle<S>,
    contents: &'a Contents,
    scope: Scope<'a>,
    receiver: &'a dyn Receiver,
    metadata: &'a dyn Receiver,
    relay: Relay<Hasher>,
}

/// Checks that an `article.toml` keeps the rules and gives its article the id which the article tree has.
pub(super) fn metadata_finding(contents: &Contents, line: usize, bytes: &[u8]) -> Option<Finding> {
    let article = contents.list.owner(line)?;
    id_finding(contents.list.path(line), contents.list.article(article), contents.id(article), bytes)
}

/// Checks that the `article.toml` at `path` keeps the rules and gives its article this id.
pub(super) fn id_finding(path: &str, article: &str, expected: &str, bytes: &[u8]) -> Option<Finding> {
    match Article::read_id(bytes) {
        Err(fault) => Some(Finding::new(Code::Metadata, path, fault)),
        Ok(id) => {
            let id = id.as_deref().unwrap_or(article);
            (id != expected).then(|| Finding::new(Code::Tree, path, format!("has the id {id:?}, the tree has another")))
        }
    }
}

/// Checks that the files in `scope` are what the checksum list says, and stand in the tar as the format has it.
///
/// # Errors
/// The first thing that is not as it must be, in order of the tar.
pub fn prove<S: Source>(
    bundle: &Bundle<S>,
    contents: &Contents,
    scope: Scope<'_>,
    receiver: &dyn Receiver,
    run: Run<'_>,
) -> Result<(), Error> {
    prove_frames((bundle, contents, scope), receiver, run, || |_: &Frame, _: &[u8], _: &[u8]| Ok(()), Ok)
}

/// Proves as [`prove`] does, and hands each frame that holds files in `scope` on once it is checked: packed and plain to a worker, what that
/// makes of it to `sink`, in order of the tar. A file that spans frames is proved only with its last one.
pub(super) fn prove_frames<S: Source, T: Send, W>(
    (bundle, contents, scope): (&Bundle<S>, &Contents, Scope<'_>),
    receiver: &dyn Receiver,
    run: Run<'_>,
    worker: impl Fn() -> W + Sync,
    mut sink: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error>
where
    W: FnMut(&Frame, &[u8], &[u8]) -> Result<T, Error>,
{
    let wrong_metadata: Mutex<Option<Finding>> = Mutex::default();
    let metadata = WholeFiles::new(MAX_ARTICLE_TOML_BYTES, |line, bytes: &[u8]| {
        if let Some(finding) = metadata_finding(contents, line, bytes) {
            wrong_metadata.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(finding);
        }
        Ok(())
    });
    let prover = Prover { bundle, contents, scope, receiver, metadata: &metadata, relay: Relay::default() };
    let jobs = (0..bundle.frames.len()).filter(|&n| prover.concerns(&bundle.frames[n]));
    ordered(
        run.threads,
        jobs,
        || {
            let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
            let (prover, mut work) = (&prover, worker());
            move |n| {
                let frame = &prover.bundle.frames[n];
                let done = read_frame(&prover.bundle.source, frame, &mut decoder, &mut packed, &mut plain)
                    .and_then(|()| prover.check(n, &plain));
                if done.is_err() && prover.spans_beyond(frame) {
                    prover.relay.pass(n as u64 + 1, None);
                }
                done.and_then(|()| Ok((plain.len() as u64, work(frame, &packed, &plain)?)))
            }
        },
        |done: Result<(u64, T), Error>| {
            let (bytes, made) = done?;
            sink(made)?;
            run.watch.advance(bytes);
            if run.watch.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        },
    )?;
    let wrong = wrong_metadata.lock().unwrap_or_else(PoisonError::into_inner).take();
    wrong.map_or(Ok(()), |finding| Err(finding.into()))
}

/// Reads whole files of at most `limit` bytes, checked against the list; each is handed on with its line, from several threads.
///
/// # Errors
/// Where one is not what the list says.
pub fn read_files<S: Source>(
    bundle: &Bundle<S>,
    contents: &Contents,
    lines: &[bool],
    limit: u64,
    run: Run<'_>,
    each: impl Fn(usize, &[u8]) + Sync,
) -> Result<(), Error> {
    let receiver = WholeFiles::new(limit, |line, bytes: &[u8]| {
        each(line, bytes);
        Ok(())
    });
    prove(bundle, contents, Scope::Lines(lines), &receiver, run.watched(&Silent))
}

/// Reads the metadata of all articles, in their order, checked against the list; `read` makes of each what is wanted of it.
///
/// # Errors
/// Where one is not what the list says, or breaks the rules.
pub fn read_metadata<S: Source, T: Send>(
    bundle: &Bundle<S>,
    contents: &Contents,
    run: Run<'_>,
    read: impl Fn(&[u8]) -> T + Sync,
) -> Result<Vec<T>, Error> {
    let lines: Vec<bool> = (0..contents.list.len()).map(|line| contents.list.is_metadata(line)).collect();
    let made: Mutex<Vec<Option<T>>> = Mutex::new((0..contents.list.article_count()).map(|_| None).collect());
    read_files(bundle, contents, &lines, MAX_ARTICLE_TOML_BYTES, run, |line, bytes| {
        let value = read(bytes);
        if let Some(article) = contents.list.owner(line) {
            made.lock().unwrap_or_else(PoisonError::into_inner)[article] = Some(value);
        }
    })?;
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
}

impl<S: Source> Prover<'_, S> {
    /// Says whether a file in scope touches the frame.
    fn concerns(&self, frame: &Frame) -> bool {
        let places = self.contents.layout.places();
        let end = frame.plain_at + u64::from(frame.size.plain);
        let first = self.contents.layout.member_at(frame.plain_at);
        match self.scope {
            // What comes after the files has been read with the contents.
            Scope::Everything => frame.plain_at < self.contents.layout.end(),
            Scope::Lines(_) => (first..places.len())
                .take_while(|&member| places[member].offset < end)
                .any(|member| self.scope.holds(self.contents.line(member))),
        }
    }

    /// Says whether a file in scope begins in this frame or before and goes on in the next one.
    fn spans_beyond(&self, frame: &Frame) -> bool {
        let end = frame.plain_at + u64::from(frame.size.plain);
        let places = self.contents.layout.places();
        let member = self.contents.layout.member_at(end.saturating_sub(1));
        places.get(member).is_some_and(|place| {
            place.content() < end && end < place.content() + place.size && self.scope.holds(self.contents.line(member))
        })
    }

    fn check(&self, n: usize, plain: &[u8]) -> Result<(), Error> {
        let from = self.bundle.frames[n].plain_at;
        let layout = &self.contents.layout;
        let mut header = Vec::new();
        let mut path = format!("{}/", self.bundle.tail().top);
        let top = path.len();
        let mut at = 0;
        let to = (from + plain.len() as u64).min(layout.end());
        for segment in layout.segments(from, to) {
            let bytes = &plain[at..at + segment.len as usize];
            at += bytes.len();
            let line = self.contents.line(segment.member);
            if !self.scope.holds(line) {
                continue;
            }
            let place = layout.places()[segment.member];
            let name = self.contents.list.path(line);
            match segment.part {
                Part::Header => {
                    path.truncate(top);
                    path.push_str(name);
                    header.clear();
                    tar::encode_header(&path, place.size, &mut header);
                    if header.get(segment.from as usize..segment.from as usize + bytes.len()) != Some(bytes) {
                        return Err(Finding::new(Code::Tar, name, "has another header than expected").into());
                    }
                }
                Part::Content => self.content(n as u64, segment, line, place.size, bytes)?,
                Part::Padding => {
                    if !tar::is_zero(bytes) {
                        return Err(Finding::new(Code::Tar, name, "is not padded with zeros").into());
                    }
                }
            }
        }
        Ok(())
    }

    fn content(&self, frame: u64, segment: Segment, line: usize, size: u64, bytes: &[u8]) -> Result<(), Error> {
        let expected = self.contents.list.digest(line);
        let wrong = || content_finding(self.contents.list.path(line)).into();
        let piece = Piece { line, offset: segment.from, bytes, size };
        let receive = || -> Result<(), Error> {
            if self.contents.list.is_metadata(line) {
                if size > MAX_ARTICLE_TOML_BYTES {
                    let detail = format!("{size} bytes, at most {MAX_ARTICLE_TOML_BYTES} are allowed");
                    return Err(Finding::new(Code::Metadata, self.contents.list.path(line), detail).into());
                }
                self.metadata.piece(piece).map_err(Error::io("reading metadata"))?;
            }
            self.receiver.piece(piece).map_err(Error::io("writing what was read"))
        };
        if segment.len == size {
            return if Digest::of(bytes) == expected { receive() } else { Err(wrong()) };
        }
        receive()?;
        let mut hasher = if segment.from == 0 { Hasher::new() } else { self.relay.take(frame).ok_or_else(wrong)? };
        hasher.update(bytes);
        if segment.from + segment.len < size {
            self.relay.pass(frame + 1, Some(hasher));
            Ok(())
        } else if hasher.finish() == expected {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}
