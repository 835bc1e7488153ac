//! Whether enough of the right keys have signed: by the keys that a person trusts, or by the archive's policies. (FORMAT.md, "Trust policy")
//!
//! A signature counts only by the leaf that carries it. How many it takes is for the policies in force where the thing was logged and where the last
//! of them is, what a key may do for the policy in force at the signature's leaf, and whether the key counts there for the newest one: what a stolen
//! key signs later does not count, what a retired key has signed before still does, and nothing can be slipped under an old bundle.

use jiff::Timestamp;

use crate::ids::LeafIndex;
use crate::keys::{Note, PUBLIC_KEY_BYTES, PublicKey, VerifierKey};

use super::TrustedKey;
use super::policy::{OnStale, Policy, PolicyKey, Role};

const SECONDS_A_DAY: i64 = 86_400;
/// How far a witness's clock may be ahead, in seconds.
const MAX_AHEAD_SECONDS: i64 = 600;

/// Whom to believe about an archive: its policies, each from the leaf after its own; where there is none, each trusted key may do everything.
#[derive(Debug, Clone, Default)]
pub struct Authority {
    trusted: Vec<TrustedKey>,
    versions: Vec<InForce>,
    anyone: bool,
}

/// A version of the policy that counts.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What it says.
    pub policy: Policy,
    /// Its leaf; it is in force from the next one on.
    pub leaf: LeafIndex,
}

/// A signature that was found good, and the leaf that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The leaf.
    pub leaf: LeafIndex,
    /// The key.
    pub key: [u8; PUBLIC_KEY_BYTES],
}

/// Whether the threshold is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// Names of the keys that count.
    pub by: Vec<String>,
    /// How many it takes.
    pub needed: u64,
    /// The leaf whose signature was the last that it took.
    pub since: Option<LeafIndex>,
    /// Why others do not count.
    pub refused: Vec<String>,
}

impl Met {
    /// Says whether enough keys count.
    pub fn is_met(&self) -> bool {
        self.since.is_some()
    }

    /// Says in a line what was found.
    pub fn reason(&self) -> String {
        let mut text = match self.by.as_slice() {
            [] => format!("no key that counts, expected {}", self.needed),
            by => format!("{} of {} needed: {}", by.len(), self.needed, by.join(", ")),
        };
        for refused in &self.refused {
            text.push_str("; ");
            text.push_str(refused);
        }
        text
    }
}

impl Authority {
    /// Believes keys that a person trusts, until a policy counts.
    pub fn of_keys(trusted: Vec<TrustedKey>) -> Self {
        Self { trusted, ..Self::default() }
    }

    /// Believes whatever the log's key has signed: for who asks for integrity alone.
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::default() }
    }

    /// Takes in the next version of the policy.
    pub fn enact(&mut self, policy: Policy, leaf: LeafIndex) {
        debug_assert!(self.versions.last().is_none_or(|last| last.policy.version < policy.version), "in order");
        self.versions.push(InForce { policy, leaf });
    }

    /// Returns the versions that count, the oldest first.
    pub fn versions(&self) -> &[InForce] {
        &self.versions
    }

    /// Returns the newest version, where there is one.
    pub fn policy(&self) -> Option<&Policy> {
        self.versions.last().map(|version| &version.policy)
    }

    /// Returns the version in force at a leaf; none before the first one's.
    pub fn in_force(&self, leaf: LeafIndex) -> Option<&Policy> {
        self.versions.iter().rev().find(|version| version.leaf < leaf).map(|version| &version.policy)
    }

    /// Returns the leaf with which the archive was closed.
    pub fn closed_at(&self) -> Option<LeafIndex> {
        self.versions.last().filter(|version| version.policy.closed).map(|version| version.leaf)
    }

    /// Returns all keys whose signatures may count.
    pub fn keys(&self) -> Vec<TrustedKey> {
        match self.policy() {
            None => self.trusted.clone(),
            Some(policy) => {
                let named = |key: &PolicyKey| TrustedKey { key: key.public.clone(), label: key.name.clone() };
                policy.keys.iter().map(named).collect()
            }
        }
    }

    /// Returns the keys that may do something now, with the names by which they are known here.
    pub fn keys_for(&self, role: Role) -> Vec<TrustedKey> {
        match self.policy() {
            None => self.trusted.clone(),
            Some(policy) => {
                let role = role_asked(policy, role);
                let keys = policy.keys.iter().filter(|key| key.roles.contains(&role) && key.is_active());
                keys.map(|key| TrustedKey { key: key.public.clone(), label: key.name.clone() }).collect()
            }
        }
    }

    /// Returns the public key of these bytes, if its signatures may count.
    pub fn key(&self, bytes: &[u8; PUBLIC_KEY_BYTES]) -> Option<&PublicKey> {
        match self.policy() {
            None => self.trusted.iter().map(|trusted| &trusted.key).find(|key| key.as_bytes() == bytes),
            Some(policy) => policy.keys.iter().map(|key| &key.public).find(|key| key.as_bytes() == bytes),
        }
    }

    /// Judges whether enough keys with `role` have signed what was logged first at `place`.
    pub fn judge(&self, role: Role, place: LeafIndex, signatures: &[Signed]) -> Met {
        if self.anyone {
            return Met { since: Some(place), ..Met::default() };
        }
        let Some(newest) = self.versions.last().map(|version| &version.policy) else {
            return self.judge_by_trust(signatures);
        };
        let mut met = Met { needed: self.threshold(role, place), ..Met::default() };
        let mut counted: Vec<(LeafIndex, &str)> = Vec::new();
        for key in &newest.keys {
            let own = signatures.iter().filter(|signed| signed.key == *key.public.as_bytes());
            let mut judged: Vec<_> = own.map(|signed| (signed.leaf, self.lapse(key, role, signed.leaf))).collect();
            judged.sort_by_key(|(leaf, _)| *leaf);
            if let Some((leaf, _)) = judged.iter().find(|(_, lapse)| lapse.is_none()) {
                counted.push((*leaf, &key.name));
            } else if let Some((_, Some(reason))) = judged.into_iter().next() {
                met.refused.push(format!("{} {reason}", key.name));
            }
        }
        counted.sort();
        // What is completed later takes what it takes there: a place from before a threshold was raised is no way round it.
        let at_leaf = |leaf: LeafIndex| self.threshold(role, place).max(self.threshold(role, leaf));
        met.since = (1..).zip(&counted).find(|(n, (leaf, _))| *n >= at_leaf(*leaf)).map(|(_, (leaf, _))| *leaf);
        let last = met.since.or(counted.last().map(|(leaf, _)| *leaf));
        met.needed = last.map_or(met.needed, at_leaf);
        met.by = counted.into_iter().map(|(_, name)| name.to_owned()).collect();
        met
    }

    /// Returns how many keys with a role it takes at a leaf.
    ///
    /// Before the first policy one is enough, below the head that it was made on: what came between that and its leaf its root keys have not seen.
    fn threshold(&self, role: Role, leaf: LeafIndex) -> u64 {
        let first = || self.versions.first().map(|first| &first.policy).filter(|first| leaf.0 >= first.log.size);
        self.in_force(leaf).or_else(first).map_or(1, |policy| policy.threshold.of(role))
    }

    fn judge_by_trust(&self, signatures: &[Signed]) -> Met {
        let mut met = Met { needed: 1, ..Met::default() };
        for trusted in &self.trusted {
            let first =
                signatures.iter().filter(|signed| signed.key == *trusted.key.as_bytes()).map(|signed| signed.leaf);
            if let Some(first) = first.min() {
                met.by.push(trusted.label.clone());
                met.since = Some(met.since.map_or(first, |since| since.min(first)));
            }
        }
        met
    }

    /// Says why a signature in this leaf does not count.
    fn lapse(&self, key: &PolicyKey, role: Role, leaf: LeafIndex) -> Option<String> {
        let then = self.in_force(leaf).or_else(|| self.versions.first().map(|first| &first.policy))?;
        let as_then = then.keys.iter().find(|other| other.public == key.public);
        let Some(as_then) = as_then else { return Some(format!("was no key of the policy at leaf {leaf}")) };
        let role = role_asked(then, role);
        if !as_then.roles.contains(&role) {
            return Some(format!("may not {}", role.as_str()));
        }
        key.lapse(leaf)
    }
}

/// Returns the role that a policy asks for: documents are for publishers where it says nothing of them.
fn role_asked(policy: &Policy, role: Role) -> Role {
    if role == Role::Document && policy.threshold.document.is_none() { Role::Publish } else { role }
}

impl PolicyKey {
    /// Says why a signature in this leaf does not count.
    fn lapse(&self, leaf: LeafIndex) -> Option<String> {
        if let Some(from) = self.valid_from.filter(|from| leaf.0 < *from) {
            return Some(format!("counts from leaf {from}, the signature is in leaf {leaf}"));
        }
        if let Some(at) = self.compromised_at.filter(|at| leaf.0 >= *at) {
            return Some(format!("was compromised at leaf {at}, the signature is in leaf {leaf}"));
        }
        if let Some(at) = self.retired_at.filter(|at| leaf.0 >= *at) {
            return Some(format!("was retired at leaf {at}, the signature is in leaf {leaf}"));
        }
        None
    }
}

/// What the witnesses say of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnessed {
    /// Operators that have cosigned, and when, the newest first.
    pub by: Vec<(String, Timestamp)>,
    /// Operators that keep a whole copy, by what they cosign.
    pub held_by: Vec<String>,
    /// How many operators it takes.
    pub needed: u64,
    /// Witnesses whose cosignatures fail.
    pub bad: Vec<String>,
}

impl Witnessed {
    /// Reads the cosignatures in a checkpoint's note.
    pub fn of(note: &Note, policy: &Policy) -> Self {
        let mut found = Self { needed: policy.threshold.witness, ..Self::default() };
        for witness in &policy.witnesses {
            match note.cosigned(&witness.key) {
                Ok(Some(seconds)) => {
                    let Some(time) = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()) else {
                        found.bad.push(witness.key.name().to_owned());
                        continue;
                    };
                    if witness.holds && !found.held_by.contains(&witness.operator) {
                        found.held_by.push(witness.operator.clone());
                    }
                    // One operator counts once, at its newest.
                    match found.by.iter_mut().find(|(operator, _)| *operator == witness.operator) {
                        Some((_, known)) => *known = (*known).max(time),
                        None => found.by.push((witness.operator.clone(), time)),
                    }
                }
                Ok(None) => {}
                Err(_) => found.bad.push(witness.key.name().to_owned()),
            }
        }
        found.by.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        found
    }

    /// Says whether a quorum has seen it; one where none is asked for has not been witnessed, but lacks nothing.
    pub fn is_met(&self) -> bool {
        self.by.len() as u64 >= self.needed && self.bad.is_empty()
    }

    /// Returns since when a quorum vouches for its being current: the quorum-th newest time, so that one lying
    /// witness does not move it. Times too far ahead of `at` say nothing.
    pub fn fresh(&self, at: Timestamp) -> Option<Timestamp> {
        let quorum = usize::try_from(self.needed).ok().filter(|n| *n > 0)?;
        let believed = |(_, time): &&(String, Timestamp)| time.as_second() - at.as_second() <= MAX_AHEAD_SECONDS;
        self.by.iter().filter(believed).nth(quorum - 1).map(|(_, time)| *time)
    }
}

/// Whether a checkpoint is recent enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fresh {
    /// It is.
    Yes(String),
    /// It is not, and the policy says to warn.
    Warn(String),
    /// It is not, and the policy refuses it.
    No(String),
    /// The archive is closed: it is as new as it will ever be.
    Closed(String),
    /// Nobody says anything about it.
    Unknown(String),
}

impl Fresh {
    /// Judges a checkpoint's age.
    pub fn of(witnessed: &Witnessed, policy: &Policy, at: Timestamp) -> Self {
        if policy.closed {
            return Self::Closed("nothing is added any more".into());
        }
        let Some(limit) = policy.freshness else { return Self::Unknown("the policy sets no age".into()) };
        let stale = |why: String| match limit.on_stale {
            OnStale::Warn => Self::Warn(why),
            OnStale::Fail => Self::No(why),
        };
        let Some(time) = witnessed.fresh(at) else { return stale("no quorum of witnesses says when".into()) };
        let days = (at.as_second() - time.as_second()) / SECONDS_A_DAY;
        if days >= i64::from(limit.max_age_days) {
            return stale(format!(
                "a quorum last saw it on {time}, {days} days ago; {} are allowed",
                limit.max_age_days
            ));
        }
        Self::Yes(format!("a quorum saw it on {time}"))
    }

    /// Returns the verdict as a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Yes(_) => "yes",
            Self::Warn(_) | Self::No(_) => "no",
            Self::Closed(_) => "closed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Yes(why) | Self::Warn(why) | Self::No(why) | Self::Closed(why) | Self::Unknown(why) => why,
        }
    }
}

/// Returns the log key under which a note counts: one of the policy's that has signed it.
pub fn log_key_of<'a>(note: &Note, policy: &'a Policy) -> Option<&'a VerifierKey> {
    policy.logs.iter().map(|log| &log.key).find(|key| note.verified(key).is_ok())
}
