//! What tools and systems leave among documents, and nobody means to keep: a closed list of names.
//!
//! The list is short on purpose. A name is on it only if a program makes files of that name by itself and nothing of a person's is lost without
//! them; hidden files and `*.bak` are a person's own.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use crate::archive::Archive;
use crate::store::Store;

/// A kind of litter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Litter {
    /// What a version control system keeps.
    VersionControl,
    /// What an operating system leaves in the folders that it shows.
    System,
    /// What editors leave: backups, locks, swap files.
    Editor,
    /// An archive of vellum's, which is not packed into another one by accident.
    Archive,
}

impl Litter {
    /// Says which kind of litter a file or folder is, if it is any; a symbolic link counts as a file.
    pub fn of(path: &Path, name: &OsStr, is_folder: bool) -> Option<Self> {
        const VERSION_CONTROL: [&str; 5] = [".git", ".hg", ".svn", ".jj", ".bzr"];
        const SYSTEM_FOLDERS: [&str; 4] = [".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems"];
        const WINDOWS_FILES: [&str; 3] = ["Thumbs.db", "ehthumbs.db", "desktop.ini"];
        let name = name.to_str()?;
        let is_any = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        // Beside a linked work tree, `.git` is a file.
        if VERSION_CONTROL.contains(&name) || (is_folder && name == "CVS") {
            return Some(Self::VersionControl);
        }
        if is_folder {
            return if SYSTEM_FOLDERS.contains(&name) || is_any(&["$RECYCLE.BIN"]) {
                Some(Self::System)
            } else {
                is_archive(path).then_some(Self::Archive)
            };
        }
        if [".DS_Store", "Icon\r"].contains(&name) || name.starts_with("._") || is_any(&WINDOWS_FILES) {
            return Some(Self::System);
        }
        let is_lock = name.starts_with(".~lock.") && name.ends_with('#');
        let is_left = name.ends_with('~') || name.starts_with("~$") || name.ends_with(".swp");
        (is_lock || is_left).then_some(Self::Editor)
    }
}

/// Says whether a folder is an archive. An `archive.toml` alone does not make it one: it may be the metadata of a document `archive.md`.
pub fn is_archive(path: &Path) -> bool {
    Archive::is_at(path) && Archive::open(Store::new(path)).is_ok()
}

impl fmt::Display for Litter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionControl => "belongs to a version control system",
            Self::System => "was left by an operating system",
            Self::Editor => "was left by an editor",
            Self::Archive => "is an archive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_on_the_closed_list_are_litter() {
        let of = |name: &str, is_folder| Litter::of(Path::new("/nowhere"), OsStr::new(name), is_folder);
        for name in [".git", ".hg", ".svn", ".jj", ".bzr", "CVS"] {
            assert_eq!(of(name, true), Some(Litter::VersionControl), "{name}");
        }
        for name in [".DS_Store", "._tides.md", "thumbs.db", "Thumbs.db", "ehthumbs.db", "Desktop.ini", "Icon\r"] {
            assert_eq!(of(name, false), Some(Litter::System), "{name}");
        }
        for name in [".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", "$RECYCLE.BIN"] {
            assert_eq!(of(name, true), Some(Litter::System), "{name}");
        }
        for name in ["tides.md~", "~$tides.docx", ".~lock.tides.odt#", ".tides.md.swp"] {
            assert_eq!(of(name, false), Some(Litter::Editor), "{name}");
        }
        for name in [".hidden", "tides.bak", "CVS", ".gitignore", ".well-known", "icon", "git", "swp", ".config", "~"] {
            assert_eq!(of(name, false), (name == "~").then_some(Litter::Editor), "{name}");
        }
        assert_eq!(of("tides~", true), None);
    }
}
