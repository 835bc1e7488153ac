//! The statement that withdraws an article. (FORMAT.md, "Withdrawal")
//!
//! ```text
//! format = "vellum-withdrawal/1"
//! archive = "example.org/library"
//! article = "library/essays/tides"
//! reason = "at the author's request"
//! [[bundle]]
//! old = "<id>"
//! new = "<id>"
//! ```
//!
//! One form only. `new` is the bundle that holds the rest byte for byte; it is absent where nothing else was in the old one.

use std::fmt;

use serde::Deserialize;

use crate::path::EntryPath;

use crate::ids::{BundleId, Origin};

/// The folder of statements in an archive.
pub const FOLDER: &str = "withdrawn";
/// The longest statement, in bytes.
pub const MAX_WITHDRAWAL_BYTES: u64 = 1 << 20;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 4096;
const FORMAT: &str = "vellum-withdrawal/1";

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The archive that the article leaves.
    pub archive: Origin,
    /// The article's id, in the clear.
    pub article: String,
    /// Why; one line.
    pub reason: String,
    /// Each bundle that held a revision of it, and the one that holds the rest.
    pub bundles: Vec<(BundleId, Option<BundleId>)>,
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
    article: String,
    reason: String,
    #[serde(default)]
    bundle: Vec<RawBundle>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBundle {
    old: String,
    new: Option<String>,
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
        let id = |text: &str| text.parse::<BundleId>().map_err(|error| WithdrawalFault(error.to_string()));
        let bundles = raw
            .bundle
            .iter()
            .map(|bundle| Ok((id(&bundle.old)?, bundle.new.as_deref().map(id).transpose()?)))
            .collect::<Result<_, _>>()?;
        let archive = raw.archive.parse().map_err(|_| fault("archive"))?;
        let statement = Self { archive, article: raw.article, reason: raw.reason, bundles };
        if !is_reason(&statement.reason) || EntryPath::parse(&statement.article).is_err() {
            return Err(fault("the reason or the article's id breaks its grammar"));
        }
        if statement.to_string() == text { Ok(statement) } else { Err(fault("not in its one form")) }
    }
}

/// Says whether a text may be a reason: one line, not empty, no control characters.
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_REASON_BYTES && !text.contains(char::is_control)
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        writeln!(f, "format = \"{FORMAT}\"\narchive = \"{}\"\narticle = {}", self.archive, quoted(&self.article))?;
        writeln!(f, "reason = {}", quoted(&self.reason))?;
        for (old, new) in &self.bundles {
            writeln!(f, "[[bundle]]\nold = \"{old}\"")?;
            if let Some(new) = new {
                writeln!(f, "new = \"{new}\"")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_statement_has_one_form() {
        let id = |n: u8| BundleId(Digest::from_bytes([n; 32]));
        let statement = Withdrawal {
            archive: "example.org/library".parse().unwrap(),
            article: "essays/\"tides\"".into(),
            reason: "a \\ slip, \u{e9}".into(),
            bundles: vec![(id(1), Some(id(2))), (id(3), None)],
        };
        let text = statement.to_string();
        assert_eq!(Withdrawal::decode(text.as_bytes()), Ok(statement));
        for bad in [
            text.replace("/1", "/2"),
            text.clone() + "\n",
            text.replace("reason", "season"),
            text.replace("slip", "\\u0007"),
        ] {
            assert!(Withdrawal::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
