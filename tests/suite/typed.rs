//! What a person types and what is answered: forms that read back, exit codes, options without effect, words that help.

use std::fs;
use std::process::Stdio;

use crate::scene::Scene;

/// The articles of bundles, with their files and digests, as `show` and `list` say.
fn articles(scene: &Scene, bundles: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for bundle in bundles {
        let said = scene.expect(0, &["list", "--json", bundle]);
        for line in said.stdout.lines() {
            let listed: serde_json::Value = serde_json::from_str(line).unwrap();
            let path = listed["path"].as_str().unwrap();
            all.push(format!("{path}\n{}", scene.expect(0, &["show", bundle, path]).stdout));
        }
    }
    all.sort();
    all
}

/// Extracts bundles with sidecars, packs what was written, and expects the same articles.
#[track_caller]
fn comes_back(scene: &Scene, bundles: &[&str]) {
    let before = articles(scene, bundles);
    scene.expect(0, &[&["extract", "--quiet", "--layout", "sidecar", "--to", "back"][..], bundles].concat());
    let said = scene.expect(0, &["pack", "--quiet", "--output", "again", "back"]);
    assert_eq!(before, articles(scene, &[said.stdout.trim()]));
    fs::remove_dir_all(scene.path("back")).unwrap();
    fs::remove_dir_all(scene.path("again")).unwrap();
}

#[test]
fn what_the_layout_of_sidecars_writes_is_packed_to_the_same_articles() {
    let scene = Scene::with_key();
    let long = "d".repeat(252);
    for (n, files) in [
        &["v1.2/article.toml", "v1.2/v1.2"][..],
        &["A.md/article.toml", "A.md/A.md", "A.md/A.md.txt"],
        &["a/article.toml", "a/a", "a/a.md", "a/a.txt"],
        &["a/article.toml", "a/a.md", "a/a.TOML"],
        &["a/article.toml", "a/a.toml", "a/a.md"],
        &[".a/article.toml", ".a/.a", ".a/.a.md"],
        &["a/article.toml", "a/a.", "a/b/article.toml", "a/b/b."],
        &["a/article.toml", "a/x", "a/b/article.toml", "a/b/b.md"],
        &["a/article.toml", "a/a.md", "a.toml/article.toml", "a.toml/a.toml.md"],
        &[&format!("{long}.md")],
        &[&format!("{}.md", "é".repeat(125)), &format!("{}.md", "d".repeat(250))],
    ]
    .iter()
    .enumerate()
    {
        let input = format!("in-{n}");
        for file in *files {
            let text =
                if file.ends_with("article.toml") { format!("title = \"{file}\"\n") } else { (*file).to_owned() };
            scene.write(&format!("{input}/{file}"), text);
        }
        let bundle = scene.pack(&input);
        comes_back(&scene, &[bundle.to_str().unwrap()]);
    }
}

#[test]
fn an_article_in_the_folder_of_another_bundles_article_keeps_its_own_folder() {
    let scene = Scene::with_key();
    scene.write("in/a/article.toml", "title = \"A\"");
    scene.write("in/a/x.md", "x");
    scene.write("in/a/b/article.toml", "title = \"B\"");
    scene.write("in/a/b/b.md", "b");
    let said = scene.expect(0, &["pack", "--quiet", "--bundle-size", "1", "--output", "out", "in"]);
    let bundles: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(bundles.len(), 2);
    comes_back(&scene, &bundles);
    comes_back(&scene, &[bundles[1], bundles[0]]);
    // By itself it needs no folder.
    scene.expect(0, &["extract", "--layout", "sidecar", "--to", "one", "--article", "a/b", bundles[1]]);
    assert!(scene.path("one/a/b.md").exists());
}

#[test]
fn a_bundle_that_nobody_has_signed_proves_nothing() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    scene.expect(0, &["pack", "--quiet", "--unsigned", "--output", "u.tar.zst", "in"]);
    let said = scene.expect(1, &["prove", "--unsigned", "u.tar.zst", "a"]);
    assert!(
        said.stderr.contains("is not signed") && said.stderr.contains("`vellum sign u.tar.zst`"),
        "{}",
        said.stderr
    );
    assert!(!scene.path("a.vellum-proof").exists());
    // Of a signed one it does, whether or not its signer is trusted here.
    scene.expect(0, &["sign", "--quiet", "u.tar.zst"]);
    scene.expect(0, &["--config", "nobody", "prove", "--unsigned", "u.tar.zst", "a"]);
    scene.expect(0, &["verify", "--proof", "a.vellum-proof", "in/a.txt"]);
}

#[test]
fn a_missing_file_is_exit_code_2_for_every_verb() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    scene.expect(0, &["pack", "--quiet", "--output", "b.tar.zst", "in"]);
    scene.expect(0, &["prove", "b.tar.zst", "a"]);
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/library", "library"]);
    for verb in [
        "verify",
        "verify --article a",
        "verify --proof a.vellum-proof",
        "list",
        "show",
        "show nope a",
        "cat nope a",
        "prove nope a",
        "extract --to x",
        "salvage --to x",
        "sign",
        "recompress --level 9",
        "search nope a",
        "history nope a",
        "reindex",
        "log",
        "withdraw nope a",
        "deposit library",
        "deposit nope b.tar.zst",
        "sync nope mirror",
        "collect library",
        "trust show",
        "trust sign",
        "trust apply library",
        "trust pin",
        "log compare library",
        "key trust",
        "key show",
        "key passphrase",
        "draft",
        "draft in/a.txt/nope",
        "pack",
        "pack --into library",
        "verify b.tar.zst --key",
        "verify b.tar.zst --keys",
        "verify in/a.txt --proof",
    ] {
        let mut args: Vec<&str> = verb.split(' ').collect();
        if !verb.contains("nope") {
            args.push("nope");
        }
        scene.expect(2, &args);
    }
    // What is there and cannot be read says as little.
    for verb in ["draft", "pack"] {
        scene.expect(2, &[verb, "/dev/null"]);
    }
    std::os::unix::fs::symlink("nowhere", scene.path("in/b.txt")).unwrap();
    let said = scene.expect(2, &["pack", "--follow-symlinks", "in"]);
    assert!(said.stderr.contains("b.txt: cannot be read"), "{}", said.stderr);
    // A refusal that was judged is a no.
    scene.expect(1, &["pack", "in"]);
    scene.expect(1, &["draft", "in"]);
}

#[test]
fn what_cannot_be_written_is_exit_code_2() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    scene.write("in/a.toml/keep", "a folder in the sidecar's place");
    scene.expect(2, &["draft", "in"]);
    scene.expect(2, &["pack", "--output", "/dev/null/x", "in"]);
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    scene.expect(2, &["extract", "--to", "/dev/null/x", bundle]);
    scene.expect(2, &["prove", "--output", "/dev/null/x", bundle, "a"]);
    for args in [&["cat", bundle, "a"][..], &["list", bundle], &["show", bundle], &["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = scene.command(args).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(ended.code(), Some(2), "{args:?}");
    }
}

#[test]
fn an_option_that_has_no_effect_is_refused() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    scene.expect(0, &["pack", "--quiet", "--output", "b.tar.zst", "in"]);
    for option in ["--rehash", "--source=s", "--take-over", "--rederive", "--reinstate", "--log-secret=x"] {
        for beside in ["--quiet", "--output=o.tar.zst", "--unsigned", "--check", "--init"] {
            let said = scene.expect(2, &["pack", option, beside, "in"]);
            assert!(said.stderr.contains("--into"), "{}", said.stderr);
        }
    }
    for option in ["--at=garbage", "--policy=nope", "--log-key=nope", "--older", "--max-size=9"] {
        for verb in ["prove", "cat", "show"] {
            let said = scene.expect(2, &[verb, option, "b.tar.zst", "a"]);
            assert!(said.stderr.contains("has no effect here"), "{}", said.stderr);
        }
    }
    for args in
        [&["cat", "b.tar.zst", "a"][..], &["completions", "bash"], &["man", "--to", "man"], &["key", "show", "x"]]
    {
        let said = scene.expect(2, &[&["--json"][..], args].concat());
        assert!(said.stderr.contains("--json has no effect here") && said.stdout.is_empty(), "{}", said.stderr);
    }
    assert!(!scene.path("o.tar.zst").exists() && !scene.path("a.vellum-proof").exists() && !scene.path("man").exists());
}

/// Expects `pack` to refuse a folder with these words and without those, and with this many files.
#[track_caller]
fn refused(scene: &Scene, input: &str, files: &str, with: &[&str], without: &[&str]) {
    let said = scene.expect(1, &["pack", input]);
    assert!(said.stderr.starts_with(&format!("error: {files} cannot be packed\n")), "{}", said.stderr);
    with.iter().for_each(|words| assert!(said.stderr.contains(words), "{words}\n{}", said.stderr));
    without.iter().for_each(|words| assert!(!said.stderr.contains(words), "{words}\n{}", said.stderr));
}

#[test]
fn a_refusal_names_the_file_once_and_hints_at_what_helps_it() {
    let scene = Scene::with_key();
    scene.write("dots/sub/..md", "x");
    refused(
        &scene,
        "dots",
        "1 file",
        &["sub/..md: would be the article \"sub/.\", which has a `.`"],
        &["--allow-percent"],
    );
    scene.write("twice/x.md", "x");
    scene.write("twice/x/article.toml", "title = \"x\"");
    scene.write("twice/x/f.txt", "f");
    refused(&scene, "twice", "1 file", &["makes the article \"x\", as"], &["has the id"]);
    scene.write("ids/a.md", "x");
    scene.write("ids/a.toml", "title = \"x\"\nid = \"b\"");
    scene.write("ids/b.md", "x");
    refused(&scene, "ids", "1 file", &["has the id \"b\", which is the path"], &["as \"a\" has"]);
    scene.write("percent/a%0A.md", "x");
    refused(&scene, "percent", "1 file", &["`--allow-percent`"], &["`--follow-symlinks`"]);
    let long = ["d", "e", "f"].map(|letter| letter.repeat(200)).join("/");
    scene.write(&format!("long/{long}/x.md"), "x");
    refused(&scene, "long", "1 file", &["has a path of 604 bytes and no `id`"], &["vellum verify"]);
    scene.write(&format!("long/{long}/x.toml"), "title = \"x\"\nid = \"x\"");
    scene.expect(0, &["pack", "--check", "long"]);
    let said = scene.expect(2, &["pack", "--title", &"a".repeat(1025), "long"]);
    assert!(said.stderr.contains("the title is 1025 bytes long, at most 1024 are allowed"), "{}", said.stderr);
}

#[test]
fn all_unknown_keys_are_counted() {
    let scene = Scene::with_key();
    let keys: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    scene.write("in/x.md", "x");
    scene.write("in/x.toml", format!("title = \"x\"\n{keys}"));
    let said = scene.expect(0, &["pack", "in"]);
    assert!(said.stderr.contains("5,000 unknown keys") && said.stderr.contains("and 4,995 more;"), "{}", said.stderr);
    let said = scene.expect(0, &["pack", "--json", "in"]);
    assert!(said.stdout.contains("and 4800 more unknown keys"), "{}", said.stdout);
}

#[test]
fn extract_names_what_is_in_its_way_and_hints_at_what_runs() {
    let scene = Scene::with_key();
    scene.write("one/a/article.toml", "title = \"1\"");
    scene.write("one/a/b", "file");
    scene.write("two/a/b/article.toml", "title = \"2\"");
    scene.write("two/a/b/t", "folder");
    scene.write("file", "keep");
    let (one, two) = (scene.pack("one"), scene.pack("two"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    for args in [&["extract", "--to", "file", one][..], &["extract", "--overwrite", "--to", "file", one]] {
        let said = scene.expect(2, args);
        assert!(said.stderr.contains("expected a folder, found a file"), "{}", said.stderr);
        assert!(!said.stderr.contains("--overwrite"), "{}", said.stderr);
    }
    for bundles in [[one, two], [two, one]] {
        let said = scene.expect(1, &["extract", "--to", "x", bundles[0], bundles[1]]);
        assert!(said.stderr.contains("\"a/b\" would be a file and a folder at once"), "{}", said.stderr);
        assert!(!said.stderr.contains("/out"), "{}", said.stderr);
    }
    assert!(!scene.path("x").exists());
    let text = fs::read(one).unwrap();
    scene.write("cut here.tar.zst", &text[..text.len() / 2]);
    let said = scene.expect(1, &["list", "cut here.tar.zst"]);
    assert!(said.stderr.contains("`vellum verify 'cut here.tar.zst'`"), "{}", said.stderr);
    let said = scene.expect(1, &["verify", "cut here.tar.zst"]);
    assert!(said.stderr.contains("`vellum salvage --to DIR 'cut here.tar.zst'`"), "{}", said.stderr);
}

#[test]
fn an_article_is_found_by_id_and_path_in_whatever_form_its_name_is_typed() {
    let scene = Scene::with_key();
    // On disk the name is in the form that macOS typed for long: an e and an accent.
    scene.write("in/cafe\u{301}.txt", "a");
    scene.write("in/b.txt", "b");
    scene.write("in/b.toml", "title = \"B\"\nid = \"th\u{e9}\"");
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["pack", "--quiet", "--into", "library", "in"]);
    for (place, names) in [
        (bundle, ["cafe\u{301}", "caf\u{e9}", "the\u{301}", "th\u{e9}", "b"].as_slice()),
        ("library", &["in/cafe\u{301}", "in/caf\u{e9}", "the\u{301}", "th\u{e9}"]),
    ] {
        for (n, name) in names.iter().enumerate() {
            scene.expect(0, &["show", place, name]);
            scene.expect(0, &["cat", place, name]);
            scene.expect(0, &["verify", "--article", name, place]);
            scene.expect(0, &["extract", "--to", &format!("to-{n}-{}", place.len()), "--article", name, place]);
            scene.expect(0, &["prove", "--output", &format!("proof-{n}-{}", place.len()), place, name]);
            if place == "library" {
                scene.expect(0, &["history", place, name]);
            }
        }
        scene.expect(0, &["extract", "--to", &format!("glob-{}", place.len()), "--article", "**/cafe\u{301}*", place]);
    }
    scene.expect(0, &["cat", bundle, "cafe\u{301}/cafe\u{301}.txt"]);
    scene.expect(0, &["cat", "library", "in/cafe\u{301}/cafe\u{301}.txt"]);
    for verb in ["show", "cat", "prove", "history"] {
        scene.expect(1, &[verb, "library", "the\u{300}"]);
    }
}

#[test]
fn a_sidecar_by_itself_is_no_document_and_a_documents_own_one_is_found_in_any_form_of_its_name() {
    let scene = Scene::with_key();
    scene.write("in/a.md", "a");
    scene.write("in/a.toml", "title = \"m\"");
    scene.write("in/cafe\u{301}.md", "a");
    scene.write("in/cafe\u{301}.toml", "title = \"Coffee\"");
    let said = scene.expect(1, &["pack", "in/a.toml"]);
    assert!(said.stderr.contains("in/a.toml: is metadata without a document"), "{}", said.stderr);
    scene.expect(0, &["pack", "--quiet", "--output", "b.tar.zst", "in/cafe\u{301}.md"]);
    let said = scene.expect(0, &["list", "b.tar.zst"]);
    assert!(said.stdout.contains("Coffee") && said.stdout.contains("\tcaf\u{e9}\n"), "{}", said.stdout);
    assert_eq!(scene.expect(0, &["cat", "b.tar.zst", "caf\u{e9}"]).stdout, "a");
    // A folder of the sidecar's name is none, and a link is not followed unless asked.
    scene.write("in/d.md", "d");
    scene.write("in/d.toml/x", "x");
    scene.expect(0, &["pack", "--quiet", "--output", "d.tar.zst", "in/d.md"]);
    scene.write("in/e.md", "e");
    std::os::unix::fs::symlink("a.toml", scene.path("in/e.toml")).unwrap();
    let said = scene.expect(1, &["pack", "in/e.md"]);
    assert!(said.stderr.contains("in/e.toml: is a symbolic link"), "{}", said.stderr);
    scene.expect(0, &["pack", "--quiet", "--follow-symlinks", "--output", "e.tar.zst", "in/e.md"]);
}

#[test]
fn draft_writes_no_sidecar_into_the_folder_of_an_article() {
    let scene = Scene::with_key();
    scene.write("in/c/article.toml", "title = \"C\"");
    scene.write("in/c/z.txt", "z");
    scene.write("in/c/sub/y.txt", "y");
    for place in ["in/c/z.txt", "in/c/sub", "in/c/sub/y.txt"] {
        let said = scene.expect(2, &["draft", place]);
        assert!(said.stderr.contains(&format!("{place}: belongs to the article")), "{}", said.stderr);
        assert!(said.stderr.contains("in/c/article.toml"), "{}", said.stderr);
    }
    assert!(!scene.path("in/c/z.toml").exists() && !scene.path("in/c/sub/y.toml").exists());
    scene.write("in/w.txt", "w");
    assert_eq!(scene.expect(0, &["draft", "in"]).stdout, "in/w.toml\n");
}

#[test]
fn a_time_that_cannot_be_kept_is_named() {
    let scene = Scene::with_key();
    // Most file systems on disks end in 2446 or 2486.
    let memory = std::path::Path::new("/dev/shm");
    let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_800);
    let Some(folder) = memory.is_dir().then(|| tempfile::tempdir_in(memory).unwrap()) else {
        crate::scene::provided("/dev/shm", false);
        return;
    };
    let input = folder.path().to_str().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    fs::File::create(folder.path().join("b.txt")).and_then(|file| file.set_modified(at)).unwrap();
    let said = scene.expect(0, &["pack", "--times", "--check", "--name", "n", input]);
    assert!(said.stderr.contains("1 were changed outside of the years 0001 to 9999"), "{}", said.stderr);
    assert!(
        said.stderr.contains("/b.txt: was last changed outside") && !said.stderr.contains("a.txt:"),
        "{}",
        said.stderr
    );
    let said = scene.expect(0, &["pack", "--name", "n", input]);
    assert!(!said.stderr.contains("9999"), "{}", said.stderr);
}

#[test]
fn verify_names_the_part_that_is_missing_among_several_of_a_split_pack() {
    let scene = Scene::with_key();
    for name in ["a", "b", "c", "d"] {
        scene.write(&format!("in/{name}.txt"), name);
    }
    let said = scene.expect(0, &["pack", "--quiet", "--bundle-size", "1", "--output", "out", "in"]);
    let parts: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(parts.len(), 4);
    for (named, missing) in [
        (&[0, 1, 2, 3][..], &[][..]),
        (&[3, 1, 0, 2], &[]),
        (&[1, 2, 3], &[1]),
        (&[3, 1], &[1, 3]),
        (&[0, 3], &[3]),
        (&[0, 1, 2], &[4]),
        // One alone is whole by itself, however often it is named.
        (&[1], &[]),
        (&[2, 2], &[]),
    ] {
        let files: Vec<&str> = named.iter().map(|&n: &usize| parts[n]).collect();
        let said = scene.expect(0, &[&["verify"][..], &files].concat());
        let notices: Vec<&str> = said.stdout.lines().filter(|line| line.starts_with("notice: part")).collect();
        assert_eq!(notices.len(), missing.len(), "{named:?}\n{}", said.stdout);
        for part in missing {
            let named = |line: &&str| line.starts_with(&format!("notice: part {part} of \"in\" is not among"));
            assert!(notices.iter().any(named), "{part}\n{}", said.stdout);
        }
        let said = scene.expect(0, &[&["verify", "--json"][..], &files].concat());
        assert_eq!(said.stdout.matches("\"kind\":\"part-missing\"").count(), missing.len(), "{}", said.stdout);
    }
    let said = scene.expect(0, &["extract", "--to", "x", parts[1], parts[2]]);
    assert!(said.stderr.contains("notice: part 1 of \"in\""), "{}", said.stderr);
}
