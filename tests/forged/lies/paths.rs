//! Paths: their grammar, their limits, and what is a file and a folder at once.

use super::super::forge::{Article, METADATA, Stage};
use super::{Expect, Table};

/// Paths that break the grammar, as an article's path or a file's name.
const BAD: &[(&str, &[u8])] = &[
    ("slash-first", b"/x"),
    ("empty-part", b"x//y"),
    ("slash-last", b"x/"),
    ("dot", b"./x"),
    ("dot-inside", b"x/./y"),
    ("dot-last", b"x/."),
    ("dots", b"../x"),
    ("dots-inside", b"x/../y"),
    ("dots-last", b"x/.."),
    ("space-first", b" x"),
    ("space-last", b"x "),
    ("space-first-of-part", b"x/ y"),
    ("space-last-of-part", b"x /y"),
    ("space-only", b"x/ /y"),
    ("no-break-space-first", b"\xc2\xa0x"),
    ("ogham-space-first", b"\xe1\x9a\x80x"),
    ("en-quad-last", b"x\xe2\x80\x80"),
    ("hair-space-last", b"x\xe2\x80\x8a"),
    ("narrow-space-last", b"x\xe2\x80\xaf"),
    ("mathematical-space-first", b"\xe2\x81\x9fx"),
    ("ideographic-space-last", b"x\xe3\x80\x80"),
    ("tab", b"x\ty"),
    ("escape", b"x\x1by"),
    ("unit-separator", b"x\x1fy"),
    ("delete", b"x\x7fy"),
    ("control-80", b"x\xc2\x80y"),
    ("next-line", b"x\xc2\x85y"),
    ("control-9f", b"x\xc2\x9fy"),
    ("line-separator", b"x\xe2\x80\xa8y"),
    ("paragraph-separator", b"x\xe2\x80\xa9y"),
    ("backslash", b"x\\y"),
];
/// Paths that cannot even stand in the list or in a text.
const BAD_TEXT: &[(&str, &[u8])] = &[
    ("line-feed", b"x\ny"),
    ("carriage-return-last", b"x\r"),
    ("nul", b"x\0y"),
    ("latin-1", b"x\xe9y"),
    ("surrogate", b"x\xed\xa0\x80y"),
    ("overlong", b"x\xc0\xafy"),
    ("beyond-unicode", b"x\xf4\x90\x80\x80y"),
    ("cut-sequence", b"x\xe2\x80"),
];
/// Paths that look odd and obey.
const ODD: &[(&str, &str)] = &[
    ("percent", "100%25 %2f"),
    ("three-dots", "..."),
    ("dots-and-more", "..x"),
    ("colon-second-of-digit", "1:x"),
    ("colon-third", "xy:z"),
    ("colon-after-letter-in-part", "x/c:y"),
    ("colon-after-other-letter", "é:x"),
    ("not-normal", "e\u{301}"),
    ("unassigned", "x\u{378}"),
    ("private", "x\u{e000}"),
    ("noncharacter", "x\u{ffff}"),
    ("zero-width-space-first", "\u{200b}x"),
    ("byte-order-mark-first", "\u{feff}x"),
    ("bidi-override", "x\u{202e}txt.exe"),
    ("bidi-isolates", "\u{2066}x\u{2069}"),
    ("soft-hyphen", "\u{ad}"),
    ("mongolian-separator-first", "\u{180e}x"),
    ("space-inside", "x y\u{a0}z"),
    ("reserved-elsewhere", "con"),
    ("star-and-quote", "a*?\"<>|'"),
    ("astral", "𝒳/🜁"),
    ("leading-dash", "-x"),
    ("tilde", "~x"),
    ("another-case", "ARTICLE.TOML"),
];

pub(super) fn tell(t: &mut Table) {
    grammar(t);
    limits(t);
    file_and_folder(t);
    belonging(t);
}

fn grammar(t: &mut Table) {
    for &(name, path) in BAD {
        t.no(format!("path-article-{name}"), &["path"], Stage::Input, move |w| w.articles.push(Article::new(path)));
        t.no(format!("path-file-{name}"), &["path"], Stage::Input, move |w| {
            w.articles.push(Article::bare("n").file(path, "x"));
        });
    }
    for &(name, path) in BAD_TEXT {
        let codes = &["path", "checksums", "tar"];
        t.no(format!("path-article-{name}"), codes, Stage::Input, move |w| w.articles.push(Article::new(path)));
        t.no(format!("path-file-{name}"), codes, Stage::Input, move |w| {
            w.articles.push(Article::bare("n").file(path, "x"));
        });
    }
    for path in ["C:", "c:x", "Z:/x", "z:\u{e9}"] {
        let name = path.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        t.no(format!("path-article-drive-{name}"), &["path"], Stage::Input, move |w| {
            w.articles.push(Article::new(path))
        });
    }
    t.yes("path-file-like-a-drive", Stage::Input, |w| w.articles.push(Article::bare("n").file("c:x", "x")));
    t.no("path-file-without-name", &["path"], Stage::Input, |w| w.articles.push(Article::bare("n").file("", "x")));
    for &(name, path) in ODD {
        t.yes(format!("path-article-{name}"), Stage::Input, move |w| w.articles.push(Article::new(path)));
        t.yes(format!("path-file-{name}"), Stage::Input, move |w| {
            w.articles.push(Article::bare("n").file(path, "x"));
        });
    }
}

/// A path of this many bytes, in parts of at most 200.
fn long(len: usize) -> Vec<u8> {
    let mut path: Vec<u8> = (0..len).map(|at| if at % 200 == 199 { b'/' } else { b'a' + (at / 200) as u8 }).collect();
    if path.last() == Some(&b'/') {
        path[len - 2..].fill(b'z');
    }
    path
}

fn limits(t: &mut Table) {
    t.yes("path-part-of-255", Stage::Input, |w| w.articles.push(Article::bare("n").file("p".repeat(255), "x")));
    t.yes("path-part-of-255-wide", Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("é".repeat(127) + "e", "x"));
    });
    t.no("path-part-of-256", &["path", "over-limit"], Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("p".repeat(256), "x"));
    });
    t.no("path-part-of-256-wide", &["path", "over-limit"], Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("é".repeat(128), "x"));
    });
    t.no("path-article-part-of-256", &["path", "over-limit"], Stage::Input, |w| {
        w.articles.push(Article::new("p".repeat(256)));
    });
    for (len, good) in [(1023, true), (1024, true), (1025, false), (5000, false)] {
        let expect = if good { Expect::Yes } else { Expect::No(&["path", "over-limit", "tar"]) };
        t.add(format!("path-of-{len}"), expect, Stage::Input, move |w| {
            w.articles.push(Article::bare("n").file(long(len - 2), "x"));
        });
    }
    t.no("path-of-70000", &["path", "over-limit", "checksums", "tar"], Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("p/".repeat(34_999) + "p", "x"));
    });
    for len in [512, 1000] {
        t.yes(format!("path-article-of-{len}-with-id"), Stage::Input, move |w| {
            w.articles.push(Article::new(long(len)).id("short"));
        });
    }
    t.yes("path-article-of-512", Stage::Input, |w| w.articles.push(Article::new(long(512))));
    // Its id would be its path, which is too long for an id.
    t.no("path-article-of-513-without-id", &["path", "metadata", "over-limit"], Stage::Input, |w| {
        w.articles.push(Article::new(long(513)))
    });
}

fn file_and_folder(t: &mut Table) {
    let codes: &[&str] = &["path"];
    t.no("file-and-folder-in-an-article", codes, Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("x", "file").file("x/y", "folder"));
    });
    t.no("file-and-folder-with-one-between", codes, Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("x", "file").file("x.y", "between").file("x/y", "folder"));
    });
    t.no("file-and-folder-with-many-between", codes, Stage::Input, |w| {
        let between = (0..200).fold(Article::bare("n"), |article, n| article.file(format!("x.{n}"), "x"));
        w.articles.push(between.file("x", "file").file("x/y/z", "folder"));
    });
    t.no("file-and-article", codes, Stage::Input, |w| {
        w.articles.extend([Article::bare("n").file("x", "file"), Article::new("n/x")]);
    });
    t.no("file-and-article-below-it", codes, Stage::Input, |w| {
        w.articles.extend([Article::bare("n").file("x", "file"), Article::new("n/x/y")]);
    });
    t.no("file-and-article-with-one-between", codes, Stage::Input, |w| {
        w.articles.extend([Article::bare("n").file("x", "file"), Article::new("n/x-y"), Article::new("n/x")]);
    });
    t.no("file-and-folder-of-a-deeper-article", codes, Stage::Input, |w| {
        // The file is named by the outer article only after the inner one's lines.
        w.articles.extend([Article::bare("n").file("z", "file"), Article::new("n/a"), Article::new("n/z/a/b")]);
    });
    t.no("metadata-and-folder", codes, Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("t.txt", "x").file("article.toml/x", "folder"));
    });
    t.yes("article-in-a-folder-called-article-toml", Stage::Input, |w| w.articles.push(Article::new("n/article.toml")));
    t.yes("file-and-folder-by-case", Stage::Input, |w| {
        w.articles.push(Article::bare("n").file("x", "file").file("X/y", "folder"));
    });
    t.yes("file-and-folder-of-neighbours", Stage::Input, |w| {
        w.articles.extend([
            Article::bare("n").file("x", "file"),
            Article::new("n-x"),
            Article::new("n.x"),
            Article::new("nx"),
        ]);
    });
}

fn belonging(t: &mut Table) {
    t.no("orphan-file", &["path"], Stage::Input, |w| {
        let mut orphan = Article::new("o");
        orphan.files.retain(|(name, _)| name != METADATA);
        w.articles.push(orphan);
    });
    t.no("orphan-file-beside-articles", &["path"], Stage::Input, |w| {
        let mut orphan = Article::new("");
        orphan.files.retain(|(name, _)| name != METADATA);
        w.articles.insert(0, orphan);
    });
    t.no("article-without-path", &["path"], Stage::Input, |w| w.articles.insert(0, Article::new("")));
    t.no("article-without-path-alone", &["path"], Stage::Input, |w| w.articles = vec![Article::new("")]);
    t.no("only-metadata-in-data", &["path"], Stage::Input, |w| w.articles.insert(0, Article::bare("")));
    t.no("article-with-metadata-only", &["metadata"], Stage::Input, |w| w.articles.push(Article::bare("n")));
    t.no("article-with-deeper-article-only", &["metadata"], Stage::Input, |w| {
        w.articles.extend([Article::bare("n"), Article::new("n/x")]);
    });
    t.no("deeper-article-taken-for-files", &["tree", "checksums", "path", "metadata", "manifest"], Stage::Order, |w| {
        // The file of "a" that makes a folder of it an article, counted as one of its files.
        let files = std::mem::take(&mut w.articles[2].files);
        let path = w.articles[2].path.clone();
        assert_eq!(path, b"a/b");
        w.articles.remove(2);
        for (name, bytes) in files {
            w.articles[1].files.push(([b"b/", &name[..]].concat(), bytes));
        }
        w.articles[1].files.sort();
    });
    for (name, change) in [("first", 0_usize), ("middle", 1), ("last", 3)] {
        t.no(format!("article-twice-{name}"), &["checksums", "path"], Stage::Order, move |w| {
            w.articles.insert(change, w.articles[change].clone());
        });
    }
    t.no("file-twice", &["checksums", "path"], Stage::Order, |w| {
        let file = w.articles[0].files[1].clone();
        w.articles[0].files.insert(1, file);
    });
    t.no("file-twice-with-other-bytes", &["checksums", "path"], Stage::Order, |w| {
        let name = w.articles[0].files[1].0.clone();
        w.articles[0].files.insert(1, (name, b"others".to_vec()));
    });
    t.no("no-article", &[], Stage::Input, |w| w.articles.clear());
}
