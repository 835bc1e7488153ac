//! SHA-256 digests: the one hash that names and checks everything in vellum.
//!
//! Text form: 64 lower-case hex digits (`sha256sum`), or the same after `sha256:` where a field could hold
//! another algorithm one day. Parsing takes exactly what printing gives; upper case is refused.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Length of a SHA-256 digest, in bytes.
pub const DIGEST_BYTES: usize = 32;

const LABEL: &str = "sha256:";
/// The value of each byte as a lower-case hex digit; 255 where it is none.
const NIBBLES: [u8; 256] = {
    let mut values = [255; 256];
    let mut n = 0;
    while n < 16 {
        values[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    values
};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 lower-case hex digits, found {found:?}")]
pub struct ParseDigestError {
    /// What stood there, cut to 80 characters.
    pub found: String,
}

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Wraps 32 bytes that are a digest already.
    pub const fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// Returns the 64 hex digits as ASCII bytes, without allocating.
    pub fn hex(&self) -> [u8; 2 * DIGEST_BYTES] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0; 2 * DIGEST_BYTES];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out
    }

    /// Reads 64 lower-case hex digits.
    ///
    /// # Errors
    /// Anything else is refused.
    pub fn from_hex(text: &[u8]) -> Result<Self, ParseDigestError> {
        let refused = || ParseDigestError { found: String::from_utf8_lossy(text).chars().take(80).collect() };
        if text.len() != 2 * DIGEST_BYTES {
            return Err(refused());
        }
        let mut out = [0; DIGEST_BYTES];
        let mut all = 0;
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            all |= high | low;
            *byte = high << 4 | low;
        }
        if all > 15 { Err(refused()) } else { Ok(Self(out)) }
    }

    /// Returns the labelled form, `sha256:<hex>`.
    pub fn labelled(&self) -> String {
        format!("{LABEL}{self}")
    }

    /// Reads the labelled form, `sha256:<hex>`.
    ///
    /// # Errors
    /// Any other label, or none, is refused.
    pub fn from_labelled(text: &str) -> Result<Self, ParseDigestError> {
        match text.strip_prefix(LABEL) {
            Some(hex) => Self::from_hex(hex.as_bytes()),
            None => Err(ParseDigestError { found: text.chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.hex()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_hex(text.as_bytes())
    }
}

/// A digest in the making.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vector_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse::<Digest>().unwrap(), Digest::of(b"abc"));
    }

    #[test]
    fn refuses_upper_case_short_long_and_unlabelled() {
        let hex = Digest::of(b"").to_string();
        for bad in [hex.to_uppercase(), hex[1..].into(), format!("{hex}0"), format!("g{}", &hex[1..])] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(Digest::from_labelled(&hex).is_err());
        assert_eq!(Digest::from_labelled(&format!("sha256:{hex}")).unwrap(), Digest::of(b""));
    }
}
