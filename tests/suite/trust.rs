//! The trust policy: what changes it, what its keys may do and when. Scenarios after the rotation, rollback, expiration and keys groups of TUF's
//! conformance suite, rebuilt for a policy whose keys are judged at a leaf's index.

use crate::scene::{Scene, installed, key, run, said, tool};
use jiff::Timestamp;
use vellum::archive::history::HistoryFault;
use vellum::archive::{Archive, Error, Pin, Publication, Writer};
use vellum::digest::Digest;
use vellum::format::leaf::{self, Leaf};
use vellum::ids::{LeafIndex, Origin};
use vellum::keys::{Comment, Kind, Note, SecretKey, Signature, Signer, VerifierKey};
use vellum::merkle;
use vellum::store::Store;
use vellum::trust::authority::{Authority, Fresh, Signed, Witnessed};
use vellum::trust::logged;
use vellum::trust::policy::{self, Policy, PolicyFault, Role, is_signed};

const ORIGIN: &str = "example.org/library";

fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn log() -> VerifierKey {
    VerifierKey::new(ORIGIN, key(100).public()).unwrap()
}

/// Stands in a policy's text for the digest of the version before.
const PREVIOUS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A policy's text: its version, its root threshold, and its keys, each with lines of its own; made on an empty log.
fn text(version: u64, root: u64, keys: &[(u8, &str)]) -> String {
    let previous = if version > 1 { format!("previous = \"{PREVIOUS}\"\n") } else { String::new() };
    let mut text = format!(
        "format = \"vellum-trust/1\"\narchive = \"{ORIGIN}\"\nversion = {version}\n{previous}log = {{ size = 0, root = \"{}\" }}\n\
         [threshold]\nroot = {root}\npublish = 1\nwithdraw = 1\n",
        merkle::empty_root().labelled()
    );
    for (seed, more) in keys {
        let public = key(*seed).public().to_line();
        text.push_str(&format!(
            "[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\nroles = [\"root\", \"publish\", \"withdraw\"]\n{more}\n"
        ));
    }
    text + &format!("[[log_key]]\nvkey = \"{}\"\n", log())
}

/// The text with the digest of the version before.
fn after(of: &Policy, text: &str) -> String {
    text.replace(PREVIOUS, &of.digest.labelled())
}

fn signed(bytes: &[u8], by: &SecretKey, kind: Kind, archive: &str) -> Vec<u8> {
    let comment = Comment::new(kind, Some(archive), Digest::of(bytes), time("2026-03-01T00:00:00Z")).unwrap();
    Signature::sign(by, bytes, &comment).unwrap().to_string().into_bytes()
}

fn signatures(text: &str, by: &[u8]) -> Vec<Vec<u8>> {
    by.iter().map(|seed| signed(text.as_bytes(), &key(*seed), Kind::Policy, ORIGIN)).collect()
}

fn by_these<'a>(text: &'a str, signatures: &'a [Vec<u8>]) -> impl Fn(&policy::PolicyKey) -> bool + 'a {
    |key| signatures.iter().any(|s| is_signed(s, &key.public, text.as_bytes(), Kind::Policy, &origin()))
}

fn first(text: &str, by: &[u8]) -> Result<Policy, PolicyFault> {
    let policy = Policy::pinned(text.as_bytes(), &origin())?;
    policy.signed_by_own(by_these(text, &signatures(text, by)))?;
    Ok(policy)
}

fn next(of: &Policy, text: &str, by: &[u8]) -> Result<Policy, PolicyFault> {
    let text = after(of, text);
    let policy = Policy::pinned(text.as_bytes(), &origin())?;
    of.goes_on(&policy)?;
    let signatures = signatures(&text, by);
    of.signs_next(by_these(&text, &signatures))?;
    policy.signed_by_own(by_these(&text, &signatures))?;
    Ok(policy)
}

fn lacks(outcome: Result<Policy, PolicyFault>, of_version: u64, expected: u64, found: u64) {
    match outcome {
        Err(PolicyFault::Unsigned { of, expected: e, found: f, .. }) => {
            assert_eq!((of, e, f), (of_version, expected, found));
        }
        other => panic!("{other:?}"),
    }
}

/// Whether a signature by this key in this leaf makes a bundle count, under a policy that was logged first of all.
fn counts(policy: &Policy, by: u8, leaf: u64) -> bool {
    let mut authority = Authority::default();
    authority.enact(policy.clone(), LeafIndex(0));
    let signed = Signed { leaf: LeafIndex(leaf), key: *key(by).public().as_bytes() };
    authority.judge(Role::Publish, LeafIndex(leaf), &[signed]).is_met()
}

/// A policy with a threshold of publishers, made on a log of this size.
fn of_publishers(version: u64, publish: u64, size: u64) -> Policy {
    let text = text(version, 1, &[(1, ""), (2, "")]).replace("publish = 1", &format!("publish = {publish}"));
    let text = text.replace("size = 0", &format!("size = {size}"));
    Policy::decode(text.as_bytes()).unwrap()
}

/// Whether what was logged at `place` counts by signatures in these leaves.
fn counts_by(policies: &[(Policy, u64)], place: u64, signed: &[(u64, u8)]) -> bool {
    let mut authority = Authority::default();
    policies.iter().for_each(|(policy, leaf)| authority.enact(policy.clone(), LeafIndex(*leaf)));
    let one = |(leaf, by): &(u64, u8)| Signed { leaf: LeafIndex(*leaf), key: *key(*by).public().as_bytes() };
    authority.judge(Role::Publish, LeafIndex(place), &signed.iter().map(one).collect::<Vec<_>>()).is_met()
}

#[test]
fn a_place_from_before_a_threshold_was_raised_is_no_way_round_it() {
    let policies = [(of_publishers(1, 1, 0), 0), (of_publishers(2, 2, 3), 3)];
    let counts = |signed: &[(u64, u8)]| counts_by(&policies, 1, signed);
    assert!(counts(&[(1, 1)]));
    assert!(counts(&[(1, 1), (5, 2)]));
    assert!(counts(&[(2, 1)]), "signed later, before it was raised");
    // The log's thief has taken a place without a signature; one stolen key signs when it takes two.
    assert!(!counts(&[(4, 1)]));
    assert!(!counts(&[(4, 1), (5, 1)]));
    assert!(counts(&[(4, 1), (5, 2)]));
    // A threshold that is lowered lets nothing through that was logged under the higher one.
    let lowered = [(of_publishers(1, 2, 0), 0), (of_publishers(2, 1, 3), 3)];
    assert!(!counts_by(&lowered, 1, &[(1, 1)]) && !counts_by(&lowered, 1, &[(5, 1)]));
    assert!(counts_by(&lowered, 1, &[(1, 1), (5, 2)]) && counts_by(&lowered, 4, &[(4, 1)]));
}

#[test]
fn what_is_logged_between_the_first_policys_head_and_its_leaf_takes_as_many_keys_as_it_says() {
    let policies = [(of_publishers(1, 2, 1), 3)];
    assert!(counts_by(&policies, 0, &[(0, 1)]));
    for place in [1, 2, 4] {
        assert!(!counts_by(&policies, place, &[(place, 1)]), "{place}");
        assert!(counts_by(&policies, place, &[(place, 1), (place, 2)]), "{place}");
    }
}

// Rotation.

#[test]
fn a_key_is_replaced_by_another_when_both_have_signed() {
    let one = first(&text(1, 1, &[(1, "")]), &[1]).unwrap();
    let two = text(2, 1, &[(1, "retired_at = 0"), (2, "valid_from = 0")]);
    assert_eq!(next(&one, &two, &[1, 2]).unwrap().version, 2);
    lacks(next(&one, &two, &[2]), 1, 1, 0);
    lacks(next(&one, &two, &[1]), 2, 1, 0);
}

#[test]
fn a_threshold_of_two_needs_two_of_the_old_and_two_of_the_new() {
    let one = first(&text(1, 2, &[(1, ""), (2, "")]), &[1, 2]).unwrap();
    let two = text(2, 2, &[(1, ""), (2, "retired_at = 0"), (3, "valid_from = 0")]);
    lacks(next(&one, &two, &[1, 3]), 1, 2, 1);
    lacks(next(&one, &two, &[1, 2]), 2, 2, 1);
    assert!(next(&one, &two, &[1, 2, 3]).is_ok());
}

#[test]
fn a_threshold_that_rises_is_met_by_the_new_version() {
    let one = first(&text(1, 1, &[(1, ""), (2, "")]), &[1]).unwrap();
    let two = text(2, 2, &[(1, ""), (2, "")]);
    lacks(next(&one, &two, &[1]), 2, 2, 1);
    assert!(next(&one, &two, &[1, 2]).is_ok());
}

#[test]
fn a_threshold_that_falls_is_still_met_as_it_was() {
    let one = first(&text(1, 2, &[(1, ""), (2, "")]), &[1, 2]).unwrap();
    let two = text(2, 1, &[(1, ""), (2, "")]);
    lacks(next(&one, &two, &[1]), 1, 2, 1);
    assert!(next(&one, &two, &[1, 2]).is_ok());
}

#[test]
fn one_of_many_roots_is_enough_where_the_policy_says_so() {
    let one = first(&text(1, 1, &[(1, ""), (2, ""), (3, "")]), &[2]).unwrap();
    assert!(next(&one, &text(2, 1, &[(1, ""), (2, ""), (3, "")]), &[1]).is_ok());
}

#[test]
fn a_retired_or_compromised_root_changes_nothing_any_more() {
    let one = first(&text(1, 1, &[(1, "retired_at = 5"), (2, "compromised_at = 5"), (3, "")]), &[3]).unwrap();
    let two = text(2, 1, &[(1, "retired_at = 5"), (2, "compromised_at = 5"), (3, "")]);
    lacks(next(&one, &two, &[1, 2]), 1, 1, 0);
    assert!(next(&one, &two, &[3]).is_ok());
}

#[test]
fn a_first_policy_meets_its_own_threshold() {
    lacks(first(&text(1, 2, &[(1, ""), (2, "")]), &[1]), 1, 2, 1);
    assert!(first(&text(1, 2, &[(1, ""), (2, "")]), &[2, 1]).is_ok());
}

// Rollback.

#[test]
fn a_version_neither_goes_back_nor_stays_nor_skips() {
    let one = first(&text(1, 1, &[(1, "")]), &[1]).unwrap();
    let two = next(&one, &text(2, 1, &[(1, "")]), &[1]).unwrap();
    for version in [1, 2, 4, 1024] {
        let outcome = next(&two, &text(version, 1, &[(1, "")]), &[1]);
        let malformed = version == 1 && matches!(outcome, Err(PolicyFault::Malformed(_) | PolicyFault::Version { .. }));
        assert!(malformed || outcome == Err(PolicyFault::Version { expected: 3, found: version }), "{outcome:?}");
    }
    assert!(matches!(first(&text(0, 1, &[(1, "")]), &[1]), Err(PolicyFault::Malformed(_))));
    assert!(matches!(first(&text(1025, 1, &[(1, "")]), &[1]), Err(PolicyFault::Malformed(_))));
}

#[test]
fn a_version_keeps_every_key_with_its_name_its_roles_and_what_was_said_of_it() {
    let kept = [(1, ""), (2, "retired_at = 5"), (3, "compromised_at = 9"), (4, "")];
    let one = first(&text(1, 1, &kept), &[1]).unwrap();
    let with = |keys: &[(u8, &str)]| next(&one, &text(2, 1, keys), &[1]);
    assert!(with(&kept).is_ok());
    assert!(with(&[kept[0], kept[1], (3, "compromised_at = 4"), kept[3]]).is_ok(), "only this reaches back");
    for (what, keys) in [
        ("leaves a key out", vec![kept[0], kept[1], kept[3]]),
        ("takes a retirement back", vec![kept[0], (2, ""), kept[2], kept[3]]),
        ("moves a retirement", vec![kept[0], (2, "retired_at = 4"), kept[2], kept[3]]),
        ("takes back that a key is in other hands", vec![kept[0], kept[1], (3, ""), kept[3]]),
        ("lets it count longer", vec![kept[0], kept[1], (3, "compromised_at = 10"), kept[3]]),
        ("lets a new key count from the beginning", vec![kept[0], kept[1], kept[2], kept[3], (5, "")]),
    ] {
        assert!(matches!(with(&keys), Err(PolicyFault::Successor { .. })), "{what}: {:?}", with(&keys));
    }
    let renamed = text(2, 1, &kept).replace("\"k1\"", "\"other\"");
    assert!(matches!(next(&one, &renamed, &[1]), Err(PolicyFault::Successor { .. })));
    let fewer = text(2, 1, &kept).replacen(", \"withdraw\"]", "]", 1);
    assert!(matches!(next(&one, &fewer, &[1]), Err(PolicyFault::Successor { .. })));
    let other = after(&one, &text(2, 1, &kept)).replacen(&one.digest.labelled(), PREVIOUS, 1);
    assert!(matches!(
        next(&one, &other.replace(PREVIOUS, &Digest::of(b"").labelled()), &[1]),
        Err(PolicyFault::Successor { .. })
    ));
}

#[test]
fn after_the_last_version_nothing_follows() {
    let last = text(1, 1, &[(1, "retired_at = 0")]).replace("version = 1\n", "version = 1\nclosed = true\n");
    let last = Policy::pinned(last.as_bytes(), &origin()).unwrap();
    assert!(matches!(
        next(&last, &text(2, 1, &[(1, "retired_at = 0"), (2, "valid_from = 0")]), &[1, 2]),
        Err(PolicyFault::Successor { .. })
    ));
}

/// An archive with these versions in its `trust/` and its log, each signed by these keys; returns their texts too.
fn archive(scene: &Scene, versions: &[(String, Vec<u8>)]) -> (Archive, Vec<String>) {
    let archive = Archive::create(Store::new(&scene.path("library")), origin(), &key(100), "test", run()).unwrap();
    let mut texts: Vec<String> = Vec::new();
    for (text, by) in versions {
        let text = match texts.last() {
            Some(before) => after(&Policy::decode(before.as_bytes()).unwrap(), text),
            None => text.clone(),
        };
        let policy = Policy::decode(text.as_bytes()).unwrap();
        let mut files = vec![(policy::place(policy.version), text.clone().into_bytes())];
        let mut kept = Vec::new();
        for seed in by {
            let public = key(*seed).public().clone();
            let signature = signed(text.as_bytes(), &key(*seed), Kind::Policy, ORIGIN);
            kept.extend(logged::keep(&public, &Signature::decode(&signature).unwrap()));
            files.push((policy::signature_place(policy.version, &public.id().to_string()), signature));
        }
        let secret = key(100);
        let leaf = Leaf::Policy { version: policy.version, file: policy.digest, signatures: leaf::ordered(kept) };
        Writer::begin(&archive, &[&secret], "test", run())
            .unwrap()
            .publish(Publication { files, leaves: vec![leaf], ..Publication::default() })
            .unwrap();
        texts.push(text);
    }
    (archive, texts)
}

fn pinned(text: &str) -> Pin {
    Pin::Policy(Box::new(Policy::decode(text.as_bytes()).unwrap()))
}

/// The versions of an archive whose root key changes with each.
fn handed_on(count: u8) -> Vec<(String, Vec<u8>)> {
    let version = |n: u8| {
        let keys: Vec<(u8, &str)> = (1..=n)
            .map(|k| {
                let more = match (k, k == n) {
                    (1, true) => "",
                    (1, false) => "retired_at = 0",
                    (_, true) => "valid_from = 0",
                    (_, false) => "valid_from = 0\nretired_at = 0",
                };
                (k, more)
            })
            .collect();
        (text(n.into(), 1, &keys), if n == 1 { vec![1] } else { vec![n - 1, n] })
    };
    (1..=count).map(version).collect()
}

#[test]
fn a_reader_walks_from_its_pinned_version_to_the_newest() {
    let scene = Scene::new();
    let (archive, texts) = archive(&scene, &handed_on(4));
    for text in &texts {
        let vouched = archive.vouched(&pinned(text), run()).unwrap();
        assert_eq!(vouched.authority().policy().unwrap().version, 4);
    }
    // Who trusts a key that signed the first version comes there as well; who trusts another has no policy, and is told.
    let by_keys = |seed: u8| Pin::Keys { keys: crate::scene::trusted(&key(seed)), log: log() };
    assert_eq!(archive.vouched(&by_keys(1), run()).unwrap().authority().policy().unwrap().version, 4);
    let stranger = archive.vouched(&by_keys(77), run()).unwrap();
    assert!(stranger.authority().policy().is_none() && stranger.history.foreign_policy == Some(LeafIndex(0)));
}

#[test]
fn a_version_that_does_not_follow_is_void_and_stops_nobody() {
    let scene = Scene::new();
    let (archive, texts) = archive(&scene, &[(text(1, 1, &[(1, "")]), vec![1]), (text(2, 1, &[(9, "")]), vec![9])]);
    let vouched = archive.vouched(&pinned(&texts[0]), run()).unwrap();
    assert_eq!(vouched.authority().policy().unwrap().version, 1);
    assert_eq!(vouched.history.void.len(), 1, "{:?}", vouched.history.void);
}

#[test]
fn a_log_behind_the_pinned_version_is_refused_by_that_name() {
    let scene = Scene::new();
    let (archive, _) = archive(&scene, &handed_on(1));
    let one = Policy::decode(handed_on(1)[0].0.as_bytes()).unwrap();
    let two = after(&one, &handed_on(2)[1].0);
    let refused = archive.vouched(&pinned(&two), run());
    assert!(matches!(refused, Err(Error::History(HistoryFault::Behind { version: 1 | 2 }))), "{:?}", refused.err());
}

#[test]
fn a_policy_made_on_another_log_is_not_of_this_one() {
    let scene = Scene::new();
    let other = text(1, 1, &[(1, "")]).replace(&merkle::empty_root().labelled(), &Digest::of(b"another").labelled());
    let (archive, texts) = archive(&scene, &[(other, vec![1])]);
    let refused = archive.vouched(&pinned(&texts[0]), run());
    assert!(matches!(refused, Err(Error::History(HistoryFault::OtherLog { version: 1, .. }))), "{:?}", refused.err());
}

#[test]
fn a_policy_that_those_have_signed_who_may_cannot_be_withheld() {
    let scene = Scene::new();
    let (archive, texts) = archive(&scene, &handed_on(2));
    std::fs::remove_file(scene.path("library/trust/2.toml")).unwrap();
    let refused = archive.vouched(&pinned(&texts[0]), run());
    assert!(matches!(refused, Err(Error::History(HistoryFault::Withheld { version: 2, .. }))), "{:?}", refused.err());
}

#[test]
fn a_policy_of_another_archive_is_refused() {
    let other = text(1, 1, &[(1, "")]).replace(ORIGIN, "example.org/other");
    let outcome = Policy::pinned(other.as_bytes(), &origin());
    assert!(matches!(outcome, Err(PolicyFault::OtherArchive { .. } | PolicyFault::Malformed(_))), "{outcome:?}");
}

#[test]
fn a_checkpoint_by_a_log_key_that_the_policy_does_not_have_is_refused() {
    let scene = Scene::new();
    let (archive, texts) = archive(&scene, &[(text(1, 1, &[(1, "")]), vec![1])]);
    let read = || archive.vouched(&pinned(&texts[0]), run());
    let head = read().unwrap().checkpoint.to_string();
    scene.write("library/checkpoint", Note::sign(&head, ORIGIN, &key(99)).unwrap().to_string());
    assert!(read().is_err());
}

#[test]
fn a_policy_is_not_logged_under_a_key_of_the_log_that_it_does_not_have() {
    let scene = Scene::new();
    let (archive, _) = archive(&scene, &[(text(1, 1, &[(1, "")]), vec![1])]);
    let other = VerifierKey::new(ORIGIN, key(99).public()).unwrap();
    let one =
        Policy::decode(text(1, 1, &[(1, "")]).replace(&log().to_string(), &other.to_string()).as_bytes()).unwrap();
    let secret = key(100);
    let log: [&dyn Signer; 1] = [&secret];
    let writer = Writer::begin(&archive, &log, "test", run()).unwrap();
    assert!(matches!(writer.signs_under(&one), Err(Error::LogKeyAbsent { version: 1 })));
}

// Expiration.

fn with_witnesses(needed: u64, on_stale: &str) -> Policy {
    let mut policy = text(1, 1, &[(1, "")]).replace("withdraw = 1\n", &format!("withdraw = 1\nwitness = {needed}\n"));
    policy.push_str(&format!("[freshness]\nmax_age_days = 30\non_stale = \"{on_stale}\"\n"));
    for (seed, operator) in [(51, "a"), (52, "a"), (53, "b"), (54, "c")] {
        let vkey = VerifierKey::of_witness(&format!("w{seed}"), key(seed).public()).unwrap();
        policy.push_str(&format!("[[witness]]\nvkey = \"{vkey}\"\noperator = \"{operator}\"\nholds = true\n"));
    }
    first(&policy, &[1]).unwrap()
}

fn cosigned(by: &[(u8, &str)]) -> Note {
    let mut note =
        Note::sign(&format!("{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"), ORIGIN, &key(100)).unwrap();
    for (seed, at) in by {
        note.cosign(&format!("w{seed}"), &key(*seed), time(at).as_second() as u64).unwrap();
    }
    note
}

#[test]
fn a_quorum_counts_operators_and_not_their_witnesses() {
    let policy = with_witnesses(2, "warn");
    let of = |by: &[(u8, &str)]| Witnessed::of(&cosigned(by), &policy);
    assert!(!of(&[(51, "2026-03-01T00:00:00Z"), (52, "2026-03-01T00:00:00Z")]).is_met());
    assert!(of(&[(51, "2026-03-01T00:00:00Z"), (53, "2026-03-01T00:00:00Z")]).is_met());
    assert!(!of(&[(51, "2026-03-01T00:00:00Z"), (60, "2026-03-01T00:00:00Z")]).is_met(), "an unknown witness");
}

#[test]
fn one_lying_witness_does_not_make_a_frozen_log_fresh() {
    let policy = with_witnesses(2, "fail");
    let (honest, new) = ("2026-03-01T00:00:00Z", "2099-01-01T00:00:00Z");
    let fresh = Witnessed::of(&cosigned(&[(51, honest), (53, new), (54, honest)]), &policy);
    let at = time("2026-04-01T00:00:00Z");
    assert_eq!(fresh.fresh(at), Some(time(honest)), "a time to come does not make a frozen log fresh");
    // Not even a quorum of them; a clock that is a little ahead is believed.
    let all = Witnessed::of(&cosigned(&[(51, new), (53, new)]), &policy);
    assert_eq!(all.fresh(at), None);
    let ahead = Witnessed::of(&cosigned(&[(51, "2026-04-01T00:10:00Z"), (53, "2026-04-01T00:10:00Z")]), &policy);
    assert!(ahead.fresh(at).is_some());
}

#[test]
fn a_frozen_log_is_refused_or_warned_of_as_the_policy_says() {
    let by = [(51, "2026-03-01T00:00:00Z"), (53, "2026-03-01T00:00:00Z")];
    for (on_stale, refused) in [("warn", false), ("fail", true)] {
        let policy = with_witnesses(2, on_stale);
        let seen = Witnessed::of(&cosigned(&by), &policy);
        assert!(matches!(Fresh::of(&seen, &policy, time("2026-03-30T00:00:00Z")), Fresh::Yes(_)));
        let late = Fresh::of(&seen, &policy, time("2026-03-31T00:00:00Z"));
        assert_eq!(matches!(late, Fresh::No(_)), refused);
        assert_eq!(matches!(late, Fresh::Warn(_)), !refused);
    }
}

#[test]
fn authenticity_does_not_expire_with_freshness() {
    let policy = with_witnesses(2, "fail");
    assert!(counts(&policy, 1, 0));
}

// Keys.

#[test]
fn a_key_counts_once_however_often_it_has_signed() {
    let text = text(1, 2, &[(1, ""), (2, "")]);
    lacks(first(&text, &[1, 1, 1]), 1, 2, 1);
}

#[test]
fn one_key_has_one_duty() {
    let own = VerifierKey::new(ORIGIN, key(1).public()).unwrap();
    let twice = text(1, 1, &[(1, "")]).replace(&log().to_string(), &own.to_string());
    assert!(matches!(first(&twice, &[1]), Err(PolicyFault::Malformed(why)) if why.contains("stands twice")));
}

#[test]
fn a_key_stands_once_in_a_policy() {
    let twice = text(1, 2, &[(1, ""), (1, "")]).replacen("name = \"k1\"", "name = \"other\"", 1);
    assert!(matches!(first(&twice, &[1]), Err(PolicyFault::Malformed(why)) if why.contains("stands twice")));
}

#[test]
fn a_threshold_that_no_keys_can_meet_is_refused() {
    for bad in [text(1, 3, &[(1, ""), (2, "")]), text(1, 0, &[(1, "")]), text(1, 1, &[(1, "retired_at = 9")])] {
        assert!(
            matches!(first(&bad, &[1]), Err(PolicyFault::Malformed(why)) if why.contains("the threshold for root"))
        );
    }
}

#[test]
fn a_signature_of_another_kind_or_for_another_archive_does_not_count() {
    let one = text(1, 1, &[(1, "")]);
    let policy = Policy::pinned(one.as_bytes(), &origin()).unwrap();
    for (kind, archive) in [(Kind::Manifest, ORIGIN), (Kind::Withdraw, ORIGIN), (Kind::Policy, "example.org/other")] {
        let signatures = [signed(one.as_bytes(), &key(1), kind, archive), b"no signature".to_vec()];
        lacks(policy.signed_by_own(by_these(&one, &signatures)).map(|()| policy.clone()), 1, 1, 0);
    }
}

#[test]
fn everything_in_a_policy_is_understood_or_refused() {
    let good = text(1, 1, &[(1, "")]);
    assert!(Policy::decode(good.as_bytes()).is_ok());
    for (from, to) in [
        ("vellum-trust/1", "vellum-trust/2"),
        ("[threshold]", "treshold = 3\n[threshold]"),
        ("publish = 1", "publish = 1\npublihs = 2"),
        ("roles = [\"root\", \"publish\", \"withdraw\"]", "roles = [\"root\", \"publish\", \"withdraw\", \"king\"]"),
        ("roles = [\"root\", \"publish\", \"withdraw\"]", "roles = [\"root\", \"root\", \"publish\", \"withdraw\"]"),
        ("roles = ", "revoked = true\nroles = "),
        ("public = \"RW", "public = \"RX"),
        ("vkey = \"example.org", "vkey = \"example.com"),
        ("version = 1", "version = -1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(matches!(Policy::decode(bad.as_bytes()), Err(PolicyFault::Malformed(_))), "{from} -> {to}");
    }
    let long = good + &"#".repeat(300 << 10);
    assert!(matches!(Policy::decode(long.as_bytes()), Err(PolicyFault::Malformed(_))));
}

#[test]
fn a_policy_is_printed_as_it_is_read() {
    let policy = with_witnesses(2, "fail");
    let again = Policy::decode(policy.to_string().as_bytes()).unwrap();
    assert_eq!(Policy { digest: policy.digest, ..again }, policy);
}

// Judged at the signature's own leaf.

#[test]
fn what_a_retired_key_signed_before_stays_authentic() {
    let policy = first(&text(1, 1, &[(1, "retired_at = 10"), (2, "")]), &[2]).unwrap();
    assert!(counts(&policy, 1, 9));
    assert!(!counts(&policy, 1, 10));
}

#[test]
fn what_a_stolen_key_signed_since_does_not_count() {
    let policy = first(&text(1, 1, &[(1, "compromised_at = 10"), (2, "")]), &[2]).unwrap();
    assert!(counts(&policy, 1, 9));
    assert!(!counts(&policy, 1, 10));
}

#[test]
fn a_key_that_came_later_vouches_for_nothing_before() {
    let policy = first(&text(1, 1, &[(1, "valid_from = 10")]), &[1]).unwrap();
    assert!(!counts(&policy, 1, 9));
    assert!(counts(&policy, 1, 10));
}

#[test]
fn a_key_does_only_what_its_roles_say() {
    let only_root = text(1, 1, &[(1, ""), (2, "")]).replacen(
        "roles = [\"root\", \"publish\", \"withdraw\"]",
        "roles = [\"root\"]",
        1,
    );
    let policy = first(&only_root, &[1]).unwrap();
    assert!(!counts(&policy, 1, 0));
    assert!(counts(&policy, 2, 0));
}

// As a person meets it.

#[test]
fn a_signer_retires_and_another_comes_and_all_that_was_signed_stays_authentic() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    ok(&["key", "new", "--no-passphrase", "--output", "bob"]);
    ok(&["trust", "propose", "library", "--add", "alice", "--output", "1.toml"]);
    // Nothing is in force before it is signed.
    let refused = scene.expect(1, &["trust", "apply", "library", "1.toml"]);
    assert!(refused.stderr.contains("0 of the root keys"), "{}", refused.stderr);
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    // Bob may not publish yet.
    scene.write("in/notes/new.txt", "new\n");
    let refused = scene.expect(1, &["pack", "--into", "library", "--key", "bob.key", "in"]);
    assert!(refused.stderr.contains("asks for 1 key to publish, 0 of those at hand may"), "{}", refused.stderr);
    ok(&["trust", "propose", "library", "--retire", "alice", "--add", "bob=bob.pub", "--output", "2.toml"]);
    ok(&["trust", "sign", "2.toml"]);
    scene.expect(1, &["trust", "apply", "library", "2.toml"]);
    ok(&["trust", "sign", "--key", "bob.key", "2.toml"]);
    ok(&["trust", "apply", "library", "2.toml"]);
    assert!(ok(&["trust", "show", "library"]).stdout.contains("alice (root, publish, withdraw), retired at leaf"));
    // What Alice signed stays, what she signs now does not count, what Bob signs does.
    assert!(ok(&["verify", "library"]).stdout.contains("authentic  yes, every bundle, by version 2 of the policy"));
    scene.expect(1, &["pack", "--into", "library", "in"]);
    ok(&["pack", "--into", "library", "--key", "bob.key", "in"]);
    ok(&["verify", "library"]);
    ok(&["cat", "library", "in/notes/new/new.txt"]);
    // A reader who vouches for the first version alone finds the same.
    let digest = tool_digest(&scene, "1.toml");
    let reader = |args: &[&str]| {
        let mut command = scene.command(args);
        said(command.env("VELLUM_CONFIG", scene.path("reader")).output().unwrap())
    };
    assert_eq!(reader(&["verify", "library"]).code, 1);
    assert_eq!(reader(&["trust", "pin", "library"]).code, 2, "never on its own word");
    assert_eq!(reader(&["trust", "pin", "library", "--sha256", &digest.replace('a', "b")]).code, 1);
    assert_eq!(reader(&["trust", "pin", "library", "--sha256", &digest]).code, 0);
    assert_eq!(reader(&["sync", "library", "mirror"]).code, 0);
    assert!(reader(&["verify", "mirror"]).stdout.contains("by version 2 of the policy"));
    assert_eq!(reader(&["cat", "mirror", "in/notes/new/new.txt"]).stdout, "new\n");
}

#[test]
fn the_logs_key_changes_and_those_who_follow_it_need_do_nothing() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    let version = |n: &str, more: &[&str]| {
        let file = format!("{n}.toml");
        ok(&[&["trust", "propose", "library", "-o", &file][..], more].concat());
        ok(&["trust", "sign", &file]);
    };
    version("1", &["--add", "alice"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    let digest = tool_digest(&scene, "1.toml");
    let reader = |args: &[&str]| {
        let mut command = scene.command(args);
        let said = said(command.env("VELLUM_CONFIG", scene.path("reader")).output().unwrap());
        assert_eq!(said.code, 0, "{args:?}\n{}\n{}", said.stdout, said.stderr);
        said.stdout
    };
    reader(&["trust", "pin", "library", "--sha256", &digest]);
    reader(&["sync", "library", "mirror"]);
    crate::scene::tool(scene.folder.path(), "cp", &["-r", "mirror", "before"]);
    // A proof is checked by the log's key that the pinned policy has.
    reader(&["prove", "-o", "tides.proof", "mirror", "in/essays/tides"]);
    reader(&["verify", "--proof", "tides.proof", "in/essays/tides.md"]);
    // The new key signs beside the old one from the next publication on.
    let old = std::fs::read_to_string(scene.path("library/archive.toml")).unwrap();
    let old = old.lines().find_map(|line| line.strip_prefix("log = \"")).unwrap().trim_end_matches('"').to_owned();
    let new = ok(&["key", "new", "--log", ORIGIN, "--no-passphrase"]).stdout.trim().to_owned();
    version("2", &["--add-log", &new]);
    ok(&["trust", "apply", "library", "2.toml"]);
    scene.write("in/notes/new.txt", "new\n");
    ok(&["pack", "--into", "library", "in"]);
    let again = ok(&["trust", "apply", "library", "2.toml"]);
    assert!(again.stderr.contains("in force already"), "{}", again.stderr);
    let lines = std::fs::read_to_string(scene.path("library/checkpoint")).unwrap().matches("\u{2014}").count();
    assert_eq!(lines, 2, "both keys have signed");
    // Its eight digits name the old one.
    version("3", &["--retire-log", &old[ORIGIN.len() + 1..][..8]]);
    ok(&["trust", "apply", "library", "3.toml"]);
    std::fs::remove_file(scene.path(&format!("config/logs/{}.key", id_of(&scene, &old)))).unwrap();
    scene.write("in/notes/newer.txt", "newer\n");
    ok(&["pack", "--into", "library", "in"]);
    ok(&["verify", "library"]);
    // Who holds a copy of before, and who comes new, both follow.
    reader(&["sync", "library", "mirror"]);
    assert_eq!(reader(&["cat", "mirror", "in/notes/newer/newer.txt"]), "newer\n");
    // A copy of before the key changed is an older copy, whoever signed it, and also for a mirror that begins now.
    for args in [&["list", "before"][..], &["sync", "before", "other"]] {
        let mut command = scene.command(args);
        let refused = said(command.env("VELLUM_CONFIG", scene.path("reader")).output().unwrap());
        assert!(refused.code == 1 && refused.stderr.contains("seen here before"), "{args:?}: {}", refused.stderr);
    }
    reader(&["sync", "library", "fresh"]);
    reader(&["verify", "fresh"]);
}

#[test]
fn a_key_of_the_log_that_takes_the_others_place_at_once_must_sign_then() {
    let scene = Scene::with_key();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["trust", "propose", "library", "--add", "alice", "-o", "1.toml"]);
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    let old = ok(&["trust", "show", "library"]).stdout;
    let old = old.lines().find_map(|line| line.strip_prefix("log        ")).unwrap().split(' ').next().unwrap();
    let new = ok(&["key", "new", "--log", ORIGIN, "--no-passphrase"]).stdout.trim().to_owned();
    let secret = format!("config/logs/{}.key", id_of(&scene, &new));
    ok(&["trust", "propose", "library", "--add-log", &new, "--retire-log", old, "-o", "2.toml"]);
    ok(&["trust", "sign", "2.toml"]);
    std::fs::rename(scene.path(&secret), scene.path("new.key")).unwrap();
    let refused = scene.expect(2, &["trust", "apply", "library", "2.toml"]);
    assert!(refused.stderr.contains("none of which signs here"), "{}", refused.stderr);
    let other = scene.expect(2, &["trust", "apply", "library", "--log-secret", &config_key(&scene), "2.toml"]);
    assert!(other.stderr.contains("is no key of the log of"), "{}", other.stderr);
    ok(&["trust", "apply", "library", "--log-secret", "new.key", "2.toml"]);
    ok(&["verify", "library"]);
    scene.articles();
    ok(&["pack", "--into", "library", "--log-secret", "new.key", "in"]);
    ok(&["verify", "library"]);
}

#[test]
fn an_archive_whose_newest_copy_and_whose_logs_key_are_lost_goes_on_from_an_older_mirror() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    let reader = |args: &[&str]| {
        let mut command = scene.command(args);
        said(command.env("VELLUM_CONFIG", scene.path("reader")).output().unwrap())
    };
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    ok(&["trust", "propose", "library", "--add", "me", "-o", "1.toml"]);
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    assert_eq!(reader(&["trust", "pin", "1.toml"]).code, 0);
    assert_eq!(reader(&["sync", "library", "older"]).code, 0);
    scene.write("in/notes/last.txt", "last\n");
    ok(&["pack", "--into", "library", "in"]);
    assert_eq!(reader(&["sync", "library", "newer"]).code, 0);
    let old = std::fs::read_to_string(scene.path("library/archive.toml")).unwrap();
    let old = old.lines().find_map(|line| line.strip_prefix("log = \"")).unwrap().trim_end_matches('"').to_owned();
    // The disk is gone, and the log's key with it.
    std::fs::remove_dir_all(scene.path("library")).unwrap();
    std::fs::remove_dir_all(scene.path("config/logs")).unwrap();
    crate::scene::tool(scene.folder.path(), "cp", &["-r", "older", "restored"]);
    ok(&["log", "adopt", "--alone", "restored"]);
    let new = ok(&["key", "new", "--log", ORIGIN, "--no-passphrase"]).stdout.trim().to_owned();
    ok(&["trust", "propose", "--older", "restored", "--add-log", &new, "--retire-log", &old, "-o", "2.toml"]);
    ok(&["trust", "sign", "2.toml"]);
    ok(&["trust", "apply", "restored", "2.toml"]);
    scene.write("in/notes/last.txt", "written anew\n");
    ok(&["pack", "--into", "restored", "in"]);
    ok(&["verify", "restored"]);
    // The mirror that has what came last gives it up, and keeps it aside.
    let synced = reader(&["sync", "restored", "newer"]);
    assert!(synced.code == 0 && synced.stderr.contains("gave way to another one"), "{}", synced.stderr);
    assert_eq!(reader(&["cat", "newer", "in/notes/last"]).stdout, "written anew\n");
    assert_eq!(reader(&["verify", "newer"]).code, 0);
    assert_eq!(reader(&["sync", "restored", "older"]).code, 0);
    // Without the root's signature nobody would have followed.
    crate::scene::tool(scene.folder.path(), "sh", &["-c", "rm restored/trust/2.toml"]);
    let refused = reader(&["sync", "restored", "fresh"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}

/// The id by which the files of a log's key are called.
fn id_of(scene: &Scene, vkey: &str) -> String {
    let is_of = |path: &std::path::Path| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == vkey);
    let all = std::fs::read_dir(scene.path("config/logs")).unwrap().map(|entry| entry.unwrap().path());
    let path = all.filter(|path| is_of(path)).find(|path| path.extension().is_some_and(|ending| ending == "vkey"));
    path.unwrap().file_stem().unwrap().to_str().unwrap().to_owned()
}

fn config_key(scene: &Scene) -> String {
    let all = std::fs::read_dir(scene.path("config/keys")).unwrap().map(|entry| entry.unwrap().path());
    let key = all.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "key"));
    key.unwrap().display().to_string()
}

fn tool_digest(scene: &Scene, file: &str) -> String {
    tool(scene.folder.path(), "sha256sum", &[file])[..64].to_owned()
}

#[test]
fn two_publishers_on_two_machines_meet_a_threshold_of_two() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["key", "new", "--no-passphrase", "--output", "bob"]);
    let two = ["--threshold", "publish=2", "-o", "1.toml"];
    ok(&[&["trust", "propose", "library", "--add", "alice", "--add", "bob=bob.pub"][..], &two].concat());
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    // Bob packs and signs for the archive; Alice, who has the log's key, adds her signature as she takes the bundle in.
    let bundle = ok(&["pack", "--quiet", "--key", "bob.key", "--archive", ORIGIN, "--output", "out", "in"]).stdout;
    ok(&["deposit", "library", bundle.trim()]);
    let said = ok(&["verify", "library"]).stdout;
    assert!(said.contains("authentic  yes"), "{said}");
    // A key that may not publish gets nobody's bundle in, not even to wait.
    ok(&["key", "new", "--no-passphrase", "--output", "eve"]);
    let refused = scene.expect(1, &["pack", "--into", "library", "--key", "eve.key", "in"]);
    assert!(refused.stderr.contains("asks for 2 keys to publish, 0 of those"), "{}", refused.stderr);
    assert!(!scene.path("library/incoming").exists());
}

/// An archive of some articles, `library`, whose policy asks for two keys to publish: one's own, and `bob.key`.
fn asks_for_two() -> Scene {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    ok(&["key", "new", "--no-passphrase", "--output", "bob"]);
    let two = ["--threshold", "publish=2", "-o", "1.toml"];
    ok(&[&["trust", "propose", "library", "--add", "alice", "--add", "bob=bob.pub"][..], &two].concat());
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    scene
}

#[test]
fn a_bundle_waits_until_enough_have_signed_it_and_is_logged_then() {
    let scene = asks_for_two();
    let ok = |args: &[&str]| scene.expect(0, args);
    let waiting = || -> Vec<String> {
        let names = std::fs::read_dir(scene.path("library/incoming")).into_iter().flatten();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let size = || scene.expect(0, &["log", "--json", "library"]).stdout;
    let before = size();
    scene.write("in/notes/new.txt", "new\n");
    let said = ok(&["pack", "--into", "library", "in"]);
    assert!(said.stderr.contains("NOT LOGGED YET: the policy asks for 2 signatures, 1 is there"), "{}", said.stderr);
    assert_eq!((waiting().len(), size()), (1, before.clone()));
    // No part of any verdict, and mirrored by nobody.
    assert!(ok(&["verify", "library"]).stdout.contains("library: OK"));
    scene.expect(1, &["cat", "library", "in/notes/new/new.txt"]);
    ok(&["sync", "library", "mirror"]);
    assert!(!scene.path("mirror/incoming").exists());
    // The next pack of the source takes its place; one of the same bundle leaves it and its signatures there.
    let first = waiting();
    ok(&["sign", "--key", "bob.key", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    assert_eq!(waiting(), first);
    scene.write("in/notes/newer.txt", "newer\n");
    ok(&["pack", "--into", "library", "in"]);
    assert!(waiting().len() == 1 && waiting() != first);
    // What has not enough goes on waiting.
    let said = ok(&["deposit", "library"]);
    assert!(said.stderr.contains("NOT LOGGED YET"), "{}", said.stderr);
    assert_eq!((waiting().len(), size()), (1, before.clone()));
    let id = waiting()[0].trim_end_matches(".tar.zst").to_owned();
    scene.expect(1, &["sign", "--key", "bob.key", "library", &"0".repeat(64)]);
    ok(&["sign", "--key", "bob.key", "library", &id]);
    assert_eq!(ok(&["deposit", "library"]).stdout.trim(), id);
    assert_eq!(waiting(), [""; 0]);
    assert_eq!(ok(&["cat", "library", "in/notes/newer/newer.txt"]).stdout, "newer\n");
    assert!(ok(&["verify", "library"]).stdout.contains("library: OK"));
    assert!(ok(&["deposit", "library"]).stderr.contains("no bundle waits"));
}

#[test]
fn what_lies_in_incoming_and_is_no_bundle_keeps_none_from_being_signed() {
    let scene = asks_for_two();
    let ok = |args: &[&str]| scene.expect(0, args);
    scene.write("in/notes/new.txt", "new\n");
    ok(&["pack", "--into", "library", "in"]);
    scene.write(&format!("library/incoming/{}.tar.zst", "0".repeat(64)), "junk");
    std::os::unix::fs::symlink("/etc/hostname", scene.path(&format!("library/incoming/{}.tar.zst", "1".repeat(64))))
        .unwrap();
    let said = ok(&["sign", "--key", "bob.key", "library"]);
    assert!(said.stderr.matches("is no bundle of its name").count() == 2, "{}", said.stderr);
    ok(&["deposit", "library"]);
    assert!(ok(&["list", "library"]).stdout.contains("in/notes/new"));
}

#[test]
fn what_waited_while_the_archive_went_on_is_refused_where_it_would_undo_something() {
    let scene = asks_for_two();
    let ok = |args: &[&str]| scene.expect(0, args);
    scene.write("in/notes/new.txt", "waits\n");
    ok(&["pack", "--into", "library", "in"]);
    ok(&["sign", "--key", "bob.key", "library"]);
    // Meanwhile another bundle brings the same article, by both of them.
    let all = config_key(&scene);
    let both = ["pack", "--into", "library", "--key", &all, "--key", "bob.key"];
    scene.write("other/notes/new.txt", "came first\n");
    let kept = std::fs::read_dir(scene.path("library/incoming")).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&kept, scene.path("kept")).unwrap();
    ok(&[&both[..], &["--source", "in", "other"]].concat());
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::rename(scene.path("kept"), &kept).unwrap();
    let refused = scene.expect(1, &["deposit", "library"]);
    assert!(refused.stderr.contains("in/notes/new"), "{}", refused.stderr);
    assert_eq!(ok(&["cat", "library", "in/notes/new/new.txt"]).stdout, "came first\n");
    assert!(ok(&["verify", "library"]).stdout.contains("library: OK"));
}

#[test]
fn a_publisher_whose_disk_is_gone_goes_on_from_its_newest_mirror() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["pack", "--into", "library", "in"]);
    ok(&["sync", "library", "old"]);
    scene.write("in/notes/new.txt", "new\n");
    ok(&["pack", "--into", "library", "in"]);
    ok(&["sync", "library", "newest"]);
    scene.expect(2, &["log", "adopt", "library", "--alone"]);
    std::fs::remove_dir_all(scene.path("library")).unwrap();
    // A mirror is not written to, and an older one is not gone on from while a newer one is named.
    let refused = scene.expect(2, &["pack", "--into", "newest", "in"]);
    assert!(refused.stderr.contains("`vellum log adopt newest"), "{}", refused.stderr);
    scene.expect(2, &["log", "adopt", "newest"]);
    let refused = scene.expect(1, &["log", "adopt", "old", "--seen", "newest"]);
    assert!(refused.stderr.contains("that these"), "{}", refused.stderr);
    ok(&["log", "adopt", "newest", "--seen", "old"]);
    scene.write("in/notes/newer.txt", "newer\n");
    assert!(ok(&["pack", "--into", "newest", "--source", "in", "in"]).stderr.contains("1 new"));
    ok(&["verify", "newest"]);
    ok(&["sync", "newest", "old"]);
    ok(&["verify", "old"]);
}

#[test]
fn a_policy_is_exported_for_other_tools() {
    let scene = Scene::with_key();
    scene.expect(0, &["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", "w"]);
    let vkey = scene.expect(0, &["cosign", "--as", "w.example", "--secret", "w.key", "--show", "library"]).stdout;
    let witness = format!("uni={}", vkey.trim());
    scene.expect(
        0,
        &[
            "trust",
            "propose",
            "library",
            "--add",
            "alice",
            "--witness",
            &witness,
            "--threshold",
            "witness=1",
            "-o",
            "1.toml",
        ],
    );
    let export = |format: &str| scene.expect(0, &["trust", "export", "1.toml", "--format", format]).stdout;
    let tlog = export("tlog-policy");
    assert!(tlog.starts_with(&format!("log {ORIGIN}+")) && tlog.contains("witness w1 w.example+"), "{tlog}");
    assert!(tlog.ends_with("group operator1 any w1\ngroup operators 1 operator1\nquorum operators\n"), "{tlog}");
    let signers = export("allowed-signers");
    assert!(signers.starts_with("alice namespaces=\"manifest@vellum\" ssh-ed25519 AAAA"), "{signers}");
    // OpenSSH reads the key.
    scene.write("alice.ssh", signers.split_once("\" ").unwrap().1);
    if installed("ssh-keygen") {
        tool(scene.folder.path(), "ssh-keygen", &["-l", "-f", "alice.ssh"]);
    }
    assert!(export("minisign").starts_with("RW"));
}

#[test]
fn a_first_policy_leaves_out_nothing_that_counts_and_is_made_on_all_that_one_key_has_signed() {
    let scene = Scene::with_key();
    scene.articles();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["key", "new", "--no-passphrase", "--output", "bob"]);
    ok(&["init", "--origin", ORIGIN, "--no-passphrase", "library"]);
    ok(&["key", "trust", "bob.pub"]);
    ok(&["pack", "--into", "library", "--key", "bob.key", "in"]);
    let propose = |keys: &[&str], to: &str| scene.run(&[&["trust", "propose", "library", "-o", to][..], keys].concat());
    let refused = |keys: &[&str], what: &str, role: &str| {
        let (said, expected) = (propose(keys, "none.toml"), format!("must have that key, with the role {role}"));
        assert!(said.code == 2 && said.stderr.contains(what) && said.stderr.contains(&expected), "{}", said.stderr);
    };
    refused(&["--add", "me"], "by this policy bundle ", "publish");
    ok(&["withdraw", "library", "letter-1"]);
    refused(&["--add", "bob=bob.pub"], "by this policy the withdrawal ", "withdraw");
    // Between the head that it was made on and its leaf, one key does what takes two by the policy.
    let two = ["--add", "me", "--add", "bob=bob.pub", "--threshold", "publish=2"];
    assert_eq!(propose(&two, "1.toml").code, 0);
    ok(&["trust", "sign", "1.toml"]);
    scene.write("in/notes/new.txt", "new\n");
    ok(&["pack", "--into", "library", "in"]);
    let said = scene.expect(1, &["trust", "apply", "library", "1.toml"]);
    assert!(said.stderr.contains("and be made on a log that has it"), "{}", said.stderr);
    assert_eq!(propose(&two, "again.toml").code, 0);
    ok(&["trust", "sign", "again.toml"]);
    ok(&["trust", "apply", "library", "again.toml"]);
    ok(&["verify", "library"]);
    assert_eq!(ok(&["list", "library"]).stdout.lines().count(), 5);
}
