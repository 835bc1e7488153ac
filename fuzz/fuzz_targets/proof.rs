//! Any bytes as a proof of an article, by a bundle's signatures or by a log: printing gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::proof::{Extra, Proof};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = Proof::decode(bytes) {
        assert_eq!(proof.encode().as_bytes(), bytes);
    }
    if let Ok(extra) = Extra::decode(bytes) {
        assert_eq!(extra.encode(), bytes);
        let _ = extra.manifest_of_article();
    }
});
