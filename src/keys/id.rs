//! Key ids: eight bytes that select a key and never identify it; anyone can make a key with any id.
//!
//! Text form, as minisign prints it: 16 upper-case hex digits of the little-endian number, `E7620F1842B4E81F`.

use std::fmt;
use std::str::FromStr;

use super::{Error, PUBLIC_KEY_BYTES, excerpt};
use crate::digest::Digest;

/// Length of a key id, in bytes.
pub const KEY_ID_BYTES: usize = 8;

/// The id of a key: minisign's `keynum`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// Wraps the eight bytes as they lie in a key or signature.
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the id of a key that came without one: the first bytes of the SHA-256 of its 32 bytes.
    pub(super) fn of_bare_key(key: &[u8; PUBLIC_KEY_BYTES]) -> Self {
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
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let upper_hex = |c: u8| matches!(c, b'0'..=b'9' | b'A'..=b'F');
        if text.len() != 2 * KEY_ID_BYTES || !text.bytes().all(upper_hex) {
            return Err(Error::KeyId { found: excerpt(text) });
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| Error::KeyId { found: excerpt(text) })?;
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
            assert!(matches!(bad.parse::<KeyId>(), Err(Error::KeyId { .. })), "{bad}");
        }
    }
}
