//! Any bytes as a checksum list: a list without faults is printed the same, and every question to it has an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::checksums::ChecksumList;

fuzz_target!(|bytes: &[u8]| {
    let Ok(list) = ChecksumList::decode(bytes.to_vec()) else { return };
    let faults = list.faults();
    assert_eq!(list.owners().len(), list.len());
    assert_eq!(list.tar_order().count(), list.len());
    for (path, _) in list.articles() {
        list.article_lines(path);
    }
    if faults.is_empty() {
        let again = ChecksumList::from_sorted(list.iter().map(|(digest, path)| (path, digest)));
        assert_eq!(again.text().as_bytes(), bytes);
        assert!((0..list.len()).all(|line| list.find(list.path(line)) == Some(line)));
    }
});
