//! What people ran into when they followed, pushed, cosigned and rewrote archives, each as the test that would have found it.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::scene::{Said, Scene, installed, key, options, run, said, same_tree, tool, trusted};
use crate::server::{Answer, Server};
use vellum::archive::catalog::Catalog;
use vellum::archive::{Archive, Lock, Pin, Publication, Writer, layout};
use vellum::collection::audit::audit;
use vellum::collection::follow;
use vellum::digest::Digest;
use vellum::finding::Code;
use vellum::format::leaf::Leaf;
use vellum::format::manifest::Manifest;
use vellum::ids::BundleId;
use vellum::keys::{Comment, Kind, SecretKey, Signature, Signer};
use vellum::mirror::{Error, Meter, Pace, SyncOptions, SyncReport, push, sync};
use vellum::store::{Access, Remote, Store};
use vellum::trust::logged;
use vellum::trust::policy;
use vellum::watch::{Task, Watch};

const ORIGIN: &str = "example.org/library";

/// Neither waits nor measures.
struct NoTime;

impl Pace for NoTime {
    fn stream(&self) -> Meter<'_> {
        Box::new(|_| Ok(()))
    }

    fn wait(&self, _trial: u32) {}
}

fn pin(archive: &Archive) -> Pin {
    Pin::Keys { keys: trusted(&key(1)), log: archive.log_key().clone() }
}

fn synced(archive: &Archive, mirror: &Store, dry_run: bool) -> Result<SyncReport, Error> {
    let (name, pin) = (ORIGIN.parse().unwrap(), pin(archive));
    let options = SyncOptions {
        origins: &[archive.store().clone()],
        name: &name,
        pin: &pin,
        moment: options().time,
        streams: NonZeroUsize::MIN,
        dry_run,
        grace: 14,
        unwitnessed: false,
        delete: false,
        seen: &|_, _| Ok(()),
        who: "test",
        pace: &NoTime,
    };
    sync(mirror, &options, run())
}

fn created(scene: &Scene, folder: &str) -> Archive {
    Archive::create(Store::new(&scene.path(folder)), ORIGIN.parse().unwrap(), &key(2), "test", run()).unwrap()
}

/// Brings the log to `size` leaves, in one publication.
fn grown(archive: &Archive, size: u64) {
    let secret = key(2);
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run()).unwrap();
    let leaves = vec![document(); (size - writer.checkpoint().size) as usize];
    writer.publish(Publication { leaves, ..Publication::default() }).unwrap();
}

#[test]
fn a_mirror_follows_an_archive_past_full_tiles() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let mirror = Store::new(&scene.path("mirror"));
    for size in [255, 256, 257, 513] {
        grown(&archive, size);
        assert_eq!(synced(&archive, &mirror, false).unwrap().after, size);
        let held = Archive::open(mirror.clone()).unwrap();
        let vouched = held.vouched(&pin(&archive), run()).unwrap();
        let found = audit(&held, &vouched, run()).unwrap();
        // Nobody has signed the documents: they do not count, and stop nobody.
        assert!(found.findings.iter().all(|finding| finding.code == Code::Void), "{:?}", found.findings);
        assert_eq!((vouched.checkpoint.size, found.findings.len() as u64), (size, size));
    }
}

/// What lies below a folder: every path, with size and time.
fn listing(folder: &Path) -> String {
    tool(folder, "find", &[".", "-printf", "%p %y %T@ %s\n"])
}

#[test]
fn a_sync_into_a_folder_that_holds_something_else_is_refused_and_writes_nothing() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let other = "example.org/other".parse().unwrap();
    Archive::create(Store::new(&scene.path("other")), other, &key(2), "test", run()).unwrap();
    scene.write("thesis/chapter-1.txt", "mine");
    scene.write("hidden/.config", "mine");
    // Copies of other archives, as a mirror has them and as a killed sync leaves them.
    tool(&scene.path(""), "sh", &["-c", "mkdir mirrored && cp -r other/* mirrored/"]);
    scene.write("begun/bundles/00/x.tar.zst", "x");
    scene.write("begun/.vellum/state/begun", "example.org/other\n");
    for (folder, found) in [
        ("thesis", "chapter-1.txt"),
        ("hidden", ".config"),
        ("mirrored", "the archive example.org/other"),
        ("begun", "a sync of example.org/other"),
    ] {
        let path = scene.path(folder);
        let before = listing(&path);
        for dry_run in [false, true] {
            let error = synced(&archive, &Store::new(&path), dry_run).expect_err(folder).to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains(found), "{error}");
        }
        assert_eq!(listing(&path), before, "{folder}");
    }
    let file = scene.write("file", "x");
    assert!(synced(&archive, &Store::new(&file), false).is_err());
    let publisher = scene.path("other");
    let before = listing(&publisher);
    assert!(matches!(synced(&archive, &Store::new(&publisher), false), Err(Error::Publisher(_))));
    assert_eq!(listing(&publisher), before);
}

#[test]
fn a_sync_goes_on_in_what_a_killed_one_left() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    fs::create_dir(scene.path("empty")).unwrap();
    scene.write("locked/.vellum/state/lock", "process 1\n");
    scene.write("begun/tile/entries/000.p/1", "x");
    scene.write("begun/.vellum/state/begun", format!("{ORIGIN}\n"));
    for folder in ["empty", "locked", "begun"] {
        assert_eq!(synced(&archive, &Store::new(&scene.path(folder)), false).unwrap().after, 0);
        assert!(!scene.path(folder).join(".vellum/state/begun").exists());
        assert_eq!(synced(&archive, &Store::new(&scene.path(folder)), false).unwrap().after, 0);
    }
}

#[test]
fn a_push_without_a_bundle_that_counts_is_refused_before_anything_is_uploaded() {
    let scene = Scene::new();
    let archive = created(&scene, "origin");
    let bytes = b"a bundle's bytes".to_vec();
    let digest = Digest::of(b"").labelled();
    let text = format!(
        "format = \"vellum-manifest/1\"\narchive = \"{ORIGIN}\"\nname = \"a\"\ntitle = \"A\"\narticles = 1\nfiles = 2\nbytes = 9\n\
         checksums = \"{digest}\"\nroot = \"{digest}\"\n"
    );
    let (id, file) = (BundleId(Digest::of(text.as_bytes())), Digest::of(&bytes));
    let comment = Comment::new(Kind::Manifest, Some(ORIGIN), id.0, options().time).unwrap();
    let signature = Signature::sign(&key(1), text.as_bytes(), &comment).unwrap();
    let signatures = vec![logged::keep(key(1).public(), &signature).unwrap()];
    let manifest = Box::new(Manifest::decode(text.as_bytes()).unwrap());
    let leaf = Leaf::Bundle { manifest, size: bytes.len() as u64, file, signatures };
    let publication = Publication { leaves: vec![leaf], ..Publication::default() };
    let secret = key(2);
    Writer::begin(&archive, &[&secret], "test", run()).unwrap().publish(publication).unwrap();
    let own = layout::bundle(id, &file);
    let vouched = archive.vouched(&pin(&archive), run()).unwrap();
    let server = Server::start(&scene.path("bucket"), |_| Answer::Status(404, "X: y".into()));
    let access = Access {
        endpoint: Some(server.url.clone()),
        credentials: Some(("a".into(), "b".into(), None)),
        ..Access::default()
    };
    let remote = Remote::new("s3://bucket/library", &access).unwrap();
    for (there, why) in [(None, "is missing"), (Some("a bundle"), "has 8 bytes, its leaf says 16")] {
        there.into_iter().for_each(|text| drop(scene.write(&format!("origin/{own}"), text)));
        let error = push(&archive, &vouched, &remote, run()).expect_err(why).to_string();
        assert!(error.contains(&own) && error.contains(why), "{error}");
        let asked = server.take_asked();
        assert!(asked.iter().all(|path| path.contains("library/checkpoint")), "{asked:?}");
    }
    // With the bundle, the first thing that it puts is the claim.
    scene.write(&format!("origin/{own}"), bytes);
    assert!(push(&archive, &vouched, &remote, run()).is_err());
    assert!(server.take_asked().iter().any(|path| path.contains("library/claim")));
}

/// An archive of the command line with a mirror that a witness has cosigned, and the witness's public key.
fn witnessed() -> (Scene, Archive, SecretKey, String) {
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--no-passphrase", "--origin", ORIGIN, "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "witness"]);
    let by = ["cosign", "--as", "w.example/1", "--secret", "witness.key"];
    let witness = scene.expect(0, &[&by[..], &["--show", "mirror"]].concat()).stdout.trim().to_owned();
    scene.expect(0, &[&by[..], &["mirror"]].concat());
    let archive = Archive::open(Store::new(&scene.path("library"))).unwrap();
    let secret = scene.path(&format!("config/logs/{}.key", archive.log_key().public().id()));
    let secret = SecretKey::open(&fs::read(secret).unwrap(), None).unwrap();
    (scene, archive, secret, witness)
}

fn size(scene: &Scene, folder: &str) -> u64 {
    let archive = Archive::open(Store::new(&scene.path(folder))).unwrap();
    archive.vouched(&Pin::Anyone { log: archive.log_key().clone() }, run()).unwrap().checkpoint.size
}

/// Runs a verb that finds the lock taken, and does something to the archive before it is free: all that was read before is old then.
fn beside<L>(scene: &Scene, args: &[&str], lock: L, act: impl FnOnce(L)) -> Said {
    let mut command = scene.command(args);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Long enough for the verb to come to the lock, shorter than it waits there.
    sleep(Duration::from_millis(250));
    act(lock);
    said(run.wait_with_output().unwrap())
}

fn document() -> Leaf {
    Leaf::Document { name: "NOTES.txt".into(), file: Digest::of(b"notes"), signatures: Vec::new() }
}

#[test]
fn a_collect_beside_a_publisher_does_not_take_the_archive_back() {
    let (scene, archive, secret, witness) = witnessed();
    let before = size(&scene, "library");
    let log: [&dyn Signer; 1] = [&secret];
    let writer = Writer::begin(&archive, &log, "test", run()).unwrap();
    let said = beside(&scene, &["collect", "--witness", &witness, "library", "mirror"], writer, |mut writer| {
        writer.publish(Publication { leaves: vec![document()], ..Publication::default() }).unwrap();
    });
    assert_eq!(size(&scene, "library"), before + 1, "{}", said.stderr);
    assert!(said.stdout.contains("is behind"), "{}", said.stdout);
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["cosign", "--as", "w.example/1", "--secret", "witness.key", "mirror"]);
    let said = scene.expect(0, &["collect", "--witness", &witness, "library", "mirror"]);
    assert!(said.stdout.contains("w.example/1"), "{}", said.stdout);
    scene.expect(0, &["pack", "--into", "library", "in"]);
}

/// What a sync does to a mirror, without its lock.
const BROUGHT_FURTHER: &str = "cp -r library/tile library/bundles mirror/ && cp library/checkpoint mirror/checkpoint && \
                               cp library/checkpoint mirror/.vellum/state/held";

#[test]
fn a_cosign_or_adopt_beside_a_sync_says_what_the_mirror_holds_then() {
    let (scene, _, _, _) = witnessed();
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let further = |lock: Lock| {
        tool(&scene.path(""), "sh", &["-c", BROUGHT_FURTHER]);
        drop(lock);
    };
    let mirror = Store::new(&scene.path("mirror"));
    tool(&scene.path(""), "cp", &["-r", "mirror", "before"]);
    let args = ["cosign", "--as", "w.example/1", "--secret", "witness.key", "mirror"];
    let said = beside(&scene, &args, Lock::take(&mirror, "test", run().clock).unwrap(), further);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(size(&scene, "mirror"), size(&scene, "library"));
    tool(&scene.path(""), "sh", &["-c", "rm -r mirror && mv before mirror"]);
    let args = ["log", "adopt", "--alone", "mirror"];
    let said = beside(&scene, &args, Lock::take(&mirror, "test", run().clock).unwrap(), further);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("replaced meanwhile"), "{}", said.stderr);
    assert!(!mirror.exists(layout::SIGNED));
    scene.expect(0, &args);
}

#[test]
fn of_two_first_policies_applied_at_once_the_second_is_refused() {
    let (scene, archive, secret, _) = witnessed();
    scene.expect(0, &["trust", "propose", "library", "--add", "me", "-o", "policy.toml"]);
    scene.expect(0, &["trust", "sign", "policy.toml"]);
    let other = b"another first policy".to_vec();
    let log: [&dyn Signer; 1] = [&secret];
    let writer = Writer::begin(&archive, &log, "test", run()).unwrap();
    let said = beside(&scene, &["trust", "apply", "library", "policy.toml"], writer, |mut writer| {
        let leaves = vec![Leaf::Policy { version: 1, file: Digest::of(&other), signatures: Vec::new() }];
        let files = vec![(policy::place(1), other.clone())];
        writer.publish(Publication { files, leaves, ..Publication::default() }).unwrap();
    });
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(fs::read(scene.path("library/trust/1.toml")).unwrap(), other);
}

#[test]
fn a_reindex_beside_a_writer_leaves_the_catalog_alone() {
    let (scene, archive, _, _) = witnessed();
    scene.expect(0, &["list", "library"]);
    let lock = Lock::take(archive.store(), "the test", run().clock).unwrap();
    let said = scene.expect(2, &["reindex", "library"]);
    assert!(said.stderr.contains("another vellum is writing to this archive (the test)"), "{}", said.stderr);
    let catalogs = || tool(&scene.path("config"), "find", &["cache", "-name", "catalog.sqlite"]);
    assert_eq!(catalogs().lines().count(), 1);
    assert!(!scene.path("library").join(layout::CATALOG).exists());
    drop(lock);
    scene.expect(0, &["reindex", "library"]);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_bundle_that_is_rewritten_keeps_its_mode_its_owner_and_the_link_to_it() {
    let scene = Scene::with_key();
    scene.articles();
    let bundle = scene.pack("in");
    fs::create_dir(scene.path("links")).unwrap();
    let link = scene.path("links").join(bundle.file_name().unwrap());
    symlink(&bundle, &link).unwrap();
    fs::set_permissions(&bundle, fs::Permissions::from_mode(0o600)).unwrap();
    // Only root can give a file away.
    let given = chown(&bundle, Some(4321), Some(4321)).is_ok();
    let whose = || fs::metadata(&bundle).map(|found| (found.uid(), found.gid())).unwrap();
    let owner = whose();
    assert!(!given || owner == (4321, 4321));
    let before = fs::read(&bundle).unwrap();
    for named in [shown(&bundle), shown(&link)] {
        for args in [&["recompress", "--level", "7"][..], &["recompress", "--level", "1"], &["sign"]] {
            scene.expect(0, &[args, &[&named]].concat());
            assert_eq!((mode(&bundle), whose()), (0o600, owner), "{args:?} {named}");
        }
    }
    assert!(fs::read(&bundle).unwrap() != before);
    scene.expect(0, &["pack", "--overwrite", "--output", "bundles", "in"]);
    scene.expect(0, &["pack", "--overwrite", "--output", "links", "in"]);
    assert_eq!((mode(&bundle), whose()), (0o600, owner));
    scene.expect(0, &["recompress", "--level", "3", "--output", "other.tar.zst", &shown(&bundle)]);
    assert_eq!(mode(&scene.path("other.tar.zst")), 0o600);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_dir(scene.path("links")).unwrap().count(), 1);
    scene.expect(0, &["verify", &shown(&bundle), "other.tar.zst"]);
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn of_two_who_sign_a_bundle_at_once_neither_loses_a_signature() {
    let scene = Scene::new();
    scene.articles();
    for name in ["a", "b"] {
        scene.expect(0, &["key", "new", "--no-passphrase", "--output", name]);
    }
    for round in 0..12 {
        let said = scene.expect(0, &["pack", "--quiet", "--unsigned", "in"]);
        let bundle = said.stdout.trim().to_owned();
        let runs = ["a.key", "b.key"].map(|key| {
            let mut command = scene.command(&["sign", "--key", key, &bundle]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for run in runs {
            let said = self::said(run.wait_with_output().unwrap());
            assert_eq!(said.code, 0, "{}", said.stderr);
        }
        let files = tool(&scene.path(""), "sh", &["-c", &format!("zstd -dc {bundle} | tar -t | grep -c minisig")]);
        assert_eq!(files.trim(), "2", "round {round}");
        fs::remove_file(scene.path(&bundle)).unwrap();
    }
}

#[test]
fn an_empty_or_malformed_key_file_is_named_and_stops_nothing() {
    let scene = Scene::with_key();
    scene.articles();
    for empty in ["keys/0000000000000000.key", "trusted/0000000000000000.pub", "logs/0000000000000000.vkey"] {
        scene.write(&format!("config/{empty}"), "");
    }
    scene.write("config/keys/1111111111111111.key", "no key\n");
    let said = scene.expect(0, &["pack", "in"]);
    for name in ["0000000000000000.key", "1111111111111111.key"] {
        assert!(said.stderr.contains(name), "{}", said.stderr);
    }
    let said = scene.expect(0, &["verify", said.stdout.trim()]);
    assert!(said.stderr.contains("0000000000000000.pub"), "{}", said.stderr);
    scene.expect(0, &["key", "list"]);
    scene.expect(0, &["init", "--no-passphrase", "--origin", ORIGIN, "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let said = scene.expect(0, &["list", "library"]);
    assert!(said.stderr.contains("0000000000000000.vkey"), "{}", said.stderr);
}

#[test]
fn a_killed_key_new_leaves_no_key_or_a_whole_one() {
    let scene = Scene::new();
    for n in 0..40 {
        let mut command = scene.command(&["key", "new", "--no-passphrase"]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_micros(500 * n));
        run.kill().unwrap();
        run.wait().unwrap();
    }
    for entry in fs::read_dir(scene.path("config/keys")).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "key") {
            assert!(SecretKey::open(&fs::read(&path).unwrap(), None).is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn a_new_pass_phrase_leaves_one_key_file_for_its_owner_alone() {
    let scene = Scene::with_key();
    scene.write("phrase", "correct horse\n");
    let key = fs::read_dir(scene.path("config/keys")).unwrap().map(|entry| entry.unwrap().path());
    let key = key.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "key")).unwrap();
    fs::rename(&key, scene.path("elsewhere.key")).unwrap();
    symlink(scene.path("elsewhere.key"), &key).unwrap();
    // What a killed run of an earlier vellum left.
    fs::write(format!("{}.new", key.display()), "").unwrap();
    scene.expect(0, &["key", "passphrase", "--new-passphrase-file", "phrase", &shown(&key)]);
    assert!(key.symlink_metadata().unwrap().is_symlink());
    assert_eq!(mode(&scene.path("elsewhere.key")), 0o600);
    assert!(SecretKey::is_sealed(&fs::read(&key).unwrap()).unwrap());
}

#[test]
fn a_proof_is_written_to_a_pipe_as_it_is() {
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--no-passphrase", "--origin", ORIGIN, "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.expect(0, &["prove", "-o", "p", "library", "in/essays/tides"]);
    let said = scene.expect(0, &["prove", "-o", "/dev/stdout", "library", "in/essays/tides"]);
    assert!(said.stdout.contains(&fs::read_to_string(scene.path("p")).unwrap()), "{}", said.stdout);
    scene.expect(0, &["prove", "-o", "p", "library", "in/essays/tides"]);
}

#[test]
fn a_proof_takes_the_place_of_no_other_file_than_an_older_one_of_its_article() {
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--no-passphrase", "--origin", ORIGIN, "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let bundle = scene.pack("in").display().to_string();
    for (of, one, other) in
        [("library", "in/essays/tides", "in/notes/empty"), (bundle.as_str(), "essays/tides", "notes/empty")]
    {
        scene.expect(0, &["prove", "-o", "p", of, one]);
        let before = fs::read(scene.path("p")).unwrap();
        scene.expect(2, &["prove", "-o", "p", of, other]);
        assert_eq!(fs::read(scene.path("p")).unwrap(), before);
        scene.expect(0, &["prove", "-o", "p", of, one]);
        scene.write("p", "a letter");
        scene.expect(2, &["prove", "-o", "p", of, one]);
        assert_eq!(fs::read(scene.path("p")).unwrap(), b"a letter");
        fs::remove_file(scene.path("p")).unwrap();
    }
}

/// A file system that takes names for one that differ by case, as those of Windows and macOS do.
struct Folding {
    root: PathBuf,
    device: String,
}

impl Folding {
    /// Mounts those that can be had, and says loudly which cannot.
    fn mounted(scene: &Scene) -> Vec<Self> {
        let kinds = [
            ("mkntfs", &["-q", "-F"][..], "lowntfs-3g", &["-o", "ignore_case"][..]),
            // One that has no hard links, and no rename that replaces nothing.
            ("mkfs.exfat", &[], "mount.exfat-fuse", &[]),
        ];
        let mut found = Vec::new();
        for (make, made, mount, mounted) in kinds {
            if !installed(make) || !installed(mount) {
                continue;
            }
            let (image, root) = (scene.path(&format!("{mount}.image")), scene.path(mount));
            fs::create_dir(&root).unwrap();
            fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
            tool(&scene.path(""), make, &[made, &[image.to_str().unwrap()]].concat());
            let device = said(Command::new("losetup").args(["-f", "--show"]).arg(&image).output().unwrap());
            let folding = Self { root, device: device.stdout.trim().to_owned() };
            let mut command = Command::new(mount);
            let done = said(command.args(mounted).arg(&folding.device).arg(&folding.root).output().unwrap());
            if done.code == 0 {
                found.push(folding);
            } else {
                eprintln!("SKIPPED: {mount} cannot mount: {}{}", device.stderr, done.stderr);
            }
        }
        found
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.root).output());
        drop(Command::new("losetup").arg("-d").arg(&self.device).output());
    }
}

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn where_the_file_system_folds_case_nothing_is_merged_and_both_names_are_said() {
    let scene = Scene::with_key();
    scene.write("files/Tides.md", "# One\n");
    scene.write("files/tides.md", "# Other\n");
    scene.write("folders/Essays/one.md", "# One\n");
    scene.write("folders/essays/other.md", "# Other\n");
    scene.write("large/Noise.bin", vec![1; 300_000]);
    scene.write("large/noise.bin", vec![2; 300_000]);
    for folding in Folding::mounted(&scene) {
        let below = |name: &str| shown(&folding.root.join(name));
        let (before, out) = (names(&folding.root), below("out"));
        for (input, layout, one, other) in [
            ("files", "folder", "Tides", "tides"),
            ("files", "sidecar", "Tides.", "tides."),
            ("folders", "folder", "Essays", "essays"),
            ("folders", "sidecar", "Essays", "essays"),
            ("large", "sidecar", "Noise.", "noise."),
        ] {
            let said = scene.expect(0, &["pack", "--quiet", "--frame-size", "65536", "--output", "bundles", input]);
            let bundle = said.stdout.trim().to_owned();
            let said = scene.expect(1, &["extract", "--layout", layout, "--to", &out, &bundle]);
            let names_both = said.stderr.contains(&format!("\"{one}")) && said.stderr.contains(&format!("\"{other}"));
            assert!(names_both, "{input} {layout}: {}", said.stderr);
            // What is salvaged need not be all: one of the two is written, the other one is named.
            let said = scene.expect(1, &["salvage", "--to", &out, &bundle]);
            let stem = |name: &str| name.trim_end_matches('.').to_owned();
            let names_both = said.stdout.contains(&stem(one)) && said.stdout.contains(&stem(other));
            assert!(names_both && said.stdout.contains("left out"), "{input}: {}", said.stdout);
            fs::remove_dir_all(&out).unwrap();
            assert_eq!(names(&folding.root), before, "{input} {layout}");
        }
        // What does not fold, a file at a time, and bundles themselves are at home there.
        let bundle = scene.expect(0, &["pack", "--quiet", "--output", &below("bundles"), "folders"]).stdout;
        let bundle = bundle.trim();
        scene.expect(0, &["extract", "--article", "Essays/one", "--to", &below("one"), bundle]);
        scene.expect(0, &["extract", "--article", "essays/other", "--to", &below("other"), bundle]);
        scene.expect(0, &["recompress", "--level", "5", bundle]);
        scene.expect(0, &["verify", bundle]);
        assert_eq!(fs::read_to_string(folding.root.join("other/essays/other/other.md")).unwrap(), "# Other\n");
        // Archives and mirrors too. The keys stay elsewhere: there every mode is 777, and a secret key that others can read is refused.
        let config = format!("{}-config", shown(&folding.root));
        scene.expect(0, &["--config", &config, "key", "new", "--no-passphrase"]);
        let library = below("library");
        scene.expect(0, &["--config", &config, "init", "--no-passphrase", "--origin", ORIGIN, &library]);
        scene.expect(0, &["--config", &config, "pack", "--into", &library, "folders"]);
        scene.expect(0, &["--config", &config, "sync", &library, &below("mirror")]);
        scene.expect(0, &["--config", &config, "verify", &below("mirror")]);
        let exposed = below("exposed");
        scene.expect(0, &["--config", &exposed, "key", "new", "--no-passphrase"]);
        let said = scene.expect(2, &["--config", &exposed, "pack", "--output", "bundles", "folders"]);
        assert!(said.stderr.contains("expected mode 600, found 777"), "{}", said.stderr);
    }
}

#[test]
fn extract_with_overwrite_writes_through_no_link_in_the_target() {
    let scene = Scene::with_key();
    scene.articles();
    let bundle = shown(&scene.pack("in"));
    for below in ["elsewhere", "target/letters", "blocked"] {
        fs::create_dir_all(scene.path(below)).unwrap();
    }
    symlink("../elsewhere", scene.path("target/essays")).unwrap();
    symlink("../../elsewhere", scene.path("target/letters/first")).unwrap();
    let before = listing(&scene.path("target"));
    let said = scene.expect(2, &["extract", "--overwrite", "--to", "target", &bundle]);
    assert!(said.stderr.contains("target/essays: expected a folder, found a symbolic link"), "{}", said.stderr);
    fs::remove_file(scene.path("target/essays")).unwrap();
    let said = scene.expect(2, &["extract", "--overwrite", "--to", "target", &bundle]);
    assert!(said.stderr.contains("target/letters/first: expected a folder"), "{}", said.stderr);
    assert_eq!(fs::read_dir(scene.path("elsewhere")).unwrap().count(), 0);
    assert_eq!(listing(&scene.path("target")).lines().count() + 1, before.lines().count());
    // A file where a folder goes, and a folder where a file goes.
    scene.write("blocked/notes", "mine");
    let said = scene.expect(2, &["extract", "--overwrite", "--to", "blocked", &bundle]);
    assert!(said.stderr.contains("blocked/notes: expected a folder, found a file"), "{}", said.stderr);
    fs::remove_file(scene.path("blocked/notes")).unwrap();
    fs::create_dir_all(scene.path("blocked/essays/tides/tides.md")).unwrap();
    let said = scene.expect(2, &["extract", "--overwrite", "--to", "blocked", &bundle]);
    assert!(said.stderr.contains("tides.md: expected a file, found a folder"), "{}", said.stderr);
    // A link in the place of a file is replaced, what it leads to is left.
    fs::remove_dir(scene.path("blocked/essays/tides/tides.md")).unwrap();
    let mine = scene.write("mine.md", "mine");
    symlink(&mine, scene.path("blocked/essays/tides/tides.md")).unwrap();
    scene.expect(0, &["extract", "--overwrite", "--to", "blocked", &bundle]);
    assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
    scene.expect(0, &["extract", "--to", "whole", &bundle]);
    same_tree(&scene.path("whole"), &scene.path("blocked"));
}

/// Does something once, when a work begins.
struct Once<F: Fn() + Sync>(AtomicBool, F);

impl<F: Fn() + Sync> Watch for Once<F> {
    fn begin(&self, _task: Task, _total: Option<u64>) {
        if !self.0.swap(true, Ordering::SeqCst) {
            (self.1)();
        }
    }
}

#[test]
fn two_who_bring_a_catalog_up_to_the_log_at_once_do_not_get_in_each_others_way() {
    let (_scene, archive, _, _) = witnessed();
    let path = archive.store().path(layout::CATALOG);
    let vouched = archive.vouched(&Pin::Anyone { log: archive.log_key().clone() }, run()).unwrap();
    let head = (&vouched.history, &vouched.checkpoint);
    Catalog::remove(&path).unwrap();
    let mut catalog = archive.catalog().unwrap();
    // The other one takes all of it in, after this one has seen that there is nothing yet.
    let other = Once(AtomicBool::new(false), || {
        let mut catalog = archive.catalog().unwrap();
        follow(&archive, &mut catalog, head, run()).unwrap();
    });
    follow(&archive, &mut catalog, head, run().watched(&other)).unwrap();
    assert!(other.0.load(Ordering::SeqCst));
    assert_eq!(catalog.counts().unwrap(), (4, 4));
}

#[test]
fn a_reader_of_an_older_checkpoint_leaves_the_catalog_of_a_newer_one_alone() {
    let (scene, archive, _, _) = witnessed();
    let older = archive.vouched(&Pin::Anyone { log: archive.log_key().clone() }, run()).unwrap();
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--into", "library", "in"]);
    let newer = archive.vouched(&Pin::Anyone { log: archive.log_key().clone() }, run()).unwrap();
    follow(&archive, &mut archive.catalog().unwrap(), (&newer.history, &newer.checkpoint), run()).unwrap();
    let path = archive.store().path(layout::CATALOG);
    let before = fs::metadata(&path).unwrap().ino();
    let mut catalog = archive.catalog().unwrap();
    follow(&archive, &mut catalog, (&older.history, &older.checkpoint), run()).unwrap();
    assert_eq!(catalog.counts().unwrap(), (4, 4));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(archive.catalog().unwrap().counts().unwrap(), (5, 5));
}

#[test]
fn a_sync_of_one_archive_into_the_mirror_of_another_names_both() {
    let (scene, _, _, _) = witnessed();
    scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/other", "other"]);
    let before = listing(&scene.path("mirror"));
    let said = scene.expect(2, &["sync", "other", "mirror"]);
    let named = "mirror: is the archive example.org/library, other is example.org/other";
    assert!(said.stderr.contains(named), "{}", said.stderr);
    assert_eq!(listing(&scene.path("mirror")), before);
    // One of two origins that is another archive is dropped by name.
    let said = scene.expect(0, &["sync", "other", "library", "mirror"]);
    assert!(said.stderr.contains("other: not used"), "{}", said.stderr);
    scene.write("thesis/chapter-1.txt", "mine");
    let said = scene.expect(2, &["sync", "library", "thesis"]);
    assert!(
        said.stderr.contains("thesis: expected an empty folder or a mirror of example.org/library"),
        "{}",
        said.stderr
    );
    assert_eq!(names(&scene.path("thesis")), ["chapter-1.txt"]);
}
