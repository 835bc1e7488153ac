//! Getting out of a damaged bundle what is still whole: a file is written only where its line stands in a checksum list that the bundle's
//! own signed manifest names, and its bytes match that line.
//!
//! The bundle is read twice: first to learn what its tail and its list say and which files are whole, then to write those. One tail is
//! believed in both, and whether its signatures count is asked between them.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use tempfile::TempDir;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::format::bundle::{FileState, KeepNothing, Report, Salvor, Source, diagnose};
use crate::format::checksums::DATA;
use crate::path::EntryPath;
use crate::run::Run;

use super::extract::system_time;
use super::tree::Tree;
use super::{Error, publish};

/// What a salvage got, beside the report on the bundle.
#[derive(Debug)]
pub struct Salvaged {
    /// What is wrong with the bundle, and which articles are whole.
    pub report: Report,
    /// Number of files written.
    pub files: u64,
    /// Whether a signed list names what was written.
    pub vouched: bool,
}

/// Which files a salvage writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of whole articles.
    Articles,
    /// The whole files of damaged articles too.
    Files,
}

/// Writes the whole files of a bundle to `target`, if `trusted` says of the report that the signatures count.
///
/// With `unsigned`, whoever signed: then what the list names is written whether or not its signatures count, and where there is no
/// list, every file that could be read in one piece.
///
/// # Errors
/// Where reading or writing fails. Damage is in the report.
pub fn salvage<S: Source>(
    source: &S,
    target: &Path,
    wanted: Wanted,
    unsigned: bool,
    trusted: &dyn Fn(&Report) -> bool,
    run: Run<'_>,
) -> Result<Salvaged, Error> {
    let target = publish::resolved(target);
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists(target));
    }
    let mut report = diagnose(source, &mut KeepNothing, run)?;
    let vouched = report.list.is_some() && trusted(&report);
    if !vouched && !unsigned {
        return Ok(Salvaged { report, files: 0, vouched });
    }
    let listed = report.list.as_ref().map(|_| listed(&report, wanted));
    let unfinished = publish::unnamed_folder(&target)?;
    let tree = Tree::begin(unfinished.path().join("out"))?;
    let mut keeper =
        Keeper { folder: &unfinished, tree, listed, open: None, seen: HashSet::new(), clashes: Vec::new() };
    diagnose(source, &mut keeper, run)?;
    report.findings.append(&mut keeper.clashes);
    let files = keeper.seen.len() as u64;
    if files > 0 {
        let out = keeper.tree.root();
        publish::sync_all(out)?;
        fs::rename(out, &target).map_err(|source| Error::Write { path: target.clone(), source })?;
        publish::sync_folder(publish::parent(&target))?;
    }
    Ok(Salvaged { report, files, vouched })
}

/// Returns the files of the list that are to be written, by their paths, `data/` included.
fn listed(report: &Report, wanted: Wanted) -> HashMap<String, (Digest, Option<DateTime>)> {
    let (Some(list), Some(articles)) = (&report.list, &report.articles) else { return HashMap::new() };
    let whole = |line: usize| {
        let owner = list.owner(line);
        report.states[line] == FileState::Whole
            && (wanted == Wanted::Files || owner.is_some_and(|owner| articles[owner].state == FileState::Whole))
    };
    let time = |line: usize| report.times.get(line).copied().flatten();
    let file = |line: usize| (list.path(line).to_owned(), (list.digest(line), time(line)));
    (0..list.len()).filter(|&line| whole(line)).map(file).collect()
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
    /// The files to write; `None` where no list says which.
    listed: Option<HashMap<String, (Digest, Option<DateTime>)>>,
    open: Option<Open>,
    /// The files written.
    seen: HashSet<String>,
    /// Files left out because others have their place already: by a list that breaks the rules, or on a file system that folds names.
    clashes: Vec<Finding>,
}

impl Salvor for Keeper<'_> {
    fn begin(&mut self, path: &str) -> io::Result<bool> {
        let Some(below) = path.strip_prefix(DATA).filter(|below| EntryPath::parse(below).is_ok()) else {
            return Ok(false);
        };
        let expected = match &self.listed {
            Some(listed) => match listed.get(path) {
                Some(expected) => Some(*expected),
                None => return Ok(false),
            },
            None => None,
        };
        if self.seen.contains(below) {
            return Ok(false);
        }
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
            Err(Error::Folds { one, .. }) => {
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
