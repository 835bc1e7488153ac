//! Which versions of the policy count, each from its leaf. (FORMAT.md, "Trust policy")

use std::collections::HashSet;

use crate::digest::Digest;
use crate::format::leaf::LeafSignature;
use crate::ids::{LeafIndex, Origin};
use crate::keys::{Kind, PublicKey};
use crate::trust::authority::Authority;
use crate::trust::logged;
use crate::trust::policy::{Policy, PolicyFault, PolicyKey, Role, is_signed};

use super::super::{Error, Log, Pin};
use super::{History, HistoryFault, Papers};

impl History {
    /// P1, P2: which versions of the policy count, each from its leaf.
    pub(super) fn read_policies(
        &mut self,
        logged: &[(LeafIndex, u64, Digest, Vec<LeafSignature>)],
        log: &mut Log<'_>,
        origin: &Origin,
        pin: &Pin,
        papers: &dyn Papers,
    ) -> Result<(), Error> {
        let mut newest: Option<(Policy, LeafIndex)> = None;
        let mut trusted = Vec::new();
        let mut taken = HashSet::new();
        match pin {
            Pin::Anyone { .. } => {
                self.authority = Authority::anyone();
                self.foreign_policy = logged.first().map(|(leaf, ..)| *leaf);
                return Ok(());
            }
            Pin::Keys { keys, .. } => trusted.clone_from(keys),
            Pin::Policy(pinned) => {
                for policy in earlier(pinned, papers)? {
                    let (version, digest) = (policy.version, policy.digest);
                    let after = newest.as_ref().map(|(_, leaf)| *leaf);
                    let found = logged.iter().find(|(leaf, number, file, _)| {
                        (*number, *file) == (version, digest) && after.is_none_or(|after| *leaf > after)
                    });
                    let Some((leaf, ..)) = found else { return Err(HistoryFault::Behind { version }.into()) };
                    is_of_log(&policy, log)?;
                    taken.insert(*leaf);
                    self.policies.insert(version, (*leaf, digest));
                    self.authority.enact(policy.clone(), *leaf);
                    newest = Some((policy, *leaf));
                }
            }
        }
        if newest.is_none() {
            self.authority = Authority::of_keys(trusted.clone());
        }
        for (leaf, version, file, signatures) in logged.iter().filter(|(leaf, ..)| !taken.contains(leaf)) {
            let mut void = |why: String| self.void.push((*leaf, why));
            let next = newest.as_ref().map_or(1, |(policy, _)| policy.version + 1);
            if *version != next || newest.as_ref().is_some_and(|(policy, at)| leaf <= at || policy.closed) {
                void(format!("is version {version} of the policy, expected {next}"));
                continue;
            }
            let has_signed = |key: &PublicKey| {
                signatures.iter().any(|signature| logged::is_by(signature, key, Kind::Policy, origin, file))
            };
            let by_before = |policy: &Policy| policy.signs_next(|key| has_signed(&key.public));
            let Some(bytes) = papers.policy(*version, file)? else {
                // A policy that nobody shows withholds nothing unless those have signed it who may.
                let signed = match &newest {
                    Some((policy, _)) => by_before(policy).is_ok(),
                    None => trusted.iter().any(|trusted| has_signed(&trusted.key)),
                };
                if signed {
                    return Err(HistoryFault::Withheld { leaf: *leaf, version: *version }.into());
                }
                void("is of a policy that is not there, and not signed by who may".into());
                continue;
            };
            let policy = match Policy::pinned(&bytes, origin) {
                Ok(policy) => policy,
                Err(fault) => {
                    void(fault.to_string());
                    continue;
                }
            };
            if let Err(fault) = newest.as_ref().map_or(Ok(()), |(before, _)| before.goes_on(&policy)) {
                void(fault.to_string());
                continue;
            }
            if policy.version != *version || policy.log.size > leaf.0 {
                void("is of a policy that was made on a later log".into());
                continue;
            }
            let beside = |key: &PolicyKey| {
                let signature = papers.policy_signature(*version, &key.public).ok().flatten();
                signature.is_some_and(|bytes_of| is_signed(&bytes_of, &key.public, &bytes, Kind::Policy, origin))
            };
            let own = policy.signed_by_own(|key| has_signed(&key.public) || beside(key));
            let before = match &newest {
                Some((before, _)) => by_before(before),
                // Version 0 is the reader's own: every key that a person trusts.
                None => {
                    let any = trusted.iter().any(|trusted| {
                        has_signed(&trusted.key)
                            || policy
                                .keys
                                .iter()
                                .any(|key| key.public == trusted.key && key.roles.contains(&Role::Root) && beside(key))
                    });
                    let (version, expected) = (*version, 1);
                    let unsigned = PolicyFault::Unsigned { version, of: 0, expected, found: 0 };
                    if any { Ok(()) } else { Err(unsigned) }
                }
            };
            if newest.is_none() && own.is_ok() && before.is_err() {
                self.foreign_policy.get_or_insert(*leaf);
            }
            if let Err(fault) = own.and(before) {
                self.void.push((*leaf, fault.to_string()));
                continue;
            }
            is_of_log(&policy, log)?;
            self.policies.insert(*version, (*leaf, *file));
            self.authority.enact(policy.clone(), *leaf);
            newest = Some((policy, *leaf));
        }
        Ok(())
    }
}

/// Returns the versions up to the one that a person vouches for, each named by the next.
fn earlier(pinned: &Policy, papers: &dyn Papers) -> Result<Vec<Policy>, Error> {
    let mut chain = vec![pinned.clone()];
    while let Some(previous) = chain.last().and_then(|policy| policy.previous) {
        let version = chain.last().map_or(1, |policy| policy.version) - 1;
        let bytes = papers.policy(version, &previous)?;
        let policy = bytes.and_then(|bytes| Policy::pinned(&bytes, &pinned.archive).ok());
        let policy = policy.filter(|policy| policy.version == version);
        chain.push(policy.ok_or(HistoryFault::Earlier { version })?);
    }
    chain.reverse();
    Ok(chain)
}

/// P2: a log without a policy's root at its size is not this archive's.
fn is_of_log(policy: &Policy, log: &mut Log<'_>) -> Result<(), Error> {
    let (version, size) = (policy.version, policy.log.size);
    if size > log.size() || log.root(size)? != policy.log.root {
        return Err(HistoryFault::OtherLog { version, size }.into());
    }
    Ok(())
}
