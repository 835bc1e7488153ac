//! Paths inside a bundle, and the one gate against traversal.
//!
//! An [`EntryPath`] is relative, UTF-8, parted by `/`, and free of everything that could lead elsewhere or deceive a
//! person: empty, `.` and `..` parts, control characters, line separators, backslashes, drive prefixes, white space at
//! either end of a part. Parsing is the only way in. (FORMAT.md, "Paths")
//!
//! A packer asks more than a reader: [`nfc`], [`unassigned`], [`fold`] and [`refused_by_windows`] are for pack alone; a reader never
//! calls a signed path damage for its normalisation form.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Longest part of a path, in bytes of UTF-8.
pub const MAX_PART_BYTES: usize = 255;
/// Longest path below `data/`, in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 1024;
/// Longest article id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 512;

/// A path that obeys the grammar; ordered bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(Box<str>);

/// The rule of the path grammar that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_PATH_BYTES`].
    #[error("is {0} bytes long, at most {MAX_PATH_BYTES} are allowed")]
    TooLong(usize),
    /// A part of more than [`MAX_PART_BYTES`].
    #[error("has a part of {0} bytes, at most {MAX_PART_BYTES} are allowed")]
    PartTooLong(usize),
    /// `/` at the start.
    #[error("is absolute")]
    Absolute,
    /// `C:` at the start.
    #[error("starts with a drive letter")]
    Drive,
    /// `//`, or `/` at the end.
    #[error("has an empty part")]
    EmptyPart,
    /// `.` or `..`.
    #[error("has a `.` or `..` part")]
    DotPart,
    /// A backslash, a control character, or U+2028 or U+2029 (U+0085 is a control character).
    #[error("holds the forbidden character U+{:04X}", u32::from(*.0))]
    Forbidden(char),
    /// White space at the start or end of a part.
    #[error("has white space at an end of a part")]
    OuterSpace,
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
}

impl EntryPath {
    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// Returns the first rule that `text` breaks.
    pub fn fault(text: &str) -> Option<PathFault> {
        check(text).err()
    }

    /// Checks bytes that claim to be a path.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, PathFault> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| PathFault::NotUtf8)?)
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns this path with `part` (one or several parts) below it.
    ///
    /// # Errors
    /// The whole must obey the grammar as well.
    pub fn join(&self, part: &str) -> Result<Self, PathFault> {
        Self::parse(&format!("{}/{part}", self.0))
    }

    /// Returns the last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the path without its last part, if it has more than one.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl AsRef<str> for EntryPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for EntryPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), PathFault> {
    let bytes = text.as_bytes();
    match bytes {
        [] => return Err(PathFault::Empty),
        [b'/', ..] => return Err(PathFault::Absolute),
        [letter, b':', ..] if letter.is_ascii_alphabetic() => return Err(PathFault::Drive),
        _ => {}
    }
    if bytes.len() > MAX_PATH_BYTES {
        return Err(PathFault::TooLong(bytes.len()));
    }
    if is_plain(bytes) {
        return Ok(());
    }
    for part in text.split('/') {
        match part.as_bytes() {
            [] => return Err(PathFault::EmptyPart),
            b"." | b".." => return Err(PathFault::DotPart),
            part if part.len() > MAX_PART_BYTES => return Err(PathFault::PartTooLong(part.len())),
            _ => {}
        }
        if let Some(c) = part.chars().find(|&c| forbidden(c)) {
            return Err(PathFault::Forbidden(c));
        }
        if part.starts_with(char::is_whitespace) || part.ends_with(char::is_whitespace) {
            return Err(PathFault::OuterSpace);
        }
    }
    Ok(())
}

/// Says of most paths that they keep every rule for parts: letters, digits and signs of ASCII, no part empty, too long, or of dots alone.
fn is_plain(bytes: &[u8]) -> bool {
    let (mut len, mut only_dots) = (0, true);
    for &b in bytes {
        if b == b'/' {
            if len == 0 || len > MAX_PART_BYTES || only_dots {
                return false;
            }
            (len, only_dots) = (0, true);
        } else if b.is_ascii_graphic() && b != b'\\' {
            len += 1;
            only_dots &= b == b'.';
        } else {
            return false;
        }
    }
    len > 0 && len <= MAX_PART_BYTES && !only_dots
}

fn forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\\' | '\u{2028}' | '\u{2029}')
}

/// Returns `text` in Unicode 16's normalisation form C; borrowed where it is so already.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    let normal: String = text.nfc().collect();
    if normal == text { Cow::Borrowed(text) } else { Cow::Owned(normal) }
}

/// Returns the first code point that Unicode 16 leaves unassigned; its normal form could change one day.
pub fn unassigned(text: &str) -> Option<char> {
    if text.is_ascii() {
        return None;
    }
    text.chars().find(|c| c.general_category() == GeneralCategory::Unassigned)
}

/// Returns `text` folded, so that names differing only by case become equal.
pub fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { caseless::default_case_fold_str(text) }
}

/// Says whether Windows would refuse a file of this name (one part of a path).
pub fn refused_by_windows(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end();
    let device =
        ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"].iter().any(|name| stem.eq_ignore_ascii_case(name))
            || (stem.chars().count() == 4
                && stem.get(..3).is_some_and(|s| s.eq_ignore_ascii_case("com") || s.eq_ignore_ascii_case("lpt"))
                && stem.ends_with(|c| matches!(c, '1'..='9' | '¹' | '²' | '³')));
    device || part.ends_with(['.', ' ']) || part.contains(['<', '>', ':', '"', '|', '?', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_people_write() {
        for good in ["a", "a/b.html", "été/日本語.md", "a b/c", "...", "a..b", ".hidden", "100%/x", "ab:c"] {
            assert_eq!(EntryPath::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_every_way_out_by_its_rule() {
        use PathFault as F;
        for (bad, fault) in [
            ("", F::Empty),
            ("/etc/passwd", F::Absolute),
            ("c:/x", F::Drive),
            ("a//b", F::EmptyPart),
            ("a/", F::EmptyPart),
            ("../a", F::DotPart),
            ("a/../b", F::DotPart),
            ("a/./b", F::DotPart),
            ("a\\b", F::Forbidden('\\')),
            ("a\nb", F::Forbidden('\n')),
            ("a\0b", F::Forbidden('\0')),
            ("a\u{85}b", F::Forbidden('\u{85}')),
            ("a\u{2028}b", F::Forbidden('\u{2028}')),
            (" a", F::OuterSpace),
            ("a/b\u{a0}", F::OuterSpace),
        ] {
            assert_eq!(EntryPath::parse(bad), Err(fault), "{bad:?}");
        }
        assert_eq!(EntryPath::parse(&"x".repeat(256)), Err(F::PartTooLong(256)));
        assert_eq!(EntryPath::parse(&"x/".repeat(600)), Err(F::TooLong(1200)));
        assert_eq!(EntryPath::decode(b"a\xff"), Err(F::NotUtf8));
    }

    #[test]
    fn the_short_way_takes_only_what_the_rules_take() {
        for text in
            ["a", "a/b.html", "...", "a/..", "./a", "a//b", "a/", "/a", "a\\b", "a b", "a/.b", "été", "a/...b/c"]
        {
            assert!(!is_plain(text.as_bytes()) || EntryPath::parse(text).is_ok(), "{text:?}");
        }
        assert!(is_plain(b"essays/tides/tides.md") && !is_plain(b"a/..") && !is_plain("x".repeat(256).as_bytes()));
    }

    #[test]
    fn normalises_to_nfc_by_unicode_16() {
        assert_eq!(nfc("e\u{301}"), "é");
        assert!(matches!(nfc("é"), Cow::Borrowed(_)));
        assert_eq!(unicode_normalization::UNICODE_VERSION, (16, 0, 0));
        assert_eq!(unicode_properties::UNICODE_VERSION, (16, 0, 0));
        assert_eq!(unassigned("a\u{378}"), Some('\u{378}'));
        assert_eq!(unassigned("日本語"), None);
    }

    #[test]
    fn knows_the_names_that_windows_refuses() {
        for bad in ["con", "NUL.txt", "com1", "lpt9.md", "a?", "a.", "x:y", "CONIN$", "conout$.txt", "Clock$"] {
            assert!(refused_by_windows(bad), "{bad}");
        }
        for good in ["console", "com", "com10", "a.b", "日本", "conin", "$clock$"] {
            assert!(!refused_by_windows(good), "{good}");
        }
        assert_eq!(fold("STRASSE"), fold("straße"));
    }
}
