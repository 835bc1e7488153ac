//! `vellum cosign`: say as a witness what a mirror holds, or ask a public witness to say it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::digest::Digest;
use crate::keys::{Signer, VerifierKey};
use crate::mirror::{self, Witness, cosign};
use crate::store::Store;

use super::archive::{open, open_any, who};
use super::input::ReadArgs;
use super::pack::now;
use super::ui::{self, Ui};
use super::{Answer, Failure, keyring, place};

/// Days after which a witness reads a bundle again.
const DEFAULT_MAX_CHECK_DAYS: u32 = 90;

/// Cosign, as a witness, the checkpoint of a mirror that holds all of it
///
/// The cosignature goes into the mirror's checkpoint, from where `vellum collect` gathers it. A witness never goes back: what
/// contradicts what its key cosigned before, anywhere, is refused. With `--witness` the archive's own checkpoint is sent to a public witness
/// instead, and its cosignature taken in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum key new --no-passphrase --output witness      a key of its own, never one that signs bundles
  vellum cosign --as mirror.example.net/m1 --secret witness.key mirror/
  vellum cosign --as mirror.example.net/m1 --secret witness.key --show mirror/   what to put into the policy
  vellum cosign --witness https://witness.example.org library/     one that the policy names
  vellum cosign --witness https://witness.example.org --vkey witness.example.org+… library/")]
pub(super) struct CosignArgs {
    /// The mirror; with `--witness`, the archive
    #[arg(value_name = "MIRROR")]
    library: PathBuf,
    /// The witness's name for ever, such as mirror.example.net/m1
    #[arg(long = "as", value_name = "NAME", required_unless_present = "witnesses", requires = "secret")]
    name: Option<String>,
    /// Have this public witness cosign, by its address; C2SP's tlog-witness (can be repeated)
    #[arg(long = "witness", value_name = "URL", conflicts_with_all = ["name", "show", "max_check_days"])]
    witnesses: Vec<String>,
    /// Take the cosignature of this witness too, beside those of the policy: a .vkey file or the key itself (can be repeated)
    #[arg(long = "vkey", value_name = "FILE|KEY", requires = "witnesses")]
    vkeys: Vec<String>,
    /// Read each bundle again after so many days, although its file has not changed
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CHECK_DAYS)]
    max_check_days: u32,
    /// The witness's secret key: a file, or the id of a key of yours
    #[arg(long, value_name = "FILE|KEYID", requires = "name")]
    secret: Option<String>,
    /// Read the pass phrase from the first line of this file
    #[arg(long, value_name = "FILE", requires = "secret")]
    passphrase_file: Option<PathBuf>,
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
    let (Some(name), Some(secret)) = (&args.name, &args.secret) else { return submit(args, ui) };
    let signer = keyring::open_named(secret, args.passphrase_file.as_deref(), ui)?;
    let key = VerifierKey::of_witness(name, signer.public())?;
    if args.show {
        ui.print(key)?;
        return Ok(Answer::Yes);
    }
    args.read.fit_archive()?;
    let opened = open_any(&args.library, &args.read, ui)?;
    let time = u64::try_from(now()?.as_second()).map_err(|_| Failure::new("the clock stands before 1970"))?;
    let log = Digest::of(format!("{key}\n{}", opened.archive.origin()).as_bytes()).to_string();
    let memory = Store::new(&keyring::folder(ui)?.join("witnesses").join(&log[..16]));
    let witness = Witness { name, signer: &signer, memory: &memory, time, max_check_days: args.max_check_days };
    let done = cosign(&opened.archive, &opened.pin, &witness, &who(), ui.run())?;
    let (witness, size) = (done.witness.to_string(), done.checkpoint.size);
    if ui.json {
        ui.print_json("cosigned", &Json { witness, size, root: done.checkpoint.root.to_string(), time })?;
    } else {
        ui.print(format!("cosigned {} of {} as {witness}", ui::leaves(size), done.checkpoint.origin))?;
    }
    Ok(Answer::Yes)
}

/// Sends the archive's checkpoint to public witnesses.
fn submit(args: &CosignArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        witness: &'a str,
        new: Vec<String>,
        error: Option<String>,
    }
    args.read.fit_archive()?;
    let keys = args.vkeys.iter().map(|named| keyring::verifier(named)).collect::<Result<Vec<_>, _>>()?;
    let remotes = args.witnesses.iter().map(|url| place::remote(url)).collect::<Result<Vec<_>, _>>()?;
    let opened = open(&args.library, &args.read, ui)?;
    if keys.is_empty() && opened.vouched.witnesses().is_empty() {
        return Err(
            Failure::new("no witness is known").hint("name its key with `--vkey KEY`, or put it into the policy")
        );
    }
    let mut all = true;
    for (url, remote) in args.witnesses.iter().zip(&remotes) {
        let done = mirror::submit(&opened.archive, &opened.pin, remote, &keys, &who(), ui.run());
        // One that fails does not keep the others from being asked.
        all &= done.is_ok();
        if ui.json {
            let (new, error) = match done {
                Ok(new) => (new, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            ui.print_json("submitted", &Json { witness: url, new, error })?;
            continue;
        }
        match done {
            Ok(new) if new.is_empty() => ui.print(format!("cosigned   {url}, nothing newer"))?,
            Ok(new) => ui.print(format!("cosigned   {url}, as {}", new.join(", ")))?,
            Err(error) => ui.print(format!("none       {}", error))?,
        }
    }
    Ok(if all { Answer::Yes } else { Answer::No })
}
