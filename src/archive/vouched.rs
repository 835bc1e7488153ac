//! Opening an archive's log: its checkpoint, by a key that what a person vouches for leads to, and what the log says under it. (FORMAT.md,
//! "Trust policy")
//!
//! Policies are read first, as they lie there; one of their log keys must have signed the checkpoint, before a leaf is read. Then the log is
//! folded, and the newest policy that it has and that counts must have such a key too: a policy that lies there and is not logged is none.

use crate::format::checkpoint::{self, Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::signatures::MAX_SIGNATURE_BYTES;
use crate::ids::Origin;
use crate::keys::{self, Kind, Note, VerifierKey};
use crate::run::Run;
use crate::store::Store;
use crate::trust::TrustedKey;
use crate::trust::authority::{Authority, Witnessed};
use crate::trust::policy::{self, LogKey, MAX_POLICY_BYTES, MAX_VERSIONS, Policy, PolicyKey, Witness, is_signed};

use super::history::{History, Papers, present};
use super::{Archive, Error, Log, read_checkpoint};

/// What a person vouches for beforehand.
#[derive(Debug, Clone)]
pub enum Pin {
    /// Keys of signers, and the log's.
    Keys {
        /// Each may do everything, until a policy that one of them has signed counts.
        keys: Vec<TrustedKey>,
        /// The log's key.
        log: VerifierKey,
    },
    /// A version of the policy.
    Policy(Box<Policy>),
    /// The log's key alone: integrity is checked, authenticity is not.
    Anyone {
        /// The log's key.
        log: VerifierKey,
    },
}

impl Pin {
    /// Returns the log keys that it names itself.
    fn log_keys(&self) -> Vec<VerifierKey> {
        match self {
            Self::Keys { log, .. } | Self::Anyone { log } => vec![log.clone()],
            Self::Policy(policy) => policy.logs.iter().map(|log| log.key.clone()).collect(),
        }
    }
}

/// A checkpoint that one of the log's keys has signed; what the log says has not been looked at.
#[derive(Debug, Clone)]
pub struct Head {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The note that carries it.
    pub note: Note,
}

/// A log that is believed, and what it says.
#[derive(Debug)]
pub struct Vouched {
    /// The log's key that has signed the checkpoint.
    pub log_key: VerifierKey,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The note that carries it.
    pub note: Note,
    /// What witnesses say; empty without a policy.
    pub witnessed: Witnessed,
    /// What the log says.
    pub history: History,
}

impl Head {
    /// Reads the checkpoint in a store.
    ///
    /// # Errors
    /// Where it is not there, malformed, of another archive, or not signed by a key that the pin leads to.
    pub fn read(store: &Store, origin: &Origin, pin: &Pin) -> Result<Self, Error> {
        Self::signed(Note::parse(&store.read(checkpoint::NAME, MAX_CHECKPOINT_BYTES)?)?, store, origin, pin)
    }

    /// Checks a checkpoint's note by the keys that the pin leads to, by way of the policies in a store.
    ///
    /// # Errors
    /// As [`Head::read`].
    pub(crate) fn signed(note: Note, store: &Store, origin: &Origin, pin: &Pin) -> Result<Self, Error> {
        // What is vouched for itself is asked first: most often that is all.
        match Self::of(note.clone(), origin, &pin.log_keys()) {
            Err(Error::Keys(keys::Error::NoteUnsigned { .. })) => {
                Self::of(note, origin, &log_keys(store, origin, pin)?)
            }
            other => other,
        }
    }

    fn of(note: Note, origin: &Origin, keys: &[VerifierKey]) -> Result<Self, Error> {
        let mut refused = None;
        for key in keys {
            match note.verified(key) {
                Ok(text) => {
                    let checkpoint = read_checkpoint(text, origin)?;
                    return Ok(Self { checkpoint, note });
                }
                // A bad signature says more than one that is not there.
                Err(error @ keys::Error::NoteUnsigned { .. }) => drop(refused.get_or_insert(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused.map_or_else(|| Error::Checkpoint("there is no key to check it by".into()), Error::from))
    }

    /// Folds the log under this head, and checks that it is believed by the newest policy that counts.
    ///
    /// # Errors
    /// Where the log's files cannot be read or do not lead to the head, or it is not the log that is vouched for.
    pub fn vouched(
        self,
        log: &mut Log<'_>,
        origin: &Origin,
        pin: &Pin,
        papers: &dyn Papers,
        run: Run<'_>,
    ) -> Result<Vouched, Error> {
        let history = History::read(log, origin, pin, papers, run)?;
        let witnessed =
            history.authority.policy().map_or_else(Witnessed::default, |policy| Witnessed::of(&self.note, policy));
        let log_key = match (history.authority.policy(), pin) {
            (Some(policy), _) => by_policy(&self.note, policy, &witnessed)?,
            (None, Pin::Keys { log, .. } | Pin::Anyone { log }) => {
                self.note.verified(log)?;
                log.clone()
            }
            (None, Pin::Policy(_)) => {
                return Err(Error::Checkpoint("the policy that is vouched for is not in the log".into()));
            }
        };
        let Self { checkpoint, note } = self;
        Ok(Vouched { log_key, checkpoint, note, witnessed, history })
    }
}

/// P3: a key of the newest policy has signed, or one that was put to rest and a quorum of witnesses.
fn by_policy(note: &Note, policy: &Policy, witnessed: &Witnessed) -> Result<VerifierKey, Error> {
    let signed = |log: &&LogKey| note.verified(&log.key).is_ok();
    let active = policy.logs.iter().filter(|log| log.retired_at.is_none()).find(signed);
    let quorum = witnessed.needed > 0 && witnessed.is_met();
    match active.or_else(|| policy.logs.iter().find(signed).filter(|_| quorum || policy.closed)) {
        Some(log) => Ok(log.key.clone()),
        None => {
            let version = policy.version;
            Err(Error::Checkpoint(format!(
                "no key of the log that version {version} of the policy has in use has signed it"
            )))
        }
    }
}

/// Returns the log keys that the pin leads to, by the policies that lie in a store, those of the newest first.
fn log_keys(store: &Store, origin: &Origin, pin: &Pin) -> Result<Vec<VerifierKey>, Error> {
    let mut keys = pin.log_keys();
    let mut last = match pin {
        Pin::Keys { .. } | Pin::Anyone { .. } => None,
        Pin::Policy(policy) if policy.archive != *origin => {
            return Err(Error::Checkpoint(format!("expected the archive {}, found {origin}", policy.archive)));
        }
        Pin::Policy(policy) => Some(policy.as_ref().clone()),
    };
    loop {
        let version = last.as_ref().map_or(1, |policy| policy.version + 1);
        if version > MAX_VERSIONS {
            break;
        }
        let Some(bytes) = present(store.read(&policy::place(version), MAX_POLICY_BYTES))? else { break };
        // What is malformed or not signed is no candidate; the log's leaves say whether it should have been one.
        let Ok(policy) = Policy::pinned(&bytes, origin) else { break };
        let signed = |key: &PolicyKey| {
            let place = policy::signature_place(version, &key.public.id().to_string());
            let signature = store.read(&place, MAX_SIGNATURE_BYTES);
            signature.is_ok_and(|signature| is_signed(&signature, &key.public, &bytes, Kind::Policy, origin))
        };
        let before = match (&last, pin) {
            (Some(before), _) => before.goes_on(&policy).is_ok() && before.signs_next(signed).is_ok(),
            (None, Pin::Keys { keys, .. }) => {
                policy.keys.iter().any(|key| keys.iter().any(|trusted| trusted.key == key.public) && signed(key))
            }
            (None, Pin::Policy(_) | Pin::Anyone { .. }) => false,
        };
        if !before || policy.version != version || policy.signed_by_own(signed).is_err() {
            break;
        }
        let mut newer: Vec<VerifierKey> = policy.logs.iter().map(|log| log.key.clone()).collect();
        newer.append(&mut keys);
        (keys, last) = (newer, Some(policy));
    }
    let mut seen = Vec::new();
    keys.retain(|key| {
        !seen.contains(key) && {
            seen.push(key.clone());
            true
        }
    });
    Ok(keys)
}

impl Vouched {
    /// Returns the witnesses that the policy names.
    pub fn witnesses(&self) -> &[Witness] {
        self.authority().policy().map_or(&[], |policy| &policy.witnesses)
    }

    /// Says whether the policy asks for witnesses, and too few of them have seen the checkpoint.
    pub fn is_unwitnessed(&self) -> bool {
        self.authority().policy().is_some() && !self.witnessed.is_met()
    }

    /// Returns whom to believe.
    pub fn authority(&self) -> &Authority {
        &self.history.authority
    }
}

impl Archive {
    /// Reads the checkpoint, and what the log says under it.
    ///
    /// # Errors
    /// Where policy, checkpoint or log are not as what is pinned has it.
    pub fn vouched(&self, pin: &Pin, run: Run<'_>) -> Result<Vouched, Error> {
        let head = Head::read(self.store(), self.origin(), pin)?;
        let mut log = self.log(&head.checkpoint);
        head.vouched(&mut log, self.origin(), pin, self.store(), run)
    }

    /// As [`Archive::vouched`], but of leaves that do not lead to the checkpoint too: for an audit, which reports them and goes on.
    ///
    /// # Errors
    /// As [`Archive::vouched`], where something cannot be read at all.
    pub fn as_it_lies(&self, pin: &Pin, run: Run<'_>) -> Result<Vouched, Error> {
        let head = Head::read(self.store(), self.origin(), pin)?;
        let mut log = Log::new(self.store(), head.checkpoint.size);
        head.vouched(&mut log, self.origin(), pin, self.store(), run)
    }
}
