//! The index: where things lie in the tar, so that one article is read without the rest. (FORMAT.md, "The index")
//!
//! ```text
//! vellum-index/1
//! list 8704 188
//! block 0 0 7168 9728 1d3b… essays/tides
//! ```
//!
//! That is the head, `index/head`, in the tail. The pieces, `index/0` and so on, hold for each article of a block the sizes of its files, and
//! its id where that is not its path. All of it is unsigned, a hint: what is read through it leads to the signed root, or is refused.

use std::fmt::Write as _;

use crate::digest::Digest;
use crate::path::{EntryPath, MAX_ID_BYTES};

use super::checksums::{ChecksumList, MAX_ARTICLES, MAX_FILES};
use super::tree::BLOCK_ARTICLES;

/// The name of the head in the bundle.
pub const HEAD: &str = "index/head";
/// How the names of the pieces begin.
pub const PIECES: &str = "index/";
/// The most blocks of a bundle.
pub const MAX_BLOCKS: usize = (MAX_ARTICLES as usize).div_ceil(BLOCK_ARTICLES);
/// The longest head, in bytes.
pub const MAX_HEAD_BYTES: u64 = 512 << 10;
/// The longest piece, in bytes: every file of a bundle, with sizes of 20 digits, and 256 ids.
pub const MAX_PIECE_BYTES: u64 = 21 * MAX_FILES + (BLOCK_ARTICLES * (MAX_ID_BYTES + 2)) as u64;

const FORMAT: &str = "vellum-index/1";

/// What the head of an index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Where the header of the checksum list begins in the tar.
    pub list_offset: u64,
    /// Size of the checksum list, in bytes.
    pub list_size: u64,
    /// The blocks in order.
    pub blocks: Vec<Block>,
}

/// Where one block of articles lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where its lines begin in the checksum list, in bytes.
    pub list: u64,
    /// Where the header of its first content file begins in the tar.
    pub content: u64,
    /// Where the header of its first `article.toml` begins in the tar.
    pub metadata: u64,
    /// Where the header of its piece begins in the tar.
    pub piece: u64,
    /// The hash of its subtree.
    pub hash: Digest,
    /// The path of its first article.
    pub first: EntryPath,
    /// The marks of the ids in it that are not their article's path.
    pub ids: Vec<u16>,
}

/// Returns the mark of an id: the first 16 bits of its SHA-256.
pub fn mark(id: &str) -> u16 {
    let digest = Digest::of(id.as_bytes());
    u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]])
}

/// Bytes that are no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is malformed")]
pub struct IndexFault;

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// Anything but the one form is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| IndexFault)?;
        let mut lines = text.split('\n');
        if lines.next() != Some(FORMAT) || bytes.len() as u64 > MAX_HEAD_BYTES {
            return Err(IndexFault);
        }
        let list = lines.next().and_then(|line| line.strip_prefix("list ")).ok_or(IndexFault)?;
        let (list_offset, list_size) = list.split_once(' ').ok_or(IndexFault)?;
        let mut head = Self { list_offset: number(list_offset)?, list_size: number(list_size)?, blocks: Vec::new() };
        for line in lines {
            if let Some(fields) = line.strip_prefix("block ") {
                if head.blocks.len() == MAX_BLOCKS {
                    return Err(IndexFault);
                }
                head.blocks.push(Block::decode(fields)?);
            } else if let Some(ids) = line.strip_prefix("ids ") {
                let block = head.blocks.last_mut().ok_or(IndexFault)?;
                if ids.len() % 4 != 0 || ids.len() / 4 > BLOCK_ARTICLES {
                    return Err(IndexFault);
                }
                for at in (0..ids.len()).step_by(4) {
                    let digits = ids.get(at..at + 4).ok_or(IndexFault)?;
                    block.ids.push(u16::from_str_radix(digits, 16).map_err(|_| IndexFault)?);
                }
            }
        }
        // Whatever else stood there, or stood otherwise, shows now.
        if head.encode().as_bytes() == bytes { Ok(head) } else { Err(IndexFault) }
    }

    /// Returns the head's bytes.
    pub fn encode(&self) -> String {
        let mut out = format!("{FORMAT}\nlist {} {}\n", self.list_offset, self.list_size);
        for Block { list, content, metadata, piece, hash, first, ids } in &self.blocks {
            // Writing to a string does not fail.
            let _ = writeln!(out, "block {list} {content} {metadata} {piece} {hash} {first}");
            if !ids.is_empty() {
                out.push_str("ids ");
                for id in ids {
                    let _ = write!(out, "{id:04x}");
                }
                out.push('\n');
            }
        }
        out
    }
}

impl Block {
    fn decode(fields: &str) -> Result<Self, IndexFault> {
        let mut fields = fields.splitn(6, ' ');
        let mut next = || fields.next().ok_or(IndexFault);
        let (list, content, metadata, piece) = (number(next()?)?, number(next()?)?, number(next()?)?, number(next()?)?);
        let hash = next()?.parse().map_err(|_| IndexFault)?;
        let first = EntryPath::parse(next()?).map_err(|_| IndexFault)?;
        Ok(Self { list, content, metadata, piece, hash, first, ids: Vec::new() })
    }
}

/// What the piece of a block says: sizes and ids of its articles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// For each article the sizes of its files in order of its lines, in bytes, and its id where that is not its path.
    pub articles: Vec<(Vec<u64>, Option<EntryPath>)>,
}

impl Piece {
    /// Reads a piece.
    ///
    /// # Errors
    /// Anything but the one form is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| IndexFault)?;
        let mut piece = Self::default();
        for line in text.strip_suffix('\n').ok_or(IndexFault)?.split('\n') {
            if piece.articles.len() == BLOCK_ARTICLES {
                return Err(IndexFault);
            }
            let (sizes, id) = line.split_once('\t').map_or((line, None), |(sizes, id)| (sizes, Some(id)));
            let sizes = sizes.split(' ').map(number).collect::<Result<_, _>>()?;
            let id = id.map(|id| if id.len() <= MAX_ID_BYTES { EntryPath::parse(id).ok() } else { None });
            piece.articles.push((sizes, id.map(|id| id.ok_or(IndexFault)).transpose()?));
        }
        Ok(piece)
    }

    /// Returns the bytes of the piece of block `n`: `sizes` has the size of each line of the list, `ids` of each article the id that is not
    /// its path.
    pub fn encode<'a>(list: &ChecksumList, n: usize, sizes: &[u64], ids: impl Fn(usize) -> Option<&'a str>) -> String {
        let mut out = String::new();
        for article in articles_of(list.article_count(), n) {
            for (k, line) in list.lines(article).enumerate() {
                // Writing to a string does not fail.
                let _ = write!(out, "{}{}", if k == 0 { "" } else { " " }, sizes[line]);
            }
            if let Some(id) = ids(article) {
                out.push('\t');
                out.push_str(id);
            }
            out.push('\n');
        }
        out
    }
}

/// Returns the numbers of the articles of block `n`.
pub fn articles_of(articles: usize, n: usize) -> std::ops::Range<usize> {
    n * BLOCK_ARTICLES..articles.min((n + 1) * BLOCK_ARTICLES)
}

/// Returns the name of the piece of block `n` in the bundle.
pub fn piece_name(n: usize) -> String {
    format!("{PIECES}{n}")
}

/// Reads a canonical decimal number.
fn number(text: &str) -> Result<u64, IndexFault> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().map_err(|_| IndexFault) } else { Err(IndexFault) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks() -> impl Strategy<Value = Block> {
        let numbers = any::<[u64; 4]>();
        (numbers, any::<[u8; 32]>(), "[a-z]{1,4}( [é/]?[a-z]{1,4})?", prop::collection::vec(any::<u16>(), 0..4))
            .prop_map(|([list, content, metadata, piece], hash, first, ids)| Block {
                list,
                content,
                metadata,
                piece,
                hash: Digest::from_bytes(hash),
                first: EntryPath::parse(&first.replace(" /", "/")).unwrap(),
                ids,
            })
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            list_offset in any::<u64>(), list_size in any::<u64>(), blocks in prop::collection::vec(blocks(), 0..4),
        ) {
            let head = Head { list_offset, list_size, blocks };
            prop_assert_eq!(Head::decode(head.encode().as_bytes()), Ok(head));
        }

        #[test]
        fn any_bytes_are_a_head_or_refused(text in "vellum-index/1\nlist [0-9 ]{1,4}\n((block|ids) [0-9a-f ]{0,80}\n?){0,3}") {
            if let Ok(head) = Head::decode(text.as_bytes()) {
                prop_assert_eq!(head.encode(), text);
            }
        }

        #[test]
        fn any_bytes_are_a_piece_or_refused(text in "([0-9 ]{0,5}(\t[a-c/]{0,3})?\n?){0,3}") {
            if let Ok(piece) = Piece::decode(text.as_bytes()) {
                let again: String = piece.articles.iter().map(|(sizes, id)| {
                    let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
                    format!("{}{}\n", sizes.join(" "), id.as_ref().map(|id| format!("\t{id}")).unwrap_or_default())
                }).collect();
                prop_assert_eq!(again, text);
            }
        }
    }
}
