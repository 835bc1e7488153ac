//! The second half of packing a bundle: content read, hashed and compressed, frames in parallel.
//!
//! The frames are planned from the sizes that the walk saw. Where a file turns out to have changed, the plan is made anew, the output cut
//! back to the last frame that both plans share, and the rest read again: the bytes hashed are the bytes stored.

use crate::digest::{Digest, Hasher};
use crate::format::bundle::{BundleWriter, Mark, Output};
use crate::format::checksums::DATA;
use crate::format::frame::FrameEncoder;
use crate::format::framing::{self, Cut, Kind};
use crate::format::layout::{Layout, Part};
use crate::format::manifest::Name;
use crate::format::tar;
use crate::pipeline::{Relay, ordered};

use super::super::Error;
use super::super::read::{self, ReadError};
use super::super::stat::Stat;
use super::super::walk::{Note, SourceFile};
use super::{Draft, PackOptions, Packer};

/// The level of zstd for content that is compressed already.
const PACKED_LEVEL: i32 = 1;

/// One content file in its place.
pub(super) struct Member {
    /// `data/…`.
    pub(super) path: String,
    pub(super) file: SourceFile,
    /// Whether it changed after the walk had seen it.
    pub(super) reread: bool,
}

/// Returns the content files of a draft in the one order, in which its articles stand already.
pub(super) fn members(draft: &mut Draft) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for article in &mut draft.articles {
        article.found.files.sort_by(|a, b| a.name.cmp(&b.name));
        members.extend(article.found.files.iter().map(|file| Member {
            path: format!("{DATA}{}/{}", article.found.path, file.name),
            file: file.clone(),
            reread: false,
        }));
    }
    members
}

/// The content of a bundle as it was read.
pub(super) struct Content {
    /// The files as they were when they were read.
    pub(super) members: Vec<Member>,
    /// Their digests.
    pub(super) digests: Vec<Digest>,
    /// Their stretch of the tar, where it was held back.
    pub(super) held: Option<Vec<u8>>,
}

/// What a job makes of one frame.
struct Done {
    packed: Vec<u8>,
    plain: u64,
    digests: Vec<(usize, Digest)>,
}

/// Why a frame could not be made.
enum Stumble {
    /// This member is not what the plan has.
    Stale(usize),
    /// A piece of the same file failed before.
    Behind,
    Other(Error),
}

struct Plan<'a> {
    name: &'a Name,
    members: &'a [Member],
    layout: Layout,
    cuts: Vec<Cut>,
    relay: Relay<Hasher>,
}

impl Packer<'_> {
    /// Writes all members in frames, or holds their stretch of the tar back where it is at most `hold` bytes long.
    pub(super) fn content<W: Output>(
        &mut self,
        name: &Name,
        mut members: Vec<Member>,
        hold: u64,
        writer: &mut BundleWriter<W>,
    ) -> Result<Content, Error> {
        let mut digests = vec![Digest::from_bytes([0; 32]); members.len()];
        let start = writer.mark();
        let mut marks: Vec<Mark> = Vec::new();
        let mut before: Vec<Cut> = Vec::new();
        for attempt in 0..read::MAX_TRIES {
            let plan = Plan::new(name, &members, self.options.frame_bytes);
            if attempt == 0 {
                self.planned += plan.layout.end();
                self.run.watch.total(self.planned);
            }
            let mut held = None;
            let done = if plan.layout.end() <= hold {
                writer.cut_back(start)?;
                self.hold(&plan, &mut digests).map(|plain| held = Some(plain))
            } else {
                let shared = plan.shared_with(&before, marks.len());
                if let Some(mark) = marks.get(shared) {
                    writer.cut_back(*mark)?;
                }
                marks.truncate(shared);
                self.write_from(&plan, shared, writer, &mut marks, &mut digests)
            };
            let stale = match done {
                Ok(()) => return Ok(Content { members, digests, held }),
                Err(Stumble::Stale(member)) => member,
                Err(Stumble::Behind) => return Err(Error::Cancelled),
                Err(Stumble::Other(error)) => return Err(error),
            };
            before = plan.cuts;
            let from = before.iter().rposition(|cut| cut.from <= plan.layout.places()[stale].offset).unwrap_or(0);
            before.truncate(from);
            let member = &mut members[stale];
            let place = member.file.location();
            let metadata = std::fs::metadata(&place).map_err(|source| Error::Read { path: place.clone(), source })?;
            member.file.stat = Stat::from(&metadata);
            member.reread = true;
            self.found.notes.push((place.display().to_string(), Note::Changed));
        }
        let changing = members.iter().find(|member| member.reread).map(|member| member.file.location());
        Err(Error::KeepsChanging(changing.unwrap_or_default()))
    }

    /// Reads a small content, which is compressed with what comes after it.
    fn hold(&self, plan: &Plan<'_>, digests: &mut [Digest]) -> Result<Vec<u8>, Stumble> {
        let mut worker = Worker::new(plan, self.options);
        let mut plain = Vec::new();
        for n in 0..plan.cuts.len() {
            for (member, digest) in worker.read(n)? {
                digests[member] = digest;
            }
            plain.append(&mut worker.plain);
        }
        self.run.watch.advance(plain.len() as u64);
        Ok(plain)
    }

    fn write_from<W: Output>(
        &self,
        plan: &Plan<'_>,
        first: usize,
        writer: &mut BundleWriter<W>,
        marks: &mut Vec<Mark>,
        digests: &mut [Digest],
    ) -> Result<(), Stumble> {
        ordered(
            self.run.threads,
            first..plan.cuts.len(),
            || {
                let mut worker = Worker::new(plan, self.options);
                move |n| worker.frame(n)
            },
            |done: Result<Done, Stumble>| {
                let done = done?;
                if self.run.watch.cancelled() {
                    return Err(Stumble::Other(Error::Cancelled));
                }
                marks.push(writer.mark());
                writer.push(&done.packed, done.plain).map_err(|error| Stumble::Other(error.into()))?;
                for (member, digest) in done.digests {
                    digests[member] = digest;
                }
                self.run.watch.advance(done.plain);
                Ok(())
            },
        )
    }
}

impl<'a> Plan<'a> {
    fn new(name: &'a Name, members: &'a [Member], frame_bytes: u64) -> Self {
        let mut layout = Layout::at(0);
        for member in members {
            let size = member.file.stat.size;
            layout.push(tar::header_len(&format!("{name}/{}", member.path), size), size);
        }
        let kinds = members.iter().map(|member| Kind::of(&member.path));
        let cuts = framing::cut(layout.places().iter().copied().zip(kinds), frame_bytes);
        Self { name, members, layout, cuts, relay: Relay::default() }
    }

    /// Returns how many frames of an earlier plan, all written, this plan has as well, up to one that begins a member.
    fn shared_with(&self, before: &[Cut], written: usize) -> usize {
        let same = self.cuts.iter().zip(before).take(written).take_while(|(now, then)| now == then).count();
        (0..=same).rev().find(|&n| n == 0 || self.begins_member(n)).unwrap_or(0)
    }

    fn begins_member(&self, cut: usize) -> bool {
        let Some(from) = self.cuts.get(cut).map(|cut| cut.from) else { return true };
        self.layout.places().get(self.layout.member_at(from)).is_none_or(|place| place.offset == from)
    }

    /// Says whether the file that ends this frame goes on in the next.
    fn goes_on(&self, cut: usize) -> bool {
        let to = self.cuts[cut].to;
        let place = self.layout.places().get(self.layout.member_at(to.saturating_sub(1)));
        place.is_some_and(|place| place.content() < to && to < place.content() + place.size)
    }
}

struct Worker<'a> {
    plan: &'a Plan<'a>,
    level: i32,
    encoder: FrameEncoder,
    plain: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(plan: &'a Plan<'a>, options: &PackOptions) -> Self {
        Self { plan, level: options.level, encoder: FrameEncoder::new(options.level), plain: Vec::new() }
    }

    fn frame(&mut self, n: usize) -> Result<Done, Stumble> {
        let read = self.read(n);
        if read.is_err() && self.plan.goes_on(n) {
            self.plan.relay.pass(n as u64 + 1, None);
        }
        let digests = read?;
        let mut packed = Vec::new();
        let level = if self.plan.cuts[n].kind == Kind::Packed { PACKED_LEVEL } else { self.level };
        self.encoder.set_level(level.min(self.level));
        self.encoder.encode(&self.plain, &mut packed).map_err(|fault| Stumble::Other(Error::Frame(fault)))?;
        Ok(Done { packed, plain: self.plain.len() as u64, digests })
    }

    /// Fills the buffer with the frame's stretch of the tar; returns the digests of the files that end in it.
    fn read(&mut self, n: usize) -> Result<Vec<(usize, Digest)>, Stumble> {
        let plan = self.plan;
        let cut = plan.cuts[n];
        let mut digests = Vec::new();
        self.plain.clear();
        for segment in plan.layout.segments(cut.from, cut.to) {
            let member = &plan.members[segment.member];
            let size = member.file.stat.size;
            let start = self.plain.len();
            match segment.part {
                Part::Header => tar::encode_header(&format!("{}/{}", plan.name, member.path), size, &mut self.plain),
                Part::Padding => self.plain.resize(start + segment.len as usize, 0),
                Part::Content => {
                    self.plain.resize(start + segment.len as usize, 0);
                    let bytes = &mut self.plain[start..];
                    match read::read_as_listed(&member.file, segment.from, bytes) {
                        Ok(()) => {}
                        Err(ReadError::Changed) => return Err(Stumble::Stale(segment.member)),
                        Err(ReadError::Io(source)) => {
                            return Err(Stumble::Other(Error::Read { path: member.file.location(), source }));
                        }
                    }
                    if segment.len == size {
                        digests.push((segment.member, Digest::of(bytes)));
                        continue;
                    }
                    let mut hasher = match segment.from {
                        0 => Hasher::new(),
                        _ => plan.relay.take(n as u64).ok_or(Stumble::Behind)?,
                    };
                    hasher.update(bytes);
                    if segment.from + segment.len == size {
                        digests.push((segment.member, hasher.finish()));
                    } else {
                        plan.relay.pass(n as u64 + 1, Some(hasher));
                    }
                }
            }
        }
        Ok(digests)
    }
}
