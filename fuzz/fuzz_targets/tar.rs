//! Any bytes as a tar header: printing gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::tar::{Entry, decode_header, encode_header};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Entry::File { path, size, header }) = decode_header(bytes) {
        let mut again = Vec::new();
        encode_header(std::str::from_utf8(&path).expect("a canonical path is UTF-8"), size, &mut again);
        assert_eq!(again, bytes[..header as usize]);
    }
});
