//! The README's sessions are run, and say what the README says they say.

use std::path::Path;
use std::process::Command;

use crate::scene::{Scene, installed, tool};

/// Commands with what they print, from the fenced `console` blocks; commands of one block share a shell.
fn blocks(text: &str) -> Vec<Vec<(String, Vec<String>)>> {
    let mut blocks = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line == "```console" {
            inside = true;
            blocks.push(Vec::new());
        } else if line == "```" {
            inside = false;
        } else if inside {
            let block: &mut Vec<(String, Vec<String>)> = blocks.last_mut().unwrap();
            match line.strip_prefix("$ ") {
                Some(command) => block.push((command.to_owned(), Vec::new())),
                None => block.last_mut().unwrap().1.push(line.to_owned()),
            }
        }
    }
    blocks
}

/// Compares lines; `[..]` stands for anything in a line, alone for any lines.
fn fits(expected: &[String], found: &[&str]) -> bool {
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((line, rest)), _) if line == "[..]" => (0..=found.len()).any(|skip| fits(rest, &found[skip..])),
        (Some((line, rest)), Some((first, others))) => {
            let mut parts = line.split("[..]");
            let head = parts.next().unwrap_or_default();
            let tail = parts.next();
            let good = match tail {
                None => line == first,
                Some(tail) => {
                    first.starts_with(head) && first.ends_with(tail) && first.len() >= head.len() + tail.len()
                }
            };
            good && fits(rest, others)
        }
        _ => false,
    }
}

#[test]
fn the_sessions_of_the_readme_say_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scene = Scene::new();
    std::fs::create_dir(scene.path("tests")).unwrap();
    for name in ["archive", "keys", "tests/articles"] {
        tool(
            Path::new("/"),
            "cp",
            &["-r", &root.join(name).display().to_string(), &scene.path(name).display().to_string()],
        );
    }
    std::fs::create_dir(scene.path("target")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_vellum")).parent().unwrap().display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap());
    let tools = ["minisign", "bagit.py"].map(installed);
    let mut run = 0;
    for block in blocks(&std::fs::read_to_string(root.join("README.md")).unwrap()) {
        let mut before = String::from("set -e -o pipefail\n");
        for (command, expected) in block {
            if (command.contains("minisign") && !tools[0]) || (command.contains("bagit") && !tools[1]) {
                continue;
            }
            let command = command.replace("cargo run --release -- ", "vellum ");
            let script = format!("{before}{{ {command}; }} 2>&1");
            let output = Command::new("bash")
                .args(["-c", &script])
                .current_dir(scene.folder.path())
                .env("PATH", &path)
                .env("VELLUM_CONFIG", scene.path("config"))
                .output()
                .unwrap();
            let found = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = found.lines().collect();
            assert!(
                output.status.success() && fits(&expected, &lines),
                "$ {command}\n{found}\nexpected:\n{expected:#?}"
            );
            if command.starts_with("cd ") {
                before.push_str(&format!("{command}\n"));
            }
            run += 1;
        }
    }
    assert!(run >= 10, "only {run} commands were found");
}

#[test]
fn the_first_example_of_the_readme_is_about_as_small_as_a_compressed_tar() {
    if !(installed("tar") && installed("zstd")) {
        return;
    }
    let scene = Scene::with_key();
    let articles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/articles");
    let said = scene.expect(0, &["pack", "--quiet", &articles.display().to_string()]);
    let bundle = std::fs::metadata(scene.path(said.stdout.trim())).unwrap().len();
    let plain = "tar -c tests/articles | zstd -qc -3 > \"$0\"";
    let other = scene.path("plain.tar.zst");
    tool(Path::new(env!("CARGO_MANIFEST_DIR")), "sh", &["-c", plain, &other.display().to_string()]);
    let plain = std::fs::metadata(other).unwrap().len();
    assert!(bundle * 10 <= plain * 11, "{bundle} bytes, {plain} of tar and zstd");
}
