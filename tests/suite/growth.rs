//! Long logs: what they cost grows with their length and no faster, in time and in memory.
//!
//! `VELLUM_LONG=1` goes to 100,000 leaves.

use std::num::NonZeroUsize;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::scene::{Scene, installed, key, run, trusted};
use vellum::archive::{History, Log, Pin};
use vellum::digest::Digest;
use vellum::format::leaf::Leaf;
use vellum::format::manifest::Manifest;
use vellum::ids::{BundleId, Origin};
use vellum::keys::{Comment, Kind, Signature, Signer, VerifierKey};
use vellum::store::Store;
use vellum::trust::logged;

const ORIGIN: &str = "example.org/library";
/// The most memory that verifying an archive takes, in kilobytes.
const MAX_KB: u64 = 128 << 10;

fn long() -> bool {
    std::env::var_os("VELLUM_LONG").is_some_and(|value| value == "1")
}

/// A leaf of a bundle that a publisher has signed.
fn leaf(n: u64) -> Vec<u8> {
    let (list, root) = (Digest::of(&n.to_le_bytes()).labelled(), Digest::of(&n.to_be_bytes()).labelled());
    let text = format!(
        "format = \"vellum-manifest/1\"\narchive = \"{ORIGIN}\"\nname = \"n\"\ntitle = \"T\"\narticles = 16384\nfiles = 32768\n\
         bytes = 9000000\nchecksums = \"{list}\"\nroot = \"{root}\"\nbase = {n}\n"
    );
    let digest = Digest::of(text.as_bytes());
    let time = "2026-03-01T00:00:00Z".parse().unwrap();
    let comment = Comment::new(Kind::Manifest, Some(ORIGIN), digest, time).unwrap();
    let signer = key(1);
    let signature = Signature::sign(&signer, text.as_bytes(), &comment).unwrap();
    let signatures = logged::keep(signer.public(), &signature).into_iter().collect();
    let manifest = Box::new(Manifest::decode(text.as_bytes()).unwrap());
    Leaf::Bundle { manifest, size: 100, file: digest, signatures }.to_string().into_bytes()
}

/// Writes what more leaves make of the tiles of a log of `size` leaves; returns the root.
fn appended(scene: &Scene, size: u64, leaves: &[Vec<u8>]) -> Digest {
    let appended = Log::new(&Store::new(&scene.path("log")), size).append(leaves).unwrap();
    for (place, bytes) in appended.tiles {
        scene.write(&format!("log/{place}"), bytes);
    }
    appended.root
}

/// Folds a log by the trusted key `by`.
fn fold(log: Log<'_>, by: u8, papers: &Store) -> Result<History, vellum::archive::Error> {
    let log_key = VerifierKey::new(ORIGIN, key(100).public()).unwrap();
    let pin = Pin::Keys { keys: trusted(&key(by)), log: log_key };
    let (mut log, origin): (_, Origin) = (log, ORIGIN.parse().unwrap());
    History::read(&mut log, &origin, &pin, papers, run().on(NonZeroUsize::new(2).unwrap()))
}

/// Makes the tiles of a log of `size` bundles, and folds it; returns how long that took, and how long with one leaf more where those before are
/// known.
fn folded(size: u64) -> (Duration, Duration) {
    let scene = Scene::new();
    let store = Store::new(&scene.path("log"));
    appended(&scene, 0, &(0..size).map(leaf).collect::<Vec<_>>());
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let history = fold(Log::new(&store, size), 1, &store).unwrap();
        best = best.min(begin.elapsed());
        assert_eq!(history.held().count() as u64, size);
        assert_eq!(history.void, []);
    }
    let root = Log::new(&store, size).root(size).unwrap();
    let known = scene.path("known");
    fold(Log::new(&store, size).signed(root).knowing(Some(&known)), 1, &store).unwrap();
    let root = appended(&scene, size, &[leaf(size)]);
    let mut one_more = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let history = fold(Log::new(&store, size + 1).signed(root).knowing(Some(&known)), 1, &store).unwrap();
        one_more = one_more.min(begin.elapsed());
        assert_eq!(history.held().count() as u64, size + 1);
    }
    (best, one_more)
}

/// What a history says of each bundle, as text.
fn said(history: &History) -> String {
    format!("{:?} {:?} {:?} {:?}", history.bundles, history.statements, history.void, history.documents)
}

#[test]
fn what_is_known_of_a_log_is_not_read_again_and_says_the_same() {
    let (scene, known_size) = (Scene::new(), 600);
    let store = Store::new(&scene.path("log"));
    let mut leaves: Vec<Vec<u8>> = (0..known_size).map(leaf).collect();
    // Not only bundles: what is void, documents, a second form, further signatures.
    leaves[10] = b"no leaf at all".to_vec();
    leaves[20] = leaves[5].clone();
    leaves[300] = Leaf::Document { name: "NOTE.txt".into(), file: Digest::of(b"x"), signatures: Vec::new() }
        .to_string()
        .into_bytes();
    let Leaf::Bundle { manifest, signatures, .. } = Leaf::decode(&leaves[7]).unwrap() else { unreachable!() };
    let bundle = BundleId(Digest::of(manifest.to_string().as_bytes()));
    leaves[301] = Leaf::Signature { bundle, signatures }.to_string().into_bytes();
    let root = appended(&scene, 0, &leaves);
    let known = scene.path("known");
    let knowing = |size, root| Log::new(&store, size).signed(root).knowing(Some(&known));
    let first = fold(knowing(known_size, root), 1, &store).unwrap();
    assert!(known.exists());
    let more: Vec<Vec<u8>> = (known_size..known_size + 3).map(leaf).collect();
    let size = known_size + 3;
    let root = appended(&scene, known_size, &more);
    let plain = fold(Log::new(&store, size).signed(root), 1, &store).unwrap();
    // The tiles before the last are not asked for.
    for tile in ["000", "001"] {
        std::fs::rename(scene.path(&format!("log/tile/entries/{tile}")), scene.path(tile)).unwrap();
    }
    let read = fold(knowing(size, root), 1, &store).unwrap();
    assert_eq!(said(&read), said(&plain));
    assert_ne!(said(&read), said(&first));
    // Who trusts another key is told that nobody whom he trusts has signed, and who then trusts the first one, that it has.
    let other = fold(knowing(size, root), 2, &store).unwrap();
    assert_eq!(other.held().count(), 0);
    assert_eq!(said(&fold(knowing(size, root), 1, &store).unwrap()), said(&plain));
    // Of an older copy, of another log, or damaged, it counts for nothing: the leaves are read.
    assert!(fold(knowing(known_size - 1, root), 1, &store).is_err());
    assert!(fold(knowing(size, Digest::of(b"another log")), 1, &store).is_err());
    let good = std::fs::read(&known).unwrap();
    for at in [0, 20, 60, 200, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        scene.write("known", bad);
        assert!(fold(knowing(size, root), 1, &store).is_err(), "{at}");
    }
    for tile in ["000", "001"] {
        std::fs::rename(scene.path(tile), scene.path(&format!("log/tile/entries/{tile}"))).unwrap();
    }
    assert_eq!(said(&fold(knowing(size, root), 1, &store).unwrap()), said(&plain));
    // That one was kept anew.
    assert!(std::fs::read(&known).unwrap().len() > good.len());
}

#[test]
fn folding_a_log_takes_a_time_that_grows_with_its_length() {
    let sizes: &[u64] = if long() { &[1_000, 10_000, 100_000] } else { &[250, 1_000] };
    let times: Vec<_> = sizes.iter().map(|&size| (size, folded(size))).collect();
    for (size, (time, one_more)) in &times {
        println!(
            "{size} leaves: {:.3} s, {:.1} µs a leaf; one more: {:.3} s",
            time.as_secs_f64(),
            time.as_secs_f64() * 1e6 / *size as f64,
            one_more.as_secs_f64(),
        );
        // Signatures are what takes the time, and none is checked twice.
        assert!(*size < 1_000 || 2 * *one_more < *time, "{times:?}");
    }
    let a_leaf = |(size, (time, _)): &(u64, (Duration, Duration))| time.as_secs_f64() / *size as f64;
    for pair in times.windows(2) {
        // Machines are noisy; a square would make it four or ten times as much.
        assert!(a_leaf(&pair[1]) < 2.5 * a_leaf(&pair[0]), "{times:?}");
    }
}

#[test]
fn verifying_many_bundles_takes_no_more_memory_than_one_may() {
    if !installed("time") {
        return;
    }
    let bundles = if long() { 5_000 } else { 300 };
    let scene = Scene::with_key();
    for n in 0..bundles {
        scene.write(&format!("in/a{n}.txt"), format!("text {n}\n"));
    }
    scene.expect(0, &["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    // Each article is a bundle, and a leaf.
    scene.expect(0, &["pack", "--quiet", "--into", "library", "--bundle-size", "1", "in"]);
    let mut command = Command::new("time");
    command.args(["-f", "%M", env!("CARGO_BIN_EXE_vellum"), "verify", "--quiet", "library"]);
    let output = command.current_dir(scene.path("")).env("VELLUM_CONFIG", scene.path("config")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let peak: u64 = said.trim().lines().last().unwrap().parse().unwrap();
    println!("{bundles} bundles: {peak} kB");
    assert!(peak < MAX_KB, "{peak} kB");
    // The next article is one more leaf.
    scene.write("in/more.txt", "more\n");
    scene.expect(0, &["pack", "--quiet", "--into", "library", "in"]);
    let log = scene.expect(0, &["log", "--json", "library"]).stdout;
    assert!(log.contains(&format!("\"size\":{}", bundles + 1)), "{log}");
}
