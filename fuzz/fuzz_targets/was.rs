//! Any bytes, up to a zero as a list of removed leaves and then as a tail: what is printed is read the same, and leaves are put back or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::digest::Digest;
use vellum::format::bundle::Tail;
use vellum::format::was::{decode_removed, encode_removed, line_findings, put_back, tree_finding};

/// Leaves that are left, in the attempt to put some back.
const LEFT: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, tail) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let left: Vec<Digest> = (0..LEFT).map(|n| Digest::of(&[n as u8])).collect();
    if let Some(removed) = decode_removed(text) {
        assert_eq!(encode_removed(&removed).as_bytes(), text);
        if let Some(all) = put_back(&removed, &left) {
            assert_eq!(all.len(), left.len() + removed.len());
        }
    }
    let (read, findings) = Tail::decode(tail);
    if findings.is_empty() {
        assert_eq!(Tail::decode(&read.encode()), (read.clone(), Vec::new()));
    }
    if let (Some(manifest), _) = read.manifest() {
        let _ = (line_findings(&manifest, &read.was), tree_finding(&read.was, &left));
    }
});
