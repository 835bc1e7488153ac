//! What people ran into when they followed, pushed, cosigned and rewrote archives, each as the test that would have found it.

mod scene;
mod server;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use scene::{Scene, key, options, tool, trusted};
use server::{Answer, Server};
use vellum::archive::policies::Pin;
use vellum::archive::{Archive, DOCUMENTS, Publication, Writer, layout};
use vellum::collection::audit::audit;
use vellum::digest::Digest;
use vellum::format::leaf::Leaf;
use vellum::format::manifest::BundleId;
use vellum::mirror::{Error, Meter, Pace, SyncOptions, SyncReport, push, sync};
use vellum::store::{Access, Remote, Store};
use vellum::watch::Silent;

const ORIGIN: &str = "example.org/library";

/// Neither waits nor measures.
struct NoTime;

impl Pace for NoTime {
    fn stream(&self) -> Meter<'_> {
        Box::new(|_| Ok(()))
    }

    fn wait(&self, _trial: u32) {}
}

fn pin(archive: &Archive) -> Pin {
    Pin::Keys { keys: trusted(&key(1)), log: archive.log_key().clone() }
}

fn synced(archive: &Archive, mirror: &Store, dry_run: bool) -> Result<SyncReport, Error> {
    let (name, pin) = (ORIGIN.parse().unwrap(), pin(archive));
    let options = SyncOptions {
        origins: &[archive.store().clone()],
        name: &name,
        pin: &pin,
        moment: options().time,
        streams: NonZeroUsize::MIN,
        dry_run,
        complete: false,
        unwitnessed: false,
        delete: false,
        who: "test",
        pace: &NoTime,
    };
    sync(mirror, &options, &Silent)
}

fn created(scene: &Scene, folder: &str) -> Archive {
    Archive::create(Store::new(&scene.path(folder)), ORIGIN.parse().unwrap(), &key(2), "test").unwrap()
}

/// Brings the log to `size` leaves, in one publication.
fn grown(archive: &Archive, size: u64) {
    let (name, text) = DOCUMENTS[0];
    let leaf = Leaf::Document { name: name.into(), file: Digest::of(text.as_bytes()) };
    let secret = key(2);
    let mut writer = Writer::begin(archive, &secret, "test").unwrap();
    let leaves = vec![leaf; (size - writer.checkpoint().size) as usize];
    writer.publish(Publication { leaves, ..Publication::default() }).unwrap();
}

#[test]
fn a_mirror_follows_an_archive_past_full_tiles() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let mirror = Store::new(&scene.path("mirror"));
    for size in [255, 256, 257, 513] {
        grown(&archive, size);
        assert_eq!(synced(&archive, &mirror, false).unwrap().after, size);
        let held = Archive::open(mirror.clone()).unwrap();
        let vouched = held.vouched(&pin(&archive)).unwrap();
        let found = audit(&held, &vouched, NonZeroUsize::MIN, &Silent).unwrap();
        assert_eq!((vouched.checkpoint.size, found.findings), (size, vec![]));
    }
}

/// What lies below a folder: every path, with size and time.
fn listing(folder: &Path) -> String {
    tool(folder, "find", &[".", "-printf", "%p %y %T@ %s\n"])
}

#[test]
fn a_sync_into_a_folder_that_holds_something_else_is_refused_and_writes_nothing() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let other = "example.org/other".parse().unwrap();
    Archive::create(Store::new(&scene.path("other")), other, &key(2), "test").unwrap();
    scene.write("thesis/chapter-1.txt", "mine");
    scene.write("hidden/.config", "mine");
    // Copies of other archives, as a mirror has them and as a killed sync leaves them.
    tool(&scene.path(""), "sh", &["-c", "mkdir mirrored && cp -r other/* mirrored/"]);
    scene.write("begun/bundles/00/x.tar.zst", "x");
    scene.write("begun/.vellum/state/begun", "example.org/other\n");
    for (folder, found) in [
        ("thesis", "chapter-1.txt"),
        ("hidden", ".config"),
        ("mirrored", "the archive example.org/other"),
        ("begun", "a sync of example.org/other"),
    ] {
        let path = scene.path(folder);
        let before = listing(&path);
        for dry_run in [false, true] {
            let error = synced(&archive, &Store::new(&path), dry_run).expect_err(folder).to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains(found), "{error}");
        }
        assert_eq!(listing(&path), before, "{folder}");
    }
    let file = scene.write("file", "x");
    assert!(synced(&archive, &Store::new(&file), false).is_err());
    let publisher = scene.path("other");
    let before = listing(&publisher);
    assert!(matches!(synced(&archive, &Store::new(&publisher), false), Err(Error::Publisher(_))));
    assert_eq!(listing(&publisher), before);
}

#[test]
fn a_sync_goes_on_in_what_a_killed_one_left() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    fs::create_dir(scene.path("empty")).unwrap();
    scene.write("locked/.vellum/state/lock", "process 1\n");
    scene.write("begun/tile/entries/000.p/1", "x");
    scene.write("begun/.vellum/state/begun", format!("{ORIGIN}\n"));
    for folder in ["empty", "locked", "begun"] {
        assert_eq!(synced(&archive, &Store::new(&scene.path(folder)), false).unwrap().after, 2);
        assert!(!scene.path(folder).join(".vellum/state/begun").exists());
        assert_eq!(synced(&archive, &Store::new(&scene.path(folder)), false).unwrap().after, 2);
    }
}

#[test]
fn a_push_without_a_bundle_that_counts_is_refused_before_anything_is_uploaded() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let bytes = b"a bundle's bytes".to_vec();
    let (id, file) = (BundleId(Digest::of(b"id")), Digest::of(&bytes));
    let leaf = Leaf::Bundle { id, size: bytes.len() as u64, file, replaces: None };
    let publication = Publication { leaves: vec![leaf], ..Publication::default() };
    let secret = key(2);
    Writer::begin(&archive, &secret, "test").unwrap().publish(publication).unwrap();
    let own = layout::bundle(id, &file);
    let vouched = archive.vouched(&pin(&archive)).unwrap();
    let server = Server::start(&scene.path("bucket"), |_| Answer::Status(404, "X: y".into()));
    let access = Access {
        endpoint: Some(server.url.clone()),
        credentials: Some(("a".into(), "b".into(), None)),
        ..Access::default()
    };
    let remote = Remote::new("s3://bucket/library", &access).unwrap();
    for (there, why) in [(None, "is missing"), (Some("a bundle"), "has 8 bytes, its leaf says 16")] {
        there.into_iter().for_each(|text| drop(scene.write(&format!("origin/{own}"), text)));
        let error = push(&archive, &vouched, &remote, &Silent).expect_err(why).to_string();
        assert!(error.contains(&own) && error.contains(why), "{error}");
        let asked = server.take_asked();
        assert!(asked.iter().all(|path| path.contains("library/checkpoint")), "{asked:?}");
    }
    // With the bundle, the first thing that it puts is the claim.
    scene.write(&format!("origin/{own}"), bytes);
    assert!(push(&archive, &vouched, &remote, &Silent).is_err());
    assert!(server.take_asked().iter().any(|path| path.contains("library/claim")));
}
