//! Changing who may do what in an archive: the next version of its policy, proposed, and put into force. (FORMAT.md, "Trust policy")

use crate::archive::{History, Publication, Writer};
use crate::digest::Digest;
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::{self, Leaf};
use crate::ids::{LeafIndex, Origin};
use crate::keys::{Kind, PublicKey, Signature, VerifierKey};
use crate::trust::authority::{Authority, Signed};
use crate::trust::logged;
use crate::trust::policy::{
    self, Freshness, Head, LogKey, Policy, PolicyFault, PolicyKey, Role, Thresholds, Witness, is_signed,
};

use super::Error;

/// What a proposal changes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Keys to add, by name, with what they may do.
    pub add: Vec<(String, PublicKey, Vec<Role>)>,
    /// Keys to put to rest, by name or id; from a leaf on, or from now on.
    pub retire: Vec<(String, Option<u64>)>,
    /// Keys in other hands, by name or id; since a leaf, or since now.
    pub revoke: Vec<(String, Option<u64>)>,
    /// How many keys a role takes; `None` stands for witnesses.
    pub thresholds: Vec<(Option<Role>, u64)>,
    /// Witnesses to add.
    pub witnesses: Vec<Witness>,
    /// How old a checkpoint may be.
    pub freshness: Option<Freshness>,
    /// Keys of the log to add.
    pub add_logs: Vec<VerifierKey>,
    /// Keys of the log to put to rest, each by its line or its id.
    pub retire_logs: Vec<String>,
    /// Whether it is the last version, and nothing is added to the archive any more.
    pub close: bool,
}

/// Returns the version that comes next, made on this head of the log.
///
/// # Errors
/// Names what is not there to be changed, or contradicts itself.
pub fn propose(
    history: &History,
    (origin, checkpoint, log_key): (&Origin, &Checkpoint, &VerifierKey),
    changes: &Changes,
) -> Result<Policy, Error> {
    let log = Head { size: checkpoint.size, root: checkpoint.root };
    let before = history.authority.policy();
    let mut next = match before {
        Some(policy) => Policy { version: policy.version + 1, previous: Some(policy.digest), log, ..policy.clone() },
        None => Policy {
            archive: origin.clone(),
            version: 1,
            previous: None,
            log,
            closed: false,
            threshold: Thresholds { root: 1, publish: 1, withdraw: 1, document: None, witness: 0 },
            freshness: None,
            keys: Vec::new(),
            logs: vec![LogKey { key: log_key.clone(), retired_at: None }],
            witnesses: Vec::new(),
            digest: Digest::of(b""),
        },
    };
    for (name, public, roles) in &changes.add {
        next.keys.push(PolicyKey {
            name: name.clone(),
            public: public.clone(),
            roles: roles.clone(),
            // A key of a later version has signed nothing before that counts.
            valid_from: before.map(|_| log.size),
            retired_at: None,
            compromised_at: None,
        });
    }
    let all = changes.retire.iter().map(|named| (named, false)).chain(changes.revoke.iter().map(|named| (named, true)));
    for ((name, at), revoke) in all {
        let key = next.keys.iter_mut().find(|key| key.name == *name || key.public.id().to_string() == *name);
        let key = key.ok_or_else(|| Error::NoKey(name.clone()))?;
        let at = Some(at.unwrap_or(log.size));
        if revoke { key.compromised_at = at } else { key.retired_at = at }
    }
    for (role, number) in &changes.thresholds {
        match role {
            Some(Role::Root) => next.threshold.root = *number,
            Some(Role::Publish) => next.threshold.publish = *number,
            Some(Role::Withdraw) => next.threshold.withdraw = *number,
            Some(Role::Document) => next.threshold.document = Some(*number),
            None => next.threshold.witness = *number,
        }
    }
    next.witnesses.extend(changes.witnesses.iter().cloned());
    next.freshness = changes.freshness.or(next.freshness);
    next.logs.extend(changes.add_logs.iter().map(|key| LogKey { key: key.clone(), retired_at: None }));
    for id in &changes.retire_logs {
        let key = next.logs.iter_mut().find(|log| log.key.is_called(id));
        key.ok_or_else(|| Error::NoKey(id.clone()))?.retired_at = Some(log.size);
    }
    next.closed |= changes.close;
    let read = Policy::decode(next.to_string().as_bytes()).map_err(Error::Policy)?;
    if let Some(before) = before {
        before.goes_on(&read).map_err(Error::Policy)?;
    }
    keeps_what_counts(history, &read)?;
    Ok(read)
}

/// L5: a first policy leaves out no key, or role of it, by which a leaf below it counts, be it of a bundle, a statement or a document.
fn keeps_what_counts(history: &History, first: &Policy) -> Result<(), Error> {
    if history.authority.policy().is_some() {
        return Ok(());
    }
    let mut authority = Authority::default();
    authority.enact(first.clone(), LeafIndex(history.size));
    let keeps = |what: String, role: Role, place: LeafIndex, signed: &[Signed]| {
        if authority.judge(role, place, signed).is_met() {
            return Ok(());
        }
        let by = history.authority.judge(role, place, signed).by.join(", ");
        Err(Error::LeavesOut { what, by, role: role.as_str() })
    };
    for bundle in history.bundles.iter().filter(|bundle| bundle.counts() && bundle.facts.replaces.is_empty()) {
        let what = || format!("bundle {}", bundle.id);
        keeps(what(), Role::Publish, bundle.place, &bundle.signed)?;
        let reinstates = history.authority.judge(Role::Withdraw, bundle.place, &bundle.signed).is_met();
        if !bundle.facts.reinstates.is_empty() && reinstates {
            keeps(what(), Role::Withdraw, bundle.place, &bundle.signed)?;
        }
    }
    for logged in &history.statements {
        keeps(format!("the withdrawal {}", logged.digest), Role::Withdraw, logged.leaf, &logged.signed)?;
    }
    for (name, document) in &history.documents {
        keeps(format!("the document {name}"), Role::Document, document.leaf, &document.signed)?;
    }
    Ok(())
}

/// Puts a signed version into force.
///
/// # Errors
/// Where it does not go on from the version in force, too few have signed it, none of the log's keys that it has in use signs here, or something
/// cannot be written.
pub fn apply(
    writer: &mut Writer<'_>,
    history: &History,
    bytes: &[u8],
    signatures: &[Vec<u8>],
) -> Result<Policy, Error> {
    let origin = writer.archive().origin().clone();
    let policy = Policy::pinned(bytes, &origin).map_err(Error::Policy)?;
    let before = history.authority.policy();
    match before {
        Some(before) => before.goes_on(&policy).map_err(Error::Policy)?,
        None if policy.version != 1 => {
            let (expected, found) = (1, policy.version);
            return Err(Error::Policy(PolicyFault::Version { expected, found }));
        }
        None => keeps_what_counts(history, &policy)?,
    }
    let head = &policy.log;
    if head.size > writer.checkpoint().size || writer.log().root(head.size)? != head.root {
        return Err(Error::OtherLog { version: policy.version, size: head.size });
    }
    let has_signed = |key: &PolicyKey| {
        signatures.iter().any(|signature| is_signed(signature, &key.public, bytes, Kind::Policy, &origin))
    };
    writer.signs_under(&policy)?;
    policy.signed_by_own(has_signed).map_err(Error::Policy)?;
    before.map_or(Ok(()), |before| before.signs_next(has_signed)).map_err(Error::Policy)?;
    let mut keys: Vec<&PolicyKey> = policy.keys.iter().collect();
    keys.extend(before.into_iter().flat_map(|before| &before.keys));
    let (mut files, mut kept) = (vec![(policy::place(policy.version), bytes.to_vec())], Vec::new());
    for signature in signatures {
        let by = keys.iter().find(|key| is_signed(signature, &key.public, bytes, Kind::Policy, &origin));
        if let (Some(key), Ok(read)) = (by, Signature::decode(signature)) {
            files.push((policy::signature_place(policy.version, &key.public.id().to_string()), signature.clone()));
            kept.extend(logged::keep(&key.public, &read));
        }
    }
    files.dedup();
    let leaf = Leaf::Policy { version: policy.version, file: policy.digest, signatures: leaf::ordered(kept) };
    writer.publish(Publication { files, leaves: vec![leaf], ..Publication::default() })?;
    Ok(policy)
}
