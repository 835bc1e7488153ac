//! Where each member lies in a tar, reckoned from paths and sizes alone.
//!
//! Since every header is a pure function of path and size, so is the place of every byte. A writer renders the tar from its layout,
//! a reader compares what it finds with it; both walk it in [`Segment`]s, from any byte to any other.

use super::tar;

/// One member's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where its header begins, in bytes of the tar.
    pub offset: u64,
    /// Length of its header, in bytes.
    pub header: u64,
    /// Size of its content, in bytes.
    pub size: u64,
}

impl Place {
    /// Returns where the content begins.
    pub const fn content(&self) -> u64 {
        self.offset.saturating_add(self.header)
    }

    /// Returns where the next member begins.
    pub const fn end(&self) -> u64 {
        self.content().saturating_add(self.size).saturating_add(tar::padding(self.size))
    }
}

/// The places of members that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    places: Vec<Place>,
    start: u64,
}

/// A stretch of a tar that is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which member, in order of the layout.
    pub member: usize,
    /// What of the member.
    pub part: Part,
    /// Where the stretch begins within that part, in bytes.
    pub from: u64,
    /// Length of the stretch, in bytes.
    pub len: u64,
}

/// A part of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header, pax records included.
    Header,
    /// The content.
    Content,
    /// The zeros after the content.
    Padding,
}

impl Layout {
    /// Starts an empty layout whose first member will lie at `start`.
    pub fn at(start: u64) -> Self {
        Self { places: Vec::new(), start }
    }

    /// Adds a member after the last; the sum saturates, and a reader compares it with what is there.
    pub fn push(&mut self, header: u64, size: u64) {
        let offset = self.end();
        self.places.push(Place { offset, header, size });
    }

    /// Returns where the last member ends.
    pub fn end(&self) -> u64 {
        self.places.last().map_or(self.start, Place::end)
    }

    /// Returns all places in order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the member that covers the byte at `offset`, or the first after it.
    pub fn member_at(&self, offset: u64) -> usize {
        self.places.partition_point(|place| place.end() <= offset)
    }

    /// Walks the stretches between two bytes of the tar.
    pub fn segments(&self, from: u64, to: u64) -> impl Iterator<Item = Segment> + '_ {
        let first = self.member_at(from);
        self.places[first..].iter().enumerate().take_while(move |(_, place)| place.offset < to).flat_map(
            move |(n, place)| {
                let bounds = [place.offset, place.content(), place.content() + place.size, place.end()];
                [Part::Header, Part::Content, Part::Padding].into_iter().enumerate().filter_map(move |(k, part)| {
                    let (begin, end) = (bounds[k], bounds[k + 1]);
                    let (low, high) = (begin.max(from), end.min(to));
                    let empty_content = part == Part::Content && begin == end && from < begin && begin <= to;
                    (low < high || empty_content).then(|| Segment {
                        member: first + n,
                        part,
                        from: low.max(begin) - begin,
                        len: high.saturating_sub(low),
                    })
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_every_byte_once_from_anywhere_to_anywhere() {
        let mut layout = Layout::at(0);
        for size in [0, 1, 512, 700, 0] {
            layout.push(512, size);
        }
        let end = layout.end();
        for from in (0..=end).step_by(37) {
            for to in (from..=end).step_by(53) {
                let sum: u64 = layout.segments(from, to).map(|s| s.len).sum();
                assert_eq!(sum, to - from, "{from}..{to}");
            }
        }
        let empty = layout.segments(0, end).filter(|s| s.part == Part::Content && s.len == 0).count();
        assert_eq!(empty, 2, "an empty file's content is met once, so that its digest is checked");
    }
}
