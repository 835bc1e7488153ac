//! A store: a folder, whose files are put in place by [`disk`]; or a remote place, only read from here.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::bundle::Source;
use crate::format::leaf::UNFINISHED;

use super::remote::{Arriving, Remote};
use super::{Error, Steps, disk};

/// Where an archive lies: a folder; or a remote place, and a folder for what is kept of it here.
#[derive(Clone)]
pub struct Store {
    root: PathBuf,
    steps: Option<Arc<dyn Steps>>,
    remote: Option<Arc<Remote>>,
}

/// A file that is read by place.
#[derive(Debug)]
pub enum Object {
    /// On disk.
    File(File),
    /// Behind a server that serves ranges.
    Remote {
        /// The archive's place.
        remote: Arc<Remote>,
        /// The path in it.
        place: String,
        /// Its size, in bytes.
        size: u64,
    },
}

impl Source for Object {
    fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.size(),
            Self::Remote { size, .. } => Ok(*size),
        }
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_at(out, offset),
            Self::Remote { remote, place, .. } => remote.read_at(place, out, offset).map_err(io::Error::other),
        }
    }
}

/// Whether something may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It must not be there.
    New,
    /// What is there is replaced.
    Replace,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.name())
    }
}

impl Store {
    /// Names the folder; nothing is read or made yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), steps: None, remote: None }
    }

    /// Names a remote place, and a folder for the caches of it.
    pub fn of_remote(remote: Remote, kept: &Path) -> Self {
        Self { root: kept.to_owned(), steps: None, remote: Some(Arc::new(remote)) }
    }

    /// Returns what a person calls it: the folder's path or the URL.
    pub fn name(&self) -> String {
        self.remote.as_ref().map_or_else(|| self.root.display().to_string(), |remote| remote.name().to_owned())
    }

    /// Returns the remote place, if it is one.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_deref()
    }

    /// Returns the same store, with somebody who is told of each step.
    #[must_use]
    pub fn with_steps(self, steps: Arc<dyn Steps>) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// Returns where something lies on disk; of a remote place, only what is kept of it here.
    pub fn path(&self, place: &str) -> PathBuf {
        self.root.join(place)
    }

    /// Returns where something lies on disk that is written to, having made sure that it lies in the store's own folder: by no `..`, and through no
    /// link, which whoever gave the folder may have laid to another one.
    ///
    /// # Errors
    /// Where it does not.
    pub fn own_path(&self, place: &str) -> Result<PathBuf, Error> {
        let path = self.path(place);
        let refused = |source| Error::new(place, "written", source);
        self.within(place).map_err(refused)?;
        if path.is_symlink() { Err(refused(io::Error::other("is a link"))) } else { Ok(path) }
    }

    /// Refuses a place that leads out of the folder.
    fn within(&self, place: &str) -> io::Result<()> {
        let mut path = self.root.clone();
        let mut parts = place.split('/').peekable();
        while let Some(part) = parts.next().filter(|_| !place.is_empty()) {
            if matches!(part, "" | "." | "..") {
                return Err(io::Error::other("leads out of the archive"));
            }
            path.push(part);
            if parts.peek().is_some() && path.is_symlink() {
                return Err(io::Error::other(format!("{part:?} is a link, and may lead out of the archive")));
            }
        }
        Ok(())
    }

    /// Says whether something is there.
    pub fn exists(&self, place: &str) -> bool {
        self.path(place).symlink_metadata().is_ok()
    }

    /// Opens a file for reading by place.
    ///
    /// # Errors
    /// Where it is not there or no plain file.
    pub fn open(&self, place: &str) -> Result<Object, Error> {
        match &self.remote {
            None => Ok(Object::File(self.file(place)?)),
            Some(remote) => {
                let size = remote.size(place)?;
                Ok(Object::Remote { remote: remote.clone(), place: place.to_owned(), size })
            }
        }
    }

    /// Opens a file from a byte on, as it is in the version that `tag` names; else from its beginning.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub fn fetch(&self, place: &str, from: u64, tag: Option<&str>) -> Result<Arriving, Error> {
        if let Some(remote) = &self.remote {
            return remote.get(place, from, tag);
        }
        let mut file = self.file(place)?;
        file.seek(SeekFrom::Start(from)).map_err(|source| Error::new(place, "read", source))?;
        Ok(Arriving { bytes: Box::new(file), from, tag: None })
    }

    fn file(&self, place: &str) -> Result<File, Error> {
        // Asked beforehand: who opens a pipe waits for somebody to write to it.
        let path = self.path(place);
        let is_file = |found: fs::Metadata| if found.is_file() { Ok(()) } else { Err(io::Error::other("is no file")) };
        let open = fs::metadata(&path).and_then(is_file).and_then(|()| File::open(&path));
        let open = open.and_then(|file| match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("is no file")),
        });
        open.map_err(|source| Error::new(place, "read", source))
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// Where it is not there, larger, or cannot be read.
    pub fn read(&self, place: &str, limit: u64) -> Result<Vec<u8>, Error> {
        match &self.remote {
            Some(remote) => remote.read(place, limit),
            None => self.fetch(place, 0, None)?.read(place, limit),
        }
    }

    /// Lists the names in a folder, ascending; none where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| Error::new(folder, "listed", source))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::new(folder, "listed", source))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Puts a file in place, whole and on disk.
    ///
    /// # Errors
    /// Where it cannot be written, or must be new and is there.
    pub fn put(&self, place: &str, bytes: &[u8], write: Write) -> Result<(), Error> {
        if write == Write::New && self.exists(place) {
            return Err(Error::new(place, "written", io::ErrorKind::AlreadyExists.into()));
        }
        self.put_all(&[(place.to_owned(), bytes.to_vec())])
    }

    /// Puts several files in place, all on disk when this returns; existing ones are replaced one by one.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn put_all(&self, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
        let mut folders = BTreeSet::new();
        for (place, bytes) in files {
            self.make_folder_of(place, &mut folders)?;
            let unfinished = self.path(&format!("{place}{UNFINISHED}"));
            let old = fs::symlink_metadata(self.path(place)).ok().filter(fs::Metadata::is_file);
            self.step("write", place, || disk::fill(&unfinished, bytes, old.as_ref(), || self.told("sync", place)))?;
        }
        for (place, _) in files {
            let unfinished = self.path(&format!("{place}{UNFINISHED}"));
            self.step("rename", place, || fs::rename(&unfinished, self.path(place)))?;
        }
        self.sync_folders(&folders)
    }

    /// Gives a finished file, which lies on the same file system and is on disk already, its place.
    ///
    /// # Errors
    /// Where it cannot be moved.
    pub fn adopt(&self, file: &Path, place: &str) -> Result<(), Error> {
        let mut folders = BTreeSet::new();
        self.make_folder_of(place, &mut folders)?;
        self.step("rename", place, || fs::rename(file, self.path(place)))?;
        self.sync_folders(&folders)
    }

    /// Removes a file, and the folders above it that are empty then; what is not there is as good as removed.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, place: &str) -> Result<(), Error> {
        self.step("remove", place, || match fs::remove_file(self.path(place)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })?;
        let mut above = place;
        while let Some((folder, _)) = above.rsplit_once('/') {
            if fs::remove_dir(self.path(folder)).is_err() {
                return self.sync_folders(&BTreeSet::from([folder.to_owned()]));
            }
            above = folder;
        }
        self.sync_folders(&BTreeSet::from([String::new()]))
    }

    /// Removes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove_all(&self, place: &str) -> Result<(), Error> {
        if self.path(place).is_dir() {
            return self.step("remove", place, || fs::remove_dir_all(self.path(place)));
        }
        self.remove(place)
    }

    fn make_folder_of(&self, place: &str, folders: &mut BTreeSet<String>) -> Result<(), Error> {
        let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folders.insert(folder.to_owned()) || self.path(folder).is_dir() {
            return Ok(());
        }
        self.step("make", folder, || fs::create_dir_all(self.path(folder)))?;
        // The folders that were made must be on disk as well as what they hold.
        let mut above = folder;
        while let Some((parent, _)) = above.rsplit_once('/') {
            folders.insert(parent.to_owned());
            above = parent;
        }
        folders.insert(String::new());
        Ok(())
    }

    fn sync_folders(&self, folders: &BTreeSet<String>) -> Result<(), Error> {
        for folder in folders.iter().rev() {
            self.step("sync", folder, || match disk::sync_folder(&self.path(folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            })?;
        }
        Ok(())
    }

    fn told(&self, what: &str, place: &str) -> io::Result<()> {
        self.steps.as_ref().map_or(Ok(()), |steps| steps.step(&format!("{what} {place}")))
    }

    fn step(&self, what: &str, place: &str, act: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
        let doing = if what == "remove" { "removed" } else { "written" };
        self.told(what, place)
            .and_then(|()| self.within(place))
            .and_then(|()| act())
            .map_err(|source| Error::new(place, doing, source))
    }
}
