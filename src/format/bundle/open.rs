//! Opening a bundle from its end, and reading single files of it.
//!
//! A few reads from the end give table, tail and checksum list; one file costs its own frames more. Nothing is handed out that was not
//! checked against the list, and the list against the manifest. Whether the manifest itself deserves trust is for the caller to
//! judge by its signatures.

use std::io::Write;
use std::num::NonZeroUsize;

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList, MAX_LIST_BYTES};
use crate::format::frame::{self, FrameDecoder, MAX_FRAME_BYTES};
use crate::format::index::Index;
use crate::format::layout::{Layout, Place};
use crate::format::manifest::{BundleId, Manifest};
use crate::format::seekable::{self, ENTRY_BYTES, FIXED_BYTES, FOOTER_BYTES, FrameSize};
use crate::format::tar;
use crate::pipeline::{ordered, processors};

use super::{Error, Source, Tail};

/// What the first read from the end takes, in bytes: table and last frame of most bundles.
const FIRST_READ_BYTES: u64 = 128 << 10;

/// One frame's place, packed and plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) packed_at: u64,
    pub(super) plain_at: u64,
    pub(super) size: FrameSize,
}

/// An opened bundle: its tail has been read and is well-formed.
pub struct Bundle<S> {
    pub(super) source: S,
    pub(super) frames: Vec<Frame>,
    file_bytes: u64,
    tail: Tail,
    manifest: Manifest,
    pub(super) index: Index,
}

/// The checksum list of a bundle, checked against its manifest, and where its files lie.
#[derive(Debug)]
pub struct Contents {
    /// Path and digest of every file.
    pub list: ChecksumList,
    /// The places of the files in order of the tar.
    pub layout: Layout,
    /// For each line of the list, its number in the tar.
    order: Vec<u32>,
    /// For each member of the tar, its line in the list.
    lines: Vec<u32>,
}

impl Contents {
    /// Returns the place of line `n` of the list.
    pub fn place(&self, n: usize) -> Place {
        self.layout.places()[self.order[n] as usize]
    }

    /// Returns the line of the member with this number in the tar.
    pub fn line(&self, member: usize) -> usize {
        self.lines[member] as usize
    }
}

/// Reads the seek table from a source's end.
pub(super) fn read_frames<S: Source + ?Sized>(source: &S) -> Result<(Vec<Frame>, u64, Vec<u8>), Error> {
    let size = source.size().map_err(Error::io("reading the bundle's size"))?;
    let first = size.min(FIRST_READ_BYTES);
    let mut end = vec![0; first as usize];
    source.read_at(&mut end, size - first).map_err(Error::io("reading the bundle's end"))?;
    let table_fault = |fault: seekable::TableFault| Finding::new(Code::Table, "seek table", fault);
    let footer = end.last_chunk::<FOOTER_BYTES>().ok_or(table_fault(seekable::TableFault::Magic))?;
    let table_bytes = FIXED_BYTES + seekable::decode_footer(footer).map_err(table_fault)? * ENTRY_BYTES;
    if table_bytes as u64 > size {
        return Err(table_fault(seekable::TableFault::Malformed("longer than the file")).into());
    }
    if table_bytes > end.len() {
        end.resize(table_bytes, 0);
        source.read_at(&mut end, size - table_bytes as u64).map_err(Error::io("reading the bundle's table"))?;
    }
    let sizes = seekable::decode(&end[end.len() - table_bytes..]).map_err(table_fault)?;
    let mut frames = Vec::with_capacity(sizes.len());
    let (mut packed_at, mut plain_at) = (0, 0);
    for size in sizes {
        if size.plain == 0 || size.packed == 0 {
            return Err(Finding::new(Code::Table, "seek table", "an empty frame").into());
        }
        if u64::from(size.plain) > MAX_FRAME_BYTES || u64::from(size.packed) > 2 * MAX_FRAME_BYTES {
            let detail = format!("a frame of {} bytes, packed {}", size.plain, size.packed);
            return Err(Finding::new(Code::OverLimit, "seek table", detail).into());
        }
        frames.push(Frame { packed_at, plain_at, size });
        packed_at += u64::from(size.packed);
        plain_at += u64::from(size.plain);
    }
    if packed_at + table_bytes as u64 != size {
        let detail = format!("expected a file of {} bytes, found {size}", packed_at + table_bytes as u64);
        return Err(Finding::new(Code::Table, "seek table", detail).into());
    }
    Ok((frames, size, end))
}

/// Returns a frame's finding.
pub(super) fn frame_finding(frame: &Frame, fault: impl std::fmt::Display) -> Finding {
    let from = frame.packed_at;
    Finding::new(Code::Frame, format!("bytes {from}..{}", from + u64::from(frame.size.packed)), fault)
}

/// Finds a last frame that is not in its one form, stored.
pub(super) fn stored_finding(last: &Frame, packed: &[u8], plain: &[u8]) -> Option<Finding> {
    (frame::store(plain) != packed).then(|| frame_finding(last, "the last frame is not stored"))
}

/// Reads and decodes one frame into `plain`; `packed` is room to work in.
pub(super) fn read_frame<S: Source + ?Sized>(
    source: &S,
    frame: &Frame,
    decoder: &mut FrameDecoder,
    packed: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> Result<(), Error> {
    packed.resize(frame.size.packed as usize, 0);
    source.read_at(packed, frame.packed_at).map_err(Error::io("reading the bundle"))?;
    decoder.decode(packed, u64::from(frame.size.plain), plain).map_err(|fault| frame_finding(frame, fault).into())
}

impl<S: Source> Bundle<S> {
    /// Returns where its bytes come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Opens a bundle: reads its table and last frame, its manifest and index.
    ///
    /// # Errors
    /// The first thing that is not as the format has it; [`super::diagnose`] finds all of them.
    pub fn open(source: S) -> Result<Self, Error> {
        let (frames, file_bytes, end) = read_frames(&source)?;
        let last = *frames.last().ok_or_else(|| Finding::new(Code::Table, "seek table", "has no frames"))?;
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        let mut decoder = FrameDecoder::default();
        match end.len().checked_sub((file_bytes - last.packed_at) as usize) {
            Some(at) => {
                packed.extend_from_slice(&end[at..at + last.size.packed as usize]);
                let decoded = decoder.decode(&packed, u64::from(last.size.plain), &mut plain);
                decoded.map_err(|fault| frame_finding(&last, fault))?;
            }
            None => read_frame(&source, &last, &mut decoder, &mut packed, &mut plain)?,
        }
        let (tail, mut findings) = Tail::decode(&plain);
        findings.extend(stored_finding(&last, &packed, &plain));
        let (manifest, more) = tail.manifest();
        if let Some(finding) = findings.into_iter().chain(more).next() {
            return Err(finding.into());
        }
        let manifest = manifest.ok_or_else(|| Finding::new(Code::Manifest, "manifest.toml", "absent"))?;
        let index = Index::decode(&tail.index).map_err(|fault| Finding::new(Code::Index, "index", fault))?;
        if index.frames.len() + 1 != frames.len() {
            return Err(Finding::new(Code::Index, "index", "knows another number of frames").into());
        }
        Ok(Self { source, frames, file_bytes, tail, manifest, index })
    }

    /// Returns the bundle's id.
    pub fn id(&self) -> BundleId {
        BundleId(Digest::of(&self.tail.manifest))
    }

    /// Returns the bundle's manifest, which only its signatures vouch for.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the last frame's members as they stand there.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Returns the file's size, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Reads the checksum list, checks it against the manifest, and reckons where its files lie.
    ///
    /// # Errors
    /// Where the list is not the one that the manifest vouches for, or the index does not fit it.
    pub fn contents(&self) -> Result<Contents, Error> {
        let wrong_index = |detail: &str| Finding::new(Code::Index, "index", detail);
        let (offset, size) = (self.index.list_offset, self.index.list_size);
        if size > MAX_LIST_BYTES {
            return Err(Finding::new(Code::OverLimit, checksums::NAME, format!("{size} bytes")).into());
        }
        let header = tar::header_len(&format!("{}/{}", self.tail.top, checksums::NAME), size);
        let place = Place { offset, header, size };
        let mut bytes = Vec::with_capacity(size as usize);
        let digest = self.read_member(&format!("{}/{}", self.tail.top, checksums::NAME), place, &mut bytes)?;
        if digest != self.manifest.checksums {
            return Err(Finding::new(Code::Checksums, checksums::NAME, "not the one that the manifest names").into());
        }
        let list =
            ChecksumList::decode(bytes).map_err(|fault| Finding::new(Code::Checksums, checksums::NAME, fault))?;
        if list.len() as u64 != self.manifest.files {
            let detail = format!("expected {} files, found {}", self.manifest.files, list.len());
            return Err(Finding::new(Code::Checksums, checksums::NAME, detail).into());
        }
        let layout = self.index.layout(&self.tail.top, &list).map_err(|_| wrong_index("does not fit the list"))?;
        let last = self.frames.last().map_or(0, |frame| frame.plain_at);
        if layout.end() != offset || place.end() != last {
            return Err(wrong_index("its sizes do not add up to the tar").into());
        }
        let lines: Vec<u32> = list.tar_order().map(|line| line as u32).collect();
        let mut order = vec![0; list.len()];
        for (member, &line) in (0..).zip(&lines) {
            order[line as usize] = member;
        }
        Ok(Contents { list, layout, order, lines })
    }

    /// Writes the content of line `n` of the list to `out`, which must hold it back until this returns.
    ///
    /// # Errors
    /// Where the content is not what the list says; `out` may have got some of it.
    pub fn read_file(&self, contents: &Contents, n: usize, out: &mut dyn Write) -> Result<(), Error> {
        let path = contents.list.path(n);
        let digest = self.read_member(&format!("{}/{path}", self.tail.top), contents.place(n), out)?;
        if digest == contents.list.digest(n) {
            Ok(())
        } else {
            Err(Finding::new(Code::Content, path, "not the bytes that the checksum list names").into())
        }
    }

    /// Copies one member's content and returns its digest, after comparing its header.
    fn read_member(&self, path: &str, place: Place, out: &mut dyn Write) -> Result<Digest, Error> {
        let mut header = Vec::with_capacity(place.header as usize);
        tar::encode_header(path, place.size, &mut header);
        let content_end = place.content().saturating_add(place.size);
        let end = content_end.saturating_add(tar::padding(place.size));
        let first = self.frames.partition_point(|f| f.plain_at + u64::from(f.size.plain) <= place.offset);
        let count = self.frames[first..].iter().take_while(|frame| frame.plain_at < end).count();
        let mut hasher = Hasher::new();
        let mut at = place.offset;
        let take = |read: Result<(Frame, Vec<u8>), Error>| -> Result<(), Error> {
            let (frame, plain) = read?;
            let frame_end = frame.plain_at + u64::from(frame.size.plain);
            let mut bytes = &plain[(at - frame.plain_at) as usize..(end.min(frame_end) - frame.plain_at) as usize];
            if at < place.content() {
                let (head, rest) = bytes.split_at(bytes.len().min((place.content() - at) as usize));
                let from = (at - place.offset) as usize;
                if header.get(from..from + head.len()) != Some(head) {
                    return Err(Finding::new(Code::Index, "index", format!("does not lead to {path:?}")).into());
                }
                bytes = rest;
            }
            if end.min(frame_end) > content_end {
                let padding = bytes.len().min((end.min(frame_end) - content_end) as usize);
                let (content, zeros) = bytes.split_at(bytes.len() - padding);
                if zeros.iter().any(|&b| b != 0) {
                    return Err(Finding::new(Code::Tar, path, "is not padded with zeros").into());
                }
                bytes = content;
            }
            hasher.update(bytes);
            out.write_all(bytes).map_err(Error::io("writing what was read"))?;
            at = end.min(frame_end);
            Ok(())
        };
        let frames = self.frames[first..first + count].iter();
        let threads = if count > 1 { processors() } else { NonZeroUsize::MIN };
        ordered(
            threads,
            frames,
            || {
                let (mut decoder, mut packed) = (FrameDecoder::default(), Vec::new());
                move |frame| {
                    let mut plain = Vec::new();
                    read_frame(&self.source, frame, &mut decoder, &mut packed, &mut plain).map(|()| (*frame, plain))
                }
            },
            take,
        )?;
        if at < end {
            return Err(Finding::new(Code::Index, "index", format!("leads beyond the tar for {path:?}")).into());
        }
        Ok(hasher.finish())
    }
}
