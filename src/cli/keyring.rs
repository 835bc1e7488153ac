//! Whose keys: the secret keys of one's own and the public keys one trusts, in the user's configuration folder.
//!
//! `keys/<KEYID>.key` and `.pub` are one's own, `trusted/<KEYID>.pub` those one trusts. Nothing is ever taken from beside what is
//! being verified, nor from the current folder.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::archive::policies::Pin;
use crate::digest::Digest;
use crate::format::manifest::Origin;
use crate::keys::agent::{Agent, AgentKey};
use crate::keys::{Passphrase, PublicKey, SecretKey, Signer, VerifierKey};
use crate::store::disk;
use crate::trust::TrustedKey;
use crate::trust::policy::{MAX_POLICY_BYTES, Policy};

use super::Failure;
use super::ui::Ui;

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

/// One secret key, named.
#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// The secret key: a file, or the id of a key of yours
    #[arg(long, value_name = "FILE|KEYID")]
    secret: String,
    /// Read the pass phrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
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
    passphrase_file: Option<PathBuf>,
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
pub(super) fn pin(args: &TrustArgs, name: &Origin, claimed: &VerifierKey, ui: &Ui) -> Result<Pin, Failure> {
    if let Some(path) = &args.policy {
        return Ok(Pin::Policy(read_policy(path)?));
    }
    let pinned = pinned_policy(name, ui)?;
    if args.keys.is_empty() && args.folder.is_none() && args.log_key.is_none() && pinned.exists() {
        return Ok(Pin::Policy(read_policy(&pinned)?));
    }
    Ok(Pin::Keys { keys: trusted(args, ui)?, log: log_key(args, claimed, ui)? })
}

/// Returns where the policy that is pinned for an archive lies.
pub(super) fn pinned_policy(name: &Origin, ui: &Ui) -> Result<PathBuf, Failure> {
    let hex = Digest::of(name.as_str().as_bytes()).to_string();
    Ok(folder(ui)?.join("policies").join(format!("{}.toml", &hex[..16])))
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
    let found = log_keys(args, claimed.name(), ui)?.into_iter().find(|key| args.log_key.is_some() || key == claimed);
    found.ok_or_else(|| {
        Failure::no(format!("the log of {} is not trusted here", claimed.name())).hint(format!(
            "it calls its key {claimed}: compare that with its owner, then trust it with `vellum key trust LINE`, or name it with `--log-key`"
        ))
    })
}

/// Returns the key to believe of the log with this name.
pub(super) fn log_key_named(args: &TrustArgs, name: &str, ui: &Ui) -> Result<VerifierKey, Failure> {
    log_keys(args, name, ui)?.pop().ok_or_else(|| {
        Failure::no(format!("no key of the log {name:?} is trusted here"))
            .hint("get it from its owner and trust it with `vellum key trust LINE`, or name it with `--log-key`")
    })
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
    let mut keys = Vec::new();
    // No folder is as good as an empty one: nobody is trusted.
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "vkey") {
            keys.extend(usable(verifier(&path.display().to_string()), ui));
        }
    }
    keys.retain(|key| key.name() == name);
    Ok(keys)
}

/// Reads a log's public key from a file, or takes the text itself for one.
pub(super) fn verifier(named: &str) -> Result<VerifierKey, Failure> {
    let path = Path::new(named);
    let text =
        if path.exists() { String::from_utf8_lossy(&read_key_file(path)?).into_owned() } else { named.to_owned() };
    text.trim().parse().map_err(|error| Failure::new(format!("{named:?} is no key of a log")).cause(error))
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
    Ok(paths.iter().filter_map(|path| usable(public(&path.display().to_string()), ui)).collect())
}

/// Names a key file of a folder that cannot be used and goes on without it: one bad file must not stop what other keys can do.
pub(super) fn usable<T>(key: Result<T, Failure>, ui: &Ui) -> Option<T> {
    key.inspect_err(|failure| ui.say(format!("warning: this key is left out: {}", failure.line()))).ok()
}

/// Reads a public key from a file, or takes the text itself for one.
pub(super) fn public(named: &str) -> Result<TrustedKey, Failure> {
    let path = Path::new(named);
    if path.exists() {
        let text = read_key_file(path)?;
        let text = String::from_utf8_lossy(&text);
        let key = PublicKey::parse(&text).map_err(|error| Failure::from(error).about(path.display()))?;
        let label = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(TrustedKey { key, label });
    }
    let key = PublicKey::parse(named)
        .map_err(|error| Failure::new(format!("{named:?} is neither a file nor a public key")).cause(error))?;
    Ok(TrustedKey { label: key.id().to_string(), key })
}

/// Reads a key file whole, at most what any key file needs.
pub(super) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |error: io::Error| Failure::new(format!("{}: cannot be read", path.display())).cause(error);
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_KEY_FILE_BYTES {
        return Err(Failure::new(format!("{}: too long for a key, {size} bytes", path.display())));
    }
    fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

/// Returns the signers that the arguments name, or the only key of one's own; empty where there is none.
pub(super) fn signers(args: &SignerArgs, ui: &Ui) -> Result<Vec<Box<dyn Signer>>, Failure> {
    let mut signers: Vec<Box<dyn Signer>> = Vec::new();
    for named in &args.keys {
        signers.push(Box::new(open_secret(&secret_path(named, ui)?, args, ui)?));
    }
    for named in &args.agent {
        signers.push(Box::new(agent_key(named)?));
    }
    if !signers.is_empty() {
        return Ok(signers);
    }
    match own_keys(ui)?.as_slice() {
        [] => {}
        [one] => signers.push(Box::new(open_secret(one, args, ui)?)),
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
pub(super) fn secret_path(named: &str, ui: &Ui) -> Result<PathBuf, Failure> {
    let own = folder(ui)?.join("keys").join(format!("{}.key", named.to_uppercase()));
    let is_id = named.len() == 16 && named.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id && own.exists() {
        return Ok(own);
    }
    if Path::new(named).exists() {
        return Ok(PathBuf::from(named));
    }
    Err(Failure::new(format!("no secret key {named:?}"))
        .hint("`vellum key show` lists your keys; `vellum key new` makes one"))
}

/// Opens the one secret key that is named.
pub(super) fn open_named(args: &SecretArgs, ui: &Ui) -> Result<SecretKey, Failure> {
    open_with(&secret_path(&args.secret, ui)?, args.passphrase_file.as_deref(), ui)
}

/// Opens a secret key, asking for its pass phrase where it has one.
pub(super) fn open_secret(path: &Path, args: &SignerArgs, ui: &Ui) -> Result<SecretKey, Failure> {
    open_with(path, args.passphrase_file.as_deref(), ui)
}

fn open_with(path: &Path, passphrase_file: Option<&Path>, ui: &Ui) -> Result<SecretKey, Failure> {
    let file = read_key_file(path)?;
    let about = |error: crate::keys::Error| Failure::from(error).about(path.display());
    let passphrase = if SecretKey::is_sealed(&file).map_err(about)? {
        Some(passphrase(passphrase_file, &format!("Pass phrase for {}: ", path.display()))?)
    } else {
        let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 != 0 {
            ui.say(format!("warning: {} has no pass phrase and others can read it", path.display()));
        }
        None
    };
    SecretKey::open(&file, passphrase.as_ref()).map_err(about)
}

/// Gets a pass phrase: from a file, from VELLUM_PASSPHRASE, or by asking.
pub(super) fn passphrase(file: Option<&Path>, prompt: &str) -> Result<Passphrase, Failure> {
    let text = if let Some(file) = file {
        let bytes = read_key_file(file)?;
        let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        Zeroizing::new(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
    } else if let Ok(text) = env::var("VELLUM_PASSPHRASE") {
        Zeroizing::new(text)
    } else if io::stdin().is_terminal() {
        Zeroizing::new(
            rpassword::prompt_password(prompt)
                .map_err(|error| Failure::new("cannot ask for the pass phrase").cause(error))?,
        )
    } else {
        return Err(Failure::new("a pass phrase is needed, and there is no terminal to ask at")
            .hint("give it with `--passphrase-file FILE` or in VELLUM_PASSPHRASE"));
    };
    Passphrase::new(text.to_string()).map_err(Failure::from)
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
