//! Opening an archive for a verb: the log's key, the checkpoint it has signed, the catalog brought up to it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::archive::catalog::{Catalog, Filter, Listed, Revision};
use crate::archive::history::LoggedBundle;
use crate::archive::{Archive, History, Log, Pin, Vouched, Writer};
use crate::collection::{follow, open_holder};
use crate::digest::Digest;
use crate::format::bundle::{Bundle, Contents};
use crate::format::checkpoint::Checkpoint;
use crate::format::order;
use crate::keys::{SecretKey, Signer, VerifierKey};
use crate::run::Run;
use crate::store::{Object, Store};
use crate::trust::policy::{self, MAX_POLICY_BYTES, Policy};

use super::Failure;
use super::heads;
use super::input::{ReadArgs, typed};
use super::keyring;
use super::place;
use super::ui::Ui;

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

/// Opens an archive and checks its checkpoint, also against the newest that was seen here.
pub(super) fn open(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    let opened = open_any(path, read, ui)?;
    heads::check(&opened.archive.store().name(), &mut opened.log(), &opened.vouched, read.older(), ui)?;
    // Who cannot know what was withdrawn would show it.
    if let Some(place) = opened.history().missing.first() {
        return Err(Failure::no(format!("{}: {place} is not there, which says what was withdrawn", path.display()))
            .hint("whoever shows this archive may be hiding it; `vellum sync` from another copy brings it back"));
    }
    Ok(opened)
}

/// Opens an archive whose log may be damaged, for an audit that reports it.
pub(super) fn open_damaged(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    let opened = open_with(path, read, Archive::as_it_lies, ui)?;
    // What does not lead to its own checkpoint says nothing of those that were seen before.
    if opened.archive.log(&opened.checkpoint).root(opened.checkpoint.size).is_ok() {
        heads::check(&opened.archive.store().name(), &mut opened.log(), &opened.vouched, read.older(), ui)?;
    }
    Ok(opened)
}

/// Opens an archive, however old its checkpoint is.
pub(super) fn open_any(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    open_with(path, read, Archive::vouched, ui)
}

/// As [`open_any`], having read all of its log, for who vouches for it to others.
pub(super) fn open_whole(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    open_with(path, read, |archive, pin, run| archive.knowing_nothing().vouched(pin, run), ui)
}

/// Opens an archive, whose leaves are read once here.
fn open_knowing(store: Store, ui: &Ui) -> Result<Archive, Failure> {
    let archive = place::own_catalog(Archive::open(store)?, ui)?;
    Ok(match keyring::known(archive.origin(), ui) {
        Some(path) => archive.knowing(path),
        None => archive,
    })
}

type Vouching = fn(&Archive, &Pin, Run<'_>) -> Result<Vouched, crate::archive::Error>;

fn open_with(path: &Path, read: &ReadArgs, vouch: Vouching, ui: &Ui) -> Result<Opened, Failure> {
    let archive = open_knowing(place::store(path)?, ui)?;
    if let Some(asked) = read.archive().filter(|asked| *asked != archive.origin()) {
        return Err(Failure::no(format!("{}: is the archive {}, not {asked}", path.display(), archive.origin())));
    }
    let pin = keyring::pin(read.trust(), read.unsigned(), archive.origin(), archive.log_key(), ui)?;
    let vouched = vouch(&archive, &pin, ui.run()).map_err(|error| Failure::no_from(error).about(path.display()))?;
    let (log_key, checkpoint, note) = (vouched.log_key.clone(), vouched.checkpoint.clone(), vouched.note.to_string());
    Ok(Opened { archive, vouched, pin, log_key, checkpoint, note })
}

impl Opened {
    /// Returns the log under the checkpoint.
    pub(super) fn log(&self) -> Log<'_> {
        self.archive.log(&self.checkpoint)
    }

    /// Opens the catalog and brings it up to the checkpoint.
    pub(super) fn catalog(&self, ui: &Ui) -> Result<Catalog, Failure> {
        if self.vouched.is_unwitnessed() {
            let (found, needed) = (self.vouched.witnessed.by.len(), self.vouched.witnessed.needed);
            let name = self.archive.store().name();
            ui.say(format!("warning: {name}: {found} of {needed} witnesses have seen this state of its log"));
        }
        let mut catalog = self.archive.catalog()?;
        follow(&self.archive, &mut catalog, (&self.vouched.history, &self.checkpoint), ui.run())?;
        ui.finish();
        Ok(catalog)
    }

    /// Finds an article by its id, or by the path of one of its files; returns the rest of the path too.
    pub(super) fn find(&self, catalog: &Catalog, asked: &str) -> Result<(Revision, String), Failure> {
        let find = |asked: &str| {
            for id in std::iter::once(asked).chain(order::folders(asked)) {
                if let Some(revision) = catalog.current(id)? {
                    return Ok::<_, Failure>(Some((revision, asked[id.len()..].to_owned())));
                }
            }
            Ok(None)
        };
        if let Some(found) = typed(asked, find)? {
            return Ok(found);
        }
        if self.withdrawn(catalog, asked).is_some() {
            return Err(Failure::no(format!("the article {asked:?} was withdrawn"))
                .hint(format!("`vellum history {} {asked}` says when and why", self.archive.store().name())));
        }
        Err(Failure::no(format!("no article {asked:?}"))
            .hint("`vellum list ARCHIVE` and `vellum search ARCHIVE WORDS` find articles"))
    }

    /// Returns what the log says.
    pub(super) fn history(&self) -> &History {
        &self.vouched.history
    }

    /// Returns the digest and leaf of the statement that stands against an article.
    pub(super) fn withdrawn(&self, catalog: &Catalog, id: &str) -> Option<(Digest, u64)> {
        let key = Digest::of(id.as_bytes());
        let holds = |bundle: &LoggedBundle| catalog.holds(&key, bundle.line.unwrap_or(bundle.id)).unwrap_or(false);
        self.history().shown_from(&key, &holds).err().map(|logged| (logged.digest, logged.leaf.0))
    }

    /// Opens the bundle that holds a revision now, and returns the revision's path in it.
    pub(super) fn bundle(&self, revision: &Revision) -> Result<(Bundle<Object>, Contents), Failure> {
        let gone = || crate::collection::Error::NoBundle(revision.bundle);
        let (bundle, contents, _) = open_holder(&self.archive, self.history(), revision.bundle)?.ok_or_else(gone)?;
        Ok((bundle, contents))
    }
}

/// With what a writing verb signs for the log.
#[derive(Debug, Args)]
pub(super) struct LogSignerArgs {
    /// The log's secret key [default: the one that `init` keeps in the configuration] (can be repeated while the log's key changes)
    #[arg(long, value_name = "FILE")]
    log_secret: Vec<PathBuf>,
}

impl LogSignerArgs {
    pub(super) fn is_given(&self) -> bool {
        !self.log_secret.is_empty()
    }
}

/// An archive that a verb writes to: what vouches for it, and the log's secret keys.
pub(super) struct Writable {
    pub(super) archive: Archive,
    pub(super) pin: Pin,
    secrets: Vec<SecretKey>,
    /// Keys of the log that need not be at hand, since its policy is to be changed.
    earlier: Vec<VerifierKey>,
}

impl Writable {
    /// Opens an archive, and the secret key of each of its log's keys that is in use.
    pub(super) fn open(
        path: &Path,
        args: &LogSignerArgs,
        passphrase_file: Option<&Path>,
        signers: &[&dyn Signer],
        ui: &Ui,
    ) -> Result<Self, Failure> {
        Self::open_for(path, args, None, passphrase_file, signers, ui)
    }

    /// Opens an archive whose policy is to be changed: of the log's keys that the old version and the new one have in use, those that are at hand
    /// sign; the old one's may be lost.
    pub(super) fn open_for(
        path: &Path,
        args: &LogSignerArgs,
        proposed: Option<&Policy>,
        passphrase_file: Option<&Path>,
        signers: &[&dyn Signer],
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let archive = open_knowing(Store::new(path), ui)?;
        let pin = keyring::own_pin(archive.origin(), archive.log_key(), signers, ui)?;
        let in_use = |policy: &Policy| {
            let keys = policy.logs.iter().filter(|log| log.retired_at.is_none());
            keys.map(|log| log.key.clone()).collect::<Vec<_>>()
        };
        let (mut needed, mut version, mut earlier) = (vec![archive.log_key().clone()], 0, Vec::new());
        if let Pin::Policy(_) = pin {
            let vouched =
                archive.vouched(&pin, ui.run()).map_err(|error| Failure::no_from(error).about(path.display()))?;
            if let Some(policy) = vouched.authority().policy() {
                (needed, version) = (in_use(policy), policy.version);
                if proposed.is_some() {
                    earlier.extend(policy.logs.iter().map(|log| log.key.clone()));
                }
            }
        }
        let mut new = proposed.map(in_use).unwrap_or_default();
        // What a killed run has begun to put into force will be finished now, and is signed by the keys that are in use then.
        let begun = archive.store().read(&policy::place(version + 1), MAX_POLICY_BYTES);
        new.extend(begun.ok().and_then(|bytes| Policy::pinned(&bytes, archive.origin()).ok()).iter().flat_map(in_use));
        let is_of = |secret: &SecretKey, key: &VerifierKey| secret.public().as_bytes() == key.public().as_bytes();
        let mut secrets = Vec::new();
        for path in &args.log_secret {
            let secret = keyring::open_with(path, passphrase_file, ui)?;
            if !needed.iter().chain(&new).any(|key| is_of(&secret, key)) {
                return Err(Failure::new(format!("{}: is no key of the log of {}", path.display(), archive.origin())));
            }
            secrets.push(secret);
        }
        let needed = needed.iter().map(|key| (key, earlier.is_empty())).chain(new.iter().map(|key| (key, false)));
        for (key, must) in needed {
            if secrets.iter().any(|secret| is_of(secret, key)) {
                continue;
            }
            let path = keyring::folder(ui)?.join("logs").join(format!("{}.key", key.public().id()));
            if !path.exists() {
                if !must {
                    continue;
                }
                return Err(Failure::new(format!(
                    "no secret key for the log of {}: {}",
                    archive.origin(),
                    path.display()
                ))
                .hint("only who has the log's key can write to an archive; name it with `--log-secret FILE`"));
            }
            secrets.push(keyring::open_with(&path, passphrase_file, ui)?);
        }
        Ok(Self { archive, pin, secrets, earlier })
    }

    /// Returns who signs for the log.
    pub(super) fn log_signers(&self) -> Vec<&dyn Signer> {
        self.secrets.iter().map(|secret| secret as &dyn Signer).collect()
    }

    /// Takes the right to write.
    pub(super) fn writer<'a>(&'a self, signers: &'a [&'a dyn Signer], ui: &Ui) -> Result<Writer<'a>, Failure> {
        Ok(Writer::begin_after(&self.archive, signers, self.earlier.clone(), &who(), ui.run())?)
    }
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
