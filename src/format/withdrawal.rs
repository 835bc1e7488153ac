//! The statement that withdraws articles. (FORMAT.md, "Withdrawal")
//!
//! ```text
//! format = "vellum-withdrawal/1"
//! archive = "example.org/library"
//! size = 412
//! ids = ["sha256:…"]
//! clear = ["library/essays/tides"]
//! reason = "at the author's request"
//!
//! [[bundle]]
//! old = "<id>"
//! new = "<id>"
//! removed = ["3 <digest of the id> <digest of the lines>"]
//! ```
//!
//! One form only. `new` is the bundle that holds the rest byte for byte; it is absent where nothing else was in the old one. `removed` opens
//! the leaves of the old bundle's article tree that the new one lacks, so that anybody can put them back and come to the old root.

use std::fmt;

use serde::Deserialize;

use crate::digest::Digest;
use crate::ids::{BundleId, Origin};
use crate::path::{EntryPath, MAX_ID_BYTES};

pub use super::was::RemovedLeaf;
use super::{tree, was};

/// The folder of statements in an archive.
pub const FOLDER: &str = "withdrawn";
/// The longest statement, in bytes.
pub const MAX_WITHDRAWAL_BYTES: u64 = 4 << 20;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 4096;
/// The most articles that one statement may name.
pub const MAX_WITHDRAWN_IDS: usize = 4096;
const FORMAT: &str = "vellum-withdrawal/1";

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The archive that the articles leave.
    pub archive: Origin,
    /// The size of the log that it was made on.
    pub size: u64,
    /// Digests of the articles' ids, ascending.
    pub ids: Vec<Digest>,
    /// Ids in the clear, as many of them as shall be known, ascending.
    pub clear: Vec<String>,
    /// Why; one line.
    pub reason: Option<String>,
    /// Each bundle that held one of them, and what takes its place.
    pub bundles: Vec<Replaced>,
}

/// A bundle that loses articles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The bundle.
    pub old: BundleId,
    /// The one that holds the rest, where anything is left.
    pub new: Option<BundleId>,
    /// The leaves of its article tree that go, ascending by position.
    pub removed: Vec<RemovedLeaf>,
}

/// Why bytes are no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed withdrawal: {0}")]
pub struct WithdrawalFault(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: String,
    archive: String,
    size: u64,
    ids: Vec<String>,
    #[serde(default)]
    clear: Vec<String>,
    reason: Option<String>,
    #[serde(default)]
    bundle: Vec<RawBundle>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBundle {
    old: String,
    new: Option<String>,
    removed: Vec<String>,
}

impl Withdrawal {
    /// Reads a statement.
    ///
    /// # Errors
    /// Names what is not as the format has it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WithdrawalFault> {
        let fault = |what: &str| WithdrawalFault(what.to_owned());
        if bytes.len() as u64 > MAX_WITHDRAWAL_BYTES {
            return Err(fault("longer than a statement may be"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fault("not UTF-8"))?;
        let raw: Raw = toml::from_str(text).map_err(|error| WithdrawalFault(error.message().to_owned()))?;
        if raw.format != FORMAT {
            return Err(fault("of another format"));
        }
        let bundle = |text: &str| text.parse::<BundleId>().map_err(|error| WithdrawalFault(error.to_string()));
        let digest = |text: &str| Digest::from_labelled(text).map_err(|error| WithdrawalFault(error.to_string()));
        let replaced = |raw: &RawBundle| {
            let removed = raw.removed.iter().map(|text| RemovedLeaf::parse(text)).collect::<Option<Vec<_>>>();
            let removed = removed.filter(|all| !all.is_empty() && all.is_sorted_by(|a, b| a.position < b.position));
            Ok(Replaced {
                old: bundle(&raw.old)?,
                new: raw.new.as_deref().map(bundle).transpose()?,
                removed: removed.ok_or_else(|| fault("the removed leaves of a bundle"))?,
            })
        };
        let statement = Self {
            archive: raw.archive.parse().map_err(|_| fault("archive"))?,
            size: raw.size,
            ids: raw.ids.iter().map(|text| digest(text)).collect::<Result<_, _>>()?,
            clear: raw.clear,
            reason: raw.reason,
            bundles: raw.bundle.iter().map(replaced).collect::<Result<_, WithdrawalFault>>()?,
        };
        statement.check().map_err(fault)?;
        if statement.to_string() == text { Ok(statement) } else { Err(fault("not in its one form")) }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.ids.is_empty() || self.ids.len() > MAX_WITHDRAWN_IDS || !self.ids.is_sorted_by(|a, b| a < b) {
            return Err("expected ids, ascending, 4,096 at most");
        }
        let named = |id: &String| self.ids.binary_search(&Digest::of(id.as_bytes())).is_ok();
        let good = |id: &String| id.len() <= MAX_ID_BYTES && EntryPath::parse(id).is_ok() && named(id);
        if !self.clear.iter().all(good) || !self.clear.is_sorted_by(|a, b| a < b) {
            return Err("an id in the clear breaks the rules of ids, or is none of those that are withdrawn");
        }
        if self.reason.as_deref().is_some_and(|reason| !is_reason(reason)) {
            return Err("the reason is no line of text");
        }
        if !self.bundles.is_sorted_by(|a, b| a.old < b.old) {
            return Err("expected bundles ascending by their old ids");
        }
        Ok(())
    }

    /// W1: says whether it names every article that was taken out of a bundle.
    pub fn names_removed(&self, replaced: &Replaced) -> bool {
        replaced.removed.iter().all(|leaf| self.ids.binary_search(&leaf.id).is_ok())
    }

    /// Returns the clear id of a digest, where the statement tells it.
    pub fn clear_id(&self, id: &Digest) -> Option<&str> {
        self.clear.iter().find(|clear| Digest::of(clear.as_bytes()) == *id).map(String::as_str)
    }
}

impl Replaced {
    /// Puts the removed leaves back between those that are left, each leaf's hash in its order, and returns the root and the number of leaves;
    /// `None` where a position lies beyond the end.
    pub fn put_back(&self, left: &[Digest]) -> Option<(Digest, u64)> {
        let all = was::put_back(&self.removed, left)?;
        Some((tree::root(&all), all.len() as u64))
    }
}

/// Says whether a text may be a reason: one line, not empty, no control characters.
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_REASON_BYTES && !text.contains(char::is_control)
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let list = |texts: Vec<String>| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
        writeln!(f, "format = \"{FORMAT}\"\narchive = \"{}\"\nsize = {}", self.archive, self.size)?;
        writeln!(f, "ids = [{}]", list(self.ids.iter().map(Digest::labelled).collect()))?;
        if !self.clear.is_empty() {
            writeln!(f, "clear = [{}]", list(self.clear.clone()))?;
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "reason = {}", quoted(reason))?;
        }
        for Replaced { old, new, removed } in &self.bundles {
            writeln!(f, "\n[[bundle]]\nold = \"{old}\"")?;
            if let Some(new) = new {
                writeln!(f, "new = \"{new}\"")?;
            }
            writeln!(f, "removed = [{}]", list(removed.iter().map(RemovedLeaf::to_string).collect()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(position: u64, id: &str) -> RemovedLeaf {
        RemovedLeaf { position, id: Digest::of(id.as_bytes()), lines: Digest::of(b"lines") }
    }

    #[test]
    fn a_statement_has_one_form() {
        let id = |n: u8| BundleId(Digest::from_bytes([n; 32]));
        let mut ids = vec![Digest::of("essays/\"tides\"".as_bytes()), Digest::of(b"b")];
        ids.sort();
        let statement = Withdrawal {
            archive: "example.org/library".parse().unwrap(),
            size: 412,
            ids,
            clear: vec!["essays/\"tides\"".into()],
            reason: Some("a \\ slip, \u{e9}".into()),
            bundles: vec![
                Replaced { old: id(1), new: Some(id(2)), removed: vec![leaf(3, "b"), leaf(5, "essays/\"tides\"")] },
                Replaced { old: id(3), new: None, removed: vec![leaf(0, "b")] },
            ],
        };
        let text = statement.to_string();
        assert_eq!(Withdrawal::decode(text.as_bytes()), Ok(statement.clone()));
        for bad in [
            text.replace("/1", "/2"),
            text.clone() + "\n",
            text.replace("reason", "season"),
            text.replace("slip", "\\u0007"),
            text.replace("removed = [\"3", "removed = [\"6"),
            text.replace("size = 412", "size = 0412"),
        ] {
            assert!(Withdrawal::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        let more = Withdrawal { ids: vec![Digest::of(b"b")], clear: Vec::new(), ..statement };
        assert_eq!(Withdrawal::decode(more.to_string().as_bytes()), Ok(more.clone()));
        assert_eq!(more.bundles.iter().map(|replaced| more.names_removed(replaced)).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn leaves_that_are_put_back_lead_to_the_old_root() {
        let ids: Vec<String> = (0..9).map(|n| format!("a{n}")).collect();
        let of = |n: usize| tree::leaf_of(&leaf(0, &ids[n]).id, &leaf(0, &ids[n]).lines);
        let all: Vec<Digest> = (0..9).map(of).collect();
        for gone in [vec![0], vec![8], vec![0, 1, 2], vec![3, 5, 8], (0..9).collect()] {
            let removed = gone.iter().map(|&n| leaf(n as u64, &ids[n])).collect();
            let replaced = Replaced { old: BundleId(Digest::of(b"")), new: None, removed };
            let left: Vec<Digest> = (0..9).filter(|n| !gone.contains(n)).map(of).collect();
            assert_eq!(replaced.put_back(&left), Some((tree::root(&all), 9)), "{gone:?}");
            let mut other = replaced.clone();
            other.removed[0].lines = Digest::of(b"other");
            assert_ne!(other.put_back(&left), Some((tree::root(&all), 9)));
        }
        let beyond = Replaced { old: BundleId(Digest::of(b"")), new: None, removed: vec![leaf(9, "x")] };
        assert_eq!(beyond.put_back(&all[..8]), None);
    }
}
