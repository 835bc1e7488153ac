//! Following the log: each leaf's rows, all of an update in one transaction.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::digest::Digest;
use crate::format::article::Article;
use crate::ids::BundleId;

use super::filter::facets;
use super::segment::segment;
use super::{Error, State};

/// The most text of an article that is indexed, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The level of zstd for the text that snippets are cut from.
const BODY_LEVEL: i32 = 1;

/// A bundle as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// Its id.
    pub id: BundleId,
    /// Its place in the archive.
    pub file: String,
    /// Its size, in bytes.
    pub file_bytes: u64,
    /// Its leaf.
    pub leaf: u64,
    /// How many articles it holds.
    pub articles: u64,
    /// The bundle whose rest it is.
    pub replaces: Option<BundleId>,
}

/// A revision as its bundle has it.
#[derive(Debug, Clone, Copy)]
pub struct ArticleRow<'a> {
    /// The article's id.
    pub id: &'a str,
    /// Its path in the bundle.
    pub path: &'a str,
    /// The bundle.
    pub bundle: BundleId,
    /// Its leaf.
    pub leaf: u64,
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

    /// Takes a bundle in.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn bundle(&mut self, row: &BundleRow) -> Result<(), Error> {
        let replaces = row.replaces.map(|id| *id.0.as_bytes());
        let values = params![
            row.id.0.as_bytes(),
            row.file,
            row.file_bytes as i64,
            row.leaf as i64,
            row.articles as i64,
            replaces
        ];
        self.db
            .prepare_cached("INSERT OR REPLACE INTO bundle (id, file, file_bytes, leaf, articles, replaces) VALUES (?, ?, ?, ?, ?, ?)")?
            .execute(values)?;
        Ok(())
    }

    /// Takes a revision in; it is the article's current one from now on.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn article(&mut self, row: &ArticleRow<'_>) -> Result<(), Error> {
        self.supersede(row.id)?;
        let metadata = row.metadata;
        let authors: Vec<_> = metadata.authors.iter().map(|author| author.name.as_str()).collect();
        let published = metadata.published.as_ref().map(ToString::to_string).unwrap_or_default();
        let (authors, tags) = (authors.join(", "), metadata.tags.join("\n"));
        let (language, summary) =
            (metadata.language.as_deref().unwrap_or_default(), metadata.summary.as_deref().unwrap_or_default());
        let sql = "INSERT INTO revision (leaf, id, path, bundle, lines, content, generated, files, bytes, title, authors, published, \
                   language, tags, summary, current) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)";
        self.db.prepare_cached(sql)?.execute(params![
            row.leaf as i64,
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
        ])?;
        let text = &row.text[..row.text.floor_char_boundary(MAX_BODY_BYTES)];
        if !text.is_empty() {
            let packed = zstd::bulk::compress(text.as_bytes(), BODY_LEVEL)?;
            self.db.prepare_cached("INSERT INTO body VALUES (?, ?)")?.execute(params![row.leaf as i64, packed])?;
        }
        let facets = facets(row.id, &published, language, &metadata.tags);
        self.index(row.leaf, [&metadata.title, &authors, &tags, summary, text], &facets)
    }

    fn index(&mut self, leaf: u64, columns: [&str; 5], facets: &str) -> Result<(), Error> {
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
            .execute(params![leaf as i64, title, authors, tags, summary, body, facets])?;
        Ok(())
    }

    /// Takes the article's current revision out of what list and search see.
    fn supersede(&mut self, id: &str) -> Result<(), Error> {
        let sql = "SELECT leaf FROM revision WHERE id = ? AND current = 1";
        let before: Option<i64> = self.db.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        if let Some(leaf) = before {
            self.db.prepare_cached("UPDATE revision SET current = 0 WHERE leaf = ?")?.execute([leaf])?;
            self.db.prepare_cached("DELETE FROM words WHERE rowid = ?")?.execute([leaf])?;
            self.db.prepare_cached("DELETE FROM body WHERE leaf = ?")?.execute([leaf])?;
        }
        Ok(())
    }

    /// Withdraws all revisions of an article up to `leaf`: what they say leaves the catalog, that they were stays.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn withdraw(&mut self, id: &str, statement: Digest, leaf: u64) -> Result<(), Error> {
        self.supersede(id)?;
        let sql = "UPDATE revision SET withdrawn = 1, path = '', title = '', authors = '', published = '', language = '', tags = '', \
                   summary = '', files = 0, bytes = 0, generated = 0, content = lines WHERE id = ? AND leaf < ?";
        self.db.execute(sql, params![id, leaf as i64])?;
        let sql = "INSERT OR REPLACE INTO withdrawal VALUES (?, ?, ?)";
        self.db.execute(sql, params![id, statement.as_bytes(), leaf as i64])?;
        self.db.execute("UPDATE state SET remains = 1", [])?;
        Ok(())
    }

    /// Notes that a bundle's file is gone, and which bundle holds the rest.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn replaced(&mut self, old: BundleId, new: Option<BundleId>) -> Result<(), Error> {
        let sql = "UPDATE bundle SET gone = 1, replaced_by = ? WHERE id = ?";
        self.db.execute(sql, params![new.map(|id| *id.0.as_bytes()), old.0.as_bytes()])?;
        Ok(())
    }

    /// Returns what took a bundle's place: nothing did, or another bundle, or none.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn replaced_by(&self, id: BundleId) -> Result<Option<Option<BundleId>>, Error> {
        let sql = "SELECT replaced_by FROM bundle WHERE id = ? AND gone = 1";
        let row = |row: &Row<'_>| super::optional_digest(row, 0);
        let found = self.db.prepare_cached(sql)?.query_row([id.0.as_bytes()], row).optional()?;
        Ok(found.map(|next| next.map(BundleId)))
    }

    /// Returns the place of a bundle's file.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn file(&self, id: BundleId) -> Result<Option<String>, Error> {
        let sql = "SELECT file FROM bundle WHERE id = ?";
        Ok(self.db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// Keeps the update: the catalog has followed the log to `state`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn finish(self, state: State) -> Result<(), Error> {
        self.db.execute("UPDATE state SET size = ?, root = ?", params![state.size as i64, state.root.as_bytes()])?;
        Ok(self.db.commit()?)
    }
}
