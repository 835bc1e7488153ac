//! Mirrors: what a sync brings, what it refuses of each kind of lying origin, and that the mirror is unharmed by it.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::scene::{Scene, installed, key, noise, options, run, same_tree, tool, trusted};
use crate::server::{Answer, Server};
use vellum::archive::{Archive, Log, Pin, Publication, Writer, layout};
use vellum::collection::add::{AddOptions, add};
use vellum::collection::audit::audit;
use vellum::collection::open_holder;
use vellum::collection::withdraw::{WithdrawOptions, withdraw};
use vellum::digest::Digest;
use vellum::finding::Severity;
use vellum::folder::pack::PackOptions;
use vellum::folder::walk::WalkOptions;
use vellum::format::bundle::check;
use vellum::format::leaf::Leaf;
use vellum::format::withdrawal::{RemovedLeaf, Replaced, Withdrawal};
use vellum::ids::BundleId;
use vellum::keys::{Comment, Kind, SecretKey, Signature, Signer, VerifierKey};
use vellum::mirror::{
    Comparison, Error, Meter, Pace, SyncOptions, SyncReport, Witness, collect, compare, cosign, read_head, sync,
};
use vellum::path::EntryPath;
use vellum::store::{Access, Remote, Steps, Store};
use vellum::trust::logged;
use vellum::trust::policy::{self, Policy};

pub(crate) const ORIGIN: &str = "example.org/library";
const PATIENCE: Duration = Duration::from_millis(300);

fn signer() -> SecretKey {
    key(1)
}

fn log_key() -> SecretKey {
    key(2)
}

/// Neither waits nor measures.
pub(crate) struct NoTime;

impl Pace for NoTime {
    fn stream(&self) -> Meter<'_> {
        Box::new(|_| Ok(()))
    }

    fn wait(&self, _trial: u32) {}
}

fn added(archive: &Archive, input: &Path) {
    let source = EntryPath::parse("in").unwrap();
    let walk = WalkOptions { prefix: Some(source.clone()), ..WalkOptions::default() };
    let pack = PackOptions { archive: Some(ORIGIN.parse().unwrap()), walk, ..options() };
    let options = AddOptions { pack, source, rehash: false, take_over: false, rederive: false, reinstate: false };
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run()).unwrap();
    let mut catalog = archive.catalog().unwrap();
    add(&mut writer, &mut catalog, input, &options, (&[&signer()], &own(archive)), run()).unwrap();
}

fn withdrawn(archive: &Archive, id: &str) {
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run()).unwrap();
    let mut catalog = archive.catalog().unwrap();
    let ids = [id.to_owned()];
    let options = WithdrawOptions { ids: &ids, clear: false, reason: Some("a test"), time: options().time };
    withdraw(&mut writer, &mut catalog, &options, (&[&signer()], &own(archive)), run()).unwrap();
}

/// What its publisher vouches for.
fn own(archive: &Archive) -> Pin {
    Pin::Keys { keys: trusted(&signer()), log: archive.log_key().clone() }
}

fn published(archive: &Archive, publication: Publication) {
    let secret = log_key();
    Writer::begin(archive, &[&secret], "test", run()).unwrap().publish(publication).unwrap();
}

/// An archive of two states: `origin` as it is now, `before` as it was.
struct Stage {
    scene: Scene,
    archive: Archive,
}

impl Stage {
    /// An archive with articles.
    fn new() -> Self {
        let scene = Scene::new();
        let input = scene.articles();
        // More than one piece, so that a cut may fall within.
        let noise: Vec<u8> = (0..20_000_u32).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes()).collect();
        scene.write("in/large/noise.bin", noise);
        let store = Store::new(&scene.path("origin"));
        let archive = Archive::create(store, ORIGIN.parse().unwrap(), &log_key(), "test", run()).unwrap();
        added(&archive, &input);
        Self { scene, archive }
    }

    /// An archive that has gone on since the mirror held it.
    fn gone_on() -> Self {
        let stage = Self::new();
        stage.synced(&[stage.origin()]).unwrap();
        tool(stage.scene.folder.path(), "cp", &["-r", "origin", "before"]);
        stage.add("in/notes/new.txt", "Something new\n");
        stage
    }

    fn add(&self, path: &str, text: &str) {
        self.scene.write(path, text);
        added(&self.archive, &self.scene.path("in"));
    }

    fn origin(&self) -> Store {
        self.archive.store().clone()
    }

    fn path(&self) -> PathBuf {
        self.scene.path("origin")
    }

    fn mirror(&self) -> Store {
        Store::new(&self.scene.path("mirror"))
    }

    fn remote(&self, server: &Server) -> Store {
        let access = Access { patience: Some(PATIENCE), ..Access::default() };
        Store::of_remote(Remote::new(&server.url, &access).unwrap(), &self.scene.path("kept"))
    }

    fn pin(&self) -> Pin {
        Pin::Keys { keys: trusted(&signer()), log: self.archive.log_key().clone() }
    }

    fn synced(&self, origins: &[Store]) -> Result<SyncReport, Error> {
        self.synced_by(origins, &self.pin(), |options| options)
    }

    fn synced_by(
        &self,
        origins: &[Store],
        pin: &Pin,
        change: impl FnOnce(SyncOptions<'_>) -> SyncOptions<'_>,
    ) -> Result<SyncReport, Error> {
        self.synced_into(&self.mirror(), origins, pin, change)
    }

    fn synced_into(
        &self,
        mirror: &Store,
        origins: &[Store],
        pin: &Pin,
        change: impl FnOnce(SyncOptions<'_>) -> SyncOptions<'_>,
    ) -> Result<SyncReport, Error> {
        let name = ORIGIN.parse().unwrap();
        let options = SyncOptions {
            origins,
            name: &name,
            pin,
            moment: options().time,
            streams: NonZeroUsize::new(2).unwrap(),
            dry_run: false,
            grace: 14,
            unwitnessed: false,
            delete: false,
            seen: &|_, _| Ok(()),
            who: "test",
            pace: &NoTime,
        };
        sync(mirror, &change(options), run())
    }

    /// Expects that the mirror is whole and of `leaves` leaves.
    fn sound(&self, leaves: u64) {
        let archive = Archive::open(self.mirror()).unwrap();
        let vouched = archive.vouched(&self.pin(), run()).unwrap();
        let found = audit(&archive, &vouched, run()).unwrap();
        // What was verified and fetched for a checkpoint that was refused in the end may lie there, and is only noted.
        assert!(found.findings.iter().all(|finding| finding.severity() == Severity::Notice), "{found:?}");
        assert_eq!(vouched.checkpoint.size, leaves);
    }

    fn size(&self, store: Store) -> u64 {
        let archive = Archive::open(store).unwrap();
        archive.vouched(&self.pin(), run()).unwrap().checkpoint.size
    }

    /// Expects that a sync from a server that lies fails with words that name the lie, that the mirror is as it was, and that an honest
    /// origin beside the liar is enough.
    fn refuses(&self, why: &str, lie: impl Fn(&crate::server::Asked) -> Answer + Send + Sync + Clone + 'static) {
        let held = self.size(self.mirror());
        let server = Server::start(&self.path(), lie.clone());
        let error = self.synced(&[self.remote(&server)]).expect_err(why);
        assert!(chain(&error).contains(why), "expected {why:?}, found {:?}", chain(&error));
        self.sound(held);
        drop(server);
        let (server, honest) = (Server::start(&self.path(), lie), Server::honest(&self.path()));
        let report = self.synced(&[self.remote(&server), self.remote(&honest)]).unwrap();
        assert_eq!(report.dropped.len(), 1, "{report:?}");
        assert!(report.dropped[0].origin.starts_with(&server.url) && report.dropped[0].why.contains(why), "{report:?}");
        self.sound(self.size(self.origin()));
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn is_bundle(path: &str) -> bool {
    path.ends_with(".tar.zst")
}

/// The only bundle that the origin has and the mirror has not.
fn new_bundle(stage: &Stage) -> String {
    let list = |folder: &str| tool(&stage.scene.path(folder), "find", &["bundles", "-name", "*.tar.zst"]);
    let (ours, theirs) = (list("mirror"), list("origin"));
    let new: Vec<_> = theirs.lines().filter(|line| !ours.contains(line)).collect();
    assert_eq!(new.len(), 1);
    new[0].to_owned()
}

#[test]
fn a_mirror_holds_what_its_origin_has_and_goes_on_with_it() {
    let stage = Stage::new();
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!((report.before, report.after), (0, stage.size(stage.origin())));
    let same = || {
        for place in ["archive.toml", "checkpoint", "README.txt", "FORMAT.md", "bundles"] {
            same_tree(&stage.scene.path("origin").join(place), &stage.scene.path("mirror").join(place));
        }
    };
    same();
    stage.sound(report.after);
    stage.add("in/notes/new.txt", "Something new\n");
    stage.add("in/notes/new.txt", "Something else\n");
    stage.add("in/notes/new.txt", "Something new\n");
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.bundles.0, 3, "a return to an earlier text is a bundle of its own");
    same();
    stage.sound(report.after);
    assert_eq!(stage.synced(&[stage.origin()]).unwrap().bundles, (0, 0));
}

#[test]
fn a_dry_run_says_what_would_come_and_writes_nothing() {
    let stage = Stage::gone_on();
    let before = tool(&stage.scene.path("mirror"), "find", &[".", "-printf", "%p %T@ %s\n"]);
    let report =
        stage.synced_by(&[stage.origin()], &stage.pin(), |options| SyncOptions { dry_run: true, ..options }).unwrap();
    assert_eq!((report.bundles.0, report.after), (1, stage.size(stage.origin())));
    assert_eq!(tool(&stage.scene.path("mirror"), "find", &[".", "-printf", "%p %T@ %s\n"]), before);
}

#[test]
fn over_http_the_requests_are_few_and_no_byte_comes_twice() {
    let stage = Stage::new();
    let server = Server::honest(&stage.path());
    let report = stage.synced(&[stage.remote(&server)]).unwrap();
    assert_eq!(report.moved, report.bundles.1);
    assert!(server.moved.load(Ordering::Relaxed) < report.bundles.1 + 20_000);
    server.take_asked();
    stage.synced(&[stage.remote(&server)]).unwrap();
    assert_eq!(server.take_asked(), ["checkpoint"]);
}

/// Ends the world before the step of this number.
struct Kill(AtomicI64);

impl Steps for Kill {
    fn step(&self, what: &str) -> io::Result<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Ok(()),
            _ => Err(io::Error::other(format!("killed before: {what}"))),
        }
    }
}

#[test]
fn killed_before_any_step_the_mirror_is_what_it_was_or_what_it_becomes() {
    let stage = Stage::new();
    stage.synced(&[stage.origin()]).unwrap();
    let before = stage.size(stage.mirror());
    stage.add("in/notes/new.txt", "Something new\n");
    withdrawn(&stage.archive, "letter-1");
    let after = stage.size(stage.origin());
    tool(stage.scene.folder.path(), "mv", &["mirror", "held"]);
    for steps in 0.. {
        tool(stage.scene.folder.path(), "sh", &["-c", "rm -rf mirror; cp -r held mirror"]);
        let mortal = stage.mirror().with_steps(Arc::new(Kill(AtomicI64::new(steps))));
        let done = stage.synced_into(&mortal, &[stage.origin()], &stage.pin(), |options| options).is_ok();
        let now = stage.size(stage.mirror());
        assert!(now == before || now == after, "after {steps} steps: {now}");
        // Whole at any time, to whoever reads it, but for bytes that are about to leave.
        stage.sound(now);
        stage.synced(&[stage.origin()]).unwrap();
        stage.sound(after);
        let found = tool(&stage.scene.path("mirror"), "find", &["bundles", ".vellum/incoming", "-type", "f"]);
        assert_eq!(found.lines().count(), 2, "after {steps} steps: {found}");
        if done {
            assert!(steps > 20, "a sync takes more steps than {steps}");
            break;
        }
    }
}

#[test]
fn killed_before_any_step_a_first_sync_is_finished_by_the_next() {
    let stage = Stage::new();
    let leaves = stage.size(stage.origin());
    for steps in 0.. {
        tool(stage.scene.folder.path(), "rm", &["-rf", "mirror"]);
        let mortal = stage.mirror().with_steps(Arc::new(Kill(AtomicI64::new(steps))));
        let done = stage.synced_into(&mortal, &[stage.origin()], &stage.pin(), |options| options).is_ok();
        stage.synced(&[stage.origin()]).unwrap_or_else(|error| panic!("after {steps} steps: {error}"));
        stage.sound(leaves);
        if done {
            break;
        }
    }
}

#[test]
fn a_publishers_archive_is_no_mirror() {
    let stage = Stage::new();
    tool(stage.scene.folder.path(), "cp", &["-r", "origin", "mirror"]);
    assert!(matches!(stage.synced(&[stage.origin()]), Err(Error::Publisher(_))));
}

#[test]
fn withdrawn_bytes_leave_the_mirror_and_the_rest_stays() {
    let stage = Stage::new();
    stage.synced(&[stage.origin()]).unwrap();
    withdrawn(&stage.archive, "letter-1");
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.withdrawn.len(), 1);
    stage.sound(report.after);
    if installed("zstd") {
        let list = "for b in mirror/bundles/*/*/*.zst; do tar --zstd -tf $b; done";
        let found = tool(stage.scene.folder.path(), "sh", &["-c", list]);
        assert!(found.contains("tides.md") && !found.contains("letter.html"), "{found}");
    }
    // A mirror that comes later never gets the withdrawn bundle.
    fs::remove_dir_all(stage.scene.path("mirror")).unwrap();
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.bundles.0, 1);
    stage.sound(report.after);
}

#[test]
fn what_is_cut_goes_on_where_it_was() {
    let stage = Stage::new();
    let server = Server::start(&stage.path(), |asked| match is_bundle(&asked.path) && asked.before < 5 {
        true => Answer::Cut(100_000),
        false => Answer::Honest,
    });
    let report = stage.synced(&[stage.remote(&server)]).unwrap();
    assert_eq!(report.moved, report.bundles.1, "no byte of a bundle came twice");
    let asked = server.take_asked();
    assert!(asked.iter().filter(|path| is_bundle(path)).count() > 5, "{asked:?} {report:?}");
    stage.sound(report.after);
}

#[test]
fn a_server_without_ranges_is_synced_from_all_the_same() {
    let stage = Stage::new();
    let server = Server::start(&stage.path(), |asked| match (is_bundle(&asked.path), asked.before) {
        (true, 0) => Answer::Cut(100_000),
        _ => Answer::NoRanges,
    });
    let report = stage.synced(&[stage.remote(&server)]).unwrap();
    stage.sound(report.after);
}

#[test]
fn a_corrupted_bundle_is_refused() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    let mut bytes = fs::read(stage.path().join(&path)).unwrap();
    bytes[100] ^= 1;
    stage.refuses("gave other bytes than the log has", move |asked| match asked.path == path {
        true => Answer::Bytes(bytes.clone()),
        false => Answer::Honest,
    });
}

#[test]
fn another_bundle_in_its_place_is_refused() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    let other = tool(&stage.scene.path("before"), "find", &["bundles", "-name", "*.tar.zst"]);
    let other = fs::read(stage.path().join(other.trim())).unwrap();
    stage.refuses("gave other bytes than the log has", move |asked| match asked.path == path {
        true => Answer::Bytes(other.clone()),
        false => Answer::Honest,
    });
}

#[test]
fn a_truncated_bundle_is_refused() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    let short = fs::read(stage.path().join(&path)).unwrap()[..1000].to_vec();
    stage.refuses("at byte 1000 of", move |asked| match (asked.path == path, asked.from) {
        (true, None) => Answer::Bytes(short.clone()),
        (true, Some(_)) => Answer::Cut(0),
        _ => Answer::Honest,
    });
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    stage.refuses("timeout", move |asked| match asked.path == path {
        true => Answer::Stall(if asked.from.is_none() { 1000 } else { 0 }),
        false => Answer::Honest,
    });
}

#[test]
fn an_answer_that_drips_is_given_up() {
    let stage = Stage::gone_on();
    stage.refuses("timeout", move |asked| match asked.path == "checkpoint" {
        true => Answer::Drip,
        false => Answer::Honest,
    });
}

#[test]
fn an_endless_answer_is_read_to_its_cap() {
    let stage = Stage::gone_on();
    for (endless, why) in [("checkpoint", "more than 65536 bytes"), ("tile/entries", "more than")] {
        let stage = Stage::gone_on();
        stage.refuses(why, move |asked| match asked.path.starts_with(endless) {
            true => Answer::Endless,
            false => Answer::Honest,
        });
    }
    // Of a bundle no more is read than the log says, and what was read is right.
    let path = new_bundle(&stage);
    let server = Server::start(&stage.path(), move |asked| match asked.path == path {
        true => Answer::Endless,
        false => Answer::Honest,
    });
    let report = stage.synced(&[stage.remote(&server)]).unwrap();
    stage.sound(report.after);
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    stage.refuses("expected a range from byte", move |asked| match (asked.path == path, asked.from) {
        (true, None) => Answer::Cut(500),
        (true, Some(_)) => Answer::WrongRange,
        _ => Answer::Honest,
    });
}

#[test]
fn a_redirect_is_refused() {
    let stage = Stage::gone_on();
    let path = new_bundle(&stage);
    stage.refuses("redirects to \"http://elsewhere.example/\"", move |asked| match asked.path == path {
        true => Answer::Status(302, "Location: http://elsewhere.example/".into()),
        false => Answer::Honest,
    });
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_never_joined() {
    let stage = Stage::new();
    stage.synced(&[stage.origin()]).unwrap();
    // More than is fetched at once.
    stage.scene.write("in/notes/noise.bin", noise(1_000_000));
    stage.add("in/notes/new.txt", "Something new\n");
    let path = new_bundle(&stage);
    let mut other = fs::read(stage.path().join(&path)).unwrap();
    assert!(other.len() > 900_000, "the content was compressed to {} bytes", other.len());
    other.reverse();
    // The first half is right, what follows is of another file; asked again, the server is honest.
    let server = Server::start(&stage.path(), move |asked| match (asked.path == path, asked.before) {
        (true, 0) => Answer::Cut(500_000),
        (true, 1) => Answer::Bytes(other.clone()),
        _ => Answer::Honest,
    });
    let error = stage.synced(&[stage.remote(&server)]).expect_err("a lie");
    assert!(chain(&error).contains("gave other bytes"), "{}", chain(&error));
    let report = stage.synced(&[stage.remote(&server)]).unwrap();
    stage.sound(report.after);
}

#[test]
fn an_older_checkpoint_is_a_rollback_and_is_kept() {
    let stage = Stage::gone_on();
    let now = stage.synced(&[stage.origin()]).unwrap().after;
    let before = Store::new(&stage.scene.path("before"));
    let error = stage.synced(std::slice::from_ref(&before)).expect_err("a rollback");
    assert!(matches!(error, Error::Rollback { held, .. } if held == now), "{error}");
    assert_eq!(stage.mirror().list(layout::EVIDENCE).unwrap().len(), 2);
    stage.sound(now);
    // One that is behind does not keep the others from being used.
    stage.add("in/notes/more.txt", "More\n");
    let report = stage.synced(&[before, stage.origin()]).unwrap();
    assert_eq!(report.dropped.len(), 1);
    stage.sound(report.after);
    // It is held against what was held last, not against a checkpoint that somebody has put into the mirror.
    fs::copy(stage.scene.path("before/checkpoint"), stage.scene.path("mirror/checkpoint")).unwrap();
    assert!(matches!(stage.synced(&[Store::new(&stage.scene.path("before"))]), Err(Error::Rollback { .. })));
}

#[test]
fn a_forked_log_is_refused_and_what_shows_it_is_kept_for_others() {
    for more in [0, 1] {
        let stage = Stage::gone_on();
        // The same key signs another history, of the same size or of another one.
        let fork = Archive::open(Store::new(&stage.scene.path("before"))).unwrap();
        stage.scene.write("in/notes/new.txt", "Something quite different\n");
        added(&fork, &stage.scene.path("in"));
        if more > 0 {
            stage.scene.write("in/notes/newer.txt", "And more\n");
            added(&fork, &stage.scene.path("in"));
        }
        let held = stage.synced(&[stage.origin()]).unwrap().after;
        let error = stage.synced(&[fork.store().clone()]).expect_err("a fork");
        assert!(matches!(error, Error::Fork { .. }), "{error}");
        stage.sound(held);
        let kept = stage.mirror().list(layout::EVIDENCE).unwrap();
        assert_eq!(kept.len(), 2 + more, "{kept:?}");
        // A third person has the two checkpoints and the log's public key, and no archive.
        let mut heads: Vec<_> = kept
            .iter()
            .filter(|name| !name.ends_with(".fork"))
            .map(|name| {
                let place = format!("{}/{name}", layout::EVIDENCE);
                let bytes = stage.mirror().read(&place, 1 << 16).unwrap();
                let mut head = read_head(name, Some(bytes), None, stage.archive.log_key()).unwrap();
                head.proof = stage
                    .mirror()
                    .read(&format!("{place}.fork"), 1 << 16)
                    .ok()
                    .and_then(|b| vellum::format::fork::Fork::decode(&b));
                head
            })
            .collect();
        let (b, a) = (heads.pop().unwrap(), heads.pop().unwrap());
        assert!(matches!(compare(&a, &b).unwrap(), Comparison::Fork { .. }));
    }
}

#[test]
fn tiles_of_another_state_do_not_lead_to_the_signed_root() {
    let stage = Stage::gone_on();
    let entries = format!("tile/entries/000.p/{}", stage.size(stage.origin()));
    let mut bytes = fs::read(stage.path().join(&entries)).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    stage.refuses("do not lead to the root", move |asked| match asked.path == entries {
        true => Answer::Bytes(bytes.clone()),
        false => Answer::Honest,
    });
}

#[test]
fn a_checkpoint_of_another_archive_or_key_is_refused() {
    let stage = Stage::gone_on();
    for (origin, secret) in [("example.org/other", log_key()), (ORIGIN, key(9))] {
        let path = stage.scene.path(&format!("other{}", origin.len()));
        Archive::create(Store::new(&path), origin.parse().unwrap(), &secret, "test", run()).unwrap();
        let held = stage.size(stage.mirror());
        stage.synced(&[Store::new(&path)]).expect_err(origin);
        stage.sound(held);
    }
}

/// What a mirror's readers see: its files but log and state.
fn shown(stage: &Stage) -> String {
    tool(
        &stage.scene.path("mirror"),
        "sh",
        &["-c", "find bundles withdrawn trust -type f 2>/dev/null | sort | xargs -r sha256sum"],
    )
}

/// Withdraws `letter-1` from the bundle that was logged first, by a statement that says `new` and names these leaves; signed or not.
fn stated(stage: &Stage, new: Option<BundleId>, removed: Vec<RemovedLeaf>, by: Option<&SecretKey>) {
    let before = Archive::open(Store::new(&stage.scene.path("before"))).unwrap();
    let old: BundleId = only(&before).split('/').nth(2).unwrap().parse().unwrap();
    let statement = Withdrawal {
        archive: ORIGIN.parse().unwrap(),
        size: stage.size(stage.origin()),
        ids: vec![Digest::of(b"letter-1")],
        clear: Vec::new(),
        reason: Some("a thief".into()),
        bundles: vec![Replaced { old, new, removed }],
    };
    let text = statement.to_string();
    let digest = Digest::of(text.as_bytes());
    let (mut files, mut signatures) = (vec![(layout::statement(&digest), text.clone().into_bytes())], Vec::new());
    if let Some(by) = by {
        let comment = Comment::new(Kind::Withdraw, Some(ORIGIN), digest, options().time).unwrap();
        let signature = Signature::sign(by, text.as_bytes(), &comment).unwrap();
        signatures.extend(logged::keep(by.public(), &signature));
        let place = layout::statement_signature(&digest, &by.public().id().to_string());
        files.push((place, signature.to_string().into_bytes()));
    }
    let leaf = Leaf::Withdraw { statement: digest, signatures };
    published(&stage.archive, Publication { leaves: vec![leaf], files, ..Publication::default() });
}

fn some_leaf() -> RemovedLeaf {
    RemovedLeaf { position: 0, id: Digest::of(b"letter-1"), lines: Digest::of(b"some lines") }
}

/// Replaces what the publisher's own writer removes when it logs a statement: a thief of the log's key has no reason to.
fn with_bundles_back(stage: &Stage) {
    tool(stage.scene.folder.path(), "sh", &["-c", "cp -r before/bundles/* origin/bundles/"]);
}

#[test]
fn the_log_key_alone_makes_no_mirror_delete_anything() {
    let stage = Stage::gone_on();
    let before = shown(&stage);
    stated(&stage, None, vec![some_leaf()], None);
    // Words that mean nothing, and a version of a policy that nobody has signed.
    let leaves = vec![
        Leaf::Policy { version: 1, file: Digest::of(b"nothing"), signatures: Vec::new() },
        Leaf::Document { name: "NOTES.txt".into(), file: Digest::of(b"lies"), signatures: Vec::new() },
        Leaf::Signature { bundle: BundleId(Digest::of(b"none")), signatures: vec![thiefs()] },
    ];
    published(&stage.archive, Publication { leaves, ..Publication::default() });
    with_bundles_back(&stage);
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!((report.void.len(), report.withdrawn.len()), (4, 0), "{report:?}");
    assert!(shown(&stage).contains(before.trim_end()), "{before}");
    stage.sound(report.after);
    // It goes on following.
    stage.add("in/notes/more.txt", "More\n");
    stage.synced(&[stage.origin()]).unwrap();
    stage.sound(stage.size(stage.origin()));
}

/// A signature by a key that nobody trusts.
fn thiefs() -> vellum::format::leaf::LeafSignature {
    let digest = Digest::of(b"none");
    let comment = Comment::new(Kind::Manifest, Some(ORIGIN), digest, options().time).unwrap();
    let signature = Signature::sign(&key(66), b"none", &comment).unwrap();
    logged::keep(key(66).public(), &signature).unwrap()
}

#[test]
fn a_withdrawal_that_would_take_other_articles_too_replaces_nothing() {
    let stage = Stage::gone_on();
    let before = shown(&stage);
    stated(&stage, None, vec![some_leaf()], Some(&signer()));
    with_bundles_back(&stage);
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert!(report.withdrawn.is_empty(), "{report:?}");
    let all = shown(&stage);
    assert!(before.lines().all(|line| all.contains(line)), "{all}");
    stage.sound(report.after);
}

#[test]
fn a_replacement_that_is_not_what_is_left_takes_no_place() {
    let stage = Stage::gone_on();
    // The thief has the keys of the log and of who withdraws, and signs a bundle that lacks another article than the statement names.
    let before = Archive::open(Store::new(&stage.scene.path("before"))).unwrap();
    let place = only(&before);
    let old: BundleId = place.split('/').nth(2).unwrap().parse().unwrap();
    let real = vellum::format::bundle::Bundle::open(fs::File::open(before.store().path(&place)).unwrap()).unwrap();
    let contents = real.contents().unwrap();
    let other = contents.list.number("in/essays/tides").unwrap();
    let (thief, out) = (key(66), stage.scene.path("out"));
    let signers: [&dyn Signer; 1] = [&thief];
    let made = vellum::folder::without((&real, &contents), &[other], &out, (&signers, options().time), run()).unwrap();
    let (bytes, id) = (fs::read(&made.file).unwrap(), made.id);
    let file = Digest::of(&bytes);
    let manifest = Box::new(made.manifest);
    let leaf = Leaf::Bundle { manifest, size: bytes.len() as u64, file, signatures: Vec::new() };
    let files = vec![(layout::bundle(id, &file), bytes)];
    published(&stage.archive, Publication { leaves: vec![leaf], files, ..Publication::default() });
    stated(&stage, Some(id), vec![some_leaf()], Some(&signer()));
    with_bundles_back(&stage);
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert!(report.withdrawn.is_empty() && !report.void.is_empty(), "{report:?}");
    assert!(stage.scene.path("mirror").join(&place).exists());
    assert!(!stage.scene.path("mirror").join(layout::bundle(id, &file)).exists());
    // What the statement names is hidden all the same: that much the key may do. The others are read from the bundle that is there.
    let vouched = Archive::open(stage.mirror()).unwrap().vouched(&stage.pin(), run()).unwrap();
    assert!(vouched.history.shown_from(&Digest::of(b"letter-1"), &|_| false).is_err());
    let mirror = Archive::open(stage.mirror()).unwrap();
    let (_, _, held) = vellum::collection::open_holder(&mirror, &vouched.history, old).unwrap().unwrap();
    assert_eq!(held.id, old);
}

#[test]
fn a_statement_that_does_not_count_is_brought_along_since_it_could_be_one_that_does() {
    let stage = Stage::gone_on();
    let text = "format = \"vellum-withdrawal/1\"\nno = \"statement\"\n";
    let digest = Digest::of(text.as_bytes());
    let comment = Comment::new(Kind::Withdraw, Some(ORIGIN), digest, options().time).unwrap();
    let signature = Signature::sign(&signer(), text.as_bytes(), &comment).unwrap();
    let signatures = logged::keep(signer().public(), &signature).into_iter().collect();
    let leaf = Leaf::Withdraw { statement: digest, signatures };
    let files = vec![(layout::statement(&digest), text.as_bytes().to_vec())];
    published(&stage.archive, Publication { leaves: vec![leaf], files, ..Publication::default() });
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.void.len(), 1, "{report:?}");
    stage.sound(report.after);
}

#[test]
fn what_a_withdrawal_replaced_is_kept_for_its_time_and_then_erased() {
    let stage = Stage::gone_on();
    stage.synced(&[stage.origin()]).unwrap();
    withdrawn(&stage.archive, "letter-1");
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.withdrawn.len(), 1);
    stage.sound(report.after);
    let aside = || stage.mirror().list(layout::WITHDRAWN).unwrap().len();
    assert_eq!(aside(), 1);
    let later = |days: i64| jiff::Timestamp::from_second(options().time.as_second() + days * 86_400).unwrap();
    let at = |moment, grace| {
        stage.synced_by(&[stage.origin()], &stage.pin(), |o| SyncOptions { moment, grace, ..o }).unwrap();
    };
    at(later(13), 14);
    assert_eq!(aside(), 1);
    at(later(14), 14);
    assert_eq!(aside(), 0);
}

#[test]
fn a_bundle_that_nobody_trusted_has_signed_is_not_fetched() {
    let stage = Stage::new();
    let pin = Pin::Keys { keys: trusted(&key(7)), log: stage.archive.log_key().clone() };
    let report = stage.synced_by(&[stage.origin()], &pin, |options| options).unwrap();
    assert_eq!((report.bundles.0, report.void.len()), (0, 1));
    assert!(report.void[0].1.contains("no key that counts"), "{report:?}");
    assert!(!stage.scene.path("mirror/bundles").exists());
    // Once its key is trusted, the mirror has all of it.
    stage.synced(&[stage.origin()]).unwrap();
    stage.sound(stage.size(stage.origin()));
}

#[test]
fn an_origin_that_goes_away_midway_leaves_what_was_verified() {
    let stage = Stage::new();
    for n in 0..4 {
        stage.add(&format!("in/notes/n{n}.txt"), &format!("Number {n}\n"));
    }
    let bundles = Arc::new(AtomicUsize::new(0));
    let count = bundles.clone();
    let server = Server::start(&stage.path(), move |asked| {
        match is_bundle(&asked.path) && count.fetch_add(1, Ordering::Relaxed) >= 3 {
            true => Answer::Status(503, "Retry-After: 1".into()),
            false => Answer::Honest,
        }
    });
    let error = stage.synced(&[stage.remote(&server)]).expect_err("gone");
    assert!(matches!(error, Error::Unobtainable { .. }), "{error}");
    let there = tool(&stage.scene.path("mirror"), "find", &["bundles", "-name", "*.tar.zst"]).lines().count();
    assert!(there >= 2, "{there}");
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!(report.bundles.0 as usize, 5 - there);
    stage.sound(report.after);
}

#[test]
fn a_bundle_that_is_lost_comes_back_and_a_stray_goes_with_delete() {
    let stage = Stage::gone_on();
    let now = stage.synced(&[stage.origin()]).unwrap().after;
    tool(stage.scene.folder.path(), "sh", &["-c", "rm $(find mirror/bundles -name '*.zst' | head -1)"]);
    stage.scene.write("mirror/bundles/00/stray/0000000000000000.tar.zst", "x");
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!((report.bundles.0, report.strays.len()), (1, 0));
    let report = stage.synced_by(&[stage.origin()], &stage.pin(), |o| SyncOptions { delete: true, ..o });
    assert_eq!(report.unwrap().strays.len(), 1);
    stage.sound(now);
}

#[test]
fn a_witness_cosigns_what_it_wholly_holds_and_never_goes_back() {
    let stage = Stage::gone_on();
    stage.synced(&[stage.origin()]).unwrap();
    let secret = key(5);
    let by = VerifierKey::of_witness("w.example", secret.public()).unwrap();
    let archive = Archive::open(stage.mirror()).unwrap();
    cosigned(&stage, &stage.pin(), &secret, NOW).unwrap();
    let note = archive.vouched(&stage.pin(), run()).unwrap().note;
    assert_eq!(note.cosigned(&by).unwrap(), Some(NOW));
    // Back to what was before, as if the folder had been restored from a copy: what was cosigned the key remembers.
    tool(stage.scene.folder.path(), "sh", &["-c", "rm -r mirror; cp -r before mirror"]);
    let error = cosigned(&stage, &stage.pin(), &secret, NOW).expect_err("backwards");
    assert!(matches!(error, Error::Backwards(_)), "{error}");
    // Another key has cosigned nothing.
    cosigned(&stage, &stage.pin(), &key(6), NOW).unwrap();
    tool(stage.scene.folder.path(), "sh", &["-c", "rm $(find mirror/bundles -name '*.zst')"]);
    let error = cosigned(&stage, &stage.pin(), &key(7), NOW).expect_err("incomplete");
    assert!(matches!(error, Error::Incomplete(_)), "{error}");
}

const NOW: u64 = 1_772_323_200;
const DAY: u64 = 86_400;

/// Has the mirror cosigned by a key that remembers what it did.
fn cosigned(stage: &Stage, pin: &Pin, secret: &SecretKey, time: u64) -> Result<(), Error> {
    let memory = Store::new(&stage.scene.path(&format!("memory-{}", secret.public().id())));
    let witness = Witness { name: "w.example", signer: secret, memory: &memory, time, max_check_days: 30 };
    cosign(&Archive::open(stage.mirror()).unwrap(), pin, &witness, "test", run()).map(drop)
}

/// Changes a byte of a bundle's file and leaves its size and time as they were.
fn rot(stage: &Stage) {
    let path = stage.scene.path("mirror").join(only(&Archive::open(stage.mirror()).unwrap()));
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_holder_reads_what_it_cosigns_where_it_changed_or_was_not_read_for_long() {
    let stage = Stage::new();
    stage.synced(&[stage.origin()]).unwrap();
    let (checked, first) = (stage.scene.path("mirror").join(layout::CHECKED), NOW + 5);
    let of_sync = fs::read(&checked).unwrap();
    cosigned(&stage, &stage.pin(), &key(5), first).unwrap();
    assert_eq!(fs::read(&checked).unwrap(), of_sync, "what a sync has read is not read again");
    cosigned(&stage, &stage.pin(), &key(5), NOW + 31 * DAY).unwrap();
    assert_ne!(fs::read(&checked).unwrap(), of_sync, "after a month it is");
    rot(&stage);
    let error = cosigned(&stage, &stage.pin(), &key(5), NOW + 32 * DAY).expect_err("damaged");
    assert!(matches!(error, Error::BadBundle { .. }), "{error}");
}

#[test]
fn a_witness_that_keeps_no_copy_vouches_for_the_log_alone() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    stage.synced_by(&[stage.origin()], &pinned(&one), unwitnessed).unwrap();
    let holder = cosigned(&stage, &pinned(&one), &key(5), NOW);
    holder.unwrap();
    tool(stage.scene.folder.path(), "sh", &["-c", "rm -r mirror/bundles"]);
    let error = cosigned(&stage, &pinned(&one), &key(5), NOW).expect_err("a holder");
    assert!(matches!(error, Error::Incomplete(_)), "{error}");
    let text = fs::read_to_string(stage.path().join("trust/1.toml")).unwrap();
    let stage = Stage::new();
    let two = in_force_as(&stage.archive, None, "", "holds = false");
    assert!(text.contains("holds = true"));
    stage.synced_by(&[stage.origin()], &pinned(&two), unwitnessed).unwrap();
    tool(stage.scene.folder.path(), "sh", &["-c", "rm -r mirror/bundles"]);
    cosigned(&stage, &pinned(&two), &key(5), NOW).unwrap();
    let seen = Archive::open(stage.mirror()).unwrap().vouched(&pinned(&two), run()).unwrap().witnessed;
    assert_eq!((seen.by.len(), seen.held_by.len()), (1, 0));
}

fn only(archive: &Archive) -> String {
    tool(&archive.store().path(""), "find", &["bundles", "-name", "*.tar.zst"]).trim().to_owned()
}

/// Publishes the next version of the policy: the key of `added` with these further lines, and a root key; returns it.
fn in_force(archive: &Archive, before: Option<&Policy>, more: &str) -> Policy {
    in_force_as(archive, before, more, "holds = true")
}

/// Closes an archive.
fn in_force_closed(archive: &Archive, before: &Policy) -> Policy {
    in_force_with(archive, Some(before), ("", "holds = true"), "closed = true\n")
}

fn in_force_as(archive: &Archive, before: Option<&Policy>, more: &str, holds: &str) -> Policy {
    in_force_with(archive, before, (more, holds), "")
}

fn in_force_with(archive: &Archive, before: Option<&Policy>, (more, holds): (&str, &str), closed: &str) -> Policy {
    let version = before.map_or(1, |before| before.version + 1);
    let previous = before.map(|before| format!("previous = \"{}\"\n", before.digest.labelled())).unwrap_or_default();
    let (publisher, root) = (signer().public().to_line(), key(50).public().to_line());
    let witness = VerifierKey::of_witness("w.example", key(5).public()).unwrap();
    let head = archive.vouched(&Pin::Anyone { log: archive.log_key().clone() }, run()).unwrap().checkpoint;
    let text = format!(
        "format = \"vellum-trust/1\"\narchive = \"{ORIGIN}\"\nversion = {version}\n{previous}\
         log = {{ size = {}, root = \"{}\" }}\n{closed}\
         [threshold]\nroot = 1\npublish = 1\nwithdraw = 1\nwitness = 1\n\
         [[key]]\nname = \"root\"\npublic = \"{root}\"\nroles = [\"root\", \"publish\", \"withdraw\"]\n\
         [[key]]\nname = \"publisher\"\npublic = \"{publisher}\"\nroles = [\"publish\", \"withdraw\"]\n{more}\n\
         [[log_key]]\nvkey = \"{}\"\n[[witness]]\nvkey = \"{witness}\"\noperator = \"w\"\n{holds}\n",
        head.size,
        head.root.labelled(),
        archive.log_key()
    );
    let policy = Policy::decode(text.as_bytes()).unwrap();
    let comment = Comment::new(Kind::Policy, Some(ORIGIN), policy.digest, options().time).unwrap();
    let signature = Signature::sign(&key(50), text.as_bytes(), &comment).unwrap();
    let place = policy::signature_place(version, &key(50).public().id().to_string());
    let kept = logged::keep(key(50).public(), &signature).unwrap();
    let files = vec![(policy::place(version), text.into_bytes()), (place, signature.to_string().into_bytes())];
    let leaves = vec![Leaf::Policy { version, file: policy.digest, signatures: vec![kept] }];
    published(archive, Publication { files, leaves, ..Publication::default() });
    policy
}

fn pinned(policy: &Policy) -> Pin {
    Pin::Policy(Box::new(policy.clone()))
}

fn unwitnessed(options: SyncOptions<'_>) -> SyncOptions<'_> {
    SyncOptions { unwitnessed: true, ..options }
}

#[test]
fn a_checkpoint_that_no_witness_has_seen_is_refused_until_one_has() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    let pin = pinned(&one);
    let error = stage.synced_by(&[stage.origin()], &pin, |options| options).expect_err("no witness");
    assert!(matches!(error, Error::NotVouched { what: "witnessed", .. }), "{error}");
    // The witness itself syncs without a quorum, and cosigns; the publisher gathers that.
    stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    cosigned(&stage, &pin, &key(5), NOW).unwrap();
    let witnesses = [VerifierKey::of_witness("w.example", key(5).public()).unwrap()];
    let found = collect(&stage.archive, &pin, &[stage.mirror()], &witnesses, "test", run()).unwrap();
    assert_eq!(found.new, ["w.example"]);
    fs::remove_dir_all(stage.scene.path("mirror")).unwrap();
    stage.synced_by(&[stage.origin()], &pin, |options| options).unwrap();
    // A key that is not the policy's makes no quorum.
    stage.add("in/notes/new.txt", "new\n");
    stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    cosigned(&stage, &pin, &key(6), NOW).unwrap();
    let mirror = Archive::open(stage.mirror()).unwrap();
    assert!(!mirror.vouched(&pin, run()).unwrap().witnessed.is_met());
}

#[test]
fn what_a_stolen_key_signs_is_refused_and_what_it_signed_before_is_not() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    let pin = pinned(&one);
    stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    let size = stage.size(stage.origin());
    let two = in_force(&stage.archive, Some(&one), &format!("compromised_at = {size}"));
    stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    let before = shown(&stage);
    // The thief has the log's key as well.
    stage.add("in/notes/new.txt", "A lie\n");
    let report = stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    assert!(report.void[0].1.contains("publisher was compromised at leaf"), "{report:?}");
    assert_eq!(shown(&stage), before);
    // A mirror that begins now takes what was signed before, and only that.
    fs::remove_dir_all(stage.scene.path("mirror")).unwrap();
    stage.synced_by(&[stage.origin()], &pinned(&two), unwitnessed).unwrap();
    assert_eq!(shown(&stage), before);
}

#[test]
fn a_newer_policy_can_neither_be_hidden_nor_taken_back() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    let pin = pinned(&one);
    in_force(&stage.archive, Some(&one), "retired_at = 99");
    let server = Server::start(&stage.path(), |asked| match asked.path == "trust/2.toml" {
        true => Answer::Status(404, "X: y".into()),
        false => Answer::Honest,
    });
    let error = stage.synced_by(&[stage.remote(&server)], &pin, unwitnessed).expect_err("hidden");
    assert!(
        chain(&error).contains("version 2 of the policy was signed by who may, and is withheld"),
        "{}",
        chain(&error)
    );
    stage.synced_by(&[stage.origin()], &pin, unwitnessed).unwrap();
    // What the mirror holds has version 2, whatever an origin says from then on.
    stage.add("in/notes/new.txt", "new\n");
    stage.synced_by(&[stage.remote(&server)], &pin, unwitnessed).unwrap();
    let mirror = Archive::open(stage.mirror()).unwrap().vouched(&pin, run()).unwrap();
    assert_eq!(mirror.authority().policy().unwrap().version, 2);
}

#[test]
fn a_policy_that_lies_there_and_is_not_logged_is_none_however_large() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    let pin = pinned(&one);
    let server = Server::start(&stage.path(), |asked| match asked.path.as_str() {
        "trust/2.toml" => Answer::Bytes(vec![b'#'; 300 << 10]),
        _ => Answer::Honest,
    });
    // Nor if the log's key, in other hands, names it.
    let leaf = Leaf::Policy { version: 2, file: Digest::of(b"huge"), signatures: Vec::new() };
    published(&stage.archive, Publication { leaves: vec![leaf], ..Publication::default() });
    let report = stage.synced_by(&[stage.remote(&server)], &pin, unwitnessed).unwrap();
    assert_eq!(report.void.len(), 1, "{report:?}");
    // One that is not signed by who may change the policy, and not logged, is none, and withholds nothing.
    let forged = fs::read_to_string(stage.path().join("trust/1.toml")).unwrap().replace("version = 1", "version = 2");
    let server = Server::start(&stage.path(), move |asked| match asked.path.as_str() {
        "trust/2.toml" => Answer::Bytes(forged.clone().into_bytes()),
        _ => Answer::Honest,
    });
    stage.synced_by(&[stage.remote(&server)], &pin, unwitnessed).unwrap();
    let mirror = Archive::open(stage.mirror()).unwrap().vouched(&pin, run()).unwrap();
    assert_eq!(mirror.authority().policy().unwrap().version, 1);
}

/// An archive under a policy whose publisher's disk was lost: `mirror` has what came last, `older` a copy from before.
fn lost() -> (Stage, Policy, Archive, u64) {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    tool(stage.scene.folder.path(), "cp", &["-r", "origin", "older"]);
    stage.add("in/notes/last.txt", "What came last\n");
    let held = stage.synced_by(&[stage.origin()], &pinned(&one), unwitnessed).unwrap().after;
    let older = Archive::open(Store::new(&stage.scene.path("older"))).unwrap();
    (stage, one, older, held)
}

#[test]
fn what_is_held_gives_way_to_a_newer_policy_that_was_made_on_a_head_of_both_and_to_nothing_else() {
    let (stage, one, older, _) = lost();
    let from_older = |change: fn(SyncOptions<'_>) -> SyncOptions<'_>| {
        stage.synced_by(&[older.store().clone()], &pinned(&one), |options| change(unwitnessed(options)))
    };
    let list = || tool(&stage.scene.path("mirror"), "find", &["bundles", "-name", "*.zst"]);
    let before = list();
    // A publisher goes on from the older copy: that is a fork, whoever signs it.
    stage.scene.write("in/notes/last.txt", "Written anew\n");
    let nothing = tool(stage.scene.folder.path(), "sh", &["-c", "cp -r older plain"]);
    assert!(nothing.is_empty());
    let plain = Archive::open(Store::new(&stage.scene.path("plain"))).unwrap();
    added(&plain, &stage.scene.path("in"));
    // Nor does a policy help that was made on a head which only the other history has.
    in_force(&plain, Some(&one), "");
    let error = stage.synced_by(&[plain.store().clone()], &pinned(&one), unwitnessed).expect_err("a fork");
    assert!(matches!(error, Error::Fork { .. }), "{error}");
    // The root keys say so: a new version, made on the head that both have.
    in_force(&older, Some(&one), "");
    added(&older, &stage.scene.path("in"));
    let dry = from_older(|options| SyncOptions { dry_run: true, ..options }).unwrap();
    assert_eq!((dry.after, list() == before), (stage.size(older.store().clone()), true));
    let report = from_older(|options| options).unwrap();
    let (evidence, kept) = report.gave_way.clone().unwrap();
    assert!(fs::read_dir(evidence).unwrap().count() >= 2);
    let archive = Archive::open(stage.mirror()).unwrap();
    let vouched = archive.vouched(&pinned(&one), run()).unwrap();
    assert_eq!(vouched.authority().policy().unwrap().version, 2);
    let found = audit(&archive, &vouched, run()).unwrap();
    assert!(found.findings.iter().all(|finding| finding.severity() == Severity::Notice), "{found:?}");
    // What came last is no part of the archive any more, and can be deposited.
    let lost = tool(Path::new(&kept), "find", &["bundles", "-name", "*.zst"]);
    assert_eq!(lost.lines().count(), 1, "{lost}");
    assert!(before.contains(lost.trim()) && !list().contains(lost.trim()));
    assert!(Path::new(&kept).join("tile").is_dir() && Path::new(&kept).join("checkpoint").is_file());
    // From here on the old history is the other one.
    let error = stage.synced_by(&[stage.origin()], &pinned(&one), unwitnessed).expect_err("the old history");
    assert!(matches!(error, Error::Fork { .. }), "{error}");
    added_more(&stage, &older);
    assert!(from_older(|options| options).unwrap().gave_way.is_none());
}

fn added_more(stage: &Stage, archive: &Archive) {
    stage.scene.write("in/notes/more.txt", "More\n");
    added(archive, &stage.scene.path("in"));
}

#[test]
fn of_two_origins_with_two_histories_neither_is_taken_and_both_are_kept_as_evidence() {
    for same_size in [false, true] {
        let stage = Stage::gone_on();
        let before = stage.size(stage.mirror());
        // Both extend what is held.
        let fork = Archive::open(Store::new(&stage.scene.path("before"))).unwrap();
        stage.scene.write("in/notes/new.txt", "Something else\n");
        added(&fork, &stage.scene.path("in"));
        if !same_size {
            added_more(&stage, &fork);
        }
        for origins in [[stage.origin(), fork.store().clone()], [fork.store().clone(), stage.origin()]] {
            let error = stage.synced(&origins).expect_err("two histories");
            assert!(matches!(error, Error::TwoHistories { .. }) && names_both(&error, &stage), "{error}");
            assert_eq!(stage.size(stage.mirror()), before);
            let kept = tool(&stage.scene.path("mirror"), "find", &[layout::EVIDENCE, "-type", "f"]);
            assert_eq!(kept.lines().count(), if same_size { 2 } else { 3 }, "{kept}");
        }
        // A copy that is only behind is no other history.
        tool(stage.scene.folder.path(), "cp", &["-r", "mirror", "behind"]);
        stage.synced(&[Store::new(&stage.scene.path("behind")), stage.origin()]).unwrap();
    }
}

fn names_both(error: &Error, stage: &Stage) -> bool {
    let text = error.to_string();
    ["origin", "before"].iter().all(|name| text.contains(&stage.scene.path(name).display().to_string()))
}

#[test]
fn bundles_that_name_one_file_are_fetched_at_once_and_do_not_get_in_each_others_way() {
    let stage = Stage::new();
    let leaves = |archive: &Archive| -> Vec<Leaf> {
        let size = archive.vouched(&stage.pin(), run()).unwrap().checkpoint.size;
        (0..size).map(|n| Log::new(archive.store(), size).leaf(n).unwrap()).collect()
    };
    stage.add("in/notes/one.txt", "One\n");
    stage.add("in/notes/two.txt", "Two\n");
    // The log's thief says of each bundle that its file is also the first one's.
    let all = leaves(&stage.archive);
    let Leaf::Bundle { size, file, .. } = &all[0] else { unreachable!() };
    let also = all[1..].iter().map(|leaf| {
        let Leaf::Bundle { manifest, signatures, .. } = leaf.clone() else { unreachable!() };
        Leaf::Bundle { manifest, signatures, size: *size, file: *file }
    });
    let also = also.collect();
    published(&stage.archive, Publication { leaves: also, ..Publication::default() });
    for _ in 0..5 {
        stage.synced(&[stage.origin()]).unwrap();
        stage.sound(stage.size(stage.origin()));
        fs::remove_dir_all(stage.scene.path("mirror")).unwrap();
    }
}

#[test]
fn what_a_thief_logs_after_an_archive_was_closed_makes_its_owners_copy_no_older() {
    let stage = Stage::new();
    let one = in_force(&stage.archive, None, "");
    let closed = in_force_closed(&stage.archive, &one);
    tool(stage.scene.folder.path(), "cp", &["-r", "origin", "owners"]);
    let leaf = Leaf::Document { name: "n.txt".into(), file: Digest::of(b"x"), signatures: Vec::new() };
    published(&stage.archive, Publication { leaves: vec![leaf], ..Publication::default() });
    stage.synced_by(&[stage.origin()], &pinned(&closed), unwitnessed).unwrap();
    let report = stage.synced_by(&[Store::new(&stage.scene.path("owners"))], &pinned(&closed), unwitnessed).unwrap();
    assert_eq!((report.dropped, report.bundles.0), (Vec::new(), 0));
    for archive in ["origin", "owners"] {
        stage.scene.expect(0, &["list", "--policy", "origin/trust/2.toml", archive]);
    }
}

#[test]
fn killed_while_a_history_gives_way_the_mirror_goes_on_with_one_of_the_two() {
    let (stage, one, older, held) = lost();
    stage.scene.write("in/notes/last.txt", "Written anew\n");
    in_force(&older, Some(&one), "");
    added(&older, &stage.scene.path("in"));
    let after = stage.size(older.store().clone());
    tool(stage.scene.folder.path(), "mv", &["mirror", "kept"]);
    for steps in 0.. {
        tool(stage.scene.folder.path(), "sh", &["-c", "rm -rf mirror; cp -r kept mirror"]);
        let mortal = stage.mirror().with_steps(Arc::new(Kill(AtomicI64::new(steps))));
        let origins = [older.store().clone()];
        let done = stage.synced_into(&mortal, &origins, &pinned(&one), unwitnessed).is_ok();
        stage.synced_by(&origins, &pinned(&one), unwitnessed).unwrap_or_else(|error| panic!("{steps}: {error}"));
        let archive = Archive::open(stage.mirror()).unwrap();
        let vouched = archive.vouched(&pinned(&one), run()).unwrap();
        let found = audit(&archive, &vouched, run()).unwrap();
        assert!(found.findings.iter().all(|finding| finding.severity() == Severity::Notice), "{steps}: {found:?}");
        assert_eq!(vouched.checkpoint.size, after, "{steps}");
        let kept = tool(&stage.scene.path("mirror/.vellum/state/gave-way"), "find", &[".", "-name", "*.zst"]);
        assert_eq!(kept.lines().count(), 1, "{steps}: {kept}");
        let tiles =
            tool(&stage.scene.path("mirror/.vellum/state/gave-way"), "find", &[".", "-name", &held.to_string()]);
        assert!(!tiles.is_empty(), "{steps}: the old log's last tiles are kept");
        if done {
            assert!(steps > 20);
            break;
        }
    }
}

#[test]
fn stray_files_among_the_bundles_are_a_notice_and_every_form_that_is_there_is_checked() {
    let stage = Stage::new();
    let place = only(&stage.archive);
    let (shelf, folder) = (&place[..10], place.rsplit_once('/').unwrap().0);
    assert!(shelf.starts_with("bundles/"));
    for stray in ["bundles/.DS_Store".to_owned(), format!("{shelf}/.DS_Store"), format!("{folder}/.DS_Store")] {
        stage.scene.write(&format!("origin/{stray}"), "x");
    }
    let judged = || audit(&stage.archive, &stage.archive.vouched(&stage.pin(), run()).unwrap(), run()).unwrap();
    let found = judged();
    assert!(found.findings.iter().all(|finding| finding.severity() == Severity::Notice), "{found:?}");
    // The leaf of a file that has another size: no mirror would take the file.
    let Leaf::Bundle { manifest, signatures, .. } =
        vellum::archive::Log::new(stage.archive.store(), 1).leaf(0).unwrap()
    else {
        unreachable!()
    };
    let id = BundleId(Digest::of(manifest.to_string().as_bytes()));
    let bytes = fs::read(stage.path().join(&place)).unwrap();
    let bad = [&bytes[..1000], &[bytes[1000] ^ 1], &bytes[1001..]].concat();
    let file = Digest::of(&bad);
    let form = |size| Leaf::Bundle { manifest: manifest.clone(), size, file, signatures: signatures.clone() };
    let files = vec![(layout::bundle(id, &file), bad.clone())];
    published(&stage.archive, Publication { leaves: vec![form(bad.len() as u64)], files, ..Publication::default() });
    let first = |found: vellum::collection::audit::Audit| {
        found.findings.into_iter().find(|finding| finding.severity() == Severity::Damage).map(|f| f.to_string())
    };
    assert!(first(judged()).is_some(), "the newer form is damaged, the older one whole");
    assert!(stage.synced(&[stage.origin()]).is_ok(), "any one form makes a mirror complete");
    let history = stage.archive.vouched(&stage.pin(), run()).unwrap().history;
    let (read, _, _) = open_holder(&stage.archive, &history, id).unwrap().unwrap();
    assert_eq!(check(read.source(), run()).unwrap().findings, [], "a reader takes the older one");
}

#[test]
fn an_origin_that_hides_a_statement_does_not_bring_back_what_was_withdrawn() {
    let stage = Stage::gone_on();
    withdrawn(&stage.archive, "letter-1");
    let held = stage.size(stage.mirror());
    let server = Server::start(&stage.path(), |asked| match asked.path.starts_with("withdrawn/") {
        true => Answer::Status(404, "X: y".into()),
        false => Answer::Honest,
    });
    let error = stage.synced(&[stage.remote(&server)]).expect_err("hidden");
    assert!(chain(&error).contains("withdrawn/"), "{}", chain(&error));
    assert_eq!(stage.size(stage.mirror()), held);
    stage.sound(held);
    stage.synced(&[stage.origin()]).unwrap();
    stage.sound(stage.size(stage.origin()));
}

#[test]
fn a_document_that_nobody_has_keeps_no_bundle_from_a_mirror() {
    let stage = Stage::gone_on();
    let digest = Digest::of(b"gone");
    let comment = Comment::new(Kind::Document, Some(ORIGIN), digest, options().time).unwrap();
    let signature = Signature::sign(&signer(), b"gone", &comment).unwrap();
    let signatures = logged::keep(signer().public(), &signature).into_iter().collect();
    let leaf = Leaf::Document { name: "gone.txt".into(), file: digest, signatures };
    published(&stage.archive, Publication { leaves: vec![leaf], ..Publication::default() });
    let report = stage.synced(&[stage.origin()]).unwrap();
    assert_eq!((report.bundles.0, report.absent), (1, vec!["gone.txt".to_owned()]));
    let mirror = Archive::open(stage.mirror()).unwrap();
    let found = audit(&mirror, &mirror.vouched(&stage.pin(), run()).unwrap(), run()).unwrap();
    let damage: Vec<_> = found.findings.iter().filter(|f| f.severity() == Severity::Damage).collect();
    assert!(damage.len() == 1 && damage[0].to_string().contains("gone.txt"), "{found:?}");
}

#[test]
fn a_mirror_heals_its_log_from_an_origin_and_blames_nobody() {
    for what in ["entries", "0"] {
        for goes_on in [false, true] {
            let stage = Stage::new();
            stage.synced(&[stage.origin()]).unwrap();
            if goes_on {
                stage.add("in/notes/new.txt", "Something new\n");
            }
            let flip = format!(
                "for f in $(find mirror/tile/{what} -type f); do printf x | dd of=$f bs=1 seek=40 conv=notrunc status=none; done"
            );
            tool(stage.scene.folder.path(), "sh", &["-c", &flip]);
            let report = stage.synced(&[stage.origin()]).unwrap();
            assert_eq!((report.dropped, report.gave_way), (Vec::new(), None), "{what} {goes_on}");
            stage.sound(stage.size(stage.origin()));
            let narrower = "find origin/tile -path '*.p/*' | sort -V | awk -F/ '{n[$3]++; f[$3]=$0} END {for (k in f) print f[k]}'";
            for place in tool(stage.scene.folder.path(), "sh", &["-c", narrower]).lines() {
                let same = |folder: &str| fs::read(stage.scene.path(&place.replacen("origin", folder, 1))).unwrap();
                assert_eq!(same("mirror"), same("origin"), "{place}");
            }
            // From an origin that has another history it is not healed.
            tool(stage.scene.folder.path(), "sh", &["-c", &flip]);
            let fork = Archive::create(
                Store::new(&stage.scene.path("fork")),
                ORIGIN.parse().unwrap(),
                &log_key(),
                "test",
                run(),
            );
            let fork = fork.unwrap();
            for n in 0..4 {
                stage.scene.write("in/notes/other.txt", format!("Other {n}\n"));
                added(&fork, &stage.scene.path("in"));
            }
            stage.synced(&[fork.store().clone()]).expect_err("another history");
        }
    }
}

#[test]
fn a_document_is_put_over_an_earlier_one_and_over_no_file_of_the_mirrors_keeper() {
    let stage = Stage::new();
    stage.synced(&[stage.origin()]).unwrap();
    stage.scene.write("mirror/robots.txt", "my own\n");
    let logged = |text: &str| {
        let digest = Digest::of(text.as_bytes());
        let comment = Comment::new(Kind::Document, Some(ORIGIN), digest, options().time).unwrap();
        let signature = Signature::sign(&signer(), text.as_bytes(), &comment).unwrap();
        let signatures: Vec<_> = logged::keep(signer().public(), &signature).into_iter().collect();
        let leaf = |name: &str| Leaf::Document { name: name.into(), file: digest, signatures: signatures.clone() };
        let leaves = vec![leaf("robots.txt"), leaf("notice.txt")];
        let files = ["robots.txt", "notice.txt"].map(|name| (name.to_owned(), text.as_bytes().to_vec())).to_vec();
        published(&stage.archive, Publication { leaves, files, ..Publication::default() });
        let report = stage.synced(&[stage.origin()]).unwrap();
        let read = |name: &str| fs::read_to_string(stage.scene.path("mirror").join(name)).unwrap();
        (report.own, read("robots.txt"), read("notice.txt"))
    };
    assert_eq!(logged("one"), (vec!["robots.txt".into()], "my own\n".into(), "one".into()));
    assert_eq!(logged("two"), (vec!["robots.txt".into()], "my own\n".into(), "two".into()));
    // One that was damaged is healed.
    stage.scene.write("mirror/notice.txt", "damaged");
    assert_eq!(logged("three").2, "three");
    // Once the keeper has taken his away, the document takes its place.
    fs::remove_file(stage.scene.path("mirror/robots.txt")).unwrap();
    assert_eq!(logged("four"), (Vec::new(), "four".into(), "four".into()));
    stage.scene.write("mirror/robots.txt", "damaged");
    assert_eq!(logged("five").1, "five");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_no_file() {
    let stage = Stage::gone_on();
    tool(stage.scene.folder.path(), "sh", &["-c", "cp -r origin piped; rm piped/checkpoint; mkfifo piped/checkpoint"]);
    let error = stage.synced(&[Store::new(&stage.scene.path("piped"))]).expect_err("a pipe");
    assert!(chain(&error).contains("is no file"), "{}", chain(&error));
}

#[test]
fn a_history_that_is_not_the_one_vouched_for_gives_way_to_the_one_that_is() {
    // A thief of the log's key had a version logged, signed but not put into force, in a history of his own.
    let (stage, one, older, _) = lost();
    let two = in_force(&older, Some(&one), "");
    stage.synced_by(&[older.store().clone()], &pinned(&one), unwitnessed).unwrap();
    // The honest archive has another version 2: to who holds the thief's, that is a fork, until he vouches for it.
    let honest = in_force(&stage.archive, Some(&one), "");
    assert_ne!(honest.digest, two.digest);
    let error = stage.synced_by(&[stage.origin()], &pinned(&one), unwitnessed).expect_err("a fork");
    assert!(matches!(error, Error::Fork { .. }), "{error}");
    let report = stage.synced_by(&[stage.origin()], &pinned(&honest), unwitnessed).unwrap();
    assert!(report.gave_way.is_some(), "{report:?}");
    let mirror = Archive::open(stage.mirror()).unwrap().vouched(&pinned(&honest), run()).unwrap();
    assert_eq!(mirror.authority().policy().unwrap().digest, honest.digest);
}
