//! `vellum draft`: write the metadata that would be derived, for a person to edit.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::folder::litter::is_archive;
use crate::folder::walk::{Event, FoundArticle, Note, WalkOptions, walk};
use crate::folder::{derive, readable};
use crate::format::checksums::METADATA;

use super::keyring::write_new;
use super::pack::report_notes;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// Write a sidecar with derived metadata beside each bare document, to edit
///
/// Existing metadata is never overwritten. What version control systems keep, and archives, are left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum draft essays/tides.md       writes essays/tides.toml
  vellum draft essays/               the same for every document without metadata")]
pub(super) struct DraftArgs {
    /// A document, or a folder of them
    path: PathBuf,
}

#[derive(Serialize)]
struct JsonDraft {
    file: String,
    from: String,
}

pub(super) fn run(args: DraftArgs, ui: &Ui) -> Result<Answer, Failure> {
    if is_archive(&args.path) {
        return Err(Failure::new(format!("{}: is an archive, expected documents", args.path.display())));
    }
    readable(&args.path)?;
    refuse_inside_article(&args.path)?;
    let mut articles: Vec<FoundArticle> = Vec::new();
    let mut failures = Vec::new();
    let mut left_out = Vec::new();
    let walked = walk(&args.path, &WalkOptions::default(), &mut |event| {
        match event {
            Event::Article(article) => articles.push(article),
            Event::Refused(refusal) => failures.push(Failure::from(refusal)),
            Event::Noted(place, note @ Note::Litter(_)) => left_out.push((place, note)),
            Event::Noted(..) => {}
        }
        Ok(())
    });
    debug_assert!(walked.is_ok(), "nothing stops this walk");
    let single = args.path.is_file();
    let mut written = 0;
    for article in articles {
        if let Some(metadata) = &article.metadata {
            if single {
                return Err(Failure::new(format!("{}: exists already", metadata.location().display()))
                    .hint("edit it, or move it away first"));
            }
            continue;
        }
        let Some(best) = article.files.iter().min_by_key(|file| (derive::rank(&file.name), file.name.clone())) else {
            continue;
        };
        let place = best.location();
        let sidecar = place.with_extension("toml");
        let from = match write(&place, &best.name, &sidecar) {
            Ok(from) => from,
            // The other documents are drafted all the same.
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        written += 1;
        if ui.json {
            ui.print_json("draft", &JsonDraft { file: sidecar.display().to_string(), from })?;
        } else {
            ui.print(sidecar.display())?;
        }
    }
    report_notes(&left_out, false, ui)?;
    ui.say(format!("drafted {}; edit them, then `vellum pack`", ui::count(written, "sidecar")));
    failures.iter().for_each(|failure| ui.failure(failure));
    let answer = |failure: &Failure| if failure.code() == 1 { Answer::No } else { Answer::NotDone };
    Ok(failures.iter().map(answer).max().unwrap_or(Answer::Yes))
}

/// Refuses a place in the folder of an article: a sidecar there would be one more file of that article.
fn refuse_inside_article(path: &Path) -> Result<(), Failure> {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some(folder) = absolute.ancestors().skip(1).find(|folder| folder.join(METADATA).is_file()) else {
        return Ok(());
    };
    let metadata = folder.join(METADATA);
    Err(Failure::new(format!("{}: belongs to the article whose metadata is {}", path.display(), metadata.display()))
        .hint("edit that; a folder inside becomes an article of its own by an `article.toml`"))
}

/// Derives a document's metadata and writes it; returns what it came from.
fn write(place: &Path, name: &str, sidecar: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::new(format!("{}: cannot be read", place.display())).cause(error);
    let mut open = std::fs::File::open(place).map_err(unreadable)?;
    let size = open.metadata().map_err(unreadable)?.len();
    let derived = derive::derive(name, &mut open, size)
        .map_err(|error| Failure::new(format!("{}: no metadata can be derived", place.display())).cause(error))?;
    // A person's own file does not begin like a generated one: it is not replaced when heuristics change.
    let text = derived.article.to_toml();
    let head = "# Metadata of the document beside this file; `vellum pack` stores it as it stands here.\n";
    write_new(sidecar, &format!("{head}{text}"), false)?;
    Ok(derived.from.to_string())
}
