//! One bundle of the log: is this file the one that was logged, whole, signed by who may publish, and did it make the leaves that it is said to?

use std::collections::HashSet;
use std::num::NonZeroUsize;

use crate::archive::{leaves, revisions};
use crate::digest::Digest;
use crate::format::bundle::{Bundle, Source, check};
use crate::ids::Origin;
use crate::keys::Kind;
use crate::trust::authority::{Authority, Logged as LoggedSignature};
use crate::trust::policy::Role;
use crate::watch::Silent;

use super::Error;
use super::plan::{ArticleSum, Logged};

/// Checks a bundle's file, whose digest has been checked already.
pub(super) fn verify<S: Source>(
    source: &S,
    logged: &Logged,
    archive: &Origin,
    authority: &Authority,
) -> Result<(), Error> {
    let bad = |detail: String| Error::BadBundle { id: logged.id, detail };
    let report = check(source, NonZeroUsize::MIN, &Silent)?;
    if let Some(finding) = report.findings.first() {
        return Err(bad(finding.to_string()));
    }
    bear_out(source, logged, archive, authority)
}

/// Checks a whole bundle against its leaves: what it is, who has signed it, what it yields.
pub(super) fn bear_out<S: Source>(
    source: &S,
    logged: &Logged,
    archive: &Origin,
    authority: &Authority,
) -> Result<(), Error> {
    let bad = |detail: String| Error::BadBundle { id: logged.id, detail };
    let bundle = Bundle::open(source)?;
    if bundle.id() != logged.id || bundle.manifest().replaces.first().copied() != logged.replaces {
        return Err(bad("is not the bundle that its leaf names".into()));
    }
    if let Some(named) = bundle.manifest().archive.as_ref().filter(|named| *named != archive) {
        return Err(bad(format!("is made for the archive {named}, not for {archive}")));
    }
    let contents = bundle.contents()?;
    let mut yielded = ArticleSum::empty();
    for leaf in &leaves(&bundle, &revisions(&bundle, &contents)?, logged.file)[1..] {
        yielded.push(leaf.to_string().as_bytes());
    }
    if yielded != logged.articles {
        return Err(Error::Leaf {
            index: logged.index,
            detail: "the leaves after it are not what its bundle yields".into(),
        });
    }
    let tail = bundle.tail();
    let signatures: Vec<_> = tail
        .signatures
        .iter()
        .map(|file| {
            let digest = Digest::of(&file.bytes);
            let leaf = logged.signatures.iter().find(|(_, _, logged)| *logged == digest);
            LoggedSignature { bytes: &file.bytes, index: leaf.map(|(index, ..)| *index) }
        })
        .collect();
    let met = authority.judge((Role::Publish, Kind::Manifest), &tail.manifest, &signatures, archive);
    if met.is_met() { Ok(()) } else { Err(bad(format!("is not authentic: {}", met.reason()))) }
}

/// Returns the articles that a bundle holds, by the digests of their ids and lines.
pub(super) fn articles<S: Source>(source: &S) -> Result<HashSet<(Digest, Digest)>, Error> {
    let bundle = Bundle::open(source)?;
    let contents = bundle.contents()?;
    let revisions = revisions(&bundle, &contents)?;
    Ok(revisions.iter().map(|revision| (Digest::of(revision.id.as_bytes()), revision.lines)).collect())
}
