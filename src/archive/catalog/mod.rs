//! The catalog: what list, search and history ask, in SQLite. A cache: rebuilt from bundles and log at any time, never consulted for trust.
//!
//! It says how far it has followed the log; what a kill leaves is an older state of it, and the next run goes on from there. A file
//! that is damaged or of another version is made anew.

mod filter;
mod search;
mod segment;
mod write;

pub use filter::Filter;
pub use search::{Hit, Span};
pub use write::{ArticleRow, Update};

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::digest::{DIGEST_BYTES, Digest};
use crate::format::checksums::MAX_ARTICLES;
use crate::ids::{BundleId, LeafIndex};
use crate::merkle;

const SCHEMA: &str = include_str!("schema.sql");
/// The version of the schema; a file of another one is made anew.
const VERSION: i64 = 3;
/// What SQLite may keep in memory, in KiB.
const CACHE_KIB: i64 = 32 << 10;
/// The positions that the numbers of a bundle's revisions have room for: as many as a bundle may have articles.
const POSITIONS: u64 = MAX_ARTICLES;

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SQLite's word.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made.
    #[error("cannot be written")]
    Io(#[from] io::Error),
}

/// How far the catalog has followed the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Number of leaves.
    pub size: u64,
    /// Root of the log at that size.
    pub root: Digest,
    /// Digest of which of its bundles count, which a policy may change afterwards.
    pub standing: Digest,
}

/// The number of a revision: where its bundle stands in the log, and where the revision stands in the bundle. A higher one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// The place of the bundle in which it was logged.
    pub place: LeafIndex,
    /// Its position in that bundle.
    pub position: u64,
}

impl Number {
    const fn row(self) -> i64 {
        (self.place.0 * POSITIONS + self.position) as i64
    }

    fn of_row(row: u64) -> Self {
        Self { place: LeafIndex(row / POSITIONS), position: row % POSITIONS }
    }
}

/// One logged revision of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The article's id; empty where it was withdrawn and nobody says what it was.
    pub id: String,
    /// Its path in the bundle; empty where it was withdrawn.
    pub path: String,
    /// The bundle that it came in.
    pub bundle: BundleId,
    /// Where it was logged.
    pub number: Number,
    /// Digest of its lines.
    pub lines: Digest,
    /// Digest of its lines but the metadata's.
    pub content: Digest,
    /// Whether its metadata was derived.
    pub generated: bool,
    /// Its title; empty where it was withdrawn.
    pub title: String,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
}

/// A current article, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The article's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its authors, parted by commas.
    pub authors: String,
    /// When it was published, or empty.
    pub published: String,
    /// Its language, or empty.
    pub language: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u64,
    /// Where it was logged.
    pub number: Number,
}

/// The catalog of an archive.
pub struct Catalog {
    db: Connection,
    /// Its file; none in memory.
    path: Option<PathBuf>,
}

impl Catalog {
    /// Opens the catalog, or makes an empty one where there is none that can be used.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if let Ok(catalog) = Self::try_open(path) {
            return Ok(catalog);
        }
        Self::remove(path)?;
        Self::try_open(path)
    }

    /// Opens a copy of the catalog at `path` in the folder `aside`, for a run that must leave the archive as it is.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn open_copy(path: &Path, aside: &Path) -> Result<Self, Error> {
        let copy = aside.join("catalog.sqlite");
        for ending in ["", "-wal"] {
            match fs::copy(format!("{}{ending}", path.display()), format!("{}{ending}", copy.display())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Self::open(&copy)
    }

    /// Empties the catalog, by making it anew where it lies.
    ///
    /// # Errors
    /// Where it cannot be removed or made.
    pub fn renew(&mut self) -> Result<(), Error> {
        *self = match &self.path {
            Some(path) => {
                Self::remove(path)?;
                Self::open(path)?
            }
            None => Self::in_memory()?,
        };
        Ok(())
    }

    /// Removes the catalog's files.
    ///
    /// # Errors
    /// Where that fails.
    pub fn remove(path: &Path) -> Result<(), Error> {
        for ending in ["", "-wal", "-shm", "-journal"] {
            match fs::remove_file(format!("{}{ending}", path.display())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes an empty catalog that goes with the process, for an archive that cannot be written to.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn in_memory() -> Result<Self, Error> {
        Self::of(Connection::open_in_memory()?, None)
    }

    fn try_open(path: &Path) -> Result<Self, Error> {
        Self::of(Connection::open(path)?, Some(path.to_owned()))
    }

    fn of(db: Connection, path: Option<PathBuf>) -> Result<Self, Error> {
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        // With a write-ahead log, NORMAL leaves after a loss of power an older state of the catalog, never a damaged one, for a sync a
        // checkpoint of SQLite's. What is withdrawn is overwritten in the file too.
        db.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA cache_size = -{CACHE_KIB}; \
             PRAGMA temp_store = MEMORY;"
        ))?;
        db.set_prepared_statement_cache_capacity(64);
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            db.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))?;
            db.execute(
                "INSERT INTO state VALUES (0, ?1, ?2, 0)",
                [merkle::empty_root().as_bytes(), standing_of_nothing().as_bytes()],
            )?;
        } else if version != VERSION {
            return Err(rusqlite::Error::InvalidQuery.into());
        }
        let catalog = Self { db, path };
        catalog.state()?;
        Ok(catalog)
    }

    /// Returns how far the catalog has followed the log.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn state(&self) -> Result<State, Error> {
        state(&self.db)
    }

    /// Begins to follow the log further, in one transaction; until it ends no other process can begin one.
    ///
    /// # Errors
    /// Where the database fails, or another process does not end its own.
    pub fn update(&mut self) -> Result<Update<'_>, Error> {
        Ok(Update::new(self.db.transaction_with_behavior(TransactionBehavior::Immediate)?))
    }

    /// Returns the revision of an article that holds now.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn current(&self, id: &str) -> Result<Option<Revision>, Error> {
        let sql = "SELECT id, path, bundle, number, lines, content, generated, title, withdrawn FROM revision WHERE id = ? AND current = 1";
        Ok(self.db.prepare_cached(sql)?.query_row([id], revision).optional()?)
    }

    /// Returns all revisions of an article, the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn history(&self, id: &str) -> Result<Vec<Revision>, Error> {
        let sql = "SELECT id, path, bundle, number, lines, content, generated, title, withdrawn FROM revision WHERE key = ? ORDER BY number";
        let mut statement = self.db.prepare_cached(sql)?;
        Ok(statement.query_map([Digest::of(id.as_bytes()).as_bytes()], revision)?.collect::<Result<_, _>>()?)
    }

    /// Says whether a revision of this key, the digest of an id, was logged with a bundle.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn holds(&self, key: &Digest, bundle: BundleId) -> Result<bool, Error> {
        holds(&self.db, key, bundle)
    }

    /// Says whether the catalog has no article at all.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.db.query_row("SELECT NOT EXISTS (SELECT 1 FROM revision)", [], |row| row.get(0))?)
    }

    /// Returns how many articles there are now, and how many revisions; reads all of their index.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn counts(&self) -> Result<(u64, u64), Error> {
        let sql = "SELECT (SELECT count(*) FROM revision WHERE current = 1), (SELECT count(*) FROM revision)";
        Ok(self.db.query_row(sql, [], |row| Ok((number(row, 0)?, number(row, 1)?)))?)
    }

    /// Walks the current articles that pass `filter`, ascending by id.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn list(&self, filter: &Filter, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<(), Error> {
        // Below a folder alone, the range of ids is all there is to say; `0` is the character after `/`.
        let range =
            filter.folder().map_or((String::new(), None), |folder| (format!("{folder}/"), Some(format!("{folder}0"))));
        let narrow = Filter { below: None, ..filter.clone() };
        let expression = narrow.expression(self.years(filter)?);
        let facets = match &expression {
            Some(_) => "r.number IN (SELECT rowid FROM words WHERE words MATCH ?3)",
            None => "?3 IS NULL",
        };
        let sql = format!(
            "SELECT {} FROM revision r WHERE r.current = 1 AND {} AND {facets} AND r.id >= ?4 AND r.id < coalesce(?5, x'') ORDER BY r.id",
            search::LISTED,
            filter::DATES
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(params![filter.from, filter.to, expression, range.0, range.1])?;
        while let Some(row) = rows.next()? {
            if each(listed(row)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Says whether words of what was withdrawn are still in the file, marked as deleted: see [`Catalog::forget`].
    ///
    /// # Errors
    /// Where the database fails.
    pub fn has_remains(&self) -> Result<bool, Error> {
        Ok(self.db.query_row("SELECT remains FROM state", [], |row| row.get(0))?)
    }

    /// Writes the full text anew without what was withdrawn; its size is what that costs.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn forget(&mut self) -> Result<(), Error> {
        let transaction = self.db.transaction()?;
        // The full text only marks rows as deleted; merged into one, its segments no longer hold their words.
        transaction.execute("INSERT INTO words (words) VALUES ('optimize')", [])?;
        transaction.execute("UPDATE state SET remains = 0", [])?;
        Ok(transaction.commit()?)
    }

    /// Writes every row of every table as sorted lines, so that two catalogs can be compared.
    ///
    /// # Errors
    /// Where the database or `out` fails.
    pub fn dump(&self, out: &mut dyn Write) -> Result<(), Error> {
        for (table, order) in [("state", "1"), ("revision", "1"), ("body", "1")] {
            let mut statement = self.db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                write!(out, "{table}")?;
                for column in 0..columns {
                    match row.get_ref(column)? {
                        ValueRef::Null => write!(out, "\t-")?,
                        ValueRef::Integer(n) => write!(out, "\t{n}")?,
                        ValueRef::Real(n) => write!(out, "\t{n}")?,
                        ValueRef::Text(text) => write!(out, "\t{}", String::from_utf8_lossy(text).escape_debug())?,
                        ValueRef::Blob(bytes) => write!(out, "\t{}", Digest::of(bytes))?,
                    }
                }
                writeln!(out)?;
            }
        }
        // The words of each row, as the full text index has them.
        let sql = "SELECT term, doc, col, offset FROM temp.terms ORDER BY 1, 2, 3, 4";
        self.db
            .execute_batch("CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab(main, words, 'instance')")?;
        let mut statement = self.db.prepare(sql)?;
        let mut rows = statement.query(params![])?;
        while let Some(row) = rows.next()? {
            let (term, doc, column, offset): (String, i64, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            writeln!(out, "words\t{term}\t{doc}\t{column}\t{offset}")?;
        }
        Ok(())
    }
}

fn state(db: &Connection) -> Result<State, Error> {
    let state = |row: &Row<'_>| Ok(State { size: number(row, 0)?, root: digest(row, 1)?, standing: digest(row, 2)? });
    Ok(db.query_row("SELECT size, root, standing FROM state", [], state)?)
}

fn revision(row: &Row<'_>) -> rusqlite::Result<Revision> {
    Ok(Revision {
        id: row.get(0)?,
        path: row.get(1)?,
        bundle: BundleId(digest(row, 2)?),
        number: Number::of_row(number(row, 3)?),
        lines: digest(row, 4)?,
        content: digest(row, 5)?,
        generated: row.get(6)?,
        title: row.get(7)?,
        withdrawn: row.get(8)?,
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get(0)?,
        title: row.get(1)?,
        authors: row.get(2)?,
        published: row.get(3)?,
        language: row.get(4)?,
        bytes: number(row, 5)?,
        files: number(row, 6)?,
        number: Number::of_row(number(row, 7)?),
    })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get::<_, [u8; DIGEST_BYTES]>(column).map(Digest::from_bytes)
}

/// Returns the standing of a log without bundles.
pub(crate) fn standing_of_nothing() -> Digest {
    Digest::of(b"")
}

fn holds(db: &Connection, key: &Digest, bundle: BundleId) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM revision WHERE key = ? AND bundle = ?)";
    Ok(db.prepare_cached(sql)?.query_row([key.as_bytes(), bundle.0.as_bytes()], |row| row.get(0))?)
}
