//! Every call that writes is made to fail, one after the other: a clear error, and nothing half-made.

use std::fs;
use std::path::PathBuf;

use crate::scene::{Said, Scene, installed, said, same_tree, tool};

const ENOSPC: &str = "28";
const EIO: &str = "5";
/// More failing places than this are sampled evenly.
const MAX_PLACES: usize = 60;

struct Stage {
    scene: Scene,
    shim: PathBuf,
    bundle: PathBuf,
}

/// Builds the shim and a bundle; `None` without a C compiler.
fn stage() -> Option<Stage> {
    if !installed("cc") {
        return None;
    }
    let scene = Scene::with_key();
    scene.articles();
    let bundle = scene.pack("in");
    let shim = scene.path("shim.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.c");
    tool(scene.folder.path(), "cc", &["-shared", "-fPIC", "-O1", "-o", shim.to_str().unwrap(), source, "-ldl"]);
    scene.expect(0, &["extract", "--to", "truth", bundle.to_str().unwrap()]);
    fs::create_dir(scene.path("work")).unwrap();
    Some(Stage { scene, shim, bundle })
}

impl Stage {
    fn run(&self, args: &[&str], at: Option<usize>, errno: &str) -> Said {
        let mut command = self.scene.command(args);
        command.env("LD_PRELOAD", &self.shim).env("FAULT_DIR", self.scene.path("work")).env("FAULT_ERRNO", errno);
        match at {
            Some(at) => command.env("FAULT_AT", at.to_string()),
            None => command.env("FAULT_COUNT", self.scene.path("count")),
        };
        said(command.output().unwrap())
    }

    /// Runs a verb with a fault at each of its writing calls; `look` examines what is left after each.
    fn every_fault(&self, args: &[&str], prepare: impl Fn(), look: impl Fn(&Said)) {
        prepare();
        let counted = self.run(args, None, EIO);
        assert_eq!(counted.code, 0, "{args:?}: {}", counted.stderr);
        look(&counted);
        let calls: usize = fs::read_to_string(self.scene.path("count")).unwrap().parse().unwrap();
        assert!(calls >= 4, "{args:?}: only {calls} calls were seen");
        let step = calls.div_ceil(MAX_PLACES);
        for at in (1..=calls).step_by(step) {
            for errno in [ENOSPC, EIO] {
                prepare();
                let said = self.run(args, Some(at), errno);
                assert!(
                    said.code == 2 && said.stderr.contains("error: "),
                    "{args:?} at {at}: {}\n{}",
                    said.code,
                    said.stderr
                );
                assert!(!said.stderr.contains("panicked"), "{args:?} at {at}\n{}", said.stderr);
                let left = self.leftovers();
                assert!(left.is_empty(), "{args:?} at {at}: left {left:?}");
                look(&said);
            }
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.scene.path("work")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".vellum-")).collect()
    }

    fn clear(&self) {
        fs::remove_dir_all(self.scene.path("work")).unwrap();
        fs::create_dir(self.scene.path("work")).unwrap();
    }
}

#[test]
fn pack_survives_every_fault() {
    let Some(stage) = stage() else { return };
    let whole = |said: &Said| {
        for entry in fs::read_dir(stage.scene.path("work")).unwrap() {
            let path = entry.unwrap().path();
            stage.scene.expect(0, &["verify", "--quiet", path.to_str().unwrap()]);
        }
        if said.code == 0 {
            assert_eq!(fs::read_dir(stage.scene.path("work")).unwrap().count(), 1);
        }
    };
    stage.every_fault(&["pack", "--output", "work", "in"], || stage.clear(), whole);
}

#[test]
fn extract_survives_every_fault() {
    let Some(stage) = stage() else { return };
    let bundle = stage.bundle.display().to_string();
    let whole = |said: &Said| {
        let target = stage.scene.path("work/out");
        assert!(target.exists() || said.code != 0);
        if target.exists() {
            same_tree(&target, &stage.scene.path("truth"));
        }
    };
    stage.every_fault(&["extract", "--to", "work/out", &bundle], || stage.clear(), whole);
}

#[test]
fn sign_and_recompress_survive_every_fault() {
    let Some(stage) = stage() else { return };
    let bundle = stage.scene.path("work/b.tar.zst");
    let prepare = || {
        stage.clear();
        fs::copy(&stage.bundle, &bundle).unwrap();
    };
    let whole = |_: &Said| drop(stage.scene.expect(0, &["verify", "--quiet", bundle.to_str().unwrap()]));
    stage.every_fault(&["sign", "work/b.tar.zst"], prepare, whole);
    stage.every_fault(&["recompress", "--level", "9", "work/b.tar.zst"], prepare, whole);
}
