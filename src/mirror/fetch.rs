//! One file from one origin: on from where it was cut, capped at the size that is known beforehand, checked against its digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::digest::{Digest, Hasher};
use crate::run::Run;
use crate::store::{Failed, Store};

use super::{Error, Pace};

/// Trials in a row that bring no byte, until an origin is given up.
const MAX_TRIALS: u32 = 4;
/// What is read at once, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// How the file beside an unfinished one ends that holds its server's tag.
const TAG: &str = "tag";

/// Why a file was not had.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection broke, was too slow, or could not be made.
    Broken(String),
    /// The origin does not have it.
    Absent(String),
    /// The origin gave other bytes than were asked for.
    Lie(String),
    /// This side failed, or was asked to stop.
    Here(Error),
}

/// A file that is being fetched.
pub(super) struct Fetch<'a> {
    origin: &'a Store,
    place: &'a str,
    size: u64,
    pace: &'a dyn Pace,
    run: Run<'a>,
    path: PathBuf,
    file: File,
    at: u64,
    hasher: Hasher,
    moved: u64,
}

/// Fetches `place`, of `size` bytes and this digest, into the file at `part`, which may hold its beginning already; returns the bytes moved.
pub(super) fn fetch(
    origin: &Store,
    place: &str,
    (size, digest): (u64, &Digest),
    part: &Path,
    pace: &dyn Pace,
    run: Run<'_>,
) -> Result<u64, Fault> {
    let file = File::options().create(true).append(true).read(true).open(part).map_err(here(part))?;
    // Nobody else writes to it, even where the mirror's own lock was removed.
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| here(part)(errno.into()))?;
    let path = part.to_owned();
    let mut fetch = Fetch { origin, place, size, pace, run, path, file, at: 0, hasher: Hasher::new(), moved: 0 };
    fetch.go_on()?;
    // What lay there already may be of another origin that lied: thrown away once, all bytes are of this one.
    let mut own = fetch.at == 0;
    loop {
        fetch.fill()?;
        if std::mem::replace(&mut fetch.hasher, Hasher::new()).finish() == *digest {
            fetch.file.sync_all().map_err(here(part))?;
            return Ok(fetch.moved);
        }
        fetch.restart()?;
        if own {
            forget(part).map_err(Fault::Here)?;
            return Err(Fault::Lie(format!("{place}: gave other bytes than the log has")));
        }
        own = true;
    }
}

/// Removes an unfinished file and its tag.
pub(super) fn forget(part: &Path) -> Result<(), Error> {
    for path in [part, &part.with_extension(TAG)] {
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Write { place: part.display().to_string(), source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn here(part: &Path) -> impl Fn(io::Error) -> Fault {
    move |source| Fault::Here(Error::Write { place: part.display().to_string(), source })
}

impl Fetch<'_> {
    /// Takes up what lies there already.
    fn go_on(&mut self) -> Result<(), Fault> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match self.file.read(&mut buffer).map_err(here(&self.path))? {
                0 => break,
                got => {
                    self.hasher.update(&buffer[..got]);
                    self.at += got as u64;
                }
            }
        }
        if self.at > self.size {
            return self.restart();
        }
        self.run.watch.advance(self.at);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Fault> {
        self.file.set_len(0).map_err(here(&self.path))?;
        (self.at, self.hasher) = (0, Hasher::new());
        Ok(())
    }

    /// Brings the file to its full size.
    fn fill(&mut self) -> Result<(), Fault> {
        let mut trial = 0;
        while self.at < self.size {
            let before = self.moved;
            let why = match self.stream() {
                Ok(()) => "ended too early".to_owned(),
                Err(Fault::Broken(why)) => why,
                Err(other) => return Err(other),
            };
            if self.at >= self.size {
                break;
            }
            trial = if self.moved > before { 0 } else { trial + 1 };
            if trial >= MAX_TRIALS {
                return Err(Fault::Broken(format!("{}: {why}, at byte {} of {}", self.place, self.at, self.size)));
            }
            self.pace.wait(trial);
        }
        Ok(())
    }

    /// Reads one answer to its end or its fault.
    fn stream(&mut self) -> Result<(), Fault> {
        let tag_file = self.path.with_extension(TAG);
        let tag = fs::read_to_string(&tag_file).ok();
        let mut arriving =
            self.origin.fetch(self.place, self.at, tag.as_deref()).map_err(|error| match error.failed {
                Failed::Broken => Fault::Broken(chain(&error)),
                _ => Fault::Absent(chain(&error)),
            })?;
        if arriving.from != self.at {
            // The server begins again: it serves no ranges, or the file is another by its tag.
            self.restart()?;
        }
        if let Some(new) = arriving.tag.take().filter(|new| tag.as_ref() != Some(new)) {
            fs::write(&tag_file, new).map_err(here(&self.path))?;
        }
        let mut meter = self.pace.stream();
        let mut buffer = vec![0; PIECE_BYTES];
        while self.at < self.size {
            if self.run.watch.cancelled() {
                return Err(Fault::Here(Error::Cancelled));
            }
            let most = buffer.len().min((self.size - self.at) as usize);
            let got = match arriving.bytes.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Broken(format!("broke off: {error}"))),
            };
            self.file.write_all(&buffer[..got]).map_err(here(&self.path))?;
            self.hasher.update(&buffer[..got]);
            self.at += got as u64;
            self.moved += got as u64;
            self.run.watch.advance(got as u64);
            meter(got as u64).map_err(|error| Fault::Broken(error.to_string()))?;
        }
        Ok(())
    }
}

/// An error with its causes, in a line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
