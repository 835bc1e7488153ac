//! What a source's files looked like when they were last packed: a cache, so that an unchanged article is known without reading it.
//!
//! One record an article, in the order of the walk: its path, and a digest of names, sizes, times and inodes of its files. Both the old
//! and the new one are streams. A file that changed within the clock's grain of the walk gets no digest, since it could change again unseen.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};
use crate::folder::stat::Stat;
use crate::folder::walk::FoundArticle;
use crate::store::disk;

use super::Error;

/// Times on disk may be as coarse as this, in nanoseconds.
const GRAIN_NANOSECONDS: i128 = 20_000_000;
const MAGIC: &[u8] = b"vellum-seen/1\n";
/// The longest path in a record, in bytes.
const MAX_PATH_BYTES: usize = 1024;
const DIGEST_BYTES: usize = 16;

/// What is known of one article.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    path: String,
    state: [u8; DIGEST_BYTES],
}

/// The old cache read along the walk, and the new one written.
pub(super) struct Seen {
    path: PathBuf,
    old: Option<BufReader<File>>,
    next: Option<Record>,
    new: BufWriter<tempfile::NamedTempFile>,
    /// When the walk began, by the file system's clock.
    begun: Stat,
    changed: bool,
    /// The state of the article asked about last.
    state: [u8; DIGEST_BYTES],
    /// Articles of the old cache that the walk did not find.
    pub(super) vanished: Vec<String>,
}

impl Seen {
    /// Opens a source's cache.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Cache { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        Self::of(path, disk::unfinished(folder, disk::SECRET).map_err(failed)?)
    }

    /// Opens a source's cache only to read it: nothing is made beside it, and the new one must not be kept.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, Error> {
        let new = tempfile::NamedTempFile::new();
        Self::of(path, new.map_err(|source| Error::Cache { path: path.to_owned(), source })?)
    }

    fn of(path: &Path, new: tempfile::NamedTempFile) -> Result<Self, Error> {
        let failed = |source| Error::Cache { path: path.to_owned(), source };
        let begun = Stat::from(&new.as_file().metadata().map_err(failed)?);
        let mut new = BufWriter::new(new);
        new.write_all(MAGIC).map_err(failed)?;
        let mut old = File::open(path).ok().map(|file| BufReader::with_capacity(256 << 10, file));
        let mut magic = [0; MAGIC.len()];
        if old.as_mut().is_some_and(|old| old.read_exact(&mut magic).is_err() || magic != MAGIC) {
            old = None;
        }
        let changed = old.is_none();
        let mut seen = Self {
            path: path.to_owned(),
            old,
            next: None,
            new,
            begun,
            changed,
            state: [0; DIGEST_BYTES],
            vanished: Vec::new(),
        };
        seen.advance();
        Ok(seen)
    }

    /// Reads the next old record; a damaged cache ends there.
    fn advance(&mut self) {
        self.next = self.read();
    }

    fn read(&mut self) -> Option<Record> {
        let old = self.old.as_mut()?;
        let mut length = [0; 2];
        old.read_exact(&mut length).ok()?;
        let length = usize::from(u16::from_le_bytes(length));
        if length > MAX_PATH_BYTES {
            return None;
        }
        let mut path = vec![0; length];
        old.read_exact(&mut path).ok()?;
        let mut state = [0; DIGEST_BYTES];
        old.read_exact(&mut state).ok()?;
        Some(Record { path: String::from_utf8(path).ok()?, state })
    }

    /// Says whether the article is as it was; what the old cache has before it has vanished.
    pub(super) fn is_unchanged(&mut self, article: &FoundArticle) -> bool {
        // The walk goes by whole parts of a path, so that what is below an article follows it.
        let order = |path: &str, other: &str| path.bytes().chain(*b"/").cmp(other.bytes().chain(*b"/"));
        self.state = state(article);
        while let Some(next) = &self.next {
            match order(&next.path, article.path.as_str()) {
                std::cmp::Ordering::Less => {
                    self.vanished.push(next.path.clone());
                    self.changed = true;
                    self.advance();
                }
                std::cmp::Ordering::Equal => {
                    let same = next.state != [0; DIGEST_BYTES] && next.state == self.state;
                    self.advance();
                    return same;
                }
                std::cmp::Ordering::Greater => return false,
            }
        }
        false
    }

    /// Notes the state of the article that was asked about last in the new cache.
    pub(super) fn note(&mut self, article: &FoundArticle, unchanged: bool) -> io::Result<()> {
        self.changed |= !unchanged;
        let files = article.files.iter().chain(&article.metadata);
        let close = files.map(|file| file.stat).any(|stat| stat.is_close_to(&self.begun, GRAIN_NANOSECONDS));
        let state = if close { [0; DIGEST_BYTES] } else { self.state };
        let path = article.path.as_str();
        self.new.write_all(&(path.len() as u16).to_le_bytes())?;
        self.new.write_all(path.as_bytes())?;
        self.new.write_all(&state)
    }

    /// Ends the walk: what is left of the old cache has vanished.
    pub(super) fn end(&mut self) {
        while let Some(next) = self.next.take() {
            self.vanished.push(next.path);
            self.changed = true;
            self.advance();
        }
    }

    /// Puts the new cache in the place of the old one.
    pub(super) fn keep(self) -> Result<(), Error> {
        let failed = |source| Error::Cache { path: self.path.clone(), source };
        if !self.changed {
            return Ok(());
        }
        let new = self.new.into_inner().map_err(|error| failed(error.into_error()))?;
        disk::name_over(new, &self.path).map_err(failed)
    }
}

/// Returns a digest of all that tells whether an article's files have changed.
fn state(article: &FoundArticle) -> [u8; DIGEST_BYTES] {
    let mut hasher = Hasher::new();
    let mut files: Vec<_> = article.files.iter().chain(&article.metadata).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for file in files {
        hasher.update(file.name.as_bytes());
        hasher.update(&[0]);
        hasher.update(&file.stat.to_bytes());
    }
    let digest: Digest = hasher.finish();
    let mut out = [0; DIGEST_BYTES];
    out.copy_from_slice(&digest.as_bytes()[..DIGEST_BYTES]);
    out
}
