//! The log against others: published vectors, a real tiled log, and the crates tlog_tiles and signed_note.

use std::fs;
use std::path::{Path, PathBuf};

use crate::scene::{Scene, key, vectors};
use serde_json::Value;
use signed_note::{Note as OtherNote, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, HashReader, check_record, check_tree, stored_hashes, tree_hash};
use vellum::archive::Log;
use vellum::digest::Digest;
use vellum::format::checkpoint::Checkpoint;
use vellum::format::tile::{Holds, Tile};
use vellum::keys::{Note, Signer, VerifierKey};
use vellum::merkle::{self, verify_consistency, verify_inclusion};
use vellum::store::Store;

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(ending) if ending == "json" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// Reads a hash in base64. Some cases hold a text of another length where the hash does not matter: a hash stands for it.
fn hash(value: &Value) -> Digest {
    use base64ct::{Base64, Encoding};
    let bytes = Base64::decode_vec(value.as_str().unwrap_or_default()).unwrap();
    <[u8; 32]>::try_from(bytes.as_slice()).map_or_else(|_| Digest::of(&bytes), Digest::from_bytes)
}

#[test]
fn every_published_case_of_inclusion_and_consistency_is_judged_as_published() {
    let Some(folder) = vectors("merkle") else { return };
    let (mut cases, mut refused) = (0, 0);
    for path in json_files(&folder) {
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let number = |key: &str| case[key].as_u64().unwrap();
        let proof: Vec<_> = case["proof"].as_array().into_iter().flatten().map(hash).collect();
        let good = match case.get("leafIdx") {
            Some(_) => {
                let (root, leaf) = (hash(&case["root"]), hash(&case["leafHash"]));
                // Ours are of 32 bytes by their type; a case of another length is refused before.
                let whole =
                    ["root", "leafHash"].iter().all(|key| case[key].as_str().is_some_and(|text| text.len() == 44));
                whole && verify_inclusion(&leaf, number("leafIdx"), number("treeSize"), &proof, &root).is_ok()
            }
            None => {
                let (one, two) = (hash(&case["root1"]), hash(&case["root2"]));
                verify_consistency(number("size1"), number("size2"), &one, &two, &proof).is_ok()
            }
        };
        assert_eq!(good, !case["wantErr"].as_bool().unwrap(), "{}: {}", path.display(), case["desc"]);
        cases += 1;
        refused += usize::from(!good);
    }
    assert_eq!((cases, refused), (196, 184));
}

#[test]
fn a_log_made_by_tessera_is_read_at_every_size() {
    let Some(folder) = vectors("tessera/log") else { return };
    let store = Store::new(&folder);
    for size in 0..=15 {
        let note = Note::parse(&fs::read(folder.join(format!("checkpoint.{size}"))).unwrap()).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(checkpoint.size, size);
        let mut log = Log::new(&store, size);
        assert_eq!(log.root(size).unwrap(), checkpoint.root);
        for index in 0..size {
            let leaf = merkle::leaf_hash(&log.entry(index).unwrap());
            let proof = log.inclusion(index).unwrap();
            verify_inclusion(&leaf, index, size, &proof, &checkpoint.root).unwrap();
        }
    }
}

/// The hashes of a log as the crate keeps them.
#[derive(Default)]
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&index| self.0[index as usize]).collect())
    }
}

impl Stored {
    fn push(&mut self, n: u64, leaf: &[u8]) {
        let more = stored_hashes(n, leaf, self).unwrap();
        self.0.extend(more);
    }
}

fn leaf(n: u64) -> Vec<u8> {
    format!("leaf {n}\n").into_bytes()
}

/// Appends leaves in steps and returns the last root.
fn grow(store: &Store, steps: &[u64]) -> (u64, Digest) {
    let (mut size, mut root) = (0, merkle::empty_root());
    for step in steps {
        let leaves: Vec<_> = (size..size + step).map(leaf).collect();
        let appended = Log::new(store, size).append(&leaves).unwrap();
        store.put_all(&appended.tiles).unwrap();
        (size, root) = (appended.size, appended.root);
    }
    (size, root)
}

#[test]
fn tiles_and_proofs_are_those_of_another_implementation() {
    let scene = Scene::new();
    let store = Store::new(&scene.path("log"));
    let mut stored = Stored::default();
    let (size, root) = grow(&store, &[1, 2, 250, 3, 1, 255, 256, 700, 65_000, 1]);
    for n in 0..size {
        stored.push(n, &leaf(n));
    }
    assert_eq!(tree_hash(size, &stored).unwrap().0, *root.as_bytes());
    let mut log = Log::new(&store, size);
    let hashes = |proof: &[Digest]| proof.iter().map(|hash| Hash(*hash.as_bytes())).collect::<Vec<_>>();
    for index in (0..size).step_by(997).chain([size - 1, 255, 256, 65_535, 65_536]) {
        assert_eq!(log.entry(index).unwrap(), leaf(index));
        let proof = log.inclusion(index).unwrap();
        let record = tlog_tiles::record_hash(&leaf(index));
        check_record(&hashes(&proof), size, Hash(*root.as_bytes()), index, record).unwrap();
        let old = index + 1;
        let old_root = tree_hash(old, &stored).unwrap();
        let proof = log.consistency(old).unwrap();
        check_tree(&hashes(&proof), size, Hash(*root.as_bytes()), old, old_root).unwrap();
        assert_eq!(*log.root(old).unwrap().as_bytes(), old_root.0);
    }
    for tile in tlog_tiles::Tile::new_tiles(8, 0, size) {
        let ours = fs::read(store.path(&tile.path().replacen("tile/8/", "tile/", 1))).unwrap();
        assert_eq!(ours, tile.read_data(&stored).unwrap(), "{}", tile.path());
    }
}

#[test]
fn seventy_thousand_leaves_make_just_the_tiles_of_the_specification() {
    let scene = Scene::new();
    let store = Store::new(&scene.path("log"));
    let (size, _) = grow(&store, &[70_000]);
    let mut count = [0, 0, 0];
    for (level, count) in count.iter_mut().enumerate() {
        for tile in Tile::at(Holds::Hashes(level as u8), 0, size) {
            assert!(store.exists(&tile.to_string()), "{tile}");
            *count += 1;
        }
    }
    assert_eq!(count, [274, 2, 1]);
    assert!(store.exists("tile/0/273.p/112") && store.exists("tile/1/001.p/17") && store.exists("tile/2/000.p/1"));
    assert!(store.exists("tile/entries/273.p/112"));
}

#[test]
fn a_partial_tile_that_was_removed_is_found_in_the_full_one() {
    let scene = Scene::new();
    let store = Store::new(&scene.path("log"));
    let (_, old_root) = grow(&store, &[100]);
    let leaves: Vec<_> = (100..300).map(leaf).collect();
    store.put_all(&Log::new(&store, 100).append(&leaves).unwrap().tiles).unwrap();
    fs::remove_dir_all(store.path("tile/0/000.p")).unwrap();
    fs::remove_dir_all(store.path("tile/entries/000.p")).unwrap();
    let mut log = Log::new(&store, 100);
    assert_eq!(log.root(100).unwrap(), old_root);
    assert_eq!(log.entry(99).unwrap(), leaf(99));
    assert!(log.entry(100).is_err());
}

#[test]
fn another_implementation_accepts_the_checkpoint_and_refuses_a_forged_one() {
    let key = key(7);
    let verifier = VerifierKey::new("example.org/library", key.public()).unwrap();
    let checkpoint = "example.org/library\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n";
    let note = Note::sign(checkpoint, "example.org/library", &key).unwrap().to_string();
    let list = || VerifierList::new(vec![Box::new(StandardVerifier::new(&verifier.to_string()).unwrap())]);
    let other = OtherNote::from_bytes(note.as_bytes()).unwrap();
    let (signed, unknown) = other.verify(&list()).unwrap();
    assert_eq!((signed.len(), unknown.len()), (1, 0));
    let forged = OtherNote::from_bytes(note.replace("15", "16").as_bytes()).unwrap();
    assert!(forged.verify(&list()).is_err());
    assert!(Note::parse(note.replace("15", "16").as_bytes()).unwrap().verified(&verifier).is_err());
}

#[test]
fn tiles_of_two_histories_prove_no_root_of_either() {
    let scene = Scene::new();
    let leaves = |what: &str, range: std::ops::Range<u64>| -> Vec<Vec<u8>> {
        range.map(|n| format!("{what} {n}").into_bytes()).collect()
    };
    let written = |folder: &str, leaves: &[Vec<u8>]| {
        let appended = Log::new(&Store::new(&scene.path(folder)), 0).append(leaves).unwrap();
        for (place, bytes) in appended.tiles {
            scene.write(&format!("{folder}/{place}"), bytes);
        }
        appended.root
    };
    let (one, other) = (leaves("one", 0..300), leaves("other", 0..300));
    let at_hundred = written("hundred", &one[..100]);
    let root = written("other", &other);
    written("one", &one);
    // The first tile of hashes tells of the history that was seen, all other files of the other one.
    std::fs::copy(scene.path("one/tile/0/000"), scene.path("other/tile/0/000")).unwrap();
    let store = Store::new(&scene.path("other"));
    assert_eq!(Log::new(&store, 300).root(100).unwrap(), at_hundred);
    assert_eq!(Log::new(&store, 300).root(300).unwrap(), root);
    let refused = Log::new(&store, 300).signed(root).root(100).unwrap_err();
    assert!(refused.to_string().contains("do not lead to the root in the checkpoint"), "{refused}");
    let refused = Log::new(&store, 300).signed(root).entry(10).unwrap_err();
    assert!(refused.to_string().contains("leaf 10 does not lead to the root"), "{refused}");
    let whole = Store::new(&scene.path("one"));
    let root = Log::new(&whole, 300).root(300).unwrap();
    for size in [1, 100, 255, 256, 257, 299, 300] {
        let unproved = Log::new(&whole, 300).root(size).unwrap();
        assert_eq!(Log::new(&whole, 300).signed(root).root(size).unwrap(), unproved);
        assert_eq!(Log::new(&whole, 300).signed(root).entry(size - 1).unwrap(), one[size as usize - 1]);
    }
}
