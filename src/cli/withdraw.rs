//! `vellum withdraw`: take an article out of an archive.

use std::path::PathBuf;

use clap::Args;

use crate::collection::withdraw::{WithdrawOptions, withdraw};
use crate::format::withdrawal::is_reason;
use crate::keys::Signer;

use super::archive::{LogSignerArgs, Writable};
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure};

/// Take articles out of an archive: their bytes leave, that they were there stays
///
/// All their revisions go. A signed statement says so, by digests of their ids; the other articles of their bundles are kept byte for byte in new
/// bundles; proofs made before stay valid. They are not packed again without `pack --reinstate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum withdraw library/ essays/tides --reason \"at the author's request\"
  vellum withdraw library/ letters/1 letters/2 --clear      the statement tells the ids, and not their digests alone")]
pub(super) struct WithdrawArgs {
    /// The archive
    archive: PathBuf,
    /// The articles' ids
    #[arg(required = true, value_name = "ARTICLE")]
    articles: Vec<String>,
    /// Why; one line, which everybody can read
    #[arg(long)]
    reason: Option<String>,
    /// Tell the ids in the statement, which everybody can read for ever
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    log: LogSignerArgs,
}

pub(super) fn run(args: &WithdrawArgs, ui: &Ui) -> Result<Answer, Failure> {
    if args.reason.as_deref().is_some_and(|reason| !is_reason(reason)) {
        return Err(Failure::new("the reason must be one line of text"));
    }
    let signers = keyring::some_signers(&args.signers, ui)?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let opened = Writable::open(&args.archive, &args.log, args.signers.passphrase_file.as_deref(), &signers, ui)?;
    let log = opened.log_signers();
    let mut writer = opened.writer(&log, ui)?;
    let mut catalog = opened.archive.catalog()?;
    let options =
        WithdrawOptions { ids: &args.articles, clear: args.clear, reason: args.reason.as_deref(), time: now()? };
    let (digest, statement) = withdraw(&mut writer, &mut catalog, &options, (&signers, &opened.pin), ui.run())?;
    ui.finish();
    if ui.json {
        #[derive(serde::Serialize)]
        struct Json<'a> {
            articles: &'a [String],
            statement: String,
            bundles: Vec<(String, Option<String>)>,
        }
        let pair = |(old, new): (crate::ids::BundleId, Option<crate::ids::BundleId>)| {
            (old.to_string(), new.map(|id| id.to_string()))
        };
        let bundles = statement.bundles.iter().map(|replaced| pair((replaced.old, replaced.new))).collect();
        ui.print_json("withdrawn", &Json { articles: &args.articles, statement: digest.to_string(), bundles })?;
    } else {
        ui.print(digest)?;
        for id in &args.articles {
            ui.say(format!("withdrew {id}; its bytes are gone from this archive"));
        }
    }
    Ok(Answer::Yes)
}
