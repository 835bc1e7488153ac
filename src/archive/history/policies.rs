//! Which versions of the policy count, each from its leaf. (FORMAT.md, "Trust policy")

use std::collections::HashSet;

use crate::digest::Digest;
use crate::format::leaf::LeafSignature;
use crate::ids::{LeafIndex, Origin};
use crate::keys::{Kind, PublicKey};
use crate::trust::authority::Authority;
use crate::trust::logged;
use crate::trust::policy::{Policy, PolicyFault};

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
        let mut withheld: Vec<(LeafIndex, u64)> = Vec::new();
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
            let before = match &newest {
                Some((before, _)) => before.signs_next(|key| has_signed(&key.public)),
                // Version 0 is the reader's own: every key that a person trusts.
                None if trusted.iter().any(|trusted| has_signed(&trusted.key)) => Ok(()),
                None => Err(PolicyFault::Unsigned { version: *version, of: 0, expected: 1, found: 0 }),
            };
            let Some(bytes) = papers.policy(*version, file)? else {
                // A policy that nobody shows withholds nothing unless those have signed it who may.
                match before {
                    Ok(()) => {
                        withheld.push((*leaf, *version));
                        void("is of a policy that is not there, and that another one has replaced".into());
                    }
                    Err(_) => void("is of a policy that is not there, and not signed by who may".into()),
                }
                continue;
            };
            let goes_on = |policy: &Policy| {
                newest.as_ref().map_or(Ok(()), |(before, _)| before.goes_on(policy))?;
                let made_before = policy.version == *version && policy.log.size <= leaf.0;
                if made_before { Ok(()) } else { Err(PolicyFault::LaterLog) }
            };
            let read = Policy::pinned(&bytes, origin).and_then(|policy| goes_on(&policy).map(|()| policy));
            let own = |policy: &Policy| policy.signed_by_own(|key| has_signed(&key.public));
            if newest.is_none() && before.is_err() && read.as_ref().is_ok_and(|policy| own(policy).is_ok()) {
                self.foreign_policy.get_or_insert(*leaf);
            }
            let may = before.is_ok();
            let policy = match read.and_then(|policy| own(&policy).and(before).map(|()| policy)) {
                Ok(policy) => policy,
                Err(fault) => {
                    void(fault.to_string());
                    if may {
                        self.refused.insert(*version, *file);
                    }
                    continue;
                }
            };
            is_of_log(&policy, log)?;
            // Who made this one on a log that has the other's leaf has seen that one, and that it does not count.
            withheld.retain(|(leaf, other)| *other != *version || leaf.0 >= policy.log.size);
            self.policies.insert(*version, (*leaf, *file));
            self.authority.enact(policy.clone(), *leaf);
            newest = Some((policy, *leaf));
        }
        if let Some((leaf, version)) = withheld.first().copied() {
            return Err(HistoryFault::Withheld { leaf, version }.into());
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
