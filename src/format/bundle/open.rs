//! Opening a bundle from its end, and reading single files of it.
//!
//! A few reads from the end give table, tail and checksum list; one file costs its own frames more. Nothing is handed out that was not
//! checked against the list, and the list against the manifest. Whether the manifest itself can be trusted is for the caller to
//! judge by its signatures.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::format::article::{ArticleError, MAX_ARTICLE_TOML_BYTES};
use crate::format::checksums::ChecksumList;
use crate::format::frame::{FrameDecoder, MAX_FRAME_BYTES, max_packed};
use crate::format::index::{self, Head};
use crate::format::layout::Place;
use crate::format::manifest::Manifest;
use crate::format::seekable::{self, ENTRY_BYTES, FIXED_BYTES, FOOTER_BYTES, FrameSize};
use crate::format::tar;
use crate::format::tree::BLOCK_ARTICLES;
use crate::ids::BundleId;

use super::prove::id_finding;
use super::{Contents, Error, Source, Tail, content_finding};

/// What the first read from the end takes, in bytes: table and last frame of most bundles.
const FIRST_READ_BYTES: u64 = 24 << 10;

/// One frame's place, packed and plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) packed_at: u64,
    pub(super) plain_at: u64,
    pub(super) size: FrameSize,
}

impl Frame {
    /// Returns the byte of the tar after the frame's last.
    pub(super) fn end(&self) -> u64 {
        self.plain_at + u64::from(self.size.plain)
    }
}

/// An opened bundle: its tail has been read and is well-formed.
pub struct Bundle<S> {
    pub(super) source: S,
    pub(super) frames: Vec<Frame>,
    file_bytes: u64,
    tail: Tail,
    manifest: Manifest,
    pub(super) head: Head,
    /// The frame that was read last, by its number: what is read one after the other often lies in one frame.
    last_read: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

/// What the seek table says, and what was read with it.
pub(super) struct Table {
    /// The sizes of the frames, as they are stated.
    pub(super) sizes: Vec<FrameSize>,
    /// The table's own length, in bytes.
    bytes: u64,
    file_bytes: u64,
    /// The file's last bytes.
    end: Vec<u8>,
}

impl Table {
    /// Reads the table at a source's end.
    pub(super) fn read<S: Source + ?Sized>(source: &S) -> Result<Self, Error> {
        let file_bytes = source.size().map_err(Error::io("reading the bundle's size"))?;
        let first = file_bytes.min(FIRST_READ_BYTES);
        let mut end = vec![0; first as usize];
        source.read_at(&mut end, file_bytes - first).map_err(Error::io("reading the bundle's end"))?;
        let table_fault = |fault: seekable::TableFault| Finding::new(Code::Table, "seek table", fault);
        let footer = end.last_chunk::<FOOTER_BYTES>().ok_or(table_fault(seekable::TableFault::Magic))?;
        let bytes = FIXED_BYTES + seekable::decode_footer(footer).map_err(table_fault)? * ENTRY_BYTES;
        if bytes as u64 > file_bytes {
            return Err(table_fault(seekable::TableFault::Malformed("longer than the file")).into());
        }
        if bytes > end.len() {
            end.resize(bytes, 0);
            source.read_at(&mut end, file_bytes - bytes as u64).map_err(Error::io("reading the bundle's table"))?;
        }
        let sizes = seekable::decode(&end[end.len() - bytes..]).map_err(table_fault)?;
        Ok(Self { sizes, bytes: bytes as u64, file_bytes, end })
    }
}

/// Reads the places of the frames from a source's end; returns them with the file's size and its last bytes.
pub(super) fn read_frames<S: Source + ?Sized>(source: &S) -> Result<(Vec<Frame>, u64, Vec<u8>), Error> {
    let Table { sizes, bytes, file_bytes, end } = Table::read(source)?;
    let mut frames = Vec::with_capacity(sizes.len());
    let (mut packed_at, mut plain_at) = (0, 0);
    for size in sizes {
        if size.plain == 0 || size.packed == 0 {
            return Err(Finding::new(Code::Table, "seek table", "an empty frame").into());
        }
        if u64::from(size.plain) > MAX_FRAME_BYTES || u64::from(size.packed) > max_packed(size.plain.into()) {
            let detail = format!("a frame of {} bytes, packed {}", size.plain, size.packed);
            return Err(Finding::new(Code::OverLimit, "seek table", detail).into());
        }
        frames.push(Frame { packed_at, plain_at, size });
        packed_at += u64::from(size.packed);
        plain_at += u64::from(size.plain);
    }
    if packed_at + bytes != file_bytes {
        let detail = format!("expected a file of {} bytes, found {file_bytes}", packed_at + bytes);
        return Err(Finding::new(Code::Table, "seek table", detail).into());
    }
    Ok((frames, file_bytes, end))
}

/// Says where in the file a frame lies.
pub(super) fn frame_place(frame: &Frame) -> String {
    format!("bytes {}..{}", frame.packed_at, frame.packed_at + u64::from(frame.size.packed))
}

/// Returns a frame's finding.
pub(super) fn frame_finding(frame: &Frame, fault: impl std::fmt::Display) -> Finding {
    Finding::new(Code::Frame, frame_place(frame), fault)
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

    /// Opens a bundle: reads its table and last frame, its manifest and the head of its index.
    ///
    /// # Errors
    /// The first thing that is not as the format has it; [`super::diagnose`] finds all of them.
    pub fn open(source: S) -> Result<Self, Error> {
        let (frames, file_bytes, end) = read_frames(&source)?;
        let last = *frames.last().ok_or_else(|| Finding::new(Code::Table, "seek table", "has no frames"))?;
        let end_at = file_bytes - end.len() as u64;
        // What was read with the table is not read again.
        let mut packed = vec![0; end_at.saturating_sub(last.packed_at).min(last.size.packed.into()) as usize];
        source.read_at(&mut packed, last.packed_at).map_err(Error::io("reading the bundle's end"))?;
        let from = last.packed_at.saturating_sub(end_at) as usize;
        packed.extend_from_slice(&end[from..from + last.size.packed as usize - packed.len()]);
        let mut plain = Vec::new();
        let decoded = FrameDecoder::default().decode(&packed, last.size.plain.into(), &mut plain);
        decoded.map_err(|fault| frame_finding(&last, fault))?;
        let (tail, findings) = Tail::decode(&plain);
        let (manifest, more) = tail.manifest();
        if let Some(finding) = findings.into_iter().chain(more).next() {
            return Err(finding.into());
        }
        let manifest = manifest.ok_or_else(|| Finding::new(Code::Manifest, "manifest.toml", "absent"))?;
        Self::with_tail(source, frames, file_bytes, tail, manifest)
    }

    /// Makes a bundle of its frames and of what its last one holds.
    ///
    /// # Errors
    /// Where the head of the index is malformed, or has another number of blocks than the manifest's articles make.
    pub(super) fn with_tail(
        source: S,
        frames: Vec<Frame>,
        file_bytes: u64,
        tail: Tail,
        manifest: Manifest,
    ) -> Result<Self, Error> {
        let head = Head::decode(&tail.head).map_err(|fault| Finding::new(Code::Index, index::HEAD, fault))?;
        let (articles, blocks) = (manifest.articles.div_ceil(BLOCK_ARTICLES as u64), head.blocks.len() as u64);
        if articles != blocks || blocks == 0 {
            return Err(
                Finding::new(Code::Index, index::HEAD, format!("expected {articles} blocks, found {blocks}")).into()
            );
        }
        Ok(Self { source, frames, file_bytes, tail, manifest, head, last_read: Mutex::default() })
    }

    /// Returns what all its frames come to, in bytes of tar: what a reader of everything has to decode.
    pub fn plain_bytes(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.size.plain)).sum()
    }

    /// Returns the bundle's id.
    pub fn id(&self) -> BundleId {
        BundleId(Digest::of(&self.tail.manifest))
    }

    /// Returns the bundle's manifest, to be trusted only for its signatures.
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

    /// Writes the content of line `n` of the list to `out`, which must hold it back until this returns.
    ///
    /// # Errors
    /// Where the content is not what the list says; `out` may have got some of it.
    pub fn read_file(&self, contents: &Contents, n: usize, out: &mut dyn Write) -> Result<(), Error> {
        let list = &contents.list;
        let names = list.owner(n).map(|article| (list.article(article), contents.id(article)));
        self.read_line(list, n, contents.place(n), names, out)
    }

    /// Writes the content of a line's file to `out`. Of metadata path and id of its article are checked too.
    pub(super) fn read_line(
        &self,
        list: &ChecksumList,
        n: usize,
        place: Place,
        names: Option<(&str, &str)>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let path = list.path(n);
        let member = format!("{}/{path}", self.tail.top);
        let is_metadata = list.is_metadata(n);
        if is_metadata && place.size > MAX_ARTICLE_TOML_BYTES {
            return Err(Finding::new(Code::Metadata, path, ArticleError::too_long(place.size)).into());
        }
        let mut held = Vec::new();
        let digest = self.read_member(&member, place, if is_metadata { &mut held } else { &mut *out })?;
        if digest != list.digest(n) {
            return Err(content_finding(path).into());
        }
        let wrong = names.filter(|_| is_metadata).and_then(|(article, id)| id_finding(path, article, id, &held));
        if let Some(finding) = wrong {
            return Err(finding.into());
        }
        out.write_all(&held).map_err(Error::io("writing what was read"))
    }

    /// Copies one member's content and returns its digest, after comparing its header.
    pub(super) fn read_member(&self, path: &str, place: Place, out: &mut dyn Write) -> Result<Digest, Error> {
        let mut header = Vec::with_capacity(place.header as usize);
        tar::encode_header(path, place.size, &mut header);
        let content_end = place.content().saturating_add(place.size);
        let end = content_end.saturating_add(tar::padding(place.size));
        let mut hasher = Hasher::new();
        let mut at = place.offset;
        self.read_plain(place.offset, end, &mut |mut bytes| {
            let from = at;
            at += bytes.len() as u64;
            if from < place.content() {
                let (head, rest) = bytes.split_at(bytes.len().min((place.content() - from) as usize));
                let start = (from - place.offset) as usize;
                if header.get(start..start + head.len()) != Some(head) {
                    return Err(Finding::new(Code::Index, "index", format!("does not lead to {path:?}")).into());
                }
                bytes = rest;
            }
            if at > content_end {
                let padding = bytes.len().min((at - content_end) as usize);
                let (content, zeros) = bytes.split_at(bytes.len() - padding);
                if !tar::is_zero(zeros) {
                    return Err(Finding::new(Code::Tar, path, "is not padded with zeros").into());
                }
                bytes = content;
            }
            hasher.update(bytes);
            out.write_all(bytes).map_err(Error::io("writing what was read"))
        })?;
        Ok(hasher.finish())
    }

    /// Hands on the bytes of the tar from one place to another, in order, decoding the frames that hold them.
    pub(super) fn read_plain(
        &self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = self.frames.partition_point(|frame| frame.end() <= from);
        let count = self.frames[first..].iter().take_while(|frame| frame.plain_at < to).count();
        let mut at = from;
        let mut hand_on = |frame: &Frame, plain: &[u8]| {
            let until = to.min(frame.end());
            take(&plain[(at - frame.plain_at) as usize..(until - frame.plain_at) as usize])?;
            at = until;
            Ok::<(), Error>(())
        };
        if count == 1 {
            hand_on(&self.frames[first], &self.frame(first)?)?;
        } else {
            let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
            for frame in &self.frames[first..first + count] {
                read_frame(&self.source, frame, &mut decoder, &mut packed, &mut plain)?;
                hand_on(frame, &plain)?;
            }
        }
        if at < to {
            return Err(Finding::new(Code::Index, "index", "leads beyond the tar").into());
        }
        Ok(())
    }

    /// Returns the content of a frame.
    fn frame(&self, n: usize) -> Result<Arc<Vec<u8>>, Error> {
        let mut last = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((same, plain)) if *same == n => Ok(plain.clone()),
            _ => {
                let mut plain = Vec::new();
                read_frame(&self.source, &self.frames[n], &mut FrameDecoder::default(), &mut Vec::new(), &mut plain)?;
                let plain = Arc::new(plain);
                *last = Some((n, plain.clone()));
                Ok(plain)
            }
        }
    }
}
