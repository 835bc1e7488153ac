//! Any bytes as a document of each kind: the derived metadata is of the vocabulary.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use vellum::folder::derive::derive;
use vellum::format::article::Article;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let name = ["a.html", "a.md", "a.txt", "a.pdf", "a.png"][usize::from(kind % 5)];
    if let Ok(derived) = derive(name, &mut Cursor::new(content), content.len() as u64) {
        Article::parse(derived.to_toml().as_bytes()).expect("derived metadata fits the vocabulary");
    }
});
