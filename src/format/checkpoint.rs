//! A checkpoint: the head of the log as it is signed. (FORMAT.md, "The log"; C2SP tlog-checkpoint)
//!
//! ```text
//! example.org/library
//! 70000
//! rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
//! ```
//!
//! Origin, size in decimal, root in base64. Lines beyond these are refused: vellum's logs have none.

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::digest::Digest;

use crate::ids::Origin;

/// The name of the signed checkpoint in an archive.
pub const NAME: &str = "checkpoint";
/// The longest signed checkpoint, in bytes.
pub const MAX_CHECKPOINT_BYTES: u64 = 64 << 10;

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the archive, which is the log's.
    pub origin: Origin,
    /// Number of leaves.
    pub size: u64,
    /// Root of the Merkle tree.
    pub root: Digest,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed checkpoint: {0}")]
pub struct CheckpointFault(pub &'static str);

impl Checkpoint {
    /// Reads the text that is signed.
    ///
    /// # Errors
    /// Anything but origin, size and root in their one form.
    pub fn parse(text: &str) -> Result<Self, CheckpointFault> {
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let origin = line().parse().map_err(|_| CheckpointFault("the first line is no origin"))?;
        let size = line().parse().map_err(|_| CheckpointFault("the second line is no size"))?;
        let mut root = [0; 32];
        match Base64::decode(line(), &mut root) {
            Ok(bytes) if bytes.len() == 32 => {}
            _ => return Err(CheckpointFault("the third line is no root")),
        }
        let checkpoint = Self { origin, size, root: Digest::from_bytes(root) };
        if checkpoint.to_string() == text {
            Ok(checkpoint)
        } else {
            Err(CheckpointFault("it has another form or further lines"))
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(self.root.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_one_form() {
        let text = "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n";
        assert_eq!(Checkpoint::parse(text).unwrap().to_string(), text);
        for bad in [
            text.replace("15", "+15"),
            text.replace("cs=\n", "cs="),
            text.replace("cs=", "ct="),
            text.replace("example.com/log/testdata", ""),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
        }
        assert!(Checkpoint::parse(&text.replace("15", "015")).is_err());
        assert!(Checkpoint::parse(&text.replace("cs=\n", "cs=\nmore\n")).is_err());
    }
}
