//! What counts of a log's bundles, statements and documents, once it is known which policies do. (FORMAT.md, "The log" and "Withdrawal")

use std::collections::{HashMap, HashSet};

use crate::digest::Digest;
use crate::format::leaf::LeafSignature;
use crate::format::withdrawal::{Replaced, Withdrawal};
use crate::ids::{LeafIndex, Origin};
use crate::keys::{Kind, PUBLIC_KEY_BYTES, PublicKey};
use crate::pipeline::ordered;
use crate::run::Run;
use crate::trust::authority::{Authority, Signed};
use crate::trust::logged;
use crate::trust::policy::Role;

use super::super::{Error, Log, Pin, layout};
use super::leaves::{Carried, Leaves};
use super::{History, LoggedBundle, LoggedDocument, LoggedStatement, Papers, Replacement, Standing, known};

/// Bundles whose signatures are checked by one job.
const BUNDLES_A_JOB: usize = 64;

impl History {
    /// Folds a log whose head has been believed.
    ///
    /// # Errors
    /// Where the log's files cannot be read, or [`super::HistoryFault`] says why it is not the one that is vouched for; nothing that a leaf says
    /// is an error.
    pub fn read(
        log: &mut Log<'_>,
        origin: &Origin,
        pin: &Pin,
        papers: &dyn Papers,
        run: Run<'_>,
    ) -> Result<Self, Error> {
        let (mut leaves, known) = Self::leaves(log, origin, run)?;
        let mut history = Self { size: log.size(), void: leaves.void.clone(), ..Self::default() };
        history.read_policies(&leaves.policies, log, origin, pin, papers)?;
        let closed = history.authority.closed_at();
        let is_late = |leaf: LeafIndex| closed.is_some_and(|closed| leaf > closed);
        let checked = history.check_signatures(&mut leaves, origin, run)?;
        if let Some(path) = log.known() {
            known::keep(path, &leaves, checked.max(leaves.size - known), run);
        }
        (history.bundles, history.by_id) = (leaves.bundles, leaves.by_id);
        history.judge_bundles(leaves.carried, &is_late);
        history.judge_statements(&leaves.withdraw, origin, papers, &is_late)?;
        history.settle_replacements();
        history.judge_documents(&leaves.documents, origin, &is_late);
        history.void.sort_by_key(|(leaf, _)| *leaf);
        Ok(history)
    }

    /// Reads the leaves, and says how many of them were known.
    fn leaves(log: &Log<'_>, origin: &Origin, run: Run<'_>) -> Result<(Leaves, u64), Error> {
        let known = log.known().and_then(|path| known::read(path, run)).filter(|known| known.size <= log.size());
        if let Some(known) = known {
            let size = known.size;
            // What is known may be of another log; what is there is read then.
            if let Ok(leaves) = Leaves::read(log, origin, known, run) {
                return Ok((leaves, size));
            }
        }
        Ok((Leaves::read(log, origin, Leaves::default(), run)?, 0))
    }

    /// Checks the signatures of bundles that nobody has checked, by all keys that may count; says how many there were.
    fn check_signatures(&self, leaves: &mut Leaves, origin: &Origin, run: Run<'_>) -> Result<u64, Error> {
        let keys = keys_of(&self.authority);
        let mut unchecked = leaves.bundles.iter().zip(&mut leaves.carried).filter(|(_, carried)| {
            let mut signatures = carried.iter().flat_map(|carried| &carried.unchecked);
            signatures.any(|signature| keys.contains_key(&signature.key))
        });
        let jobs = std::iter::from_fn(|| {
            let job: Vec<_> = unchecked.by_ref().take(BUNDLES_A_JOB).collect();
            (!job.is_empty()).then_some(job)
        });
        let mut checked = 0;
        ordered(
            run.threads,
            jobs,
            || {
                |job: Vec<(&LoggedBundle, &mut Vec<Carried>)>| {
                    let mut checked = 0;
                    for (bundle, carried) in
                        job.into_iter().flat_map(|(bundle, all)| all.iter_mut().map(move |it| (bundle, it)))
                    {
                        let by_known = |signature: &mut LeafSignature| keys.contains_key(&signature.key);
                        let asked: Vec<_> = carried.unchecked.extract_if(.., by_known).collect();
                        checked += asked.len() as u64;
                        let signed = signed_by(&asked, carried.leaf, &keys, Kind::Manifest, origin, &bundle.id.0);
                        carried.good.extend(signed.map(|signed| signed.key));
                    }
                    checked
                }
            },
            |some: u64| {
                checked += some;
                Ok::<_, Error>(())
            },
        )?;
        Ok(checked)
    }

    /// L3, L4: who has signed each bundle, by leaves that count.
    fn judge_bundles(&mut self, carried: Vec<Vec<Carried>>, is_late: &dyn Fn(LeafIndex) -> bool) {
        let keys = keys_of(&self.authority);
        let signed_by = |carried: Vec<Carried>| -> Vec<Signed> {
            let in_time = carried.into_iter().filter(|carried| !is_late(carried.leaf));
            let signed =
                in_time.flat_map(|Carried { leaf, good, .. }| good.into_iter().map(move |key| Signed { leaf, key }));
            signed.filter(|signed| keys.contains_key(&signed.key)).collect()
        };
        let signed = carried.into_iter().map(signed_by);
        for (at, (bundle, signed)) in self.bundles.iter_mut().zip(signed).enumerate() {
            if is_late(bundle.place) {
                bundle.standing = Standing::Void("was logged after the archive was closed".into());
            } else if bundle.facts.replaces.is_empty() && bundle.counts() {
                let met = self.authority.judge(Role::Publish, bundle.place, &signed);
                if !met.is_met() {
                    bundle.standing = Standing::Void(met.reason());
                }
            }
            if !bundle.facts.reinstates.is_empty()
                && bundle.counts()
                && self.authority.judge(Role::Withdraw, bundle.place, &signed).is_met()
            {
                let statements = bundle.facts.reinstates.iter();
                statements.for_each(|statement| self.reinstating.entry(*statement).or_default().push(at));
            }
            bundle.signed = signed;
        }
    }

    /// W1, as far as the log tells: which statements count, and which bundles take the place of which.
    fn judge_statements(
        &mut self,
        logged: &[(LeafIndex, Digest, Vec<LeafSignature>)],
        origin: &Origin,
        papers: &dyn Papers,
        is_late: &dyn Fn(LeafIndex) -> bool,
    ) -> Result<(), Error> {
        let keys = keys_of(&self.authority);
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
            if seen.contains(digest) {
                void("is of a statement that was logged before".into());
                continue;
            }
            let place = layout::statement(digest);
            let Some(bytes) = papers.statement(digest)? else {
                self.missing.push(place);
                let (leaf, digest) = (*leaf, *digest);
                seen.insert(digest);
                self.statements.push(LoggedStatement { leaf, digest, met, signed, statement: None, void: Vec::new() });
                continue;
            };
            let statement = match Withdrawal::decode(&bytes) {
                Ok(statement) if statement.archive == *origin && statement.size <= leaf.0 => statement,
                Ok(_) => {
                    void("is of a statement for another archive, or made on a later log".into());
                    self.refused_statements.push(*digest);
                    continue;
                }
                Err(fault) => {
                    void(fault.to_string());
                    self.refused_statements.push(*digest);
                    continue;
                }
            };
            seen.insert(*digest);
            let mut none = Vec::new();
            for replaced in &statement.bundles {
                match self.replacement(replaced, &statement) {
                    Ok(at) => self.bundles[at].replaced = Some(Replacement { leaf: *leaf, new: replaced.new }),
                    Err(why) => none.push((replaced.old, why)),
                }
            }
            let (leaf, digest, statement) = (*leaf, *digest, Some(statement));
            self.statements.push(LoggedStatement { leaf, digest, met, signed, statement, void: none });
        }
        Ok(())
    }

    /// Checks what the log tells of a replacement; returns which bundle is replaced.
    fn replacement(&self, replaced: &Replaced, statement: &Withdrawal) -> Result<usize, String> {
        let at = self.by_id.get(&replaced.old).copied();
        let Some(at) = at.filter(|at| self.bundles[*at].place.0 < statement.size) else {
            return Err("the log did not have it when the statement was made".into());
        };
        if !statement.names_removed(replaced) {
            return Err("an article that is taken out is none of those that the statement names".into());
        }
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
        let keys = keys_of(&self.authority);
        for (leaf, name, file, signatures) in logged {
            let signed: Vec<_> = signed_by(signatures, *leaf, &keys, Kind::Document, origin, file).collect();
            let met = self.authority.judge(Role::Document, *leaf, &signed);
            if !is_late(*leaf) && met.is_met() {
                let first = self.documents.get(name).map_or(*leaf, |before| before.first);
                self.documents.insert(name.clone(), LoggedDocument { leaf: *leaf, first, file: *file, signed });
            } else {
                self.void.push((*leaf, format!("a document that does not count: {}", met.reason())));
            }
        }
    }
}

/// Returns the keys that may count, by their bytes.
fn keys_of(authority: &Authority) -> HashMap<[u8; PUBLIC_KEY_BYTES], PublicKey> {
    authority.keys().into_iter().map(|trusted| (*trusted.key.as_bytes(), trusted.key)).collect()
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
