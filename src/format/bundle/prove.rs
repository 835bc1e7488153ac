//! Proving a bundle whole, quickly: every byte of every member, frames in parallel, memory bounded by the threads.
//!
//! Since the layout tells what must stand where, each frame is checked by itself: headers and padding are compared, contents hashed.
//! The first thing wrong ends the proof; [`super::diagnose`] then finds the rest. A [`Receiver`] gets the contents on the way, so that
//! extraction reads nothing twice.

use std::io;
use std::num::NonZeroUsize;

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::frame::{self, FrameDecoder};
use crate::format::layout::{Part, Segment};
use crate::format::tar;
use crate::pipeline::{Relay, ordered};
use crate::watch::Watch;

use super::open::{Frame, frame_finding, read_frame};
use super::{Bundle, Contents, Error, Source};

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

/// Which files to prove.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// All of them.
    Everything,
    /// Those whose line of the checksum list says so.
    Lines(&'a [bool]),
}

impl Scope<'_> {
    fn holds(self, line: usize) -> bool {
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
    relay: Relay<Hasher>,
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
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<(), Error> {
    let prover = Prover { bundle, contents, scope, receiver, relay: Relay::default() };
    let jobs = (0..bundle.frames.len()).filter(|&n| prover.concerns(&bundle.frames[n]));
    ordered(
        threads,
        jobs,
        || {
            let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
            let prover = &prover;
            move |n| {
                let frame = &prover.bundle.frames[n];
                let done = read_frame(&prover.bundle.source, frame, &mut decoder, &mut packed, &mut plain)
                    .and_then(|()| prover.check_mark(n, &packed))
                    .and_then(|()| prover.check(n, &plain));
                if done.is_err() && prover.spans_beyond(frame) {
                    prover.relay.pass(n as u64 + 1, None);
                }
                done.map(|()| plain.len() as u64)
            }
        },
        |done| {
            watch.advance(done?);
            if watch.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        },
    )
}

impl<S: Source> Prover<'_, S> {
    /// Says whether a file in scope touches the frame.
    fn concerns(&self, frame: &Frame) -> bool {
        let places = self.contents.layout.places();
        let end = frame.plain_at + u64::from(frame.size.plain);
        let first = self.contents.layout.member_at(frame.plain_at);
        match self.scope {
            // The last frame is the tail, which has been read already.
            Scope::Everything => frame.plain_at < self.bundle.frames.last().map_or(0, |last| last.plain_at),
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

    /// Checks that a frame is the one that was written, not another that decodes to the same bytes.
    fn check_mark(&self, n: usize, packed: &[u8]) -> Result<(), Error> {
        if matches!(self.scope, Scope::Everything) && self.bundle.index.frames.get(n) != Some(&frame::mark(packed)) {
            let fault = "decodes, but is not as it was written";
            return Err(frame_finding(&self.bundle.frames[n], fault).into());
        }
        Ok(())
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
                    if bytes.iter().any(|&b| b != 0) {
                        return Err(Finding::new(Code::Tar, name, "is not padded with zeros").into());
                    }
                }
            }
        }
        Ok(())
    }

    fn content(&self, frame: u64, segment: Segment, line: usize, size: u64, bytes: &[u8]) -> Result<(), Error> {
        let expected = self.contents.list.digest(line);
        let wrong = || {
            Finding::new(Code::Content, self.contents.list.path(line), "not the bytes that the checksum list names")
                .into()
        };
        let piece = Piece { line, offset: segment.from, bytes, size };
        let receive = || self.receiver.piece(piece).map_err(Error::io("writing what was read"));
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
