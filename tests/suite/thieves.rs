//! Who holds a key that is not his, what he tries with it, and by which rule it fails: the table of SECURITY.md, played.
//!
//! Each thief has all that the archive shows, and writes to a copy of it that readers and mirrors ask. After each attack the mirror's files and
//! what its reader is shown are byte for byte what they were, and both still follow the archive when it honestly goes on.

use std::fs;

use crate::mirror::{NoTime, ORIGIN, chain};
use crate::scene::{Scene, key, options, packed, run, tool, trusted};
use vellum::archive::{Archive, Log, Pin, Publication, Writer, layout};
use vellum::collection::add::{AddOptions, add};
use vellum::collection::withdraw::{WithdrawOptions, withdraw};
use vellum::digest::Digest;
use vellum::folder::walk::WalkOptions;
use vellum::format::leaf::{Leaf, LeafSignature};
use vellum::format::withdrawal::{RemovedLeaf, Replaced, Withdrawal};
use vellum::ids::BundleId;
use vellum::keys::{Comment, Kind, Signature, Signer, VerifierKey};
use vellum::mirror::{SyncOptions, SyncReport, Witness, cosign, sync};
use vellum::path::EntryPath;
use vellum::store::Store;
use vellum::trust::authority::Fresh;
use vellum::trust::logged;
use vellum::trust::policy::{self, Policy};

// Whose key is which.
const LOG: u8 = 2;
const PUBLISHER: u8 = 1;
const OTHER_PUBLISHER: u8 = 3;
const WITHDRAWER: u8 = 4;
const WITNESS: u8 = 5;
const ROOT: u8 = 50;
const OTHER_ROOT: u8 = 51;
const NOBODY: u8 = 66;

/// Thresholds of a policy that asks for a witness, and for a fresh log.
const WITNESSED: &str =
    "root = 1\npublish = 1\nwithdraw = 1\nwitness = 1\n[freshness]\nmax_age_days = 30\non_stale = \"fail\"";

/// An archive of three articles under a policy, of which one was withdrawn and taken in again; and a mirror that holds it.
struct Play {
    scene: Scene,
    archive: Archive,
    policy: Policy,
    publishers: Vec<u8>,
}

impl Play {
    fn new(publish: u64, root: u64) -> Self {
        let scene = Scene::new();
        scene.articles();
        let store = Store::new(&scene.path("origin"));
        let archive = Archive::create(store, ORIGIN.parse().unwrap(), &key(LOG), "test", run()).unwrap();
        let publishers = if publish == 2 { vec![PUBLISHER, OTHER_PUBLISHER] } else { vec![PUBLISHER] };
        let mut play = Self { scene, archive, policy: Policy::decode(text(1, "", "").as_bytes()).unwrap(), publishers };
        let head = play.head();
        let thresholds = format!("root = {root}\npublish = {publish}\nwithdraw = 1\nwitness = 0");
        let first = text(1, &head, &thresholds);
        play.policy = Policy::decode(first.as_bytes()).unwrap();
        play.publish_policy(&first, &[ROOT, OTHER_ROOT]);
        play.scene.write("trusted.toml", &first);
        play.add(false);
        play.withdraw();
        play.add(true);
        play.sync().unwrap();
        tool(play.scene.folder.path(), "cp", &["-r", "origin", "before"]);
        play
    }

    fn pin(&self) -> Pin {
        Pin::Policy(Box::new(self.policy.clone()))
    }

    /// What a policy says of the log as it is.
    fn head(&self) -> String {
        let pin = Pin::Anyone { log: self.archive.log_key().clone() };
        let head = self.archive.vouched(&pin, run()).unwrap().checkpoint;
        format!("{{ size = {}, root = \"{}\" }}", head.size, head.root.labelled())
    }

    fn publish(&self, leaves: Vec<Leaf>, files: Vec<(String, Vec<u8>)>) {
        let publication = Publication { leaves, files, ..Publication::default() };
        Writer::begin(&self.archive, &[&key(LOG)], "test", run()).unwrap().publish(publication).unwrap();
    }

    fn publish_policy(&self, text: &str, by: &[u8]) {
        let file = Digest::of(text.as_bytes());
        let version = Policy::decode(text.as_bytes()).map_or(2, |policy| policy.version);
        let mut files = vec![(policy::place(version), text.as_bytes().to_vec())];
        let mut signatures = Vec::new();
        for &n in by {
            let signature = signature(n, Kind::Policy, text.as_bytes());
            let place = policy::signature_place(version, &key(n).public().id().to_string());
            files.push((place, signature.to_string().into_bytes()));
            signatures.extend(logged::keep(key(n).public(), &signature));
        }
        signatures.sort_by_key(|signature: &LeafSignature| signature.key);
        self.publish(vec![Leaf::Policy { version, file, signatures }], files);
    }

    /// Takes the folder in, as the publishers do.
    fn add(&self, reinstate: bool) {
        self.add_by(&self.publishers, reinstate);
    }

    fn add_by(&self, publishers: &[u8], reinstate: bool) {
        let source = EntryPath::parse("in").unwrap();
        let walk = WalkOptions { prefix: Some(source.clone()), ..WalkOptions::default() };
        let pack = vellum::folder::pack::PackOptions { archive: Some(ORIGIN.parse().unwrap()), walk, ..options() };
        let options = AddOptions { pack, source, rehash: false, take_over: false, rederive: false, reinstate };
        let secrets: Vec<_> = publishers.iter().chain(reinstate.then_some(&WITHDRAWER)).map(|&n| key(n)).collect();
        let signers: Vec<&dyn Signer> = secrets.iter().map(|secret| secret as &dyn Signer).collect();
        let log = key(LOG);
        let log: [&dyn Signer; 1] = [&log];
        let mut writer = Writer::begin(&self.archive, &log, "test", run()).unwrap();
        let mut catalog = self.archive.catalog().unwrap();
        let input = self.scene.path("in");
        add(&mut writer, &mut catalog, &input, &options, (&signers, &self.pin()), run()).unwrap();
    }

    fn withdraw(&self) {
        let log = key(LOG);
        let log: [&dyn Signer; 1] = [&log];
        let mut writer = Writer::begin(&self.archive, &log, "test", run()).unwrap();
        let mut catalog = self.archive.catalog().unwrap();
        let ids = ["letter-1".to_owned()];
        let options = WithdrawOptions { ids: &ids, clear: false, reason: None, time: options().time };
        withdraw(&mut writer, &mut catalog, &options, (&[&key(WITHDRAWER)], &self.pin()), run()).unwrap();
    }

    fn mirror(&self) -> Store {
        Store::new(&self.scene.path("mirror"))
    }

    fn sync(&self) -> Result<SyncReport, vellum::mirror::Error> {
        self.sync_from(self.archive.store().clone(), self.pin(), options().time)
    }

    fn sync_from(&self, origin: Store, pin: Pin, moment: jiff::Timestamp) -> Result<SyncReport, vellum::mirror::Error> {
        let name = ORIGIN.parse().unwrap();
        let options = SyncOptions {
            origins: &[origin],
            name: &name,
            pin: &pin,
            moment,
            streams: std::num::NonZeroUsize::MIN,
            dry_run: false,
            grace: 14,
            unwitnessed: false,
            delete: false,
            seen: &|_, _| Ok(()),
            who: "test",
            pace: &NoTime,
        };
        sync(&self.mirror(), &options, run())
    }

    /// The leaves of the log, as they stand there.
    fn leaves(&self) -> Vec<Leaf> {
        let size = self.archive.vouched(&self.pin(), run()).unwrap().checkpoint.size;
        let log = Log::new(self.archive.store(), size);
        let (_, entries) = log.entries_of(0).unwrap();
        entries.iter().filter_map(|entry| Leaf::decode(entry).ok()).collect()
    }

    /// The first bundle of the log.
    fn first_bundle(&self) -> Leaf {
        self.leaves().into_iter().find(|leaf| matches!(leaf, Leaf::Bundle { .. })).unwrap()
    }

    /// What the mirror's reader is shown, and the mirror's files but for log, state and policies.
    fn seen(&self) -> String {
        let said = self.scene.run(&["list", "--json", "--policy", "trusted.toml", "mirror"]);
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        let mut seen = said.stdout;
        for id in ["in/essays/tides", "letter-1", "in/notes/empty"] {
            let said = self.scene.run(&["cat", "--policy", "trusted.toml", "mirror", id]);
            seen.push_str(&format!("{id} {} {}", said.code, said.stdout));
        }
        let files = "find bundles withdrawn -type f | sort | xargs sha256sum";
        seen + &tool(&self.scene.path("mirror"), "sh", &["-c", files])
    }

    /// What a reader is shown of an article.
    fn shown(&self, id: &str) -> String {
        self.scene.expect(0, &["cat", "--policy", "trusted.toml", "mirror", id]).stdout
    }

    /// Expects that the archive honestly goes on, and that mirror and reader follow.
    fn goes_on(&self, n: usize) {
        self.scene.write(&format!("in/notes/more-{n}.txt"), format!("More, {n}\n"));
        self.add(false);
        self.sync().unwrap();
        assert!(self.seen().contains(&format!("in/notes/more-{n}\"")), "{n}");
    }

    /// Expects that the thief's leaves change nothing, each being void for the reason that is named, or of no effect.
    fn in_vain(&self, leaves: Vec<Leaf>, files: Vec<(String, Vec<u8>)>) -> String {
        let before = self.seen();
        self.publish(leaves, files);
        let report = self.sync().unwrap();
        assert_eq!(self.seen(), before);
        // A mirror that begins now holds the same.
        self.scene.expect(0, &["sync", "--unwitnessed", "--policy", "trusted.toml", "origin", "fresh"]);
        self.scene.expect(0, &["verify", "--policy", "trusted.toml", "fresh"]);
        tool(self.scene.folder.path(), "diff", &["-r", "mirror/bundles", "fresh/bundles"]);
        fs::remove_dir_all(self.scene.path("fresh")).unwrap();
        report.void.iter().map(|(_, why)| format!("void: {why}; ")).collect()
    }
}

/// A policy of this version.
fn text(version: u64, head: &str, thresholds: &str) -> String {
    let head = if head.is_empty() {
        format!("{{ size = 0, root = \"{}\" }}", vellum::merkle::empty_root().labelled())
    } else {
        head.to_owned()
    };
    let thresholds =
        if thresholds.is_empty() { "root = 1\npublish = 1\nwithdraw = 1\nwitness = 0" } else { thresholds };
    let mut text = format!(
        "format = \"vellum-trust/1\"\narchive = \"{ORIGIN}\"\nversion = {version}\nlog = {head}\n[threshold]\n{thresholds}\n"
    );
    for (name, n, roles) in [
        ("root", ROOT, "\"root\""),
        ("other root", OTHER_ROOT, "\"root\""),
        ("publisher", PUBLISHER, "\"publish\""),
        ("other publisher", OTHER_PUBLISHER, "\"publish\""),
        ("withdrawer", WITHDRAWER, "\"withdraw\""),
    ] {
        let public = key(n).public().to_line();
        text.push_str(&format!("[[key]]\nname = \"{name}\"\npublic = \"{public}\"\nroles = [{roles}]\n"));
    }
    let log = VerifierKey::new(ORIGIN, key(LOG).public()).unwrap();
    let witness = VerifierKey::of_witness("w.example", key(WITNESS).public()).unwrap();
    text + &format!(
        "[[log_key]]\nvkey = \"{log}\"\n[[witness]]\nvkey = \"{witness}\"\noperator = \"w\"\nholds = true\n"
    )
}

fn signature(by: u8, kind: Kind, bytes: &[u8]) -> Signature {
    let comment = Comment::new(kind, Some(ORIGIN), Digest::of(bytes), options().time).unwrap();
    Signature::sign(&key(by), bytes, &comment).unwrap()
}

fn kept(by: u8, kind: Kind, bytes: &[u8]) -> Vec<LeafSignature> {
    logged::keep(key(by).public(), &signature(by, kind, bytes)).into_iter().collect()
}

/// Another bundle than the log has, of the articles that it has: its manifest changed, signed by these.
fn forged(play: &Play, change: impl Fn(&mut vellum::format::manifest::Manifest), by: &[u8]) -> Leaf {
    let Leaf::Bundle { mut manifest, size, file, .. } = play.first_bundle() else { unreachable!() };
    change(&mut manifest);
    let text = manifest.to_string();
    let mut signatures: Vec<_> = by.iter().flat_map(|&n| kept(n, Kind::Manifest, text.as_bytes())).collect();
    signatures.sort_by_key(|signature| signature.key);
    Leaf::Bundle { manifest, size, file, signatures }
}

/// A statement that withdraws `letter-1` from the first bundle, and names these leaves of it.
fn statement(play: &Play, removed: Vec<RemovedLeaf>, by: &[u8]) -> (Leaf, Vec<(String, Vec<u8>)>) {
    let Leaf::Bundle { manifest, .. } = play.first_bundle() else { unreachable!() };
    let old = BundleId(Digest::of(manifest.to_string().as_bytes()));
    let size = play.archive.vouched(&play.pin(), run()).unwrap().checkpoint.size;
    let ids = vec![Digest::of(b"letter-1")];
    let bundles = vec![Replaced { old, new: None, removed }];
    let archive = ORIGIN.parse().unwrap();
    let text = Withdrawal { archive, size, ids, clear: Vec::new(), reason: None, bundles }.to_string();
    let digest = Digest::of(text.as_bytes());
    let signatures = by.iter().flat_map(|&n| kept(n, Kind::Withdraw, text.as_bytes())).collect();
    (Leaf::Withdraw { statement: digest, signatures }, vec![(layout::statement(&digest), text.into_bytes())])
}

/// The next version of the policy, with these changes.
fn next(play: &Play, thresholds: &str, change: impl Fn(String) -> String) -> String {
    let text = text(2, &play.head(), thresholds);
    let previous = format!("version = 2\nprevious = \"{}\"", play.policy.digest.labelled());
    change(text.replace("version = 2", &previous))
}

/// Rows of the table: the attack's number, who tries it, the rule that stops it, what is said; and how it is played.
type Row = (u8, &'static str, &'static str, &'static str, fn(&Play) -> String);

fn refused(result: Result<SyncReport, vellum::mirror::Error>) -> String {
    chain(&result.expect_err("an attack"))
}

const LOG_KEY: &[Row] = &[
    (2, "the log's key", "L1", "made for the archive example.org/other", |play| {
        let other = |manifest: &mut vellum::format::manifest::Manifest| {
            manifest.archive = Some("example.org/other".parse().unwrap());
        };
        play.in_vain(vec![forged(play, other, &[PUBLISHER])], Vec::new())
    }),
    (7, "the log's key", "P1", "is of a policy that is not there, and not signed by who may", |play| {
        let leaf = Leaf::Policy { version: 2, file: Digest::of(b"random"), signatures: Vec::new() };
        play.in_vain(vec![leaf], Vec::new())
    }),
    (7, "the log's key", "P1", "is version 9 of the policy, expected 2", |play| {
        let leaf = Leaf::Policy { version: 9, file: Digest::of(b"random"), signatures: Vec::new() };
        play.in_vain(vec![leaf], Vec::new())
    }),
    (7, "the log's key", "L3", "is of a statement that was logged before", |play| {
        let replayed = play.leaves().into_iter().find(|leaf| matches!(leaf, Leaf::Withdraw { .. })).unwrap();
        play.in_vain(vec![replayed], Vec::new())
    }),
    (7, "the log's key", "L3", "", |play| play.in_vain(vec![play.first_bundle(), play.first_bundle()], Vec::new())),
    (7, "the log's key", "L3", "", |play| {
        let Leaf::Bundle { manifest, signatures, .. } = play.first_bundle() else { unreachable!() };
        let forms = [
            (1, b"short"),
            (u64::MAX >> 1, b"large"),
            (u64::MAX >> 1, b"whole"),
            (u64::MAX, b"again"),
            (48_000, b"other"),
        ];
        let form = |(size, file): (u64, &[u8; 5])| {
            let (manifest, signatures) = (manifest.clone(), signatures.clone());
            Leaf::Bundle { manifest, size, file: Digest::of(file), signatures }
        };
        play.in_vain(forms.map(form).to_vec(), Vec::new())
    }),
    (7, "the log's key", "L3", "", |play| {
        // The file that is there, of another size.
        let Leaf::Bundle { manifest, signatures, size, file } = play.first_bundle() else { unreachable!() };
        let (before, said) = (play.scene.run(&["verify", "--policy", "trusted.toml", "mirror"]).code, || {
            play.scene.run(&["verify", "--policy", "trusted.toml", "mirror"])
        });
        let said_then = play.in_vain(vec![Leaf::Bundle { manifest, signatures, size: size + 1, file }], Vec::new());
        let after = said();
        assert_eq!((before, after.code), (0, 0), "{}", after.stdout);
        said_then
    }),
    (7, "the log's key", "L1", "no key that counts", |play| {
        let root = |manifest: &mut vellum::format::manifest::Manifest| manifest.root = Digest::of(b"another");
        play.in_vain(vec![forged(play, root, &[NOBODY])], Vec::new())
    }),
    (7, "the log's key", "L1", "no key that counts", |play| {
        let count = |manifest: &mut vellum::format::manifest::Manifest| manifest.articles += 1;
        play.in_vain(vec![forged(play, count, &[])], Vec::new())
    }),
    (7, "the log's key", "L1", "a document that does not count", |play| {
        let leaf = Leaf::Document { name: "NOTES.txt".into(), file: Digest::of(b"lies"), signatures: Vec::new() };
        play.in_vain(vec![leaf], vec![("NOTICE.txt".into(), b"lies".to_vec())])
    }),
    (7, "the log's key", "L1", "a withdrawal that does not count", |play| {
        let removed = vec![RemovedLeaf { position: 0, id: Digest::of(b"letter-1"), lines: Digest::of(b"lines") }];
        let (leaf, files) = statement(play, removed, &[]);
        play.in_vain(vec![leaf], files)
    }),
    (7, "the log's key", "L1", "signs a bundle that no leaf before it names", |play| {
        let signatures = kept(NOBODY, Kind::Manifest, b"none");
        play.in_vain(vec![Leaf::Signature { bundle: BundleId(Digest::of(b"none")), signatures }], Vec::new())
    }),
    (3, "the log's key", "Mirrors", "was seen", |play| {
        let before = play.seen();
        let said = refused(play.sync_from(Store::new(&play.scene.path("before")), play.pin(), options().time));
        assert_eq!(play.seen(), before);
        said.replace("held", "was seen")
    }),
    (5, "the log's key", "Mirrors", "the roots differ", |play| {
        let before = play.seen();
        // The same key signs another history, of as many leaves.
        let ours = play.archive.vouched(&play.pin(), run()).unwrap().checkpoint.size;
        let fork = Archive::open(Store::new(&play.scene.path("before"))).unwrap();
        let theirs = fork.vouched(&play.pin(), run()).unwrap().checkpoint.size;
        let leaf = |n| Leaf::Document { name: format!("n{n}.txt"), file: Digest::of(b"x"), signatures: Vec::new() };
        let leaves = (theirs..ours).map(leaf).collect();
        let publication = Publication { leaves, ..Publication::default() };
        Writer::begin(&fork, &[&key(LOG)], "test", run()).unwrap().publish(publication).unwrap();
        let said = refused(play.sync_from(fork.store().clone(), play.pin(), options().time));
        assert_eq!(play.seen(), before);
        said
    }),
    (8, "the log's key", "P3", "has not signed", |play| {
        let before = play.seen();
        // A checkpoint by a key of his own: no policy names it.
        let store = Store::new(&play.scene.path("own-key"));
        Archive::create(store.clone(), ORIGIN.parse().unwrap(), &key(NOBODY), "test", run()).unwrap();
        let said = refused(play.sync_from(store, play.pin(), options().time));
        assert_eq!(play.seen(), before);
        format!("{said} has not signed")
    }),
];

const PUBLISH_KEY: &[Row] = &[
    (7, "a publisher's key, threshold 1", "L1", "publisher may not withdraw", |play| {
        let removed = vec![RemovedLeaf { position: 0, id: Digest::of(b"letter-1"), lines: Digest::of(b"lines") }];
        let (leaf, files) = statement(play, removed, &[PUBLISHER]);
        play.in_vain(vec![leaf], files)
    }),
    (7, "a publisher's key, threshold 1", "P1", "0 of 1", |play| {
        let before = play.seen();
        let text = next(play, "", |text| text);
        play.publish_policy(&text, &[PUBLISHER]);
        let report = play.sync().unwrap();
        assert_eq!(play.seen(), before);
        format!("{:?} 0 of 1", report.void)
    }),
    (4, "a publisher's key, threshold 1", "L6", "conflict", |play| {
        // He revises what was logged after his bundle says that it was made; what his key may do else is in the open.
        let read = || ["in/essays/tides", "in/notes/empty"].map(|id| play.shown(id));
        let before = read();
        let text = "# On tides\n\nThe sea comes when I say so.\n";
        play.scene.write("thief/in/essays/tides.md", text);
        let walk = WalkOptions { prefix: Some(EntryPath::parse("in").unwrap()), ..WalkOptions::default() };
        let pack = vellum::folder::pack::PackOptions {
            archive: Some(ORIGIN.parse().unwrap()),
            walk,
            base: Some(1),
            ..options()
        };
        let made = packed(&play.scene.path("thief/in"), &play.scene.path("thief/out"), &pack, &key(PUBLISHER));
        let [made] = made.bundles.as_slice() else { unreachable!() };
        let bytes = fs::read(&made.file).unwrap();
        let (file, size) = (Digest::of(&bytes), bytes.len() as u64);
        let manifest = Box::new(made.manifest.clone());
        let signatures = kept(PUBLISHER, Kind::Manifest, manifest.to_string().as_bytes());
        let place = layout::bundle(BundleId(Digest::of(manifest.to_string().as_bytes())), &file);
        play.publish(vec![Leaf::Bundle { manifest, size, file, signatures }], vec![(place, bytes)]);
        play.sync().unwrap();
        assert_eq!(read(), before);
        let history = ["history", "--policy", "trusted.toml", "mirror", "in/essays/tides"];
        let rows = play.scene.expect(0, &history).stdout;
        assert!(rows.contains("current") && rows.lines().count() == 2, "{rows}");
        rows
    }),
];

const TWO_PUBLISHERS: &[Row] = &[(7, "a publisher's key, threshold 2", "L4", "1 of 2 needed", |play| {
    let before = play.seen();
    play.scene.write("in/notes/alone.txt", "Alone\n");
    // By his own tool: an honest one would not log it.
    let title = |manifest: &mut vellum::format::manifest::Manifest| manifest.title = "Alone".into();
    play.publish(vec![forged(play, title, &[PUBLISHER])], Vec::new());
    let report = play.sync().unwrap();
    fs::remove_file(play.scene.path("in/notes/alone.txt")).unwrap();
    assert_eq!(play.seen(), before);
    format!("{:?}", report.void)
})];

const WITHDRAW_KEY: &[Row] = &[
    (7, "a withdrawer's key", "L1", "withdrawer may not publish", |play| {
        let title = |manifest: &mut vellum::format::manifest::Manifest| manifest.title = "Another".into();
        play.in_vain(vec![forged(play, title, &[WITHDRAWER])], Vec::new())
    }),
    (7, "a withdrawer's key", "W1", "", |play| {
        // That article is hidden, which the key may do; the others stay, although the statement says that nothing is left of them.
        let removed = vec![RemovedLeaf { position: 0, id: Digest::of(b"letter-1"), lines: Digest::of(b"lines") }];
        let (leaf, files) = statement(play, removed, &[WITHDRAWER]);
        play.publish(vec![leaf], files);
        play.sync().unwrap();
        let seen = play.seen();
        assert!(seen.contains("\"in/essays/tides\"") && !seen.contains("\"letter-1\""), "{seen}");
        assert!(seen.contains("in/essays/tides 0 # On tides"), "{seen}");
        String::new()
    }),
];

/// A root key's thief has a version logged that unmakes something: it is void, and the root's owner goes on with one of the same number.
fn unmakes(play: &Play, change: fn(String) -> String) -> String {
    let (before, text) = (play.seen(), next(play, "", change));
    play.publish_policy(&text, &[ROOT]);
    let report = play.sync().unwrap();
    assert_eq!(play.seen(), before);
    play.publish_policy(&next(play, "", |text| text), &[ROOT]);
    play.sync().unwrap();
    assert_eq!(play.seen(), before);
    let mirror = Archive::open(play.mirror()).unwrap().vouched(&play.pin(), run()).unwrap();
    assert_eq!(mirror.authority().policy().map(|policy| policy.version), Some(2));
    format!("{:?}", report.void)
}

const ROOT_KEY: &[Row] = &[
    (8, "a root key, threshold 1", "P1", "other publisher", |play| {
        unmakes(play, |text| {
            let from = text.find("[[key]]\nname = \"other publisher\"").unwrap();
            let to = text.find("[[key]]\nname = \"withdrawer\"").unwrap();
            format!("{}{}", &text[..from], &text[to..])
        })
    }),
    (8, "a root key, threshold 1", "P1", "retires it below leaf", |play| {
        unmakes(play, |text| text.replacen("roles = [\"publish\"]\n", "roles = [\"publish\"]\nretired_at = 0\n", 1))
    }),
    (8, "a root key, threshold 1", "P1", "changes name, roles", |play| {
        unmakes(play, |text| text.replacen("roles = [\"publish\"]", "roles = [\"withdraw\"]", 1))
    }),
    (9, "a root key, threshold 1", "P1", "first leaf of the key", |play| {
        unmakes(play, |text| text.replacen("roles = [\"publish\"]\n", "roles = [\"publish\"]\nvalid_from = 3\n", 1))
    }),
];

const TWO_ROOTS: &[Row] = &[(7, "a root key, threshold 2", "P1", "expected 2", |play| {
    let text = next(play, "root = 2\npublish = 1\nwithdraw = 1\nwitness = 0", |text| text);
    let before = play.seen();
    play.publish_policy(&text, &[ROOT]);
    let report = play.sync().unwrap();
    assert_eq!(play.seen(), before);
    format!("{:?}", report.void)
})];

/// Plays the rows against one archive after the other, and expects what they say.
fn played(publish: u64, root: u64, rows: &[Row]) {
    let play = Play::new(publish, root);
    for (n, (attack, who, rule, says, attempt)) in rows.iter().enumerate() {
        let said = attempt(&play);
        assert!(said.contains(says), "attack {attack} by {who}, {rule}: expected {says:?}, found {said:?}");
        play.goes_on(n);
    }
}

#[test]
fn a_thief_of_the_logs_key_changes_nothing_that_a_reader_sees() {
    played(1, 1, LOG_KEY);
}

#[test]
fn a_thief_of_a_publishers_key_publishes_and_does_nothing_else() {
    played(1, 1, PUBLISH_KEY);
}

#[test]
fn a_thief_of_one_of_two_publishers_keys_does_nothing() {
    played(2, 1, TWO_PUBLISHERS);
}

#[test]
fn a_thief_of_a_withdrawers_key_hides_what_he_names_and_nothing_else() {
    played(1, 1, WITHDRAW_KEY);
}

#[test]
fn a_thief_of_a_root_key_unmakes_nothing() {
    for row in ROOT_KEY {
        played(1, 1, std::slice::from_ref(row));
    }
    played(1, 2, TWO_ROOTS);
}

#[test]
fn a_thief_of_a_witnesss_key_makes_no_log_and_no_time() {
    let play = Play::new(1, 1);
    let mirror = Archive::open(play.mirror()).unwrap();
    let day = 86_400;
    let now = options().time.as_second();
    let (thief, memory) = (key(WITNESS), Store::new(&play.scene.path("memory")));
    let witness = |time| Witness { name: "w.example", signer: &thief, memory: &memory, time, max_check_days: 30 };
    // Attack 4, P6: what he says of a time to come says nothing; a frozen log stays frozen.
    let vouched = |at: u64| {
        cosign(&mirror, &play.pin(), &witness(at), "test", run()).unwrap();
        mirror.vouched(&play.pin(), run()).unwrap()
    };
    let found = vouched(now as u64 + 365 * day);
    let fresh = |found: &vellum::archive::Vouched, at: i64| {
        let policy = Policy::decode(text(1, "", WITNESSED).as_bytes()).unwrap();
        let witnessed = vellum::trust::authority::Witnessed::of(&found.note, &policy);
        Fresh::of(&witnessed, &policy, jiff::Timestamp::from_second(at).unwrap()).word()
    };
    assert_eq!(fresh(&found, now), "no");
    assert_eq!(fresh(&found, now + 365 * day as i64 - 600), "yes", "ten minutes are a clock's error");
    // Attack 5: a head that the log's key has not signed is none, whoever cosigned it.
    let store = Store::new(&play.scene.path("own"));
    let other = Archive::create(store.clone(), ORIGIN.parse().unwrap(), &key(NOBODY), "test", run()).unwrap();
    let pin = Pin::Keys { keys: trusted(&key(PUBLISHER)), log: other.log_key().clone() };
    let forgotten = Store::new(&play.scene.path("forgotten"));
    let witness = Witness { memory: &forgotten, ..witness(now as u64) };
    cosign(&other, &pin, &witness, "test", run()).unwrap();
    let before = play.seen();
    refused(play.sync_from(store, play.pin(), options().time));
    assert_eq!(play.seen(), before);
    play.goes_on(0);
}

#[test]
fn a_clock_moves_freshness_alone() {
    let play = Play::new(1, 1);
    let listed = |at: &str| play.scene.run(&["verify", "--policy", "trusted.toml", "--at", at, "mirror"]).stdout;
    for at in ["1990-01-01", "2060-01-01"] {
        let said = listed(at);
        assert!(said.contains("authentic  yes") && said.contains("intact     yes"), "{at}: {said}");
    }
    // The log is fresh or stale by it, and that is a word of its own.
    let policy = Policy::decode(text(1, "", WITNESSED).as_bytes()).unwrap();
    let seen = |at| vellum::trust::authority::Witnessed { by: vec![("w".into(), at)], needed: 1, ..Default::default() };
    let now = options().time;
    let at = |days: i64| jiff::Timestamp::from_second(now.as_second() + days * 86_400).unwrap();
    for (days, word) in [(-10_000, "no"), (0, "yes"), (29, "yes"), (31, "no"), (10_000, "no")] {
        assert_eq!(Fresh::of(&seen(now), &policy, at(days)).word(), word, "{days} days");
    }
}

#[test]
fn a_web_server_mixes_old_and_new_in_vain() {
    let play = Play::new(1, 1);
    let before = play.seen();
    play.scene.write("in/notes/new.txt", "New\n");
    play.add(false);
    // Attack 6: the newer checkpoint over the older tiles; and the older bundles under the newer log.
    for mix in [
        "cp -r before mixed; cp origin/checkpoint mixed/",
        "cp -r origin mixed; rm -r mixed/bundles; cp -r before/bundles mixed/",
    ] {
        tool(play.scene.folder.path(), "sh", &["-c", &format!("rm -rf mixed; {mix}")]);
        refused(play.sync_from(Store::new(&play.scene.path("mixed")), play.pin(), options().time));
        assert_eq!(play.seen(), before, "{mix}");
    }
    // Attack 4: an older archive, whole, is no lie to who has seen no newer; to who has, it is one.
    play.sync_from(Store::new(&play.scene.path("before")), play.pin(), options().time).unwrap();
    play.goes_on(1);
    refused(play.sync_from(Store::new(&play.scene.path("before")), play.pin(), options().time));
}

/// The table of SECURITY.md has the rows that are played here.
#[test]
fn the_table_in_words_has_each_thief_and_rule() {
    let words = include_str!("../../SECURITY.md");
    for (_, who, rule, ..) in [LOG_KEY, PUBLISH_KEY, TWO_PUBLISHERS, WITHDRAW_KEY, ROOT_KEY, TWO_ROOTS].concat() {
        let row = words.lines().find(|line| line.starts_with(&format!("| {who} |")));
        let row = row.unwrap_or_else(|| panic!("no row for {who}"));
        for rule in rule.split(", ") {
            assert!(row.contains(rule), "{who}: {rule} is not named in {row}");
        }
    }
}
