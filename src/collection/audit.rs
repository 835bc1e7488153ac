//! Checking a whole archive: the log from its leaves up, every bundle byte by byte, every leaf against what its bundle yields.
//!
//! Damage is a finding; all of it is reported. Whom to believe comes from outside: the log's key, the signers' keys.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use crate::archive::policies::Vouched;
use crate::archive::{Archive, Log, layout, leaves, revisions};
use crate::digest::{Digest, Hasher};
use crate::finding::{Code, Finding};
use crate::folder::BUNDLE_ENDING;
use crate::format::bundle::{Bundle, Source, check};
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::Leaf;
use crate::format::tile::{Holds, TILE_WIDTH, Tile};
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};
use crate::ids::BundleId;
use crate::keys::Kind;
use crate::merkle::{self, Nodes};
use crate::store::Object;
use crate::trust::authority::{Authority, Logged as LoggedSignature};
use crate::trust::judge;
use crate::trust::policy::{self, MAX_POLICY_BYTES, Role};
use crate::watch::{Task, Watch};

use super::Error;

/// The longest document of an archive, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 1 << 20;
/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// Everything wrong or worth knowing.
    pub findings: Vec<Finding>,
    /// Bundles whose files are there.
    pub bundles: u64,
    /// Leaves of articles.
    pub revisions: u64,
    /// Leaves of the log.
    pub leaves: u64,
    /// Bytes of the bundles' files.
    pub bytes: u64,
    /// Whether each bundle is signed for this archive by a key that is trusted.
    pub authentic: bool,
}

/// A bundle of the log.
struct Logged {
    index: u64,
    size: u64,
    file: Digest,
    replaces: Option<BundleId>,
    articles: Vec<(u64, Leaf)>,
    signatures: Vec<(u64, Digest)>,
}

/// Checks everything that the log of a checkpoint, which somebody trusted has signed, says of the archive.
///
/// # Errors
/// Only where something cannot be read at all, or the watch asks to stop.
pub fn audit(archive: &Archive, vouched: &Vouched, threads: NonZeroUsize, watch: &dyn Watch) -> Result<Audit, Error> {
    let checkpoint = &vouched.checkpoint;
    let authority = &vouched.authority;
    let mut audit = Audit { authentic: true, leaves: checkpoint.size, ..Audit::default() };
    let all = match read_log(archive, checkpoint, &mut audit) {
        Ok(all) => all,
        Err(error) => {
            audit.findings.push(Finding::new(Code::Log, "log", error));
            return Ok(audit);
        }
    };
    let (mut bundles, mut order): (HashMap<BundleId, Logged>, Vec<BundleId>) = (HashMap::new(), Vec::new());
    let (mut withdrawn, mut replaced): (HashSet<Digest>, HashMap<BundleId, Option<BundleId>>) = Default::default();
    for (index, leaf) in (0_u64..).zip(&all) {
        let Some(leaf) = leaf else { continue };
        match leaf {
            Leaf::Bundle { id, size, file, replaces } => {
                let (articles, signatures) = (Vec::new(), Vec::new());
                let logged = Logged { index, size: *size, file: *file, replaces: *replaces, articles, signatures };
                // What was withdrawn and taken in again is there again.
                if replaced.remove(id).is_none() && bundles.contains_key(id) {
                    audit.find(Code::Leaf, index, "is of a bundle that the log has already");
                }
                if bundles.insert(*id, logged).is_none() {
                    order.push(*id);
                }
            }
            Leaf::Article { bundle, .. } => {
                audit.revisions += 1;
                match bundles.get_mut(bundle) {
                    Some(logged) => logged.articles.push((index, leaf.clone())),
                    None => audit.find(Code::Leaf, index, "is of a bundle that the log does not have"),
                }
            }
            Leaf::Signature { bundle, file, .. } => match bundles.get_mut(bundle) {
                Some(logged) => logged.signatures.push((index, *file)),
                None => audit.find(Code::Leaf, index, "is of a bundle that the log does not have"),
            },
            Leaf::Policy { version, file } => match archive.store().read(&policy::place(*version), MAX_POLICY_BYTES) {
                Ok(bytes) if Digest::of(&bytes) == *file => {}
                Ok(_) => {
                    let place = policy::place(*version);
                    audit.findings.push(Finding::new(Code::Policy, place, "is not the policy that was logged"));
                }
                Err(error) => audit.findings.push(Finding::new(Code::Policy, policy::place(*version), error)),
            },
            Leaf::Withdraw { statement, signatures } => {
                if let Some(statement) = audit.statement(archive, (index, statement, signatures), authority) {
                    withdrawn.insert(Digest::of(statement.article.as_bytes()));
                    replaced.extend(statement.bundles);
                }
            }
            Leaf::Document { name, file } => match archive.store().read(name, MAX_DOCUMENT_BYTES) {
                Ok(bytes) if Digest::of(&bytes) == *file => {}
                Ok(_) => audit.findings.push(Finding::new(Code::Document, name, "is not the document that was logged")),
                Err(error) => audit.findings.push(Finding::new(Code::Document, name, error)),
            },
        }
    }
    let total = bundles.iter().filter(|(id, _)| !replaced.contains_key(id)).map(|(_, logged)| logged.size).sum();
    watch.begin(Task::Verify, Some(total));
    for id in order {
        if replaced.contains_key(&id) {
            continue;
        }
        audit.bundle(archive, id, &bundles, &withdrawn, authority, threads, watch)?;
    }
    audit.strays(archive, &bundles, &replaced)?;
    audit.findings.sort_by_key(|finding| finding.code);
    Ok(audit)
}

/// Reads all leaves, and checks that every tile is what they make it.
fn read_log(archive: &Archive, checkpoint: &Checkpoint, audit: &mut Audit) -> Result<Vec<Option<Leaf>>, Error> {
    let mut log = archive.log(checkpoint);
    let mut leaves = Vec::new();
    for index in 0..checkpoint.size {
        let entry = log.entry(index)?;
        if log.node(0, index)? != merkle::leaf_hash(&entry) {
            audit.find(Code::Log, index, "the tile has another hash than the leaf");
        }
        let leaf = Leaf::decode(&entry);
        if let Err(fault) = &leaf {
            audit.find(Code::Leaf, index, fault);
        }
        leaves.push(leaf.ok());
    }
    for level in 1_u8..=8 {
        for tile in Tile::at(Holds::Hashes(level), 0, checkpoint.size) {
            for place in 0..u64::from(tile.width) {
                let number = tile.number * TILE_WIDTH + place;
                let below = [0, 1].map(|half| log.node(8 * u32::from(level) - 1, 2 * number + half));
                let [left, right] = below;
                if log.node(8 * u32::from(level), number)? != merkle::node_hash(&left?, &right?) {
                    audit.findings.push(Finding::new(
                        Code::Log,
                        tile.to_string(),
                        "is not what the tiles below make it",
                    ));
                    break;
                }
            }
        }
    }
    if Log::new(archive.store(), checkpoint.size).root(checkpoint.size)? != checkpoint.root {
        audit.findings.push(Finding::new(Code::Log, "checkpoint", "the tiles lead to another root"));
    }
    Ok(leaves)
}

impl Audit {
    fn find(&mut self, code: Code, leaf: u64, detail: impl std::fmt::Display) {
        self.findings.push(Finding::new(code, format!("leaf {leaf}"), detail));
    }

    /// Checks a bundle's file and all leaves that it must have made.
    #[expect(
        clippy::too_many_arguments,
        reason = "what the log says, what it says is gone, whom to believe, and how to go about it"
    )]
    fn bundle(
        &mut self,
        archive: &Archive,
        id: BundleId,
        bundles: &HashMap<BundleId, Logged>,
        withdrawn: &HashSet<Digest>,
        authority: &Authority,
        threads: NonZeroUsize,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        let Some(logged) = bundles.get(&id) else { return Ok(()) };
        let place = layout::bundle(id, &logged.file);
        let file = match archive.store().open(&place) {
            Ok(file) => file,
            Err(error) => {
                self.findings.push(Finding::new(Code::BundleMissing, place, error));
                self.authentic = false;
                return Ok(());
            }
        };
        self.bundles += 1;
        self.bytes += logged.size;
        if file_digest(&file)? != logged.file {
            self.findings.push(Finding::new(Code::BundleFile, &place, "is not the file that was logged"));
        }
        let report = check(&file, threads, &Progress(watch))?;
        watch.advance(logged.size);
        if report.id().is_some_and(|found| found != id) {
            self.findings.push(Finding::new(Code::BundleFile, &place, "holds another bundle than its name says"));
        }
        let in_bundle = |finding: &Finding| Finding { place: format!("{place}: {}", finding.place), ..finding.clone() };
        self.findings.extend(report.findings.iter().map(in_bundle));
        let (Some(tail), Some(manifest)) = (&report.tail, &report.manifest) else {
            self.authentic = false;
            return Ok(());
        };
        match authority {
            Authority::Keys(keys) => {
                let judgement = judge(tail, manifest, keys, Some(archive.origin()));
                self.authentic &= judgement.authentic();
                self.findings.extend(judgement.findings.iter().map(in_bundle));
            }
            Authority::Policy(_) => {
                let signatures: Vec<_> = tail.signatures.iter().map(|file| logged.signature(&file.bytes)).collect();
                let what = (Role::Publish, Kind::Manifest);
                let origin = archive.origin();
                let met = authority.judge(what, &tail.manifest, &signatures, origin);
                self.authentic &= met.is_met();
                if !met.is_met() {
                    self.findings.push(in_bundle(&Finding::new(Code::Untrusted, "manifest.toml", met.reason())));
                }
            }
        }
        if report.findings.is_empty() {
            self.leaves_of(&Bundle::open(file)?, id, bundles, withdrawn)?;
        }
        Ok(())
    }

    /// Holds the log against what a whole bundle yields.
    fn leaves_of(
        &mut self,
        bundle: &Bundle<Object>,
        id: BundleId,
        bundles: &HashMap<BundleId, Logged>,
        withdrawn: &HashSet<Digest>,
    ) -> Result<(), Error> {
        let contents = bundle.contents()?;
        let revisions = revisions(bundle, &contents)?;
        let Some(logged) = bundles.get(&id) else { return Ok(()) };
        if bundle.file_bytes() != logged.size || bundle.manifest().replaces.first().copied() != logged.replaces {
            self.find(Code::Leaf, logged.index, "is not what its bundle yields");
        }
        if logged.replaces.is_none() {
            for (n, leaf) in leaves(bundle, &revisions, logged.file).iter().enumerate().skip(1) {
                let index = logged.index + n as u64;
                if logged.articles.get(n - 1).is_none_or(|(at, found)| *at != index || found != leaf) {
                    self.find(Code::Leaf, index, "is not what its bundle yields");
                }
            }
        }
        let held: HashSet<(Digest, Digest)> =
            revisions.iter().map(|revision| (Digest::of(revision.id.as_bytes()), revision.lines)).collect();
        let mut at = Some(id);
        while let Some(logged) = at.and_then(|id| bundles.get(&id)) {
            for (index, leaf) in &logged.articles {
                let Leaf::Article { id, lines, .. } = leaf else { continue };
                if !held.contains(&(*id, *lines)) && !withdrawn.contains(id) {
                    self.find(Code::Leaf, *index, "is of an article that its bundle does not hold");
                }
            }
            at = logged.replaces;
        }
        Ok(())
    }

    /// Reads a statement that the log has, and checks that who may withdraw has signed it.
    fn statement(
        &mut self,
        archive: &Archive,
        (index, digest, logged): (u64, &Digest, &[([u8; 32], Digest)]),
        authority: &Authority,
    ) -> Option<Withdrawal> {
        let place = layout::statement(digest);
        let mut refused = |detail: String| {
            self.findings.push(Finding::new(Code::Withdrawal, &place, detail));
        };
        let bytes = match archive.store().read(&place, MAX_WITHDRAWAL_BYTES) {
            Ok(bytes) if Digest::of(&bytes) == *digest => bytes,
            Ok(_) => {
                refused("is not the statement that was logged".into());
                return None;
            }
            Err(error) => {
                refused(error.to_string());
                return None;
            }
        };
        let statement = match Withdrawal::decode(&bytes) {
            Ok(statement) if statement.archive == *archive.origin() => statement,
            Ok(statement) => {
                refused(format!("is of the archive {}", statement.archive));
                return None;
            }
            Err(fault) => {
                refused(fault.to_string());
                return None;
            }
        };
        let mut signatures = Vec::new();
        for key in authority.keys(Role::Withdraw) {
            let place = layout::statement_signature(digest, &key.key.id().to_string());
            if let Ok(signature) = archive.store().read(&place, MAX_SIGNATURE_BYTES) {
                let leaf = (*key.key.as_bytes(), Digest::of(&signature));
                signatures.push((signature, logged.contains(&leaf).then_some(index)));
            }
        }
        let signatures: Vec<_> =
            signatures.iter().map(|(bytes, index)| LoggedSignature { bytes, index: *index }).collect();
        let what = (Role::Withdraw, Kind::Withdraw);
        let met = authority.judge(what, &bytes, &signatures, archive.origin());
        if !met.is_met() {
            refused(format!("is not signed by who may withdraw: {}", met.reason()));
        }
        Some(statement)
    }

    /// Finds files among the bundles that the log does not know.
    fn strays(
        &mut self,
        archive: &Archive,
        bundles: &HashMap<BundleId, Logged>,
        replaced: &HashMap<BundleId, Option<BundleId>>,
    ) -> Result<(), Error> {
        let store = archive.store();
        // A web server does not list what it has.
        if store.remote().is_some() {
            return Ok(());
        }
        let known: HashSet<String> = bundles
            .iter()
            .filter(|(id, _)| !replaced.contains_key(id))
            .map(|(id, l)| layout::bundle(*id, &l.file))
            .collect();
        for shelf in store.list(layout::BUNDLES)? {
            for folder in store.list(&format!("{}/{shelf}", layout::BUNDLES))? {
                let folder = format!("{}/{shelf}/{folder}", layout::BUNDLES);
                for name in store.list(&folder)? {
                    let place = format!("{folder}/{name}");
                    if name.ends_with(BUNDLE_ENDING) && !known.contains(&place) {
                        self.findings.push(Finding::new(Code::Stray, place, "the log does not have it"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Logged {
    /// Finds the leaf of a signature.
    fn signature<'a>(&self, bytes: &'a [u8]) -> LoggedSignature<'a> {
        let digest = Digest::of(bytes);
        let leaf = self.signatures.iter().find(|(_, file)| *file == digest);
        LoggedSignature { bytes, index: leaf.map(|(index, _)| *index) }
    }
}

/// Passes on the wish to stop; progress is counted in bundles' bytes.
struct Progress<'a>(&'a dyn Watch);

impl Watch for Progress<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

fn file_digest(file: &Object) -> Result<Digest, Error> {
    let read = |source| crate::format::bundle::Error::Io { doing: "reading the bundle", source };
    let mut hasher = Hasher::new();
    let (mut buffer, mut at, size) = (vec![0; 1 << 20], 0, file.size().map_err(read)?);
    while at < size {
        let part = buffer.len().min((size - at) as usize);
        file.read_at(&mut buffer[..part], at).map_err(read)?;
        hasher.update(&buffer[..part]);
        at += part as u64;
    }
    Ok(hasher.finish())
}
