//! `vellum list`: the articles of a bundle, as a table or as JSON.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;

use clap::Args;
use serde::Serialize;

use crate::format::article::Article;
use crate::format::bundle::read_metadata;

use super::archive::{FilterArgs, cells};
use super::input::{Files, ReadArgs};
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// List the articles of bundles or of an archive: title, authors, date, language, size
///
/// Only the metadata is read, and checked against the signed checksum list.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum list library.tar.zst
  vellum list --json library.tar.zst | jq -r .title
  vellum list library/ --author Moll --from 2024 --language en   an archive's articles")]
pub(super) struct ListArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    read: ReadArgs,
}

/// An article of an archive.
#[derive(Serialize)]
struct JsonListed<'a> {
    id: &'a str,
    title: &'a str,
    authors: &'a str,
    published: &'a str,
    language: &'a str,
    files: u64,
    bytes: u64,
    leaf: u64,
}

#[derive(Serialize)]
struct JsonArticle<'a> {
    bundle: &'a str,
    path: &'a str,
    files: u64,
    bytes: u64,
    #[serde(flatten)]
    article: &'a Article,
}

pub(super) fn run(args: &ListArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&args.files.files, false)?;
    let mut rows = vec![["TITLE", "AUTHORS", "DATE", "LANG", "SIZE", "PATH"].map(str::to_owned)];
    for file in &args.files.files {
        if super::place::is_archive(file) {
            archive(args, file, &mut rows, ui)?;
            continue;
        }
        if !args.filter.filter().is_empty() {
            return Err(Failure::new("filters are for archives").hint("a bundle's list is short enough for `grep`"));
        }
        let (bundle, contents, _) = args.read.bundle(file, ui)?;
        let id = bundle.id().to_string();
        let articles = read_metadata(&bundle, &contents, ui.run(), |text| Article::read(text).unwrap_or_default())?;
        for (n, article) in articles.iter().enumerate() {
            let (path, lines) = (contents.list.article(n), contents.list.lines(n));
            let files = lines.len() as u64;
            let bytes = lines.map(|line| contents.place(line).size).sum();
            if ui.json {
                ui.print_json("article", &JsonArticle { bundle: &id, path, files, bytes, article })?;
            } else {
                rows.push(row(path, article, bytes));
            }
        }
    }
    if !ui.json {
        ui.print_table(&rows, [48, 24, 10, 8, 9, usize::MAX], 4)?;
    }
    Ok(Answer::Yes)
}

/// Lists an archive's current articles. Off a terminal they are printed as they come, however many there are.
fn archive(args: &ListArgs, path: &std::path::Path, rows: &mut Vec<[String; 6]>, ui: &Ui) -> Result<(), Failure> {
    let opened = super::archive::open(path, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let table = io::stdout().is_terminal();
    let mut failed = None;
    catalog.list(&args.filter.filter(), &mut |article| {
        let printed = if ui.json {
            let (id, title, authors) = (article.id.as_str(), article.title.as_str(), article.authors.as_str());
            let (published, language) = (article.published.as_str(), article.language.as_str());
            let (files, bytes, leaf) = (article.files, article.bytes, article.number.place.0);
            ui.print_json("article", &JsonListed { id, title, authors, published, language, files, bytes, leaf })
        } else if table {
            rows.push(cells(&article));
            Ok(())
        } else {
            let header = std::mem::take(rows);
            header.iter().chain([&cells(&article)]).try_for_each(|row| ui.print_row(row))
        };
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn row(path: &str, article: &Article, bytes: u64) -> [String; 6] {
    let authors: Vec<_> = article.authors.iter().map(|author| author.name.as_str()).collect();
    let date = article.published.as_ref().map(ToString::to_string).unwrap_or_default();
    let language = article.language.clone().unwrap_or_default();
    [&article.title, &authors.join(", "), &date, &language, &ui::bytes(bytes), path].map(str::to_owned)
}
