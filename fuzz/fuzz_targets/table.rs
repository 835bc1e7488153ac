//! Any bytes as a seek table: printing gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::seekable;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frames) = seekable::decode(bytes) {
        assert_eq!(seekable::encode(&frames), bytes);
    }
});
