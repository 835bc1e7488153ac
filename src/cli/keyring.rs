//! Whose keys: the secret keys of one's own and the public keys one trusts, in the user's configuration folder.
//!
//! `keys/<KEYID>.key` and `.pub` are one's own, `trusted/<KEYID>.pub` those one trusts. Nothing is ever taken from beside what is
//! being verified, nor from the current folder.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use zeroize::Zeroizing;

use crate::archive::Pin;
use crate::digest::Digest;
use crate::ids::KeyId;
use crate::ids::Origin;
use crate::keys::agent::{Agent, AgentKey};
use crate::keys::{Passphrase, PublicKey, SecretKey, Signer, VerifierKey};
use crate::run::Run;
use crate::store::disk;
use crate::trust::TrustedKey;
use crate::trust::policy::{MAX_POLICY_BYTES, Policy};

use crate::watch::Watch;

use super::Failure;
use super::pace::MachineClock;
use super::ui::{self, Ui};

/// The variable of the environment that may hold a pass phrase.
pub(super) const PASSPHRASE: &str = "VELLUM_PASSPHRASE";
/// The bits of a file's mode that let anyone but its owner at it.
const FOR_OTHERS: u32 = 0o077;
/// The ending of the file that says where something trusted is from.
const NOTE_ENDING: &str = ".from";
/// The longest key file, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 16 << 10;

/// Which keys to believe.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// Believe this public key only: a .pub file, a minisign line `RW…`, or an `ssh-ed25519` line (can be repeated)
    #[arg(long = "key", value_name = "FILE|LINE")]
    keys: Vec<String>,
    /// Believe the public keys in this folder only
    #[arg(long = "keys", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Believe this key of an archive's log only: a .vkey file, or `<origin>+…`
    #[arg(long, value_name = "FILE|LINE")]
    log_key: Option<String>,
    /// Believe what this version of an archive's policy says, and those that follow from it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl TrustArgs {
    /// Returns the keys named, as one types them.
    pub(super) fn typed(&self) -> Vec<String> {
        let keys = self.keys.iter().flat_map(|key| ["--key".to_owned(), key.clone()]);
        keys.chain(self.folder.iter().flat_map(|folder| ["--keys".to_owned(), folder.display().to_string()])).collect()
    }

    pub(super) fn has_policy(&self) -> bool {
        self.policy.is_some()
    }

    pub(super) fn has_log_key(&self) -> bool {
        self.log_key.is_some()
    }
}

/// Which keys to sign with.
#[derive(Debug, Args)]
pub(super) struct SignerArgs {
    /// Sign with this secret key: a file, or the id of a key of yours (can be repeated) [default: your only key]
    #[arg(long = "key", value_name = "FILE|KEYID")]
    pub(super) keys: Vec<String>,
    /// Sign with a key that ssh-agent holds: a .pub file, or part of its comment (can be repeated)
    #[arg(long = "ssh-agent", value_name = "KEY")]
    agent: Vec<String>,
    /// Read the pass phrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

impl SignerArgs {
    /// Says whether a key is named.
    pub(super) fn is_given(&self) -> bool {
        !self.keys.is_empty() || !self.agent.is_empty()
    }
}

/// Returns the configuration folder.
pub(super) fn folder(ui: &Ui) -> Result<PathBuf, Failure> {
    if let Some(config) = &ui.config {
        return Ok(config.clone());
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .map(|config| config.join("vellum"))
        .ok_or_else(|| Failure::new("no configuration folder: HOME is not set").hint("name one with `--config DIR`"))
}

/// Returns the file in which it is kept what the leaves of an archive's log said; none where there is no place for it.
pub(super) fn known(origin: &Origin, ui: &Ui) -> Option<PathBuf> {
    let name = Digest::of(origin.as_str().as_bytes()).to_string();
    Some(folder(ui).ok()?.join("leaves").join(&name[..16]))
}

/// Reads the keys to believe: those named, else those trusted by configuration.
pub(super) fn trusted(args: &TrustArgs, ui: &Ui) -> Result<Vec<TrustedKey>, Failure> {
    let mut keys = Vec::new();
    for named in &args.keys {
        keys.push(public(named)?);
    }
    if let Some(folder) = &args.folder {
        keys.extend(public_keys_in(folder, ui)?);
    }
    if args.keys.is_empty() && args.folder.is_none() {
        keys.extend(trusted_by_default(ui)?);
    }
    Ok(keys)
}

/// Reads the keys trusted by configuration.
pub(super) fn trusted_by_default(ui: &Ui) -> Result<Vec<TrustedKey>, Failure> {
    let folder = folder(ui)?.join("trusted");
    if folder.is_dir() { public_keys_in(&folder, ui) } else { Ok(Vec::new()) }
}

/// Returns what a person vouches for about an archive: the policy named, else the one pinned, else keys.
///
/// With `unsigned` nobody need be trusted, not even the log's key: integrity is checked, and a warning says so.
pub(super) fn pin(
    args: &TrustArgs,
    unsigned: bool,
    name: &Origin,
    claimed: &VerifierKey,
    ui: &Ui,
) -> Result<Pin, Failure> {
    if let Some(policy) = policy_of(args, name, ui)? {
        return Ok(Pin::Policy(Box::new(policy)));
    }
    if unsigned {
        ui.say(format!(
            "warning: --unsigned: nobody is trusted for {name}; only that its bytes and its log go together is checked"
        ));
        return Ok(Pin::Anyone { log: log_key(args, claimed, ui).unwrap_or_else(|_| claimed.clone()) });
    }
    Ok(Pin::Keys { keys: trusted(args, ui)?, log: log_key(args, claimed, ui)? })
}

/// Returns what vouches for an archive that one writes to: the policy pinned, else the keys trusted here and those at hand, and the log's key,
/// which the secret one bears out.
pub(super) fn own_pin(name: &Origin, log: &VerifierKey, signers: &[&dyn Signer], ui: &Ui) -> Result<Pin, Failure> {
    let pinned = pinned_policy(name, ui)?;
    if pinned.exists() {
        return Ok(Pin::Policy(Box::new(read_policy(&pinned)?)));
    }
    let mut keys = trusted_by_default(ui)?;
    for key in signers.iter().map(|signer| signer.public()) {
        if !keys.iter().any(|trusted| trusted.key == *key) {
            keys.push(TrustedKey { key: key.clone(), label: key.id().to_string() });
        }
    }
    Ok(Pin::Keys { keys, log: log.clone() })
}

/// Returns where the policy that is pinned for an archive lies.
pub(super) fn pinned_policy(name: &Origin, ui: &Ui) -> Result<PathBuf, Failure> {
    let hex = Digest::of(name.as_str().as_bytes()).to_string();
    Ok(folder(ui)?.join("policies").join(format!("{}.toml", &hex[..16])))
}

/// Returns the policy that a person vouches for, where it is by one and not by keys that he does.
pub(super) fn policy_of(args: &TrustArgs, name: &Origin, ui: &Ui) -> Result<Option<Policy>, Failure> {
    if let Some(path) = &args.policy {
        return read_policy(path).map(Some);
    }
    let pinned = pinned_policy(name, ui)?;
    let by_keys = !args.keys.is_empty() || args.folder.is_some() || args.log_key.is_some();
    if by_keys || !pinned.exists() { Ok(None) } else { read_policy(&pinned).map(Some) }
}

/// Reads a policy that a person vouches for by naming it.
pub(super) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let about = |failure: Failure| failure.about(path.display());
    let file = fs::File::open(path).map_err(|error| about(Failure::new("cannot be read").cause(error)))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_POLICY_BYTES + 1), &mut bytes)
        .map_err(|error| about(Failure::new("cannot be read").cause(error)))?;
    Policy::decode(&bytes).map_err(|fault| about(Failure::no(fault.to_string())))
}

/// Returns the key to believe of the log that an archive calls its own: the one named, else one trusted by configuration.
pub(super) fn log_key(args: &TrustArgs, claimed: &VerifierKey, ui: &Ui) -> Result<VerifierKey, Failure> {
    // What the archive says is a label: after its log's key has changed it may name the old one still.
    let trusted = log_keys(args, claimed.name(), ui)?;
    let found = trusted.iter().find(|key| args.log_key.is_some() || *key == claimed).or(trusted.last());
    found.cloned().ok_or_else(|| {
        Failure::no(format!("the log of {} is not trusted here", claimed.name())).hint(format!(
            "it calls its key {claimed}: compare that with its owner, then trust it with `vellum key trust LINE`, or name it with `--log-key`"
        ))
    })
}

/// Returns the key to believe of the log with this name.
pub(super) fn log_key_named(args: &TrustArgs, name: &str, ui: &Ui) -> Result<VerifierKey, Failure> {
    let of_policy = || {
        let pinned = pinned_policy(&name.parse().ok()?, ui).ok().filter(|_| args.log_key.is_none())?;
        let policy = read_policy(&pinned).ok()?;
        policy.logs.into_iter().rfind(|log| log.retired_at.is_none()).map(|log| log.key)
    };
    log_keys(args, name, ui)?.pop().or_else(of_policy).ok_or_else(|| {
        Failure::no(format!("no key of the log {name:?} is trusted here"))
            .hint("get it from its owner and trust it with `vellum key trust LINE`, or name it with `--log-key`")
    })
}

/// Returns the keys of logs that are trusted by configuration, with their files.
pub(super) fn trusted_logs(ui: &Ui) -> Result<Vec<(PathBuf, VerifierKey)>, Failure> {
    logs_in(&folder(ui)?.join("logs"), ui)
}

/// Returns the policies that are pinned, with their files.
pub(super) fn pinned_policies(ui: &Ui) -> Result<Vec<(PathBuf, Policy)>, Failure> {
    let paths = files_with(&folder(ui)?.join("policies"), "toml");
    Ok(paths.into_iter().filter_map(|path| usable(read_policy(&path), ui).map(|policy| (path, policy))).collect())
}

/// Writes beside something trusted where it was taken from.
pub(super) fn remember(path: &Path, from: &str) -> Result<(), Failure> {
    let note = with_ending(path, NOTE_ENDING);
    let written = fs::remove_file(&note).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    written
        .and_then(|()| disk::create(&note, format!("{from}\n").as_bytes(), disk::PUBLIC))
        .map_err(|error| Failure::new(format!("{}: cannot be written", note.display())).cause(error))
}

/// Returns where something trusted was taken from.
pub(super) fn whence(path: &Path) -> Option<String> {
    let bytes = read_key_file(&with_ending(path, NOTE_ENDING)).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|from| !from.is_empty())
}

/// Takes back that something is trusted.
pub(super) fn forget(path: &Path) -> Result<(), Failure> {
    let unwritable = |error: io::Error| Failure::new(format!("{}: cannot be removed", path.display())).cause(error);
    fs::remove_file(path).map_err(unwritable)?;
    match fs::remove_file(with_ending(path, NOTE_ENDING)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(error)),
        _ => Ok(()),
    }
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Returns the files of a folder with this ending, in order; none where there is no folder: nobody is trusted then.
fn files_with(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = all.filter(|path| path.extension().is_some_and(|other| other == ending)).collect();
    paths.sort();
    paths
}

fn logs_in(folder: &Path, ui: &Ui) -> Result<Vec<(PathBuf, VerifierKey)>, Failure> {
    let log = |path: PathBuf| {
        let key = in_file(&path).and_then(|key| match key {
            AnyKey::Log(key) => Ok(key),
            AnyKey::Public(key) => Err(not_of_a_log(&path.display().to_string(), &key)),
        });
        usable(key, ui).map(|key| (path, key))
    };
    Ok(files_with(folder, "vkey").into_iter().filter_map(log).collect())
}

/// Returns the keys to believe of a log: the one named, else those trusted by configuration.
fn log_keys(args: &TrustArgs, name: &str, ui: &Ui) -> Result<Vec<VerifierKey>, Failure> {
    if let Some(named) = &args.log_key {
        let key = verifier(named)?;
        let other = || Failure::no(format!("the log is {name:?}, the key is of {:?}", key.name()));
        return if key.name() == name { Ok(vec![key]) } else { Err(other()) };
    }
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => folder(ui)?.join("logs"),
    };
    Ok(logs_in(&folder, ui)?.into_iter().map(|(_, key)| key).filter(|key| key.name() == name).collect())
}

/// A key that a person names.
pub(super) enum AnyKey {
    /// Signs bundles, policies and withdrawals.
    Public(PublicKey),
    /// Signs the checkpoints of a log.
    Log(VerifierKey),
}

impl AnyKey {
    fn parse(text: &str) -> Option<Self> {
        let log = || text.trim().parse().map(Self::Log).ok();
        PublicKey::parse(text).map(Self::Public).ok().or_else(log)
    }
}

/// Returns the key that an argument names, and its file if it is in one.
///
/// The text is parsed before any file is looked for: a file that somebody laid into the current folder under the name of a key must
/// not take the key's place.
pub(super) fn named(text: &str) -> Result<(AnyKey, Option<&Path>), Failure> {
    if let Some(key) = AnyKey::parse(text) {
        return Ok((key, None));
    }
    let path = Path::new(text);
    if path.exists() { Ok((in_file(path)?, Some(path))) } else { Err(refused(text, text)) }
}

/// Reads a key from a file.
fn in_file(path: &Path) -> Result<AnyKey, Failure> {
    let bytes = read_key_file(path)?;
    let shown = path.display().to_string();
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| Failure::new(format!("{shown}: expected a public key, found no UTF-8")).cause(error))?;
    AnyKey::parse(text).ok_or_else(|| refused(&shown, text))
}

/// Says what a text was expected to be, and why it is not.
fn refused(shown: &str, text: &str) -> Failure {
    let failure = Failure::new(format!("{shown:?} is neither a public key nor a file that holds one"));
    match PublicKey::parse(text) {
        Err(error) => failure.cause(error),
        Ok(_) => failure,
    }
}

/// Returns the log's or witness's public key that an argument names.
pub(super) fn verifier(text: &str) -> Result<VerifierKey, Failure> {
    match named(text)? {
        (AnyKey::Log(key), _) => Ok(key),
        (AnyKey::Public(key), _) => Err(not_of_a_log(text, &key)),
    }
}

fn not_of_a_log(shown: &str, key: &PublicKey) -> Failure {
    Failure::new(format!("{shown:?}: expected the key of a log, `<origin>+…`, found the key {} of a signer", key.id()))
}

/// Returns the public key of a signer that an argument names.
pub(super) fn public(text: &str) -> Result<TrustedKey, Failure> {
    let (key, file) = named(text)?;
    signers_key(key, file, text)
}

/// Reads the public key of a signer from a file.
pub(super) fn public_in(path: &Path) -> Result<TrustedKey, Failure> {
    signers_key(in_file(path)?, Some(path), &path.display().to_string())
}

fn signers_key(key: AnyKey, file: Option<&Path>, shown: &str) -> Result<TrustedKey, Failure> {
    match key {
        AnyKey::Public(key) => {
            let stem = file.and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
            Ok(TrustedKey { label: stem.unwrap_or_else(|| key.id().to_string()), key })
        }
        AnyKey::Log(key) => Err(Failure::new(format!(
            "{shown:?}: expected the public key of a signer, found the key of the log {}",
            key.name()
        ))),
    }
}

fn public_keys_in(folder: &Path, ui: &Ui) -> Result<Vec<TrustedKey>, Failure> {
    let unreadable = |error: io::Error| Failure::new(format!("{}: cannot be read", folder.display())).cause(error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "pub") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.iter().filter_map(|path| usable(public_in(path), ui)).collect())
}

/// Names a key file of a folder that cannot be used and goes on without it: one bad file must not stop what other keys can do.
pub(super) fn usable<T>(key: Result<T, Failure>, ui: &Ui) -> Option<T> {
    key.inspect_err(|failure| ui.say(format!("warning: this key is left out: {}", failure.words()))).ok()
}

/// How long to wait for somebody to write a key to a pipe.
const PIPE_PATIENCE: Duration = Duration::from_secs(5);

/// Reads a key file whole, at most what any key file needs.
pub(super) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |error: io::Error| Failure::new(format!("{}: cannot be read", path.display())).cause(error);
    let run = Run { threads: NonZeroUsize::MIN, watch: &Impatient(Instant::now()), clock: &MachineClock };
    disk::read_small(path, MAX_KEY_FILE_BYTES, run).map(Zeroizing::new).map_err(unreadable)
}

/// Gives up what began then, once it has waited long enough.
struct Impatient(Instant);

impl Watch for Impatient {
    fn cancelled(&self) -> bool {
        self.0.elapsed() > PIPE_PATIENCE
    }
}

/// Returns the signers that the arguments name, or the only key of one's own; empty where there is none.
pub(super) fn signers(args: &SignerArgs, ui: &Ui) -> Result<Vec<Box<dyn Signer>>, Failure> {
    let mut signers: Vec<Box<dyn Signer>> = Vec::new();
    for named in &args.keys {
        signers.push(Box::new(open_with(&secret_path(named, ui)?, args.passphrase_file.as_deref(), ui)?));
    }
    for named in &args.agent {
        signers.push(Box::new(agent_key(named)?));
    }
    if !signers.is_empty() {
        return Ok(signers);
    }
    match own_keys(ui)?.as_slice() {
        [] => {}
        [one] => signers.push(Box::new(open_with(one, args.passphrase_file.as_deref(), ui)?)),
        several => {
            let list: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            return Err(Failure::new(format!("you have {} keys: {}", several.len(), list.join(", ")))
                .hint("name the one to sign with: `--key KEYID`"));
        }
    }
    Ok(signers)
}

/// Returns the signers that the arguments name, at least one.
pub(super) fn some_signers(args: &SignerArgs, ui: &Ui) -> Result<Vec<Box<dyn Signer>>, Failure> {
    let signers = signers(args, ui)?;
    if signers.is_empty() {
        Err(Failure::new("no key to sign with").hint("`vellum key new` makes one"))
    } else {
        Ok(signers)
    }
}

/// Returns the files of one's own secret keys.
pub(super) fn own_keys(ui: &Ui) -> Result<Vec<PathBuf>, Failure> {
    let folder = folder(ui)?.join("keys");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut keys: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    keys.retain(|path| path.extension().is_some_and(|ending| ending == "key"));
    keys.sort();
    let is_key = |path: &Path| {
        let sealed = SecretKey::is_sealed(&read_key_file(path)?);
        sealed.map(drop).map_err(|error| Failure::from(error).about(path.display()))
    };
    keys.retain(|path| usable(is_key(path), ui).is_some());
    Ok(keys)
}

/// Returns the file of a secret key that is named by its path or its id.
///
/// What reads as an id is one: a file of that name in the current folder must not take the key's place.
pub(super) fn secret_path(named: &str, ui: &Ui) -> Result<PathBuf, Failure> {
    let (is_id, path) = match named.to_uppercase().parse::<KeyId>() {
        Ok(id) => (true, folder(ui)?.join("keys").join(format!("{id}.key"))),
        Err(_) => (false, PathBuf::from(named)),
    };
    if path.exists() {
        return Ok(path);
    }
    let failure = Failure::new(format!("no secret key {named:?}"));
    Err(if is_id && Path::new(named).exists() {
        failure.hint(format!("this is read as the id of a key of yours; `./{named}` names the file"))
    } else {
        failure.hint("`vellum key list` lists your keys; `vellum key new` makes one")
    })
}

/// Opens the one secret key that is named.
pub(super) fn open_named(named: &str, passphrase_file: Option<&Path>, ui: &Ui) -> Result<SecretKey, Failure> {
    open_with(&secret_path(named, ui)?, passphrase_file, ui)
}

/// Opens a secret key, asking for its pass phrase where it has one.
pub(super) fn open_with(path: &Path, passphrase_file: Option<&Path>, ui: &Ui) -> Result<SecretKey, Failure> {
    open_asking(path, passphrase_file, &format!("Pass phrase for {}: ", path.display()), ui)
}

/// Opens a secret key, asking with `prompt` for its pass phrase where it has one.
pub(super) fn open_asking(
    path: &Path,
    passphrase_file: Option<&Path>,
    prompt: &str,
    ui: &Ui,
) -> Result<SecretKey, Failure> {
    let file = read_key_file(path)?;
    let about = |error: crate::keys::Error| Failure::from(error).about(path.display());
    let is_sealed = SecretKey::is_sealed(&file).map_err(about)?;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & FOR_OTHERS != 0 {
        let (shown, mode) = (path.display(), mode & 0o777);
        if !is_sealed {
            return Err(Failure::new(format!(
                "{shown}: this secret key has no pass phrase and others can read or write it, expected mode 600, found {mode:o}"
            ))
            .hint(format!("`chmod 600 {shown}`; if others may have read it, make a new key")));
        }
        ui.say(format!(
            "warning: {shown}: others can read or write this secret key, only its pass phrase protects it: `chmod 600 {shown}`"
        ));
    }
    let passphrase = if is_sealed { Some(passphrase(passphrase_file, prompt)?) } else { None };
    SecretKey::open(&file, passphrase.as_ref()).map_err(about)
}

/// Gets a pass phrase: from a file, from VELLUM_PASSPHRASE, or by asking.
pub(super) fn passphrase(file: Option<&Path>, prompt: &str) -> Result<Passphrase, Failure> {
    if let Some(file) = file {
        let bytes = read_key_file(file)?;
        let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        return Passphrase::new(line).map_err(|error| Failure::from(error).about(file.display()));
    }
    if let Some(text) = env::var_os(PASSPHRASE) {
        let bytes = Zeroizing::new(text.into_vec());
        return Passphrase::new(&bytes).map_err(|error| Failure::from(error).about(PASSPHRASE));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new("a pass phrase is needed, and there is no terminal to ask at")
            .hint("give it with `--passphrase-file FILE` or in VELLUM_PASSPHRASE"));
    }
    let typed = ui::ask(prompt).map_err(|error| Failure::new("cannot ask for the pass phrase").cause(error))?;
    // The prompt puts U+FFFD in the place of bytes that are not UTF-8, and another wrong byte would make the same phrase.
    if typed.contains('\u{fffd}') {
        return Err(crate::keys::Error::PassphraseFormat { rule: "expected UTF-8, found other bytes" }.into());
    }
    Ok(Passphrase::new(typed.as_bytes())?)
}

fn agent_key(named: &str) -> Result<AgentKey, Failure> {
    let socket = env::var_os("SSH_AUTH_SOCK")
        .ok_or_else(|| Failure::new("no ssh-agent: SSH_AUTH_SOCK is not set").hint("start one: `eval $(ssh-agent)`"))?;
    let mut agent = Agent::connect(Path::new(&socket))?;
    let wanted = public(named).ok().map(|trusted| trusted.key);
    let mut fitting: Vec<_> = agent
        .identities()?
        .into_iter()
        .filter(|(key, comment)| match &wanted {
            Some(wanted) => key.as_bytes() == wanted.as_bytes(),
            None => comment.contains(named) || key.id().to_string() == named.to_uppercase(),
        })
        .collect();
    match (fitting.pop(), fitting.len()) {
        (Some((key, _)), 0) => Ok(agent.into_key(key)),
        (Some(_), more) => Err(Failure::new(format!("ssh-agent holds {} keys that fit {named:?}", more + 1))),
        (None, _) => Err(Failure::new(format!("ssh-agent holds no ssh-ed25519 key {named:?}"))
            .hint("`ssh-add -L` lists what it holds; `ssh-add FILE` adds a key")),
    }
}

/// Writes a file that must not be there yet, readable by its owner alone where it is `secret`.
pub(super) fn write_new(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let unwritable = |error: io::Error| Failure::new(format!("{}: cannot be written", path.display())).cause(error);
    let folder = disk::parent(path);
    let mode = if secret { disk::SECRET } else { disk::PUBLIC };
    let made = disk::make_private_folder(folder).and_then(|()| disk::create(path, text.as_bytes(), mode));
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(format!("{}: exists already", path.display())),
        _ => unwritable(error),
    })
}
