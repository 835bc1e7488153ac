//! The heads of logs that this person has seen: whoever shows an older one, or another history, is refused. (FORMAT.md, "Mirrors")
//!
//! `heads/<16 hex of the origin and log key>` in the configuration folder is the newest checkpoint of each log, under each key that the policy says
//! it has or had, and `.policy` beside it the version of the policy that counted then. A copy that is older on purpose is read with `--older`; two histories never are, and both checkpoints are kept. A
//! head gives way where a newer policy counts that was made below it: its root keys have said which history goes on. (P2)

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{Log, Vouched};
use crate::digest::Digest;
use crate::format::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::ids::LeafIndex;
use crate::keys::{Note, VerifierKey};
use crate::store::disk;

use super::ui::{Ui, leaves};
use super::{Failure, keyring};

const POLICY: &str = "policy";
const MAX_VERSION_BYTES: u64 = 32;

/// Compares the head of the archive `name` with the newest one of its log that was seen, and keeps the newer of the two.
///
/// # Errors
/// Where it is older, unless `older` says that this is meant, or of another history.
pub(super) fn check(name: &str, log: &mut Log<'_>, vouched: &Vouched, older: bool, ui: &Ui) -> Result<(), Failure> {
    compare(name, log, vouched, (older, true), ui)
}

/// Compares a head with the newest one that was seen, and keeps it where it is said to `remember` it; a head of which not all is at hand yet must not
/// keep what is there from being read.
///
/// # Errors
/// As [`check`].
pub(super) fn compare(
    name: &str,
    log: &mut Log<'_>,
    vouched: &Vouched,
    (older, remember): (bool, bool),
    ui: &Ui,
) -> Result<(), Failure> {
    // Who has no place for them has seen none.
    let Ok(folder) = keyring::folder(ui) else { return Ok(()) };
    let now = &vouched.checkpoint;
    let places: Vec<PathBuf> = names(vouched).iter().map(|name| folder.join("heads").join(name)).collect();
    let heads: Vec<Option<Checkpoint>> = places.iter().map(|place| read(place, ui)).collect();
    let seen = places.iter().zip(&heads).filter_map(|(place, seen)| Some((place, seen.as_ref()?)));
    let keep = || if remember { keep(&places, vouched, ui) } else { Ok(()) };
    let Some((place, seen)) = seen.max_by_key(|(_, seen)| seen.size) else { return keep() };
    let is_other = now.size < seen.size || log.root(seen.size)? != seen.root;
    // Nothing comes after the leaf that closes an archive: who shows all up to it hides nothing.
    if now.size < seen.size && vouched.authority().closed_at().is_some_and(|closed| closed.0 < now.size) {
        return Ok(());
    }
    if is_other && gives_way(place, seen, vouched, ui) {
        if !remember {
            return Ok(());
        }
        let before = disk::read_small(place, MAX_CHECKPOINT_BYTES, ui.run()).unwrap_or_default();
        let _ = disk::put(&place.with_extension("before"), &before, ui.run());
        ui.say(format!(
            "warning: {name}: by a newer version of the policy its log has taken the place of one that was seen before"
        ));
        return keep();
    }
    if now.size < seen.size {
        if older {
            ui.say(format!(
                "warning: {name}: is an older copy, of {} leaves; {} were seen before",
                now.size, seen.size
            ));
            return Ok(());
        }
        return Err(Failure::no(format!(
            "{name}: its log has {}, one of {} was seen here before",
            leaves(now.size),
            leaves(seen.size)
        ))
        .hint("somebody may be hiding what came since; if this is an older copy on purpose, `--older` reads it"));
    }
    if is_other {
        let other = place.with_extension("fork");
        let kept = disk::put(&other, vouched.note.to_string().as_bytes(), ui.run());
        kept.map_err(|error| Failure::new(format!("{}: cannot be written", other.display())).cause(error))?;
        return Err(Failure::no(format!("{name}: its log and one that was seen here before are two histories"))
            .hint(format!("both checkpoints are kept: `vellum log compare {} {name}`", place.display())));
    }
    if heads.iter().all(|seen| seen.as_ref() == Some(now)) { Ok(()) } else { keep() }
}

/// P2: says whether the head that was seen gives way: only what the head of a newer policy covers binds.
fn gives_way(place: &Path, seen: &Checkpoint, vouched: &Vouched, ui: &Ui) -> bool {
    let known = disk::read_small(&place.with_extension(POLICY), MAX_VERSION_BYTES, ui.run()).ok();
    let known = known.and_then(|bytes| String::from_utf8(bytes).ok()?.trim_end().parse::<u64>().ok()).unwrap_or(0);
    vouched.authority().policy().is_some_and(|policy| policy.version > known && policy.log.size <= seen.size)
}

/// Returns the files' names of a log's head, one for each key that the log has or had: a copy of before its key changed is older all the same.
fn names(vouched: &Vouched) -> Vec<String> {
    let of_policy = vouched.authority().policy().map_or(&[][..], |policy| &policy.logs);
    let mut names: Vec<String> =
        std::iter::once(&vouched.log_key).chain(of_policy.iter().map(|log| &log.key)).map(name).collect();
    names.sort();
    names.dedup();
    names
}

fn name(log_key: &VerifierKey) -> String {
    let hex = Digest::of(log_key.to_string().as_bytes()).to_string();
    hex[..16].to_owned()
}

/// Reads the head that was seen; one that cannot be read is as good as none.
fn read(place: &Path, ui: &Ui) -> Option<Checkpoint> {
    let bytes = disk::read_small(place, MAX_CHECKPOINT_BYTES, ui.run()).ok()?;
    Checkpoint::parse(Note::parse(&bytes).ok()?.text()).ok()
}

fn keep(places: &[PathBuf], vouched: &Vouched, ui: &Ui) -> Result<(), Failure> {
    // A head that too few have seen binds nobody: it would keep the one that they have from being read. Nor does one after the leaf that closes.
    let ends = |closed: LeafIndex| vouched.checkpoint.size > closed.0 + 1;
    if vouched.is_unwitnessed() || vouched.authority().closed_at().is_some_and(ends) {
        return Ok(());
    }
    let version = vouched.authority().policy().map_or(0, |policy| policy.version);
    for place in places {
        let folder = place.parent().map_or(Ok(()), disk::make_private_folder);
        // A configuration that cannot be written to, of a guest say, remembers nothing, and reads all the same.
        if folder.is_err() || fs::metadata(place).is_ok_and(|found| found.permissions().readonly()) {
            return Ok(());
        }
        // The version first: a head of a newer one than it says could be made to give way.
        let _ = disk::put(&place.with_extension(POLICY), format!("{version}\n").as_bytes(), ui.run());
        let _ = disk::put(place, vouched.note.to_string().as_bytes(), ui.run());
    }
    Ok(())
}
