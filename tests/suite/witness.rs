//! Public witnesses, as C2SP's tlog-witness has them: `tests/witness.py` is one, written from that specification alone, and a bad one where asked.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::mirror::chain;
use crate::scene::{Scene, installed, key, run, trusted};
use vellum::archive::{Archive, Pin, Publication, Writer};
use vellum::digest::Digest;
use vellum::format::leaf::Leaf;
use vellum::keys::{Note, VerifierKey};
use vellum::mirror::{Error, submit};
use vellum::store::{Access, Remote, Store};

const ORIGIN: &str = "example.org/library";
const PATIENCE: Duration = Duration::from_millis(500);

/// A witness at work, until dropped.
struct Public {
    process: Child,
    url: String,
    key: VerifierKey,
}

impl Public {
    fn start(scene: &Scene, log: &VerifierKey, state: &str, more: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/witness.py");
        let mut command = Command::new("python3");
        command.args([script, "serve", "--name", "witness.example", "--seed", &"07".repeat(32)]);
        command.args(["--log", &log.to_string(), "--state", &scene.path(state).display().to_string()]).args(more);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { process, url: word("url"), key: word("vkey").parse().unwrap() }
    }

    fn remote(&self) -> Remote {
        Remote::new(&self.url, &Access { patience: Some(PATIENCE), ..Access::default() }).unwrap()
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn archive(scene: &Scene, folder: &str, leaves: u64) -> Archive {
    let store = Store::new(&scene.path(folder));
    let archive = Archive::create(store, ORIGIN.parse().unwrap(), &key(2), "test", run()).unwrap();
    grown(&archive, folder, leaves);
    archive
}

/// Adds leaves of no weight.
fn grown(archive: &Archive, word: &str, leaves: u64) {
    let leaf = |n: u64| Leaf::Document {
        name: format!("n{n}.txt"),
        file: Digest::of(format!("{word} {n}").as_bytes()),
        signatures: Vec::new(),
    };
    let leaves = (0..leaves).map(leaf).collect();
    let publication = Publication { leaves, ..Publication::default() };
    Writer::begin(archive, &[&key(2)], "test", run()).unwrap().publish(publication).unwrap();
}

fn pin(archive: &Archive) -> Pin {
    Pin::Keys { keys: trusted(&key(1)), log: archive.log_key().clone() }
}

fn submitted(archive: &Archive, witness: &Public) -> Result<Vec<String>, Error> {
    submit(archive, &pin(archive), &witness.remote(), std::slice::from_ref(&witness.key), "test", run())
}

fn note(archive: &Archive) -> Note {
    Note::parse(&fs::read(archive.store().path("checkpoint")).unwrap()).unwrap()
}

#[test]
fn a_public_witness_cosigns_what_extends_the_log_that_it_has_seen() {
    if !installed("python3") {
        return;
    }
    let scene = Scene::new();
    let archive = archive(&scene, "origin", 3);
    let asked = scene.path("asked");
    let asked_file = asked.display().to_string();
    let witness = Public::start(&scene, archive.log_key(), "state", &["--log-file", &asked_file]);
    // Sizes around a tile's: each is cosigned, and the next one proved to extend it.
    for more in [0, 1, 251, 1, 1, 255, 1] {
        if more > 0 {
            grown(&archive, "more", more);
        }
        assert_eq!(submitted(&archive, &witness).unwrap(), ["witness.example"]);
        assert!(note(&archive).cosigned(&witness.key).unwrap().is_some());
    }
    let statuses: Vec<u64> = fs::read_to_string(&asked)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [vec![200], [409, 200].repeat(6)].concat());
    // Another history of the same key: the witness has seen one, and will have no other; nothing is taken in.
    for (folder, leaves) in [("same", 513), ("longer", 600), ("shorter", 4)] {
        let fork = self::archive(&scene, folder, leaves);
        let before = fs::read(fork.store().path("checkpoint")).unwrap();
        let error = submitted(&fork, &witness).expect_err(folder);
        assert!(
            chain(&error).contains(if leaves < 513 { "has seen 513 leaves" } else { "has seen another log" }),
            "{error}"
        );
        assert_eq!(fs::read(fork.store().path("checkpoint")).unwrap(), before);
    }
}

#[test]
fn what_a_bad_witness_answers_is_not_taken_and_holds_nobody_up() {
    if !installed("python3") {
        return;
    }
    for (kind, expected) in [
        ("wrong-key", Err("by no witness that is known here")),
        ("other-checkpoint", Err("its cosignature is wrong")),
        ("garbage", Err("answers with no cosignature")),
        ("no-body", Err("answers with no cosignature")),
        ("huge", Err("more than 65536 bytes")),
        ("many-lines", Err("more than 65536 bytes")),
        ("slow", Err("timeout")),
        ("redirect", Err("answers 302")),
        ("conflict-forever", Err("")),
        ("conflict-lies", Err("has seen 1003 leaves of this log, 3 are here")),
        ("two-lines", Ok(())),
        ("503-once", Ok(())),
        // It is taken, and says nothing until that time has come.
        ("future", Ok(())),
    ] {
        let scene = Scene::new();
        let archive = archive(&scene, "origin", 3);
        let witness = Public::start(&scene, archive.log_key(), "state", &["--misbehave", kind]);
        let before = fs::read(archive.store().path("checkpoint")).unwrap();
        let begun = Instant::now();
        let done = submitted(&archive, &witness);
        assert!(begun.elapsed() < Duration::from_secs(10), "{kind}: {:?}", begun.elapsed());
        match (done, expected) {
            (Ok(new), Ok(())) => assert_eq!(new, ["witness.example"], "{kind}"),
            (Err(error), Err(why)) => {
                assert!(chain(&error).contains(why), "{kind}: expected {why:?}, found {:?}", chain(&error));
                assert_eq!(fs::read(archive.store().path("checkpoint")).unwrap(), before, "{kind}");
            }
            (done, _) => panic!("{kind}: {done:?}"),
        }
    }
}

#[test]
fn the_command_line_asks_each_witness_and_names_the_one_that_fails() {
    if !installed("python3") {
        return;
    }
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--no-passphrase", "--origin", ORIGIN, "library"]);
    scene.expect(0, &["pack", "--quiet", "--into", "library", "in"]);
    let log = Archive::open(Store::new(&scene.path("library"))).unwrap().log_key().clone();
    let witness = Public::start(&scene, &log, "state", &[]);
    let vkey = witness.key.to_string();
    let said = scene.expect(2, &["cosign", "--witness", &witness.url, "library"]);
    assert!(said.stderr.contains("--vkey KEY"), "{}", said.stderr);
    let said = scene.expect(0, &["cosign", "--witness", &witness.url, "--vkey", &vkey, "library"]);
    assert!(said.stdout.contains("as witness.example"), "{}", said.stdout);
    let gone = "http://127.0.0.1:9";
    let args = ["cosign", "--json", "--witness", gone, "--witness", &witness.url, "--vkey", &vkey, "library"];
    let said = scene.expect(1, &args);
    assert!(said.stdout.contains(&format!("\"witness\":\"{gone}\",\"new\":[],\"error\":\"")), "{}", said.stdout);
    assert!(said.stdout.contains("\"error\":null"), "{}", said.stdout);
    scene.expect(0, &["verify", "library"]);
}
