//! What HTML says of itself: title, meta elements, link, language, schema.org in JSON-LD.

use std::collections::BTreeMap;
use std::thread;

use html5gum::{Token, Tokenizer};
use serde_json::Value;

use super::Fields;

/// How deep JSON-LD is searched.
const MAX_JSON_DEPTH: usize = 4;
/// The most equals signs, one an attribute, in a document that is read.
const MAX_ATTRIBUTES: usize = 400_000;
/// So many are read on the stack that is there.
const FEW_ATTRIBUTES: usize = 200;
/// The stack that the parser takes for each attribute of a tag, in bytes: it calls itself. Some 300 were measured, and ten times as many where
/// nothing is optimised.
const STACK_AN_ATTRIBUTE: usize = if cfg!(debug_assertions) { 16 << 10 } else { 1 << 10 };
/// The stack for all else, in bytes.
const STACK: usize = 1 << 20;

/// Parses a document where there is room for the parser to call itself for each of its attributes; `None` where there are more than any
/// document has.
pub(in crate::folder) fn with_room<T: Send>(text: &str, parse: impl FnOnce() -> T + Send) -> Option<T> {
    let attributes = memchr::memchr_iter(b'=', text.as_bytes()).count();
    if attributes <= FEW_ATTRIBUTES {
        return Some(parse());
    }
    if attributes > MAX_ATTRIBUTES {
        return None;
    }
    let stack = STACK + attributes * STACK_AN_ATTRIBUTE;
    thread::scope(|scope| thread::Builder::new().stack_size(stack).spawn_scoped(scope, parse).ok()?.join().ok())
}

/// Reads the head of an HTML document.
pub(super) fn fields(head: &[u8]) -> Fields {
    let text = decoded(head);
    with_room(&text, || read(&text)).unwrap_or_default()
}

fn read(text: &str) -> Fields {
    let mut found = Found::default();
    let mut inside: Option<&'static str> = None;
    let mut words = String::new();
    let mut tokens = Tokenizer::new(text);
    while let Some(Ok(token)) = tokens.next() {
        match token {
            Token::StartTag(tag) => {
                let name = lossy(&tag.name);
                let attributes: BTreeMap<String, String> =
                    tag.attributes.iter().map(|(key, value)| (lossy(key).to_ascii_lowercase(), lossy(value))).collect();
                words.clear();
                inside = match name.as_str() {
                    "title" if found.title.is_none() => Some("title"),
                    "h1" if found.heading.is_none() => Some("h1"),
                    "script" if attributes.get("type").is_some_and(|t| t == "application/ld+json") => Some("script"),
                    _ => inside.filter(|inside| *inside == "h1"),
                };
                found.start_tag(&name, &attributes);
            }
            Token::String(string) if inside.is_some() => words.push_str(&lossy(&string)),
            Token::EndTag(tag) if inside == Some(lossy(&tag.name).as_str()) => match inside.take() {
                Some("title") => found.title = Some(std::mem::take(&mut words)),
                Some("h1") => found.heading = Some(std::mem::take(&mut words)),
                _ => {
                    if let Ok(json) = serde_json::from_str(&words) {
                        found.json_ld(&json, 0);
                    }
                }
            },
            _ => {}
        }
        if found.in_body && (found.title.is_some() || found.heading.is_some()) {
            break;
        }
    }
    found.fields()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes by byte order mark, else UTF-8, else as Windows-1252 where the document is not UTF-8.
pub(in crate::folder) fn decoded(head: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
    };
    match head {
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        _ => match std::str::from_utf8(head) {
            Ok(text) => text.to_owned(),
            // A character cut in two at the end of what was read is no reason to take the whole for another encoding.
            Err(error) if error.error_len().is_none() => lossy(&head[..error.valid_up_to()]),
            Err(_) => head.iter().map(|&b| windows_1252(b)).collect(),
        },
    }
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// What was found where; the likelier places come first when it is put together.
#[derive(Default)]
struct Found {
    title: Option<String>,
    heading: Option<String>,
    in_body: bool,
    language: Option<String>,
    canonical: Option<String>,
    meta: BTreeMap<String, Vec<String>>,
    json: BTreeMap<&'static str, Vec<String>>,
}

impl Found {
    fn start_tag(&mut self, name: &str, attributes: &BTreeMap<String, String>) {
        match name {
            "html" => self.language = attributes.get("lang").or(attributes.get("xml:lang")).cloned(),
            "body" => self.in_body = true,
            "link" if attributes.get("rel").is_some_and(|rel| rel == "canonical") => {
                self.canonical = attributes.get("href").cloned();
            }
            "meta" => {
                let name = attributes.get("name").or(attributes.get("property")).or(attributes.get("itemprop"));
                if let (Some(name), Some(content)) = (name, attributes.get("content")) {
                    self.meta.entry(name.to_ascii_lowercase()).or_default().push(content.clone());
                }
            }
            _ => {}
        }
    }

    fn json_ld(&mut self, json: &Value, depth: usize) {
        if depth > MAX_JSON_DEPTH {
            return;
        }
        match json {
            Value::Array(items) => items.iter().for_each(|item| self.json_ld(item, depth + 1)),
            Value::Object(object) => {
                for key in [
                    "headline",
                    "author",
                    "datePublished",
                    "dateModified",
                    "inLanguage",
                    "description",
                    "keywords",
                    "publisher",
                    "license",
                ] {
                    if let Some(value) = object.get(key) {
                        names(value, self.json.entry(key).or_default());
                    }
                }
                object.get("@graph").into_iter().for_each(|graph| self.json_ld(graph, depth + 1));
            }
            _ => {}
        }
    }

    fn fields(mut self) -> Fields {
        let json = std::mem::take(&mut self.json);
        let all = |keys: &[&str]| -> Vec<String> {
            keys.iter()
                .find_map(|key| self.meta.get(*key).or(json.get(*key)).filter(|v| !v.is_empty()))
                .cloned()
                .unwrap_or_default()
        };
        let one = |keys: &[&str]| all(keys).into_iter().next();
        let tags = all(&["keywords", "article:tag", "dc.subject", "dcterms.subject"]);
        Fields {
            title: self
                .title
                .clone()
                .filter(|title| !title.trim().is_empty())
                .or_else(|| one(&["og:title", "headline", "dc.title", "dcterms.title"]))
                .or_else(|| self.heading.clone()),
            authors: all(&["author", "dc.creator", "dcterms.creator", "article:author", "citation_author"]),
            publisher: one(&["publisher", "dc.publisher", "dcterms.publisher", "og:site_name"]),
            published: one(&[
                "article:published_time",
                "datePublished",
                "date",
                "dcterms.issued",
                "dc.date",
                "dcterms.date",
            ]),
            modified: one(&["article:modified_time", "dateModified", "dcterms.modified"]),
            language: self.language.clone().or_else(|| one(&["inLanguage", "dc.language", "content-language"])),
            summary: one(&["description", "og:description", "dc.description", "dcterms.abstract"]),
            tags: tags.iter().flat_map(|tag| tag.split(',')).map(str::to_owned).collect(),
            source: self.canonical.clone(),
            license: one(&["license", "dcterms.license"]),
        }
    }
}

/// Collects texts, and the names of things that have one.
fn names(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| names(item, out)),
        Value::Object(object) => {
            if let Some(Value::String(name)) = object.get("name") {
                out.push(name.clone());
            }
        }
        _ => {}
    }
}
