//! The catalog follows the log: every leaf that it has not seen, from the bundles' own bytes. What `reindex` does from the beginning.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::archive::catalog::{ArticleRow, BundleRow, Catalog, MAX_REPLACEMENTS, State, Update};
use crate::archive::{Archive, Log, Revision, layout, revisions};
use crate::digest::Digest;
use crate::folder::text;
use crate::format::bundle::{Bundle, Contents, read_files};
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::Leaf;
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};
use crate::ids::BundleId;
use crate::pipeline::{ordered, processors};
use crate::store::Object;
use crate::watch::{Silent, Task, Watch};

use super::Error;

/// Documents whose words are read at a time, in bytes.
const BATCH_BYTES: u64 = 32 << 20;

/// The statements that the leaves to come bring, and what is known of where each bundle's file lies.
#[derive(Default)]
struct Statements {
    by_digest: HashMap<Digest, Withdrawal>,
    replaced: HashMap<BundleId, Option<BundleId>>,
    /// Digests of the files of the bundles to come.
    files: HashMap<BundleId, Digest>,
}

impl Statements {
    fn read(archive: &Archive, log: &mut Log<'_>, from: u64) -> Result<Self, Error> {
        let mut statements = Self::default();
        for index in from..log.size() {
            match log.leaf(index)? {
                Leaf::Withdraw { statement: digest, .. } => {
                    let bytes = archive.store().read(&layout::statement(&digest), MAX_WITHDRAWAL_BYTES)?;
                    if let (true, Ok(statement)) = (Digest::of(&bytes) == digest, Withdrawal::decode(&bytes)) {
                        statements.replaced.extend(statement.bundles.iter().copied());
                        statements.by_digest.insert(digest, statement);
                    }
                }
                Leaf::Bundle { id, file, .. } => drop(statements.files.insert(id, file)),
                _ => {}
            }
        }
        Ok(statements)
    }

    /// Returns the bundle that holds now what `id` held.
    fn resolve(&self, catalog: &Update<'_>, mut id: BundleId) -> Result<Option<BundleId>, Error> {
        for _ in 0..=MAX_REPLACEMENTS {
            let next = match self.replaced.get(&id) {
                Some(next) => Some(*next),
                None => catalog.replaced_by(id)?,
            };
            match next {
                None => return Ok(Some(id)),
                Some(None) => return Ok(None),
                Some(Some(next)) => id = next,
            }
        }
        Ok(None)
    }

    /// Opens the file of a bundle that is there now.
    fn open(&self, archive: &Archive, catalog: &Update<'_>, id: BundleId) -> Result<Option<Bundle<Object>>, Error> {
        let place = match self.files.get(&id) {
            Some(file) => layout::bundle(id, file),
            None => match catalog.file(id)? {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        let file = match archive.store().open(&place) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let bundle = Bundle::open(file)?;
        Ok((bundle.id() == id).then_some(bundle))
    }
}

/// Brings the catalog up to the checkpoint; from the beginning, where it has followed another log.
///
/// # Errors
/// Where log or bundles cannot be read, or the catalog cannot be written.
pub fn follow(
    archive: &Archive,
    catalog: &mut Catalog,
    checkpoint: &Checkpoint,
    watch: &dyn Watch,
) -> Result<(), Error> {
    let mut log = archive.log(checkpoint);
    let mut state = catalog.state()?;
    if state.size == checkpoint.size && state.root == checkpoint.root {
        return forget(catalog);
    }
    if state.size > checkpoint.size
        && Log::new(archive.store(), state.size).root(state.size).is_ok_and(|root| root == state.root)
    {
        // The archive has gone on since its checkpoint was read, and the catalog is another process's work: it stays.
        *catalog = Catalog::in_memory()?;
        state = catalog.state()?;
    } else if state.size > checkpoint.size || (state.size > 0 && log.root(state.size)? != state.root) {
        catalog.renew()?;
        state = catalog.state()?;
    }
    let statements = Statements::read(archive, &mut log, state.size)?;
    watch.begin(Task::Index, Some(checkpoint.size - state.size));
    while state.size < checkpoint.size {
        // One bundle a transaction: memory and what a kill undoes are bounded by it.
        let mut update = catalog.update()?;
        if update.state()? != state {
            // Another process has followed the log meanwhile: what it has taken in must not be taken in again.
            drop(update);
            return follow(archive, catalog, checkpoint, watch);
        }
        let mut index = state.size;
        match log.leaf(index)? {
            Leaf::Bundle { id, size, file, replaces } => {
                let mut leaves = Vec::new();
                index += 1;
                while let Some(Leaf::Article { id: key, bundle, lines }) =
                    (index < checkpoint.size).then(|| log.leaf(index)).transpose()?
                {
                    if bundle != id {
                        break;
                    }
                    leaves.push((index, key, lines));
                    index += 1;
                }
                let row = BundleRow {
                    id,
                    file: layout::bundle(id, &file),
                    file_bytes: size,
                    leaf: state.size,
                    articles: 0,
                    replaces,
                };
                take_bundle(archive, &statements, &mut update, row, &leaves, watch)?;
            }
            Leaf::Article { id, lines, bundle } => {
                // A return to an earlier revision: the bundle that holds it is known.
                index += 1;
                take_again(archive, &statements, &mut update, (state.size, id, lines), bundle)?;
            }
            Leaf::Withdraw { statement: digest, .. } => {
                index += 1;
                if let Some(statement) = statements.by_digest.get(&digest) {
                    update.withdraw(&statement.article, digest, state.size)?;
                    for (old, new) in &statement.bundles {
                        update.replaced(*old, *new)?;
                    }
                }
            }
            _ => index += 1,
        }
        let next = State { size: index, root: log.root(index)? };
        update.finish(next)?;
        watch.advance(index - state.size);
        state = next;
    }
    forget(catalog)
}

/// Once for all that an update withdrew, or one before it that was killed.
fn forget(catalog: &mut Catalog) -> Result<(), Error> {
    if catalog.has_remains()? {
        catalog.forget()?;
    }
    Ok(())
}

type ArticleLeaf = (u64, Digest, Digest);

fn take_bundle(
    archive: &Archive,
    statements: &Statements,
    update: &mut Update<'_>,
    mut row: BundleRow,
    leaves: &[ArticleLeaf],
    watch: &dyn Watch,
) -> Result<(), Error> {
    row.articles = leaves.len() as u64;
    let id = row.id;
    update.bundle(&row)?;
    if leaves.is_empty() {
        return Ok(());
    }
    // Where a withdrawal has taken the file, its replacement holds the rest, with the same lines.
    let holder = statements.resolve(update, id)?;
    let bundle = holder.map(|holder| statements.open(archive, update, holder)).transpose()?.flatten();
    let mut known = HashSet::new();
    if let Some(bundle) = bundle {
        let contents = bundle.contents()?;
        let revisions = revisions(&bundle, &contents)?;
        let by_key: HashMap<(Digest, Digest), usize> =
            revisions.iter().enumerate().map(|(n, r)| ((Digest::of(r.id.as_bytes()), r.lines), n)).collect();
        let found: Vec<(u64, usize)> =
            leaves.iter().filter_map(|(leaf, key, lines)| by_key.get(&(*key, *lines)).map(|n| (*leaf, *n))).collect();
        known.extend(found.iter().map(|(leaf, _)| *leaf));
        take_articles(&bundle, &contents, &revisions, &found, id, update, watch)?;
    } else if holder == Some(id) {
        return Err(Error::NoBundle(id));
    }
    // What is gone is known by its statement.
    for (leaf, key, lines) in leaves.iter().filter(|(leaf, ..)| !known.contains(leaf)) {
        let statement = statements.by_digest.values().find(|s| Digest::of(s.article.as_bytes()) == *key);
        if let Some(statement) = statement {
            let gone = crate::format::article::Article::default();
            update.article(&ArticleRow {
                id: &statement.article,
                path: "",
                bundle: id,
                leaf: *leaf,
                lines: *lines,
                content: *lines,
                generated: false,
                files: 0,
                bytes: 0,
                metadata: &gone,
                text: "",
            })?;
        }
    }
    Ok(())
}

fn take_again(
    archive: &Archive,
    statements: &Statements,
    update: &mut Update<'_>,
    (leaf, key, lines): ArticleLeaf,
    id: BundleId,
) -> Result<(), Error> {
    let holder = statements.resolve(update, id)?;
    let bundle = holder.map(|holder| statements.open(archive, update, holder)).transpose()?.flatten();
    let Some(bundle) = bundle else { return Ok(()) };
    let contents = bundle.contents()?;
    let revisions = revisions(&bundle, &contents)?;
    let found = revisions.iter().position(|r| r.lines == lines && Digest::of(r.id.as_bytes()) == key);
    match found {
        Some(n) => take_articles(&bundle, &contents, &revisions, &[(leaf, n)], id, update, &Silent),
        None => Ok(()),
    }
}

/// Takes articles in with the words of their documents, read in bounded batches.
fn take_articles(
    bundle: &Bundle<Object>,
    contents: &Contents,
    revisions: &[Revision],
    found: &[(u64, usize)],
    id: BundleId,
    update: &mut Update<'_>,
    watch: &dyn Watch,
) -> Result<(), Error> {
    // Over a network, metadata alone is read: the words would cost all of the archive.
    let at_hand = matches!(bundle.source(), Object::File(_));
    let documents = |revision: &Revision| -> Vec<usize> {
        let readable = |line: &usize| {
            let place = contents.place(*line);
            at_hand
                && !contents.list.is_metadata(*line)
                && place.size <= text::MAX_DOCUMENT_BYTES
                && text::is_readable(contents.list.path(*line))
        };
        revision.line_numbers.iter().copied().filter(readable).collect()
    };
    let mut rest = found;
    while !rest.is_empty() {
        let mut bytes = 0;
        let size = |n: usize| documents(&revisions[n]).iter().map(|line| contents.place(*line).size).sum::<u64>();
        let count = rest.iter().take_while(|(_, n)| {
            bytes += size(*n);
            bytes <= BATCH_BYTES
        });
        let (batch, after) = rest.split_at(count.count().max(1));
        rest = after;
        let mut wanted = vec![false; contents.list.len()];
        batch.iter().flat_map(|(_, n)| documents(&revisions[*n])).for_each(|line| wanted[line] = true);
        let read = read(bundle, contents, &wanted)?;
        let empty = Vec::new();
        ordered(
            processors(),
            batch.iter(),
            || {
                |(leaf, n): &(u64, usize)| {
                    let mut words = String::new();
                    for line in documents(&revisions[*n]) {
                        let content = read.get(&line).unwrap_or(&empty);
                        if !words.is_empty() {
                            words.push('\n');
                        }
                        words.push_str(&text::text(contents.list.path(line), content));
                    }
                    words.truncate(words.floor_char_boundary(text::MAX_TEXT_BYTES));
                    (*leaf, *n, words)
                }
            },
            |(leaf, n, words)| -> Result<(), Error> {
                let revision = &revisions[n];
                update.article(&ArticleRow {
                    id: &revision.id,
                    path: &revision.path,
                    bundle: id,
                    leaf,
                    lines: revision.lines,
                    content: revision.content,
                    generated: revision.generated,
                    files: revision.line_numbers.len() as u64,
                    bytes: revision.bytes,
                    metadata: &revision.article,
                    text: &words,
                })?;
                if watch.cancelled() { Err(crate::format::bundle::Error::Cancelled.into()) } else { Ok(()) }
            },
        )?;
    }
    Ok(())
}

/// Reads the files whose lines are wanted, verified.
fn read(bundle: &Bundle<Object>, contents: &Contents, wanted: &[bool]) -> Result<HashMap<usize, Vec<u8>>, Error> {
    let files: Mutex<HashMap<usize, Vec<u8>>> = Mutex::default();
    read_files(bundle, contents, wanted, text::MAX_DOCUMENT_BYTES, processors(), |line, bytes| {
        files.lock().unwrap_or_else(PoisonError::into_inner).insert(line, bytes.to_vec());
    })?;
    Ok(files.into_inner().unwrap_or_else(PoisonError::into_inner))
}
