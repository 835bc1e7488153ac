//! An archive from its making to its withdrawals: what it keeps, what a kill at any step leaves, what it refuses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::scene::{Scene, installed, key, options, packed, run, tool, trusted};
use vellum::archive::catalog::{Catalog, Filter};
use vellum::archive::{Archive, Error, Pin, Publication, Vouched, Writer, layout};
use vellum::collection::add::{AddOptions, Added, add};
use vellum::collection::audit::{Audit, audit};
use vellum::collection::policy::Changes;
use vellum::collection::withdraw::{WithdrawOptions, withdraw};
use vellum::collection::{Deposited, deposit, follow, policy, prove};
use vellum::digest::Digest;
use vellum::finding::{Code, Severity};
use vellum::folder::pack::PackOptions;
use vellum::folder::walk::WalkOptions;
use vellum::format::proof::Proof;
use vellum::keys::{Comment, Kind, SecretKey, Signature, Signer, VerifierKey};
use vellum::path::EntryPath;
use vellum::store::{Steps, Store};
use vellum::trust::policy::{Policy, Role};

const ORIGIN: &str = "example.org/library";

fn signer() -> SecretKey {
    key(1)
}

fn log_key() -> SecretKey {
    key(2)
}

fn pin(archive: &Archive) -> Pin {
    Pin::Keys { keys: trusted(&signer()), log: archive.log_key().clone() }
}

fn vouched(archive: &Archive) -> Vouched {
    archive.vouched(&pin(archive), run()).unwrap()
}

fn create(store: Store) -> Result<Archive, Error> {
    Archive::create(store, ORIGIN.parse().unwrap(), &log_key(), "test", run())
}

fn add_options() -> AddOptions {
    let source = EntryPath::parse("in").unwrap();
    let walk = WalkOptions { prefix: Some(source.clone()), ..WalkOptions::default() };
    let pack = PackOptions { archive: Some(ORIGIN.parse().unwrap()), walk, ..options() };
    AddOptions { pack, source, rehash: false, take_over: false, rederive: false, reinstate: false }
}

fn try_add(archive: &Archive, input: &Path, options: &AddOptions) -> Result<Added, vellum::collection::Error> {
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run())?;
    let mut catalog = archive.catalog()?;
    add(&mut writer, &mut catalog, input, options, (&[&signer()], &pin(archive)), run())
}

fn added(archive: &Archive, input: &Path) -> Added {
    try_add(archive, input, &add_options()).unwrap()
}

fn try_withdraw(archive: &Archive, id: &str) -> Result<Digest, vellum::collection::Error> {
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run())?;
    let mut catalog = archive.catalog()?;
    let ids = [id.to_owned()];
    let options = WithdrawOptions { ids: &ids, clear: false, reason: Some("a test"), time: options().time };
    withdraw(&mut writer, &mut catalog, &options, (&[&signer()], &pin(archive)), run()).map(|(digest, _)| digest)
}

fn try_deposit(archive: &Archive, bundle: &Path) -> Result<Deposited, vellum::collection::Error> {
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run())?;
    let by: (&[&dyn Signer], _) = (&[&signer()], &pin(archive));
    deposit(&mut writer, &mut archive.catalog()?, bundle, by, options().time, run())
}

fn audited(archive: &Archive) -> Audit {
    audit(archive, &archive.as_it_lies(&pin(archive), run()).unwrap(), run()).unwrap()
}

/// Expects that nothing at all is wrong, and returns the catalog as it follows from log and bundles.
fn sound(archive: &Archive) -> Catalog {
    let found = audited(archive);
    assert_eq!(found.findings, [], "{found:?}");
    let vouched = vouched(archive);
    let mut catalog = archive.catalog().unwrap();
    follow(archive, &mut catalog, (&vouched.history, &vouched.checkpoint), run()).unwrap();
    catalog
}

fn ids(catalog: &Catalog) -> Vec<String> {
    let mut ids = Vec::new();
    let all = catalog.list(&Filter::default(), &mut |article| {
        ids.push(article.id);
        std::ops::ControlFlow::Continue(())
    });
    all.unwrap();
    ids
}

fn codes(archive: &Archive) -> Vec<Code> {
    audited(archive)
        .findings
        .iter()
        .filter(|finding| finding.severity() == Severity::Damage)
        .map(|finding| finding.code)
        .collect()
}

/// An archive that holds the scene's articles.
fn filled(scene: &Scene) -> (Archive, PathBuf) {
    let input = scene.articles();
    let archive = create(Store::new(&scene.path("archive"))).unwrap();
    added(&archive, &input);
    (archive, input)
}

fn proof(archive: &Archive, catalog: &Catalog, id: &str) -> Proof {
    let vouched = vouched(archive);
    let note = vouched.note.to_string();
    prove::prove_article(archive, catalog, &vouched.history, (&vouched.checkpoint, &note), id).unwrap()
}

fn only_bundle(archive: &Archive) -> PathBuf {
    let found = tool(&archive.store().path(""), "find", &["bundles", "-name", "*.tar.zst"]);
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines.len(), 1);
    archive.store().path(lines[0])
}

#[test]
fn an_unchanged_article_is_never_stored_twice_and_a_changed_one_has_a_history() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    assert_eq!(sound(&archive).counts().unwrap(), (4, 4));
    assert_eq!(added(&archive, &input).unchanged, 4);
    // Without the cache every file is read, and nothing is stored either.
    fs::remove_dir_all(scene.path("archive/.vellum/cache")).unwrap();
    let again = added(&archive, &input);
    assert_eq!((again.unchanged, again.packed.bundles.len()), (4, 0));

    let old = fs::read(scene.path("in/essays/tides.md")).unwrap();
    scene.write("in/essays/tides.md", "# On tides\n\nTwice a day, almost.\n");
    let changed = added(&archive, &input);
    assert_eq!((changed.changed.as_slice(), changed.unchanged), (["in/essays/tides".to_owned()].as_slice(), 3));
    assert_eq!(changed.packed.bundles[0].manifest.articles, 1);
    scene.write("in/essays/tides.md", old);
    // A return to an earlier text is a revision like any other, in a bundle of its own.
    let returned = added(&archive, &input);
    assert_eq!((returned.changed.len(), returned.packed.bundles.len()), (1, 1));
    let catalog = sound(&archive);
    let history = catalog.history("in/essays/tides").unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[0].lines, history[2].lines);
    assert_ne!(history[0].bundle, history[2].bundle);
    assert_ne!(history[0].lines, history[1].lines);
}

#[test]
fn what_vanished_is_reported_and_stays() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    fs::remove_file(scene.path("in/notes/empty.txt")).unwrap();
    assert_eq!(added(&archive, &input).vanished, ["in/notes/empty"]);
    assert!(ids(&sound(&archive)).contains(&"in/notes/empty".to_owned()));
}

#[test]
fn an_id_of_one_source_is_not_revised_by_another_unless_it_takes_it_over() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    scene.write("other/a.txt", "A");
    scene.write("other/a.toml", "title = \"A\"\nid = \"letter-1\"\n");
    let source = EntryPath::parse("other").unwrap();
    let mut options = AddOptions { source: source.clone(), ..add_options() };
    options.pack.walk.prefix = Some(source);
    assert!(try_add(&archive, &scene.path("other"), &options).is_err());
    let taken = try_add(&archive, &scene.path("other"), &AddOptions { take_over: true, ..options }).unwrap();
    assert_eq!(taken.changed, ["letter-1"]);
    sound(&archive);
}

#[test]
fn a_catalog_made_anew_is_the_one_that_grew() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    scene.write("in/essays/tides.md", "# On tides\n\nTwice a day, almost.\n");
    added(&archive, &input);
    try_withdraw(&archive, "letter-1").unwrap();
    scene.write("in/notes/more.txt", "More notes on 潮汐.\n");
    added(&archive, &input);
    let mut grown = Vec::new();
    sound(&archive).dump(&mut grown).unwrap();
    fs::remove_dir_all(scene.path("archive/.vellum/cache")).unwrap();
    let mut anew = Vec::new();
    sound(&archive).dump(&mut anew).unwrap();
    assert_eq!(String::from_utf8(grown).unwrap(), String::from_utf8(anew).unwrap());
}

#[test]
fn search_finds_words_phrases_and_beginnings_in_any_script() {
    let scene = Scene::new();
    let input = scene.articles();
    scene.write(
        "in/notes/night.html",
        "<title>Night</title><p>The n<b>igh</b>t shelf at the harbour. Überall Gezeiten.</p><script>hidden</script>",
    );
    scene.write("in/notes/列車.txt", "夜行列車の時刻表\n");
    let archive = create(Store::new(&scene.path("archive"))).unwrap();
    added(&archive, &input);
    let catalog = sound(&archive);
    let found = |query: &str| {
        let hits = catalog.search(query, &Filter::default(), 10).unwrap();
        hits.into_iter().map(|hit| hit.article.id.trim_start_matches("in/").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("night shelf"), ["notes/night"]);
    assert_eq!(found("\"shelf at the\""), ["notes/night"]);
    assert_eq!(found("\"at shelf\""), [""; 0]);
    assert_eq!(found("harb*"), ["notes/night"]);
    assert_eq!(found("uberall gezeiten"), ["notes/night"]);
    assert_eq!(found("hidden"), [""; 0]);
    assert_eq!(found("時刻"), ["notes/列車"]);
    assert_eq!(found("刻時"), [""; 0]);
    assert_eq!(found("sea -twice"), [""; 0]);
    assert_eq!(found("随筆"), ["notes/随筆"]);
    for odd in ["\"", "*", "(", "a OR", "NEAR(a b)", "title:x", "-", "\0", "'; DROP TABLE words"] {
        catalog.search(odd, &Filter::default(), 10).unwrap();
    }
    let hits = catalog.search("harbour", &Filter::default(), 10).unwrap();
    let marked: Vec<_> = hits[0].snippet.iter().filter(|span| span.matched).map(|span| span.text.as_str()).collect();
    assert_eq!(marked, ["harbour"]);
    let by = |filter: Filter| catalog.search("the", &filter, 10).unwrap().len();
    assert_eq!(by(Filter { author: Some("moll".into()), ..Filter::default() }), 1);
    assert_eq!(by(Filter { language: Some("EN".into()), ..Filter::default() }), 1);
    assert_eq!(by(Filter { from: Some("2026".into()), ..Filter::default() }), 0);
}

#[test]
fn a_withdrawn_articles_bytes_leave_and_its_old_proof_holds() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    let catalog = sound(&archive);
    let proof = proof(&archive, &catalog, "letter-1");
    let before = only_bundle(&archive);
    try_withdraw(&archive, "letter-1").unwrap();
    assert!(!before.exists());
    let catalog = sound(&archive);
    assert_eq!(ids(&catalog), ["in/essays/tides", "in/notes/empty", "in/notes/随筆"]);
    let rest = only_bundle(&archive);
    if installed("zstd") {
        assert!(!tool(Path::new("/"), "tar", &["--zstd", "-tf", &rest.display().to_string()]).contains("letter"));
    }
    // The proof made before is still one.
    let letter = Digest::of(&fs::read(scene.path("in/letters/first/letter.html")).unwrap());
    let proof = Proof::decode(proof.encode().as_bytes()).unwrap();
    let proved = prove::verify_proof(&proof, archive.log_key(), letter).unwrap();
    assert_eq!((proved.article.as_str(), proved.paths.len()), ("letter-1", 1));
    assert_eq!(proved.signatures.iter().map(|s| s.key).collect::<Vec<_>>(), [*signer().public().as_bytes()]);
    // What is left is proved by the bundle that was logged first.
    let other = Digest::of(&fs::read(scene.path("in/essays/tides.md")).unwrap());
    let rest = self::proof(&archive, &catalog, "in/essays/tides");
    assert_eq!(prove::verify_proof(&rest, archive.log_key(), other).unwrap().bundle, proved.bundle);
    // It is not packed again, unless that is asked for.
    let left_out = added(&archive, &input);
    assert_eq!((left_out.withdrawn.as_slice(), left_out.packed.bundles.len()), (["letter-1".to_owned()].as_slice(), 0));
    let back = try_add(&archive, &input, &AddOptions { reinstate: true, ..add_options() }).unwrap();
    assert_eq!(back.new, ["letter-1"]);
    assert!(ids(&sound(&archive)).contains(&"letter-1".to_owned()));
}

#[test]
fn a_proof_is_refused_when_anything_in_it_is_changed() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    let catalog = sound(&archive);
    let proof = proof(&archive, &catalog, "letter-1");
    let file = Digest::of(&fs::read(scene.path("in/letters/first/letter.html")).unwrap());
    let log = archive.log_key();
    assert!(prove::verify_proof(&proof, log, file).is_ok());
    let broken: [fn(&mut Proof); 8] = [
        |proof| proof.extra.id.push('x'),
        |proof| proof.extra.lines = proof.extra.lines.replace("letter.html", "better.html"),
        |proof| proof.extra.leaf[30] ^= 1,
        |proof| proof.index += 1,
        |proof| proof.hashes.push(Digest::of(b"")),
        |proof| proof.extra.path.as_mut().unwrap().0 += 1,
        |proof| proof.checkpoint = proof.checkpoint.replacen('\n', "x\n", 1),
        |proof| proof.extra.path.as_mut().unwrap().1[0] = Digest::of(b""),
    ];
    for (n, break_it) in broken.into_iter().enumerate() {
        let mut proof = proof.clone();
        break_it(&mut proof);
        assert!(prove::verify_proof(&proof, log, file).is_err(), "change {n}");
    }
    assert!(prove::verify_proof(&proof, log, Digest::of(b"another file")).is_err());
    let other = vellum::keys::VerifierKey::new(ORIGIN, key(9).public()).unwrap();
    assert!(prove::verify_proof(&proof, &other, file).is_err());
}

#[test]
fn a_bundle_made_elsewhere_is_deposited_once() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    scene.write("else/poem.txt", "A poem.\n");
    let bundle = packed(&scene.path("else"), &scene.path("bundles"), &options(), &key(5)).bundles[0].file.clone();
    assert!(matches!(try_deposit(&archive, &bundle).unwrap(), Deposited::Logged(_)));
    assert_eq!(try_deposit(&archive, &bundle).unwrap(), Deposited::There);
    let catalog = archive.catalog().unwrap();
    assert!(ids(&catalog).contains(&"poem".to_owned()));
    // Of the two signers the archive's own is trusted, so the bundle is authentic; the other one is only noted.
    assert_eq!(codes(&archive), []);
}

/// Lets so many steps pass and fails all after, as a kill would.
struct Kill(AtomicI64);

impl Steps for Kill {
    fn step(&self, _what: &str) -> io::Result<()> {
        if self.0.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::Error::other("killed")) }
    }
}

/// Runs `act` on copies of `before`, killed before each of its steps in turn, and lets `check` look at what is left after recovery.
fn killed_at_every_step(
    scene: &Scene,
    before: &Path,
    act: impl Fn(&Archive) -> bool,
    check: impl Fn(&Archive, bool),
) -> i64 {
    for steps in 0.. {
        let copy = scene.path(&format!("killed-{steps}"));
        tool(Path::new("/"), "cp", &["-a", &before.display().to_string(), &copy.display().to_string()]);
        let kill = Arc::new(Kill(AtomicI64::new(steps)));
        let done = act(&Archive::open(Store::new(&copy).with_steps(kill.clone())).unwrap());
        let archive = Archive::open(Store::new(&copy)).unwrap();
        // A claim that brings another key of the log with it is finished by who has that one.
        let (old, new) = (log_key(), key(6));
        match Writer::begin(&archive, &[&old], "recovery", run()) {
            Err(Error::LogKeyAbsent { .. }) => drop(Writer::begin(&archive, &[&old, &new], "recovery", run()).unwrap()),
            other => drop(other.unwrap()),
        }
        assert!(!archive.store().exists(layout::CLAIM) && !archive.store().exists(layout::INTENT));
        check(&archive, done);
        fs::remove_dir_all(&copy).unwrap();
        // What failed as a cache only does not end the run: only a run with steps to spare is the last.
        if done && kill.0.load(Ordering::Relaxed) > 0 {
            return steps;
        }
    }
    unreachable!("the steps are countable")
}

#[test]
fn a_kill_at_any_step_of_a_pack_loses_nothing_and_needs_nobody() {
    let scene = Scene::new();
    let (_, input) = filled(&scene);
    scene.write("in/essays/tides.md", "# On tides\n\nTwice a day, almost.\n");
    scene.write("in/notes/more.txt", "More.\n");
    let steps = killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| try_add(archive, &input, &add_options()).is_ok(),
        |archive, done| {
            let known = ids(&sound(archive));
            assert!(known.len() == 5 || (known.len() == 4 && !done), "{known:?}");
            // The next pack finds what is missing, and only that.
            let next = added(archive, &input);
            assert_eq!(next.new.len() + next.changed.len(), if known.len() == 5 { 0 } else { 2 });
            assert_eq!(sound(archive).counts().unwrap(), (5, 6));
        },
    );
    assert!(steps > 20, "{steps} steps are too few to be all");
}

#[test]
fn a_kill_at_any_step_of_a_withdrawal_leaves_it_undone_or_done() {
    let scene = Scene::new();
    let (_, input) = filled(&scene);
    let steps = killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| try_withdraw(archive, "letter-1").is_ok(),
        |archive, done| {
            let known = ids(&sound(archive));
            assert!(known.len() == 3 || (known.len() == 4 && !done), "{known:?}");
            only_bundle(archive);
            added(archive, &input);
            if known.len() == 4 {
                try_withdraw(archive, "letter-1").unwrap();
            }
            assert_eq!(ids(&sound(archive)).len(), 3);
        },
    );
    assert!(steps > 20, "{steps} steps are too few to be all");
}

#[test]
fn a_kill_at_any_step_of_making_an_archive_lets_it_be_made_again() {
    let scene = Scene::new();
    for steps in 0.. {
        let path = scene.path(&format!("archive-{steps}"));
        let kill = Arc::new(Kill(AtomicI64::new(steps)));
        let done = create(Store::new(&path).with_steps(kill)).is_ok();
        // Only the header makes it an archive; a kill after that leaves a whole one.
        let archive = match Archive::open(Store::new(&path)) {
            Ok(archive) => archive,
            Err(_) => create(Store::new(&path)).unwrap(),
        };
        sound(&archive);
        assert_eq!(vouched(&archive).checkpoint.size, 0);
        if done {
            assert!(steps > 10, "{steps} steps are too few to be all");
            break;
        }
    }
}

/// Puts the second version of a policy into force: another key, and another key of the log.
fn try_rotate(archive: &Archive) -> Result<Policy, vellum::collection::Error> {
    let (old, new) = (log_key(), key(6));
    let log: [&dyn Signer; 2] = [&old, &new];
    let mut writer = Writer::begin(archive, &log, "test", run())?;
    let history = writer.history(&pin(archive), run())?;
    let add = vec![("second".to_owned(), key(7).public().clone(), vec![Role::Publish])];
    let changes = Changes {
        add,
        add_logs: vec![VerifierKey::new(ORIGIN, new.public()).unwrap()],
        retire_logs: vec![archive.log_key().to_string()],
        ..Changes::default()
    };
    let head = (archive.origin(), &writer.checkpoint().clone(), archive.log_key());
    let text = policy::propose(&history, head, &changes)?.to_string();
    policy::apply(&mut writer, &history, text.as_bytes(), &[signed(&text)])
}

/// Puts the first version of a policy into force.
fn govern(archive: &Archive) {
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let mut writer = Writer::begin(archive, &log, "test", run()).unwrap();
    let history = writer.history(&pin(archive), run()).unwrap();
    let add = vec![("first".to_owned(), signer().public().clone(), vec![Role::Root, Role::Publish, Role::Withdraw])];
    let changes = Changes { add, ..Changes::default() };
    let head = (archive.origin(), &writer.checkpoint().clone(), archive.log_key());
    let text = policy::propose(&history, head, &changes).unwrap().to_string();
    policy::apply(&mut writer, &history, text.as_bytes(), &[signed(&text)]).unwrap();
}

fn signed(policy: &str) -> Vec<u8> {
    let comment = Comment::new(Kind::Policy, Some(ORIGIN), Digest::of(policy.as_bytes()), options().time).unwrap();
    Signature::sign(&signer(), policy.as_bytes(), &comment).unwrap().to_string().into_bytes()
}

#[test]
fn a_kill_at_any_step_of_changing_the_policy_and_the_logs_key_leaves_the_old_or_the_new_one() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    govern(&archive);
    let steps = killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| try_rotate(archive).is_ok(),
        |archive, done| {
            sound(archive);
            let version = vouched(archive).history.authority.policy().unwrap().version;
            assert!(version == 2 || (version == 1 && !done), "version {version}");
            // Whoever was killed does it again.
            if version == 1 {
                try_rotate(archive).unwrap();
            }
            sound(archive);
            assert_eq!(vouched(archive).log_key.public().as_bytes(), key(6).public().as_bytes());
        },
    );
    assert!(steps > 10, "{steps} steps are too few to be all");
}

#[test]
fn a_kill_at_any_step_of_a_deposit_leaves_the_bundle_out_or_in() {
    let scene = Scene::new();
    filled(&scene);
    scene.write("else/poem.txt", "A poem.\n");
    let bundle = packed(&scene.path("else"), &scene.path("bundles"), &options(), &key(5)).bundles[0].file.clone();
    let steps = killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| try_deposit(archive, &bundle).is_ok(),
        |archive, done| {
            let known = ids(&sound(archive));
            assert!(known.len() == 5 || (known.len() == 4 && !done), "{known:?}");
            assert_eq!(try_deposit(archive, &bundle).unwrap() != Deposited::There, known.len() == 4);
            assert_eq!(ids(&sound(archive)).len(), 5);
        },
    );
    assert!(steps > 10, "{steps} steps are too few to be all");
}

#[test]
fn a_kill_at_any_step_of_reinstating_leaves_the_article_out_or_in() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    try_withdraw(&archive, "letter-1").unwrap();
    let again = AddOptions { reinstate: true, ..add_options() };
    let steps = killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| try_add(archive, &input, &again).is_ok(),
        |archive, done| {
            let known = ids(&sound(archive));
            assert!(known.len() == 4 || (known.len() == 3 && !done), "{known:?}");
            try_add(archive, &input, &again).unwrap();
            assert_eq!(ids(&sound(archive)).len(), 4);
        },
    );
    assert!(steps > 20, "{steps} steps are too few to be all");
}

#[test]
fn a_killed_publication_takes_back_what_it_put_there_and_nothing_that_was_there_before() {
    let scene = Scene::new();
    filled(&scene);
    killed_at_every_step(
        &scene,
        &scene.path("archive"),
        |archive| {
            let secret = log_key();
            let log: [&dyn Signer; 1] = [&secret];
            let Ok(mut writer) = Writer::begin(archive, &log, "test", run()) else { return false };
            let header = archive.store().read("archive.toml", 1 << 20).unwrap();
            let files = vec![("trust/1.toml".to_owned(), b"new".to_vec()), ("archive.toml".to_owned(), header)];
            writer.publish(Publication { files, ..Publication::default() }).is_ok()
        },
        |archive, done| {
            assert!(archive.store().exists("archive.toml"));
            assert!(archive.store().exists("trust/1.toml") || !done);
        },
    );
}

#[test]
fn an_intent_of_ten_thousand_files_is_taken_back_too() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    let places: Vec<String> = (0..10_000).map(|n| format!("bundles/00/{n:0>64}/0123456789abcdef.tar.zst")).collect();
    scene.write("archive/.vellum/state/intent", places.join("\n") + "\n");
    scene.write(&format!("archive/{}", places[9_999]), "half of it");
    let secret = log_key();
    drop(Writer::begin(&archive, &[&secret], "recovery", run()).unwrap());
    assert!(!archive.store().exists(layout::INTENT) && !archive.store().exists(&places[9_999]));
    sound(&archive);
}

#[test]
fn two_writers_at_once_are_one_writer_and_a_refusal_by_name() {
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    let secret = log_key();
    let log: [&dyn Signer; 1] = [&secret];
    let first = Writer::begin(&archive, &log, "the first", run()).unwrap();
    match Writer::begin(&archive, &[&secret], "the second", run()) {
        Err(Error::Busy { by }) => assert_eq!(by, "the first"),
        other => panic!("{:?}", other.map(|_| ())),
    }
    drop(first);
    assert!(Writer::begin(&archive, &[&secret], "the second", run()).is_ok());
}

#[test]
fn nothing_is_signed_that_does_not_extend_what_was_signed() {
    let scene = Scene::new();
    let (archive, input) = filled(&scene);
    let copy = scene.path("copy");
    tool(Path::new("/"), "cp", &["-a", &scene.path("archive").display().to_string(), &copy.display().to_string()]);
    scene.write("in/notes/more.txt", "More.\n");
    added(&archive, &input);
    let secret = log_key();
    // An older copy of all but the state: the log would fork.
    let old = Archive::open(Store::new(&copy)).unwrap();
    let signed = fs::read(scene.path("archive/.vellum/state/signed")).unwrap();
    fs::write(copy.join(".vellum/state/signed"), &signed).unwrap();
    assert!(matches!(Writer::begin(&old, &[&secret], "test", run()), Err(Error::Refused(_))));
    // An older state beside a newer checkpoint.
    fs::copy(scene.path("archive/checkpoint"), copy.join("checkpoint")).unwrap();
    assert!(Writer::begin(&old, &[&secret], "test", run()).is_err());
    // No state at all.
    fs::remove_file(scene.path("archive/.vellum/state/signed")).unwrap();
    assert!(matches!(Writer::begin(&archive, &[&secret], "test", run()), Err(Error::NoState(_))));
    // Another key than the log's.
    assert!(matches!(Writer::begin(&archive, &[&key(7)], "test", run()), Err(Error::OtherLogKey { .. })));
}

#[test]
fn every_damage_to_an_archive_has_its_code() {
    let damages: [(&str, Code); 5] = [
        ("rm $(find archive/bundles -name '*.zst')", Code::BundleMissing),
        (
            "f=$(find archive/bundles -name '*.zst'); printf x | dd of=$f bs=1 seek=40 conv=notrunc status=none",
            Code::BundleFile,
        ),
        (
            "for f in $(find archive/tile/0 -type f); do printf x | dd of=$f bs=1 seek=10 conv=notrunc status=none; done",
            Code::Log,
        ),
        ("for f in $(find archive/tile/entries -type f); do sed -i 's/^size ./size x/' $f; done", Code::Log),
        ("rm archive/withdrawn/*.toml", Code::Withdrawal),
    ];
    for (damage, code) in damages {
        let scene = Scene::new();
        let (archive, _) = filled(&scene);
        try_withdraw(&archive, "letter-1").unwrap();
        assert_eq!(codes(&archive), []);
        tool(scene.folder.path(), "sh", &["-c", damage]);
        assert!(codes(&archive).contains(&code), "{damage}: {:?}", codes(&archive));
    }
    let scene = Scene::new();
    let (archive, _) = filled(&scene);
    scene.write("archive/bundles/00/stray/0000000000000000.tar.zst", "x");
    let found = audited(&archive);
    assert_eq!(found.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::Stray]);
    scene.write("archive/checkpoint", "nonsense");
    assert!(archive.vouched(&pin(&archive), run()).is_err());
}
