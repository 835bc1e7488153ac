//! Frames and their table, and what a file looks like that ends early or holds more.

use zstd::zstd_safe::CParameter;

use super::super::forge::{Article, Stage, Work};
use super::super::zframe::{Frame, Hand, MAGIC, compress, compress_with, skippable};
use super::{Expect, Table};

const FRAME: &[&str] = &["frame"];
const LONG: &[&str] = &["frame", "over-limit"];
const TABLE: &[&str] = &["table"];
/// How often a magic number is repeated: a reader that looks for a frame at each of them, and reads to the end, would take hours.
const MAGICS: usize = 400_000;

pub(super) fn tell(t: &mut Table) {
    forms(t);
    by_hand(t);
    windows(t);
    lengths(t);
    last_frame(t);
    table(t);
    ends(t);
    magics(t);
}

/// Makes the frames anew with `hand`, all of them or only the last.
fn made_by(hand: Hand) -> impl Fn(&mut Work) {
    move |w| w.frames.iter_mut().for_each(|frame| *frame = Frame::by_hand(&frame.plain, &hand))
}

fn forms(t: &mut Table) {
    for level in [-5, 1, 9, 19] {
        t.yes(format!("frame-of-level-{level}"), Stage::Frames, move |w| {
            w.frames.iter_mut().for_each(|frame| frame.packed = compress(&frame.plain, level));
        });
    }
    for (name, on) in [("body", 0_usize), ("tail", 1)] {
        t.no(format!("frame-without-checksum-{name}"), FRAME, Stage::Frames, move |w| {
            w.frames[on].packed = compress_with(&w.frames[on].plain, 3, &[CParameter::ContentSizeFlag(true)]);
        });
        t.no(format!("frame-without-content-size-{name}"), FRAME, Stage::Frames, move |w| {
            let parameters = [CParameter::ChecksumFlag(true), CParameter::ContentSizeFlag(false)];
            w.frames[on].packed = compress_with(&w.frames[on].plain, 3, &parameters);
        });
        t.no(format!("frame-checksum-off-{name}"), FRAME, Stage::Frames, move |w| {
            *w.frames[on].packed.last_mut().expect("not empty") ^= 1;
        });
        t.no(format!("frame-of-nothing-in-it-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames[on].packed.extend(compress(b"", 3));
        });
        t.no(format!("frame-with-a-byte-more-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames[on].packed.push(0)
        });
        t.no(format!("frame-with-a-skippable-behind-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames[on].packed.extend(skippable(b"hidden"));
        });
        t.no(format!("frame-with-a-skippable-before-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames[on].packed.splice(..0, skippable(b"hidden"));
        });
        t.no(format!("frame-cut-short-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames[on].packed.pop();
        });
        t.no(format!("frame-of-two-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            let (one, other) = w.frames[on].plain.split_at(512);
            w.frames[on].packed = [compress(one, 3), compress(other, 3)].concat();
        });
        t.no(format!("frame-empty-before-{name}"), &["frame", "table", "over-limit"], Stage::Frames, move |w| {
            w.frames.insert(on, Frame::by_hand(b"", &Hand::default()));
        });
        t.no(format!("frame-skippable-before-{name}"), &["frame", "table", "over-limit"], Stage::Frames, move |w| {
            w.frames.insert(on, Frame { packed: skippable(b"hidden"), plain: Vec::new() });
        });
        t.no(format!("frame-skippable-that-claims-content-{name}"), &["frame", "table"], Stage::Frames, move |w| {
            w.frames.insert(on, Frame { packed: skippable(b"hidden"), plain: vec![0; 512] });
        });
    }
    t.no("frame-with-a-long-dictionary", FRAME, Stage::Frames, |w| {
        let plain = w.frames[0].plain.clone();
        let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &plain[..2048]).unwrap();
        compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
        w.frames[0].packed = compressor.compress(&plain).unwrap();
    });
}

fn by_hand(t: &mut Table) {
    let hand = Hand::default;
    for (name, made) in [
        ("stored", hand()),
        ("stored-in-small-blocks", Hand { block: 100, ..hand() }),
        ("size-of-four-bytes", Hand { size_field: 4, ..hand() }),
        ("size-of-two-bytes", Hand { size_field: 2, ..hand() }),
        ("with-a-window", Hand { window: Some(0x40), ..hand() }),
        ("with-a-small-window", Hand { window: Some(0x20), block: 16 << 10, ..hand() }),
        ("with-a-window-of-8-mib", Hand { window: Some(0x68), ..hand() }),
    ] {
        t.yes(format!("frame-{name}"), Stage::Frames, made_by(made));
    }
    t.no("frame-with-the-unused-bit", FRAME, Stage::Frames, made_by(Hand { unused: true, ..hand() }));
    t.no("frame-with-dictionary-zero", FRAME, Stage::Frames, made_by(Hand { dictionary: b"\0", ..hand() }));
    t.no(
        "frame-with-dictionary-zero-of-four-bytes",
        FRAME,
        Stage::Frames,
        made_by(Hand { dictionary: b"\0\0\0\0", ..hand() }),
    );
    for (name, made) in [
        ("reserved-bit", Hand { reserved: true, ..hand() }),
        ("dictionary", Hand { dictionary: b"\x05", ..hand() }),
        ("dictionary-of-two-bytes", Hand { dictionary: b"\x05\0", ..hand() }),
        ("dictionary-of-four-bytes", Hand { dictionary: b"\0\0\0\x80", ..hand() }),
        ("reserved-block", Hand { last_block: 3, ..hand() }),
        ("block-of-garbage", Hand { last_block: 2, ..hand() }),
        ("checksum-bad", Hand { checksum_off: 1, ..hand() }),
        ("magic-of-0.7", Hand { magic: [0x27, 0xb5, 0x2f, 0xfd], ..hand() }),
        ("magic-of-0.1", Hand { magic: [0xfd, 0x2f, 0xb5, 0x1e], ..hand() }),
        ("magic-none", Hand { magic: [0; 4], ..hand() }),
        ("magic-of-gzip", Hand { magic: [0x1f, 0x8b, 8, 0], ..hand() }),
        ("without-checksum-by-hand", Hand { checksum: false, ..hand() }),
        ("without-size-by-hand", Hand { size_field: 0, window: Some(0x40), ..hand() }),
        ("size-zero", Hand { size: Some(0), ..hand() }),
        ("size-huge", Hand { size: Some(u64::MAX), ..hand() }),
        ("size-huge-without-sign", Hand { size: Some(u64::MAX - 1), ..hand() }),
        ("size-of-an-exbibyte", Hand { size: Some(1 << 60), ..hand() }),
        ("size-of-8-mib", Hand { size: Some(8 << 20), ..hand() }),
    ] {
        t.no(format!("frame-{name}"), &["frame", "table", "over-limit"], Stage::Frames, made_by(made.clone()));
        t.no(format!("frame-{name}-tail"), &["frame", "table", "over-limit"], Stage::Frames, move |w| {
            let last = w.frames.len() - 1;
            w.frames[last] = Frame::by_hand(&w.frames[last].plain, &made);
        });
    }
    for by in [1_i64, -1] {
        t.no(format!("frame-size-off-by-{by}"), &["frame", "table"], Stage::Frames, move |w| {
            let size = (w.frames[0].plain.len() as i64 + by) as u64;
            w.frames[0] = Frame::by_hand(&w.frames[0].plain, &Hand { size: Some(size), ..Hand::default() });
        });
        t.no(
            format!("frame-size-off-by-{by}-as-the-table-says"),
            &["frame", "table", "tar"],
            Stage::Frames,
            move |w| {
                let size = (w.frames[0].plain.len() as i64 + by) as u64;
                let mut frame = Frame::by_hand(&w.frames[0].plain, &Hand { size: Some(size), ..Hand::default() });
                frame.plain.resize(size as usize, 0);
                w.frames[0] = frame;
            },
        );
    }
}

fn windows(t: &mut Table) {
    for descriptor in [0x69_u8, 0x6f, 0x70, 0x78, 0xa8, 0xf8, 0xff] {
        t.no(
            format!("frame-window-{descriptor:02x}"),
            LONG,
            Stage::Frames,
            made_by(Hand { window: Some(descriptor), ..Hand::default() }),
        );
        t.no(format!("frame-window-{descriptor:02x}-tail"), LONG, Stage::Frames, move |w| {
            let last = w.frames.len() - 1;
            let hand = Hand { window: Some(descriptor), ..Hand::default() };
            w.frames[last] = Frame::by_hand(&w.frames[last].plain, &hand);
        });
    }
}

/// A stored frame that is as long as the rule allows, and `over` bytes.
fn stuffed(plain: &[u8], over: usize) -> Frame {
    let target = plain.len() + plain.len() / 128 + 1024 + over;
    for (size_field, window) in [(8, None), (4, None), (8, Some(0x40)), (4, Some(0x40))] {
        let hand = Hand { size_field, window, ..Hand::default() };
        let room = target - hand.frame(plain).len();
        if room.is_multiple_of(3) {
            let frame = Frame::by_hand(plain, &Hand { empty_blocks: room / 3, ..hand });
            assert_eq!(frame.packed.len(), target);
            return frame;
        }
    }
    unreachable!("four lengths of a header leave every remainder")
}

fn lengths(t: &mut Table) {
    t.yes("frame-packed-to-the-limit", Stage::Frames, |w| {
        w.frames.iter_mut().for_each(|frame| *frame = stuffed(&frame.plain, 0));
    });
    t.no("frame-packed-over-the-limit", LONG, Stage::Frames, |w| w.frames[0] = stuffed(&w.frames[0].plain, 1));
    t.no("frame-packed-over-the-limit-tail", LONG, Stage::Frames, |w| w.frames[1] = stuffed(&w.frames[1].plain, 1));
    t.no("frame-packed-far-over-the-limit", LONG, Stage::Frames, |w| {
        w.frames[0] = stuffed(&w.frames[0].plain, 30_000_000)
    });
    let big = |w: &mut Work| w.articles.push(Article::bare("big").file("zeros.bin", vec![0; 9 << 20]));
    for (name, cut, expect) in [
        ("8-mib", 8_usize << 20, Expect::Yes),
        ("8-mib-less-one", (8 << 20) - 1, Expect::Yes),
        ("8-mib-and-one", (8 << 20) + 1, Expect::No(&["frame", "table", "over-limit"])),
        ("9-mib", 9 << 20, Expect::No(&["frame", "table", "over-limit"])),
    ] {
        t.add_two(
            format!("frame-of-{name}"),
            expect,
            (Stage::Input, big),
            (Stage::Body, move |w: &mut Work| {
                w.cuts = Some(vec![cut]);
            }),
        );
    }
    let bomb = |w: &mut Work| {
        // Many frames that pretend to hold as much as one may.
        let frame = Frame::by_hand(&vec![0; 8 << 20], &Hand::default());
        let last = w.frames.len() - 1;
        w.frames.splice(last..last, std::iter::repeat_n(frame, 16));
    };
    t.no("frames-of-zeros", &["tar", "index", "extra", "frame", "table"], Stage::Frames, bomb).heavy = true;
}

/// Where the last frame begins.
fn last_frame(t: &mut Table) {
    t.no("one-frame", &[], Stage::Frames, |w| {
        let plain: Vec<u8> = w.frames.iter().flat_map(|frame| frame.plain.clone()).collect();
        w.frames = vec![Frame::new(&plain)];
    });
    for (name, by) in [
        ("a-member-early", -1024_i64),
        ("a-block-early", -512),
        ("a-byte-early", -1),
        ("a-byte-late", 1),
        ("a-member-late", 1024),
        ("at-the-manifest", 2048),
    ] {
        t.no(format!("last-frame-{name}"), &[], Stage::Frames, move |w| {
            let plain: Vec<u8> = w.frames.iter().flat_map(|frame| frame.plain.clone()).collect();
            let cut = (w.body.len() as i64 + by) as usize;
            w.frames = vec![Frame::new(&plain[..cut]), Frame::new(&plain[cut..])];
        });
    }
    for back in [1_usize, 512, 1024, 2048] {
        t.no(format!("tail-in-two-frames-{back}"), &[], Stage::Frames, move |w| {
            let tail = w.frames.pop().expect("a tail").plain;
            let (one, other) = tail.split_at(tail.len() - back);
            w.frames.extend([Frame::new(one), Frame::new(other)]);
        });
    }
}

fn cut_in_four(w: &mut Work) {
    w.cuts = Some(vec![512, 3000, 7000]);
}

/// Lies of the table about frames of which there are five.
fn table(t: &mut Table) {
    type Change = fn(&mut Vec<(u32, u32)>);
    let lies: &[(&str, Change)] = &[
        ("entries-exchanged", |e| e.swap(0, 1)),
        ("entries-rotated", |e| e.rotate_left(1)),
        ("packed-exchanged", |e| (e[0].0, e[1].0) = (e[1].0, e[0].0)),
        ("content-exchanged", |e| (e[0].1, e[1].1) = (e[1].1, e[0].1)),
        ("packed-moved", |e| {
            e[0].0 += 1;
            e[1].0 -= 1;
        }),
        ("content-moved", |e| {
            e[0].1 += 1;
            e[1].1 -= 1;
        }),
        ("content-more", |e| e[1].1 += 1),
        ("content-less", |e| e[1].1 -= 1),
        ("content-zero", |e| e[1].1 = 0),
        ("content-huge", |e| e[1].1 = u32::MAX),
        ("content-of-last-more", |e| e.last_mut().unwrap().1 += 512),
        ("content-of-last-huge", |e| e.last_mut().unwrap().1 = u32::MAX),
        ("packed-more", |e| e[1].0 += 1),
        ("packed-less", |e| e[1].0 -= 1),
        ("packed-zero", |e| e[1].0 = 0),
        ("packed-huge", |e| e[1].0 = u32::MAX),
        ("packed-of-last-more", |e| e.last_mut().unwrap().0 += 1),
        ("packed-all-in-one", |e| {
            let sum: u32 = e.iter().map(|entry| entry.0).sum();
            e.iter_mut().for_each(|entry| entry.0 = 0);
            e[0].0 = sum;
        }),
        ("split", |e| {
            e[0] = (e[0].0 - 10, e[0].1 - 10);
            e.insert(1, (10, 10));
        }),
        ("split-of-nothing", |e| e.insert(1, (0, 0))),
        ("split-of-last", |e| {
            let last = e.last_mut().unwrap();
            *last = (last.0 - 10, last.1 - 512);
            e.push((10, 512));
        }),
        ("joined", |e| {
            let (packed, plain) = e.remove(1);
            e[0] = (e[0].0 + packed, e[0].1 + plain);
        }),
        ("joined-all", |e| *e = vec![e.iter().fold((0, 0), |sum, entry| (sum.0 + entry.0, sum.1 + entry.1))]),
        ("entry-more", |e| e.push((9, 512))),
        ("entry-less", |e| {
            e.pop();
        }),
        ("entry-less-first", |e| {
            e.remove(0);
        }),
        ("entry-twice", |e| e.insert(0, e[0])),
        ("no-entry", Vec::clear),
        ("sum-by-wrapping", |e| {
            // The sum of the packed lengths is right but for a carry out of 32 bits.
            e.insert(1, (u32::MAX, 512));
            e[0].0 += 1;
        }),
    ];
    for &(name, change) in lies {
        t.add_two(
            format!("table-{name}"),
            Expect::No(&["table", "frame", "over-limit", "truncated", "tar"]),
            (Stage::Input, cut_in_four),
            (Stage::Entries, move |w: &mut Work| change(&mut w.entries)),
        );
    }
    for (name, at_end, bytes) in [
        ("flags-checksums", 5_usize, &b"\x80"[..]),
        ("flags-reserved", 5, b"\x04"),
        ("flags-unused", 5, b"\x01"),
        ("count-less", 9, b"\x04\0\0\0"),
        ("count-more", 9, b"\x06\0\0\0"),
        ("count-zero", 9, b"\0\0\0\0"),
        ("count-huge", 9, b"\xff\xff\xff\xff"),
        ("count-of-4194305", 9, b"\x01\0\x40\0"),
        ("count-negative", 9, b"\0\0\0\x80"),
        ("magic", 4, b"\xb1\xea\x92\x8e"),
        ("magic-of-a-frame", 4, &MAGIC),
    ] {
        t.add_two(
            format!("table-{name}"),
            Expect::No(&["table", "over-limit", "truncated"]),
            (Stage::Input, cut_in_four),
            (Stage::Table, move |w: &mut Work| {
                let at = w.table.len() - at_end;
                w.table[at..at + bytes.len()].copy_from_slice(bytes);
            }),
        );
    }
    for (name, at, bytes) in [
        ("magic-of-another-skippable", 0_usize, &b"\x50"[..]),
        ("magic-no-skippable", 0, &MAGIC),
        ("length-more", 4, b"\x32"),
        ("length-less", 4, b"\x30"),
        ("length-zero", 4, b"\0\0\0\0"),
        ("length-huge", 4, b"\xff\xff\xff\xff"),
    ] {
        t.add_two(
            format!("table-head-{name}"),
            Expect::No(TABLE),
            (Stage::Input, cut_in_four),
            (Stage::Table, move |w: &mut Work| {
                w.table[at..at + bytes.len()].copy_from_slice(bytes);
            }),
        );
    }
    t.no("table-with-checksums", TABLE, Stage::Table, |w| {
        let mut table = w.table[..8].to_vec();
        table[4] += 4 * w.entries.len() as u8;
        for entry in w.table[8..w.table.len() - 9].chunks(8) {
            table.extend(entry);
            table.extend([1, 2, 3, 4]);
        }
        table.extend(&w.table[w.table.len() - 9..]);
        let flags = table.len() - 5;
        table[flags] = 0x80;
        w.table = table;
    });
    t.no("table-twice", TABLE, Stage::Table, |w| w.table = w.table.repeat(2));
    t.no("table-before-table", TABLE, Stage::Table, |w| {
        w.table.splice(..0, skippable(b"x"));
    });
    t.no("table-of-4194305", &["table", "over-limit"], Stage::Table, |w| {
        let count = 4_194_305_usize;
        w.entries = vec![(20, 1); count];
        w.table = super::super::zframe::table(&w.entries);
    })
    .heavy = true;
    t.no("table-of-1048576-lies", &["table", "over-limit"], Stage::Table, |w| {
        w.entries = vec![(20, 1); 1_048_576];
        w.table = super::super::zframe::table(&w.entries);
    })
    .heavy = true;
}

/// Files that end early or late.
fn ends(t: &mut Table) {
    for len in [0_usize, 1, 4, 8, 9, 16, 17, 33] {
        t.no(format!("file-of-first-{len}"), &["truncated", "table"], Stage::File, move |w| w.file.truncate(len));
        t.no(format!("file-of-last-{len}"), &["truncated", "table"], Stage::File, move |w| {
            w.file = w.file.split_off(w.file.len() - len);
        });
    }
    for short in [1_usize, 4, 5, 9, 17, 33, 500, 1500] {
        t.no(format!("file-short-by-{short}"), &["truncated", "table"], Stage::File, move |w| {
            w.file.truncate(w.file.len().saturating_sub(short));
        });
    }
    t.no("file-without-table", &["truncated", "table"], Stage::File, |w| w.file.truncate(w.file.len() - w.table.len()));
    t.no("file-without-first-byte", &["table"], Stage::File, |w| {
        w.file.remove(0);
    });
    for (name, bytes) in [
        ("byte", b"\0".to_vec()),
        ("line-feed", b"\n".to_vec()),
        ("skippable", skippable(b"x")),
        ("frame", compress(b"x", 3)),
        ("zeros", vec![0; 100_000]),
    ] {
        let more = bytes.clone();
        t.no(format!("file-with-{name}-behind"), &["truncated", "table"], Stage::File, move |w| w.file.extend(&more));
        let more = bytes.clone();
        t.no(format!("file-with-{name}-before"), &["table", "frame"], Stage::File, move |w| {
            w.file.splice(..0, more.clone());
        });
        t.no(format!("file-with-{name}-before-the-table"), &["table", "frame"], Stage::File, move |w| {
            let at = w.file.len() - w.table.len();
            w.file.splice(at..at, bytes.clone());
        });
    }
    t.no("file-of-zeros", &["truncated", "table"], Stage::File, |w| w.file = vec![0; 1 << 20]);
    t.no("file-of-only-a-table", &[], Stage::File, |w| w.file = super::super::zframe::table(&[]));
    t.no("file-that-is-a-tar", &["truncated", "table"], Stage::File, |w| w.file = [&w.body[..], &w.tail_tar].concat());
    t.no("file-without-seek-table-as-zstd-makes-it", &["truncated", "table"], Stage::File, |w| {
        w.file = compress(&[&w.body[..], &w.tail_tar].concat(), 3);
    });
}

/// Files that must be read in time that grows with their length only.
fn magics(t: &mut Table) {
    let header = [&MAGIC[..], &[0xe4, 0, 0, 1, 0, 0, 0, 0, 0]].concat();
    for (name, unit) in [
        ("frames", MAGIC.to_vec()),
        ("skippables", vec![0x50, 0x2a, 0x4d, 0x18]),
        ("tables", vec![0x5e, 0x2a, 0x4d, 0x18]),
        ("seek-table-ends", vec![0xb1, 0xea, 0x92, 0x8f]),
        ("headers", header),
        ("empty-frames", compress(b"", 3)),
        ("small-frames", compress(&[0; 512], 3)),
    ] {
        let many = unit.repeat(MAGICS);
        t.no(format!("magics-{name}-before"), &["table", "frame", "over-limit"], Stage::File, {
            let many = many.clone();
            move |w| {
                w.file.splice(..0, many.iter().copied());
            }
        })
        .heavy = true;
        t.no(format!("magics-{name}-alone"), &["table", "truncated", "frame", "over-limit"], Stage::File, {
            let many = many.clone();
            move |w| w.file.clone_from(&many)
        })
        .heavy = true;
        t.no(format!("magics-{name}-in-a-frame"), &["table", "frame", "over-limit"], Stage::Entries, move |w| {
            w.frames[0].packed.clone_from(&many);
            w.entries[0] = (many.len() as u32, w.entries[0].1.max((many.len() as u32).min(8 << 20)));
        })
        .heavy = true;
    }
}
