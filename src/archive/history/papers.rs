//! The small files that leaves name by their digests: policies and statements.

use crate::digest::Digest;
use crate::format::withdrawal::MAX_WITHDRAWAL_BYTES;
use crate::store::{self, Failed, Store};
use crate::trust::policy::{self, MAX_POLICY_BYTES};

use super::super::{Error, layout};

/// Where the small files lie that leaves name by their digests.
pub trait Papers: Sync {
    /// Returns a version of the policy, if the one of this digest is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;

    /// Returns a statement of withdrawal, if the one of this digest is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;
}

impl Papers for Store {
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(present(self.read(&policy::place(version), MAX_POLICY_BYTES))?.filter(|bytes| Digest::of(bytes) == *digest))
    }

    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let bytes = present(self.read(&layout::statement(digest), MAX_WITHDRAWAL_BYTES))?;
        Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
    }
}

/// What a mirror holds, and an origin for the rest.
impl Papers for [&Store; 2] {
    fn policy(&self, version: u64, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let [held, origin] = self;
        held.policy(version, digest)?.map_or_else(|| origin.policy(version, digest), |bytes| Ok(Some(bytes)))
    }

    fn statement(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let [held, origin] = self;
        held.statement(digest)?.map_or_else(|| origin.statement(digest), |bytes| Ok(Some(bytes)))
    }
}

/// Returns nothing where nothing is there, or something larger than it may be: that is not what is looked for.
pub(in crate::archive) fn present(read: Result<Vec<u8>, store::Error>) -> Result<Option<Vec<u8>>, Error> {
    match read {
        Err(error) if matches!(error.failed, Failed::NotFound | Failed::TooLarge) => Ok(None),
        other => Ok(Some(other?)),
    }
}
