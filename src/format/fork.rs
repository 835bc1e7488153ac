//! The proof that a log's larger checkpoint does not extend a smaller one: evidence of a fork, for whoever has only the two. (FORMAT.md, "Mirrors")
//!
//! ```text
//! vellum-fork/1
//! size 41200
//! root sha256:<the root that the larger tree has at that size>
//! <a consistency proof of RFC 6962 from that size and root to the larger checkpoint, a hash in base64 a line>
//! ```

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::digest::Digest;

const FORMAT: &str = "vellum-fork/1";
/// The longest proof of a fork, in bytes.
pub const MAX_FORK_BYTES: u64 = 8 << 10;
/// The most hashes.
const MAX_HASHES: usize = 64;

/// What a larger tree was at a smaller size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The smaller size.
    pub size: u64,
    /// The larger tree's root at that size.
    pub root: Digest,
    /// The proof that it is.
    pub hashes: Vec<Digest>,
}

impl Fork {
    /// Reads a proof of a fork; `None` for anything but its one form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() as u64 <= MAX_FORK_BYTES)?;
        let mut lines = text.lines();
        lines.next().filter(|line| *line == FORMAT)?;
        let size = lines.next()?.strip_prefix("size ")?.parse().ok()?;
        let root = Digest::from_labelled(lines.next()?.strip_prefix("root ")?).ok()?;
        let hash = |line: &str| {
            let bytes: [u8; 32] = Base64::decode_vec(line).ok()?.try_into().ok()?;
            Some(Digest::from_bytes(bytes))
        };
        let hashes = lines.map(hash).collect::<Option<Vec<_>>>().filter(|hashes| hashes.len() <= MAX_HASHES)?;
        let fork = Self { size, root, hashes };
        (fork.to_string() == text).then_some(fork)
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}\nsize {}\nroot {}", self.size, self.root.labelled())?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", Base64::encode_string(hash.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_of_a_fork_has_one_form() {
        let fork = Fork { size: 3, root: Digest::of(b"a"), hashes: vec![Digest::of(b"b"), Digest::of(b"c")] };
        let text = fork.to_string();
        assert_eq!(Fork::decode(text.as_bytes()), Some(fork));
        for bad in [
            text.replace("/1", "/2"),
            text.clone() + "\n",
            text.replace("size 3", "size 03"),
            text.replace("root", "toor"),
        ] {
            assert_eq!(Fork::decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
