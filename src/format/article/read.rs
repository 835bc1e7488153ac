//! Reading an `article.toml`: every key typed and checked, every fault with its place.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::path::{EntryPath, MAX_ID_BYTES};

use super::{
    Article, ArticleError, Author, Date, Fault, KEYS, MAX_ARTICLE_TOML_BYTES, MAX_AUTHORS, MAX_TAGS, Note, Notes,
    Publisher, grammar,
};

/// The most faults, and the most notes, that are told of one file: each costs a look through the text.
const MAX_FAULTS: usize = 200;
/// How deep arrays and tables may nest.
const MAX_DEPTH: usize = 64;
/// How many edits a known key may be away to be suggested.
const NEAR: usize = 2;

/// Reads an article, what is worth knowing if `noting`, and every fault of a value that a reader may leave out.
///
/// # Errors
/// What no `article.toml` of a bundle may have: bytes that are not TOML, no title, an id that is none.
pub(super) fn read(bytes: &[u8], noting: bool) -> Result<(Article, Notes, Vec<Fault>), ArticleError> {
    let text = text(bytes)?;
    let table = table(text)?;
    let mut reader = Reader { text, faults: Vec::new(), notes: Notes::default(), noting };
    let (title, id) = reader.identity(table.get_ref());
    let mut article = Article { title: title.into_owned(), id, ..Article::default() };
    let binding = std::mem::take(&mut reader.faults);
    reader.fields(table.get_ref(), &mut article);
    if binding.is_empty() {
        return Ok((article, reader.notes, reader.faults));
    }
    let mut faults = binding;
    faults.append(&mut reader.faults);
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Err(ArticleError(faults))
}

/// Reads the id alone, under the rules that bind every reader.
///
/// # Errors
/// As for [`read`].
pub(super) fn id(bytes: &[u8]) -> Result<Option<String>, ArticleError> {
    let text = text(bytes)?;
    let table = table(text)?;
    let mut reader = Reader { text, faults: Vec::new(), notes: Notes::default(), noting: false };
    let (_, id) = reader.identity(table.get_ref());
    if reader.faults.is_empty() { Ok(id) } else { Err(ArticleError(reader.faults)) }
}

fn alone(line: usize, column: usize, what: String) -> ArticleError {
    ArticleError(vec![Fault { line, column, what }])
}

fn table(text: &str) -> Result<Spanned<DeTable<'_>>, ArticleError> {
    DeTable::parse(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        alone(line, column, error.message().to_owned())
    })
}

fn text(bytes: &[u8]) -> Result<&str, ArticleError> {
    if bytes.len() as u64 > MAX_ARTICLE_TOML_BYTES {
        return Err(ArticleError::too_long(bytes.len() as u64));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let (line, column) = place(&good, good.len());
        alone(line, column, "not UTF-8".into())
    })
}

/// Returns line and column of a byte, both counted from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    (line, column)
}

struct Reader<'a> {
    text: &'a str,
    faults: Vec<Fault>,
    notes: Notes,
    /// Whether unknown keys are to be noted.
    noting: bool,
}

type Field<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn fault(&mut self, at: &Range<usize>, what: String) {
        if self.faults.len() == MAX_FAULTS {
            return;
        }
        let (line, column) = place(self.text, at.start);
        self.faults.push(Fault { line, column, what });
    }

    /// Notes an unknown key, and the known one that it may be meant for.
    fn note(&mut self, at: &Range<usize>, key: impl FnOnce() -> (String, Option<&'static str>)) {
        if !self.noting {
            return;
        }
        if self.notes.told.len() == MAX_FAULTS {
            self.notes.more += 1;
            return;
        }
        let (line, column) = place(self.text, at.start);
        let (key, nearest) = key();
        self.notes.told.push(Note { line, column, key, nearest });
    }

    /// Notes that a value is not what its key needs.
    fn mismatch(&mut self, key: &str, expected: &str, found: &Field<'_>) {
        let found_words = match found.get_ref() {
            DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            DeValue::Integer(number) => format!("the integer {number}"),
            DeValue::Datetime(date) => date.to_string(),
            other => {
                format!("{} {}", if other.type_str().starts_with(['a', 'i']) { "an" } else { "a" }, other.type_str())
            }
        };
        self.fault(&found.span(), format!("{key}: expected {expected}, found {found_words}"));
    }

    /// Reads what makes an article one: title and id.
    fn identity<'t>(&mut self, table: &'t DeTable<'_>) -> (Cow<'t, str>, Option<String>) {
        for (_, value) in table {
            self.limits(value, 1);
        }
        let title = match table.get("title") {
            Some(value) => self.line("title", value).unwrap_or_default(),
            None => {
                self.fault(&(0..0), "title: expected a text, found none".into());
                Cow::default()
            }
        };
        (title, table.get("id").and_then(|value| self.id("id", value)))
    }

    /// Refuses values that other readers of TOML could take otherwise, or not at all.
    fn limits(&mut self, value: &Field<'_>, depth: usize) {
        match value.get_ref() {
            DeValue::Array(_) | DeValue::Table(_) if depth > MAX_DEPTH => {
                self.fault(&value.span(), format!("nested more than {MAX_DEPTH} deep"));
            }
            DeValue::Array(items) => items.iter().for_each(|item| self.limits(item, depth + 1)),
            DeValue::Table(table) => table.iter().for_each(|(_, value)| self.limits(value, depth + 1)),
            DeValue::Integer(number) if i64::from_str_radix(number.as_str(), number.radix()).is_err() => {
                self.fault(&value.span(), format!("expected an integer of 64 bits, found {}", number.as_str()));
            }
            DeValue::Datetime(date) => {
                let exists = date.date.is_none_or(|date| date.year > 0);
                if !exists || date.time.is_some_and(|time| time.second.is_some_and(|second| second > 59)) {
                    self.fault(&value.span(), format!("expected a date that exists, found {date}"));
                }
            }
            _ => {}
        }
    }

    /// Reads everything else.
    fn fields(&mut self, table: &DeTable<'_>, article: &mut Article) {
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "id" | "title" => {}
                "subtitle" => article.subtitle = self.line("subtitle", value).map(Cow::into_owned),
                "authors" => article.authors = self.authors(value),
                "publisher" => article.publisher = self.publisher(value),
                "published" => article.published = self.date("published", value),
                "modified" => article.modified = self.date("modified", value),
                "captured" => article.captured = self.date("captured", value),
                "language" => {
                    article.language = self.checked("language", "a BCP 47 language tag", value, grammar::is_language);
                }
                "summary" => article.summary = self.string("summary", "a text", value),
                "tags" => article.tags = self.tags(value),
                "section" => article.section = self.line("section", value).map(Cow::into_owned),
                "kind" => article.kind = self.line("kind", value).map(Cow::into_owned),
                "source" => article.source = self.checked("source", "an absolute URL", value, grammar::is_uri),
                "license" => {
                    article.license =
                        self.checked("license", "an SPDX licence expression or a URL", value, grammar::is_license);
                }
                "rights" => article.rights = self.string("rights", "a text", value),
                "replaces" => article.replaces = self.id("replaces", value),
                "citation" => article.citation = self.string("citation", "a text", value),
                "extra" => match value.get_ref() {
                    DeValue::Table(table) => article.extra = self.json_table(table),
                    _ => self.mismatch("extra", "a table", value),
                },
                unknown => self.note(&name.span(), || (unknown.to_owned(), nearest(unknown))),
            }
        }
        self.notes.told.sort_by_key(|note| (note.line, note.column));
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
    }

    /// A string without control characters but tab and line feed.
    fn string(&mut self, key: &str, expected: &str, value: &Field<'_>) -> Option<String> {
        self.text(key, expected, value).map(Cow::into_owned)
    }

    /// The same, where it lies if that can be.
    fn text<'t>(&mut self, key: &str, expected: &str, value: &'t Field<'_>) -> Option<Cow<'t, str>> {
        let DeValue::String(text) = value.get_ref() else {
            self.mismatch(key, expected, value);
            return None;
        };
        // TOML leaves open which of the two a line end in a text is.
        let text = match text.contains('\r') {
            true => Cow::Owned(text.replace("\r\n", "\n")),
            false => Cow::Borrowed(text.as_ref()),
        };
        // Control characters are below U+0020, U+007F, or begin with the byte C2.
        let may_control = |b: u8| b < 0x20 || b == 0x7f || b == 0xc2;
        let is_control = |c: &char| c.is_control() && !matches!(c, '\t' | '\n');
        let control = text.bytes().any(may_control).then(|| text.chars().find(is_control)).flatten();
        if let Some(c) = control {
            self.fault(
                &value.span(),
                format!("{key}: expected {expected}, found the control character U+{:04X}", u32::from(c)),
            );
            return None;
        }
        Some(text)
    }

    /// A string that is not blank.
    fn line<'t>(&mut self, key: &str, value: &'t Field<'_>) -> Option<Cow<'t, str>> {
        let text = self.text(key, "a text", value)?;
        if text.trim().is_empty() {
            self.mismatch(key, "a text", value);
            return None;
        }
        Some(text)
    }

    fn checked(&mut self, key: &str, expected: &str, value: &Field<'_>, good: fn(&str) -> bool) -> Option<String> {
        let text = self.string(key, expected, value)?;
        if !good(&text) {
            self.mismatch(key, expected, value);
            return None;
        }
        Some(text)
    }

    fn id(&mut self, key: &str, value: &Field<'_>) -> Option<String> {
        let expected = "an id that obeys the path grammar";
        let text = self.string(key, expected, value)?;
        if let Err(fault) = EntryPath::parse(&text) {
            self.fault(&value.span(), format!("{key}: expected {expected}, found {text:?}, which {fault}"));
            return None;
        }
        if text.len() > MAX_ID_BYTES {
            let what = format!("{key}: {} bytes long, at most {MAX_ID_BYTES} are allowed", text.len());
            self.fault(&value.span(), what);
            return None;
        }
        Some(text)
    }

    fn date(&mut self, key: &str, value: &Field<'_>) -> Option<Date> {
        let expected = "a date, or a time with its offset from UTC";
        let text = match value.get_ref() {
            DeValue::Datetime(date) => date.to_string(),
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(year) if year.radix() == 10 && year.as_str().len() == 4 => year.as_str().to_owned(),
            _ => {
                self.mismatch(key, expected, value);
                return None;
            }
        };
        let date = Date::parse(&text);
        if date.is_none() {
            self.mismatch(key, expected, value);
        }
        date
    }

    fn authors(&mut self, value: &Field<'_>) -> Vec<Author> {
        let expected = "an array of names or of tables with name, uri, role";
        let one = std::slice::from_ref(value);
        let items = match value.get_ref() {
            DeValue::Array(items) => &items[..],
            DeValue::String(_) => one,
            _ => {
                self.mismatch("authors", expected, value);
                return Vec::new();
            }
        };
        if items.len() > MAX_AUTHORS {
            let what = format!("authors: {} of them, at most {MAX_AUTHORS} are allowed", items.len());
            self.fault(&value.span(), what);
            return Vec::new();
        }
        let mut authors = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(_) => {
                    let name = self.line("authors", item).map(Cow::into_owned);
                    authors.extend(name.map(|name| Author { name, ..Author::default() }));
                }
                DeValue::Table(table) => authors.extend(self.agent("authors", table, item, true)),
                _ => self.mismatch("authors", expected, item),
            }
        }
        authors
    }

    fn publisher(&mut self, value: &Field<'_>) -> Option<Publisher> {
        match value.get_ref() {
            DeValue::Table(table) => {
                let agent = self.agent("publisher", table, value, false)?;
                Some(Publisher { name: agent.name, uri: agent.uri })
            }
            _ => self.line("publisher", value).map(|name| Publisher { name: name.into_owned(), uri: None }),
        }
    }

    /// Reads a table with a name, an address and perhaps a role; without a name it is nobody.
    fn agent(&mut self, key: &str, table: &DeTable<'_>, whole: &Field<'_>, role: bool) -> Option<Author> {
        let (mut name, mut uri, mut part) = (None, None, None);
        for (field, value) in table {
            match field.get_ref().as_ref() {
                "name" => name = Some(self.line(&format!("{key}: name"), value).map(Cow::into_owned)),
                "uri" => uri = self.checked(&format!("{key}: uri"), "an absolute URI", value, grammar::is_uri),
                "role" if role => part = self.line(&format!("{key}: role"), value).map(Cow::into_owned),
                unknown => self.note(&field.span(), || (format!("{key}.{unknown}"), None)),
            }
        }
        if name.is_none() {
            self.fault(&whole.span(), format!("{key}: expected a table with a name, found none"));
        }
        Some(Author { name: name??, uri, role: part })
    }

    fn tags(&mut self, value: &Field<'_>) -> Vec<String> {
        let DeValue::Array(items) = value.get_ref() else {
            self.mismatch("tags", "an array of texts", value);
            return Vec::new();
        };
        if items.len() > MAX_TAGS {
            self.fault(&value.span(), format!("tags: {} of them, at most {MAX_TAGS} are allowed", items.len()));
            return Vec::new();
        }
        items.iter().filter_map(|item| self.line("tags", item).map(Cow::into_owned)).collect()
    }

    fn json_table(&mut self, table: &DeTable<'_>) -> Map<String, Value> {
        table.iter().filter_map(|(key, value)| Some((key.get_ref().to_string(), self.json(value)?))).collect()
    }

    /// Turns a free value into JSON's terms; TOML's own limit bounds the depth.
    fn json(&mut self, value: &Field<'_>) -> Option<Value> {
        Some(match value.get_ref() {
            DeValue::String(_) => Value::String(self.string("extra", "a text", value)?),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                parsed.map_or_else(|_| Value::String(number.to_string()), Value::from)
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                parsed.map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number)
            }
            DeValue::Datetime(date) => Value::String(date.to_string()),
            DeValue::Array(items) => Value::Array(items.iter().filter_map(|item| self.json(item)).collect()),
            DeValue::Table(table) => Value::Object(self.json_table(table)),
        })
    }
}

/// Returns the known key that an unknown one is likeliest meant for.
fn nearest(unknown: &str) -> Option<&'static str> {
    let near = KEYS.iter().map(|key| (distance(key, unknown), *key)).min()?;
    (near.0 <= NEAR && unknown.len() > NEAR).then_some(near.1)
}

/// Returns how many letters must be put in, left out or changed to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, a) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = n + 1;
        for (m, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[m + 1];
            row[m + 1] = changed.min(corner + 1).min(row[m] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Article;

    fn fault(text: &str) -> String {
        Article::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_line_column_expectation_and_what_was_found() {
        assert_eq!(
            fault("title = \"a\"\n\npublished = 7\n"),
            "line 3, column 13: published: expected a date, or a time with its offset from UTC, found the integer 7"
        );
        assert!(fault("published = 2026-01-01\n").starts_with("line 1, column 1: title: expected a text"));
        assert!(fault("title = ").starts_with("line 1, column "));
        assert!(fault("title = \"a\"\ncaptured = 2026-01-01T00:00:00\n").contains("offset"));
    }

    #[test]
    fn names_every_fault_of_a_file() {
        let text =
            "title = 1\nauthors = [1]\nlanguage = \"en_US\"\nlicense = \"all mine\"\nsource = \"x\"\nid = \"../a\"\n";
        assert_eq!(fault(text).matches("line ").count(), 6);
    }

    #[test]
    fn notes_unknown_keys_with_the_nearest_known_one() {
        let (_, notes) = Article::parse(b"title = \"a\"\nautors = [\"b\"]\ncolour = 1\n").unwrap();
        let words: Vec<_> = notes.told.iter().map(ToString::to_string).collect();
        assert_eq!(words[0], "line 2, column 1: unknown key \"autors\", did you mean \"authors\"?");
        assert_eq!(words[1], "line 3, column 1: unknown key \"colour\"");
    }

    #[test]
    fn refuses_terminal_escapes_and_what_is_too_long() {
        assert!(fault("title = \"\\u001b[31m\"").contains("U+001B"));
        assert!(fault(&format!("title = \"{}\"", "x".repeat(300_000))).contains("bytes long"));
        assert!(fault(&format!("title = \"a\"\nextra.x = {}1{}", "[".repeat(500), "]".repeat(500))).contains("recurs"));
    }

    #[test]
    fn what_readers_of_toml_take_differently_has_one_answer_here() {
        for good in [
            "\u{feff}title = \"a\"\n",
            "title = \"\"\"a\r\nb\"\"\"\r\n",
            "title = \"a\"\nextra.x = 9223372036854775807\n",
            "title = \"a\"\nextra.x = 0xffff\n",
            &format!("title = \"a\"\nx = {}1{}", "[".repeat(64), "]".repeat(64)),
        ] {
            assert!(Article::read_id(good.as_bytes()).is_ok(), "{good}: {:?}", Article::read_id(good.as_bytes()));
        }
        assert_eq!(Article::read(b"title = \"\"\"a\r\nb\"\"\"").unwrap().title, "a\nb");
        for bad in [
            "title = \"a\"\nextra.x = 9223372036854775808\n",
            "title = \"a\"\nx = 0000-01-01\n",
            "title = \"a\"\nx = 2016-12-31T23:59:60Z\n",
            &format!("title = \"a\"\nx = {}1{}", "[".repeat(65), "]".repeat(65)),
        ] {
            assert!(Article::read_id(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reader_leaves_out_each_value_that_breaks_a_rule_and_nothing_beside_it() {
        let text = r#"title = "x"
            authors = ["good", "ba\u0007d", "", 7, { name = "q\u001b" }, { uri = "https://x.example" }, { name = "B", uri = "no" }]
            publisher = { name = "p\u0007", uri = "https://x.example" }
            tags = ["ok", "n\u0007o"]
            extra = { a = "x\u0007", b = ["y\u0007", "z"], c = { d = "w\u0007" } }
        "#;
        let article = Article::read(text.as_bytes()).unwrap();
        let json = serde_json::json!({
            "title": "x", "authors": [{ "name": "good" }, { "name": "B" }], "tags": ["ok"], "extra": { "b": ["z"], "c": {} },
        });
        assert_eq!(serde_json::to_value(&article).unwrap(), json);
        assert_eq!(fault(text).matches("line ").count(), 11);
    }

    #[test]
    fn takes_every_form_of_an_author() {
        let text =
            "title = \"a\"\nauthors = [\"A\", { name = \"B\", uri = \"https://b.example\", role = \"translator\" }]\n";
        let (article, _) = Article::parse(text.as_bytes()).unwrap();
        assert_eq!(article.authors[1].role.as_deref(), Some("translator"));
    }
}
