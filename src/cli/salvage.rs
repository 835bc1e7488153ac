//! `vellum salvage`: what is still whole in a truncated or damaged bundle.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::finding::{Code, Severity};
use crate::folder;
use crate::folder::salvage::{Wanted, salvage};
use crate::format::bundle::{FileState, Report};
use crate::trust::{self, Judgement};
use crate::watch::{Task, Watch};

use super::input::{ReadArgs, file_name_finding, trust_hint};
use super::keyring;
use super::ui::{self, Ui};
use super::verify::print_findings;
use super::{Answer, Failure};

/// Get out of a truncated or damaged bundle what is still whole
///
/// Files are written only where their digest stands in the checksum list that a trusted key has signed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum salvage --to rescued/ damaged.tar.zst
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
    vouched: bool,
    lost: Vec<&'a str>,
}

pub(super) fn run(args: &SalvageArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&[&args.bundle], false)?;
    let about = |failure: Failure| failure.about(args.bundle.display());
    let file = args.read.file(&args.bundle, ui)?;
    let keys = keyring::trusted(args.read.trust(), ui)?;
    let judge = |report: &Report| match (&report.tail, &report.manifest) {
        (Some(tail), Some(manifest)) => trust::judge(tail, manifest, &keys, args.read.archive()),
        _ => Judgement::default(),
    };
    let trusted = |report: &Report| {
        let judgement = judge(report);
        judgement.authentic() && judgement.findings.iter().all(|finding| finding.severity() == Severity::Notice)
    };
    let wanted = if args.partial { Wanted::Files } else { Wanted::Articles };
    ui.begin(Task::Salvage, None);
    let salvaged = salvage(&file, &args.to, wanted, args.read.unsigned(), &trusted, ui.run());
    ui.finish();
    let mut salvaged = salvaged.map_err(|error| {
        about(match error {
            folder::Error::Exists(path) => Failure::new(format!("{}: exists already", path.display()))
                .hint("name a folder that is not there yet with `--to DIR`"),
            other => other.into(),
        })
    })?;
    let claimed = salvaged.report.id().and_then(|id| file_name_finding(&args.bundle, id));
    salvaged.report.findings.extend(claimed);
    if !salvaged.vouched && !args.read.unsigned() {
        print_findings(&salvaged.report.findings, ui)?;
        let judgement = judge(&salvaged.report);
        return Err(about(match (&salvaged.report.manifest, judgement.authentic()) {
            (None, _) => Failure::no("its signatures cannot be read")
                .hint("`--unsigned` salvages what can be read, although no signature covers it"),
            (Some(_), true) => Failure::no("its checksum list cannot be read, or a signature is wrong")
                .hint("`--unsigned` salvages what can be read, although no signature covers it"),
            (Some(_), false) => Failure::no("no trusted key has signed it").hint(trust_hint(&judgement)),
        }));
    }
    let articles = salvaged.report.articles.as_deref();
    let lost: Vec<_> = articles.unwrap_or_default().iter().filter(|a| a.state != FileState::Whole).collect();
    if ui.json {
        for finding in &salvaged.report.findings {
            ui.print_json("finding", finding)?;
        }
        let lost = lost.iter().map(|article| article.path.as_str()).collect();
        let to = args.to.display().to_string();
        ui.print_json("salvaged", &JsonSalvaged { to, files: salvaged.files, vouched: salvaged.vouched, lost })?;
    } else {
        print_findings(&salvaged.report.findings, ui)?;
        for article in &lost {
            let state = if article.state == FileState::Missing { "missing" } else { "damaged" };
            ui.print(format!("{state}: {}", &article.path))?;
        }
        if articles.is_none() {
            ui.say("the checksum list is lost: no signature covers what was written, and what is missing is not known");
        }
        ui.say(format!("wrote {} to {}", ui::count(salvaged.files, "file"), args.to.display()));
    }
    let damage = |f: &crate::finding::Finding| f.severity() == Severity::Damage && f.code != Code::Untrusted;
    Ok(if salvaged.report.findings.iter().any(damage) { Answer::No } else { Answer::Yes })
}
