//! Every path inside an archive, made here only. (FORMAT.md, "The archive")

use crate::digest::Digest;
use crate::format::checkpoint::Checkpoint;
use crate::format::leaf::is_document_name;
use crate::format::withdrawal;
use crate::ids::BundleId;
use crate::trust::policy;

use super::DOCUMENTS;

/// What the archive is: format, origin, log key.
pub const HEADER: &str = "archive.toml";
/// The folder of bundles.
pub const BUNDLES: &str = "bundles";
/// What may not be deleted and is never served.
pub const STATE: &str = ".vellum/state";
/// The lock that a writer holds.
pub const LOCK: &str = ".vellum/state/lock";
/// The checkpoint that was last signed here.
pub const SIGNED: &str = ".vellum/state/signed";
/// The checkpoint that a mirror held last.
pub const HELD: &str = ".vellum/state/held";
/// The name of the archive whose first sync into a folder has begun; removed when the mirror holds a checkpoint.
pub const BEGUN: &str = ".vellum/state/begun";
/// Which bundles a mirror has read whole, and when.
pub const CHECKED: &str = ".vellum/state/checked";
/// The names of documents in whose place a mirror's keeper has a file of his own, one a line.
pub const OWN: &str = ".vellum/state/own";
/// The folder of checkpoints that contradict each other.
pub const EVIDENCE: &str = ".vellum/state/evidence";
/// Where a mirror keeps what it held alone of a history that gave way to another one.
pub const GAVE_WAY: &str = ".vellum/state/gave-way";
/// The folder of the log's tiles.
pub const TILES: &str = "tile";
/// The leaves that are being published.
pub const CLAIM: &str = ".vellum/state/claim";
/// The files that are being put in place and that no claim vouches for yet.
pub const INTENT: &str = ".vellum/state/intent";
/// Where bundles are made before they have a place.
pub const INCOMING: &str = ".vellum/incoming";
/// Where bundles wait for signatures, or for the publisher; never mirrored, and no part of any verdict.
pub const WAITING: &str = "incoming";
/// Where a mirror keeps what withdrawals replaced, each named for the second in which it was put aside, until its time is over.
pub const WITHDRAWN: &str = ".vellum/withdrawn";
/// The catalog, which may be deleted.
pub const CATALOG: &str = ".vellum/cache/catalog.sqlite";
/// The folder of stat caches, which may be deleted.
pub const SEEN: &str = ".vellum/cache/seen";

/// Returns the place where a checkpoint that contradicts another is kept.
pub fn evidence(checkpoint: &Checkpoint) -> String {
    format!("{EVIDENCE}/{}-{}", checkpoint.size, &checkpoint.root.to_string()[..16])
}

/// Returns the folder of what was held of a history that gave way, of which this was the checkpoint.
pub fn gave_way(checkpoint: &Checkpoint) -> String {
    format!("{GAVE_WAY}/{}-{}", checkpoint.size, &checkpoint.root.to_string()[..16])
}

/// Says whether a place is one where a publication puts files: bundles, statements, policies, and documents at the top.
pub fn is_published(place: &str) -> bool {
    match place.split_once('/') {
        Some((folder, _)) => [BUNDLES, withdrawal::FOLDER, policy::FOLDER].contains(&folder),
        None => is_document_name(place) || DOCUMENTS.iter().any(|(name, _)| *name == place),
    }
}

/// Returns the folder of a bundle.
pub fn bundle_folder(id: BundleId) -> String {
    let hex = id.to_string();
    format!("{BUNDLES}/{}/{hex}", &hex[..2])
}

/// Returns the place of a bundle's file, which carries the beginning of its digest.
pub fn bundle(id: BundleId, file: &Digest) -> String {
    format!("{}/{}.tar.zst", bundle_folder(id), &file.to_string()[..16])
}

/// Returns the place of a bundle that is not logged yet: its publisher has not taken it in, or it waits for signatures.
pub fn incoming_bundle(id: BundleId) -> String {
    format!("{WAITING}/{id}.tar.zst")
}

/// Returns the place of a statement.
pub fn statement(digest: &Digest) -> String {
    format!("{}/{digest}.toml", withdrawal::FOLDER)
}

/// Returns the place of a statement's signature.
pub fn statement_signature(digest: &Digest, key_id: &str) -> String {
    format!("{}.{key_id}.minisig", statement(digest))
}
