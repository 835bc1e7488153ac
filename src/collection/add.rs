//! Packing a folder into an archive: what is new or changed becomes bundles, the rest is recognised and left. (FORMAT.md, "The archive")
//!
//! A packed folder is a *source* with a name, which goes before its articles' paths. An article is unchanged where the cache of its files'
//! states says so, or else where its files' digests are those of its current revision. What vanished from the folder is reported and stays in
//! the archive.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::archive::catalog::{Catalog, Revision};
use crate::archive::history::{LoggedBundle, LoggedStatement, leaf_signatures};
use crate::archive::{Archive, History, Incoming, Pin, Publication, Writer, layout};
use crate::digest::{Digest, Hasher};
use crate::folder::pack::{Choice, Choose, PackOptions, Packed, PackedBundle, article_digests, pack_chosen};
use crate::folder::walk::{Event, FoundArticle, Note, Reason, Refusal, walk};
use crate::folder::{self, article_id};
use crate::format::bundle::Bundle;
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::Leaf;
use crate::format::manifest::MAX_LIST_ENTRIES;
use crate::ids::{BundleId, Origin};
use crate::keys::{PublicKey, Signer};
use crate::path::EntryPath;
use crate::run::Run;
use crate::trust::policy::Role;

use super::seen::Seen;
use super::waiting::keep_waiting;
use super::{Error, follow, wanting};

/// How to add a folder.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// How its bundles are packed.
    pub pack: PackOptions,
    /// The source's name.
    pub source: EntryPath,
    /// Read every file, whatever the cache says.
    pub rehash: bool,
    /// Revise articles whose ids another source holds.
    pub take_over: bool,
    /// Derive metadata anew although the content is unchanged.
    pub rederive: bool,
    /// Take articles in again that were withdrawn.
    pub reinstate: bool,
}

/// What adding a folder did, or would do.
#[derive(Debug, Default)]
pub struct Added {
    /// The bundles, and what a person should know.
    pub packed: Packed,
    /// Ids of articles that the archive did not have.
    pub new: Vec<String>,
    /// Ids of articles with a new revision.
    pub changed: Vec<String>,
    /// Paths of articles that were in the folder the last time.
    pub vanished: Vec<String>,
    /// Ids of articles that are left out, since they were withdrawn.
    pub withdrawn: Vec<String>,
    /// Number of unchanged articles.
    pub unchanged: u64,
    /// How many signatures it takes, and how many there are, where the bundles wait for more and are not logged yet.
    pub waits: Option<(u64, u64)>,
}

/// Chooses what is packed, by the cache and the catalog.
struct Selection<'a> {
    catalog: &'a mut Catalog,
    history: &'a History,
    seen: Seen,
    options: &'a AddOptions,
    added: Added,
    /// Nothing can be known of an article in an empty catalog.
    empty: bool,
    failed: Option<Error>,
}

impl<'a> Selection<'a> {
    fn new(catalog: &'a mut Catalog, history: &'a History, options: &'a AddOptions, seen: Seen) -> Result<Self, Error> {
        let empty = catalog.is_empty()?;
        Ok(Self { catalog, history, seen, options, added: Added::default(), empty, failed: None })
    }

    fn known(&mut self, article: &FoundArticle) -> Result<Standing, Error> {
        let cached = self.seen.is_unchanged(article);
        if cached && !self.options.rehash && !self.options.rederive {
            self.note(article, true)?;
            return Ok(Standing::Unchanged);
        }
        // Metadata that cannot be read is refused by the packer, with all the rest.
        let Ok(id) = article_id(article) else { return Ok(Standing::New(article.path.to_string())) };
        let standing = if self.empty { Standing::New(id) } else { self.compare(article, id)? };
        // What was withdrawn must be looked at anew each time: it may be taken in again.
        if !matches!(standing, Standing::Withdrawn(_)) {
            self.note(article, cached)?;
        }
        Ok(standing)
    }

    fn compare(&self, article: &FoundArticle, id: String) -> Result<Standing, Error> {
        if !self.options.reinstate && standing_against(self.history, self.catalog, &id)?.is_some() {
            return Ok(Standing::Withdrawn(id));
        }
        let Some(current) = self.catalog.current(&id)? else { return Ok(Standing::New(id)) };
        let source = current.path.split('/').next().unwrap_or_default();
        if source != self.options.source.as_str() && !self.options.take_over {
            return Ok(Standing::Refused(Reason::OtherSource { id, other: source.to_owned() }));
        }
        let Ok((lines, content)) = digests(article, &current, self.options.rederive) else {
            return Ok(Standing::Changed(id));
        };
        // Generated metadata is carried over while the content is the same.
        let carried =
            |r: &Revision| article.metadata.is_none() && r.generated && !self.options.rederive && content == r.content;
        let is_same = |r: &Revision| lines == Some(r.lines) || carried(r);
        Ok(if is_same(&current) { Standing::Unchanged } else { Standing::Changed(id) })
    }

    fn note(&mut self, article: &FoundArticle, unchanged: bool) -> Result<(), Error> {
        self.seen.note(article, unchanged).map_err(|source| Error::Cache { path: PathBuf::from(layout::SEEN), source })
    }

    /// Ends the walk and returns what was found, and the cache to keep.
    fn end(mut self) -> Result<(Added, Seen), Error> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.seen.end();
        self.added.vanished = std::mem::take(&mut self.seen.vanished);
        Ok((self.added, self.seen))
    }
}

/// What an article is to the archive.
enum Standing {
    Unchanged,
    New(String),
    Changed(String),
    Withdrawn(String),
    Refused(Reason),
}

impl Choose for Selection<'_> {
    fn choose(&mut self, article: FoundArticle) -> Choice {
        match self.known(&article) {
            Ok(Standing::Unchanged) => self.added.unchanged += 1,
            Ok(Standing::Withdrawn(id)) => self.added.withdrawn.push(id),
            Ok(Standing::Refused(reason)) => {
                return Choice::Refuse(Refusal { place: article.path.to_string(), reason });
            }
            Ok(Standing::New(id)) => {
                self.added.new.push(id);
                return Choice::Take(article);
            }
            Ok(Standing::Changed(id)) => {
                self.added.changed.push(id);
                return Choice::Take(article);
            }
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
        Choice::Leave
    }
}

/// Returns the digests of an article's lines as its files are now, and of those but the metadata's.
fn digests(
    article: &FoundArticle,
    current: &Revision,
    rederive: bool,
) -> Result<(Option<Digest>, Digest), folder::Error> {
    // Metadata that would only be carried over need not be derived.
    let derive = rederive || !current.generated;
    let mut lines = article_digests(article, derive)?;
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut all, mut content) = (Hasher::new(), Hasher::new());
    let mut whole = false;
    for (path, digest) in lines {
        let line = format!("{digest}  {path}\n");
        all.update(line.as_bytes());
        if path.ends_with("/article.toml") {
            whole = true;
        } else {
            content.update(line.as_bytes());
        }
    }
    Ok((whole.then(|| all.finish()), content.finish()))
}

/// Returns where the cache of a source's files lies.
fn seen_of(archive: &Archive, source: &EntryPath) -> PathBuf {
    archive.store().path(&format!("{}/{}", layout::SEEN, Digest::of(source.as_str().as_bytes())))
}

/// Says what adding the folder would do. Nothing is written, neither into the archive nor into its caches: a copy of the catalog follows the
/// log up to `checkpoint`.
///
/// # Errors
/// Where the folder, the log or the catalog cannot be read.
pub fn preview(
    archive: &Archive,
    (history, checkpoint): (&History, &Checkpoint),
    root: &Path,
    options: &AddOptions,
    run: Run<'_>,
) -> Result<Added, Error> {
    let aside = tempfile::tempdir().map_err(|source| Error::Cache { path: PathBuf::from(layout::CATALOG), source })?;
    let mut catalog = Catalog::open_copy(&archive.catalog_path(), aside.path())?;
    follow(archive, &mut catalog, (history, checkpoint), run)?;
    let seen = Seen::open_to_read(&seen_of(archive, &options.source))?;
    let mut selection = Selection::new(&mut catalog, history, options, seen)?;
    let (mut refusals, mut notes): (Vec<Refusal>, Vec<(String, Note)>) = (Vec::new(), Vec::new());
    let walked = walk(root, &options.pack.walk, &mut |event| {
        match event {
            Event::Article(article) => {
                if let Choice::Refuse(refusal) = selection.choose(article) {
                    refusals.push(refusal);
                }
            }
            Event::Refused(refusal) => refusals.push(refusal),
            Event::Noted(place, note) => notes.push((place, note)),
        }
        Ok(())
    });
    debug_assert!(walked.is_ok(), "nothing stops this walk");
    if !refusals.is_empty() {
        return Err(folder::Error::Refused(refusals).into());
    }
    let (mut added, _) = selection.end()?;
    added.packed.notes = notes;
    Ok(added)
}

/// Adds what is new or changed in `root` to the archive.
///
/// Where the policy asks for more signatures than these keys give, the bundles wait in `incoming/`.
///
/// # Errors
/// Where anything cannot be taken, read or written; the archive then holds what it held.
pub fn add(
    writer: &mut Writer<'_>,
    catalog: &mut Catalog,
    root: &Path,
    options: &AddOptions,
    (signers, pin): (&[&dyn Signer], &Pin),
    run: Run<'_>,
) -> Result<Added, Error> {
    let archive = writer.archive();
    let history = writer.history(pin, run)?;
    follow(archive, catalog, (&history, writer.checkpoint()), run)?;
    let mut waits = wanting(&history, Role::Publish, writer.checkpoint().size, &keys_of(signers))?;
    let reinstates = if options.reinstate { reinstated(root, options, &history, catalog)? } else { Vec::new() };
    if !reinstates.is_empty() {
        let more = wanting(&history, Role::Withdraw, writer.checkpoint().size, &keys_of(signers))?;
        waits = waits.or(more);
    }
    let seen = Seen::open(&seen_of(archive, &options.source))?;
    let mut selection = Selection::new(catalog, &history, options, seen)?;
    let incoming = archive.store().path(layout::INCOMING);
    // So that no two packs make one id: a return to an earlier text is a bundle of its own.
    let pack = PackOptions { base: Some(writer.checkpoint().size), reinstates, ..options.pack.clone() };
    let packed = match pack_chosen(root, &incoming, &pack, signers, &mut selection, run) {
        Err(folder::Error::NoArticles(_)) if selection.failed.is_none() && selection.found_any() => Packed::default(),
        other => other?,
    };
    let (mut added, seen) = selection.end()?;
    if waits.is_some() {
        let files = keep_waiting(archive, &packed.bundles, &options.source)?;
        let bundles = packed.bundles.into_iter().zip(files).map(|(bundle, file)| PackedBundle { file, ..bundle });
        added.packed = Packed { bundles: bundles.collect(), ..packed };
        added.waits = waits.filter(|_| !added.packed.bundles.is_empty());
        return Ok(added);
    }
    let mut publication = Publication::default();
    for bundle in &packed.bundles {
        publish_bundle(&mut publication, &bundle.file, &keys_of(signers), archive.origin())?;
    }
    if !publication.leaves.is_empty() {
        let places: HashMap<_, _> = publication.bundles.iter().map(|b| (b.file.clone(), b.place.clone())).collect();
        writer.publish(publication)?;
        added.packed.bundles = packed
            .bundles
            .into_iter()
            .map(|bundle| PackedBundle {
                file: places.get(&bundle.file).map_or(bundle.file, |place| archive.store().path(place)),
                ..bundle
            })
            .collect();
    }
    added.packed.notes = packed.notes;
    added.packed.derived = packed.derived;
    seen.keep()?;
    follow(archive, catalog, (&writer.history(pin, run)?, writer.checkpoint()), run)?;
    Ok(added)
}

/// Returns the statement that stands against an article, by its id.
pub(super) fn standing_against<'a>(
    history: &'a History,
    catalog: &Catalog,
    id: &str,
) -> Result<Option<&'a LoggedStatement>, Error> {
    let key = Digest::of(id.as_bytes());
    let failed = RefCell::new(None);
    let holds = |bundle: &LoggedBundle| {
        let first = bundle.line.unwrap_or(bundle.id);
        catalog.holds(&key, first).unwrap_or_else(|error| failed.replace(Some(error)).is_some())
    };
    let standing = history.shown_from(&key, &holds).err();
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(standing),
    }
}

/// Returns the statements that stand against articles of a folder: the manifest names them, so that they no longer do.
fn reinstated(root: &Path, options: &AddOptions, history: &History, catalog: &Catalog) -> Result<Vec<Digest>, Error> {
    let (mut found, mut failed) = (BTreeSet::new(), None);
    let walked = walk(root, &options.pack.walk, &mut |event| {
        if let Event::Article(article) = event
            && let Ok(id) = article_id(&article)
        {
            match standing_against(history, catalog, &id) {
                Ok(standing) => found.extend(standing.map(|logged| logged.digest)),
                Err(error) => failed = Some(error),
            }
        }
        Ok(())
    });
    debug_assert!(walked.is_ok(), "nothing stops this walk");
    match failed {
        Some(error) => Err(error),
        None if found.len() > MAX_LIST_ENTRIES => Err(Error::TooManyStatements(found.len())),
        None => Ok(found.into_iter().collect()),
    }
}

impl Selection<'_> {
    /// Says whether the walk has found anything, be it left where it is.
    fn found_any(&self) -> bool {
        let added = &self.added;
        added.unchanged > 0 || !added.withdrawn.is_empty()
    }
}

/// Returns the signers' public keys.
pub(super) fn keys_of(signers: &[&dyn Signer]) -> Vec<PublicKey> {
    signers.iter().map(|signer| signer.public().clone()).collect()
}

/// Adds a finished bundle's file and its leaf to a publication, with its signatures by these keys.
pub(super) fn publish_bundle(
    publication: &mut Publication,
    file: &Path,
    keys: &[PublicKey],
    archive: &Origin,
) -> Result<BundleId, Error> {
    let read = |source| folder::Error::Read { path: file.to_owned(), source };
    let mut open = File::open(file).map_err(read)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut open, &mut buffer).map_err(read)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let digest = hasher.finish();
    let bundle = Bundle::open(open)?;
    let (id, tail) = (bundle.id(), bundle.tail());
    let files: Vec<Vec<u8>> = tail.signatures.iter().map(|signature| signature.bytes.clone()).collect();
    publication.leaves.push(Leaf::Bundle {
        manifest: Box::new(bundle.manifest().clone()),
        size: bundle.file_bytes(),
        file: digest,
        signatures: leaf_signatures(&files, keys, &tail.manifest, archive),
    });
    publication.bundles.push(Incoming { file: file.to_owned(), place: layout::bundle(id, &digest) });
    Ok(id)
}
