//! Putting finished work in place: whole, on disk, and never over something else by accident.
//!
//! How files get their names is for [`disk`]; here is what that means for bundles and folders of them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::format::bundle::{Bundle, check};
use crate::format::frame::MAGIC;
use crate::format::manifest::Name;
use crate::ids::BundleId;
use crate::keys::{Signature, Signer};
use crate::run::Run;
pub(super) use crate::store::disk::parent;
use crate::store::disk::{self, Links, Rewrite};
use crate::watch::Silent;

use super::Error;

/// The ending of a bundle's file name.
pub const BUNDLE_ENDING: &str = ".tar.zst";
/// How many digits of its id stand in a bundle's file name.
const SHOWN_ID_DIGITS: usize = 12;

/// Returns the name of a bundle's file where a person keeps it.
pub(super) fn bundle_name(name: &Name, id: BundleId) -> String {
    format!("{name}-{}{BUNDLE_ENDING}", id.to_string().get(..SHOWN_ID_DIGITS).unwrap_or_default())
}

/// Makes an unfinished file in `folder`, creating the folder where it is absent.
pub(super) fn unnamed(folder: &Path) -> Result<NamedTempFile, Error> {
    let made = fs::create_dir_all(folder).and_then(|()| disk::unfinished(folder, disk::PUBLIC));
    made.map_err(|source| Error::Write { path: folder.to_owned(), source })
}

/// Makes an unfinished folder beside `target`.
pub(super) fn unnamed_folder(target: &Path) -> Result<TempDir, Error> {
    let parent = parent(target);
    let made = fs::create_dir_all(parent).and_then(|()| disk::unfinished_folder(parent));
    made.map_err(|source| Error::Write { path: parent.to_owned(), source })
}

/// Gives a finished bundle its name. Returns whether a bundle of the same id lay there and was kept: it is whole then, and `signers` have
/// signed it.
pub(super) fn place(
    file: NamedTempFile,
    path: &Path,
    id: BundleId,
    signers: &[&dyn Signer],
    overwrite: bool,
    run: Run<'_>,
) -> Result<bool, Error> {
    let write = |source| Error::Write { path: path.to_owned(), source };
    if overwrite && path.symlink_metadata().is_ok() {
        // Whatever else has the name, or is linked from it, is not ours to write to.
        if !is_bundle(path) {
            return Err(Error::NoBundle(path.to_owned()));
        }
        let rewrite = Rewrite::begin(path, Links::Follow, run).map_err(write)?;
        // Of a bundle that cannot be read nothing is lost.
        if let Ok(old) = rewrite.file().try_clone().map_err(write).and_then(|old| Ok(Bundle::open(old)?))
            && old.id() == id
        {
            let signs = |key: &str| signers.iter().any(|signer| signer.public().id().to_string() == key);
            let lost: Vec<&str> =
                old.tail().signatures.iter().map(|file| file.key_id.as_str()).filter(|key| !signs(key)).collect();
            if !lost.is_empty() {
                let why = format!("is signed by {}, which this one is not", lost.join(", "));
                return Err(Error::OtherForm { path: path.to_owned(), why });
            }
        }
        return rewrite.finish(file).map(|()| false).map_err(write);
    }
    match disk::name(file, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !is_bundle(path) {
                return Err(Error::Exists(path.to_owned()));
            }
            let there = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            let report = check(&there, run.watched(&Silent))?;
            if report.id() != Some(id) {
                return Err(Error::Exists(path.to_owned()));
            }
            let signed = |signer: &&dyn Signer| {
                let tail = report.tail.as_ref();
                let mut files = tail.iter().flat_map(|tail| tail.signatures.iter().map(|file| (file, &tail.manifest)));
                files.any(|(file, text)| {
                    Signature::decode(&file.bytes).is_ok_and(|one| one.verify(signer.public(), text).is_ok())
                })
            };
            match report.findings.first() {
                Some(finding) => Err(Error::OtherForm { path: path.to_owned(), why: format!("is damaged: {finding}") }),
                None if !signers.iter().all(signed) => {
                    let why = "is not signed by every key that signs now".to_owned();
                    Err(Error::OtherForm { path: path.to_owned(), why })
                }
                None => Ok(true),
            }
        }
        other => other.map(|()| false).map_err(write),
    }
}

/// Says whether a file lies at `path` that begins like a bundle.
fn is_bundle(path: &Path) -> bool {
    let mut magic = [0; 4];
    path.is_file() && File::open(path).and_then(|mut open| open.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

/// Brings a folder's own entries to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    disk::sync_folder(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })
}

/// Brings everything that lies below a folder to disk: one call for its file system, not one a file.
pub(super) fn sync_all(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|open| rustix::fs::syncfs(&open).map_err(io::Error::from));
    synced.map_err(|source| Error::Write { path: folder.to_owned(), source })
}

/// Refuses an output folder inside the folder that is packed.
pub(super) fn refuse_inside(output: &Path, root: &Path) -> Result<(), Error> {
    let mut existing = output;
    while !existing.exists() {
        existing = parent(existing);
    }
    let inside = match (fs::canonicalize(existing), fs::canonicalize(root)) {
        (Ok(output), Ok(root)) => root.is_dir() && output.starts_with(&root),
        _ => false,
    };
    if inside { Err(Error::OutputInside { output: output.to_owned(), root: root.to_owned() }) } else { Ok(()) }
}

/// Returns a path with the symbolic links of its folder resolved, for names that do not exist yet.
pub(super) fn resolved(path: &Path) -> PathBuf {
    match (fs::canonicalize(parent(path)), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
