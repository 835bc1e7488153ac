//! The article tree: RFC 6962's over the articles of a bundle, whose root the manifest states. (FORMAT.md, "The article tree")
//!
//! One article is proved by the signed manifest with a handful of hashes, without the checksum list. Blocks of 256 leaves are whole subtrees,
//! but for the last, so that a reader with one block and the hashes of the others comes to the root.

use crate::digest::Digest;
use crate::merkle::{self, node_hash};

/// Articles in a block of tree and index.
pub const BLOCK_ARTICLES: usize = 256;

/// Returns the hash of an article's leaf.
pub fn leaf(id: &str, lines: &str) -> Digest {
    leaf_of(&Digest::of(id.as_bytes()), &Digest::of(lines.as_bytes()))
}

/// Returns the hash of an article's leaf, from the digests of its id and its lines.
pub fn leaf_of(id: &Digest, lines: &Digest) -> Digest {
    let mut content = [0; 64];
    content[..32].copy_from_slice(id.as_bytes());
    content[32..].copy_from_slice(lines.as_bytes());
    merkle::leaf_hash(&content)
}

/// Returns the hash of each block.
pub fn blocks(leaves: &[Digest]) -> Vec<Digest> {
    leaves.chunks(BLOCK_ARTICLES).map(root).collect()
}

/// Returns the root over leaves, or over the hashes of all blocks, which gives the same.
pub fn root(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => merkle::empty_root(),
        [one] => *one,
        several => {
            let (left, right) = several.split_at(several.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// Returns the path from hash `n`, a leaf's or a block's, to the root over all of them; the lowest first.
pub fn path(hashes: &[Digest], n: usize) -> Vec<Digest> {
    let mut path = Vec::new();
    let (mut hashes, mut n) = (hashes, n);
    while hashes.len() > 1 {
        let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
        if n < left.len() {
            path.push(root(right));
            hashes = left;
        } else {
            path.push(root(left));
            n -= left.len();
            hashes = right;
        }
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lead_to_the_root_of_the_leaves_and_paths_prove_each_leaf() {
        let all: Vec<Digest> = (0..600_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
        for count in [1, 2, 3, 255, 256, 257, 511, 512, 513, 600] {
            let leaves = &all[..count];
            let blocks = blocks(leaves);
            assert_eq!(root(&blocks), root(leaves), "{count}");
            for n in [0, 1, count / 2, count - 1].into_iter().filter(|&n| n < count) {
                let in_block = n / BLOCK_ARTICLES * BLOCK_ARTICLES;
                let block = &leaves[in_block..count.min(in_block + BLOCK_ARTICLES)];
                let mut proof = path(block, n - in_block);
                proof.extend(path(&blocks, n / BLOCK_ARTICLES));
                let proved = merkle::verify_inclusion(&leaves[n], n as u64, count as u64, &proof, &root(leaves));
                assert_eq!(proved, Ok(()), "{n} of {count}");
            }
        }
    }
}
