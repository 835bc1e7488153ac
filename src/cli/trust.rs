//! `vellum trust`: an archive's policy, shown, pinned, changed, signed, applied, exported.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::archive::Archive;
use crate::collection::policy::{Changes, apply as put_into_force, propose as next_version};
use crate::digest::Digest;
use crate::keys::{Comment, Kind, PublicKey, Signature};
use crate::store::Store;
use crate::trust::policy::{
    self, Freshness, LogKey, MAX_POLICY_BYTES, MAX_VERSIONS, OnStale, Policy, Role, Thresholds, Witness,
};

use super::archive::{LogSignerArgs, Writable, open};
use super::input::ReadArgs;
use super::keyring::{self, SignerArgs};
use super::pack::now;
use super::ui::Ui;
use super::{Answer, Failure, place};

/// Show and change who may do what in an archive
///
/// A policy says which keys may publish, withdraw and change the policy, how many it takes, and who witnesses the log. The first one
/// is pinned by a person; each further one is signed by a root threshold of itself and of the one before it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum trust propose library/ --add me --add bob=bob.pub --threshold root=2 -o policy.toml
  vellum trust sign policy.toml                                   each root key, on its own machine
  vellum trust apply library/ policy.toml                         who has the log's key
  vellum trust pin https://example.org/library --sha256 9f…       a reader, with the digest from elsewhere
  vellum trust propose library/ --retire alice --add carol=carol.pub -o next.toml
  vellum trust show library/
  vellum trust export library/ --format tlog-policy")]
pub(super) struct TrustVerbArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

impl TrustVerbArgs {
    pub(super) fn has_json(&self) -> bool {
        !matches!(self.command, TrustCommand::Export { .. })
    }
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Show the policy that holds now, or one in a file
    Show {
        /// An archive, or a policy's file
        #[arg(value_name = "ARCHIVE|FILE")]
        place: PathBuf,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Believe an archive by its policy from now on
    Pin {
        /// A policy's file that you vouch for; or an archive, with --sha256
        #[arg(value_name = "FILE|ARCHIVE")]
        place: PathBuf,
        /// The digest of the policy's file, from somewhere other than the archive
        #[arg(long, value_name = "HEX")]
        sha256: Option<Digest>,
    },
    /// Write the next version of the policy, for others to read and sign
    Propose(Box<ProposeArgs>),
    /// Sign a proposed policy; the signature lies beside it
    Sign {
        /// The policy's file
        file: PathBuf,
        #[command(flatten)]
        signers: SignerArgs,
    },
    /// Put a signed policy into force
    Apply {
        /// The archive
        #[arg(value_name = "ARCHIVE")]
        library: PathBuf,
        /// The policy's file, with its signatures beside it
        file: PathBuf,
        /// Read the pass phrase of the log's key from the first line of this file
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        log: LogSignerArgs,
    },
    /// Write the policy for other tools
    Export {
        /// An archive, or a policy's file
        #[arg(value_name = "ARCHIVE|FILE")]
        place: PathBuf,
        /// For whom
        #[arg(long)]
        format: Format,
        #[command(flatten)]
        read: ReadArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// C2SP tlog-policy: the log, the witnesses and their quorum
    TlogPolicy,
    /// OpenSSH allowed_signers: the keys that may publish
    AllowedSigners,
    /// minisign public keys that may publish, one a line
    Minisign,
}

#[derive(Debug, Args)]
struct ProposeArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// Add a key: NAME=FILE or NAME=LINE; a NAME alone is for your only key (can be repeated)
    #[arg(long, value_name = "NAME[=KEY]")]
    add: Vec<String>,
    /// What the added keys may do
    #[arg(long, value_name = "ROLE", value_delimiter = ',', default_value = "root,publish,withdraw", requires = "add")]
    roles: Vec<RoleName>,
    /// Put a key to rest, now or at a leaf: NAME or NAME@LEAF; what it signed before stays authentic (can be repeated)
    #[arg(long, value_name = "NAME")]
    retire: Vec<String>,
    /// Say that a key is in other hands, now or since a leaf: NAME or NAME@LEAF (can be repeated)
    #[arg(long, value_name = "NAME")]
    revoke: Vec<String>,
    /// How many keys it takes: root=2, publish=1, withdraw=1, document=1, witness=1 (can be repeated)
    #[arg(long, value_name = "ROLE=N")]
    threshold: Vec<String>,
    /// Add a witness that holds a whole copy: OPERATOR=KEY (can be repeated)
    #[arg(long, value_name = "OPERATOR=KEY")]
    witness: Vec<String>,
    /// Add a witness that vouches for one history alone, as public witnesses do: OPERATOR=KEY (can be repeated)
    #[arg(long, value_name = "OPERATOR=KEY")]
    public_witness: Vec<String>,
    /// Add a key of the log, which signs beside the one before from then on: a .vkey file, or `<origin>+…`
    #[arg(long, value_name = "FILE|LINE")]
    add_log: Vec<String>,
    /// Put a key of the log to rest, by its line or its id
    #[arg(long, value_name = "KEYID")]
    retire_log: Vec<String>,
    /// Close the archive: nothing is added any more
    #[arg(long)]
    close: bool,
    /// Make it on the log's first N leaves, not on all: where another history has this version, what was held beyond them gives way to it
    #[arg(long, value_name = "N")]
    on: Option<u64>,
    /// How old the newest cosignatures may be, in days
    #[arg(long, value_name = "DAYS")]
    max_age: Option<u32>,
    /// What to do when they are older
    #[arg(long, value_name = "WHAT", default_value = "warn", requires = "max_age")]
    on_stale: StaleName,
    /// Where to write it; absent
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Root,
    Publish,
    Withdraw,
    Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StaleName {
    Warn,
    Fail,
}

pub(super) fn run(args: &TrustVerbArgs, ui: &Ui) -> Result<Answer, Failure> {
    match &args.command {
        TrustCommand::Show { place, read } => show(&policy_of(place, read, ui)?, ui)?,
        TrustCommand::Pin { place, sha256 } => pin(place, sha256.as_ref(), ui)?,
        TrustCommand::Propose(args) => propose(args, ui)?,
        TrustCommand::Sign { file, signers } => sign(file, signers, ui)?,
        TrustCommand::Apply { library, file, passphrase_file, log } => {
            apply(library, file, passphrase_file.as_deref(), log, ui)?
        }
        TrustCommand::Export { place, format, read } => export(&policy_of(place, read, ui)?, *format, ui)?,
    }
    Ok(Answer::Yes)
}

/// Returns the policy of an archive as it holds now, or the one in a file.
fn policy_of(path: &Path, read: &ReadArgs, ui: &Ui) -> Result<Policy, Failure> {
    read.fit_archive()?;
    if !place::is_archive(path) {
        return keyring::read_policy(path);
    }
    let opened = open(path, read, ui)?;
    opened.vouched.authority().policy().cloned().ok_or_else(|| no_policy(&opened.archive))
}

fn no_policy(archive: &Archive) -> Failure {
    Failure::no(format!("no policy of {} is pinned here", archive.origin()))
        .hint("`vellum trust pin FILE` pins one that you vouch for; `vellum trust propose` writes a first one")
}

fn show(policy: &Policy, ui: &Ui) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Json<'a> {
        archive: &'a str,
        version: u64,
        sha256: String,
        text: String,
    }
    if ui.json {
        let (archive, sha256) = (policy.archive.as_str(), policy.digest.to_string());
        return ui.print_json("policy", &Json { archive, version: policy.version, sha256, text: policy.to_string() });
    }
    ui.print(format!("archive    {}", policy.archive))?;
    ui.print(format!("version    {}", policy.version))?;
    ui.print(format!("sha256     {}", policy.digest))?;
    let Thresholds { root, publish, withdraw, document, witness } = policy.threshold;
    let document = document.map(|document| format!("{document} for documents, ")).unwrap_or_default();
    ui.print(format!(
        "takes      {root} to change it, {publish} to publish, {withdraw} to withdraw, {document}{witness} to witness"
    ))?;
    if policy.closed {
        ui.print("closed     nothing is added any more")?;
    }
    if let Some(limit) = policy.freshness {
        let then = if limit.on_stale == OnStale::Fail { "refused" } else { "warned of" };
        ui.print(format!("fresh      within {} days, older is {then}", limit.max_age_days))?;
    }
    for key in &policy.keys {
        let roles: Vec<_> = key.roles.iter().map(|role| role.as_str()).collect();
        let mut line = format!("key        {} {} ({})", key.public.id(), &key.name, roles.join(", "));
        for (what, at) in
            [("valid from", key.valid_from), ("retired at", key.retired_at), ("compromised at", key.compromised_at)]
        {
            line.push_str(&at.map(|at| format!(", {what} leaf {at}")).unwrap_or_default());
        }
        ui.print(line)?;
    }
    let log = |log: &LogKey| {
        let retired = log.retired_at.map(|at| format!(", retired at {at} leaves")).unwrap_or_default();
        ui.print(format!("log        {} {}{retired}", log.key.public().id(), log.key))
    };
    policy.logs.iter().try_for_each(log)?;
    let witness = |w: &Witness| {
        let what = if w.holds { "who holds all of it" } else { "for its being one history" };
        ui.print(format!("witness    {} by {}, {what}", w.key, &w.operator))
    };
    policy.witnesses.iter().try_for_each(witness)
}

fn pin(path: &Path, sha256: Option<&Digest>, ui: &Ui) -> Result<(), Failure> {
    let (policy, bytes) = if place::is_archive(path) {
        let Some(wanted) = sha256 else {
            return Err(Failure::new("a policy is not taken on its archive's own word")
                .hint("compare its digest with its owner, then add `--sha256 HEX`; or pin a file that you vouch for"));
        };
        find_version(&place::store(path)?, wanted)?
    } else {
        let policy = keyring::read_policy(path)?;
        let bytes =
            fs::read(path).map_err(|error| Failure::new(format!("{}: cannot be read", path.display())).cause(error))?;
        (policy, bytes)
    };
    if let Some(wanted) = sha256.filter(|wanted| **wanted != policy.digest) {
        return Err(Failure::no(format!("expected a policy of the digest {wanted}, found {}", policy.digest)));
    }
    let from = std::path::absolute(path).ok().filter(|_| path.exists()).unwrap_or_else(|| path.to_owned());
    keep_pin(&policy, &bytes, &from.display().to_string(), ui)?;
    ui.say(format!("{} is believed by its policy now, from version {} on", policy.archive, policy.version));
    Ok(())
}

fn keep_pin(policy: &Policy, bytes: &[u8], from: &str, ui: &Ui) -> Result<(), Failure> {
    let place = keyring::pinned_policy(&policy.archive, ui)?;
    if place.exists() {
        let pinned = keyring::read_policy(&place)?;
        if pinned.digest == policy.digest {
            return Ok(());
        }
        return Err(Failure::new(format!("version {} of this archive's policy is pinned already", pinned.version))
            .hint(format!(
                "it leads to the later ones by itself; `vellum key distrust {}` to begin anew",
                policy.archive
            )));
    }
    keyring::write_new(&place, &String::from_utf8_lossy(bytes), false)?;
    keyring::remember(&place, from)
}

fn find_version(store: &Store, wanted: &Digest) -> Result<(Policy, Vec<u8>), Failure> {
    for version in 1..=MAX_VERSIONS {
        match store.read(&policy::place(version), MAX_POLICY_BYTES) {
            Ok(bytes) if Digest::of(&bytes) == *wanted => {
                let policy = Policy::decode(&bytes).map_err(|fault| Failure::no(fault.to_string()))?;
                return Ok((policy, bytes));
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::no(format!("{}: no version of its policy has the digest {wanted}", store.name())))
}

fn propose(args: &ProposeArgs, ui: &Ui) -> Result<(), Failure> {
    args.read.fit_archive()?;
    let opened = open(&args.library, &args.read, ui)?;
    if opened.vouched.authority().policy().is_none() && opened.archive.store().exists(&policy::place(1)) {
        return Err(no_policy(&opened.archive));
    }
    let roles: Vec<Role> = args.roles.iter().map(|role| role.role()).collect();
    let mut changes = Changes { close: args.close, retire_logs: args.retire_log.clone(), ..Changes::default() };
    for added in &args.add {
        let (name, public) = match added.split_once('=') {
            Some((name, key)) => (name, keyring::public(key)?.key),
            None => (added.as_str(), only_key(ui)?),
        };
        changes.add.push((name.to_owned(), public, roles.clone()));
    }
    let named = |named: &String| match named.rsplit_once('@') {
        Some((name, at)) => {
            let at = at.parse().map_err(|_| Failure::new(format!("{at:?} is no number of a leaf")))?;
            Ok((name.to_owned(), Some(at)))
        }
        None => Ok((named.clone(), None)),
    };
    changes.retire = args.retire.iter().map(named).collect::<Result<_, Failure>>()?;
    changes.revoke = args.revoke.iter().map(named).collect::<Result<_, Failure>>()?;
    for threshold in &args.threshold {
        let (role, number) = pair(threshold, "ROLE=N")?;
        let number = number.parse().map_err(|_| Failure::new(format!("{number:?} is no number")))?;
        let role = match role {
            "root" => Some(Role::Root),
            "publish" => Some(Role::Publish),
            "withdraw" => Some(Role::Withdraw),
            "document" => Some(Role::Document),
            "witness" => None,
            _ => {
                return Err(
                    Failure::new(format!("no role {role:?}")).hint("root, publish, withdraw, document, witness")
                );
            }
        };
        changes.thresholds.push((role, number));
    }
    for (witnesses, holds) in [(&args.witness, true), (&args.public_witness, false)] {
        for witness in witnesses {
            let (operator, key) = pair(witness, "OPERATOR=KEY")?;
            let key = keyring::verifier(key)?;
            changes.witnesses.push(Witness { key, operator: operator.to_owned(), holds });
        }
    }
    for log in &args.add_log {
        changes.add_logs.push(keyring::verifier(log)?);
    }
    if let Some(max_age_days) = args.max_age {
        let on_stale = if matches!(args.on_stale, StaleName::Fail) { OnStale::Fail } else { OnStale::Warn };
        changes.freshness = Some(Freshness { max_age_days, on_stale });
    }
    let mut checkpoint = opened.checkpoint.clone();
    if let Some(size) = args.on {
        if size > checkpoint.size {
            return Err(Failure::new(format!("the log has {} leaves, not {size}", checkpoint.size)));
        }
        (checkpoint.size, checkpoint.root) = (size, opened.archive.log(&opened.checkpoint).root(size)?);
    }
    let head = (opened.archive.origin(), &checkpoint, &opened.log_key);
    let next = next_version(opened.history(), head, &changes).map_err(|error| {
        Failure::new(format!("the proposal does not hold: {error}"))
            .hint("`--add NAME=FILE` adds a key, `--threshold ROLE=N` says how many it takes")
    })?;
    keyring::write_new(&args.output, &next.to_string(), false)?;
    ui.say(format!(
        "version {} is proposed in {}; read it, then `vellum trust sign` it",
        next.version,
        args.output.display()
    ));
    Ok(())
}

/// Returns the only key of one's own.
fn only_key(ui: &Ui) -> Result<PublicKey, Failure> {
    match keyring::own_keys(ui)?.as_slice() {
        [one] => Ok(keyring::public_in(&one.with_extension("pub"))?.key),
        keys => Err(Failure::new(format!("you have {} keys", keys.len())).hint("name one: `--add NAME=FILE`")),
    }
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            Self::Root => Role::Root,
            Self::Publish => Role::Publish,
            Self::Withdraw => Role::Withdraw,
            Self::Document => Role::Document,
        }
    }
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::new(format!("{text:?}: expected {form}")))
}

fn signature_file(file: &Path, id: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{id}.minisig"));
    PathBuf::from(name)
}

fn sign(file: &Path, signers: &SignerArgs, ui: &Ui) -> Result<(), Failure> {
    let policy = keyring::read_policy(file)?;
    let bytes =
        fs::read(file).map_err(|error| Failure::new(format!("{}: cannot be read", file.display())).cause(error))?;
    for signer in keyring::some_signers(signers, ui)? {
        let id = signer.public().id().to_string();
        if !policy.keys.iter().any(|key| key.public.as_bytes() == signer.public().as_bytes()) {
            ui.say(format!("warning: the proposed policy has no key {id}; it counts if the version before it has"));
        }
        let comment = Comment::new(Kind::Policy, Some(policy.archive.as_str()), policy.digest, now()?)?;
        let signature = Signature::sign(signer.as_ref(), &bytes, &comment)?;
        let place = signature_file(file, &id);
        keyring::write_new(&place, &signature.to_string(), false)?;
        ui.say(format!("signed version {} by {id}: {}", policy.version, place.display()));
    }
    Ok(())
}

fn apply(
    library: &Path,
    file: &Path,
    passphrase_file: Option<&Path>,
    log: &LogSignerArgs,
    ui: &Ui,
) -> Result<(), Failure> {
    let proposed = keyring::read_policy(file)?;
    let bytes =
        fs::read(file).map_err(|error| Failure::new(format!("{}: cannot be read", file.display())).cause(error))?;
    let opened = Writable::open_for(library, log, Some(&proposed), passphrase_file, &[], ui)?;
    let signers = opened.log_signers();
    let mut writer = opened.writer(&signers, ui)?;
    // Under the lock: of two that apply different policies of one version, the second must see the first.
    let history = writer.history(&opened.pin, ui.run())?;
    let before = history.authority.policy();
    if before.is_none() && opened.archive.store().exists(&policy::place(1)) {
        return Err(no_policy(&opened.archive));
    }
    if before.is_some_and(|before| before.digest == proposed.digest) {
        ui.say(format!("version {} of the policy is in force already", proposed.version));
        return Ok(());
    }
    let since = writer.checkpoint().size.saturating_sub(proposed.log.size);
    if since > 0 {
        ui.say(format!(
            "warning: it was made on {} leaves, and {since} came since: where another history has it, they give way to that; \
             `vellum trust propose` makes it on all of them",
            proposed.log.size
        ));
    }
    let ids = proposed.key_ids().chain(before.into_iter().flat_map(Policy::key_ids));
    let mut signatures = Vec::new();
    for id in ids.collect::<std::collections::BTreeSet<_>>() {
        let place = signature_file(file, &id);
        if place.exists() {
            signatures.push(keyring::read_key_file(&place)?.to_vec());
        }
    }
    let policy = put_into_force(&mut writer, &history, &bytes, &signatures).map_err(|error| match error {
        crate::collection::Error::Archive(error) => error.into(),
        error => Failure::no_from(error)
            .hint(format!("signatures lie beside the file: `vellum trust sign {}`", file.display())),
    })?;
    if before.is_none() {
        let from = std::path::absolute(library).unwrap_or_else(|_| library.to_owned());
        keep_pin(&policy, &bytes, &from.display().to_string(), ui)?;
    }
    ui.say(format!("version {} of the policy is in force; its digest is {}", policy.version, policy.digest));
    Ok(())
}

fn export(policy: &Policy, format: Format, ui: &Ui) -> Result<(), Failure> {
    let publishers =
        || policy.keys.iter().filter(|key| key.roles.contains(&Role::Publish) && key.compromised_at.is_none());
    match format {
        Format::Minisign => publishers().try_for_each(|key| ui.print(key.public.to_line())),
        Format::AllowedSigners => publishers().try_for_each(|key| {
            let name: String = key.name.chars().map(|c| if c.is_whitespace() || c == '"' { '_' } else { c }).collect();
            ui.print(format!("{name} namespaces=\"manifest@vellum\" {}", key.public.to_ssh_line()))
        }),
        Format::TlogPolicy => {
            let active = policy.logs.iter().filter(|log| log.retired_at.is_none());
            active.map(|log| &log.key).try_for_each(|key| ui.print(format!("log {key}")))?;
            let mut operators: Vec<&str> = policy.witnesses.iter().map(|w| w.operator.as_str()).collect();
            operators.sort_unstable();
            operators.dedup();
            let mut number = 0;
            for (n, operator) in (1..).zip(&operators) {
                let mut names = Vec::new();
                for witness in policy.witnesses.iter().filter(|witness| witness.operator == **operator) {
                    number += 1;
                    ui.print(format!("witness w{number} {}", witness.key))?;
                    names.push(format!("w{number}"));
                }
                ui.print(format!("group operator{n} any {}", names.join(" ")))?;
            }
            let quorum = policy.threshold.witness;
            if quorum == 0 {
                return ui.print("quorum none");
            }
            let names: Vec<_> = (1..=operators.len()).map(|n| format!("operator{n}")).collect();
            ui.print(format!("group operators {quorum} {}", names.join(" ")))?;
            ui.print("quorum operators")
        }
    }
}
