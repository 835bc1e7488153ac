//! A publisher gathers what witnesses say of its checkpoint, from the mirrors that they keep. (C2SP tlog-cosignature)

use crate::archive::{Archive, Head, Lock, Log, Pin, Vouched};
use crate::format::checkpoint;
use crate::keys::VerifierKey;
use crate::run::Run;
use crate::store::{Store, Write};

use super::fetch::chain;
use super::fork::{keep_evidence, prove_fork};
use super::{Dropped, Error};

/// What came of gathering.
#[derive(Debug, Default)]
pub struct Collected {
    /// Witnesses whose cosignatures are new.
    pub new: Vec<String>,
    /// Mirrors that gave none, and why.
    pub without: Vec<Dropped>,
    /// Mirrors whose checkpoint contradicts this archive's; both are kept.
    pub forks: Vec<Dropped>,
}

/// Gathers cosignatures of this archive's checkpoint from mirrors, and adds those of the policy's witnesses and of `more`.
///
/// # Errors
/// Where the archive's own checkpoint cannot be read or written.
pub fn collect(
    archive: &Archive,
    pin: &Pin,
    mirrors: &[Store],
    more: &[VerifierKey],
    who: &str,
    run: Run<'_>,
) -> Result<Collected, Error> {
    let store = archive.store();
    let _lock = Lock::take(store, who, run.clock)?;
    // Only now: the checkpoint is written again with its cosignatures, and a publisher may have replaced it before the lock was free.
    let vouched = archive.vouched(pin, run)?;
    let witnesses: Vec<&VerifierKey> = vouched.witnesses().iter().map(|witness| &witness.key).chain(more).collect();
    let (own, mut note) = (&vouched.checkpoint, vouched.note.clone());
    let mut collected = Collected::default();
    for mirror in mirrors {
        let without = |why: String| Dropped { origin: mirror.name(), why };
        let theirs = match Head::read(mirror, archive.origin(), &pin_of(&vouched)) {
            Ok(theirs) => theirs,
            Err(error) => {
                collected.without.push(without(chain(&error)));
                continue;
            }
        };
        let (size, root) = (theirs.checkpoint.size, theirs.checkpoint.root);
        let fork = match size.cmp(&own.size) {
            std::cmp::Ordering::Less => archive.log(own).root(size)? != root,
            std::cmp::Ordering::Equal => root != own.root,
            std::cmp::Ordering::Greater => match Log::new(mirror, size).signed(root).root(own.size) {
                Ok(at_own) => at_own != own.root,
                Err(error) => {
                    collected.without.push(without(chain(&error)));
                    continue;
                }
            },
        };
        if fork {
            // Either side's tiles may tell where they part; without them the two signatures alone do, where the sizes are equal.
            let (smaller, larger, log) = match size < own.size {
                true => (&theirs.checkpoint, own, archive.log(own)),
                false => (own, &theirs.checkpoint, Log::new(mirror, size)),
            };
            let proof = (smaller.size < larger.size).then(|| prove_fork(log, smaller.size).ok()).flatten();
            let heads = [(&theirs.checkpoint, &theirs.note), (own, &vouched.note)];
            let evidence = keep_evidence(store, heads, larger, proof)?;
            let why = format!("has another history, of {size} leaves; both checkpoints are kept in {evidence}");
            collected.forks.push(without(why));
            continue;
        }
        if size > own.size {
            collected.without.push(without(format!("is ahead, with {size} leaves; {} are here", own.size)));
            continue;
        }
        if size < own.size {
            collected.without.push(without(format!("is behind, with {size} of {} leaves", own.size)));
            continue;
        }
        let mut any = false;
        for witness in witnesses.iter().copied() {
            any |= theirs.note.cosigned(witness).is_ok_and(|time| time.is_some());
            if note.take_cosignature(&theirs.note, witness).unwrap_or(false) {
                collected.new.push(witness.name().to_owned());
            }
        }
        if !any {
            collected.without.push(without("no cosignature by a known witness".into()));
        }
    }
    if !collected.new.is_empty() {
        store.put(checkpoint::NAME, note.to_string().as_bytes(), Write::Replace)?;
    }
    Ok(collected)
}

/// What vouches for a mirror's checkpoint is what vouches for the archive's own.
fn pin_of(vouched: &Vouched) -> Pin {
    Pin::Keys { keys: Vec::new(), log: vouched.log_key.clone() }
}
