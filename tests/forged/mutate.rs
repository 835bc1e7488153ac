//! Random changes of honest bundles, at every layer, with what lies above made to fit or left as it was.

use std::cell::RefCell;

use super::forge::{Article, Forged, Stage, Work};
use super::random::Random;
use super::sign::Key;
use super::tar::{BLOCK, Member, seal};
use super::zframe::{Frame, compress, table};

/// The honest bundles that are changed.
pub fn honest(number: usize) -> Work {
    let mut work = Work::new();
    match number {
        0 => {}
        1 => {
            work.name = "second".into();
            work.timed = true;
            work.more = vec![
                ("archive".into(), "\"example.org/library\"".into()),
                ("part".into(), "2".into()),
                ("after".into(), format!("\"{}\"", "1".repeat(64))),
                ("base".into(), "412".into()),
            ];
            work.articles.push(Article::bare("隨筆").file("隨筆.txt", "潮").file("x".repeat(120), "long"));
            work.signers.push(Key::new(9));
            work.cuts = Some(vec![1000, 4096, 6000]);
            work.descends(&[vec![Article::new("a/gone")], vec![Article::new("z"), Article::new("0")]], &|_, _, _| ());
        }
        2 => {
            work.articles = (0..8).map(|n| Article::new(format!("m/{n}")).id(format!("i/{n}"))).collect();
            work.cuts = Some(vec![512, 1024, 5000]);
        }
        _ => work.articles = vec![Article::bare("one").file("one.txt", "1")],
    }
    work
}

pub const HONEST: usize = 4;

/// One changed bundle, and what was done to it.
pub fn mutated(seed: u64) -> (String, Forged) {
    let mut random = Random::new(seed);
    let base = random.below(HONEST);
    let kind = random.below(10);
    let (what, mut forged) = match kind {
        0..3 => changed_file(base, &mut random),
        3..5 => changed_frames(base, &mut random),
        5 => recompressed(base, &mut random),
        _ => changed_at_a_stage(base, &mut random),
    };
    // What the honest bundle's signature covers may come out, whatever became of the rest.
    forged.lists.extend(honest(base).honest().lists);
    (format!("{seed:06}-{base}-{what}"), forged)
}

/// Changes bytes: flips a bit, sets, inserts, removes, repeats, exchanges.
fn change_bytes(bytes: &mut Vec<u8>, random: &mut Random) -> &'static str {
    let at = random.below(bytes.len());
    let len = if random.one_in(3) { 512 } else { 1 + random.below(40) };
    match random.below(8) {
        _ if bytes.is_empty() => {
            *bytes = random.bytes(len);
            "filled"
        }
        0..3 => {
            bytes[at] ^= 1 << random.below(8);
            "bit"
        }
        3 => {
            bytes.truncate(at);
            "truncated"
        }
        4 => {
            let more = if random.one_in(2) { vec![0; len] } else { random.bytes(len) };
            bytes.splice(at..at, more);
            "inserted"
        }
        5 => {
            bytes.drain(at..(at + len).min(bytes.len()));
            "removed"
        }
        6 => {
            let piece = bytes[at..(at + len).min(bytes.len())].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
            "repeated"
        }
        _ => {
            let value = *random.pick(&[0, 0xff, b' ', b'\n', b'/', b'.', b'0', b'"', 0x80, b'\t']);
            bytes[at] = value;
            "set"
        }
    }
}

/// Changes a text by lines and words.
fn change_text(text: &mut Vec<u8>, random: &mut Random) -> &'static str {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() || random.one_in(4) {
        return change_bytes(text, random);
    }
    let (at, other) = (random.below(lines.len()), random.below(lines.len()));
    let what = match random.below(6) {
        0 => {
            lines.swap(at, other);
            "lines-exchanged"
        }
        1 => {
            let line = lines[at].clone();
            lines.insert(other, line);
            "line-repeated"
        }
        2 => {
            lines.remove(at);
            "line-removed"
        }
        3 => {
            let digits: Vec<usize> = (0..lines[at].len()).filter(|&place| lines[at][place].is_ascii_digit()).collect();
            if !digits.is_empty() {
                lines[at][*random.pick(&digits)] = b'0' + random.below(10) as u8;
            }
            "digit"
        }
        4 => {
            let words = lines[at].split(|&byte| byte == b' ').map(<[u8]>::to_vec);
            let mut words: Vec<_> = words.collect();
            let (one, two) = (random.below(words.len()), random.below(words.len()));
            words.swap(one, two);
            lines[at] = words.join(&b' ');
            "words-exchanged"
        }
        _ => {
            change_bytes(&mut lines[at], random);
            "line-changed"
        }
    };
    *text = lines.concat();
    what
}

/// Changes of the file itself, and splices of two.
fn changed_file(base: usize, random: &mut Random) -> (String, Forged) {
    let mut forged = honest(base).honest();
    if random.one_in(4) {
        let other = honest(random.below(HONEST)).honest();
        let (cut, from) = (random.below(forged.file.len()), random.below(other.file.len()));
        forged.file.truncate(cut);
        forged.file.extend(&other.file[from..]);
        forged.lists.extend(other.lists);
        return ("file-spliced".into(), forged);
    }
    let mut what = String::from("file");
    for _ in 0..1 + random.below(2) {
        what = format!("{what}-{}", change_bytes(&mut forged.file, random));
    }
    (what, forged)
}

/// Frames exchanged, repeated, taken from others; the table fits, or is the old one, or is changed itself.
fn changed_frames(base: usize, random: &mut Random) -> (String, Forged) {
    let other = RefCell::new(Vec::new());
    let of_other = honest(random.below(HONEST)).make(&|stage, work| {
        if stage == Stage::Frames {
            other.replace(work.frames.clone());
        }
    });
    let other = other.into_inner();
    let what = RefCell::new(String::new());
    let cell = RefCell::new(random);
    let mut forged = honest(base).make(&|stage, work| {
        let random = &mut *cell.borrow_mut();
        match stage {
            Stage::Frames => {
                let (one, two) = (random.below(work.frames.len()), random.below(work.frames.len()));
                let name = match random.below(7) {
                    0 => {
                        work.frames.swap(one, two);
                        "exchanged"
                    }
                    1 => {
                        let frame = work.frames[one].clone();
                        work.frames.insert(two, frame);
                        "repeated"
                    }
                    2 => {
                        work.frames.remove(one);
                        "removed"
                    }
                    3 => {
                        work.frames[one] = random.pick(&other).clone();
                        "of-another"
                    }
                    4 => {
                        let frame = random.pick(&other).clone();
                        work.frames.insert(one, frame);
                        "of-another-inserted"
                    }
                    5 => {
                        change_bytes(&mut work.frames[one].packed, random);
                        "changed"
                    }
                    _ => {
                        let at = random.below(work.frames[one].plain.len());
                        let (left, right) = work.frames[one].plain.split_at(at);
                        let halves = [Frame::new(left), Frame::new(right)];
                        work.frames.splice(one..=one, halves);
                        "cut"
                    }
                };
                *what.borrow_mut() = format!("frame-{name}");
            }
            Stage::Table if random.one_in(4) => {
                change_bytes(&mut work.table, random);
                what.borrow_mut().push_str("-table-changed");
            }
            Stage::Table if random.one_in(4) && work.entries.len() > 1 => {
                let (one, two) = (random.below(work.entries.len()), random.below(work.entries.len()));
                let by = random.below(600) as u32;
                work.entries[one].0 = work.entries[one].0.wrapping_add(by);
                work.entries[two].0 = work.entries[two].0.wrapping_sub(by);
                work.table = table(&work.entries);
                what.borrow_mut().push_str("-table-lies");
            }
            _ => {}
        }
    });
    forged.lists.extend(of_other.lists);
    (what.into_inner(), forged)
}

/// The tar changed and compressed again, with a table that fits.
fn recompressed(base: usize, random: &mut Random) -> (String, Forged) {
    let cell = RefCell::new(random);
    let what = RefCell::new(String::new());
    let forged = honest(base).make(&|stage, work| {
        if stage != Stage::Frames {
            return;
        }
        let random = &mut *cell.borrow_mut();
        let number = random.below(work.frames.len());
        let frame = &mut work.frames[number];
        let name = match random.below(4) {
            0 if frame.plain.len() >= BLOCK => {
                // A block that may be a header gets a changed byte and a checksum that fits.
                let block = random.below(frame.plain.len() / BLOCK) * BLOCK;
                frame.plain[block + random.below(BLOCK)] ^= 1 << random.below(8);
                seal(&mut frame.plain[..block + BLOCK]);
                "sealed"
            }
            1 if frame.plain.len() >= 2 * BLOCK => {
                let blocks = frame.plain.len() / BLOCK;
                let (one, two) = (random.below(blocks) * BLOCK, random.below(blocks) * BLOCK);
                let kept = frame.plain[one..one + BLOCK].to_vec();
                frame.plain.copy_within(two..two + BLOCK, one);
                frame.plain[two..two + BLOCK].copy_from_slice(&kept);
                "blocks-exchanged"
            }
            _ => change_bytes(&mut frame.plain, random),
        };
        frame.packed = compress(&frame.plain, 3);
        *what.borrow_mut() = format!("tar-{name}");
    });
    (what.into_inner(), forged)
}

/// A change after a random stage, which all later stages speak for.
fn changed_at_a_stage(base: usize, random: &mut Random) -> (String, Forged) {
    let stage = *random.pick(&Stage::ALL);
    let cell = RefCell::new(random);
    let what = RefCell::new(String::new());
    let forged = honest(base).make(&|now, work| {
        if now == stage {
            let name = change_work(stage, work, &mut cell.borrow_mut());
            *what.borrow_mut() = format!("{stage:?}-{name}").to_lowercase();
        }
    });
    (what.into_inner(), forged)
}

fn change_work(stage: Stage, w: &mut Work, random: &mut Random) -> &'static str {
    match stage {
        Stage::Input | Stage::Order => change_articles(w, random),
        Stage::Lines => {
            let article = random.below(w.lines.len());
            let line = random.below(w.lines[article].len());
            change_text(&mut w.lines[article][line], random)
        }
        Stage::List => change_text(&mut w.list, random),
        Stage::Times => {
            w.timed = true;
            change_text(&mut w.times, random)
        }
        Stage::Leaves => {
            let (one, two) = (random.below(w.leaves.len()), random.below(w.leaves.len()));
            match random.below(3) {
                0 => w.leaves.swap(one, two),
                1 => drop(w.leaves.remove(one)),
                _ => drop(change_bytes(&mut w.leaves[one].1, random)),
            }
            "leaf"
        }
        Stage::Root => {
            w.root[random.below(32)] ^= 1 << random.below(8);
            "bit"
        }
        Stage::Fields => {
            let (one, two) = (random.below(w.fields.len()), random.below(w.fields.len()));
            match random.below(4) {
                0 => w.fields.swap(one, two),
                1 => drop(w.fields.remove(one)),
                2 => w.fields[one].1 = w.fields[two].1.clone(),
                _ => {
                    let mut value = w.fields[one].1.clone().into_bytes();
                    change_bytes(&mut value, random);
                    w.fields[one].1 = String::from_utf8_lossy(&value).into_owned();
                }
            }
            "field"
        }
        Stage::Manifest => change_text(&mut w.manifest, random),
        Stage::Pieces => {
            let piece = random.below(w.pieces.len());
            change_text(&mut w.pieces[piece], random)
        }
        Stage::Members => change_members(&mut w.members, random),
        Stage::Tail => change_members(&mut w.tail, random),
        Stage::Body => change_bytes(&mut w.body, random),
        Stage::Head => change_text(&mut w.head, random),
        Stage::Signatures if !w.line.is_empty() && random.one_in(2) => {
            let step = random.below(w.line.len());
            let file = random.below(w.line[step].files.len());
            match random.below(4) {
                0 => {
                    w.line[step].files.swap(0, file);
                    "was-exchanged"
                }
                1 => {
                    w.line[step].files.remove(file);
                    "was-removed"
                }
                _ => change_text(&mut w.line[step].files[file].1, random),
            }
        }
        Stage::Signatures => {
            let number = random.below(w.signatures.len());
            if random.one_in(5) {
                let mut name = w.signatures[number].0.clone().into_bytes();
                change_bytes(&mut name, random);
                w.signatures[number].0 = String::from_utf8_lossy(&name).into_owned();
                return "name";
            }
            change_text(&mut w.signatures[number].1, random)
        }
        Stage::TailTar => change_bytes(&mut w.tail_tar, random),
        Stage::Frames => {
            let frame = random.below(w.frames.len());
            change_bytes(&mut w.frames[frame].packed, random)
        }
        Stage::Entries => {
            let (entry, by) = (random.below(w.entries.len()), random.below(1000) as u32);
            if random.one_in(2) {
                w.entries[entry].0 ^= by
            } else {
                w.entries[entry].1 ^= by
            }
            "entry"
        }
        Stage::Table => change_bytes(&mut w.table, random),
        Stage::File => change_bytes(&mut w.file, random),
    }
}

fn change_articles(w: &mut Work, random: &mut Random) -> &'static str {
    let (one, two) = (random.below(w.articles.len()), random.below(w.articles.len()));
    match random.below(6) {
        0 => {
            w.articles.swap(one, two);
            "articles-exchanged"
        }
        1 => {
            let again = w.articles[one].clone();
            w.articles.push(again);
            "article-repeated"
        }
        2 => {
            change_bytes(&mut w.articles[one].path, random);
            "path"
        }
        3 => {
            let file = random.below(w.articles[one].files.len());
            change_bytes(&mut w.articles[one].files[file].0, random);
            "name"
        }
        4 => {
            let file = random.below(w.articles[one].files.len());
            change_text(&mut w.articles[one].files[file].1, random)
        }
        _ => {
            let file = random.below(w.articles[one].files.len());
            w.articles[one].files.remove(file);
            "file-removed"
        }
    }
}

fn change_members(members: &mut Vec<Member>, random: &mut Random) -> &'static str {
    let (one, two) = (random.below(members.len()), random.below(members.len()));
    match random.below(7) {
        0 => {
            members.swap(one, two);
            "members-exchanged"
        }
        1 => {
            let again = members[one].clone();
            members.insert(two, again);
            "member-repeated"
        }
        2 => {
            members.remove(one);
            "member-removed"
        }
        3 => {
            change_bytes(&mut members[one].path, random);
            "member-path"
        }
        4 => {
            let mut header = members[one].canonical_header();
            let at = header.len() - BLOCK + random.below(BLOCK);
            header[at] ^= 1 << random.below(8);
            seal(&mut header);
            members[one].header = Some(header);
            "member-header"
        }
        5 => {
            let bytes = members[two].bytes.clone();
            members[one].bytes = bytes;
            "member-bytes-of-another"
        }
        _ => {
            change_text(&mut members[one].bytes, random);
            "member-bytes"
        }
    }
}
