//! `vellum search`: full text search in an archive.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::archive::{FilterArgs, open};
use super::input::ReadArgs;
use super::ui::{Style, Ui};
use super::{Answer, Failure};

/// Search the words of an archive's articles
///
/// All words must occur. "several words" are a phrase, begin* finds what begins so, -word leaves out. Case and accents do not matter.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum search library/ tide moon
  vellum search library/ '\"night shelf\"' -harbour
  vellum search library/ --language zh 石碑")]
pub(super) struct SearchArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// What to search for
    #[arg(required = true, value_name = "WORD", allow_hyphen_values = true)]
    query: Vec<String>,
    /// The most articles to show
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonHit<'a> {
    id: &'a str,
    title: &'a str,
    authors: &'a str,
    published: &'a str,
    language: &'a str,
    score: f64,
    /// Pieces of the text; those that were searched for are marked.
    snippet: Vec<(&'a str, bool)>,
}

pub(super) fn run(args: &SearchArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    // Each argument that holds a space was quoted for the shell already: its own quotes stand in it.
    let hits = catalog.search(&args.query.join(" "), &args.filter.filter(), args.limit as usize)?;
    for hit in &hits {
        let article = &hit.article;
        if ui.json {
            let snippet = hit.snippet.iter().map(|span| (span.text.as_str(), span.matched)).collect();
            let (id, title, authors) = (article.id.as_str(), article.title.as_str(), article.authors.as_str());
            let (published, language) = (article.published.as_str(), article.language.as_str());
            ui.print_json("hit", &JsonHit { id, title, authors, published, language, score: hit.score, snippet })?;
            continue;
        }
        let by = [&article.authors, &article.published].into_iter().filter(|part| !part.is_empty());
        let by: Vec<_> = by.map(String::as_str).collect();
        let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
        ui.print(&article.id)?;
        ui.print_styled(&[(Style::Plain, "  "), (Style::Strong, &article.title), (Style::Plain, &by)])?;
        let style = |matched| if matched { Style::Match } else { Style::Plain };
        let mut pieces = vec![(Style::Plain, "  ")];
        pieces.extend(hit.snippet.iter().map(|span| (style(span.matched), span.text.as_str())));
        if pieces.iter().skip(1).any(|(_, text)| !text.is_empty()) {
            ui.print_styled(&pieces)?;
        }
    }
    if hits.is_empty() {
        ui.say("nothing found");
    }
    Ok(if hits.is_empty() { Answer::No } else { Answer::Yes })
}
