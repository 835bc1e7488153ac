//! Two histories of one log: the evidence that is kept, and the one case in which the history that is held gives way. (FORMAT.md, "Mirrors"; P2)
//!
//! Where a newer policy counts, only what its head of the log covers binds: its root keys have said so. What was held above that gives way, and is
//! kept aside whole, its bundles too: so the archive of a publisher who lost his disk, or his log key, goes on.

use crate::archive::history::HistoryFault;
use crate::archive::{self, History, Log, Pin, Vouched, layout};
use crate::digest::Digest;
use crate::format::checkpoint::{self, Checkpoint};
use crate::format::fork::Fork;
use crate::ids::{LeafIndex, Origin};
use crate::keys::Note;
use crate::store::{Store, Write};

use super::Error;
use super::sync::{Head, Held, Work, staging};

/// The most files of evidence that are kept.
const MAX_EVIDENCE: usize = 100;

impl Work<'_> {
    /// Judges an origin's checkpoint against what is held.
    pub(super) fn admit(&self, store: &Store, head: &archive::Head, held: &Held) -> Result<(), Error> {
        let (new, old) = (&head.checkpoint, &held.checkpoint);
        let same_size_other_root = new.size == old.size && new.root != old.root;
        if same_size_other_root || new.size < old.size {
            // What is held may be held against it without asking the origin: its root must be ours at that size.
            let parts = |root: Digest| root != new.root;
            let fork = same_size_other_root || held.log(self.mirror).root(new.size).is_ok_and(parts);
            let proof = match fork && !same_size_other_root {
                true => Some(prove_fork(held.log(self.mirror), new.size)?),
                false => None,
            };
            let evidence = self.keep_evidence(head, held, old, proof)?;
            let origin = store.name();
            return Err(if fork {
                Error::Fork { origin, detail: format!("at {} leaves the roots differ", new.size), evidence }
            } else {
                Error::Rollback { origin, found: new.size, held: old.size, evidence }
            });
        }
        Ok(())
    }

    /// Says why new leaves do not lead from what is held to the root that was signed: a fork, or tiles that are not the log's.
    pub(super) fn explain(&self, head: &Head<'_>, held: &Held) -> Result<Error, Error> {
        let (old, new) = (&held.checkpoint, &head.head.checkpoint);
        let origin = head.store.name();
        let mut theirs = Log::new(head.store, new.size).signed(new.root);
        Ok(match theirs.root(old.size) {
            Ok(at_old) if at_old != old.root => {
                let proof = prove_fork(theirs, old.size)?;
                let evidence = self.keep_evidence(&head.head, held, new, Some(proof))?;
                Error::Fork { origin, detail: format!("they part before leaf {}", old.size), evidence }
            }
            _ => {
                let detail = format!("{origin}: its leaves do not lead to the root in its checkpoint");
                Error::Leaf { index: LeafIndex(old.size), detail }
            }
        })
    }

    /// Keeps an origin's checkpoint and the one held, unless this is a trial run.
    fn keep_evidence(
        &self,
        head: &archive::Head,
        held: &Held,
        larger: &Checkpoint,
        proof: Option<Fork>,
    ) -> Result<String, Error> {
        if self.options.dry_run {
            return Ok(self.mirror.path(layout::EVIDENCE).display().to_string());
        }
        let ours = held.note.as_ref().map(|note| (&held.checkpoint, note));
        keep_evidence(self.mirror, [(&head.checkpoint, &head.note)].into_iter().chain(ours), larger, proof)
    }

    /// P2: says whether what is held gives way to another history: by a version of the policy that counts there, is newer than the one here, and
    /// was made on a head that both have.
    pub(super) fn gives_way(&self, head: &Head<'_>, held: &Held) -> Result<bool, Error> {
        let (name, pin) = (self.options.name, self.options.pin);
        let folder = tempfile::tempdir().map_err(staging)?;
        let staged = &Store::new(folder.path());
        let old = &held.checkpoint;
        // A history that is not the one which a person vouches for binds nobody.
        let ours = match History::read(&mut held.log(self.mirror), name, pin, self.mirror, self.run) {
            Err(archive::Error::History(
                HistoryFault::OtherLog { .. } | HistoryFault::Behind { .. } | HistoryFault::Earlier { .. },
            )) => return Ok(self.would_take(head, staged)?.is_some()),
            // What is held is damaged, and does not say what it knew.
            Err(archive::Error::Log(_)) => return Ok(false),
            other => other?,
        };
        let Some(theirs) = self.would_take(head, staged)? else { return Ok(false) };
        let Some(policy) = theirs.authority().policy() else { return Ok(false) };
        let known = ours.authority.policy().map_or(0, |policy| policy.version);
        let same = |version: &u64| {
            ours.policies.get(version).map(|(_, digest)| digest)
                == theirs.history.policies.get(version).map(|(_, digest)| digest)
        };
        let stated = &policy.log;
        Ok(policy.version > known
            && ours.policies.keys().all(same)
            && stated.size <= old.size
            && held.log(self.mirror).root(stated.size)? == stated.root)
    }

    /// Says whether what is held was closed by a leaf below `size`.
    pub(super) fn closed_below(&self, held: &Held, size: u64) -> Result<bool, Error> {
        let (name, pin) = (self.options.name, self.options.pin);
        let ours = History::read(&mut held.log(self.mirror), name, pin, self.mirror, self.run)?;
        Ok(ours.authority.closed_at().is_some_and(|closed| closed.0 < size))
    }

    /// Holds a head that is believed against those of the other origins. Where one is of another history, both are kept as evidence, and who holds
    /// neither cannot tell which is the archive's, unless its root keys have said so since in one of them. (P2)
    pub(super) fn contradicted(
        &mut self,
        head: &Head<'_>,
        vouched: &Vouched,
        heads: &[Head<'_>],
        (held, staged): (&Held, &Store),
    ) -> Result<(), Error> {
        let (new, under) = (&head.head.checkpoint, self.under(held, staged));
        let version = |vouched: &Vouched| vouched.authority().policy().map_or(0, |policy| policy.version);
        for other in heads.iter().filter(|other| !other.other && !head.other) {
            let theirs = &other.head.checkpoint;
            let log = || Log::over(&under, staged, new.size).signed(new.root);
            if theirs.size > new.size || log().root(theirs.size)? == theirs.root {
                continue;
            }
            let proof = (theirs.size < new.size).then(|| prove_fork(log(), theirs.size)).transpose()?;
            let both = [(new, &head.head.note), (theirs, &other.head.note)];
            let evidence = match self.options.dry_run {
                true => self.mirror.path(layout::EVIDENCE).display().to_string(),
                false => keep_evidence(self.mirror, both, new, proof)?,
            };
            let folder = tempfile::tempdir().map_err(staging)?;
            let taken = self.would_take(other, &Store::new(folder.path()));
            let origins = [head.store.name(), other.store.name()];
            let contradiction = Error::TwoHistories { origins, at: theirs.size, evidence };
            match taken {
                Ok(Some(taken)) if version(&taken) == version(vouched) => return Err(contradiction),
                Ok(Some(taken)) if version(&taken) > version(vouched) => {
                    let detail = contradiction.to_string();
                    return Err(Error::Leaf { index: LeafIndex(theirs.size), detail });
                }
                // One whose log nobody can read, or that goes on by an older policy, keeps nobody from this one.
                _ => self.drop_origin(other.store, contradiction.to_string()),
            }
        }
        Ok(())
    }

    /// Folds the whole log of a head beside what is held; none where it is not believed.
    fn would_take(&self, head: &Head<'_>, staged: &Store) -> Result<Option<Vouched>, Error> {
        let none = Held::none(self.options.name);
        self.stage(head, &none, staged)?;
        Ok(self.vouched(head, &none, staged).ok())
    }

    /// Puts the history that gives way aside: from here on the mirror is one whose first sync has begun.
    pub(super) fn set_aside(&mut self, head: &Head<'_>, held: &Held, vouched: &Vouched) -> Result<(), Error> {
        let old = &held.checkpoint;
        let evidence = self.keep_evidence(&head.head, held, old, None)?;
        let anyone = Pin::Anyone { log: vouched.log_key.clone() };
        let ours = History::read(&mut held.log(self.mirror), self.options.name, &anyone, self.mirror, self.run)?;
        let folder = layout::gave_way(old);
        for logged in ours.bundles.iter().filter(|logged| vouched.history.bundle(logged.id).is_none()) {
            let place = layout::bundle_folder(logged.id);
            if self.mirror.path(&place).is_dir() {
                self.mirror.adopt(&self.mirror.own_path(&place)?, &format!("{folder}/{place}"))?;
            }
        }
        self.mirror.put(layout::BEGUN, format!("{}\n", self.options.name).as_bytes(), Write::Replace)?;
        self.mirror.remove(layout::HEADER)?;
        put_log_aside(self.mirror, old)?;
        self.report.gave_way = Some((evidence, self.mirror.path(&folder).display().to_string()));
        Ok(())
    }
}

/// Keeps two checkpoints that do not go together, each signed by the log's key, and the proof of it beside the larger one, so that a third
/// person can check; returns the folder.
pub(super) fn keep_evidence<'a>(
    store: &Store,
    heads: impl IntoIterator<Item = (&'a Checkpoint, &'a Note)>,
    larger: &Checkpoint,
    proof: Option<Fork>,
) -> Result<String, Error> {
    // An origin shows as many histories as it likes; a few are proof enough.
    if store.list(layout::EVIDENCE)?.len() >= MAX_EVIDENCE {
        return Ok(store.path(layout::EVIDENCE).display().to_string());
    }
    for (checkpoint, note) in heads {
        store.put(&layout::evidence(checkpoint), note.to_string().as_bytes(), Write::Replace)?;
    }
    if let Some(proof) = proof {
        let place = format!("{}.fork", layout::evidence(larger));
        store.put(&place, proof.to_string().as_bytes(), Write::Replace)?;
    }
    Ok(store.path(layout::EVIDENCE).display().to_string())
}

/// Finishes what a kill cut off after the history that is held began to give way: a mirror without its header and with a checkpoint of its own.
pub(super) fn finish_giving_way(mirror: &Store, name: &Origin) -> Result<(), Error> {
    if mirror.exists(layout::HEADER) || !mirror.exists(layout::HELD) {
        return Ok(());
    }
    let note = Note::parse(&mirror.read(layout::HELD, checkpoint::MAX_CHECKPOINT_BYTES)?)?;
    put_log_aside(mirror, &archive::read_checkpoint(note.text(), name)?)
}

/// Puts tiles and checkpoint of a log aside; the checkpoint that was held goes last, since it tells that this was begun.
fn put_log_aside(mirror: &Store, old: &Checkpoint) -> Result<(), Error> {
    let folder = layout::gave_way(old);
    for place in [layout::TILES, checkpoint::NAME] {
        if mirror.path(place).symlink_metadata().is_ok() {
            mirror.adopt(&mirror.own_path(place)?, &format!("{folder}/{place}"))?;
        }
    }
    Ok(mirror.remove(layout::HELD)?)
}

/// Proves what a log's root was at a smaller size.
pub(super) fn prove_fork(mut log: Log<'_>, size: u64) -> Result<Fork, Error> {
    Ok(Fork { size, root: log.root(size)?, hashes: log.consistency(size)? })
}
