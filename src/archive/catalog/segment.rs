//! Words of scripts that write no spaces: each such character becomes a word of its own, and a query for several of them a phrase.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Says whether a character belongs to a script that puts no spaces between words.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF             // Thai, Lao
        | 0x1000..=0x109F           // Burmese
        | 0x1780..=0x17FF           // Khmer
        | 0x3005..=0x3007 | 0x3040..=0x30FF | 0x31F0..=0x31FF   // Japanese
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF   // Han
        | 0x20000..=0x3FFFF)
}

/// Begins the words that are not of any text: a character for private use, which [`segment`] leaves out.
pub(super) const MARK: char = '\u{F8FF}';

/// Appends a text with spaces around each character of such a script.
pub(super) fn segment(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        if is_unspaced(c) {
            out.push(' ');
            out.push(c);
            out.push(' ');
        } else {
            out.push(if c == MARK { ' ' } else { c });
        }
    }
}

/// Returns a character as the index folds it: without marks, in lower case.
pub(super) fn folded(c: char) -> impl Iterator<Item = char> {
    std::iter::once(c).nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase)
}
