//! Any bytes as the head of an index, and as a piece of one: printing gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::index::{Head, Piece};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(head) = Head::decode(bytes) {
        assert_eq!(head.encode().as_bytes(), bytes);
    }
    if let Ok(Piece { articles }) = Piece::decode(bytes) {
        let mut again = String::new();
        for (sizes, id) in articles {
            again.push_str(&sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
            again.extend(id.map(|id| format!("\t{id}")));
            again.push('\n');
        }
        assert_eq!(again.as_bytes(), bytes);
    }
});
