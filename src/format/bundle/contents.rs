//! What a bundle holds: its checksum list, and where every file lies in the tar.
//!
//! Since every header is a pure function of path and size, list and sizes give every place; with the ids they give the article tree and the
//! index. Packer and reader both make them here.

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList};
use crate::format::framing::{self, Cut, Kind};
use crate::format::index::{self, Block, Head, Piece};
use crate::format::layout::{Layout, Place};
use crate::format::tree::{self, BLOCK_ARTICLES};
use crate::format::{tar, times};
use crate::path::EntryPath;

use super::Error;

/// The checksum list of a bundle and the places of its files.
#[derive(Debug)]
pub struct Contents {
    /// Path and digest of every file; without faults.
    pub list: ChecksumList,
    /// The places of the files in order of the tar.
    pub layout: Layout,
    /// The files' times as they stand in the bundle, where it has them.
    pub times: Option<Vec<u8>>,
    /// The bundle's top folder.
    top: String,
    /// For each line of the list, its number in the tar.
    order: Vec<u32>,
    /// For each member of the tar, its line in the list.
    lines: Vec<u32>,
    /// For each article the id that is not its path.
    ids: Vec<Option<Box<str>>>,
}

impl Contents {
    /// Reckons where the files of a list lie. `sizes` has the size of each of its lines, `ids` for each article the id that is not its path.
    pub fn new(
        top: &str,
        list: ChecksumList,
        sizes: &[u64],
        ids: Vec<Option<Box<str>>>,
        times: Option<Vec<u8>>,
    ) -> Self {
        let mut layout = Layout::at(0);
        let mut path = format!("{top}/");
        let mut order = vec![0; list.len()];
        let mut lines = Vec::with_capacity(list.len());
        for line in list.tar_order() {
            path.truncate(top.len() + 1);
            path.push_str(list.path(line));
            layout.push(tar::header_len(&path, sizes[line]), sizes[line]);
            order[line] = lines.len() as u32;
            lines.push(line as u32);
        }
        Self { list, layout, times, top: top.to_owned(), order, lines, ids }
    }

    /// Returns what is held without the articles with these numbers, ascending.
    ///
    /// # Errors
    /// Where the list or the times are none, which those of a bundle that was read are not.
    pub fn without(&self, removed: &[usize]) -> Result<Self, Error> {
        let stays = |n: &usize| removed.binary_search(n).is_err();
        let of_kept = |line: &usize| self.list.owner(*line).is_none_or(|owner| stays(&owner));
        let lines: Vec<usize> = (0..self.list.len()).filter(of_kept).collect();
        let text: String = lines.iter().map(|&line| self.list.line(line)).collect();
        let list = ChecksumList::decode(text.into_bytes())
            .map_err(|fault| Finding::new(Code::Checksums, checksums::NAME, fault))?;
        let sizes: Vec<u64> = lines.iter().map(|&line| self.place(line).size).collect();
        let ids = (0..self.ids.len()).filter(stays).map(|n| self.ids[n].clone()).collect();
        let times = match &self.times {
            Some(bytes) => {
                let of_all = times::decode(bytes, &self.list)
                    .map_err(|fault| Finding::new(Code::TagFile, times::NAME, fault))?;
                Some(times::encode(&list, |n| of_all[lines[n]]).into_bytes())
            }
            None => None,
        };
        Ok(Self::new(&self.top, list, &sizes, ids, times))
    }

    /// Returns the place of line `n` of the list.
    pub fn place(&self, n: usize) -> Place {
        self.layout.places()[self.order[n] as usize]
    }

    /// Returns the line of the member with this number in the tar.
    pub fn line(&self, member: usize) -> usize {
        self.lines[member] as usize
    }

    /// Returns the id of article `n`.
    pub fn id(&self, n: usize) -> &str {
        self.ids[n].as_deref().unwrap_or_else(|| self.list.article(n))
    }

    /// Finds the number of the article with this id.
    pub fn by_id(&self, id: &str) -> Option<usize> {
        let at_path = self.list.number(id).filter(|&n| self.ids[n].is_none());
        at_path.or_else(|| self.ids.iter().position(|other| other.as_deref() == Some(id)))
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.layout.places().iter().fold(0, |sum: u64, place| sum.saturating_add(place.size))
    }

    /// Returns the hashes of the leaves of the article tree.
    pub fn leaves(&self) -> Vec<Digest> {
        (0..self.list.article_count()).map(|n| tree::leaf(self.id(n), self.list.lines_text(n))).collect()
    }

    /// Returns the hash of each block of the article tree.
    pub fn blocks(&self) -> Vec<Digest> {
        tree::blocks(&self.leaves())
    }

    /// Returns the places of the members between the files and the tail: the list, the times, the pieces.
    fn rest(&self, pieces: &[String]) -> Layout {
        let mut rest = Layout::at(self.layout.end());
        let mut push = |name: &str, size: usize| {
            rest.push(tar::header_len(&format!("{}/{name}", self.top), size as u64), size as u64);
        };
        push(checksums::NAME, self.list.text().len());
        if let Some(times) = &self.times {
            push(times::NAME, times.len());
        }
        pieces.iter().enumerate().for_each(|(n, piece)| push(&index::piece_name(n), piece.len()));
        rest
    }

    /// Returns the tar between the files and the tail: list, times, pieces of the index.
    pub fn after_files(&self, pieces: &[String]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut put = |name: &str, bytes: &[u8]| tar::encode_file(&format!("{}/{name}", self.top), bytes, &mut plain);
        put(checksums::NAME, self.list.text().as_bytes());
        if let Some(times) = &self.times {
            put(times::NAME, times);
        }
        pieces.iter().enumerate().for_each(|(n, piece)| put(&index::piece_name(n), piece.as_bytes()));
        plain
    }

    /// Makes the index, its pieces and its head, of a bundle with these [`blocks`](Self::blocks); and says where the tail begins in the tar.
    pub fn index(&self, blocks: &[Digest]) -> (Vec<String>, Head, u64) {
        let sizes: Vec<u64> = (0..self.list.len()).map(|line| self.place(line).size).collect();
        let pieces: Vec<String> =
            (0..blocks.len()).map(|n| Piece::encode(&self.list, n, &sizes, |n| self.ids[n].as_deref())).collect();
        let rest = self.rest(&pieces);
        let first_piece = rest.places().len() - pieces.len();
        let block = |(n, &hash): (usize, &Digest)| {
            let first = n * BLOCK_ARTICLES;
            let lines = self.list.lines(first);
            let content = lines.clone().find(|&line| !self.list.is_metadata(line)).unwrap_or(lines.start);
            let metadata = lines.clone().find(|&line| self.list.is_metadata(line)).unwrap_or(lines.start);
            let ids = index::articles_of(self.list.article_count(), n)
                .filter_map(|n| self.ids[n].as_deref().map(index::mark));
            Some(Block {
                list: self.list.start(lines.start),
                content: self.place(content).offset,
                metadata: self.place(metadata).offset,
                piece: rest.places()[first_piece + n].offset,
                hash,
                first: EntryPath::parse(self.list.article(first)).ok()?,
                ids: ids.collect(),
            })
        };
        let head = Head {
            list_offset: self.layout.end(),
            list_size: self.list.text().len() as u64,
            blocks: blocks.iter().enumerate().filter_map(block).collect(),
        };
        (pieces, head, rest.end())
    }

    /// Cuts the tar of a bundle with this index into frames, up to the tail.
    pub fn cuts(&self, head: &Head, tail_at: u64, frame_bytes: u64) -> Vec<Cut> {
        if tail_at <= framing::SMALL_BYTES {
            return vec![Cut { from: 0, to: tail_at, kind: Kind::Plain }];
        }
        let places = self.layout.places();
        let metadata = (0..places.len()).position(|n| self.list.is_metadata(self.line(n))).unwrap_or(places.len());
        let kinds = (0..metadata).map(|member| Kind::of(self.list.path(self.line(member))));
        let mut cuts = framing::cut(places[..metadata].iter().copied().zip(kinds), frame_bytes);
        cuts.extend(framing::cut(places[metadata..].iter().map(|&place| (place, Kind::Plain)), frame_bytes));
        cuts.extend(self.cuts_after_files(head, tail_at));
        cuts
    }

    /// Cuts what lies between the files and the tail: the lines of each block begin a frame, and so do the times and each piece.
    pub fn cuts_after_files(&self, head: &Head, tail_at: u64) -> Vec<Cut> {
        let header = tar::header_len(&format!("{}/{}", self.top, checksums::NAME), head.list_size);
        let lines = head.list_offset + header;
        let mut bounds = vec![head.list_offset];
        bounds.extend(head.blocks.iter().skip(1).map(|block| lines + block.list));
        if self.times.is_some() {
            bounds.push(lines + head.list_size + tar::padding(head.list_size));
        }
        bounds.extend(head.blocks.iter().map(|block| block.piece));
        bounds.push(tail_at);
        framing::cut_at(&bounds)
    }
}
