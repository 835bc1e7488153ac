//! `vellum sign`: add a signature to a bundle without touching the rest.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::archive::{Archive, layout};
use crate::collection::Incoming;
use crate::digest::Digest;
use crate::folder::BUNDLE_ENDING;
use crate::folder::rewrite::{self, Target};
use crate::format::bundle::{self, Bundle};
use crate::ids::{BundleId, Origin};
use crate::keys::Signer;
use crate::store::Store;
use crate::watch::{Task, Watch};

use super::input::{Files, file_name_finding};
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure, place};

/// Add your signature to bundles, after checking every byte of them
///
/// The id and all other bytes of the content stay; signatures of others stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum sign library.tar.zst
  vellum sign --ssh-agent alice@example.org library.tar.zst
  vellum sign --archive example.org/library deposit.tar.zst
  vellum sign library/                            what waits in an archive for further signatures")]
pub(super) struct SignArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    signers: SignerArgs,
    /// Sign for this archive [default: the one that the manifest names]
    #[arg(long, value_name = "ORIGIN")]
    archive: Option<Origin>,
    /// Put the new signature in the place of one that this key has made for another archive
    #[arg(long)]
    replace: bool,
}

#[derive(Serialize)]
struct JsonSigned {
    file: String,
    id: String,
    by: Vec<String>,
}

pub(super) fn run(args: &SignArgs, ui: &Ui) -> Result<Answer, Failure> {
    let signers = keyring::signers(&args.signers, ui)?;
    if signers.is_empty() {
        return Err(Failure::new("no key to sign with").hint("`vellum key new` makes one"));
    }
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    for path in &waiting_in(&args.files.files, ui)? {
        let about = |failure: Failure| failure.about(path.display());
        if path.as_os_str() == "-" {
            return Err(Failure::new("a pipe cannot be signed: name the bundle's file"));
        }
        // Locked before it is read: another signature that comes meanwhile would be lost.
        let rewrite = rewrite::lock(path, ui.run())?;
        let file = rewrite.file().try_clone();
        let file = file.map_err(|error| about(Failure::new("cannot be read").cause(error)))?;
        let bundle = Bundle::open(file).map_err(|error| about(error.into()))?;
        if let Some(finding) = file_name_finding(path, bundle.id()) {
            return Err(about(bundle::Error::from(finding).into()));
        }
        if let (Some(asked), Some(named)) = (&args.archive, &bundle.manifest().archive)
            && asked != named
        {
            return Err(about(Failure::no(format!("it is made for the archive {named}, not for {asked}"))));
        }
        let elsewhere = rewrite::signed_elsewhere(&bundle, args.archive.as_ref(), &signers).filter(|_| !args.replace);
        if let Some((key, archive)) = elsewhere {
            return Err(about(
                Failure::no(format!("{key} has signed it for {archive}, and a bundle holds one signature of a key"))
                    .hint("sign a copy, or let `--replace` put the new signature in the place of that one"),
            ));
        }
        let contents = bundle.contents().map_err(|error| about(error.into()))?;
        ui.begin(Task::Verify, Some(contents.layout.end()));
        let signed =
            rewrite::sign(&bundle, Target::InPlace(rewrite), args.archive.as_ref(), now()?, &signers, ui.run());
        ui.finish();
        signed.map_err(|error| about(error.into()))?;
        let by: Vec<_> = signers.iter().map(|signer| signer.public().id().to_string()).collect();
        if ui.json {
            let (file, id) = (path.display().to_string(), bundle.id().to_string());
            ui.print_json("signed", &JsonSigned { file, id, by })?;
        } else {
            ui.say(format!("{}: signed by {}", path.display(), by.join(", ")));
        }
    }
    Ok(Answer::Yes)
}

/// Returns the files that are meant: of an archive those that wait in its `incoming/`, all or those of the ids that follow.
fn waiting_in(named: &[PathBuf], ui: &Ui) -> Result<Vec<PathBuf>, Failure> {
    let Some((first, ids)) = named.split_first().filter(|(first, _)| first.is_dir() && place::is_archive(first)) else {
        return Ok(named.to_vec());
    };
    let archive = Archive::open(Store::new(first))?;
    let there = |id: &PathBuf| {
        let text = id.to_string_lossy();
        let id = text.parse::<Digest>().map(BundleId);
        let id = id.map_err(|_| Failure::new(format!("{text:?} is no id of a bundle")))?;
        let file = archive.store().path(&layout::incoming_bundle(id));
        if file.exists() { Ok(file) } else { Err(Failure::no(format!("{id} does not wait in {}", first.display()))) }
    };
    if !ids.is_empty() {
        return ids.iter().map(there).collect();
    }
    let Incoming { bundles, others } = Incoming::of(&archive)?;
    for name in others.iter().filter(|name| name.ends_with(BUNDLE_ENDING)) {
        ui.say(format!("warning: {}/{name}: is no bundle of its name, left out", layout::WAITING));
    }
    if bundles.is_empty() {
        ui.say(format!("{}: no bundle waits", first.display()));
    }
    Ok(bundles.into_iter().map(|(_, file, _)| file).collect())
}
