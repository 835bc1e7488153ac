//! The catalog follows the log: every place that it has not seen, from the bundles' own bytes. What `reindex` does from the beginning.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::archive::catalog::{ArticleRow, Catalog, Number, State, Update};
use crate::archive::history::{LoggedBundle, LoggedStatement};
use crate::archive::{Archive, History, Log, Revision, layout, revisions};
use crate::digest::Digest;
use crate::folder::text;
use crate::format::article::Article;
use crate::format::bundle::{Bundle, Contents, check, read_files};
use crate::format::checkpoint::Checkpoint;
use crate::format::tree;
use crate::ids::{BundleId, LeafIndex};
use crate::pipeline::ordered;
use crate::run::Run;
use crate::store::Object;
use crate::watch::Task;

use super::Error;

/// Documents whose words are read at a time, in bytes.
const BATCH_BYTES: u64 = 32 << 20;

/// What the log adds at one leaf.
enum Event<'a> {
    Bundle(&'a LoggedBundle),
    Statement(&'a LoggedStatement),
}

impl Event<'_> {
    fn leaf(&self) -> LeafIndex {
        match self {
            Self::Bundle(bundle) => bundle.place,
            Self::Statement(statement) => statement.leaf,
        }
    }
}

/// Opens the newest form of a bundle that is there and is that bundle; where there are several on disk, the newest that is whole.
///
/// # Errors
/// [`Error::NoBundle`] where none is, or the store's word where one cannot be read.
pub(super) fn open_bundle(archive: &Archive, logged: &LoggedBundle) -> Result<Bundle<Object>, Error> {
    let (mut failed, mut found) = (None, Vec::new());
    for form in logged.credible() {
        let opened = archive.store().open(&layout::bundle(logged.id, &form.file)).map_err(Error::from);
        match opened.and_then(|file| Ok(Bundle::open(file)?)) {
            Ok(bundle) if bundle.id() == logged.id => found.push(bundle),
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
        // Over a network the first one is read, and what is wrong with it is said.
        if archive.store().remote().is_some() && !found.is_empty() {
            break;
        }
    }
    if found.len() > 1 {
        let is_whole = |bundle: &Bundle<Object>| {
            check(bundle.source(), Run::alone()).is_ok_and(|report| report.findings.is_empty())
        };
        let newest = found.iter().position(is_whole).unwrap_or(0);
        found.swap(0, newest);
    }
    if let Some(bundle) = found.into_iter().next() {
        return Ok(bundle);
    }
    match failed {
        Some(Error::Archive(crate::archive::Error::Store(error))) if error.is_not_found() => {
            Err(Error::NoBundle(logged.id))
        }
        other => Err(other.unwrap_or(Error::NoBundle(logged.id))),
    }
}

/// A bundle of an archive, opened: its file, what it holds, and what the log says of it.
pub(super) type Held<'a> = (Bundle<Object>, Contents, &'a LoggedBundle);

/// Opens the bundle that holds now what the bundle `first` brought: the last of its line that is there and is what is left of the one before;
/// none where nothing is left.
///
/// # Errors
/// [`Error::NoBundle`] where none of the line is there, or the store's word where one cannot be read.
pub fn open_holder<'a>(archive: &Archive, history: &'a History, first: BundleId) -> Result<Option<Held<'a>>, Error> {
    if history.is_gone(first) {
        return Ok(None);
    }
    for logged in history.descent(first).into_iter().rev() {
        let bundle = match open_bundle(archive, logged) {
            Err(Error::NoBundle(_)) => continue,
            other => other?,
        };
        let contents = bundle.contents()?;
        if logged.facts.replaces.is_empty() || is_rest(history, logged, &contents) {
            return Ok(Some((bundle, contents, logged)));
        }
    }
    Err(Error::NoBundle(first))
}

/// Says whether a replacement's articles are just what is left of the bundle before it.
pub(super) fn is_rest(history: &History, logged: &LoggedBundle, contents: &Contents) -> bool {
    let leaf = |n: usize| tree::leaf(contents.id(n), contents.list.lines_text(n));
    history.is_rest(logged, &(0..contents.list.article_count()).map(leaf).collect::<Vec<_>>())
}

/// Brings the catalog up to the checkpoint, under which `history` was read; from the beginning, where it has followed another log.
///
/// # Errors
/// Where log or bundles cannot be read, or the catalog cannot be written.
pub fn follow(
    archive: &Archive,
    catalog: &mut Catalog,
    (history, checkpoint): (&History, &Checkpoint),
    run: Run<'_>,
) -> Result<(), Error> {
    let mut log = archive.log(checkpoint);
    let mut state = catalog.state()?;
    let end = State { size: checkpoint.size, root: checkpoint.root, standing: history.standing(checkpoint.size) };
    if state == end {
        return forget(catalog);
    }
    if state.size > checkpoint.size
        && Log::new(archive.store(), state.size).root(state.size).is_ok_and(|root| root == state.root)
    {
        // The archive has gone on since its checkpoint was read, and the catalog is another process's work: it stays.
        *catalog = Catalog::in_memory()?;
        state = catalog.state()?;
    } else if state.size > checkpoint.size
        || state.standing != history.standing(state.size)
        || (state.size > 0 && log.root(state.size)? != state.root)
    {
        catalog.renew()?;
        state = catalog.state()?;
    }
    let bundles = history.lines().map(|(bundle, _)| Event::Bundle(bundle));
    let mut events: Vec<_> = bundles.chain(history.statements.iter().map(Event::Statement)).collect();
    events.retain(|event| event.leaf().0 >= state.size);
    events.sort_by_key(Event::leaf);
    run.watch.begin(Task::Index, Some(checkpoint.size - state.size));
    for event in events {
        // One bundle a transaction: memory and what a kill undoes are bounded by it.
        let Some(mut update) = begin(catalog, &state)? else {
            return follow(archive, catalog, (history, checkpoint), run);
        };
        match &event {
            Event::Bundle(bundle) => take_bundle(archive, history, &mut update, bundle, run)?,
            Event::Statement(logged) => {
                for key in logged.statement.iter().flat_map(|statement| &statement.ids) {
                    update.withdraw(key, history.clear_id(key))?;
                }
            }
        }
        let size = event.leaf().0 + 1;
        let next = State { size, root: log.root(size)?, standing: history.standing(size) };
        update.finish(next)?;
        run.watch.advance(next.size - state.size);
        state = next;
    }
    if state != end {
        let Some(update) = begin(catalog, &state)? else {
            return follow(archive, catalog, (history, checkpoint), run);
        };
        update.finish(end)?;
    }
    forget(catalog)
}

/// Begins an update; none where another process has followed the log meanwhile: what it has taken in must not be taken in again.
fn begin<'a>(catalog: &'a mut Catalog, state: &State) -> Result<Option<Update<'a>>, Error> {
    let update = catalog.update()?;
    Ok((update.state()? == *state).then_some(update))
}

/// Once for all that an update withdrew, or one before it that was killed.
fn forget(catalog: &mut Catalog) -> Result<(), Error> {
    if catalog.has_remains()? {
        catalog.forget()?;
    }
    Ok(())
}

/// Takes in what a bundle brought when it was logged, as far as it is there still.
fn take_bundle(
    archive: &Archive,
    history: &History,
    update: &mut Update<'_>,
    first: &LoggedBundle,
    run: Run<'_>,
) -> Result<(), Error> {
    let holder = open_holder(archive, history, first.id)?;
    let line = history.line(first, holder.as_ref().map(|(_, _, held)| held.id));
    if let Some((bundle, contents, _)) = holder {
        let revisions = revisions(&bundle, &contents, run)?;
        let mut found = Vec::new();
        for (n, revision) in revisions.iter().enumerate() {
            let Some(position) = line.kept.get(n) else { break };
            let number = Number { place: first.place, position: *position };
            let key = Digest::of(revision.id.as_bytes());
            found.push(Found { n, number, key, current: is_current(history, update, first, &key)? });
        }
        take_articles(&bundle, &contents, &revisions, &found, (history, first.id), update, run)?;
    }
    for (position, removed) in &line.removed {
        let number = Number { place: first.place, position: *position };
        update.article(&gone(history, number, removed.id, removed.lines, first.id))?;
    }
    Ok(())
}

/// L6, W3: says whether an article of a bundle takes the place of what was current; `None` where it stands withdrawn.
fn is_current(
    history: &History,
    update: &Update<'_>,
    first: &LoggedBundle,
    key: &Digest,
) -> Result<Option<bool>, Error> {
    let holds = |bundle: &LoggedBundle| bundle.id == first.id || update.holds(key, bundle.id).unwrap_or(false);
    match history.shown_from(key, &holds) {
        Ok(from) if first.place >= from => {}
        _ => return Ok(None),
    }
    Ok(Some(first.revises(update.current(key)?.map(|before| before.place))))
}

/// An article that is to be taken in.
struct Found {
    /// Its number in the bundle at hand.
    n: usize,
    number: Number,
    key: Digest,
    /// Whether it is current; none where it stands withdrawn.
    current: Option<bool>,
}

/// What stays of an article that was withdrawn: that it was.
fn gone<'a>(history: &'a History, number: Number, key: Digest, lines: Digest, bundle: BundleId) -> ArticleRow<'a> {
    static NOTHING: std::sync::LazyLock<Article> = std::sync::LazyLock::new(Article::default);
    ArticleRow {
        key,
        id: history.clear_id(&key).unwrap_or_default(),
        path: "",
        bundle,
        number,
        current: false,
        withdrawn: true,
        lines,
        content: lines,
        generated: false,
        files: 0,
        bytes: 0,
        metadata: &NOTHING,
        text: "",
    }
}

/// Takes articles in with the words of their documents, read in bounded batches.
fn take_articles(
    bundle: &Bundle<Object>,
    contents: &Contents,
    revisions: &[Revision],
    found: &[Found],
    (history, id): (&History, BundleId),
    update: &mut Update<'_>,
    run: Run<'_>,
) -> Result<(), Error> {
    // Over a network, metadata alone is read: the words would cost all of the archive.
    let at_hand = matches!(bundle.source(), Object::File(_));
    let documents = |found: &Found| -> Vec<usize> {
        let readable = |line: &usize| {
            let place = contents.place(*line);
            at_hand
                && found.current == Some(true)
                && !contents.list.is_metadata(*line)
                && place.size <= text::MAX_DOCUMENT_BYTES
                && text::is_readable(contents.list.path(*line))
        };
        revisions[found.n].line_numbers.iter().copied().filter(readable).collect()
    };
    let mut rest = found;
    while !rest.is_empty() {
        let mut bytes = 0;
        let size = |found: &Found| documents(found).iter().map(|line| contents.place(*line).size).sum::<u64>();
        let count = rest.iter().take_while(|found| {
            bytes += size(found);
            bytes <= BATCH_BYTES
        });
        let (batch, after) = rest.split_at(count.count().max(1));
        rest = after;
        let mut wanted = vec![false; contents.list.len()];
        batch.iter().flat_map(documents).for_each(|line| wanted[line] = true);
        let read = read(bundle, contents, &wanted, run)?;
        let empty = Vec::new();
        ordered(
            run.threads,
            batch.iter(),
            || {
                |found: &Found| {
                    let mut words = String::new();
                    for line in documents(found) {
                        let content = read.get(&line).unwrap_or(&empty);
                        if !words.is_empty() {
                            words.push('\n');
                        }
                        words.push_str(&text::text(contents.list.path(line), content));
                    }
                    words.truncate(words.floor_char_boundary(text::MAX_TEXT_BYTES));
                    (found.n, found.number, found.key, found.current, words)
                }
            },
            |(n, number, key, current, words)| -> Result<(), Error> {
                let revision = &revisions[n];
                let Some(current) = current else {
                    update.article(&gone(history, number, key, revision.lines, id))?;
                    return Ok(());
                };
                update.article(&ArticleRow {
                    key,
                    id: &revision.id,
                    path: &revision.path,
                    bundle: id,
                    number,
                    current,
                    withdrawn: false,
                    lines: revision.lines,
                    content: revision.content,
                    generated: revision.generated,
                    files: revision.line_numbers.len() as u64,
                    bytes: revision.bytes,
                    metadata: &revision.article,
                    text: &words,
                })?;
                if run.watch.cancelled() { Err(crate::format::bundle::Error::Cancelled.into()) } else { Ok(()) }
            },
        )?;
    }
    Ok(())
}

/// Reads the files whose lines are wanted, verified.
fn read(
    bundle: &Bundle<Object>,
    contents: &Contents,
    wanted: &[bool],
    run: Run<'_>,
) -> Result<HashMap<usize, Vec<u8>>, Error> {
    let files: Mutex<HashMap<usize, Vec<u8>>> = Mutex::default();
    read_files(bundle, contents, wanted, text::MAX_DOCUMENT_BYTES, run, |line, bytes| {
        files.lock().unwrap_or_else(PoisonError::into_inner).insert(line, bytes.to_vec());
    })?;
    Ok(files.into_inner().unwrap_or_else(PoisonError::into_inner))
}
