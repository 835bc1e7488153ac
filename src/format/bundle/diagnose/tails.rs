//! Finding the tails in a file, and which of them to go by.
//!
//! A bundle ends with its tail, and a file should hold one bundle. A damaged one may hold several, or one and part of another: joined by a
//! download that began anew, or by somebody who wants to hide what is signed. So every frame that begins like a tail is one, each is judged by
//! its own signatures, and where some count no other is believed unless that is asked for. Anyone who has
//! another bundle of the same key can copy its signed tail, so a tail never displaces one that more of the file stands before.

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

/// The most bundles that are salvaged from one file, of those that count, and as many of others.
pub const MAX_BUNDLES: usize = 64;
/// The most bytes of tails that are held, of those that count and of others, by their frames' content.
const MAX_TAIL_BYTES: u64 = 16 << 20;
/// The most tails that are named where a file has several; more are counted.
const MAX_NAMED_TAILS: usize = 16;

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
    /// Bytes of the file between the tail before, or the file's beginning, and this one.
    before_bytes: u64,
}

impl Found {
    fn read(frame: usize, plain: &[u8], before_bytes: u64) -> Self {
        let (tail, mut findings) = Tail::decode(plain);
        let (manifest, more) = tail.manifest();
        findings.extend(more);
        let plain_bytes = plain.len() as u64;
        Self { frame, tail, manifest, judged: Judged::default(), findings, plain_bytes, before_bytes }
    }

    /// Says whether both name one checksum list, so that the one vouches for the files that the other does.
    fn is_of(&self, other: &Self) -> bool {
        match (&self.manifest, &other.manifest) {
            (Some(one), Some(other)) => one.checksums == other.checksums,
            _ => self.tail.manifest == other.tail.manifest,
        }
    }
}

/// The tails of a file.
#[derive(Default)]
pub(super) struct Tails {
    /// Those to go by, in order of the file, one a checksum list.
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
            Ok(Tails { found: vec![Found::read(number, &plain, last.packed_at)], ends: vec![number] })
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
    let (mut left_out, mut behind) = (0, 0);
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
        let mut found = Found::read(number, &plain, frame.packed_at - behind);
        behind = frame.packed_at + u64::from(frame.size.packed);
        found.judged = found.manifest.as_ref().map_or_else(Judged::default, |manifest| judge(&found.tail, manifest));
        if notes.len() < MAX_NAMED_TAILS {
            notes.push(note(frame, &found));
        }
        match (found.judged.counts, unsigned) {
            (true, _) => left_out += keep(found, &mut counting),
            (false, true) => _ = keep(found, &mut strange),
            (false, false) => strange = vec![found],
        }
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
    if left_out > 0 {
        let detail = format!("{left_out} signed tails are left out: {MAX_BUNDLES} bundles are salvaged from one file");
        findings.push(Finding::new(Code::OverLimit, "tails", detail));
    }
    if counting.is_empty() || unsigned {
        strange.retain(|one: &Found| !counting.iter().any(|other: &Found| other.is_of(one)));
        counting.append(&mut strange);
        counting.sort_by_key(|found| found.frame);
    }
    Ok(Tails { found: counting, ends })
}

/// Keeps a tail, within what is held, and returns how many are left out then, itself perhaps among them.
///
/// Of two that name one list, and of too many, the one with the least of the file before it goes: a tail that somebody added without its
/// bundle displaces none that has its files. Of equals the later one stays.
fn keep(found: Found, held: &mut Vec<Found>) -> usize {
    if let Some(n) = held.iter().position(|other| other.is_of(&found)) {
        if held[n].before_bytes > found.before_bytes {
            return 0;
        }
        held.remove(n);
    }
    held.push(found);
    let mut left_out = 0;
    while held.len() > MAX_BUNDLES || held.iter().map(|found| found.plain_bytes).sum::<u64>() > MAX_TAIL_BYTES {
        let Some(least) = (0..held.len()).min_by_key(|&n| held[n].before_bytes) else { break };
        held.remove(least);
        left_out += 1;
    }
    left_out
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
