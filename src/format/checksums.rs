//! The checksum list, `manifest-sha256.txt`: digest and path of every file under `data/`. (FORMAT.md, "The checksum list")
//!
//! ```text
//! 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  data/essays/tides/tides.md
//! ```
//!
//! One line a file, in the one order. `sha256sum -c` and BagIt tools read it as it is; a `%` in a name stands literally. Which file belongs
//! to which article follows from the list alone: to the one whose path is the longest that its own begins with.

use std::cmp::Ordering;
use std::ops::Range;

use crate::digest::Digest;
use crate::path::{EntryPath, PathFault};

use super::order;

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
/// Stands for the article of a file that belongs to none.
const NONE: u32 = u32::MAX;

/// A checksum list as it stands in a bundle, or a stretch of one: its bytes, where its lines are, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksumList {
    text: String,
    /// Where each line begins; the last entry is the length of the text.
    starts: Vec<u32>,
    /// For each line the number of its article, or [`NONE`].
    owners: Vec<u32>,
    /// The articles, numbered as their first lines follow each other.
    articles: Vec<Stretch>,
}

/// The articles of a list in the one order, in whatever order their lines stand.
struct Known<'a> {
    /// Path, and the metadata's line.
    articles: Vec<(&'a str, u32)>,
    /// For each the nearest article whose folder it lies in.
    above: Vec<Option<u32>>,
}

impl<'a> Known<'a> {
    fn of(list: &'a ChecksumList) -> Self {
        let metadata = |n| article_of_metadata(list.path(n)).map(|path| (path, n as u32));
        let mut articles: Vec<_> = (0..list.len()).filter_map(metadata).collect();
        articles.sort_by(|one, other| order::articles(one.0, other.0));
        articles.dedup_by(|other, one| one.0 == other.0);
        let mut above: Vec<Option<u32>> = Vec::with_capacity(articles.len());
        for n in 0..articles.len() {
            let mut nearest = n.checked_sub(1);
            while let Some(at) = nearest.filter(|&at| !order::is_below(articles[n].0, articles[at].0)) {
                nearest = above[at].map(|at| at as usize);
            }
            above.push(nearest.map(|at| at as u32));
        }
        Self { articles, above }
    }

    /// Finds the article that a folder's files belong to: of those that come before it the nearest that is a folder above it.
    ///
    /// The common part of two paths is measured once; which of the articles above each other are within it follows from their lengths.
    fn owner(&self, folder: &str) -> Option<usize> {
        let after = self.articles.partition_point(|(path, _)| order::articles(path, folder).is_le());
        let mut at = after.checked_sub(1)?;
        let common = self.articles[at].0.bytes().zip(folder.bytes()).take_while(|(one, other)| one == other).count();
        let holds = |path: &str| path.len() <= common && matches!(folder.as_bytes().get(path.len()), None | Some(b'/'));
        while !holds(self.articles[at].0) {
            at = self.above[at]? as usize;
        }
        Some(at)
    }
}

/// The lines of one article.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    metadata: u32,
    lines: Range<u32>,
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
    /// A path that does not come after the one before it in the one order.
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
    /// A file without an `article.toml` in a folder above it.
    #[error("{0:?} belongs to no article: there is no {METADATA} above it")]
    NoArticle(String),
    /// An article that is metadata alone.
    #[error("the article {0:?} has no content")]
    NoContent(String),
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
    /// Not a line.
    #[error("the list is empty")]
    Empty,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// Appends one line to the text of a list; `path` includes `data/`.
pub fn push_line(text: &mut String, path: &str, digest: &Digest) {
    text.push_str(&String::from_utf8_lossy(&digest.hex()));
    text.push_str("  ");
    text.push_str(path);
    text.push('\n');
}

impl ChecksumList {
    /// Finds the lines of a list and the articles that they belong to; [`Self::faults`] checks the rules.
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
        let mut list = Self { text, starts, owners: Vec::new(), articles: Vec::new() };
        (list.owners, list.articles) = list.assign();
        Ok(list)
    }

    /// Assigns every line to the article whose path is the longest that its own begins with.
    fn assign(&self) -> (Vec<u32>, Vec<Stretch>) {
        let known = Known::of(self);
        let mut numbers = vec![NONE; known.articles.len()];
        let mut owners = Vec::with_capacity(self.len());
        let mut articles: Vec<Stretch> = Vec::with_capacity(known.articles.len());
        let mut before: Option<(&str, u32)> = None;
        for n in 0..self.len() {
            let folder = order::parent(&self.path(n)[DATA.len()..]).unwrap_or_default();
            let owner = match before {
                Some((same, owner)) if same == folder => owner,
                _ => known.owner(folder).map_or(NONE, |known_as| {
                    if numbers[known_as] == NONE {
                        numbers[known_as] = articles.len() as u32;
                        let metadata = known.articles[known_as].1;
                        articles.push(Stretch { metadata, lines: n as u32..n as u32 });
                    }
                    numbers[known_as]
                }),
            };
            if let Some(article) = articles.get_mut(owner as usize) {
                article.lines.end = n as u32 + 1;
            }
            before = Some((folder, owner));
            owners.push(owner);
        }
        (owners, articles)
    }

    /// Checks everything that the format asks of a list: order, path rules, articles, limits. Returns all faults.
    pub fn faults(&self) -> Vec<ListFault> {
        let mut faults = Vec::new();
        if self.is_empty() {
            faults.push(ListFault::Empty);
        }
        for (what, found, limit) in
            [("files", self.len() as u64, MAX_FILES), ("articles", self.articles.len() as u64, MAX_ARTICLES)]
        {
            if found > limit {
                faults.push(ListFault::TooMany { what, found, limit });
            }
        }
        let mut content = vec![false; self.articles.len()];
        for n in 0..self.len() {
            let path = self.path(n);
            let below = &path[DATA.len()..];
            let owned = || path.to_owned();
            if self.stated(n).is_none() {
                faults.push(ListFault::Line { line: n + 1, what: "does not begin with a digest" });
            }
            if let Some(fault) = EntryPath::fault(below) {
                faults.push(ListFault::Path { line: n + 1, path: owned(), fault });
            }
            match self.owner(n) {
                None => faults.push(ListFault::NoArticle(owned())),
                Some(owner) => content[owner] |= !self.is_metadata(n),
            }
            if n > 0 && self.order(n - 1, n) != Ordering::Less {
                faults.push(ListFault::Order { line: n + 1, path: owned() });
            }
        }
        // With a slash at the end of each, what lies below a path comes right after it.
        let mut paths: Vec<&str> = (0..self.len()).map(|n| self.path(n)).collect();
        paths.sort_by(|one, other| order::articles(one, other));
        let both = paths.windows(2).filter(|pair| order::is_below(pair[1], pair[0]));
        faults.extend(both.map(|pair| ListFault::FileAndFolder(pair[0].to_owned())));
        let empty = self.articles().zip(content).filter(|(_, content)| !content);
        faults.extend(empty.map(|((path, _), _)| ListFault::NoContent(path.to_owned())));
        faults
    }

    /// Compares two lines by the one order; lines of no article by their paths.
    fn order(&self, one: usize, other: usize) -> Ordering {
        match (self.owner(one), self.owner(other)) {
            (Some(a), Some(b)) if a != b => order::articles(self.article(a), self.article(b)),
            _ => self.path(one).cmp(self.path(other)),
        }
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

    /// Returns line `n`'s path below `data/`.
    pub fn below(&self, n: usize) -> &str {
        &self.path(n)[DATA.len()..]
    }

    /// Returns the whole of line `n`, its LF included.
    pub fn line(&self, n: usize) -> &str {
        &self.text[self.starts[n] as usize..self.starts[n + 1] as usize]
    }

    /// Returns where line `n` begins in the list, in bytes; `n` may be the number of lines.
    pub fn start(&self, n: usize) -> u64 {
        u64::from(self.starts[n])
    }

    /// Returns line `n`'s digest; one that nothing has where the line holds none, which [`Self::faults`] finds.
    pub fn digest(&self, n: usize) -> Digest {
        self.stated(n).unwrap_or(Digest::from_bytes([0; 32]))
    }

    fn stated(&self, n: usize) -> Option<Digest> {
        let start = self.starts[n] as usize;
        Digest::from_hex(&self.text.as_bytes()[start..start + HEX]).ok()
    }

    /// Finds the line of a path, `data/` included, in a list without faults.
    pub fn find(&self, path: &str) -> Option<usize> {
        let below = path.strip_prefix(DATA)?;
        let owner = order::folders(below).find_map(|folder| self.number(folder))?;
        bisect(self.lines(owner), |n| self.path(n).cmp(path))
    }

    /// Says whether line `n` is an article's metadata.
    pub fn is_metadata(&self, n: usize) -> bool {
        article_of_metadata(self.path(n)).is_some()
    }

    /// Returns the order of the members in the tar: all content, then all metadata, as line numbers.
    pub fn tar_order(&self) -> impl Iterator<Item = usize> {
        let content = (0..self.len()).filter(|&n| !self.is_metadata(n));
        content.chain((0..self.len()).filter(|&n| self.is_metadata(n)))
    }

    /// Walks the articles in order: path (without `data/`) and the line of the metadata.
    pub fn articles(&self) -> impl Iterator<Item = (&str, usize)> {
        (0..self.articles.len()).map(|n| (self.article(n), self.articles[n].metadata as usize))
    }

    /// Returns the number of articles.
    pub fn article_count(&self) -> usize {
        self.articles.len()
    }

    /// Returns the path of article `n`.
    pub fn article(&self, n: usize) -> &str {
        article_of_metadata(self.path(self.articles[n].metadata as usize)).unwrap_or_default()
    }

    /// Returns the lines of article `n`.
    pub fn lines(&self, n: usize) -> Range<usize> {
        let lines = &self.articles[n].lines;
        lines.start as usize..lines.end as usize
    }

    /// Returns the text of the lines of article `n`.
    pub fn lines_text(&self, n: usize) -> &str {
        let lines = self.lines(n);
        &self.text[self.starts[lines.start] as usize..self.starts[lines.end] as usize]
    }

    /// Finds the number of the article with this path, in a list without faults.
    pub fn number(&self, article: &str) -> Option<usize> {
        bisect(0..self.articles.len(), |n| order::articles(self.article(n), article))
    }

    /// Returns the lines of the article with this path; empty where there is no such article.
    pub fn article_lines(&self, article: &str) -> Range<usize> {
        self.number(article).map_or(0..0, |n| self.lines(n))
    }

    /// Returns the number of the article that line `n` belongs to; `None` where there is none.
    pub fn owner(&self, n: usize) -> Option<usize> {
        Some(self.owners[n]).filter(|&owner| owner != NONE).map(|owner| owner as usize)
    }
}

/// Finds the number in an ascending range that compares as equal.
fn bisect(range: Range<usize>, compare: impl Fn(usize) -> Ordering) -> Option<usize> {
    let Range { start: mut low, end: mut high } = range;
    while low < high {
        let middle = low.midpoint(high);
        match compare(middle) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Some(middle),
        }
    }
    None
}

fn article_of_metadata(path: &str) -> Option<&str> {
    path.strip_prefix(DATA)?.strip_suffix(METADATA)?.strip_suffix('/').filter(|article| !article.is_empty())
}

/// Says whether a path, `data/` included, is an article's metadata.
pub fn is_metadata(path: &str) -> bool {
    article_of_metadata(path).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(paths: &[&str]) -> ChecksumList {
        let mut text = String::new();
        for path in paths {
            push_line(&mut text, &format!("{DATA}{path}"), &Digest::of(path.as_bytes()));
        }
        ChecksumList::decode(text.into_bytes()).unwrap()
    }

    #[test]
    fn the_lines_of_an_article_are_one_stretch_also_around_another_article() {
        let list =
            list(&["a-b/article.toml", "a-b/x", "a/article.toml", "a/b/z", "a/z", "a/b/c/article.toml", "a/b/c/y"]);
        assert_eq!(list.faults(), []);
        assert_eq!(list.articles().map(|(path, _)| path).collect::<Vec<_>>(), ["a-b", "a", "a/b/c"]);
        assert_eq!(list.article_lines("a"), 2..5);
        assert_eq!(list.find("data/a/b/z"), Some(3));
        assert_eq!(list.find("data/a/b/c/y"), Some(6));
        assert_eq!(list.find("data/a/b/c"), None);
    }

    #[test]
    fn every_rule_of_a_list_is_asked() {
        type Is = fn(&ListFault) -> bool;
        let cases: [(&[&str], Is); 7] = [
            (&[], |f| matches!(f, ListFault::Empty)),
            (&["a/article.toml", "a/y", "a/x"], |f| matches!(f, ListFault::Order { line: 3, .. })),
            (&["a/article.toml", "a/x", "a-b/article.toml", "a-b/x"], |f| {
                matches!(f, ListFault::Order { line: 3, .. })
            }),
            (&["a/article.toml", "a/x", "b"], |f| matches!(f, ListFault::NoArticle(_))),
            (&["article.toml", "x"], |f| matches!(f, ListFault::NoArticle(_))),
            (&["a/article.toml"], |f| matches!(f, ListFault::NoContent(_))),
            (&["a/article.toml", "a/x", "a/x/y"], |f| matches!(f, ListFault::FileAndFolder(_))),
        ];
        for (paths, fault) in cases {
            assert!(list(paths).faults().iter().any(fault), "{paths:?}: {:?}", list(paths).faults());
        }
        let outer = list(&["a/article.toml", "a/x "]);
        assert!(matches!(outer.faults()[..], [ListFault::Path { .. }]), "{:?}", outer.faults());
        let drive = list(&["c:/article.toml", "c:/x"]);
        assert!(drive.faults().iter().all(|fault| matches!(fault, ListFault::Path { fault: PathFault::Drive, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_with_faults_or_refused(text in "([0a]{64}  data/[a-c/]{1,6}(/article.toml)?\n){0,6}") {
            if let Ok(list) = ChecksumList::decode(text.clone().into_bytes()) {
                prop_assert_eq!(list.text(), text);
                let faults = list.faults();
                if faults.is_empty() {
                    for n in 0..list.len() {
                        prop_assert_eq!(list.find(list.path(n)), Some(n));
                        prop_assert!(list.owner(n).is_some_and(|owner| list.lines(owner).contains(&n)));
                    }
                }
            }
        }
    }
}
