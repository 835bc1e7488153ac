//! One writer at a time: a lock that dies with its process.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::run::Clock;
use crate::store::Store;

use super::{Error, layout};

/// A writer that is just ending is waited for, so often and so long; another one is named.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);
/// The longest name of a writer, in bytes.
const MAX_NAME_BYTES: u64 = 200;

/// The right to write, until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting a little by `clock` for one who is just ending, and leaves `who` in it for others to read.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process has it.
    pub fn take(store: &Store, who: &str, clock: &dyn Clock) -> Result<Self, Error> {
        // Before anything is written: a folder that somebody gave away may have links where vellum keeps its own.
        for place in [layout::STATE, layout::INCOMING, layout::WITHDRAWN, layout::SEEN, layout::CATALOG] {
            store.own_path(place)?;
        }
        let path = store.own_path(layout::LOCK)?;
        let failed = |source| Error::Lock { path: path.clone(), source };
        fs::create_dir_all(store.path(layout::STATE)).map_err(failed)?;
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        for _ in 0..TRIES {
            if locked != Err(Errno::WOULDBLOCK) {
                break;
            }
            clock.sleep(PAUSE);
            locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        }
        match locked {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut by = String::new();
                // Who it is only helps a person; that somebody is there has been found already.
                let _ = file.take(MAX_NAME_BYTES).read_to_string(&mut by);
                return Err(Error::Busy { by: by.trim().to_owned() });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        // What has another name too is also somebody else's file.
        if file.metadata().map_err(failed)?.nlink() > 1 {
            return Ok(Self { _file: file });
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{who}")).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
