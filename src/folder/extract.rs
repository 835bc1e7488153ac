//! Writing articles out of bundles: everything verified first, then put in place at once.
//!
//! All files go to an unfinished folder beside the target; only when every bundle has been proved, and all is on disk, is it given its
//! name. Nothing that exists is overwritten unless that is asked for, and then only in the target's own folders, never through a link.

use std::collections::{BTreeMap, HashMap, HashSet};
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
use crate::path::{self, MAX_PART_BYTES};
use crate::run::Run;
use crate::store::disk;

use super::overwrite::overwrite;
use super::tree::Tree;
use super::walk::{self, SIDECAR_ENDING};
use super::{Error, publish};

/// The shape of the folder that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A folder for each article, with its `article.toml` in it, as the bundle has it.
    #[default]
    Folders,
    /// `name.ext` with `name.toml` beside it, where that is read back as the same article.
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
    /// The articles that take the form with a sidecar.
    beside: HashSet<String>,
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
    /// Begins an extraction to `target` in folders; [`Self::shape`] asks for another form.
    ///
    /// # Errors
    /// Where `target` is there and holds something, unless `overwrite`, or is no folder; or nothing can be written beside it.
    pub fn begin(target: &Path, overwrite: bool) -> Result<Self, Error> {
        let target = publish::resolved(target);
        let into_empty = is_empty(&target);
        if let Some(there) = target.symlink_metadata().ok().filter(|_| !target.is_dir()) {
            let found = if there.is_symlink() { "a symbolic link" } else { "a file" };
            return Err(Error::InTheWay { path: target, expected: "a folder", found });
        }
        if target.is_dir() && !overwrite && !into_empty {
            return Err(Error::Exists(target));
        }
        let unfinished = publish::unnamed_folder(&target)?;
        let tree = Tree::begin(unfinished.path().join("out"))?;
        let (beside, written) = (HashSet::new(), HashMap::new());
        Ok(Self { target, into_empty, tree, _unfinished: unfinished, beside, written, bytes: 0 })
    }

    /// Chooses the form of each article that will be written: of all bundles at once, since an article may lie inside another bundle's.
    ///
    /// With [`Shape::Sidecars`] an article that would not be found again as it is keeps its folder.
    pub fn shape<'a>(&mut self, shape: Shape, bundles: impl IntoIterator<Item = (&'a ChecksumList, Scope<'a>)>) {
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        if shape == Shape::Sidecars {
            for (list, scope) in bundles {
                for line in (0..list.len()).filter(|&line| scope.holds(line)) {
                    let Some(owner) = list.owner(line) else { continue };
                    files.entry(list.article(owner)).or_default().push(list.below(line));
                }
            }
        }
        self.beside = forms(&files);
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
        let places = places(list, &self.beside);
        let wanted: Vec<usize> = (0..places.len()).filter(|&line| scope.holds(line)).collect();
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

/// Returns where each file of the list goes, below the target; the articles in `beside` take the form with a sidecar.
fn places(list: &ChecksumList, beside: &HashSet<String>) -> Vec<String> {
    let place = |line: usize| {
        let below = list.path(line).strip_prefix(DATA).unwrap_or_default();
        match list.owner(line).map(|owner| list.article(owner)).filter(|article| beside.contains(*article)) {
            Some(article) => place_beside(article, below),
            None => below.to_owned(),
        }
    };
    (0..list.len()).map(place).collect()
}

/// Returns where a file lies if its article takes the form with a sidecar.
fn place_beside(article: &str, below: &str) -> String {
    match below.rsplit_once('/') {
        Some((folder, METADATA)) if folder == article => format!("{article}.{SIDECAR_ENDING}"),
        Some((_, name)) => order::parent(article).map_or(name.to_owned(), |folder| format!("{folder}/{name}")),
        None => below.to_owned(),
    }
}

/// Returns the articles that the walk finds again, as they are, where each lies as `name.ext` with `name.toml` beside it; all others take
/// the form of a folder. `files` has the files of each article below `data/`.
fn forms(files: &BTreeMap<&str, Vec<&str>>) -> HashSet<String> {
    let mut beside: HashSet<&str> =
        files.iter().filter(|(article, files)| fits_beside(article, files)).map(|(a, _)| *a).collect();
    // An article whose files would take the place of another's, or of a folder, keeps its folder; that may free or take other places.
    loop {
        // In the folder of an article that keeps it, all files are that article's: what lies in there keeps its folder too.
        let keeps = |above: &str, beside: &HashSet<&str>| files.contains_key(above) && !beside.contains(above);
        for article in files.keys() {
            if order::folders(article).any(|above| keeps(above, &beside)) {
                beside.remove(article);
            }
        }
        let places: Vec<(&str, String)> = files
            .iter()
            .flat_map(|(article, files)| files.iter().map(move |file| (*article, *file)))
            .map(|(article, file)| {
                (article, if beside.contains(article) { place_beside(article, file) } else { file.to_owned() })
            })
            .collect();
        let mut taken: HashMap<&str, usize> = HashMap::new();
        places.iter().for_each(|(_, place)| *taken.entry(place).or_default() += 1);
        let folders: HashSet<&str> = places.iter().flat_map(|(_, place)| order::folders(place)).collect();
        let clashes = |place: &str| folders.contains(place) || taken[place] > 1;
        let clashing = places.iter().filter(|(_, place)| clashes(place)).map(|(article, _)| *article);
        let back: HashSet<&str> = clashing.filter(|article| beside.contains(article)).collect();
        if back.is_empty() {
            return beside.into_iter().map(str::to_owned).collect();
        }
        beside.retain(|article| !back.contains(article));
    }
}

/// Says whether all of an article's files lie directly in its folder and would be taken for one article of its name outside of it.
fn fits_beside(article: &str, files: &[&str]) -> bool {
    let name = article.rsplit('/').next().unwrap_or(article);
    let sidecar = format!("{name}.{SIDECAR_ENDING}");
    // A sidecar of that name would make its whole folder one article.
    let is_name = sidecar.len() <= MAX_PART_BYTES && path::fold(&sidecar) != METADATA;
    let fits = |file: &&str| {
        let own = file.strip_prefix(article).and_then(|rest| rest.strip_prefix('/'));
        own.is_some_and(|own| own == METADATA || (!own.contains('/') && walk::stem(own) == name && own != sidecar))
    };
    is_name && files.iter().all(fits)
}
