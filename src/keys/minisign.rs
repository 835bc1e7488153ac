//! What minisign's three files share: an untrusted comment line, and fixed-length binary in one base64 line.
//!
//! ```text
//! untrusted comment: minisign public key E7620F1842B4E81F
//! RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
//! ```
//! Base64 is RFC 4648 §4 with padding and zero trailing bits; any other spelling of the same bytes is refused.

use base64ct::{Base64, Encoding};

/// What every first line begins with.
pub(super) const COMMENT_PREFIX: &str = "untrusted comment: ";
/// Longest first line, in bytes without its LF: the most that fits minisign's buffer of 1024 with LF and NUL.
pub(super) const MAX_COMMENT_LINE_BYTES: usize = 1022;
/// The one signature algorithm of keys, and of legacy signatures.
pub(super) const ED25519: [u8; 2] = *b"Ed";

/// Returns the base64 line of a two-line file, or the rule that is broken. CR LF and a missing last LF are let through:
/// people paste these files.
pub(super) fn body_line(text: &str) -> Result<&str, &'static str> {
    let mut lines = text.lines();
    let (Some(comment), Some(body), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err("expected two lines");
    };
    if !comment.starts_with(COMMENT_PREFIX) {
        return Err("expected `untrusted comment: ` at the start of line 1");
    }
    if comment.len() > MAX_COMMENT_LINE_BYTES {
        return Err("expected at most 1022 bytes in line 1");
    }
    Ok(body)
}

/// Fills `out` from `text`; nothing but exactly that many bytes in strict base64 will do.
pub(super) fn decode_exact(text: &str, out: &mut [u8]) -> Option<()> {
    let wanted = out.len();
    (Base64::decode(text, out).ok()?.len() == wanted).then_some(())
}

/// Returns `bytes` in base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Says whether a comment may stand in a file: no control characters (C0, DEL, C1) but tab.
pub(super) fn printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}
