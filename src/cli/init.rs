//! `vellum init`: make an archive, and the key of its log.

use std::path::PathBuf;

use clap::Args;

use crate::archive::{Archive, layout};
use crate::ids::Origin;
use crate::store::Store;

use super::archive::who;
use super::ui::Ui;
use super::{Answer, Failure, key};

/// Make an archive: bundles in a log, as static files
///
/// The log gets a key of its own, which stays in your configuration; give its public half to those who check proofs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum init --origin example.org/library library/
  vellum pack --into library/ essays/")]
pub(super) struct InitArgs {
    /// Folder to make the archive in; absent or empty
    folder: PathBuf,
    /// The archive's name for ever, such as example.org/library
    #[arg(long)]
    origin: Origin,
    /// Do without a pass phrase for the log's key: whoever reads the file can sign
    #[arg(long)]
    no_passphrase: bool,
    /// Read the pass phrase of the log's key from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn run(args: &InitArgs, ui: &Ui) -> Result<Answer, Failure> {
    let store = Store::new(&args.folder);
    if store.exists(layout::HEADER) {
        return Err(Failure::new(format!("{}: is an archive already", args.folder.display())));
    }
    if args.folder.is_dir() && !store.list("")?.is_empty() {
        return Err(crate::archive::Error::NotEmpty(args.folder.clone()).into());
    }
    let passphrase =
        if args.no_passphrase { None } else { Some(key::new_passphrase(args.passphrase_file.as_deref())?) };
    let (secret, verifier) = key::make_log_key(&args.origin, passphrase.as_ref(), ui)?;
    Archive::create(store, args.origin.clone(), &secret, &who(), ui.run())?;
    ui.say(format!("made the archive {} in {}", args.origin, args.folder.display()));
    if ui.json {
        #[derive(serde::Serialize)]
        struct Json<'a> {
            origin: &'a str,
            log_key: String,
        }
        ui.print_json("init", &Json { origin: args.origin.as_str(), log_key: verifier.to_string() })?;
    } else {
        ui.print(verifier)?;
    }
    Ok(Answer::Yes)
}
