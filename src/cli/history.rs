//! `vellum history`: the revisions of an article, and its withdrawal.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::archive::layout;
use crate::format::withdrawal::{MAX_WITHDRAWAL_BYTES, Withdrawal};

use super::archive::open;
use super::input::{ReadArgs, typed};
use super::ui::Ui;
use super::{Answer, Failure};

/// Show an article's revisions in an archive, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Each revision is current, earlier, withdrawn, or a conflict: made before the one was logged that it would have replaced, and without effect.

Examples:
  vellum history library/ essays/tides")]
pub(super) struct HistoryArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// The article's id
    article: String,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonRevision<'a> {
    leaf: u64,
    bundle: String,
    title: &'a str,
    lines: String,
    current: bool,
    withdrawn: bool,
    /// Whether it was made before the revision that it would have replaced was logged, and replaced nothing.
    conflict: bool,
}

#[derive(Serialize)]
struct JsonWithdrawal<'a> {
    leaf: u64,
    statement: String,
    reason: Option<&'a str>,
}

pub(super) fn run(args: &HistoryArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let found = typed(&args.article, |asked| {
        let history = catalog.history(asked)?;
        Ok((!history.is_empty()).then(|| (asked.to_owned(), history)))
    })?;
    let (article, history) = found.ok_or_else(|| crate::collection::Error::NoArticle(args.article.clone()))?;
    let current = catalog.current(&article)?.map(|revision| revision.number);
    let mut before = None;
    for revision in &history {
        let (leaf, withdrawn) = (revision.number.place.0, revision.withdrawn);
        let is_current = current == Some(revision.number);
        let bundle = opened.history().bundle(revision.bundle);
        let conflict = !withdrawn && !is_current && bundle.is_some_and(|bundle| !bundle.revises(before));
        if !withdrawn && !conflict {
            before = Some(revision.number.place);
        }
        if ui.json {
            let (bundle, lines, title) =
                (revision.bundle.to_string(), revision.lines.to_string(), revision.title.as_str());
            ui.print_json(
                "revision",
                &JsonRevision { leaf, bundle, title, lines, current: is_current, withdrawn, conflict },
            )?;
        } else {
            let state = match (is_current, withdrawn) {
                (true, _) => "current",
                (_, true) => "withdrawn",
                _ if conflict => "conflict",
                _ => "earlier",
            };
            let (leaf, bundle) = (format!("leaf {leaf}"), format!("bundle {}", revision.bundle));
            ui.print_row(&[&leaf, state, &bundle, &revision.title])?;
        }
    }
    if let Some((statement, leaf)) = opened.withdrawn(&catalog, &article) {
        let bytes = opened.archive.store().read(&layout::statement(&statement), MAX_WITHDRAWAL_BYTES)?;
        let read = Withdrawal::decode(&bytes).ok();
        let reason = read.as_ref().map(|read| read.reason.as_deref().unwrap_or("(no reason is given)"));
        if ui.json {
            ui.print_json("withdrawal", &JsonWithdrawal { leaf, statement: statement.to_string(), reason })?;
        } else {
            let reason = reason.unwrap_or("(statement cannot be read)");
            ui.print_row(&[format!("leaf {leaf}").as_str(), "withdrawal", reason])?;
        }
    }
    Ok(Answer::Yes)
}
