//! Archives of every version of the format are readable for ever: each in `tests/archives`, with what `sha256sum` said of the files that
//! went in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scene::{Scene, tool};

/// Every version, and how many files its archive holds.
const VERSIONS: &[(&str, usize)] = &[("v1", 23)];

#[test]
fn every_old_archive_verifies_and_gives_back_what_went_in() {
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    let mut found: Vec<_> = fs::read_dir(&archives).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    assert_eq!(found.len(), VERSIONS.len(), "an archive that no test reads");
    for (version, files) in VERSIONS {
        let scene = Scene::new();
        tool(
            Path::new("/"),
            "cp",
            &["-r", &archives.display().to_string(), &scene.path("archives").display().to_string()],
        );
        let archive = format!("archives/{version}");
        let said = scene.expect(0, &["verify", "--keys", "archives", &archive]);
        assert!(said.stdout.contains("authentic  yes"), "{}", said.stdout);
        scene.expect(0, &["log", "--keys", "archives", &archive]);
        scene.expect(0, &["extract", "--keys", "archives", "--to", "out", &archive]);
        let sums = tool(&scene.path("out"), "sh", &["-c", "find . -type f -print0 | xargs -0 sha256sum"]);
        let digests = |text: &str| text.lines().map(|line| line[..64].to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(sums.lines().count(), *files);
        let gone_in = fs::read_to_string(archives.join(format!("{version}.sha256"))).unwrap();
        assert!(digests(&sums).is_superset(&digests(&gone_in)), "{version}");
        // An archive on a medium that cannot be written is read all the same.
        tool(scene.folder.path(), "chmod", &["-R", "a-w", &archive]);
        let listed = scene.run(&["list", "--keys", "archives", &archive]);
        tool(scene.folder.path(), "chmod", &["-R", "u+w", &archive]);
        assert_eq!((listed.code, listed.stdout.lines().count()), (0, 12), "{}", listed.stderr);
    }
}
