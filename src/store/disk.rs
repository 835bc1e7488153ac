//! Putting files on disk: under its name a file is absent, the old one or the whole new one, at whatever instant the process is killed.
//!
//! - A new file is made beside its place without its name, brought to disk, then named, never over something else: [`create`], [`name`].
//! - A file is replaced by one that is made beside it, with the mode and, where the system permits it, the owner of the old one. From
//!   reading the old one to naming the new one the file is locked, so that of two who change it the second begins from what the first
//!   has written: [`Rewrite`].
//! - A symbolic link is never replaced: what it leads to is rewritten, or the call is refused, as the caller chooses: [`Links`].
//!
//! The folder that holds a name is brought to disk after the file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};

use crate::run::Run;

/// Mode of a file that everybody may read, as far as the umask permits.
pub const PUBLIC: u32 = 0o644;
/// Mode of a file that its owner alone may read.
pub const SECRET: u32 = 0o600;
/// How the names of unfinished files and folders begin.
const UNFINISHED: &str = ".vellum-";
/// How long to wait before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// What becomes of a symbolic link in the place of a file that is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The file that it leads to is rewritten; the link stays.
    Follow,
    /// An error.
    Refuse,
}

/// Makes an unfinished file in a folder, with this mode; removed when dropped without a name.
///
/// # Errors
/// Where it cannot be made.
pub fn unfinished(folder: &Path, mode: u32) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(UNFINISHED).permissions(Permissions::from_mode(mode)).tempfile_in(folder)
}

/// Makes an unfinished folder in a folder; removed when dropped.
///
/// # Errors
/// Where it cannot be made.
pub fn unfinished_folder(folder: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(folder)
}

/// Brings a file to disk and gives it its name.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where something has the name, be it a link that leads nowhere.
pub fn name(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        // Some file systems of USB sticks and servers know neither hard links nor a rename that replaces nothing.
        Err(failed) if cannot(&failed.error) && path.symlink_metadata().is_err() => {
            failed.file.persist(path).map_err(|failed| failed.error)?;
        }
        Err(failed) => return Err(failed.error),
    }
    sync_folder(parent(path))
}

/// Says whether a file system does not have what was asked of it.
fn cannot(error: &io::Error) -> bool {
    let missing = [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::MLINK];
    Errno::from_io_error(error).is_some_and(|errno| missing.contains(&errno))
}

/// Brings a file to disk and gives it its name, whatever had it: for what nobody rewrites from what was there.
///
/// # Errors
/// Where it cannot be named.
pub fn name_over(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_folder(parent(path))
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where something has the name.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Asked beforehand as well, so that in a folder where nothing may be written the answer is still the better one.
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut file = unfinished(parent(path), mode)?;
    file.write_all(bytes)?;
    name(file, path)
}

/// Gives a folder the mode of another and, where the system permits it, its owner.
///
/// # Errors
/// Where the mode cannot be set.
pub fn resemble_folder(folder: &Path, other: &Metadata) -> io::Result<()> {
    let open = File::open(folder)?;
    // Only a privileged process can give a folder away; without that right it stays its maker's.
    let _ = fchown(&open, Some(other.uid()), Some(other.gid()));
    open.set_permissions(Permissions::from_mode(other.mode() & 0o7777))
}

/// Reads a small file whole: a key, a proof, a policy; also from a pipe, for whose writer it waits.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] where there is more than `limit` bytes, whatever it is that gives them;
/// [`io::ErrorKind::Interrupted`] where the watch asks to stop while nobody writes to the pipe.
pub fn read_small(path: &Path, limit: u64, run: Run<'_>) -> io::Result<Vec<u8>> {
    // A pipe without a writer would hold up an ordinary opening, and no signal would end that.
    let mut file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    let mut bytes = Vec::new();
    loop {
        let wait = match (&mut file).take(limit + 1 - bytes.len() as u64).read_to_end(&mut bytes) {
            _ if bytes.len() as u64 > limit => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) => is_pipe && bytes.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => return Err(error),
        };
        if !wait {
            return Ok(bytes);
        }
        if run.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        run.clock.sleep(PAUSE);
    }
}

/// A pipe that is read for as long as the watch does not ask to stop: a read of the system's would wait for its writer through every signal.
pub struct Pipe<'a> {
    file: File,
    run: Run<'a>,
}

impl<'a> Pipe<'a> {
    /// Reads standard input.
    ///
    /// # Errors
    /// Where there is none.
    pub fn stdin(run: Run<'a>) -> io::Result<Self> {
        Ok(Self { file: File::from(io::stdin().as_fd().try_clone_to_owned()?), run })
    }

    /// Opens a pipe, or something else that has no size, by its name.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path, run: Run<'a>) -> io::Result<Self> {
        // One without a writer would hold up an ordinary opening.
        let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
        Ok(Self { file, run })
    }
}

impl Read for Pipe<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let wait = Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() };
            let ready = match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&wait)) {
                Ok(ready) => ready > 0,
                Err(Errno::INTR) => false,
                Err(error) => return Err(error.into()),
            };
            if self.run.is_cancelled() {
                return Err(io::Error::other("asked to stop"));
            }
            if ready {
                match self.file.read(out) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        }
    }
}

/// Writes a file, be it there or not; what is no regular file, such as a pipe, is written to as it is.
///
/// # Errors
/// Where it cannot be written.
pub fn put(path: &Path, bytes: &[u8], run: Run<'_>) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Rewrite::begin(path, Links::Follow, run)?.put(bytes),
        Ok(_) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Err(_) => create(path, bytes, PUBLIC),
    }
}

/// Writes an unfinished file whose name is fixed, so that whoever cleans up after a kill finds it; `before` is told before it is brought
/// to disk. It gets the mode and owner of `old`.
pub(super) fn fill(
    unfinished: &Path,
    bytes: &[u8],
    old: Option<&Metadata>,
    before: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(unfinished)?;
    file.write_all(bytes)?;
    old.map_or(Ok(()), |old| resemble(&file, old, u32::MAX))?;
    before()?;
    file.sync_all()
}

/// A file that is locked until its replacement has its name.
#[derive(Debug)]
pub struct Rewrite {
    path: PathBuf,
    file: File,
    old: Metadata,
    mask: u32,
}

impl Rewrite {
    /// Waits for the lock of a file until the watch asks to stop; what is read of it from now on is what will be replaced.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] where it was cancelled; where there is no regular file, or a link that is refused.
    pub fn begin(path: &Path, links: Links, run: Run<'_>) -> io::Result<Self> {
        if links == Links::Refuse && fs::symlink_metadata(path)?.is_symlink() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is a symbolic link"));
        }
        let path = fs::canonicalize(path)?;
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        loop {
            // Network file systems lock only what is open for writing.
            let open = File::options().read(true).write(true).open(&path);
            let file = open.or_else(|_| File::open(&path))?;
            lock(&file, run)?;
            // Whoever had the lock before has given the name to another file.
            let (old, there) = (file.metadata()?, fs::symlink_metadata(&path)?);
            if (old.dev(), old.ino()) == (there.dev(), there.ino()) {
                return Ok(Self { path, file, old, mask: u32::MAX });
            }
        }
    }

    /// The replacement will be for its owner alone.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { mask: SECRET, ..self }
    }

    /// Returns the file as it is, open for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns where it lies, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an unfinished file beside it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn unfinished(&self) -> io::Result<NamedTempFile> {
        unfinished(parent(&self.path), SECRET)
    }

    /// Puts an unfinished file in its place.
    ///
    /// # Errors
    /// Where that fails; the old file is then as it was.
    pub fn finish(self, file: NamedTempFile) -> io::Result<()> {
        resemble(file.as_file(), &self.old, self.mask)?;
        name_over(file, &self.path)
    }

    /// Puts a file of these bytes in its place.
    ///
    /// # Errors
    /// Where that fails; the old file is then as it was.
    pub fn put(self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.unfinished()?;
        file.write_all(bytes)?;
        self.finish(file)
    }
}

fn lock(file: &File, run: Run<'_>) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if run.is_cancelled() => return Err(io::ErrorKind::Interrupted.into()),
            Err(Errno::WOULDBLOCK) => run.clock.sleep(PAUSE),
            other => return Ok(other?),
        }
    }
}

/// Gives a file the owner of another one, where that is permitted, and its mode within `mask`.
fn resemble(file: &File, old: &Metadata, mask: u32) -> io::Result<()> {
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o7777 & mask;
    if (new.uid(), new.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
        && fchown(file, None, Some(old.gid())).is_err()
    {
        // What the old group was permitted is not for another group.
        mode &= !0o070 | (mode & 0o007) << 3;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Makes a folder with those above it, for their owner alone where they are new.
///
/// # Errors
/// Where one cannot be made.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)
}

/// Brings a folder's own entries to disk.
///
/// # Errors
/// Where it cannot be opened.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the folder that a path lies in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::watch::Watch;

    struct Stopped;

    impl Watch for Stopped {
        fn cancelled(&self) -> bool {
            true
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_its_mode_and_is_never_put_over_something() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"one", SECRET).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"one".to_vec(), 0o600));
        assert_eq!(create(&path, b"two", SECRET).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        symlink("nowhere", folder.path().join("link")).unwrap();
        let error = create(&folder.path().join("link"), b"two", SECRET).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished stays");
    }

    #[test]
    fn a_replacement_has_the_mode_of_the_old_file_and_keeps_the_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        create(&path, b"one", PUBLIC).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        symlink("a", &link).unwrap();
        assert!(Rewrite::begin(&link, Links::Refuse, Run::alone()).is_err());
        Rewrite::begin(&link, Links::Follow, Run::alone()).unwrap().put(b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o640));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        Rewrite::begin(&path, Links::Refuse, Run::alone()).unwrap().secret().put(b"three").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(Rewrite::begin(folder.path(), Links::Follow, Run::alone()).is_err());
    }

    #[test]
    fn who_waits_for_a_file_begins_from_what_was_written_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"", PUBLIC).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let rewrite = Rewrite::begin(&path, Links::Follow, Run::alone()).unwrap();
                        let mut bytes = fs::read(rewrite.path()).unwrap();
                        bytes.push(b'x');
                        rewrite.put(&bytes).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(&path).unwrap().len(), 64);
        let _held = Rewrite::begin(&path, Links::Follow, Run::alone()).unwrap();
        let error = Rewrite::begin(&path, Links::Follow, Run::alone().watched(&Stopped)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
