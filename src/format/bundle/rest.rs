//! What is left of a bundle without some of its articles: the bundle that replaces it after a withdrawal. (FORMAT.md, "What was removed")
//!
//! The members that are left stand as they stood, whatever a packer would say of them today, and a frame that holds nothing else is copied as
//! it is; of any other frame what is left is compressed anew, into one frame. The new manifest is a pure function of the old one, the removed
//! articles and what is left. Memory is bounded by frames and the checksum list.

use crate::digest::Digest;
use crate::format::frame::FrameEncoder;
use crate::format::framing::{Cut, Kind, SMALL_BYTES};
use crate::format::index::Head;
use crate::format::manifest::Manifest;
use crate::format::tree;
use crate::format::was::{self, RemovedLeaf, Was};
use crate::run::Run;

use super::open::Frame;
use super::prove::{Nobody, Scope, prove_frames};
use super::write::{LIST_LEVEL, SMALL_LEVEL};
use super::{Bundle, BundleWriter, Contents, Error, Output, SignatureFile, Source, Tail};

/// A bundle without some of its articles, before it is signed and written.
pub struct Rest<'a, S> {
    bundle: &'a Bundle<S>,
    /// What the bundle holds.
    old: &'a Contents,
    /// For each line of its checksum list, whether it stays.
    kept: Vec<bool>,
    /// What is left.
    contents: Contents,
    manifest: Manifest,
    line: Vec<Was>,
    pieces: Vec<String>,
    head: Head,
    /// Where the tail begins in the tar.
    tail_at: u64,
}

/// What is left of a frame.
enum Left {
    /// A frame, and the length of what it holds.
    Frame(Vec<u8>, u64),
    /// Content that ended in one frame with the checksum list.
    WithList(Vec<u8>),
}

/// Takes articles out of a bundle, by their numbers: some of them, ascending. Its bytes are read where the rest is written.
///
/// # Errors
/// Where `removed` is anything else, or the rest would descend from more bundles than it may.
pub fn without<'a, S: Source>(
    bundle: &'a Bundle<S>,
    contents: &'a Contents,
    removed: &[usize],
) -> Result<Rest<'a, S>, Error> {
    let list = &contents.list;
    let articles = list.article_count();
    let some = !removed.is_empty() && removed.len() < articles && removed.is_sorted_by(|one, other| one < other);
    if !some || removed.last().is_none_or(|&last| last >= articles) {
        return Err(Error::NotSome { articles, found: removed.to_vec() });
    }
    let mut kept = vec![true; list.len()];
    removed.iter().flat_map(|&n| list.lines(n)).for_each(|line| kept[line] = false);
    let opened = |&n: &usize| RemovedLeaf {
        position: n as u64,
        id: Digest::of(contents.id(n).as_bytes()),
        lines: Digest::of(list.lines_text(n).as_bytes()),
    };
    let (old, tail) = (bundle.manifest(), bundle.tail());
    let removed_leaves = removed.iter().map(opened).collect();
    let was = Was { manifest: old.clone(), signatures: tail.signatures.clone(), removed: removed_leaves };
    let line: Vec<Was> = std::iter::once(was).chain(tail.was.iter().cloned()).collect();
    if let Some((what, found, limit)) = was::over_limit(&line, &tail.top) {
        return Err(Error::OverLimit { what, found, limit });
    }
    let left = contents.without(removed)?;
    let blocks = left.blocks();
    let (pieces, head, tail_at) = left.index(&blocks);
    let manifest = Manifest {
        articles: left.list.article_count() as u64,
        files: left.list.len() as u64,
        bytes: left.bytes(),
        checksums: Digest::of(left.list.text().as_bytes()),
        root: tree::root(&blocks),
        times: left.times.as_ref().map(|times| Digest::of(times)),
        replaces: vec![bundle.id()],
        ..old.clone()
    };
    Ok(Rest { bundle, old: contents, kept, contents: left, manifest, line, pieces, head, tail_at })
}

impl<S: Source> Rest<'_, S> {
    /// Returns the new manifest, to be signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the rest as a bundle with these signatures; what is left of frames is compressed at `level`. Every byte that stays is checked
    /// on the way.
    ///
    /// # Errors
    /// Where what stays is not what the old checksum list says, or reading or writing fails.
    pub fn write<W: Output>(
        &self,
        signatures: Vec<SignatureFile>,
        level: i32,
        out: W,
        run: Run<'_>,
    ) -> Result<(W, u64), Error> {
        let mut writer = BundleWriter::new(out);
        let mut with_list = None;
        prove_frames(
            (self.bundle, self.old, Scope::Lines(&self.kept)),
            &Nobody,
            run,
            || {
                let mut encoder = FrameEncoder::new(level);
                move |frame: &Frame, packed: &[u8], plain: &[u8]| self.left(frame, packed, plain, &mut encoder)
            },
            |left| {
                match left {
                    Left::Frame(packed, plain) => writer.push(&packed, plain)?,
                    Left::WithList(plain) => with_list = Some(plain),
                }
                Ok(())
            },
        )?;
        let after = self.contents.after_files(&self.pieces);
        let from = writer.plain();
        match with_list {
            Some(mut plain) if from == 0 && self.tail_at <= SMALL_BYTES => {
                plain.extend_from_slice(&after);
                let cut = Cut { from, to: self.tail_at, kind: Kind::Plain };
                writer.push_cuts(&[cut], &plain, level.max(SMALL_LEVEL))?;
            }
            held => {
                if let Some(plain) = held {
                    let to = self.contents.layout.end();
                    writer.push_cuts(&[Cut { from, to, kind: Kind::Plain }], &plain, level)?;
                }
                writer.push_cuts(&self.contents.cuts_after_files(&self.head, self.tail_at), &after, LIST_LEVEL)?;
            }
        }
        writer.finish(&Tail { was: self.line.clone(), ..Tail::new(&self.manifest, signatures, &self.head) })
    }

    /// Takes of a frame what is left.
    fn left(&self, frame: &Frame, packed: &[u8], plain: &[u8], encoder: &mut FrameEncoder) -> Result<Left, Error> {
        let layout = &self.old.layout;
        let mut left = Vec::new();
        let mut at = 0;
        for segment in layout.segments(frame.plain_at, frame.end().min(layout.end())) {
            let to = at + segment.len as usize;
            if self.kept[self.old.line(segment.member)] {
                left.extend_from_slice(&plain[at..to]);
            }
            at = to;
        }
        if frame.end() > layout.end() {
            return Ok(Left::WithList(left));
        }
        if left.len() == plain.len() {
            return Ok(Left::Frame(packed.to_vec(), plain.len() as u64));
        }
        let mut out = Vec::new();
        encoder.encode(&left, &mut out).map_err(Error::compressing)?;
        Ok(Left::Frame(out, left.len() as u64))
    }
}
