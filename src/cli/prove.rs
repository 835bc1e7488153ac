//! `vellum prove`: a proof that an article was logged, to be checked without the archive.

use std::path::PathBuf;

use clap::Args;

use crate::collection::prove::{Disproof, Proved, prove_article, verify_proof};
use crate::digest::{Digest, Hasher};
use crate::format::proof::{ENDING, MAX_PROOF_BYTES, Proof};
use crate::keys::VerifierKey;
use crate::store::disk;
use crate::watch::Watch;

use super::archive::open;
use super::input::ReadArgs;
use super::ui::Ui;
use super::{Answer, Failure, keyring};

/// Write a proof that an article was logged, to be checked later without the archive
///
/// It proves: these bytes were a file of this article in this bundle, logged before this checkpoint. It does not prove that a publisher signed
/// them (`--signed` adds what shows that), nor that the article is current or was not withdrawn since.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum prove library/ essays/tides                      writes tides.tlog-proof
  vellum verify --proof tides.tlog-proof tides.md         checks it, offline")]
pub(super) struct ProveArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// The article's id
    article: String,
    /// File to write [default: the last part of the id with .tlog-proof, here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add the bundle's manifest and its signatures
    #[arg(long)]
    signed: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &ProveArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let (revision, _) = opened.find(&catalog, &args.article)?;
    let head = (&opened.checkpoint, opened.note.as_str());
    let proof = prove_article(&opened.archive, &catalog, head, &revision.id, args.signed)?;
    let name = revision.id.rsplit('/').next().unwrap_or_default();
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}{ENDING}")));
    disk::put(&path, proof.encode().as_ref(), &|| ui.cancelled())
        .map_err(|error| Failure::new(format!("{}: cannot be written", path.display())).cause(error))?;
    if ui.json {
        #[derive(serde::Serialize)]
        struct Json {
            file: String,
            article: String,
            index: u64,
            size: u64,
        }
        let (file, article) = (path.display().to_string(), revision.id);
        ui.print_json("proof", &Json { file, article, index: proof.index, size: opened.checkpoint.size })?;
    } else {
        ui.print(path.display())?;
    }
    Ok(Answer::Yes)
}

/// Checks a file by a proof, and says what that shows and what it does not.
pub(super) fn check(
    file: &std::path::Path,
    proof: &std::path::Path,
    read: &ReadArgs,
    ui: &Ui,
) -> Result<bool, Failure> {
    let size = std::fs::metadata(proof).map_or(0, |metadata| metadata.len());
    if size > MAX_PROOF_BYTES {
        return Err(Failure::no(format!("{}: too long for a proof", proof.display())));
    }
    let bytes = std::fs::read(proof)
        .map_err(|error| Failure::new(format!("{}: cannot be read", proof.display())).cause(error))?;
    let parsed = Proof::decode(&bytes).map_err(|fault| Failure::no(fault.to_string()).about(proof.display()))?;
    let log = log_of(&parsed, read, ui)?;
    let digest = digest(read.file(file)?)?;
    let proved = verify_proof(&parsed, &log, digest);
    report(file, &log, &proved, ui)?;
    Ok(proved.is_ok())
}

/// Finds the trusted key of the log that a proof's checkpoint names.
fn log_of(proof: &Proof, read: &ReadArgs, ui: &Ui) -> Result<VerifierKey, Failure> {
    keyring::log_key_named(read.trust(), proof.checkpoint.lines().next().unwrap_or_default(), ui)
}

fn digest(mut file: std::fs::File) -> Result<Digest, Failure> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) => return Err(Failure::new("the file cannot be read").cause(error)),
        }
    }
}

fn report(
    file: &std::path::Path,
    log: &VerifierKey,
    proved: &Result<Proved, Disproof>,
    ui: &Ui,
) -> Result<(), Failure> {
    #[derive(serde::Serialize)]
    struct Json<'a> {
        file: String,
        logged: bool,
        log: &'a str,
        article: Option<&'a str>,
        paths: Option<&'a [String]>,
        bundle: Option<String>,
        index: Option<u64>,
        size: Option<u64>,
        reason: Option<String>,
    }
    if ui.json {
        let good = proved.as_ref().ok();
        return ui.print_json(
            "proved",
            &Json {
                file: file.display().to_string(),
                logged: good.is_some(),
                log: log.name(),
                article: good.map(|proved| proved.article.as_str()),
                paths: good.map(|proved| proved.paths.as_slice()),
                bundle: good.map(|proved| proved.bundle.to_string()),
                index: good.map(|proved| proved.index),
                size: good.map(|proved| proved.checkpoint.size),
                reason: proved.as_ref().err().map(ToString::to_string),
            },
        );
    }
    match proved {
        Ok(proved) => {
            ui.print(format!("{}: OK", file.display()))?;
            ui.print(format!("  article    {}", &proved.article))?;
            for path in &proved.paths {
                ui.print(format!("  file       {}", path))?;
            }
            ui.print(format!("  bundle     {}", proved.bundle))?;
            ui.print(format!("  logged     by {}, leaf {} of {}", log.name(), proved.index, proved.checkpoint.size))?;
            if let Some(manifest) = &proved.manifest {
                ui.print(format!(
                    "  manifest   {:?}, carried along; its signatures are for `minisign`",
                    manifest.title
                ))?;
            }
            ui.say("  These bytes were a file of this article, logged before this checkpoint. Not shown: that a publisher signed them,");
            ui.say("  that they are current, that they were not withdrawn since, that the article's other files are at hand.");
        }
        Err(disproof) => {
            ui.print(format!("{}: NOT OK", file.display()))?;
            ui.print(format!("  {disproof}"))?;
        }
    }
    Ok(())
}
