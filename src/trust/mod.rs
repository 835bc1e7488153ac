//! Whom to believe: a bundle's signatures judged by the keys that a person trusts. (FORMAT.md, "Signatures")
//!
//! Keys come from the person alone, never from beside what is judged. A key id selects a key; the signature is checked against
//! the whole public key, and its trusted comment must speak of this manifest.

pub mod authority;
pub mod logged;
pub mod policy;

use jiff::Timestamp;
use serde::Serialize;

use crate::digest::Digest;
use crate::finding::{Code, Finding, Severity};
use crate::format::bundle::{MAX_SIGNATURE_BYTES, SignatureFile, Tail};
use crate::format::manifest::Manifest;
use crate::format::was::{self, Was};
use crate::ids::{BundleId, Origin};
use crate::keys::{Comment, Kind, PublicKey, Signature};

/// A public key and the name by which its owner is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Where the key was found, or whose it is; for people only.
    pub label: String,
}

/// What a signature is worth here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Worth {
    /// By a trusted key, and about this manifest.
    Good,
    /// By a key that is not trusted here; it could not be checked.
    Untrusted,
    /// By a trusted key, for another archive than the one asked for.
    Elsewhere,
    /// Malformed, wrong, or about something else.
    Bad,
}

/// One signature, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedSignature {
    /// The key's id.
    pub key_id: String,
    /// The trusted key's label, where there is one.
    pub by: Option<String>,
    /// The time that the signer claims; only a good signature's claim is the signer's.
    pub time: Option<Timestamp>,
    /// What it is worth.
    pub worth: Worth,
}

/// What was taken out of a bundle since somebody first signed it. Who took it out is who has signed the replacement's manifest.
#[derive(Debug, Clone)]
pub struct Removal {
    /// How many articles.
    pub articles: u64,
    /// The bundle that held them all.
    pub first: BundleId,
    /// Its signatures: a good one vouches for the articles that are left, not for what was taken out.
    pub signatures: Vec<JudgedSignature>,
}

impl Removal {
    /// Says whether a trusted key has signed the bundle that held all articles.
    pub fn first_is_authentic(&self) -> bool {
        self.signatures.iter().any(|signature| signature.worth == Worth::Good)
    }
}

/// The verdict on a bundle's signatures.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// Every signature.
    pub signatures: Vec<JudgedSignature>,
    /// Of a replacement, what was taken out.
    pub removal: Option<Removal>,
    /// Everything wrong or worth knowing.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// Returns what is wrong for a reader; for one who asks for no signature, what is wrong with those that are there.
    pub fn wrong(&self, unsigned: bool) -> impl Iterator<Item = &Finding> {
        let asked_for = move |code| unsigned && matches!(code, Code::Unsigned | Code::Untrusted);
        let wrong = move |finding: &&Finding| finding.severity() == Severity::Damage && !asked_for(finding.code);
        self.findings.iter().filter(wrong)
    }

    /// Says whether what the manifest names is believed: a trusted key has signed it, and it is of the archive asked for. Other signatures may
    /// be wrong all the same.
    pub fn counts(&self) -> bool {
        self.authentic() && self.findings.iter().all(|finding| finding.code != Code::Archive)
    }

    /// Says whether a trusted key has signed this very manifest.
    pub fn authentic(&self) -> bool {
        self.signatures.iter().any(|signature| signature.worth == Worth::Good)
    }
}

/// Judges the signatures in a bundle's tail.
///
/// With `archive`, the manifest must not name another one, and only signatures made for that archive count.
pub fn judge(tail: &Tail, manifest: &Manifest, keys: &[TrustedKey], archive: Option<&Origin>) -> Judgement {
    let mut judgement = Judgement::default();
    if let (Some(asked), Some(named)) = (archive, &manifest.archive)
        && asked != named
    {
        let detail = format!("expected a manifest of {:?}, found one of {:?}", asked.as_str(), named.as_str());
        judgement.findings.push(Finding::new(Code::Archive, "manifest.toml", detail));
    }
    let wanted = archive.or(manifest.archive.as_ref());
    judgement.removal = removal(tail, keys, wanted, &mut judgement.findings);
    for file in &tail.signatures {
        let (signature, finding) = judge_one(file, &tail.manifest, keys, wanted, manifest.archive.is_some());
        judgement.signatures.push(signature);
        judgement.findings.extend(finding);
    }
    if tail.signatures.is_empty() {
        judgement.findings.push(Finding::new(Code::Unsigned, "manifest.toml", "there is no signature"));
    } else if !judgement.authentic() {
        let detail = match keys.len() {
            0 => "no key is trusted here".to_owned(),
            _ => "not signed by any key that is trusted here".to_owned(),
        };
        judgement.findings.push(Finding::new(Code::Untrusted, "manifest.toml", detail));
    }
    judgement
}

/// Judges the signatures of the bundles that a replacement descends from. A wrong one is damage in it; by whom the others are is told only of
/// the first bundle of the line, which vouches for what is left.
fn removal(tail: &Tail, keys: &[TrustedKey], archive: Option<&Origin>, findings: &mut Vec<Finding>) -> Option<Removal> {
    let mut removal: Option<Removal> = None;
    for was in &tail.was {
        let text = was.manifest.to_string();
        let mut signatures = Vec::new();
        for file in &was.signatures {
            let bound = was.manifest.archive.is_some();
            let (signature, finding) = judge_one(file, text.as_bytes(), keys, archive, bound);
            signatures.push(signature);
            let wrong = finding.filter(|finding| finding.severity() == Severity::Damage);
            findings.extend(wrong.map(|finding| in_line(was, finding)));
        }
        let before = removal.map_or(0, |newer| newer.articles);
        removal = Some(Removal { articles: before + was.removed.len() as u64, first: was.id(), signatures });
    }
    removal
}

/// Says that a finding is about a bundle that a replacement descends from.
fn in_line(was: &Was, finding: Finding) -> Finding {
    Finding { place: format!("{}{}/{}", was::FOLDER, was.id(), finding.place), ..finding }
}

/// Finds signature files that are malformed or not named for their key, whoever is trusted.
pub fn form_findings(tail: &Tail) -> Vec<Finding> {
    let own = tail.signatures.iter().filter_map(|file| well_formed(file).err());
    let of = |was| move |file: &SignatureFile| well_formed(file).err().map(|finding| in_line(was, finding));
    own.chain(tail.was.iter().flat_map(|was| was.signatures.iter().filter_map(of(was)))).collect()
}

/// Reads a signature file that is well-formed and named for its key.
fn well_formed(file: &SignatureFile) -> Result<Signature, Finding> {
    let place = format!("manifest.toml.{}.minisig", file.key_id);
    if file.bytes.len() as u64 > MAX_SIGNATURE_BYTES {
        return Err(Finding::new(Code::OverLimit, place, format!("{} bytes", file.bytes.len())));
    }
    let signature = match Signature::decode(&file.bytes) {
        Ok(signature) => signature,
        Err(error) => return Err(Finding::new(Code::SignatureForm, place, error)),
    };
    if signature.key_id().to_string() == file.key_id {
        Ok(signature)
    } else {
        let detail = format!("is by key {}, not by the one it is named for", signature.key_id());
        Err(Finding::new(Code::SignatureForm, place, detail))
    }
}

/// Judges one signature; `bound` says that the manifest itself names the archive.
fn judge_one(
    file: &SignatureFile,
    content: &[u8],
    keys: &[TrustedKey],
    archive: Option<&Origin>,
    bound: bool,
) -> (JudgedSignature, Option<Finding>) {
    let place = format!("manifest.toml.{}.minisig", file.key_id);
    let mut judged = JudgedSignature { key_id: file.key_id.clone(), by: None, time: None, worth: Worth::Bad };
    let found = |code, detail: String| Some(Finding::new(code, place.clone(), detail));
    let signature = match well_formed(file) {
        Ok(signature) => signature,
        Err(finding) => return (judged, Some(finding)),
    };
    judged.time = signature.comment().ok().map(|comment| comment.time());
    let same_id: Vec<_> = keys.iter().filter(|trusted| trusted.key.id() == signature.key_id()).collect();
    if same_id.is_empty() {
        judged.worth = Worth::Untrusted;
        return (judged, found(Code::SignatureUntrusted, format!("by key {}, which is not trusted here", file.key_id)));
    }
    let Some(trusted) = same_id.iter().find(|trusted| signature.verify(&trusted.key, content).is_ok()) else {
        return (judged, found(Code::SignatureBad, "does not fit the manifest".into()));
    };
    judged.by = Some(trusted.label.clone());
    match signature.comment().and_then(|comment| about(&comment, content, archive)) {
        Ok(()) => {
            judged.worth = Worth::Good;
            (judged, None)
        }
        // A bundle for no archive may be signed for several; to one of them the signatures for others say nothing.
        Err(error @ crate::keys::Error::OtherArchive { .. }) if !bound => {
            judged.worth = Worth::Elsewhere;
            (judged, found(Code::SignatureElsewhere, error.to_string()))
        }
        Err(error) => (judged, found(Code::SignatureComment, error.to_string())),
    }
}

/// Checks that a comment speaks of this manifest; a bundle for no archive may be signed for any.
fn about(comment: &Comment, content: &[u8], archive: Option<&Origin>) -> Result<(), crate::keys::Error> {
    let archive = archive.map(Origin::as_str).or(comment.archive());
    comment.agrees_with(Kind::Manifest, archive, &Digest::of(content))
}
