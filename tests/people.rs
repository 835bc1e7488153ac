//! What a person meets who is in a hurry, is deceived, or has an unlucky folder: each verb refuses, reports or goes on.

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use scene::{Scene, said};

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

#[test]
fn a_key_given_as_a_line_is_that_key_whatever_file_has_its_name() {
    let scene = Scene::with_key();
    scene.articles();
    let bundle = scene.pack("in").display().to_string();
    let mine = fs::read_dir(scene.path("config/trusted")).unwrap().next().unwrap().unwrap().path();
    let mine = fs::read_to_string(mine).unwrap().lines().nth(1).unwrap().to_owned();
    let other = pair(&scene, "other");
    // A line of base64 may hold slashes: the file then lies in folders.
    scene.write(&other, format!("untrusted comment: x\n{mine}\n"));
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
    scene.write(&other, format!("{log}\n"));
    scene.expect(1, &["list", "--log-key", &other, "library"]);
    scene.expect(0, &["list", "--log-key", &log, "library"]);
    // The line of a signer's key is no name of a file that holds a log's key, either.
    let line = pair(&scene, "signer");
    scene.write(&line, format!("{other}\n"));
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
            let said = scene::said(command.output().unwrap());
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
