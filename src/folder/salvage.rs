//! Getting out of a damaged bundle what is still whole: each file is written only once its digest has been found in the checksum list.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::digest::Digest;
use crate::format::bundle::{FileState, Report, Salvor, Source, diagnose};
use crate::format::checksums::DATA;
use crate::path::EntryPath;
use crate::watch::Watch;

use super::tree::Tree;
use super::{Error, publish};

/// What a salvage got, beside the report on the bundle.
#[derive(Debug)]
pub struct Salvaged {
    /// What is wrong with the bundle, and which articles are whole.
    pub report: Report,
    /// Number of files written.
    pub files: u64,
}

/// Writes the files of the bundle's whole articles to `target`; with `broken_too` also the whole files of damaged ones.
///
/// Nothing is written of a bundle whose checksum list cannot be believed, unless `unvouched`: then every file that could be read in one
/// piece is.
///
/// # Errors
/// Where reading or writing fails. Damage is in the report.
pub fn salvage<S: Source>(
    source: &S,
    target: &Path,
    broken_too: bool,
    unvouched: bool,
    watch: &dyn Watch,
) -> Result<Salvaged, Error> {
    let target = publish::resolved(target);
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists(target));
    }
    let unfinished = publish::unnamed_folder(&target)?;
    let mut keeper = Keeper { folder: &unfinished, open: None, kept: HashMap::new(), next: 0 };
    let report = diagnose(source, &mut keeper, watch)?;
    let kept = keeper.kept;
    let damaged = |path: &str| report.findings.iter().any(|finding| finding.place == path);
    let wanted = |path: &str| match &report.articles {
        None => unvouched,
        Some(articles) => {
            let owner = articles
                .iter()
                .filter(|article| path.strip_prefix(&article.path).is_some_and(|rest| rest.starts_with('/')))
                .max_by_key(|article| article.path.len());
            let whole = owner.is_some_and(|article| article.state == FileState::Whole);
            (whole || (broken_too && owner.is_some())) && !damaged(&format!("{DATA}{path}"))
        }
    };
    let mut tree = Tree::begin(unfinished.path().join("out"))?;
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    let mut files = 0;
    for (path, (at, _)) in kept.iter().filter(|(path, _)| wanted(path)) {
        tree.make_folder_of(path, kept.keys())?;
        let to = tree.root().join(path);
        if to.symlink_metadata().is_ok() {
            return Err(tree.clash(path, kept.keys()));
        }
        fs::rename(at, &to).map_err(write(&to))?;
        files += 1;
    }
    let out = tree.root();
    if files > 0 {
        publish::sync_all(out)?;
        fs::rename(out, &target).map_err(write(&target))?;
        publish::sync_folder(publish::parent(&target))?;
    }
    Ok(Salvaged { report, files })
}

/// Keeps every file that ends with a digest, under a number.
struct Keeper<'a> {
    folder: &'a TempDir,
    open: Option<(String, PathBuf, BufWriter<File>)>,
    kept: HashMap<String, (PathBuf, Digest)>,
    next: u64,
}

impl Salvor for Keeper<'_> {
    fn begin(&mut self, path: &str) -> io::Result<()> {
        let Some(below) = path.strip_prefix(DATA).filter(|below| EntryPath::parse(below).is_ok()) else {
            return Ok(());
        };
        let at = self.folder.path().join(self.next.to_string());
        self.next += 1;
        self.open = Some((below.to_owned(), at.clone(), BufWriter::new(File::create_new(at)?)));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(_, _, file)| file.write_all(bytes))
    }

    fn end(&mut self, digest: Option<Digest>) -> io::Result<()> {
        let Some((path, at, mut file)) = self.open.take() else { return Ok(()) };
        file.flush()?;
        match digest {
            Some(digest) if !self.kept.contains_key(&path) => {
                self.kept.insert(path, (at, digest));
                Ok(())
            }
            _ => fs::remove_file(at),
        }
    }
}
