//! Putting an archive into a bucket: what is missing, the checkpoint last; two publishers never overwrite each other.
//!
//! A claim, written only where none is, says from which state of the log to which one a publisher takes the bucket. Whoever finds the claim of
//! its own history goes on with it; whoever finds another one's refuses. The checkpoint is replaced only if it is still the one that was read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Cursor;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::archive::history::{LoggedBundle, total};
use crate::archive::{Archive, DOCUMENTS, History, Vouched, layout};
use crate::digest::Digest;
use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::tile::{Holds, Tile};
use crate::format::withdrawal::{self, MAX_WITHDRAWAL_BYTES};
use crate::keys::Note;
use crate::merkle;
use crate::run::Run;
use crate::store::{Condition, Failed, Remote};
use crate::trust::policy;
use crate::watch::Task;

use super::Error;
use super::whole::{form_in, lack};

/// Objects that are written at once.
const STREAMS: usize = 4;
/// The claim's name in a bucket.
const CLAIM: &str = "claim";
const CLAIM_FORMAT: &str = "vellum-bucket-claim/1";
const MAX_CLAIM_BYTES: u64 = 4096;
/// Levels of tiles above the entries.
const LEVELS: u8 = 8;

/// What a push did.
#[derive(Debug, Default)]
pub struct PushReport {
    /// Leaves in the bucket before.
    pub before: u64,
    /// Leaves in the bucket now.
    pub after: u64,
    /// Bundles written.
    pub bundles: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bundles removed because they were withdrawn.
    pub removed: u64,
    /// Whether the bucket keeps two publishers apart.
    pub guarded: bool,
}

/// Brings a bucket up to an archive's checkpoint.
///
/// # Errors
/// Where what lies in the bucket is no earlier state of this archive, another publisher is at work, or something cannot be written.
pub fn push(archive: &Archive, vouched: &Vouched, remote: &Remote, run: Run<'_>) -> Result<PushReport, Error> {
    let own = &vouched.checkpoint;
    let mut report = PushReport { after: own.size, guarded: true, ..PushReport::default() };
    let (there, tag) = read_there(archive, vouched, remote)?;
    report.before = there.size;
    if there.size > own.size || archive.log(own).root(there.size)? != there.root {
        let (found, held) = (there.size, own.size);
        return Err(Error::Bucket(format!(
            "its log has {found} leaves that are not the beginning of this one's {held}"
        )));
    }
    let same = there.size == own.size && tag.is_some();
    // From where on withdrawals may not have been carried out: a push that was killed leaves its claim.
    let mut from = same.then(|| unfinished(archive, own, remote)).transpose()?.flatten();
    if !same {
        // Before the claim: a bucket must not get a log whose bundles nobody can give it.
        if let Some(lack) = lack(archive, &vouched.history)? {
            return Err(Error::Lacking { archive: archive.store().name(), lack });
        }
        let (guarded, begun) = claim(archive, own, &there, remote)?;
        // Another publisher may have finished between the first look and the claim: its tiles must not be written over.
        let (now, _) = read_there(archive, vouched, remote)?;
        if (now.size, now.root) != (there.size, there.root) {
            remote.remove(CLAIM)?;
            let why = format!("another publisher has just brought it to {} leaves; push again", now.size);
            return Err(Error::Bucket(why));
        }
        report.guarded = guarded;
        from = Some(begun);
        upload(archive, &vouched.history, (&there, own), remote, run, &mut report)?;
    }
    let note = vouched.note.to_string().into_bytes();
    let on = tag.as_deref().map_or(Condition::Absent, Condition::Unchanged);
    match put(remote, checkpoint::NAME, &note, on) {
        Err(Error::Store(error)) if error.failed == Failed::Exists => {
            let (now, _) = read_there(archive, vouched, remote)?;
            if now != *own {
                let why = format!("another publisher has just brought it to {} leaves; push again", now.size);
                return Err(Error::Bucket(why));
            }
        }
        other => other?,
    }
    if let Some(from) = from {
        remove_withdrawn(&vouched.history, remote, from, &mut report)?;
        remote.remove(CLAIM)?;
    }
    Ok(report)
}

fn put(remote: &Remote, place: &str, bytes: &[u8], on: Condition<'_>) -> Result<(), Error> {
    remote.put(place, &mut Cursor::new(bytes), bytes.len() as u64, on)?;
    Ok(())
}

/// Reads the bucket's checkpoint and its tag; an empty log where there is none.
fn read_there(archive: &Archive, vouched: &Vouched, remote: &Remote) -> Result<(Checkpoint, Option<String>), Error> {
    let arriving = match remote.get(checkpoint::NAME, 0, None) {
        Err(error) if error.is_not_found() => {
            let empty = Checkpoint { origin: archive.origin().clone(), size: 0, root: merkle::empty_root() };
            return Ok((empty, None));
        }
        other => other?,
    };
    let tag = arriving.tag.clone();
    let note = Note::parse(&arriving.read(checkpoint::NAME, MAX_CHECKPOINT_BYTES)?)?;
    let there = crate::archive::read_checkpoint(note.verified(&vouched.log_key)?, archive.origin())?;
    Ok((there, tag))
}

/// Reads the claim that lies there, which must be of this archive's history; returns the size that it goes on from.
fn unfinished(archive: &Archive, own: &Checkpoint, remote: &Remote) -> Result<Option<u64>, Error> {
    let bytes = match remote.read(CLAIM, MAX_CLAIM_BYTES) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let found = Claim::decode(&bytes).ok_or_else(|| Error::Bucket("its claim is malformed".into()))?;
    let (old, new) = (found.old, found.new);
    let ours = found.origin == archive.origin().as_str()
        && old.0 <= new.0
        && new.0 <= own.size
        && archive.log(own).root(new.0)? == new.1
        && archive.log(own).root(old.0)? == old.1;
    if ours {
        return Ok(Some(old.0));
    }
    Err(Error::Bucket(format!(
        "another publisher claims it, from {} to {} leaves of a history that is not this archive's; if it is gone for good, remove the object {CLAIM:?}",
        old.0, new.0
    )))
}

/// Claims the bucket for the way from what is there to this archive's checkpoint; says whether the bucket minds conditions, and from where on
/// withdrawals are to be carried out.
fn claim(archive: &Archive, own: &Checkpoint, there: &Checkpoint, remote: &Remote) -> Result<(bool, u64), Error> {
    let claim =
        Claim { origin: archive.origin().to_string(), old: (there.size, there.root), new: (own.size, own.root) };
    let text = claim.to_string();
    match put(remote, CLAIM, text.as_bytes(), Condition::Absent) {
        Ok(()) => {
            // A bucket that takes a second claim does not mind conditions at all.
            match put(remote, CLAIM, text.as_bytes(), Condition::Absent) {
                Ok(()) => Ok((false, there.size)),
                Err(Error::Store(error)) if error.failed == Failed::Exists => Ok((true, there.size)),
                Err(error) => Err(error),
            }
        }
        Err(Error::Store(error)) if error.failed == Failed::Exists => {
            // Gone in between, it was finished.
            let begun = unfinished(archive, own, remote)?.unwrap_or(there.size);
            Ok((true, begun.min(there.size)))
        }
        Err(error) => Err(error),
    }
}

/// From which state of the log to which one.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    origin: String,
    old: (u64, Digest),
    new: (u64, Digest),
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (old, new) = (self.old, self.new);
        write!(f, "{CLAIM_FORMAT}\n{}\n", self.origin)?;
        write!(f, "old {} {}\nnew {} {}\n", old.0, old.1.labelled(), new.0, new.1.labelled())
    }
}

impl Claim {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let (_format, origin) = (lines.next()?, lines.next()?.to_owned());
        let mut head = |name: &str| {
            let (size, root) = lines.next()?.strip_prefix(name)?.split_once(' ')?;
            Some((size.parse().ok()?, Digest::from_labelled(root).ok()?))
        };
        let claim = Self { origin, old: head("old ")?, new: head("new ")? };
        (claim.to_string() == text).then_some(claim)
    }
}

/// Writes everything that the bucket lacks, but the checkpoint.
fn upload(
    archive: &Archive,
    history: &History,
    (there, own): (&Checkpoint, &Checkpoint),
    remote: &Remote,
    run: Run<'_>,
    report: &mut PushReport,
) -> Result<(), Error> {
    let store = archive.store();
    // What a killed push has written lies there whole or not at all.
    let is_new = |logged: &&LoggedBundle| logged.newest().leaf.0 >= there.size;
    let bundles: Vec<&LoggedBundle> = history.held().filter(is_new).collect();
    run.watch.begin(Task::Sync, Some(total(bundles.iter().copied())));
    let (next, count, bytes) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..STREAMS.min(bundles.len()) {
            scope.spawn(|| {
                while let Some(logged) = bundles.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if run.watch.cancelled() || failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                        break;
                    }
                    match put_bundle(archive, logged, remote) {
                        Ok(written) => {
                            count.fetch_add(u64::from(written > 0), Ordering::Relaxed);
                            bytes.fetch_add(written, Ordering::Relaxed);
                            run.watch.advance(logged.newest().size);
                        }
                        Err(error) => drop(failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error)),
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    if run.watch.cancelled() {
        return Err(Error::Cancelled);
    }
    (report.bundles, report.bytes) = (count.into_inner(), bytes.into_inner());
    let of_documents = history.documents.iter().filter(|(_, document)| document.leaf.0 >= there.size);
    let mut places: BTreeSet<String> = of_documents.map(|(name, _)| name.clone()).collect();
    for (folder, any) in [
        (withdrawal::FOLDER, history.statements.iter().any(|statement| statement.leaf.0 >= there.size)),
        (policy::FOLDER, history.policies.values().any(|(leaf, _)| leaf.0 >= there.size)),
    ] {
        if any {
            places.extend(store.list(folder)?.into_iter().map(|name| format!("{folder}/{name}")));
        }
    }
    if there.size == 0 {
        places.insert(layout::HEADER.to_owned());
        places.extend(DOCUMENTS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| store.exists(name)));
    }
    let kinds = std::iter::once(Holds::Entries).chain((0..LEVELS).map(Holds::Hashes));
    for holds in kinds {
        places.extend(Tile::at(holds, there.size, own.size).map(|tile| tile.to_string()));
    }
    for place in places {
        let content = store.read(&place, MAX_WITHDRAWAL_BYTES.max(crate::format::tile::MAX_ENTRIES_BYTES))?;
        put(remote, &place, &content, Condition::Always)?;
        report.bytes += content.len() as u64;
    }
    Ok(())
}

fn put_bundle(archive: &Archive, logged: &LoggedBundle, remote: &Remote) -> Result<u64, Error> {
    let Some(form) = form_in(archive.store(), logged) else { return Ok(0) };
    let place = layout::bundle(logged.id, &form.file);
    if remote.size(&place).is_ok_and(|size| size == form.size) {
        return Ok(0);
    }
    let path = archive.store().path(&place);
    let mut file = File::open(&path).map_err(|source| Error::Write { place: place.clone(), source })?;
    remote.put(&place, &mut file, form.size, Condition::Always)?;
    Ok(form.size)
}

/// Removes the bundles whose places others have taken, now that the checkpoint says so.
fn remove_withdrawn(history: &History, remote: &Remote, from: u64, report: &mut PushReport) -> Result<(), Error> {
    let is_new = |logged: &&LoggedBundle| logged.replaced.is_some_and(|replaced| replaced.leaf.0 >= from);
    for logged in history.bundles.iter().filter(is_new) {
        for form in &logged.forms {
            remote.remove(&layout::bundle(logged.id, &form.file))?;
            report.removed += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_one_form() {
        let claim = Claim { origin: "a/b".into(), old: (0, merkle::empty_root()), new: (7, Digest::of(b"x")) };
        let text = claim.to_string();
        assert_eq!(Claim::decode(text.as_bytes()), Some(claim));
        for bad in [text.replace("/1", "/2"), text.clone() + "\n", text.replace("new 7", "new 07"), String::new()] {
            assert_eq!(Claim::decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
