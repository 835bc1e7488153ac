//! Finding the frames of a bundle that may be damaged: by their own headers, and by the table where those are lost.

use crate::finding::{Code, Finding};
use crate::format::bundle::open::{Frame, Table, read_frames};
use crate::format::bundle::{Error, Source};
use crate::format::frame::{self, FrameDecoder, MAX_FRAME_BYTES, max_packed};
use crate::format::seekable::{self, FrameSize};
use crate::run::Run;

use super::faults::Faults;

/// What the seek table begins with.
const TABLE_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
/// More than the longest packed frame, in bytes.
const WINDOW_BYTES: usize = max_packed(MAX_FRAME_BYTES) as usize;
/// Headers of blocks that may be read in vain, for each byte of the file and in any case: against files full of false beginnings.
const FALSE_BLOCKS_A_BYTE: u64 = 1;
const FALSE_BLOCKS: u64 = 1 << 20;
/// Bytes of content that cost as much to decode in vain as the header of a block to read.
const BYTES_A_BLOCK: u64 = 64;

/// Returns the frames to examine, in order; notes what is wrong with the table, and the bytes that belong to no frame.
pub(super) fn find<S: Source>(source: &S, findings: &mut Vec<Finding>, run: Run<'_>) -> Result<Vec<Frame>, Error> {
    let size = source.size().map_err(Error::io("reading the bundle's size"))?;
    let (table, end) = match read_frames(source) {
        Ok((frames, _, _)) => {
            let end = frames.last().map_or(0, |last| last.packed_at + u64::from(last.size.packed));
            (Some(frames), end)
        }
        Err(Error::Damaged(finding)) => {
            findings.push(*finding);
            (None, size)
        }
        Err(error) => return Err(error),
    };
    let mut walk = Walk {
        window: Window { source, size, bytes: Vec::new(), at: 0 },
        table: table.as_deref(),
        end,
        decoder: FrameDecoder::default(),
        plain: Vec::new(),
        budget: FALSE_BLOCKS + size.saturating_mul(FALSE_BLOCKS_A_BYTE),
        frames: Vec::new(),
        gaps: Vec::new(),
        plain_at: 0,
    };
    walk.run(run)?;
    let Walk { mut frames, gaps, .. } = walk;
    if table.is_none() {
        make_room(source, &mut frames)?;
    }
    match &table {
        Some(table) if *table != frames => {
            findings.push(Finding::new(Code::Table, "seek table", "does not say where the frames are"));
        }
        Some(_) => {}
        None if gaps.last().is_none_or(|&(from, to)| to < size || !is_table(source, from)) => {
            findings.push(Finding::new(Code::Truncated, "end of file", "the file ends before its seek table"));
        }
        None => {}
    }
    let unread = frames.last().map_or(0, |last| last.packed_at + u64::from(last.size.packed));
    if frames.len() == seekable::MAX_FRAMES && unread < end {
        let detail = format!("stand behind {} frames, the most of a bundle, and were not read", seekable::MAX_FRAMES);
        findings.push(Finding::new(Code::OverLimit, format!("bytes {unread}..{end}"), detail));
    }
    let mut faults = Faults::default();
    for (from, to) in gaps.into_iter().filter(|&(from, to)| to < size || !is_table(source, from)) {
        faults.push(Finding::new(Code::Frame, format!("bytes {from}..{to}"), "belong to no whole frame"));
    }
    findings.append(&mut faults.into_findings(Code::Frame, "file"));
    Ok(frames)
}

/// Leaves room in the tar for frames that are lost: where a table that does not fit the file has just these frames and others in one place
/// between them.
fn make_room<S: Source>(source: &S, frames: &mut [Frame]) -> Result<(), Error> {
    let stated = match Table::read(source) {
        Ok(table) => table.sizes,
        Err(Error::Damaged(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(lost) = stated.len().checked_sub(frames.len()) else { return Ok(()) };
    let before = frames.iter().zip(&stated).take_while(|(frame, size)| frame.size == **size).count();
    if frames[before..].iter().zip(&stated[before + lost..]).all(|(frame, size)| frame.size == *size) {
        let room: u64 = stated[before..before + lost].iter().map(|size| u64::from(size.plain)).sum();
        frames[before..].iter_mut().for_each(|frame| frame.plain_at += room);
    }
    Ok(())
}

/// Says whether what begins at `from` looks like a damaged table.
fn is_table<S: Source>(source: &S, from: u64) -> bool {
    let mut magic = [0; 4];
    source.read_at(&mut magic, from).is_ok() && magic == TABLE_MAGIC
}

/// The bytes of a source from one place on, read in large steps.
struct Window<'a, S> {
    source: &'a S,
    size: u64,
    bytes: Vec<u8>,
    at: u64,
}

impl<S: Source> Window<'_, S> {
    /// Returns the bytes from `at` on: as many as the longest frame has, or all that are left.
    fn from(&mut self, at: u64) -> Result<&[u8], Error> {
        let needed = (WINDOW_BYTES as u64).min(self.size - at);
        if at < self.at || at + needed > self.at + self.bytes.len() as u64 {
            self.bytes.resize((2 * WINDOW_BYTES as u64).min(self.size - at) as usize, 0);
            self.at = at;
            self.source.read_at(&mut self.bytes, at).map_err(Error::io("reading the bundle"))?;
        }
        let from = (at - self.at) as usize;
        Ok(&self.bytes[from..from + needed as usize])
    }
}

struct Walk<'a, S> {
    window: Window<'a, S>,
    table: Option<&'a [Frame]>,
    /// Where the frames end, by the table.
    end: u64,
    decoder: FrameDecoder,
    plain: Vec<u8>,
    budget: u64,
    frames: Vec<Frame>,
    /// Bytes that belong to no frame.
    gaps: Vec<(u64, u64)>,
    plain_at: u64,
}

impl<S: Source> Walk<'_, S> {
    /// Goes from frame to frame; after bytes that are none, to the next that are one.
    fn run(&mut self, run: Run<'_>) -> Result<(), Error> {
        let mut at = 0;
        let mut gap: Option<u64> = None;
        while at < self.end && self.frames.len() < seekable::MAX_FRAMES {
            if run.watch.cancelled() {
                return Err(Error::Cancelled);
            }
            match self.frame_at(at)? {
                Some(size) => {
                    self.gaps.extend(gap.take().map(|from| (from, at)));
                    self.frames.push(Frame { packed_at: at, plain_at: self.plain_at, size });
                    self.plain_at += u64::from(size.plain);
                    at += u64::from(size.packed);
                }
                None if self.budget == 0 => {
                    gap.get_or_insert(at);
                    break;
                }
                None => {
                    gap.get_or_insert(at);
                    at = self.next_magic(at)?;
                }
            }
        }
        self.gaps.extend(gap.map(|from| (from, self.end)));
        Ok(())
    }

    /// Returns the sizes of the frame at `at`: by its own header, by the table where that is damaged; `None` where there is none.
    fn frame_at(&mut self, at: u64) -> Result<Option<FrameSize>, Error> {
        let stated = self.stated(at);
        let end = self.end;
        let bytes = self.window.from(at)?;
        let mut blocks = 0;
        let sizes = frame::measure(bytes, &mut blocks).and_then(|len| Ok((len, frame::declared_size(bytes)?)));
        let is_whole = |(len, plain): &(usize, u64)| at + *len as u64 <= end && *len as u64 <= max_packed(*plain);
        let found = sizes.ok().filter(is_whole);
        if found.is_none() {
            self.budget = self.budget.saturating_sub(blocks as u64 + 1);
        }
        let found = found.map(|(len, plain)| FrameSize { packed: len as u32, plain: plain as u32 });
        let Some(own) = found else { return Ok(stated) };
        if stated == Some(own) || self.leads(at + u64::from(own.packed)) {
            return Ok(Some(own));
        }
        // A changed header of a block leads astray, and so do bytes that are lost: into the frame behind, which must not be lost with them.
        match stated.filter(|size| self.leads(at + u64::from(size.packed))) {
            Some(stated) => Ok(Some(stated)),
            None => Ok(self.is_whole(at, own)?.then_some(own).or(stated)),
        }
    }

    /// Says whether the frame at `at` decodes.
    fn is_whole(&mut self, at: u64, size: FrameSize) -> Result<bool, Error> {
        let cost = u64::from(size.plain) / BYTES_A_BLOCK;
        if cost > self.budget {
            self.budget = 0;
            return Ok(false);
        }
        self.budget -= cost;
        let packed = &self.window.from(at)?[..size.packed as usize];
        Ok(self.decoder.decode(packed, u64::from(size.plain), &mut self.plain).is_ok())
    }

    /// Returns what the table says of the frame at `at`.
    fn stated(&self, at: u64) -> Option<FrameSize> {
        let table = self.table?;
        let n = table.binary_search_by_key(&at, |frame| frame.packed_at).ok()?;
        Some(table[n].size)
    }

    /// Says whether a frame begins at `at`, or the frames end there.
    fn leads(&self, at: u64) -> bool {
        let mut magic = [0; 4];
        at == self.end
            || (self.window.source.read_at(&mut magic, at).is_ok() && [frame::MAGIC, TABLE_MAGIC].contains(&magic))
    }

    /// Returns the next place after `at` where a frame may begin: by the bytes, or by the table.
    fn next_magic(&mut self, at: u64) -> Result<u64, Error> {
        let end = self.end;
        let by_table = self.table.map_or(end, |table| {
            let n = table.partition_point(|frame| frame.packed_at <= at);
            table.get(n).map_or(end, |frame| frame.packed_at)
        });
        let bytes = self.window.from(at)?;
        let found = memchr::memmem::find(&bytes[1..], &frame::MAGIC).map(|n| at + 1 + n as u64);
        // The last bytes may be the beginning of a magic number.
        let found = found.unwrap_or_else(|| at + (bytes.len() as u64).saturating_sub(3).max(1));
        Ok(found.min(by_table).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::FrameEncoder;

    #[test]
    fn more_frames_than_a_bundle_has_are_named_as_unread() {
        let mut frame = Vec::new();
        FrameEncoder::new(1).encode(b"a", &mut frame).unwrap();
        let file = frame.repeat(seekable::MAX_FRAMES + 1);
        let mut findings = Vec::new();
        let frames = find(&file, &mut findings, Run::alone()).unwrap();
        assert_eq!(frames.len(), seekable::MAX_FRAMES);
        let unread = format!("bytes {}..{}", file.len() - frame.len(), file.len());
        assert!(
            findings.iter().any(|finding| finding.code == Code::OverLimit && finding.place == unread),
            "{findings:?}"
        );
    }
}
