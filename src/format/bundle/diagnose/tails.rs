//! Finding the tails in a file, and which of them to go by.
//!
//! A bundle ends with its tail, and a file should hold one bundle. A damaged one may hold several, or one and part of another: joined by a
//! download that began anew, or by somebody who wants to hide what is signed. So every frame that begins like a tail is one, each is judged by
//! its own signatures, and where some count no other is believed unless that is asked for.

use crate::finding::{Code, Finding};
use crate::format::bundle::open::{Frame, frame_place, read_frame};
use crate::format::bundle::{Error, Source, Tail};
use crate::format::frame::FrameDecoder;
use crate::format::manifest::Manifest;
use crate::format::tar::{self, BLOCK_BYTES, Entry};
use crate::format::{bagit, manifest};
use crate::ids::BundleId;
use crate::run::Run;

use super::damaged;

/// The most bundles that are salvaged from one file, of those that count, and as many of others; more tails are named in one line.
pub const MAX_BUNDLES: usize = 16;
/// The most bytes of tails that do not count which are held, by their frames' content.
const MAX_STRANGE_TAIL_BYTES: u64 = 16 << 20;

/// What a judge says of a tail's signatures.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// Whether one of them counts, so that what the manifest names is believed.
    pub counts: bool,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
}

/// Asks whether a tail's signatures count.
pub type Judge<'a> = dyn Fn(&Tail, &Manifest) -> Judged + 'a;

/// A tail that was found.
pub(super) struct Found {
    /// The number of its frame.
    pub(super) frame: usize,
    pub(super) tail: Tail,
    pub(super) manifest: Option<Manifest>,
    pub(super) judged: Judged,
    /// What is wrong with the tail itself.
    pub(super) findings: Vec<Finding>,
    plain_bytes: u64,
}

impl Found {
    fn read(frame: usize, plain: &[u8]) -> Self {
        let (tail, mut findings) = Tail::decode(plain);
        let (manifest, more) = tail.manifest();
        findings.extend(more);
        Self { frame, tail, manifest, judged: Judged::default(), findings, plain_bytes: plain.len() as u64 }
    }

    fn is_of(&self, other: &Self) -> bool {
        self.tail.manifest == other.tail.manifest
    }
}

/// The tails of a file.
#[derive(Default)]
pub(super) struct Tails {
    /// Those to go by, in order of the file, one a bundle.
    pub(super) found: Vec<Found>,
    /// The number of each frame that is a tail.
    pub(super) ends: Vec<usize>,
}

/// Reads the tail that a reader opens: the last of the frames.
pub(super) fn last<S: Source>(source: &S, frames: &[Frame], findings: &mut Vec<Finding>) -> Result<Tails, Error> {
    let mut plain = Vec::new();
    let Some(last) = frames.last() else {
        findings.push(absent("there is no frame to hold it"));
        return Ok(Tails::default());
    };
    match read_frame(source, last, &mut FrameDecoder::default(), &mut Vec::new(), &mut plain) {
        Ok(()) if begins(&plain) => {
            let number = frames.len() - 1;
            Ok(Tails { found: vec![Found::read(number, &plain)], ends: vec![number] })
        }
        Ok(()) => {
            findings.push(absent("the tail is absent"));
            Ok(Tails::default())
        }
        Err(error) => {
            findings.push(damaged(last, error)?);
            findings.push(absent("the tail cannot be read"));
            Ok(Tails::default())
        }
    }
}

/// Reads all tails, and takes those whose signatures count. Where none does, it takes the last; with `unsigned`, others beside them.
pub(super) fn all<S: Source>(
    source: &S,
    frames: &[Frame],
    judge: &Judge<'_>,
    unsigned: bool,
    findings: &mut Vec<Finding>,
    run: Run<'_>,
) -> Result<Tails, Error> {
    let mut ends = Vec::new();
    let (mut counting, mut strange) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
    let mut beginning = [0; BLOCK_BYTES as usize];
    for (number, frame) in frames.iter().enumerate() {
        if run.watch.cancelled() {
            return Err(Error::Cancelled);
        }
        packed.resize(frame.size.packed as usize, 0);
        source.read_at(&mut packed, frame.packed_at).map_err(Error::io("reading the bundle"))?;
        if !decoder.begin(&packed, &mut beginning).is_ok_and(begins)
            || decoder.decode(&packed, u64::from(frame.size.plain), &mut plain).is_err()
        {
            continue;
        }
        ends.push(number);
        let mut found = Found::read(number, &plain);
        found.judged = found.manifest.as_ref().map_or_else(Judged::default, |manifest| judge(&found.tail, manifest));
        if notes.len() < MAX_BUNDLES {
            notes.push(note(frame, &found));
        }
        take(found, unsigned, &mut counting, &mut strange);
    }
    match ends.last() {
        None => findings.push(absent("the tail is absent")),
        Some(&end) if end + 1 < frames.len() => {
            let from = frames[end + 1].packed_at;
            findings.push(Finding::new(Code::Tar, format!("bytes {from}.."), "stand behind the last tail"));
        }
        Some(_) => {}
    }
    if ends.len() > 1 {
        let more = ends.len() - notes.len();
        findings.append(&mut notes);
        if more > 0 {
            findings.push(Finding::new(Code::OverLimit, "tails", format!("{more} more tails in the file")));
        }
    }
    if counting.is_empty() || unsigned {
        strange.retain(|one: &Found| !counting.iter().any(|other: &Found| other.is_of(one)));
        counting.append(&mut strange);
        counting.sort_by_key(|found| found.frame);
    }
    Ok(Tails { found: counting, ends })
}

/// Keeps a tail: of each bundle the last, and within what is held.
fn take(found: Found, unsigned: bool, counting: &mut Vec<Found>, strange: &mut Vec<Found>) {
    let held = if found.judged.counts { counting } else { &mut *strange };
    held.retain(|other| !other.is_of(&found));
    if held.len() == MAX_BUNDLES {
        held.remove(0);
    }
    held.push(found);
    if !unsigned && strange.len() > 1 {
        strange.remove(0);
    }
    while strange.len() > 1 && strange.iter().map(|other| other.plain_bytes).sum::<u64>() > MAX_STRANGE_TAIL_BYTES {
        strange.remove(0);
    }
}

/// Says which bundle ends here, where more than one does.
fn note(frame: &Frame, found: &Found) -> Finding {
    let signed = if found.judged.counts { "signed by a key that is trusted here" } else { "no signature of it counts" };
    let id = BundleId(crate::digest::Digest::of(&found.tail.manifest));
    Finding::new(Code::Tar, frame_place(frame), format!("one of several bundles in the file ends here, {id}: {signed}"))
}

fn absent(what: &str) -> Finding {
    Finding::new(Code::Manifest, manifest::NAME, what)
}

/// Says whether a frame's content begins like a tail: with the header of `bagit.txt`.
fn begins(plain: &[u8]) -> bool {
    match tar::decode_header(plain) {
        Ok(Entry::File { path, .. }) => path.split(|&b| b == b'/').nth(1) == Some(bagit::BAGIT.as_bytes()),
        _ => false,
    }
}
