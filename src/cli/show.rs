//! `vellum show`: what a bundle says of itself, who has signed it, and the metadata of its articles.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::format::article::Article;
use crate::format::checksums::{DATA, METADATA};
use crate::store::Object;
use crate::trust::JudgedSignature;

use super::input::{ReadArgs, not_found, typed};
use super::ui::{self, Ui};
use super::verify::{describe, signature_line};
use super::{Answer, Failure};

/// Show a bundle's manifest and signatures, or one article's metadata
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum show library.tar.zst
  vellum show library.tar.zst essays/tides
  vellum show library/ essays/tides")]
pub(super) struct ShowArgs {
    /// Bundle, archive, or - for a pipe
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// An article's id, or its path in the bundle
    article: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonShow<'a> {
    id: String,
    manifest: &'a str,
    authentic: bool,
    signatures: &'a [JudgedSignature],
    file_bytes: u64,
}

#[derive(Serialize)]
struct JsonFile<'a> {
    path: &'a str,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize)]
struct JsonArticle<'a> {
    path: &'a str,
    article: Option<&'a Article>,
    contents: Vec<JsonFile<'a>>,
}

pub(super) fn run(args: &ShowArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&[&args.bundle], false)?;
    if super::place::is_archive(&args.bundle) {
        return archive(args, ui);
    }
    let (bundle, contents, judgement) = args.read.bundle(&args.bundle, ui)?;
    if let Some(asked) = &args.article {
        let list = &contents.list;
        let found = typed(asked, |asked| Ok(list.number(asked).or_else(|| contents.by_id(asked))))?;
        let n = found.ok_or_else(|| not_found(asked))?;
        return article(list.article(n), &bundle, &contents, ui);
    }
    let text = String::from_utf8_lossy(&bundle.tail().manifest).into_owned();
    if ui.json {
        let (id, file_bytes) = (bundle.id().to_string(), bundle.file_bytes());
        let (authentic, signatures) = (judgement.authentic(), judgement.signatures.as_slice());
        ui.print_json("show", &JsonShow { id, manifest: &text, authentic, signatures, file_bytes })?;
        return Ok(Answer::Yes);
    }
    ui.print(format!("bundle     {}", bundle.id()))?;
    ui.print(format!("content    {}", describe(bundle.manifest())))?;
    ui.print(format!("file       {}", ui::bytes(bundle.file_bytes())))?;
    for signature in &judgement.signatures {
        ui.print(format!("signature  {}", signature_line(signature)))?;
    }
    ui.print("")?;
    text.trim_end().lines().try_for_each(|line| ui.print(line))?;
    Ok(Answer::Yes)
}

/// Shows an archive's head, or the current revision of one article.
fn archive(args: &ShowArgs, ui: &Ui) -> Result<Answer, Failure> {
    let opened = super::archive::open(&args.bundle, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    if let Some(asked) = &args.article {
        let (revision, _) = opened.find(&catalog, asked)?;
        let (bundle, contents) = opened.bundle(&revision)?;
        return article(&revision.path, &bundle, &contents, ui);
    }
    let (articles, revisions) = catalog.counts()?;
    let (origin, size) = (opened.archive.origin().as_str(), opened.checkpoint.size);
    if ui.json {
        #[derive(Serialize)]
        struct Json<'a> {
            origin: &'a str,
            log_key: String,
            size: u64,
            articles: u64,
            revisions: u64,
            bundles: u64,
        }
        let (log_key, bundles) = (opened.log_key.to_string(), opened.history().held().count() as u64);
        ui.print_json("archive", &Json { origin, log_key, size, articles, revisions, bundles })?;
        return Ok(Answer::Yes);
    }
    ui.print(format!("archive    {origin}"))?;
    ui.print(format!("content    {}, {}", ui::count(articles, "article"), ui::count(revisions, "revision")))?;
    ui.print(format!("bundles    {}", ui::thousands(opened.history().held().count() as u64)))?;
    ui.print(format!("log        {}, by {}", ui::leaves(size), opened.log_key))?;
    Ok(Answer::Yes)
}

fn article(
    asked: &str,
    bundle: &crate::format::bundle::Bundle<Object>,
    contents: &crate::format::bundle::Contents,
    ui: &Ui,
) -> Result<Answer, Failure> {
    let list = &contents.list;
    let metadata = list.find(&format!("{DATA}{asked}/{METADATA}")).ok_or_else(|| not_found(asked))?;
    let mut text = Vec::new();
    bundle.read_file(contents, metadata, &mut text)?;
    let lines = list.article_lines(asked);
    if ui.json {
        let contents = lines.map(|line| JsonFile {
            path: list.below(line),
            bytes: contents.place(line).size,
            sha256: list.digest(line).to_string(),
        });
        let parsed = Article::read(&text).ok();
        ui.print_json("article", &JsonArticle { path: asked, article: parsed.as_ref(), contents: contents.collect() })?;
        return Ok(Answer::Yes);
    }
    for line in String::from_utf8_lossy(&text).lines() {
        ui.print(line.replace('\t', "    "))?;
    }
    ui.print("")?;
    for line in lines {
        let path = list.below(line);
        ui.print(format!("{}  {:>9}  {path}", list.digest(line), ui::bytes(contents.place(line).size)))?;
    }
    Ok(Answer::Yes)
}
