//! The judges: the built binary with all its verbs, held to its own word, and a reader by others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::forge::{Article, Forged, METADATA, TRUSTED, hex, sha256};
use super::long;
use super::random::Random;
use super::sign::Key;

/// The most memory that a verb may take, in KiB.
const MAX_KIB: u64 = 128 << 10;
/// Seconds of the processor that a verb may take on however small a file.
const BASE_SECONDS: f64 = 2.0;
/// Bytes of file and tar that a verb must read in a second beyond that, also where it is built without optimisation.
const BYTES_A_SECOND: f64 = 4e6;
/// Seconds of the processor after which a run is ended.
const LAST_SECOND: u64 = 120;
/// The codes that speak of who signed, of which signing and recompressing know nothing.
const OF_TRUST: [&str; 8] = [
    "unsigned",
    "untrusted",
    "signature-bad",
    "signature-comment",
    "signature-form",
    "signature-untrusted",
    "archive",
    "file-name",
];

/// A file to judge.
pub struct Case {
    pub name: String,
    pub file_name: String,
    pub forged: Forged,
}

/// What `verify` says.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub ok: bool,
    /// Codes with their severities.
    pub findings: Vec<(String, String)>,
    /// How many files the manifest counts, if it could be read.
    files: Option<u64>,
}

impl Verdict {
    pub fn codes(&self) -> BTreeSet<&str> {
        self.findings.iter().map(|(code, _)| code.as_str()).collect()
    }

    /// Whether the bundle is damaged, whoever has signed it.
    fn damaged(&self) -> bool {
        self.findings.iter().any(|(code, severity)| severity == "damage" && !OF_TRUST.contains(&code.as_str()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    List,
    Show,
    Cat,
    /// One article verified alone.
    Article,
    Extract,
    Salvage,
    Sign,
    Recompress,
}

impl Verb {
    pub const ALL: [Self; 8] =
        [Self::List, Self::Show, Self::Cat, Self::Article, Self::Extract, Self::Salvage, Self::Sign, Self::Recompress];
}

struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

/// A folder in which the judges work.
pub struct Court {
    folder: TempDir,
    key: String,
    timed: bool,
    count: AtomicUsize,
}

impl Court {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("corpus")).unwrap();
        let timed = Path::new("/usr/bin/time").exists();
        if !timed {
            missing("/usr/bin/time is not there: time and memory are not looked at");
        }
        let court = Self { folder, key: Key::new(TRUSTED).line(), timed, count: AtomicUsize::new(0) };
        let made = court.command().args(["key", "new", "--no-passphrase"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        court
    }

    pub fn corpus(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    /// Keeps the folder, so that one can look at what failed.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vellum"));
        command.current_dir(self.folder.path()).env("VELLUM_CONFIG", self.folder.path().join("config"));
        command.env_remove("VELLUM_PASSPHRASE").env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs a verb; what no run may do becomes a fault.
    fn run(&self, args: &[&str], bytes: usize, faults: &mut Vec<String>) -> Run {
        let spent = self.folder.path().join(format!("spent-{}", self.count.fetch_add(1, Ordering::Relaxed)));
        let mut command = if self.timed {
            let limited = format!("ulimit -t {LAST_SECOND}; exec /usr/bin/time -q -f '%M %U %S' -o \"$0\" \"$@\"");
            let mut shell = Command::new("sh");
            shell.args(["-c", &limited]).arg(&spent).arg(env!("CARGO_BIN_EXE_vellum"));
            let plain = self.command();
            shell.current_dir(plain.get_current_dir().unwrap());
            for (name, value) in plain.get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            shell
        } else {
            self.command()
        };
        let output = command.args(args).output().unwrap();
        let run = Run {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let verb = args[0];
        if !(0..=2).contains(&run.code) || run.stderr.contains("panicked") {
            faults.push(format!("{verb} ended with {}: {}", run.code, run.stderr.trim_end()));
        }
        if self.timed
            && let Ok(text) = fs::read_to_string(&spent)
        {
            let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            // The system's own time is the disk's: thousands of files cost it what they cost.
            if let [kib, user, _] = numbers[..] {
                let allowed = BASE_SECONDS + bytes as f64 / BYTES_A_SECOND;
                if kib as u64 > MAX_KIB {
                    faults.push(format!("{verb} took {kib} KiB"));
                }
                if user > allowed {
                    faults.push(format!("{verb} took {user:.1} s where {allowed:.1} s are allowed"));
                }
            }
            let _ = fs::remove_file(&spent);
        }
        // What a person reads on a terminal must not be able to steer it.
        let data = verb == "cat" || args.contains(&"--json");
        let shown = if data { String::new() } else { String::from_utf8_lossy(&run.stdout).into_owned() };
        let steers = |c: &char| {
            c.is_control() && !matches!(c, '\n' | '\t')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if let Some(c) = shown.chars().chain(run.stderr.chars()).find(steers) {
            faults.push(format!("{verb} prints {c:?}"));
        }
        run
    }

    /// Writes the file to the corpus and judges it; with the verdict come the words that were not kept.
    pub fn judge(&self, case: &Case, verbs: &[Verb]) -> (Verdict, Vec<String>) {
        let mut faults = Vec::new();
        let path = self.corpus().join(&case.file_name);
        fs::write(&path, &case.forged.file).unwrap();
        let file = path.to_str().expect("the path is a text");
        let bytes = case.forged.file.len() + case.forged.plain;
        let run = self.run(&["verify", "--json", "--key", &self.key, file], bytes, &mut faults);
        if !(0..=1).contains(&run.code) {
            faults.push(format!("verify ended with {}: {}", run.code, run.stderr.trim_end()));
        }
        let lines = String::from_utf8_lossy(&run.stdout);
        let (mut findings, mut files) = (Vec::new(), None);
        for line in lines.lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
                faults.push(format!("verify prints what is no JSON: {line}"));
                continue;
            };
            if value["kind"] == "finding" {
                let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
                findings.push((text("code"), text("severity")));
            }
            files = files.or(value["files"].as_u64());
        }
        let verdict = Verdict { ok: run.code == 0, findings, files };
        let damage = verdict.findings.iter().any(|(_, severity)| severity == "damage");
        if verdict.ok == damage && (0..=1).contains(&run.code) {
            faults.push(format!("verify says {} and finds {:?}", verdict.ok, verdict.findings));
        }
        let trial = Trial { court: self, case, verdict: &verdict, file, bytes, signed: Signed::of(&case.forged.lists) };
        for &verb in verbs {
            trial.hold(verb, &mut faults);
        }
        (verdict, faults)
    }
}

/// What lists that a trusted key has signed say.
struct Signed {
    by_path: BTreeMap<Vec<u8>, BTreeSet<String>>,
    digests: BTreeSet<String>,
}

impl Signed {
    fn of(lists: &[Vec<u8>]) -> Self {
        let mut by_path: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for line in lists.iter().flat_map(|list| list.split(|&byte| byte == b'\n')) {
            if line.len() > 71 {
                let digest = String::from_utf8_lossy(&line[..64]).into_owned();
                by_path.entry(line[71..].to_vec()).or_default().insert(digest);
            }
        }
        let digests = by_path.values().flatten().cloned().collect();
        Self { by_path, digests }
    }

    fn names(&self, path: &[u8], bytes: &[u8]) -> bool {
        self.by_path.get(path).is_some_and(|digests| digests.contains(&hex(&sha256(bytes))))
    }
}

struct Trial<'a> {
    court: &'a Court,
    case: &'a Case,
    verdict: &'a Verdict,
    file: &'a str,
    bytes: usize,
    signed: Signed,
}

impl Trial<'_> {
    fn run(&self, args: &[&str], faults: &mut Vec<String>) -> Run {
        self.court.run(args, self.bytes, faults)
    }

    /// A path in the court that no other trial uses.
    fn fresh(&self, ending: &str) -> String {
        let number = self.court.count.fetch_add(1, Ordering::Relaxed);
        self.court.folder.path().join(format!("{ending}-{number}")).to_str().expect("a text").to_owned()
    }

    /// What is good must be taken by every verb.
    fn must_agree(&self, verb: &str, run: &Run, faults: &mut Vec<String>) {
        if self.verdict.ok && run.code != 0 {
            faults.push(format!("{verb} refuses what verify takes: {}", run.stderr.trim_end()));
        }
    }

    fn hold(&self, verb: Verb, faults: &mut Vec<String>) {
        let key = ["--key", &self.court.key];
        match verb {
            Verb::List => {
                let run = self.run(&["list", key[0], key[1], self.file], faults);
                self.must_agree("list", &run, faults);
            }
            Verb::Show => {
                let run = self.run(&["show", key[0], key[1], self.file], faults);
                self.must_agree("show", &run, faults);
                for article in self.case.forged.articles.iter().take(2) {
                    if let Some(path) = argument(&article.path) {
                        let run = self.run(&["show", key[0], key[1], self.file, path], faults);
                        self.must_agree("show of an article", &run, faults);
                    }
                }
            }
            Verb::Cat => self.hold_cat(faults),
            Verb::Article => {
                // What the argument matches is a pattern's business; here it must only not break.
                for article in self.case.forged.articles.iter().take(2) {
                    if let Some(path) = argument(&article.path) {
                        self.run(&["verify", key[0], key[1], "--article", path, self.file], faults);
                    }
                }
            }
            Verb::Extract => self.hold_extract(faults),
            Verb::Salvage => self.hold_salvage(faults),
            Verb::Sign => self.hold_sign(faults),
            Verb::Recompress => self.hold_recompress(faults),
        }
    }

    /// Whether bytes are what a signed list names for what was asked: a file by its path, or by its name within an article of that id.
    fn may_come_out(&self, asked: &[u8], bytes: &[u8]) -> bool {
        let by_id = |article: &Article| {
            let rest = asked.strip_prefix(article.own_id()).or_else(|| asked.strip_prefix(&article.path[..]));
            match rest {
                Some([]) => article.files.iter().any(|(name, _)| self.signed.names(&article.full(name), bytes)),
                Some([b'/', name @ ..]) => self.signed.names(&article.full(name), bytes),
                _ => false,
            }
        };
        self.signed.names(asked, bytes) || self.case.forged.articles.iter().any(by_id)
    }

    fn hold_cat(&self, faults: &mut Vec<String>) {
        // The articles at both ends: where there are many, most are alike.
        let all = &self.case.forged.articles;
        let few = if long() { 8 } else { 2 };
        let mut asked = Vec::new();
        for article in all.iter().take(few).chain(all.iter().skip(few.max(all.len().saturating_sub(few)))) {
            asked.extend(article.files.iter().take(few).map(|(name, _)| (article.full(name), true)));
            if article.files.iter().filter(|(name, _)| name != METADATA).count() == 1 {
                asked.push((article.path.clone(), true));
            }
            // An id may be no argument that the verb takes; where it is taken, the bytes must be the signed ones.
            asked.extend(article.id.clone().map(|id| (id, false)));
        }
        for (path, required) in asked {
            let Some(path) = argument(&path) else { continue };
            let run = self.run(&["cat", "--key", &self.court.key, self.file, path], faults);
            if required {
                self.must_agree("cat", &run, faults);
            }
            // Where nothing else lies, an index that does hides nothing.
            let denied = run.code == 1 && run.stderr.contains("no article");
            if denied && !self.verdict.codes().is_empty() && self.verdict.codes().iter().all(|code| *code == "index") {
                faults.push(format!("cat denies {path:?}, since the index does"));
            }
            if run.code == 0 && !self.may_come_out(path.as_bytes(), &run.stdout) {
                faults.push(format!("cat of {path:?} writes {} bytes that no signed list names", run.stdout.len()));
            }
            if run.code != 0 && !run.stdout.is_empty() {
                faults.push(format!("cat of {path:?} fails after {} bytes", run.stdout.len()));
            }
        }
    }

    /// Everything below a folder: paths in it, and bytes.
    fn written(&self, folder: &str, faults: &mut Vec<String>) -> HashMap<Vec<u8>, Vec<u8>> {
        let mut files = HashMap::new();
        let mut folders = vec![PathBuf::from(folder)];
        while let Some(next) = folders.pop() {
            let Ok(entries) = fs::read_dir(&next) else { continue };
            for entry in entries.map(|entry| entry.unwrap()) {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let below = path.strip_prefix(folder).unwrap();
                    files.insert(
                        std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str()).to_vec(),
                        fs::read(&path).unwrap(),
                    );
                } else {
                    faults.push(format!("{} is neither file nor folder", path.display()));
                }
            }
        }
        files
    }

    fn hold_extract(&self, faults: &mut Vec<String>) {
        let to = self.fresh("extracted");
        let run = self.run(&["extract", "--key", &self.court.key, "--to", &to, self.file], faults);
        self.must_agree("extract", &run, faults);
        if !self.verdict.ok && run.code == 0 {
            faults.push(format!("extract says yes where verify finds {:?}", self.verdict.codes()));
        }
        let written = self.written(&to, faults);
        for (path, bytes) in &written {
            if !self.signed.names(path, bytes) {
                faults.push(format!("extract writes {:?}, which no signed list names", String::from_utf8_lossy(path)));
            }
        }
        if run.code == 0 && self.verdict.ok && Some(written.len() as u64) != self.verdict.files {
            faults.push(format!("extract writes {} of {:?} files", written.len(), self.verdict.files));
        }
        let _ = fs::remove_dir_all(&to);
    }

    fn hold_salvage(&self, faults: &mut Vec<String>) {
        let to = self.fresh("salvaged");
        let run = self.run(&["salvage", "--key", &self.court.key, "--to", &to, self.file], faults);
        self.must_agree("salvage", &run, faults);
        let written = self.written(&to, faults);
        for (path, bytes) in &written {
            if !self.signed.digests.contains(&hex(&sha256(bytes))) {
                faults.push(format!("salvage writes {:?}, which no signed list names", String::from_utf8_lossy(path)));
            }
        }
        if self.verdict.ok && Some(written.len() as u64) != self.verdict.files {
            faults.push(format!("salvage writes {} of {:?} files", written.len(), self.verdict.files));
        }
        let _ = fs::remove_dir_all(&to);
    }

    fn hold_sign(&self, faults: &mut Vec<String>) {
        let copy = self.fresh("signed");
        fs::copy(self.file, &copy).unwrap();
        let run = self.run(&["sign", &copy], faults);
        // A bundle that has all the signatures it may have takes no other.
        if !self.case.name.starts_with("signers-32") {
            self.must_agree("sign", &run, faults);
        }
        self.look_at_rewritten("sign", &run, &copy, faults);
    }

    fn hold_recompress(&self, faults: &mut Vec<String>) {
        let copy = self.fresh("recompressed");
        let run = self.run(&["recompress", "--level", "1", "--output", &copy, self.file], faults);
        self.must_agree("recompress", &run, faults);
        self.look_at_rewritten("recompress", &run, &copy, faults);
    }

    fn look_at_rewritten(&self, verb: &str, run: &Run, copy: &str, faults: &mut Vec<String>) {
        if run.code == 0 && self.verdict.damaged() {
            faults.push(format!("{verb} says yes where verify finds {:?}", self.verdict.codes()));
        }
        if run.code == 0 && self.verdict.ok {
            let again = self.run(&["verify", "--key", &self.court.key, copy], faults);
            if again.code != 0 {
                faults.push(format!("what {verb} wrote is not good: {}", String::from_utf8_lossy(&again.stdout)));
            }
        }
        if run.code != 0 && verb == "recompress" && Path::new(copy).exists() {
            faults.push("recompress fails and leaves a file".into());
        }
        let _ = fs::remove_file(copy);
    }
}

/// A path as an argument; `None` where the system has none for it or it would be read as an option.
fn argument(path: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(path).ok()?;
    (!text.is_empty() && !text.starts_with('-') && !text.contains('\0') && !text.starts_with("data/")).then_some(text)
}

/// Says that a tool of others is missing; that is a failure where tools are required.
fn missing(what: &str) {
    assert!(std::env::var_os("VELLUM_REQUIRE_TOOLS").is_none_or(|value| value != "1"), "{what}");
    eprintln!("SKIPPED: {what}");
}

/// Judges cases on two threads; returns what they found in the order of the cases.
pub fn on_two_threads<T: Send>(count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let result = one(number);
                    results.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What the reader by others says: by the name of a file whether it is good, and codes.
pub type Others = HashMap<String, (bool, Vec<String>)>;

/// Asks the reader by others for each file of the corpus. Where it cannot run here, it says nothing.
pub fn reader_by_others(corpus: &Path, faults: &mut Vec<String>) -> Others {
    let mut said = Others::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py");
    let python = std::env::var_os("VELLUM_PYTHON").unwrap_or_else(|| "python3".into());
    let key = Key::new(TRUSTED).line();
    let output = match Command::new(&python).arg(&script).args(["corpus", "--key", &key]).arg(corpus).output() {
        Ok(output) => output,
        Err(error) => {
            missing(&format!("{}: {error}", python.display()));
            return said;
        }
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("ModuleNotFoundError") || stderr.contains("ImportError") {
        missing(stderr.trim_end());
        return said;
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        let (Some(file), Some(ok)) = (value["file"].as_str(), value["ok"].as_bool()) else {
            faults.push(format!("the reader by others prints {line}"));
            continue;
        };
        let file = Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
        let findings = value["findings"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        said.insert(file, (ok, findings));
    }
    for entry in fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !said.contains_key(&name) {
            faults.push(format!("the reader by others does not speak of {name}: {}", last_line(&stderr)));
        }
    }
    said
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

/// Picks a few verbs.
pub fn some_verbs(random: &mut Random, count: usize) -> Vec<Verb> {
    (0..count).map(|_| *random.pick(&Verb::ALL)).collect()
}
