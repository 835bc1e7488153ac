//! `vellum withdraw`: take an article out of an archive.

use std::path::PathBuf;

use clap::Args;

use crate::archive::Archive;
use crate::collection::withdraw::withdraw;
use crate::format::withdrawal::is_reason;
use crate::keys::Signer;
use crate::store::Store;
use crate::trust::policy::Role;

use super::archive::{self, LogSignerArgs};
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure};

/// Take an article out of an archive: its bytes leave, that it was there stays
///
/// All its revisions go. A signed statement says why; the other articles of its bundles are kept byte for byte in new bundles; proofs made before
/// stay valid. It is not packed again without `pack --reinstate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum withdraw library/ essays/tides --reason \"at the author's request\"")]
pub(super) struct WithdrawArgs {
    /// The archive
    archive: PathBuf,
    /// The article's id
    article: String,
    /// Why; one line, which everybody can read
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    log: LogSignerArgs,
}

pub(super) fn run(args: &WithdrawArgs, ui: &Ui) -> Result<Answer, Failure> {
    if !is_reason(&args.reason) {
        return Err(Failure::new("the reason must be one line of text"));
    }
    let opened = Archive::open(Store::new(&args.archive))?;
    let signers = keyring::some_signers(&args.signers, ui)?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let secret = archive::log_secret(&opened, &args.log, args.signers.passphrase_file.as_deref(), ui)?;
    let mut writer = archive::writer(&opened, &secret)?;
    // What takes the withdrawn bundles' place is published by the same keys.
    archive::allow(&opened, Role::Withdraw, &signers, ui)?;
    archive::allow(&opened, Role::Publish, &signers, ui)?;
    let mut catalog = opened.catalog()?;
    let (digest, statement) = withdraw(&mut writer, &mut catalog, &args.article, &args.reason, &signers, now()?, ui)?;
    ui.finish();
    if ui.json {
        #[derive(serde::Serialize)]
        struct Json<'a> {
            article: &'a str,
            statement: String,
            bundles: Vec<(String, Option<String>)>,
        }
        let bundles =
            statement.bundles.iter().map(|(old, new)| (old.to_string(), new.map(|id| id.to_string()))).collect();
        ui.print_json("withdrawn", &Json { article: &args.article, statement: digest.to_string(), bundles })?;
    } else {
        ui.print(digest)?;
        ui.say(format!("withdrew {}; its bytes are gone from this archive", &args.article));
    }
    Ok(Answer::Yes)
}
