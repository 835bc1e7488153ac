//! `vellum pack`: a folder of articles becomes a signed bundle.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use globset::{Glob, GlobSetBuilder};
use jiff::Timestamp;
use serde::Serialize;

use crate::archive::Archive;
use crate::collection::add::{AddOptions, Added, add, preview};
use crate::folder::litter::Litter;
use crate::folder::pack::{BUNDLE_BYTES, LEVEL, PackOptions, Packed, pack};
use crate::folder::walk::{Note, WalkOptions, root_name};
use crate::folder::{BUNDLE_ENDING, readable};
use crate::format::bundle::check;
use crate::format::frame::MAX_LEVEL;
use crate::format::framing::{FRAME_BYTES, MAX_FRAME_TARGET, MIN_FRAME_TARGET};
use crate::format::manifest::{MAX_TITLE_BYTES, Name, is_title};
use crate::ids::Origin;
use crate::keys::Signer;
use crate::path::EntryPath;
use crate::store::Store;
use crate::watch::{Task, Watch};

use super::archive::{LogSignerArgs, Writable};
use super::deposit::say_waiting;
use super::keyring::{self, SignerArgs};
use super::ui::{self, Ui};
use super::{Answer, Failure, key};

/// Notes of one kind that are printed before the rest is only counted.
const MAX_SHOWN: usize = 5;

/// Pack a folder of articles into a signed bundle
///
/// An article is a folder with an `article.toml`; or `name.ext` with `name.toml` beside it; or a bare document, whose metadata is then
/// derived from it. Nothing is skipped silently.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum pack essays/                      makes essays-<12 digits of its id>.tar.zst here, signed by your key
  vellum pack -o essays.tar.zst essays/    makes this file
  vellum pack --init --check essays/       the first time: makes a key if you have none, and reads the bundle back
  vellum pack --title 'Essays, 2026' --output bundles/ essays/
  vellum pack --into library/ essays/      add what is new or changed to an archive
  vellum pack --into library/ --dry-run essays/
  vellum pack --exclude '**/drafts' --strict --portable essays/")]
pub(super) struct PackArgs {
    /// Folder of articles, or a single document
    path: PathBuf,
    /// Folder to write the bundle to, or a file whose name ends with .tar.zst [default: the current folder]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Add what is new or changed to this archive
    #[arg(long, value_name = "ARCHIVE")]
    into: Option<PathBuf>,
    #[command(flatten)]
    add: AddArgs,
    /// The bundle's name and top folder: lower-case letters, digits, `.`, `_`, `-` [default: after the folder]
    #[arg(long)]
    name: Option<Name>,
    /// The bundle's title [default: the folder's name]
    #[arg(long)]
    title: Option<String>,
    /// The archive that the bundle is made for, such as example.org/library
    #[arg(long, value_name = "ORIGIN")]
    archive: Option<Origin>,
    #[command(flatten)]
    signers: SignerArgs,
    /// Make a key, without a pass phrase, if you have none
    #[arg(long)]
    init: bool,
    /// Make a bundle that nobody has signed; `vellum sign` can do so later
    #[arg(long, conflicts_with_all = ["init", "keys", "agent"])]
    unsigned: bool,
    /// Read the finished bundle back and verify it
    #[arg(long)]
    check: bool,
    /// Refuse articles without metadata, and unknown keys in it
    #[arg(long)]
    strict: bool,
    /// Refuse names that differ only by case, or that Windows refuses
    #[arg(long)]
    portable: bool,
    /// Pack what symbolic links point to
    #[arg(long)]
    follow_symlinks: bool,
    /// Pack names that hold %0A, %0D or %25, which some BagIt tools misread
    #[arg(long)]
    allow_percent: bool,
    /// Pack what tools and systems leave too: .git, .DS_Store, Thumbs.db, *~ and their like, archives
    #[arg(long)]
    all: bool,
    /// Leave out paths that fit this glob (can be repeated)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Glob>,
    /// Level of zstd
    #[arg(long, default_value_t = LEVEL, value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_LEVEL)))]
    level: i32,
    /// Fill frames up to this, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = FRAME_BYTES,
          value_parser = clap::value_parser!(u64).range(MIN_FRAME_TARGET..=MAX_FRAME_TARGET))]
    frame_size: u64,
    /// Close a bundle before the article that would bring its content over this, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = BUNDLE_BYTES)]
    bundle_size: u64,
    /// Replace a bundle that has the name already, unless it would lose signatures of others
    #[arg(long)]
    overwrite: bool,
    /// Keep the times at which files were last changed; `extract` restores them
    #[arg(long)]
    times: bool,
    /// Print every note in full
    #[arg(long, short)]
    verbose: bool,
}

/// How to add a folder to an archive.
#[derive(Debug, Args)]
struct AddArgs {
    /// The source's name, which goes before its articles' ids [default: the folder's name]
    #[arg(long, value_name = "NAME", requires = "into", value_parser = |text: &str| EntryPath::parse(text))]
    source: Option<EntryPath>,
    /// Say what would be added, and add nothing
    #[arg(long, requires = "into", conflicts_with_all = ["init", "check"])]
    dry_run: bool,
    /// Read every file, even one that looks as it did the last time
    #[arg(long, requires = "into")]
    rehash: bool,
    /// Revise articles whose ids another source holds
    #[arg(long, requires = "into")]
    take_over: bool,
    /// Derive metadata anew although the content is unchanged
    #[arg(long, requires = "into")]
    rederive: bool,
    /// Take articles in again that were withdrawn
    #[arg(long, requires = "into")]
    reinstate: bool,
    #[command(flatten)]
    log: LogSignerArgs,
}

#[derive(Serialize)]
struct JsonAdded<'a> {
    dry_run: bool,
    new: &'a [String],
    changed: &'a [String],
    vanished: &'a [String],
    withdrawn: &'a [String],
    unchanged: u64,
    waits: bool,
}

#[derive(Serialize)]
struct JsonBundle {
    id: String,
    file: String,
    name: String,
    title: String,
    articles: u64,
    files: u64,
    bytes: u64,
    file_bytes: u64,
    kept: bool,
}

#[derive(Serialize)]
struct JsonNote<'a> {
    place: &'a str,
    note: String,
}

pub(super) fn run(args: PackArgs, ui: &Ui) -> Result<Answer, Failure> {
    // Asked here: clap takes no notice that an option requires another where that one conflicts with a third that is given.
    if args.into.is_some() && (args.output.is_some() || args.overwrite) {
        let option = if args.overwrite { "--overwrite" } else { "--output" };
        return Err(
            Failure::new(format!("{option} has no effect with --into")).hint("an archive has places of its own")
        );
    }
    if args.into.is_none() && args.add.log.is_given() {
        return Err(
            Failure::new("--log-secret has no effect without --into").hint("`--into ARCHIVE` adds to an archive")
        );
    }
    readable(&args.path)?;
    let folder = root_name(&args.path);
    let name = match &args.name {
        Some(name) => name.clone(),
        None => Name::like(&folder).or_else(|| Name::like("articles")).ok_or_else(|| Failure::new("no name"))?,
    };
    let title = args.title.clone().unwrap_or(folder);
    if title.len() > MAX_TITLE_BYTES {
        let found = format!("the title is {} bytes long, at most {MAX_TITLE_BYTES} are allowed", title.len());
        return Err(Failure::new(found).hint("give a shorter one with `--title`"));
    }
    if !is_title(&title) {
        return Err(
            Failure::new(format!("the title must be one line of text: {title:?}")).hint("give one with `--title`")
        );
    }
    // A trial run signs nothing, and asks for no pass phrase.
    let unsigned = args.unsigned || args.add.dry_run;
    let mut signers = if unsigned { Vec::new() } else { keyring::signers(&args.signers, ui)? };
    if signers.is_empty() && args.init {
        ui.say("you have no key yet");
        signers.push(Box::new(key::make(None, None, ui)?));
        ui.say("  it has no pass phrase: `vellum key passphrase KEYID` sets one");
    }
    if signers.is_empty() && !unsigned {
        return Err(Failure::new("no key to sign with")
            .hint("`vellum key new` makes one, `--init` makes one on the way, `--unsigned` does without"));
    }
    let mut exclude = GlobSetBuilder::new();
    for glob in &args.exclude {
        exclude.add(glob.clone());
    }
    let exclude = exclude.build().map_err(|error| Failure::new("--exclude").cause(error))?;
    let options = PackOptions {
        archive: args.archive.clone(),
        walk: WalkOptions {
            follow_symlinks: args.follow_symlinks,
            allow_percent: args.allow_percent,
            all: args.all,
            exclude,
            prefix: None,
        },
        strict: args.strict,
        portable: args.portable,
        level: args.level,
        frame_bytes: args.frame_size,
        bundle_bytes: args.bundle_size,
        overwrite: args.overwrite,
        times: args.times,
        ..PackOptions::new(name, title, now()?)
    };
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    if let Some(into) = &args.into {
        return add_to(into, &args, options, &signers, ui);
    }
    let output = args.output.as_deref().unwrap_or(Path::new("."));
    let is_file = output.as_os_str().to_string_lossy().ends_with(BUNDLE_ENDING) && !output.is_dir();
    let (output, file) = match output.file_name().filter(|_| is_file) {
        Some(file) => (output.parent().unwrap_or(Path::new("")).to_owned(), Some(file.to_owned())),
        None => (output.to_owned(), None),
    };
    let output = if output.as_os_str().is_empty() { PathBuf::from(".") } else { output };
    let options = PackOptions { file, ..options };
    let packed = pack(&args.path, &output, &options, &signers, ui.run());
    ui.finish();
    if let (Err(crate::folder::Error::Refused(refusals)), true) = (&packed, ui.json) {
        for refusal in refusals {
            ui.print_json("refusal", &JsonNote { place: &refusal.place, note: refusal.reason.to_string() })?;
        }
    }
    let packed = packed?;
    report(&packed, args.verbose, ui)?;
    if args.check { read_back(&packed, ui) } else { Ok(Answer::Yes) }
}

/// Adds a folder to an archive, or says what that would do.
fn add_to(
    into: &Path,
    args: &PackArgs,
    pack: PackOptions,
    signers: &[&dyn Signer],
    ui: &Ui,
) -> Result<Answer, Failure> {
    let archive = super::place::own_catalog(Archive::open(Store::new(into))?, ui)?;
    if let Some(asked) = args.archive.as_ref().filter(|asked| *asked != archive.origin()) {
        return Err(Failure::new(format!("{}: is the archive {}, not {asked}", into.display(), archive.origin())));
    }
    let source = match &args.add.source {
        Some(source) => source.clone(),
        None => EntryPath::parse(&stem_of(&args.path)).map_err(|fault| {
            Failure::new(format!("the folder's name is no name for a source: {fault}"))
                .hint("give one with `--source NAME`")
        })?,
    };
    if source.as_str().contains('/') {
        return Err(Failure::new("a source's name has no `/`"));
    }
    let walk = WalkOptions { prefix: Some(source.clone()), ..pack.walk };
    let pack = PackOptions { archive: Some(archive.origin().clone()), walk, ..pack };
    let AddArgs { rehash, take_over, rederive, reinstate, dry_run, .. } = args.add;
    let options = AddOptions { pack, source, rehash, take_over, rederive, reinstate };
    let added = if dry_run {
        let pin = keyring::own_pin(archive.origin(), archive.log_key(), signers, ui)?;
        let vouched = archive.vouched(&pin, ui.run()).map_err(|error| Failure::no_from(error).about(into.display()))?;
        preview(&archive, (&vouched.history, &vouched.checkpoint), &args.path, &options, ui.run())
    } else {
        let opened = Writable::open(into, &args.add.log, args.signers.passphrase_file.as_deref(), signers, ui)?;
        let mut catalog = opened.archive.catalog()?;
        let log = opened.log_signers();
        let mut writer = opened.writer(&log, ui)?;
        add(&mut writer, &mut catalog, &args.path, &options, (signers, &opened.pin), ui.run())
    };
    ui.finish();
    if let (Err(crate::collection::Error::Folder(crate::folder::Error::Refused(refusals))), true) = (&added, ui.json) {
        for refusal in refusals {
            ui.print_json("refusal", &JsonNote { place: &refusal.place, note: refusal.reason.to_string() })?;
        }
    }
    let added = added?;
    if added.packed.bundles.is_empty() {
        report_notes(&added.packed.notes, args.verbose, ui)?;
    } else {
        report(&added.packed, args.verbose, ui)?;
    }
    report_added(&added, dry_run, args.verbose, ui)?;
    if let Some(waits) = added.waits {
        say_waiting(into, None, waits, ui);
    }
    if args.check && !dry_run { read_back(&added.packed, ui) } else { Ok(Answer::Yes) }
}

/// Returns a folder's name, or a document's without its ending.
fn stem_of(path: &Path) -> String {
    let name = root_name(path);
    if path.is_dir() { name } else { name.rsplit_once('.').map_or(name.clone(), |(stem, _)| stem.to_owned()) }
}

fn report_added(added: &Added, dry_run: bool, verbose: bool, ui: &Ui) -> Result<(), Failure> {
    let Added { new, changed, vanished, withdrawn, unchanged, .. } = added;
    if ui.json {
        let (unchanged, waits) = (*unchanged, added.waits.is_some());
        return ui.print_json("added", &JsonAdded { dry_run, new, changed, vanished, withdrawn, unchanged, waits });
    }
    let groups = [
        (new, "new"),
        (changed, "changed"),
        (withdrawn, "left out, since they were withdrawn (--reinstate takes them)"),
        (vanished, "not in the folder any more; they stay in the archive"),
    ];
    for (ids, what) in groups.iter().filter(|(ids, _)| !ids.is_empty()) {
        ui.say(format!("{} {what}", ui::thousands(ids.len() as u64)));
        let quiet = *what == "new" && !verbose && !dry_run;
        let shown = if quiet {
            0
        } else if verbose {
            ids.len()
        } else {
            MAX_SHOWN
        };
        ids.iter().take(shown).for_each(|id| ui.say(format!("  {}", id)));
        if ids.len() > shown && !quiet {
            ui.say(format!("  and {} more; `--verbose` shows all", ids.len() - shown));
        }
    }
    ui.say(format!("{} unchanged{}", ui::thousands(*unchanged), if dry_run { "; nothing was added" } else { "" }));
    Ok(())
}

/// Returns the time that signatures claim: SOURCE_DATE_EPOCH, or now.
pub(super) fn now() -> Result<Timestamp, Failure> {
    let Some(epoch) = env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default());
    };
    let seconds = epoch.to_str().and_then(|text| text.parse().ok()).and_then(|s: i64| Timestamp::from_second(s).ok());
    seconds.ok_or_else(|| Failure::new(format!("SOURCE_DATE_EPOCH is no count of seconds: {}", epoch.display())))
}

fn report(packed: &Packed, verbose: bool, ui: &Ui) -> Result<(), Failure> {
    report_notes(&packed.notes, verbose, ui)?;
    for bundle in &packed.bundles {
        if ui.json {
            let manifest = &bundle.manifest;
            let (articles, files, bytes) = (manifest.articles, manifest.files, manifest.bytes);
            let (name, title) = (manifest.name.to_string(), manifest.title.clone());
            let (id, file) = (bundle.id.to_string(), bundle.file.display().to_string());
            let (file_bytes, kept) = (bundle.file_bytes, bundle.kept);
            let json = JsonBundle { id, file, name, title, articles, files, bytes, file_bytes, kept };
            ui.print_json("bundle", &json)?;
        } else {
            ui.print(bundle.file.display())?;
        }
        if bundle.kept {
            ui.say(format!("{} was there already and stays as it was", bundle.file.display()));
        }
    }
    let sum = |of: fn(&crate::folder::pack::PackedBundle) -> u64| packed.bundles.iter().map(of).sum::<u64>();
    let bytes_in = sum(|bundle| bundle.manifest.bytes);
    let bytes_out = sum(|bundle| bundle.file_bytes);
    ui.say(format!(
        "packed {}, {}, {} into {}, {} ({:.1} : 1)",
        ui::count(sum(|bundle| bundle.manifest.articles), "article"),
        ui::count(sum(|bundle| bundle.manifest.files), "file"),
        ui::bytes(bytes_in),
        ui::count(packed.bundles.len() as u64, "bundle"),
        ui::bytes(bytes_out),
        bytes_in as f64 / bytes_out.max(1) as f64,
    ));
    if !packed.derived.is_empty() {
        let from: Vec<_> =
            packed.derived.iter().map(|(from, n)| format!("{} from {from}", ui::thousands(*n))).collect();
        ui.say(format!("derived metadata: {}", from.join(", ")));
    }
    Ok(())
}

/// Prints every note as JSON, or says them by kind, those of one kind cut short.
pub(super) fn report_notes(notes: &[(String, Note)], verbose: bool, ui: &Ui) -> Result<(), Failure> {
    if ui.json {
        return notes
            .iter()
            .try_for_each(|(place, note)| ui.print_json("note", &JsonNote { place, note: note.to_string() }));
    }
    let mut notes: Vec<_> = notes.iter().collect();
    let kind = |note: &Note| match note {
        Note::Renamed(_) => "brought to NFC",
        Note::Case(_) => "differ only by case (--portable refuses them)",
        Note::Windows => "have names that Windows refuses (--portable refuses them)",
        Note::Nested(_) => "articles inside other articles' folders",
        Note::EmptyFolder => "empty folders, left out",
        Note::Litter(Litter::VersionControl) => "of version control systems, left out (--all takes them)",
        Note::Litter(Litter::System) => "left by operating systems, left out (--all takes them)",
        Note::Litter(Litter::Editor) => "left by editors, left out (--all takes them)",
        Note::Litter(Litter::Archive) => "archives, left out (--all takes them)",
        Note::Excluded => "left out by --exclude",
        Note::Metadata(_) | Note::MoreMetadata(_) => "unknown keys in metadata, kept as they are",
        Note::Time => "were changed outside of the years 0001 to 9999; their times are not kept",
        Note::Changed => "changed while they were read, and were read again",
    };
    notes.sort_by_key(|(_, note)| kind(note));
    for same in notes.chunk_by(|a, b| kind(&a.1) == kind(&b.1)) {
        let more: u64 = same.iter().map(|(_, note)| if let Note::MoreMetadata(n) = note { n - 1 } else { 0 }).sum();
        ui.say(format!("{} {}:", ui::thousands(same.len() as u64 + more), kind(&same[0].1)));
        let shown = if verbose { same.len() } else { MAX_SHOWN };
        for (place, note) in same.iter().take(shown) {
            ui.say(format!("  {}: {}", place, &note.to_string()));
        }
        if same.len() > shown {
            let more = ui::thousands((same.len() - shown) as u64 + more);
            ui.say(format!("  and {more} more; `--verbose` shows all"));
        }
    }
    Ok(())
}

fn read_back(packed: &Packed, ui: &Ui) -> Result<Answer, Failure> {
    for bundle in &packed.bundles {
        let open = std::fs::File::open(&bundle.file);
        let open =
            open.map_err(|error| Failure::new(format!("{}: cannot be read", bundle.file.display())).cause(error))?;
        ui.begin(Task::Verify, None);
        let report = check(&open, ui.run())?;
        ui.finish();
        super::verify::print_findings(&report.findings, ui)?;
        if !report.findings.is_empty() || report.id() != Some(bundle.id) {
            return Ok(Answer::No);
        }
    }
    ui.say("read back and verified, every byte");
    Ok(Answer::Yes)
}
