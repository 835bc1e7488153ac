//! Any bytes as a whole bundle: checked and diagnosed without a panic and within a few frames' memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::bundle::{Bundle, check, diagnose};
use vellum::run::Run;

fuzz_target!(|bytes: &[u8]| {
    let bytes = bytes.to_vec();
    let report = check(&bytes, Run::alone()).expect("memory can be read");
    let other = diagnose(&bytes, Run::alone()).expect("memory can be read");
    // Both ways to look at a bundle agree on whether there is anything wrong with it.
    assert_eq!(report.findings.is_empty(), other.findings.is_empty());
    if let Ok(bundle) = Bundle::open(&bytes)
        && let Ok(contents) = bundle.contents()
    {
        for line in 0..contents.list.len().min(4) {
            let _ = bundle.read_file(&contents, line, &mut Vec::new());
        }
    }
});
