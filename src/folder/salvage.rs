//! Getting out of a damaged bundle what is still whole: a file is written only where its line stands in a checksum list that a signed manifest
//! names, and its bytes match that line.
//!
//! The file is read twice: first to learn what its tails and lists say and which files are whole, then to write those. Whether the signatures
//! of a tail count is asked of each by itself. What no signature covers is written only where that is asked for, after all else, and only
//! where no signed line names its path.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use tempfile::TempDir;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::bundle::{FileState, Judge, Remains, Report, Salvor, Source};
use crate::format::checksums::{DATA, is_metadata};
use crate::path::EntryPath;
use crate::run::Run;

use super::extract::system_time;
use super::tree::Tree;
use super::{Error, publish};

/// What a salvage got.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// What is known of each bundle in the file, in order of the file; at least one.
    pub reports: Vec<Report>,
    /// Everything wrong with the file.
    pub findings: Vec<Finding>,
    /// Number of files written.
    pub files: u64,
    /// Number of whole documents that were not written, since their articles are damaged.
    pub left: u64,
    /// Whether a signed list names anything that could have been written.
    pub vouched: bool,
    /// The files that were written although no signature covers them, by their paths.
    pub unvouched: Vec<String>,
}

/// Which files a salvage writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of whole articles.
    Articles,
    /// The whole files of damaged articles too.
    Files,
}

/// Writes the whole files of a bundle, or of several in one file, to `target`, where `judge` says that the signatures count.
///
/// With `unsigned`, also what lists name whose signatures do not count, and where there is no list, every file that could be read in one
/// piece: but nothing under a path that a signed list names.
///
/// # Errors
/// Where reading or writing fails. Damage is in the findings.
pub fn salvage<S: Source>(
    source: &S,
    target: &Path,
    wanted: Wanted,
    unsigned: bool,
    judge: &Judge<'_>,
    run: Run<'_>,
) -> Result<Salvaged, Error> {
    let target = publish::resolved(target);
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists(target));
    }
    let remains = Remains::find(source, judge, unsigned, run)?;
    let mut salvaged = Salvaged { reports: remains.reports(run)?, ..Salvaged::default() };
    let reports = &salvaged.reports;
    salvaged.findings = reports.iter().flat_map(|report| report.findings.iter().cloned()).collect();
    salvaged.vouched = reports.iter().any(|report| report.counts && report.list.is_some());
    if salvaged.vouched || unsigned {
        let signed = Plan::of(reports, true, wanted, &HashSet::new());
        salvaged.findings.extend(signed.clashes.iter().cloned());
        salvaged.left = signed.left;
        let unfinished = publish::unnamed_folder(&target)?;
        let tree = Tree::begin(unfinished.path().join("out"))?;
        let mut keeper = Keeper::new(&unfinished, tree, signed);
        if salvaged.vouched {
            remains.walk(&mut keeper, run)?;
        }
        let is_partial = !remains.is_one() || reports.iter().any(Report::is_partial);
        if unsigned && (is_partial || !salvaged.vouched) {
            let of_signed = named(reports, true);
            let before = keeper.seen.clone();
            keeper.plan = Plan::of(reports, false, wanted, &of_signed);
            salvaged.left += keeper.plan.left;
            keeper.plan.unlisted = is_partial.then(|| &of_signed | &named(reports, false));
            remains.walk(&mut keeper, run)?;
            salvaged.unvouched = keeper.seen.difference(&before).cloned().collect();
            salvaged.unvouched.sort();
        }
        salvaged.findings.append(&mut keeper.clashes);
        salvaged.files = keeper.seen.len() as u64;
        if salvaged.files > 0 {
            let out = keeper.tree.root();
            publish::sync_all(out)?;
            fs::rename(out, &target).map_err(|source| Error::Write { path: target.clone(), source })?;
            publish::sync_folder(publish::parent(&target))?;
        }
    }
    salvaged.findings.sort_by_key(|finding| finding.code);
    salvaged.findings.dedup();
    Ok(salvaged)
}

/// Returns the paths that lists name, of bundles whose signatures count or of others.
fn named(reports: &[Report], counts: bool) -> HashSet<&str> {
    let lists = reports.iter().filter(|report| report.counts == counts).filter_map(|report| report.list.as_ref());
    lists.flat_map(|list| (0..list.len()).map(|line| list.path(line))).collect()
}

/// Which files a walk writes, by their paths, `data/` included.
#[derive(Default)]
struct Plan<'a> {
    /// Those of lists, with what these say of them.
    listed: HashMap<&'a str, (Digest, Option<DateTime>)>,
    /// Where files of no list are written too, the paths that they may not have.
    unlisted: Option<HashSet<&'a str>>,
    /// Whole files whose place another bundle's has.
    clashes: Vec<Finding>,
    /// Number of whole documents left out, since their articles are damaged.
    left: u64,
}

impl<'a> Plan<'a> {
    /// Takes what is whole of the bundles whose signatures count, or of the others, but for `taken` paths. Where two bundles have one path,
    /// the later one goes first: it is the one that readers open.
    fn of(reports: &'a [Report], counts: bool, wanted: Wanted, taken: &HashSet<&str>) -> Self {
        let mut plan = Self::default();
        for report in reports.iter().rev().filter(|report| report.counts == counts) {
            let (Some(list), Some(articles)) = (&report.list, &report.articles) else { continue };
            for line in (0..list.len()).filter(|&line| report.states[line] == FileState::Whole) {
                let path = list.path(line);
                let of_whole = list.owner(line).is_some_and(|owner| articles[owner].state == FileState::Whole);
                if taken.contains(path) {
                    continue;
                }
                if !of_whole && wanted == Wanted::Articles {
                    plan.left += u64::from(!is_metadata(path));
                    continue;
                }
                let other = plan.listed.get(path).map(|(digest, _)| *digest);
                if other.is_none() {
                    plan.listed.insert(path, (list.digest(line), report.times.get(line).copied().flatten()));
                } else if other != Some(list.digest(line)) {
                    let detail = "left out: a later bundle in the file has another file of this path";
                    plan.clashes.push(Finding::new(Code::Path, list.below(line), detail));
                }
            }
        }
        plan
    }

    /// Returns what a file with this path must be; `None` where it is not to be written.
    fn expects(&self, path: &str) -> Option<Option<(Digest, Option<DateTime>)>> {
        match self.listed.get(path) {
            Some(expected) => Some(Some(*expected)),
            None => self.unlisted.as_ref().filter(|named| !named.contains(path)).map(|_| None),
        }
    }
}

/// A file that is being written.
struct Open {
    path: String,
    /// What the list says of it, where there is one.
    expected: Option<(Digest, Option<DateTime>)>,
    at: PathBuf,
    file: BufWriter<File>,
}

/// Writes each file beside its place, and puts it there once its digest is known.
struct Keeper<'a> {
    folder: &'a TempDir,
    tree: Tree,
    plan: Plan<'a>,
    open: Option<Open>,
    /// The files written.
    seen: HashSet<String>,
    /// Files left out because others have their place already: by a list that breaks the rules, or on a file system that folds names.
    clashes: Vec<Finding>,
}

impl<'a> Keeper<'a> {
    fn new(folder: &'a TempDir, tree: Tree, plan: Plan<'a>) -> Self {
        Self { folder, tree, plan, open: None, seen: HashSet::new(), clashes: Vec::new() }
    }
}

impl Salvor for Keeper<'_> {
    fn begin(&mut self, path: &str) -> io::Result<bool> {
        let Some(below) = path.strip_prefix(DATA).filter(|below| EntryPath::parse(below).is_ok()) else {
            return Ok(false);
        };
        let Some(expected) = self.plan.expects(path).filter(|_| !self.seen.contains(below)) else { return Ok(false) };
        let at = self.folder.path().join("file");
        let file = BufWriter::new(File::create(&at)?);
        self.open = Some(Open { path: below.to_owned(), expected, at, file });
        Ok(true)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |open| open.file.write_all(bytes))
    }

    fn end(&mut self, digest: Option<Digest>) -> io::Result<()> {
        let Some(Open { path, expected, at, mut file }) = self.open.take() else { return Ok(()) };
        file.flush()?;
        if digest.is_none() || expected.is_some_and(|(expected, _)| digest != Some(expected)) {
            return Ok(());
        }
        if let Some(time) = expected.and_then(|(_, time)| time) {
            file.get_ref().set_modified(system_time(time))?;
        }
        let to = self.tree.root().join(&path);
        let folder = self.tree.make_folder_of(&path, &self.seen);
        let placed = match folder {
            Ok(()) if to.symlink_metadata().is_ok() => Err(self.tree.clash(&path, &self.seen)),
            other => other,
        };
        match placed {
            Ok(()) => {}
            Err(Error::Folds { one, .. } | Error::FileAndFolder(one)) => {
                let detail = format!("left out: {one:?} has its place already");
                self.clashes.push(Finding::new(Code::Path, path, detail));
                return Ok(());
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        fs::rename(at, to)?;
        self.seen.insert(path);
        Ok(())
    }
}
