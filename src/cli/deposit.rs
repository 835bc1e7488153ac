//! `vellum deposit`: take bundles made elsewhere into an archive.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use crate::archive::Archive;
use crate::collection::deposit;
use crate::format::bundle::Bundle;
use crate::ids::Origin;
use crate::keys::{Kind, PublicKey, Signer};
use crate::store::{Remote, Store};
use crate::trust::policy::{Role, is_signed};

use super::archive::{self, LogSignerArgs};
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
    let opened = Archive::open(Store::new(&args.archive))?;
    let signers = keyring::some_signers(&args.signers, ui)?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let secret = archive::log_secret(&opened, &args.log, args.signers.passphrase_file.as_deref(), ui)?;
    let mut writer = archive::writer(&opened, &secret)?;
    let policy = archive::policy_in_force(&opened, ui)?;
    let publishers: Vec<PublicKey> = match &policy {
        Some(policy) => {
            policy.keys.iter().filter(|key| key.roles.contains(&Role::Publish)).map(|key| key.public.clone()).collect()
        }
        None => keyring::trusted_by_default(ui)?.into_iter().map(|trusted| trusted.key).collect(),
    };
    let mut catalog = opened.catalog()?;
    for path in &args.bundles {
        let fetched = path.to_str().filter(|text| Remote::is_url(text)).map(fetched).transpose()?;
        let file = fetched.as_ref().map_or(path.as_path(), |fetched| fetched.path());
        let mut keys = signed_by(file, &publishers, opened.origin())?;
        keys.extend(signers.iter().map(|signer| signer.public().clone()));
        archive::allow_keys(&opened, Role::Publish, &keys, ui).map_err(|failure| failure.about(path.display()))?;
        let id = deposit(&mut writer, &mut catalog, file, (&signers, &publishers), now()?, ui)?;
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

/// Returns the keys that have signed a bundle for this archive already.
fn signed_by(file: &Path, publishers: &[PublicKey], origin: &Origin) -> Result<Vec<PublicKey>, Failure> {
    let open =
        File::open(file).map_err(|error| Failure::new(format!("{}: cannot be read", file.display())).cause(error))?;
    let bundle = Bundle::open(open)?;
    let tail = bundle.tail();
    let has_signed = |key: &&PublicKey| {
        tail.signatures.iter().any(|file| is_signed(&file.bytes, key, &tail.manifest, Kind::Manifest, origin))
    };
    Ok(publishers.iter().filter(has_signed).cloned().collect())
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
