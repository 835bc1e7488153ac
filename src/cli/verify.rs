//! `vellum verify`: is every byte of a bundle what somebody trusted has signed?

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::archive::catalog::Catalog;
use crate::collection::audit::{Audit, audit};
use crate::collection::prove::prove_article;
use crate::finding::{Code, Finding, Severity};
use crate::format::bundle::{FileState, Nobody, Report, Scope, check, prove};
use crate::format::manifest::Manifest;
use crate::trust::authority::Fresh;
use crate::trust::{JudgedSignature, Judgement, Removal, Worth};
use crate::watch::{Task, Watch};

use super::archive::Opened;
use super::error::quoted;
use super::input::{Files, ReadArgs, SelectArgs, file_name_finding, trust_hint};
use super::pack::now;
use super::parts::Parts;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// The findings of one code that are printed before the rest is only counted.
pub(super) const MAX_SHOWN: usize = 20;

/// Check that bundles or whole archives are whole, and signed by a key you trust
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum verify library.tar.zst                 every byte, by the keys you trust
  vellum verify --key RWQ… *.tar.zst            several bundles, by one public key
  curl -s https://example.org/b.tar.zst | vellum verify -
  vellum verify --article essays/tides b.tar.zst   just one article, reading little else
  vellum verify library/                        a whole archive: every bundle, every leaf of its log
  vellum verify --proof tides.tlog-proof tides.md   one document, by its proof, offline

Exit code 1 means that something is damaged, or not signed by a key you trust.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// Check a document by this .tlog-proof or .vellum-proof instead, without any archive or bundle
    #[arg(long, value_name = "FILE", conflicts_with_all = ["articles", "unsigned", "at"])]
    proof: Option<PathBuf>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    file: &'a str,
    severity: Severity,
    #[serde(flatten)]
    finding: &'a Finding,
}

#[derive(Serialize)]
struct JsonVerdict<'a> {
    file: &'a str,
    id: Option<String>,
    name: Option<&'a str>,
    ok: bool,
    intact: bool,
    authentic: bool,
    signatures: &'a [JudgedSignature],
    removal: Option<JsonRemoval<'a>>,
    articles: Option<u64>,
    files: Option<u64>,
    bytes: Option<u64>,
    whole: Option<u64>,
    damaged: Vec<&'a str>,
    missing: Vec<&'a str>,
}

/// What was taken out of a bundle: by whom that was signed, and who had signed the bundle that held all.
#[derive(Serialize)]
struct JsonRemoval<'a> {
    articles: u64,
    by: Vec<&'a str>,
    first: String,
    first_authentic: bool,
    first_signatures: &'a [JudgedSignature],
}

impl<'a> JsonRemoval<'a> {
    fn new(removal: &'a Removal, judgement: &'a Judgement) -> Self {
        let good = judgement.signatures.iter().filter(|signature| signature.worth == Worth::Good);
        Self {
            articles: removal.articles,
            by: good.map(|signature| signature.key_id.as_str()).collect(),
            first: removal.first.to_string(),
            first_authentic: removal.first_is_authentic(),
            first_signatures: &removal.signatures,
        }
    }
}

pub(super) fn run(args: &VerifyArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        file: &'a str,
        reason: String,
    }
    if args.proof.is_none() {
        args.read.fit(&args.files.files, true)?;
    }
    let (mut answer, mut parts) = (Answer::Yes, Parts::default());
    for path in &args.files.files {
        answer = answer.max(match one(args, path, &mut parts, ui) {
            Ok(true) => Answer::Yes,
            Ok(false) => Answer::No,
            Err(failure) if failure.ends_all() => return Err(failure),
            // The other files are looked at all the same.
            Err(failure) => {
                let file = path.display().to_string();
                let failure = failure.naming(&file);
                ui.failure(&failure);
                if ui.json {
                    ui.print_json("unverified", &Json { file: &file, reason: failure.words() })?;
                }
                if failure.code() == 1 { Answer::No } else { Answer::NotDone }
            }
        });
    }
    for missing in parts.missing() {
        if ui.json { ui.print_json("part-missing", &missing)? } else { ui.print(missing)? }
    }
    Ok(answer)
}

/// Verifies one file, archive or document.
fn one(args: &VerifyArgs, path: &Path, parts: &mut Parts, ui: &Ui) -> Result<bool, Failure> {
    let some_articles = !args.select.articles.is_empty();
    match &args.proof {
        Some(proof) => super::prove::check(path, proof, &args.read, ui),
        None if super::place::is_archive(path) && some_articles => articles(args, path, ui),
        None if super::place::is_archive(path) => archive(args, path, ui),
        None if some_articles => some(args, path, ui),
        None => whole(args, path, parts, ui),
    }
}

/// Verifies a whole archive and reports.
fn archive(args: &VerifyArgs, path: &Path, ui: &Ui) -> Result<bool, Failure> {
    let opened = super::archive::open_damaged(path, &args.read, ui)?;
    let at = args.read.at()?.map_or_else(now, Ok)?;
    let found = audit(&opened.archive, &opened.vouched, ui.run())?;
    ui.finish();
    let of_trust = |code| matches!(code, Code::Unsigned | Code::Untrusted | Code::SignatureUntrusted);
    let lacking = |code| matches!(code, Code::BundleMissing | Code::Withdrawal | Code::Document | Code::Policy);
    let intact = found.findings.iter().all(|f| f.severity() == Severity::Notice || of_trust(f.code));
    let complete = !found.findings.iter().any(|f| lacking(f.code));
    let asked_for = |finding: &&Finding| !(args.read.unsigned() && of_trust(finding.code));
    let findings: Vec<Finding> = found.findings.iter().filter(asked_for).cloned().collect();
    let file = path.display().to_string();
    let verdicts = Verdicts::new(&opened, &found, intact, complete, at);
    let good = findings.iter().all(|finding| finding.severity() == Severity::Notice) && verdicts.good;
    if ui.json {
        for finding in &findings {
            ui.print_json("finding", &JsonFinding { file: &file, severity: finding.severity(), finding })?;
        }
        ui.print_json("archive", &verdicts)?;
        return Ok(good);
    }
    print_findings(&findings, ui)?;
    ui.print(format!("{file}: {}", if good { "OK" } else { "NOT OK" }))?;
    ui.print(format!("  archive    {}", verdicts.origin))?;
    let (bundles, revisions) = (ui::count(found.bundles, "bundle"), ui::count(found.revisions, "revision"));
    ui.print(format!("  content    {bundles}, {revisions}, {}", ui::bytes(found.bytes)))?;
    for (name, verdict) in verdicts.words() {
        let reason = if verdict.reason.is_empty() { String::new() } else { format!(", {}", &verdict.reason) };
        ui.print(format!("  {name:<10} {}{reason}", verdict.is))?;
    }
    Ok(good)
}

/// One word of the verdict on an archive, and its reason.
#[derive(Serialize)]
struct Word {
    is: &'static str,
    reason: String,
}

/// The verdict on an archive; each word is a question of its own.
#[derive(Serialize)]
struct Verdicts<'a> {
    origin: &'a str,
    intact: Word,
    authentic: Word,
    logged: Word,
    witnessed: Word,
    fresh: Word,
    complete: Word,
    policy: Option<u64>,
    bundles: u64,
    revisions: u64,
    leaves: u64,
    bytes: u64,
    #[serde(skip)]
    good: bool,
}

impl<'a> Verdicts<'a> {
    fn new(opened: &'a Opened, found: &Audit, intact: bool, complete: bool, at: jiff::Timestamp) -> Self {
        let word = |yes: bool, reason: String| Word { is: if yes { "yes" } else { "no" }, reason };
        let vouched = &opened.vouched;
        let policy = vouched.authority().policy();
        let by = match policy {
            Some(policy) => format!("every bundle, by version {} of the policy", policy.version),
            None => "every bundle, by keys trusted here".into(),
        };
        let seen = &vouched.witnessed;
        let (witnessed, fresh) = match policy {
            None => {
                let unknown = || Word { is: "unknown", reason: "there is no policy that names witnesses".into() };
                (unknown(), unknown())
            }
            Some(policy) => {
                let names: Vec<_> = seen.by.iter().map(|(operator, _)| operator.as_str()).collect();
                let mut reason = format!("{} of {} needed", seen.by.len(), seen.needed);
                if !names.is_empty() {
                    reason.push_str(&format!(": {}", names.join(", ")));
                }
                if !seen.bad.is_empty() {
                    reason.push_str(&format!("; bad cosignatures by {}", seen.bad.join(", ")));
                }
                let fresh = Fresh::of(seen, policy, at);
                let fresh = Word { is: fresh.word(), reason: fresh.reason().to_owned() };
                let asked = policy.threshold.witness > 0;
                let none = || Word { is: "unknown", reason: "the policy asks for no witness".into() };
                (if asked { word(seen.is_met(), reason) } else { none() }, fresh)
            }
        };
        // Of a log whose leaves are not those that were signed nothing is known but that.
        let damaged = found.findings.iter().any(|finding| finding.code == Code::Log);
        let unknown = || Word { is: "unknown", reason: "the log is damaged".into() };
        let stale = policy.is_some_and(|policy| matches!(Fresh::of(seen, policy, at), Fresh::No(_)));
        Self {
            origin: opened.archive.origin().as_str(),
            intact: word(intact, if intact { "every byte and every leaf".into() } else { String::new() }),
            authentic: match damaged {
                true => unknown(),
                false => word(found.authentic, if found.authentic { by } else { String::new() }),
            },
            logged: match damaged {
                true => word(false, "the leaves are not those that the log's key has signed".into()),
                false => word(true, format!("{}, signed by the log's key", ui::leaves(found.leaves))),
            },
            witnessed,
            fresh,
            complete: match damaged && complete {
                true => unknown(),
                false => {
                    word(complete, if complete { "everything that the log has is there".into() } else { String::new() })
                }
            },
            policy: policy.map(|policy| policy.version),
            bundles: found.bundles,
            revisions: found.revisions,
            leaves: found.leaves,
            bytes: found.bytes,
            good: seen.is_met() && !stale,
        }
    }

    fn words(&self) -> [(&'static str, &Word); 6] {
        [
            ("intact", &self.intact),
            ("authentic", &self.authentic),
            ("logged", &self.logged),
            ("witnessed", &self.witnessed),
            ("fresh", &self.fresh),
            ("complete", &self.complete),
        ]
    }
}

/// Verifies single articles of an archive: their bytes, their bundle's signature, their leaves.
fn articles(args: &VerifyArgs, path: &Path, ui: &Ui) -> Result<bool, Failure> {
    let opened = super::archive::open(path, &args.read, ui)?;
    let catalog = opened.catalog(ui)?;
    let mut good = true;
    let mut last = None;
    for asked in &args.select.articles {
        match article((path, &opened, &catalog), asked, ui) {
            Ok(is_good) => good &= is_good,
            Err(failure) if failure.ends_all() => return Err(failure),
            // The other articles are looked at all the same; the last failure is told by the caller.
            Err(failure) => {
                if let Some(before) = last.replace(failure) {
                    ui.failure(&before);
                }
            }
        }
    }
    last.map_or(Ok(good), Err)
}

/// Verifies one article of an archive.
fn article((path, opened, catalog): (&Path, &Opened, &Catalog), asked: &str, ui: &Ui) -> Result<bool, Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        file: &'a str,
        article: &'a str,
        whole: bool,
        logged: bool,
        files: u64,
    }
    let shown = path.display().to_string();
    let (revision, _) = opened.find(catalog, asked)?;
    let (bundle, contents) = opened.bundle(&revision)?;
    let lines = contents.list.article_lines(&revision.path);
    let mut wanted = vec![false; contents.list.len()];
    lines.clone().for_each(|line| wanted[line] = true);
    let head = (&opened.checkpoint, opened.note.as_str());
    let logged = prove_article(&opened.archive, catalog, opened.history(), head, &revision.id).is_ok();
    let whole = match prove(&bundle, &contents, Scope::Lines(&wanted), &Nobody, ui.run()) {
        Ok(()) => true,
        Err(crate::format::bundle::Error::Damaged(finding)) if ui.json => {
            let severity = finding.severity();
            ui.print_json("finding", &JsonFinding { file: &shown, severity, finding: &finding })?;
            false
        }
        Err(crate::format::bundle::Error::Damaged(finding)) => {
            ui.print(&finding)?;
            false
        }
        Err(error) => return Err(error.into()),
    };
    let files = lines.len() as u64;
    if ui.json {
        ui.print_json("article", &Json { file: &shown, article: &revision.id, whole, logged, files })?;
    } else {
        let word = if logged && whole { "OK" } else { "NOT OK" };
        let proof = if logged { "logged, the proof holds" } else { "NOT in the log as it is in its bundle" };
        ui.print(format!("{asked}: {word}: {}, {proof}", ui::count(files, "file")))?;
    }
    Ok(logged && whole)
}

/// Verifies a whole bundle and reports.
fn whole(args: &VerifyArgs, path: &Path, parts: &mut Parts, ui: &Ui) -> Result<bool, Failure> {
    let file = args.read.file(path, ui)?;
    ui.begin(Task::Verify, None);
    let report = check(&file, ui.run()).map_err(|error| Failure::from(error).about(path.display()))?;
    ui.finish();
    let judgement = match (&report.tail, &report.manifest) {
        (Some(tail), Some(manifest)) => args.read.judge(tail, manifest, ui)?,
        _ => Judgement::default(),
    };
    if let (Some(id), Some(manifest)) = (report.id(), &report.manifest) {
        parts.add(path, id, manifest);
    }
    let mut findings = report.findings.clone();
    findings.extend(report.id().and_then(|id| file_name_finding(path, id)));
    let intact = findings.is_empty();
    let notices = judgement.findings.iter().filter(|finding| finding.severity() == Severity::Notice);
    findings.extend(notices.chain(judgement.wrong(args.read.unsigned())).cloned());
    findings.sort_by_key(|finding| finding.code);
    let good = findings.iter().all(|finding| finding.severity() == Severity::Notice);
    let shown = path.display().to_string();
    if ui.json {
        print_json(&shown, &report, &judgement, &findings, (good, intact), ui)?;
    } else {
        print(&shown, &report, &judgement, &findings, intact, good, ui)?;
    }
    Ok(good)
}

fn print_json(
    file: &str,
    report: &Report,
    judgement: &Judgement,
    findings: &[Finding],
    (ok, intact): (bool, bool),
    ui: &Ui,
) -> Result<(), Failure> {
    for finding in findings {
        ui.print_json("finding", &JsonFinding { file, severity: finding.severity(), finding })?;
    }
    let articles = report.articles.as_deref();
    let of = |state| {
        let states = articles.unwrap_or_default().iter();
        states.filter(|article| article.state == state).map(|article| article.path.as_str()).collect::<Vec<_>>()
    };
    let manifest = report.manifest.as_ref();
    let verdict = JsonVerdict {
        file,
        id: report.id().map(|id| id.to_string()),
        name: manifest.map(|manifest| manifest.name.as_str()),
        ok,
        intact,
        authentic: judgement.authentic(),
        signatures: &judgement.signatures,
        removal: judgement.removal.as_ref().map(|removal| JsonRemoval::new(removal, judgement)),
        articles: manifest.map(|manifest| manifest.articles),
        files: manifest.map(|manifest| manifest.files),
        bytes: manifest.map(|manifest| manifest.bytes),
        whole: articles.map(|_| of(FileState::Whole).len() as u64),
        damaged: of(FileState::Damaged),
        missing: of(FileState::Missing),
    };
    ui.print_json("verdict", &verdict)
}

fn print(
    file: &str,
    report: &Report,
    judgement: &Judgement,
    findings: &[Finding],
    intact: bool,
    good: bool,
    ui: &Ui,
) -> Result<(), Failure> {
    print_findings(findings, ui)?;
    let what = report.manifest.as_ref().map_or_else(|| "no readable manifest".to_owned(), describe);
    ui.print(format!("{file}: {}", if good { "OK" } else { "NOT OK" }))?;
    if let Some(id) = report.id() {
        ui.print(format!("  bundle     {id}"))?;
    }
    ui.print(format!("  content    {what}"))?;
    let states = report.articles.as_deref();
    let damage = match states {
        _ if intact => "yes, every byte".to_owned(),
        None => "no; without a checksum list that the manifest names, no article can be checked".to_owned(),
        Some(articles) => {
            let n = |state| articles.iter().filter(|article| article.state == state).count() as u64;
            let [whole, damaged, missing] = [FileState::Whole, FileState::Damaged, FileState::Missing].map(n);
            format!("no; {} whole, {damaged} damaged, {missing} missing", ui::count(whole, "article"))
        }
    };
    ui.print(format!("  intact     {damage}"))?;
    for signature in &judgement.signatures {
        ui.print(format!("  signature  {}", signature_line(signature)))?;
    }
    let authentic = if judgement.authentic() {
        "yes"
    } else if good {
        "not asked for (--unsigned)"
    } else {
        "no"
    };
    ui.print(format!("  authentic  {authentic}"))?;
    if let Some(removal) = &judgement.removal {
        ui.print(format!("  replaces   {}", removal_line(removal, judgement)))?;
        if !judgement.authentic() && removal.first_is_authentic() {
            let by = signers(&removal.signatures);
            ui.print(format!(
                "  left       the articles left are authentic: they were signed in the first bundle, by {by}"
            ))?;
        }
    }
    let lost: Vec<_> = states.unwrap_or_default().iter().filter(|a| a.state != FileState::Whole).collect();
    for article in lost.iter().take(MAX_SHOWN) {
        let state = if article.state == FileState::Missing { "missing" } else { "damaged" };
        ui.print(format!("  {state:<10} {}", &article.path))?;
    }
    if lost.len() > MAX_SHOWN {
        ui.print(format!("  … and {} more; `--json` lists all", ui::thousands((lost.len() - MAX_SHOWN) as u64)))?;
    }
    if !intact {
        let file = if file == "-" { "FILE".into() } else { quoted(file) };
        ui.hint(format!("`vellum salvage --to DIR {file}` gets out what is still whole"));
    } else if !good {
        ui.hint(trust_hint(judgement));
    }
    Ok(())
}

/// Prints findings, those of one code cut short.
pub(super) fn print_findings(findings: &[Finding], ui: &Ui) -> Result<(), Failure> {
    for same in findings.chunk_by(|a, b| a.code == b.code) {
        for finding in same.iter().take(MAX_SHOWN) {
            ui.print(finding)?;
        }
        if same.len() > MAX_SHOWN {
            ui.print(format!("{}: … and {} more; `--json` lists all", same[0].code, same.len() - MAX_SHOWN))?;
        }
    }
    Ok(())
}

/// Describes a bundle's content in a line.
pub(super) fn describe(manifest: &Manifest) -> String {
    let mut text = format!(
        "{:?}, {}, {}, {}",
        manifest.title,
        ui::count(manifest.articles, "article"),
        ui::count(manifest.files, "file"),
        ui::bytes(manifest.bytes)
    );
    if let Some(part) = &manifest.part {
        text.push_str(&format!(", part {}{}", part.number, if part.last { ", the last" } else { "" }));
    }
    text
}

/// Describes in a line what was taken out of a bundle and who has signed that.
fn removal_line(removal: &Removal, judgement: &Judgement) -> String {
    let articles = ui::count(removal.articles, "article");
    let by = if judgement.authentic() { signers(&judgement.signatures) } else { "nobody you trust".to_owned() };
    format!("{}, {articles} removed, by {by}", removal.first)
}

/// Names the trusted keys that have signed.
fn signers(signatures: &[JudgedSignature]) -> String {
    let good = signatures.iter().filter(|signature| signature.worth == Worth::Good);
    let name = |signature: &JudgedSignature| match &signature.by {
        Some(label) if *label != signature.key_id => format!("{} ({label})", signature.key_id),
        _ => signature.key_id.clone(),
    };
    good.map(name).collect::<Vec<_>>().join(", ")
}

/// Describes a signature in a line.
pub(super) fn signature_line(signature: &JudgedSignature) -> String {
    let time = signature.time.map(|time| format!(", says {time}")).unwrap_or_default();
    match (signature.worth, &signature.by) {
        (Worth::Good, Some(by)) if *by != signature.key_id => format!("{} ({by}), good{time}", signature.key_id),
        (Worth::Good, _) => format!("{}, good{time}", signature.key_id),
        (Worth::Untrusted, _) => format!("{}, not a key trusted here, not checked{time}", signature.key_id),
        (Worth::Elsewhere, _) => format!("{}, for another archive{time}", signature.key_id),
        (Worth::Bad, _) => format!("{}, BAD", signature.key_id),
    }
}

/// Verifies the articles asked for and nothing else.
fn some(args: &VerifyArgs, path: &Path, ui: &Ui) -> Result<bool, Failure> {
    let (bundle, contents, judgement) = args.read.bundle(path, ui)?;
    let lines = args.select.lines(&contents)?.unwrap_or_default();
    let files = lines.iter().filter(|wanted| **wanted).count() as u64;
    let shown = path.display().to_string();
    match prove(&bundle, &contents, Scope::Lines(&lines), &Nobody, ui.run()) {
        Ok(()) => {
            let articles = contents.list.articles().filter(|(_, line)| lines[*line]).count() as u64;
            if ui.json {
                #[derive(Serialize)]
                struct Part<'a> {
                    file: &'a str,
                    id: String,
                    authentic: bool,
                    articles: u64,
                    files: u64,
                }
                let authentic = judgement.authentic();
                ui.print_json(
                    "articles",
                    &Part { file: &shown, id: bundle.id().to_string(), authentic, articles, files },
                )?;
            } else {
                let signed =
                    if judgement.authentic() { "signed by a key you trust" } else { "signature not asked for" };
                ui.print(format!(
                    "{shown}: OK: {}, {}, {signed}",
                    ui::count(articles, "article"),
                    ui::count(files, "file")
                ))?;
            }
            Ok(true)
        }
        Err(crate::format::bundle::Error::Damaged(finding)) => {
            if ui.json {
                ui.print_json(
                    "finding",
                    &JsonFinding { file: &shown, severity: finding.severity(), finding: &finding },
                )?;
            } else {
                ui.print(finding)?;
                ui.print(format!("{shown}: NOT OK"))?;
            }
            Ok(false)
        }
        Err(error) => Err(Failure::from(error).about(shown)),
    }
}
