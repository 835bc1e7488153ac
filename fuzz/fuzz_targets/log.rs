//! Any bytes as what an archive's log is made of: note, checkpoint, verifier key, leaf, tile's path, entries, proof, statement.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::checkpoint::Checkpoint;
use vellum::format::leaf::Leaf;
use vellum::format::proof::Proof;
use vellum::format::tile::{self, Tile};
use vellum::format::withdrawal::Withdrawal;
use vellum::keys::{Note, VerifierKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(Note::parse(note.to_string().as_bytes()).expect("what was printed is read"), note);
    }
    if let Ok(leaf) = Leaf::decode(bytes) {
        assert_eq!(leaf.to_string().as_bytes(), bytes);
    }
    if let Ok(proof) = Proof::decode(bytes) {
        assert_eq!(proof.encode().as_bytes(), bytes);
    }
    if let Ok(statement) = Withdrawal::decode(bytes) {
        assert_eq!(statement.to_string().as_bytes(), bytes);
    }
    if let Ok(entries) = tile::decode_entries(bytes, 3) {
        let mut out = Vec::new();
        entries.iter().for_each(|entry| tile::encode_entry(entry, &mut out));
        assert_eq!(out, bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Some(tile) = Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
});
