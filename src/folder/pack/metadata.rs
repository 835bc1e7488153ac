//! The first half of packing a bundle: articles from the walk, their metadata read, checked and compressed.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;

use crate::digest::Digest;
use crate::format::article::{Article, MAX_ARTICLE_TOML_BYTES};
use crate::format::bundle::BundleWriter;
use crate::format::checksums::{ChecksumList, ListFault};
use crate::format::checksums::{DATA, METADATA, push_line};
use crate::format::frame::FrameEncoder;
use crate::format::framing::{self, Kind, SMALL_BYTES};
use crate::format::layout::Layout;
use crate::format::manifest::Name;
use crate::format::order;
use crate::format::tar;
use crate::path::MAX_ID_BYTES;
use crate::pipeline::ordered;

use super::super::Error;
use super::super::derive;
use super::super::read;
use super::super::stat::Stat;
use super::super::walk::{Event, FoundArticle, Note, Reason, Refusal};
use super::spool::Spool;
use super::{Caps, Draft, PackOptions, Packer, Planned, too_many_files};

/// What a job's articles may come to, reckoned by their sidecars, in bytes.
const BATCH_BYTES: u64 = 1 << 20;
/// What a derived `article.toml` is reckoned at, in bytes.
const DERIVED_BYTES: u64 = 1 << 10;

/// What a job makes of its articles.
struct Batch {
    /// Each with what its metadata was derived from.
    articles: Vec<(Planned, Option<String>)>,
    plain: Vec<u8>,
    frames: Vec<(Vec<u8>, u64)>,
    notes: Vec<(String, Note)>,
    refusals: Vec<Refusal>,
}

impl Packer<'_> {
    /// Takes articles from the walk until a bundle is full or the walk has ended, and compresses their metadata.
    pub(super) fn gather(
        &mut self,
        walked: &mut mpsc::Receiver<Event>,
        waiting: &mut Option<FoundArticle>,
        name: Name,
    ) -> Result<Draft, Error> {
        let mut caps = Caps { articles: 0, files: 0, bytes: 0 };
        let mut more = false;
        let (options, run) = (self.options, self.run);
        let mut metadata_frames = BundleWriter::new(Spool::new(self.output));
        let mut small_metadata = Vec::new();
        let mut articles = Vec::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        let (mut walk_notes, mut walk_refusals) = (Vec::new(), Vec::new());

        let batches = std::iter::from_fn(|| {
            // Borrowed mutably, since a shared receiver may not cross threads.
            let receiver = &mut *walked;
            let mut batch = Vec::new();
            let mut bytes = 0;
            while bytes < BATCH_BYTES && !more {
                let article = match waiting.take() {
                    Some(article) => article,
                    None => match receiver.recv() {
                        Ok(Event::Article(article)) => article,
                        Ok(Event::Refused(refusal)) => {
                            walk_refusals.push(refusal);
                            continue;
                        }
                        Ok(Event::Noted(place, note)) => {
                            walk_notes.push((place, note));
                            continue;
                        }
                        Err(_) => break,
                    },
                };
                if let Some(refusal) = too_many_files(&article) {
                    walk_refusals.push(refusal);
                } else if caps.take(&article, options.bundle_bytes) {
                    let size = article.metadata.as_ref().map_or(DERIVED_BYTES, |file| file.stat.size);
                    bytes += tar::BLOCK_BYTES + size + tar::padding(size);
                    batch.push(article);
                } else {
                    *waiting = Some(article);
                    more = true;
                }
            }
            (!batch.is_empty()).then_some(batch)
        });
        let (found, refusals) = (&mut self.found, &mut self.refusals);
        ordered(
            run.threads,
            batches,
            || {
                let mut encoder = FrameEncoder::new(options.level);
                let name = &name;
                move |batch| read_batch(batch, name, options, &mut encoder)
            },
            |batch: Result<Batch, Error>| {
                let mut batch = batch?;
                if run.watch.cancelled() {
                    return Err(Error::Cancelled);
                }
                found.notes.extend(batch.notes);
                refusals.extend(batch.refusals);
                if metadata_frames.plain() as usize == small_metadata.len() {
                    small_metadata.append(&mut batch.plain);
                }
                if small_metadata.len() as u64 > SMALL_BYTES {
                    small_metadata = Vec::new();
                }
                for (packed, plain) in batch.frames {
                    metadata_frames.push(&packed, plain)?;
                }
                for (planned, from) in batch.articles {
                    let path = planned.found.path.to_string();
                    let id = planned.id.clone().unwrap_or_else(|| path.clone());
                    if id.len() > MAX_ID_BYTES {
                        refusals.push(Refusal { place: path.clone(), reason: Reason::LongId(id.len()) });
                    }
                    match ids.get(&id) {
                        // Two articles of one path, and an id that is another's path, are told as that.
                        Some(other) if *other == path || planned.id.is_none() || *other == id => {}
                        Some(other) => {
                            let reason = Reason::SameId { id, other: other.clone() };
                            refusals.push(Refusal { place: path, reason });
                        }
                        None => drop(ids.insert(id, path)),
                    }
                    if let Some(from) = from {
                        *found.derived.entry(from).or_default() += 1;
                    }
                    articles.push(planned);
                }
                Ok(())
            },
        )?;
        for (place, note) in walk_notes {
            if options.portable && note.hinders_portability() {
                refusals.push(Refusal { place, reason: Reason::NotPortable(note) });
            } else {
                found.notes.push((place, note));
            }
        }
        refusals.extend(walk_refusals);
        refuse_same_paths(&articles, refusals);
        refuse_ids_that_are_paths(&articles, refusals);
        refuse_misplaced(&articles, refusals);
        Ok(Draft { name, articles, metadata_frames, small_metadata, more })
    }
}

fn refuse_same_paths(articles: &[Planned], refusals: &mut Vec<Refusal>) {
    for pair in articles.windows(2) {
        let [one, other] = pair else { continue };
        if one.found.path == other.found.path {
            let shown = |a: &Planned| a.found.files.first().map(|f| f.location().display().to_string());
            let reason =
                Reason::SameArticle { path: one.found.path.to_string(), other: shown(one).unwrap_or_default() };
            refusals.push(Refusal { place: shown(other).unwrap_or_default(), reason });
        }
    }
}

/// Refuses an id that is another article's path or a file's: a name stands for one thing, whichever way it is asked for.
fn refuse_ids_that_are_paths(articles: &[Planned], refusals: &mut Vec<Refusal>) {
    let at = |path: &str| articles.binary_search_by(|other| order::articles(other.found.path.as_str(), path)).ok();
    for article in articles {
        let Some(id) = article.id.as_deref() else { continue };
        let of_file = order::folders(id).find_map(at).filter(|&owner| {
            let name = id.get(articles[owner].found.path.as_str().len() + 1..);
            name == Some(METADATA) || articles[owner].found.files.iter().any(|file| Some(file.name.as_str()) == name)
        });
        if at(id).or(of_file).is_some() {
            refusals.push(Refusal { place: article.found.path.to_string(), reason: Reason::IdIsPath(id.to_owned()) });
        }
    }
}

/// Refuses files that a reader would take for another article's, or for a folder. That needs an article inside another.
fn refuse_misplaced(articles: &[Planned], refusals: &mut Vec<Refusal>) {
    let inside = |one: &Planned, other: &Planned| {
        let below = other.found.path.as_str().strip_prefix(one.found.path.as_str());
        below.is_some_and(|below| below.starts_with('/'))
    };
    if !refusals.is_empty() || !articles.windows(2).any(|pair| inside(&pair[0], &pair[1])) {
        return;
    }
    let (mut text, mut places) = (String::new(), Vec::new());
    for (n, article) in articles.iter().enumerate() {
        let path = &article.found.path;
        let content =
            article.found.files.iter().map(|file| (file.name.as_str(), file.location().display().to_string()));
        let mut files: Vec<_> = content.chain([(METADATA, path.to_string())]).collect();
        files.sort();
        for (name, place) in files {
            push_line(&mut text, &format!("{DATA}{path}/{name}"), &Digest::of(b""));
            places.push((n, place));
        }
    }
    let Ok(list) = ChecksumList::decode(text.into_bytes()) else { return };
    for (line, (article, place)) in places.iter().enumerate() {
        if let Some(owner) = list.owner(line).filter(|owner| owner != article) {
            let reason = Reason::OtherArticle(list.article(owner).to_owned());
            refusals.push(Refusal { place: place.clone(), reason });
        }
    }
    for fault in list.faults() {
        if let ListFault::FileAndFolder(path) = fault {
            let place = list.find(&path).map_or(path.clone(), |line| places[line].1.clone());
            refusals.push(Refusal { place, reason: Reason::FileAndFolder(path) });
        }
    }
}

/// Reads or derives the metadata of a job's articles and compresses it.
fn read_batch(
    found: Vec<FoundArticle>,
    name: &Name,
    options: &PackOptions,
    encoder: &mut FrameEncoder,
) -> Result<Batch, Error> {
    let mut batch =
        Batch { articles: Vec::new(), plain: Vec::new(), frames: Vec::new(), notes: Vec::new(), refusals: Vec::new() };
    let mut plain = Vec::new();
    let mut layout = Layout::at(0);
    for article in found {
        let timed = article.files.iter().chain(&article.metadata).filter(|_| options.times);
        let untimed = timed.filter(|file| file.stat.modified().is_none());
        batch.notes.extend(untimed.map(|file| (file.location().display().to_string(), Note::Time)));
        let Some((text, id, derived)) = read_one(&article, options, &mut batch) else { continue };
        let path = format!("{name}/{DATA}{}/{METADATA}", article.path);
        let before = plain.len();
        tar::encode_header(&path, text.len() as u64, &mut plain);
        layout.push((plain.len() - before) as u64, text.len() as u64);
        plain.extend_from_slice(&text);
        plain.resize(plain.len() + tar::padding(text.len() as u64) as usize, 0);
        let (from, derived_from) = derived.map_or((None, None), |(from, at, stat)| (Some(from), Some((at, stat))));
        let metadata = (Digest::of(&text), text.len() as u64);
        let id = id.filter(|id| id != article.path.as_str());
        batch.articles.push((Planned { found: article, id, metadata, derived_from }, from));
    }
    for cut in framing::cut(layout.places().iter().map(|&place| (place, Kind::Plain)), options.frame_bytes) {
        let piece = &plain[cut.from as usize..cut.to as usize];
        let mut packed = Vec::new();
        encoder.encode(piece, &mut packed).map_err(Error::Frame)?;
        batch.frames.push((packed, piece.len() as u64));
    }
    if plain.len() as u64 <= SMALL_BYTES {
        batch.plain = plain;
    }
    Ok(batch)
}

/// The text of an `article.toml`, the id in it, and for a derived one what it came from: by name, by file and its state.
type Metadata = (Vec<u8>, Option<String>, Option<(String, usize, Stat)>);

fn read_one(article: &FoundArticle, options: &PackOptions, batch: &mut Batch) -> Option<Metadata> {
    let mut refuse = |place: String, reason: String| {
        batch.refusals.push(Refusal { place, reason: Reason::Metadata(reason) });
        None
    };
    let Some(sidecar) = &article.metadata else {
        if options.strict {
            return refuse(article.path.to_string(), "has no metadata".into());
        }
        return match derive_one(article) {
            Ok((text, id, from, at, stat)) => Some((text.into_bytes(), id, Some((from, at, stat)))),
            Err((place, reason)) => refuse(place, reason),
        };
    };
    let place = sidecar.location();
    let shown = place.display().to_string();
    let text = match read::read_settled(&place, MAX_ARTICLE_TOML_BYTES) {
        Ok((text, _)) => text,
        // The system's own errors have a number; all others are about what the file is.
        Err(error) if error.raw_os_error().is_some() => {
            batch.refusals.push(Refusal { place: shown, reason: Reason::Unreadable(error) });
            return None;
        }
        Err(error) => return refuse(shown, error.to_string()),
    };
    match Article::parse(&text) {
        Ok((_, notes)) if options.strict && !notes.is_empty() => {
            for note in &notes.told {
                refuse(shown.clone(), note.to_string());
            }
            if notes.more > 0 {
                refuse(shown, Note::MoreMetadata(notes.more).to_string());
            }
            None
        }
        Ok((parsed, notes)) => {
            batch.notes.extend(notes.told.iter().map(|note| (shown.clone(), Note::Metadata(note.to_string()))));
            if notes.more > 0 {
                batch.notes.push((shown, Note::MoreMetadata(notes.more)));
            }
            Some((text, parsed.id, None))
        }
        Err(error) => refuse(shown, error.to_string()),
    }
}

pub(in crate::folder) type Derivation = (String, Option<String>, String, usize, Stat);

/// Derives an article's metadata: its text, the id in it, and what it came from; or the place and reason of a refusal.
pub(in crate::folder) fn derive_one(article: &FoundArticle) -> Result<Derivation, (String, String)> {
    let best = (0..article.files.len()).min_by_key(|&n| (derive::rank(&article.files[n].name), &article.files[n].name));
    let Some(at) = best else { return Err((article.path.to_string(), "has no content".into())) };
    let file = &article.files[at];
    let place = file.location();
    let refused = |reason: String| (place.display().to_string(), reason);
    let mut open = read::open(&place).map_err(|error| refused(error.to_string()))?;
    let stat = Stat::from(&open.metadata().map_err(|error| refused(error.to_string()))?);
    let derived = derive::derive(&file.name, &mut open, stat.size).map_err(|error| refused(error.to_string()))?;
    Ok((derived.to_toml(), derived.article.id.clone(), derived.from.to_string(), at, stat))
}

/// Returns the id of an article on disk: the one in its metadata, else its path.
///
/// # Errors
/// Where the metadata cannot be read or derived.
pub fn article_id(article: &FoundArticle) -> io::Result<String> {
    let other = |fault: String| io::Error::other(fault);
    let id = match &article.metadata {
        Some(file) => {
            let (text, _) = read::read_settled(&file.location(), MAX_ARTICLE_TOML_BYTES)?;
            Article::parse(&text).map_err(|error| other(error.to_string()))?.0.id
        }
        None => derive_one(article).map_err(|(_, reason)| other(reason))?.1,
    };
    Ok(id.unwrap_or_else(|| article.path.to_string()))
}
