//! The leaves of a log, read on all threads and sorted by what they are about. A leaf that cannot be read is void; nothing here judges.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::format::leaf::{Leaf, LeafSignature};
use crate::format::tile::TILE_WIDTH;
use crate::ids::{BundleId, LeafIndex, Origin};
use crate::keys::PUBLIC_KEY_BYTES;
use crate::merkle;
use crate::pipeline::ordered;
use crate::run::Run;

use super::super::{Error, Log};
use super::{Facts, Form, LoggedBundle, Standing};

/// For how many bundles more there is room, at least, when there is none left.
const MIN_MORE_BUNDLES: usize = 1024;

/// The signatures that a leaf of a bundle carries.
pub(super) struct Carried {
    pub(super) leaf: LeafIndex,
    /// The keys whose signatures were found good.
    pub(super) good: Vec<[u8; PUBLIC_KEY_BYTES]>,
    /// Those by keys that nobody has asked for.
    pub(super) unchecked: Vec<LeafSignature>,
}

/// The leaves of a log, sorted by what they are about.
#[derive(Default)]
pub(super) struct Leaves {
    /// How many there are.
    pub(super) size: u64,
    /// Their tree, as [`merkle::push`] keeps it.
    pub(super) tree: Vec<(u64, Digest)>,
    pub(super) bundles: Vec<LoggedBundle>,
    /// Of each bundle, what its leaves carry.
    pub(super) carried: Vec<Vec<Carried>>,
    pub(super) by_id: HashMap<BundleId, usize>,
    pub(super) withdraw: Vec<(LeafIndex, Digest, Vec<LeafSignature>)>,
    pub(super) policies: Vec<(LeafIndex, u64, Digest, Vec<LeafSignature>)>,
    pub(super) documents: Vec<(LeafIndex, String, Digest, Vec<LeafSignature>)>,
    pub(super) void: Vec<(LeafIndex, String)>,
}

/// A leaf of a tile: its hash, and what it says.
type Read = (Digest, Parsed);

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
    /// Reads the leaves after those that are known; all of them must lead to the root that was signed.
    pub(super) fn read(log: &Log<'_>, origin: &Origin, known: Self, run: Run<'_>) -> Result<Self, Error> {
        let mut leaves = known;
        ordered(
            run.threads,
            leaves.size / TILE_WIDTH..log.tiles_of_entries(),
            || {
                |number| {
                    let (first, entries) = log.entries_of(number)?;
                    let parse = |(index, bytes): (u64, &Vec<u8>)| {
                        (merkle::leaf_hash(bytes), parse(LeafIndex(index), bytes, origin))
                    };
                    Ok((first, (first..).zip(&entries).map(parse).collect()))
                }
            },
            |read: Result<(u64, Vec<Read>), Error>| {
                let (first, read) = read?;
                for (index, (hash, parsed)) in (first..).zip(read) {
                    if index == leaves.size {
                        leaves.size += 1;
                        merkle::push(&mut leaves.tree, hash);
                        leaves.take(LeafIndex(index), parsed);
                    }
                }
                Ok::<_, Error>(())
            },
        )?;
        log.leads_to(&merkle::root_of(&leaves.tree))?;
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
                    let (replaced, line, forms, signed) = (None, None, Vec::with_capacity(1), Vec::new());
                    let bundle =
                        LoggedBundle { id, place: index, facts: *facts, forms, signed, standing, replaced, line };
                    if self.bundles.len() == self.bundles.capacity() {
                        // Twice as much, as a vector takes by itself, is more than a long log needs.
                        let more = MIN_MORE_BUNDLES.max(self.bundles.len() / 8);
                        self.bundles.reserve_exact(more);
                        self.carried.reserve_exact(more);
                    }
                    self.bundles.push(bundle);
                    self.carried.push(Vec::with_capacity(1));
                    self.bundles.len() - 1
                });
                if !self.bundles[at].forms.iter().any(|known| known.file == form.file) {
                    self.bundles[at].forms.push(form);
                }
                self.carried[at].push(Carried { leaf: index, good: Vec::new(), unchecked: signatures });
            }
            Parsed::Other(Leaf::Signature { bundle, signatures }) => match self.by_id.get(&bundle) {
                Some(at) => {
                    self.carried[*at].push(Carried { leaf: index, good: Vec::new(), unchecked: signatures });
                }
                None => self.void.push((index, "signs a bundle that no leaf before it names".into())),
            },
            Parsed::Other(other) => self.take_other(index, other),
        }
    }

    /// Takes a leaf that is about no bundle.
    pub(super) fn take_other(&mut self, index: LeafIndex, leaf: Leaf) {
        match leaf {
            Leaf::Withdraw { statement, signatures } => self.withdraw.push((index, statement, signatures)),
            Leaf::Policy { version, file, signatures } => self.policies.push((index, version, file, signatures)),
            Leaf::Document { name, file, signatures } => self.documents.push((index, name, file, signatures)),
            Leaf::Bundle { .. } | Leaf::Signature { .. } => {}
        }
    }

    /// Returns the leaves that are about no bundle.
    pub(super) fn others(&self) -> impl Iterator<Item = (LeafIndex, Leaf)> {
        let withdraw = self.withdraw.iter().map(|(index, statement, signatures)| {
            (*index, Leaf::Withdraw { statement: *statement, signatures: signatures.clone() })
        });
        let policies = self.policies.iter().map(|(index, version, file, signatures)| {
            (*index, Leaf::Policy { version: *version, file: *file, signatures: signatures.clone() })
        });
        let documents = self.documents.iter().map(|(index, name, file, signatures)| {
            (*index, Leaf::Document { name: name.clone(), file: *file, signatures: signatures.clone() })
        });
        withdraw.chain(policies).chain(documents)
    }
}
