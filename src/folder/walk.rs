//! Walking a folder and finding its articles, in the order in which a bundle holds them. (FORMAT.md, "Articles")
//!
//! The walk streams: it holds one folder's listing a level, never the whole tree. Whatever it cannot take it refuses by name, whatever a person should know
//! it notes; nothing is passed over in silence.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;

use crate::format::checksums::METADATA;
use crate::path::{self, EntryPath, MAX_ID_BYTES, PathFault};

use super::litter::Litter;
use super::stat::Stat;

/// The ending of a sidecar.
pub(super) const SIDECAR_ENDING: &str = "toml";
/// How deep folders may be nested.
const MAX_DEPTH: usize = 128;
/// What a manifest reader of another tool could take for an escaped character.
const ESCAPES: [&str; 3] = ["%0a", "%0d", "%25"];

/// What a walk takes and leaves.
#[derive(Debug, Clone, Default)]
pub struct WalkOptions {
    /// Take what symbolic links point to.
    pub follow_symlinks: bool,
    /// Take names that hold `%0A`, `%0D` or `%25`.
    pub allow_percent: bool,
    /// Take what tools and systems leave among documents.
    pub all: bool,
    /// Paths below the root to leave out.
    pub exclude: GlobSet,
    /// A name that goes before every article's path; that of the root, where the root itself is an article.
    pub prefix: Option<EntryPath>,
}

/// A file as it was when the folder was listed.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name below the article's folder in the bundle, in NFC.
    pub name: String,
    folder: Arc<Path>,
    disk_name: OsString,
    /// Its state when it was listed.
    pub stat: Stat,
}

impl SourceFile {
    /// Returns where the file lies on disk.
    pub fn location(&self) -> PathBuf {
        self.folder.join(&self.disk_name)
    }
}

/// An article as it lies on disk.
#[derive(Debug, Clone)]
pub struct FoundArticle {
    /// Its path in the bundle.
    pub path: EntryPath,
    /// Its content files.
    pub files: Vec<SourceFile>,
    /// Its `article.toml` or sidecar, if there is one.
    pub metadata: Option<SourceFile>,
}

/// Something that is not taken into the bundle.
#[derive(Debug)]
pub struct Refusal {
    /// Where, below the root.
    pub place: String,
    /// Why.
    pub reason: Reason,
}

/// Why something is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A symbolic link, where they are not followed.
    #[error("is a symbolic link")]
    Symlink,
    /// A symbolic link to a folder above it.
    #[error("is a symbolic link to a folder that holds it")]
    Loop,
    /// A device, socket or pipe.
    #[error("is neither a file nor a folder")]
    Special,
    /// Folders nested too deep.
    #[error("is nested more than {MAX_DEPTH} folders deep")]
    TooDeep,
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// Its path breaks the grammar.
    #[error("{0}")]
    Path(PathFault),
    /// Two names become one in NFC.
    #[error("has the same name as {0:?} once both are in NFC")]
    Twin(String),
    /// A code point that could change its form in a later Unicode.
    #[error("holds U+{:04X}, which Unicode 16 does not assign", u32::from(*.0))]
    Unassigned(char),
    /// `%0A`, `%0D` or `%25`.
    #[error("holds a percent sign that BagIt tools would decode")]
    Percent,
    /// A content file that would pass for the metadata.
    #[error("would pass for the article's own {METADATA}")]
    PassesForMetadata,
    /// A sidecar with nothing beside it, or a folder with nothing but its metadata.
    #[error("is metadata without a document")]
    NoContent,
    /// Two articles of one path.
    #[error("makes the article {path:?}, as {other:?} does already")]
    SameArticle {
        /// The article's path.
        path: String,
        /// Where the other one lies.
        other: String,
    },
    /// Metadata that cannot be taken, or is missing under `--strict`.
    #[error("{0}")]
    Metadata(String),
    /// An id that another article has already.
    #[error("has the id {id:?}, as {other:?} has already")]
    SameId {
        /// The id.
        id: String,
        /// The other article's path.
        other: String,
    },
    /// An article without an id of its own, whose path is too long to stand for it; its length in bytes.
    #[error("has a path of {0} bytes and no `id`; a path that is the id has at most {MAX_ID_BYTES}")]
    LongId(usize),
    /// A file whose article would have a path that breaks the grammar.
    #[error("would be the article {path:?}, which {fault}")]
    ArticlePath {
        /// The article's path.
        path: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// An id that is another article's path, or a file's.
    #[error("has the id {0:?}, which is the path of another article or of a file")]
    IdIsPath(String),
    /// A file that would belong to an article inside its own.
    #[error("would belong to the article {0:?}, whose path its own begins with")]
    OtherArticle(String),
    /// A path that is a file and a folder.
    #[error("{0:?} would be a file and a folder at once")]
    FileAndFolder(String),
    /// More files than a bundle may have.
    #[error("has {0} files, more than a bundle may have")]
    TooManyFiles(u64),
    /// An id that another source of the archive holds.
    #[error("has the id {id:?}, which the source {other:?} holds")]
    OtherSource {
        /// The id.
        id: String,
        /// The other source.
        other: String,
    },
    /// A name that is reported only, unless the bundle shall be portable.
    #[error("{0}")]
    NotPortable(Note),
}

/// Something that is taken, and that a person should know of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// A name was normalised.
    #[error("was renamed from {0:?} to NFC")]
    Renamed(String),
    /// Two names differ only by case.
    #[error("differs only by case from {0:?}")]
    Case(String),
    /// Windows cannot make a file of this name.
    #[error("has a name that Windows refuses")]
    Windows,
    /// An article inside another's folder.
    #[error("is an article of its own inside {0:?}")]
    Nested(String),
    /// A folder with nothing in it.
    #[error("is an empty folder, which a bundle cannot hold")]
    EmptyFolder,
    /// Left out because the caller asked for it.
    #[error("was left out as asked")]
    Excluded,
    /// Left out because a tool or a system made it.
    #[error("{0}, and was left out")]
    Litter(Litter),
    /// A key of the metadata that is not in the vocabulary.
    #[error("{0}")]
    Metadata(String),
    /// Further keys that are not in the vocabulary; their number.
    #[error("and {0} more unknown keys")]
    MoreMetadata(u64),
    /// A time that `times.txt` cannot have.
    #[error("was last changed outside of the years 0001 to 9999, and its time is not kept")]
    Time,
    /// A file that changed while it was read and was read again.
    #[error("changed while it was read, and was read again")]
    Changed,
}

impl Note {
    /// Says whether the note becomes a refusal where a bundle must be portable.
    pub fn hinders_portability(&self) -> bool {
        matches!(self, Self::Case(_) | Self::Windows)
    }
}

/// What a walk comes upon.
#[derive(Debug)]
pub enum Event {
    /// An article.
    Article(FoundArticle),
    /// Something refused.
    Refused(Refusal),
    /// Something to know.
    Noted(String, Note),
}

/// The walk was stopped by its caller.
#[derive(Debug)]
pub struct Stopped;

/// Walks `root`, a folder or a single file, and tells `tell` of everything found; articles come in order of their paths.
///
/// # Errors
/// Ends when `tell` says [`Stopped`]; everything else is an [`Event`].
pub fn walk(
    root: &Path,
    options: &WalkOptions,
    tell: &mut dyn FnMut(Event) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    let mut walker = Walker { options, tell, above: Vec::new(), root_name: root_name(root) };
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => walker.folder(&Arc::from(root), ""),
        Ok(metadata) if metadata.is_file() => walker.single(root, &metadata),
        Ok(_) => walker.refuse(&root.display().to_string(), Reason::Special),
        Err(error) => walker.refuse(&root.display().to_string(), Reason::Unreadable(error)),
    }
}

/// Returns the name that a root gives to what is made of it.
pub fn root_name(root: &Path) -> String {
    let absolute = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    absolute.file_name().map(|name| path::nfc(&name.to_string_lossy()).into_owned()).unwrap_or_default()
}

struct Walker<'a> {
    options: &'a WalkOptions,
    tell: &'a mut dyn FnMut(Event) -> Result<(), Stopped>,
    /// Device and inode of the folders above, against loops of links.
    above: Vec<(u64, u64)>,
    root_name: String,
}

/// A folder's listing, names in NFC.
#[derive(Default)]
struct Listing {
    files: Vec<SourceFile>,
    folders: Vec<(String, OsString)>,
}

/// What a folder holds in the order of the bundle.
enum Child {
    Article(Vec<SourceFile>),
    Folder(OsString),
}

impl Walker<'_> {
    fn refuse(&mut self, place: &str, reason: Reason) -> Result<(), Stopped> {
        (self.tell)(Event::Refused(Refusal { place: place.to_owned(), reason }))
    }

    fn note(&mut self, place: &str, note: Note) -> Result<(), Stopped> {
        (self.tell)(Event::Noted(place.to_owned(), note))
    }

    /// Takes a single file, with its sidecar if one lies beside it.
    fn single(&mut self, file: &Path, metadata: &Metadata) -> Result<(), Stopped> {
        let folder: Arc<Path> = Arc::from(file.parent().unwrap_or(Path::new("")));
        let Some(disk_name) = file.file_name() else { return Ok(()) };
        let Some(name) = self.name("", disk_name)? else { return Ok(()) };
        let stem = stem(&name).to_owned();
        let mut files =
            vec![SourceFile { name, folder: folder.clone(), disk_name: disk_name.to_owned(), stat: metadata.into() }];
        let sidecar = file.with_extension(SIDECAR_ENDING);
        // A sidecar by itself is no document.
        if sidecar == file {
            return self.article(&stem, Vec::new(), files.pop());
        }
        let is_link = fs::symlink_metadata(&sidecar).is_ok_and(|found| found.is_symlink());
        if is_link && !self.options.follow_symlinks {
            return self.refuse(&sidecar.display().to_string(), Reason::Symlink);
        }
        let metadata = match (fs::metadata(&sidecar), sidecar.file_name()) {
            (Ok(found), Some(name)) if found.is_file() => {
                let (name, disk_name) = (format!("{stem}.{SIDECAR_ENDING}"), name.to_owned());
                Some(SourceFile { name, folder, disk_name, stat: (&found).into() })
            }
            _ => None,
        };
        self.article(&stem, files, metadata)
    }

    fn folder(&mut self, folder: &Arc<Path>, below: &str) -> Result<(), Stopped> {
        let Some(listing) = self.enter(folder, below)? else { return Ok(()) };
        if listing.files.iter().any(|file| file.name == METADATA) {
            self.folder_article(folder, below, listing)?;
        } else {
            for (name, child) in self.children(below, listing)? {
                let name = name.trim_end_matches('/');
                match child {
                    Child::Article(files) => self.group(below, name, files)?,
                    Child::Folder(disk_name) => {
                        self.folder(&Arc::from(folder.join(disk_name)), &joined(below, name))?
                    }
                }
            }
        }
        self.above.pop();
        Ok(())
    }

    /// Lists a folder and notes that the walk is inside it; `None` where it cannot be entered.
    fn enter(&mut self, folder: &Arc<Path>, below: &str) -> Result<Option<Listing>, Stopped> {
        let place = if below.is_empty() { "." } else { below };
        let inode = match fs::metadata(folder) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) => return self.refuse(place, Reason::Unreadable(error)).map(|()| None),
        };
        if self.above.contains(&inode) {
            return self.refuse(place, Reason::Loop).map(|()| None);
        }
        if self.above.len() >= MAX_DEPTH {
            return self.refuse(place, Reason::TooDeep).map(|()| None);
        }
        match fs::read_dir(folder) {
            Ok(entries) => {
                let listing = self.list(entries, folder, below)?;
                self.above.push(inode);
                Ok(Some(listing))
            }
            Err(error) => self.refuse(place, Reason::Unreadable(error)).map(|()| None),
        }
    }

    fn list(&mut self, entries: fs::ReadDir, folder: &Arc<Path>, below: &str) -> Result<Listing, Stopped> {
        let mut listing = Listing::default();
        let mut empty = true;
        let mut names: HashMap<String, OsString> = HashMap::new();
        for entry in entries {
            empty = false;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.refuse(below, Reason::Unreadable(error))?;
                    continue;
                }
            };
            let disk_name = entry.file_name();
            let place = joined(below, &disk_name.to_string_lossy());
            if self.options.exclude.is_match(&place) {
                self.note(&place, Note::Excluded)?;
                continue;
            }
            let mut metadata = entry.metadata();
            let is_folder = metadata.as_ref().is_ok_and(Metadata::is_dir);
            if !self.options.all
                && let Some(litter) = Litter::of(&entry.path(), &disk_name, is_folder)
            {
                self.note(&place, Note::Litter(litter))?;
                continue;
            }
            if metadata.as_ref().is_ok_and(Metadata::is_symlink) {
                if !self.options.follow_symlinks {
                    self.refuse(&place, Reason::Symlink)?;
                    continue;
                }
                metadata = fs::metadata(entry.path());
            }
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.refuse(&place, Reason::Unreadable(error))?;
                    continue;
                }
            };
            let Some(name) = self.name(below, &disk_name)? else { continue };
            if let Some(twin) = names.insert(name.clone(), disk_name.clone()) {
                self.refuse(&place, Reason::Twin(twin.to_string_lossy().into_owned()))?;
            } else if metadata.is_dir() {
                listing.folders.push((name, disk_name));
            } else if metadata.is_file() {
                listing.files.push(SourceFile { name, folder: folder.clone(), disk_name, stat: (&metadata).into() });
            } else {
                self.refuse(&place, Reason::Special)?;
            }
        }
        if empty && !below.is_empty() {
            self.note(below, Note::EmptyFolder)?;
        }
        Ok(listing)
    }

    /// Checks one name and brings it to NFC; `None` where it is refused.
    fn name(&mut self, below: &str, disk_name: &std::ffi::OsStr) -> Result<Option<String>, Stopped> {
        let shown = disk_name.to_string_lossy();
        let place = joined(below, &shown);
        let Some(text) = disk_name.to_str() else {
            return self.refuse(&place, Reason::Path(PathFault::NotUtf8)).map(|()| None);
        };
        if let Some(c) = path::unassigned(text) {
            return self.refuse(&place, Reason::Unassigned(c)).map(|()| None);
        }
        let name = path::nfc(text);
        if let Err(fault) = EntryPath::parse(&name) {
            return self.refuse(&place, Reason::Path(fault)).map(|()| None);
        }
        if !self.options.allow_percent && name.contains('%') {
            let lower = name.to_ascii_lowercase();
            if ESCAPES.iter().any(|escape| lower.contains(escape)) {
                return self.refuse(&place, Reason::Percent).map(|()| None);
            }
        }
        if path::refused_by_windows(&name) {
            self.note(&place, Note::Windows)?;
        }
        if name != text {
            self.note(&joined(below, &name), Note::Renamed(text.to_owned()))?;
        }
        Ok(Some(name.into_owned()))
    }

    /// Groups files by stem and sorts them among the folders, as their paths in the bundle sort.
    fn children(&mut self, below: &str, listing: Listing) -> Result<Vec<(String, Child)>, Stopped> {
        let mut groups: BTreeMap<String, Vec<SourceFile>> = BTreeMap::new();
        for file in listing.files {
            groups.entry(format!("{}/", stem(&file.name))).or_default().push(file);
        }
        let mut folded: HashMap<String, String> = HashMap::new();
        let folders = listing.folders.iter().map(|(name, _)| format!("{name}/"));
        for name in groups.keys().cloned().chain(folders) {
            let fold = path::fold(&name);
            if let Some(other) = folded.get(&fold) {
                if *other != name {
                    let place = joined(below, name.trim_end_matches('/'));
                    let other = joined(below, other.trim_end_matches('/'));
                    self.note(&place, Note::Case(other))?;
                }
            } else {
                folded.insert(fold, name);
            }
        }
        let mut children: Vec<_> = groups.into_iter().map(|(name, files)| (name, Child::Article(files))).collect();
        children.extend(listing.folders.into_iter().map(|(name, disk)| (format!("{name}/"), Child::Folder(disk))));
        children.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(children)
    }

    /// Makes an article of the files of one stem.
    fn group(&mut self, below: &str, stem: &str, mut files: Vec<SourceFile>) -> Result<(), Stopped> {
        let mut folded: HashMap<String, String> = HashMap::new();
        for file in &files {
            if let Some(other) = folded.insert(path::fold(&file.name), file.name.clone()) {
                self.note(&joined(below, &file.name), Note::Case(joined(below, &other)))?;
            }
        }
        let sidecar = format!("{stem}.{SIDECAR_ENDING}");
        let metadata = files.iter().position(|file| file.name == sidecar).map(|at| files.swap_remove(at));
        self.article(&joined(below, stem), files, metadata)
    }

    /// Makes an article of a folder with an `article.toml`, then walks the deeper articles in it.
    fn folder_article(&mut self, folder: &Arc<Path>, below: &str, listing: Listing) -> Result<(), Stopped> {
        let path = match (below, &self.options.prefix) {
            ("", None) => self.root_name.clone(),
            _ => below.to_owned(),
        };
        let mut deeper = Vec::new();
        let mut files = Vec::new();
        self.gather(folder, below, "", listing, &mut files, &mut deeper)?;
        let metadata = files.iter().position(|file| file.name == METADATA).map(|at| files.swap_remove(at));
        self.article(&path, files, metadata)?;
        // As the bundle sorts what is below them.
        deeper.sort_by_key(|a: &(String, _)| format!("{}/", a.0));
        for (name, listing) in deeper {
            self.note(&name, Note::Nested(path.clone()))?;
            let (folder, listing): (Arc<Path>, Listing) = listing;
            self.folder_article(&folder, &name, listing)?;
        }
        Ok(())
    }

    /// Collects the files of a folder article down to where deeper articles begin.
    fn gather(
        &mut self,
        folder: &Arc<Path>,
        below: &str,
        inside: &str,
        listing: Listing,
        files: &mut Vec<SourceFile>,
        deeper: &mut Vec<(String, (Arc<Path>, Listing))>,
    ) -> Result<(), Stopped> {
        let mut folded: HashMap<String, String> = HashMap::new();
        let names = listing.files.iter().map(|file| &file.name).chain(listing.folders.iter().map(|(name, _)| name));
        for name in names {
            if let Some(other) = folded.insert(path::fold(name), name.clone()) {
                self.note(&joined(below, name), Note::Case(joined(below, &other)))?;
            }
        }
        files.extend(listing.files.into_iter().map(|file| SourceFile { name: joined(inside, &file.name), ..file }));
        for (name, disk_name) in listing.folders {
            let folder: Arc<Path> = Arc::from(folder.join(disk_name));
            let place = joined(below, &name);
            let Some(listing) = self.enter(&folder, &place)? else { continue };
            if listing.files.iter().any(|file| file.name == METADATA) {
                deeper.push((place, (folder, listing)));
            } else {
                self.gather(&folder, &place, &joined(inside, &name), listing, files, deeper)?;
            }
            self.above.pop();
        }
        Ok(())
    }

    fn article(&mut self, path: &str, mut files: Vec<SourceFile>, metadata: Option<SourceFile>) -> Result<(), Stopped> {
        let prefixed = match &self.options.prefix {
            Some(prefix) if path.is_empty() => prefix.to_string(),
            Some(prefix) => joined(prefix.as_str(), path),
            None => path.to_owned(),
        };
        let path = match EntryPath::parse(&prefixed) {
            Ok(path) => path,
            Err(fault) => {
                let files = files.iter().chain(&metadata);
                let place = files.map(|file| file.location().display().to_string()).next().unwrap_or_default();
                return self.refuse(&place, Reason::ArticlePath { path: prefixed, fault });
            }
        };
        for n in (0..files.len()).rev() {
            let name = &files[n].name;
            let place = format!("{path}/{name}");
            if path::fold(name.rsplit('/').next().unwrap_or(name)) == METADATA {
                self.refuse(&place, Reason::PassesForMetadata)?;
                files.swap_remove(n);
            } else if let Err(fault) = EntryPath::parse(&format!("data/{place}")) {
                self.refuse(&place, Reason::Path(fault))?;
                files.swap_remove(n);
            }
        }
        if files.is_empty() {
            return match metadata {
                Some(metadata) => {
                    let place = metadata.location().display().to_string();
                    self.refuse(&place, Reason::NoContent)
                }
                None => Ok(()),
            };
        }
        (self.tell)(Event::Article(FoundArticle { path, files, metadata }))
    }
}

/// Returns a file's name without its last ending; a name that begins with its only dot is all stem.
pub(super) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

fn joined(below: &str, name: &str) -> String {
    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") }
}
