//! Walking the tar of a damaged bundle: by the layout where it is known, else by the headers.

use crate::digest::Hasher;
use crate::finding::{Code, Finding};
use crate::format::bundle::open::{Frame, read_frame};
use crate::format::bundle::{Contents, Error, Source};
use crate::format::checksums;
use crate::format::frame::FrameDecoder;
use crate::format::layout::Part;
use crate::format::tar::{self, Entry, MAX_HEADER_BYTES};
use crate::watch::Watch;

use super::{MAX_KEPT_BYTES, Salvor, Seen, damaged};

/// The files seen, the checksum list's bytes, and what was wrong.
pub(super) type Walked = (Vec<Seen>, Option<Vec<u8>>, Vec<Finding>);

fn salvage(source: std::io::Error) -> Error {
    Error::Io { doing: "writing what was salvaged", source }
}

/// A file that is being walked through.
struct Open {
    path: String,
    size: u64,
    left: u64,
    /// `None` once a part was lost.
    hasher: Option<Hasher>,
    kept: Option<Vec<u8>>,
}

/// Follows files through the tar and tells the salvor of them.
struct Follower<'a> {
    salvor: &'a mut dyn Salvor,
    open: Option<Open>,
    seen: Vec<Seen>,
    list: Option<Vec<u8>>,
}

impl Follower<'_> {
    fn begin(&mut self, path: String, size: u64, whole: bool) -> Result<(), Error> {
        self.salvor.begin(&path).map_err(salvage)?;
        let kept = (path == checksums::NAME && size <= MAX_KEPT_BYTES).then(Vec::new);
        self.open = Some(Open { path, size, left: size, hasher: whole.then(Hasher::new), kept });
        self.bytes(&[])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.left -= bytes.len() as u64;
        if let Some(hasher) = &mut open.hasher {
            hasher.update(bytes);
            self.salvor.bytes(bytes).map_err(salvage)?;
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
        self.salvor.end(digest).map_err(salvage)?;
        if open.kept.is_some() && self.list.is_none() {
            self.list = open.kept;
        }
        self.seen.push(Seen { path: open.path, size: open.size, digest });
        Ok(())
    }
}

/// Walks by the layout; `None` where a header shows that the layout is not the tar's.
pub(super) fn by_layout<S: Source>(
    source: &S,
    frames: &[Frame],
    contents: &Contents,
    top: &str,
    salvor: &mut dyn Salvor,
    watch: &dyn Watch,
) -> Result<Option<Walked>, Error> {
    let mut follower = Follower { salvor, open: None, seen: Vec::new(), list: None };
    let mut findings = Vec::new();
    let mut decoder = FrameDecoder::default();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    let places = contents.layout.places();
    for frame in frames {
        if watch.cancelled() {
            return Err(Error::Cancelled);
        }
        let (from, to) = (frame.plain_at, frame.plain_at + u64::from(frame.size.plain));
        let good = match read_frame(source, frame, &mut decoder, &mut packed, &mut plain) {
            Ok(()) => true,
            Err(error) => {
                findings.push(damaged(frame, error)?);
                false
            }
        };
        let mut at = 0;
        for segment in contents.layout.segments(from, to) {
            let bytes = plain.get(at..at + segment.len as usize).unwrap_or_default();
            at += segment.len as usize;
            let place = places[segment.member];
            let path = contents.list.path(contents.line(segment.member));
            match segment.part {
                Part::Header if good => {
                    let mut header = Vec::new();
                    tar::encode_header(&format!("{top}/{path}"), place.size, &mut header);
                    let start = segment.from as usize;
                    if header.get(start..start + bytes.len()) != Some(bytes) {
                        if let Ok(Entry::File { .. }) = tar::decode_header(bytes) {
                            return Ok(None);
                        }
                        let detail = "has another header than expected";
                        findings.push(Finding::new(Code::Tar, path, detail));
                    }
                }
                Part::Header => {}
                Part::Content => {
                    if segment.from == 0 {
                        follower.end()?;
                        follower.begin(path.to_owned(), place.size, good)?;
                    }
                    if good { follower.bytes(bytes)? } else { follower.lose(segment.len)? }
                }
                Part::Padding => {
                    if good && bytes.iter().any(|&b| b != 0) {
                        findings.push(Finding::new(Code::Tar, path, "is not padded with zeros"));
                    }
                }
            }
        }
        watch.advance(to - from);
    }
    follower.end()?;
    Ok(Some((follower.seen, None, findings)))
}

/// Walks by the headers of the tar alone.
pub(super) fn by_headers<S: Source>(
    source: &S,
    frames: &[Frame],
    top: Option<&str>,
    salvor: &mut dyn Salvor,
    watch: &dyn Watch,
) -> Result<Walked, Error> {
    let mut walker = HeaderWalker {
        follower: Follower { salvor, open: None, seen: Vec::new(), list: None },
        findings: Vec::new(),
        top: top.map(str::to_owned),
        padding: 0,
        rest: Vec::new(),
        lost: false,
    };
    let mut decoder = FrameDecoder::default();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    for frame in frames {
        if watch.cancelled() {
            return Err(Error::Cancelled);
        }
        match read_frame(source, frame, &mut decoder, &mut packed, &mut plain) {
            Ok(()) => walker.take(&plain)?,
            Err(error) => {
                walker.findings.push(damaged(frame, error)?);
                walker.gap(u64::from(frame.size.plain))?;
            }
        }
        watch.advance(u64::from(frame.size.plain));
    }
    walker.follower.end()?;
    if !walker.rest.is_empty() && !walker.lost {
        walker.findings.push(Finding::new(Code::Tar, "tar", "ends inside a header"));
    }
    Ok((walker.follower.seen, walker.follower.list, walker.findings))
}

struct HeaderWalker<'a> {
    follower: Follower<'a>,
    findings: Vec<Finding>,
    top: Option<String>,
    /// Zeros still to come after the last content.
    padding: u64,
    /// The beginning of a header that the next frame goes on with.
    rest: Vec<u8>,
    /// Whether it is unknown what stands here.
    lost: bool,
}

impl HeaderWalker<'_> {
    /// Passes over `len` bytes that could not be read.
    fn gap(&mut self, len: u64) -> Result<(), Error> {
        let open = self.follower.open.as_ref().map_or(0, |open| open.left);
        self.follower.lose(len)?;
        let beyond = len.saturating_sub(open);
        self.lost = beyond > self.padding || !self.rest.is_empty() || (beyond > 0 && open == 0 && self.padding == 0);
        self.padding = self.padding.saturating_sub(beyond);
        if self.lost {
            self.rest.clear();
            self.follower.end()?;
            self.padding = 0;
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
        if self.lost {
            if !matches!(tar::decode_header(bytes), Ok(Entry::File { .. })) {
                return Ok(());
            }
            self.lost = false;
        }
        while !bytes.is_empty() {
            if let Some(open) = &self.follower.open {
                let (content, after) = bytes.split_at(bytes.len().min(open.left as usize));
                self.follower.bytes(content)?;
                bytes = after;
            } else if self.padding > 0 {
                let (zeros, after) = bytes.split_at(bytes.len().min(self.padding as usize));
                if zeros.iter().any(|&b| b != 0) {
                    let place = self.follower.seen.last().map_or("tar", |seen| &seen.path);
                    self.findings.push(Finding::new(Code::Tar, place, "is not padded with zeros"));
                }
                self.padding -= zeros.len() as u64;
                bytes = after;
            } else {
                match tar::decode_header(bytes) {
                    Ok(Entry::File { path, size, header }) => {
                        bytes = &bytes[header as usize..];
                        self.padding = tar::padding(size);
                        let path = self.below_top(&path);
                        self.follower.begin(path, size, true)?;
                    }
                    Ok(Entry::End) => {
                        self.findings.push(Finding::new(Code::Tar, "tar", "ends before its tail"));
                        self.lost = true;
                        return Ok(());
                    }
                    Err(tar::HeaderFault::Short) if (bytes.len() as u64) < MAX_HEADER_BYTES => {
                        self.rest = bytes.to_vec();
                        return Ok(());
                    }
                    Err(fault) => {
                        let after = self.follower.seen.last().map_or("tar", |seen| &seen.path);
                        self.findings.push(Finding::new(Code::Tar, format!("after {after}"), fault));
                        self.lost = true;
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn below_top(&mut self, path: &[u8]) -> String {
        let path = String::from_utf8_lossy(path).into_owned();
        let (top, below) = path.split_once('/').unwrap_or(("", &path));
        match &self.top {
            Some(expected) if expected != top => {
                let detail = format!("outside the top folder {expected:?}");
                self.findings.push(Finding::new(Code::TopFolder, &path, detail));
            }
            Some(_) => {}
            None => self.top = Some(top.to_owned()),
        }
        below.to_owned()
    }
}
