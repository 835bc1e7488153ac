//! A tree in the making, in a folder that is this process's alone: two names that the file system takes for one are found, not merged.
//!
//! Which names those are (by case, by Unicode's forms, by what Windows leaves off) only the file system knows. So every file and every
//! folder is made as a new one, and what is there already can only be another name of this tree.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::format::order;
use crate::path::fold;

use super::Error;

/// The folders made so far below a root.
pub(super) struct Tree {
    root: PathBuf,
    folders: HashSet<String>,
}

impl Tree {
    /// Makes the root.
    pub(super) fn begin(root: PathBuf) -> Result<Self, Error> {
        fs::create_dir(&root).map_err(|source| Error::Write { path: root.clone(), source })?;
        Ok(Self { root, folders: HashSet::new() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder that a place lies in, with those above it; `places` are those of all files, to name the other one of two that are
    /// the same here.
    pub(super) fn make_folder_of<'p>(
        &mut self,
        place: &str,
        places: impl IntoIterator<Item = &'p String> + Clone,
    ) -> Result<(), Error> {
        let Some((folder, _)) = place.rsplit_once('/') else { return Ok(()) };
        if self.folders.contains(folder) {
            return Ok(());
        }
        let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
        let missing: Vec<&str> =
            ends.map(|end| &folder[..end]).filter(|above| !self.folders.contains(*above)).collect();
        for above in missing {
            let path = self.root.join(above);
            match fs::create_dir(&path) {
                Ok(()) => drop(self.folders.insert(above.to_owned())),
                Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => {
                    // Above it there may be a file that an earlier bundle has written.
                    let is_file = |file: &str| file == above || order::is_below(above, file);
                    return Err(match places.clone().into_iter().find(|file| is_file(file)) {
                        Some(file) => Error::FileAndFolder(file.clone()),
                        None => self.clash(above, places),
                    });
                }
                Err(source) => return Err(Error::Write { path, source }),
            }
        }
        Ok(())
    }

    /// Says of a name that is there already which other one of the tree it is here.
    pub(super) fn clash<'p>(&self, place: &str, places: impl IntoIterator<Item = &'p String>) -> Error {
        if self.folders.contains(place) {
            return Error::FileAndFolder(place.to_owned());
        }
        let identity = |place: &str| fs::metadata(self.root.join(place)).map(|found| (found.dev(), found.ino())).ok();
        let own = identity(place);
        let folded = fold(place);
        // Some file systems give a file another number each time it is asked for; there the letters must tell.
        let same =
            |other: &&String| *other != place && (fold(other) == folded || (own.is_some() && identity(other) == own));
        match self.folders.iter().find(same).or_else(|| places.into_iter().find(same)) {
            Some(one) => Error::Folds { one: one.clone(), other: place.to_owned() },
            None => Error::InTheWay {
                path: PathBuf::from(place),
                expected: "nothing yet",
                found: "what was written under another name",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(error: &Error) -> (String, String) {
        match error {
            Error::Folds { one, other } => (one.clone(), other.clone()),
            other => panic!("{other}"),
        }
    }

    /// A name that leads to another one's file, as a file system that folds case has it.
    fn folded(tree: &Tree, one: &str, other: &str) {
        symlink(tree.root().join(one), tree.root().join(other)).unwrap();
    }

    #[test]
    fn two_names_that_the_file_system_takes_for_one_are_both_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::begin(folder.path().join("out")).unwrap();
        let places: Vec<String> = ["essays/a/x.txt", "essays/b/y.txt"].map(str::to_owned).into();
        for place in &places {
            tree.make_folder_of(place, &places).unwrap();
        }
        assert!(tree.root().join("essays/b").is_dir());
        folded(&tree, "essays", "Essays");
        let error = tree.make_folder_of("Essays/c/z.txt", &places).unwrap_err();
        assert_eq!(names(&error), ("essays".into(), "Essays".into()));
        fs::write(tree.root().join("essays/a/x.txt"), "x").unwrap();
        folded(&tree, "essays/a/x.txt", "essays/a/X.txt");
        assert_eq!(names(&tree.clash("essays/a/X.txt", &places)), (places[0].clone(), "essays/a/X.txt".into()));
        // A folder may be another one's file.
        folded(&tree, "essays/a/x.txt", "essays/a/x.txt.");
        let error = tree.make_folder_of("essays/a/x.txt./page.html", &places).unwrap_err();
        assert_eq!(names(&error), (places[0].clone(), "essays/a/x.txt.".into()));
    }
}
