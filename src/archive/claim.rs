//! A claim: the leaves that take the log from one size and root to the next, durable before anything is signed.
//!
//! ```text
//! vellum-claim/1
//! old 0 sha256:…
//! new 3 sha256:…
//! <the leaves, each a length of two bytes, big-endian, and its bytes>
//! ```
//!
//! Whoever finds a claim finishes it and never replaces it.

use crate::digest::Digest;
use crate::format::tile;

use super::Error;

/// The longest claim, in bytes: some four million leaves.
pub(super) const MAX_CLAIM_BYTES: u64 = 1 << 30;
const FORMAT: &str = "vellum-claim/1";

/// What is being published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Size and root before.
    pub(super) old: (u64, Digest),
    /// Size and root after.
    pub(super) new: (u64, Digest),
    pub(super) leaves: Vec<Vec<u8>>,
}

impl Claim {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = |(size, root): (u64, Digest)| format!("{size} {}", root.labelled());
        let mut out = format!("{FORMAT}\nold {}\nnew {}\n", head(self.old), head(self.new)).into_bytes();
        self.leaves.iter().for_each(|leaf| tile::encode_entry(leaf, &mut out));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::State("the claim is malformed".into());
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().position(|&b| b == b'\n')?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            Some(line)
        };
        let head = |line: Option<&str>, name: &str| {
            let (size, root) = line?.strip_prefix(name)?.split_once(' ')?;
            Some((size.parse().ok()?, Digest::from_labelled(root).ok()?))
        };
        if line() != Some(FORMAT) {
            return Err(malformed());
        }
        let old: (u64, Digest) = head(line(), "old ").ok_or_else(malformed)?;
        let new: (u64, Digest) = head(line(), "new ").ok_or_else(malformed)?;
        let mut leaves = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (leaf, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(malformed)?;
            leaves.push(leaf.to_vec());
            rest = after;
        }
        let claim = Self { old, new, leaves };
        let whole = claim.encode() == bytes && Some(new.0) == old.0.checked_add(claim.leaves.len() as u64);
        if whole { Ok(claim) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_written_and_not_otherwise() {
        let claim = Claim {
            old: (2, Digest::of(b"a")),
            new: (4, Digest::of(b"b")),
            leaves: vec![b"one".to_vec(), b"two\n".to_vec()],
        };
        let bytes = claim.encode();
        assert_eq!(Claim::decode(&bytes).unwrap(), claim);
        for cut in 0..bytes.len() {
            assert!(Claim::decode(&bytes[..cut]).is_err(), "cut to {cut}");
        }
    }
}
