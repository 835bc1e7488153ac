//! `vellum deposit`: take bundles made elsewhere into an archive.

use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use tempfile::NamedTempFile;

use crate::collection::{Error, deposit};
use crate::keys::Signer;
use crate::store::Remote;

use super::archive::{LogSignerArgs, Writable};
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure, place};

/// The largest bundle that is fetched, in bytes.
const MAX_BUNDLE_BYTES: u64 = 16 << 30;

/// Take bundles made elsewhere into an archive: checked whole, countersigned, logged
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum deposit library/ letters.tar.zst
  vellum deposit library/ s3://bucket/library/incoming/9f….tar.zst   what a worker has pushed")]
pub(super) struct DepositArgs {
    /// The archive
    archive: PathBuf,
    /// Bundles: files or URLs
    #[arg(required = true, value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    log: LogSignerArgs,
}

pub(super) fn run(args: &DepositArgs, ui: &Ui) -> Result<Answer, Failure> {
    let signers = keyring::some_signers(&args.signers, ui)?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let opened = Writable::open(&args.archive, &args.log, args.signers.passphrase_file.as_deref(), &signers, ui)?;
    let log = opened.log_signers();
    let mut writer = opened.writer(&log, ui)?;
    let mut catalog = opened.archive.catalog()?;
    for path in &args.bundles {
        let fetched = path.to_str().filter(|text| Remote::is_url(text)).map(fetched).transpose()?;
        let file = fetched.as_ref().map_or(path.as_path(), |fetched| fetched.path());
        let id =
            deposit(&mut writer, &mut catalog, file, (&signers, &opened.pin), now()?, ui.run()).map_err(|error| {
                match error {
                    error @ Error::Threshold { .. } => Failure::from(error).about(path.display()),
                    other => other.into(),
                }
            })?;
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

/// Fetches a bundle into a temporary file.
fn fetched(url: &str) -> Result<NamedTempFile, Failure> {
    let (folder, name) = url.rsplit_once('/').unwrap_or((url, ""));
    let arriving = place::remote(folder)?.get(name, 0, None)?;
    let failed = |error: io::Error| Failure::new(format!("{url}: cannot be fetched")).cause(error);
    let mut file = NamedTempFile::new().map_err(failed)?;
    let size = io::copy(&mut arriving.bytes.take(MAX_BUNDLE_BYTES + 1), &mut file).map_err(failed)?;
    if size > MAX_BUNDLE_BYTES {
        return Err(Failure::new(format!("{url}: more than {MAX_BUNDLE_BYTES} bytes")));
    }
    Ok(file)
}
