//! `vellum sync`: a verified copy of an archive, kept up to date from one or more origins.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::archive::Archive;
use crate::ids::Origin;
use crate::mirror::{SyncOptions, SyncReport, sync};
use crate::store::{Remote, Store};
use crate::watch::Watch;

use super::input::ReadArgs;
use super::pace::Clock;
use super::pack::now;
use super::ui::{self, Ui};
use super::{Answer, Failure, heads, keyring, place};

/// The leaves that are named of those that do not count.
const MAX_SHOWN: usize = 20;
/// How often an interrupted wait is noticed.
const TICK: Duration = Duration::from_millis(200);

/// Bring a mirror up to date with an archive, believing nothing that was not verified
///
/// An origin is a folder, a web address or a bucket. What is cut goes on where it was; what was there stays whole and readable all the
/// time; nothing is deleted unless the log withdraws it.
#[derive(Debug, Args)]
#[command(override_usage = "vellum sync [OPTIONS] <ORIGIN>... <MIRROR>")]
#[command(after_help = "\
Examples:
  vellum sync https://example.org/library mirror/
  vellum sync https://one.example https://two.example mirror/   whichever has it; a bad one is dropped by name
  vellum sync --policy library-1.toml https://example.org/library mirror/
  vellum sync --watch 300 https://example.org/library mirror/   follow it, looking every 5 minutes
  vellum sync --dry-run /media/usb/library mirror/

Exit code 1 means that an origin rewrote its history, went back, or lied; what it said is kept in the mirror's .vellum/state/evidence.")]
pub(super) struct SyncArgs {
    /// Where from: folders, web addresses, buckets; and last the mirror's folder
    #[arg(required = true, value_name = "ORIGIN... MIRROR")]
    places: Vec<PathBuf>,
    /// Say what would be fetched, and fetch nothing
    #[arg(long)]
    dry_run: bool,
    /// Look again every so many seconds
    #[arg(long, value_name = "SECONDS")]
    watch: Option<NonZeroU64>,
    /// At most so many bytes a second: 500k, 2M, 1G
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<u64>,
    /// Bundles to fetch at once
    #[arg(long, value_name = "N", default_value = "4")]
    streams: NonZeroUsize,
    /// Keep for so many days what a withdrawal has replaced, before it is erased
    #[arg(long, value_name = "DAYS", default_value = "14")]
    grace: u32,
    /// Take a checkpoint that too few witnesses have cosigned: for the witnesses themselves
    #[arg(long)]
    unwitnessed: bool,
    /// Remove bundles that the log does not have
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonSync {
    mirror: String,
    before: u64,
    after: u64,
    bundles: u64,
    bytes: u64,
    moved: u64,
    withdrawn: Vec<String>,
    missing: Vec<String>,
    void: Vec<(u64, String)>,
    strays: Vec<String>,
    dropped: Vec<JsonDropped>,
    warning: Option<String>,
    gave_way: Option<String>,
    dry_run: bool,
}

#[derive(Serialize)]
pub(super) struct JsonDropped {
    pub(super) origin: String,
    pub(super) why: String,
}

pub(super) fn run(args: &SyncArgs, ui: &Ui) -> Result<Answer, Failure> {
    let Some((mirror, origins)) = args.places.split_last().filter(|(_, origins)| !origins.is_empty()) else {
        return Err(Failure::new("expected one or more origins, and last the mirror's folder")
            .hint("`vellum sync https://example.org/library mirror/`"));
    };
    if mirror.to_str().is_some_and(Remote::is_url) {
        return Err(Failure::new(format!("{}: a mirror is a folder", mirror.display()))
            .hint("`vellum push ARCHIVE s3://BUCKET/PREFIX` puts an archive into a bucket"));
    }
    args.read.fit(&args.places, true)?;
    let mirror_store = Store::new(mirror);
    let stores = origins.iter().map(|origin| place::store(origin)).collect::<Result<Vec<_>, _>>()?;
    let pace = Clock::new(args.limit_rate);
    loop {
        let outcome = once(args, &mirror_store, &stores, &pace, ui);
        ui.finish();
        let Some(seconds) = args.watch else { return outcome };
        // A mirror that follows outlives a bad day of its origins.
        if let Err(failure) = outcome {
            ui.failure(&failure);
        }
        for _ in 0..seconds.get().saturating_mul(1000) / TICK.as_millis() as u64 {
            if ui.cancelled() {
                return Ok(Answer::Yes);
            }
            thread::sleep(TICK);
        }
    }
}

fn once(args: &SyncArgs, mirror: &Store, origins: &[Store], pace: &Clock, ui: &Ui) -> Result<Answer, Failure> {
    let (name, claimed) = named(args, mirror, origins, ui)?;
    let pin = keyring::pin(args.read.trust(), false, &name, &claimed, ui)?;
    let who = super::archive::who();
    let options = SyncOptions {
        origins,
        name: &name,
        pin: &pin,
        moment: args.read.at()?.map_or_else(now, Ok)?,
        streams: args.streams,
        dry_run: args.dry_run,
        grace: args.grace,
        unwitnessed: args.unwitnessed,
        delete: args.delete,
        seen: &|vouched, log| {
            heads::compare(vouched.checkpoint.origin.as_str(), log, vouched, (args.read.older(), false), ui)
                .map_err(|failure| failure.words())
        },
        who: &who,
        pace,
    };
    let report = sync(mirror, &options, ui.run())?;
    ui.finish();
    if let Some(vouched) = report.vouched.as_ref().filter(|_| report.after != report.before) {
        let archive = Archive::open(mirror.clone())?;
        heads::check(&mirror.name(), &mut archive.log(&vouched.checkpoint), vouched, args.read.older(), ui)?;
    }
    print(&report, mirror, args.dry_run, ui)?;
    Ok(Answer::Yes)
}

/// Returns the archive's name and what it calls its log's key: as the mirror has it already, else as the first origin says, which
/// what a person vouches for must bear out.
fn named(
    args: &SyncArgs,
    mirror: &Store,
    origins: &[Store],
    ui: &Ui,
) -> Result<(Origin, crate::keys::VerifierKey), Failure> {
    let (mut first, mut other, mut unknown) = (None, None, None);
    // No mirror is there yet, or it is the one to go on with.
    let held = Archive::open(mirror.clone()).ok();
    for store in origins {
        match Archive::open(store.clone()) {
            Ok(archive) => {
                let name = archive.origin().clone();
                if let Some(asked) = args.read.archive().filter(|asked| **asked != name) {
                    return Err(Failure::no(format!("{}: is the archive {name}, not {asked}", store.name())));
                }
                match &held {
                    Some(held) if *held.origin() != name => drop(other.get_or_insert((store.name(), name))),
                    Some(held) => return Ok((name, held.log_key().clone())),
                    // One that calls itself by a name which nobody trusts here is no reason to ask no other.
                    None if keyring::pin(args.read.trust(), false, &name, archive.log_key(), ui).is_err() => {
                        unknown = unknown.or(Some((name, archive.log_key().clone())));
                    }
                    None => return Ok((name, archive.log_key().clone())),
                }
            }
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    if let (None, Some(unknown)) = (&held, unknown) {
        return Ok(unknown);
    }
    match (held, other) {
        (Some(held), Some((store, name))) => {
            let (folder, held) = (mirror.name(), held.origin());
            Err(Failure::new(format!("{folder}: is the archive {held}, {store} is {name}"))
                .hint("give the mirror a folder of its own"))
        }
        // What no origin says now, the mirror knows.
        (Some(held), None) => Ok((held.origin().clone(), held.log_key().clone())),
        (None, _) => Err(first.map_or_else(|| Failure::new("no origin"), Failure::from)),
    }
}

fn print(report: &SyncReport, mirror: &Store, dry_run: bool, ui: &Ui) -> Result<(), Failure> {
    for dropped in &report.dropped {
        ui.say(format!("warning: {}: not used: {}", &dropped.origin, &dropped.why));
    }
    if let Some((evidence, folder)) = &report.gave_way {
        ui.say(format!(
            "warning: the history that was held here gave way to another one, by a newer version of the policy; what it alone had is kept in {folder}, \
             both checkpoints in {evidence}"
        ));
    }
    if let Some(warning) = &report.warning {
        ui.say(format!("warning: not fresh: {}", warning));
    }
    for name in &report.absent {
        ui.say(format!("warning: the origin has no {name} as the log has it"));
    }
    for name in &report.own {
        ui.say(format!(
            "warning: {name} is a file of your own; the archive's document of that name is not put over it"
        ));
    }
    for id in &report.missing {
        ui.say(format!("warning: no origin has bundle {id} any more, and what was to take its place does not"));
    }
    for (leaf, why) in report.void.iter().take(MAX_SHOWN) {
        ui.say(format!("warning: leaf {leaf} does not count: {why}"));
    }
    if report.void.len() > MAX_SHOWN {
        ui.say(format!(
            "  … and {} more; `vellum verify` lists all",
            ui::thousands((report.void.len() - MAX_SHOWN) as u64)
        ));
    }
    let (bundles, bytes) = report.bundles;
    if ui.json {
        let dropped = report.dropped.iter();
        return ui.print_json(
            "sync",
            &JsonSync {
                mirror: mirror.name(),
                before: report.before,
                after: report.after,
                bundles,
                bytes,
                moved: report.moved,
                withdrawn: report.withdrawn.iter().map(ToString::to_string).collect(),
                missing: report.missing.iter().map(ToString::to_string).collect(),
                void: report.void.iter().map(|(leaf, why)| (leaf.0, why.clone())).collect(),
                strays: report.strays.clone(),
                dropped: dropped.map(|d| JsonDropped { origin: d.origin.clone(), why: d.why.clone() }).collect(),
                warning: report.warning.clone(),
                gave_way: report.gave_way.as_ref().map(|(_, folder)| folder.clone()),
                dry_run,
            },
        );
    }
    let leaves = ui::count(report.after.saturating_sub(report.before), "new leaf").replace("leafs", "leaves");
    let what = format!("{leaves}, {}, {}", ui::count(bundles, "bundle"), ui::bytes(bytes));
    if dry_run {
        return ui.print(format!("{}: would fetch {what}", mirror.name()));
    }
    if report.after == report.before && bundles == 0 {
        ui.print(format!("{}: nothing new; {}", mirror.name(), ui::leaves(report.after)))?;
    } else {
        ui.print(format!("{}: {what}; now {}", mirror.name(), ui::leaves(report.after)))?;
    }
    for id in &report.withdrawn {
        ui.print(format!("  withdrawn  bundle {id}"))?;
    }
    report.strays.iter().try_for_each(|stray| ui.print(format!("  removed    {}", stray)))
}

/// Reads a rate: bytes, or with k, M or G thousands, millions, thousands of millions of them.
fn rate(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let rate = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    rate.filter(|rate| *rate > 0).ok_or_else(|| "expected a number of bytes such as 500k or 2M".into())
}
