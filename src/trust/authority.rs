//! Whether enough of the right keys have signed: by the keys that a person trusts, or by the archive's policy. (FORMAT.md, "Trust policy")
//!
//! Under a policy a signature counts only where the log has a leaf for it, and its key is judged at that leaf's index: what a stolen key signs
//! later does not count, what a retired key has signed before still does, and nothing can be slipped under an old bundle.

use jiff::Timestamp;

use crate::ids::Origin;
use crate::keys::{Kind, Note, VerifierKey};

use super::TrustedKey;
use super::policy::{OnStale, Policy, PolicyKey, Role, is_signed};

const SECONDS_A_DAY: i64 = 86_400;

/// Whom to believe about an archive.
#[derive(Debug, Clone)]
pub enum Authority {
    /// Each of these keys may do everything.
    Keys(Vec<TrustedKey>),
    /// What the policy says.
    Policy(Box<Policy>),
}

/// A signature file and its leaf in the log.
#[derive(Debug, Clone, Copy)]
pub struct Logged<'a> {
    /// The `.minisig` file.
    pub bytes: &'a [u8],
    /// The index of its leaf, if it has one.
    pub index: Option<u64>,
}

/// Whether the threshold is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// Names of the keys that count.
    pub by: Vec<String>,
    /// How many it takes.
    pub needed: u64,
    /// Why others do not count.
    pub refused: Vec<String>,
}

impl Met {
    /// Says whether enough keys count.
    pub fn is_met(&self) -> bool {
        self.by.len() as u64 >= self.needed
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
    /// Returns the policy, where there is one.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Keys(_) => None,
            Self::Policy(policy) => Some(policy),
        }
    }

    /// Returns the keys that may do something, with the names by which they are known here.
    pub fn keys(&self, role: Role) -> Vec<TrustedKey> {
        match self {
            Self::Keys(keys) => keys.clone(),
            Self::Policy(policy) => {
                let keys = policy.keys.iter().filter(|key| key.roles.contains(&role));
                keys.map(|key| TrustedKey { key: key.public.clone(), label: key.name.clone() }).collect()
            }
        }
    }

    /// Judges whether enough keys with `role` have signed `content`.
    pub fn judge(
        &self,
        (role, kind): (Role, Kind),
        content: &[u8],
        signatures: &[Logged<'_>],
        archive: &Origin,
    ) -> Met {
        let signed = |key| signatures.iter().filter(move |s| is_signed(s.bytes, key, content, kind, archive));
        match self {
            Self::Keys(keys) => {
                let by = keys.iter().filter(|trusted| signed(&trusted.key).next().is_some());
                Met { by: by.map(|trusted| trusted.label.clone()).collect(), needed: 1, refused: Vec::new() }
            }
            Self::Policy(policy) => {
                let needed = policy.threshold.of(role);
                let mut met = Met { needed, ..Met::default() };
                for key in &policy.keys {
                    let reasons: Vec<_> = signed(&key.public).map(|s| key.lapse(role, s.index)).collect();
                    if reasons.contains(&None) {
                        met.by.push(key.name.clone());
                    } else if let Some(Some(reason)) = reasons.into_iter().next() {
                        met.refused.push(format!("{} {reason}", key.name));
                    }
                }
                met
            }
        }
    }
}

impl PolicyKey {
    /// Says why a signature with this leaf does not count.
    fn lapse(&self, role: Role, index: Option<u64>) -> Option<String> {
        if !self.roles.contains(&role) {
            return Some(format!("may not {}", role.as_str()));
        }
        let Some(index) = index else { return Some("has signed, and the log does not have the signature".into()) };
        if let Some(from) = self.valid_from.filter(|from| index < *from) {
            return Some(format!("counts from leaf {from}, the signature is leaf {index}"));
        }
        if let Some(at) = self.compromised_at.filter(|at| index >= *at) {
            return Some(format!("was compromised at leaf {at}, the signature is leaf {index}"));
        }
        if let Some(at) = self.retired_at.filter(|at| index >= *at) {
            return Some(format!("was retired at leaf {at}, the signature is leaf {index}"));
        }
        None
    }
}

/// What the witnesses say of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnessed {
    /// Operators that have cosigned, and when, the newest first.
    pub by: Vec<(String, Timestamp)>,
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
    /// witness does not move it.
    pub fn fresh(&self) -> Option<Timestamp> {
        let quorum = usize::try_from(self.needed).ok().filter(|n| *n > 0)?;
        self.by.get(quorum - 1).map(|(_, time)| *time)
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
    /// Nobody says anything about it.
    Unknown(String),
}

impl Fresh {
    /// Judges a checkpoint's age.
    pub fn of(witnessed: &Witnessed, policy: &Policy, at: Timestamp) -> Self {
        let Some(limit) = policy.freshness else { return Self::Unknown("the policy sets no age".into()) };
        let stale = |why: String| match limit.on_stale {
            OnStale::Warn => Self::Warn(why),
            OnStale::Fail => Self::No(why),
        };
        let Some(time) = witnessed.fresh() else { return stale("no quorum of witnesses says when".into()) };
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
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Yes(why) | Self::Warn(why) | Self::No(why) | Self::Unknown(why) => why,
        }
    }
}

/// Returns the log key under which a note counts: one of the policy's that has signed it.
pub fn log_key_of<'a>(note: &Note, policy: &'a Policy) -> Option<&'a VerifierKey> {
    policy.logs.iter().find(|log| note.verified(log).is_ok())
}
