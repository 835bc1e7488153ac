//! What a person meets who is in a hurry, is deceived, or has an unlucky folder: each verb refuses, reports or goes on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::scene::{Said, Scene, noise};

/// Another person's key pair in `FILE.key` and `FILE.pub`; returns the line of its public half.
fn pair(scene: &Scene, file: &str) -> String {
    scene.expect(0, &["key", "new", "--no-passphrase", "--output", file]);
    fs::read_to_string(scene.path(&format!("{file}.pub"))).unwrap().lines().nth(1).unwrap().to_owned()
}

/// An archive of a few articles; returns the line of its log's key.
fn archive(scene: &Scene) -> String {
    scene.articles();
    let made = scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["pack", "--into", "library", "in"]);
    made.stdout.trim().to_owned()
}

/// Lays a file below the current folder that has the line of a key as its name. The line may hold slashes: the file then lies in folders.
fn plant(scene: &Scene, line: &str, text: &str) {
    // No file has a name that ends with a slash.
    if !line.ends_with('/') {
        scene.write(line, text);
    }
}

#[test]
fn a_key_given_as_a_line_is_that_key_whatever_file_has_its_name() {
    let scene = Scene::with_key();
    scene.articles();
    let bundle = scene.pack("in").display().to_string();
    let mine = fs::read_dir(scene.path("config/trusted")).unwrap().next().unwrap().unwrap().path();
    let mine = fs::read_to_string(mine).unwrap().lines().nth(1).unwrap().to_owned();
    let other = pair(&scene, "other");
    plant(&scene, &other, &format!("untrusted comment: x\n{mine}\n"));
    scene.expect(1, &["verify", "--key", &other, &bundle]);
    scene.expect(0, &["verify", "--key", &mine, &bundle]);
    assert!(scene.expect(0, &["key", "show", &other]).stdout.contains(&other));
    scene.expect(0, &["key", "trust", &other]);
    let trusted: Vec<_> = fs::read_dir(scene.path("config/trusted")).unwrap().flatten().collect();
    let text: String = trusted.iter().map(|file| fs::read_to_string(file.path()).unwrap()).collect();
    assert!(text.contains(&other), "{text}");
}

#[test]
fn a_log_key_given_as_a_line_is_that_key_whatever_file_has_its_name() {
    let scene = Scene::with_key();
    let log = archive(&scene);
    let stranger = Scene::new();
    stranger.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "elsewhere"]);
    let other = fs::read_dir(stranger.path("config/logs")).unwrap().flatten().map(|file| file.path());
    let other = other.into_iter().find(|path| path.extension().is_some_and(|e| e == "vkey")).unwrap();
    let other = fs::read_to_string(other).unwrap().trim().to_owned();
    plant(&scene, &other, &format!("{log}\n"));
    scene.expect(1, &["list", "--log-key", &other, "library"]);
    scene.expect(0, &["list", "--log-key", &log, "library"]);
    // The line of a signer's key is no name of a file that holds a log's key, either.
    let line = pair(&scene, "signer");
    plant(&scene, &line, &format!("{other}\n"));
    scene.expect(0, &["key", "trust", &line]);
    assert!(!fs::read_dir(scene.path("config/logs")).unwrap().flatten().any(|file| {
        file.path().extension().is_some_and(|ending| ending == "vkey")
            && fs::read_to_string(file.path()).unwrap().contains(&other)
    }));
}

#[test]
fn what_reads_as_the_id_of_a_secret_key_is_no_file_in_the_current_folder() {
    let scene = Scene::with_key();
    pair(&scene, "planted");
    fs::rename(scene.path("planted.key"), scene.path("0123456789ABCDEF")).unwrap();
    scene.articles();
    let said = scene.expect(2, &["pack", "--key", "0123456789ABCDEF", "in"]);
    assert!(said.stderr.contains("`./0123456789ABCDEF`"), "{}", said.stderr);
    scene.expect(0, &["pack", "--key", "./0123456789ABCDEF", "in"]);
}

#[test]
fn a_pass_phrase_that_is_empty_or_not_utf_8_or_begins_with_a_byte_order_mark_is_refused_by_name() {
    let scene = Scene::new();
    scene.articles();
    scene.write("good", "tides\u{fffd}\n");
    scene.expect(0, &["key", "new", "--passphrase-file", "good"]);
    for (file, bytes, rule) in [
        ("latin1", &b"tides\xe9\n"[..], "expected UTF-8"),
        ("mark", b"\xef\xbb\xbftides\n", "byte order mark"),
        ("empty", b"\nsecond line\n", "at least one character"),
    ] {
        scene.write(file, bytes);
        let phrase = bytes.split(|&byte| byte == b'\n').next().unwrap().to_vec();
        for args in [vec!["pack", "in"], vec!["key", "new"]] {
            let said = scene.expect(2, &[args.as_slice(), &["--passphrase-file", file]].concat());
            assert!(said.stderr.contains(rule) && said.stderr.contains(file), "{args:?} {}", said.stderr);
            let mut command = scene.command(&args);
            command.env("VELLUM_PASSPHRASE", std::ffi::OsString::from_vec(phrase.clone()));
            let said = crate::scene::said(command.output().unwrap());
            assert_eq!(said.code, 2, "{args:?} {}", said.stderr);
            assert!(said.stderr.contains(rule) && said.stderr.contains("VELLUM_PASSPHRASE"), "{}", said.stderr);
        }
    }
    scene.expect(0, &["pack", "--passphrase-file", "good", "in"]);
}

#[test]
fn a_pass_phrase_typed_at_a_terminal_obeys_the_same_rule() {
    let scene = Scene::new();
    scene.articles();
    scene.write("good", "tides\u{fffd}\n");
    scene.expect(0, &["key", "new", "--passphrase-file", "good"]);
    for (typed, rule) in [(&b"tides\xff\r"[..], "expected UTF-8"), (b"\r", "at least one character")] {
        let shown = on_a_terminal(&scene, &["pack", "in"], typed);
        assert!(String::from_utf8_lossy(&shown).contains(rule), "{}", String::from_utf8_lossy(&shown));
        assert!(String::from_utf8_lossy(&shown).contains("exit 2"), "{}", String::from_utf8_lossy(&shown));
    }
}

/// Runs the binary at a pseudo-terminal, types something once it has asked, and returns all that the terminal was sent.
fn on_a_terminal(scene: &Scene, args: &[&str], typed: &[u8]) -> Vec<u8> {
    const SCRIPT: &str = r#"
import os, pty, sys, time
typed = bytes.fromhex(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if typed and b": " in shown:
        time.sleep(0.2)
        os.write(terminal, typed)
        typed = b""
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(shown + b"exit %d\n" % code)
"#;
    let binary = scene.command(args);
    let hex: String = typed.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut python = std::process::Command::new("python3");
    python.args(["-c", SCRIPT, &hex]).arg(binary.get_program()).args(args).current_dir(scene.path(""));
    for (name, value) in binary.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    python.env("TERM", "xterm-256color");
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn an_unsealed_secret_key_that_others_can_read_is_refused_and_a_sealed_one_warned_of() {
    let scene = Scene::with_key();
    scene.articles();
    let key = fs::read_dir(scene.path("config/keys")).unwrap().flatten().map(|file| file.path());
    let key = key.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "key")).unwrap();
    let id = key.file_stem().unwrap().to_str().unwrap().to_owned();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let said = scene.expect(2, &["pack", "in"]);
        assert!(said.stderr.contains(&format!("`chmod 600 {}`", key.display())), "{}", said.stderr);
        scene.write("phrase", "x y z\n");
        scene.expect(2, &["key", "passphrase", &id, "--new-passphrase-file", "phrase"]);
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    scene.expect(0, &["key", "passphrase", &id, "--new-passphrase-file", "phrase"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = scene.expect(0, &["pack", "--passphrase-file", "phrase", "in"]);
    assert!(said.stderr.contains("warning: ") && said.stderr.contains("chmod 600"), "{}", said.stderr);
}

#[test]
fn verify_goes_on_after_a_file_that_it_cannot_read_and_reports_all() {
    let scene = Scene::with_key();
    scene.articles();
    let good = scene.pack("in");
    let mut bytes = fs::read(&good).unwrap();
    bytes[40] ^= 1;
    scene.write("damaged.tar.zst", &bytes);
    let good = good.display().to_string();
    let said = scene.expect(2, &["verify", "missing.tar.zst", "damaged.tar.zst", ".", &good]);
    assert!(said.stderr.contains("missing.tar.zst: cannot be read"), "{}", said.stderr);
    assert!(said.stderr.contains(".: is a folder"), "{}", said.stderr);
    assert!(said.stdout.contains("damaged.tar.zst: NOT OK"), "{}", said.stdout);
    assert!(said.stdout.contains(&format!("{good}: OK")), "{}", said.stdout);
    scene.expect(1, &["verify", "damaged.tar.zst", &good]);
    scene.expect(0, &["verify", &good, &good]);
    let said = scene.expect(2, &["verify", "--json", "missing.tar.zst", &good]);
    assert!(said.stdout.contains("\"kind\":\"unverified\"") && said.stdout.contains("\"kind\":\"verdict\""));
    let said = scene.expect(2, &["verify", "--article", "essays/tides", "missing.tar.zst", &good]);
    assert!(said.stdout.contains(": OK: 1 article"), "{}", said.stdout);
}

#[test]
fn verify_of_single_articles_of_an_archive_goes_on_and_speaks_json() {
    let scene = Scene::with_key();
    archive(&scene);
    let articles = ["--article", "in/no/such", "--article", "in/nothing", "--article", "in/essays/tides"];
    let said = scene.expect(1, &[&["verify"], &articles[..], &["library"]].concat());
    assert!(said.stderr.contains("\"in/no/such\"") && said.stderr.contains("\"in/nothing\""), "{}", said.stderr);
    assert!(said.stdout.contains("in/essays/tides: OK"), "{}", said.stdout);
    let said = scene.expect(1, &[&["verify", "--json"], &articles[..], &["library"]].concat());
    for line in said.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(said.stdout.contains("\"article\":\"in/essays/tides\",\"whole\":true,\"logged\":true"), "{}", said.stdout);
}

#[test]
fn damaged_articles_that_are_not_listed_are_counted() {
    let scene = Scene::with_key();
    for n in 0..30 {
        scene.write(&format!("many/{n:02}.txt"), noise(10_000));
    }
    let good = scene.pack("many");
    let mut bytes = fs::read(&good).unwrap();
    bytes[500] ^= 1;
    scene.write("damaged.tar.zst", &bytes);
    let said = scene.expect(1, &["verify", "damaged.tar.zst"]);
    assert!(said.stdout.contains("  … and 10 more; `--json` lists all"), "{}", said.stdout);
}

/// Text that a terminal would obey or hide, of each kind that a path in a bundle may hold.
const HIDDEN: &str = "a\u{202e}b\u{61c}c\u{200b}d\u{200f}e\u{2066}f\u{feff}g\u{e0041}h";

fn is_hostile(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

/// A bundle, an archive and a folder whose names, titles and keys of metadata were chosen by an enemy.
fn hostile(scene: &Scene) -> Vec<Vec<String>> {
    scene.write(&format!("in/{HIDDEN}/{HIDDEN}.md"), "tide\n");
    scene.write(&format!("in/{HIDDEN}/{HIDDEN}.toml"), format!("title = \"tide {HIDDEN}\"\n\"key{HIDDEN}\" = 1\n"));
    scene.write("in/plain.md", "moon\n");
    // So much that does not compress that metadata and list have frames of their own.
    scene.write("in/plain.bin", noise(300_000));
    scene.write("refused/a\x1b]0;owned\x07\u{9b}31m\nb.md", "x");
    let packed = scene.pack("in");
    let named = "ok.tar.zst: OK\n\u{202e}\x1b]0;owned\x07other.tar.zst";
    fs::copy(&packed, scene.path(named)).unwrap();
    let mut bytes = fs::read(&packed).unwrap();
    bytes[1000] ^= 1;
    scene.write(&format!("damaged-{named}"), bytes);
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/library", "library"]);
    let article = format!("in/{HIDDEN}/{HIDDEN}");
    let damaged = format!("damaged-{named}");
    let missing = format!("missing-{named}");
    let verbs: Vec<Vec<&str>> = vec![
        vec!["pack", "--verbose", "--overwrite", "in"],
        vec!["pack", "refused"],
        vec!["pack", "--into", "library", "--verbose", "in"],
        vec!["verify", named, &damaged, &missing],
        vec!["verify", "--article", &article[3..], named],
        vec!["verify", "--no-such-\u{202e}\x1b]0;owned\x07", named],
        vec!["list", named],
        vec!["list", "library"],
        vec!["show", named],
        vec!["show", named, &article[3..]],
        vec!["show", "library", &article],
        vec!["history", "library", &article],
        vec!["search", "library", "tide"],
        vec!["extract", "--to", "here\x1b]0;owned\x07", named],
        vec!["extract", "--to", "never", &damaged],
        vec!["extract", "--to", "never", "--article", "no\x1b]0;owned\x07", named],
        vec!["salvage", "--to", "rescued\u{202e}", &damaged],
        vec!["cat", named, "no/such\u{202e}"],
        vec!["cat", &missing, "x"],
        vec!["prove", "library", &article],
        vec!["key", "trust", "none\x1b]0;owned\x07"],
        vec!["draft", "refused"],
    ];
    verbs.into_iter().map(|verb| verb.into_iter().map(str::to_owned).collect()).collect()
}

#[test]
fn nothing_that_a_stranger_wrote_reaches_stdout_or_stderr_as_a_control_or_an_invisible_character() {
    let scene = Scene::with_key();
    let verbs = hostile(&scene);
    for verb in &verbs {
        for json in [false, true] {
            let mut args: Vec<&str> = verb.iter().map(String::as_str).collect();
            if json {
                args.insert(0, "--json");
            }
            let Said { stdout, stderr, .. } = scene.run(&args);
            for text in [&stdout, &stderr] {
                assert!(!text.contains(is_hostile), "{args:?}\n{text:?}");
                assert!(!text.lines().any(|line| line == "ok.tar.zst: OK"), "{text}");
            }
            assert!(!stdout.is_empty() || !stderr.is_empty(), "{args:?}");
            for line in stdout.lines().filter(|_| json && verb[0] != "cat") {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{args:?} {line}"));
            }
        }
    }
    let said = scene.expect(0, &["list", "--json", "library"]);
    let titles = said.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert!(titles.into_iter().any(|row| row["title"] == format!("tide {HIDDEN}")), "{}", said.stdout);
    assert!(scene.expect(0, &["list", "library"]).stdout.contains("tide a\\u{202e}b\\u{61c}c\\u{200b}d"));
}

#[test]
fn a_terminal_is_sent_no_control_but_vellums_own_colours_and_bars() {
    let scene = Scene::with_key();
    let verbs = hostile(&scene);
    let mut colours = 0;
    for verb in &verbs {
        let args: Vec<&str> = verb.iter().map(String::as_str).collect();
        let shown = on_a_terminal(&scene, &args, b"");
        let mut rest = std::str::from_utf8(&shown).unwrap().replace('\r', "");
        while let Some(at) = rest.find("\x1b[") {
            let own = rest[at + 2..].find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | '?')).unwrap();
            let end = at + 2 + own;
            assert!(rest[end..].starts_with(['m', 'K', 'J', 'A', 'B', 'C', 'D', 'G', 'H', 'h', 'l']), "{rest:?}");
            colours += usize::from(&rest[at..=end] == "\x1b[1;33m");
            rest.replace_range(at..=end, "");
        }
        assert!(!rest.contains(is_hostile), "{args:?}\n{rest:?}");
    }
    assert_eq!(colours, 1, "what was searched for is marked");
}

#[test]
fn only_the_terminals_own_module_writes_to_it_and_raw_bytes_are_for_cat_and_completions() {
    for entry in fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let raw = ["cat.rs", "completions.rs"].contains(&name.as_str());
        let text = if raw { text.replace("io::stdout()", "") } else { text };
        let text = text.replace("io::stdout().is_terminal()", "");
        for word in ["io::stdout()", "io::stderr()", "anstream::", "println!", "print!(", "rpassword::", ".print();"] {
            assert!(name == "ui.rs" || !text.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn what_cannot_be_extracted_because_of_what_the_bundles_hold_exits_with_1() {
    let scene = Scene::with_key();
    scene.articles();
    let one = scene.pack("in").display().to_string();
    let two = scene.expect(0, &["pack", "--quiet", "--title", "Another", "--output", "bundles", "in"]).stdout;
    let said = scene.expect(1, &["extract", "--to", "out", &one, two.trim()]);
    assert!(said.stderr.contains("would both become"), "{}", said.stderr);
    assert!(!scene.path("out").exists());
    scene.expect(2, &["extract", "--to", "out", "missing.tar.zst"]);
}

/// A folder of documents with everything in it that tools and systems leave there.
fn littered(scene: &Scene) {
    scene.write("in/essays/tides.md", "# On tides\n");
    scene.write("in/.hidden", "a person's own\n");
    // Metadata of a document, and not the head of an archive.
    scene.write("in/letters/archive.md", "x");
    scene.write("in/letters/archive.toml", "title = \"On archives\"\n");
    scene.write("in/old.bak", "a person's own\n");
    for folder in [".git", ".hg", ".svn", ".jj", ".bzr", "CVS"] {
        scene.write(&format!("in/{folder}/refs/heads/master"), "9f86d081\n");
    }
    for folder in [".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", "$RECYCLE.BIN"] {
        scene.write(&format!("in/essays/{folder}/x.txt"), "x");
    }
    for file in [".DS_Store", "._tides.md", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r"] {
        scene.write(&format!("in/essays/{file}"), "x");
    }
    for file in ["tides.md~", "~$tides.docx", ".~lock.tides.odt#", ".tides.md.swp"] {
        scene.write(&format!("in/essays/{file}"), "x");
    }
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/nested", "in/nested"]);
}

#[test]
fn pack_leaves_out_what_tools_and_systems_leave_and_counts_it_by_kind() {
    let scene = Scene::with_key();
    littered(&scene);
    let said = scene.expect(0, &["pack", "in"]);
    for line in [
        "6 of version control systems, left out (--all takes them):",
        "11 left by operating systems, left out (--all takes them):",
        "4 left by editors, left out (--all takes them):",
        "1 archives, left out (--all takes them):",
    ] {
        assert!(said.stderr.lines().any(|other| other == line), "{line}\n{}", said.stderr);
    }
    assert!(said.stderr.contains("packed 4 articles, 8 files"), "{}", said.stderr);
    let said = scene.expect(0, &["pack", "--json", "in"]);
    assert_eq!(said.stdout.matches("and was left out").count(), 22, "{}", said.stdout);
    fs::remove_file(scene.path("in/essays/Icon\r")).unwrap();
    // An archive is no document either: with --all it is refused by name.
    let said = scene.expect(1, &["pack", "--all", "in"]);
    assert!(said.stderr.contains("nested/archive.toml: is metadata without a document"), "{}", said.stderr);
    fs::remove_dir_all(scene.path("in/nested")).unwrap();
    let said = scene.expect(0, &["pack", "--all", "in"]);
    assert!(!said.stderr.contains("--all takes them"), "{}", said.stderr);
    assert!(scene.expect(0, &["list", said.stdout.trim()]).stdout.contains(".git/refs/heads/master"));
    let archived = scene.expect(0, &["init", "--no-passphrase", "--origin", "example.org/library", "library"]);
    assert!(!archived.stdout.is_empty());
    for args in [&["--dry-run"][..], &[]] {
        let said = scene.expect(0, &[&["pack", "--into", "library", "--json", "in"], args].concat());
        assert_eq!(said.stdout.matches("and was left out").count(), 20, "{}", said.stdout);
    }
}

#[test]
fn what_was_packed_with_all_survives_the_withdrawal_of_its_neighbour() {
    let scene = Scene::with_key();
    littered(&scene);
    fs::remove_file(scene.path("in/essays/Icon\r")).unwrap();
    fs::remove_dir_all(scene.path("in/nested")).unwrap();
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/library", "library"]);
    scene.expect(0, &["pack", "--all", "--into", "library", "in"]);
    scene.expect(0, &["withdraw", "library", "in/old", "--reason", "a test"]);
    assert_eq!(scene.expect(0, &["cat", "library", "in/.git/refs/heads/master"]).stdout, "9f86d081\n");
    scene.expect(0, &["verify", "library"]);
}

#[test]
fn draft_leaves_version_control_and_archives_alone_and_goes_on_after_what_it_cannot_read() {
    let scene = Scene::with_key();
    littered(&scene);
    std::os::unix::fs::symlink("nowhere", scene.path("in/essays/broken.md")).unwrap();
    // A folder in the place of the sidecar: this one cannot be written.
    scene.write("in/a.md", "# A\n");
    fs::create_dir_all(scene.path("in/a.toml")).unwrap();
    scene.write("in/z.md", "# Z\n");
    let before = snapshot(&scene.path("in/.git"));
    let nested = snapshot(&scene.path("in/nested"));
    let said = scene.expect(2, &["draft", "in"]);
    assert!(said.stdout.contains("in/z.toml") && said.stdout.contains("in/essays/tides.toml"), "{}", said.stdout);
    assert!(said.stderr.contains("error: in/a.toml: exists already"), "{}", said.stderr);
    assert!(said.stderr.contains("error: essays/broken.md: is a symbolic link"), "{}", said.stderr);
    assert_eq!(before, snapshot(&scene.path("in/.git")));
    assert_eq!(nested, snapshot(&scene.path("in/nested")));
    assert!(!scene.path("in/.toml").exists());
    let said = scene.expect(2, &["draft", "in/nested"]);
    assert!(said.stderr.contains("is an archive"), "{}", said.stderr);
}

/// Kind and mode, size, content, and when it was changed.
type State = (u32, u64, Vec<u8>, (i64, i64));

/// What a file system holds below a folder.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, State> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in paths.chain([folder.clone()]).collect::<Vec<_>>() {
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if metadata.is_dir() && path != folder {
                folders.push(path.clone());
            }
            all.insert(path, (metadata.mode(), metadata.size(), content, (metadata.mtime(), metadata.mtime_nsec())));
        }
    }
    all
}

#[test]
fn a_trial_run_writes_nothing_anywhere() {
    let scene = Scene::with_key();
    archive(&scene);
    scene.expect(0, &["sync", "library", "mirror"]);
    scene.expect(0, &["init", "--quiet", "--no-passphrase", "--origin", "example.org/empty", "empty"]);
    scene.write("in/more.md", "# More\n");
    scene.expect(0, &["pack", "--into", "library", "in"]);
    scene.write("in/still-more.md", "# Still more\n");
    fs::remove_file(scene.path("in/notes/empty.txt")).unwrap();
    // An archive whose catalog is behind its log, and one that has none.
    fs::remove_dir_all(scene.path("config/cache")).unwrap();
    scene.expect(0, &["list", "mirror"]);
    scene.expect(0, &["sync", "library", "mirror-behind"]);
    fs::create_dir(scene.path("cwd")).unwrap();
    for args in [
        vec!["pack", "--dry-run", "--into", "library", "in"],
        vec!["pack", "--dry-run", "--into", "library", "--rehash", "--verbose", "in"],
        vec!["pack", "--dry-run", "--into", "mirror", "--source", "in", "in"],
        vec!["pack", "--dry-run", "--into", "empty", "in"],
        vec!["pack", "--dry-run", "--into", "library", "no-such-folder"],
        vec!["pack", "--dry-run", "in"],
        vec!["pack", "--dry-run", "-o", "out.tar.zst", "in"],
        vec!["pack", "--dry-run", "--init", "in"],
        vec!["sync", "--dry-run", "library", "mirror"],
        vec!["sync", "--dry-run", "--complete", "--delete", "library", "mirror"],
        vec!["sync", "--dry-run", "library", "absent/mirror"],
        vec!["sync", "--dry-run", "mirror", "mirror-behind"],
    ] {
        let before = snapshot(scene.folder.path());
        let said = scene.run(&args);
        let after = snapshot(scene.folder.path());
        let changed: Vec<_> = after.iter().filter(|(path, state)| before.get(*path) != Some(state)).collect();
        let changed: Vec<_> = changed.into_iter().map(|(path, _)| path).collect();
        assert!(changed.is_empty(), "{args:?} {changed:?}\n{}", said.stderr);
        assert_eq!(before.len(), after.len(), "{args:?}");
    }
    // What it says is what then happens, by a catalog that is brought up to the log.
    let said = scene.expect(0, &["pack", "--dry-run", "--json", "--into", "library", "in"]);
    assert!(said.stdout.contains("\"new\":[\"in/still-more\"],\"changed\":[]"), "{}", said.stdout);
}

#[test]
fn every_verb_with_a_trial_run_is_tried_above() {
    let scene = Scene::new();
    let help = scene.expect(0, &["help"]).stdout;
    let verbs = help.lines().filter(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    let with: Vec<_> = verbs
        .filter(|verb| verb.chars().all(|c| c.is_ascii_lowercase()) && *verb != "help")
        .filter(|verb| scene.run(&[verb, "--help"]).stdout.contains("--dry-run"))
        .collect();
    assert_eq!(with, ["pack", "sync"]);
}

#[test]
fn an_option_that_would_have_no_effect_is_refused() {
    let scene = Scene::with_key();
    archive(&scene);
    let bundle = scene.pack("in").display().to_string();
    for args in [
        vec!["pack", "--dry-run", "in"],
        vec!["pack", "--source", "x", "in"],
        vec!["pack", "--rehash", "in"],
        vec!["pack", "--take-over", "in"],
        vec!["pack", "--rederive", "in"],
        vec!["pack", "--reinstate", "in"],
        vec!["pack", "--log-secret", "x", "in"],
        vec!["pack", "--dry-run", "-o", "out.tar.zst", "in"],
        vec!["pack", "--dry-run", "--overwrite", "in"],
        vec!["pack", "--source", "x", "-o", "out", "in"],
        vec!["pack", "--rehash", "-o", "out", "in"],
        vec!["pack", "--take-over", "-o", "out", "in"],
        vec!["pack", "--rederive", "-o", "out", "in"],
        vec!["pack", "--reinstate", "-o", "out", "in"],
        vec!["pack", "--log-secret", "x", "-o", "out", "in"],
        vec!["pack", "--into", "library", "--overwrite", "in"],
        vec!["pack", "--into", "library", "--output", "out", "in"],
        vec!["pack", "--into", "library", "--dry-run", "--check", "in"],
        vec!["pack", "--unsigned", "--key", "x", "in"],
        vec!["trust", "propose", "library", "--roles", "root", "-o", "p.toml"],
        vec!["trust", "propose", "library", "--on-stale", "fail", "-o", "p.toml"],
        vec!["verify", "--proof", "x", "--unsigned", "in/notes/empty.txt"],
        vec!["verify", "--policy", "x.toml", &bundle],
        vec!["verify", "--log-key", "x", &bundle],
        vec!["verify", "--at", "2026-11-24", &bundle],
        vec!["verify", "--max-size", "1000000", &bundle],
        vec!["list", "--max-size", "1000000", "library"],
        vec!["list", "--at", "2026-11-24", "library"],
        vec!["cat", "--log-key", "x", &bundle, "essays/tides"],
        vec!["search", "--max-size", "1000000", "library", "tide"],
        vec!["reindex", "--at", "2026-11-24", "library"],
    ] {
        let before = snapshot(scene.folder.path());
        let said = scene.expect(2, &args);
        assert!(said.stderr.starts_with("error: "), "{args:?}\n{}", said.stderr);
        assert!(before == snapshot(scene.folder.path()), "{args:?}");
    }
    // Where one of several files is an archive, an option for archives has its effect.
    let said = scene.expect(0, &["verify", "--at", "2026-11-24", &bundle, "library"]);
    assert!(said.stdout.contains("library: OK"), "{}", said.stdout);
}

#[test]
fn what_is_trusted_is_listed_with_where_it_is_from_and_taken_back_by_name() {
    let scene = Scene::with_key();
    let ok = |args: &[&str]| scene.expect(0, args);
    ok(&["init", "--origin", "example.org/library", "--no-passphrase", "library"]);
    ok(&["trust", "propose", "library", "--add", "alice", "-o", "1.toml"]);
    ok(&["trust", "sign", "1.toml"]);
    ok(&["trust", "apply", "library", "1.toml"]);
    ok(&["key", "new", "--no-passphrase", "--output", "bob"]);
    ok(&["key", "trust", "bob.pub"]);
    let carol = vellum::keys::Signer::public(&crate::scene::key(9)).to_line();
    ok(&["key", "trust", &carol]);
    let listed = ok(&["key", "list"]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines.iter().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["key", "key", "key", "log", "policy"]
    );
    assert!(listed.contains("/bob.pub") && listed.contains(&format!("from the line {carol}")), "{listed}");
    assert!(lines[3].contains("yours, trusted  example.org/library+"), "{listed}");
    assert!(
        lines[4].starts_with("policy  example.org/library  version 1") && lines[4].ends_with("/library"),
        "{listed}"
    );
    assert_eq!(ok(&["key", "list", "--json"]).stdout.lines().count(), 5);
    // Each is taken back, by whatever a person knows it.
    ok(&["key", "distrust", &carol]);
    ok(&["key", "distrust", &key_id(&scene.path("bob.pub"))]);
    ok(&["key", "distrust", "example.org/library"]);
    let left = ok(&["key", "list"]).stdout;
    assert_eq!(left.lines().count(), 1, "{left}");
    scene.expect(1, &["key", "distrust", "example.org/library"]);
    // The log's secret key is no matter of trust.
    assert_eq!(std::fs::read_dir(scene.path("config/logs")).unwrap().count(), 1);
    scene.expect(1, &["verify", "library"]);
}

fn key_id(public: &std::path::Path) -> String {
    vellum::keys::PublicKey::parse(&std::fs::read_to_string(public).unwrap()).unwrap().id().to_string()
}

#[test]
fn one_signal_ends_a_verb_that_waits_for_a_pipe() {
    let scene = Scene::with_key();
    let made = std::process::Command::new("mkfifo").arg(scene.path("pipe")).status().unwrap();
    assert!(made.success());
    for args in [&["verify", "pipe"][..], &["salvage", "--to", "out", "pipe"], &["list", "pipe"], &["verify", "-"]] {
        let mut command = scene.command(args);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        // Its handlers are set in the first instants.
        std::thread::sleep(std::time::Duration::from_millis(400));
        assert!(child.try_wait().unwrap().is_none(), "{args:?} waits");
        let begin = std::time::Instant::now();
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            assert!(begin.elapsed().as_secs() < 20, "{args:?} goes on");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        assert_eq!(code, Some(130), "{args:?}");
    }
}
