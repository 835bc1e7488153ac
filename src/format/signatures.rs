//! The signature files beside a manifest: their names, how many there may be, and how long. (FORMAT.md, "Signatures")

use super::manifest;

/// The most signatures a manifest carries.
pub const MAX_SIGNATURES: usize = 32;
/// The longest signature file, in bytes: minisign's longest lines.
pub const MAX_SIGNATURE_BYTES: u64 = 9_404;

const SIGNATURE_END: &str = ".minisig";

/// A signature file as it stands in the bundle; what it is worth is not this module's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFile {
    /// The key's id, as the file's name has it: 16 upper-case hex digits.
    pub key_id: String,
    /// The `.minisig` file's bytes.
    pub bytes: Vec<u8>,
}

impl SignatureFile {
    /// Returns the file's name.
    pub fn name(&self) -> String {
        format!("{}.{}{SIGNATURE_END}", manifest::NAME, self.key_id)
    }
}

/// Returns the key id in the name of a signature file; `None` where it is no such name.
pub fn key_id_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix(manifest::NAME)?.strip_prefix('.')?.strip_suffix(SIGNATURE_END)?;
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
    (id.len() == 16 && id.bytes().all(hex)).then_some(id)
}
