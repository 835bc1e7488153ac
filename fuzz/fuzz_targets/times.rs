//! Any bytes, up to a zero as a checksum list and then as the times of its files: printing gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::checksums::ChecksumList;
use vellum::format::times;

fuzz_target!(|bytes: &[u8]| {
    let Some(at) = bytes.iter().position(|&byte| byte == 0) else { return };
    let (list, text) = (&bytes[..at], &bytes[at + 1..]);
    let Ok(list) = ChecksumList::decode(list.to_vec()) else { return };
    if let Ok(found) = times::decode(text, &list) {
        assert_eq!(found.len(), list.len());
        assert_eq!(times::encode(&list, |line| found[line]).as_bytes(), text);
    }
});
