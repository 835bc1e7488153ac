//! Honest bundles at the edge of the rules, and their neighbours that are one too many.

use super::super::forge::{Article, Stage, Work};
use super::super::random::Random;
use super::{Expect, Table};

pub(super) fn tell(t: &mut Table) {
    t.yes("honest", Stage::Input, |_| ());
    t.yes("honest-one-article", Stage::Input, |w| w.articles = vec![Article::new("one")]);
    t.yes("honest-one-article-of-an-empty-file", Stage::Input, |w| {
        w.articles = vec![Article::bare("one").file("e", "")]
    });
    t.yes("honest-all-ids-other-than-paths", Stage::Input, |w| {
        w.articles = (0..20).map(|n| Article::new(format!("p/{n}")).id(format!("i/{}", 20 - n))).collect();
    });
    t.yes("honest-neighbours", Stage::Input, |w| {
        w.articles =
            ["a", "a-b", "a/b", "A", "a.b", "aq", "ar", "a b", "a/b-c", "a/b/c", "a!", "a0", "a/B", "ä", "a\u{301}"]
                .iter()
                .map(|path| Article::bare(path).file("t.txt", path).file("z/deep.txt", "deep"))
                .collect();
    });
    t.yes("honest-files-that-sort-around-metadata", Stage::Input, |w| {
        let names = [
            "article",
            "article.tom",
            "article.tomk",
            "article.toml-",
            "article.toml.bak",
            "article.tomla",
            "ar",
            "b",
            "Article.toml",
            "article-",
            "0",
        ];
        w.articles = vec![names.iter().fold(Article::bare("n"), |article, name| article.file(name, name))];
    });
    t.yes("honest-deep-nesting", Stage::Input, |w| {
        w.articles = (1..200).map(|n| Article::bare(["d"].repeat(n).join("/")).file("z", "z").file("A", "A")).collect();
    });
    t.yes("honest-names-of-other-members", Stage::Input, |w| {
        w.articles =
            ["data", "index", "manifest.toml", "bagit.txt", "times.txt", "forged", "manifest-sha256.txt/x", "index/0"]
                .iter()
                .map(Article::new)
                .collect();
    });
    t.yes("honest-empty-files", Stage::Input, |w| {
        w.articles =
            (0..30).map(|n| (0..9).fold(Article::bare(format!("e{n}")), |a, f| a.file(format!("f{f}"), ""))).collect();
    });
    t.yes("honest-files-of-every-remainder", Stage::Input, |w| {
        let file = |article: Article, len: usize| article.file(format!("{len}"), vec![b'x'; len]);
        w.articles = vec![[1, 510, 511, 512, 513, 1023, 1024, 1025].into_iter().fold(Article::bare("n"), file)];
    });
    tar_paths(t);
    cuts(t);
    many(t);
}

/// Paths at the lengths where the header takes another form.
fn tar_paths(t: &mut Table) {
    t.yes("honest-paths-of-every-length", Stage::Input, |w| {
        // One long part, and the same length in parts of ten.
        for len in 1..=255_usize {
            w.articles.push(Article::bare(format!("l{len}")).file("x".repeat(len), "x"));
        }
        for len in (2..900_usize).step_by(7) {
            let path: String = (0..len).map(|at| if at % 10 == 9 && at + 1 < len { '/' } else { 'y' }).collect();
            w.articles.push(Article::bare(format!("s{len}")).file(path, "y"));
        }
    });
    t.yes("honest-paths-around-prefix-and-name", Stage::Input, |w| {
        let top = "forged/data/".len();
        for prefix in [153_usize, 154, 155, 156, 157] {
            for name in [98_usize, 99, 100, 101, 102] {
                // The article's path up to the slash is the prefix; the file is the name.
                let article =
                    format!("{prefix}-{name}-{}", "p".repeat(prefix - top - format!("{prefix}-{name}-").len()));
                w.articles.push(Article::bare(article).file("n".repeat(name), "x"));
            }
        }
    });
    t.yes("honest-path-with-one-byte-beyond-ascii-at-the-cut", Stage::Input, |w| {
        for before in 80..95_usize {
            w.articles.push(
                Article::bare(format!("u{before}")).file(format!("{}é{}", "x".repeat(before), "y".repeat(30)), "x"),
            );
        }
    });
    t.yes("honest-long-top-folder", Stage::Input, |w| {
        w.name = "n".repeat(64);
        for len in 10..120_usize {
            w.articles.push(Article::bare(format!("v{len}")).file("x".repeat(len), "x"));
        }
    });
}

fn cuts(t: &mut Table) {
    for step in [7_usize, 511, 512, 513, 1024] {
        t.yes(format!("honest-cut-every-{step}"), Stage::Body, move |w| {
            w.cuts = Some((1..).map(|n| n * step).take_while(|&at| at < w.body.len()).collect());
        });
    }
    for seed in 0..8_u64 {
        t.yes(format!("honest-cut-anywhere-{seed}"), Stage::Body, move |w| {
            let mut random = Random::new(seed);
            let mut cuts: Vec<usize> = (0..12).map(|_| 1 + random.below(w.body.len() - 1)).collect();
            cuts.sort_unstable();
            cuts.dedup();
            w.cuts = Some(cuts);
        });
    }
    t.yes("honest-cut-at-every-byte", Stage::Body, |w| w.cuts = Some((1..w.body.len()).collect()));
    t.yes("honest-long-file", Stage::Input, |w| {
        let mut random = Random::new(1);
        w.articles.push(Article::bare("long").file("long.bin", random.bytes(5 << 20)).file("after", "after"));
    });
    t.yes("honest-long-file-cut-anywhere", Stage::Input, |w| {
        let mut random = Random::new(2);
        w.articles.push(Article::bare("long").file("long.bin", random.bytes(3 << 20)));
        w.cuts = Some((1..40).map(|n| n * 77_777).collect());
    });
    t.yes("honest-60000-frames", Stage::Input, |w| {
        w.articles.push(Article::bare("long").file("long.bin", Random::new(3).bytes(240_000)));
        w.cuts = Some((1..60_000).map(|n| n * 4).collect());
    })
    .heavy = true;
}

fn many(t: &mut Table) {
    for count in [255_usize, 256, 257, 511, 512, 513, 1025] {
        t.yes(format!("honest-{count}-articles"), Stage::Input, move |w| {
            w.articles = (0..count).map(|n| Article::new(format!("m/{n}"))).collect();
        });
        t.yes(format!("honest-{count}-articles-some-with-ids"), Stage::Input, move |w| {
            let article = |n: usize| Article::new(format!("m/{n:04}"));
            let with_id = |n| if n % 7 == 0 || n > 250 { article(n).id(format!("i/{n}")) } else { article(n) };
            w.articles = (0..count).map(with_id).collect();
        });
    }
    t.yes("honest-ids-in-the-second-block-only", Stage::Input, |w| {
        w.articles = (0..300).map(|n| Article::new(format!("m/{n:04}"))).collect();
        w.articles[290] = Article::new("m/0290").id("second");
    });
    let articles = |count: usize, files: usize| {
        move |w: &mut Work| {
            let article = |n: usize| {
                (0..files)
                    .fold(Article::bare(format!("{}/{n}", n % 97)), |article, f| article.file(format!("{f}"), "x"))
            };
            w.articles = (0..count).map(article).collect();
        }
    };
    let over: &[&str] = &["over-limit", "manifest"];
    t.yes("honest-16384-articles", Stage::Input, articles(16_384, 1)).heavy = true;
    t.no("too-many-articles", over, Stage::Input, articles(16_385, 1)).heavy = true;
    t.yes("honest-65536-files", Stage::Input, articles(16_384, 3)).heavy = true;
    t.yes("honest-65536-files-in-an-article", Stage::Input, articles(1, 65_535)).heavy = true;
    t.no("too-many-files", over, Stage::Input, articles(1, 65_536)).heavy = true;
    t.no("too-many-files-in-many-articles", over, Stage::Input, move |w| {
        articles(16_384, 3)(w);
        w.articles[9].files.push((b"more".to_vec(), b"x".to_vec()));
    })
    .heavy = true;
    t.yes("honest-512-articles-of-long-paths", Stage::Input, |w| {
        let path = |n: usize| format!("{}/{}/{}/{n:04}", "x".repeat(250), "y".repeat(240), "z".repeat(9));
        w.articles = (0..512).map(|n| Article::bare(path(n)).file("w".repeat(250), "x")).collect();
    });
    t.add("honest-times-of-many", Expect::Yes, Stage::Input, |w| {
        w.timed = true;
        w.articles = (0..700).map(|n| Article::new(format!("m/{n}"))).collect();
    });
}
