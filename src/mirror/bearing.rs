//! Whether what the log says is borne out: documents and policies by their digests, withdrawals by their signatures and by what they leave.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::archive::policies::{Version, read_version};
use crate::archive::{DOCUMENTS, layout};
use crate::digest::Digest;
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};
use crate::ids::BundleId;
use crate::keys::Kind;
use crate::trust::authority::{Authority, Logged as LoggedSignature};
use crate::trust::policy::Role;

use super::plan::{Logged, Plan};
use super::sync::{Head, Work};
use super::{Error, bundle};

/// The longest document of an archive, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 1 << 20;
/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

impl Work<'_> {
    /// Reads documents and policies that the log has.
    pub(super) fn small_files(&self, head: &Head<'_>, plan: &Plan) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        for (name, (index, digest)) in &plan.documents {
            // What this vellum knows need not be fetched.
            let known = DOCUMENTS.iter().find(|(known, text)| known == name && Digest::of(text.as_bytes()) == *digest);
            let bytes = match known {
                Some((_, text)) => text.as_bytes().to_vec(),
                None => head.store.read(name, MAX_DOCUMENT_BYTES)?,
            };
            if Digest::of(&bytes) != *digest {
                return Err(Error::Leaf {
                    index: *index,
                    detail: format!("{name} is not the document that was logged"),
                });
            }
            files.push((name.clone(), bytes));
        }
        let newest = plan.policies.iter().max_by_key(|(_, number, _)| *number);
        if let (Some(policy), Some((index, number, _))) = (head.vouched.authority.policy(), newest)
            && policy.version < *number
        {
            let detail = format!("the log has policy {number}, the origin gives {} at most", policy.version);
            return Err(Error::Leaf { index: *index, detail });
        }
        let mut before: Option<Version> = None;
        for (index, number, digest) in &plan.policies {
            let known = head.vouched.versions.iter().find(|version| version.policy.version == *number).cloned();
            let version = match known {
                Some(version) => Some(version),
                None => read_version(head.store, *number, before.as_ref().map(|version| &version.policy))?,
            };
            match version {
                Some(version) if version.policy.digest == *digest => {
                    files.extend(version.files.iter().cloned());
                    before = Some(version);
                }
                _ => {
                    let detail = format!("policy {number} is not the one that was logged");
                    return Err(Error::Leaf { index: *index, detail });
                }
            }
        }
        Ok(files)
    }

    /// Reads the statements that the new leaves have, each signed by who may withdraw.
    pub(super) fn statements(
        &self,
        head: &Head<'_>,
        plan: &Plan,
        authority: &Authority,
        files: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<(u64, Withdrawal)>, Error> {
        let mut statements = Vec::new();
        for withdrawn in &plan.withdrawn {
            let index = withdrawn.index;
            let bad = |detail: String| Error::Leaf { index, detail };
            let place = layout::statement(&withdrawn.statement);
            let bytes = head.store.read(&place, MAX_WITHDRAWAL_BYTES)?;
            if Digest::of(&bytes) != withdrawn.statement {
                return Err(bad(format!("{place} is not the statement that was logged")));
            }
            let statement = Withdrawal::decode(&bytes).map_err(|fault| bad(fault.to_string()))?;
            if statement.archive != *self.options.name {
                return Err(bad(format!("a statement about the archive {}", statement.archive)));
            }
            let mut signatures = Vec::new();
            for key in authority.keys(Role::Withdraw) {
                let place = layout::statement_signature(&withdrawn.statement, &key.key.id().to_string());
                match head.store.read(&place, MAX_SIGNATURE_BYTES) {
                    Err(error) if error.is_not_found() => {}
                    other => signatures.push((place, key.key, other?)),
                }
            }
            let logged: Vec<_> = signatures
                .iter()
                .map(|(_, key, bytes)| {
                    let leaf = (*key.as_bytes(), Digest::of(bytes));
                    LoggedSignature { bytes, index: withdrawn.signatures.contains(&leaf).then_some(index) }
                })
                .collect();
            let met = authority.judge((Role::Withdraw, Kind::Withdraw), &bytes, &logged, self.options.name);
            if !met.is_met() {
                return Err(bad(format!("the withdrawal of {:?} does not count: {}", statement.article, met.reason())));
            }
            files.push((place, bytes));
            files.extend(signatures.into_iter().map(|(place, _, bytes)| (place, bytes)));
            statements.push((index, statement));
        }
        Ok(statements)
    }

    /// Checks that a return to an earlier revision names a bundle that holds it.
    pub(super) fn check_returns(
        &self,
        plan: &Plan,
        whole: &Plan,
        statements: &[(u64, Withdrawal)],
    ) -> Result<(), Error> {
        let mut read: HashMap<BundleId, HashSet<(Digest, Digest)>> = HashMap::new();
        for (index, id, key, lines) in &plan.returns {
            let holder = self.holder(*id, statements);
            let Some(logged) = holder.and_then(|holder| whole.bundle(holder)) else {
                return Err(Error::Leaf { index: *index, detail: "is of a bundle that the log does not have".into() });
            };
            let held = match read.entry(logged.id) {
                Entry::Occupied(held) => held.into_mut(),
                Entry::Vacant(place) => place.insert(self.articles(logged)?),
            };
            if !held.contains(&(*key, *lines)) {
                let withdrawn = statements.iter().any(|(_, s)| Digest::of(s.article.as_bytes()) == *key);
                if !withdrawn {
                    return Err(Error::Leaf {
                        index: *index,
                        detail: "is of an article that its bundle does not hold".into(),
                    });
                }
            }
        }
        Ok(())
    }

    fn holder(&self, mut id: BundleId, statements: &[(u64, Withdrawal)]) -> Option<BundleId> {
        for (_, statement) in statements {
            if let Some((_, new)) = statement.bundles.iter().find(|(old, _)| *old == id) {
                id = (*new)?;
            }
        }
        Some(id)
    }

    fn articles(&self, logged: &Logged) -> Result<HashSet<(Digest, Digest)>, Error> {
        bundle::articles(&self.mirror.open(&layout::bundle(logged.id, &logged.file))?)
    }

    /// Checks that each replacement holds all that was in the bundle whose place it takes, but for what was withdrawn.
    pub(super) fn check_replacements(&self, statements: &[(u64, Withdrawal)], whole: &Plan) -> Result<(), Error> {
        let withdrawn = self.withdrawn_ids(statements, whole)?;
        let replaced: HashSet<BundleId> =
            statements.iter().flat_map(|(_, s)| s.bundles.iter().map(|(old, _)| *old)).collect();
        for (index, statement) in statements {
            for (old, new) in &statement.bundles {
                let bad = |detail: String| Error::Leaf { index: *index, detail };
                let must = whole.articles_of(*old);
                if whole.bundle(*old).is_none() {
                    return Err(bad(format!("replaces bundle {old}, which the log does not have")));
                }
                let held = match new {
                    None => HashSet::new(),
                    Some(new) => {
                        let replacement = whole.bundle(*new).filter(|logged| logged.replaces == Some(*old));
                        let Some(replacement) = replacement else {
                            return Err(bad(format!("the log has no bundle that takes the place of {old}")));
                        };
                        // What was replaced again is judged by what took its place in the end.
                        if replaced.contains(new) {
                            continue;
                        }
                        self.articles(replacement)?
                    }
                };
                let lost = must.iter().find(|article| !withdrawn.contains(&article.0) && !held.contains(article));
                if lost.is_some() {
                    let detail =
                        format!("withdraws {:?}, and other articles of bundle {old} would go too", statement.article);
                    return Err(bad(detail));
                }
            }
        }
        Ok(())
    }

    /// Returns the digests of the ids of all articles that were ever withdrawn.
    fn withdrawn_ids(&self, statements: &[(u64, Withdrawal)], whole: &Plan) -> Result<HashSet<Digest>, Error> {
        let mut ids: HashSet<_> = statements.iter().map(|(_, s)| Digest::of(s.article.as_bytes())).collect();
        for statement in self.earlier_statements(whole)? {
            ids.insert(Digest::of(statement.1.article.as_bytes()));
        }
        Ok(ids)
    }

    /// Reads the statements that are held already.
    pub(super) fn earlier_statements(&self, whole: &Plan) -> Result<Vec<(u64, Withdrawal)>, Error> {
        let mut found = Vec::new();
        for withdrawn in &whole.withdrawn {
            let place = layout::statement(&withdrawn.statement);
            if !self.mirror.exists(&place) {
                continue;
            }
            let statement = Withdrawal::decode(&self.mirror.read(&place, MAX_WITHDRAWAL_BYTES)?);
            found.extend(statement.ok().map(|statement| (withdrawn.index, statement)));
        }
        Ok(found)
    }

    /// Returns the bundles, by id and leaf, whose place others took already.
    pub(super) fn replaced_before(&self, whole: &Plan) -> Result<HashSet<(BundleId, u64)>, Error> {
        let mut gone = HashSet::new();
        for (index, statement) in self.earlier_statements(whole)? {
            for logged in &whole.bundles {
                if logged.index < index && statement.bundles.iter().any(|(old, _)| *old == logged.id) {
                    gone.insert((logged.id, logged.index));
                }
            }
        }
        Ok(gone)
    }
}
