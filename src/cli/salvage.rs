//! `vellum salvage`: what is still whole in a truncated or damaged bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::finding::{Code, Finding, Severity};
use crate::folder;
use crate::folder::salvage::{Salvaged, Wanted, salvage};
use crate::format::bundle::{FileState, Judged, Tail};
use crate::format::manifest::Manifest;
use crate::trust::{self, Judgement};
use crate::watch::{Task, Watch};

use super::error::quoted;
use super::input::{ReadArgs, file_name_finding, trust_hint_or};
use super::keyring;
use super::ui::{self, Ui};
use super::verify::{MAX_SHOWN, print_findings};
use super::{Answer, Failure};

/// Get out of a truncated or damaged bundle what is still whole
///
/// Files are written only where their digest stands in a checksum list that a trusted key has signed. Of a damaged list those lines count that
/// the signed manifest still proves. Where the file holds several bundles, or part of one, what is signed comes out of each.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum salvage --to rescued/ damaged.tar.zst
  vellum salvage --to rescued/ --partial damaged.tar.zst      also the whole documents of damaged articles
  vellum salvage --to rescued/ --unsigned truncated.tar.zst   the end is lost, and the signatures with it

Exit code 1 means that something was lost.")]
pub(super) struct SalvageArgs {
    /// Damaged bundle, or - for a pipe
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Folder to write to; it must be absent
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Also write the whole files of articles that are damaged
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonSalvaged<'a> {
    to: String,
    files: u64,
    /// Whether a signature covers all that was written.
    vouched: bool,
    /// The files that no signature covers.
    unvouched: &'a [String],
    lost: Vec<&'a str>,
}

pub(super) fn run(args: &SalvageArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&[&args.bundle], false)?;
    let about = |failure: Failure| failure.about(args.bundle.display());
    let file = args.read.file(&args.bundle, ui)?;
    let keys = keyring::trusted(args.read.trust(), ui)?;
    let judgement = |tail: &Tail, manifest: &Manifest| trust::judge(tail, manifest, &keys, args.read.archive());
    let judge = |tail: &Tail, manifest: &Manifest| {
        let judgement = judgement(tail, manifest);
        Judged { counts: judgement.counts(), findings: judgement.wrong(args.read.unsigned()).cloned().collect() }
    };
    let wanted = if args.partial { Wanted::Files } else { Wanted::Articles };
    ui.begin(Task::Salvage, None);
    let salvaged = salvage(&file, &args.to, wanted, args.read.unsigned(), &judge, ui.run());
    ui.finish();
    let mut salvaged = salvaged.map_err(|error| {
        about(match error {
            folder::Error::Exists(path) => Failure::new(format!("{}: exists already", path.display())).hint(format!(
                "`{}` writes to a folder that is not there yet",
                args.typed(&[], &absent_beside(&path), ui)
            )),
            other => other.into(),
        })
    })?;
    let ids = salvaged.reports.iter().filter_map(|report| report.id());
    let claimed: Vec<Finding> = ids.filter_map(|id| file_name_finding(&args.bundle, id)).collect();
    if claimed.len() == salvaged.reports.len() {
        salvaged.findings.extend(claimed.into_iter().next());
    }
    if ui.json {
        for finding in &salvaged.findings {
            ui.print_json("finding", finding)?;
        }
    } else {
        print_findings(&salvaged.findings, ui)?;
    }
    if !salvaged.vouched && !args.read.unsigned() {
        return Err(about(given_up(args, &salvaged, &judgement, ui)));
    }
    told(args, &salvaged, ui)?;
    let damage = |f: &Finding| f.severity() == Severity::Damage && f.code != Code::Untrusted;
    Ok(if salvaged.findings.iter().any(damage) { Answer::No } else { Answer::Yes })
}

/// Says why nothing could be written, and what to type to get something all the same.
fn given_up(
    args: &SalvageArgs,
    salvaged: &Salvaged,
    judgement: &dyn Fn(&Tail, &Manifest) -> Judgement,
    ui: &Ui,
) -> Failure {
    let otherwise = args.typed(&["--unsigned"], &args.to, ui);
    let without = format!("`{otherwise}` salvages what can be read, although no signature covers it");
    if salvaged.reports.iter().any(|report| report.counts) {
        return Failure::no("its checksum list cannot be read").hint(without);
    }
    let last = salvaged.reports.last();
    match last.and_then(|report| Some(judgement(report.tail.as_ref()?, report.manifest.as_ref()?))) {
        None => Failure::no("its signatures cannot be read").hint(without),
        Some(judgement) if judgement.authentic() => Failure::no("it is a bundle of another archive").hint(without),
        Some(judgement) => Failure::no("no trusted key has signed it").hint(trust_hint_or(&judgement, &otherwise)),
    }
}

/// Tells what was written and what is lost.
fn told(args: &SalvageArgs, salvaged: &Salvaged, ui: &Ui) -> Result<(), Failure> {
    let believed = salvaged.reports.iter().filter(|report| report.counts || args.read.unsigned());
    let articles = believed.flat_map(|report| report.articles.iter().flatten());
    let lost: BTreeMap<&str, FileState> = articles
        .filter(|article| article.state != FileState::Whole)
        .map(|article| (article.path.as_str(), article.state))
        .collect();
    let Salvaged { files, unvouched, .. } = salvaged;
    if ui.json {
        let to = args.to.display().to_string();
        let (vouched, lost) = (salvaged.vouched && unvouched.is_empty(), lost.into_keys().collect());
        ui.print_json("salvaged", &JsonSalvaged { to, files: *files, vouched, unvouched, lost })?;
    } else {
        for (path, state) in lost {
            let state = if state == FileState::Missing { "missing" } else { "damaged" };
            ui.print(format!("{state}: {path}"))?;
        }
        for path in unvouched.iter().take(MAX_SHOWN) {
            ui.print(format!("not vouched for: {path}"))?;
        }
        if unvouched.len() > MAX_SHOWN {
            let more = ui::thousands((unvouched.len() - MAX_SHOWN) as u64);
            ui.print(format!("not vouched for: … and {more} more; `--json` lists all"))?;
        }
        if salvaged.reports.iter().all(|report| report.articles.is_none()) {
            ui.say("the checksum list is lost: no signature covers what was written, and what is missing is not known");
        }
        ui.say(format!("wrote {} to {}", ui::count(*files, "file"), args.to.display()));
    }
    if salvaged.left > 0 {
        let to = if *files == 0 { args.to.clone() } else { absent_beside(&args.to) };
        let also = ui::count(salvaged.left, "whole document");
        ui.hint(format!("`{}` also writes {also} of damaged articles", args.typed(&["--partial"], &to, ui)));
    }
    Ok(())
}

/// Returns the name of a folder that is not there, beside one that is.
fn absent_beside(folder: &Path) -> PathBuf {
    let name = |n: u32| PathBuf::from(format!("{}-{n}", folder.display().to_string().trim_end_matches('/')));
    (2..).map(name).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| name(1))
}

impl SalvageArgs {
    /// Returns the same command with more options and another folder, as one types it.
    fn typed(&self, more: &[&str], to: &Path, ui: &Ui) -> String {
        let mut words: Vec<String> = ["vellum", "salvage", "--to"].map(str::to_owned).into();
        words.push(to.display().to_string());
        let given = [("--partial", self.partial), ("--unsigned", self.read.unsigned())];
        words.extend(given.iter().filter(|(_, is_given)| *is_given).map(|(option, _)| (*option).to_owned()));
        words.extend(more.iter().map(|&option| option.to_owned()));
        words.extend(self.read.typed());
        words.extend(ui.typed());
        let bundle = self.bundle.display().to_string();
        words.push(if bundle.len() > 1 && bundle.starts_with('-') { format!("./{bundle}") } else { bundle });
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}
