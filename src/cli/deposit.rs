//! `vellum deposit`: take bundles made elsewhere into an archive.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use crate::collection::{Deposited, Error, deposit, waiting};
use crate::ids::BundleId;
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
    /// Bundles: files or URLs [default: those that wait in the archive's `incoming/` for signatures]
    #[arg(value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    log: LogSignerArgs,
}

pub(super) fn run(args: &DepositArgs, ui: &Ui) -> Result<Answer, Failure> {
    // What waits has been looked at by those who signed it; who only logs it signs nothing by the way.
    let signs = args.signers.is_given() || !args.bundles.is_empty();
    let signers = if signs { keyring::signers(&args.signers, ui)? } else { Vec::new() };
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let opened = Writable::open(&args.archive, &args.log, args.signers.passphrase_file.as_deref(), &signers, ui)?;
    let log = opened.log_signers();
    let mut writer = opened.writer(&log, ui)?;
    let mut catalog = opened.archive.catalog()?;
    let history = writer.history(&opened.pin, ui.run())?;
    let waiting = if args.bundles.is_empty() { waiting(&opened.archive, &history)? } else { Vec::new() };
    if args.bundles.is_empty() && waiting.is_empty() {
        ui.say("no bundle waits");
    }
    let bundles = waiting.iter().map(|waiting| &waiting.file).chain(&args.bundles);
    for path in bundles {
        let fetched = path.to_str().filter(|text| Remote::is_url(text)).map(fetched).transpose()?;
        let file = fetched.as_ref().map_or(path.as_path(), |fetched| fetched.path());
        let done = deposit(&mut writer, &mut catalog, file, (&signers, &opened.pin), now()?, ui.run());
        let done = done.map_err(|error| match error {
            error @ Error::Threshold { .. } => Failure::from(error).about(path.display()),
            other => other.into(),
        })?;
        ui.finish();
        match done {
            Deposited::Logged(id) | Deposited::Waits { id, .. } if ui.json => {
                #[derive(serde::Serialize)]
                struct Json {
                    id: String,
                    logged: bool,
                }
                let logged = matches!(done, Deposited::Logged(_));
                ui.print_json("deposited", &Json { id: id.to_string(), logged })?;
            }
            Deposited::Logged(id) => ui.print(id)?,
            Deposited::There => ui.say(format!("{}: is in the archive already", path.display())),
            Deposited::Waits { .. } => {}
        }
        if let Deposited::Waits { id, needed, found } = done {
            say_waiting(&args.archive, Some(id), (needed, found), ui);
        }
    }
    Ok(Answer::Yes)
}

/// Says that bundles are not logged yet, and what is to be done.
pub(super) fn say_waiting(archive: &Path, id: Option<BundleId>, (needed, found): (u64, u64), ui: &Ui) {
    let what = id.map_or_else(|| "they are".to_owned(), |id| format!("{id} is"));
    ui.say(format!("{what} NOT LOGGED YET: the policy asks for {needed} signatures, {found} is there"));
    let archive = archive.display();
    ui.say(format!("  another publisher adds one with `vellum sign {archive}`; then `vellum deposit {archive}` logs what has enough"));
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
