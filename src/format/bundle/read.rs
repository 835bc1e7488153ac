//! Reading what a whole bundle holds: its checksum list, its times and its index, each held against the manifest.
//!
//! The root of the article tree binds list and ids to the manifest; what the index says is made anew and compared. So every byte of the tar
//! between the files and the tail is accounted for here, and [`Contents`] are true but for the sizes, which the members' headers bear out.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::checksums::{self, ChecksumList, DATA, ListFault, MAX_LIST_BYTES};
use crate::format::index::{self, MAX_PIECE_BYTES, Piece};
use crate::format::layout::{Layout, Place};
use crate::format::manifest::{self, Manifest};
use crate::format::tar::{self, Entry};
use crate::format::times::{self, MAX_TIMES_BYTES};
use crate::format::tree;
use crate::format::was::{self, Was};
use crate::path::MAX_ID_BYTES;

use super::open::Bundle;
use super::{Contents, Error, MAX_CLAIMED_BYTES, Source};

impl<S: Source> Bundle<S> {
    /// Reads everything that tells what the bundle holds, and holds it against the manifest.
    ///
    /// # Errors
    /// Where the list is not the one that the manifest names or breaks a rule, the articles do not lead to the manifest's root, or the index
    /// is not the one that list, ids and sizes make.
    pub fn contents(&self) -> Result<Contents, Error> {
        let list = self.list()?;
        let first = |findings: Vec<Finding>| -> Result<(), Error> {
            findings.into_iter().next().map_or(Ok(()), |finding| Err(finding.into()))
        };
        first(list_findings(&list, self.manifest()))?;
        let (mut sizes, mut ids) = (Vec::with_capacity(list.len()), Vec::with_capacity(list.article_count()));
        let mut pieces: Vec<String> = Vec::with_capacity(self.head.blocks.len());
        for (n, block) in self.head.blocks.iter().enumerate() {
            let text = self.piece(n, block.piece)?;
            let name = index::piece_name(n);
            let wrong = |detail: &str| Finding::new(Code::Index, &name, detail);
            let piece = Piece::decode(text.as_bytes()).map_err(|fault| wrong(&fault.to_string()))?;
            let articles = index::articles_of(list.article_count(), n);
            if piece.articles.len() != articles.len() {
                return Err(wrong("has another number of articles than the list").into());
            }
            for (article, (of_files, id)) in articles.zip(piece.articles) {
                if of_files.len() != list.lines(article).len() || of_files.iter().any(|&size| size > MAX_CLAIMED_BYTES)
                {
                    return Err(wrong("does not fit the list").into());
                }
                sizes.extend(of_files);
                ids.push(id.map(|id| id.as_str().into()));
            }
            pieces.push(text);
        }
        let times = self.times(&list)?;
        let contents = Contents::new(&self.tail().top, list, &sizes, ids, times);
        let blocks = contents.blocks();
        first(content_findings(&contents, &blocks, self.manifest(), &self.tail().was))?;
        let (made, head, end) = contents.index(&blocks);
        if made != pieces || head != self.head || Some(end) != self.frames.last().map(|frame| frame.plain_at) {
            return Err(Finding::new(Code::Index, index::HEAD, "does not say where the members lie").into());
        }
        Ok(contents)
    }

    /// Reads the checksum list.
    fn list(&self) -> Result<ChecksumList, Error> {
        let (offset, size) = (self.head.list_offset, self.head.list_size);
        if size > MAX_LIST_BYTES {
            return Err(Finding::new(Code::OverLimit, checksums::NAME, format!("{size} bytes")).into());
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let digest = self.read_tag_file(checksums::NAME, offset, size, &mut bytes)?;
        if digest != self.manifest().checksums {
            return Err(Finding::new(Code::Checksums, checksums::NAME, "not the one that the manifest names").into());
        }
        ChecksumList::decode(bytes).map_err(|fault| Finding::new(Code::Checksums, checksums::NAME, fault).into())
    }

    /// Reads the files' times, where the manifest names them.
    fn times(&self, list: &ChecksumList) -> Result<Option<Vec<u8>>, Error> {
        let Some(expected) = self.manifest().times else { return Ok(None) };
        let mut after = Layout::at(self.head.list_offset);
        let list_size = list.text().len() as u64;
        after.push(tar::header_len(&format!("{}/{}", self.tail().top, checksums::NAME), list_size), list_size);
        let size = self.size_at(times::NAME, after.end(), MAX_TIMES_BYTES)?;
        let mut bytes = Vec::with_capacity(size as usize);
        let digest = self.read_tag_file(times::NAME, after.end(), size, &mut bytes)?;
        if digest != expected {
            return Err(Finding::new(Code::TagFile, times::NAME, "not the one that the manifest names").into());
        }
        times::decode(&bytes, list).map_err(|fault| Finding::new(Code::TagFile, times::NAME, fault))?;
        Ok(Some(bytes))
    }

    /// Reads the text of a piece of the index whose header begins at `offset`.
    pub(super) fn piece(&self, n: usize, offset: u64) -> Result<String, Error> {
        let name = index::piece_name(n);
        let size = self.size_at(&name, offset, MAX_PIECE_BYTES)?;
        let mut bytes = Vec::with_capacity(size as usize);
        self.read_tag_file(&name, offset, size, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Finding::new(Code::Index, name, "not UTF-8").into())
    }

    /// Reads the member `name` of the top folder whose header begins at `offset`.
    fn read_tag_file(&self, name: &str, offset: u64, size: u64, out: &mut Vec<u8>) -> Result<Digest, Error> {
        let path = format!("{}/{name}", self.tail().top);
        let place = Place { offset, header: tar::header_len(&path, size), size };
        self.read_member(&path, place, out)
    }

    /// Returns the size that the header at `offset` states of the member `name`.
    fn size_at(&self, name: &str, offset: u64, limit: u64) -> Result<u64, Error> {
        let last = self.frames.last().map_or(0, |frame| frame.plain_at);
        let mut header = Vec::new();
        if offset < last {
            // Not a byte more: a small piece ends soon after its header, and the next frame is not wanted here.
            let len = tar::header_len(&format!("{}/{name}", self.tail().top), limit);
            self.read_plain(offset, last.min(offset + len), &mut |bytes| {
                header.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        match tar::decode_header(&header) {
            Ok(Entry::File { size, .. }) if size <= limit => Ok(size),
            Ok(Entry::File { size, .. }) => {
                Err(Finding::new(Code::OverLimit, name, format!("{size} bytes, at most {limit} are allowed")).into())
            }
            _ => Err(Finding::new(Code::Index, index::HEAD, format!("does not lead to {name:?}")).into()),
        }
    }
}

/// Checks a list by itself and against its manifest.
pub(super) fn list_findings(list: &ChecksumList, manifest: &Manifest) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for fault in list.faults() {
        let code = match fault {
            ListFault::TooMany { .. } => Code::OverLimit,
            ListFault::Path { .. } | ListFault::FileAndFolder(_) | ListFault::NoArticle(_) => Code::Path,
            ListFault::NoContent(_) => Code::Metadata,
            _ => Code::Checksums,
        };
        findings.push(Finding::new(code, checksums::NAME, fault));
    }
    findings.extend(count_finding("articles", manifest.articles, list.article_count() as u64));
    findings.extend(count_finding("files", manifest.files, list.len() as u64));
    findings
}

/// Checks ids, tree and bytes of what a bundle holds against its manifest, and the tree against those of the bundles before it; `blocks` are the
/// hashes of the tree's blocks.
pub(super) fn content_findings(
    contents: &Contents,
    blocks: &[Digest],
    manifest: &Manifest,
    line: &[Was],
) -> Vec<Finding> {
    let mut findings = id_findings(&contents.list, |n| contents.id(n));
    if tree::root(blocks) != manifest.root {
        findings.push(Finding::new(Code::Tree, manifest::NAME, "the articles do not lead to its root"));
    }
    if !line.is_empty() {
        findings.extend(was::tree_finding(line, &contents.leaves()));
    }
    findings.extend(count_finding("bytes", manifest.bytes, contents.bytes()));
    findings
}

/// The rule of ids for the articles of a list, whole or one block of it: a name stands for one thing.
pub(super) fn id_findings<'a>(list: &'a ChecksumList, id_of: impl Fn(usize) -> &'a str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A list has no path of an article twice, so only ids that are not the path need to be held against each other.
    let mut ids = HashSet::new();
    for n in 0..list.article_count() {
        let (id, path) = (id_of(n), list.article(n));
        if id.len() > MAX_ID_BYTES {
            let detail = format!("has an id of {} bytes, at most {MAX_ID_BYTES} are allowed", id.len());
            findings.push(Finding::new(Code::Metadata, path, detail));
        }
        if id == path {
            continue;
        }
        if !ids.insert(id) {
            findings.push(Finding::new(Code::Metadata, path, format!("has the id {id:?}, as another article has")));
        } else if list.number(id).is_some() || list.find(&format!("{DATA}{id}")).is_some() {
            let detail = format!("has the id {id:?}, which is the path of another article or of a file");
            findings.push(Finding::new(Code::Metadata, path, detail));
        }
    }
    findings
}

fn count_finding(what: &str, said: u64, found: u64) -> Option<Finding> {
    (said != found).then(|| Finding::new(Code::Manifest, manifest::NAME, format!("says {said} {what}, found {found}")))
}
