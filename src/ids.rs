//! The names of things: archives, bundles, keys. Each has one grammar, parsed here alone.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, ParseDigestError};

/// The longest name of an archive, in bytes.
pub const MAX_ORIGIN_BYTES: usize = 255;
/// Length of a key id, in bytes.
pub const KEY_ID_BYTES: usize = 8;

/// A text that is none of these names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdFault {
    /// Not the name of an archive.
    #[error("archive name: expected 1 to 255 visible ASCII characters without `+`, quotes and backslash, found {0:?}")]
    Origin(String),
    /// Not a key id.
    #[error("key id: expected 16 upper-case hex digits, found {0:?}")]
    Key(String),
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The identity of a bundle: the SHA-256 of its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(pub Digest);

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BundleId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The position of a leaf in a log, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeafIndex(pub u64);

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an archive, the same as its log's origin: visible ASCII without `+`, quotes or backslash, as in `example.org/library`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Returns the origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'+' | b'"' | b'\\' | b'\'');
        if !text.is_empty() && text != "-" && text.len() <= MAX_ORIGIN_BYTES && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdFault::Origin(shown(text)))
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a key, minisign's `keynum`: it selects a key and never identifies it, since anyone can make a key with any id.
///
/// Text form, as minisign prints it: 16 upper-case hex digits of the little-endian number, `E7620F1842B4E81F`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// Wraps the eight bytes as they lie in a key or signature.
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the id of a key that came without one: the first bytes of the SHA-256 of its 32 bytes.
    pub fn of_bare_key(key: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *Digest::of(key).as_bytes();
        Self([a, b, c, d, e, f, g, h])
    }

    /// Returns the eight bytes as they lie in a key or signature.
    pub const fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, IdFault> {
        let upper_hex = |c: u8| matches!(c, b'0'..=b'9' | b'A'..=b'F');
        if text.len() != 2 * KEY_ID_BYTES || !text.bytes().all(upper_hex) {
            return Err(IdFault::Key(shown(text)));
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| IdFault::Key(shown(text)))?;
        Ok(Self(number.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_little_endian_number_as_minisign_does() {
        let id = KeyId::from_bytes([0x1f, 0xe8, 0xb4, 0x42, 0x18, 0x0f, 0x62, 0xe7]);
        assert_eq!(id.to_string(), "E7620F1842B4E81F");
        assert_eq!("E7620F1842B4E81F".parse::<KeyId>().unwrap(), id);
        assert_eq!(KeyId::from_bytes([1, 0, 0, 0, 0, 0, 0, 0]).to_string(), "0000000000000001");
    }

    #[test]
    fn refuses_lower_case_signs_short_and_long() {
        for bad in
            ["", "e7620f1842b4e81f", "+7620F1842B4E81F", "E7620F1842B4E81", "E7620F1842B4E81F0", "G7620F1842B4E81F"]
        {
            assert!(matches!(bad.parse::<KeyId>(), Err(IdFault::Key(_))), "{bad}");
        }
    }
}
