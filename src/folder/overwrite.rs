//! Moving a finished tree into a folder that holds something already: only into its own folders, never through a symbolic link in it.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, renameat};
use rustix::io::Errno;

use super::Error;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Moves the files at `places`, ascending, from the tree into the target, over those of the same names.
///
/// # Errors
/// [`Error::InTheWay`], before anything is moved, where a link or something else lies in the place of a folder, or a folder in the place
/// of a file; [`Error::Folds`] where the target takes two names for one.
pub(super) fn overwrite(tree: &Path, target: &Path, places: &[&str]) -> Result<(), Error> {
    refuse_in_the_way(target, places)?;
    let root = OwnedFd::from(File::open(target).map_err(|source| Error::Write { path: target.to_owned(), source })?);
    let mut open: Option<(&str, OwnedFd)> = None;
    let mut moved: HashMap<(u64, u64), &str> = HashMap::new();
    for place in places {
        let to = target.join(place);
        let write = |source: io::Error| Error::Write { path: to.clone(), source };
        let (folder, name) = place.rsplit_once('/').unwrap_or(("", place));
        if open.as_ref().is_none_or(|(at, _)| *at != folder) {
            open = Some((folder, open_folder(&root, target, folder)?));
        }
        let Some((_, at)) = &open else { continue };
        // What was moved a moment ago under another name is not to be lost.
        let there = fs::symlink_metadata(&to).ok().and_then(|there| moved.get(&(there.dev(), there.ino())));
        if let Some(other) = there {
            return Err(Error::Folds { one: (*other).to_owned(), other: (*place).to_owned() });
        }
        let from = tree.join(place);
        let file = fs::symlink_metadata(&from).map_err(write)?;
        renameat(CWD, &from, at, name).map_err(|errno| write(errno.into()))?;
        moved.insert((file.dev(), file.ino()), place);
    }
    Ok(())
}

/// Looks at everything that lies where a folder or file would go.
fn refuse_in_the_way(target: &Path, places: &[&str]) -> Result<(), Error> {
    let mut seen = "";
    for place in places {
        let (folder, _) = place.rsplit_once('/').unwrap_or(("", place));
        if folder != seen {
            for end in folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]) {
                refuse_other(target.join(&folder[..end]), "a folder", Metadata::is_dir)?;
            }
            seen = folder;
        }
        // A link in the place of a file is replaced itself.
        refuse_other(target.join(place), "a file", |found| !found.is_dir())?;
    }
    Ok(())
}

fn refuse_other(path: PathBuf, expected: &'static str, fits: impl Fn(&Metadata) -> bool) -> Result<(), Error> {
    match fs::symlink_metadata(&path) {
        Ok(found) if !fits(&found) => {
            let found = if found.is_symlink() {
                "a symbolic link"
            } else if found.is_dir() {
                "a folder"
            } else {
                "a file"
            };
            Err(Error::InTheWay { path, expected, found })
        }
        Err(source) if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Error::Read { path, source })
        }
        _ => Ok(()),
    }
}

/// Opens a folder below the root, made where it is absent; a link that was put there since it was looked at is not followed either.
fn open_folder(root: &OwnedFd, target: &Path, folder: &str) -> Result<OwnedFd, Error> {
    let write = |source: io::Error| Error::Write { path: target.join(folder), source };
    let mut at = root.try_clone().map_err(write)?;
    for name in folder.split('/').filter(|name| !name.is_empty()) {
        match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(write(errno.into())),
        }
        at = match openat(&at, name, FOLDER, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let (expected, found) = ("a folder", "a symbolic link");
                return Err(Error::InTheWay { path: target.join(folder), expected, found });
            }
            other => other.map_err(|errno| write(errno.into()))?,
        };
    }
    Ok(at)
}
