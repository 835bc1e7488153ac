//! Searching: words, "phrases", prefix*, -without; ranked, with snippets.
//!
//! Every query is answered: what is no operator is a word. The newest [`MAX_CANDIDATES`] articles that fit are ranked, so that a word which
//! every article holds costs no more than a rare one.

use rusqlite::{OptionalExtension, params};

use crate::digest::Digest;

use super::filter::{DATES, Filter};
use super::segment::{folded, is_unspaced};
use super::{Catalog, Error, Listed, Number, listed};

/// The articles that are ranked, the newest that fit.
const MAX_CANDIDATES: usize = 2_000;
/// The longest query, in bytes; the rest is not read.
const MAX_QUERY_BYTES: usize = 1024;
/// What a snippet shows, in characters.
const SNIPPET_CHARS: usize = 160;
/// The longest text that a snippet is cut from, in bytes, as a bound on what a damaged catalog may claim.
const MAX_TEXT_BYTES: usize = 2 << 20;

pub(super) const LISTED: &str = "r.id, r.title, r.authors, r.published, r.language, r.bytes, r.files, r.number";

/// A piece of a snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text.
    pub text: String,
    /// Whether it is what was searched for.
    pub matched: bool,
}

/// An article that fits a query.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The article.
    pub article: Listed,
    /// How well it fits; more is better.
    pub score: f64,
    /// A piece of its text around what was found.
    pub snippet: Vec<Span>,
}

/// A part of a query.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    /// As it was typed, without operators.
    text: String,
    prefix: bool,
    without: bool,
}

impl Catalog {
    /// Returns the articles that fit `query` and pass `filter`, the best first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails; a query never does.
    pub fn search(&self, query: &str, filter: &Filter, limit: usize) -> Result<Vec<Hit>, Error> {
        let terms = terms(query);
        let Some(mut expression) = expression(&terms) else { return Ok(Vec::new()) };
        if let Some(facets) = filter.expression(self.years(filter)?) {
            expression = format!("({expression}) AND {facets}");
        }
        let sql = format!(
            "SELECT {LISTED}, r.tags, r.summary FROM words w CROSS JOIN revision r ON r.number = w.rowid \
             WHERE words MATCH ?3 AND {DATES} ORDER BY w.rowid DESC LIMIT {MAX_CANDIDATES}"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let wanted: Vec<Vec<char>> = terms.iter().filter(|term| !term.without).map(|term| fold(&term.text)).collect();
        let mut hits = Vec::new();
        let mut rows = statement.query(params![filter.from, filter.to, expression])?;
        while let Some(row) = rows.next()? {
            let article = listed(row)?;
            let (tags, summary): (String, String) = (row.get(8)?, row.get(9)?);
            let score =
                score(&wanted, [(&article.title, 10.0), (&article.authors, 6.0), (&tags, 6.0), (&summary, 3.0)]);
            hits.push(Hit { article, score, snippet: vec![Span { text: summary, matched: false }] });
        }
        // A stable sort: among equals the newer stays first.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(limit.max(1) * 8);
        for hit in &mut hits {
            let body = self.body(hit.article.number)?;
            let folded = Folded::new(&body);
            let found = matches(&folded, &wanted);
            // Longer texts hold more of everything.
            let weight = 1.0 / (1.0 + body.len() as f64 / 8192.0).ln_1p();
            hit.score +=
                weight * found.iter().map(|(_, _, n)| *n).collect::<std::collections::BTreeSet<_>>().len() as f64;
            hit.score += weight * (found.len() as f64).ln_1p();
            let summary = std::mem::take(&mut hit.snippet);
            hit.snippet = snippet(&folded, &found);
            if found.is_empty() && summary.iter().any(|span| !span.text.is_empty()) {
                let text = Folded::new(&summary[0].text);
                hit.snippet = snippet(&text, &matches(&text, &wanted));
            }
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(limit);
        Ok(hits)
    }

    /// Returns the first and last year in which anything was published, where a filter asks for dates.
    pub(super) fn years(&self, filter: &Filter) -> Result<Option<(i32, i32)>, Error> {
        if !filter.has_dates() {
            return Ok(None);
        }
        let end = |order: &str| -> Result<Option<i32>, Error> {
            let sql = format!(
                "SELECT published FROM revision WHERE current = 1 AND published <> '' ORDER BY published {order} LIMIT 1"
            );
            let date: Option<String> = self.db.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?;
            Ok(date.and_then(|date| date.get(..4)?.parse().ok()))
        };
        Ok(end("ASC")?.zip(end("DESC")?))
    }

    fn body(&self, number: Number) -> Result<String, Error> {
        let mut statement = self.db.prepare_cached("SELECT text FROM body WHERE number = ?")?;
        let mut rows = statement.query([number.row()])?;
        let Some(row) = rows.next()? else { return Ok(String::new()) };
        let packed: Vec<u8> = row.get(0)?;
        Ok(String::from_utf8_lossy(&zstd::bulk::decompress(&packed, MAX_TEXT_BYTES)?).into_owned())
    }

    /// Returns a digest of everything in the catalog, for comparing two of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn fingerprint(&self) -> Result<Digest, Error> {
        let mut out = Vec::new();
        self.dump(&mut out)?;
        Ok(Digest::of(&out))
    }
}

/// Reads a query.
fn terms(query: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut rest = query[..query.floor_char_boundary(MAX_QUERY_BYTES)].trim_start();
    while !rest.is_empty() {
        let without = rest.starts_with('-') && rest.len() > 1;
        rest = if without { &rest[1..] } else { rest };
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        let prefix = !rest.starts_with('"') && text.ends_with('*');
        let text = text.trim_matches('*').trim().to_owned();
        if text.contains(|c: char| c.is_alphanumeric() || is_unspaced(c)) {
            terms.push(Term { text, prefix, without });
        }
        rest = after.trim_start();
    }
    terms
}

/// Writes a query as FTS5 has it, every word quoted; `None` where nothing is asked for.
fn expression(terms: &[Term]) -> Option<String> {
    let quoted = |term: &Term| {
        let mut text = String::new();
        super::segment::segment(&term.text.replace(['"', '\0'], " "), &mut text);
        format!("\"{}\"{}", text.trim(), if term.prefix { "*" } else { "" })
    };
    let wanted: Vec<_> = terms.iter().filter(|term| !term.without).map(quoted).collect();
    let without: Vec<_> = terms.iter().filter(|term| term.without).map(quoted).collect();
    match (wanted.is_empty(), without.is_empty()) {
        (true, _) => None,
        (false, true) => Some(wanted.join(" AND ")),
        (false, false) => Some(format!("({}) NOT ({})", wanted.join(" AND "), without.join(" OR "))),
    }
}

/// A text as the index folds it, and where each of its characters stood.
struct Folded<'a> {
    text: &'a str,
    chars: Vec<char>,
    starts: Vec<u32>,
}

impl<'a> Folded<'a> {
    fn new(text: &'a str) -> Self {
        let (mut chars, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
        for (at, c) in text.char_indices() {
            if c.is_ascii() {
                chars.push(c.to_ascii_lowercase());
                starts.push(at as u32);
                continue;
            }
            for c in folded(c) {
                chars.push(c);
                starts.push(at as u32);
            }
        }
        Self { text, chars, starts }
    }

    fn start(&self, at: usize) -> usize {
        self.starts.get(at).map_or(self.text.len(), |start| *start as usize)
    }
}

fn fold(text: &str) -> Vec<char> {
    text.chars().flat_map(folded).collect()
}

/// Returns where the words are found, from and to in folded characters, and which word.
fn matches(text: &Folded<'_>, wanted: &[Vec<char>]) -> Vec<(usize, usize, usize)> {
    const MAX_MATCHES: usize = 1000;
    let mut found = Vec::new();
    for (n, word) in wanted.iter().enumerate() {
        let Some(first) = word.first() else { continue };
        let mut at = 0;
        while let Some(next) = text.chars[at..].iter().position(|c| c == first) {
            at += next;
            let begins = at == 0 || is_unspaced(*first) || !text.chars[at - 1].is_alphanumeric();
            if begins && text.chars[at..].starts_with(word) {
                found.push((at, at + word.len(), n));
            }
            at += 1;
            if found.len() >= MAX_MATCHES {
                break;
            }
        }
    }
    found.sort_unstable();
    found
}

fn score(wanted: &[Vec<char>], columns: [(&String, f64); 4]) -> f64 {
    let mut score = 0.0;
    for (text, weight) in columns {
        if !text.is_empty() {
            let found = matches(&Folded::new(text), wanted);
            let share = found.iter().map(|(from, to, _)| to - from).sum::<usize>() as f64 / text.chars().count() as f64;
            score += weight * (found.len().min(wanted.len()) as f64 + share.min(1.0));
        }
    }
    score
}

/// Cuts a piece of the text around the place where most is found.
fn snippet(text: &Folded<'_>, found: &[(usize, usize, usize)]) -> Vec<Span> {
    let from = match found.iter().max_by_key(|(from, _, _)| {
        let near = found.iter().filter(|(at, _, _)| (*from..*from + SNIPPET_CHARS).contains(at));
        let distinct: std::collections::BTreeSet<_> = near.clone().map(|(_, _, n)| n).collect();
        (distinct.len(), near.count(), usize::MAX - from)
    }) {
        Some((from, _, _)) => from.saturating_sub(SNIPPET_CHARS / 4),
        None => 0,
    };
    // Begin at a word, where one begins nearby.
    let word = (from..(from + 16).min(text.chars.len())).find(|&at| at == 0 || text.chars[at - 1].is_whitespace());
    let from = word.unwrap_or(from);
    let to = (from + SNIPPET_CHARS).min(text.chars.len());
    let mut spans: Vec<Span> = Vec::new();
    let mut push = |from: usize, to: usize, matched: bool| {
        let text = text.text[text.start(from)..text.start(to).max(text.start(from))].replace(char::is_whitespace, " ");
        if !text.is_empty() {
            spans.push(Span { text, matched });
        }
    };
    let mut at = from;
    for &(start, end, _) in found.iter().filter(|(start, end, _)| *start >= from && *end <= to) {
        if start >= at {
            push(at, start, false);
            push(start, end, true);
            at = end;
        }
    }
    push(at, to, false);
    if from > 0 {
        spans.insert(0, Span { text: "… ".into(), matched: false });
    }
    if to < text.chars.len() {
        spans.push(Span { text: " …".into(), matched: false });
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_quoted_words_whatever_it_is() {
        let expressed = |query: &str| expression(&terms(query));
        assert_eq!(expressed("tides moon").as_deref(), Some("\"tides\" AND \"moon\""));
        assert_eq!(expressed("\"the moon\" tid*").as_deref(), Some("\"the moon\" AND \"tid\"*"));
        assert_eq!(expressed("moon -sun").as_deref(), Some("(\"moon\") NOT (\"sun\")"));
        assert_eq!(expressed("石碑").as_deref(), Some("\"石  碑\""));
        assert_eq!(expressed(" - \"\" * ( OR").as_deref(), Some("\"OR\""));
        assert_eq!(expressed("-sun"), None);
    }

    #[test]
    fn a_snippet_marks_what_was_found_in_any_spelling() {
        let long = "word ".repeat(100) + "Über die GEZEITEN und den Mond";
        let text = Folded::new(&long);
        let wanted = [fold("uber"), fold("gezeiten")];
        let spans = snippet(&text, &matches(&text, &wanted));
        let marked: Vec<_> = spans.iter().filter(|span| span.matched).map(|span| span.text.as_str()).collect();
        assert_eq!(marked, ["Über", "GEZEITEN"]);
    }
}
