//! `article.toml`, the metadata of one article. (FORMAT.md, "Article metadata")
//!
//! ```text
//! title = "On tides"
//! authors = ["Ada Moll", { name = "Jun Abe", role = "translator" }]
//! published = 2026-03-01
//! language = "en"
//! ```
//!
//! `title` is required; known keys are typed and checked; unknown ones are kept in the file and noted with the nearest known
//! name. The file itself is stored as it stands: this is a reading of it.

mod grammar;
mod print;
mod read;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// The longest `article.toml`, in bytes.
pub const MAX_ARTICLE_TOML_BYTES: u64 = 256 << 10;
/// The most authors.
pub const MAX_AUTHORS: usize = 1000;
/// The most tags.
pub const MAX_TAGS: usize = 1000;

/// Every key of the vocabulary.
pub const KEYS: &[&str] = &[
    "id",
    "title",
    "subtitle",
    "authors",
    "publisher",
    "published",
    "modified",
    "language",
    "summary",
    "tags",
    "section",
    "kind",
    "source",
    "captured",
    "license",
    "rights",
    "replaces",
    "citation",
    "extra",
];

/// What an `article.toml` says.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Article {
    /// The article's id; its path where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The title.
    pub title: String,
    /// The subtitle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// Who made it, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<Author>,
    /// Who published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// When it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Date>,
    /// When it was last changed by its authors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Date>,
    /// Its language, a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Keywords.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The section of the publication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// What kind of text it is: article, report, letter and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The URL it was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was taken from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<Date>,
    /// Its licence, an SPDX expression or a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// A statement of rights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// The id of the article that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// How to cite it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// Whatever else its keepers wish to note.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Somebody who had a part in an article.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Author {
    /// The name.
    pub name: String,
    /// An address that identifies the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The part, such as `translator`; author where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Who published an article.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Publisher {
    /// The name.
    pub name: String,
    /// An address that identifies the publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// A date as it was written: RFC 3339 with offset, a day, or only a year or month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Date(String);

impl Date {
    /// Checks a text: `2026`, `2026-11`, `2026-11-24` or `2026-11-24T03:37:27Z`.
    pub fn parse(text: &str) -> Option<Self> {
        grammar::is_date(text).then(|| Self(text.to_owned()))
    }

    /// Returns the date as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that is not in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key.
    pub key: String,
    /// The nearest key of the vocabulary, if one is near.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: unknown key {:?}", self.line, self.column, self.key)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, ", did you mean {nearest:?}?"))
    }
}

/// The unknown keys of an `article.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// The first of them.
    pub told: Vec<Note>,
    /// Number of the others.
    pub more: u64,
}

impl Notes {
    /// Says whether every key is known.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

/// One thing wrong with an `article.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong: the key, what was expected, what was found.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// Everything wrong with an `article.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ArticleError(pub Vec<Fault>);

impl ArticleError {
    /// What is wrong with an `article.toml` of more than [`MAX_ARTICLE_TOML_BYTES`].
    pub fn too_long(bytes: u64) -> Self {
        let what = format!("{bytes} bytes long, at most {MAX_ARTICLE_TOML_BYTES} are allowed");
        Self(vec![Fault { line: 1, column: 1, what }])
    }
}

impl Article {
    /// Reads an `article.toml`; unknown keys are noted.
    ///
    /// # Errors
    /// Everything wrong with it, each with its line and column; a fault of TOML's own syntax comes alone.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Notes), ArticleError> {
        let (article, notes, faults) = read::read(bytes, true)?;
        if faults.is_empty() { Ok((article, notes)) } else { Err(ArticleError(faults)) }
    }

    /// Reads the `article.toml` of a bundle: a value that breaks a rule for packers alone is left out.
    ///
    /// # Errors
    /// Where the bytes are not TOML, or title or id break the rules that bind readers too.
    pub fn read(bytes: &[u8]) -> Result<Self, ArticleError> {
        read::read(bytes, false).map(|(article, ..)| article)
    }

    /// Reads the id in the `article.toml` of a bundle, if there is one.
    ///
    /// # Errors
    /// As for [`Article::read`].
    pub fn read_id(bytes: &[u8]) -> Result<Option<String>, ArticleError> {
        read::id(bytes)
    }

    /// Returns the article as TOML, keys in the order of the vocabulary.
    pub fn to_toml(&self) -> String {
        print::print(self)
    }
}
