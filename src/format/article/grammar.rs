//! The grammars of single values: dates, language tags, licences, addresses.

use jiff::Timestamp;
use jiff::civil;

/// `2026`, `2026-11`, `2026-11-24`, or RFC 3339 with an offset.
pub(super) fn is_date(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match text.len() {
        4 => digits(text),
        7 => text.is_char_boundary(4) && digits(&text[..4]) && is_day(&format!("{text}-01")),
        10 => is_day(text),
        20..=40 => {
            let shape = text.as_bytes()[4] == b'-' && matches!(text.as_bytes()[10], b'T' | b't' | b' ');
            shape
                && !text.contains('[')
                && text.is_char_boundary(10)
                && is_day(&text[..10])
                && text.parse::<Timestamp>().is_ok()
        }
        _ => false,
    }
}

fn is_day(text: &str) -> bool {
    let shape = text.bytes().enumerate().all(|(n, b)| if matches!(n, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<civil::Date>().is_ok()
}

/// A well-formed tag of BCP 47 (RFC 5646 §2.1), registered or not.
pub(super) fn is_language(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    if parts.iter().any(|p| p.is_empty() || p.len() > 8 || !p.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return false;
    }
    let alpha = |p: &str| p.bytes().all(|b| b.is_ascii_alphabetic());
    let digit = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    if parts[0].eq_ignore_ascii_case("x") {
        return parts.len() > 1;
    }
    if parts[0].eq_ignore_ascii_case("i") {
        return parts.len() == 2 && (3..=8).contains(&parts[1].len());
    }
    if !alpha(parts[0]) || !(2..=8).contains(&parts[0].len()) {
        return false;
    }
    let mut rest = parts[1..].iter().copied().peekable();
    if parts[0].len() <= 3 {
        for _ in 0..3 {
            rest.next_if(|p| p.len() == 3 && alpha(p));
        }
    }
    rest.next_if(|p| p.len() == 4 && alpha(p));
    rest.next_if(|p| (p.len() == 2 && alpha(p)) || (p.len() == 3 && digit(p)));
    while rest.next_if(|p| p.len() >= 5 || (p.len() == 4 && p.as_bytes()[0].is_ascii_digit())).is_some() {}
    let mut seen = Vec::new();
    while let Some(singleton) = rest.next() {
        let private = singleton.eq_ignore_ascii_case("x");
        if singleton.len() != 1 || seen.contains(&singleton.to_ascii_lowercase()) {
            return false;
        }
        seen.push(singleton.to_ascii_lowercase());
        let mut count = 0;
        while rest.next_if(|p| private || p.len() >= 2).is_some() {
            count += 1;
        }
        if count == 0 {
            return false;
        }
    }
    true
}

/// An absolute URI: a scheme, a colon, and something without spaces after it.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\'))
}

/// An SPDX licence expression by its grammar (SPDX 2.3, annex D), or a URL.
pub(super) fn is_license(text: &str) -> bool {
    if text.contains("://") {
        return is_uri(text);
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    expression(&mut words, 0) && words.peek().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn expression(words: &mut Words<'_>, depth: usize) -> bool {
    const MAX_DEPTH: usize = 16;
    loop {
        let good = match words.next() {
            Some("(") if depth < MAX_DEPTH => expression(words, depth + 1) && words.next() == Some(")"),
            Some(id) => {
                is_license_id(id) && (words.next_if_eq(&"WITH").is_none() || words.next().is_some_and(is_license_id))
            }
            None => false,
        };
        if !good {
            return false;
        }
        if words.next_if(|word| matches!(*word, "AND" | "OR")).is_none() {
            return true;
        }
    }
}

fn is_license_id(word: &str) -> bool {
    let id = word.strip_suffix('+').unwrap_or(word);
    !id.is_empty()
        && !matches!(id, "AND" | "OR" | "WITH")
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_3339_or_shorter() {
        for good in ["2026", "2026-11", "2026-11-24", "2026-11-24T03:37:27Z", "2026-11-24T03:37:27.5+02:00"] {
            assert!(is_date(good), "{good}");
        }
        for bad in
            ["", "26", "2026-13", "2026-02-30", "2026-11-24T03:37:27", "24.11.2026", "2026-1-1", "20261124", "é026-11"]
        {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn language_tags_are_well_formed_by_rfc_5646() {
        for good in [
            "en",
            "de-CH-1996",
            "zh-Hant-TW",
            "sr-Latn",
            "es-419",
            "x-klingon",
            "de-a-value-x-private",
            "zh-cmn-Hans-CN",
            "i-klingon",
        ] {
            assert!(is_language(good), "{good}");
        }
        for bad in ["", "e", "en_US", "en-", "123", "en-a", "en-a-b", "englishlanguage", "de-x", "a-DE"] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    #[test]
    fn licences_are_spdx_expressions_or_urls() {
        for good in [
            "MIT",
            "CC-BY-SA-4.0",
            "MIT OR Apache-2.0",
            "(GPL-2.0+ WITH Classpath-exception-2.0) AND LicenseRef-x",
            "https://x.example/l",
        ] {
            assert!(is_license(good), "{good}");
        }
        for bad in ["", "MIT OR", "all rights reserved", "(MIT", "MIT)", "OR"] {
            assert!(!is_license(bad), "{bad}");
        }
    }
}
