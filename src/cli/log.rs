//! `vellum log`: the head of an archive's log, its leaves, and whether it extends an older head.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::collection::audit::check_log;
use crate::format::checkpoint::Checkpoint;
use crate::format::fork::Fork;
use crate::keys::Note;
use crate::merkle;
use crate::mirror::{Comparison, HeadFile, compare, read_head};
use crate::store::Remote;

use super::archive::{Opened, open, open_any};
use super::input::ReadArgs;
use super::ui::Ui;
use super::{Answer, Failure, keyring, place};

/// Show and check an archive's log
///
/// Every tile is read and every hash reckoned anew up to the signed root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum log library/
  vellum log --leaves library/
  vellum log --extends checkpoint-of-last-year library/    has nothing been rewritten since?
  vellum log adopt mirror/ --seen https://other.example/library    the publisher's disk is gone
  vellum log compare library/ https://mirror.example.net/library
  vellum log compare evidence/41200-9f86d081884c7d65 evidence/41200-60303ae22b998861")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct LogArgs {
    #[command(subcommand)]
    command: Option<LogCommand>,
    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Say whether two signed checkpoints are of one history, one the beginning of the other, or a fork
    Compare {
        /// A checkpoint's file, or an archive
        a: PathBuf,
        /// Another one
        b: PathBuf,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Publish from here on: from an archive whose .vellum/state is lost, or from a mirror
    ///
    /// The log's key will sign what extends the checkpoint that is here. If a later one was ever signed, the log would fork, so
    /// name all copies that there are.
    Adopt {
        /// The archive
        #[arg(value_name = "ARCHIVE")]
        library: PathBuf,
        #[command(flatten)]
        others: OthersArgs,
        #[command(flatten)]
        read: ReadArgs,
    },
}

/// What must be named before an archive is adopted.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct OthersArgs {
    /// A checkpoint that was kept, or a mirror: what is adopted must not be older (can be repeated)
    #[arg(long, value_name = "FILE|ARCHIVE")]
    seen: Vec<PathBuf>,
    /// There is no other copy anywhere that could be newer
    #[arg(long)]
    alone: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE", required = true)]
    library: Option<PathBuf>,
    /// Print every leaf
    #[arg(long)]
    leaves: bool,
    /// Check that the log extends this older signed checkpoint
    #[arg(long, value_name = "FILE")]
    extends: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Serialize)]
struct JsonLeaf {
    index: u64,
    leaf: String,
}

#[derive(Serialize)]
struct JsonLog<'a> {
    origin: &'a str,
    size: u64,
    root: String,
    log_key: String,
    whole: bool,
    extends: Option<u64>,
}

pub(super) fn run(args: &LogArgs, ui: &Ui) -> Result<Answer, Failure> {
    match &args.command {
        Some(LogCommand::Compare { read, .. } | LogCommand::Adopt { read, .. }) => read.fit_archive()?,
        None => args.show.read.fit_archive()?,
    }
    match (&args.command, &args.show.library) {
        (Some(LogCommand::Compare { a, b, read }), _) => compare_heads(a, b, read, ui),
        (Some(LogCommand::Adopt { library, others, read }), _) => adopt(library, others, read, ui),
        (None, Some(library)) => show(library, &args.show, ui),
        (None, None) => Err(Failure::new("no archive is named")),
    }
}

/// Compares two checkpoints.
fn compare_heads(a: &Path, b: &Path, read: &ReadArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        is: &'static str,
        a: u64,
        b: u64,
        reason: &'a str,
    }
    let [a, b] = [head(a, read, ui)?, head(b, read, ui)?];
    let (is, reason, answer) = match compare(&a, &b)? {
        Comparison::Same => ("same", format!("both have {} leaves and one root", a.checkpoint.size), Answer::Yes),
        Comparison::Extends { smaller, larger } => ("extends", format!("{larger} extends {smaller}"), Answer::Yes),
        Comparison::Fork { proof } => ("fork", proof, Answer::No),
        Comparison::Unknown { wanted } => {
            return Err(
                Failure::new("the sizes differ, and a checkpoint alone does not tell").hint(format!("name {wanted}"))
            );
        }
    };
    if ui.json {
        ui.print_json("comparison", &Json { is, a: a.checkpoint.size, b: b.checkpoint.size, reason: &reason })?;
    } else {
        ui.print(format!("{}: {}", if is == "fork" { "FORK" } else { is }, reason))?;
    }
    Ok(answer)
}

/// Makes an archive the place to publish from.
fn adopt(library: &Path, others: &OthersArgs, read: &ReadArgs, ui: &Ui) -> Result<Answer, Failure> {
    if library.to_str().is_some_and(Remote::is_url) {
        return Err(Failure::new("only a folder can be published from"));
    }
    // One reading of the archive: what is compared with the others is what is adopted.
    let opened = open_any(library, read, ui)?;
    let (name, store) = (library.display().to_string(), Some(opened.archive.store().clone()));
    let own = HeadFile { name, checkpoint: opened.checkpoint.clone(), store, proof: None };
    for path in &others.seen {
        let other = head(path, read, ui)?;
        let older = own.checkpoint.size < other.checkpoint.size;
        if older || matches!(compare(&own, &other)?, Comparison::Fork { .. }) {
            let (here, there) = (own.checkpoint.size, other.checkpoint.size);
            return Err(Failure::no(format!("{}: has {there} leaves that these {here} do not extend", path.display()))
                .hint(format!(
                    "`vellum sync {} {}` brings a mirror up to it first",
                    path.display(),
                    library.display()
                )));
        }
    }
    opened.archive.adopt(&opened.checkpoint, &opened.pin, &super::archive::who(), ui.run())?;
    ui.say(format!("{} is published from here now, from leaf {} on", opened.checkpoint.origin, opened.checkpoint.size));
    Ok(Answer::Yes)
}

/// Reads a checkpoint that a trusted key of its log has signed.
fn head(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<HeadFile, Failure> {
    let name = path.display().to_string();
    if place::is_archive(path) {
        let opened = open_any(path, read, ui)?;
        let store = Some(opened.archive.store().clone());
        return Ok(HeadFile { name, checkpoint: opened.checkpoint, store, proof: None });
    }
    let bytes = keyring::read_key_file(path)?.to_vec();
    let about = |failure: Failure| failure.about(path.display());
    let origin = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
    let key = keyring::log_key_named(read.trust(), &origin, ui)?;
    let mut head = read_head(&name, Some(bytes), None, &key).map_err(|error| about(Failure::no_from(error)))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".fork");
    if Path::new(&beside).exists() {
        head.proof = Fork::decode(&keyring::read_key_file(Path::new(&beside))?);
    }
    Ok(head)
}

fn show(library: &Path, args: &ShowArgs, ui: &Ui) -> Result<Answer, Failure> {
    let opened = open(library, &args.read, ui)?;
    let checkpoint = &opened.checkpoint;
    let mut log = opened.archive.log(checkpoint);
    for index in (0..checkpoint.size).filter(|_| args.leaves) {
        let leaf = String::from_utf8_lossy(&log.entry(index)?).into_owned();
        if ui.json {
            ui.print_json("leaf", &JsonLeaf { index, leaf })?;
        } else {
            ui.print_row(&[index.to_string(), leaf.trim_end().replace('\n', " ")])?;
        }
    }
    let mut findings = Vec::new();
    let whole = check_log(&opened.archive, checkpoint, &mut findings).is_ok() && findings.is_empty();
    let extends = args.extends.as_ref().map(|path| extends(&opened, path)).transpose()?;
    if ui.json {
        let (origin, root) = (checkpoint.origin.as_str(), checkpoint.root.to_string());
        let (size, log_key) = (checkpoint.size, opened.log_key.to_string());
        ui.print_json("log", &JsonLog { origin, size, root, log_key, whole, extends })?;
    } else {
        ui.print(format!("origin  {}", checkpoint.origin))?;
        ui.print(format!("size    {}", checkpoint.size))?;
        ui.print(format!("root    {}", checkpoint.root))?;
        ui.print(format!("key     {}", opened.log_key))?;
        ui.print(format!("whole   {}", if whole { "yes, every leaf leads to the root" } else { "NO" }))?;
        if let Some(old) = extends {
            ui.print(format!("extends the checkpoint of {old} leaves"))?;
        }
    }
    Ok(if whole { Answer::Yes } else { Answer::No })
}

/// Proves that the log extends an older checkpoint, and checks the proof.
fn extends(opened: &Opened, path: &Path) -> Result<u64, Failure> {
    let bytes = keyring::read_key_file(path)?;
    let about = |failure: Failure| failure.about(path.display());
    let note = Note::parse(&bytes).map_err(|error| about(error.into()))?;
    let text = note.verified(&opened.log_key).map_err(|error| about(Failure::no_from(error)))?;
    let old = Checkpoint::parse(text).map_err(|fault| about(Failure::no(fault.to_string())))?;
    let no = |detail: String| {
        Failure::no(format!("the log does not extend the checkpoint of {} leaves: {detail}", old.size))
            .hint("keep both checkpoints: together they show that the log was rewritten")
    };
    if old.origin != opened.checkpoint.origin {
        return Err(no(format!("it is of {}", old.origin)));
    }
    if old.size > opened.checkpoint.size {
        return Err(no(format!("it has {}", opened.checkpoint.size)));
    }
    if old.size > 0 {
        let proof = opened.archive.log(&opened.checkpoint).consistency(old.size)?;
        let new = &opened.checkpoint;
        merkle::verify_consistency(old.size, new.size, &old.root, &new.root, &proof)
            .map_err(|fault| no(fault.to_string()))?;
    }
    Ok(old.size)
}
