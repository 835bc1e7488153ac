//! `vellum cat`: one file of a bundle to stdout, verified before a byte of it is written.

use std::io::{self, Seek, Write};
use std::path::PathBuf;

use clap::Args;

use crate::format::bundle::{self, Contents};
use crate::format::checksums::{ChecksumList, DATA};

use super::input::{ReadArgs, not_found, typed};
use super::ui::Ui;
use super::{Answer, Failure};

/// What is held in memory until it is verified, in bytes; the rest goes to a temporary file.
const MEMORY_BYTES: usize = 8 << 20;

/// Write one file of a bundle to stdout, verified first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum cat library.tar.zst essays/tides              the article's only document
  vellum cat library.tar.zst essays/tides/tides.md     one file
  vellum cat library.tar.zst essays/tides/article.toml
  vellum cat library/ essays/tides                     from an archive, by its id")]
pub(super) struct CatArgs {
    /// Bundle, archive, or - for a pipe
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// A file's path, or an article's path where it has just one document
    #[arg(value_name = "PATH")]
    path: String,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &CatArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&[&args.bundle], false)?;
    if super::place::is_archive(&args.bundle) {
        let opened = super::archive::open(&args.bundle, &args.read, ui)?;
        let catalog = opened.catalog(ui)?;
        let (revision, rest) = opened.find(&catalog, &args.path)?;
        let (bundle, contents) = opened.bundle(&revision)?;
        let line = find(&contents, &format!("{}{rest}", revision.path))?;
        copy(|held| bundle.read_file(&contents, line, held))?;
        return Ok(Answer::Yes);
    }
    let bundle = args.read.opened(&args.bundle, ui)?;
    let found = typed(&args.path, |asked| Ok(bundle.article(asked)?.map(|article| (asked.to_owned(), article))))?;
    let (asked, article) = found.ok_or_else(|| not_found(&args.path))?;
    let asked = asked.as_str();
    let line = match article.file(asked) {
        Some(line) => line,
        None if asked == article.id || asked == article.path => only(&article.lines, article.content(), asked)?,
        None => return Err(not_found(asked)),
    };
    copy(|held| bundle.read_article_file(&article, line, held))?;
    Ok(Answer::Yes)
}

fn find(contents: &Contents, asked: &str) -> Result<usize, Failure> {
    let list = &contents.list;
    let path = format!("{DATA}{asked}");
    if let Some(line) = list.find(&path) {
        return Ok(line);
    }
    let files = list.article_lines(&path[DATA.len()..]);
    if files.is_empty() {
        return Err(not_found(asked));
    }
    only(list, files.filter(|&line| !list.is_metadata(line)).collect(), asked)
}

/// Returns the one document of an article.
fn only(list: &ChecksumList, files: Vec<usize>, asked: &str) -> Result<usize, Failure> {
    match files.as_slice() {
        [one] => Ok(*one),
        several => {
            let names: Vec<_> = several.iter().map(|&line| list.below(line)).collect();
            Err(Failure::new(format!("{asked:?} has {} files", several.len()))
                .hint(format!("name one of them: {}", names.join(", "))))
        }
    }
}

fn copy(read: impl FnOnce(&mut dyn Write) -> Result<(), bundle::Error>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new("cannot keep the file while it is verified").cause(error);
    let mut held = tempfile::SpooledTempFile::new(MEMORY_BYTES);
    read(&mut held)?;
    held.rewind().map_err(failed)?;
    let mut out = io::stdout().lock();
    io::copy(&mut held, &mut out).and_then(|_| out.flush()).map_err(Failure::stdout)
}
