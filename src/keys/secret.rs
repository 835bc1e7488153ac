//! Secret keys: minisign's `.key` file, sealed with a pass phrase or not.
//!
//! ```text
//! untrusted comment: minisign encrypted secret key
//! RWRTY0Iy…   base64 of: `Ed` · `Sc` or 00 00 · `B2` · salt (32) · opslimit, memlimit (u64, little-endian)
//!             · [key id (8) · seed (32) · public key (32) · checksum (32)]
//! ```
//! What stands in brackets is XORed with scrypt's output if sealed. The checksum is the BLAKE2b-256 of `Ed` and what
//! precedes it in the brackets; minisign leaves it zero in unsealed files, which is read, never written. Every copy that
//! is made here is zeroed after use; nothing secret is printed, in errors neither. Scrypt parameters beyond what minisign
//! itself writes are refused before any memory is taken.

use std::fmt;

use blake2::{Blake2b256, Digest as _};
use ed25519_dalek::{Signer as _, SigningKey};
use scrypt::Params;
use zeroize::{Zeroize, Zeroizing};

use super::minisign::{self, COMMENT_PREFIX, ED25519, MAX_COMMENT_LINE_BYTES};
use super::{Error, PUBLIC_KEY_BYTES, PublicKey, SIGNATURE_BYTES, Signer};
use crate::ids::{KEY_ID_BYTES, KeyId};

/// Longest secret key file that is read, in bytes: both lines, each with CR LF.
pub const MAX_SECRET_KEY_FILE_BYTES: usize = MAX_COMMENT_LINE_BYTES + 2 + 212 + 2;
/// Most memory that opening a key may take, in bytes: what minisign itself asks for.
pub const MAX_SCRYPT_BYTES: u64 = 1 << 30;
/// Largest log2 of scrypt's N that opening a key may take; N times p is held below it too.
pub const MAX_SCRYPT_LOG2_N: u8 = 20;
/// Longest pass phrase, in bytes: the most that minisign reads in full.
pub const MAX_PASSPHRASE_BYTES: usize = 1022;

/// What new files say: N = 2^17, r = 8, p = 1, 128 MiB; [`Params::RECOMMENDED`] is the same.
const OPSLIMIT: u64 = 4_194_304;
const MEMLIMIT: u64 = 134_217_728;

const SCRYPT: [u8; 2] = *b"Sc";
const UNSEALED: [u8; 2] = [0; 2];
const BLAKE2B: [u8; 2] = *b"B2";
const SALT_BYTES: usize = 32;
const SEED_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 32;
const SECRET_BYTES: usize = KEY_ID_BYTES + SEED_BYTES + PUBLIC_KEY_BYTES + CHECKSUM_BYTES;
const FILE_BYTES: usize = 2 + 2 + 2 + SALT_BYTES + 8 + 8 + SECRET_BYTES;

/// A pass phrase; zeroed when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Copies a pass phrase from its bytes, without a line end; the caller zeroes its own.
    ///
    /// # Errors
    /// [`Error::PassphraseFormat`] for an empty phrase, bytes that are not UTF-8, a byte order mark at the start, NUL, CR or LF, and over
    /// [`MAX_PASSPHRASE_BYTES`]. None of it is mended: two phrases that differ in a byte must never open the same key.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let refused = |rule| Err(Error::PassphraseFormat { rule });
        if bytes.is_empty() {
            return refused("expected at least one character, found none");
        }
        if bytes.len() > MAX_PASSPHRASE_BYTES {
            return refused("expected at most 1022 bytes");
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return refused("expected UTF-8, found other bytes");
        };
        if text.starts_with('\u{feff}') {
            return refused("expected no byte order mark at the start");
        }
        if text.contains(['\0', '\r', '\n']) {
            return refused("expected no NUL and no line end");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Says whether two pass phrases, typed by one person, are the same.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// An ed25519 secret key and its id; zeroed when dropped, never printed.
pub struct SecretKey {
    signing: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Makes a key of `random` bytes: 32 of seed, 8 of key id. They must come from the system's random source, and the
    /// caller zeroes its own copy of them.
    pub fn generate(mut random: [u8; SEED_BYTES + KEY_ID_BYTES]) -> Self {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        let mut id = [0; KEY_ID_BYTES];
        seed.copy_from_slice(&random[..SEED_BYTES]);
        id.copy_from_slice(&random[SEED_BYTES..]);
        random.zeroize();
        Self::of_seed(KeyId::from_bytes(id), &seed)
    }

    /// Says whether a secret key file needs a pass phrase.
    ///
    /// # Errors
    /// [`Error::SecretKeyFormat`] if it is no minisign secret key file.
    pub fn is_sealed(file: &[u8]) -> Result<bool, Error> {
        Ok(File::decode(file)?.is_sealed())
    }

    /// Opens a secret key file. A pass phrase that is not needed is ignored.
    ///
    /// # Errors
    /// [`Error::SecretKeyFormat`], [`Error::PassphraseMissing`], [`Error::ScryptLimits`], and
    /// [`Error::SecretKeyUnopened`] both for a wrong pass phrase and for damage.
    pub fn open(file: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, Error> {
        let mut file = File::decode(file)?;
        let sealed = file.is_sealed();
        if sealed {
            let passphrase = passphrase.ok_or(Error::PassphraseMissing)?;
            let (salt, opslimit, memlimit) = file.kdf();
            mask(file.secret_mut(), passphrase, &salt, &scrypt_params(opslimit, memlimit)?);
        }
        let (id, rest) = file.secret().split_at(KEY_ID_BYTES);
        let (seed, rest) = rest.split_at(SEED_BYTES);
        let (public, found) = rest.split_at(PUBLIC_KEY_BYTES);

        let expected = checksum(id, seed, public);
        let zero = !sealed && found == [0; CHECKSUM_BYTES];
        if !zero && found != expected.as_slice() {
            return Err(Error::SecretKeyUnopened);
        }
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(id);
        let mut copy = Zeroizing::new([0; SEED_BYTES]);
        copy.copy_from_slice(seed);
        let key = Self::of_seed(KeyId::from_bytes(key_id), &copy);
        if key.public.as_bytes() != public {
            return Err(Error::SecretKeyUnopened);
        }
        Ok(key)
    }

    /// Returns the text of a secret key file, sealed if a pass phrase is given; `salt` must be random and new each time.
    ///
    /// Sealing takes 128 MiB of memory and some tenths of a second.
    pub fn seal(&self, passphrase: Option<&Passphrase>, salt: [u8; SALT_BYTES]) -> Zeroizing<String> {
        let id = self.public.id();
        let expected = checksum(id.as_bytes(), self.signing.as_bytes(), self.public.as_bytes());
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let parts = [id.as_bytes().as_slice(), self.signing.as_bytes(), self.public.as_bytes(), expected.as_slice()];
        fill(secret.as_mut_slice(), &parts);

        let (kdf, salt, opslimit, memlimit, name) = match passphrase {
            Some(passphrase) => {
                mask(secret.as_mut_slice(), passphrase, &salt, &Params::RECOMMENDED);
                (SCRYPT, salt, OPSLIMIT, MEMLIMIT, "minisign encrypted secret key")
            }
            None => (UNSEALED, [0; SALT_BYTES], 0, 0, "minisign unencrypted secret key"),
        };
        let mut file = Zeroizing::new([0; FILE_BYTES]);
        let (opslimit, memlimit) = (opslimit.to_le_bytes(), memlimit.to_le_bytes());
        let parts = [&ED25519[..], &kdf, &BLAKE2B, &salt, &opslimit, &memlimit, secret.as_slice()];
        fill(file.as_mut_slice(), &parts);

        let line = Zeroizing::new(minisign::encode(file.as_slice()));
        let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_KEY_FILE_BYTES));
        for part in [COMMENT_PREFIX, name, "\n", line.as_str(), "\n"] {
            text.push_str(part);
        }
        text
    }

    fn of_seed(id: KeyId, seed: &[u8; SEED_BYTES]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = PublicKey::derived(id, signing.verifying_key());
        Self { signing, public }
    }
}

impl Signer for SecretKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Error> {
        Ok(self.signing.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.id())
    }
}

/// The decoded bytes of a secret key file, its fixed fields checked.
struct File(Zeroizing<[u8; FILE_BYTES]>);

impl File {
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let refused = |rule| Error::SecretKeyFormat { rule };
        if bytes.len() > MAX_SECRET_KEY_FILE_BYTES {
            return Err(refused("expected at most 1238 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused("expected UTF-8"))?;
        let mut file = Self(Zeroizing::new([0; FILE_BYTES]));
        minisign::decode_exact(minisign::body_line(text).map_err(refused)?, file.0.as_mut_slice())
            .ok_or(refused("expected 212 characters of base64 in line 2"))?;
        if file.0[..2] != ED25519 {
            return Err(refused("expected the algorithm Ed"));
        }
        if file.0[2..4] != SCRYPT && file.0[2..4] != UNSEALED {
            return Err(refused("expected the key derivation Sc or none"));
        }
        if file.0[4..6] != BLAKE2B {
            return Err(refused("expected the checksum B2"));
        }
        Ok(file)
    }

    fn is_sealed(&self) -> bool {
        self.0[2..4] == SCRYPT
    }

    /// Returns salt, opslimit and memlimit.
    fn kdf(&self) -> ([u8; SALT_BYTES], u64, u64) {
        let (mut salt, mut opslimit, mut memlimit) = ([0; SALT_BYTES], [0; 8], [0; 8]);
        salt.copy_from_slice(&self.0[6..38]);
        opslimit.copy_from_slice(&self.0[38..46]);
        memlimit.copy_from_slice(&self.0[46..54]);
        (salt, u64::from_le_bytes(opslimit), u64::from_le_bytes(memlimit))
    }

    fn secret(&self) -> &[u8] {
        &self.0[FILE_BYTES - SECRET_BYTES..]
    }

    fn secret_mut(&mut self) -> &mut [u8] {
        &mut self.0[FILE_BYTES - SECRET_BYTES..]
    }
}

/// Derives scrypt's N and p (r is 8) from libsodium's two limits as its `pickparams` does, and holds them to the caps.
fn scrypt_params(opslimit: u64, memlimit: u64) -> Result<Params, Error> {
    const R: u32 = 8;
    let refused = || Error::ScryptLimits { opslimit, memlimit };
    if memlimit > MAX_SCRYPT_BYTES {
        return Err(refused());
    }
    let operations = opslimit.max(32_768);
    let by_memory = operations >= memlimit / 32;
    let most = if by_memory { memlimit / (128 * u64::from(R)) } else { operations / (4 * u64::from(R)) };
    // The greatest power of two that does not exceed `most`, but at least two.
    let log2_n = most.checked_ilog2().map_or(1, |log2| log2.max(1));
    let p = if by_memory { ((operations / 4) >> log2_n) / u64::from(R) } else { 1 };
    if p == 0 || p > (1 << MAX_SCRYPT_LOG2_N) >> log2_n {
        return Err(refused());
    }
    let (Ok(log2_n), Ok(p)) = (u8::try_from(log2_n), u32::try_from(p)) else { return Err(refused()) };
    Params::new(log2_n, R, p).map_err(|_| refused())
}

/// XORs `secret` with scrypt's output: seals what is open, opens what is sealed.
fn mask(secret: &mut [u8], passphrase: &Passphrase, salt: &[u8; SALT_BYTES], params: &Params) {
    let mut stream = Zeroizing::new([0; SECRET_BYTES]);
    scrypt::scrypt(passphrase.0.as_bytes(), salt, params, stream.as_mut_slice())
        .expect("scrypt refuses no output of this length");
    for (byte, mask) in secret.iter_mut().zip(stream.iter()) {
        *byte ^= mask;
    }
}

fn checksum(id: &[u8], seed: &[u8], public: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = Blake2b256::new();
    for part in [&ED25519[..], id, seed, public] {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Lays `parts` one after the other; their lengths add up to that of `out`.
fn fill(out: &mut [u8], parts: &[&[u8]]) {
    let mut rest = out;
    for part in parts {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_scrypt_parameters_as_libsodium_does() {
        for (opslimit, memlimit, log2_n, p) in [
            (OPSLIMIT, MEMLIMIT, Params::RECOMMENDED_LOG_N, Params::RECOMMENDED_P),
            (33_554_432, 1 << 30, 20, 1),
            (1_048_576, 33_554_432, 15, 1),
            (524_288, 16_777_216, 14, 1),
            (32_768, 1 << 30, 10, 1),
            (1, 1 << 30, 10, 1),
            (4 * OPSLIMIT, MEMLIMIT, 17, 4),
        ] {
            let expected = Params::new(log2_n, 8, p).unwrap();
            assert_eq!(scrypt_params(opslimit, memlimit).unwrap(), expected, "{opslimit} {memlimit}");
        }
    }

    #[test]
    fn refuses_scrypt_parameters_beyond_the_caps() {
        for (opslimit, memlimit) in [
            (33_554_432, (1 << 30) + 1),
            (u64::MAX, u64::MAX),
            (u64::MAX, 1 << 30),
            (u64::MAX, 0),
            (u64::MAX, 1024),
            (67_108_864, 1 << 30),
            (16 * OPSLIMIT, MEMLIMIT),
        ] {
            let outcome = scrypt_params(opslimit, memlimit);
            assert!(matches!(outcome, Err(Error::ScryptLimits { .. })), "{opslimit} {memlimit}");
        }
    }
}
