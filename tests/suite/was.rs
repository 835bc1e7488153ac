//! Bundles without some of their articles: what is left stands as it stood, and the file alone tells what it was and who took what out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use vellum::digest::Digest;
use vellum::folder::without;
use vellum::format::bundle::{Bundle, BundleWriter, Contents, SignatureFile, Source, Tail};
use vellum::format::checksums::{ChecksumList, push_line};
use vellum::format::framing::{Cut, Kind};
use vellum::format::index::Head;
use vellum::format::manifest::{Manifest, PartOf};
use vellum::format::was::{MAX_WAS, RemovedLeaf, Was, put_back};
use vellum::format::{seekable, tar, times, tree};
use vellum::ids::BundleId;
use vellum::keys::{Comment, Kind as Of, SecretKey, Signature, Signer};
use vellum::run::Run;

use crate::scene::{Scene, installed, key, noise, options, same_tree, tool};

/// An article: its path, the id that its metadata states, its content.
type Article = (String, Option<String>, Vec<(String, Vec<u8>)>);

fn article(path: &str) -> Article {
    (path.into(), None, vec![("t.txt".into(), format!("the document of {path}\n").into_bytes())])
}

fn publisher() -> SecretKey {
    key(7)
}

fn remover() -> SecretKey {
    key(8)
}

fn signed(manifest: &Manifest, key: &SecretKey) -> SignatureFile {
    let text = manifest.to_string();
    let comment = Comment::new(Of::Manifest, None, Digest::of(text.as_bytes()), options().time).unwrap();
    let signature = Signature::sign(key, text.as_bytes(), &comment).unwrap();
    SignatureFile { key_id: key.public().id().to_string(), bytes: signature.to_string().into_bytes() }
}

/// Writes a bundle of whatever articles, as no packer would: a frame ends every `frame` bytes, wherever that is.
fn made(path: &Path, mut articles: Vec<Article>, frame: u64, change: impl FnOnce(&mut Manifest)) -> PathBuf {
    articles.sort_by_key(|(path, ..)| format!("{path}/"));
    let (mut text, mut files, mut ids) = (String::new(), Vec::new(), Vec::new());
    for (path, id, content) in articles {
        let stated = id.as_ref().map_or_else(String::new, |id| format!("id = {id:?}\n"));
        let mut all: BTreeMap<String, Vec<u8>> = content.into_iter().collect();
        all.insert("article.toml".into(), format!("title = \"Of {path}\"\n{stated}").into_bytes());
        for (name, bytes) in all {
            push_line(&mut text, &format!("data/{path}/{name}"), &Digest::of(&bytes));
            files.push(bytes);
        }
        ids.push(id.map(Box::from));
    }
    let list = ChecksumList::decode(text.into_bytes()).unwrap();
    let sizes: Vec<u64> = files.iter().map(|bytes| bytes.len() as u64).collect();
    let at = |line| jiff::civil::datetime(2026, 3, 1, 9, 12, (line % 60) as i8, 0);
    let kept = times::encode(&list, |line| (line % 3 > 0).then(|| at(line))).into_bytes();
    let contents = Contents::new("test", list, &sizes, ids, Some(kept.clone()));
    let blocks = contents.blocks();
    let (pieces, head, tail_at) = contents.index(&blocks);
    let mut plain = Vec::new();
    for line in contents.list.tar_order() {
        tar::encode_file(&format!("test/{}", contents.list.path(line)), &files[line], &mut plain);
    }
    plain.extend(contents.after_files(&pieces));
    let mut manifest = Manifest {
        archive: None,
        name: "test".parse().unwrap(),
        title: "Test".into(),
        articles: contents.list.article_count() as u64,
        files: contents.list.len() as u64,
        bytes: contents.bytes(),
        checksums: Digest::of(contents.list.text().as_bytes()),
        root: tree::root(&blocks),
        times: Some(Digest::of(&kept)),
        part: None,
        base: None,
        replaces: Vec::new(),
        reinstates: Vec::new(),
    };
    change(&mut manifest);
    let bounds = (0..tail_at).step_by(frame as usize);
    let cuts: Vec<Cut> = bounds.map(|from| Cut { from, to: tail_at.min(from + frame), kind: Kind::Plain }).collect();
    let mut writer = BundleWriter::new(Vec::new());
    writer.push_cuts(&cuts, &plain, 3).unwrap();
    let signatures = vec![signed(&manifest, &publisher())];
    fs::write(path, writer.finish(&Tail::new(&manifest, signatures, &head)).unwrap().0).unwrap();
    path.to_owned()
}

fn open(path: &Path) -> (Bundle<File>, Contents) {
    let bundle = Bundle::open(File::open(path).unwrap()).unwrap();
    let contents = bundle.contents().unwrap();
    (bundle, contents)
}

fn try_without(
    bundle: &Path,
    removed: &[usize],
    out: &Path,
) -> Result<vellum::folder::pack::PackedBundle, vellum::folder::Error> {
    let (old, contents) = open(bundle);
    let key = remover();
    let signers: [&dyn Signer; 1] = [&key];
    without((&old, &contents), removed, out, (&signers, options().time), Run::alone())
}

/// The frames of a bundle before its tail: their bytes, and where what they hold lies in the tar.
fn frames(path: &Path) -> Vec<(Vec<u8>, std::ops::Range<u64>)> {
    let bytes = fs::read(path).unwrap();
    let count = seekable::decode_footer(bytes.last_chunk().unwrap()).unwrap();
    let table = &bytes[bytes.len() - seekable::FIXED_BYTES - count * seekable::ENTRY_BYTES..];
    let (mut at, mut plain) = (0, 0);
    let mut frames = Vec::new();
    for size in seekable::decode(table).unwrap() {
        let to = at + size.packed as usize;
        frames.push((bytes[at..to].to_vec(), plain..plain + u64::from(size.plain)));
        (at, plain) = (to, plain + u64::from(size.plain));
    }
    frames.pop();
    frames
}

fn file(bundle: &Bundle<impl Source>, contents: &Contents, line: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    bundle.read_file(contents, line, &mut bytes).unwrap();
    bytes
}

/// Takes articles out of a bundle and checks everything that must hold of what is left; returns its path.
fn taken_out(scene: &Scene, bundle: &Path, removed: &[usize]) -> PathBuf {
    // A folder of its own, since a bundle cut otherwise has the same id.
    let out = tempfile::tempdir_in(scene.folder.path()).unwrap().keep();
    let new = try_without(bundle, removed, &out).unwrap().file;
    let ((old_bundle, old), (rest_bundle, rest)) = (open(bundle), open(&new));
    let kept = |line: usize| old.list.owner(line).is_some_and(|owner| !removed.contains(&owner));

    // The rest is what was there, file by file, and so are its times.
    let lines: Vec<usize> = (0..old.list.len()).filter(|&line| kept(line)).collect();
    let expected: String = lines.iter().map(|&line| old.list.line(line)).collect();
    assert_eq!(rest.list.text(), expected);
    for (n, &line) in lines.iter().enumerate() {
        assert_eq!(file(&rest_bundle, &rest, n), file(&old_bundle, &old, line), "{}", old.list.path(line));
    }
    let text = |contents: &Contents| String::from_utf8(contents.times.clone().unwrap_or_default()).unwrap();
    let of_kept = |line: &&str| lines.iter().any(|&n| line.ends_with(&format!("  {}", old.list.path(n))));
    assert_eq!(text(&rest).lines().collect::<Vec<_>>(), text(&old).lines().filter(of_kept).collect::<Vec<_>>());

    // The manifest repeats everything else.
    let (was, now) = (old_bundle.manifest(), rest_bundle.manifest());
    let repeated = Manifest {
        articles: now.articles,
        files: now.files,
        bytes: now.bytes,
        checksums: now.checksums,
        root: now.root,
        times: now.times,
        replaces: vec![old_bundle.id()],
        ..was.clone()
    };
    assert_eq!(*now, repeated);
    let line = &rest_bundle.tail().was;
    assert_eq!((line[0].id(), &line[0].signatures), (old_bundle.id(), &old_bundle.tail().signatures));
    assert_eq!(line[1..], old_bundle.tail().was);
    assert_eq!(put_back(&line[0].removed, &rest.leaves()), Some(old.leaves()));

    // Frames that hold nothing of what was removed are there as they were.
    let of_rest: Vec<_> = frames(&new).into_iter().map(|(bytes, _)| bytes).collect();
    let mut next = 0;
    for (bytes, plain) in frames(bundle).into_iter().filter(|(_, plain)| plain.end <= old.layout.end()) {
        let untouched = old.layout.segments(plain.start, plain.end).all(|segment| kept(old.line(segment.member)));
        if untouched {
            let at = of_rest[next..].iter().position(|other| *other == bytes);
            next += at.unwrap_or_else(|| panic!("the frame of {plain:?} is another one")) + 1;
        }
    }

    // Verbs take it; and it unpacks with the tools of others.
    let (publisher, remover) = (publisher().public().to_line(), remover().public().to_line());
    let shown = new.to_str().unwrap();
    let said = scene.expect(0, &["verify", "--key", &remover, shown]);
    let count: u64 = line.iter().map(|was| was.removed.len() as u64).sum();
    let by = format!(", {count} article{} removed, by {}", if count == 1 { "" } else { "s" }, key(8).public().id());
    assert!(said.stdout.contains(&by) && !said.stdout.contains("complete"), "{}", said.stdout);
    let _ = fs::remove_dir_all(scene.path("x"));
    for (name, bundle, key) in [("x/old", bundle.to_str().unwrap(), &publisher), ("x/new", shown, &remover)] {
        let who = if old_bundle.tail().was.is_empty() { key } else { &remover };
        scene.expect(0, &["extract", "--key", who, "--layout", "folder", "--to", name, bundle]);
    }
    for line in (0..old.list.len()).filter(|&line| !kept(line)) {
        fs::remove_file(scene.path("x/old").join(old.list.below(line))).unwrap();
    }
    tool(&scene.path("x/old"), "find", &[".", "-type", "d", "-empty", "-delete"]);
    same_tree(&scene.path("x/old"), &scene.path("x/new"));
    if installed("zstd") {
        let script = format!(
            "mkdir -p x/tar && zstd -dcq '{shown}' | tar -x -C x/tar && cd x/tar/test \
             && sha256sum --quiet --strict -c manifest-sha256.txt tagmanifest-sha256.txt \
             && for old in was/*; do test \"$(sha256sum < $old/manifest.toml)\" = \"${{old#was/}}  -\" || exit 1; done"
        );
        tool(scene.folder.path(), "sh", &["-c", &script]);
    }
    new
}

/// A bundle of names that a packer would refuse today, and of the article `v`.
fn odd(scene: &Scene) -> PathBuf {
    let odd = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
    let mut articles = vec![article("v"), article("C"), article("e\u{301}"), article("e\u{e1000}")];
    articles[1].2 =
        ["e\u{301}.txt", "é.txt", "x%0Ay", "X", "x", "t.toml", ".DS_Store", ".git/config", "Thumbs.db", "con"]
            .map(odd)
            .to_vec();
    made(&scene.path("odd.tar.zst"), articles, 1 << 20, |_| ())
}

#[test]
fn names_that_a_packer_would_refuse_today_stay_as_they_are() {
    let scene = Scene::new();
    let bundle = odd(&scene);
    let v = open(&bundle).1.list.number("v").unwrap();
    taken_out(&scene, &bundle, &[v]);
}

#[test]
fn an_article_is_withdrawn_from_an_archive_beside_names_that_a_packer_would_refuse_today() {
    let scene = Scene::with_key();
    odd(&scene);
    scene.expect(0, &["key", "trust", &publisher().public().to_line()]);
    scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["deposit", "library", "odd.tar.zst"]);
    scene.expect(0, &["verify", "library"]);
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["withdraw", "library", "v", "--reason", "not ours"]);
    scene.expect(0, &["sync", "library", "mirror"]);
    for archive in ["library", "mirror"] {
        scene.expect(0, &["verify", archive]);
        assert_eq!(scene.expect(0, &["list", archive]).stdout.lines().count(), 1 + 3, "{archive}");
        assert_eq!(scene.expect(0, &["cat", archive, "C/x%0Ay"]).stdout, "x%0Ay");
        scene.expect(1, &["cat", archive, "v"]);
    }
    assert!(scene.path("library/incoming").read_dir().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
}

#[test]
fn the_first_the_last_the_outer_and_the_inner_article_go_each_by_itself_and_together() {
    let scene = Scene::new();
    let mut articles: Vec<Article> = ["a-c", "a", "a/b", "a/b/c", "d", "e"].map(article).to_vec();
    articles[1].2.extend([("b.txt".into(), b"beside".to_vec()), ("i/z.png".into(), noise(900))]);
    articles[3].1 = Some("other".into());
    for frame in [1 << 20, 5_000, 512, 700] {
        let bundle = made(&scene.path("nested.tar.zst"), articles.clone(), frame, |_| ());
        for removed in [&[0][..], &[1], &[2], &[3], &[5], &[1, 3], &[0, 5], &[0, 1, 2, 3, 4]] {
            taken_out(&scene, &bundle, removed);
        }
    }
    let bundle = scene.path("nested.tar.zst");
    for removed in [&[][..], &[0, 1, 2, 3, 4, 5], &[6], &[2, 1], &[1, 1]] {
        assert!(try_without(&bundle, removed, &scene.path("none")).is_err(), "{removed:?}");
    }
    assert!(!scene.path("none").exists() || fs::read_dir(scene.path("none")).unwrap().next().is_none());
}

#[test]
fn articles_and_metadata_that_span_frames_leave_no_byte_behind() {
    let scene = Scene::new();
    let mut articles: Vec<Article> = (0..6).map(|n| article(&format!("n{n}"))).collect();
    for (n, article) in articles.iter_mut().enumerate() {
        article.2.push(("large.bin".into(), noise(30_000 + 1_000 * n)));
        article.2.push(("small.txt".into(), format!("only in {n}\n").repeat(n).into_bytes()));
    }
    for frame in [1 << 13, 9_999, 1 << 17] {
        let bundle = made(&scene.path("long.tar.zst"), articles.clone(), frame, |_| ());
        for removed in [&[0][..], &[2], &[5], &[1, 2, 4]] {
            let new = taken_out(&scene, &bundle, removed);
            let mut tar = Vec::new();
            std::io::copy(&mut zstd::Decoder::new(File::open(&new).unwrap()).unwrap(), &mut tar).unwrap();
            for n in removed {
                let words = format!("the document of n{n}\n");
                assert!(!tar.windows(words.len()).any(|some| some == words.as_bytes()), "{n}");
            }
        }
    }
}

#[test]
fn a_bundle_around_a_block_of_the_tree_loses_one_of_each() {
    let scene = Scene::new();
    for count in [2, 255, 256, 257] {
        let articles = (0..count).map(|n| article(&format!("n{n:03}"))).collect();
        let bundle = made(&scene.path("many.tar.zst"), articles, 1 << 15, |_| ());
        taken_out(&scene, &bundle, &[0]);
        if count == 257 {
            taken_out(&scene, &bundle, &[256]);
            taken_out(&scene, &bundle, &(0..256).collect::<Vec<_>>());
        }
    }
}

#[test]
fn part_base_archive_and_all_else_are_repeated() {
    let scene = Scene::new();
    let articles = ["a", "b", "c"].map(article).to_vec();
    let bundle = made(&scene.path("part.tar.zst"), articles, 4_096, |manifest| {
        manifest.title = "Tides, \"and\" \\ winds".into();
        manifest.part = Some(PartOf { number: 3, after: Some(BundleId(Digest::of(b"2"))), last: true });
        manifest.base = Some(412);
        manifest.reinstates = vec![Digest::of(b"statement")];
    });
    taken_out(&scene, &bundle, &[1]);
}

#[test]
fn a_second_withdrawal_carries_the_first_one_over_and_so_do_the_verbs_that_write_it_anew() {
    let scene = Scene::with_key();
    let articles: Vec<Article> = (0..9).map(|n| article(&format!("n{n}"))).collect();
    let bundle = made(&scene.path("nine.tar.zst"), articles, 3_000, |_| ());
    let first = open(&bundle).0.id();
    let once = taken_out(&scene, &bundle, &[0, 4]);
    let twice = taken_out(&scene, &once, &[1, 5]);
    let line = open(&twice).0.tail().was.clone();
    assert_eq!(line.iter().map(|was| was.id()).collect::<Vec<_>>(), [open(&once).0.id(), first]);
    let shown = twice.to_str().unwrap();
    scene.expect(0, &["recompress", "--level", "9", "--output", "small.tar.zst", shown]);
    assert_eq!(open(&scene.path("small.tar.zst")).0.tail().was, line);
    scene.expect(0, &["sign", "small.tar.zst"]);
    let (signed, _) = open(&scene.path("small.tar.zst"));
    assert_eq!((&signed.tail().was, signed.tail().signatures.len()), (&line, 2));
    scene.expect(0, &["verify", "small.tar.zst"]);
    assert_eq!(scene.expect(0, &["list", "small.tar.zst"]).stdout.lines().count(), 6);
    assert_eq!(scene.expect(0, &["cat", "small.tar.zst", "n8"]).stdout, "the document of n8\n");
    scene.expect(1, &["cat", "small.tar.zst", "n4"]);
    scene.expect(0, &["prove", "-o", "n8.proof", "small.tar.zst", "n8"]);
    scene.write("n8.txt", "the document of n8\n");
    scene.expect(0, &["verify", "--proof", "n8.proof", "n8.txt"]);
    // A flipped bit in the first frame costs what lies there; the rest is salvaged.
    let mut bytes = fs::read(&twice).unwrap();
    bytes[100] ^= 1;
    fs::write(scene.path("bad.tar.zst"), bytes).unwrap();
    let remover = remover().public().to_line();
    scene.expect(1, &["salvage", "--key", &remover, "--to", "saved", "bad.tar.zst"]);
    assert_eq!(fs::read(scene.path("saved/n8/t.txt")).unwrap(), b"the document of n8\n");
}

#[test]
fn the_file_alone_says_by_whom_articles_were_removed_and_who_signed_what_is_left() {
    let scene = Scene::new();
    let bundle = made(&scene.path("b.tar.zst"), ["a", "b", "c"].map(article).to_vec(), 4_096, |_| ());
    let first = open(&bundle).0.id().to_string();
    let new = try_without(&bundle, &[1], &scene.path("out")).unwrap().file;
    let new = new.to_str().unwrap();
    let [by_publisher, by_remover, by_other] = [7, 8, 9].map(|seed| key(seed).public().to_line());
    let removed = |key: &str| format!("replaces   {first}, 1 article removed, by {key}");
    let remover = key(8).public().id().to_string();

    for keys in [&[&by_remover][..], &[&by_publisher, &by_remover]] {
        let args: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        let said = scene.expect(0, &[&["verify"], &args[..], &[new]].concat());
        assert!(said.stdout.contains(&removed(&remover)), "{}", said.stdout);
        assert!(!said.stdout.contains("left ") && !said.stdout.contains("complete"), "{}", said.stdout);
    }
    let said = scene.expect(1, &["verify", "--key", &by_publisher, new]);
    assert!(said.stdout.contains(&removed("nobody you trust")), "{}", said.stdout);
    let left =
        format!("the articles left are authentic: they were signed in the first bundle, by {}", key(7).public().id());
    assert!(said.stdout.contains(&left) && said.stdout.contains("untrusted:"), "{}", said.stdout);
    let said = scene.expect(1, &["verify", "--key", &by_other, new]);
    assert!(said.stdout.contains(&removed("nobody you trust")), "{}", said.stdout);
    assert!(!said.stdout.contains("left "), "{}", said.stdout);

    let json = |code, key: &str| {
        let said = scene.expect(code, &["verify", "--json", "--key", key, new]);
        let last = said.stdout.lines().last().unwrap().to_owned();
        serde_json::from_str::<serde_json::Value>(&last).unwrap()["removal"].clone()
    };
    let seen = json(1, &by_publisher);
    assert_eq!((&seen["articles"], &seen["first"]), (&1.into(), &first.clone().into()));
    assert_eq!((&seen["by"], &seen["first_authentic"]), (&serde_json::json!([]), &true.into()));
    let seen = json(0, &by_remover);
    assert_eq!((&seen["by"], &seen["first_authentic"]), (&serde_json::json!([remover]), &false.into()));
    let plain = scene.expect(0, &["verify", "--json", "--key", &by_publisher, "b.tar.zst"]);
    assert!(plain.stdout.contains("\"removal\":null"), "{}", plain.stdout);
    // A verb that gives articles out asks for the same as before.
    scene.expect(1, &["extract", "--key", &by_publisher, "--to", "no", new]);
}

#[test]
fn what_stays_must_be_whole_and_what_goes_need_not() {
    let scene = Scene::new();
    let mut articles: Vec<Article> = (0..4).map(|n| article(&format!("n{n}"))).collect();
    articles.iter_mut().for_each(|article| article.2.push(("noise.bin".into(), noise(20_000))));
    let bundle = made(&scene.path("b.tar.zst"), articles, 10_000, |_| ());
    let (_, contents) = open(&bundle);
    let of_two = |plain: &std::ops::Range<u64>| {
        let mut segments = contents.layout.segments(plain.start, plain.end);
        plain.end <= contents.layout.end() && segments.all(|s| contents.list.owner(contents.line(s.member)) == Some(2))
    };
    let all = frames(&bundle);
    let alone = all.iter().position(|(_, plain)| of_two(plain)).unwrap();
    let at: usize = all[..alone].iter().map(|(bytes, _)| bytes.len()).sum();
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[at + 500] ^= 1;
    let bad = scene.path("bad.tar.zst");
    fs::write(&bad, bytes).unwrap();
    let error = try_without(&bad, &[1], &scene.path("no")).unwrap_err();
    assert!(error.to_string().contains(&format!("bytes {at}..")), "{error}");
    assert_eq!(fs::read_dir(scene.path("no")).unwrap().count(), 0);
    let rest = try_without(&bad, &[2], &scene.path("out")).unwrap();
    scene.expect(0, &["verify", "--key", &remover().public().to_line(), rest.file.to_str().unwrap()]);
}

/// A bundle that has lost one article in each of as many steps as are allowed.
fn long_line(scene: &Scene) -> PathBuf {
    let bundle = made(&scene.path("b.tar.zst"), ["a", "b", "c"].map(article).to_vec(), 1 << 17, |_| ());
    let (old, contents) = open(&bundle);
    let gone = |n: usize| Digest::of(&n.to_le_bytes());
    let mut leaves: Vec<Digest> = (0..MAX_WAS).map(|n| tree::leaf_of(&gone(n), &gone(n))).collect();
    leaves.extend(contents.leaves());
    let (mut line, mut replaces): (Vec<Was>, Vec<BundleId>) = (Vec::new(), Vec::new());
    for n in 0..MAX_WAS {
        let left = &leaves[n..];
        let (articles, root) = (left.len() as u64, tree::root(left));
        let manifest = Manifest { articles, root, replaces, ..old.manifest().clone() };
        let removed = vec![RemovedLeaf { position: 0, id: gone(n), lines: gone(n) }];
        line.insert(0, Was { signatures: vec![signed(&manifest, &publisher())], manifest, removed });
        replaces = vec![line[0].id()];
    }
    let manifest = Manifest { replaces, ..old.manifest().clone() };
    let mut writer = BundleWriter::new(Vec::new());
    for (bytes, plain) in frames(&bundle) {
        writer.push(&bytes, plain.end - plain.start).unwrap();
    }
    let head = Head::decode(&old.tail().head).unwrap();
    let tail = Tail { was: line, ..Tail::new(&manifest, vec![signed(&manifest, &remover())], &head) };
    scene.write("long.tar.zst", writer.finish(&tail).unwrap().0)
}

#[test]
fn a_line_grows_to_its_limit_and_says_so_there() {
    let scene = Scene::new();
    let bundle = long_line(&scene);
    let said = scene.expect(0, &["verify", "--key", &remover().public().to_line(), "long.tar.zst"]);
    assert!(said.stdout.contains("256 articles removed"), "{}", said.stdout);
    let error = try_without(&bundle, &[0], &scene.path("no")).unwrap_err();
    assert!(error.to_string().contains("at most 256 are allowed"), "{error}");
}
