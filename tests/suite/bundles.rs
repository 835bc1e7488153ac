//! What FORMAT.md says of bundles, asked of the binary from outside: sizes, single articles, proofs, times, damage, forgery.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::scene::{Said, Scene, noise, said, tool};

/// The tar in a bundle.
fn tar(bundle: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::Decoder::new(fs::File::open(bundle).unwrap()).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn packed_len(bytes: &[u8]) -> u64 {
    zstd::bulk::compress(bytes, 3).unwrap().len() as u64
}

/// The seek table's entries of a bundle: packed and plain length of each frame.
fn frames(bundle: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_le_bytes(bundle[at..at + 4].try_into().unwrap()) as usize;
    let count = word(bundle.len() - 9);
    let entries = bundle.len() - 9 - 8 * count;
    (0..count).map(|n| (word(entries + 8 * n), word(entries + 8 * n + 4))).collect()
}

#[test]
fn a_bundle_of_one_article_is_little_larger_than_its_content_compressed() {
    let scene = Scene::with_key();
    let words =
        ["tide", "moon", "harbour", "letter", "clock", "salt", "north", "evening", "rope", "chart", "and", "the"];
    let pick = noise(3_000);
    let text: String = pick.iter().map(|&b| format!("{} ", words[b as usize % words.len()])).collect();
    scene.write("in/essay.md", &text);
    scene.write("in/essay.toml", "title = \"An essay\"\nauthors = [\"Ada Moll\"]\n");
    let bundle = scene.pack("in");
    let (size, content) = (fs::metadata(&bundle).unwrap().len(), packed_len(text.as_bytes()));
    assert!(size <= content + 1_600, "{size} bytes for {content}");
}

#[test]
fn neighbouring_and_nested_names_are_packed_in_the_order_that_verify_expects() {
    let scene = Scene::with_key();
    for (n, path) in
        ["a.txt", "a/B.txt", "a/b/c.txt", "a-b.txt", "A.txt", "a.b.txt", "aq.txt", "ar/x.txt"].iter().enumerate()
    {
        scene.write(&format!("in/{path}"), n.to_string());
    }
    scene.write("in/a/d/article.toml", "title = \"D\"");
    scene.write("in/a/d/z.txt", "z");
    scene.write("in/a/d/e/article.toml", "title = \"E\"");
    scene.write("in/a/d/e/y.txt", "y");
    scene.write("in/a/d/f.txt", "f");
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    scene.expect(0, &["verify", bundle]);
    scene.expect(0, &["extract", "--to", "back", bundle]);
    assert_eq!(fs::read(scene.path("back/a/d/e/y.txt")).unwrap(), b"y");
    assert_eq!(scene.expect(0, &["cat", bundle, "a/d/f.txt"]).stdout, "f");
    assert_eq!(scene.expect(0, &["cat", bundle, "a"]).stdout, "0");
}

#[test]
fn a_bundle_gets_the_name_that_is_asked_for_unless_it_takes_several() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a".repeat(3000));
    scene.write("in/b.txt", "b".repeat(3000));
    scene.expect(0, &["pack", "-o", "letters.tar.zst", "in"]);
    scene.expect(0, &["verify", "letters.tar.zst"]);
    let said = scene.expect(2, &["pack", "-o", "letters.tar.zst", "--title", "Other", "in"]);
    assert!(said.stderr.contains("letters.tar.zst: exists already"), "{}", said.stderr);
    scene.expect(0, &["pack", "-o", "new/letters.tar.zst", "in"]);
    let said = scene.expect(2, &["pack", "-o", "two.tar.zst", "--bundle-size", "4000", "in"]);
    assert!(said.stderr.contains("several bundles") && !scene.path("two.tar.zst").exists(), "{}", said.stderr);
}

#[test]
fn what_would_be_file_and_folder_at_once_is_refused_by_name() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a file a/a.txt");
    scene.write("in/a/a.txt/b.md", "below a/a.txt");
    let said = scene.expect(1, &["pack", "--output", "out", "in"]);
    assert!(said.stderr.contains("a file and a folder at once"), "{}", said.stderr);
}

/// A bundle of 600 articles, every other with an id other than its path, some nested in others.
fn many(scene: &Scene) -> PathBuf {
    for n in 0..600 {
        let folder = if n % 50 == 49 { format!("n{:03}/inside", n - 1) } else { format!("n{n:03}") };
        scene.write(&format!("in/{folder}/doc.txt"), format!("document {n}\n"));
        let id = if n % 2 == 0 { format!("id = \"archive/{n}\"\n") } else { String::new() };
        scene.write(&format!("in/{folder}/article.toml"), format!("title = \"Number {n}\"\n{id}"));
    }
    scene.pack("in")
}

#[test]
fn each_article_is_found_by_id_by_path_and_by_file_on_both_sides_of_every_border_of_blocks() {
    let scene = Scene::with_key();
    let bundle = many(&scene);
    let bundle = bundle.to_str().unwrap();
    scene.expect(0, &["verify", bundle]);
    for n in [0, 1, 48, 49, 254, 255, 256, 257, 299, 511, 512, 513, 598, 599] {
        let folder = if n % 50 == 49 { format!("n{:03}/inside", n - 1) } else { format!("n{n:03}") };
        let mut names = vec![folder.clone(), format!("{folder}/doc.txt")];
        if n % 2 == 0 {
            names.push(format!("archive/{n}"));
        }
        for name in names {
            assert_eq!(scene.expect(0, &["cat", bundle, &name]).stdout, format!("document {n}\n"), "{name}");
        }
    }
    for absent in ["archive/1", "n600", "n000/doc", "archive", "n000/inside"] {
        scene.expect(1, &["cat", bundle, absent]);
    }
}

#[test]
fn a_proof_shows_an_article_by_the_signatures_alone_and_nothing_changed_passes() {
    let scene = Scene::with_key();
    let bundle = many(&scene);
    let bundle = bundle.to_str().unwrap();
    for (n, asked, name) in
        [(0, "archive/0", "0"), (255, "n255", "n255"), (256, "archive/256", "256"), (599, "n598/inside", "inside")]
    {
        scene.expect(0, &["prove", bundle, asked]);
        let document = scene.write("document", format!("document {n}\n"));
        let proof = format!("{name}.vellum-proof");
        let said = scene.expect(0, &["verify", "--proof", &proof, document.to_str().unwrap()]);
        assert!(said.stdout.contains(": OK"), "{}", said.stdout);
        // Another document, another key, another byte anywhere in the proof.
        let other = scene.write("other", "document x\n");
        scene.expect(1, &["verify", "--proof", &proof, other.to_str().unwrap()]);
        let bytes = fs::read(scene.path(&proof)).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 40) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            scene.write("bad.vellum-proof", &bad);
            let said = scene.run(&["verify", "--proof", "bad.vellum-proof", "document"]);
            // The untrusted comment of a signature is covered by nothing.
            let untrusted =
                String::from_utf8_lossy(&bytes[..at]).lines().last().unwrap_or_default().starts_with("untrusted");
            assert!(said.code == 1 || untrusted, "byte {at}: {}", said.stdout);
        }
    }
    // One of the same article may take its place.
    scene.expect(0, &["prove", bundle, "archive/0"]);
}

#[test]
fn a_document_from_a_pipe_is_held_against_a_proof_by_its_own_bytes() {
    let scene = Scene::with_key();
    scene.write("in/art/article.toml", "title = \"T\"");
    scene.write("in/art/text.txt", "real\n");
    scene.write("in/art/empty", "");
    let bundle = scene.pack("in");
    scene.expect(0, &["prove", bundle.to_str().unwrap(), "art"]);
    for (document, code) in [("real\n", 0), ("FORGED\n", 1), ("", 0)] {
        let mut command = scene.command(&["verify", "--proof", "art.vellum-proof", "-"]);
        command.stdin(fs::File::open(scene.write("document", document)).unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{document:?}: {output:?}");
    }
}

#[test]
fn a_bundle_for_no_archive_counts_for_each_archive_that_it_was_signed_for() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    scene.expect(1, &["verify", "--archive", "example.org/a", bundle]);
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "second"]);
    scene.expect(0, &["key", "trust", "second.pub"]);
    scene.expect(0, &["sign", "--archive", "example.org/a", "--key", "second.key", bundle]);
    let said = scene.expect(0, &["verify", "--archive", "example.org/a", bundle]);
    assert!(said.stdout.contains("for another archive") && !said.stdout.contains("BAD"), "{}", said.stdout);
    scene.expect(0, &["cat", "--archive", "example.org/a", bundle, "a"]);
    scene.expect(1, &["verify", "--archive", "example.org/b", bundle]);
}

#[test]
fn a_key_or_proof_without_end_is_refused_and_a_pipe_without_writer_does_not_hang() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    if crate::scene::installed("mkfifo") {
        crate::scene::tool(scene.folder.path(), "mkfifo", &["pipe"]);
        scene.expect(2, &["sign", "--key", "pipe", bundle]);
    }
    scene.expect(2, &["verify", "--key", "/dev/zero", bundle]);
    scene.expect(2, &["key", "trust", "/dev/zero"]);
    scene.expect(2, &["verify", "--proof", "/dev/zero", "in/a.txt"]);
}

#[test]
fn a_name_is_taken_as_it_is_also_below_a_folder_called_data() {
    let scene = Scene::with_key();
    scene.write("in/data/x.md", "the data one");
    scene.write("in/x.md", "the other");
    let bundle = scene.pack("in");
    let bundle = bundle.to_str().unwrap();
    for (name, document) in [("data/x", "the data one"), ("data/x/x.md", "the data one"), ("x", "the other")] {
        assert_eq!(scene.expect(0, &["cat", bundle, name]).stdout, document, "{name}");
    }
    scene.expect(1, &["cat", bundle, "data/data/x"]);
}

#[test]
fn what_lies_under_a_bundles_name_is_kept_only_if_it_is_whole_and_signed() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", noise(3000));
    let said = scene.expect(0, &["pack", "--quiet", "--unsigned", "--output", "out", "in"]);
    let bundle = scene.path(said.stdout.trim());
    let said = scene.expect(2, &["pack", "--output", "out", "in"]);
    assert!(said.stderr.contains("not signed by every key"), "{}", said.stderr);
    scene.expect(0, &["sign", bundle.to_str().unwrap()]);
    scene.expect(0, &["pack", "--output", "out", "in"]);
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[700] ^= 1;
    fs::write(&bundle, &bytes).unwrap();
    let said = scene.expect(2, &["pack", "--output", "out", "in"]);
    assert!(said.stderr.contains("is damaged"), "{}", said.stderr);
    scene.expect(0, &["pack", "--overwrite", "--output", "out", "in"]);
    scene.expect(0, &["verify", bundle.to_str().unwrap()]);
    // Signatures of others are not lost.
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "other"]);
    scene.expect(0, &["sign", "--key", "other.key", bundle.to_str().unwrap()]);
    let said = scene.expect(2, &["pack", "--overwrite", "--output", "out", "in"]);
    assert!(said.stderr.contains("which this one is not"), "{}", said.stderr);
    // Nothing else is written over or through.
    let victim = scene.write("victim", "mine");
    fs::remove_file(&bundle).unwrap();
    std::os::unix::fs::symlink(&victim, &bundle).unwrap();
    scene.expect(2, &["pack", "--overwrite", "--output", "out", "in"]);
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
}

#[test]
fn extract_in_the_layout_of_sidecars_merges_no_articles_and_repacks_to_the_same() {
    let scene = Scene::with_key();
    scene.write("in/x/article.md", "# About");
    scene.write("in/x/y.md", "# Y");
    scene.write("in/x/z.md", "# Z");
    scene.write("in/n/article.toml", "title = \"N\"");
    scene.write("in/n/other.md", "n");
    scene.write("in/n/b/article.toml", "title = \"B\"");
    scene.write("in/n/b/b.txt", "b");
    scene.write("in/a/article.toml", "title = \"A\"");
    scene.write("in/a/a.b", "a");
    scene.write("in/a.b/article.toml", "title = \"A.B\"");
    scene.write("in/a.b/page.html", "x");
    let bundle = scene.pack("in");
    scene.expect(0, &["extract", "--layout", "sidecar", "--to", "back", bundle.to_str().unwrap()]);
    let said = scene.expect(0, &["pack", "--quiet", "--output", "again", "back"]);
    let paths = |bundle: &str| scene.expect(0, &["list", bundle]).stdout;
    assert_eq!(paths(bundle.to_str().unwrap()), paths(said.stdout.trim()));
}

#[test]
fn extract_into_an_empty_folder_keeps_its_mode_also_where_one_stands_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let bundle = scene.pack("in");
    for (to, folder) in [("private", "."), (".", "here")] {
        fs::create_dir_all(scene.path(folder)).unwrap();
        let target = if to == "." { scene.path(folder) } else { scene.path(folder).join(to) };
        fs::create_dir_all(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = scene.command(&["extract", "--to", to, bundle.to_str().unwrap()]);
        let output = command.current_dir(scene.path(folder)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read(target.join("a/a.txt")).unwrap(), b"a");
    }
}

#[test]
fn salvage_restores_times_and_names_what_has_no_place() {
    let scene = Scene::with_key();
    let at = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 120_000_000);
    let file = scene.write("in/a.txt", "a");
    fs::File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
    let said = scene.expect(0, &["pack", "--quiet", "--times", "--output", "timed", "in"]);
    scene.expect(0, &["salvage", "--to", "rescued", said.stdout.trim()]);
    assert_eq!(fs::metadata(scene.path("rescued/a/a.txt")).unwrap().modified().unwrap(), at);
}

#[test]
fn times_are_kept_only_where_asked_for_and_extract_restores_them() {
    let scene = Scene::with_key();
    let at = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 120_000_000);
    let file = scene.write("in/a.txt", "a");
    fs::File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
    let plain = scene.pack("in");
    let said = scene.expect(0, &["pack", "--quiet", "--times", "--output", "timed", "in"]);
    let timed = scene.path(said.stdout.trim());
    assert!(!String::from_utf8_lossy(&tar(&plain)).contains("times.txt"));
    assert!(String::from_utf8_lossy(&tar(&timed)).contains("2001-09-09T01:46:40.120000000Z  data/a/a.txt\n"));
    scene.expect(0, &["verify", timed.to_str().unwrap()]);
    scene.expect(0, &["extract", "--to", "back", timed.to_str().unwrap()]);
    assert_eq!(fs::metadata(scene.path("back/a/a.txt")).unwrap().modified().unwrap(), at);
}

/// Two bundles of several frames, the second with other bytes in the same places.
fn two(scene: &Scene) -> (Vec<u8>, Vec<u8>) {
    let bytes = noise(400_000);
    for (folder, from) in [("honest", 0), ("foreign", 1)] {
        for n in 0..3 {
            scene.write(&format!("{folder}/in/a{n}.bin"), &bytes[from + n..from + n + 200_000]);
        }
    }
    let pack = |args: &[&str]| fs::read(scene.path(scene.expect(0, args).stdout.trim())).unwrap();
    let honest = pack(&["pack", "--quiet", "--output", "h", "honest/in"]);
    let foreign = pack(&["pack", "--quiet", "--unsigned", "--output", "f", "foreign/in"]);
    (honest, foreign)
}

#[test]
fn salvage_writes_nothing_of_a_stranger_who_carries_a_signed_tail() {
    let scene = Scene::with_key();
    let (honest, foreign) = two(&scene);
    let tail = |bundle: &[u8]| {
        let frames = frames(bundle);
        let end: usize = frames.iter().map(|frame| frame.0).sum();
        (end - frames.last().unwrap().0, end)
    };
    let (honest_tail, foreign_tail) = (tail(&honest), tail(&foreign));
    let signed = &honest[honest_tail.0..honest_tail.1];
    let false_table = [0x5e, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    // The stranger's frames, his own tail or not, a false table or not, then the tail that somebody trusted has signed.
    for body in [&foreign[..foreign_tail.0], &foreign[..foreign_tail.1]] {
        for between in [&false_table[..], &[]] {
            for table in [&honest[honest_tail.1..], &foreign[foreign_tail.1..], &[]] {
                scene.write("trojan.tar.zst", [body, between, signed, table].concat());
                let _ = fs::remove_dir_all(scene.path("rescued"));
                let said = scene.run(&["salvage", "--json", "--to", "rescued", "trojan.tar.zst"]);
                assert_ne!(said.code, 0);
                assert!(!scene.path("rescued").exists(), "{}", said.stdout);
                scene.expect(1, &["verify", "trojan.tar.zst"]);
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_table_loses_nothing() {
    let scene = Scene::with_key();
    let (honest, _) = two(&scene);
    let table = honest.len() - 17 - 8 * frames(&honest).len();
    for at in table..honest.len() {
        let mut bad = honest.clone();
        bad[at] ^= 4;
        scene.write("flipped.tar.zst", &bad);
        if (at - table).is_multiple_of(7) || at + 9 >= honest.len() {
            let said = scene.expect(1, &["verify", "flipped.tar.zst"]);
            assert!(said.stdout.contains("table"), "{}", said.stdout);
            let _ = fs::remove_dir_all(scene.path("rescued"));
            scene.expect(1, &["salvage", "--to", "rescued", "flipped.tar.zst"]);
            for n in 0..3 {
                let (from, to) = (format!("honest/in/a{n}.bin"), format!("rescued/a{n}/a{n}.bin"));
                assert_eq!(fs::read(scene.path(&from)).unwrap(), fs::read(scene.path(&to)).unwrap(), "byte {at}");
            }
        }
    }
}

#[test]
fn damage_in_one_frame_is_named_and_the_other_articles_are_salvaged() {
    let scene = Scene::with_key();
    let bytes = noise(9 << 20);
    for n in 0..9 {
        scene.write(&format!("in/a{n}.bin"), &bytes[n << 20..(n + 1) << 20]);
    }
    let mut bundle = fs::read(scene.pack("in")).unwrap();
    let second = frames(&bundle)[0].0 + 1000;
    bundle[second] ^= 1;
    scene.write("damaged.tar.zst", &bundle);
    let said = scene.expect(1, &["verify", "damaged.tar.zst"]);
    assert!(said.stdout.contains("damaged"), "{}", said.stdout);
    scene.expect(1, &["salvage", "--to", "rescued", "damaged.tar.zst"]);
    let saved = (0..9).filter(|n| scene.path(&format!("rescued/a{n}/a{n}.bin")).exists()).count();
    assert!((5..9).contains(&saved), "{saved} of 9");
}

#[test]
fn time_grows_with_the_file_however_it_was_made_to_look_like_frames() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let honest = fs::read(scene.pack("in")).unwrap();
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0x24, 0xff];
    let empty_blocks = [0_u8; 3].repeat(200_000);
    let files = [
        [0x28, 0xb5, 0x2f, 0xfd].repeat(400_000),
        header.repeat(270_000),
        [&header[..], &empty_blocks].concat().repeat(3),
        [&header[..], &[8, 0, 0, 1].repeat(300_000)].concat(),
    ];
    for (n, mut file) in files.into_iter().enumerate() {
        file.extend_from_slice(&honest);
        scene.write("magic.tar.zst", &file);
        for verb in [&["verify"][..], &["salvage", "--to", "rescued"]] {
            let begun = Instant::now();
            let args = [verb, &["magic.tar.zst"]].concat();
            let _ = fs::remove_dir_all(scene.path("rescued"));
            assert_eq!(scene.run(&args).code, 1);
            assert!(begun.elapsed() < Duration::from_secs(5), "file {n}, {verb:?}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn a_file_name_that_claims_another_id_is_refused_by_every_verb() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let bundle = scene.pack("in");
    let claimed = format!("{}.tar.zst", "0".repeat(64));
    fs::copy(bundle, scene.path(&claimed)).unwrap();
    let rewriting = [&["sign"][..], &["recompress", "--level", "1"], &["salvage", "--to", "rescued"]];
    for verb in [&["verify"][..], &["list"], &["extract", "--to", "back"]].into_iter().chain(rewriting) {
        let Said { code, stdout, stderr } = scene.run(&[verb, &[&claimed]].concat());
        assert_eq!(code, 1, "{verb:?}: {stdout}{stderr}");
    }
    scene.expect(1, &["cat", &claimed, "a"]);
}

#[test]
fn foreign_tools_open_a_bundle_of_every_kind() {
    if !crate::scene::installed("tar") {
        return;
    }
    let scene = Scene::with_key();
    let bundle = many(&scene);
    fs::create_dir(scene.path("foreign")).unwrap();
    fs::write(scene.path("foreign/plain.tar"), tar(&bundle)).unwrap();
    let run = |program: &str, args: &[&str], folder: &str| {
        let status = Command::new(program).args(args).current_dir(scene.path(folder)).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
    };
    run("tar", &["-xf", "plain.tar"], "foreign");
    run("sha256sum", &["--quiet", "-c", "manifest-sha256.txt"], "foreign/in");
    run("sha256sum", &["--quiet", "-c", "tagmanifest-sha256.txt"], "foreign/in");
}

#[test]
fn a_pack_makes_more_bundles_than_a_process_may_have_open() {
    let scene = Scene::with_key();
    for n in 0..80 {
        scene.write(&format!("in/a{n}.txt"), format!("text {n}\n"));
    }
    let shell = format!("ulimit -n 40; exec {} pack --quiet --bundle-size 1 -o out in", env!("CARGO_BIN_EXE_vellum"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &shell]).current_dir(scene.path("")).env("VELLUM_CONFIG", scene.path("config"));
    let said = said(command.output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 80);
    let bundles: Vec<&str> = said.stdout.lines().collect();
    scene.expect(0, &[&["verify", "--quiet"][..], &bundles].concat());
}

#[test]
fn a_signature_for_another_archive_is_not_put_in_the_place_of_one_without_a_word() {
    let scene = Scene::with_key();
    scene.write("in/a.md", "a");
    let bundle = scene.expect(0, &["pack", "--quiet", "--unsigned", "in"]).stdout.trim().to_owned();
    let good = |archive: &str| scene.run(&["verify", "--quiet", "--archive", archive, &bundle]).code == 0;
    scene.expect(0, &["sign", "--archive", "example.org/b", &bundle]);
    // For the same archive anew, as often as one likes.
    scene.expect(0, &["sign", "--archive", "example.org/b", &bundle]);
    let said = scene.expect(1, &["sign", "--archive", "example.org/c", &bundle]);
    assert!(said.stderr.contains("has signed it for example.org/b"), "{}", said.stderr);
    assert!(good("example.org/b") && !good("example.org/c"));
    scene.expect(0, &["sign", "--replace", "--archive", "example.org/c", &bundle]);
    assert!(!good("example.org/b") && good("example.org/c"));
}

#[test]
fn a_wrong_signature_by_a_trusted_key_is_refused_by_every_verb_with_and_without_unsigned() {
    let scene = Scene::with_key();
    scene.write("in/a.md", "a");
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "other"]);
    scene.expect(0, &["key", "trust", "other.pub"]);
    let ours = scene.pack("in").display().to_string();
    scene.expect(0, &["sign", "--key", "other.key", &ours]);
    // Its signature is put under another text: that of the same bundle with another title.
    let theirs = scene.expect(0, &["pack", "--quiet", "--title", "Other", "in"]).stdout.trim().to_owned();
    let script = format!(
        "mkdir x y && zstd -dcq {ours} | tar -x -C x && zstd -dcq {theirs} | tar -x -C y && ls x/in/*.minisig y/in/*.minisig"
    );
    tool(scene.folder.path(), "sh", &["-c", &script]);
    let signature = fs::read_dir(scene.path("x/in")).unwrap().map(|entry| entry.unwrap().path());
    let own = fs::read_dir(scene.path("y/in")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let foreign = signature.into_iter().find(|path| {
        path.extension().is_some_and(|ending| ending == "minisig")
            && !own.contains(&path.file_name().unwrap().to_owned())
    });
    let foreign = foreign.unwrap();
    let name = foreign.file_name().unwrap().to_str().unwrap();
    let key_id = name.trim_start_matches("manifest.toml.").trim_end_matches(".minisig").to_owned();
    let file = vellum::format::bundle::SignatureFile { key_id, bytes: fs::read(&foreign).unwrap() };
    let opened = vellum::format::bundle::Bundle::open(fs::File::open(scene.path(&theirs)).unwrap()).unwrap();
    let mut signatures = opened.tail().signatures.clone();
    signatures.push(file);
    signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    let (forged, _) = vellum::format::bundle::countersign(&opened, signatures, Vec::new()).unwrap();
    scene.write("forged.tar.zst", forged);
    for unsigned in [&[][..], &["--unsigned"]] {
        for verb in [
            &["verify", "forged.tar.zst"][..],
            &["list", "forged.tar.zst"],
            &["show", "forged.tar.zst"],
            &["cat", "forged.tar.zst", "a"],
            &["extract", "--to", "out", "forged.tar.zst"],
            &["prove", "-o", "p", "forged.tar.zst", "a"],
        ] {
            let said = scene.expect(1, &[verb, unsigned].concat());
            assert!(format!("{}{}", said.stdout, said.stderr).contains(name), "{verb:?}: {}", said.stderr);
        }
    }
    let json = scene.run(&["verify", "--json", "forged.tar.zst"]).stdout;
    assert!(json.contains("\"ok\":false,\"intact\":true,\"authentic\":true"), "{json}");
}

/// A file whose first frame is another one once the bundle has been opened.
struct Changing(Vec<u8>, std::sync::atomic::AtomicBool);

impl vellum::format::bundle::Source for Changing {
    fn size(&self) -> std::io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        out.copy_from_slice(&self.0[offset as usize..][..out.len()]);
        let (from, changed) = (2000_usize.saturating_sub(offset as usize), offset <= 2000);
        if self.1.load(std::sync::atomic::Ordering::Relaxed) && changed && from < out.len() {
            out[from] ^= 1;
        }
        Ok(())
    }
}

#[test]
fn what_is_signed_is_what_was_checked_though_the_file_changes_meanwhile() {
    use vellum::folder::rewrite::{Target, sign};
    let scene = Scene::with_key();
    scene.write("in/a.bin", noise(3 << 20));
    let bytes = fs::read(scene.pack("in")).unwrap();
    let changing = Changing(bytes, std::sync::atomic::AtomicBool::new(false));
    let bundle = vellum::format::bundle::Bundle::open(changing).unwrap();
    let key = crate::scene::key(4);
    let to = |name: &str| scene.path(name);
    let time = crate::scene::options().time;
    let signed = |path: &Path| sign(&bundle, Target::New(path, 0o644), None, time, &[&key], crate::scene::run());
    signed(&to("good.tar.zst")).unwrap();
    bundle.source().1.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(signed(&to("bad.tar.zst")).is_err() && !to("bad.tar.zst").exists());
}
