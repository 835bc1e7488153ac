//! `vellum reindex`: make an archive's catalog anew from bundles and log.

use std::path::PathBuf;

use clap::Args;

use crate::archive::Lock;
use crate::archive::catalog::Catalog;

use super::archive::{open, who};
use super::input::ReadArgs;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// Make the catalog anew, from the bundles and the log
///
/// The catalog is what list, search and history ask. It is only a cache, and is brought up to the log by itself; this is for doubts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum reindex library/")]
pub(super) struct ReindexArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &ReindexArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit_archive()?;
    let store = open(&args.library, &args.read, ui)?.archive.store().clone();
    let _lock = Lock::take(&store, &who(), ui.run().clock)?;
    // Read again under the lock: a writer may have brought the log further.
    let opened = open(&args.library, &args.read, ui)?;
    Catalog::remove(&opened.archive.catalog_path())?;
    let (articles, revisions) = opened.catalog(ui)?.counts()?;
    ui.say(format!("indexed {}, {}", ui::count(articles, "article"), ui::count(revisions, "revision")));
    Ok(Answer::Yes)
}
