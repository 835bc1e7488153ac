//! An archive: immutable bundles, and a log of what it holds, as static files. (FORMAT.md, "The archive")
//!
//! [`Archive`] opens one for reading; [`Vouched`] is its log, believed and folded into a [`History`]; [`Writer`] has the one right to write,
//! publishes in an order that a kill cannot break, and finishes what a killed one began; [`Log`] reads tiles and makes proofs; the catalog
//! answers list and search, and is only a cache.

#[cfg(feature = "catalog")]
pub mod catalog;
mod claim;
pub mod history;
pub mod layout;
mod lock;
mod log;
mod revisions;
mod vouched;
mod writer;

pub use history::History;
pub use lock::Lock;
pub use log::{Appended, Log};
pub use revisions::{GENERATED, Revision, revisions};
pub use vouched::{Head, Pin, Vouched};
pub use writer::{Incoming, Publication, Writer};

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::format::bundle;
use crate::format::checkpoint::{self, Checkpoint};
use crate::ids::Origin;
use crate::keys::{self, Signer, VerifierKey};
use crate::merkle;
use crate::run::Run;
use crate::store::{self, Store, Write};

/// What every archive carries for whoever finds it, by name; no leaf speaks of them.
pub const DOCUMENTS: [(&str, &str); 2] =
    [("README.txt", include_str!("README.txt")), ("FORMAT.md", include_str!("../format/FORMAT.md"))];
/// The longest `archive.toml`, in bytes.
const MAX_HEADER_BYTES: u64 = 16 << 10;
const FORMAT: &str = "vellum-archive/1";

/// What may go wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No archive is there.
    #[error("{0}: not an archive, there is no archive.toml")]
    NotAnArchive(PathBuf),
    /// Something is there already.
    #[error("{0}: is not empty")]
    NotEmpty(PathBuf),
    /// `archive.toml` is malformed or of another format.
    #[error("archive.toml: {0}")]
    Header(String),
    /// Another process is writing.
    #[error("another vellum is writing to this archive ({by})")]
    Busy {
        /// What it calls itself.
        by: String,
    },
    /// The lock cannot be taken at all.
    #[error("{path}: the lock cannot be taken")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A checkpoint that is malformed or of another archive.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// Tiles or leaves that are not as the checkpoint has them.
    #[error("the log is damaged: {0}")]
    Log(String),
    /// Nothing is signed that does not extend what was signed before.
    #[error("refused to sign: {0}")]
    Refused(String),
    /// Nothing says what was signed last: the state is lost, or this is a mirror.
    #[error("{0}: its own state is not there, so what was signed last is not known")]
    NoState(String),
    /// The archive's own state is malformed.
    #[error("state: {0}")]
    State(String),
    /// None of the log's keys that a policy has in use is at hand.
    #[error("version {version} of the policy has keys of the log in use, none of which signs here")]
    LogKeyAbsent {
        /// The policy's version.
        version: u64,
    },
    /// The key at hand is not the log's.
    #[error("the log's key is {expected}, not {found}")]
    OtherLogKey {
        /// The key that `archive.toml` names.
        expected: String,
        /// The key at hand.
        found: String,
    },
    /// A bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A key or signature.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The log is not the one that is vouched for.
    #[error(transparent)]
    History(#[from] history::HistoryFault),
    /// The catalog.
    #[cfg(feature = "catalog")]
    #[error("the catalog")]
    Catalog(#[from] catalog::Error),
}

/// An archive that is open for reading.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Store,
    origin: Origin,
    log_key: VerifierKey,
    /// Where it is kept what the leaves of its log said.
    known: Option<PathBuf>,
    /// Where the catalog lies, if not in the archive.
    catalog: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    origin: String,
    log: String,
}

impl Archive {
    /// Makes an archive in a folder that is absent or empty, its log signed by `signer`.
    ///
    /// # Errors
    /// Where something is there already, or cannot be written.
    pub fn create(store: Store, origin: Origin, signer: &dyn Signer, who: &str, run: Run<'_>) -> Result<Self, Error> {
        // What a killed run began has its state already and no header yet.
        let begun = store.exists(layout::STATE) && !store.exists(layout::HEADER);
        if !begun && !store.list("")?.is_empty() {
            return Err(Error::NotEmpty(PathBuf::from(store.name())));
        }
        let log_key = VerifierKey::new(origin.as_str(), signer.public())?;
        let archive = Self { store, origin, log_key, known: None, catalog: None };
        let signers = [signer];
        let mut writer = Writer::begin(&archive, &signers, who, run)?;
        let header = header(&archive.origin, &archive.log_key);
        let files = DOCUMENTS.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        archive.store.put_all(&files)?;
        if !archive.store.exists(checkpoint::NAME) {
            writer.publish(Publication::default())?;
        }
        // The header comes last: what has none is no archive yet, and making it can begin again.
        archive.store.put(layout::HEADER, header.as_bytes(), Write::Replace)?;
        drop(writer);
        Ok(archive)
    }

    /// Opens an archive for reading.
    ///
    /// # Errors
    /// Where none is there, or its header is malformed.
    pub fn open(store: Store) -> Result<Self, Error> {
        let bytes = match store.read(layout::HEADER, MAX_HEADER_BYTES) {
            Err(error) if error.is_not_found() => return Err(Error::NotAnArchive(PathBuf::from(store.name()))),
            other => other?,
        };
        let (origin, log_key) = read_header(&bytes)?;
        Ok(Self { store, origin, log_key, known: None, catalog: None })
    }

    /// Keeps what the leaves of its log say in a file of this reader's own, so that they are read once; never in the archive, which others write.
    #[must_use]
    pub fn knowing(self, path: PathBuf) -> Self {
        Self { known: Some(path), ..self }
    }

    /// Returns the `archive.toml` for a mirror of the archive `origin`, whose log has these keys, the one in use first: the origin's bytes, if
    /// they name one of them.
    pub fn header(bytes: Vec<u8>, origin: &Origin, keys: &[VerifierKey]) -> Vec<u8> {
        match read_header(&bytes) {
            Ok((name, key)) if name == *origin && keys.contains(&key) => bytes,
            // It is a label, and stops nobody.
            _ => keys.first().map_or(bytes, |key| header(origin, key).into_bytes()),
        }
    }

    /// Makes an archive whose state is lost, or a mirror, the place to publish from: its checkpoint counts as what was signed last.
    ///
    /// Whoever calls this says that nothing later than `checkpoint` was signed: if there was, the log will fork.
    ///
    /// # Errors
    /// [`Error::Refused`] where the state is not lost, or the archive has another checkpoint by now; where the tiles do not lead to
    /// the checkpoint's root.
    pub fn adopt(&self, checkpoint: &Checkpoint, pin: &Pin, who: &str, run: Run<'_>) -> Result<(), Error> {
        let _lock = Lock::take(&self.store, who, run.clock)?;
        let Vouched { checkpoint: now, note, .. } = self.knowing_nothing().vouched(pin, run)?;
        if now != *checkpoint {
            let (expected, found) = (checkpoint.size, now.size);
            return Err(Error::Refused(format!(
                "the checkpoint was replaced meanwhile: expected {expected} leaves, found {found}"
            )));
        }
        if self.store.exists(layout::SIGNED) {
            return Err(Error::Refused("what was signed last is known here; there is nothing to adopt".into()));
        }
        self.log(checkpoint).root(checkpoint.size)?;
        // What another publisher had begun is not this one's to finish.
        for place in [layout::CLAIM, layout::INTENT, layout::HELD] {
            if self.store.exists(place) {
                self.store.remove(place)?;
            }
        }
        self.store.put(layout::SIGNED, note.to_string().as_bytes(), Write::Replace)?;
        Ok(())
    }

    /// Returns the archive as one of which nothing is known: all of its leaves are read, for who vouches for them to others.
    #[must_use]
    pub fn knowing_nothing(&self) -> Self {
        Self { known: None, ..self.clone() }
    }

    /// Keeps the catalog at a place of this reader's own: of one that lies in the archive whoever gave it may have made every row.
    #[must_use]
    pub fn catalog_at(self, path: PathBuf) -> Self {
        Self { catalog: Some(path), ..self }
    }

    /// Returns where the catalog lies.
    pub fn catalog_path(&self) -> PathBuf {
        self.catalog.clone().unwrap_or_else(|| self.store.path(layout::CATALOG))
    }

    /// Says whether a folder looks like an archive.
    pub fn is_at(path: &Path) -> bool {
        path.join(layout::HEADER).is_file()
    }

    /// Returns where it lies.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns its name, which is its log's.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the log key that the archive itself names: a label, not a reason to trust it.
    pub fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// Returns the log under a checkpoint: what is read of it leads to its root.
    pub fn log(&self, checkpoint: &Checkpoint) -> Log<'_> {
        Log::new(&self.store, checkpoint.size).signed(checkpoint.root).knowing(self.known.as_deref())
    }
}

#[cfg(feature = "catalog")]
impl Archive {
    /// Opens the catalog, which is made anew where it is not there or damaged; in memory, where nothing can be written.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn catalog(&self) -> Result<catalog::Catalog, Error> {
        match catalog::Catalog::open(&self.catalog_path()) {
            Err(catalog::Error::Io(_)) => Ok(catalog::Catalog::in_memory()?),
            other => Ok(other?),
        }
    }
}

fn header(origin: &Origin, log_key: &VerifierKey) -> String {
    format!("format = \"{FORMAT}\"\norigin = \"{origin}\"\nlog = \"{log_key}\"\n")
}

fn read_header(bytes: &[u8]) -> Result<(Origin, VerifierKey), Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Header("not UTF-8".into()))?;
    let header: Header = toml::from_str(text).map_err(|error| Error::Header(error.message().to_owned()))?;
    if header.format != FORMAT {
        return Err(Error::Header(format!("of format {:?}, expected {FORMAT:?}", header.format)));
    }
    let origin: Origin = header.origin.parse().map_err(|fault| Error::Header(format!("{fault}")))?;
    let log_key: VerifierKey = header.log.parse().map_err(|error: keys::Error| Error::Header(error.to_string()))?;
    if log_key.name() != origin.as_str() {
        return Err(Error::Header(format!(
            "the log's key is named {:?}, expected the origin {origin:?}",
            log_key.name()
        )));
    }
    Ok((origin, log_key))
}

/// Reads a checkpoint's text, which must be of this archive.
pub(crate) fn read_checkpoint(text: &str, origin: &Origin) -> Result<Checkpoint, Error> {
    let checkpoint = Checkpoint::parse(text).map_err(|fault| Error::Checkpoint(fault.to_string()))?;
    if checkpoint.origin != *origin {
        let (expected, found) = (origin, &checkpoint.origin);
        return Err(Error::Checkpoint(format!("expected one of {expected}, found one of {found}")));
    }
    if checkpoint.size == 0 && checkpoint.root != merkle::empty_root() {
        return Err(Error::Checkpoint("an empty log with a root".into()));
    }
    Ok(checkpoint)
}
