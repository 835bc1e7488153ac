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
use vellum::ids::Origin;
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

/// Makes the tiles of a log of `size` bundles, and folds it; returns how long that took.
fn folded(size: u64) -> Duration {
    let scene = Scene::new();
    let store = Store::new(&scene.path("log"));
    let leaves: Vec<Vec<u8>> = (0..size).map(leaf).collect();
    for (place, bytes) in Log::new(&store, 0).append(&leaves).unwrap().tiles {
        scene.write(&format!("log/{place}"), bytes);
    }
    let log = VerifierKey::new(ORIGIN, key(100).public()).unwrap();
    let pin = Pin::Keys { keys: trusted(&key(1)), log };
    let origin: Origin = ORIGIN.parse().unwrap();
    let threads = run().on(NonZeroUsize::new(2).unwrap());
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let history = History::read(&mut Log::new(&store, size), &origin, &pin, &store, threads).unwrap();
        best = best.min(begin.elapsed());
        assert_eq!(history.held().count() as u64, size);
        assert_eq!(history.void, []);
    }
    best
}

#[test]
fn folding_a_log_takes_a_time_that_grows_with_its_length() {
    let sizes: &[u64] = if long() { &[1_000, 10_000, 100_000] } else { &[250, 1_000] };
    let times: Vec<_> = sizes.iter().map(|&size| (size, folded(size))).collect();
    for (size, time) in &times {
        println!(
            "{size} leaves: {:.3} s, {:.1} µs a leaf",
            time.as_secs_f64(),
            time.as_secs_f64() * 1e6 / *size as f64
        );
    }
    let a_leaf = |(size, time): &(u64, Duration)| time.as_secs_f64() / *size as f64;
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
