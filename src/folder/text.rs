//! The words of a document, for the full text index: of HTML, Markdown and other markup, plain text, PDF.
//!
//! A pure function of name and bytes that never fails: what cannot be read has no words.

#[cfg(feature = "pdf")]
use std::panic;

use html5gum::{Token, Tokenizer};
#[cfg(feature = "pdf")]
use lopdf::Document;

use super::derive;

/// The most text that is taken of a document, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// The largest document whose words are read, in bytes.
pub const MAX_DOCUMENT_BYTES: u64 = 32 << 20;
/// The most pages of a PDF that are read.
#[cfg(feature = "pdf")]
const MAX_PAGES: usize = 200;
/// What marks up Markdown and its like, and is no word.
const MARKS: [char; 9] = ['*', '#', '`', '|', '>', '[', ']', '~', '='];
/// How far a NUL is looked for, which no text has, in bytes.
const PROBE_BYTES: usize = 8 << 10;

/// How the words are got out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Html,
    Markup,
    Plain,
    #[cfg(feature = "pdf")]
    Pdf,
}

fn way(name: &str) -> Option<Way> {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
    Some(match ending.as_str() {
        "html" | "htm" | "xhtml" | "xml" | "docbook" => Way::Html,
        "md" | "markdown" | "mkd" | "rst" | "adoc" | "asciidoc" | "org" | "tex" => Way::Markup,
        "txt" | "text" | "csv" => Way::Plain,
        #[cfg(feature = "pdf")]
        "pdf" => Way::Pdf,
        _ => return None,
    })
}

/// Says whether a file of this name may hold words.
pub fn is_readable(name: &str) -> bool {
    way(name).is_some()
}

/// Returns a document's words; none where there are none to be had.
pub fn text(name: &str, bytes: &[u8]) -> String {
    let Some(way) = way(name).filter(|_| bytes.len() as u64 <= MAX_DOCUMENT_BYTES) else { return String::new() };
    #[cfg(feature = "pdf")]
    if way == Way::Pdf {
        // PDF is vast and documents are hostile: whatever the reader stumbles over, the document has no words then.
        return panic::catch_unwind(|| pdf(bytes)).unwrap_or_default();
    }
    let probe = &bytes[..bytes.len().min(PROBE_BYTES)];
    if memchr::memchr(0, probe).is_some() && !probe.starts_with(&[0xff, 0xfe]) && !probe.starts_with(&[0xfe, 0xff]) {
        return String::new();
    }
    let bytes = &bytes[..bytes.len().min(8 * MAX_TEXT_BYTES)];
    let text = derive::decoded(bytes);
    let mut words = Words::default();
    match way {
        Way::Html => return derive::with_room(&text, || html(&text)).unwrap_or_default(),
        Way::Markup => text.split(MARKS).for_each(|piece| words.push(piece)),
        _ => words.push(&text),
    }
    words.out
}

/// Text without runs of white space and without control characters, cut at the cap.
#[derive(Default)]
struct Words {
    out: String,
    space: bool,
}

impl Words {
    fn push(&mut self, text: &str) {
        for piece in text.split_inclusive(|c: char| c.is_whitespace() || c.is_control()) {
            let word = piece.trim_end_matches(|c: char| c.is_whitespace() || c.is_control());
            if !word.is_empty() && self.out.len() + word.len() < MAX_TEXT_BYTES {
                if self.space && !self.out.is_empty() {
                    self.out.push(' ');
                }
                self.out.push_str(word);
                self.space = false;
            }
            self.space |= word.len() < piece.len();
        }
    }
}

fn html(text: &str) -> String {
    const SILENT: [&[u8]; 5] = [b"script", b"style", b"noscript", b"template", b"svg"];
    const INLINE: [&[u8]; 14] =
        [b"a", b"b", b"i", b"em", b"strong", b"span", b"code", b"tt", b"small", b"sub", b"sup", b"u", b"abbr", b"font"];
    let mut words = Words::default();
    let mut silent: Option<Vec<u8>> = None;
    let mut tokens = Tokenizer::new(text);
    while let Some(Ok(token)) = tokens.next() {
        match token {
            Token::StartTag(tag) => {
                if silent.is_none() && SILENT.contains(&tag.name.as_slice()) && !tag.self_closing {
                    silent = Some(tag.name.to_vec());
                }
                words.space |= !INLINE.contains(&tag.name.as_slice());
            }
            Token::EndTag(tag) => {
                if silent.as_deref() == Some(tag.name.as_slice()) {
                    silent = None;
                }
                words.space |= !INLINE.contains(&tag.name.as_slice());
            }
            Token::String(string) if silent.is_none() => words.push(&String::from_utf8_lossy(&string)),
            _ => {}
        }
        if words.out.len() + 64 >= MAX_TEXT_BYTES {
            break;
        }
    }
    words.out
}

#[cfg(feature = "pdf")]
fn pdf(bytes: &[u8]) -> String {
    let Ok(document) = Document::load_mem(bytes) else { return String::new() };
    let mut words = Words::default();
    for number in document.get_pages().keys().take(MAX_PAGES) {
        words.push(&document.extract_text(&[*number]).unwrap_or_default());
        words.space = true;
        if words.out.len() + 64 >= MAX_TEXT_BYTES {
            break;
        }
    }
    words.out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn html_gives_what_a_reader_sees() {
        let page = "<title>On tides</title><style>p{}</style><script>var x = '<p>';</script><p>The <b>sea</b>side &amp; <br>moon</p><p>石碑</p>";
        assert_eq!(text("a.html", page.as_bytes()), "On tides The seaside & moon 石碑");
    }

    #[test]
    fn markup_gives_its_words() {
        assert_eq!(text("a.md", b"# On *tides*\n\nThe [sea](x.html)  comes"), "On tides The sea(x.html) comes");
        assert_eq!(text("a.txt", b"one\n\n two\x07three"), "one two three");
        assert_eq!(text("a.txt", b"one\0two"), "");
        assert_eq!(text("a.jpg", b"one"), "");
    }

    #[test]
    fn a_tag_may_have_any_number_of_attributes() {
        for attribute in ["a=\"b\" ", "a ", "/", "= ", "\"", "a=b ", "a='' "] {
            for tag in ["<meta ", "<p ", "</p "] {
                let page = format!("<title>On tides</title>{tag}{}><p>The sea", attribute.repeat(20_000));
                let found = text("a.html", page.as_bytes());
                assert!(found.ends_with("The sea"), "{attribute:?} in {tag:?}: {}", &found[..found.len().min(80)]);
                let head = &page.as_bytes()[..page.len().min(64 << 10)];
                assert_eq!(
                    derive::derive("a.html", &mut std::io::Cursor::new(head), head.len() as u64).unwrap().article.title,
                    "On tides"
                );
            }
        }
        assert_eq!(text("a.html", "<p a=\"\" ".repeat(400_001).as_bytes()), "");
    }

    proptest! {
        #[test]
        fn any_bytes_have_words_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300), ending in "(html|md|txt|pdf|xml)") {
            let name = format!("a.{ending}");
            prop_assert!(text(&name, &bytes).len() <= MAX_TEXT_BYTES);
        }
    }
}
