//! What FORMAT.md says of salvaging, asked of the binary from outside: several bundles in one file, lost lists, cut members, wrong signatures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use vellum::digest::Digest;
use vellum::format::bundle::{Bundle, MAX_BUNDLES, Tail};
use vellum::format::index::Head;
use vellum::format::manifest::Manifest;
use vellum::format::signatures::SignatureFile;
use vellum::keys::{Comment, Kind, SecretKey, Signature, Signer};

use crate::scene::{Said, Scene, noise};

/// Articles in a bundle of more than one block of the index.
const MANY: usize = 700;
const SMALL_FRAMES: &[&str] = &["--frame-size", "65536"];

type Files = BTreeMap<String, Vec<u8>>;

/// A frame's plain bytes, or those of a whole bundle's tar.
fn plain(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::Decoder::new(packed).unwrap().read_to_end(&mut out).unwrap();
    out
}

/// Where each frame of a bundle lies in the file, by the seek table.
fn places(bundle: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| u32::from_le_bytes(bundle[at..at + 4].try_into().unwrap()) as usize;
    let count = word(bundle.len() - 9);
    let entries = bundle.len() - 9 - 8 * count;
    let mut at = 0;
    let place = |n| {
        let from = at;
        at += word(entries + 8 * n);
        from..at
    };
    (0..count).map(place).collect()
}

/// A frame that holds these bytes.
fn frame(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::bulk::Compressor::new(3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.compress(plain).unwrap()
}

/// A bundle of these stretches of a tar, each a frame of its own.
fn framed(stretches: &[Vec<u8>]) -> Vec<u8> {
    let (mut file, mut entries) = (Vec::new(), Vec::new());
    for stretch in stretches {
        let frame = frame(stretch);
        entries.extend((frame.len() as u32).to_le_bytes());
        entries.extend((stretch.len() as u32).to_le_bytes());
        file.extend(frame);
    }
    file.extend(0x184D_2A5E_u32.to_le_bytes());
    file.extend((entries.len() as u32 + 9).to_le_bytes());
    file.extend(&entries);
    file.extend((stretches.len() as u32).to_le_bytes());
    file.push(0);
    file.extend(0x8F92_EAB1_u32.to_le_bytes());
    file
}

/// The stretches of the tar that a bundle's frames hold.
fn stretches(bundle: &[u8]) -> Vec<Vec<u8>> {
    places(bundle).into_iter().map(|place| plain(&bundle[place])).collect()
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(below, fs::read(&path).unwrap());
            }
        }
    }
    found
}

impl Scene {
    /// Packs documents, all of them articles of their own; returns the bundle's bytes.
    fn bundle(&self, folder: &str, documents: &[(&str, &[u8])], options: &[&str]) -> Vec<u8> {
        for (path, bytes) in documents {
            self.write(&format!("{folder}/in/{path}"), bytes);
        }
        let out = format!("{folder}/out");
        let input = format!("{folder}/in");
        let said = self.expect(0, &[&["pack", "--quiet", "--output", &out], options, &[&input]].concat());
        fs::read(self.path(said.stdout.trim())).unwrap()
    }

    /// Salvages a file of these bytes and returns what was said and written.
    fn salvaged(&self, bytes: &[u8], options: &[&str]) -> (Said, Files) {
        self.write("damaged.tar.zst", bytes);
        let _ = fs::remove_dir_all(self.path("rescued"));
        let said = self.run(&[&["salvage", "--to", "rescued"], options, &["damaged.tar.zst"]].concat());
        (said, files(&self.path("rescued")))
    }

    /// Runs what a hint says, as it was printed.
    fn follow(&self, said: &Said) -> Said {
        let hint = said.stderr.lines().find(|line| line.starts_with("hint: ")).expect("a hint");
        let command = hint.split('`').nth(1).expect("a command");
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "vellum", "{hint}");
        self.run(&words[1..])
    }
}

/// What was written is just what the folder holds, the metadata made for it apart.
fn assert_holds(written: &Files, documents: &[(&str, &[u8])], what: &str) {
    for (path, bytes) in documents {
        let stem = path.rsplit_once('.').unwrap().0;
        assert_eq!(written.get(&format!("{stem}/{path}")).map(Vec::as_slice), Some(*bytes), "{what}: {path}");
    }
}

/// Three documents of 100 kB, other ones for each `seed`.
fn three(seed: usize) -> Vec<(String, Vec<u8>)> {
    let bytes = noise(500_000);
    (0..3).map(|n| (format!("a{n}.bin"), bytes[seed + n..seed + n + 100_000].to_vec())).collect()
}

fn shown(documents: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    documents.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect()
}

#[test]
fn all_of_a_whole_bundle_is_salvaged_whatever_part_of_it_stands_before_or_behind() {
    let scene = Scene::with_key();
    let documents = three(0);
    let bundle = scene.bundle("one", &shown(&documents), SMALL_FRAMES);
    let half = &bundle[..bundle.len() / 2];
    for (what, file) in [
        ("half and whole", [half, &bundle].concat()),
        ("whole and half", [&bundle, half].concat()),
        ("whole and a little", [&bundle[..], &bundle[..100]].concat()),
        ("whole and whole", [&bundle[..], &bundle].concat()),
        ("three in a row", [&bundle[..], &bundle, &bundle].concat()),
        ("a line end before", [b"\r", &bundle[..]].concat()),
    ] {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert_holds(&written, &shown(&documents), what);
        assert!(said.stdout.contains("\"vouched\":true"), "{what}: {}", said.stdout);
        assert!(said.stdout.contains("\"lost\":[]"), "{what}: {}", said.stdout);
    }
}

#[test]
fn a_strangers_bundle_before_or_behind_neither_hides_what_is_signed_nor_takes_its_place() {
    let scene = Scene::with_key();
    let (signed, foreign) = (three(0), three(9));
    let more = noise(70_000);
    let bundle = scene.bundle("one", &shown(&signed), SMALL_FRAMES);
    let strange = [shown(&foreign), vec![("more.bin", more.as_slice())]].concat();
    let stranger = scene.bundle("two", &strange, &[&["--unsigned"], SMALL_FRAMES].concat());
    for (what, file) in [
        ("before", [&stranger[..], &bundle].concat()),
        ("behind", [&bundle[..], &stranger].concat()),
        ("half before", [&stranger[..stranger.len() / 2], &bundle].concat()),
        ("on both sides", [&stranger[..], &bundle, &stranger].concat()),
    ] {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert_holds(&written, &shown(&signed), what);
        assert_eq!(written.len(), 6, "{what}: {:?}", written.keys());
        assert!(said.stdout.contains("\"vouched\":true"), "{what}: {}", said.stdout);
        // Asked for, the stranger's fill what no signed line names, and are said to be nobody's.
        let (said, written) = scene.salvaged(&file, &["--json", "--unsigned"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert_holds(&written, &shown(&signed), what);
        // Of the half one nothing is whole that no signed line names.
        assert_eq!(said.stdout.contains("\"vouched\":true"), what == "half before", "{what}: {}", said.stdout);
        if what != "half before" {
            assert_eq!(written.get("more/more.bin"), Some(&more), "{what}");
            assert!(said.stdout.contains("\"unvouched\":[\"more/article.toml\",\"more/more.bin\"]"), "{}", said.stdout);
        }
    }
}

#[test]
fn unsigned_bytes_do_not_fill_the_place_of_signed_ones_that_are_lost() {
    let scene = Scene::with_key();
    let (signed, foreign) = (three(0), three(9));
    let mut bundle = scene.bundle("one", &shown(&signed), SMALL_FRAMES);
    let stranger = scene.bundle("two", &shown(&foreign), &["--unsigned"]);
    let first = places(&bundle)[0].start;
    bundle[first + 500] ^= 1;
    for file in [[&stranger[..], &bundle].concat(), [&bundle[..], &stranger].concat()] {
        for partial in [&[][..], &["--partial"]] {
            let (said, written) = scene.salvaged(&file, &[&["--unsigned"], partial].concat());
            assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
            assert_holds(&written, &shown(&signed)[1..], "unsigned");
            assert!(!written.contains_key("a0/a0.bin"), "{:?}", written.keys());
        }
    }
}

#[test]
fn a_false_list_in_a_frame_of_its_own_costs_nothing() {
    let scene = Scene::with_key();
    let documents = three(0);
    let bundle = scene.bundle("one", &shown(&documents), &[]);
    let top = Bundle::open(bundle.clone()).unwrap().tail().top.clone();
    let mut member = Vec::new();
    let line = format!("{}  data/x/t\n", "0".repeat(64));
    vellum::format::tar::encode_file(&format!("{top}/manifest-sha256.txt"), line.as_bytes(), &mut member);
    let mut frame = framed(&[member]);
    frame.truncate(frame.len() - 25);
    let after_content = places(&bundle).len() - 3;
    let between = places(&bundle)[after_content].start;
    for file in [[&frame[..], &bundle].concat(), [&bundle[..between], &frame, &bundle[between..]].concat()] {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
        assert_holds(&written, &shown(&documents), "a false list");
    }
}

#[test]
fn of_several_signed_bundles_in_a_file_all_is_salvaged_and_what_differs_is_named() {
    let scene = Scene::with_key();
    let (one, other) = (three(0), three(9));
    let renamed: Vec<_> = other.iter().map(|(path, bytes)| (format!("b-{path}"), bytes.clone())).collect();
    let first = scene.bundle("one", &shown(&one), &[]);
    let second = scene.bundle("two", &shown(&renamed), &[]);
    let revised = scene.bundle("three", &shown(&other), &[]);
    let all = [shown(&one), shown(&renamed)].concat();
    let (said, written) = scene.salvaged(&[&first[..], &second].concat(), &["--json"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert_holds(&written, &all, "two");
    assert!(said.stdout.contains("\"vouched\":true") && said.stdout.contains("\"lost\":[]"), "{}", said.stdout);
    // Where both have a path, the later one, which readers open, has it; the other is named.
    let (said, written) = scene.salvaged(&[&first[..], &second, &revised].concat(), &["--json"]);
    assert_holds(&written, &[shown(&renamed), shown(&other)].concat(), "three");
    for n in 0..3 {
        let left_out = format!("\"code\":\"path\",\"place\":\"a{n}/a{n}.bin\"");
        assert!(said.stdout.contains(&left_out), "{}", said.stdout);
    }
}

#[test]
fn damaged_metadata_costs_no_document_that_is_asked_for() {
    let scene = Scene::with_key();
    let documents = three(0);
    let mut bundle = scene.bundle("one", &shown(&documents), SMALL_FRAMES);
    let metadata =
        stretches(&bundle).iter().position(|plain| plain.windows(13).any(|w| w == b"/article.toml")).unwrap();
    let place = places(&bundle)[metadata].clone();
    bundle[place.start + place.len() / 2] ^= 1;
    let (said, written) = scene.salvaged(&bundle, &[]);
    assert_eq!((said.code, written.len()), (1, 0), "{}", said.stderr);
    let said = scene.follow(&said);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_holds(&files(&scene.path("rescued")), &shown(&documents), "as the hint says");
}

/// A bundle of three blocks of the index, where the frames lie that hold the lines of its checksum list, and where a frame of documents of each
/// block.
fn of_blocks(scene: &Scene) -> (Vec<u8>, Vec<[Range<usize>; 2]>) {
    for n in 0..MANY {
        scene.write(&format!("in/n{n:03}.txt"), format!("the text of {n}\n"));
    }
    let said = scene.expect(0, &[&["pack", "--quiet", "--output", "out", "in"], SMALL_FRAMES].concat());
    let bundle = fs::read(scene.path(said.stdout.trim())).unwrap();
    let is_list = |plain: &[u8]| {
        let lines = if plain.starts_with(b"in/manifest-sha256.txt") { &plain[512..] } else { plain };
        lines.get(64..71) == Some(b"  data/")
    };
    let all: Vec<_> = places(&bundle).into_iter().zip(stretches(&bundle)).collect();
    let lists: Vec<_> = all.iter().filter(|(_, plain)| is_list(plain)).map(|(place, _)| place.clone()).collect();
    assert_eq!(lists.len(), 3);
    let documents = |block: usize| {
        let text = format!("the text of {}\n", block * 256 + 100);
        let holds = |plain: &[u8]| plain.windows(text.len()).any(|window| window == text.as_bytes());
        all.iter().find(|(_, plain)| holds(plain)).unwrap().0.clone()
    };
    let pairs = lists.into_iter().enumerate().map(|(block, place)| [place, documents(block)]).collect();
    (bundle, pairs)
}

/// A file with a bit changed, a byte lost, and all of it lost in one place.
fn damaged_at(bundle: &[u8], place: &Range<usize>) -> [(&'static str, Vec<u8>); 3] {
    let middle = place.start + place.len() / 2;
    let mut flipped = bundle.to_vec();
    flipped[middle] ^= 1;
    let mut shorter = bundle.to_vec();
    shorter.remove(middle);
    [("a bit", flipped), ("a byte", shorter), ("a frame", [&bundle[..place.start], &bundle[place.end..]].concat())]
}

#[test]
fn a_damaged_checksum_list_costs_nothing_while_the_files_that_it_names_are_whole() {
    let scene = Scene::with_key();
    let (bundle, blocks) = of_blocks(&scene);
    let few = three(0);
    let small = scene.bundle("few", &shown(&few), &[]);
    let list = places(&small)[2].clone();
    for (what, file) in damaged_at(&small, &list) {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert!(said.stdout.contains("\"code\":\"checksums\""), "{what}: {}", said.stdout);
        assert!(said.stdout.contains("\"vouched\":true"), "{what}: {}", said.stdout);
        assert_holds(&written, &shown(&few), what);
    }
    for [list, _] in &blocks {
        for (what, file) in damaged_at(&bundle, list) {
            let (said, written) = scene.salvaged(&file, &["--json"]);
            assert_eq!((said.code, written.len()), (1, 2 * MANY), "{what}: {}", said.stderr);
            assert!(said.stdout.contains("\"vouched\":true"), "{what}: {}", said.stderr);
        }
    }
}

#[test]
fn damage_in_the_checksum_list_and_in_what_it_names_costs_the_articles_of_one_block() {
    let scene = Scene::with_key();
    let (bundle, blocks) = of_blocks(&scene);
    let in_block = |n: usize| n * 256..MANY.min(n * 256 + 256);
    for (block, [list, documents]) in blocks.iter().enumerate() {
        let mut worse = bundle.clone();
        worse[documents.start + documents.len() / 2] ^= 1;
        for (what, file) in damaged_at(&worse, list) {
            let (said, written) = scene.salvaged(&file, &["--json"]);
            assert_eq!(said.code, 1, "{what} {block}: {}{}", said.stdout, said.stderr);
            assert!(said.stdout.contains("\"vouched\":true"), "{what} {block}: {}", said.stderr);
            for n in 0..MANY {
                let is_there = written.contains_key(&format!("n{n:03}/n{n:03}.txt"));
                assert_eq!(is_there, !in_block(block).contains(&n), "{what} in block {block}: {n}");
            }
            let named = format!("{} articles from \\\"n{:03}\\\" on", in_block(block).len(), block * 256);
            assert!(said.stdout.contains(&named), "{what} {block}: {}", &said.stdout[..said.stdout.len().min(2000)]);
        }
    }
}

#[test]
fn damage_is_told_exactly_where_frames_are_cut_within_members() {
    let scene = Scene::with_key();
    let bytes = noise(500_000);
    for n in 0..40 {
        scene.write(&format!("in/s{n:02}.bin"), &bytes[n..n + 96_000]);
    }
    let bundle = fs::read(scene.pack("in")).unwrap();
    let mut tar = stretches(&bundle);
    let tail = tar.pop().unwrap();
    let tar = tar.concat();
    let mut cut: Vec<Vec<u8>> = tar.chunks(400_001).map(<[u8]>::to_vec).collect();
    cut.push(tail);
    let whole = framed(&cut);
    let opened = Bundle::open(whole.clone()).unwrap();
    let contents = opened.contents().unwrap();
    scene.write("whole.tar.zst", &whole);
    scene.expect(0, &["verify", "whole.tar.zst"]);
    for frame in [0, 1, 4, 8] {
        let mut bad = whole.clone();
        let place = places(&whole)[frame].clone();
        bad[place.start + place.len() / 2] ^= 1;
        let lost = [&whole[..place.start], &whole[place.end..]].concat();
        let (from, to) = (frame as u64 * 400_001, (frame as u64 + 1) * 400_001);
        let mut hit: Vec<String> = (0..contents.list.len())
            .filter(|&line| {
                let member = contents.place(line);
                member.offset < to && from < member.content() + member.size
            })
            .map(|line| contents.list.article(contents.list.owner(line).unwrap()).to_owned())
            .collect();
        hit.sort();
        hit.dedup();
        let named: Vec<_> = hit.iter().map(|path| format!("\"{path}\"")).collect();
        for file in [bad, lost] {
            let (said, written) = scene.salvaged(&file, &["--json"]);
            assert_eq!(said.code, 1);
            let expected = format!("\"lost\":[{}]", named.join(","));
            assert!(said.stdout.contains(&expected), "frame {frame}: {expected}, {}", said.stdout);
            assert_eq!(written.len(), 2 * (40 - hit.len()));
        }
    }
}

impl Scene {
    /// The frames of tails, signed by the key of the configuration, whose manifests are like this bundle's but for a change.
    fn tails(&self, bundle: &[u8], count: usize, change: impl Fn(usize, &mut Manifest)) -> Vec<u8> {
        let own = fs::read_dir(self.path("config/keys")).unwrap().map(|entry| entry.unwrap().path());
        let secret = own.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "key")).unwrap();
        let key = SecretKey::open(&fs::read(secret).unwrap(), None).unwrap();
        let opened = Bundle::open(bundle.to_vec()).unwrap();
        let head = Head::decode(&opened.tail().head).unwrap();
        let tail = |n: usize| {
            let mut manifest = opened.manifest().clone();
            change(n, &mut manifest);
            let text = manifest.to_string();
            let time = "2026-03-01T00:00:00Z".parse().unwrap();
            let comment = Comment::new(Kind::Manifest, None, Digest::of(text.as_bytes()), time).unwrap();
            let bytes = Signature::sign(&key, text.as_bytes(), &comment).unwrap().to_string().into();
            let signature = SignatureFile { key_id: key.public().id().to_string(), bytes };
            frame(&Tail::new(&manifest, vec![signature], &head).encode())
        };
        (0..count).flat_map(tail).collect()
    }
}

#[test]
fn a_signed_tail_without_its_bundle_takes_the_place_of_none_that_has_one() {
    let scene = Scene::with_key();
    let documents = three(0);
    let whole = scene.bundle("one", &shown(&documents), &[]);
    let own_tail = &whole[places(&whole).last().unwrap().clone()];
    let retitled = scene.tails(&whole, 30, |n, manifest| manifest.title = format!("Title {n}"));
    let [(_, damaged), ..] = damaged_at(&whole, &places(&whole)[2]);
    for (what, file) in [
        ("its own tail behind", [&damaged[..], own_tail].concat()),
        ("its own tail before", [own_tail, &damaged].concat()),
        ("tails that name the same list behind", [&damaged[..], &retitled].concat()),
    ] {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert!(said.stdout.contains("\"vouched\":true"), "{what}: {}{}", said.stdout, said.stderr);
        assert!(said.stdout.contains("\"lost\":[]"), "{what}: {}", said.stdout);
        assert_holds(&written, &shown(&documents), what);
    }
}

#[test]
fn more_signed_tails_than_bundles_are_salvaged_push_out_none_whose_files_are_there_and_are_counted() {
    let scene = Scene::with_key();
    let documents = three(0);
    let whole = scene.bundle("one", &shown(&documents), &[]);
    let left_out = 10;
    let others = scene.tails(&whole, MAX_BUNDLES + left_out - 1, |n, manifest| {
        manifest.checksums = Digest::of(&n.to_le_bytes());
    });
    for (what, file) in [("behind", [&whole[..], &others].concat()), ("before", [&others[..], &whole].concat())] {
        let (said, written) = scene.salvaged(&file, &["--json"]);
        assert_eq!(said.code, 1, "{what}: {}{}", said.stdout, said.stderr);
        assert_holds(&written, &shown(&documents), what);
        let counted = format!("{left_out} signed tails are left out: {MAX_BUNDLES} bundles are salvaged from one file");
        assert!(said.stdout.contains(&counted), "{what}: {counted}: {}", said.stdout);
    }
}

#[test]
fn what_is_wrong_with_the_tar_is_counted_where_it_is_too_much_to_be_named() {
    let scene = Scene::with_key();
    let documents = three(0);
    let whole = scene.bundle("one", &shown(&documents), &[]);
    let mut members = Vec::new();
    for n in 0..6_000 {
        vellum::format::tar::encode_file(&format!("strange/n{n:04}"), b"", &mut members);
    }
    let (said, written) = scene.salvaged(&[&frame(&members)[..], &whole].concat(), &["--json"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_holds(&written, &shown(&documents), "strange members before");
    assert!(said.stdout.lines().count() < 5_000, "{} lines", said.stdout.lines().count());
    assert!(said.stdout.contains("more things wrong with the tar, not named"), "{}", said.stderr);
}

#[test]
fn of_a_manifest_that_names_one_list_and_the_root_of_another_nothing_is_believed() {
    let scene = Scene::with_key();
    let whole = scene.bundle("one", &shown(&three(0)), &[]);
    let contradicts = scene.tails(&whole, 1, |_, manifest| manifest.checksums = Digest::of(b"another"));
    let file = [&whole[..places(&whole).last().unwrap().start], &contradicts].concat();
    let (said, written) = scene.salvaged(&file, &["--json"]);
    assert_eq!((said.code, written.len()), (1, 0), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("proves another list than the one that it names"), "{}", said.stdout);
}

/// The same bundle with other signatures in its tail.
fn resigned(bundle: &[u8], change: impl FnOnce(&mut Tail)) -> Vec<u8> {
    let mut tail = Bundle::open(bundle.to_vec()).unwrap().tail().clone();
    change(&mut tail);
    let mut all = stretches(bundle);
    *all.last_mut().unwrap() = tail.encode();
    framed(&all)
}

#[test]
fn one_wrong_signature_is_named_and_what_a_good_one_covers_is_salvaged() {
    let scene = Scene::with_key();
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "other"]);
    let documents = three(0);
    let one = scene.bundle("one", &shown(&documents), &[]);
    let sign = |name: &str, bytes: &[u8]| {
        scene.write(name, bytes);
        scene.expect(0, &["sign", "--key", "other.key", name]);
        let signed = Bundle::open(fs::read(scene.path(name)).unwrap()).unwrap();
        signed.tail().signatures.clone()
    };
    let signatures = sign("signed.tar.zst", &one);
    let own = Bundle::open(one.clone()).unwrap().tail().signatures[0].key_id.clone();
    let elsewhere = scene.bundle("two", &shown(&three(9)), &[]);
    let of_other = sign("elsewhere.tar.zst", &elsewhere).into_iter().find(|file| file.key_id != own).unwrap();
    let mixed = resigned(&one, |tail| {
        tail.signatures = signatures.clone();
        *tail.signatures.iter_mut().find(|file| file.key_id != own).unwrap() = of_other.clone();
    });
    let trusting = ["--json", "--key", "other.pub", "--keys", "config/trusted"];
    let (said, written) = scene.salvaged(&mixed, &trusting);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("\"code\":\"signature-bad\""), "{}", said.stdout);
    assert!(said.stdout.contains(&of_other.key_id), "{}", said.stdout);
    assert!(said.stdout.contains("\"vouched\":true"), "{}", said.stdout);
    assert_holds(&written, &shown(&documents), "one good, one wrong");
    // Where the wrong one is all there is, nothing comes out.
    let forged = resigned(&one, |tail| tail.signatures = vec![of_other.clone()]);
    let (said, written) = scene.salvaged(&forged, &trusting);
    assert_eq!((said.code, written.len()), (1, 0), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("\"code\":\"signature-bad\""), "{}", said.stdout);
}

#[test]
fn whoever_gives_up_says_why_in_the_form_asked_for_and_what_to_type_instead() {
    let scene = Scene::with_key();
    let documents = three(0);
    let whole = scene.bundle("one", &shown(&documents), &[]);
    let unsigned = scene.bundle("two", &shown(&documents), &["--unsigned"]);
    let tail = places(&whole).last().unwrap().clone();
    for (what, file) in [("unsigned", &unsigned[..]), ("truncated", &whole[..tail.start + 10])] {
        let (said, written) = scene.salvaged(file, &["--json"]);
        assert_eq!((said.code, written.len()), (1, 0), "{what}: {}{}", said.stdout, said.stderr);
        assert!(!said.stdout.is_empty(), "{what}");
        for line in said.stdout.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{what}: {line}"));
            assert_eq!(value["kind"], "finding", "{what}: {line}");
        }
        scene.follow(&said);
        assert_holds(&files(&scene.path("rescued")), &shown(&documents), what);
    }
}

#[test]
fn time_grows_with_the_file_however_many_tails_it_has() {
    let scene = Scene::with_key();
    scene.write("in/a.txt", "a");
    let honest = fs::read(scene.pack("in")).unwrap();
    let stranger = scene.bundle("two", &[("b.txt", b"b")], &["--unsigned"]);
    let tail = places(&stranger).last().unwrap().clone();
    let magic = [&[0; 100][..], b"0000644\0", &[0; 149], b"ustar\x0000"].concat();
    for file in [
        [&stranger[tail].repeat(4_000)[..], &honest].concat(),
        [&stranger.repeat(2_000)[..], &honest, &stranger.repeat(2_000)].concat(),
        [&framed(&vec![magic.repeat(8_000); 20])[..], &honest].concat(),
        [&framed(&vec![vec![0; 8 << 20]; 1_000])[..], &honest].concat(),
    ] {
        let begun = Instant::now();
        let (said, written) = scene.salvaged(&file, &[]);
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert_eq!(written.get("a/a.txt").map(Vec::as_slice), Some(&b"a"[..]));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
