//! The one road into an archive: bundles, claim, tiles, checkpoint last; and the end of what a killed run began.
//!
//! Order: an intent names the files to come; the files; a claim with all new leaves (from here on it will be finished, by whoever comes); the intent
//! goes; tiles; the checkpoint as last signed; the checkpoint; withdrawn bundles go; the claim goes. Nothing is signed that does not extend what
//! was signed before.

use std::path::PathBuf;

use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::leaf::{Leaf, MAX_LEAF_BYTES, UNFINISHED};
use crate::format::tile::Tile;
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};
use crate::keys::{self, Note, Signer, VerifierKey};
use crate::merkle;
use crate::run::Run;
use crate::store::Write;
use crate::trust::policy::{self, MAX_POLICY_BYTES, Policy};

use super::claim::{Claim, MAX_CLAIM_BYTES};
use super::history::present;
use super::lock::Lock;
use super::{Archive, Error, History, Log, Pin, layout, read_checkpoint};

/// The longest intent, in bytes: some eight million files.
const MAX_INTENT_BYTES: u64 = 1 << 30;

/// The right to write to an archive.
pub struct Writer<'a> {
    archive: &'a Archive,
    signers: &'a [&'a dyn Signer],
    /// Keys that are not at hand and may have signed what is there.
    earlier: Vec<VerifierKey>,
    checkpoint: Checkpoint,
    _lock: Lock,
}

/// A finished bundle that has no place in the archive yet.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Where it lies, on the archive's file system and on disk.
    pub file: PathBuf,
    /// Its place in the archive.
    pub place: String,
}

/// What is published at once.
#[derive(Debug, Default)]
pub struct Publication {
    /// Bundles.
    pub bundles: Vec<Incoming>,
    /// Small files, by place.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the log gets, in order.
    pub leaves: Vec<Leaf>,
}

impl<'a> Writer<'a> {
    /// Takes the right to write, as `who`, and finishes what a killed run began. Each of the log's keys that `signers` hold signs, one of which
    /// must have signed the checkpoint that is there.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process writes; [`Error::Refused`] where checkpoint and state do not go together;
    /// [`Error::OtherLogKey`] where none of the keys is the log's.
    pub fn begin(archive: &'a Archive, signers: &'a [&'a dyn Signer], who: &str, run: Run<'_>) -> Result<Self, Error> {
        Self::begin_after(archive, signers, Vec::new(), who, run)
    }

    /// As [`Writer::begin`], where the checkpoint that is there may have been signed by any of `earlier` too, keys of the log that a policy has
    /// and that are not at hand: that is the road when the log's key is lost. (P2)
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn begin_after(
        archive: &'a Archive,
        signers: &'a [&'a dyn Signer],
        earlier: Vec<VerifierKey>,
        who: &str,
        run: Run<'_>,
    ) -> Result<Self, Error> {
        let lock = Lock::take(&archive.store, who, run.clock)?;
        let empty = Checkpoint { origin: archive.origin.clone(), size: 0, root: merkle::empty_root() };
        let mut writer = Self { archive, signers, earlier, checkpoint: empty, _lock: lock };
        writer.recover()?;
        Ok(writer)
    }

    /// Returns the head of the log.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Asks for one of the log's keys that a policy has in use: without its signature nobody believes the log once the policy is in force.
    ///
    /// # Errors
    /// [`Error::LogKeyAbsent`] where none signs here.
    pub fn signs_under(&self, policy: &Policy) -> Result<(), Error> {
        let mut in_use = policy.logs.iter().filter(|log| log.retired_at.is_none());
        let signs =
            |key: &VerifierKey| self.signers.iter().any(|signer| signer.public().as_bytes() == key.public().as_bytes());
        if policy.closed || in_use.any(|log| signs(&log.key)) {
            Ok(())
        } else {
            Err(Error::LogKeyAbsent { version: policy.version })
        }
    }

    /// Returns the archive.
    pub fn archive(&self) -> &'a Archive {
        self.archive
    }

    /// Folds the log as it is now, for whoever judges what is to be logged.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn history(&self, pin: &Pin, run: Run<'_>) -> Result<History, Error> {
        History::read(&mut self.log(), &self.archive.origin, pin, &self.archive.store, run)
    }

    /// Returns the log as it is now.
    pub fn log(&self) -> Log<'a> {
        self.archive.log(&self.checkpoint)
    }

    /// Puts files in place and logs the leaves; when this returns, all of it is on disk and acknowledged.
    ///
    /// # Errors
    /// Where it is more than a claim holds, before anything is written; where the store fails: the next writer then takes back what no claim
    /// vouches for, and finishes what one does.
    pub fn publish(&mut self, publication: Publication) -> Result<(), Error> {
        let store = &self.archive.store;
        let bundles = publication.bundles.iter().map(|bundle| &bundle.place);
        let places = bundles.chain(publication.files.iter().map(|(place, _)| place));
        // A killed run is undone by removing what it put there, and nothing that was there before.
        let places: Vec<&str> = places.map(String::as_str).filter(|place| !store.exists(place)).collect();
        let leaves: Vec<Vec<u8>> = publication.leaves.iter().map(|leaf| leaf.to_string().into_bytes()).collect();
        if let Some(leaf) = leaves.iter().find(|leaf| leaf.len() > MAX_LEAF_BYTES) {
            let found = leaf.len();
            return Err(Error::Log(format!(
                "a leaf of {found} bytes, expected at most {MAX_LEAF_BYTES}: too many signatures"
            )));
        }
        let appended = self.log().append(&leaves)?;
        let (old, new) = ((self.checkpoint.size, self.checkpoint.root), (appended.size, appended.root));
        let claim = Claim { old, new, leaves };
        let (intent, encoded) = (places.join("\n") + "\n", claim.encode());
        // What the next writer could not read would stop it for ever.
        for (what, bytes, most) in
            [("file names", intent.len(), MAX_INTENT_BYTES), ("leaves", encoded.len(), MAX_CLAIM_BYTES)]
        {
            if bytes as u64 > most {
                return Err(Error::Log(format!(
                    "{bytes} bytes of {what} to be published at once, expected at most {most}: pack a part of it first"
                )));
            }
        }
        if !places.is_empty() {
            store.put(layout::INTENT, intent.as_bytes(), Write::Replace)?;
        }
        for bundle in &publication.bundles {
            store.adopt(&bundle.file, &bundle.place)?;
        }
        store.put_all(&publication.files)?;
        store.put(layout::CLAIM, &encoded, Write::New)?;
        self.finish(&claim)
    }

    /// Takes a claim to its end; may be done again at any time.
    fn finish(&mut self, claim: &Claim) -> Result<(), Error> {
        let store = &self.archive.store;
        if store.exists(layout::INTENT) {
            store.remove(layout::INTENT)?;
        }
        let appended = Log::new(store, claim.old.0).append(&claim.leaves)?;
        if (appended.size, appended.root) != claim.new {
            return Err(Error::State("the claim does not lead to the root that it names".into()));
        }
        for leaf in &claim.leaves {
            let Ok(Leaf::Policy { version, file, .. }) = Leaf::decode(leaf) else { continue };
            let bytes = present(store.read(&policy::place(version), MAX_POLICY_BYTES))?.unwrap_or_default();
            if let Ok(policy) = Policy::pinned(&bytes, &self.archive.origin)
                && policy.digest == file
            {
                self.signs_under(&policy)?;
            }
        }
        store.put_all(&appended.tiles)?;
        let checkpoint = Checkpoint { origin: self.archive.origin.clone(), size: appended.size, root: appended.root };
        self.refuse_fork(&checkpoint)?;
        let note = self.sign(&checkpoint)?.to_string();
        store.put(layout::SIGNED, note.as_bytes(), Write::Replace)?;
        store.put(checkpoint::NAME, note.as_bytes(), Write::Replace)?;
        self.checkpoint = checkpoint;
        self.remove_withdrawn(claim)?;
        for (path, _) in &appended.tiles {
            if Tile::parse(path).is_some_and(|tile| tile.is_full()) {
                for width in store.list(&format!("{path}.p"))? {
                    store.remove(&format!("{path}.p/{width}"))?;
                }
            }
        }
        Ok(store.remove(layout::CLAIM)?)
    }

    /// Signs a checkpoint with each key that is at hand.
    fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, Error> {
        let (text, name) = (checkpoint.to_string(), self.archive.origin.as_str());
        let (first, others) =
            self.signers.split_first().ok_or_else(|| Error::Refused("no key of the log is at hand".into()))?;
        let mut note = Note::sign(&text, name, *first)?;
        others.iter().try_for_each(|signer| note.sign_too(name, *signer))?;
        Ok(note)
    }

    /// Removes the bundles whose place others have taken, now that the log says so.
    fn remove_withdrawn(&self, claim: &Claim) -> Result<(), Error> {
        let store = &self.archive.store;
        for leaf in &claim.leaves {
            let Ok(Leaf::Withdraw { statement, .. }) = Leaf::decode(leaf) else { continue };
            let bytes = store.read(&layout::statement(&statement), MAX_WITHDRAWAL_BYTES)?;
            // One that is none replaces nothing.
            let Ok(statement) = Withdrawal::decode(&bytes) else { continue };
            for replaced in statement.bundles {
                let folder = layout::bundle_folder(replaced.old);
                for name in store.list(&folder)? {
                    store.remove(&format!("{folder}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    fn recover(&mut self) -> Result<(), Error> {
        let store = &self.archive.store;
        if let Some(checkpoint) = self.read_signed(checkpoint::NAME)? {
            self.checkpoint = checkpoint;
        }
        // Before anything is finished or taken back: without its own state nobody knows who had begun it.
        if self.checkpoint.size > 0 && !store.exists(layout::SIGNED) {
            return Err(Error::NoState(self.archive.store.name()));
        }
        if store.exists(layout::CLAIM) {
            let claim = Claim::decode(&store.read(layout::CLAIM, MAX_CLAIM_BYTES)?)?;
            let now = (self.checkpoint.size, self.checkpoint.root);
            if now != claim.old && now != claim.new {
                let (old, found) = (claim.old.0, now.0);
                return Err(Error::Refused(format!(
                    "a claim goes on from size {old}, the checkpoint has size {found}"
                )));
            }
            self.finish(&claim)?;
        }
        if let Some(signed) = self.read_signed(layout::SIGNED)?.filter(|signed| *signed != self.checkpoint) {
            let (signed, found) = (signed.size, self.checkpoint.size);
            return Err(Error::Refused(format!(
                "the checkpoint last signed here has size {signed}, the one in the archive has size {found}: one of them is from a copy, or \
                 somebody else has signed with the log's key; `{}` is what was signed here",
                layout::SIGNED
            )));
        }
        // Only where the state is that of the archive: in a copy of before, what an intent names may have been logged since.
        self.take_back()?;
        self.log().root(self.checkpoint.size).map(|_| ())
    }

    /// Removes what was put in place without a claim, and what was never finished.
    fn take_back(&self) -> Result<(), Error> {
        let store = &self.archive.store;
        if store.exists(layout::INTENT) {
            let places = store.read(layout::INTENT, MAX_INTENT_BYTES)?;
            for place in String::from_utf8_lossy(&places).lines() {
                // Nothing else is ever named there, and whatever somebody may have written into it, nothing else is removed.
                if !layout::is_published(place) {
                    return Err(Error::State(format!(
                        "the intent names {place:?}, which no publication puts in place"
                    )));
                }
                store.remove(place)?;
                store.remove(&format!("{place}{UNFINISHED}"))?;
            }
            store.remove(layout::INTENT)?;
        }
        for name in store.list(layout::INCOMING)? {
            store.remove_all(&format!("{}/{name}", layout::INCOMING))?;
        }
        Ok(())
    }

    /// Reads a checkpoint that the log's own key must have signed; `None` where there is none.
    fn read_signed(&self, place: &str) -> Result<Option<Checkpoint>, Error> {
        match self.archive.store.read(place, MAX_CHECKPOINT_BYTES) {
            Err(error) if error.is_not_found() => Ok(None),
            other => {
                let note = Note::parse(&other?)?;
                let name = self.archive.origin.as_str();
                let own = self.signers.iter().map(|signer| VerifierKey::new(name, signer.public()));
                for key in own.chain(self.earlier.iter().cloned().map(Ok)) {
                    match note.verified(&key?) {
                        Ok(text) => return read_checkpoint(text, &self.archive.origin).map(Some),
                        Err(keys::Error::NoteUnsigned { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                let expected = self.archive.log_key.public().id().to_string();
                let found: Vec<String> = self.signers.iter().map(|signer| signer.public().id().to_string()).collect();
                Err(Error::OtherLogKey { expected, found: found.join(", ") })
            }
        }
    }

    /// Refuses a head that does not extend the one that was signed last.
    fn refuse_fork(&self, next: &Checkpoint) -> Result<(), Error> {
        let Some(signed) = self.read_signed(layout::SIGNED)? else { return Ok(()) };
        let extends = signed.size <= next.size && self.archive.log(next).root(signed.size)? == signed.root;
        let (signed, next) = (signed.size, next.size);
        if extends {
            Ok(())
        } else {
            Err(Error::Refused(format!("a log of {next} leaves does not extend the one signed with {signed}")))
        }
    }
}
