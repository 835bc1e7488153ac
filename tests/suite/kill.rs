//! SIGKILL at any instant: the target is absent, the old one or the whole new one. SIGINT leaves nothing half-made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use crate::scene::{Scene, same_tree};

/// How often each verb is killed; `VELLUM_KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("VELLUM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(25)
}

fn stage() -> (Scene, PathBuf) {
    let scene = Scene::with_key();
    for n in 0..300_u64 {
        let noise = |k: u64| (k.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8;
        let text: Vec<u8> =
            (0..12_000).map(|k| if k % 7 == 0 { noise(k + n) } else { b'a' + (k % 13) as u8 }).collect();
        scene.write(&format!("in/f{}/a{n:03}.txt", n % 9), text);
    }
    let bundle = scene.pack("in");
    scene.expect(0, &["extract", "--to", "truth", bundle.to_str().unwrap()]);
    fs::create_dir(scene.path("work")).unwrap();
    (scene, bundle)
}

/// Runs a verb again and again, and sends the signal at instants spread over its time.
fn interrupt(scene: &Scene, args: &[&str], signal: &str, prepare: impl Fn(), look: impl Fn(&Path)) {
    let work = scene.path("work");
    let clear = || {
        fs::remove_dir_all(&work).unwrap();
        fs::create_dir(&work).unwrap();
        prepare();
    };
    clear();
    let begin = Instant::now();
    scene.expect(0, args);
    let whole = begin.elapsed();
    look(&work);
    for n in 0..kills() {
        clear();
        let mut child = scene.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(whole * ((n * 37) % kills()) / kills());
        Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
        let code = child.wait().unwrap().code();
        if signal == "-INT" {
            assert!(matches!(code, Some(0 | 130) | None), "{args:?}: {code:?}");
        }
        look(&work);
    }
}

fn leftovers(work: &Path) -> Vec<String> {
    let names = fs::read_dir(work).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".vellum-")).collect()
}

/// The bundles below a folder, unfinished files apart.
fn verified(scene: &Scene, work: &Path) {
    for entry in fs::read_dir(work).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with(".vellum-") {
            scene.expect(0, &["verify", "--quiet", path.to_str().unwrap()]);
        }
    }
}

#[test]
fn a_killed_pack_leaves_no_bundle_or_a_whole_one() {
    let (scene, _) = stage();
    interrupt(&scene, &["pack", "--output", "work", "in"], "-KILL", || {}, |work| verified(&scene, work));
}

#[test]
fn a_killed_extract_leaves_no_folder_or_the_whole_one() {
    let (scene, bundle) = stage();
    let args = ["extract", "--to", "work/out", bundle.to_str().unwrap()];
    interrupt(
        &scene,
        &args,
        "-KILL",
        || {},
        |work| {
            let target = work.join("out");
            if target.exists() {
                same_tree(&target, &scene.path("truth"));
            }
        },
    );
}

#[test]
fn a_killed_sign_or_recompress_leaves_the_old_bundle_or_the_new_one() {
    let (scene, bundle) = stage();
    let copy = || assert!(fs::copy(&bundle, scene.path("work/b.tar.zst")).is_ok());
    let look = |work: &Path| {
        assert!(work.join("b.tar.zst").exists());
        verified(&scene, work);
    };
    interrupt(&scene, &["sign", "work/b.tar.zst"], "-KILL", copy, look);
    interrupt(&scene, &["recompress", "--level", "7", "work/b.tar.zst"], "-KILL", copy, look);
}

#[test]
fn an_interrupted_verb_cleans_up_after_itself() {
    let (scene, bundle) = stage();
    let bundle = bundle.to_str().unwrap();
    let clean = |work: &Path| {
        // Before its handlers are set, in the first instants, a process has made nothing yet either.
        assert_eq!(leftovers(work), Vec::<String>::new());
        verified(&scene, work);
    };
    interrupt(&scene, &["pack", "--output", "work", "in"], "-INT", || {}, clean);
    interrupt(
        &scene,
        &["extract", "--to", "work/out", bundle],
        "-INT",
        || {},
        |work| {
            assert_eq!(leftovers(work), Vec::<String>::new());
        },
    );
}
