//! How one version of a policy follows another, and who must have signed it. (FORMAT.md, "Trust policy", P1)

use super::{Policy, PolicyFault, PolicyKey, Role};

impl Policy {
    /// Checks that `next` goes on from this version and takes nothing back that was right: it names this version, keeps every key with its
    /// name, roles and first leaf, retires keys only from its own head on, and takes new ones in only from there. Only `compromised_at`
    /// reaches back.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn goes_on(&self, next: &Self) -> Result<(), PolicyFault> {
        let version = next.version;
        if self.archive != next.archive {
            let (expected, found) = (self.archive.to_string(), next.archive.to_string());
            return Err(PolicyFault::OtherArchive { expected, found });
        }
        if version != self.version + 1 {
            return Err(PolicyFault::Version { expected: self.version + 1, found: version });
        }
        let fault = |detail: String| Err(PolicyFault::Successor { version, detail });
        if self.closed {
            return fault("the archive was closed by the version before".into());
        }
        if next.previous != Some(self.digest) {
            return fault(format!("`previous` is not the digest of version {}", self.version));
        }
        let from = next.log.size;
        if from < self.log.size {
            return fault(format!("was made on {from} leaves, the version before on {}", self.log.size));
        }
        let rests = |before: Option<u64>, now: Option<u64>| match (before, now) {
            (Some(before), now) => now == Some(before),
            (None, now) => now.is_none_or(|at| at >= from),
        };
        for key in &self.keys {
            let name = &key.name;
            let Some(kept) = next.keys.iter().find(|kept| kept.public == key.public) else {
                return fault(format!("leaves out the key {name:?}"));
            };
            if kept.name != *name || kept.roles != key.roles || kept.valid_from != key.valid_from {
                return fault(format!("changes name, roles or first leaf of the key {name:?}"));
            }
            if !rests(key.retired_at, kept.retired_at) {
                return fault(format!("changes when the key {name:?} was retired, or retires it below leaf {from}"));
            }
            if key.compromised_at.is_some_and(|at| kept.compromised_at.is_none_or(|now| now > at)) {
                return fault(format!("takes back that the key {name:?} was compromised"));
            }
        }
        for key in next.keys.iter().filter(|key| !self.keys.iter().any(|known| known.public == key.public)) {
            if key.valid_from.is_none_or(|at| at < from) {
                return fault(format!("lets the new key {:?} count below leaf {from}", key.name));
            }
        }
        for log in &self.logs {
            match next.logs.iter().find(|kept| kept.key == log.key) {
                None => return fault(format!("leaves out the log's key {}", log.key)),
                Some(kept) if !rests(log.retired_at, kept.retired_at) => {
                    return fault(format!("retires the log's key {} below leaf {from}", log.key));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Checks that enough root keys of its own have signed this version; whoever closes an archive may have put them all to rest.
    ///
    /// # Errors
    /// [`PolicyFault::Unsigned`] says how many have.
    pub fn signed_by_own(&self, has_signed: impl Fn(&PolicyKey) -> bool) -> Result<(), PolicyFault> {
        let (version, of, expected) = (self.version, self.version, self.threshold.root);
        match self.count_root(has_signed) {
            found if found >= expected || self.closed => Ok(()),
            found => Err(PolicyFault::Unsigned { version, of, expected, found }),
        }
    }

    /// Checks that enough of this version's root keys have signed something.
    ///
    /// # Errors
    /// [`PolicyFault::Unsigned`] says how many have, of the version that comes next.
    pub fn signs_next(&self, has_signed: impl Fn(&PolicyKey) -> bool) -> Result<(), PolicyFault> {
        let found = self.count_root(has_signed);
        let (version, of, expected) = (self.version + 1, self.version, self.threshold.root);
        if found >= expected { Ok(()) } else { Err(PolicyFault::Unsigned { version, of, expected, found }) }
    }

    fn count_root(&self, has_signed: impl Fn(&PolicyKey) -> bool) -> u64 {
        let root = self.keys.iter().filter(|key| key.roles.contains(&Role::Root) && key.is_active());
        root.filter(|key| has_signed(key)).count() as u64
    }
}
