//! Which articles are listed or searched: their facets are words of the full text, so that a filter costs no more than a word.
//!
//! A facet is a word that no text and no query holds: [`MARK`], its kind, and what it says, hashed. Dates are compared exactly beside that.

use std::ops::RangeInclusive;

use crate::digest::Digest;

use super::segment::{MARK, segment};

/// Digits of a facet's hash: 64 bits, as nothing depends on there being no collision but a list's being exact.
const HASH_DIGITS: usize = 16;
/// The most years that are asked for one by one; a longer range is compared by date alone.
const MAX_YEARS: i32 = 300;
/// The most months that are asked for one by one.
const MAX_MONTHS: i32 = 36;

/// The filters that the full text cannot answer, as a condition on `r`.
pub(super) const DATES: &str = "(?1 IS NULL OR r.published >= ?1) AND (?2 IS NULL OR (r.published <> '' AND substr(r.published, 1, length(?2)) <= ?2))";

/// Which articles are listed or searched.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// An author's name, or some words of it that follow each other, in any case and without regard to marks.
    pub author: Option<String>,
    /// Published then or later: `2026`, `2026-11`, `2026-11-24`.
    pub from: Option<String>,
    /// Published then or before, in the same forms, the whole of it included.
    pub to: Option<String>,
    /// A language; `en` takes `en-GB` too.
    pub language: Option<String>,
    /// A tag, in any case.
    pub tag: Option<String>,
    /// A folder: articles whose ids lie below it.
    pub below: Option<String>,
}

impl Filter {
    /// Says whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.author, &self.from, &self.to, &self.language, &self.tag, &self.below].iter().all(|part| part.is_none())
    }

    pub(super) fn has_dates(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Returns the folder without the slash at its end.
    pub(super) fn folder(&self) -> Option<&str> {
        self.below.as_deref().map(|folder| folder.trim_end_matches('/')).filter(|folder| !folder.is_empty())
    }

    /// Writes the filter as FTS5 has it, for articles published in the given years; `None` where the full text cannot narrow it.
    pub(super) fn expression(&self, years: Option<(i32, i32)>) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(author) = &self.author {
            let mut words = String::new();
            segment(&author.replace(['"', '\0'], " "), &mut words);
            if words.contains(char::is_alphanumeric) {
                parts.push(format!("{{authors}} : \"{}\"", words.trim()));
            }
        }
        let lowercase = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        parts.extend(lowercase(&self.language).map(|language| facet(Kind::Language, &language)));
        parts.extend(lowercase(&self.tag).map(|tag| facet(Kind::Tag, &tag)));
        parts.extend(self.folder().map(|folder| facet(Kind::Folder, folder)));
        if let Some(dates) = years.and_then(|(first, last)| self.dates(first, last)) {
            parts.push(format!("({})", dates.join(" OR ")));
        }
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// Returns the facets of the months or years that the dates span.
    fn dates(&self, first: i32, last: i32) -> Option<Vec<String>> {
        if !self.has_dates() {
            return None;
        }
        let year = |date: &Option<String>| date.as_deref().and_then(|date| date.get(..4)?.parse::<i32>().ok());
        let month = |date: &Option<String>| date.as_deref().and_then(|date| date.get(5..7)?.parse::<i32>().ok());
        let (from, to) = (year(&self.from).unwrap_or(first).max(first), year(&self.to).unwrap_or(last).min(last));
        let month_from = if Some(from) == year(&self.from) { month(&self.from).unwrap_or(1) } else { 1 };
        let month_to = if Some(to) == year(&self.to) { month(&self.to).unwrap_or(12) } else { 12 };
        let months: RangeInclusive<i32> = from * 12 + month_from - 1..=to * 12 + month_to - 1;
        let count = months.end() - months.start() + 1;
        if count <= 0 {
            return Some(vec![facet(Kind::Date, "never")]);
        }
        let by_year = |years: RangeInclusive<i32>| years.map(|year| facet(Kind::Date, &format!("{year:04}")));
        match count {
            // What names a year alone is of no month, but within a range that holds the year.
            1..=MAX_MONTHS => Some(
                months
                    .map(|month| {
                        facet(Kind::Date, &format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1))
                    })
                    .chain((from..=to).map(|year| facet(Kind::Date, &format!("{year:04}-"))))
                    .collect(),
            ),
            _ if to - from < MAX_YEARS => Some(by_year(from..=to).collect()),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Date,
    Folder,
    Language,
    Tag,
}

fn facet(kind: Kind, value: &str) -> String {
    let kind = match kind {
        Kind::Date => 'd',
        Kind::Folder => 'f',
        Kind::Language => 'l',
        Kind::Tag => 't',
    };
    format!("{MARK}{kind}{}", &Digest::of(value.as_bytes()).to_string()[..HASH_DIGITS])
}

/// Returns the facets of an article, as words.
pub(super) fn facets(id: &str, published: &str, language: &str, tags: &[String]) -> String {
    let mut facets = Vec::new();
    facets.extend(id.match_indices('/').map(|(end, _)| facet(Kind::Folder, &id[..end])));
    if let Some(year) = published.get(..4) {
        facets.push(facet(Kind::Date, year));
        // A date of a year alone has a facet of its own beside that of the year.
        facets.push(facet(Kind::Date, published.get(..7).unwrap_or(&format!("{year}-"))));
    }
    let language = language.to_lowercase();
    facets.extend(language.match_indices('-').map(|(end, _)| facet(Kind::Language, &language[..end])));
    if !language.is_empty() {
        facets.push(facet(Kind::Language, &language));
    }
    facets.extend(tags.iter().map(|tag| facet(Kind::Tag, &tag.to_lowercase())));
    facets.join(" ")
}
