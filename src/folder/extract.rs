//! Writing articles out of bundles: everything verified first, then put in place at once.
//!
//! All files go to an unfinished folder beside the target; only when every bundle has been proved, and all is on disk, is it given its
//! name. Nothing that exists is overwritten unless that is asked for, and then only in the target's own folders, never through a link.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use tempfile::TempDir;

use crate::format::bundle::{Bundle, Contents, Piece, Receiver, Scope, Source, prove};
use crate::format::checksums::{ChecksumList, DATA, METADATA};
use crate::format::order;
use crate::format::times;
use crate::path;
use crate::run::Run;
use crate::store::disk;

use super::overwrite::overwrite;
use super::tree::Tree;
use super::{Error, publish};

/// The shape of the folder that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A folder for each article, with its `article.toml` in it, as the bundle has it.
    #[default]
    Folders,
    /// `name.ext` with `name.toml` beside it, where all of an article's files have its own name.
    Sidecars,
}

/// A folder in the making.
pub struct Extraction {
    target: PathBuf,
    /// Whether the target was an empty folder.
    into_empty: bool,
    tree: Tree,
    /// Where the tree is made; removed with it where it gets no name.
    _unfinished: TempDir,
    shape: Shape,
    /// Where each file written so far came from, by its place.
    written: HashMap<String, String>,
    bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Extraction {
    /// Begins an extraction to `target`.
    ///
    /// # Errors
    /// Where `target` is there and holds something, unless `overwrite`; or nothing can be written beside it.
    pub fn begin(target: &Path, shape: Shape, overwrite: bool) -> Result<Self, Error> {
        let target = publish::resolved(target);
        let into_empty = is_empty(&target);
        if target.symlink_metadata().is_ok() && !overwrite && !into_empty {
            return Err(Error::Exists(target));
        }
        let unfinished = publish::unnamed_folder(&target)?;
        let tree = Tree::begin(unfinished.path().join("out"))?;
        Ok(Self { target, into_empty, tree, _unfinished: unfinished, shape, written: HashMap::new(), bytes: 0 })
    }

    /// Writes the files of a bundle that are in `scope`, proving them on the way.
    ///
    /// # Errors
    /// Where a file is not what the list says, or two files would have one place.
    pub fn add<S: Source>(
        &mut self,
        bundle: &Bundle<S>,
        contents: &Contents,
        scope: Scope<'_>,
        run: Run<'_>,
    ) -> Result<(), Error> {
        let list = &contents.list;
        let wanted = |line: usize| match scope {
            Scope::Everything => true,
            Scope::Lines(lines) => lines.get(line).copied().unwrap_or(false),
        };
        let places = places(list, self.shape);
        let wanted: Vec<usize> = (0..places.len()).filter(|line| wanted(*line)).collect();
        for &line in &wanted {
            let (place, path) = (&places[line], list.path(line));
            if let Some(other) = self.written.insert(place.clone(), path.to_owned()) {
                return Err(Error::SamePlace { path: place.clone(), one: other, other: path.to_owned() });
            }
            self.bytes += contents.place(line).size;
        }
        for &line in &wanted {
            self.tree.make_folder_of(&places[line], self.written.keys())?;
        }
        let (begun, clash) = (Mutex::new(HashSet::new()), Mutex::new(None));
        let writer = Writer { root: self.tree.root(), places: &places, begun, clash };
        let proved = prove(bundle, contents, scope, &writer, run);
        if let Some(line) = writer.clash.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(self.tree.clash(&places[line], self.written.keys()));
        }
        proved?;
        let times = contents.times.as_ref().and_then(|times| times::decode(times, list).ok()).unwrap_or_default();
        for (line, time) in wanted.into_iter().filter_map(|line| Some((line, (*times.get(line)?)?))) {
            let path = self.tree.root().join(&places[line]);
            let restored = File::open(&path).and_then(|file| file.set_modified(system_time(time)));
            restored.map_err(|source| Error::Write { path, source })?;
        }
        Ok(())
    }

    /// Brings everything to disk and gives the folder its name.
    ///
    /// # Errors
    /// Where that fails; without `overwrite` the target is then as it was.
    pub fn finish(self, over: bool) -> Result<Extracted, Error> {
        let extracted = Extracted { files: self.written.len() as u64, bytes: self.bytes };
        let folder = self.tree.root();
        // An empty folder that was there keeps what its owner made of it.
        let there = fs::symlink_metadata(&self.target).ok();
        if let Some(there) = there.as_ref().filter(|there| there.is_dir()) {
            disk::resemble_folder(folder, there).map_err(write(folder))?;
        }
        publish::sync_all(folder)?;
        match fs::rename(folder, &self.target) {
            Ok(()) => {}
            // A folder that cannot be replaced, such as the one we stand in, takes the files in.
            Err(_) if self.target.is_dir() && (over || self.into_empty) => {
                let mut places: Vec<&str> = self.written.keys().map(String::as_str).collect();
                places.sort_unstable();
                overwrite(folder, &self.target, &places)?;
                publish::sync_all(&self.target)?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) => {
                return Err(Error::Exists(self.target));
            }
            Err(source) => return Err(Error::Write { path: self.target, source }),
        }
        publish::sync_folder(publish::parent(&self.target))?;
        Ok(extracted)
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

/// Returns a time in UTC as the system counts it; the nearest that it can count.
pub(super) fn system_time(time: DateTime) -> SystemTime {
    let time = Offset::UTC.to_timestamp(time).unwrap_or(if time.year() > 0 { Timestamp::MAX } else { Timestamp::MIN });
    let since = time.duration_since(Timestamp::UNIX_EPOCH);
    let counted = match since.is_negative() {
        false => SystemTime::UNIX_EPOCH.checked_add(since.unsigned_abs()),
        true => SystemTime::UNIX_EPOCH.checked_sub(since.unsigned_abs()),
    };
    counted.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Writes pieces to their files, which nobody has read yet.
struct Writer<'a> {
    root: &'a Path,
    places: &'a [String],
    /// Files of several pieces, of which one has come.
    begun: Mutex<HashSet<usize>>,
    /// A file that was there already, although nobody had made it under its name.
    clash: Mutex<Option<usize>>,
}

impl Writer<'_> {
    /// Makes a file; for those of several pieces only once.
    fn create(&self, line: usize, path: &Path) -> io::Result<File> {
        File::create_new(path).inspect_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                self.clash.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(line);
            }
        })
    }
}

impl Receiver for Writer<'_> {
    fn piece(&self, piece: Piece<'_>) -> io::Result<()> {
        let path = self.root.join(&self.places[piece.line]);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if piece.bytes.len() as u64 == piece.size {
            self.create(piece.line, &path).and_then(|mut file| file.write_all(piece.bytes)).map_err(named)
        } else {
            let file = {
                // Held until the file is there: the next piece must find it.
                let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                match begun.insert(piece.line) {
                    true => self.create(piece.line, &path),
                    false => OpenOptions::new().write(true).open(&path),
                }
            };
            file.and_then(|file| file.write_all_at(piece.bytes, piece.offset)).map_err(named)
        }
    }
}

/// Returns where each file of the list goes, below the target.
fn places(list: &ChecksumList, shape: Shape) -> Vec<String> {
    let below = |line: usize| list.path(line).strip_prefix(DATA).unwrap_or_default();
    let mut places: Vec<String> = (0..list.len()).map(|line| below(line).to_owned()).collect();
    if shape == Shape::Folders {
        return places;
    }
    let owners: Vec<Option<usize>> = (0..list.len()).map(|line| list.owner(line)).collect();
    let articles: Vec<&str> = list.articles().map(|(path, _)| path).collect();
    let mut beside = vec![true; articles.len()];
    for (line, owner) in owners.iter().enumerate() {
        let Some(owner) = *owner else { continue };
        beside[owner] &= list.is_metadata(line) || is_named_for(articles[owner], below(line));
    }
    // The sidecar of an article of this name would make its whole folder one article.
    for (n, article) in articles.iter().enumerate() {
        let name = article.rsplit('/').next().unwrap_or(article);
        beside[n] &= path::fold(&format!("{name}.toml")) != METADATA;
    }
    let beside_place = |line: usize, article: &str| {
        let folder = article.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        match list.is_metadata(line) {
            true => format!("{article}.toml"),
            false => format!("{folder}{}", below(line).rsplit('/').next().unwrap_or_default()),
        }
    };
    // An article whose files would take the place of another's, or of a folder, keeps its folder; that may free or take other places.
    loop {
        // In the folder of an article that keeps it, all files are that article's: what lies in there keeps its folder too.
        for n in 0..articles.len() {
            let keeps = |above: &str| list.number(above).is_some_and(|above| !beside[above]);
            if beside[n] && order::folders(articles[n]).any(keeps) {
                beside[n] = false;
            }
        }
        for (line, owner) in owners.iter().enumerate() {
            places[line] = match owner.filter(|&owner| beside[owner]) {
                Some(owner) => beside_place(line, articles[owner]),
                None => below(line).to_owned(),
            };
        }
        let mut taken: HashMap<&str, usize> = HashMap::new();
        places.iter().for_each(|place| *taken.entry(place).or_default() += 1);
        let folders: HashSet<&str> = places.iter().flat_map(|place| order::folders(place)).collect();
        let clash = |line: usize| folders.contains(places[line].as_str()) || taken[places[line].as_str()] > 1;
        let clashing = (0..places.len()).filter(|&line| clash(line)).filter_map(|line| owners[line]);
        let back: Vec<usize> = clashing.filter(|&owner| beside[owner]).collect();
        if back.is_empty() {
            return places;
        }
        back.into_iter().for_each(|owner| beside[owner] = false);
    }
}

/// Says whether a file lies directly in its article's folder and has the article's name as its stem.
fn is_named_for(article: &str, path: &str) -> bool {
    let stem = article.rsplit('/').next().unwrap_or_default();
    let Some(name) = path.strip_prefix(article).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let Some(ending) = name.strip_prefix(stem) else { return false };
    let single = ending.is_empty() || (ending.starts_with('.') && !ending[1..].contains('.'));
    single && !name.contains('/') && ending != ".toml" && name != METADATA
}
