//! `vellum cosign`: say as a witness what a mirror wholly holds.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::mirror::cosign;

use super::archive::{open_any, who};
use super::input::ReadArgs;
use super::keyring::{self, SecretArgs};
use super::pack::now;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// Cosign, as a witness, the checkpoint of a mirror that holds all of it
///
/// The cosignature goes into the mirror's checkpoint, from where `vellum collect` gathers it. A witness never goes back: what
/// contradicts what it cosigned before is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum key new --no-passphrase --output witness      a key of its own, never one that signs bundles
  vellum cosign --as mirror.example.net/m1 --secret witness.key mirror/
  vellum cosign --as mirror.example.net/m1 --secret witness.key --show mirror/   what to put into the policy")]
pub(super) struct CosignArgs {
    /// The mirror
    #[arg(value_name = "MIRROR")]
    library: PathBuf,
    /// The witness's name for ever, such as mirror.example.net/m1
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// The witness's secret key
    #[command(flatten)]
    secret: SecretArgs,
    /// Only print the witness's public key, as a policy has it
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &CosignArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json {
        witness: String,
        size: u64,
        root: String,
        time: u64,
    }
    let secret = keyring::open_named(&args.secret, ui)?;
    if args.show {
        let key = crate::keys::VerifierKey::of_witness(&args.name, crate::keys::Signer::public(&secret))?;
        ui.print(key)?;
        return Ok(Answer::Yes);
    }
    args.read.fit_archive()?;
    let opened = open_any(&args.library, &args.read, ui)?;
    let time = u64::try_from(now()?.as_second()).map_err(|_| Failure::new("the clock stands before 1970"))?;
    let done = cosign(&opened.archive, &opened.pin, (&args.name, &secret), time, &who(), ui.run())?;
    let (witness, size) = (done.witness.to_string(), done.checkpoint.size);
    if ui.json {
        ui.print_json("cosigned", &Json { witness, size, root: done.checkpoint.root.to_string(), time })?;
    } else {
        ui.print(format!("cosigned {} of {} as {witness}", ui::leaves(size), done.checkpoint.origin))?;
    }
    Ok(Answer::Yes)
}
