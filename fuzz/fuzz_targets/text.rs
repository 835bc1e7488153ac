//! Any bytes as a document whose words are wanted; the first byte chooses its ending.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::folder::text::{MAX_TEXT_BYTES, text};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let ending = ["html", "md", "txt", "pdf"][usize::from(*first % 4)];
    assert!(text(&format!("a.{ending}"), rest).len() <= MAX_TEXT_BYTES);
});
