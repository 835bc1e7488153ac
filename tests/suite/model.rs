//! Who may do what, against a naive model: publishers, withdrawers and root keys at work on one log, beside thieves who hold any of their keys,
//! and always the log's. The model is written from FORMAT.md's rules L1 to W3 and P1 to P4 with loops over everything; the history must agree.
//!
//! Each run crosses 256 leaves. `VELLUM_LONG=1` makes a hundred times as many steps.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::scene::{key, trusted};
use vellum::archive::history::{LoggedBundle, Papers};
use vellum::archive::{History, Log, Pin};
use vellum::digest::Digest;
use vellum::format::leaf::{self, Leaf, LeafSignature};
use vellum::format::manifest::Manifest;
use vellum::format::tree;
use vellum::format::withdrawal::{RemovedLeaf, Replaced, Withdrawal};
use vellum::ids::{BundleId, LeafIndex, Origin};
use vellum::keys::{Comment, Kind, Signature, Signer, VerifierKey};
use vellum::run::Run;
use vellum::store::Store;
use vellum::trust::logged;
use vellum::trust::policy::Policy;

const ORIGIN: &str = "example.org/library";
/// Steps of a run, after the leaves that fill the first tile.
const STEPS: usize = 50;
const SHORT_RUNS: u32 = 40;
const LONG_RUNS: u32 = 4_000;
/// Leaves that nobody signs, before anything happens.
const FILLERS: usize = 240;
/// Keys in the game: the first is the one that the reader trusts at the beginning.
const KEYS: u8 = 6;
/// Articles in the game.
const ARTICLES: u8 = 4;
const TIME: &str = "2026-03-01T00:00:00Z";

fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

/// What a key may do, as a policy says.
#[derive(Debug, Clone, PartialEq)]
struct Rights {
    root: bool,
    publish: bool,
    withdraw: bool,
    valid_from: Option<u64>,
    retired_at: Option<u64>,
    compromised_at: Option<u64>,
}

/// A policy, as the model knows it.
#[derive(Debug, Clone)]
struct Rules {
    version: u64,
    /// Of the version before; wrong where a thief made it so.
    previous: Option<Digest>,
    made_at: u64,
    root: u64,
    publish: u64,
    withdraw: u64,
    keys: BTreeMap<u8, Rights>,
    closed: bool,
    digest: Digest,
}

/// What one leaf is, as the model knows it; signers are those whose signatures are really good.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    Bundle { id: BundleId, article: u8, reinstates: Vec<Digest>, signers: BTreeSet<u8> },
    Signature { id: BundleId, signers: BTreeSet<u8> },
    Withdraw { statement: Digest, articles: BTreeSet<u8>, size: u64, gone: Vec<BundleId>, signers: BTreeSet<u8> },
    Policy { rules: Box<Rules>, signers: BTreeSet<u8> },
}

/// One archive in the making: the leaves as bytes, and what the model knows of them.
struct World {
    folder: tempfile::TempDir,
    size: u64,
    events: Vec<Event>,
    papers: Shelf,
    bundles: Vec<(BundleId, u8, u64)>,
    /// Statements that were written, logged or not.
    statements: Vec<Digest>,
    /// Those that are not logged yet.
    planned: Vec<Planned>,
}

/// A statement that may be logged at any time, by whoever has its text.
struct Planned {
    text: String,
    article: u8,
    size: u64,
    gone: Vec<BundleId>,
}

/// Statements and policies, in memory.
#[derive(Default)]
struct Shelf {
    policies: BTreeMap<(u64, Digest), Vec<u8>>,
    statements: BTreeMap<Digest, Vec<u8>>,
}

impl Papers for Shelf {
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, vellum::archive::Error> {
        Ok(self.policies.get(&(version, *digest)).cloned())
    }

    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, vellum::archive::Error> {
        Ok(self.statements.get(digest).cloned())
    }
}

fn article_id(article: u8) -> String {
    format!("in/article-{article}")
}

/// Signatures of something by keys; those of keys that the signer does not hold are forged from his own.
fn signatures(
    kind: Kind,
    digest: Digest,
    text: &[u8],
    good: &BTreeSet<u8>,
    forged: &BTreeSet<u8>,
) -> Vec<LeafSignature> {
    let comment = Comment::new(kind, Some(ORIGIN), digest, TIME.parse().unwrap()).unwrap();
    let mut all = Vec::new();
    for n in good {
        let signer = key(n + 1);
        all.extend(logged::keep(signer.public(), &Signature::sign(&signer, text, &comment).unwrap()));
    }
    for n in forged.difference(good) {
        let thief = key(99);
        let mut signature = logged::keep(thief.public(), &Signature::sign(&thief, text, &comment).unwrap()).unwrap();
        (signature.id, signature.key) = (key(n + 1).public().id(), *key(n + 1).public().as_bytes());
        all.push(signature);
    }
    leaf::ordered(all)
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            size: 0,
            events: Vec::new(),
            papers: Shelf::default(),
            bundles: Vec::new(),
            statements: Vec::new(),
            planned: Vec::new(),
        };
        let filler = Leaf::Document { name: "a.txt".into(), file: Digest::of(b""), signatures: Vec::new() };
        world.append(vec![filler.to_string().into_bytes(); FILLERS]);
        world.events.resize(FILLERS, Event::Nothing);
        world
    }

    fn store(&self) -> Store {
        Store::new(self.folder.path())
    }

    fn append(&mut self, leaves: Vec<Vec<u8>>) {
        let store = self.store();
        let appended = Log::new(&store, self.size).append(&leaves).unwrap();
        for (place, bytes) in &appended.tiles {
            let path = store.path(place);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        self.size = appended.size;
    }

    fn add(&mut self, leaf: &Leaf, event: Event) {
        self.append(vec![leaf.to_string().into_bytes()]);
        self.events.push(event);
    }

    fn root(&self, size: u64) -> Digest {
        Log::new(&self.store(), self.size).root(size).unwrap()
    }

    fn history(&self) -> History {
        let store = self.store();
        let log = VerifierKey::new(ORIGIN, key(100).public()).unwrap();
        let pin = Pin::Keys { keys: trusted(&key(1)), log };
        History::read(&mut Log::new(&store, self.size), &origin(), &pin, &self.papers, Run::alone()).unwrap()
    }

    /// Logs a bundle of one article.
    fn bundle(&mut self, article: u8, base: u64, reinstates: Vec<Digest>, by: (&BTreeSet<u8>, &BTreeSet<u8>)) {
        let salt = self.bundles.len();
        let root = tree::leaf_of(&Digest::of(article_id(article).as_bytes()), &Digest::of(&salt.to_le_bytes()));
        let list = Digest::of(&salt.to_le_bytes()).labelled();
        let mut text = format!(
            "format = \"vellum-manifest/1\"\narchive = \"{ORIGIN}\"\nname = \"n\"\ntitle = \"T\"\narticles = 1\nfiles = 2\nbytes = 9\n\
             checksums = \"{list}\"\nroot = \"{}\"\nbase = {base}\n",
            root.labelled()
        );
        if !reinstates.is_empty() {
            let quoted: Vec<String> = reinstates.iter().map(|digest| format!("\"{digest}\"")).collect();
            text.push_str(&format!("reinstates = [{}]\n", quoted.join(", ")));
        }
        let manifest = Box::new(Manifest::decode(text.as_bytes()).unwrap());
        let id = BundleId(Digest::of(text.as_bytes()));
        let signatures = signatures(Kind::Manifest, id.0, text.as_bytes(), by.0, by.1);
        self.bundles.push((id, article, salt as u64));
        let leaf = Leaf::Bundle { manifest, size: 100, file: Digest::of(b"file"), signatures };
        self.add(&leaf, Event::Bundle { id, article, reinstates, signers: by.0.clone() });
    }

    /// Logs further signatures of a bundle.
    fn sign(&mut self, bundle: usize, by: (&BTreeSet<u8>, &BTreeSet<u8>)) {
        let Some((id, ..)) = self.bundles.get(bundle % self.bundles.len().max(1)).copied() else { return };
        // What was signed is the manifest's bytes; only the comment's digest counts in a leaf.
        let signatures = signatures(Kind::Manifest, id.0, &[], &BTreeSet::new(), &BTreeSet::new());
        let mut all = signatures;
        for n in by.0 {
            let comment = Comment::new(Kind::Manifest, Some(ORIGIN), id.0, TIME.parse().unwrap()).unwrap();
            let signer = key(n + 1);
            let content = signer.sign(b"whatever").unwrap();
            let global = signer.sign(&[&content[..], comment.to_string().as_bytes()].concat()).unwrap();
            let signature = Signature::of_parts(signer.public().id(), content, &comment, global);
            all.extend(logged::keep(signer.public(), &signature));
        }
        let all = leaf::ordered(all);
        if all.is_empty() {
            return;
        }
        self.add(&Leaf::Signature { bundle: id, signatures: all }, Event::Signature { id, signers: by.0.clone() });
    }

    /// Writes a statement that withdraws an article from the bundles that hold it, made on a log of `size` leaves.
    fn plan(&mut self, article: u8, size: u64) {
        let id = Digest::of(article_id(article).as_bytes());
        let holding: Vec<_> = self.bundles.iter().filter(|(_, of, _)| *of == article).copied().collect();
        let replaced = |(old, _, salt): &(BundleId, u8, u64)| {
            let lines = Digest::of(&(*salt as usize).to_le_bytes());
            Replaced { old: *old, new: None, removed: vec![RemovedLeaf { position: 0, id, lines }] }
        };
        let mut bundles: Vec<Replaced> = holding.iter().map(replaced).collect();
        bundles.sort_by_key(|replaced| replaced.old);
        let reason = Some(format!("number {}", self.statements.len()));
        let statement = Withdrawal { archive: origin(), size, ids: vec![id], clear: Vec::new(), reason, bundles };
        let text = statement.to_string();
        self.statements.push(Digest::of(text.as_bytes()));
        let gone = holding.iter().map(|(old, ..)| *old).collect();
        self.planned.push(Planned { text, article, size, gone });
    }

    /// Logs the statement that was written first and is not logged.
    fn withdraw(&mut self, by: (&BTreeSet<u8>, &BTreeSet<u8>)) {
        if self.planned.is_empty() {
            return;
        }
        let Planned { text, article, size, gone } = self.planned.remove(0);
        let digest = Digest::of(text.as_bytes());
        let signatures = signatures(Kind::Withdraw, digest, text.as_bytes(), by.0, by.1);
        self.papers.statements.insert(digest, text.into_bytes());
        let articles = BTreeSet::from([article]);
        let event = Event::Withdraw { statement: digest, articles, size, gone, signers: by.0.clone() };
        self.add(&Leaf::Withdraw { statement: digest, signatures }, event);
    }

    /// Logs a policy.
    fn policy(&mut self, mut rules: Rules, by: (&BTreeSet<u8>, &BTreeSet<u8>)) {
        let previous =
            rules.previous.map(|digest| format!("previous = \"{}\"\n", digest.labelled())).unwrap_or_default();
        let mut text = format!(
            "format = \"vellum-trust/1\"\narchive = \"{ORIGIN}\"\nversion = {}\n{previous}log = {{ size = {}, root = \"{}\" }}\n{}\
             \n[threshold]\nroot = {}\npublish = {}\nwithdraw = {}\nwitness = 0\n",
            rules.version,
            rules.made_at,
            self.root(rules.made_at).labelled(),
            if rules.closed { "closed = true\n" } else { "" },
            rules.root,
            rules.publish,
            rules.withdraw
        );
        for (n, rights) in &rules.keys {
            let named = [(rights.root, "root"), (rights.publish, "publish"), (rights.withdraw, "withdraw")];
            let roles: Vec<String> =
                named.iter().filter(|(is, _)| *is).map(|(_, name)| format!("\"{name}\"")).collect();
            let line = key(n + 1).public().to_line();
            text.push_str(&format!(
                "\n[[key]]\nname = \"k{n}\"\npublic = \"{line}\"\nroles = [{}]\n",
                roles.join(", ")
            ));
            let bounds = [
                ("valid_from", rights.valid_from),
                ("retired_at", rights.retired_at),
                ("compromised_at", rights.compromised_at),
            ];
            bounds.iter().for_each(|(name, at)| {
                at.iter().for_each(|at| text.push_str(&format!("{name} = {at}\n")));
            });
        }
        let log = VerifierKey::new(ORIGIN, key(100).public()).unwrap();
        text.push_str(&format!("\n[[log_key]]\nvkey = \"{log}\"\n"));
        rules.digest = Digest::of(text.as_bytes());
        let signatures = signatures(Kind::Policy, rules.digest, text.as_bytes(), by.0, by.1);
        // One that contradicts itself is no policy to anybody.
        let event = match Policy::decode(text.as_bytes()) {
            Ok(_) => Event::Policy { rules: Box::new(rules.clone()), signers: by.0.clone() },
            Err(_) => Event::Nothing,
        };
        self.papers.policies.insert((rules.version, rules.digest), text.into_bytes());
        let leaf = Leaf::Policy { version: rules.version, file: rules.digest, signatures };
        self.add(&leaf, event);
    }
}

/// What the model says of a log.
#[derive(Debug, PartialEq)]
struct Verdict {
    policy: u64,
    counts: BTreeMap<String, bool>,
    statements: BTreeSet<String>,
    replaced: BTreeSet<String>,
    /// From which place on each article is shown; none where a statement stands.
    shown: BTreeMap<u8, Option<u64>>,
}

/// The naive model: who may do what, by loops.
struct Model<'a> {
    events: &'a [Event],
    /// Versions that count, with their leaves.
    chain: Vec<(u64, Rules)>,
}

impl<'a> Model<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut model = Self { events, chain: Vec::new() };
        for (leaf, event) in events.iter().enumerate() {
            let Event::Policy { rules, signers } = event else { continue };
            let own = count(signers, |n| rules.keys.get(&n).is_some_and(|r| r.root && active(r)));
            if own < rules.root && !rules.closed {
                continue;
            }
            let follows = match model.chain.last() {
                // The reader's own version: the one key that it trusts.
                None => rules.version == 1 && signers.contains(&0),
                Some((_, before)) => {
                    let enough =
                        count(signers, |n| before.keys.get(&n).is_some_and(|r| r.root && active(r))) >= before.root;
                    enough && goes_on(before, rules)
                }
            };
            if follows && rules.made_at <= leaf as u64 {
                model.chain.push((leaf as u64, (**rules).clone()));
            }
        }
        model
    }

    fn in_force(&self, leaf: u64) -> Option<&Rules> {
        self.chain.iter().filter(|(at, _)| *at < leaf).map(|(_, rules)| rules).next_back()
    }

    fn closed_at(&self) -> u64 {
        self.chain.iter().find(|(_, rules)| rules.closed).map_or(u64::MAX, |(leaf, _)| *leaf)
    }

    /// Whether what was logged at `place` has enough good signatures: pairs of leaf and key.
    fn enough(&self, place: u64, signed: &[(u64, u8)], role: fn(&Rights) -> bool, needed: fn(&Rules) -> u64) -> bool {
        let Some((_, newest)) = self.chain.last() else { return signed.iter().any(|(_, n)| *n == 0) };
        let first = &self.chain[0].1;
        let good = |leaf: u64, n: u8| {
            let then = self.in_force(leaf).unwrap_or(first);
            let (Some(then), Some(now)) = (then.keys.get(&n), newest.keys.get(&n)) else { return false };
            role(then)
                && now.valid_from.is_none_or(|from| leaf >= from)
                && now.retired_at.is_none_or(|at| leaf < at)
                && now.compromised_at.is_none_or(|at| leaf < at)
        };
        let takes = |leaf: u64| match self.in_force(leaf) {
            Some(rules) => needed(rules),
            None if leaf < first.made_at => 1,
            None => needed(first),
        };
        // Enough by some leaf, for what it takes there and at its place.
        signed.iter().any(|(last, _)| {
            let by_then = signed.iter().filter(|(leaf, n)| leaf <= last && good(*leaf, *n));
            let keys: BTreeSet<u8> = by_then.map(|(_, n)| *n).collect();
            keys.len() as u64 >= takes(place).max(takes(*last))
        })
    }

    fn verdict(&self) -> Verdict {
        let closed = self.closed_at();
        let mut counts = BTreeMap::new();
        let mut standing = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let Event::Bundle { id, article, reinstates, .. } = event else { continue };
            if counts.contains_key(&id.to_string()) {
                continue;
            }
            let mut signed = Vec::new();
            for (leaf, other) in self.events.iter().enumerate().filter(|(leaf, _)| *leaf as u64 <= closed) {
                match other {
                    Event::Bundle { id: of, signers, .. } | Event::Signature { id: of, signers } if of == id => {
                        signed.extend(signers.iter().map(|n| (leaf as u64, *n)));
                    }
                    _ => {}
                }
            }
            let place = place as u64;
            let does = place <= closed && self.enough(place, &signed, |r| r.publish, |rules| rules.publish);
            counts.insert(id.to_string(), does);
            let undoes = does && self.enough(place, &signed, |r| r.withdraw, |rules| rules.withdraw);
            standing.insert(*id, (place, *article, if undoes { reinstates.clone() } else { Vec::new() }));
        }
        let (mut statements, mut replaced) = (BTreeSet::new(), BTreeSet::new());
        let mut shown: BTreeMap<u8, Option<u64>> = (0..ARTICLES).map(|n| (n, Some(0))).collect();
        for (leaf, event) in self.events.iter().enumerate() {
            let Event::Withdraw { statement, articles, size, gone, signers } = event else { continue };
            let (leaf, signed): (u64, Vec<_>) = (leaf as u64, signers.iter().map(|n| (leaf as u64, *n)).collect());
            // One that was made on a later log is none.
            if leaf > closed || *size > leaf || !self.enough(leaf, &signed, |r| r.withdraw, |rules| rules.withdraw) {
                continue;
            }
            statements.insert(statement.to_string());
            let below = gone.iter().filter(|old| standing.get(old).is_some_and(|(place, ..)| place < size));
            replaced.extend(below.map(ToString::to_string));
            for article in articles {
                let again = standing
                    .values()
                    .filter(|(place, of, undone)| *place > leaf && of == article && undone.contains(statement))
                    .map(|(place, ..)| *place)
                    .min();
                let before = shown[article];
                shown.insert(*article, before.zip(again).map(|(before, again)| before.max(again)));
            }
        }
        let policy = self.chain.last().map_or(0, |(_, rules)| rules.version);
        Verdict { policy, counts, statements, replaced, shown }
    }
}

fn count(signers: &BTreeSet<u8>, is: impl Fn(u8) -> bool) -> u64 {
    signers.iter().filter(|n| is(**n)).count() as u64
}

fn active(rights: &Rights) -> bool {
    rights.retired_at.is_none() && rights.compromised_at.is_none()
}

fn goes_on(before: &Rules, next: &Rules) -> bool {
    let kept = before.keys.iter().all(|(n, was)| {
        next.keys.get(n).is_some_and(|is| {
            let same = (is.root, is.publish, is.withdraw, is.valid_from)
                == (was.root, was.publish, was.withdraw, was.valid_from);
            let rests = match was.retired_at {
                Some(at) => is.retired_at == Some(at),
                None => is.retired_at.is_none_or(|at| at >= next.made_at),
            };
            let stolen = was.compromised_at.is_none_or(|at| is.compromised_at.is_some_and(|now| now <= at));
            same && rests && stolen
        })
    });
    let new = next.keys.iter().filter(|(n, _)| !before.keys.contains_key(n));
    let late = |(_, rights): (&u8, &Rights)| rights.valid_from.is_some_and(|from| from >= next.made_at);
    !before.closed
        && next.version == before.version + 1
        && next.previous == Some(before.digest)
        && next.made_at >= before.made_at
        && kept
        && new.into_iter().all(late)
}

/// What the history says, in the model's words.
fn of_history(world: &World, history: &History) -> Verdict {
    let articles = &world.bundles;
    let holds = |article: u8| {
        move |bundle: &LoggedBundle| articles.iter().any(|(id, of, _)| *id == bundle.id && *of == article)
    };
    let shown = |n: u8| {
        let from = history.shown_from(&Digest::of(article_id(n).as_bytes()), &holds(n));
        (n, from.ok().map(|LeafIndex(from)| from))
    };
    Verdict {
        policy: history.authority.policy().map_or(0, |policy| policy.version),
        counts: history.bundles.iter().map(|bundle| (bundle.id.to_string(), bundle.counts())).collect(),
        statements: history.statements.iter().map(|logged| logged.digest.to_string()).collect(),
        replaced: history
            .bundles
            .iter()
            .filter(|bundle| bundle.replaced.is_some())
            .map(|bundle| bundle.id.to_string())
            .collect(),
        shown: (0..ARTICLES).map(shown).collect(),
    }
}

/// Says where history and model part, and why what is void is.
fn differences(found: &Verdict, expected: &Verdict, history: &History) -> String {
    let mut text = format!("policy {} for {}\n", found.policy, expected.policy);
    for bundle in &history.bundles {
        let id = bundle.id.to_string();
        if found.counts.get(&id) != expected.counts.get(&id) {
            text.push_str(&format!("bundle at {}: {:?}, {:?}\n", bundle.place, bundle.standing, bundle.signed));
        }
    }
    let sets = [(&found.statements, &expected.statements), (&found.replaced, &expected.replaced)];
    sets.iter().for_each(|(found, expected)| text.push_str(&format!("{:?}\n", *found ^ *expected)));
    text.push_str(&format!("shown {:?} for {:?}\n", found.shown, expected.shown));
    let last: Vec<_> = history.void.iter().filter(|(leaf, _)| leaf.0 >= FILLERS as u64).collect();
    text + &format!("{last:#?}")
}

/// One step, as four bytes say.
fn step(world: &mut World, [what, who, how, more]: [u8; 4]) {
    // Who signs really, and whose signatures are forged beside.
    let good: BTreeSet<u8> = (0..KEYS).filter(|n| who >> n & 1 == 1).collect();
    let forged: BTreeSet<u8> = (0..KEYS).filter(|n| more >> n & 1 == 1).take(2).collect();
    let by = (&good, &forged);
    match what % 10 {
        0..=2 => {
            let base = if how & 64 == 0 { world.size } else { world.size.saturating_sub(u64::from(how)) };
            world.bundle(how % ARTICLES, base, Vec::new(), by);
        }
        3 => {
            let mut reinstates: Vec<Digest> =
                world.statements.iter().rev().take(usize::from(more % 3)).copied().collect();
            reinstates.sort();
            world.bundle(how % ARTICLES, world.size, reinstates, by);
        }
        4 => world.sign(usize::from(how), by),
        5 => {
            // Often it is logged at once; sometimes it is of an older log, or of one to come, or waits.
            let size = (world.size + 1).saturating_sub(u64::from(more % 5)).max(1);
            world.plan(how % ARTICLES, size);
            if how & 32 == 0 {
                world.withdraw(by);
            }
        }
        6 => world.withdraw(by),
        7..=8 => {
            let rules = next_rules(world, how, more);
            let all = (0..KEYS).collect();
            world.policy(rules, if who & 128 == 0 { by } else { (&all, by.1) });
        }
        _ => {
            // The same leaf again, and one that is none.
            let number = (world.size - 1) / 256;
            let (_, entries) = Log::new(&world.store(), world.size).entries_of(number).unwrap();
            let last = entries.last().unwrap().clone();
            let event = world.events.last().unwrap().clone();
            world.append(vec![last, b"vellum-leaf/2 nonsense\n".to_vec()]);
            // A policy again is not the version that comes next; a statement again was logged before, if it counts.
            world.events.extend([event, Event::Nothing]);
        }
    }
}

/// A policy that goes on from the one in force, by an honest hand or with a lie in it; bounds lie about the end of the log.
fn next_rules(world: &World, how: u8, more: u8) -> Rules {
    let made_at = world.size - u64::from(more % 4);
    let near = world.size - 3 + u64::from(how / 11 % 8);
    let all = |valid_from| Rights {
        root: true,
        publish: true,
        withdraw: true,
        valid_from,
        retired_at: None,
        compromised_at: None,
    };
    let model = Model::of(&world.events);
    let Some((_, before)) = model.chain.last().filter(|_| !how.is_multiple_of(13)) else {
        let keys = (0..3).map(|n| (n, all((n == 2).then_some(near)))).collect();
        let (root, publish) = (1 + u64::from(how % 2), 1 + u64::from(more % 2));
        let digest = Digest::of(b"");
        return Rules { version: 1, previous: None, made_at, root, publish, withdraw: 1, keys, closed: false, digest };
    };
    let mut next = Rules { version: before.version + 1, previous: Some(before.digest), made_at, ..before.clone() };
    let n = more % KEYS;
    match how % 11 {
        0 => drop(next.keys.insert(n, all(Some(near)))),
        1 => next.keys.get_mut(&n).into_iter().for_each(|rights| rights.retired_at = Some(near)),
        2 => next.keys.get_mut(&n).into_iter().for_each(|rights| rights.compromised_at = Some(near)),
        3 => next.publish = 1 + u64::from(more % 3),
        4 => next.root = 1 + u64::from(more % 2),
        5 => next.withdraw = 1 + u64::from(more % 2),
        // Lies.
        6 => drop(next.keys.remove(&n)),
        7 => next.previous = Some(Digest::of(b"another")),
        8 => next.keys.get_mut(&n).into_iter().for_each(|rights| rights.publish = !rights.publish),
        9 => next.version += 1,
        _ => next.closed = more > 230,
    }
    next
}

#[test]
fn the_history_of_a_log_is_what_a_naive_model_says_of_it() {
    let runs = if std::env::var_os("VELLUM_LONG").is_some() { LONG_RUNS } else { SHORT_RUNS };
    let mut runner = TestRunner::new(Config { cases: runs, ..Config::with_source_file(file!()) });
    let steps = prop::collection::vec(any::<[u8; 4]>(), STEPS);
    let seen = RefCell::new([0_u32; 5]);
    runner
        .run(&steps, |steps| {
            let mut world = World::new();
            for (n, bytes) in steps.iter().enumerate() {
                step(&mut world, *bytes);
                if n % 10 == 9 || n + 1 == steps.len() {
                    let history = world.history();
                    let (expected, found) = (Model::of(&world.events).verdict(), of_history(&world, &history));
                    prop_assert!(found == expected, "after step {n}: {}", differences(&found, &expected, &history));
                }
            }
            prop_assert!(world.size > 256);
            let verdict = Model::of(&world.events).verdict();
            let mut seen = seen.borrow_mut();
            seen[0] += u32::from(verdict.policy > 1);
            seen[1] += u32::from(verdict.counts.values().any(|counts| *counts));
            seen[2] += u32::from(verdict.counts.values().any(|counts| !*counts));
            seen[3] += u32::from(!verdict.replaced.is_empty());
            seen[4] += u32::from(verdict.shown.values().any(|from| from.is_some_and(|from| from > 0)));
            Ok(())
        })
        .unwrap();
    // The game is no use if nothing happens in it.
    println!("policies, counting, void, replaced, shown again, in {runs} runs: {seen:?}");
    assert!(seen.borrow().iter().all(|times| *times > 0), "{seen:?}");
}

/// With the log's key alone a thief appends what he likes; what counted before counts after, and nothing else does.
#[test]
fn the_log_key_alone_changes_nothing_that_counts() {
    let all: BTreeSet<u8> = BTreeSet::from([0, 1, 2]);
    let none = BTreeSet::new();
    let mut world = World::new();
    for n in 0..8 {
        world.bundle(n % ARTICLES, world.size, Vec::new(), (&all, &none));
    }
    let rules = next_rules(&world, 1, 0);
    world.policy(rules, (&all, &none));
    world.plan(1, world.size);
    world.withdraw((&all, &none));
    let before = of_history(&world, &world.history());
    assert!(before.policy == 1 && !before.replaced.is_empty() && before.counts.values().filter(|c| **c).count() == 8);
    for n in 0..60_u8 {
        step(&mut world, [n, 0, n.wrapping_mul(37), n.wrapping_mul(91) | 1]);
        let mut after = of_history(&world, &world.history());
        after.counts.retain(|id, counts| before.counts.contains_key(id) || *counts);
        assert_eq!(after, before, "after the thief's step {n}");
    }
}
