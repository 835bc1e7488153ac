//! Checking a whole archive: the log from its leaves up, every bundle byte by byte, every replacement against what it replaced.
//!
//! Damage is a finding; all of it is reported. What counts is for the log's history to say; what does not is a notice. Memory is a few
//! bundles' tails, not the archive.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use crate::archive::history::{Form, LoggedBundle, Standing, total};
use crate::archive::{Archive, History, Log, Vouched, layout};
use crate::digest::Digest;
use crate::finding::{Code, Finding, Severity};
use crate::folder::BUNDLE_ENDING;
use crate::format::bundle::{self, Bundle, Source, check};
use crate::format::checkpoint::Checkpoint;
use crate::format::tile::{Holds, TILE_WIDTH, Tile};
use crate::merkle::{self, Nodes};
use crate::pipeline::ordered;
use crate::run::Run;
use crate::store::{Hashed, Object};
use crate::watch::{Task, Watch};

use super::Error;
use super::follow::is_rest;

/// The longest document of an archive, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Bundles for each thread from which on threads take whole bundles, and not each bundle all threads.
const BUNDLES_A_THREAD: usize = 2;

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// Everything wrong or worth knowing.
    pub findings: Vec<Finding>,
    /// Bundles whose files are there.
    pub bundles: u64,
    /// Articles that the bundles held when they were logged: each is a revision.
    pub revisions: u64,
    /// Leaves of the log.
    pub leaves: u64,
    /// Bytes of the bundles' files.
    pub bytes: u64,
    /// Whether each bundle is signed by who may.
    pub authentic: bool,
}

/// Checks everything that the log of a checkpoint, which somebody trusted has signed, says of the archive.
///
/// # Errors
/// Only where something cannot be read at all, or the watch asks to stop.
pub fn audit(archive: &Archive, vouched: &Vouched, run: Run<'_>) -> Result<Audit, Error> {
    let (checkpoint, history) = (&vouched.checkpoint, &vouched.history);
    let mut audit = Audit { authentic: true, leaves: checkpoint.size, ..Audit::default() };
    if let Err(error) = check_log(archive, checkpoint, &mut audit.findings) {
        audit.findings.push(Finding::new(Code::Log, "log", error));
        return Ok(audit);
    }
    audit.void(history);
    audit.small_files(archive, history);
    let held: Vec<&LoggedBundle> = history.held().collect();
    audit.revisions = history.lines().fold(0, |sum, (first, _)| sum.saturating_add(first.facts.articles));
    run.watch.begin(Task::Verify, Some(total(held.iter().copied())));
    let apart = held.len() >= BUNDLES_A_THREAD * run.threads.get();
    let (outer, inner) = if apart { (run.threads, NonZeroUsize::MIN) } else { (NonZeroUsize::MIN, run.threads) };
    ordered(
        outer,
        held.into_iter(),
        || |logged: &LoggedBundle| check_bundle(archive, history, logged, run.on(inner)),
        |checked: Result<Checked, Error>| {
            let checked = checked?;
            audit.bundles += u64::from(checked.bytes > 0);
            audit.bytes += checked.bytes;
            audit.findings.extend(checked.findings);
            Ok::<_, Error>(())
        },
    )?;
    audit.strays(archive, history)?;
    audit.findings.sort_by_key(|finding| finding.code);
    Ok(audit)
}

/// Checks that every tile is what the leaves make it, and that they lead to the root.
///
/// # Errors
/// Where a tile cannot be read.
pub fn check_log(archive: &Archive, checkpoint: &Checkpoint, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let mut log = archive.log(checkpoint);
    for number in 0..log.tiles_of_entries() {
        let (first, entries) = log.entries_of(number)?;
        for (index, entry) in (first..).zip(&entries) {
            if log.node(0, index)? != merkle::leaf_hash(entry) {
                findings.push(Finding::new(
                    Code::Log,
                    format!("leaf {index}"),
                    "the tile has another hash than the leaf",
                ));
            }
        }
    }
    for level in 1_u8..=8 {
        for tile in Tile::at(Holds::Hashes(level), 0, checkpoint.size) {
            for place in 0..u64::from(tile.width) {
                let number = tile.number * TILE_WIDTH + place;
                let below = [0, 1].map(|half| log.node(8 * u32::from(level) - 1, 2 * number + half));
                let [left, right] = below;
                if log.node(8 * u32::from(level), number)? != merkle::node_hash(&left?, &right?) {
                    let detail = "is not what the tiles below make it";
                    findings.push(Finding::new(Code::Log, tile.to_string(), detail));
                    break;
                }
            }
        }
    }
    if Log::new(archive.store(), checkpoint.size).root(checkpoint.size)? != checkpoint.root {
        findings.push(Finding::new(Code::Log, "checkpoint", "the tiles lead to another root"));
    }
    Ok(())
}

/// What checking one bundle found.
struct Checked {
    findings: Vec<Finding>,
    /// Of the file that is there.
    bytes: u64,
}

/// Checks a bundle: any of its forms that is there and whole makes it complete, damage to others is reported all the same.
fn check_bundle(archive: &Archive, history: &History, logged: &LoggedBundle, run: Run<'_>) -> Result<Checked, Error> {
    let mut checked = Checked { findings: Vec::new(), bytes: 0 };
    let (mut absent, mut complete, mut files) = (None, false, HashSet::new());
    for form in logged.credible() {
        let place = layout::bundle(logged.id, &form.file);
        let file = match archive.store().open(&place) {
            Ok(file) => file,
            Err(error) => {
                absent = absent.or(Some(Finding::new(Code::BundleMissing, place, error)));
                continue;
            }
        };
        let size = file.size().map_err(|source| bundle::Error::Io { doing: "reading the bundle", source })?;
        if size != form.size {
            // A leaf that states another size of a file, beside one that states its own, says nothing; alone it keeps mirrors from the file.
            if logged.forms.iter().any(|other| other.file == form.file && other.size == size) {
                continue;
            }
            let detail = format!("has {size} bytes, its leaf says {}", form.size);
            checked.findings.push(Finding::new(Code::BundleFile, &place, detail));
            continue;
        }
        if !files.insert(form.file) {
            continue;
        }
        checked.bytes += size;
        let findings = check_form(history, logged, (form, &place), file, run)?;
        let whole = findings.iter().all(|finding| finding.severity() == Severity::Notice);
        checked.findings.extend(findings);
        complete |= whole;
    }
    if checked.findings.is_empty() && !complete {
        let none = || {
            let detail = "the sizes that its leaves state are more than its manifest allows";
            Finding::new(Code::BundleMissing, layout::bundle_folder(logged.id), detail)
        };
        checked.findings.push(absent.unwrap_or_else(none));
    }
    Ok(checked)
}

fn check_form(
    history: &History,
    logged: &LoggedBundle,
    (form, place): (&Form, &str),
    file: Object,
    run: Run<'_>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let hashed = Hashed::new(&file);
    let report = check(&hashed, run.watched(&Progress(run.watch)))?;
    let digest = hashed.digest();
    if digest.map_err(|source| bundle::Error::Io { doing: "reading the bundle", source })? != form.file {
        findings.push(Finding::new(Code::BundleFile, place, "is not the file that was logged"));
    }
    run.watch.advance(form.size);
    if report.id().is_some_and(|found| found != logged.id) {
        findings.push(Finding::new(Code::BundleFile, place, "holds another bundle than its name says"));
    }
    let in_bundle = |finding: &Finding| Finding { place: format!("{place}: {}", finding.place), ..finding.clone() };
    findings.extend(report.findings.iter().map(in_bundle));
    if report.findings.is_empty() && !logged.facts.replaces.is_empty() {
        let contents = Bundle::open(file)?.contents()?;
        if !is_rest(history, logged, &contents) {
            let detail = "is not what is left of the bundle whose place it takes";
            findings.push(Finding::new(Code::Withdrawal, place, detail));
        }
    }
    Ok(findings)
}

impl Audit {
    /// Reports what does not count.
    fn void(&mut self, history: &History) {
        let by_keys = history.authority.policy().is_none();
        for (leaf, why) in &history.void {
            self.findings.push(Finding::new(Code::Void, format!("leaf {leaf}"), why));
        }
        for logged in &history.statements {
            for (old, why) in &logged.void {
                let place = layout::statement(&logged.digest);
                self.findings.push(Finding::new(Code::Void, place, format!("does not replace bundle {old}: {why}")));
            }
        }
        if let Some(leaf) = history.foreign_policy {
            let detail = "is of a policy, by keys that are not trusted here: `vellum trust pin` believes one";
            self.findings.push(Finding::new(Code::Policy, format!("leaf {leaf}"), detail));
        }
        for bundle in &history.bundles {
            // Who trusts keys must be told of bundles that none of them has signed: they may be others' articles.
            if let (true, Standing::Void(why)) = (by_keys && !history.met(bundle).is_met(), &bundle.standing)
                && bundle.facts.replaces.is_empty()
            {
                self.authentic = false;
                self.findings.push(Finding::new(Code::Untrusted, format!("bundle {}", bundle.id), why));
            }
        }
    }

    /// Checks that statements and documents are there.
    fn small_files(&mut self, archive: &Archive, history: &History) {
        for place in &history.missing {
            self.findings.push(Finding::new(
                Code::Withdrawal,
                place,
                "is not there, or is not the statement that was logged",
            ));
        }
        for (name, document) in &history.documents {
            match archive.store().read(name, MAX_DOCUMENT_BYTES) {
                Ok(bytes) if Digest::of(&bytes) == document.file => {}
                Ok(_) => self.findings.push(Finding::new(Code::Document, name, "is not the document that was logged")),
                Err(error) => self.findings.push(Finding::new(Code::Document, name, error)),
            }
        }
    }

    /// Finds files among the bundles that the log does not know.
    fn strays(&mut self, archive: &Archive, history: &History) -> Result<(), Error> {
        let store = archive.store();
        // A web server does not list what it has.
        if store.remote().is_some() {
            return Ok(());
        }
        let of_bundle = |bundle: &LoggedBundle| {
            let place = |form: &Form| layout::bundle(bundle.id, &form.file);
            bundle.forms.iter().map(place).collect::<Vec<_>>()
        };
        let known: HashSet<String> =
            history.bundles.iter().filter(|bundle| bundle.replaced.is_none()).flat_map(of_bundle).collect();
        for shelf in store.list(layout::BUNDLES)? {
            let shelf = format!("{}/{shelf}", layout::BUNDLES);
            if !store.path(&shelf).is_dir() {
                self.findings.push(Finding::new(Code::Stray, shelf, "the log does not have it"));
                continue;
            }
            for folder in store.list(&shelf)? {
                let folder = format!("{shelf}/{folder}");
                if !store.path(&folder).is_dir() {
                    self.findings.push(Finding::new(Code::Stray, folder, "the log does not have it"));
                    continue;
                }
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

/// Passes on the wish to stop; progress is counted in bundles' bytes.
struct Progress<'a>(&'a dyn Watch);

impl Watch for Progress<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
