//! Others' tools agree: what vellum makes, GNU tar, bsdtar, zstd, sha256sum, minisign, bagit.py and a reader written from FORMAT.md accept.

use std::path::Path;

use crate::scene::{Scene, installed, provided, same_tree, tool};

/// A signed bundle of paths that need every kind of header, and of a file that spans frames.
fn signed() -> (Scene, String, String) {
    let scene = Scene::with_key();
    scene.articles();
    let deep = format!("in/{}/{}", "d".repeat(120), "e".repeat(90));
    scene.write(&format!("{deep}/short.txt"), "Deep but ASCII\n");
    scene.write(&format!("in/{}/long.txt", ["x".repeat(60).as_str(); 6].join("/")), "Too deep for ustar\n");
    scene.write("in/100%/percent.txt", "A literal percent sign\n");
    let noise: Vec<u8> = (0..5_000_000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    scene.write("in/large.bin", noise);
    let bundle = scene.pack("in").display().to_string();
    let id = scene.expect(0, &["key", "list", "--json"]).stdout.split('"').nth(9).unwrap().to_owned();
    let public = scene.path(&format!("config/keys/{id}.pub")).display().to_string();
    (scene, bundle, public)
}

#[test]
fn tar_zstd_sha256sum_and_minisign_alone_open_and_check_a_bundle() {
    if !installed("zstd") {
        return;
    }
    let (scene, bundle, public) = signed();
    let here = scene.folder.path();
    tool(here, "zstd", &["-tq", &bundle]);
    std::fs::create_dir(scene.path("gnu")).unwrap();
    tool(here, "tar", &["--zstd", "-xf", &bundle, "-C", "gnu"]);
    let bag = scene.path("gnu/in");
    tool(&bag, "sha256sum", &["--quiet", "--strict", "-c", "manifest-sha256.txt"]);
    tool(&bag, "sha256sum", &["--quiet", "--strict", "-c", "tagmanifest-sha256.txt"]);
    if installed("minisign") {
        let signature = std::fs::read_dir(&bag).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let signature = signature.into_iter().find(|name| name.ends_with(".minisig")).unwrap();
        tool(&bag, "minisign", &["-Vm", "manifest.toml", "-x", &signature, "-p", &public]);
    }
    if installed("bsdtar") {
        std::fs::create_dir(scene.path("bsd")).unwrap();
        tool(here, "bsdtar", &["-xf", &bundle, "-C", "bsd"]);
        same_tree(&scene.path("gnu"), &scene.path("bsd"));
    }
    scene.expect(0, &["extract", "--to", "ours", &bundle]);
    same_tree(&scene.path("gnu/in/data"), &scene.path("ours"));
    // GNU tar finds nothing to complain of, not even a lone zero block or a missing directory entry.
    let listed = std::process::Command::new("tar").args(["--zstd", "-tvf", &bundle]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stderr), "");
}

#[test]
fn bagit_py_validates_an_unpacked_bundle() {
    if !["bagit.py", "zstd"].into_iter().all(installed) {
        return;
    }
    let (scene, bundle, _) = signed();
    std::fs::create_dir(scene.path("bags")).unwrap();
    tool(scene.folder.path(), "tar", &["--zstd", "-xf", &bundle, "-C", "bags"]);
    tool(scene.folder.path(), "bagit.py", &["--validate", &scene.path("bags/in").display().to_string()]);
}

#[test]
fn a_reader_written_from_the_format_alone_verifies_and_extracts() {
    let there = std::process::Command::new("python3").args(["-c", "import zstandard"]).output();
    if !provided("python3 with the module zstandard", there.is_ok_and(|output| output.status.success())) {
        return;
    }
    let (scene, bundle, public) = signed();
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py").display().to_string();
    let key = std::fs::read_to_string(&public).unwrap().lines().nth(1).unwrap().to_owned();
    let here = scene.folder.path();
    let said = tool(here, "python3", &[&reader, "verify", "--key", &key, &bundle]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["ok"], said["findings"].as_array().map(Vec::len)), (&true.into(), Some(0)), "{said}");
    scene.expect(0, &["extract", "--to", "ours", &bundle]);
    let files = tool(&scene.path("ours"), "find", &[".", "-type", "f", "-printf", "%P\\n"]);
    assert!(files.lines().count() > 15, "{files}");
    for file in files.lines() {
        let args = [&reader, "cat", "--key", &key, &bundle, file];
        let read = std::process::Command::new("python3").args(args).output().unwrap();
        assert!(read.status.success(), "{file}: {}", String::from_utf8_lossy(&read.stderr));
        assert!(read.stdout == std::fs::read(scene.path("ours").join(file)).unwrap(), "{file}");
    }
    let other = Scene::with_key();
    let stranger = other.expect(0, &["key", "list"]).stdout;
    let stranger = stranger.split_whitespace().last().unwrap();
    for wanted in [&["verify", "--key", stranger, &bundle][..], &["cat", "--key", stranger, &bundle, "notes/empty"]] {
        let refused = std::process::Command::new("python3").arg(&reader).args(wanted).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{wanted:?}");
        assert!(!wanted.contains(&"cat") || refused.stdout.is_empty());
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_for_any_number_of_threads() {
    let scene = Scene::with_key();
    scene.articles();
    let mut bundles = Vec::new();
    for threads in ["1", "2", "5"] {
        let out = format!("out{threads}");
        scene.expect(0, &["pack", "--quiet", "--threads", threads, "--output", &out, "in"]);
        let file = std::fs::read_dir(scene.path(&out)).unwrap().next().unwrap().unwrap();
        bundles.push((file.file_name(), std::fs::read(file.path()).unwrap()));
    }
    assert!(bundles.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn recompressing_and_countersigning_keep_the_id_and_every_file() {
    let (scene, bundle, _) = signed();
    let before = scene.expect(0, &["verify", "--json", &bundle]).stdout;
    scene.expect(0, &["recompress", "--level", "19", "--frame-size", "1000000", &bundle]);
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "second"]);
    scene.expect(0, &["sign", "--key", "second.key", &bundle]);
    scene.expect(0, &["verify", &bundle]);
    scene.expect(0, &["verify", "--key", "second.pub", &bundle]);
    let after = scene.expect(0, &["verify", "--json", &bundle]).stdout;
    let id = |json: &str| json.split("\"id\":").nth(1).unwrap()[..66].to_owned();
    assert_eq!(id(&before), id(&after));
    if installed("zstd") {
        tool(scene.folder.path(), "zstd", &["-tq", &bundle]);
    }
}
