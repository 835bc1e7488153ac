//! The trust policy of an archive: which keys may do what, how many it takes, and how the policy itself may change. (FORMAT.md, "Trust policy")
//!
//! ```toml
//! format = "vellum-trust/1"
//! archive = "example.org/library"
//! version = 2
//! previous = "sha256:…"
//! log = { size = 41000, root = "sha256:…" }
//!
//! [threshold]
//! root = 2
//! publish = 1
//! withdraw = 2
//! witness = 1
//!
//! [freshness]
//! max_age_days = 30
//! on_stale = "fail"
//!
//! [[key]]
//! name = "alice"
//! public = "RWQ…"
//! roles = ["root", "publish", "withdraw"]
//! retired_at = 41200
//!
//! [[log_key]]
//! vkey = "example.org/library+…"
//!
//! [[witness]]
//! vkey = "mirror.example.net/m1+…"
//! operator = "uni-x"
//! holds = true
//! ```
//!
//! Everything is understood or refused: a typing error must not weaken a policy. Version n+1 counts when a root threshold of n and of n+1 has
//! signed it, and it takes nothing back that was right: see [`Policy::goes_on`]. Whether a key counts is judged at the index of the leaf
//! that carries its signature, which nobody can forge, not by a date.

mod succession;

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

use crate::digest::Digest;
use crate::ids::Origin;
use crate::keys::{Comment, Kind, PublicKey, Signature, VerifierKey};

/// The folder of policies in an archive.
pub const FOLDER: &str = "trust";
/// The longest policy, in bytes.
pub const MAX_POLICY_BYTES: u64 = 256 << 10;
/// The most versions that a policy may have.
pub const MAX_VERSIONS: u64 = 1024;
/// The most keys, logs and witnesses, each.
const MAX_KEYS: usize = 256;
/// The longest name of a key or operator, in bytes.
const MAX_NAME_BYTES: usize = 100;
const FORMAT: &str = "vellum-trust/1";

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// It is no policy, or one that contradicts itself.
    #[error("malformed policy: {0}")]
    Malformed(String),
    /// It is of another archive.
    #[error("is of the archive {found}, expected {expected}")]
    OtherArchive {
        /// The archive at hand.
        expected: String,
        /// The one it names.
        found: String,
    },
    /// It states a head of the log that its leaf does not come after.
    #[error("is of a policy that was made on a later log")]
    LaterLog,
    /// It is not the version that comes next.
    #[error("is version {found}, expected {expected}")]
    Version {
        /// The version that comes next.
        expected: u64,
        /// Its version.
        found: u64,
    },
    /// It takes something back, or does not go on from the version before.
    #[error("version {version}: {detail}")]
    Successor {
        /// Its version.
        version: u64,
        /// What does not hold.
        detail: String,
    },
    /// Too few root keys have signed it.
    #[error("version {version}: {found} of the root keys of version {of} have signed it, expected {expected}")]
    Unsigned {
        /// Its version.
        version: u64,
        /// The version whose keys are asked for.
        of: u64,
        /// How many it takes.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Change the policy.
    Root,
    /// Sign bundles.
    Publish,
    /// Take articles out.
    Withdraw,
    /// Put documents into the archive.
    Document,
}

impl Role {
    /// Returns the word in the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Publish => "publish",
            Self::Withdraw => "withdraw",
            Self::Document => "document",
        }
    }
}

/// What to do about a checkpoint that no witness has seen for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStale {
    /// Say so.
    Warn,
    /// Refuse.
    Fail,
}

/// How many different keys it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// To change the policy.
    pub root: u64,
    /// To publish a bundle.
    pub publish: u64,
    /// To withdraw an article.
    pub withdraw: u64,
    /// To put a document into the archive; where absent, whoever may publish may do that too.
    pub document: Option<u64>,
    /// Operators of witnesses that must have seen a checkpoint; none where 0.
    #[serde(default)]
    pub witness: u64,
}

impl Thresholds {
    /// Returns how many keys a role takes.
    pub const fn of(&self, role: Role) -> u64 {
        match role {
            Role::Root => self.root,
            Role::Publish => self.publish,
            Role::Withdraw => self.withdraw,
            Role::Document => match self.document {
                Some(document) => document,
                None => self.publish,
            },
        }
    }
}

/// How old the newest cosignatures may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// In days.
    pub max_age_days: u32,
    /// What to do when they are older.
    pub on_stale: OnStale,
}

/// One key and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKey {
    /// Whose it is.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// What it may do.
    pub roles: Vec<Role>,
    /// Leaves before this one do not count.
    pub valid_from: Option<u64>,
    /// Leaves from this one on do not count: the key was put to rest.
    pub retired_at: Option<u64>,
    /// Leaves from this one on do not count: somebody else has the key.
    pub compromised_at: Option<u64>,
}

/// A key of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The key.
    pub key: VerifierKey,
    /// Checkpoints of this size and above do not count by it alone: it was put to rest.
    pub retired_at: Option<u64>,
}

/// A witness and who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its key.
    pub key: VerifierKey,
    /// Who runs it; a quorum counts operators.
    pub operator: String,
    /// Whether it keeps a whole copy, or vouches for one history alone.
    pub holds: bool,
}

/// A head of the log: its size, and its root there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// A policy that is well-formed; whether it counts is for [`Policy::goes_on`], and for those who have signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The archive's name.
    pub archive: Origin,
    /// Its number, from 1.
    pub version: u64,
    /// Digest of the version before; the first has none.
    pub previous: Option<Digest>,
    /// The head of the log that it was made on.
    pub log: Head,
    /// Whether the archive is closed: its leaf is the log's last that counts.
    pub closed: bool,
    /// How many it takes.
    pub threshold: Thresholds,
    /// How old a checkpoint may be.
    pub freshness: Option<Freshness>,
    /// The keys.
    pub keys: Vec<PolicyKey>,
    /// The log's keys.
    pub logs: Vec<LogKey>,
    /// The witnesses.
    pub witnesses: Vec<Witness>,
    /// Digest of the file.
    pub digest: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: String,
    archive: String,
    version: u64,
    previous: Option<String>,
    log: RawHead,
    #[serde(default)]
    closed: bool,
    threshold: Thresholds,
    freshness: Option<Freshness>,
    #[serde(default)]
    key: Vec<RawKey>,
    #[serde(default)]
    log_key: Vec<RawLogKey>,
    #[serde(default)]
    witness: Vec<RawWitness>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    name: String,
    public: String,
    roles: Vec<Role>,
    valid_from: Option<u64>,
    retired_at: Option<u64>,
    compromised_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHead {
    size: u64,
    root: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogKey {
    vkey: String,
    retired_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitness {
    vkey: String,
    operator: String,
    holds: bool,
}

/// Returns the place of a version in an archive.
pub fn place(version: u64) -> String {
    format!("{FOLDER}/{version}.toml")
}

/// Returns the place of a signature of a version.
pub fn signature_place(version: u64, key_id: &str) -> String {
    format!("{FOLDER}/{version}.toml.{key_id}.minisig")
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyFault::Malformed`] says what is not understood or contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, PolicyFault> {
        let fault = |what: String| PolicyFault::Malformed(what);
        if bytes.len() as u64 > MAX_POLICY_BYTES {
            return Err(fault(format!("longer than {MAX_POLICY_BYTES} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fault("not UTF-8".into()))?;
        if text.starts_with('\u{feff}') {
            return Err(fault("begins with a byte order mark".into()));
        }
        let raw: Raw = toml::from_str(text).map_err(|error| fault(error.message().to_owned()))?;
        if raw.format != FORMAT {
            return Err(fault(format!("expected format {FORMAT:?}, found {:?}", raw.format)));
        }
        let archive: Origin = raw.archive.parse().map_err(|error| fault(format!("archive: {error}")))?;
        let vkey = |text: &str| text.parse::<VerifierKey>().map_err(|error| fault(format!("{text:?}: {error}")));
        let keys = raw.key.iter().map(RawKey::read).collect::<Result<Vec<_>, _>>()?;
        let log_key = |raw: &RawLogKey| Ok(LogKey { key: vkey(&raw.vkey)?, retired_at: raw.retired_at });
        let logs = raw.log_key.iter().map(log_key).collect::<Result<Vec<_>, PolicyFault>>()?;
        let digest = |text: &str| Digest::from_labelled(text).map_err(|error| fault(error.to_string()));
        let previous = raw.previous.as_deref().map(digest).transpose()?;
        let log = Head { size: raw.log.size, root: digest(&raw.log.root)? };
        let witnesses = raw
            .witness
            .iter()
            .map(|raw| Ok(Witness { key: vkey(&raw.vkey)?, operator: name(&raw.operator)?, holds: raw.holds }))
            .collect::<Result<Vec<_>, PolicyFault>>()?;
        let policy = Self {
            archive,
            version: raw.version,
            previous,
            log,
            closed: raw.closed,
            threshold: raw.threshold,
            freshness: raw.freshness,
            keys,
            logs,
            witnesses,
            digest: Digest::of(bytes),
        };
        policy.check().map_err(PolicyFault::Malformed)?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=MAX_VERSIONS).contains(&self.version) {
            return Err(format!("expected a version from 1 to {MAX_VERSIONS}, found {}", self.version));
        }
        if self.previous.is_some() != (self.version > 1) {
            return Err("`previous` names the version before; version 1 has none".into());
        }
        if self.keys.len().max(self.logs.len()).max(self.witnesses.len()) > MAX_KEYS {
            return Err(format!("more than {MAX_KEYS} keys of a kind"));
        }
        let distinct = |what: &str, all: Vec<String>| {
            let mut seen = HashSet::new();
            all.into_iter()
                .find(|one| !seen.insert(one.clone()))
                .map_or(Ok(()), |one| Err(format!("{what} {one:?} stands twice")))
        };
        distinct("the name", self.keys.iter().map(|key| key.name.clone()).collect())?;
        let log_keys = self.logs.iter().map(|log| log.key.public().to_bare());
        let witnesses = self.witnesses.iter().map(|witness| witness.key.public().to_bare());
        // One key with two duties would let a thief of it pass for two.
        distinct(
            "the key",
            self.keys.iter().map(|key| key.public.to_bare()).chain(log_keys).chain(witnesses).collect(),
        )?;
        if self.logs.is_empty() {
            return Err("no key of the log".into());
        }
        let of_log = |log: &&LogKey| !log.key.is_witness() && log.key.name() == self.archive.as_str();
        if let Some(log) = self.logs.iter().find(|log| !of_log(log)) {
            return Err(format!("the log's key {} is not one of a log named {:?}", log.key, self.archive.as_str()));
        }
        if !self.closed && self.logs.iter().all(|log| log.retired_at.is_some()) {
            return Err("every key of the log is retired".into());
        }
        if let Some(witness) = self.witnesses.iter().find(|witness| !witness.key.is_witness()) {
            return Err(format!("{} is no witness's key", witness.key));
        }
        let Thresholds { root, publish, withdraw, document, witness } = self.threshold;
        let mut thresholds = vec![(Role::Root, root), (Role::Publish, publish), (Role::Withdraw, withdraw)];
        thresholds.extend(document.map(|document| (Role::Document, document)));
        for (role, threshold) in thresholds {
            let keys = self.keys.iter().filter(|key| key.roles.contains(&role) && key.is_active()).count() as u64;
            // A closed archive may have put all its keys to rest.
            if threshold == 0 || (threshold > keys && !self.closed) {
                let role = role.as_str();
                return Err(format!("the threshold for {role} is {threshold}, and {keys} keys can meet it"));
            }
        }
        let operators = self.witnesses.iter().map(|witness| &witness.operator).collect::<HashSet<_>>().len() as u64;
        if witness > operators {
            return Err(format!("the threshold for witnesses is {witness}, and there are {operators} operators"));
        }
        Ok(())
    }

    /// Reads a version that a person vouches for.
    ///
    /// # Errors
    /// Where it is malformed or of another archive.
    pub fn pinned(bytes: &[u8], archive: &Origin) -> Result<Self, PolicyFault> {
        Self::decode(bytes)?.of(archive)
    }

    fn of(self, archive: &Origin) -> Result<Self, PolicyFault> {
        if self.archive == *archive {
            return Ok(self);
        }
        Err(PolicyFault::OtherArchive { expected: archive.to_string(), found: self.archive.to_string() })
    }

    /// Returns the ids of all keys, under which signatures may lie.
    pub fn key_ids(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|key| key.public.id().to_string())
    }
}

/// Prints the policy in the form in which `trust propose` writes it.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        writeln!(f, "format = \"{FORMAT}\"\narchive = {}\nversion = {}", quoted(self.archive.as_str()), self.version)?;
        if let Some(previous) = self.previous {
            writeln!(f, "previous = \"{}\"", previous.labelled())?;
        }
        let Head { size, root } = self.log;
        writeln!(f, "log = {{ size = {size}, root = \"{}\" }}", root.labelled())?;
        if self.closed {
            writeln!(f, "closed = true")?;
        }
        let Thresholds { root, publish, withdraw, document, witness } = self.threshold;
        writeln!(f, "\n[threshold]\nroot = {root}\npublish = {publish}\nwithdraw = {withdraw}")?;
        document.map_or(Ok(()), |document| writeln!(f, "document = {document}"))?;
        writeln!(f, "witness = {witness}")?;
        if let Some(Freshness { max_age_days, on_stale }) = self.freshness {
            let on_stale = if on_stale == OnStale::Warn { "warn" } else { "fail" };
            writeln!(f, "\n[freshness]\nmax_age_days = {max_age_days}\non_stale = \"{on_stale}\"")?;
        }
        for key in &self.keys {
            let roles: Vec<_> = key.roles.iter().map(|role| format!("\"{}\"", role.as_str())).collect();
            writeln!(f, "\n[[key]]\nname = {}\npublic = \"{}\"", quoted(&key.name), key.public.to_line())?;
            writeln!(f, "roles = [{}]", roles.join(", "))?;
            let indexes = [
                ("valid_from", key.valid_from),
                ("retired_at", key.retired_at),
                ("compromised_at", key.compromised_at),
            ];
            for (name, index) in indexes {
                index.map_or(Ok(()), |index| writeln!(f, "{name} = {index}"))?;
            }
        }
        self.logs.iter().try_for_each(|log| {
            writeln!(f, "\n[[log_key]]\nvkey = {}", quoted(&log.key.to_string()))?;
            log.retired_at.map_or(Ok(()), |at| writeln!(f, "retired_at = {at}"))
        })?;
        self.witnesses.iter().try_for_each(|witness| {
            let (vkey, operator) = (quoted(&witness.key.to_string()), quoted(&witness.operator));
            writeln!(f, "\n[[witness]]\nvkey = {vkey}\noperator = {operator}\nholds = {}", witness.holds)
        })
    }
}

/// Says whether a `.minisig` file is this key's signature of these bytes, made for this archive as one of this kind.
pub fn is_signed(signature: &[u8], key: &PublicKey, bytes: &[u8], kind: Kind, archive: &Origin) -> bool {
    let Ok(signature) = Signature::decode(signature) else { return false };
    let about = |comment: Comment| comment.agrees_with(kind, Some(archive.as_str()), &Digest::of(bytes));
    signature.key_id() == key.id()
        && signature.verify(key, bytes).is_ok()
        && signature.comment().and_then(about).is_ok()
}

impl PolicyKey {
    /// Says whether the key may still sign anything new.
    pub fn is_active(&self) -> bool {
        self.retired_at.is_none() && self.compromised_at.is_none()
    }
}

impl RawKey {
    fn read(&self) -> Result<PolicyKey, PolicyFault> {
        let fault = |what: String| PolicyFault::Malformed(format!("key {:?}: {what}", self.name));
        let public = PublicKey::parse(&self.public).map_err(|error| fault(error.to_string()))?;
        if self.roles.is_empty() || self.roles.iter().collect::<HashSet<_>>().len() != self.roles.len() {
            return Err(fault("expected one or more different roles".into()));
        }
        Ok(PolicyKey {
            name: name(&self.name)?,
            public,
            roles: self.roles.clone(),
            valid_from: self.valid_from,
            retired_at: self.retired_at,
            compromised_at: self.compromised_at,
        })
    }
}

fn name(text: &str) -> Result<String, PolicyFault> {
    let good = !text.trim().is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(PolicyFault::Malformed(format!("{text:?} is no name"))) }
}
