//! A folder or an address that a stranger has prepared: links, a catalog, a state of his own, a log of another history. Nothing of it is believed,
//! and nothing outside of it is touched.

use std::fs;
use std::os::unix::fs::symlink;

use crate::scene::{Scene, tool};
use crate::server::Server;
use vellum::keys::{Note, SecretKey, Signer, VerifierKey};

/// An archive with a withdrawn article, `kept` its bundles from before, and `diary` a folder of its reader's own beside it.
fn library() -> Scene {
    let scene = Scene::with_key();
    scene.articles();
    scene.write("diary/today.txt", "Mine\n");
    scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    tool(scene.folder.path(), "cp", &["-r", "library/bundles", "kept"]);
    scene.expect(0, &["withdraw", "library", "letter-1"]);
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "w"]);
    scene
}

fn is_untouched(scene: &Scene) {
    assert_eq!(tool(scene.folder.path(), "sh", &["-c", "find diary -type f | xargs cat"]), "Mine\n");
    assert_eq!(fs::read_dir(scene.path("diary")).unwrap().count(), 1);
}

#[test]
fn who_hides_a_statement_shows_nothing_that_it_withdrew() {
    let scene = library();
    tool(
        scene.folder.path(),
        "sh",
        &["-c", "cp -r kept/. library/bundles; rm library/withdrawn/*; rm -rf config/cache"],
    );
    let server = Server::honest(&scene.path("library"));
    for archive in ["library", &server.url] {
        for verb in [
            &["list", archive][..],
            &["cat", archive, "letter-1"],
            &["search", archive, "tides"],
            &["history", archive, "letter-1"],
            &["extract", "--to", "out", archive],
            &["verify", "--article", "letter-1", archive],
        ] {
            scene.refuses(verb, "which says what was withdrawn");
        }
    }
    let said = scene.expect(1, &["verify", "library"]);
    assert!(said.stdout.contains("withdrawal: withdrawn/"), "{}", said.stdout);
}

#[test]
fn a_catalog_in_a_folder_that_was_given_is_neither_read_nor_written() {
    let scene = library();
    let expected = scene.expect(0, &["list", "library"]).stdout;
    scene.write("library/.vellum/cache/catalog.sqlite", "a stranger's rows");
    for verb in [&["list", "library"][..], &["search", "library", "tides"], &["reindex", "library"]] {
        scene.expect(0, verb);
    }
    assert_eq!(scene.expect(0, &["list", "library"]).stdout, expected);
    assert_eq!(fs::read(scene.path("library/.vellum/cache/catalog.sqlite")).unwrap(), b"a stranger's rows");
    // Nor through a link to the reader's own.
    fs::remove_dir_all(scene.path("library/.vellum/cache")).unwrap();
    symlink(scene.path("diary"), scene.path("library/.vellum/cache")).unwrap();
    assert_eq!(scene.expect(0, &["list", "library"]).stdout, expected);
    scene.expect(2, &["reindex", "library"]);
    is_untouched(&scene);
}

#[test]
fn no_link_in_an_archive_leads_a_writer_out_of_it() {
    let laid = |scene: &Scene, place: &str, target: &str| {
        let link = scene.path("library").join(place);
        if let Ok(found) = link.symlink_metadata() {
            if found.is_dir() { fs::remove_dir_all(&link).unwrap() } else { fs::remove_file(&link).unwrap() }
        }
        symlink(scene.path(target), &link).unwrap();
    };
    let verbs = [
        &["pack", "--into", "library", "in"][..],
        &["withdraw", "library", "in/essays/tides"],
        &["reindex", "library"],
        &["cosign", "--as", "w.example", "--secret", "w.key", "library"],
    ];
    for (place, target) in [
        (".vellum/state/lock", "diary/today.txt"),
        (".vellum/state", "diary"),
        (".vellum/incoming", "diary"),
        (".vellum/withdrawn", "diary"),
        (".vellum", "diary"),
    ] {
        let scene = library();
        laid(&scene, place, target);
        scene.write("in/notes/new.txt", "new\n");
        for verb in verbs {
            let said = scene.run(verb);
            assert_eq!(said.code, 2, "{place} {verb:?}: {}", said.stderr);
            assert!(said.stderr.contains("is a link"), "{place} {verb:?}: {}", said.stderr);
            is_untouched(&scene);
        }
    }
    // The folder of a bundle: what is withdrawn goes, and nothing of the reader's.
    let scene = library();
    let bundles = tool(&scene.path("library"), "sh", &["-c", "find bundles -mindepth 2 -maxdepth 2"]);
    laid(&scene, bundles.trim(), "diary");
    tool(
        scene.folder.path(),
        "sh",
        &["-c", &format!("cp kept/../kept/*/*/* library/{} 2>/dev/null; rm -f diary/*.zst", bundles.trim())],
    );
    assert_ne!(scene.run(&["withdraw", "library", "in/essays/tides"]).code, 0);
    is_untouched(&scene);
}

#[test]
fn an_intent_that_names_anything_else_than_a_publication_removes_nothing() {
    let scene = library();
    for place in [
        "../diary/today.txt",
        "/etc/passwd",
        "checkpoint",
        ".vellum/state/signed",
        "tile/0/000.p/3",
        "bundles/../checkpoint",
    ] {
        scene.write("library/.vellum/state/intent", format!("{place}\n"));
        let said = scene.run(&["withdraw", "library", "in/essays/tides"]);
        assert_ne!(said.code, 0, "{place}");
        assert!(said.stderr.contains("intent") || said.stderr.contains("leads out"), "{place}: {}", said.stderr);
        assert!(scene.path("library/checkpoint").exists() && scene.path("library/.vellum/state/signed").exists());
        is_untouched(&scene);
    }
    fs::remove_file(scene.path("library/.vellum/state/intent")).unwrap();
    scene.expect(0, &["verify", "library"]);
}

#[test]
fn who_publishes_from_a_copy_finishes_nothing_that_another_had_begun() {
    let scene = library();
    tool(scene.folder.path(), "sh", &["-c", "cp -r library copy; rm copy/.vellum/state/signed"]);
    scene.write("copy/.vellum/state/intent", "withdrawn/nothing.toml\n");
    scene.write("copy/.vellum/state/claim", "a stranger's claim");
    let said = scene.expect(2, &["pack", "--into", "copy", "in"]);
    assert!(said.stderr.contains("its own state is not there"), "{}", said.stderr);
    assert!(scene.path("copy/.vellum/state/intent").exists(), "nothing is taken back either");
    scene.expect(0, &["log", "adopt", "--seen", "library", "copy"]);
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--into", "copy", "in"]);
    scene.expect(0, &["verify", "copy"]);
}

#[test]
fn an_origin_that_calls_itself_otherwise_is_no_reason_to_ask_no_other() {
    let scene = library();
    tool(scene.folder.path(), "sh", &["-c", "cp -r library evil; sed -i 's/library/other/' evil/archive.toml"]);
    for origins in [["evil", "library"], ["library", "evil"]] {
        scene.expect(0, &["sync", origins[0], origins[1], "mirror"]);
        scene.expect(0, &["verify", "mirror"]);
        fs::remove_dir_all(scene.path("mirror")).unwrap();
    }
}

#[test]
fn signatures_of_strangers_on_a_checkpoint_leave_a_mirror_room_for_its_own() {
    for junk in [
        (0..60).map(|n| format!("\u{2014} n{n}.example {}\n", "QUJDREVGR0g=")).collect::<String>(),
        format!("\u{2014} n.example {}\n", "QUJD".repeat(16_000)),
    ] {
        let scene = library();
        let path = scene.path("library/checkpoint");
        let mut checkpoint = fs::read_to_string(&path).unwrap();
        checkpoint.push_str(&junk);
        assert!(Note::parse(checkpoint.as_bytes()).is_ok());
        fs::write(&path, checkpoint).unwrap();
        scene.expect(0, &["sync", "library", "mirror"]);
        for _ in 0..2 {
            scene.expect(0, &["cosign", "--as", "w.example", "--secret", "w.key", "mirror"]);
            scene.expect(0, &["sync", "library", "mirror"]);
        }
        let note = Note::parse(&fs::read(scene.path("mirror/checkpoint")).unwrap()).unwrap();
        let secret = SecretKey::open(&fs::read(scene.path("w.key")).unwrap(), None).unwrap();
        let by = VerifierKey::of_witness("w.example", secret.public()).unwrap();
        assert!(note.cosigned(&by).unwrap().is_some());
    }
}

#[test]
fn what_is_known_of_a_log_hides_no_damage_from_who_vouches_for_it_to_others() {
    let scene = Scene::with_key();
    for n in 0..257 {
        scene.write(&format!("in/a{n}.txt"), format!("text {n}\n"));
    }
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "w"]);
    scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["pack", "--quiet", "--into", "library", "--bundle-size", "1", "in"]);
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["list", "--quiet", "mirror"]);
    assert_eq!(fs::read_dir(scene.path("config/leaves")).unwrap().count(), 1);
    let damage = |place: &str| {
        tool(
            scene.folder.path(),
            "sh",
            &["-c", &format!("printf x | dd of={place} bs=1 seek=300 conv=notrunc status=none")],
        )
    };
    damage("mirror/tile/entries/000");
    let cosign = ["cosign", "--as", "w.example", "--secret", "w.key", "mirror"];
    for verb in [&["log", "mirror"][..], &cosign, &["verify", "mirror"]] {
        assert_eq!(scene.run(verb).code, 1, "{verb:?}");
    }
    // The next sync mends it, be there something new or not.
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["verify", "mirror"]);
    scene.expect(0, &cosign);
    // The last tile goes into the next one: what is damaged there is not signed.
    damage("library/tile/entries/001.p/1");
    scene.write("in/more.txt", "more\n");
    let said = scene.expect(1, &["pack", "--into", "library", "in"]);
    assert!(said.stderr.contains("the log is damaged"), "{}", said.stderr);
}

#[test]
fn a_sync_that_ends_early_or_only_looks_keeps_nobody_from_reading_what_is_there() {
    let scene = library();
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.expect(0, &["sync", "--dry-run", "library", "mirror"]);
    scene.expect(0, &["list", "mirror"]);
    // An origin has the newer log, and withholds the bundle.
    tool(scene.folder.path(), "sh", &["-c", "cp -r library partly; rm -r partly/bundles"]);
    scene.expect(2, &["sync", "partly", "mirror"]);
    scene.expect(0, &["list", "mirror"]);
    scene.expect(0, &["verify", "mirror"]);
    scene.expect(0, &["sync", "library", "mirror"]);
}

#[test]
fn a_lock_that_is_somebody_elses_file_too_is_left_as_it_is() {
    let scene = library();
    fs::remove_file(scene.path("library/.vellum/state/lock")).unwrap();
    fs::hard_link(scene.path("diary/today.txt"), scene.path("library/.vellum/state/lock")).unwrap();
    scene.expect(0, &["reindex", "library"]);
    is_untouched(&scene);
}
