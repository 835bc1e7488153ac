//! `vellum deposit`: take bundles made elsewhere into an archive.

use std::path::PathBuf;

use clap::Args;

use crate::archive::Archive;
use crate::collection::deposit;
use crate::keys::Signer;
use crate::store::Store;

use super::archive::{self, LogSignerArgs};
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure};

/// Take bundles made elsewhere into an archive: checked whole, countersigned, logged
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum deposit library/ letters.tar.zst")]
pub(super) struct DepositArgs {
    /// The archive
    archive: PathBuf,
    /// Bundles
    #[arg(required = true, value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    log: LogSignerArgs,
}

pub(super) fn run(args: &DepositArgs, ui: &Ui) -> Result<Answer, Failure> {
    let opened = Archive::open(Store::new(&args.archive))?;
    let signers = keyring::some_signers(&args.signers, ui)?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let secret = archive::log_secret(&opened, &args.log, &args.signers, ui)?;
    let mut writer = archive::writer(&opened, &secret)?;
    let mut catalog = opened.catalog()?;
    for path in &args.bundles {
        let id = deposit(&mut writer, &mut catalog, path, &signers, now()?, ui)?;
        ui.finish();
        match id {
            Some(id) if ui.json => {
                #[derive(serde::Serialize)]
                struct Json {
                    id: String,
                }
                ui.print_json("deposited", &Json { id: id.to_string() })?;
            }
            Some(id) => ui.print(id)?,
            None => ui.say(format!("{}: is in the archive already", path.display())),
        }
    }
    Ok(Answer::Yes)
}
