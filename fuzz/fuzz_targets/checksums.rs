//! Any bytes as a checksum list: a list without faults is printed the same, and every question to it has an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::checksums::{ChecksumList, push_line};

fuzz_target!(|bytes: &[u8]| {
    let Ok(list) = ChecksumList::decode(bytes.to_vec()) else { return };
    let faults = list.faults();
    assert_eq!(list.text().as_bytes(), bytes);
    assert_eq!(list.tar_order().count(), list.len());
    for n in 0..list.len() {
        assert!(list.owner(n).is_none_or(|owner| owner < list.article_count()));
        list.find(list.path(n));
    }
    for n in 0..list.article_count() {
        assert!(list.lines(n).end <= list.len());
        list.article_lines(list.article(n));
    }
    if faults.is_empty() {
        let mut again = String::new();
        (0..list.len()).for_each(|n| push_line(&mut again, list.path(n), &list.digest(n)));
        assert_eq!(again.as_bytes(), bytes);
        // The lines of the articles, in order, are all lines.
        let all: String = (0..list.article_count()).map(|n| list.lines_text(n)).collect();
        assert_eq!(all.as_bytes(), bytes);
        for n in 0..list.len() {
            assert_eq!(list.find(list.path(n)), Some(n));
            let owner = list.owner(n).expect("every file of a list without faults belongs to an article");
            assert!(list.lines(owner).contains(&n));
            assert_eq!(list.number(list.article(owner)), Some(owner));
        }
    }
});
