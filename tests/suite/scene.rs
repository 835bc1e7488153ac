//! What the tests share: a temporary stage with a key of its own, small inputs, and the binary run as a person would.
#![allow(unreachable_pub, reason = "shared by the modules of one binary")]

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use vellum::folder::pack::{PackOptions, Packed, pack};
use vellum::keys::{SecretKey, Signer};
use vellum::run::{Clock, Run};
use vellum::trust::TrustedKey;

/// A temporary folder with a configuration in it.
pub struct Scene {
    pub folder: TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let Some(kept) = std::env::var_os("VELLUM_KEEP_ARCHIVES") else { return };
        if !std::thread::panicking() {
            let mut archives = Vec::new();
            find_archives(self.folder.path(), &mut archives);
            archives.iter().for_each(|archive| keep_archive(archive, &self.path("config"), Path::new(&kept)));
        }
    }
}

/// What a run of the binary said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Scene {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A stage whose configuration holds a key without pass phrase.
    pub fn with_key() -> Self {
        let scene = Self::new();
        assert_eq!(scene.run(&["key", "new", "--no-passphrase"]).code, 0);
        scene
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn write(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vellum"));
        command.args(args).current_dir(self.folder.path()).env("VELLUM_CONFIG", self.path("config"));
        command.env("SOURCE_DATE_EPOCH", "1772323200").env_remove("VELLUM_PASSPHRASE").env_remove("SSH_AUTH_SOCK");
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// Runs the binary and expects it to end with `code`.
    pub fn expect(&self, code: i32, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, code, "{args:?}\n{}\n{}", said.stdout, said.stderr);
        said
    }

    /// Expects that a verb says no, and why, and shows nothing.
    pub fn refuses(&self, args: &[&str], why: &str) {
        let said = self.expect(1, args);
        assert!(said.stderr.contains(why), "{}", said.stderr);
        assert_eq!(said.stdout, "", "{args:?}");
    }

    /// Packs `input` and returns the bundle's path.
    pub fn pack(&self, input: &str) -> PathBuf {
        let said = self.expect(0, &["pack", "--quiet", "--output", "bundles", input]);
        let bundle = self.path(said.stdout.trim());
        keep(&bundle);
        bundle
    }

    /// A few articles in all three shapes.
    pub fn articles(&self) -> PathBuf {
        self.write("in/essays/tides.md", "# On tides\n\nThe sea comes twice a day.\n");
        self.write("in/essays/tides.toml", "title = \"On tides\"\nauthors = [\"Ada Moll\"]\nlanguage = \"en\"\n");
        self.write("in/letters/first/article.toml", "title = \"A letter\"\nid = \"letter-1\"\n");
        self.write("in/letters/first/letter.html", "<title>A letter</title><p>Dear Jun</p>");
        self.write("in/letters/first/pictures/sea.png", [0x89, b'P', b'N', b'G', 1, 2, 3]);
        self.write("in/notes/empty.txt", "");
        self.write("in/notes/随筆.txt", "随筆\n");
        self.path("in")
    }
}

/// Bytes that do not compress, always the same ones.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A fixed key for tests in the library.
pub fn key(seed: u8) -> SecretKey {
    SecretKey::generate([seed; 40])
}

pub fn trusted(key: &SecretKey) -> Vec<TrustedKey> {
    vec![TrustedKey { key: key.public().clone(), label: "test".into() }]
}

pub fn options() -> PackOptions {
    let time = jiff::Timestamp::from_second(1_772_323_200).unwrap();
    PackOptions { ..PackOptions::new("test".parse().unwrap(), "Test".into(), time) }
}

/// How tests run what the library does: on one thread, unwatched, and by a clock that goes, since others may hold a lock for a moment.
pub fn run() -> Run<'static> {
    struct Machine;
    impl Clock for Machine {
        fn sleep(&self, time: Duration) {
            std::thread::sleep(time);
        }
    }
    Run { clock: &Machine, ..Run::alone() }
}

/// Packs a folder with the library.
pub fn packed(input: &Path, output: &Path, options: &PackOptions, key: &SecretKey) -> Packed {
    let packed = pack(input, output, options, &[key], run().on(NonZeroUsize::new(2).unwrap())).unwrap();
    packed.bundles.iter().for_each(|bundle| keep(&bundle.file));
    packed
}

/// Keeps a copy of a bundle that a test made, for the reader of others to check afterwards: `.ci/run` does.
fn keep(bundle: &Path) {
    let Some(folder) = std::env::var_os("VELLUM_KEEP_BUNDLES") else { return };
    let digest = vellum::digest::Digest::of(&fs::read(bundle).unwrap());
    fs::create_dir_all(&folder).unwrap();
    fs::copy(bundle, Path::new(&folder).join(format!("made-{digest}.tar.zst"))).unwrap();
}

/// Larger archives are not kept, but told of.
const MAX_KEPT: u64 = 64 << 20;

/// The archives below a folder. In an archive, only its files are looked for.
fn find_archives(folder: &Path, archives: &mut Vec<PathBuf>) {
    if folder.join("archive.toml").is_file() {
        return archives.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_archives(&entry.path(), archives);
        }
    }
}

/// Keeps a copy of an archive as a test left it, damaged or not, and beside it what the stage's configuration trusts, for
/// `tests/archive_compare.py` to ask the binary and the reader of others about it: `.ci/run` does.
fn keep_archive(archive: &Path, config: &Path, kept: &Path) {
    static KEPT: AtomicUsize = AtomicUsize::new(0);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").replace("::", ".");
    let name = format!("{test}.{}", KEPT.fetch_add(1, Ordering::Relaxed));
    fs::create_dir_all(kept).unwrap();
    let size = tool(
        archive,
        "sh",
        &["-c", "find . -path ./.vellum -prune -o -type f -printf '%s\\n' | awk '{n += $1} END {print n + 0}'"],
    );
    if size.trim().parse::<u64>().unwrap() > MAX_KEPT {
        fs::write(kept.join(format!("{name}.left-out")), size).unwrap();
        return;
    }
    let copy = kept.join(&name);
    // Files only: a test may have put a pipe or a link there, for which no reader of an archive is made.
    let files = "find . -path ./.vellum -prune -o -type f -print0 | xargs -0r cp --parents -t \"$0\"";
    fs::create_dir(&copy).unwrap();
    tool(archive, "sh", &["-c", files, &copy.display().to_string()]);

    let label = fs::read_to_string(archive.join("archive.toml")).unwrap_or_default();
    let origin = label.lines().find_map(|line| line.strip_prefix("origin = ")).unwrap_or_default();
    let last = |text: &String| text.lines().last().unwrap_or_default().to_owned();
    let mut keys: Vec<String> = texts(&config.join("trusted"), "pub").iter().map(last).collect();
    keys.retain(|line| vellum::keys::PublicKey::parse(line).is_ok());
    let mut log_keys: Vec<String> = texts(&config.join("logs"), "vkey").iter().map(last).collect();
    log_keys.retain(|line| line.starts_with(&format!("{}+", origin.trim_matches('"'))));
    let mut policies = texts(&config.join("policies"), "toml");
    policies.retain(|text| text.contains(&format!("archive = {origin}\n")));
    let names: Vec<String> = (0..policies.len()).map(|n| format!("{name}.policy{n}")).collect();
    names.iter().zip(policies).for_each(|(file, text)| fs::write(kept.join(file), text).unwrap());
    let trust = format!("{{\"keys\": {keys:?}, \"log_keys\": {log_keys:?}, \"policies\": {names:?}}}\n");
    fs::write(kept.join(format!("{name}.trust.json")), trust).unwrap();
}

/// The texts of a folder's files with an ending.
fn texts(folder: &Path, ending: &str) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|found| found == ending));
    files.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Returns `there`, and says on the terminal that a test was skipped where it is false. Panics instead where
/// `VELLUM_REQUIRE_TOOLS` is 1: a gate that could not check a thing must not pass.
#[track_caller]
pub fn provided(what: &str, there: bool) -> bool {
    if !there {
        let required = std::env::var_os("VELLUM_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!required, "{what} is missing, and VELLUM_REQUIRE_TOOLS=1 requires it");
        skipped(what);
    }
    there
}

#[allow(clippy::explicit_write, reason = "the test harness hides what a passing test prints with eprintln!")]
fn skipped(what: &str) {
    let thread = std::thread::current();
    writeln!(std::io::stderr(), "SKIPPED {}: {what} is missing", thread.name().unwrap_or("a test")).unwrap();
}

/// Returns a folder of published test vectors, which are no part of the source: `VELLUM_VECTORS` says where they are.
pub fn vectors(below: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("VELLUM_VECTORS").map_or(beside, PathBuf::from).join(below);
    provided(&folder.display().to_string(), folder.is_dir()).then_some(folder)
}

/// Returns whether a program is on the path, as [`provided`] does.
#[track_caller]
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    provided(program, std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Runs a tool of others and expects it to succeed; returns its stdout.
pub fn tool(folder: &Path, command: &str, args: &[&str]) -> String {
    let output = Command::new(command).args(args).current_dir(folder).output().unwrap();
    let said = said(output);
    assert_eq!(said.code, 0, "{command} {args:?}\n{}\n{}", said.stdout, said.stderr);
    said.stdout
}

/// Compares two folders byte for byte.
pub fn same_tree(one: &Path, other: &Path) {
    tool(Path::new("/"), "diff", &["-r", &one.display().to_string(), &other.display().to_string()]);
}
