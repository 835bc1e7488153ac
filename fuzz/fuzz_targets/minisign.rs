//! Any bytes as a public key, a secret key and a signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::keys::{PublicKey, SecretKey, Signature};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signature) = Signature::decode(bytes) {
        assert_eq!(signature.to_string().as_bytes(), bytes);
        let _ = signature.comment();
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = PublicKey::parse(text)
    {
        assert_eq!(PublicKey::parse(&key.to_file()).expect("what was printed is read"), key);
    }
    if SecretKey::is_sealed(bytes).is_ok_and(|sealed| !sealed) {
        let _ = SecretKey::open(bytes, None);
    }
});
