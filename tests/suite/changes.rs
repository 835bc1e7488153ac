//! Files that change under the packer: reported, read again, and the bytes hashed are the bytes stored.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use vellum::folder::Error;
use vellum::folder::pack::{PackOptions, pack};
use vellum::folder::walk::Note;
use vellum::format::bundle::{Bundle, check};
use vellum::watch::Watch;

use crate::scene::{Scene, key, options, run};

/// Does something to the input once the walk is over and before the content is read.
struct Meddler<F: Fn() + Sync> {
    act: F,
    done: AtomicBool,
}

impl<F: Fn() + Sync> Watch for Meddler<F> {
    fn total(&self, _total: u64) {
        if !self.done.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
    }
}

fn input(scene: &Scene) -> PathBuf {
    for n in 0..30 {
        scene.write(&format!("in/a{n:02}.txt"), format!("line {n}\n").repeat(3000));
        scene.write(&format!("in/a{n:02}.toml"), format!("title = \"{n}\"\n"));
    }
    scene.write("in/long.bin", vec![7; 900_000]);
    scene.path("in")
}

fn small_frames() -> PackOptions {
    PackOptions { frame_bytes: 64 << 10, ..options() }
}

#[test]
fn a_file_that_grows_or_shrinks_is_packed_as_it_is_then_and_equals_a_fresh_pack() {
    for (name, content) in [("a03.txt", vec![1_u8; 500_000]), ("a17.txt", vec![]), ("long.bin", vec![3; 100])] {
        let scene = Scene::new();
        let root = input(&scene);
        let changed = root.join(name);
        let meddler = Meddler { act: || fs::write(&changed, &content).unwrap(), done: AtomicBool::new(false) };
        let packed = pack(&root, &scene.path("out"), &small_frames(), &[&key(1)], run().watched(&meddler)).unwrap();
        assert!(packed.notes.iter().any(|(place, note)| place.ends_with(name) && *note == Note::Changed));
        let bytes = fs::read(&packed.bundles[0].file).unwrap();
        assert_eq!(check(&bytes, run()).unwrap().findings, []);
        let bundle = Bundle::open(bytes.clone()).unwrap();
        let contents = bundle.contents().unwrap();
        let stem = name.split('.').next().unwrap();
        let line = contents.list.find(&format!("data/{stem}/{name}")).unwrap();
        let mut stored = Vec::new();
        bundle.read_file(&contents, line, &mut stored).unwrap();
        assert_eq!(stored, content);
        let again = pack(&root, &scene.path("again"), &small_frames(), &[&key(1)], run()).unwrap();
        assert!(fs::read(&again.bundles[0].file).unwrap() == bytes, "{name}: a fresh pack gives other bytes");
    }
}

#[test]
fn a_file_that_vanishes_is_named_and_nothing_is_left_behind() {
    let scene = Scene::new();
    let root = input(&scene);
    let meddler = Meddler { act: || fs::remove_file(root.join("a05.txt")).unwrap(), done: AtomicBool::new(false) };
    let error = pack(&root, &scene.path("out"), &small_frames(), &[&key(1)], run().watched(&meddler)).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if path.ends_with("a05.txt")), "{error}");
    assert_eq!(fs::read_dir(scene.path("out")).unwrap().count(), 0);
}

#[test]
fn derived_metadata_that_no_longer_fits_its_document_is_not_stored() {
    let scene = Scene::new();
    let path = scene.write("in/a.md", "# Before\n");
    let meddler = Meddler { act: || fs::write(&path, "# After\n").unwrap(), done: AtomicBool::new(false) };
    let packed = pack(&scene.path("in"), &scene.path("out"), &options(), &[&key(1)], run().watched(&meddler));
    match packed {
        Err(Error::KeepsChanging(place)) => assert!(place.ends_with("a.md")),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(scene.path("out")).unwrap().count(), 0);
}
