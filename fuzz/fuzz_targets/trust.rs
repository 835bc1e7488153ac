//! Any bytes as a policy or the proof of a fork: read or refused, and printed as they were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::fork::Fork;
use vellum::trust::policy::Policy;

fuzz_target!(|data: &[u8]| {
    if let Ok(policy) = Policy::decode(data) {
        let again = Policy::decode(policy.to_string().as_bytes()).expect("what is printed is a policy");
        assert_eq!(Policy { digest: policy.digest, ..again }, policy);
    }
    if let Some(fork) = Fork::decode(data) {
        assert_eq!(fork.to_string().as_bytes(), data);
    }
});
