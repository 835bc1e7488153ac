//! Finding the frames of a bundle that may be damaged: by walking from frame to frame, and by the seek table.

use crate::finding::{Code, Finding};
use crate::format::bundle::open::{Frame, read_frames};
use crate::format::bundle::{Error, Source};
use crate::format::frame::{self, MAX_FRAME_BYTES};
use crate::format::seekable::FrameSize;
use crate::format::tar::{self, Entry};
use crate::format::{bagit, seekable};
use crate::watch::Watch;

/// What every frame begins with.
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What the seek table begins with.
const TABLE_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
/// More than the longest packed frame, in bytes.
const WINDOW_BYTES: usize = (MAX_FRAME_BYTES + (MAX_FRAME_BYTES >> 7) + 1024) as usize;

/// Returns the frames to examine; notes what is wrong with the table, and the bytes that belong to no frame.
pub(super) fn find<S: Source>(source: &S, findings: &mut Vec<Finding>, watch: &dyn Watch) -> Result<Vec<Frame>, Error> {
    let walked = walk(source, watch)?;
    let table = match read_frames(source) {
        Ok((frames, _, _)) => Some(frames),
        Err(Error::Damaged(finding)) => {
            findings.push(*finding);
            None
        }
        Err(error) => return Err(error),
    };
    match table {
        Some(frames) if !walked.gaps.is_empty() || frames == walked.frames => Ok(frames),
        Some(_) => {
            findings.push(Finding::new(Code::Table, "seek table", "does not say where the frames are"));
            Ok(walked.frames)
        }
        None => {
            for (from, to) in walked.gaps {
                let place = format!("bytes {from}..{to}");
                findings.push(Finding::new(Code::Frame, place, "belong to no whole frame"));
            }
            if walked.truncated {
                findings.push(Finding::new(Code::Truncated, "end of file", "the file ends before its seek table"));
            }
            Ok(walked.frames)
        }
    }
}

/// Says whether a plain frame begins like a tail: with the header of `bagit.txt`.
pub(super) fn begins_tail(plain: &[u8]) -> bool {
    match tar::decode_header(plain) {
        Ok(Entry::File { path, .. }) => path.split(|&b| b == b'/').nth(1) == Some(bagit::BAGIT.as_bytes()),
        _ => false,
    }
}

#[derive(Default)]
struct Walked {
    frames: Vec<Frame>,
    /// Bytes that belong to no frame and no table.
    gaps: Vec<(u64, u64)>,
    truncated: bool,
}

/// Goes from frame to frame by their own headers; after bytes that are none, to the next that are one.
fn walk<S: Source>(source: &S, watch: &dyn Watch) -> Result<Walked, Error> {
    let size = source.size().map_err(Error::io("reading the bundle's size"))?;
    let mut walked = Walked::default();
    let mut window: Vec<u8> = Vec::new();
    let mut window_at = 0;
    let (mut at, mut plain_at) = (0_u64, 0_u64);
    let mut gap: Option<u64> = None;
    while at < size && walked.frames.len() < seekable::MAX_FRAMES {
        if watch.cancelled() {
            return Err(Error::Cancelled);
        }
        let needed = WINDOW_BYTES.min((size - at) as usize);
        if at < window_at || at + needed as u64 > window_at + window.len() as u64 {
            window.resize((2 * WINDOW_BYTES).min((size - at) as usize), 0);
            window_at = at;
            source.read_at(&mut window, at).map_err(Error::io("reading the bundle"))?;
        }
        let here = &window[(at - window_at) as usize..];
        let here = &here[..needed.min(here.len())];
        let found = frame::frame_len(here).and_then(|len| frame::declared_size(here).map(|plain| (len, plain)));
        if let Ok((len, plain)) = found.as_ref().copied()
            && plain > 0
        {
            walked.gaps.extend(gap.take().map(|from| (from, at)));
            let size = FrameSize { packed: len as u32, plain: plain as u32 };
            walked.frames.push(Frame { packed_at: at, plain_at, size });
            at += len as u64;
            plain_at += plain;
        } else if here.starts_with(&TABLE_MAGIC) {
            walked.gaps.extend(gap.take().map(|from| (from, at)));
            return Ok(walked);
        } else {
            gap.get_or_insert(at);
            let next = |magic: &[u8; 4]| memchr::memmem::find(&here[1..], magic);
            let skip = [next(&FRAME_MAGIC), next(&TABLE_MAGIC)].into_iter().flatten().min();
            at += skip.map_or_else(|| here.len().saturating_sub(3).max(1), |n| n + 1) as u64;
        }
    }
    walked.truncated = true;
    walked.gaps.extend(gap.map(|from| (from, size)));
    Ok(walked)
}
