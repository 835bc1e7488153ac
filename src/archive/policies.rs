//! The versions of an archive's trust policy, read from the one that a person vouches for to the newest that follows from it.

use crate::format::checkpoint::Checkpoint;
use crate::ids::Origin;
use crate::keys::{Note, VerifierKey};
use crate::store::Store;
use crate::trust::TrustedKey;
use crate::trust::authority::{Authority, Witnessed, log_key_of};
use crate::trust::policy::{self, MAX_POLICY_BYTES, MAX_VERSIONS, Policy};

use super::{Archive, Error};

/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// What a person vouches for beforehand.
#[derive(Debug, Clone)]
pub enum Pin {
    /// Keys of signers, and the log's.
    Keys {
        /// Each may do everything.
        keys: Vec<TrustedKey>,
        /// The log's key.
        log: VerifierKey,
    },
    /// A version of the policy.
    Policy(Policy),
}

/// A version of the policy as it lies in an archive.
#[derive(Debug, Clone)]
pub struct Version {
    /// What it says.
    pub policy: Policy,
    /// Its files, by place: the policy, then its signatures.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Whom to believe about an archive, and its checkpoint, which one of them has signed.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// Whom to believe.
    pub authority: Authority,
    /// The log's key that has signed the checkpoint.
    pub log_key: VerifierKey,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The note that carries it.
    pub note: Note,
    /// What witnesses say; empty without a policy.
    pub witnessed: Witnessed,
    /// The versions of the policy after the pinned one.
    pub versions: Vec<Version>,
}

/// Reads one version's file and the signatures under the key ids of it and of the version before it; `None` where there is none.
///
/// # Errors
/// Where the store fails or the policy is malformed.
pub fn read_version(store: &Store, version: u64, before: Option<&Policy>) -> Result<Option<Version>, Error> {
    let place = policy::place(version);
    let bytes = match store.read(&place, MAX_POLICY_BYTES) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let policy = Policy::decode(&bytes).map_err(|fault| Error::Policy { place: place.clone(), fault })?;
    let mut ids: Vec<String> = policy.key_ids().chain(before.into_iter().flat_map(Policy::key_ids)).collect();
    ids.sort();
    ids.dedup();
    let mut files = vec![(place, bytes)];
    for id in ids {
        let place = policy::signature_place(version, &id);
        match store.read(&place, MAX_SIGNATURE_BYTES) {
            Err(error) if error.is_not_found() => {}
            other => files.push((place, other?)),
        }
    }
    Ok(Some(Version { policy, files }))
}

impl Version {
    /// Returns the signature files' bytes.
    pub fn signatures(&self) -> Vec<Vec<u8>> {
        self.files.iter().skip(1).map(|(_, bytes)| bytes.clone()).collect()
    }
}

/// Reads the versions that follow `pinned`, each by the rule.
///
/// # Errors
/// Where one is there and does not follow.
pub fn successors(store: &Store, pinned: &Policy) -> Result<Vec<Version>, Error> {
    let mut versions: Vec<Version> = Vec::new();
    loop {
        let last = versions.last().map_or(pinned, |version| &version.policy);
        if last.version >= MAX_VERSIONS {
            return Ok(versions);
        }
        let Some(next) = read_version(store, last.version + 1, Some(last))? else { return Ok(versions) };
        let bytes = &next.files[0].1;
        let fault = |fault| Error::Policy { place: policy::place(last.version + 1), fault };
        last.successor(bytes, &next.signatures()).map_err(fault)?;
        versions.push(next);
    }
}

impl Vouched {
    /// Reads an archive's checkpoint, and whom to believe about it.
    ///
    /// # Errors
    /// Where policy or checkpoint are not as what is pinned has it.
    pub fn read(store: &Store, origin: &Origin, pin: &Pin) -> Result<Self, Error> {
        match pin {
            Pin::Keys { keys, log } => {
                let (checkpoint, note) = super::read_note(store, origin, std::slice::from_ref(log))?;
                let authority = Authority::Keys(keys.clone());
                let (log_key, witnessed) = (log.clone(), Witnessed::default());
                Ok(Self { authority, log_key, checkpoint, note, witnessed, versions: Vec::new() })
            }
            Pin::Policy(pinned) => {
                if pinned.archive != *origin {
                    let (expected, found) = (origin.to_string(), pinned.archive.to_string());
                    let fault = policy::PolicyFault::OtherArchive { expected, found };
                    return Err(Error::Policy { place: "the policy".into(), fault });
                }
                let versions = successors(store, pinned)?;
                let policy = versions.last().map_or_else(|| pinned.clone(), |version| version.policy.clone());
                let (checkpoint, note) = super::read_note(store, origin, &policy.logs)?;
                let log_key = log_key_of(&note, &policy).unwrap_or(&policy.logs[0]).clone();
                let witnessed = Witnessed::of(&note, &policy);
                let authority = Authority::Policy(Box::new(policy));
                Ok(Self { authority, log_key, checkpoint, note, witnessed, versions })
            }
        }
    }
}

impl Archive {
    /// Reads the checkpoint, and whom to believe about it.
    ///
    /// # Errors
    /// As [`Vouched::read`].
    pub fn vouched(&self, pin: &Pin) -> Result<Vouched, Error> {
        Vouched::read(&self.store, &self.origin, pin)
    }
}
