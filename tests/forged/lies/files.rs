//! The tar: the headers of its members, what stands between and behind them, and which members there are.

use super::super::forge::{Stage, Work, hex, sha256};
use super::super::tar::{BLOCK, Member, block, header, pax, record, seal};
use super::super::zframe::Frame;
use super::{Expect, Table};

const TAR: &[&str] = &["tar"];

/// Changes of one field, each with a fitting checksum.
const FIELDS: &[(&str, usize, &[u8])] = &[
    ("mode", 100, b"0000755\0"),
    ("mode-spaces", 100, b"000644 \0"),
    ("uid", 108, b"0000001\0"),
    ("gid", 116, b"0001750\0"),
    ("mtime", 136, b"00000000001\0"),
    ("mtime-space", 136, b"00000000000 "),
    ("type-nul", 156, b"\0"),
    ("type-hard-link", 156, b"1"),
    ("type-symbolic-link", 156, b"2"),
    ("type-device", 156, b"3"),
    ("type-folder", 156, b"5"),
    ("type-contiguous", 156, b"7"),
    ("type-global", 156, b"g"),
    ("type-long-name", 156, b"L"),
    ("type-sparse", 156, b"S"),
    ("link-name", 157, b"/etc/passwd"),
    ("link-name-last-byte", 256, b"x"),
    ("magic-gnu", 257, b"ustar  \0"),
    ("magic-none", 257, b"\0\0\0\0\0\0\0\0"),
    ("version", 263, b"01"),
    ("owner", 265, b"root"),
    ("group", 297, b"root"),
    ("device-major", 329, b"0000001\0"),
    ("device-minor", 337, b"\0\0\0\0\0\0\0\0"),
    ("name-after-its-end", 98, b"x"),
    ("prefix-last-byte", 499, b"x"),
    ("prefix-first-byte", 345, b"x"),
    ("last-bytes", 508, b"junk"),
    ("byte-500", 500, b"\x01"),
];
/// The members whose headers are changed, before the last frame and in it.
const BODY: &[&str] = &["data/a/z.txt", "data/d/article.toml", "manifest-sha256.txt", "index/0"];
const TAIL: &[&str] =
    &["bagit.txt", "bag-info.txt", "/manifest.toml", "tagmanifest-sha256.txt", ".minisig", "index/head"];

pub(super) fn tell(t: &mut Table) {
    headers(t);
    sizes_and_names(t);
    between(t);
    members(t);
    foreign(t);
}

fn member<'a>(w: &'a mut Work, stage: Stage, ending: &str) -> &'a mut Member {
    let all = if stage == Stage::Tail { &mut w.tail } else { &mut w.members };
    all.iter_mut().find(|member| member.path.ends_with(ending.as_bytes())).expect("the member is there")
}

fn headers(t: &mut Table) {
    let places = BODY.iter().map(|name| (Stage::Members, *name)).chain(TAIL.iter().map(|name| (Stage::Tail, *name)));
    for (stage, ending) in places {
        let short = ending.trim_matches(['/', '.']).replace('/', "-");
        for &(name, at, bytes) in FIELDS {
            let change = move |w: &mut Work| {
                let member = member(w, stage, ending);
                let mut header = member.canonical_header();
                header[at..at + bytes.len()].copy_from_slice(bytes);
                seal(&mut header);
                member.header = Some(header);
            };
            // In the last frame a member of another name is another member.
            let codes = if stage == Stage::Tail {
                &[][..]
            } else if name == "prefix-first-byte" {
                &["tar", "top-folder", "extra"]
            } else {
                TAR
            };
            t.no(format!("tar-{short}-{name}"), codes, stage, change);
        }
        let raw: &[(&str, usize, &[u8])] = &[
            ("checksum", 153, b"7"),
            ("checksum-space-first", 154, b" \0"),
            ("checksum-nuls", 154, b"\0\0"),
            ("checksum-zero", 148, b"000000\0 "),
        ];
        for &(name, at, bytes) in raw {
            t.no(format!("tar-{short}-{name}"), if stage == Stage::Tail { &[] } else { TAR }, stage, move |w| {
                let member = member(w, stage, ending);
                let mut header = member.canonical_header();
                if header[at] == bytes[0] {
                    header[at] = b'6';
                } else {
                    header[at..at + bytes.len()].copy_from_slice(bytes);
                }
                member.header = Some(header);
            });
        }
        t.no(format!("tar-{short}-padding"), if stage == Stage::Tail { &[] } else { TAR }, stage, move |w| {
            let member = member(w, stage, ending);
            let len = super::super::tar::padding(member.bytes.len());
            let mut padding = vec![0; len];
            padding[len - 1] = 1;
            member.padding = Some(padding);
        });
        t.no(format!("tar-{short}-a-block-more"), if stage == Stage::Tail { &[] } else { TAR }, stage, move |w| {
            let member = member(w, stage, ending);
            let len = super::super::tar::padding(member.bytes.len());
            member.padding = Some(vec![0; len + BLOCK]);
        });
    }
}

fn sizes_and_names(t: &mut Table) {
    type Change = fn(&mut Member);
    type Form = fn(&Member) -> Vec<u8>;
    fn sealed(member: &mut Member, at: usize, bytes: &[u8]) {
        let mut header = member.canonical_header();
        let start = header.len() - BLOCK + at;
        header[start..start + bytes.len()].copy_from_slice(bytes);
        seal(&mut header);
        member.header = Some(header);
    }
    let size: &[(&str, Change)] = &[
        ("one-more", |m| sealed(m, 124, format!("{:011o}", m.bytes.len() + 1).as_bytes())),
        ("one-less", |m| sealed(m, 124, format!("{:011o}", m.bytes.len() - 1).as_bytes())),
        ("a-block-more", |m| sealed(m, 124, format!("{:011o}", m.bytes.len() + BLOCK).as_bytes())),
        ("zero", |m| sealed(m, 124, b"00000000000")),
        ("huge", |m| sealed(m, 124, b"77777777777")),
        ("spaces", |m| sealed(m, 124, format!("{:>11o}", m.bytes.len()).as_bytes())),
        ("space-last", |m| sealed(m, 124, format!("{:011o} ", m.bytes.len()).as_bytes())),
        ("twelve-digits", |m| sealed(m, 124, format!("{:012o}", m.bytes.len()).as_bytes())),
        ("binary", |m| sealed(m, 124, &[&[0x80][..], &[0; 3], &(m.bytes.len() as u64).to_be_bytes()].concat())),
        ("letters", |m| sealed(m, 124, b"0000000x000")),
        ("name-of-another", |m| sealed(m, 0, b"forged/data/a/y")),
        ("name-out-of-the-folder", |m| sealed(m, 0, b"../../../x/y/z")),
        ("name-absolute", |m| sealed(m, 0, b"/orged")),
        ("needless-pax", |m| {
            m.header = Some([pax(&record(b"path", &m.path)), m.canonical_header()].concat());
        }),
        ("needless-pax-size", |m| {
            let size = record(b"size", m.bytes.len().to_string().as_bytes());
            m.header = Some([pax(&size), m.canonical_header()].concat());
        }),
        ("pax-of-another-path", |m| {
            m.header = Some([pax(&record(b"path", b"forged/data/x")), m.canonical_header()].concat())
        }),
        ("pax-of-time", |m| m.header = Some([pax(&record(b"mtime", b"1")), m.canonical_header()].concat())),
        ("pax-empty", |m| m.header = Some([pax(b""), m.canonical_header()].concat())),
        ("pax-of-megabytes", |m| {
            m.header = Some([pax(&record(b"comment", &vec![b'x'; 3 << 20])), m.canonical_header()].concat())
        }),
        ("pax-many", |m| m.header = Some([pax(&record(b"mtime", b"1")).repeat(3000), m.canonical_header()].concat())),
        ("pax-global", |m| {
            let mut global = pax(&record(b"mtime", b"1"));
            global[156] = b'g';
            seal(&mut global[..BLOCK]);
            m.header = Some([global, m.canonical_header()].concat());
        }),
        ("needless-prefix", |m| {
            let at = m.path.iter().rposition(|&byte| byte == b'/').expect("a slash");
            m.header = Some(block(&m.path[..at], &m.path[at + 1..], m.bytes.len() as u64, b'0'));
        }),
    ];
    for &(name, change) in size {
        for ending in ["data/a/z.txt", "data/d/article.toml", "manifest-sha256.txt", "index/0"] {
            let codes: &[&str] =
                if name == "name-out-of-the-folder" || name == "name-absolute" || name == "name-of-another" {
                    &["tar", "top-folder", "extra", "missing", "checksums", "index"]
                } else {
                    &["tar", "index", "truncated", "missing", "extra", "over-limit", "content", "checksums"]
                };
            t.no(format!("tar-{}-size-or-name-{name}", ending.replace('/', "-")), codes, Stage::Members, move |w| {
                change(member(w, Stage::Members, ending));
            });
        }
        t.no(format!("tar-tail-size-or-name-{name}"), &[], Stage::Tail, move |w| {
            change(member(w, Stage::Tail, "bag-info.txt"))
        });
    }
    // Headers that need a pax record or a prefix, and get another form.
    let long = "l".repeat(150);
    let deep = format!("{}/{}", "d".repeat(90), "e".repeat(90));
    for (name, file) in [("long", long), ("deep", deep), ("wide", "é".to_owned())] {
        let forms: &[(&str, Form)] = &[
            ("two-records", |m| {
                let path = record(b"path", &m.path);
                [pax(&[&path[..], &path].concat()), header(&m.path, m.bytes.len() as u64)[BLOCK..].to_vec()].concat()
            }),
            ("record-of-size", |m| {
                let records =
                    [record(b"path", &m.path), record(b"size", m.bytes.len().to_string().as_bytes())].concat();
                [pax(&records), block(b"", b"forged/data/n/x", m.bytes.len() as u64, b'0')].concat()
            }),
            ("record-length-off", |m| {
                let mut path = record(b"path", &m.path);
                path[0] += 1;
                [pax(&path), block(b"", b"forged/data/n/x", m.bytes.len() as u64, b'0')].concat()
            }),
            ("name-not-cut", |m| {
                [pax(&record(b"path", &m.path)), block(b"", b"x", m.bytes.len() as u64, b'0')].concat()
            }),
            ("cut-without-pax", |m| {
                let name: Vec<u8> = m.path.iter().take(100).copied().collect();
                block(b"", &name, m.bytes.len() as u64, b'0')
            }),
            ("long-link", |m| {
                let mut link = block(b"", b"././@LongLink", m.path.len() as u64 + 1, b'L');
                link.extend(&m.path);
                link.resize(link.len().next_multiple_of(BLOCK), 0);
                [link, block(b"", &m.path[..m.path.len().min(100)], m.bytes.len() as u64, b'0')].concat()
            }),
            ("latest-slash", |m| {
                let slash = m.path.iter().rposition(|&byte| byte == b'/').expect("a slash");
                let (prefix, name) = (&m.path[..slash.min(155)], &m.path[slash + 1..]);
                block(prefix, &name[..name.len().min(100)], m.bytes.len() as u64, b'0')
            }),
        ];
        for &(form, make) in forms {
            // The deep path has but one slash at which it can be split, so this is its honest form.
            if name == "deep" && form == "latest-slash" {
                continue;
            }
            let file = file.clone();
            let add = move |w: &mut Work| {
                w.articles.push(super::super::forge::Article::bare("n").file(&file, "x"));
            };
            let codes = Expect::No(&["tar", "top-folder", "extra", "missing"]);
            t.add_two(
                format!("tar-{name}-path-{form}"),
                codes,
                (Stage::Input, add),
                (Stage::Members, move |w: &mut Work| {
                    let place = w.members.iter_mut().find(|member| {
                        member.path.starts_with(b"forged/data/n/") && !member.path.ends_with(b"article.toml")
                    });
                    let place = place.expect("it was added");
                    place.header = Some(make(place));
                }),
            );
        }
    }
}

fn between(t: &mut Table) {
    t.no("tar-blocks-of-zeros-first", TAR, Stage::Body, |w| {
        w.body.splice(..0, [0; BLOCK]);
    });
    t.no("tar-end-in-the-middle", &["tar", "index"], Stage::Members, |w| {
        w.members[2].padding = Some(vec![0; 3 * BLOCK])
    });
    t.no("tar-end-before-the-last-frame", TAR, Stage::Body, |w| w.body.extend([0; 2 * BLOCK]));
    t.no("tar-junk-before-the-last-frame", &[], Stage::Body, |w| w.body.extend([b'x'; BLOCK]));
    t.no("tar-body-short", &[], Stage::Body, |w| w.body.truncate(w.body.len() - BLOCK));
    t.no("tar-body-short-by-one", &[], Stage::Body, |w| {
        w.body.pop();
    });
    for (name, len) in [
        ("none", 0_usize),
        ("one-block", 512),
        ("three-blocks", 1536),
        ("a-byte-less", 1023),
        ("a-byte-more", 1025),
        ("twenty-blocks", 10_240),
        ("megabytes", 5 << 20),
    ] {
        t.no(format!("tar-end-{name}"), TAR, Stage::TailTar, move |w| {
            w.tail_tar.truncate(w.tail_tar.len() - 1024);
            w.tail_tar.resize(w.tail_tar.len() + len, 0);
        });
    }
    for at in [1_usize, 512, 1024] {
        t.no(format!("tar-end-not-zero-{at}"), TAR, Stage::TailTar, move |w| {
            let place = w.tail_tar.len() - at;
            w.tail_tar[place] = 1;
        });
    }
    t.no("tar-member-after-the-end", TAR, Stage::TailTar, |w| {
        let mut more = Vec::new();
        Member::new(w.below("data/a/evil.txt"), "evil").encode(&mut more);
        more.extend([0; 1024]);
        w.tail_tar.extend(more);
    });
}

fn members(t: &mut Table) {
    let extra: &[&str] = &["extra", "tar"];
    for (name, path, at) in [
        ("file", "data/a/y.txt", 0_usize),
        ("file-later", "data/a/zz.txt", 3),
        ("metadata", "data/a/x/article.toml", 6),
        ("after-the-list", "data/a/late.txt", 11),
        ("file-of-a-member-twice", "data/a/z.txt", 4),
        ("tag-file", "fetch.txt", 10),
        ("list-of-sha512", "manifest-sha512.txt", 11),
    ] {
        t.no(format!("member-more-{name}"), extra, Stage::Members, move |w| {
            let path = w.below(path);
            w.members.insert(at, Member::new(path, "more"));
        });
    }
    t.no("member-outside", &["top-folder", "extra", "tar"], Stage::Members, |w| {
        w.members.insert(2, Member::new("evil", "x"))
    });
    t.no("member-of-another-folder", &["top-folder"], Stage::Members, |w| {
        w.members[1].path = [b"others/", &w.members[1].path[7..]].concat();
    });
    t.no("all-members-of-another-folder", &["top-folder"], Stage::Members, |w| {
        for member in &mut w.members {
            member.path = [b"others/", &member.path[7..]].concat();
        }
    });
    t.no("top-folder-of-more-parts", &["top-folder", "tar", "extra", "checksums"], Stage::Members, |w| {
        for member in &mut w.members {
            member.path = [b"forged/", &member.path[..]].concat();
        }
    });
    t.no("top-folder-absent", &["top-folder", "tar", "extra", "checksums"], Stage::Members, |w| {
        for member in &mut w.members {
            member.path.drain(..7);
        }
    });
    for at in [0_usize, 3, 5, 6, 9] {
        t.no(format!("member-absent-{at}"), &["missing", "tar", "index", "content"], Stage::Members, move |w| {
            w.members.remove(at);
        });
    }
    t.no("list-absent", &["checksums", "tar", "index", "missing"], Stage::Members, |w| {
        w.members.remove(10);
    });
    for (one, other) in [(0_usize, 1_usize), (4, 5), (5, 6), (6, 7), (9, 10), (10, 11)] {
        t.no(format!("members-exchanged-{one}-{other}"), &["tar", "index", "checksums"], Stage::Members, move |w| {
            w.members.swap(one, other);
        });
    }
    t.no("metadata-before-content", &["tar", "index"], Stage::Members, |w| w.members[..10].rotate_left(6));
    t.no("folders-of-members", &["tar", "extra"], Stage::Members, |w| {
        let path = w.below("data/");
        let mut folder = Member::new(path, "");
        let mut header = folder.canonical_header();
        header[156] = b'5';
        seal(&mut header);
        folder.header = Some(header);
        w.members.insert(0, folder);
    });
    t.no("link-out-of-the-folder", &["tar", "extra"], Stage::Members, |w| {
        let mut link = Member::new(w.below("data/a/link"), "");
        let mut header = link.canonical_header();
        header[156] = b'2';
        header[157..168].copy_from_slice(b"/etc/passwd");
        seal(&mut header);
        link.header = Some(header);
        w.members.insert(0, link);
    });
    for (name, change) in [
        ("first-byte", (|bytes| bytes[0] ^= 1) as fn(&mut Vec<u8>)),
        ("last-byte", |bytes| *bytes.last_mut().expect("not empty") ^= 0x80),
        ("shorter", |bytes| {
            bytes.pop();
        }),
        ("longer", |bytes| bytes.push(b'\n')),
        ("much-longer", |bytes| bytes.extend([b'x'; 5000])),
        ("empty", Vec::clear),
    ] {
        for at in [0_usize, 3, 5, 6, 9] {
            if at == 3 && name != "longer" {
                continue;
            }
            t.no(format!("content-{name}-{at}"), &["content", "tar", "index"], Stage::Members, move |w| {
                if !w.members[at].bytes.is_empty() || name == "longer" {
                    change(&mut w.members[at].bytes);
                } else {
                    w.members[at].bytes.push(b'x');
                }
            });
        }
    }
    t.no("contents-exchanged", &["content", "tar", "index"], Stage::Members, |w| {
        let bytes = w.members[0].bytes.clone();
        w.members[0].bytes = std::mem::replace(&mut w.members[1].bytes, bytes);
    });
    tail_members(t);
}

fn tail_members(t: &mut Table) {
    for at in 0_usize..6 {
        t.no(format!("tail-member-absent-{at}"), &[], Stage::Tail, move |w| {
            w.tail.remove(at);
        });
        t.no(format!("tail-member-twice-{at}"), &[], Stage::Tail, move |w| w.tail.insert(at, w.tail[at].clone()));
        if at < 5 {
            t.no(format!("tail-members-exchanged-{at}"), &[], Stage::Tail, move |w| w.tail.swap(at, at + 1));
        }
        t.no(format!("tail-member-more-{at}"), &["extra", "tar"], Stage::Tail, move |w| {
            let path = w.below("more.txt");
            w.tail.insert(at + 1, Member::new(path, "more"));
        });
        t.no(format!("tail-member-outside-{at}"), &[], Stage::Tail, move |w| {
            w.tail[at].path = [b"others/", &w.tail[at].path[7..]].concat();
        });
    }
    t.no("tail-data", &[], Stage::Tail, |w| {
        let path = w.below("data/a/evil.txt");
        w.tail.insert(1, Member::new(path, "evil"));
    });
    t.no("tail-of-only-zeros", &[], Stage::TailTar, |w| w.tail_tar = vec![0; 1024]);
    t.no("tail-manifest-exchanged", &[], Stage::Tail, |w| {
        let at = w.tail.iter().position(|member| member.path.ends_with(b"/manifest.toml")).expect("the manifest");
        let other = hex(&sha256(b"x"));
        w.tail[at].bytes =
            String::from_utf8_lossy(&w.tail[at].bytes).replace(&hex(&sha256(&w.list)), &other).into_bytes();
    });
}

/// The honest frames of another bundle by the same key, whose list may now come out too.
fn other_bundle(w: &mut Work) -> Vec<Frame> {
    let mut other = Work::new();
    other.articles.truncate(2);
    other.articles[0].files[1].1 = b"of another bundle\n".to_vec();
    let kept = std::cell::RefCell::new(Vec::new());
    let forged = other.make(&|stage, work| {
        if stage == Stage::Frames {
            kept.replace(work.frames.clone());
        }
    });
    w.also_signed.extend(forged.lists);
    kept.into_inner()
}

/// Bundles whose ends or beginnings are those of others.
fn foreign(t: &mut Table) {
    t.no("foreign-tail-appended", &[], Stage::Frames, |w| {
        let tail = other_bundle(w).pop();
        w.frames.extend(tail);
    });
    t.no("foreign-tail", &[], Stage::Frames, |w| {
        let tail = other_bundle(w).pop().expect("a tail");
        *w.frames.last_mut().expect("a tail") = tail;
    });
    t.no("foreign-body", &[], Stage::Frames, |w| w.frames[0] = other_bundle(w).swap_remove(0));
    t.no("foreign-body-first", &[], Stage::Frames, |w| {
        let body = other_bundle(w).swap_remove(0);
        w.frames.insert(0, body);
    });
    t.no("foreign-body-between", &[], Stage::Frames, |w| {
        let body = other_bundle(w).swap_remove(0);
        w.frames.insert(1, body);
    });
    t.no("foreign-bundle-first", &[], Stage::Frames, |w| {
        let other = other_bundle(w);
        w.frames.splice(..0, other);
    });
    t.no("foreign-bundle-behind", &[], Stage::Frames, |w| {
        let other = other_bundle(w);
        w.frames.extend(other);
    });
    t.no("tail-twice", &[], Stage::Frames, |w| w.frames.extend(w.frames.last().cloned()));
    t.no("body-twice", &[], Stage::Frames, |w| w.frames.insert(0, w.frames[0].clone()));
    t.no("tail-first", &[], Stage::Frames, |w| w.frames.rotate_right(1));
    t.no("tail-only", &[], Stage::Frames, |w| {
        w.frames.remove(0);
    });
    t.no("body-only", &[], Stage::Frames, |w| {
        w.frames.pop();
    });
    t.no("foreign-file-behind", &["table", "frame", "tar"], Stage::File, |w| {
        let other = w.clone().file;
        w.file.extend(other);
    });
}
