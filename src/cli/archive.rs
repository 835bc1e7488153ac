//! Opening an archive for a verb: the log's key, the checkpoint it has signed, the catalog brought up to it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::archive::catalog::{Catalog, Filter, Listed, Revision};
use crate::archive::policies::{Pin, Vouched, successors};
use crate::archive::{Archive, Writer};
use crate::collection::{follow, prove};
use crate::digest::Digest;
use crate::format::bundle::{Bundle, Contents, SignatureFile};
use crate::format::checkpoint::Checkpoint;
use crate::keys::{Kind, PublicKey, SecretKey, Signature, Signer, VerifierKey};
use crate::store::Object;
use crate::trust::authority::{Authority, Logged};
use crate::trust::policy::{Policy, PolicyKey, Role};
use crate::trust::{JudgedSignature, Judgement, Worth};

use super::Failure;
use super::input::ReadArgs;
use super::keyring;
use super::place;
use super::ui::{self, Ui};

/// An archive whose checkpoint is signed by a key that a person trusts.
pub(super) struct Opened {
    pub(super) archive: Archive,
    pub(super) vouched: Vouched,
    /// What vouches for it, to read it again once the lock is held.
    pub(super) pin: Pin,
    pub(super) log_key: VerifierKey,
    pub(super) checkpoint: Checkpoint,
    pub(super) note: String,
}

/// Opens an archive and checks its checkpoint.
pub(super) fn open(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    let archive = Archive::open(place::store(path)?)?;
    if let Some(asked) = read.archive().filter(|asked| *asked != archive.origin()) {
        return Err(Failure::no(format!("{}: is the archive {}, not {asked}", path.display(), archive.origin())));
    }
    let pin = keyring::pin(read.trust(), archive.origin(), archive.log_key(), ui)?;
    let vouched = archive.vouched(&pin).map_err(|error| Failure::no_from(error).about(path.display()))?;
    let (log_key, checkpoint, note) = (vouched.log_key.clone(), vouched.checkpoint.clone(), vouched.note.to_string());
    Ok(Opened { archive, vouched, pin, log_key, checkpoint, note })
}

impl Opened {
    /// Opens the catalog and brings it up to the checkpoint.
    pub(super) fn catalog(&self, ui: &Ui) -> Result<Catalog, Failure> {
        let mut catalog = self.archive.catalog()?;
        follow(&self.archive, &mut catalog, &self.checkpoint, ui)?;
        ui.finish();
        Ok(catalog)
    }

    /// Finds an article by its id, or by the path of one of its files; returns the rest of the path too.
    pub(super) fn find<'a>(&self, catalog: &Catalog, asked: &'a str) -> Result<(Revision, &'a str), Failure> {
        let mut id = asked;
        loop {
            if let Some(revision) = catalog.current(id)? {
                return Ok((revision, &asked[id.len()..]));
            }
            match id.rsplit_once('/') {
                Some((above, _)) => id = above,
                None => break,
            }
        }
        if catalog.withdrawn(asked)?.is_some() {
            return Err(Failure::no(format!("the article {asked:?} was withdrawn"))
                .hint(format!("`vellum history {} {asked}` says when and why", self.archive.store().name())));
        }
        Err(Failure::no(format!("no article {asked:?}"))
            .hint("`vellum list ARCHIVE` and `vellum search ARCHIVE WORDS` find articles"))
    }

    /// Opens the bundle that holds a revision, judged by the keys that a person trusts.
    pub(super) fn bundle(
        &self,
        catalog: &Catalog,
        revision: &Revision,
        read: &ReadArgs,
        ui: &Ui,
    ) -> Result<(Bundle<Object>, Contents, Judgement), Failure> {
        let bundle = prove::open_bundle(&self.archive, catalog, revision.bundle)?;
        let judgement = match &self.vouched.authority {
            Authority::Keys(_) => read.judged(&bundle, Some(self.archive.origin()), ui)?,
            Authority::Policy(_) => self.judged(&bundle, catalog, read)?,
        };
        let contents = bundle.contents()?;
        Ok((bundle, contents, judgement))
    }
}

impl Opened {
    /// Judges a bundle by the policy, its signatures at their leaves.
    fn judged(&self, bundle: &Bundle<Object>, catalog: &Catalog, read: &ReadArgs) -> Result<Judgement, Failure> {
        let leaves = prove::signature_leaves(&self.archive, catalog, &self.checkpoint, bundle.id())?;
        let tail = bundle.tail();
        let signatures: Vec<_> = tail
            .signatures
            .iter()
            .map(|file| {
                let digest = Digest::of(&file.bytes);
                let leaf = leaves.iter().find(|(_, _, logged)| *logged == digest);
                Logged { bytes: &file.bytes, index: leaf.map(|(index, ..)| *index) }
            })
            .collect();
        let (what, origin) = ((Role::Publish, Kind::Manifest), self.archive.origin());
        let met = self.vouched.authority.judge(what, &tail.manifest, &signatures, origin);
        if !met.is_met() && !read.unsigned() {
            return Err(Failure::no(format!("bundle {} is not authentic: {}", bundle.id(), met.reason()))
                .hint("`--unsigned` goes on without"));
        }
        let keys = self.vouched.authority.keys(Role::Publish);
        let judge = |file: &SignatureFile| {
            let key = keys.iter().find(|key| key.key.id().to_string() == file.key_id && met.by.contains(&key.label));
            let time = Signature::decode(&file.bytes).ok().and_then(|s| s.comment().ok()).map(|c| c.time());
            let worth = if key.is_some() { Worth::Good } else { Worth::Untrusted };
            JudgedSignature { key_id: file.key_id.clone(), by: key.map(|key| key.label.clone()), time, worth }
        };
        Ok(Judgement { signatures: tail.signatures.iter().map(judge).collect(), findings: Vec::new() })
    }
}

/// With what a writing verb signs for the log.
#[derive(Debug, Args)]
pub(super) struct LogSignerArgs {
    /// The log's secret key [default: the one that `init` keeps in the configuration]
    #[arg(long, value_name = "FILE")]
    log_secret: Option<PathBuf>,
}

impl LogSignerArgs {
    pub(super) fn is_given(&self) -> bool {
        self.log_secret.is_some()
    }
}

/// Opens the log's secret key of an archive.
pub(super) fn log_secret(
    archive: &Archive,
    args: &LogSignerArgs,
    passphrase_file: Option<&Path>,
    ui: &Ui,
) -> Result<SecretKey, Failure> {
    let id = archive.log_key().public().id();
    let path = match &args.log_secret {
        Some(path) => path.clone(),
        None => keyring::folder(ui)?.join("logs").join(format!("{id}.key")),
    };
    if !path.exists() {
        return Err(Failure::new(format!("no secret key for the log of {}: {}", archive.origin(), path.display()))
            .hint("only who has the log's key can write to an archive; name it with `--log-secret FILE`"));
    }
    keyring::open_with(&path, passphrase_file, ui)
}

/// Returns the policy that is in force, if one is pinned here.
pub(super) fn policy_in_force(archive: &Archive, ui: &Ui) -> Result<Option<Policy>, Failure> {
    let pinned = keyring::pinned_policy(archive.origin(), ui)?;
    if !pinned.exists() {
        return Ok(None);
    }
    let pinned = keyring::read_policy(&pinned)?;
    let newest = successors(archive.store(), &pinned)?.pop();
    Ok(Some(newest.map_or(pinned, |version| version.policy)))
}

/// Refuses to write what the policy would not let count; asked once the lock is held, since a policy is replaced under it.
pub(super) fn allow(archive: &Archive, role: Role, signers: &[&dyn Signer], ui: &Ui) -> Result<(), Failure> {
    let keys: Vec<_> = signers.iter().map(|signer| signer.public().clone()).collect();
    allow_keys(archive, role, &keys, ui)
}

/// The same, for keys of which some have signed already.
pub(super) fn allow_keys(archive: &Archive, role: Role, keys: &[PublicKey], ui: &Ui) -> Result<(), Failure> {
    let Some(policy) = policy_in_force(archive, ui)? else { return Ok(()) };
    let counts = |key: &&PolicyKey| {
        key.roles.contains(&role)
            && key.is_active()
            && keys.iter().any(|at_hand| at_hand.as_bytes() == key.public.as_bytes())
    };
    let (found, needed) = (policy.keys.iter().filter(counts).count() as u64, policy.threshold.of(role));
    if found >= needed {
        return Ok(());
    }
    let (role, version) = (role.as_str(), policy.version);
    Err(Failure::no(format!(
        "version {version} of the policy asks for {} to {role}, {found} of those at hand may",
        ui::count(needed, "key")
    ))
    .hint("`--key` names a key and can be repeated; `vellum trust show ARCHIVE` says who may do what"))
}

/// Takes the right to write.
pub(super) fn writer<'a>(archive: &'a Archive, secret: &'a SecretKey) -> Result<Writer<'a>, Failure> {
    Ok(Writer::begin(archive, secret, &who())?)
}

/// What this process calls itself in a lock.
pub(super) fn who() -> String {
    format!("process {}", std::process::id())
}

/// Which articles of an archive a verb is about.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only articles by this author: a name, or words of it
    #[arg(long)]
    author: Option<String>,
    /// Only articles published then or later: 2026, 2026-11 or 2026-11-24
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only articles published then or before
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Only articles in this language; `en` takes en-GB too
    #[arg(long)]
    language: Option<String>,
    /// Only articles with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only articles whose ids lie below this folder
    #[arg(long, value_name = "FOLDER")]
    below: Option<String>,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            author: self.author.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            language: self.language.clone(),
            tag: self.tag.clone(),
            below: self.below.clone(),
        }
    }
}

/// Returns a listed article's cells: title, authors, date, language, size, id.
pub(super) fn cells(article: &Listed) -> [String; 6] {
    let size = super::ui::bytes(article.bytes);
    [&article.title, &article.authors, &article.published, &article.language, &size, &article.id].map(Clone::clone)
}
