//! Metadata of articles, and ids.

use super::super::forge::{Article, Stage, Work};
use super::{Expect, Table};

/// Adds an article with this metadata.
fn with(metadata: impl AsRef<[u8]>) -> impl Fn(&mut Work) {
    let metadata = metadata.as_ref().to_vec();
    move |w| w.articles.push(Article::new("n").metadata(&metadata))
}

/// Metadata of exactly this length.
fn of_len(len: usize) -> Vec<u8> {
    let mut text = b"title = \"A\"\n# ".to_vec();
    text.resize(len - 1, b'x');
    text.push(b'\n');
    text
}

pub(super) fn tell(t: &mut Table) {
    metadata(t);
    other_keys(t);
    ids(t);
}

fn metadata(t: &mut Table) {
    let codes: &[&str] = &["metadata"];
    t.yes("metadata-of-262144", Stage::Input, with(of_len(262_144)));
    t.no("metadata-of-262145", &["metadata", "over-limit"], Stage::Input, with(of_len(262_145)));
    t.no("metadata-of-3000000", &["metadata", "over-limit"], Stage::Input, with(of_len(3_000_000)));
    t.no("metadata-empty", codes, Stage::Input, with(""));
    t.no("metadata-not-utf-8", codes, Stage::Input, with(b"title = \"caf\xe9\"\n"));
    t.no("metadata-not-utf-8-in-a-comment", codes, Stage::Input, with(b"title = \"A\"\n# caf\xe9\n"));
    t.no("metadata-no-toml", codes, Stage::Input, with("title: A\n"));
    t.no("metadata-key-twice", codes, Stage::Input, with("title = \"A\"\ntitle = \"B\"\n"));
    t.no("metadata-bare-carriage-return", codes, Stage::Input, with("title = \"A\"\rid = \"x\"\n"));
    t.no("metadata-nul", codes, Stage::Input, with("title = \"A\"\n\0"));
    t.no("metadata-control-in-comment", codes, Stage::Input, with("title = \"A\"\n# \u{1}\n"));
    t.yes("metadata-byte-order-mark", Stage::Input, with("\u{feff}title = \"A\"\n"));
    t.no("metadata-byte-order-mark-twice", codes, Stage::Input, with("\u{feff}\u{feff}title = \"A\"\n"));
    t.no("metadata-byte-order-mark-inside", codes, Stage::Input, with("title = \"A\"\n\u{feff}"));
    t.yes("title-of-lines-with-crlf", Stage::Input, with("title = \"\"\"A\r\nB\"\"\"\r\n"));
    t.yes("title-of-literal-lines-with-crlf", Stage::Input, with("title = '''A\r\nB'''\r\n"));
    // Escaped, they are no line end of the file; the text says "in a text".
    t.agree("title-with-escaped-crlf", Stage::Input, with("title = \"A\\r\\nB\"\n"));
    t.yes("metadata-crlf", Stage::Input, with("title = \"A\"\r\n"));
    t.yes("metadata-without-last-line-feed", Stage::Input, with("title = \"A\""));
    t.no("title-absent", codes, Stage::Input, with("language = \"en\"\n"));
    t.no("title-in-a-table", codes, Stage::Input, with("[x]\ntitle = \"A\"\n"));
    t.no("title-of-another-case", codes, Stage::Input, with("Title = \"A\"\n"));
    for (name, value) in [
        ("empty", "\"\""),
        ("spaces", "\"   \""),
        ("tabs-and-feeds", "\"\\t\\n \""),
        ("no-break-spaces", "\"\u{a0}\u{3000}\""),
        ("number", "3"),
        ("array", "[\"A\"]"),
        ("table", "{ en = \"A\" }"),
        ("date", "2026-01-01"),
        ("truth", "true"),
        ("control-01", "\"A\\u0001\""),
        ("escape", "\"A\\u001b[31m\""),
        ("nul", "\"A\\u0000\""),
        ("carriage-return", "\"A\\rB\""),
        ("carriage-return-last", "\"A\\r\""),
        ("delete", "\"A\\u007f\""),
        ("next-line", "\"A\\u0085B\""),
        ("control-9f", "\"A\\u009f\""),
        ("raw-control-80", "\"A\u{80}\""),
    ] {
        t.no(format!("title-{name}"), codes, Stage::Input, with(format!("title = {value}\n")));
    }
    for (name, value) in [
        ("tab", "\"A\\tB\""),
        ("line-feed", "\"A\\nB\""),
        ("many-lines", "\"\"\"\nA\nB\"\"\""),
        ("literal", "'A'"),
        ("line-separator", "\"A\u{2028}B\""),
        ("bidi-override", "\"A\u{202e}B\""),
        ("zero-width", "\"\u{200b}\""),
        ("long", &format!("\"{}\"", "A".repeat(100_000))),
    ] {
        t.yes(format!("title-{name}"), Stage::Input, with(format!("title = {value}\n")));
    }
    // What TOML 1.1 has over 1.0.
    t.yes("toml-1.1-hex-escape", Stage::Input, with("title = \"\\x41\"\n"));
    t.no("toml-1.1-escape-escape", codes, Stage::Input, with("title = \"A\\e\"\n"));
    t.yes(
        "toml-1.1-inline-table",
        Stage::Input,
        with("title = \"A\"\nauthors = [{\n  name = \"B\", # who\n  role = \"editor\",\n}]\n"),
    );
    t.yes("toml-1.1-time-without-seconds", Stage::Input, with("title = \"A\"\npublished = 2026-03-01T07:32Z\n"));
}

/// Keys that a reader leaves out where they break a rule.
fn other_keys(t: &mut Table) {
    let tags = |n: usize| format!("tags = [{}]", (0..n).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "));
    for (name, line) in [
        ("published-bad", "published = \"yesterday\"".to_owned()),
        ("published-year", "published = 2026".to_owned()),
        ("published-year-of-five", "published = 20260".to_owned()),
        ("authors-number", "authors = 3".to_owned()),
        ("authors-mixed", "authors = [\"A\", 3, { role = \"x\" }]".to_owned()),
        ("language-bad", "language = \"!!\"".to_owned()),
        ("source-relative", "source = \"../x\"".to_owned()),
        ("license-bad", "license = \"\\u0007\"".to_owned()),
        ("subtitle-control", "subtitle = \"\\u001b[2J\"".to_owned()),
        ("summary-bidi", "summary = \"\u{202e}\"".to_owned()),
        ("replaces-bad", "replaces = \"../x\"".to_owned()),
        ("replaces-number", "replaces = 1".to_owned()),
        ("extra-text", "extra = \"x\"".to_owned()),
        ("extra-table", "[extra]\nany = { thing = [1, 2.5, true, 2026-01-01] }".to_owned()),
        ("unknown-key", "colour = \"blue\"".to_owned()),
        ("unknown-key-with-bidi", "\"\u{202e}\\u001b\" = 1".to_owned()),
        ("tags-1000", tags(1000)),
        ("tags-1001", tags(1001)),
        ("tags-40000", tags(30_000)),
    ] {
        t.yes(format!("metadata-{name}"), Stage::Input, with(format!("title = \"A\"\n{line}\n")));
    }
    let arrays = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let tables = |n: usize| format!("{}1{}", "{a=".repeat(n), "}".repeat(n));
    let limit: &[&str] = &["metadata", "over-limit"];
    let (yes, no) = (|| Expect::Yes, || Expect::No(&["metadata", "over-limit"]));
    for (name, value, expect) in [
        ("arrays-1", arrays(1), yes()),
        ("arrays-60", arrays(60), yes()),
        // Whether the table at the root counts, and the tables around, is for the readers to agree on.
        ("arrays-61", arrays(61), Expect::Agree),
        ("arrays-62", arrays(62), Expect::Agree),
        ("arrays-63", arrays(63), Expect::Agree),
        ("arrays-64", arrays(64), Expect::Agree),
        ("arrays-65", arrays(65), no()),
        ("arrays-100000", arrays(100_000), no()),
        ("tables-60", tables(60), yes()),
        ("tables-62", tables(62), Expect::Agree),
        ("tables-63", tables(63), Expect::Agree),
        ("tables-65", tables(65), no()),
        ("tables-20000", tables(20_000), no()),
        ("open-arrays", "[".repeat(200_000), no()),
        ("integer-of-63-bits", "9223372036854775807".to_owned(), yes()),
        ("integer-most-negative", "-9223372036854775808".to_owned(), yes()),
        ("integer-2-to-63", "9223372036854775808".to_owned(), Expect::Agree),
        ("integer-of-16-hex-digits", "0xffffffffffffffff".to_owned(), Expect::Agree),
        ("integer-2-to-64", "18446744073709551616".to_owned(), no()),
        ("integer-too-negative", "-9223372036854775809".to_owned(), no()),
        ("integer-beyond-64-bits", "99999999999999999999".to_owned(), no()),
        ("integer-of-1000-digits", "9".repeat(1000), no()),
        ("float-beyond-range", "1e999".to_owned(), Expect::Agree),
        ("fraction-of-12-digits", "2026-01-01T00:00:00.123456789012Z".to_owned(), Expect::Agree),
        ("leap-second", "2026-06-30T23:59:60Z".to_owned(), no()),
        ("second-60-of-a-time", "23:59:60".to_owned(), no()),
        ("hour-24", "2026-06-30T24:00:00Z".to_owned(), no()),
        ("month-13", "2026-13-01".to_owned(), no()),
        ("day-0", "2026-01-00".to_owned(), no()),
        ("year-0000", "0000-01-01".to_owned(), no()),
        ("year-0001", "0001-01-01".to_owned(), yes()),
        ("year-9999", "9999-12-31T23:59:59Z".to_owned(), yes()),
        ("thirtieth-of-february", "2026-02-30".to_owned(), no()),
        ("leap-day", "2024-02-29".to_owned(), yes()),
        ("no-leap-day", "2026-02-29".to_owned(), no()),
        ("century-without-leap-day", "1900-02-29".to_owned(), no()),
    ] {
        t.add(
            format!("toml-{name}"),
            expect,
            Stage::Input,
            with(format!("title = \"A\"\nextra = {{ x = {value} }}\n")),
        );
    }
    for (depth, expect) in [(60_usize, yes()), (63, Expect::Agree), (64, Expect::Agree), (66, no()), (60_000, no())] {
        let dotted = format!("title = \"A\"\n{}x = 1\n", "x.".repeat(depth));
        t.add(format!("toml-dotted-key-of-{depth}"), expect.clone(), Stage::Input, with(dotted));
        let header = format!("title = \"A\"\n[{}x]\n", "x.".repeat(depth));
        t.add(format!("toml-header-of-{depth}"), expect, Stage::Input, with(header));
    }
    t.no(
        "toml-integer-too-long-in-an-unknown-key",
        limit,
        Stage::Input,
        with("title = \"A\"\nx = 99999999999999999999\n"),
    );
    let headers: String = (0..9_000).map(|n| format!("[t{n}.a.b.c.d.e]\n")).collect();
    t.yes("toml-many-tables", Stage::Input, with(format!("title = \"A\"\n{headers}")));
}

/// An article that states its id as written, and has it.
fn stated(written: &str, id: &str) -> Article {
    let metadata = format!("title = \"A\"\nid = {written}\n");
    let mut article = Article::new("n").metadata(metadata);
    article.id = Some(id.as_bytes().to_vec());
    article
}

fn ids(t: &mut Table) {
    let codes: &[&str] = &["metadata"];
    for (name, written, id) in [
        ("empty", "\"\"", ""),
        ("number", "3", "3"),
        ("array", "[\"x\"]", "x"),
        ("slash-first", "\"/x\"", "/x"),
        ("slash-last", "\"x/\"", "x/"),
        ("empty-part", "\"x//y\"", "x//y"),
        ("dots", "\"x/../y\"", "x/../y"),
        ("dot", "\".\"", "."),
        ("space-last", "\"x \"", "x "),
        ("no-break-space-first", "\"\u{a0}x\"", "\u{a0}x"),
        ("line-feed", "\"x\\ny\"", "x\ny"),
        ("tab", "\"x\\ty\"", "x\ty"),
        ("nul", "\"x\\u0000\"", "x\0"),
        ("delete", "\"x\\u007f\"", "x\x7f"),
        ("control-9f", "\"x\\u009f\"", "x\u{9f}"),
        ("line-separator", "\"x\\u2028y\"", "x\u{2028}y"),
        ("backslash", "'x\\y'", "x\\y"),
        ("drive", "\"C:/x\"", "C:/x"),
    ] {
        t.no(format!("id-{name}"), codes, Stage::Input, move |w| w.articles.push(stated(written, id)));
    }
    for (name, written, id) in [
        ("its-path", "\"n\"", "n"),
        ("literal", "'x'", "x"),
        ("escaped", "\"\\u0078\"", "x"),
        ("with-slashes", "\"x/y/z\"", "x/y/z"),
        ("with-spaces", "\"x y\"", "x y"),
        ("url", "\"urn:isbn:0451450523\"", "urn:isbn:0451450523"),
        ("not-ascii", "\"隨筆\u{202e}\"", "隨筆\u{202e}"),
        ("not-normal", "\"e\u{301}\"", "e\u{301}"),
        ("percent", "\"%41\"", "%41"),
        ("below-another-article", "\"a/x\"", "a/x"),
        ("path-of-no-file", "\"a/zz.txt\"", "a/zz.txt"),
    ] {
        t.yes(format!("id-{name}"), Stage::Input, move |w| w.articles.push(stated(written, id)));
    }
    // Parts of an id are as long as those of a path.
    let of = |len: usize| format!("{}/{}/{}", "i".repeat(200), "j".repeat(200), "k".repeat(len - 402));
    for (len, good) in [(511, true), (512, true), (513, false)] {
        let expect = if good { Expect::Yes } else { Expect::No(&["metadata", "over-limit"]) };
        let id = of(len);
        t.add(format!("id-of-{len}"), expect, Stage::Input, move |w| w.articles.push(Article::new("n").id(&id)));
    }
    t.no("id-part-of-256", codes, Stage::Input, |w| w.articles.push(Article::new("n").id("i".repeat(256))));
    t.yes("id-part-of-255", Stage::Input, |w| w.articles.push(Article::new("n").id("i".repeat(255))));
    t.no("id-twice", codes, Stage::Input, |w| w.articles.push(Article::new("n").id("other")));
    t.no("id-is-the-path-of-another", codes, Stage::Input, |w| w.articles.push(Article::new("n").id("a-c")));
    t.no("id-is-the-path-of-a-file", codes, Stage::Input, |w| w.articles.push(Article::new("n").id("a/z.txt")));
    t.no("id-twice-far-apart", codes, Stage::Input, |w| {
        w.articles.extend((0..600).map(|n| Article::new(format!("x/{n}"))));
        w.articles.push(Article::new("zz").id("x/0"));
    });
    t.no("ids-exchanged", codes, Stage::Input, |w| {
        w.articles.extend([Article::new("x").id("y"), Article::new("y").id("x")]);
    });
    t.yes("ids-by-case", Stage::Input, |w| w.articles.extend([Article::new("x").id("K"), Article::new("y").id("k")]));
    // Metadata that is damage, where tree and index keep to the path.
    t.no("metadata-bad-tree-by-path", codes, Stage::Input, with("title = \"\"\nid = \"own\"\n"));
}
