//! What people ran into when they followed, pushed, cosigned and rewrote archives, each as the test that would have found it.

mod scene;

use std::num::NonZeroUsize;

use scene::{Scene, key, options, trusted};
use vellum::archive::policies::Pin;
use vellum::archive::{Archive, DOCUMENTS, Publication, Writer};
use vellum::collection::audit::audit;
use vellum::digest::Digest;
use vellum::format::leaf::Leaf;
use vellum::mirror::{Error, Meter, Pace, SyncOptions, SyncReport, sync};
use vellum::store::Store;
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
