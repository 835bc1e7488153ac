//! What a person types and what is answered: forms that read back, exit codes, options without effect, words that help.

use std::fs;

use crate::scene::Scene;

/// The articles of bundles, with their files and digests, as `show` and `list` say.
fn articles(scene: &Scene, bundles: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for bundle in bundles {
        let said = scene.expect(0, &["list", "--json", bundle]);
        for line in said.stdout.lines() {
            let listed: serde_json::Value = serde_json::from_str(line).unwrap();
            let path = listed["path"].as_str().unwrap();
            all.push(format!("{path}\n{}", scene.expect(0, &["show", bundle, path]).stdout));
        }
    }
    all.sort();
    all
}

/// Extracts bundles with sidecars, packs what was written, and expects the same articles.
#[track_caller]
fn comes_back(scene: &Scene, bundles: &[&str]) {
    let before = articles(scene, bundles);
    scene.expect(0, &[&["extract", "--quiet", "--layout", "sidecar", "--to", "back"][..], bundles].concat());
    let said = scene.expect(0, &["pack", "--quiet", "--output", "again", "back"]);
    assert_eq!(before, articles(scene, &[said.stdout.trim()]));
    fs::remove_dir_all(scene.path("back")).unwrap();
    fs::remove_dir_all(scene.path("again")).unwrap();
}

#[test]
fn what_the_layout_of_sidecars_writes_is_packed_to_the_same_articles() {
    let scene = Scene::with_key();
    let long = "d".repeat(252);
    for (n, files) in [
        &["v1.2/article.toml", "v1.2/v1.2"][..],
        &["A.md/article.toml", "A.md/A.md", "A.md/A.md.txt"],
        &["a/article.toml", "a/a", "a/a.md", "a/a.txt"],
        &["a/article.toml", "a/a.md", "a/a.TOML"],
        &["a/article.toml", "a/a.toml", "a/a.md"],
        &[".a/article.toml", ".a/.a", ".a/.a.md"],
        &["a/article.toml", "a/a.", "a/b/article.toml", "a/b/b."],
        &["a/article.toml", "a/x", "a/b/article.toml", "a/b/b.md"],
        &["a/article.toml", "a/a.md", "a.toml/article.toml", "a.toml/a.toml.md"],
        &[&format!("{long}.md")],
        &[&format!("{}.md", "é".repeat(125)), &format!("{}.md", "d".repeat(250))],
    ]
    .iter()
    .enumerate()
    {
        let input = format!("in-{n}");
        for file in *files {
            let text =
                if file.ends_with("article.toml") { format!("title = \"{file}\"\n") } else { (*file).to_owned() };
            scene.write(&format!("{input}/{file}"), text);
        }
        let bundle = scene.pack(&input);
        comes_back(&scene, &[bundle.to_str().unwrap()]);
    }
}

#[test]
fn an_article_in_the_folder_of_another_bundles_article_keeps_its_own_folder() {
    let scene = Scene::with_key();
    scene.write("in/a/article.toml", "title = \"A\"");
    scene.write("in/a/x.md", "x");
    scene.write("in/a/b/article.toml", "title = \"B\"");
    scene.write("in/a/b/b.md", "b");
    let said = scene.expect(0, &["pack", "--quiet", "--bundle-size", "1", "--output", "out", "in"]);
    let bundles: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(bundles.len(), 2);
    comes_back(&scene, &bundles);
    comes_back(&scene, &[bundles[1], bundles[0]]);
    // By itself it needs no folder.
    scene.expect(0, &["extract", "--layout", "sidecar", "--to", "one", "--article", "a/b", bundles[1]]);
    assert!(scene.path("one/a/b.md").exists());
}
