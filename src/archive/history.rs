//! What a log says, folded once: bundles and their forms, who has signed them, what was withdrawn, which policy was in force where. (FORMAT.md,
//! "The log", "Withdrawal" and "Trust policy")
//!
//! Whether a leaf counts follows from the log and the policies alone; what does not count is *void*, reported, and stops nobody. Everybody who
//! asks what an archive holds asks here: nobody else walks leaves.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::digest::{Digest, Hasher};
use crate::format::leaf::{Leaf, LeafSignature};
use crate::format::manifest::{Manifest, PartOf};
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, RemovedLeaf, Replaced, Withdrawal};
use crate::ids::{BundleId, LeafIndex, Origin};
use crate::keys::{Kind, PublicKey, Signature};
use crate::pipeline::{ordered, processors};
use crate::store::{self, Store};
use crate::trust::authority::{Authority, Met, Signed};
use crate::trust::logged;
use crate::trust::policy::{self, MAX_POLICY_BYTES, Policy, PolicyFault, PolicyKey, Role, is_signed};

use super::vouched::Pin;
use super::{Error, Log, layout};

/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;
/// Bundles whose signatures are checked by one job.
const BUNDLES_A_JOB: usize = 64;

/// What a bundle's file holds for each of its files beside the content, at most, in bytes: headers, padding, its line of the list, its place.
const MAX_BYTES_AROUND_A_FILE: u64 = 8 << 10;
/// The same for each article.
const MAX_BYTES_AROUND_AN_ARTICLE: u64 = 2 << 10;
/// The same for the tail, with the statements of what was withdrawn.
const MAX_BYTES_OF_A_TAIL: u64 = 16 << 20;

/// Where the small files lie that leaves name by their digests.
pub trait Papers: Sync {
    /// Returns a version of the policy, if the one of this digest is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;

    /// Returns the signature that lies beside a version of the policy under a key's id.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn policy_signature(&self, version: u64, key: &PublicKey) -> Result<Option<Vec<u8>>, Error>;

    /// Returns a statement of withdrawal, if the one of this digest is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;
}

impl Papers for Store {
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(present(self.read(&policy::place(version), MAX_POLICY_BYTES))?.filter(|bytes| Digest::of(bytes) == *digest))
    }

    fn policy_signature(&self, version: u64, key: &PublicKey) -> Result<Option<Vec<u8>>, Error> {
        present(self.read(&policy::signature_place(version, &key.id().to_string()), MAX_SIGNATURE_BYTES))
    }

    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let bytes = present(self.read(&layout::statement(digest), MAX_WITHDRAWAL_BYTES))?;
        Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
    }
}

/// What a mirror holds, and an origin for the rest.
impl Papers for [&Store; 2] {
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let [held, origin] = self;
        held.policy(version, digest)?.map_or_else(|| origin.policy(version, digest), |bytes| Ok(Some(bytes)))
    }

    fn policy_signature(&self, version: u64, key: &PublicKey) -> Result<Option<Vec<u8>>, Error> {
        let [held, origin] = self;
        held.policy_signature(version, key)?
            .map_or_else(|| origin.policy_signature(version, key), |bytes| Ok(Some(bytes)))
    }

    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let [held, origin] = self;
        held.statement(digest)?.map_or_else(|| origin.statement(digest), |bytes| Ok(Some(bytes)))
    }
}

/// Returns nothing where nothing is there.
pub(super) fn present(read: Result<Vec<u8>, store::Error>) -> Result<Option<Vec<u8>>, Error> {
    match read {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// What a log says.
#[derive(Debug, Default)]
pub struct History {
    /// Number of leaves.
    pub size: u64,
    /// Whom to believe, policies at their leaves.
    pub authority: Authority,
    /// Every bundle of the log in the order of their places, those that do not count too.
    pub bundles: Vec<LoggedBundle>,
    /// Every statement of withdrawal, the earliest first, those that do not count too.
    pub statements: Vec<LoggedStatement>,
    /// The newest document of each name that counts.
    pub documents: BTreeMap<String, LoggedDocument>,
    /// The policies that were logged and count, by version, with the digests of their files.
    pub policies: BTreeMap<u64, (LeafIndex, Digest)>,
    /// Leaves that do not count, and why.
    pub void: Vec<(LeafIndex, String)>,
    /// What the log has and the archive lacks, by place.
    pub missing: Vec<String>,
    /// A policy that this reader has no reason to believe, where keys are pinned.
    pub foreign_policy: Option<LeafIndex>,
    by_id: HashMap<BundleId, usize>,
    /// The bundles that name each statement in `reinstates`, signed by who may withdraw.
    reinstating: HashMap<Digest, Vec<usize>>,
}

/// A bundle of the log.
#[derive(Debug)]
pub struct LoggedBundle {
    /// Its id.
    pub id: BundleId,
    /// Its first leaf.
    pub place: LeafIndex,
    /// What the manifest says.
    pub facts: Facts,
    /// Its files, the earliest first; any of them makes an archive complete.
    pub forms: Vec<Form>,
    /// The good signatures of its leaves, by keys that may count.
    pub signed: Vec<Signed>,
    /// Who has signed it; of a replacement, nobody need have.
    pub met: Met,
    /// What it is worth.
    pub standing: Standing,
    /// What took its place.
    pub replaced: Option<Replacement>,
    /// The first bundle of its line, where it is a replacement.
    pub line: Option<BundleId>,
}

/// A file of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its size, in bytes.
    pub size: u64,
    /// Its digest.
    pub file: Digest,
}

/// What history needs of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Number of articles.
    pub articles: u64,
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Root of the article tree.
    pub root: Digest,
    /// Digest of all that a replacement repeats.
    pub repeated: Digest,
    /// Which part of a split pack it is.
    pub part: Option<PartOf>,
    /// The log's size when it was packed.
    pub base: u64,
    /// What it replaces.
    pub replaces: Vec<BundleId>,
    /// What it reinstates.
    pub reinstates: Vec<Digest>,
}

/// What a bundle of the log is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It counts, by its signatures or as the replacement that a statement names.
    Counts,
    /// It does not, and why.
    Void(String),
}

/// What took a bundle's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The statement's leaf.
    pub leaf: LeafIndex,
    /// The bundle that holds the rest; none where nothing was left.
    pub new: Option<BundleId>,
}

/// The articles of a place in the archive, by their positions in the first bundle of the line.
#[derive(Debug, Default)]
pub struct Line {
    /// The positions of those that the holder has, in its order.
    pub kept: Vec<u64>,
    /// Those that were taken out, in no order.
    pub removed: Vec<(u64, RemovedLeaf)>,
}

/// A statement of withdrawal in the log.
#[derive(Debug)]
pub struct LoggedStatement {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its digest.
    pub digest: Digest,
    /// Who has signed it.
    pub met: Met,
    /// What it says, where it counts and is there.
    pub statement: Option<Withdrawal>,
    /// Those of its bundles that are no replacement, and why.
    pub void: Vec<(BundleId, String)>,
}

/// A document of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedDocument {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its digest.
    pub file: Digest,
}

/// Why a log cannot be believed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryFault {
    /// The log ends before the policy that a person vouches for.
    #[error(
        "the log does not have version {version} of the policy, which is vouched for: it is behind what is known here"
    )]
    Behind {
        /// That version.
        version: u64,
    },
    /// An earlier version is not there.
    #[error("version {version} of the policy is missing, or is not the one that the next version names")]
    Earlier {
        /// Which.
        version: u64,
    },
    /// Root keys have signed a policy that the archive does not show.
    #[error("leaf {leaf}: version {version} of the policy was signed by who may, and is withheld")]
    Withheld {
        /// Its leaf.
        leaf: LeafIndex,
        /// Its number.
        version: u64,
    },
    /// A policy was made on another log.
    #[error(
        "version {version} of the policy was made on a log that had another root at {size} leaves: this is not that log"
    )]
    OtherLog {
        /// The policy's version.
        version: u64,
        /// The size that it names.
        size: u64,
    },
}

impl LoggedBundle {
    /// Says whether it counts.
    pub fn counts(&self) -> bool {
        self.standing == Standing::Counts
    }

    /// Returns the most bytes that a file of it can take: what the manifest says it holds, with all that is around it.
    pub fn max_file_bytes(&self) -> u64 {
        let Facts { articles, files, bytes, .. } = &self.facts;
        // Headers, padding, paths and the list of each file; article tree and index of each article; the tail.
        bytes
            .saturating_add(bytes / 64)
            .saturating_add(files.saturating_mul(MAX_BYTES_AROUND_A_FILE))
            .saturating_add(articles.saturating_mul(MAX_BYTES_AROUND_AN_ARTICLE))
            .saturating_add(MAX_BYTES_OF_A_TAIL)
    }

    /// Returns the forms whose files can be this bundle, the newest first.
    pub fn credible(&self) -> impl Iterator<Item = &Form> {
        let most = self.max_file_bytes();
        self.forms.iter().rev().filter(move |form| form.size <= most)
    }

    /// Returns the form that was logged last.
    pub fn newest(&self) -> &Form {
        self.forms.last().unwrap_or_else(|| unreachable!("a bundle is known by a form"))
    }
}

impl Facts {
    fn of(manifest: &Manifest) -> Self {
        let mut repeated = manifest.clone();
        // What a withdrawal changes.
        (repeated.articles, repeated.files, repeated.bytes) = (0, 0, 0);
        (repeated.checksums, repeated.root, repeated.times) = (Digest::of(b""), Digest::of(b""), None);
        repeated.replaces = Vec::new();
        Self {
            articles: manifest.articles,
            files: manifest.files,
            bytes: manifest.bytes,
            root: manifest.root,
            repeated: Digest::of(repeated.to_string().as_bytes()),
            part: manifest.part,
            base: manifest.base.unwrap_or(0),
            replaces: manifest.replaces.clone(),
            reinstates: manifest.reinstates.clone(),
        }
    }
}

/// The leaves of a log, sorted by what they are about.
#[derive(Default)]
struct Leaves {
    bundles: Vec<(LoggedBundle, Vec<(LeafIndex, Vec<LeafSignature>)>)>,
    by_id: HashMap<BundleId, usize>,
    withdraw: Vec<(LeafIndex, Digest, Vec<LeafSignature>)>,
    policies: Vec<(LeafIndex, u64, Digest, Vec<LeafSignature>)>,
    documents: Vec<(LeafIndex, String, Digest, Vec<LeafSignature>)>,
    void: Vec<(LeafIndex, String)>,
}

/// A leaf whose manifest has been looked at.
enum Parsed {
    Bundle { id: BundleId, facts: Box<Facts>, form: Form, elsewhere: Option<Origin>, signatures: Vec<LeafSignature> },
    Other(Leaf),
    Void(String),
}

fn parse(index: LeafIndex, bytes: &[u8], origin: &Origin) -> Parsed {
    match Leaf::decode(bytes) {
        Err(fault) => Parsed::Void(fault.0.to_owned()),
        Ok(Leaf::Bundle { manifest, size, file, signatures }) => {
            if manifest.base.is_some_and(|base| base > index.0) {
                return Parsed::Void("its manifest's base lies above the leaf".into());
            }
            let id = BundleId(Digest::of(manifest.to_string().as_bytes()));
            let elsewhere = manifest.archive.clone().filter(|named| named != origin);
            let form = Form { leaf: index, size, file };
            Parsed::Bundle { id, facts: Box::new(Facts::of(&manifest)), form, elsewhere, signatures }
        }
        Ok(leaf) => Parsed::Other(leaf),
    }
}

impl Leaves {
    fn read(log: &Log<'_>, origin: &Origin) -> Result<Self, Error> {
        let mut leaves = Self::default();
        ordered(
            processors(),
            0..log.tiles_of_entries(),
            || {
                |number| {
                    let (first, entries) = log.entries_of(number)?;
                    let parse =
                        |(index, bytes): (u64, &Vec<u8>)| (LeafIndex(index), parse(LeafIndex(index), bytes, origin));
                    Ok((first..).zip(&entries).map(parse).collect::<Vec<_>>())
                }
            },
            |parsed: Result<Vec<(LeafIndex, Parsed)>, Error>| {
                parsed?.into_iter().for_each(|(index, parsed)| leaves.take(index, parsed));
                Ok::<_, Error>(())
            },
        )?;
        Ok(leaves)
    }

    fn take(&mut self, index: LeafIndex, parsed: Parsed) {
        match parsed {
            Parsed::Void(why) => self.void.push((index, why)),
            Parsed::Bundle { id, facts, form, elsewhere, signatures } => {
                let at = *self.by_id.entry(id).or_insert_with(|| {
                    let standing = match elsewhere {
                        Some(other) => Standing::Void(format!("its manifest is made for the archive {other}")),
                        None => Standing::Counts,
                    };
                    let (met, replaced, line, forms, signed) = (Met::default(), None, None, Vec::new(), Vec::new());
                    let bundle =
                        LoggedBundle { id, place: index, facts: *facts, forms, signed, met, standing, replaced, line };
                    self.bundles.push((bundle, Vec::new()));
                    self.bundles.len() - 1
                });
                if !self.bundles[at].0.forms.iter().any(|known| known.file == form.file) {
                    self.bundles[at].0.forms.push(form);
                }
                self.bundles[at].1.push((index, signatures));
            }
            Parsed::Other(Leaf::Signature { bundle, signatures }) => match self.by_id.get(&bundle) {
                Some(at) => self.bundles[*at].1.push((index, signatures)),
                None => self.void.push((index, "signs a bundle that no leaf before it names".into())),
            },
            Parsed::Other(Leaf::Withdraw { statement, signatures }) => {
                self.withdraw.push((index, statement, signatures));
            }
            Parsed::Other(Leaf::Policy { version, file, signatures }) => {
                self.policies.push((index, version, file, signatures));
            }
            Parsed::Other(Leaf::Document { name, file, signatures }) => {
                self.documents.push((index, name, file, signatures));
            }
            Parsed::Other(Leaf::Bundle { .. }) => {}
        }
    }
}

impl History {
    /// Folds a log whose head has been believed.
    ///
    /// # Errors
    /// Where the log's files cannot be read, or [`HistoryFault`] says why it is not the one that is vouched for; nothing that a leaf says
    /// is an error.
    pub fn read(log: &mut Log<'_>, origin: &Origin, pin: &Pin, papers: &dyn Papers) -> Result<Self, Error> {
        let leaves = Leaves::read(log, origin)?;
        let mut history = Self { size: log.size(), void: leaves.void.clone(), ..Self::default() };
        history.policies(&leaves.policies, log, origin, pin, papers)?;
        let closed = history.authority.closed_at();
        let is_late = |leaf: LeafIndex| closed.is_some_and(|closed| leaf > closed);
        history.judge_bundles(leaves.bundles, origin, &is_late)?;
        history.by_id = history.bundles.iter().enumerate().map(|(at, bundle)| (bundle.id, at)).collect();
        history.judge_statements(&leaves.withdraw, origin, papers, &is_late)?;
        history.settle_replacements();
        history.judge_documents(&leaves.documents, origin, &is_late);
        history.void.sort_by_key(|(leaf, _)| *leaf);
        Ok(history)
    }

    /// P1, P2: which versions of the policy count, each from its leaf.
    fn policies(
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

    /// L3, L4: who has signed each bundle, by leaves that count.
    fn judge_bundles(
        &mut self,
        bundles: Vec<(LoggedBundle, Vec<(LeafIndex, Vec<LeafSignature>)>)>,
        origin: &Origin,
        is_late: &(dyn Fn(LeafIndex) -> bool + Sync),
    ) -> Result<(), Error> {
        let authority = &self.authority;
        let keys: HashMap<[u8; 32], PublicKey> =
            authority.keys().into_iter().map(|trusted| (*trusted.key.as_bytes(), trusted.key)).collect();
        let mut bundles = bundles.into_iter();
        let jobs = std::iter::from_fn(|| {
            let job: Vec<_> = bundles.by_ref().take(BUNDLES_A_JOB).collect();
            (!job.is_empty()).then_some(job)
        });
        let (mut judged, mut reinstating) = (Vec::new(), HashMap::<Digest, Vec<usize>>::new());
        ordered(
            processors(),
            jobs,
            || {
                |job: Vec<(LoggedBundle, Vec<(LeafIndex, Vec<LeafSignature>)>)>| {
                    let judge = |(mut bundle, leaves): (LoggedBundle, Vec<(LeafIndex, Vec<LeafSignature>)>)| {
                        let mut signed = Vec::new();
                        for (leaf, signatures) in leaves.iter().filter(|(leaf, _)| !is_late(*leaf)) {
                            signed.extend(signed_by(signatures, *leaf, &keys, Kind::Manifest, origin, &bundle.id.0));
                        }
                        bundle.met = authority.judge(Role::Publish, bundle.place, &signed);
                        if is_late(bundle.place) {
                            bundle.standing = Standing::Void("was logged after the archive was closed".into());
                        } else if !bundle.met.is_met() && bundle.facts.replaces.is_empty() && bundle.counts() {
                            bundle.standing = Standing::Void(bundle.met.reason());
                        }
                        let reinstates = !bundle.facts.reinstates.is_empty()
                            && bundle.counts()
                            && authority.judge(Role::Withdraw, bundle.place, &signed).is_met();
                        bundle.signed = signed;
                        (bundle, reinstates)
                    };
                    job.into_iter().map(judge).collect::<Vec<_>>()
                }
            },
            |some: Vec<(LoggedBundle, bool)>| {
                for (bundle, reinstates) in some {
                    if reinstates {
                        let at = judged.len();
                        bundle.facts.reinstates.iter().for_each(|s| reinstating.entry(*s).or_default().push(at));
                    }
                    judged.push(bundle);
                }
                Ok::<_, Error>(())
            },
        )?;
        (self.bundles, self.reinstating) = (judged, reinstating);
        Ok(())
    }

    /// W1, as far as the log tells: which statements count, and which bundles take the place of which.
    fn judge_statements(
        &mut self,
        logged: &[(LeafIndex, Digest, Vec<LeafSignature>)],
        origin: &Origin,
        papers: &dyn Papers,
        is_late: &dyn Fn(LeafIndex) -> bool,
    ) -> Result<(), Error> {
        let keys: HashMap<[u8; 32], PublicKey> =
            self.authority.keys().into_iter().map(|trusted| (*trusted.key.as_bytes(), trusted.key)).collect();
        let mut seen = HashSet::new();
        for (leaf, digest, signatures) in logged {
            let mut void = |why: String| self.void.push((*leaf, why));
            if is_late(*leaf) {
                void("was logged after the archive was closed".into());
                continue;
            }
            let signed: Vec<_> = signed_by(signatures, *leaf, &keys, Kind::Withdraw, origin, digest).collect();
            let met = self.authority.judge(Role::Withdraw, *leaf, &signed);
            if !met.is_met() {
                void(format!("a withdrawal that does not count: {}", met.reason()));
                continue;
            }
            // The first leaf that counts is the statement's: one that a thief logs before it, without signatures, takes nothing from it.
            if !seen.insert(*digest) {
                void("is of a statement that was logged before".into());
                continue;
            }
            let place = layout::statement(digest);
            let Some(bytes) = papers.statement(digest)? else {
                self.missing.push(place);
                let (leaf, digest) = (*leaf, *digest);
                self.statements.push(LoggedStatement { leaf, digest, met, statement: None, void: Vec::new() });
                continue;
            };
            let statement = match Withdrawal::decode(&bytes) {
                Ok(statement) if statement.archive == *origin && statement.size <= leaf.0 => statement,
                Ok(_) => {
                    void("is of a statement for another archive, or made on a later log".into());
                    continue;
                }
                Err(fault) => {
                    void(fault.to_string());
                    continue;
                }
            };
            let mut none = Vec::new();
            for replaced in &statement.bundles {
                match self.replacement(replaced, &statement) {
                    Ok(at) => self.bundles[at].replaced = Some(Replacement { leaf: *leaf, new: replaced.new }),
                    Err(why) => none.push((replaced.old, why)),
                }
            }
            let (leaf, digest, statement) = (*leaf, *digest, Some(statement));
            self.statements.push(LoggedStatement { leaf, digest, met, statement, void: none });
        }
        Ok(())
    }

    /// Checks what the log tells of a replacement; returns which bundle is replaced.
    fn replacement(&self, replaced: &Replaced, statement: &Withdrawal) -> Result<usize, String> {
        let at = self.by_id.get(&replaced.old).copied();
        let Some(at) = at.filter(|at| self.bundles[*at].place.0 < statement.size) else {
            return Err("the log did not have it when the statement was made".into());
        };
        let old = &self.bundles[at];
        if old.replaced.is_some() {
            return Err("it was replaced before".into());
        }
        let Some(new) = replaced.new else {
            // Nothing is left: all leaves are in the statement, and lead to the root.
            let whole = replaced.put_back(&[]) == Some((old.facts.root, old.facts.articles));
            return if whole { Ok(at) } else { Err("the removed articles are not all that it held".into()) };
        };
        let Some(new) = self.by_id.get(&new).map(|at| &self.bundles[*at]) else {
            return Err(format!("the log does not have bundle {new}, which is to take its place"));
        };
        let removed = replaced.removed.len() as u64;
        if new.facts.replaces != [replaced.old]
            || new.facts.repeated != old.facts.repeated
            || new.facts.articles.checked_add(removed) != Some(old.facts.articles)
        {
            return Err(format!("bundle {} is not what a withdrawal makes of it", new.id));
        }
        Ok(at)
    }

    /// W2: a replacement stands where the first bundle of its line stands, and counts by the statement that names it.
    fn settle_replacements(&mut self) {
        let mut named = HashMap::new();
        for bundle in &self.bundles {
            if let Some(Replacement { new: Some(new), .. }) = bundle.replaced {
                named.insert(new, bundle.id);
            }
        }
        for at in 0..self.bundles.len() {
            if self.bundles[at].facts.replaces.is_empty() || !self.bundles[at].counts() {
                continue;
            }
            let (mut first, mut steps) = (self.bundles[at].id, 0);
            while let Some(before) = named.get(&first).filter(|_| steps < self.bundles.len()) {
                (first, steps) = (*before, steps + 1);
            }
            if first == self.bundles[at].id {
                let why = "no statement that counts names it as the replacement of a bundle";
                self.bundles[at].standing = Standing::Void(why.into());
            } else {
                let of_first = self.by_id.get(&first).map(|at| self.bundles[*at].standing.clone());
                self.bundles[at].line = Some(first);
                self.bundles[at].standing = of_first.unwrap_or(Standing::Counts);
            }
        }
        for bundle in &self.bundles {
            if let Standing::Void(why) = &bundle.standing {
                self.void.push((bundle.place, why.clone()));
            }
        }
    }

    fn judge_documents(
        &mut self,
        logged: &[(LeafIndex, String, Digest, Vec<LeafSignature>)],
        origin: &Origin,
        is_late: &dyn Fn(LeafIndex) -> bool,
    ) {
        let keys: HashMap<[u8; 32], PublicKey> =
            self.authority.keys().into_iter().map(|trusted| (*trusted.key.as_bytes(), trusted.key)).collect();
        for (leaf, name, file, signatures) in logged {
            let signed: Vec<_> = signed_by(signatures, *leaf, &keys, Kind::Document, origin, file).collect();
            let met = self.authority.judge(Role::Document, *leaf, &signed);
            if !is_late(*leaf) && met.is_met() {
                self.documents.insert(name.clone(), LoggedDocument { leaf: *leaf, file: *file });
            } else {
                self.void.push((*leaf, format!("a document that does not count: {}", met.reason())));
            }
        }
    }
}

impl History {
    /// Returns a bundle of the log.
    pub fn bundle(&self, id: BundleId) -> Option<&LoggedBundle> {
        self.by_id.get(&id).map(|at| &self.bundles[*at])
    }

    /// Returns the bundle that holds now what `id` held; none where nothing is left, or the log does not have it.
    pub fn holder(&self, id: BundleId) -> Option<&LoggedBundle> {
        let mut bundle = self.bundle(id)?;
        while let Some(replacement) = bundle.replaced {
            bundle = self.bundle(replacement.new?)?;
        }
        Some(bundle)
    }

    /// Returns the place of a bundle: its first leaf, or that of the first bundle of its line.
    pub fn place(&self, bundle: &LoggedBundle) -> LeafIndex {
        bundle.line.and_then(|first| self.bundle(first)).map_or(bundle.place, |first| first.place)
    }

    /// Walks the bundles of which a file must be there: those that count and that none has replaced.
    pub fn held(&self) -> impl Iterator<Item = &LoggedBundle> {
        self.bundles.iter().filter(|bundle| bundle.counts() && bundle.replaced.is_none())
    }

    /// Walks the places of the archive, in order: the first bundle of each line that counts, and the one that holds its articles now.
    pub fn lines(&self) -> impl Iterator<Item = (&LoggedBundle, Option<&LoggedBundle>)> {
        let first = self.bundles.iter().filter(|bundle| bundle.counts() && bundle.facts.replaces.is_empty());
        first.map(|bundle| (bundle, self.holder(bundle.id)))
    }

    /// Returns the bundles of a line from its first one to the holder.
    pub fn descent(&self, first: BundleId) -> Vec<&LoggedBundle> {
        let mut line: Vec<&LoggedBundle> = self.bundle(first).into_iter().collect();
        while let Some(next) = line.last().and_then(|bundle| self.bundle(bundle.replaced?.new?)) {
            line.push(next);
        }
        line
    }

    /// Says whether nothing is left of what a bundle held.
    pub fn is_gone(&self, first: BundleId) -> bool {
        self.descent(first).last().is_some_and(|last| last.replaced.is_some_and(|replaced| replaced.new.is_none()))
    }

    /// A bundle was read and is not what is left of the one whose place it was to take: that one keeps its place.
    pub fn refuse(&mut self, new: BundleId) {
        for at in 0..self.bundles.len() {
            if self.bundles[at].replaced.is_some_and(|replaced| replaced.new == Some(new)) {
                self.bundles[at].replaced = None;
            }
        }
        if let Some(at) = self.by_id.get(&new) {
            let why = "is not what is left of the bundle whose place it was to take";
            self.bundles[*at].standing = Standing::Void(why.into());
            self.void.push((self.bundles[*at].place, why.into()));
        }
    }

    /// Returns what each of the articles of a line's first bundle became, as far as the bundle `to` of the line.
    pub fn line(&self, first: &LoggedBundle, to: Option<BundleId>) -> Line {
        let mut line = Line { kept: (0..first.facts.articles).collect(), removed: Vec::new() };
        let mut bundle = first;
        while let Some(replacement) = bundle.replaced.filter(|_| Some(bundle.id) != to) {
            for removed in self.replaced_by(bundle.id).into_iter().flat_map(|replaced| replaced.removed.iter().rev()) {
                let at = usize::try_from(removed.position).ok().filter(|at| *at < line.kept.len());
                if let Some(at) = at {
                    line.removed.push((line.kept.remove(at), *removed));
                }
            }
            match replacement.new.and_then(|new| self.bundle(new)) {
                Some(new) => bundle = new,
                None => break,
            }
        }
        line
    }

    /// Returns the id of a withdrawn article by its digest, where a statement tells it.
    pub fn clear_id(&self, key: &Digest) -> Option<&str> {
        self.statements.iter().rev().find_map(|logged| logged.statement.as_ref()?.clear_id(key))
    }

    /// Returns what the statement that counts says of a bundle that was replaced.
    fn replaced_by(&self, old: BundleId) -> Option<&Replaced> {
        let at = self.bundle(old)?.replaced?.leaf;
        let logged = self.statements.iter().find(|logged| logged.leaf == at)?;
        logged.statement.as_ref()?.bundles.iter().find(|replaced| replaced.old == old)
    }

    /// W1: says whether a replacement holds just what is left of the bundle before it, by the leaves of its article tree: put back, the
    /// removed ones lead to the root that was signed first.
    pub fn is_rest(&self, new: &LoggedBundle, leaves: &[Digest]) -> bool {
        let [old] = new.facts.replaces[..] else { return false };
        let (Some(before), Some(replaced)) = (self.bundle(old), self.replaced_by(old)) else { return false };
        replaced.new == Some(new.id) && replaced.put_back(leaves) == Some((before.facts.root, before.facts.articles))
    }

    /// Returns a digest of which bundles below `size` count: a policy may change that afterwards.
    pub fn standing(&self, size: u64) -> Digest {
        let mut hasher = Hasher::new();
        for bundle in self.bundles.iter().filter(|bundle| bundle.place.0 < size && bundle.facts.replaces.is_empty()) {
            hasher.update(bundle.id.0.as_bytes());
            hasher.update(&[u8::from(bundle.counts())]);
        }
        hasher.finish()
    }

    /// W3: from which place on an article is shown, by the digest of its id: every place, those from a leaf on, or none while a statement
    /// stands. `holds` says whether a bundle that reinstates holds it.
    pub fn shown_from(
        &self,
        id: &Digest,
        holds: &dyn Fn(&LoggedBundle) -> bool,
    ) -> Result<LeafIndex, &LoggedStatement> {
        let mut from = LeafIndex(0);
        for logged in &self.statements {
            let Some(statement) = &logged.statement else { continue };
            if statement.ids.binary_search(id).is_err() {
                continue;
            }
            let again = self.reinstating.get(&logged.digest).into_iter().flatten().map(|at| &self.bundles[*at]);
            let again = again.filter(|bundle| bundle.place > logged.leaf && holds(bundle)).map(|bundle| bundle.place);
            from = from.max(again.min().ok_or(logged)?);
        }
        Ok(from)
    }
}

/// Returns the signatures that are good and by a key that may count.
fn signed_by<'a>(
    signatures: &'a [LeafSignature],
    leaf: LeafIndex,
    keys: &'a HashMap<[u8; 32], PublicKey>,
    kind: Kind,
    origin: &'a Origin,
    digest: &'a Digest,
) -> impl Iterator<Item = Signed> + 'a {
    let good = move |signature: &&LeafSignature| {
        keys.get(&signature.key).is_some_and(|key| logged::is_by(signature, key, kind, origin, digest))
    };
    signatures.iter().filter(good).map(move |signature| Signed { leaf, key: signature.key })
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

/// Reads the `.minisig` files that a bundle's leaf makes of signatures: those of these keys, made for this archive.
pub fn leaf_signatures(files: &[Vec<u8>], keys: &[PublicKey], manifest: &[u8], origin: &Origin) -> Vec<LeafSignature> {
    let mut kept = Vec::new();
    for file in files {
        let by = keys.iter().find(|key| is_signed(file, key, manifest, Kind::Manifest, origin));
        if let (Some(key), Ok(signature)) = (by, Signature::decode(file)) {
            kept.extend(logged::keep(key, &signature));
        }
    }
    crate::format::leaf::ordered(kept)
}
