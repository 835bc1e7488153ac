//! The Merkle tree of RFC 6962 and 9162: hashes of leaves and nodes, proofs of inclusion and consistency, computed and checked.
//!
//! Pure: where the hashes of a large tree lie is the caller's affair, who hands them in by level and number ([`Nodes`]). Proofs are checked by
//! RFC 9162 §2.1.3.2 and §2.1.4.2; surplus or missing hashes are refused.

use crate::digest::{DIGEST_BYTES, Digest, Hasher};

/// The most hashes that a proof may have.
pub const MAX_PROOF_HASHES: usize = 63;

/// Why a proof does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// The leaf would lie outside the tree.
    #[error("leaf {index} does not lie in a tree of {size} leaves")]
    Outside {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The old tree is larger than the new one, or empty.
    #[error("nothing can prove that a tree of {new} leaves extends one of {old}")]
    Shrunk {
        /// The old size.
        old: u64,
        /// The new size.
        new: u64,
    },
    /// More or fewer hashes than the proof must have.
    #[error("the proof has {found} hashes, which is not what it must have")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Where the hashes of complete subtrees come from.
pub trait Nodes {
    /// What may go wrong on the way.
    type Error;

    /// Returns the hash of the complete subtree of 2^`level` leaves with this number, counted from 0 on its level.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn node(&mut self, level: u32, number: u64) -> Result<Digest, Self::Error>;
}

/// Returns the hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(leaf);
    hasher.finish()
}

/// Returns the hash of a node.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [1; 1 + 2 * DIGEST_BYTES];
    bytes[1..=DIGEST_BYTES].copy_from_slice(left.as_bytes());
    bytes[1 + DIGEST_BYTES..].copy_from_slice(right.as_bytes());
    Digest::of(&bytes)
}

/// Returns the root of the tree without leaves.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// Returns the root of a tree of `size` leaves.
///
/// # Errors
/// Where a node cannot be had.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Digest, N::Error> {
    if size == 0 { Ok(empty_root()) } else { subtree(nodes, 0, size) }
}

/// Returns the proof that leaf `index` lies in the tree of `size` leaves.
///
/// # Errors
/// Where a node cannot be had; the index must be below the size.
pub fn prove_inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(subtree(nodes, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Returns the proof that the tree of `new` leaves extends the one of `old`; empty where either says all by itself.
///
/// # Errors
/// Where a node cannot be had; `old` must not be above `new`.
pub fn prove_consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    loop {
        if old == to {
            if !whole {
                proof.push(subtree(nodes, from, to)?);
            }
            break;
        }
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(subtree(nodes, from, middle)?);
            from = middle;
            whole = false;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` is leaf `index` of the tree with this size and root.
///
/// # Errors
/// Names why the proof does not prove it.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofFault> {
    if index >= size {
        return Err(ProofFault::Outside { index, size });
    }
    let too_long = ProofFault::Length { found: proof.len() };
    let (mut fnode, mut snode) = (index, size - 1);
    let mut hash = *leaf;
    for step in proof {
        if snode == 0 {
            return Err(too_long);
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node_hash(step, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                (fnode, snode) = (fnode >> 1, snode >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    match (snode, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofFault::Root),
        _ => Err(too_long),
    }
}

/// Checks that the tree of `new` leaves extends the tree of `old` leaves.
///
/// # Errors
/// Names why the proof does not prove it; that every tree extends the empty one needs no proof, so none is accepted for it.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofFault> {
    if old > new {
        return Err(ProofFault::Shrunk { old, new });
    }
    let length = ProofFault::Length { found: proof.len() };
    if old == 0 {
        return Err(ProofFault::Shrunk { old, new });
    }
    if old == new {
        return match (proof.is_empty(), old_root == new_root) {
            (false, _) => Err(length),
            (true, false) => Err(ProofFault::Root),
            (true, true) => Ok(()),
        };
    }
    let (first, rest) = match (old.is_power_of_two(), proof.split_first()) {
        (true, _) => (*old_root, proof),
        (false, Some((first, rest))) => (*first, rest),
        (false, None) => return Err(length),
    };
    let (mut fnode, mut snode) = (old - 1, new - 1);
    while fnode & 1 == 1 {
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    let (mut from, mut to) = (first, first);
    for step in rest {
        if snode == 0 {
            return Err(length);
        }
        if fnode & 1 == 1 || fnode == snode {
            from = node_hash(step, &from);
            to = node_hash(step, &to);
            while fnode & 1 == 0 && fnode != 0 {
                (fnode, snode) = (fnode >> 1, snode >> 1);
            }
        } else {
            to = node_hash(&to, step);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    match (snode, from == *old_root && to == *new_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofFault::Root),
        _ => Err(length),
    }
}

/// Appends a leaf's hash to a tree that is kept as its complete subtrees, the largest first, each with its number of leaves.
pub fn push(tree: &mut Vec<(u64, Digest)>, leaf: Digest) {
    let mut last = (1, leaf);
    while let Some((_, left)) = tree.pop_if(|(count, _)| *count == last.0) {
        last = (2 * last.0, node_hash(&left, &last.1));
    }
    tree.push(last);
}

/// Returns the root of a tree kept as [`push`] keeps it.
pub fn root_of(tree: &[(u64, Digest)]) -> Digest {
    let hashes = tree.iter().map(|(_, hash)| *hash).rev();
    hashes.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// Returns the largest power of two below `n`, which must be above one.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Returns the hash over leaves `from..to`, a stretch that a tree of `to` leaves or more has as a subtree at its right edge or whole.
fn subtree<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Digest, N::Error> {
    let count = to - from;
    if count.is_power_of_two() {
        let level = count.ilog2();
        return nodes.node(level, from >> level);
    }
    let middle = from + split(count);
    Ok(node_hash(&subtree(nodes, from, middle)?, &subtree(nodes, middle, to)?))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// All leaves at hand, every node reckoned anew: slow and plain.
    struct Plain(Vec<Digest>);

    impl Nodes for Plain {
        type Error = Infallible;

        fn node(&mut self, level: u32, number: u64) -> Result<Digest, Infallible> {
            Ok(match level {
                0 => self.0[number as usize],
                _ => node_hash(&self.node(level - 1, 2 * number)?, &self.node(level - 1, 2 * number + 1)?),
            })
        }
    }

    fn tree(size: u64) -> Plain {
        Plain((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    #[test]
    fn the_empty_tree_has_the_root_of_rfc_6962() {
        let published = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(root(&mut tree(0), 0).unwrap().to_string(), published);
    }

    proptest! {
        #[test]
        fn what_is_proved_is_verified_and_nothing_else(size in 1_u64..300, index in 0_u64..300, old in 0_u64..300) {
            let (index, old) = (index % size, old % (size + 1));
            let mut tree = tree(size);
            let Ok(new_root) = root(&mut tree, size);
            let mut pushed = Vec::new();
            tree.0.iter().for_each(|leaf| push(&mut pushed, *leaf));
            prop_assert_eq!(root_of(&pushed), new_root);
            let Ok(mut proof) = prove_inclusion(&mut tree, index, size);
            let leaf = tree.0[index as usize];
            prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &new_root), Ok(()));
            prop_assert!(verify_inclusion(&empty_root(), index, size, &proof, &new_root).is_err());
            proof.push(leaf);
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &new_root).is_err());
            let Ok(old_root) = root(&mut tree, old);
            let Ok(mut proof) = prove_consistency(&mut tree, old, size);
            if old > 0 {
                prop_assert_eq!(verify_consistency(old, size, &old_root, &new_root, &proof), Ok(()));
                prop_assert!(verify_consistency(old, size, &leaf_hash(b"other"), &new_root, &proof).is_err());
            }
            proof.push(leaf);
            prop_assert!(verify_consistency(old, size, &old_root, &new_root, &proof).is_err());
        }
    }
}
