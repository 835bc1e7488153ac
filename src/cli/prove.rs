//! `vellum prove`: a proof that an article was logged, or that it stands in a signed bundle, to be checked without either.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::collection::prove::{Disproof, Proved, prove_article, verify_proof};
use crate::digest::{Digest, Hasher};
use crate::finding::Severity;
use crate::format::bundle::{ProvedArticle, SignatureFile, Tail};
use crate::format::leaf::LeafSignature;
use crate::format::proof::{ARTICLE_ENDING, ENDING, Extra, MAX_LINES_BYTES, MAX_PROOF_BYTES, Proof};
use crate::ids::LeafIndex;
use crate::keys::{Kind, Note, PublicKey, Signature, VerifierKey};
use crate::store::disk;
use crate::trust::authority::{Authority, Signed, Witnessed};
use crate::trust::policy::{LogKey, Policy, Role};
use crate::trust::{JudgedSignature, TrustedKey, logged};

use super::archive::open;
use super::input::{ReadArgs, not_found, typed};
use super::ui::Ui;
use super::{Answer, Failure, keyring};

/// Write a proof of one article, to be checked later without the archive or bundle
///
/// Of an archive it proves: these bytes were a file of this article in this bundle, logged before this checkpoint, and who had signed the bundle
/// then. It does not prove that the article is current or was not withdrawn since. Of a bundle it proves that the keys which signed the bundle
/// signed this article.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum prove library/ essays/tides                      writes tides.tlog-proof
  vellum verify --proof tides.tlog-proof tides.md         checks it, offline
  vellum prove library.tar.zst essays/tides               writes tides.vellum-proof, by the bundle's signatures")]
pub(super) struct ProveArgs {
    /// Archive or bundle
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// The article's id
    article: String,
    /// File to write [default: the last part of the id with .tlog-proof or .vellum-proof, here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &ProveArgs, ui: &Ui) -> Result<Answer, Failure> {
    if !super::place::is_archive(&args.library) && !args.library.is_dir() {
        return by_bundle(args, ui);
    }
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let (revision, _) = opened.find(&catalog, &args.article)?;
    let head = (&opened.checkpoint, opened.note.as_str());
    let proof = prove_article(&opened.archive, &catalog, opened.history(), head, &revision.id)?;
    let name = revision.id.rsplit('/').next().unwrap_or_default();
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}{ENDING}")));
    let same = |there: &[u8]| {
        let origin = |proof: &Proof| proof.checkpoint.lines().next().map(str::to_owned);
        Proof::decode(there).is_ok_and(|old| old.extra.id == proof.extra.id && origin(&old) == origin(&proof))
    };
    write(&path, proof.encode().as_ref(), &same, ui)?;
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

/// Writes the proof that an article stands in a signed bundle.
fn by_bundle(args: &ProveArgs, ui: &Ui) -> Result<Answer, Failure> {
    args.read.fit(&[&args.library], false)?;
    let bundle = args.read.opened(&args.library, ui)?;
    if bundle.tail().signatures.is_empty() {
        return Err(Failure::no(format!("{}: is not signed, and a proof is its signatures", args.library.display()))
            .hint(format!("`vellum sign {}` signs it", args.library.display())));
    }
    let is = |asked: &str, article: &ProvedArticle| article.id == asked || article.path == asked;
    let article = typed(&args.article, |asked| Ok(bundle.article(asked)?.filter(|article| is(asked, article))))?;
    let article = article.ok_or_else(|| not_found(&args.article))?;
    let lines = article.lines.text().to_owned();
    if lines.len() > MAX_LINES_BYTES {
        return Err(Failure::no(format!("{:?} has more files than a proof can hold", article.id)));
    }
    let tail = bundle.tail();
    let proof = Extra {
        leaf: Vec::new(),
        manifest: tail.manifest.clone(),
        signatures: tail.signatures.iter().map(|signature| signature.bytes.clone()).collect(),
        id: article.id.clone(),
        lines,
        path: Some((article.number, article.proof)),
    };
    let name = article.id.rsplit('/').next().unwrap_or_default();
    if args.output.as_ref().is_some_and(|output| output.as_os_str() == "-") {
        return Err(Failure::new("a proof is written to a file, not to a pipe").hint("`--output FILE` names it"));
    }
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}{ARTICLE_ENDING}")));
    let same =
        |there: &[u8]| Extra::decode(there).is_ok_and(|old| (&old.id, &old.manifest) == (&proof.id, &proof.manifest));
    write(&path, &proof.encode(), &same, ui)?;
    if ui.json {
        #[derive(serde::Serialize)]
        struct Json {
            file: String,
            article: String,
            bundle: String,
            number: u64,
        }
        let (file, bundle) = (path.display().to_string(), bundle.id().to_string());
        ui.print_json("proof", &Json { file, article: article.id, bundle, number: article.number })?;
    } else {
        ui.print(path.display())?;
    }
    Ok(Answer::Yes)
}

/// Writes a proof, in the place of an older one of the same article at most; a pipe is written to as it is.
fn write(path: &Path, proof: &[u8], is_same: &dyn Fn(&[u8]) -> bool, ui: &Ui) -> Result<(), Failure> {
    if path.metadata().is_ok_and(|there| there.is_file())
        && !disk::read_small(path, MAX_PROOF_BYTES, ui.run()).is_ok_and(|there| is_same(&there))
    {
        return Err(Failure::new(format!("{}: exists already, and is no proof of this article", path.display()))
            .hint("`--output FILE` names another"));
    }
    disk::put(path, proof, ui.run())
        .map_err(|error| Failure::new(format!("{}: cannot be written", path.display())).cause(error))
}

/// Checks a file by the signatures of the bundle that it was an article's file of.
fn check_by_bundle(file: &Path, bytes: &[u8], read: &ReadArgs, ui: &Ui) -> Result<bool, Failure> {
    #[derive(serde::Serialize)]
    struct Json<'a> {
        file: String,
        signed: bool,
        article: Option<&'a str>,
        paths: Option<Vec<String>>,
        bundle: Option<String>,
        signatures: &'a [JudgedSignature],
        reason: Option<String>,
    }
    let proof = Extra::decode(bytes).map_err(|fault| Failure::no(fault.to_string()))?;
    let digest = digest(read.file(file, ui)?)?;
    let mut reasons = Vec::new();
    if !proof.leaf.is_empty() {
        reasons.push("the proof has the leaf of a log, and no log to check it by".to_owned());
    }
    let manifest = proof.manifest_of_article().map_err(|fault| reasons.push(fault.to_string())).ok();
    let paths = proof.paths_of(&digest);
    if paths.is_empty() {
        reasons.push(format!("the file's digest {digest} is none of the article's"));
    }
    let signatures = proof.signatures.iter().map(|bytes| {
        let id = Signature::decode(bytes).map(|signature| signature.key_id().to_string());
        SignatureFile { key_id: id.unwrap_or_default(), bytes: bytes.clone() }
    });
    let tail = Tail { manifest: proof.manifest.clone(), signatures: signatures.collect(), ..Tail::default() };
    let judgement = manifest.as_ref().map(|manifest| read.judge(&tail, manifest, ui)).transpose()?.unwrap_or_default();
    let damage = judgement.findings.iter().filter(|finding| finding.severity() == Severity::Damage);
    reasons.extend(damage.map(ToString::to_string));
    let (good, shown) = (reasons.is_empty(), file.display().to_string());
    let bundle = manifest.map(|_| Digest::of(&proof.manifest).to_string());
    if ui.json {
        let (signatures, reason) = (judgement.signatures.as_slice(), (!good).then(|| reasons.join("; ")));
        let (article, paths) = (good.then_some(proof.id.as_str()), good.then_some(paths));
        ui.print_json("proved", &Json { file: shown, signed: good, article, paths, bundle, signatures, reason })?;
        return Ok(good);
    }
    ui.print(format!("{shown}: {}", if good { "OK" } else { "NOT OK" }))?;
    for reason in &reasons {
        ui.print(format!("  {reason}"))?;
    }
    if good {
        ui.print(format!("  article    {}", proof.id))?;
        for path in &paths {
            ui.print(format!("  file       {path}"))?;
        }
        ui.print(format!("  bundle     {}", bundle.unwrap_or_default()))?;
        for signature in &judgement.signatures {
            ui.print(format!("  signature  {}", super::verify::signature_line(signature)))?;
        }
        ui.say("  These bytes were a file of this article when its bundle was signed. Not shown: that they are current, that they were not");
        ui.say("  withdrawn since, that the article's other files are at hand.");
    }
    Ok(good)
}

/// Checks a file by a proof, and says what that shows and what it does not.
pub(super) fn check(
    file: &std::path::Path,
    proof: &std::path::Path,
    read: &ReadArgs,
    ui: &Ui,
) -> Result<bool, Failure> {
    let bytes = disk::read_small(proof, MAX_PROOF_BYTES, ui.run())
        .map_err(|error| Failure::new(format!("{}: cannot be read", proof.display())).cause(error))?;
    if Extra::begins(&bytes) {
        return check_by_bundle(file, &bytes, read, ui).map_err(|failure| failure.about(proof.display()));
    }
    if read.archive().is_some() {
        return Err(Failure::new("--archive has no effect here: the proof is by a log")
            .hint("`--log-key` names the key of a log"));
    }
    let parsed = Proof::decode(&bytes).map_err(|fault| Failure::no(fault.to_string()).about(proof.display()))?;
    let log = log_of(&parsed, read, ui)?;
    let digest = digest(read.file(file, ui)?)?;
    let proved = verify_proof(&parsed, &log, digest);
    let signers = match &proved {
        Ok(proved) => match keyring::policy_of(read.trust(), &proved.checkpoint.origin, ui)? {
            Some(policy) => signers_by(proved, &policy),
            None => signers(proved, &keyring::trusted(read.trust(), ui)?),
        },
        Err(_) => Vec::new(),
    };
    report(file, &log, &proved, &signers, ui)?;
    Ok(proved.is_ok())
}

/// Returns the trusted keys that had signed the bundle for the archive, by what the proved leaf carries.
fn signers(proved: &Proved, trusted: &[TrustedKey]) -> Vec<String> {
    let origin = &proved.checkpoint.origin;
    let has_signed = |trusted: &&TrustedKey| {
        let by = |logged: &LeafSignature| logged::is_by(logged, &trusted.key, Kind::Manifest, origin, &proved.bundle.0);
        proved.signatures.iter().any(by)
    };
    let named = |trusted: &TrustedKey| format!("{} ({})", trusted.key.id(), trusted.label);
    trusted.iter().filter(has_signed).map(named).collect()
}

/// Returns the keys that may publish by a policy that a person vouches for, and had signed the bundle.
fn signers_by(proved: &Proved, policy: &Policy) -> Vec<String> {
    let origin = &proved.checkpoint.origin;
    let by =
        |logged: &&LeafSignature, key: &PublicKey| logged::is_by(logged, key, Kind::Manifest, origin, &proved.bundle.0);
    let mut authority = Authority::default();
    authority.enact(policy.clone(), LeafIndex(0));
    let good = policy.keys.iter().filter(|key| proved.signatures.iter().any(|logged| by(&logged, &key.public)));
    let signed: Vec<Signed> = good.map(|key| Signed { leaf: proved.index, key: *key.public.as_bytes() }).collect();
    let counted = authority.judge(Role::Publish, proved.index, &signed).by;
    counted.into_iter().map(|name| format!("{name}, by version {} of the policy", policy.version)).collect()
}

/// Finds the trusted key of the log that has signed a proof's checkpoint: of a policy one that is in use, or one that was put to rest, where a
/// quorum of witnesses has seen the checkpoint. (P3)
fn log_of(proof: &Proof, read: &ReadArgs, ui: &Ui) -> Result<VerifierKey, Failure> {
    let origin = proof.checkpoint.lines().next().and_then(|line| line.parse().ok());
    let policy = origin.map(|origin| keyring::policy_of(read.trust(), &origin, ui)).transpose()?.flatten();
    if let (Some(policy), Ok(note)) = (policy, Note::parse(proof.checkpoint.as_bytes())) {
        let seen = Witnessed::of(&note, &policy);
        let in_use = |log: &&LogKey| log.retired_at.is_none() || (seen.needed > 0 && seen.is_met());
        let signed = policy.logs.iter().filter(in_use).find(|log| note.verified(&log.key).is_ok());
        if let Some(log) = signed {
            return Ok(log.key.clone());
        }
        if policy.logs.iter().any(|log| note.verified(&log.key).is_ok()) {
            let version = policy.version;
            return Err(Failure::no(format!(
                "the log's key that signed the proof was put to rest by version {version} of the policy"
            ))
            .hint("`vellum prove` makes a proof anew, by the key in use"));
        }
    }
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
    signers: &[String],
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
        signed_by: &'a [String],
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
                index: good.map(|proved| proved.index.0),
                size: good.map(|proved| proved.checkpoint.size),
                signed_by: signers,
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
            for signer in signers {
                ui.print(format!("  signature  {signer}, for {}", proved.checkpoint.origin))?;
            }
            ui.say("  These bytes were a file of this article, logged before this checkpoint. Not shown: that they are current, that they were not");
            ui.say("  withdrawn since, that the article's other files are at hand.");
            if signers.is_empty() {
                ui.say("  Nobody whose key is trusted here had signed them then.");
            }
        }
        Err(disproof) => {
            ui.print(format!("{}: NOT OK", file.display()))?;
            ui.print(format!("  {disproof}"))?;
        }
    }
    Ok(())
}
