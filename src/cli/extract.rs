//! `vellum extract`: write articles out of bundles, verified before they land.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::archive::catalog::Revision;
use crate::folder::extract::{Extraction, Shape};
use crate::format::bundle::{Bundle, Contents, Scope};
use crate::ids::LeafIndex;
use crate::store::Object;
use crate::watch::{Task, Watch};

use super::input::{Files, ReadArgs, SelectArgs};
use super::parts::Parts;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// Write articles out of bundles or archives, verified before they land
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum extract --to library/ library.tar.zst
  vellum extract --to tides/ --article 'essays/tides*' library.tar.zst
  vellum extract --layout sidecar --to articles/ part-1.tar.zst part-2.tar.zst
  vellum extract --to tides/ --article 'essays/tides*' library/    from an archive
  curl -s https://example.org/b.tar.zst | vellum extract --to b/ -")]
pub(super) struct ExtractArgs {
    #[command(flatten)]
    files: Files,
    /// Folder to write to; it must be absent or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The shape of what is written
    #[arg(long, value_enum, default_value_t)]
    layout: Layout,
    /// Write into a folder that holds something, and over files of the same names
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Layout {
    /// A folder for each article, its metadata in `article.toml`
    #[default]
    Folder,
    /// `name.ext` with `name.toml` beside it, where `pack` takes that for the same article
    Sidecar,
}

#[derive(Serialize)]
struct JsonExtracted {
    to: String,
    files: u64,
    bytes: u64,
}

pub(super) fn run(args: &ExtractArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&args.files.files, false)?;
    let shape = match args.layout {
        Layout::Folder => Shape::Folders,
        Layout::Sidecar => Shape::Sidecars,
    };
    let (mut opened, mut parts) = (Vec::new(), Parts::default());
    for file in &args.files.files {
        if super::place::is_archive(file) {
            opened.extend(archive(args, file, ui)?);
        } else {
            let (bundle, contents, _) = args.read.bundle(file, ui)?;
            parts.add(file, bundle.id(), bundle.manifest());
            let lines = args.select.lines(&contents)?;
            opened.push((file.clone(), bundle, contents, lines));
        }
    }
    let mut extraction = Extraction::begin(&args.to, args.overwrite)?;
    extraction.shape(shape, opened.iter().map(|(_, _, contents, lines)| (&contents.list, scope(lines.as_deref()))));
    ui.begin(Task::Extract, Some(opened.iter().map(|(_, bundle, ..)| bundle.plain_bytes()).sum()));
    for (file, bundle, contents, lines) in &opened {
        if let Err(error) = extraction.add(bundle, contents, scope(lines.as_deref()), ui.run()) {
            return Err(Failure::from(error).about(file.display()));
        }
    }
    if args.select.articles.is_empty() {
        parts.missing().iter().for_each(|missing| ui.say(missing));
    }
    let extracted = extraction.finish(args.overwrite)?;
    ui.finish();
    if ui.json {
        let (files, bytes) = (extracted.files, extracted.bytes);
        ui.print_json("extracted", &JsonExtracted { to: args.to.display().to_string(), files, bytes })?;
    } else {
        let (files, bytes) = (ui::count(extracted.files, "file"), ui::bytes(extracted.bytes));
        ui.say(format!("wrote {files}, {bytes}, to {}", args.to.display()));
    }
    Ok(Answer::Yes)
}

fn scope(lines: Option<&[bool]>) -> Scope<'_> {
    lines.map_or(Scope::Everything, Scope::Lines)
}

/// A bundle, and the lines of it that are wanted; all of them without.
type Wanted = (PathBuf, Bundle<Object>, Contents, Option<Vec<bool>>);

/// Finds the current articles of an archive that are asked for, by their bundles.
fn archive(args: &ExtractArgs, path: &Path, ui: &Ui) -> Result<Vec<Wanted>, Failure> {
    let opened = super::archive::open(path, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let mut by_bundle: BTreeMap<LeafIndex, (Revision, Vec<String>)> = BTreeMap::new();
    for id in args.select.ids(&catalog)? {
        let Some(revision) = catalog.current(&id)? else { continue };
        let path = revision.path.clone();
        by_bundle.entry(revision.number.place).or_insert_with(|| (revision, Vec::new())).1.push(path);
    }
    let mut wanted = Vec::new();
    for (revision, paths) in by_bundle.into_values() {
        let (bundle, contents) = opened.bundle(&revision)?;
        let mut lines = vec![false; contents.list.len()];
        for path in &paths {
            contents.list.article_lines(path).for_each(|line| lines[line] = true);
        }
        wanted.push((path.to_owned(), bundle, contents, Some(lines)));
    }
    Ok(wanted)
}
