//! `vellum key`: make keys, show them, seal them, trust those of others.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::ids::Origin;
use crate::keys::{Passphrase, SecretKey, VerifierKey};
use crate::store::disk::{Links, Rewrite};

use super::keyring::{self, AnyKey};
use super::ui::Ui;
use super::{Answer, Failure};

/// Make signing keys, show them, protect them, trust those of others
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum key new                         make a key, protected by a pass phrase
  vellum key list                        your keys; the keys, logs and policies that you trust
  vellum key trust alice.pub             believe what this key signs
  vellum key trust 'RWQ…'                the same, from the line itself
  vellum key distrust example.org/lib    believe its log and its policy no more

Keys are minisign's: `minisign -S -s FILE` and `minisign -V -p FILE` take them as they are.")]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

impl KeyArgs {
    pub(super) fn has_json(&self) -> bool {
        !matches!(self.command, KeyCommand::Show { .. })
    }
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key pair, and trust it unless it is written elsewhere with --output
    New {
        /// Do without a pass phrase: whoever reads the file can sign
        #[arg(long)]
        no_passphrase: bool,
        /// Read the pass phrase from the first line of this file
        #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
        passphrase_file: Option<PathBuf>,
        /// Write FILE.key and FILE.pub instead of keeping the pair in the configuration
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Make a key for the log of this archive instead, whose line is printed: `trust propose --add-log` takes it
        #[arg(long, value_name = "ORIGIN", conflicts_with = "output")]
        log: Option<Origin>,
    },
    /// List your keys, and the keys, logs and policies that you trust
    List,
    /// Show a public key, as a file of minisign's
    Show {
        /// A public key: a file or a line
        key: String,
    },
    /// Change, set or remove the pass phrase of a secret key
    Passphrase {
        /// The secret key: a file, or the id of a key of yours
        key: String,
        /// Remove the pass phrase: whoever reads the file can sign
        #[arg(long)]
        remove: bool,
        /// Read the new pass phrase from the first line of this file
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new_passphrase_file: Option<PathBuf>,
        /// Read the old pass phrase from the first line of this file
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Believe what a key signs
    Trust {
        /// A public key: a .pub file, a minisign line `RW…`, an `ssh-ed25519` line; or a log's key, `<origin>+…`
        key: String,
    },
    /// Stop believing a key, a log, or a policy
    Distrust {
        /// A key's id or line; a log's, or the archive whose log and policy are meant
        #[arg(value_name = "KEYID|LINE|ORIGIN")]
        id: String,
    },
}

#[derive(Serialize)]
struct JsonKey<'a> {
    id: &'a str,
    public: String,
    label: &'a str,
    own: bool,
    trusted: bool,
    from: Option<String>,
}

#[derive(Serialize)]
struct JsonLog<'a> {
    origin: &'a str,
    id: String,
    log_key: String,
    own: bool,
    from: Option<String>,
}

#[derive(Serialize)]
struct JsonPolicy<'a> {
    archive: &'a str,
    version: u64,
    sha256: String,
    from: Option<String>,
}

pub(super) fn run(args: KeyArgs, ui: &Ui) -> Result<Answer, Failure> {
    match args.command {
        KeyCommand::New { no_passphrase, passphrase_file, output, log } => {
            let passphrase = if no_passphrase { None } else { Some(new_passphrase(passphrase_file.as_deref())?) };
            match log {
                Some(origin) => {
                    let (_, verifier) = make_log_key(&origin, passphrase.as_ref(), ui)?;
                    ui.print(verifier)?;
                }
                None => drop(make(passphrase.as_ref(), output.as_deref(), ui)?),
            }
            Ok(Answer::Yes)
        }
        KeyCommand::Show { key } => {
            let trusted = keyring::public(&key)?;
            trusted.key.to_file().lines().try_for_each(|line| ui.print(line))?;
            Ok(Answer::Yes)
        }
        KeyCommand::List => list(ui),
        KeyCommand::Passphrase { key, remove, new_passphrase_file, passphrase_file } => {
            let new = if remove { None } else { Some(new_passphrase_file) };
            reseal(&keyring::secret_path(&key, ui)?, new, passphrase_file.as_deref(), ui)
        }
        KeyCommand::Trust { key } => trust(&key, ui),
        KeyCommand::Distrust { id } => distrust(&id, ui),
    }
}

/// Asks for a new pass phrase, twice where it is typed.
pub(super) fn new_passphrase(file: Option<&Path>) -> Result<Passphrase, Failure> {
    let first = keyring::passphrase(file, "New pass phrase: ")?;
    let asked = file.is_none() && std::env::var_os(keyring::PASSPHRASE).is_none();
    if asked {
        let second = keyring::passphrase(None, "The same again: ")?;
        if !first.same_as(&second) {
            return Err(Failure::new("the two pass phrases differ"));
        }
    }
    Ok(first)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new("the system gives no random bytes").cause(error))?;
    Ok(bytes)
}

/// Makes a secret key.
pub(super) fn generate() -> Result<SecretKey, Failure> {
    Ok(SecretKey::generate(random()?))
}

/// Returns the file of a secret key.
pub(super) fn seal(key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, Failure> {
    Ok(key.seal(passphrase, random()?))
}

/// Makes a key pair; one kept in the configuration is trusted. Returns the secret key.
pub(super) fn make(passphrase: Option<&Passphrase>, output: Option<&Path>, ui: &Ui) -> Result<SecretKey, Failure> {
    let key = generate()?;
    let public = crate::keys::Signer::public(&key);
    let id = public.id().to_string();
    let folder = keyring::folder(ui)?;
    let (secret_path, public_path) = match output {
        Some(path) => (keyring::with_ending(path, ".key"), keyring::with_ending(path, ".pub")),
        None => (folder.join("keys").join(format!("{id}.key")), folder.join("keys").join(format!("{id}.pub"))),
    };
    keyring::write_new(&secret_path, &seal(&key, passphrase)?, true)?;
    keyring::write_new(&public_path, &public.to_file(), false)?;
    ui.say(format!("made key {id}"));
    ui.say(format!("  secret  {}", secret_path.display()));
    ui.say(format!("  public  {}", public_path.display()));
    if output.is_none() {
        keyring::write_new(&folder.join("trusted").join(format!("{id}.pub")), &public.to_file(), false)?;
        ui.say("  it is trusted here; keep a copy of the secret file in a safe place");
    }
    Ok(key)
}

/// Makes a key for a log, and keeps it in the configuration.
pub(super) fn make_log_key(
    origin: &Origin,
    passphrase: Option<&Passphrase>,
    ui: &Ui,
) -> Result<(SecretKey, VerifierKey), Failure> {
    let secret = generate()?;
    let verifier = VerifierKey::new(origin.as_str(), crate::keys::Signer::public(&secret))?;
    let folder = keyring::folder(ui)?.join("logs");
    let secret_path = folder.join(format!("{}.key", verifier.public().id()));
    keyring::write_new(&secret_path, &seal(&secret, passphrase)?, true)?;
    keyring::write_new(&secret_path.with_extension("vkey"), &format!("{verifier}\n"), false)?;
    ui.say(format!("  log's secret key  {}", secret_path.display()));
    ui.say("  keep a copy of it in a safe place; whoever checks proofs needs the public one:");
    Ok((secret, verifier))
}

fn list(ui: &Ui) -> Result<Answer, Failure> {
    let trusted = keyring::trusted_by_default(ui)?;
    let mut rows = Vec::new();
    for path in keyring::own_keys(ui)? {
        // A key is there from its secret file on; without the public one beside it there is nothing to show.
        let Some(public) = keyring::usable(keyring::public_in(&path.with_extension("pub")), ui) else { continue };
        rows.push((public, true));
    }
    for key in &trusted {
        if rows.iter().all(|(own, _)| own.key != key.key) {
            rows.push((key.clone(), false));
        }
    }
    let (logs, policies) = (keyring::trusted_logs(ui)?, keyring::pinned_policies(ui)?);
    if rows.is_empty() && logs.is_empty() && policies.is_empty() {
        ui.say("you have no keys, and trust none: `vellum key new` makes one, `vellum key trust FILE` trusts one");
    }
    for (key, own) in &rows {
        let id = key.key.id().to_string();
        let is_trusted = trusted.iter().any(|trusted| trusted.key == key.key);
        let from = keyring::whence(&keyring::folder(ui)?.join("trusted").join(format!("{id}.pub")));
        if ui.json {
            let (public, label) = (key.key.to_line(), key.label.as_str());
            let json = JsonKey { id: &id, public, label, own: *own, trusted: is_trusted, from };
            ui.print_json("key", &json)?;
        } else {
            let words = match (own, is_trusted) {
                (true, true) => "yours, trusted",
                (true, false) => "yours, not trusted",
                (false, _) => "trusted",
            };
            ui.print(format!("key     {id}  {words}  {}{}", key.key.to_line(), after(from)))?;
        }
    }
    for (path, log) in &logs {
        let (own, from) = (path.with_extension("key").exists(), keyring::whence(path));
        let id = log.public().id().to_string();
        if ui.json {
            let (origin, log_key) = (log.name(), log.to_string());
            ui.print_json("log", &JsonLog { origin, id, log_key, own, from })?;
        } else {
            let words = if own { "yours, trusted" } else { "trusted" };
            ui.print(format!("log     {id}  {words}  {log}{}", after(from)))?;
        }
    }
    for (path, policy) in &policies {
        let (archive, version, from) = (policy.archive.as_str(), policy.version, keyring::whence(path));
        let sha256 = policy.digest.to_string();
        if ui.json {
            ui.print_json("policy", &JsonPolicy { archive, version, sha256, from })?;
        } else {
            ui.print(format!(
                "policy  {archive}  version {version} and what follows from it  {sha256}{}",
                after(from)
            ))?;
        }
    }
    Ok(Answer::Yes)
}

/// Says where something trusted is from, behind the line that is about it.
fn after(from: Option<String>) -> String {
    from.map(|from| format!("  from {from}")).unwrap_or_default()
}

fn reseal(path: &Path, new: Option<Option<PathBuf>>, old: Option<&Path>, ui: &Ui) -> Result<Answer, Failure> {
    let unwritable =
        |error: std::io::Error| Failure::new(format!("{}: cannot be replaced", path.display())).cause(error);
    let rewrite = Rewrite::begin(path, Links::Follow, ui.run()).map_err(unwritable)?;
    let key = keyring::open_asking(path, old, "Old pass phrase: ", ui)?;
    let new = new.map(|file| new_passphrase(file.as_deref())).transpose()?;
    let sealed = key.seal(new.as_ref(), random()?);
    rewrite.secret().put(sealed.as_bytes()).map_err(unwritable)?;
    let words = if new.is_some() { "is protected by its new pass phrase" } else { "has no pass phrase any more" };
    ui.say(format!("{} {words}", path.display()));
    Ok(Answer::Yes)
}

fn trust(named: &str, ui: &Ui) -> Result<Answer, Failure> {
    let (key, file) = keyring::named(named)?;
    let key = match key {
        AnyKey::Log(log) => return trust_log(&log, &shown(named, file), ui),
        AnyKey::Public(key) => key,
    };
    let path = keyring::folder(ui)?.join("trusted").join(format!("{}.pub", key.id()));
    if path.exists() {
        if keyring::public_in(&path)?.key == key {
            ui.say(format!("{} is trusted already", key.id()));
            return Ok(Answer::Yes);
        }
        return Err(Failure::new(format!("another key with the id {} is trusted already", key.id()))
            .hint(format!("`vellum key distrust {}` first, if that is what you want", key.id())));
    }
    keyring::write_new(&path, &key.to_file(), false)?;
    keyring::remember(&path, &shown(named, file))?;
    ui.say(format!("{} is trusted now", key.id()));
    Ok(Answer::Yes)
}

/// Says where a key that is trusted was taken from.
fn shown(named: &str, file: Option<&Path>) -> String {
    match file {
        Some(file) => std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string(),
        None => format!("the line {named}"),
    }
}

fn trust_log(log: &VerifierKey, from: &str, ui: &Ui) -> Result<Answer, Failure> {
    let path = keyring::folder(ui)?.join("logs").join(format!("{}.vkey", log.public().id()));
    if !path.exists() {
        keyring::write_new(&path, &format!("{log}\n"), false)?;
        keyring::remember(&path, from)?;
    }
    ui.say(format!("the log of {} is trusted now", log.name()));
    Ok(Answer::Yes)
}

fn distrust(named: &str, ui: &Ui) -> Result<Answer, Failure> {
    let mut gone = Vec::new();
    let folder = keyring::folder(ui)?.join("trusted");
    for trusted in keyring::trusted_by_default(ui)? {
        let id = trusted.key.id().to_string();
        if id.eq_ignore_ascii_case(named) || trusted.key.to_line() == named || trusted.key.to_ssh_line() == named {
            gone.push((folder.join(format!("{id}.pub")), id));
        }
    }
    for (path, log) in keyring::trusted_logs(ui)? {
        if log.is_called(named) || log.name() == named {
            gone.push((path, format!("the log of {} with the key {}", log.name(), log.public().id())));
        }
    }
    for (path, policy) in keyring::pinned_policies(ui)? {
        if policy.archive.as_str() == named {
            gone.push((path, format!("version {} of the policy of {named}", policy.version)));
        }
    }
    if gone.is_empty() {
        return Err(Failure::no(format!("nothing of the name {named:?} is trusted"))
            .hint("`vellum key list` lists keys, logs and policies"));
    }
    for (path, what) in gone {
        keyring::forget(&path)?;
        ui.say(format!("{what} is not trusted any more"));
    }
    Ok(Answer::Yes)
}
