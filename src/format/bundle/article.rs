//! Reading one article of a bundle: the tail, one piece of the index, one stretch of the list, its own frames. (FORMAT.md, "The index")
//!
//! Piece and stretch give the leaves of a block of the article tree; with the other blocks' hashes they lead to the root that the manifest
//! states, or are refused.

use std::io::Write;
use std::ops::Range;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList, DATA, MAX_LIST_BYTES};
use crate::format::index::{self, Piece};
use crate::format::layout::{Layout, Place};
use crate::format::tree::{self, BLOCK_ARTICLES};
use crate::format::{order, tar};

use super::open::Bundle;
use super::read::id_findings;
use super::{Error, MAX_CLAIMED_BYTES, Source};

/// One article of a bundle, proved by the manifest's root.
#[derive(Debug, Clone)]
pub struct ProvedArticle {
    /// Its path.
    pub path: String,
    /// Its id.
    pub id: String,
    /// Its number in the one order.
    pub number: u64,
    /// Its lines of the checksum list.
    pub lines: ChecksumList,
    /// The path of hashes from its leaf to the manifest's root.
    pub proof: Vec<Digest>,
    places: Vec<Place>,
}

impl ProvedArticle {
    /// Finds the line of the file with this path below `data/`.
    pub fn file(&self, path: &str) -> Option<usize> {
        self.lines.find(&format!("{DATA}{path}"))
    }

    /// Returns the lines of its content.
    pub fn content(&self) -> Vec<usize> {
        (0..self.lines.len()).filter(|&line| !self.lines.is_metadata(line)).collect()
    }
}

/// A block of articles, checked against the root.
struct Block {
    list: ChecksumList,
    piece: Piece,
    leaves: Vec<Digest>,
}

impl Block {
    fn id(&self, n: usize) -> &str {
        self.piece.articles[n].1.as_ref().map_or_else(|| self.list.article(n), |id| id.as_str())
    }
}

impl<S: Source> Bundle<S> {
    /// Finds an article by its id; else by its path; else the one that a file with this path belongs to. `None` where there is none: the index is
    /// not signed, so that it is then held against the whole list.
    ///
    /// # Errors
    /// Where what is read on the way does not lead to the manifest's root.
    pub fn article(&self, asked: &str) -> Result<Option<ProvedArticle>, Error> {
        self.prove_head()?;
        let mark = index::mark(asked);
        for n in (0..self.head.blocks.len()).filter(|&n| self.head.blocks[n].ids.contains(&mark)) {
            let piece = self.decoded_piece(n)?;
            let at = piece.articles.iter().position(|(_, id)| id.as_ref().is_some_and(|id| id.as_str() == asked));
            if let Some(at) = at {
                let block = self.block(n, piece)?;
                return self.article_of(n, &block, at).map(Some);
            }
        }
        let mut read: Option<(usize, Block)> = None;
        for path in std::iter::once(asked).chain(order::folders(asked)) {
            let above = self.head.blocks.partition_point(|block| order::articles(block.first.as_str(), path).is_le());
            let Some(n) = above.checked_sub(1) else { continue };
            let (n, block) = match read.take().filter(|(same, _)| *same == n) {
                Some(same) => same,
                None => (n, self.block(n, self.decoded_piece(n)?)?),
            };
            if let Some(at) = block.list.number(path) {
                return self.article_of(n, &block, at).map(Some);
            }
            read = Some((n, block));
        }
        self.contents()?;
        Ok(None)
    }

    /// Writes the content of one of an article's files to `out`, which must hold it back until this returns.
    ///
    /// # Errors
    /// Where the content is not what its line says; `out` may have got some of it.
    pub fn read_article_file(&self, article: &ProvedArticle, line: usize, out: &mut dyn Write) -> Result<(), Error> {
        self.read_line(&article.lines, line, article.places[line], Some((&article.path, &article.id)), out)
    }

    /// Checks that the hashes of the blocks lead to the manifest's root.
    pub(super) fn prove_head(&self) -> Result<(), Error> {
        let roots: Vec<Digest> = self.head.blocks.iter().map(|block| block.hash).collect();
        if tree::root(&roots) == self.manifest().root {
            Ok(())
        } else {
            Err(Finding::new(Code::Index, index::HEAD, "does not lead to the manifest's root").into())
        }
    }

    /// Reads the lines of block `n`, and proves them by a head that is proved itself.
    ///
    /// # Errors
    /// Where piece and lines do not lead to the block's hash, or break a rule.
    pub(super) fn proved_lines(&self, n: usize) -> Result<ChecksumList, Error> {
        Ok(self.block(n, self.decoded_piece(n)?)?.list)
    }

    fn decoded_piece(&self, n: usize) -> Result<Piece, Error> {
        let piece = Piece::decode(self.piece(n, self.head.blocks[n].piece)?.as_bytes());
        piece.map_err(|fault| Finding::new(Code::Index, index::piece_name(n), fault).into())
    }

    /// Returns the bytes of the checksum list that hold the lines of block `n`.
    fn stretch(&self, n: usize) -> Result<Range<u64>, Error> {
        let from = self.head.blocks[n].list;
        let to = self.head.blocks.get(n + 1).map_or(self.head.list_size, |next| next.list);
        if from < to && to - from <= MAX_LIST_BYTES && to <= self.head.list_size {
            Ok(from..to)
        } else {
            Err(Finding::new(Code::Index, index::HEAD, "does not lead to the lines of a block").into())
        }
    }

    /// Reads the lines of a block, and checks with its piece that they lead to the root.
    fn block(&self, n: usize, piece: Piece) -> Result<Block, Error> {
        let wrong = || Finding::new(Code::Index, index::piece_name(n), "does not lead to the manifest's root");
        let stretch = self.stretch(n)?;
        let header = tar::header_len(&format!("{}/{}", self.tail().top, checksums::NAME), self.head.list_size);
        let start = self.head.list_offset.saturating_add(header);
        let mut bytes = Vec::with_capacity((stretch.end - stretch.start) as usize);
        self.read_plain(start.saturating_add(stretch.start), start.saturating_add(stretch.end), &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        let list =
            ChecksumList::decode(bytes).map_err(|fault| Finding::new(Code::Checksums, checksums::NAME, fault))?;
        let articles = index::articles_of(self.manifest().articles as usize, n).len();
        if list.article_count() != articles || piece.articles.len() != articles {
            return Err(wrong().into());
        }
        let mut block = Block { list, piece, leaves: Vec::new() };
        block.leaves =
            (0..block.list.article_count()).map(|n| tree::leaf(block.id(n), block.list.lines_text(n))).collect();
        if tree::root(&block.leaves) != self.head.blocks[n].hash {
            return Err(wrong().into());
        }
        // Signed now; but a signature says who made the lines, not that they keep the rules.
        if let Some(fault) = block.list.faults().into_iter().next() {
            return Err(Finding::new(Code::Checksums, checksums::NAME, fault).into());
        }
        if let Some(finding) = id_findings(&block.list, |n| block.id(n)).into_iter().next() {
            return Err(finding.into());
        }
        let fits = (0..articles).all(|n| {
            let sizes = &block.piece.articles[n].0;
            block.list.lines(n).len() == sizes.len() && sizes.iter().all(|&size| size <= MAX_CLAIMED_BYTES)
        });
        if fits { Ok(block) } else { Err(wrong().into()) }
    }

    fn article_of(&self, n: usize, block: &Block, at: usize) -> Result<ProvedArticle, Error> {
        let head = &self.head.blocks[n];
        let (mut content, mut metadata) = (Layout::at(head.content), Layout::at(head.metadata));
        let mut places = Vec::new();
        for article in 0..=at {
            for (line, &size) in block.list.lines(article).zip(&block.piece.articles[article].0) {
                let layout = if block.list.is_metadata(line) { &mut metadata } else { &mut content };
                layout.push(tar::header_len(&format!("{}/{}", self.tail().top, block.list.path(line)), size), size);
                if article == at {
                    places.extend(layout.places().last());
                }
            }
        }
        let lines = ChecksumList::decode(block.list.lines_text(at).as_bytes().to_vec());
        let mut proof = tree::path(&block.leaves, at);
        proof.extend(tree::path(&self.head.blocks.iter().map(|block| block.hash).collect::<Vec<_>>(), n));
        Ok(ProvedArticle {
            path: block.list.article(at).to_owned(),
            id: block.id(at).to_owned(),
            number: (n * BLOCK_ARTICLES + at) as u64,
            lines: lines.map_err(|fault| Finding::new(Code::Checksums, checksums::NAME, fault))?,
            proof,
            places,
        })
    }
}
