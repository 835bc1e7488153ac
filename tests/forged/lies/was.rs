//! What a replacement says of the bundles that it descends from: their folders, manifests, signatures and removed leaves.

use super::super::forge::{Article, Old, Stage, TRUSTED, Work, hex, sha256};
use super::super::sign::{Key, Minisig, comment, printed};
use super::{Expect, Table};

const WAS: &[&str] = &["was"];

pub(super) fn tell(t: &mut Table) {
    honest(t);
    lines(t);
    manifests(t);
    leaves(t);
    files(t);
    signatures(t);
}

/// Two articles, then one more, that were removed.
fn steps() -> Vec<Vec<Article>> {
    vec![vec![Article::new("a/gone"), Article::new("zz").id("z")], vec![Article::new("0")]]
}

fn replacement(w: &mut Work) {
    w.descends(&steps(), &|_, _, _| ());
}

/// A replacement of which something is changed before its tail is made.
fn changed(
    t: &mut Table,
    name: impl Into<String>,
    codes: &'static [&'static str],
    change: impl Fn(&mut Work) + Send + Sync + 'static,
) {
    t.add_two(name, Expect::No(codes), (Stage::Input, replacement), (Stage::Signatures, change));
}

/// A replacement of a bundle of which something is otherwise from the beginning, so that ids and digests fit.
fn older(
    t: &mut Table,
    name: impl Into<String>,
    expect: Expect,
    change: impl Fn(Stage, &mut Work) + Send + Sync + 'static,
) {
    t.add(name, expect, Stage::Input, move |w| {
        w.descends(&steps(), &|step, stage, old| {
            if step == 0 {
                change(stage, old);
            }
        });
    });
}

fn honest(t: &mut Table) {
    t.yes("was-two-steps", Stage::Input, replacement);
    t.yes("was-one-step", Stage::Input, |w| w.descends(&steps()[..1], &|_, _, _| ()));
    t.yes("was-timed", Stage::Input, |w| {
        w.timed = true;
        replacement(w);
    });
    t.yes("was-in-an-archive", Stage::Input, |w| {
        w.more = vec![("archive".into(), "\"example.org/library\"".into()), ("base".into(), "412".into())];
        replacement(w);
    });
    t.yes("was-of-two-blocks", Stage::Input, |w| {
        w.articles = (0..257).map(|n| Article::new(format!("n{n:03}"))).collect();
        w.descends(&[vec![Article::new("n0000")], vec![Article::new("n255x")]], &|_, _, _| ());
    });
    t.yes("was-much-more", Stage::Input, |w| {
        w.articles.truncate(1);
        w.descends(&[(0..600).map(|n| Article::new(format!("n{n:03}"))).collect()], &|_, _, _| ());
    });
    older(t, "was-unsigned", Expect::Yes, |stage, old| {
        if stage == Stage::Input {
            old.signers.clear();
        }
    });
    older(t, "was-signed-by-others", Expect::Yes, |stage, old| {
        if stage == Stage::Input {
            old.signers = vec![Key::new(9), Key::new(10)];
        }
    });
    for steps in [256, 257] {
        let expect = if steps == 256 { Expect::Yes } else { Expect::No(&["over-limit"]) };
        t.add(format!("was-{steps}-steps"), expect, Stage::Input, move |w| {
            w.articles.truncate(1);
            let steps: Vec<_> = (0..steps).map(|n| vec![Article::new(format!("n{n:03}"))]).collect();
            w.descends(&steps, &|_, _, _| ());
        })
        .heavy = true;
    }
}

fn lines(t: &mut Table) {
    changed(t, "was-absent", WAS, |w| w.line.clear());
    changed(t, "was-without-the-first", WAS, |w| drop(w.line.pop()));
    changed(t, "was-without-the-newest", WAS, |w| drop(w.line.remove(0)));
    changed(t, "was-turned-around", WAS, |w| w.line.reverse());
    changed(t, "was-told-twice", WAS, |w| w.line = [&w.line[..], &w.line[..]].concat());
    changed(t, "was-the-first-twice", WAS, |w| w.line.push(w.line[1].clone()));
    t.add_two(
        "was-without-replaces",
        Expect::No(WAS),
        (Stage::Input, replacement),
        (Stage::Fields, |w: &mut Work| w.fields.retain(|(key, _)| key != "replaces")),
    );
    t.add_two(
        "was-replaces-two",
        Expect::No(WAS),
        (Stage::Input, replacement),
        (Stage::Fields, |w: &mut Work| {
            let mut ids: Vec<_> = w.line.iter().map(|old| format!("\"{}\"", old.folder)).collect();
            ids.sort();
            w.put("replaces", &format!("[{}]", ids.join(", ")));
        }),
    );
    t.no("was-of-a-bundle-that-replaces-more", WAS, Stage::Input, |w| {
        w.more.push(("replaces".into(), format!("[\"{}\"]", "5".repeat(64))));
        replacement(w);
    });
}

fn manifests(t: &mut Table) {
    changed(t, "was-manifest-of-another-id", WAS, |w| w.line[0].file("manifest.toml").push(b'\n'));
    changed(t, "was-manifest-and-folder-of-another-id", WAS, |w| {
        let manifest = w.line[1].file("manifest.toml");
        let text = String::from_utf8_lossy(manifest).replace("Forged", "Forgot");
        *manifest = text.into_bytes();
        w.line[1].folder = hex(&sha256(w.line[1].file("manifest.toml").clone().as_slice()));
    });
    for (key, value) in [
        ("archive", "\"example.org/other\""),
        ("title", "\"Another\""),
        ("base", "413"),
        ("part", "1"),
        ("articles", "8"),
        ("articles", "6"),
        ("reinstates", "[\"5555555555555555555555555555555555555555555555555555555555555555\"]"),
        ("root", "\"sha256:5555555555555555555555555555555555555555555555555555555555555555\""),
    ] {
        older(t, format!("was-of-another-{key}-{value:.4}"), Expect::No(WAS), move |stage, old| {
            if stage == Stage::Fields {
                old.put(key, value);
            }
        });
    }
    older(t, "was-of-another-name", Expect::No(WAS), |stage, old| {
        if stage == Stage::Input {
            old.name = "another".into();
        }
    });
    older(t, "was-timed-and-is-not", Expect::No(WAS), |stage, old| {
        if stage == Stage::Input {
            old.timed = true;
        }
    });
    // What only the bundle before said of its content is not at hand any more.
    for key in ["files", "bytes"] {
        older(t, format!("was-of-other-{key}"), Expect::Yes, move |stage, old| {
            if stage == Stage::Fields {
                old.put(key, "9");
            }
        });
    }
    for (name, text) in [("empty", ""), ("unknown-key", "more = 1\n"), ("noise", "\u{1}")] {
        older(t, format!("was-manifest-{name}"), Expect::No(WAS), move |stage, old| {
            if stage == Stage::Manifest {
                if text.is_empty() {
                    old.manifest.clear();
                }
                old.manifest.extend(text.bytes());
            }
        });
    }
}

/// A change of the text of a list of removed leaves.
type Change = fn(&str) -> String;

fn leaves(t: &mut Table) {
    // The content of what is left is another than was signed.
    older(t, "was-with-another-text", Expect::No(WAS), |stage, old| {
        if stage == Stage::Input {
            old.articles[0] = Article::bare("a").file("z.txt", "the first letter\n");
        }
    });
    older(t, "was-with-another-id", Expect::No(WAS), |stage, old| {
        if stage == Stage::Input {
            old.articles[2] = Article::new("a-c").id("other-id");
        }
    });
    older(t, "was-without-an-article", Expect::No(WAS), |stage, old| {
        if stage == Stage::Input {
            old.articles.remove(2);
        }
    });
    let text = |change: Change| {
        move |w: &mut Work| {
            let removed = w.line[1].file("removed");
            let changed = change(&String::from_utf8_lossy(removed));
            assert!(changed.as_bytes() != *removed, "nothing is changed");
            *removed = changed.into_bytes();
        }
    };
    let changes: [(&str, Change); 18] = [
        ("empty", |_| String::new()),
        ("only-a-line-feed", |_| "\n".into()),
        ("without-last-line-feed", |text| text.trim_end().into()),
        ("line-feed-more", |text| format!("{text}\n")),
        ("crlf", |text| text.replace('\n', "\r\n")),
        ("turned-around", |text| text.split_inclusive('\n').rev().collect()),
        ("twice", |text| text.repeat(2)),
        ("first-line-alone", |text| text.split_inclusive('\n').take(1).collect()),
        ("a-line-more", |text| format!("{text}9 {} {}\n", "5".repeat(64), "6".repeat(64))),
        ("far-beyond", |text| text.replacen("\n", &format!("\n{}", u64::MAX / 2), 1)),
        ("another-number", |text| text.replacen('2', "3", 1)),
        ("leading-zero", |text| format!("0{text}")),
        ("plus", |text| format!("+{text}")),
        ("minus", |text| format!("-{text}")),
        ("two-spaces", |text| text.replacen(' ', "  ", 1)),
        ("upper-case", |text| text.to_uppercase()),
        ("a-word-more", |text| text.replacen('\n', " more\n", 1)),
        ("digests-exchanged", |text| {
            let mut words = text.split([' ', '\n']).take(3);
            let [number, id, lines] = [(); 3].map(|()| words.next().unwrap_or_default());
            text.replacen(&format!("{number} {id} {lines}"), &format!("{number} {lines} {id}"), 1)
        }),
    ];
    for (name, change) in changes {
        changed(t, format!("was-removed-{name}"), WAS, text(change));
    }
    for at in [3, 70, 135] {
        changed(t, format!("was-removed-digit-{at}"), WAS, move |w| {
            let digit = &mut w.line[0].file("removed")[at.min(130)];
            *digit = if *digit == b'1' { b'2' } else { b'1' };
        });
    }
}

fn files(t: &mut Table) {
    for name in ["manifest.toml", "removed"] {
        changed(t, format!("was-without-{name}"), WAS, move |w| w.line[0].files.retain(|(other, _)| other != name));
    }
    for (name, file) in [
        ("stranger", "readme.txt"),
        ("list", "manifest-sha256.txt"),
        ("deep", "a/b"),
        ("without-name", ""),
        ("signature-of-lower-case", "manifest.toml.0123456789abcdef.minisig"),
        ("signature-of-short-name", "manifest.toml.0123.minisig"),
    ] {
        for at in [0, 1, 3] {
            changed(t, format!("was-{name}-{at}"), WAS, move |w| {
                let files = &mut w.line[0].files;
                files.insert(at.min(files.len()), (file.into(), b"more\n".to_vec()));
            });
        }
    }
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        changed(t, format!("was-files-exchanged-{one}-{other}"), WAS, move |w| w.line[0].files.swap(one, other));
    }
    for at in 0..3 {
        changed(t, format!("was-file-twice-{at}"), WAS, move |w| {
            let again = w.line[0].files[at].clone();
            w.line[0].files.insert(at, again);
        });
    }
    changed(t, "was-folders-in-each-other", WAS, |w| {
        let (mut first, rest) = (w.line[0].clone(), w.line[1].clone());
        let last = first.files.split_off(2);
        w.line = vec![first, rest, Old { folder: w.line[0].folder.clone(), files: last }];
    });
    for (name, folder) in [("upper-case", true), ("short", false)] {
        changed(t, format!("was-folder-{name}"), WAS, move |w| {
            let now = &w.line[0].folder;
            w.line[0].folder = if folder { now.to_uppercase() } else { now[..63].to_owned() };
        });
    }
    let moved = |to: fn(usize) -> usize| {
        move |w: &mut Work| {
            let is_was = |path: &[u8]| path.windows(5).any(|some| some == b"/was/");
            let (was, mut rest): (Vec<_>, Vec<_>) = w.tail.drain(..).partition(|member| is_was(&member.path));
            let at = to(rest.len());
            rest.splice(at..at, was);
            w.tail = rest;
        }
    };
    for (name, to) in [
        ("before-the-signatures", (|_| 4) as fn(usize) -> usize),
        ("after-the-head", |count| count),
        ("before-the-manifest", |_| 2),
    ] {
        let codes: &[&str] = &["was", "tar"];
        t.add_two(format!("was-{name}"), Expect::No(codes), (Stage::Input, replacement), (Stage::Tail, moved(to)));
    }
    t.no("was-a-file", &["extra", "was"], Stage::Signatures, |w| w.signatures.push(("was".into(), b"was\n".to_vec())));
}

/// Signatures of the bundles before are judged like others; one by a key that nobody trusts says nothing.
fn signatures(t: &mut Table) {
    let first = |change: fn(&mut Minisig, &[u8])| {
        move |w: &mut Work| {
            let manifest = w.line[1].file("manifest.toml").clone();
            let archive = w.field("archive").map(str::to_owned);
            let trusted = Key::new(TRUSTED);
            let mut signature = Minisig::of(&trusted, &manifest, comment(&manifest, archive.as_deref()));
            change(&mut signature, &manifest);
            *w.line[1].file(&format!("manifest.toml.{}.minisig", trusted.printed())) = signature.text();
        }
    };
    changed(t, "was-signature-bad", &["signature-bad"], first(|signature, _| signature.signature[3] ^= 1));
    changed(t, "was-signature-global-bad", &["signature-bad"], first(|signature, _| signature.global[3] ^= 1));
    changed(t, "was-signature-legacy", &["signature-form"], first(|signature, _| signature.algorithm = *b"Ed"));
    changed(t, "was-signature-of-another-key", &["signature-form"], first(|signature, _| signature.id[2] ^= 1));
    changed(
        t,
        "was-signature-about-another",
        &["signature-comment"],
        first(|signature, manifest| {
            *signature = Minisig::of(&Key::new(TRUSTED), manifest, comment(b"another", None));
        }),
    );
    changed(t, "was-signature-of-the-newest", &["signature-bad"], |w| {
        let name = w.signatures[0].0.clone();
        *w.line[1].file(&name) = w.signatures[0].1.clone();
    });
    changed(t, "was-signature-empty", &["signature-form"], |w| w.line[1].files[1].1.clear());
    changed(t, "was-signature-too-long", &["over-limit"], |w| w.line[1].files[1].1 = vec![b'x'; 9_405]);
    for count in [32_u8, 33] {
        let expect = if count == 32 { Expect::Yes } else { Expect::No(&["over-limit"]) };
        older(t, format!("was-{count}-signatures"), expect, move |stage, old| {
            if stage == Stage::Input {
                old.signers = (100..100 + count).map(Key::new).collect();
            }
        });
    }
    changed(t, "was-signatures-descending", WAS, |w| {
        let manifest = w.line[1].file("manifest.toml").clone();
        for seed in [200, 100] {
            let key = Key::new(seed);
            let name = format!("manifest.toml.{}.minisig", printed(&key.id));
            let text = Minisig::of(&key, &manifest, comment(&manifest, None)).text();
            w.line[1].files.insert(1, (name, text));
        }
        w.line[1].files.swap(1, 2);
    });
}
