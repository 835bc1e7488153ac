//! Following the log: each leaf's rows, all of an update in one transaction.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::digest::Digest;
use crate::format::article::Article;
use crate::ids::BundleId;

use super::filter::facets;
use super::segment::segment;
use super::{Error, Number, State};

/// The most text of an article that is indexed, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The level of zstd for the text that snippets are cut from.
const BODY_LEVEL: i32 = 1;

/// A revision as its bundle has it.
#[derive(Debug, Clone, Copy)]
pub struct ArticleRow<'a> {
    /// Digest of the article's id.
    pub key: Digest,
    /// The id; empty where it was withdrawn and nobody says what it was.
    pub id: &'a str,
    /// Its path in the bundle.
    pub path: &'a str,
    /// The bundle.
    pub bundle: BundleId,
    /// Where it was logged.
    pub number: Number,
    /// Whether it takes the place of what was current.
    pub current: bool,
    /// Whether it was withdrawn: only that it was stays.
    pub withdrawn: bool,
    /// Digest of its lines.
    pub lines: Digest,
    /// Digest of its lines but the metadata's.
    pub content: Digest,
    /// Whether its metadata was derived.
    pub generated: bool,
    /// Number of its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its metadata.
    pub metadata: &'a Article,
    /// The words of its documents.
    pub text: &'a str,
}

/// One step of following the log; dropped without `finish`, nothing of it stays.
pub struct Update<'a> {
    db: Transaction<'a>,
}

impl<'a> Update<'a> {
    pub(super) fn new(db: Transaction<'a>) -> Self {
        Self { db }
    }

    /// Returns how far the catalog has followed the log, which only this update can change now.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn state(&self) -> Result<State, Error> {
        super::state(&self.db)
    }

    /// Returns where the current revision of a key was logged.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn current(&self, key: &Digest) -> Result<Option<Number>, Error> {
        let sql = "SELECT number FROM revision WHERE key = ? AND current = 1";
        let found = self.db.prepare_cached(sql)?.query_row([key.as_bytes()], |row| super::number(row, 0)).optional()?;
        Ok(found.map(Number::of_row))
    }

    /// Says whether a revision of this key was logged with a bundle.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn holds(&self, key: &Digest, bundle: BundleId) -> Result<bool, Error> {
        super::holds(&self.db, key, bundle)
    }

    /// Takes a revision in.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn article(&mut self, row: &ArticleRow<'_>) -> Result<(), Error> {
        if row.current {
            self.supersede(&row.key)?;
        }
        let metadata = row.metadata;
        let authors: Vec<_> = metadata.authors.iter().map(|author| author.name.as_str()).collect();
        let published = metadata.published.as_ref().map(ToString::to_string).unwrap_or_default();
        let (authors, tags) = (authors.join(", "), metadata.tags.join("\n"));
        let (language, summary) =
            (metadata.language.as_deref().unwrap_or_default(), metadata.summary.as_deref().unwrap_or_default());
        let sql = "INSERT INTO revision (number, key, id, path, bundle, lines, content, generated, files, bytes, title, authors, published, \
                   language, tags, summary, current, withdrawn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            row.number.row(),
            row.key.as_bytes(),
            row.id,
            row.path,
            row.bundle.0.as_bytes(),
            row.lines.as_bytes(),
            row.content.as_bytes(),
            row.generated,
            row.files as i64,
            row.bytes as i64,
            metadata.title,
            authors,
            published,
            language,
            tags,
            summary,
            row.current,
            row.withdrawn,
        ])?;
        if !row.current {
            return Ok(());
        }
        let text = &row.text[..row.text.floor_char_boundary(MAX_BODY_BYTES)];
        if !text.is_empty() {
            let packed = zstd::bulk::compress(text.as_bytes(), BODY_LEVEL)?;
            self.db.prepare_cached("INSERT INTO body VALUES (?, ?)")?.execute(params![row.number.row(), packed])?;
        }
        let facets = facets(row.id, &published, language, &metadata.tags);
        self.index(row.number.row(), [&metadata.title, &authors, &tags, summary, text], &facets)
    }

    fn index(&mut self, number: i64, columns: [&str; 5], facets: &str) -> Result<(), Error> {
        let columns = columns.map(|text| {
            let mut out = String::with_capacity(text.len());
            segment(text, &mut out);
            out
        });
        let [title, authors, tags, summary, body] = columns;
        self.db
            .prepare_cached(
                "INSERT INTO words (rowid, title, authors, tags, summary, body, facets) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![number, title, authors, tags, summary, body, facets])?;
        Ok(())
    }

    /// Takes the article's current revision out of what list and search see.
    fn supersede(&mut self, key: &Digest) -> Result<(), Error> {
        if let Some(before) = self.current(key)?.map(Number::row) {
            self.db.prepare_cached("UPDATE revision SET current = 0 WHERE number = ?")?.execute([before])?;
            self.db.prepare_cached("DELETE FROM words WHERE rowid = ?")?.execute([before])?;
            self.db.prepare_cached("DELETE FROM body WHERE number = ?")?.execute([before])?;
        }
        Ok(())
    }

    /// Withdraws all revisions of a key: what they say leaves the catalog, that they were stays. The id stays where `clear` tells it.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn withdraw(&mut self, key: &Digest, clear: Option<&str>) -> Result<(), Error> {
        self.supersede(key)?;
        let sql = "UPDATE revision SET withdrawn = 1, id = ?2, path = '', title = '', authors = '', published = '', language = '', \
                   tags = '', summary = '', files = 0, bytes = 0, generated = 0, content = lines WHERE key = ?1";
        self.db.execute(sql, params![key.as_bytes(), clear.unwrap_or_default()])?;
        self.db.execute("UPDATE state SET remains = 1", [])?;
        Ok(())
    }

    /// Keeps the update: the catalog has followed the log to `state`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn finish(self, state: State) -> Result<(), Error> {
        let sql = "UPDATE state SET size = ?, root = ?, standing = ?";
        self.db.execute(sql, params![state.size as i64, state.root.as_bytes(), state.standing.as_bytes()])?;
        Ok(self.db.commit()?)
    }
}
