//! The verbs of an archive as a person types them: they are wired, they speak well, they refuse by name.

use crate::scene::{Scene, said};

fn library() -> Scene {
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene
}

/// Returns the kinds of JSON objects that were printed.
fn kinds(stdout: &str) -> Vec<String> {
    let kind =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
    stdout.lines().map(kind).collect()
}

#[test]
fn a_dry_run_names_what_is_new_and_adds_nothing() {
    let scene = library();
    let said = scene.expect(0, &["pack", "--into", "library", "--dry-run", "in"]);
    assert!(said.stderr.contains("4 new") && said.stderr.contains("nothing was added"), "{}", said.stderr);
    let said = scene.expect(0, &["pack", "--json", "--into", "library", "--dry-run", "in"]);
    assert_eq!(kinds(&said.stdout), ["added"]);
    let listed = scene.expect(0, &["list", "library"]);
    assert_eq!(listed.stdout.lines().count(), 1);
}

#[test]
fn every_reading_verb_takes_an_archive_and_speaks_json() {
    let scene = library();
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let json = |args: &[&str]| kinds(&scene.expect(0, args).stdout);
    assert_eq!(json(&["list", "--json", "--author", "moll", "library"]), ["article"]);
    assert_eq!(json(&["show", "--json", "library"]), ["archive"]);
    assert_eq!(json(&["show", "--json", "library", "letter-1"]), ["article"]);
    assert_eq!(json(&["search", "--json", "library", "sea"]), ["hit"]);
    assert_eq!(json(&["history", "--json", "library", "letter-1"]), ["revision"]);
    assert_eq!(json(&["log", "--json", "library"]), ["log"]);
    assert_eq!(json(&["verify", "--json", "library"]), ["archive"]);
    assert_eq!(json(&["prove", "--json", "-o", "p", "library", "in/essays/tides"]), ["proof"]);
    assert_eq!(json(&["verify", "--json", "--proof", "p", "in/essays/tides.md"]), ["proved"]);
    assert_eq!(
        scene.expect(0, &["cat", "library", "letter-1/pictures/sea.png"]).stdout.len(),
        "\u{fffd}PNG\u{1}\u{2}\u{3}".len()
    );
    scene.expect(0, &["verify", "--article", "letter-1", "library"]);
    scene.expect(0, &["extract", "--to", "out", "--article", "in/notes/*", "library"]);
    assert!(scene.path("out/in/notes/随筆/随筆.txt").exists() && !scene.path("out/in/essays").exists());
    scene.expect(0, &["reindex", "library"]);
    scene.expect(1, &["search", "library", "nowhere"]);
    scene.expect(1, &["show", "library", "nobody"]);
    scene.expect(1, &["verify", "--proof", "p", "in/notes/empty.txt"]);
}

#[test]
fn a_log_that_nobody_trusts_here_is_refused_with_the_line_to_compare() {
    let scene = library();
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let stranger = said(scene.command(&["list", "library"]).env("VELLUM_CONFIG", scene.path("none")).output().unwrap());
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("example.org/library+"), "{}", stranger.stderr);
    let said = scene.expect(1, &["list", "--archive", "example.org/other", "library"]);
    assert!(said.stderr.contains("example.org/other"), "{}", said.stderr);
}

#[test]
fn an_older_checkpoint_is_extended_and_a_forked_one_is_not() {
    let scene = library();
    std::fs::copy(scene.path("library/checkpoint"), scene.path("old")).unwrap();
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let said = scene.expect(0, &["log", "--extends", "old", "library"]);
    assert!(said.stdout.contains("extends the checkpoint of 0 leaves"), "{}", said.stdout);
    std::fs::copy(scene.path("library/checkpoint"), scene.path("new")).unwrap();
    std::fs::copy(scene.path("old"), scene.path("library/checkpoint")).unwrap();
    scene.expect(1, &["log", "--extends", "new", "library"]);
}

/// An archive whose reader has seen all of it, and `old`, a copy of before its last bundle.
fn seen_with_an_older_copy() -> Scene {
    let scene = library();
    scene.expect(0, &["pack", "--into", "library", "in"]);
    crate::scene::tool(scene.folder.path(), "cp", &["-r", "library", "old"]);
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.expect(0, &["list", "library"]);
    scene
}

#[test]
fn a_reader_is_shown_no_older_log_than_it_has_seen_and_no_other_history() {
    let scene = seen_with_an_older_copy();
    for verb in
        [&["list", "old"][..], &["cat", "old", "in/essays/tides"], &["verify", "old"], &["search", "old", "tides"]]
    {
        let said = scene.expect(1, verb);
        assert!(said.stderr.contains("one of 2 leaves was seen here before"), "{}", said.stderr);
    }
    let said = scene.expect(0, &["list", "--older", "old"]);
    assert!(said.stderr.contains("is an older copy"), "{}", said.stderr);
    // The same key, another history.
    scene.write("in/notes/new.txt", "otherwise\n");
    scene.expect(0, &["pack", "--into", "old", "in"]);
    for verb in [&["list", "old"][..], &["list", "--older", "old"]] {
        let said = scene.expect(1, verb);
        assert!(said.stderr.contains("are two histories") && said.stderr.contains("log compare"), "{}", said.stderr);
    }
    scene.expect(0, &["list", "library"]);
}

/// Writes another leaf into a log's files in the place of the first that begins with this, and leaves the tiles of hashes alone.
fn other_leaf(tiles: &std::path::Path, begins: &str, other: &[u8]) {
    let (mut folders, mut changed) = (vec![tiles.join("entries")], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (bytes, mut new, mut at) = (std::fs::read(&path).unwrap(), Vec::new(), 0);
            while at < bytes.len() {
                let length = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
                let leaf = &bytes[at + 2..at + 2 + length];
                let is_it = leaf.starts_with(begins.as_bytes());
                changed += u32::from(is_it);
                vellum::format::tile::encode_entry(if is_it { other } else { leaf }, &mut new);
                at += 2 + length;
            }
            std::fs::write(&path, new).unwrap();
        }
    }
    assert!(changed > 0, "no leaf begins with {begins}");
}

#[test]
fn who_has_no_key_at_all_changes_no_leaf_for_a_reader_by_folder_or_by_address() {
    let scene = library();
    scene.expect(0, &["pack", "--into", "library", "in"]);
    crate::scene::tool(scene.folder.path(), "cp", &["-r", "library/bundles", "kept"]);
    scene.expect(0, &["withdraw", "library", "letter-1"]);
    scene.expect(0, &["prove", "-o", "proof", "library", "in/essays/tides"]);
    // An origin has kept what was withdrawn, and says that nothing was.
    crate::scene::tool(scene.folder.path(), "cp", &["-r", "kept/.", "library/bundles"]);
    crate::scene::tool(scene.folder.path(), "rm", &["-r", "config/cache"]);
    other_leaf(&scene.path("library/tile"), "vellum-leaf/1 withdraw", b"no leaf at all");
    let server = crate::server::Server::honest(&scene.path("library"));
    for archive in ["library", &server.url] {
        for verb in [
            &["list", archive][..],
            &["show", archive, "letter-1"],
            &["cat", archive, "letter-1"],
            &["search", archive, "tides"],
            &["history", archive, "letter-1"],
            &["extract", "--to", "out", archive],
            &["prove", "-o", "other", archive, "in/essays/tides"],
            &["log", archive],
            &["verify", "--article", "in/essays/tides", archive],
        ] {
            scene.refuses(verb, "its leaves do not lead to the root in the checkpoint");
        }
    }
    let said = scene.expect(1, &["verify", "library"]);
    assert!(said.stdout.contains("log: leaf 2: the tile has another hash than the leaf"), "{}", said.stdout);
    for verb in [&["pack", "--into", "library", "in"][..], &["withdraw", "library", "in/essays/tides"]] {
        let said = scene.expect(1, verb);
        assert!(said.stderr.contains("its leaves do not lead to the root in the checkpoint"), "{}", said.stderr);
    }
    assert!(!scene.path("out").exists() && !scene.path("other").exists());
}

#[test]
fn a_head_that_was_seen_gives_way_to_a_newer_policy_that_was_made_below_it() {
    let scene = seen_with_an_older_copy();
    // The newest copy is lost; its publisher goes on from an older one, and signs that this is so.
    scene.expect(0, &["trust", "propose", "--older", "old", "--add", "me", "--output", "policy.toml"]);
    scene.expect(0, &["trust", "sign", "policy.toml"]);
    scene.expect(0, &["trust", "apply", "old", "policy.toml"]);
    scene.write("in/notes/new.txt", "written anew\n");
    let said = scene.expect(0, &["pack", "--into", "old", "in"]);
    assert!(!said.stderr.contains("histories"), "{}", said.stderr);
    let said = scene.expect(0, &["cat", "old", "in/notes/new"]);
    assert_eq!(said.stdout, "written anew\n");
    // From here on the other one is refused.
    let said = scene.expect(1, &["list", "library"]);
    assert!(said.stderr.contains("it is behind what is known here"), "{}", said.stderr);
}

#[test]
fn two_packs_at_once_both_end_well_or_one_names_the_other() {
    let scene = library();
    scene.write("more/a.txt", "A\n");
    let spawn = |input: &str| {
        let mut command = scene.command(&["pack", "--into", "library", input]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let runs = [spawn("in"), spawn("more")].map(|run| said(run.wait_with_output().unwrap()));
    assert!(runs.iter().any(|run| run.code == 0));
    for run in runs.iter().filter(|run| run.code != 0) {
        assert!(run.stderr.contains("another vellum is writing"), "{}", run.stderr);
    }
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.expect(0, &["pack", "--into", "library", "more"]);
    assert_eq!(scene.expect(0, &["list", "library"]).stdout.lines().count(), 6);
    scene.expect(0, &["verify", "library"]);
}

#[test]
fn a_deposit_and_a_withdrawal_are_a_line_each() {
    let scene = library();
    scene.write("else/poem.txt", "A poem.\n");
    let bundle = scene.pack("else");
    scene.expect(0, &["deposit", "library", &bundle.display().to_string()]);
    let said = scene.expect(0, &["withdraw", "library", "poem", "--reason", "not ours"]);
    assert_eq!(said.stdout.trim().len(), 64);
    let said = scene.expect(0, &["history", "library", "poem"]);
    assert!(said.stdout.contains("withdrawn") && said.stdout.contains("not ours"), "{}", said.stdout);
    scene.expect(1, &["show", "library", "poem"]);
    scene.expect(0, &["verify", "library"]);
    assert!(!scene.path("library/bundles").exists());
}
