//! The checksum list, the one order, the article tree, the times and the index.

use super::super::forge::{Article, Stage, Work, hex, sha256};
use super::{Expect, Table, replace_once};

const CHECKSUMS: &[&str] = &["checksums"];
const INDEX: &[&str] = &["index"];

pub(super) fn tell(t: &mut Table) {
    order(t);
    list(t);
    tree(t);
    times(t);
    pieces(t);
    head(t);
}

/// The lines of a text, each with its line feed.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Wrong orders, of which list, tree, tar and index all tell the same.
fn order(t: &mut Table) {
    for (one, other) in [(0_usize, 1_usize), (1, 2), (2, 3), (0, 3)] {
        t.no(format!("order-articles-{one}-{other}"), CHECKSUMS, Stage::Order, move |w| w.articles.swap(one, other));
    }
    t.no("order-articles-reversed", CHECKSUMS, Stage::Order, |w| w.articles.reverse());
    t.no("order-files", CHECKSUMS, Stage::Order, |w| w.articles[0].files.swap(0, 1));
    t.no("order-metadata-last", CHECKSUMS, Stage::Order, |w| w.articles[1].files.reverse());
    t.no("order-by-path-bytes", CHECKSUMS, Stage::Order, |w| {
        // By the bytes of the paths of the articles, without a slash behind them.
        w.articles.sort_by(|a, b| a.path.cmp(&b.path));
    });
    t.no("order-by-whole-paths", CHECKSUMS, Stage::Input, |w| {
        w.articles = vec![Article::bare("a").file("z.txt", "z"), Article::new("a/b")];
    });
    // The files in the order of their whole paths put the inner article between the files of the outer one.
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w: &mut Work| w.articles = vec![Article::bare("a").file("z.txt", "z"), Article::new("a/b")]),
        (Stage::Order, |w: &mut Work| {
            let late = w.articles[0].files.pop().expect("the last file");
            w.articles.push(Article { path: b"a".to_vec(), id: None, files: vec![late] });
        }),
    );
    t.no("order-by-parts", CHECKSUMS, Stage::Input, |_| ());
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w: &mut Work| w.articles.push(Article::new("a/b!"))),
        (Stage::Order, |w: &mut Work| {
            w.articles.sort_by_key(|article| {
                article.path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>()
            });
        }),
    );
}

fn list(t: &mut Table) {
    // The lie is in the text alone; digest and signature fit it.
    for (name, from, to) in [
        ("one-space", "  data/d/d.txt", " data/d/d.txt"),
        ("star", "  data/d/d.txt", " *data/d/d.txt"),
        ("tab", "  data/d/d.txt", "\tdata/d/d.txt"),
        ("three-spaces", "  data/d/d.txt", "   data/d/d.txt"),
        ("without-data", "  data/d/d.txt", "  d/d.txt"),
        ("other-folder", "  data/d/d.txt", "  Data/d/d.txt"),
        ("dot-slash", "  data/d/d.txt", "  ./data/d/d.txt"),
        ("crlf", "data/d/d.txt\n", "data/d/d.txt\r\n"),
        ("blank-line", "data/d/d.txt\n", "data/d/d.txt\n\n"),
        ("comment", "data/d/d.txt\n", "data/d/d.txt\n# more\n"),
        ("line-gone", "\n", "\n"),
    ] {
        if name == "line-gone" {
            continue;
        }
        t.no(format!("list-{name}"), &["checksums", "path"], Stage::List, move |w| replace_once(&mut w.list, from, to));
    }
    t.no("list-empty", &["checksums", "manifest"], Stage::List, |w| w.list.clear());
    t.no("list-without-last-line-feed", CHECKSUMS, Stage::List, |w| {
        w.list.pop();
    });
    t.no("list-upper-case", CHECKSUMS, Stage::List, |w| w.list[..64].make_ascii_uppercase());
    t.no("list-no-hex", CHECKSUMS, Stage::List, |w| w.list[5] = b'g');
    t.no("list-escaped", &["checksums", "path"], Stage::List, |w| w.list.insert(0, b'\\'));
    t.no("list-byte-order-mark", CHECKSUMS, Stage::List, |w| {
        w.list.splice(..0, *b"\xef\xbb\xbf");
    });
    t.no("list-digest-short", CHECKSUMS, Stage::List, |w| {
        w.list.remove(3);
    });
    t.no("list-other-digest", &["content"], Stage::Lines, |w| {
        let other = hex(&sha256(b"other"));
        w.lines[0][1][..64].copy_from_slice(other.as_bytes());
    });
    for (name, at) in [("content", 1_usize), ("metadata", 0)] {
        t.no(
            format!("list-without-{name}"),
            &["extra", "tar", "path", "manifest", "metadata"],
            Stage::Lines,
            move |w| {
                w.lines[3].remove(at);
            },
        );
        t.no(format!("list-with-more-{name}"), &["missing", "tar", "manifest", "checksums"], Stage::Lines, move |w| {
            let file = if at == 1 { "data/e/e.txt" } else { "data/e/article.toml" };
            w.lines[3].push(format!("{}  {file}\n", hex(&sha256(b"x"))).into_bytes());
        });
    }
    t.no("list-lines-exchanged", CHECKSUMS, Stage::List, |w| {
        let mut all = lines(&w.list);
        all.swap(0, 1);
        w.list = all.concat();
    });
    t.no("list-of-huge-line", &["checksums", "path", "over-limit"], Stage::List, |w| {
        w.list.splice(66..66, std::iter::repeat_n(b'x', 3 << 20));
    });
    t.no("list-of-line-feeds", &["checksums", "over-limit"], Stage::List, |w| w.list = vec![b'\n'; 4 << 20]);
    t.no("list-exchanged-after-signing", CHECKSUMS, Stage::Members, |w| {
        let place =
            w.members.iter_mut().find(|member| member.path.ends_with(b"manifest-sha256.txt")).expect("the list");
        let other = hex(&sha256(b"other"));
        place.bytes[..64].copy_from_slice(other.as_bytes());
    });
}

fn tree(t: &mut Table) {
    let codes: &[&str] = &["tree", "index"];
    t.no("root-off", codes, Stage::Root, |w| w.root[31] ^= 1);
    t.no("leaf-of-another-id", codes, Stage::Leaves, |w| w.leaves[0].0 = b"others".to_vec());
    t.no("leaf-of-path-where-there-is-an-id", codes, Stage::Leaves, |w| w.leaves[3].0 = b"d".to_vec());
    t.no("leaf-of-other-lines", codes, Stage::Leaves, |w| w.leaves[0].1.push(b'\n'));
    t.no("leaf-lines-without-last-line-feed", codes, Stage::Leaves, |w| {
        w.leaves[0].1.pop();
    });
    t.no("leaves-exchanged", codes, Stage::Leaves, |w| w.leaves.swap(0, 1));
    t.no("leaf-absent", codes, Stage::Leaves, |w| {
        w.leaves.pop();
    });
    t.no("leaf-twice", codes, Stage::Leaves, |w| w.leaves.push(w.leaves[3].clone()));
    t.no("root-of-a-node-without-its-byte", codes, Stage::Root, |w| {
        // A tree whose leaves and nodes are hashed alike.
        let leaf = |(id, lines): &(Vec<u8>, Vec<u8>)| sha256(&[&[0][..], &sha256(id), &sha256(lines)].concat());
        let hashes: Vec<_> = w.leaves.iter().map(leaf).collect();
        let node = |a: &[u8; 32], b: &[u8; 32]| sha256(&[&a[..], b].concat());
        w.root = node(&node(&hashes[0], &hashes[1]), &node(&hashes[2], &hashes[3]));
    });
    t.no("root-of-an-even-tree", codes, Stage::Input, |w| w.articles.push(Article::new("e")));
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w: &mut Work| w.articles.push(Article::new("e"))),
        (Stage::Root, |w: &mut Work| {
            // Five leaves split in the middle, not at the power of two.
            let leaf = |(id, lines): &(Vec<u8>, Vec<u8>)| sha256(&[&[0][..], &sha256(id), &sha256(lines)].concat());
            let h: Vec<_> = w.leaves.iter().map(leaf).collect();
            let node = |a: &[u8; 32], b: &[u8; 32]| sha256(&[&[1][..], a, b].concat());
            w.root = node(&node(&h[0], &h[1]), &node(&h[2], &node(&h[3], &h[4])));
        }),
    );
}

fn times(t: &mut Table) {
    const TIMES: &[&str] = &["tag-file", "tar", "extra", "missing"];
    let timed = |w: &mut Work| w.timed = true;
    t.yes("times", Stage::Input, timed);
    t.add_two(
        "times-of-few",
        Expect::Yes,
        (Stage::Input, timed),
        (Stage::Times, |w: &mut Work| {
            w.times = lines(&w.times).into_iter().step_by(3).collect::<Vec<_>>().concat();
        }),
    );
    t.add_two("times-empty", Expect::Yes, (Stage::Input, timed), (Stage::Times, |w: &mut Work| w.times.clear()));
    for (name, from, to) in [
        ("eight-decimals", "00.120000000Z  data/a-c/t.txt", "00.12000000Z  data/a-c/t.txt"),
        ("no-decimals", "00.120000000Z  data/a-c/t.txt", "00Z  data/a-c/t.txt"),
        ("small-z", "00.120000000Z  data/a-c/t.txt", "00.120000000z  data/a-c/t.txt"),
        ("offset", "00.120000000Z  data/a-c/t.txt", "00.120000000+00:00  data/a-c/t.txt"),
        ("one-space", "Z  data/a-c/t.txt", "Z data/a-c/t.txt"),
        ("without-data", "  data/a-c/t.txt", "  a-c/t.txt"),
        ("unknown-file", "data/a-c/t.txt", "data/a-c/u.txt"),
        ("carriage-return", "data/a-c/t.txt\n", "data/a-c/t.txt\r\n"),
        ("blank-line", "data/a-c/t.txt\n", "data/a-c/t.txt\n\n"),
        ("letters", "09:12:00.120000000Z  data/a-c/t.txt", "09:12:xx.120000000Z  data/a-c/t.txt"),
    ] {
        let change = move |w: &mut Work| replace_once(&mut w.times, from, to);
        t.add_two(format!("times-{name}"), Expect::No(TIMES), (Stage::Input, timed), (Stage::Times, change));
    }
    for (name, from, to) in [
        (
            "month-13",
            "2026-03-01T09:12:00.120000000Z  data/a-c/t.txt",
            "2026-13-01T09:12:00.120000000Z  data/a-c/t.txt",
        ),
        (
            "day-30-of-february",
            "2026-03-01T09:12:00.120000000Z  data/a-c/t.txt",
            "2026-02-30T09:12:00.120000000Z  data/a-c/t.txt",
        ),
        ("hour-24", "T09:12:00.120000000Z  data/a-c/t.txt", "T24:00:00.120000000Z  data/a-c/t.txt"),
        ("second-60", "09:12:00.120000000Z  data/a-c/t.txt", "09:12:60.120000000Z  data/a-c/t.txt"),
        (
            "year-0000",
            "2026-03-01T09:12:00.120000000Z  data/a-c/t.txt",
            "0000-03-01T09:12:00.120000000Z  data/a-c/t.txt",
        ),
        (
            "year-9999",
            "2026-03-01T09:12:00.120000000Z  data/a-c/t.txt",
            "9999-12-31T23:59:59.999999999Z  data/a-c/t.txt",
        ),
        (
            "year-1901",
            "2026-03-01T09:12:00.120000000Z  data/a-c/t.txt",
            "1901-03-01T09:12:00.120000000Z  data/a-c/t.txt",
        ),
    ] {
        let expect = if name.starts_with("year") && name != "year-0000" { Expect::Yes } else { Expect::No(TIMES) };
        let change = move |w: &mut Work| replace_once(&mut w.times, from, to);
        t.add_two(format!("times-{name}"), expect, (Stage::Input, timed), (Stage::Times, change));
    }
    let no = || Expect::No(TIMES);
    t.add_two(
        "times-exchanged",
        no(),
        (Stage::Input, timed),
        (Stage::Times, |w: &mut Work| {
            let mut all = lines(&w.times);
            all.swap(2, 3);
            w.times = all.concat();
        }),
    );
    t.add_two(
        "times-twice",
        no(),
        (Stage::Input, timed),
        (Stage::Times, |w: &mut Work| {
            let mut all = lines(&w.times);
            all.insert(2, all[2].clone());
            w.times = all.concat();
        }),
    );
    t.add_two(
        "times-without-last-line-feed",
        no(),
        (Stage::Input, timed),
        (Stage::Times, |w: &mut Work| {
            w.times.pop();
        }),
    );
    t.add_two(
        "times-of-another-digest",
        no(),
        (Stage::Input, timed),
        (Stage::Fields, |w: &mut Work| {
            let digest = format!("\"sha256:{}\"", hex(&sha256(b"other")));
            w.put("times", &digest);
        }),
    );
    t.add_two(
        "times-not-named",
        no(),
        (Stage::Input, timed),
        (Stage::Fields, |w: &mut Work| {
            w.fields.retain(|(key, _)| key != "times");
        }),
    );
    t.no("times-named-and-absent", TIMES, Stage::Fields, |w| {
        let digest = format!("\"sha256:{}\"", hex(&sha256(b"")));
        w.put("times", &digest);
    });
    t.add_two(
        "times-of-generated-metadata",
        Expect::Yes,
        (Stage::Input, |w: &mut Work| {
            w.timed = true;
            w.articles.push(Article::new("zz").metadata("# generated by vellum derive/1\ntitle = \"A\"\n"));
        }),
        (Stage::Times, |w: &mut Work| {
            // The honest writer gave it none; the line before its document's is put in.
            let mut all = lines(&w.times);
            all.insert(all.len() - 1, b"2026-03-01T09:12:44.120000000Z  data/zz/article.toml\n".to_vec());
            w.times = all.concat();
        }),
    );
    t.yes("times-without-generated-metadata", Stage::Input, |w| {
        w.timed = true;
        w.articles.push(Article::new("zz").metadata("# generated by vellum derive/1\ntitle = \"A\"\n"));
    });
}

fn pieces(t: &mut Table) {
    let size = |line: &str, to: &str| {
        let (line, to) = (line.to_owned(), to.to_owned());
        move |w: &mut Work| replace_once(&mut w.pieces[0], &line, &to)
    };
    t.no("piece-size-off", INDEX, Stage::Pieces, size("700 ", "701 "));
    t.no("piece-size-off-by-blocks", INDEX, Stage::Pieces, size("700 ", "1212 "));
    t.no("piece-leading-zero", INDEX, Stage::Pieces, size("700 ", "0700 "));
    t.no("piece-two-spaces", INDEX, Stage::Pieces, size("700 ", "700  "));
    t.no("piece-huge-size", INDEX, Stage::Pieces, size("700 ", "18446744073709551615 "));
    t.no("piece-beyond-64-bits", INDEX, Stage::Pieces, size("700 ", "99999999999999999999999 "));
    t.no("piece-negative-size", INDEX, Stage::Pieces, size("700 ", "-700 "));
    t.no("piece-without-id", INDEX, Stage::Pieces, size("\tother", ""));
    t.no("piece-of-another-id", INDEX, Stage::Pieces, size("\tother", "\tothers"));
    t.no("piece-empty-id", INDEX, Stage::Pieces, size("\tother", "\t"));
    t.no("piece-id-after-space", INDEX, Stage::Pieces, size("\tother", " other"));
    t.no("piece-id-of-its-path", INDEX, Stage::Pieces, size("\tother\n", "\td\n"));
    t.no("piece-empty", INDEX, Stage::Pieces, |w| w.pieces[0].clear());
    t.no("piece-without-last-line-feed", INDEX, Stage::Pieces, |w| {
        w.pieces[0].pop();
    });
    t.no("piece-of-one-line-more", INDEX, Stage::Pieces, |w| w.pieces[0].extend(b"1 1\n"));
    t.no("piece-of-one-line-less", INDEX, Stage::Pieces, |w| {
        let mut all = lines(&w.pieces[0]);
        all.pop();
        w.pieces[0] = all.concat();
    });
    t.no("piece-lines-exchanged", INDEX, Stage::Pieces, |w| {
        let mut all = lines(&w.pieces[0]);
        all.swap(1, 2);
        w.pieces[0] = all.concat();
    });
    t.no("piece-names-id-that-is-the-path", INDEX, Stage::Pieces, |w| {
        let mut all = lines(&w.pieces[0]);
        all[0].pop();
        all[0].extend(b"\ta-c\n");
        w.pieces[0] = all.concat();
    });
    t.no("piece-of-megabytes", &["index", "over-limit", "tar"], Stage::Pieces, |w| w.pieces[0] = b"1 ".repeat(3 << 20));
    t.no("piece-more", &["index", "tar", "extra"], Stage::Pieces, |w| w.pieces.push(b"1 1\n".to_vec()));
    t.no("piece-absent", &["index", "tar", "missing"], Stage::Pieces, |w| w.pieces.clear());
    let many = |w: &mut Work| w.articles.extend((0..300).map(|n| Article::new(format!("m/{n}"))));
    t.add_two(
        "pieces-exchanged",
        Expect::No(INDEX),
        (Stage::Input, many),
        (Stage::Pieces, |w: &mut Work| {
            w.pieces.swap(0, 1);
        }),
    );
    t.add_two(
        "pieces-exchanged-with-names",
        Expect::No(&["index", "tar"]),
        (Stage::Input, many),
        (Stage::Members, |w: &mut Work| {
            let last = w.members.len() - 1;
            w.members.swap(last, last - 1);
        }),
    );
    t.add_two(
        "pieces-joined",
        Expect::No(&["index", "tar", "missing"]),
        (Stage::Input, many),
        (Stage::Pieces, |w: &mut Work| {
            w.pieces = vec![w.pieces.concat()];
        }),
    );
    t.add_two(
        "piece-cut-at-255",
        Expect::No(INDEX),
        (Stage::Input, many),
        (Stage::Pieces, |w: &mut Work| {
            let all = lines(&w.pieces.concat());
            w.pieces = vec![all[..255].concat(), all[255..].concat()];
        }),
    );
}

fn head(t: &mut Table) {
    for (name, number) in [("list", 1_usize), ("list-size", 2)] {
        for by in [1_i64, -1, 512, 1 << 40] {
            t.no(format!("head-{name}-off-by-{by}"), INDEX, Stage::Head, move |w| word(w, 1, number, by));
        }
    }
    for (name, number) in [("lines", 1_usize), ("content", 2), ("metadata", 3), ("piece", 4)] {
        for by in [1_i64, 512, i64::MAX / 2] {
            t.no(format!("head-block-{name}-off-by-{by}"), INDEX, Stage::Head, move |w| word(w, 2, number, by));
        }
    }
    for (name, from, to) in [
        ("version", "vellum-index/1", "vellum-index/2"),
        ("path", " a-c\n", " a\n"),
        ("path-empty", " a-c\n", " \n"),
        ("path-absent", " a-c\n", "\n"),
        ("path-below", " a-c\n", " a-c/\n"),
        ("two-spaces", "list ", "list  "),
        ("crlf", "vellum-index/1\n", "vellum-index/1\r\n"),
        ("blank-line", "vellum-index/1\n", "vellum-index/1\n\n"),
        ("ids-key", "ids ", "id "),
        ("ids-space", "ids ", "ids  "),
    ] {
        t.no(format!("head-{name}"), INDEX, Stage::Head, move |w| replace_once(&mut w.head, from, to));
    }
    t.no("head-hash-off", INDEX, Stage::Head, |w| {
        change_hash(w, |hash| hash[10] = if hash[10] == b'0' { b'1' } else { b'0' })
    });
    t.no("head-hash-upper-case", INDEX, Stage::Head, |w| change_hash(w, <[u8]>::make_ascii_uppercase));
    t.no("head-ids-off", INDEX, Stage::Head, |w| {
        let at = w.head.len() - 2;
        w.head[at] = if w.head[at] == b'0' { b'1' } else { b'0' };
    });
    t.no("head-ids-upper-case", INDEX, Stage::Head, |w| {
        let at = w.head.len() - 5;
        w.head[at..].copy_from_slice(b"ABCD\n");
    });
    t.no("head-ids-twice", INDEX, Stage::Head, |w| {
        let mut all = lines(&w.head);
        all.push(all[3].clone());
        w.head = all.concat();
    });
    t.no("head-ids-absent", INDEX, Stage::Head, |w| {
        let all = lines(&w.head);
        w.head = all[..3].concat();
    });
    t.no("head-ids-one-more", INDEX, Stage::Head, |w| {
        w.head.pop();
        w.head.extend(b"abcd\n");
    });
    t.no("head-ids-separated", INDEX, Stage::Input, |_| ());
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w: &mut Work| w.articles.push(Article::new("e").id("x"))),
        (Stage::Head, |w: &mut Work| {
            let at = w.head.len() - 5;
            w.head.insert(at, b' ');
        }),
    );
    t.no("head-ids-empty-where-none-are", INDEX, Stage::Input, |_| ());
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w: &mut Work| w.articles.truncate(3)),
        (Stage::Head, |w: &mut Work| w.head.extend(b"ids \n")),
    );
    t.no("head-empty", INDEX, Stage::Head, |w| w.head.clear());
    t.no("head-without-block", INDEX, Stage::Head, |w| {
        let all = lines(&w.head);
        w.head = all[..2].concat();
    });
    t.no("head-block-twice", INDEX, Stage::Head, |w| {
        let mut all = lines(&w.head);
        all.insert(2, all[2].clone());
        w.head = all.concat();
    });
    t.no("head-without-last-line-feed", INDEX, Stage::Head, |w| {
        w.head.pop();
    });
    t.no("head-with-more", INDEX, Stage::Head, |w| w.head.extend(b"more\n"));
    t.no("head-not-utf-8", INDEX, Stage::Head, |w| w.head[3] = 0xff);
    t.no("head-of-many-blocks", &["index", "over-limit", "frame"], Stage::Head, |w| {
        let mut all = lines(&w.head);
        let block = all[2].repeat(60_000);
        all.insert(2, block);
        w.head = all.concat();
        w.head.truncate(7 << 20);
    });
    let many = |w: &mut Work| w.articles.extend((0..300).map(|n| Article::new(format!("m/{n}"))));
    t.add_two(
        "head-blocks-exchanged",
        Expect::No(INDEX),
        (Stage::Input, many),
        (Stage::Head, |w: &mut Work| {
            let mut all = lines(&w.head);
            let last = all.len() - 1;
            all.swap(last, last - 1);
            w.head = all.concat();
        }),
    );
    t.add_two(
        "head-block-hashes-exchanged",
        Expect::No(INDEX),
        (Stage::Input, many),
        (Stage::Head, |w: &mut Work| {
            let text = String::from_utf8(w.head.clone()).unwrap();
            let hashes: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with("block"))
                .map(|line| line.split(' ').nth(5).unwrap())
                .collect();
            let exchanged = text.replace(hashes[0], "FIRST").replace(hashes[1], hashes[0]).replace("FIRST", hashes[1]);
            w.head = exchanged.into_bytes();
        }),
    );
}

/// Adds to a number in the head.
pub(super) fn word(w: &mut Work, line: usize, number: usize, by: i64) {
    let mut all = lines(&w.head);
    let text = String::from_utf8(all[line].clone()).unwrap();
    let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    let end = if words[number].ends_with('\n') { "\n" } else { "" };
    let value: i64 = words[number].trim_end().parse().unwrap();
    // What would be below zero is off in the other direction instead.
    let value = if value + by < 0 { value - by } else { value + by };
    words[number] = format!("{value}{end}");
    all[line] = words.join(" ").into_bytes();
    w.head = all.concat();
}

/// Changes the hash of the first block, which always holds a letter.
fn change_hash(w: &mut Work, change: impl Fn(&mut [u8])) {
    let start = w.head.windows(6).position(|window| window == b"block ").expect("a block");
    let mut spaces = (start..w.head.len()).filter(|&at| w.head[at] == b' ');
    let at = spaces.nth(4).expect("the fifth space") + 1;
    change(&mut w.head[at..at + 64]);
}
