//! The checksum list, `manifest-sha256.txt`: digest and path of every file under `data/`. (FORMAT.md, "The checksum list")
//!
//! ```text
//! 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  data/essays/tides/tides.md
//! ```
//!
//! One line a file, ascending bytewise by path, no path twice. `sha256sum -c` and BagIt tools read it as it is; a `%` in a
//! name stands literally.

use std::cmp::Ordering;

use crate::digest::Digest;
use crate::path::{EntryPath, PathFault};

/// The name of the list in the bundle.
pub const NAME: &str = "manifest-sha256.txt";
/// The folder that holds the content.
pub const DATA: &str = "data/";
/// The name of each article's metadata.
pub const METADATA: &str = "article.toml";
/// The most files a bundle may have.
pub const MAX_FILES: u64 = 65_536;
/// The most articles a bundle may have.
pub const MAX_ARTICLES: u64 = 16_384;
/// The longest list: every file with the longest path, in bytes.
pub const MAX_LIST_BYTES: u64 = MAX_FILES * 1100;

const HEX: usize = 64;
/// Digest and two spaces before the path.
const LEAD: usize = HEX + 2;

/// A checksum list as it stands in a bundle: its bytes, and where its lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksumList {
    text: String,
    /// Where each line begins; the last entry is the length of the text.
    starts: Vec<u32>,
}

/// Why bytes are no checksum list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListFault {
    /// A line that is not digest, two spaces, path below `data/`, LF.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A path that breaks the grammar.
    #[error("line {line}: the path {path:?} {fault}")]
    Path {
        /// Counted from 1.
        line: usize,
        /// The path as it stands there.
        path: String,
        /// The rule that it breaks.
        fault: PathFault,
    },
    /// A path that does not come after the one before it.
    #[error("line {line}: {path:?} does not come after the path before it")]
    Order {
        /// Counted from 1.
        line: usize,
        /// The path as it stands there.
        path: String,
    },
    /// A path that is a file here and a folder elsewhere in the list.
    #[error("{0:?} is a file and a folder at once")]
    FileAndFolder(String),
    /// More than [`MAX_FILES`] or [`MAX_ARTICLES`].
    #[error("the list has {found} {what}, at most {limit} are allowed")]
    TooMany {
        /// Files or articles.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

impl ChecksumList {
    /// Writes the list of these files, which must be given ascending by path.
    pub fn from_sorted<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> Self {
        let mut text = String::new();
        let mut starts = vec![0];
        for (path, digest) in files {
            text.push_str(&String::from_utf8_lossy(&digest.hex()));
            text.push_str("  ");
            text.push_str(path);
            text.push('\n');
            starts.push(text.len() as u32);
        }
        Self { text, starts }
    }

    /// Finds the lines of a list and looks no closer; for a list that its manifest vouches for, and that [`Self::faults`] examines.
    ///
    /// # Errors
    /// Where a line is not a digest's length, two spaces, a path below `data/` and LF.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, ListFault> {
        let text = String::from_utf8(bytes).map_err(|_| ListFault::NotUtf8)?;
        if text.len() as u64 > MAX_LIST_BYTES {
            return Err(ListFault::TooMany { what: "bytes", found: text.len() as u64, limit: MAX_LIST_BYTES });
        }
        let mut starts = vec![0];
        let mut at = 0;
        while at < text.len() {
            let fault = |what| ListFault::Line { line: starts.len(), what };
            let rest = &text.as_bytes()[at..];
            let lead = rest.get(..LEAD).ok_or(fault("too short"))?;
            if lead[HEX..] != *b"  " {
                return Err(fault("does not begin with a digest and two spaces"));
            }
            if !rest[LEAD..].starts_with(DATA.as_bytes()) {
                return Err(fault("its path is not below data/"));
            }
            let length = memchr::memchr(b'\n', &rest[LEAD..]).ok_or(fault("does not end with a line feed"))?;
            at += LEAD + length + 1;
            starts.push(at as u32);
        }
        Ok(Self { text, starts })
    }

    /// Checks everything that the format asks of a list: order, path rules, limits. Returns all faults.
    pub fn faults(&self) -> Vec<ListFault> {
        let mut faults = Vec::new();
        if self.len() as u64 > MAX_FILES {
            faults.push(ListFault::TooMany { what: "files", found: self.len() as u64, limit: MAX_FILES });
        }
        let articles = self.articles().count() as u64;
        if articles > MAX_ARTICLES {
            faults.push(ListFault::TooMany { what: "articles", found: articles, limit: MAX_ARTICLES });
        }
        let mut before = "";
        let mut parents: Vec<&str> = Vec::new();
        for n in 0..self.len() {
            let path = self.path(n);
            let owned = || path.to_owned();
            if self.stated(n).is_none() {
                faults.push(ListFault::Line { line: n + 1, what: "does not begin with a digest" });
            }
            if let Err(fault) = EntryPath::parse(path) {
                faults.push(ListFault::Path { line: n + 1, path: owned(), fault });
            }
            if path <= before {
                faults.push(ListFault::Order { line: n + 1, path: owned() });
            }
            parents.retain(|parent| path.starts_with(parent));
            let folder = parents.iter().find(|parent| path.as_bytes().get(parent.len()) == Some(&b'/'));
            faults.extend(folder.map(|parent| ListFault::FileAndFolder((*parent).to_owned())));
            parents.push(path);
            before = path;
        }
        faults
    }

    /// Returns the list's bytes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Says whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns line `n`'s path, `data/` included.
    pub fn path(&self, n: usize) -> &str {
        &self.text[self.starts[n] as usize + LEAD..self.starts[n + 1] as usize - 1]
    }

    /// Returns the whole of line `n`, its LF included.
    pub fn line(&self, n: usize) -> &str {
        &self.text[self.starts[n] as usize..self.starts[n + 1] as usize]
    }

    /// Returns line `n`'s digest; one that nothing has where the line holds none, which [`Self::faults`] finds.
    pub fn digest(&self, n: usize) -> Digest {
        self.stated(n).unwrap_or(Digest::from_bytes([0; 32]))
    }

    fn stated(&self, n: usize) -> Option<Digest> {
        let start = self.starts[n] as usize;
        Digest::from_hex(&self.text.as_bytes()[start..start + HEX]).ok()
    }

    /// Walks digests and paths in order.
    pub fn iter(&self) -> impl Iterator<Item = (Digest, &str)> {
        (0..self.len()).map(|n| (self.digest(n), self.path(n)))
    }

    /// Finds the line of a path, `data/` included.
    pub fn find(&self, path: &str) -> Option<usize> {
        let line = self.lower_bound(path);
        (line < self.len() && self.path(line) == path).then_some(line)
    }

    /// Returns the first line whose path is not before `path`.
    fn lower_bound(&self, path: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.path(middle) < path { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Says whether line `n` is an article's metadata.
    pub fn is_metadata(&self, n: usize) -> bool {
        is_metadata(self.path(n))
    }

    /// Returns the order of the members in the tar: all content, then all metadata, as line numbers.
    pub fn tar_order(&self) -> impl Iterator<Item = usize> {
        let content = (0..self.len()).filter(|&n| !self.is_metadata(n));
        content.chain((0..self.len()).filter(|&n| self.is_metadata(n)))
    }

    /// Walks the articles in order: path (without `data/`) and the line of the metadata.
    pub fn articles(&self) -> impl Iterator<Item = (&str, usize)> {
        (0..self.len()).filter_map(|n| article_of_metadata(self.path(n)).map(|path| (path, n)))
    }

    /// Returns the lines of one article, named by its path without `data/`; empty where there is no such article.
    pub fn article_lines(&self, article: &str) -> Vec<usize> {
        let folder = format!("{DATA}{article}/");
        if self.find(&format!("{folder}{METADATA}")).is_none() {
            return Vec::new();
        }
        let first = self.lower_bound(&folder);
        let below = (first..self.len()).take_while(|&line| self.path(line).starts_with(&folder));
        let deeper: Vec<&str> = below
            .clone()
            .filter_map(|line| article_of_metadata(self.path(line)))
            .filter(|path| path.len() > article.len())
            .collect();
        below
            .filter(|&line| {
                let path = &self.path(line)[DATA.len()..];
                deeper.iter().all(|deeper| path.strip_prefix(deeper).is_none_or(|rest| !rest.starts_with('/')))
            })
            .collect()
    }

    /// Returns for each line the number of its article in order of [`Self::articles`]: the one whose path is the longest
    /// prefix; `None` where there is none.
    pub fn owners(&self) -> Vec<Option<u32>> {
        let articles: Vec<&str> = self.articles().map(|(path, _)| path).collect();
        let numbered = |path: &str| articles.binary_search_by(|other| as_folder(other, path)).ok().map(|n| n as u32);
        let mut before: Option<(&str, Option<u32>)> = None;
        (0..self.len())
            .map(|n| {
                let folder = self.path(n).rsplit_once('/').map_or("", |(folder, _)| folder);
                if let Some((same, owner)) = before
                    && same == folder
                {
                    return owner;
                }
                let mut prefix = folder.strip_prefix(DATA);
                let owner = loop {
                    let Some(path) = prefix else { break None };
                    if let Some(owner) = numbered(path) {
                        break Some(owner);
                    }
                    prefix = path.rsplit_once('/').map(|(up, _)| up);
                };
                before = Some((folder, owner));
                owner
            })
            .collect()
    }
}

/// Compares two folders as their contents sort: each with a slash at its end.
fn as_folder(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let same = one.len().min(other.len());
    let rest = |path: &[u8]| path.get(same).copied().unwrap_or(b'/');
    one[..same].cmp(&other[..same]).then(rest(one).cmp(&rest(other))).then(one.len().cmp(&other.len()))
}

/// Says whether a path is an article's metadata.
pub fn is_metadata(path: &str) -> bool {
    article_of_metadata(path).is_some()
}

fn article_of_metadata(path: &str) -> Option<&str> {
    path.strip_prefix(DATA)?.strip_suffix(METADATA)?.strip_suffix('/')
}
