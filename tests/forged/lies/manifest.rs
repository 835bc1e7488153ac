//! The manifest: its one form, its limits, its counts and digests; and the tag files made from it.

use super::super::forge::{Article, Stage, hex, sha256};
use super::{Expect, Table, replace_once};

const MANIFEST: &[&str] = &["manifest"];

pub(super) fn tell(t: &mut Table) {
    form(t);
    values(t);
    lists_and_parts(t);
    digests(t);
    limits(t);
    tag_files(t);
}

fn form(t: &mut Table) {
    for (name, from, to) in [
        ("two-spaces-before", "title =", "title  ="),
        ("no-space-before", "title =", "title="),
        ("two-spaces-after", "title = ", "title =  "),
        ("space-at-the-end", "\"Forged\"\n", "\"Forged\" \n"),
        ("indented", "title =", " title ="),
        ("comment", "title =", "# more\ntitle ="),
        ("comment-behind", "\"Forged\"\n", "\"Forged\" # more\n"),
        ("blank-line", "title =", "\ntitle ="),
        ("crlf", "\"Forged\"\n", "\"Forged\"\r\n"),
        ("quoted-key", "title =", "\"title\" ="),
        ("literal-text", "\"Forged\"", "'Forged'"),
        ("many-line-text", "\"Forged\"", "\"\"\"Forged\"\"\""),
        ("needless-escape", "\"Forged\"", "\"\\u0046orged\""),
        ("escaped-slash", "\"Forged\"", "\"Forged\\/\""),
        ("tab-in-title", "\"Forged\"", "\"For\tged\""),
        ("escaped-tab-in-title", "\"Forged\"", "\"For\\tged\""),
        ("escaped-line-feed-in-title", "\"Forged\"", "\"For\\nged\""),
        ("delete-in-title", "\"Forged\"", "\"For\x7fged\""),
        ("control-9f-in-title", "\"Forged\"", "\"For\u{9f}ged\""),
        ("line-separator-in-title", "\"Forged\"", "\"For\u{2028}ged\""),
        ("paragraph-separator-in-title", "\"Forged\"", "\"For\u{2029}ged\""),
        ("quote-in-title", "\"Forged\"", "\"For\"ged\""),
        ("title-open", "\"Forged\"", "\"Forged"),
        ("title-empty", "\"Forged\"", "\"\""),
        ("title-number", "\"Forged\"", "7"),
        ("key-unknown", "title =", "motto = \"x\"\ntitle ="),
        ("key-twice", "title =", "title = \"Forged\"\ntitle ="),
        ("key-in-a-table", "title =", "[x]\ntitle ="),
        ("key-absent", "title = \"Forged\"\n", ""),
        ("format-2", "vellum-manifest/1", "vellum-manifest/2"),
        ("format-of-another-case", "vellum-manifest/1", "Vellum-manifest/1"),
        ("format-absent", "format = \"vellum-manifest/1\"\n", ""),
        ("articles-leading-zero", "articles = 4", "articles = 04"),
        ("articles-plus", "articles = 4", "articles = +4"),
        ("articles-underscore", "files = 10", "files = 1_0"),
        ("articles-hex", "articles = 4", "articles = 0x4"),
        ("articles-float", "articles = 4", "articles = 4.0"),
        ("articles-text", "articles = 4", "articles = \"4\""),
        ("articles-negative", "articles = 4", "articles = -4"),
        ("articles-absent", "articles = 4\n", ""),
        ("files-absent", "files = 10\n", ""),
        ("articles-huge", "articles = 4", "articles = 99999999999999999999999"),
        ("articles-beyond-63-bits", "articles = 4", "articles = 9223372036854775808"),
    ] {
        t.no(format!("manifest-{name}"), MANIFEST, Stage::Manifest, move |w| replace_once(&mut w.manifest, from, to));
    }
    t.no("manifest-without-last-line-feed", MANIFEST, Stage::Manifest, |w| {
        w.manifest.pop();
    });
    t.no("manifest-with-one-line-feed-more", MANIFEST, Stage::Manifest, |w| w.manifest.push(b'\n'));
    t.no("manifest-with-byte-order-mark", MANIFEST, Stage::Manifest, |w| {
        w.manifest.splice(..0, *b"\xef\xbb\xbf");
    });
    t.no("manifest-not-utf-8", MANIFEST, Stage::Manifest, |w| replace_once(&mut w.manifest, "Forged", b"For\xe9ged"));
    t.no("manifest-nul", MANIFEST, Stage::Manifest, |w| replace_once(&mut w.manifest, "Forged", b"For\0ged"));
    t.no("manifest-empty", MANIFEST, Stage::Manifest, |w| w.manifest.clear());
    for (one, other) in [(1_usize, 2_usize), (0, 1), (3, 4), (6, 7)] {
        t.no(format!("manifest-keys-{one}-and-{other}-exchanged"), MANIFEST, Stage::Fields, move |w| {
            w.fields.swap(one, other);
        });
    }
    for key in ["bytes", "checksums", "root", "name"] {
        t.no(format!("manifest-{key}-absent"), MANIFEST, Stage::Fields, move |w| {
            w.fields.retain(|(other, _)| other != key);
        });
    }
    for (name, title) in [
        ("escapes", r#""a \"b\" \\c""#.to_owned()),
        ("of-1024", format!("\"{}\"", "t".repeat(1024))),
        ("of-1024-escaped", format!("\"{}\"", "\\\"".repeat(1024))),
        ("bidi", "\"a\u{202e}b\"".to_owned()),
        ("not-normal", "\"e\u{301}\"".to_owned()),
    ] {
        t.yes(format!("manifest-title-{name}"), Stage::Fields, move |w| w.put("title", &title));
    }
    t.no("manifest-title-of-1025", &["manifest", "over-limit"], Stage::Fields, |w| {
        w.put("title", &format!("\"{}\"", "t".repeat(1025)));
    });
    t.no("manifest-title-of-1026-wide", &["manifest", "over-limit"], Stage::Fields, |w| {
        w.put("title", &format!("\"{}\"", "é".repeat(513)));
    });
    t.yes("manifest-title-of-blanks", Stage::Fields, |w| w.put("title", "\"  \""));
}

fn values(t: &mut Table) {
    for (name, top) in [
        ("upper-case", "Forged"),
        ("dot-first", ".forged"),
        ("dash-first", "-forged"),
        ("dots", ".."),
        ("slash", "for/ged"),
        ("space", "for ged"),
        ("not-ascii", "forgéd"),
        ("empty", ""),
    ] {
        // The top folder is called the same, so that nothing but the grammar is broken.
        t.no(format!("manifest-name-{name}"), &["manifest", "top-folder"], Stage::Input, move |w| w.name = top.into());
    }
    t.no("manifest-name-of-65", &["manifest", "over-limit", "top-folder"], Stage::Input, |w| w.name = "n".repeat(65));
    t.yes("manifest-name-of-64", Stage::Input, |w| w.name = "n".repeat(64));
    t.yes("manifest-name-of-1", Stage::Input, |w| w.name = "0".into());
    t.yes("manifest-name-with-all", Stage::Input, |w| w.name = "0a.b_c-".into());
    t.no("manifest-name-of-another-folder", &["top-folder"], Stage::Fields, |w| w.put("name", "\"others\""));
    for (name, origin) in [
        ("plus", "a+b"),
        ("quote", "a\\\"b"),
        ("single-quote", "a'b"),
        ("backslash", "a\\\\b"),
        ("space", "a b"),
        ("not-ascii", "é"),
        ("delete", "a\x7f"),
        ("tab", "a\\tb"),
        ("dash", "-"),
        ("empty", ""),
    ] {
        t.no(format!("manifest-archive-{name}"), MANIFEST, Stage::Fields, move |w| {
            w.put("archive", &format!("\"{origin}\""));
        });
    }
    t.no("manifest-archive-of-256", &["manifest", "over-limit"], Stage::Fields, |w| {
        w.put("archive", &format!("\"{}\"", "o".repeat(256)));
    });
    for (name, origin) in [
        ("of-255", "o".repeat(255)),
        ("of-1", "o".into()),
        ("of-signs", "!#$%&()*,-./:;<=>?@[]^_`{|}~".into()),
        ("dashes", "--".into()),
    ] {
        t.yes(format!("manifest-archive-{name}"), Stage::Fields, move |w| w.put("archive", &format!("\"{origin}\"")));
    }
    for (key, lie, codes) in [
        ("articles", 1_i64, MANIFEST),
        ("articles", -1, MANIFEST),
        ("files", 1, MANIFEST),
        ("files", -1, MANIFEST),
        ("bytes", 1, MANIFEST),
        ("bytes", -1, MANIFEST),
        ("articles", 1 << 40, &["manifest", "over-limit"]),
        ("files", 1 << 40, &["manifest", "over-limit"]),
        ("bytes", 1 << 60, MANIFEST),
        ("articles", i64::MAX - 4, &["manifest", "over-limit"]),
        ("bytes", i64::MAX - 100_000, MANIFEST),
    ] {
        t.no(format!("count-{key}-off-by-{lie}"), codes, Stage::Fields, move |w| {
            let value: i64 = w.field(key).expect("it is there").parse().expect("a number");
            w.put(key, &(value + lie).to_string());
        });
    }
    for key in ["articles", "files", "bytes"] {
        t.no(format!("count-{key}-zero"), MANIFEST, Stage::Fields, move |w| w.put(key, "0"));
    }
}

fn lists_and_parts(t: &mut Table) {
    let id = |n: usize| format!("\"{n:064x}\"");
    let list = |ids: Vec<String>| format!("[{}]", ids.join(", "));
    for key in ["replaces", "reinstates"] {
        for (name, value) in
            [("1", list(vec![id(1)])), ("2", list(vec![id(1), id(2)])), ("32", list((1..=32).map(id).collect()))]
        {
            // A replacement must say what it was.
            let expect = if key == "replaces" { Expect::No(&["was"]) } else { Expect::Yes };
            t.add(format!("manifest-{key}-{name}"), expect, Stage::Fields, move |w| w.put(key, &value));
        }
        for (name, value) in [
            ("empty", "[]".to_owned()),
            ("33", list((1..=33).map(id).collect())),
            ("descending", list(vec![id(2), id(1)])),
            ("twice", list(vec![id(1), id(1)])),
            ("without-space", format!("[{},{}]", id(1), id(2))),
            ("comma-last", format!("[{},]", id(1))),
            ("spaces-inside", format!("[ {} ]", id(1))),
            ("text", id(1)),
            ("short", format!("[\"{}\"]", "a".repeat(63))),
            ("long", format!("[\"{}\"]", "a".repeat(65))),
            ("upper-case", format!("[\"{}\"]", "A".repeat(64))),
            ("no-hex", format!("[\"{}\"]", "g".repeat(64))),
            ("prefixed", format!("[\"sha256:{}\"]", "a".repeat(64))),
            ("over-lines", format!("[\n{}]", id(1))),
        ] {
            let codes: &[&str] = if name == "33" { &["manifest", "over-limit"] } else { MANIFEST };
            t.no(format!("manifest-{key}-{name}"), codes, Stage::Fields, move |w| w.put(key, &value));
        }
    }
    let after = id(9);
    let fields = move |w: &mut super::super::forge::Work, text: &str| {
        for field in text.split_whitespace() {
            let (key, value) = field.split_once('=').expect("a key and a value");
            w.put(key, if value == "id" { &after } else { value });
        }
    };
    for (text, expect) in [
        ("part=1", Expect::Yes),
        ("part=2 after=id", Expect::Yes),
        ("part=2 after=id last=true", Expect::Yes),
        ("part=9223372036854775807 after=id", Expect::Yes),
        ("part=3 after=id base=0 last=true", Expect::Yes),
        ("part=1 last=true", Expect::Yes),
        ("part=0", Expect::No(MANIFEST)),
        ("part=2", Expect::No(MANIFEST)),
        ("part=1 after=id", Expect::No(MANIFEST)),
        ("part=2 last=true", Expect::No(MANIFEST)),
        ("after=id", Expect::No(MANIFEST)),
        ("last=true", Expect::No(MANIFEST)),
        ("after=id last=true", Expect::No(MANIFEST)),
        ("part=1 last=false", Expect::No(MANIFEST)),
        ("part=2 after=id last=false", Expect::No(MANIFEST)),
        ("part=1 last=1", Expect::No(MANIFEST)),
        ("part=1 last=\"true\"", Expect::No(MANIFEST)),
        ("part=01", Expect::No(MANIFEST)),
        ("part=9223372036854775808 after=id", Expect::No(MANIFEST)),
        ("part=2 after=\"abc\"", Expect::No(MANIFEST)),
        ("part=2 after=[id]", Expect::No(MANIFEST)),
        ("archive=\"o\" base=412", Expect::Yes),
        ("archive=\"o\" base=9223372036854775807", Expect::Yes),
        ("archive=\"o\" base=9223372036854775808", Expect::No(MANIFEST)),
        ("archive=\"o\" base=-1", Expect::No(MANIFEST)),
        ("archive=\"o\" base=007", Expect::No(MANIFEST)),
        ("archive=\"o\" base=0", Expect::Yes),
        ("base=412", Expect::Yes),
    ] {
        let fields = fields.clone();
        t.add(format!("manifest-with-{}", text.replace([' ', '"'], "-")), expect, Stage::Fields, move |w| {
            fields(w, text)
        });
    }
    t.yes("manifest-with-every-key", Stage::Input, |w| {
        w.timed = true;
        for (key, value) in [("archive", "\"example.org/library\""), ("part", "3"), ("last", "true"), ("base", "412")] {
            w.more.push((key.into(), value.into()));
        }
        w.more.push(("after".into(), format!("\"{}\"", "1".repeat(64))));
        w.more.push(("reinstates".into(), format!("[\"{}\"]", "3".repeat(64))));
        w.descends(&[vec![Article::new("gone")]], &|_, _, _| ());
    });
}

fn digests(t: &mut Table) {
    let other = || format!("\"sha256:{}\"", hex(&sha256(b"another")));
    let digest = other();
    t.no("checksums-of-another-list", &["checksums"], Stage::Fields, move |w| w.put("checksums", &digest));
    let digest = other();
    t.no("root-of-another-tree", &["tree", "index"], Stage::Fields, move |w| w.put("root", &digest));
    for key in ["checksums", "root"] {
        for (name, change) in [
            ("upper-case", (|value| value.to_uppercase().replace("SHA256", "sha256")) as fn(&str) -> String),
            ("short", |value| value[..value.len() - 1].to_owned()),
            ("long", |value| format!("{value}0")),
            ("bare", |value| value.replace("sha256:", "")),
            ("sha512", |value| value.replace("sha256:", "sha512:")),
            ("space", |value| value.replace("sha256:", "sha256: ")),
            ("base64", |_| "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()),
        ] {
            t.no(format!("digest-{key}-{name}"), MANIFEST, Stage::Fields, move |w| {
                let value = change(w.field(key).expect("it is there"));
                w.put(key, &format!("\"{value}\""));
            });
        }
    }
}

fn limits(t: &mut Table) {
    for len in [4096_usize, 4097] {
        let expect = if len == 4096 { Expect::Yes } else { Expect::No(&["manifest", "over-limit"]) };
        t.add(format!("manifest-of-{len}"), expect, Stage::Fields, move |w| {
            let ids: Vec<_> = (1..=32).map(|n| format!("\"{n:064x}\"")).collect();
            w.put("reinstates", &format!("[{}]", ids.join(", ")));
            let now: usize = w.fields.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
            let room = len - (now - "Forged".len());
            // A quotation mark takes two bytes and counts as one.
            w.put("title", &format!("\"{}{}\"", "\\\"".repeat(room / 2), "t".repeat(room % 2)));
        });
    }
    t.no("manifest-of-100000", &["manifest", "over-limit"], Stage::Fields, |w| {
        w.put("title", &format!("\"{}\"", "t".repeat(100_000)));
    });
    t.no("manifest-of-9000000", &["manifest", "over-limit"], Stage::Fields, |w| {
        w.put("title", &format!("\"{}\"", "t".repeat(7_000_000)));
    });
}

fn tag_files(t: &mut Table) {
    for (name, from, to) in [
        ("bagit.txt", "1.0", "0.97"),
        ("bagit.txt", "UTF-8\n", "UTF-8"),
        ("bagit.txt", "1.0\n", "1.0\r\n"),
        ("bagit.txt", "UTF-8", "utf-8"),
        ("bag-info.txt", "Payload-Oxum: ", "Payload-Oxum:"),
        ("bag-info.txt", ".10\n", ".11\n"),
        ("bag-info.txt", ".10\n", ".10\nContact-Name: me\n"),
        ("tagmanifest-sha256.txt", "  bagit.txt\n", "  ./bagit.txt\n"),
        ("tagmanifest-sha256.txt", "  bagit.txt\n", " *bagit.txt\n"),
        ("tagmanifest-sha256.txt", "  manifest.toml\n", "  manifest.toml"),
    ] {
        let lie = to.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        t.no(format!("tag-file-{name}-{lie}"), &["tag-file"], Stage::Tail, move |w| {
            let place = w.tail.iter_mut().find(|member| member.path.ends_with(name.as_bytes())).expect("it is there");
            replace_once(&mut place.bytes, from, to);
        });
    }
    for (at, name) in [(0, "bagit.txt"), (1, "bag-info.txt"), (3, "tagmanifest-sha256.txt")] {
        t.no(format!("tag-file-{name}-empty"), &["tag-file"], Stage::Tail, move |w| w.tail[at].bytes.clear());
    }
    t.no("tag-file-lines-exchanged", &["tag-file"], Stage::Tail, |w| {
        let text = String::from_utf8(w.tail[3].bytes.clone()).unwrap();
        let mut lines: Vec<_> = text.split_inclusive('\n').collect();
        lines.swap(0, 1);
        w.tail[3].bytes = lines.concat().into_bytes();
    });
    t.no("tag-file-names-itself", &["tag-file"], Stage::Tail, |w| {
        let line = format!("{}  index/head\n", hex(&sha256(&w.head)));
        w.tail[3].bytes.extend(line.bytes());
    });
    t.no("tag-file-without-times", &["tag-file"], Stage::Input, |w| w.timed = true);
    // The line of times.txt is taken out only of the tag manifest.
    let last = t.lies.pop().expect("it was added");
    t.add_two(
        last.name,
        last.expect,
        (Stage::Input, |w| w.timed = true),
        (Stage::Tail, |w| {
            let text = String::from_utf8(w.tail[3].bytes.clone()).unwrap();
            let lines: Vec<_> = text.split_inclusive('\n').filter(|line| !line.contains("times.txt")).collect();
            w.tail[3].bytes = lines.concat().into_bytes();
        }),
    );
}
