//! Where the tar is cut into frames: a pure function of the members' places and kinds. (FORMAT.md, "Frames")
//!
//! Frames close at member boundaries near the target size; a file longer than the target is cut into pieces. A long run of files that are
//! compressed already gets frames of its own, so that no time goes into compressing it again; a short run stays among its
//! neighbours, whose context it would break.

use super::layout::Place;

/// The plain size that frames are filled to, in bytes, if nothing else is asked.
pub const FRAME_BYTES: u64 = 2 << 20;
/// The smallest frame target that may be asked for, in bytes.
pub const MIN_FRAME_TARGET: u64 = 64 << 10;
/// The largest frame target that may be asked for, in bytes.
pub const MAX_FRAME_TARGET: u64 = 4 << 20;
/// The largest plain size of the checksum list's frames, in bytes: digests do not compress, and small frames are decoded side by side into
/// buffers that are used again.
const LIST_FRAME_BYTES: u64 = 256 << 10;
/// A bundle whose tar without its last frame is no longer than this has one frame before it, in bytes.
pub const SMALL_BYTES: u64 = 128 << 10;
/// A run of packed content shorter than this stays in its neighbours' frame, in bytes.
const PACKED_RUN_BYTES: u64 = 512 << 10;

/// What compressing a file can be expected to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It shrinks.
    Plain,
    /// It is compressed already, by its name: images, sound, archives.
    Packed,
}

/// File name endings whose content is compressed already. PDF is not among them: a sixth of it still goes.
const PACKED_ENDINGS: &[&str] = &[
    "7z", "aac", "apk", "avif", "br", "bz2", "docx", "epub", "flac", "gif", "gz", "heic", "jar", "jpeg", "jpg", "jxl",
    "lz4", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "odp", "ods", "odt", "ogg", "opus", "png", "pptx", "rar", "tgz",
    "wacz", "webm", "webp", "woff", "woff2", "xlsx", "xz", "zim", "zip", "zst",
];

impl Kind {
    /// Judges a file by the ending of its name.
    pub fn of(path: &str) -> Self {
        let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
        let packed = ending.len() <= 5 && PACKED_ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending));
        if packed { Self::Packed } else { Self::Plain }
    }
}

/// One frame's stretch of the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// First byte of the tar.
    pub from: u64,
    /// Byte after the last.
    pub to: u64,
    /// What is in it.
    pub kind: Kind,
}

/// Cuts the stretch of the tar that `members` cover.
pub fn cut(members: impl Iterator<Item = (Place, Kind)>, target: u64) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut run: Vec<Place> = Vec::new();
    let mut run_kind = Kind::Plain;
    let mut open: Vec<Place> = Vec::new();
    for (place, kind) in members {
        if kind != run_kind {
            close_run(&mut run, run_kind, &mut open, target, &mut cuts);
            run_kind = kind;
        }
        run.push(place);
    }
    close_run(&mut run, run_kind, &mut open, target, &mut cuts);
    fill(&open, Kind::Plain, target, &mut cuts);
    cuts
}

/// Cuts stretches that follow each other at each of these places, and within where they are long.
pub fn cut_at(bounds: &[u64]) -> Vec<Cut> {
    let mut cuts = Vec::new();
    for pair in bounds.windows(2) {
        let [mut from, end] = [pair[0], pair[1]];
        while from < end {
            let to = end.min(from + LIST_FRAME_BYTES);
            cuts.push(Cut { from, to, kind: Kind::Plain });
            from = to;
        }
    }
    cuts
}

/// Ends a run of one kind: a long packed one is cut by itself, everything else joins the open plain stretch.
fn close_run(run: &mut Vec<Place>, kind: Kind, open: &mut Vec<Place>, target: u64, cuts: &mut Vec<Cut>) {
    let len = run.last().zip(run.first()).map_or(0, |(last, first)| last.end() - first.offset);
    if kind == Kind::Packed && len >= PACKED_RUN_BYTES {
        fill(open, Kind::Plain, target, cuts);
        open.clear();
        fill(run, Kind::Packed, target, cuts);
        run.clear();
    } else {
        open.append(run);
    }
}

/// Fills frames up to the target with one stretch.
fn fill(places: &[Place], kind: Kind, target: u64, cuts: &mut Vec<Cut>) {
    let Some(mut from) = places.first().map(|place| place.offset) else { return };
    for place in places {
        let end = place.end();
        if end - from <= target {
            continue;
        }
        if place.offset > from && (end - place.offset <= target || place.offset - from >= target / 4) {
            cuts.push(Cut { from, to: place.offset, kind });
            from = place.offset;
        }
        while end - from > target {
            cuts.push(Cut { from, to: from + target, kind });
            from += target;
        }
    }
    if let Some(last) = places.last().filter(|last| last.end() > from) {
        cuts.push(Cut { from, to: last.end(), kind });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::layout::Layout;
    use super::*;

    proptest! {
        #[test]
        fn cuts_cover_the_tar_and_keep_to_the_target(
            sizes in proptest::collection::vec((0_u64..3_000_000, any::<bool>()), 0..40),
        ) {
            let mut layout = Layout::at(512);
            for (size, _) in &sizes {
                layout.push(512, *size);
            }
            let kinds = sizes.iter().map(|(_, packed)| if *packed { Kind::Packed } else { Kind::Plain });
            let cuts = cut(layout.places().iter().copied().zip(kinds), 1 << 20);
            let mut at = 512;
            for cut in &cuts {
                prop_assert_eq!(cut.from, at);
                prop_assert!(cut.to > cut.from && cut.to - cut.from <= 1 << 20);
                at = cut.to;
            }
            prop_assert_eq!(at, layout.end());
        }
    }

    #[test]
    fn a_short_run_of_images_stays_among_the_text_and_a_long_one_does_not() {
        let mut layout = Layout::at(0);
        let kinds = [Kind::Plain, Kind::Packed, Kind::Plain, Kind::Packed, Kind::Plain];
        for size in [1000, 1000, 1000, 600_000, 1000] {
            layout.push(512, size);
        }
        let cuts = cut(layout.places().iter().copied().zip(kinds), FRAME_BYTES);
        assert_eq!(cuts.iter().map(|c| c.kind).collect::<Vec<_>>(), [Kind::Plain, Kind::Packed, Kind::Plain]);
    }
}
