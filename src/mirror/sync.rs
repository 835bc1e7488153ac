//! Pulling an archive from one or more origins into a mirror. (FORMAT.md, "Mirrors")
//!
//! Checkpoint; the new leaves, which with the tiles held here must lead to the root that was signed, so that the log is shown to extend the one
//! held; the history that they make, with policies and statements; witnesses; bundles, several at once, each checked whole before it gets its
//! place; then statements, documents, tiles; the checkpoint last; only then are bundles that were replaced put aside. A kill at any time leaves
//! the mirror as it was, and what was verified is not fetched again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::num::NonZeroUsize;

use crate::archive::history::{LoggedBundle, Papers, total};
use crate::archive::{self, Archive, History, Lock, Log, Pin, Vouched, layout};
use crate::digest::Digest;
use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::tile::{Holds, MAX_ENTRIES_BYTES, TILE_WIDTH, Tile};
use crate::ids::{BundleId, LeafIndex, Origin};
use crate::keys::Note;
use crate::merkle;
use crate::pipeline::ordered;
use crate::run::Run;
use crate::store::{Store, Write};
use crate::trust::authority::Fresh;

use super::checked::Checked;
use super::fetch::chain;
use super::fork::finish_giving_way;
use super::whole::form_in;
use super::{Error, Pace, Seen};

/// The longest `archive.toml`, in bytes.
const MAX_HEADER_BYTES: u64 = 16 << 10;
/// Seconds in a day.
const SECONDS_A_DAY: i64 = 86_400;
/// Where the tiles of a log lie that has not been shown to be what was signed.
const STAGED: &str = ".vellum/incoming/log";
/// Leaves that are held in memory at a time.
const CHUNK_LEAVES: usize = 16 << 10;
/// Tiles that are put in place at a time.
const TILES_AT_ONCE: usize = 256;
/// Levels of tiles of hashes.
const LEVELS: u8 = 8;
/// Bundles of entries that are fetched at once.
const ENTRY_STREAMS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// How to sync.
pub struct SyncOptions<'a> {
    /// Where from; any of them may be slow, lying or half there.
    pub origins: &'a [Store],
    /// The archive's name, which every checkpoint must carry.
    pub name: &'a Origin,
    /// What a person vouches for.
    pub pin: &'a Pin,
    /// Now; how fresh a checkpoint is goes by it.
    pub moment: jiff::Timestamp,
    /// Bundles fetched at once.
    pub streams: NonZeroUsize,
    /// Whether only to say what would be done.
    pub dry_run: bool,
    /// Days for which what a withdrawal replaced is kept aside.
    pub grace: u32,
    /// Whether a checkpoint counts that too few witnesses have cosigned: for the witnesses themselves.
    pub unwitnessed: bool,
    /// Whether files among the bundles that the log does not have are removed.
    pub delete: bool,
    /// Whether a new state of the log goes together with what was seen of it elsewhere; says why not.
    pub seen: Seen<'a>,
    /// Who writes, for the lock.
    pub who: &'a str,
    /// Time.
    pub pace: &'a dyn Pace,
}

/// An origin that was not used to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub origin: String,
    /// What was wrong with it.
    pub why: String,
}

/// What a sync did, or would do.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Leaves held before.
    pub before: u64,
    /// Leaves held now.
    pub after: u64,
    /// New bundles, and the bytes of their files.
    pub bundles: (u64, u64),
    /// Bytes of bundles that came over from origins.
    pub moved: u64,
    /// Bundles put aside because others have taken their place.
    pub withdrawn: Vec<BundleId>,
    /// Bundles that count and that no origin has.
    pub missing: Vec<BundleId>,
    /// Documents that count and that the origin does not have.
    pub absent: Vec<String>,
    /// Documents that count and in whose place the mirror has another file from before.
    pub own: Vec<String>,
    /// New leaves that do not count, and why.
    pub void: Vec<(LeafIndex, String)>,
    /// Files removed that the log does not have.
    pub strays: Vec<String>,
    /// Origins that failed or lied.
    pub dropped: Vec<Dropped>,
    /// Where the history that was held gave way to another one, by a newer policy: the folders of the evidence, and of what was held alone.
    pub gave_way: Option<(String, String)>,
    /// The log that the mirror holds now, where it took something in.
    pub vouched: Option<Vouched>,
    /// What is not as fresh as the policy wants, where it only warns.
    pub warning: Option<String>,
}

/// What a mirror holds.
#[derive(Debug)]
pub struct Held {
    /// The checkpoint, of an empty log where nothing is held.
    pub checkpoint: Checkpoint,
    /// Its note.
    pub note: Option<Note>,
}

pub(super) struct Work<'a> {
    pub(super) options: &'a SyncOptions<'a>,
    pub(super) mirror: &'a Store,
    pub(super) run: Run<'a>,
    pub(super) report: SyncReport,
}

/// An origin's checkpoint that what is pinned bears out.
pub(super) struct Head<'a> {
    pub(super) store: &'a Store,
    pub(super) head: archive::Head,
    /// Whether it is of another history than what is held, to which that may have to give way.
    pub(super) other: bool,
}

/// Brings a mirror up to the newest of the origins' checkpoints.
///
/// # Errors
/// Where no origin can be believed, or something cannot be had or written; the mirror then holds what it held.
pub fn sync(mirror: &Store, options: &SyncOptions<'_>, run: Run<'_>) -> Result<SyncReport, Error> {
    // Before the lock, since its file would be the first to lie among those of others; and after it, since it may have been waited for.
    refuse_other(mirror, options.name)?;
    // A trial run leaves nothing behind, not even a lock.
    let _lock = (!options.dry_run).then(|| Lock::take(mirror, options.who, run.clock)).transpose()?;
    refuse_other(mirror, options.name)?;
    mirror.own_path(STAGED)?;
    if !options.dry_run && !mirror.exists(layout::HEADER) {
        mirror.put(layout::BEGUN, format!("{}\n", options.name).as_bytes(), Write::Replace)?;
    }
    if !options.dry_run {
        finish_giving_way(mirror, options.name)?;
    }
    let held = Held::read(mirror, options.name, options.pin)?;
    if !options.dry_run {
        finish(mirror, &held)?;
    }
    let mut work = Work { options, mirror, run, report: SyncReport::default() };
    work.report.before = held.checkpoint.size;
    work.report.after = held.checkpoint.size;
    let heads = work.heads(&held)?;
    work.follow(&held, &heads)?;
    Ok(work.report)
}

/// Refuses a folder that is neither empty nor a mirror of this archive, whole or begun.
fn refuse_other(mirror: &Store, name: &Origin) -> Result<(), Error> {
    if mirror.exists(layout::SIGNED) {
        return Err(Error::Publisher(mirror.name()));
    }
    let refused = |found: String| Error::NotAMirror { folder: mirror.name(), name: name.clone(), found };
    if mirror.exists(layout::HEADER) {
        let found = Archive::open(mirror.clone())?.origin().clone();
        return if found == *name { Ok(()) } else { Err(refused(format!("the archive {found}"))) };
    }
    let folder = mirror.path("");
    if folder.symlink_metadata().is_ok() && !folder.is_dir() {
        return Err(refused("no folder".into()));
    }
    // What a sync killed early leaves is its own folder alone, or says which archive was begun.
    let own = layout::STATE.split('/').next().unwrap_or_default();
    let Some(other) = mirror.list("")?.into_iter().find(|entry| entry != own) else { return Ok(()) };
    if !mirror.exists(layout::BEGUN) {
        return Err(refused(format!("{other:?}, and no archive.toml")));
    }
    let begun = mirror.read(layout::BEGUN, MAX_HEADER_BYTES)?;
    let begun = String::from_utf8_lossy(&begun).trim_end().to_owned();
    if begun == name.as_str() { Ok(()) } else { Err(refused(format!("a sync of {begun} that was not finished"))) }
}

impl Held {
    /// What a mirror holds whose first sync has yet to end.
    pub(super) fn none(name: &Origin) -> Self {
        Self { checkpoint: Checkpoint { origin: name.clone(), size: 0, root: merkle::empty_root() }, note: None }
    }

    /// Returns the log that is held; what is read of it leads to the root of its checkpoint.
    pub(super) fn log<'s>(&self, mirror: &'s Store) -> Log<'s> {
        Log::new(mirror, self.checkpoint.size).signed(self.checkpoint.root)
    }

    /// Reads what a mirror holds: the one kept apart from what is served, which outlives an overwritten checkpoint, else that. One that the log's
    /// keys have not signed, on a damaged disk or one that others have written to, is not held.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(mirror: &Store, name: &Origin, pin: &Pin) -> Result<Self, Error> {
        let has_checkpoint = mirror.exists(layout::HELD) || mirror.exists(checkpoint::NAME);
        if !mirror.exists(layout::HEADER) || (mirror.exists(layout::BEGUN) && !has_checkpoint) {
            return Ok(Self::none(name));
        }
        for place in [layout::HELD, checkpoint::NAME].into_iter().filter(|place| mirror.exists(place)) {
            let note = Note::parse(&mirror.read(place, MAX_CHECKPOINT_BYTES)?);
            let signed = note.ok().and_then(|note| archive::Head::signed(note, mirror, name, pin).ok());
            if let Some(archive::Head { checkpoint, note }) = signed {
                return Ok(Self { checkpoint, note: Some(note) });
            }
        }
        Ok(Self::none(name))
    }
}

impl<'a> Work<'a> {
    pub(super) fn drop_origin(&mut self, origin: &Store, why: String) {
        let origin = origin.name();
        if !self.report.dropped.iter().any(|dropped| dropped.origin == origin) {
            self.report.dropped.push(Dropped { origin, why });
        }
    }

    /// Reads every origin's checkpoint, the largest first; those that cannot be believed are dropped by name.
    fn heads(&mut self, held: &Held) -> Result<Vec<Head<'a>>, Error> {
        let mut heads: Vec<Head<'a>> = Vec::new();
        let mut first = None;
        for store in self.options.origins {
            match self.head(store, held) {
                Ok(head) => heads.push(head),
                Err(error) => {
                    self.drop_origin(store, chain(&error));
                    // A lie is worse news than silence.
                    if first.as_ref().is_none_or(|first: &Error| !first.is_lie() && error.is_lie()) {
                        first = Some(error);
                    }
                }
            }
        }
        if let (true, Some(error)) = (heads.is_empty(), first) {
            return Err(error);
        }
        heads.sort_by_key(|head| (!head.other, std::cmp::Reverse(head.head.checkpoint.size)));
        Ok(heads)
    }

    /// Reads an origin's checkpoint; one of another history is believed only where what is held has to give way to it.
    fn head(&self, store: &'a Store, held: &Held) -> Result<Head<'a>, Error> {
        let head = archive::Head::read(store, self.options.name, self.options.pin)?;
        let admitted = self.admit(store, &head, held);
        let other = matches!(admitted, Err(Error::Fork { .. }));
        let head = Head { store, head, other };
        match (admitted, &held.note) {
            (Ok(()), _) => Ok(head),
            (Err(Error::Fork { .. }), _) if self.gives_way(&head, held)? => Ok(head),
            // Nothing comes after the leaf that closes an archive: an origin that has all up to it is not behind.
            (Err(Error::Rollback { .. }), Some(note)) if self.closed_below(held, head.head.checkpoint.size)? => {
                let head = archive::Head { checkpoint: held.checkpoint.clone(), note: note.clone() };
                Ok(Head { store, head, other })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Judges what witnesses say of a checkpoint by what the policy asks for.
    fn witnessed(&mut self, store: &Store, vouched: &Vouched) -> Result<(), Error> {
        let Some(policy) = vouched.authority().policy().filter(|_| !self.options.unwitnessed) else { return Ok(()) };
        if !vouched.witnessed.is_met() {
            let (found, needed) = (vouched.witnessed.by.len(), vouched.witnessed.needed);
            let mut reason = format!("{found} of {needed} operators have cosigned it");
            if !vouched.witnessed.bad.is_empty() {
                reason.push_str(&format!("; bad cosignatures by {}", vouched.witnessed.bad.join(", ")));
            }
            return Err(Error::NotVouched { what: "witnessed", reason });
        }
        match Fresh::of(&vouched.witnessed, policy, self.options.moment) {
            Fresh::No(reason) => return Err(Error::NotVouched { what: "fresh", reason }),
            Fresh::Warn(reason) => self.report.warning = Some(format!("{}: {reason}", store.name())),
            _ => {}
        }
        Ok(())
    }

    /// Takes over what the newest checkpoint has that is not held.
    fn follow(&mut self, held: &Held, heads: &[Head<'a>]) -> Result<(), Error> {
        let mut refused = None;
        for head in heads {
            match self.take(held, head, heads) {
                // The next origin may have an older state that holds.
                Err(error) if error.is_origins() => {
                    self.drop_origin(head.store, chain(&error));
                    refused.get_or_insert(error);
                }
                other => return other,
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn take(&mut self, held: &Held, head: &Head<'a>, heads: &[Head<'a>]) -> Result<(), Error> {
        let new = &head.head.checkpoint;
        // A trial run leaves the mirror's folder alone.
        let aside = self.options.dry_run.then(tempfile::tempdir).transpose().map_err(staging)?;
        let staged = aside.as_ref().map_or_else(|| self.mirror.path(STAGED), |aside| aside.path().to_owned());
        let staged = Store::new(&staged);
        let none = Held::none(self.options.name);
        let (mut other, mut from) = (head.other, if head.other || self.is_damaged(held) { &none } else { held });
        let mut vouched = loop {
            let extends = |()| if other { Ok(()) } else { self.extends(head, held, &staged) };
            let staging = self.stage(head, from, &staged).and_then(extends);
            match staging.and_then(|()| self.vouched(head, from, &staged)) {
                // What is held is damaged and cannot be gone on from: all of it is read anew.
                Err(Error::Archive(archive::Error::Log(_))) if from.note.is_some() => from = &none,
                Err(Error::Fork { .. }) if !other && self.gives_way(head, held)? => (other, from) = (true, &none),
                done => break done?,
            }
        };
        self.witnessed(head.store, &vouched)?;
        self.contradicted(head, &vouched, heads, (from, &staged))?;
        if vouched.checkpoint != held.checkpoint {
            let under = self.under(from, &staged);
            let mut log = Log::over(&under, &staged, new.size).signed(new.root);
            let origin = head.store.name();
            (self.options.seen)(&vouched, &mut log).map_err(|why| Error::SeenOther { origin, why })?;
        }
        // What those have withdrawn who may, an origin cannot bring back by hiding that.
        if let Some(place) = vouched.history.missing.first() {
            let faults = vec![format!("{}: it is not there", head.store.name())];
            return Err(Error::Unobtainable { what: place.clone(), faults });
        }
        let files = self.small_files(head, &vouched.history, held.checkpoint.size)?;
        let wanted = self.wanted(&vouched.history);
        self.report.bundles = (wanted.len() as u64, total(wanted.iter().copied()));
        if self.options.dry_run {
            self.report.after = new.size;
            return Ok(());
        }
        let forms = wanted.iter().flat_map(|logged| logged.forms.iter().map(|form| (logged.id, form.file)));
        let fetched: Vec<_> = forms.map(|(id, file)| (file, layout::bundle(id, &file))).collect();
        let none = self.bundles(&wanted, heads, &vouched.history)?;
        for id in none {
            vouched.history.refuse(id);
        }
        // What those were to replace keeps its place, where anybody has it still.
        for logged in self.wanted(&vouched.history) {
            match self.bundles(&[logged], heads, &vouched.history) {
                Err(Error::Unobtainable { .. }) => self.report.missing.push(logged.id),
                other => drop(other?),
            }
        }
        if other {
            self.set_aside(head, held, &vouched)?;
        }
        self.put((head, &vouched), from, files, &staged)?;
        self.note_checked(&fetched)?;
        self.put_aside(&vouched.history)?;
        for name in self.mirror.list(layout::INCOMING)? {
            self.mirror.remove_all(&format!("{}/{name}", layout::INCOMING))?;
        }
        if self.options.delete {
            self.remove_strays(&vouched.history)?;
        }
        let is_new = |(leaf, _): &&(LeafIndex, String)| leaf.0 >= from.checkpoint.size;
        self.report.void = vouched.history.void.iter().filter(is_new).cloned().collect();
        self.report.after = new.size;
        self.report.vouched = Some(vouched);
        Ok(())
    }

    /// Returns the bundles of which a file must be there and none is.
    fn wanted<'h>(&self, history: &'h History) -> Vec<&'h LoggedBundle> {
        history.held().filter(|logged| form_in(self.mirror, logged).is_none()).collect()
    }

    /// Notes what has been read whole before it got its place.
    fn note_checked(&self, fetched: &[(Digest, String)]) -> Result<(), Error> {
        let (mut checked, now) = (Checked::read(self.mirror), self.options.moment.as_second());
        for (file, place) in fetched {
            checked.note(self.mirror, place, *file, u64::try_from(now).unwrap_or(0));
        }
        checked.keep(self.mirror)
    }

    /// Puts bundles aside whose places others have taken, and erases what was put aside long enough ago.
    fn put_aside(&mut self, history: &History) -> Result<(), Error> {
        let now = self.options.moment.as_second();
        for logged in history.bundles.iter().filter(|logged| logged.replaced.is_some()) {
            let folder = layout::bundle_folder(logged.id);
            if self.mirror.path(&folder).is_dir() {
                self.mirror
                    .adopt(&self.mirror.own_path(&folder)?, &format!("{}/{now}-{}", layout::WITHDRAWN, logged.id))?;
                // Its shelf goes with the last that stood there.
                let shelf = folder.rsplit_once('/').map_or("", |(shelf, _)| shelf);
                let _ = fs::remove_dir(self.mirror.path(shelf));
                self.report.withdrawn.push(logged.id);
            }
        }
        for name in self.mirror.list(layout::WITHDRAWN)? {
            let since = name.split('-').next().and_then(|since| since.parse::<i64>().ok());
            let due = since.is_none_or(|since| now - since >= i64::from(self.options.grace) * SECONDS_A_DAY);
            if due {
                self.mirror.remove_all(&format!("{}/{name}", layout::WITHDRAWN))?;
            }
        }
        Ok(())
    }

    /// Folds the log of a head, whose new tiles are staged over those of what is held.
    pub(super) fn vouched(&self, head: &Head<'_>, held: &Held, staged: &Store) -> Result<Vouched, Error> {
        let under = self.under(held, staged);
        let new = &head.head.checkpoint;
        let mut log = Log::over(&under, staged, new.size).signed(new.root);
        // What is held has gone on from the pinned policy already: an origin cannot take that back.
        let papers: [&Store; 2] = [self.mirror, head.store];
        let (name, pin) = (self.options.name, self.options.pin);
        head.head.clone().vouched(&mut log, name, pin, &papers as &dyn Papers, self.run).map_err(|error| match error {
            archive::Error::History(fault) => Error::History { origin: head.store.name(), fault },
            other => other.into(),
        })
    }

    /// Says whether the tiles of hashes that are held do not lead to their own checkpoint: then all of the log is read anew.
    fn is_damaged(&self, held: &Held) -> bool {
        let mut log = held.log(self.mirror);
        held.note.is_some() && log.root(held.checkpoint.size).and_then(|_| log.check_tiles()).is_err()
    }

    /// Checks that the log of a head, whose tiles are staged, goes on from what is held.
    fn extends(&self, head: &Head<'_>, held: &Held, staged: &Store) -> Result<(), Error> {
        let (old, new) = (&held.checkpoint, &head.head.checkpoint);
        let under = self.under(held, staged);
        let at_old = Log::over(&under, staged, new.size).signed(new.root).root(old.size);
        if at_old.is_ok_and(|root| root == old.root) { Ok(()) } else { Err(self.explain(head, held)?) }
    }

    /// Returns where the tiles lie over which new ones are staged: of a mirror that holds no log, or that gives its own up, nowhere.
    pub(super) fn under(&self, held: &Held, staged: &Store) -> Store {
        if held.note.is_some() { self.mirror.clone() } else { Store::new(&staged.path("none")) }
    }

    /// Reads the leaves that are not held, and lays the tiles that they make aside until everything else is there; they must lead to the root
    /// that was signed. Memory is a chunk's.
    pub(super) fn stage(&self, head: &Head<'_>, held: &Held, staged: &Store) -> Result<(), Error> {
        let (old, new) = (&held.checkpoint, &head.head.checkpoint);
        let under = self.under(held, staged);
        fs::remove_dir_all(staged.path("")).or_else(absent).map_err(staging)?;
        let (mut size, mut root, mut chunk) = (old.size, old.root, Vec::new());
        let mut flush = |chunk: &mut Vec<Vec<u8>>| {
            let appended = Log::over(&under, staged, size).append(chunk)?;
            for (place, bytes) in &appended.tiles {
                let path = staged.path(place);
                let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
                folder.and_then(|()| fs::write(&path, bytes)).map_err(staging)?;
            }
            chunk.clear();
            (size, root) = (appended.size, appended.root);
            Ok::<_, Error>(())
        };
        if new.size > old.size {
            let mut skip = (old.size % TILE_WIDTH) as usize;
            ordered(
                ENTRY_STREAMS,
                old.size / TILE_WIDTH..new.size.div_ceil(TILE_WIDTH),
                || {
                    let log = Log::new(head.store, new.size);
                    move |number| log.read_entries(number)
                },
                |entries| {
                    chunk.extend(entries?.into_iter().skip(std::mem::take(&mut skip)));
                    if chunk.len() >= CHUNK_LEAVES { flush(&mut chunk) } else { Ok(()) }
                },
            )?;
            flush(&mut chunk)?;
        }
        if (size, root) == (new.size, new.root) { Ok(()) } else { Err(self.explain(head, held)?) }
    }

    /// Puts everything but the bundles in place, the checkpoint last.
    fn put(
        &mut self,
        (head, vouched): (&Head<'_>, &Vouched),
        held: &Held,
        files: Vec<(String, Vec<u8>)>,
        staged: &Store,
    ) -> Result<(), Error> {
        self.mirror.put_all(&files)?;
        let tiles = self.place_tiles(held, head, staged)?;
        let of_policy = vouched.authority().policy().map_or(&[][..], |policy| &policy.logs);
        let mut log_keys = vec![vouched.log_key.clone()];
        log_keys.extend(of_policy.iter().map(|log| log.key.clone()));
        let witnesses = vouched.witnesses().iter().map(|witness| witness.key.clone());
        let mut note = vouched.note.clone();
        note.leave_out_strangers(&log_keys.iter().cloned().chain(witnesses).collect::<Vec<_>>());
        if let (Some(old), true) = (&held.note, held.checkpoint == vouched.checkpoint) {
            note = old.clone();
            // Newer cosignatures are taken over.
            for witness in vouched.witnesses() {
                note.take_cosignature(&vouched.note, &witness.key)?;
            }
        }
        let note = note.to_string().into_bytes();
        if !self.mirror.exists(layout::HEADER) {
            let header = head.store.read(layout::HEADER, MAX_HEADER_BYTES)?;
            let header = Archive::header(header, self.options.name, &log_keys);
            self.mirror.put(layout::HEADER, &header, Write::Replace)?;
        }
        self.mirror.put(layout::HELD, &note, Write::Replace)?;
        self.mirror.put(checkpoint::NAME, &note, Write::Replace)?;
        if self.mirror.exists(layout::BEGUN) {
            self.mirror.remove(layout::BEGUN)?;
        }
        // Narrower ones, for readers of an earlier checkpoint, go with the full one; and where all was read anew, since some may be damaged.
        for tile in tiles.into_iter().filter(|tile| tile.is_full() || held.note.is_none()) {
            let folder = format!("{}.p", tile.full());
            for place in self.mirror.list(&folder)?.into_iter().map(|width| format!("{folder}/{width}")) {
                if place != tile.to_string() {
                    self.mirror.remove(&place)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the new tiles in place, some at a time.
    fn place_tiles(&self, held: &Held, head: &Head<'_>, staged: &Store) -> Result<Vec<Tile>, Error> {
        let (old, new) = (held.checkpoint.size, head.head.checkpoint.size);
        if old == new {
            return Ok(Vec::new());
        }
        let kinds = std::iter::once(Holds::Entries).chain((0..LEVELS).map(Holds::Hashes));
        let tiles: Vec<Tile> = kinds.flat_map(|holds| Tile::at(holds, old, new)).collect();
        for some in tiles.chunks(TILES_AT_ONCE) {
            let read = |tile: &Tile| Ok((tile.to_string(), staged.read(&tile.to_string(), MAX_ENTRIES_BYTES)?));
            self.mirror.put_all(&some.iter().map(read).collect::<Result<Vec<_>, Error>>()?)?;
        }
        Ok(tiles)
    }

    /// Removes the files among the bundles that the log does not have.
    fn remove_strays(&mut self, history: &History) -> Result<(), Error> {
        let places = |logged: &LoggedBundle| {
            logged.forms.iter().map(|form| layout::bundle(logged.id, &form.file)).collect::<Vec<_>>()
        };
        // Bytes of a void bundle that are held are kept: it may be vouched for again.
        let known: BTreeSet<String> = history.bundles.iter().flat_map(places).collect();
        for shelf in self.mirror.list(layout::BUNDLES)? {
            for folder in self.mirror.list(&format!("{}/{shelf}", layout::BUNDLES))? {
                let folder = format!("{}/{shelf}/{folder}", layout::BUNDLES);
                for name in self.mirror.list(&folder)? {
                    let place = format!("{folder}/{name}");
                    if place.ends_with(".tar.zst") && !known.contains(&place) {
                        self.mirror.remove(&place)?;
                        self.report.strays.push(place);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Finishes what a killed sync had begun: the checkpoint that is served.
fn finish(mirror: &Store, held: &Held) -> Result<(), Error> {
    fs::remove_dir_all(mirror.path(STAGED)).or_else(absent).map_err(staging)?;
    let Some(note) = &held.note else { return Ok(()) };
    let note = note.to_string().into_bytes();
    if mirror.read(checkpoint::NAME, MAX_CHECKPOINT_BYTES).ok().as_ref() != Some(&note) {
        mirror.put(checkpoint::NAME, &note, Write::Replace)?;
    }
    Ok(())
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

pub(super) fn staging(source: io::Error) -> Error {
    Error::Write { place: STAGED.to_owned(), source }
}
