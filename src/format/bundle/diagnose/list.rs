//! What is left of a checksum list that is damaged.
//!
//! The files that were found tell their lines, and the list made anew of these is the one if the manifest names it. Else the lines of a block
//! of articles are believed that its piece of the index and the signed root of the article tree still prove. Where they lie in the tar the
//! head of the index says. Where bytes of the file are lost the tar cannot be reckoned through from its beginning, so it is reckoned back
//! from the tail as well.

use std::io;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::bundle::open::{Frame, read_frame};
use crate::format::bundle::{Bundle, Error, Source};
use crate::format::checksums::{self, ChecksumList, MAX_LIST_BYTES};
use crate::format::frame::FrameDecoder;
use crate::format::index::{self, Head};
use crate::format::order;
use crate::format::tar::{self, BLOCK_BYTES, Entry};

use super::tails::Found;
use super::walk::Seen;

/// Returns the lines that can be proved, of whole blocks; `frames` are those before the tail. Notes which are lost.
pub(super) fn proved<S: Source>(
    source: &S,
    frames: &[Frame],
    tail: &Frame,
    found: &Found,
    findings: &mut Vec<Finding>,
) -> Result<Option<ChecksumList>, Error> {
    let (Some(manifest), Ok(head)) = (&found.manifest, Head::decode(&found.tail.head)) else { return Ok(None) };
    if head.list_size > MAX_LIST_BYTES {
        return Ok(None);
    }
    let mut texts: Vec<Option<String>> = vec![None; head.blocks.len()];
    for base in bases(source, frames, &head, &found.tail.top)? {
        let moved = |frame: &Frame| {
            let plain_at = u64::try_from(i128::from(frame.plain_at) - base).ok()?;
            Some(Frame { plain_at, ..*frame })
        };
        let frames: Vec<Frame> = frames.iter().chain([tail]).filter_map(moved).collect();
        let bundle = Bundle::with_tail(source, frames, 0, found.tail.clone(), manifest.clone());
        let Some(bundle) = readable(bundle)? else { return Ok(None) };
        if readable(bundle.prove_head())?.is_none() {
            return Ok(None);
        }
        for (n, text) in texts.iter_mut().enumerate().filter(|(_, text)| text.is_none()) {
            *text = readable(bundle.proved_lines(n))?.map(|lines| lines.text().to_owned());
        }
    }
    if texts.iter().all(Option::is_none) {
        return Ok(None);
    }
    for (n, block) in head.blocks.iter().enumerate().filter(|&(n, _)| texts[n].is_none()) {
        let articles = index::articles_of(manifest.articles as usize, n).len();
        let detail = format!("the lines of {articles} articles from {:?} on cannot be read", block.first.as_str());
        findings.push(Finding::new(Code::Checksums, checksums::NAME, detail));
    }
    let text: String = texts.into_iter().flatten().collect();
    Ok(ChecksumList::decode(text.into_bytes()).ok())
}

/// Makes a list anew of the lines that are `known` and of the `seen` files of its tar; returns it if it has this digest.
pub(super) fn remade(known: Option<&ChecksumList>, seen: &[Seen], tar: usize, digest: &Digest) -> Option<ChecksumList> {
    let mut text = known.map_or_else(String::new, |known| known.text().to_owned());
    for file in seen.iter().filter(|file| file.tar == tar) {
        if known.is_none_or(|known| known.find(&file.path).is_none()) {
            checksums::push_line(&mut text, &file.path, &file.digest?);
        }
    }
    let found = ChecksumList::decode(text.into_bytes()).ok()?;
    let mut lines: Vec<usize> = (0..found.len()).collect();
    let article = |line: usize| found.owner(line).map_or("", |owner| found.article(owner));
    lines.sort_by(|&one, &other| {
        let of_articles = order::articles(article(one), article(other));
        of_articles.then_with(|| found.path(one).cmp(found.path(other)))
    });
    // The same file may lie there twice.
    lines.dedup_by(|one, other| found.line(*one) == found.line(*other));
    let text: String = lines.into_iter().map(|line| found.line(line)).collect();
    (Digest::of(text.as_bytes()) == *digest).then(|| ChecksumList::decode(text.into_bytes()).ok()).flatten()
}

/// Returns what has to be taken from the places of the frames to come to places in the tar: as they follow from its beginning, and from its end.
fn bases<S: Source>(source: &S, frames: &[Frame], head: &Head, top: &str) -> Result<Vec<i128>, Error> {
    let mut bases: Vec<i128> = frames.first().map(|first| i128::from(first.plain_at)).into_iter().collect();
    let (Some(last), Some(block)) = (frames.last(), head.blocks.last()) else { return Ok(bases) };
    let mut plain = Vec::new();
    let read = read_frame(source, last, &mut FrameDecoder::default(), &mut Vec::new(), &mut plain);
    if readable(read)?.is_some() {
        // The last piece of the index lies in the last frame before the tail, and whole blocks of the tar lie between it and the tail.
        let name = format!("{top}/{}", index::piece_name(head.blocks.len() - 1));
        let is_piece = |at: &usize| match tar::decode_header(&plain[*at..]) {
            Ok(Entry::File { path, .. }) => path == name.as_bytes(),
            _ => false,
        };
        let first = plain.len() % BLOCK_BYTES as usize;
        let found = (first..plain.len()).step_by(BLOCK_BYTES as usize).find(is_piece);
        let base = found.map(|at| i128::from(last.plain_at) + at as i128 - i128::from(block.piece));
        bases.extend(base.filter(|base| !bases.contains(base)).into_iter().collect::<Vec<_>>());
    }
    Ok(bases)
}

/// Returns what was read, if it was not damaged.
fn readable<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::Damaged(_)) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(other) => Err(other),
    }
}
