//! `vellum collect`: gather what witnesses say of an archive's checkpoint.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::keys::VerifierKey;
use crate::mirror::collect;

use super::archive::{open, who};
use super::input::ReadArgs;
use super::ui::Ui;
use super::{Answer, Failure, keyring, place};

/// Gather witnesses' cosignatures of an archive's checkpoint from their mirrors
///
/// Only those of known witnesses are taken: of the policy, or named by `--witness`. A mirror that holds another history is
/// named, and both checkpoints are kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum collect library/ https://mirror.example.net/library https://other.example/library
  vellum collect --witness mirror.example.net/m1+… library/ /media/mirror")]
pub(super) struct CollectArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// Mirrors: folders or URLs
    #[arg(required = true)]
    mirrors: Vec<PathBuf>,
    /// Take this witness's cosignature too: a .vkey file or the key itself (can be repeated)
    #[arg(long = "witness", value_name = "FILE|KEY")]
    witnesses: Vec<String>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &CollectArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json {
        new: Vec<String>,
        without: Vec<super::sync::JsonDropped>,
        forks: Vec<super::sync::JsonDropped>,
    }
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    let more: Vec<VerifierKey> =
        args.witnesses.iter().map(|named| keyring::verifier(named)).collect::<Result<_, _>>()?;
    if more.is_empty() && opened.vouched.witnesses().is_empty() {
        return Err(
            Failure::new("no witness is known").hint("name one with `--witness KEY`, or put it into the policy")
        );
    }
    let mirrors = args.mirrors.iter().map(|mirror| place::store(mirror)).collect::<Result<Vec<_>, _>>()?;
    let found = collect(&opened.archive, &opened.pin, &mirrors, &more, &who(), ui.run())?;
    if ui.json {
        let list = |all: &[crate::mirror::Dropped]| {
            all.iter()
                .map(|d| super::sync::JsonDropped { origin: d.origin.clone(), why: d.why.clone() })
                .collect::<Vec<_>>()
        };
        let (without, forks) = (list(&found.without), list(&found.forks));
        ui.print_json("collected", &Json { new: found.new.clone(), without, forks })?;
    } else {
        for name in &found.new {
            ui.print(format!("new        {}", name))?;
        }
        for mirror in &found.without {
            ui.print(format!("none       {}: {}", &mirror.origin, &mirror.why))?;
        }
        for mirror in &found.forks {
            ui.print(format!("FORK       {}: {}", &mirror.origin, &mirror.why))?;
        }
    }
    Ok(if found.forks.is_empty() { Answer::Yes } else { Answer::No })
}
