//! The catalog alone: what it answers as the log grows, what it does with a damaged file, and how it bears a million articles.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use vellum::archive::catalog::{ArticleRow, Catalog, Filter, Number, State, Update};
use vellum::digest::Digest;
use vellum::format::article::{Article, Author, Date};
use vellum::ids::{BundleId, LeafIndex};

type Done = Result<(), Box<dyn Error>>;

fn bundle(n: u64) -> BundleId {
    BundleId(Digest::of(&n.to_le_bytes()))
}

fn of(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}

fn article(title: &str) -> Article {
    Article { title: title.into(), ..Article::default() }
}

fn put(update: &mut Update<'_>, id: &str, leaf: u64, metadata: &Article, text: &str) -> Done {
    let lines = Digest::of(text.as_bytes());
    let row = ArticleRow {
        key: of(id),
        id,
        path: id,
        bundle: bundle(0),
        number: Number { place: LeafIndex(leaf), position: 0 },
        current: true,
        withdrawn: false,
        lines,
        content: lines,
        generated: false,
        files: 1,
        bytes: text.len() as u64,
        metadata,
        text,
    };
    Ok(update.article(&row)?)
}

fn state(size: u64) -> State {
    State { size, root: Digest::of(&size.to_le_bytes()), standing: Digest::of(b"") }
}

fn filled(articles: &[(&str, &str, &str)]) -> Result<Catalog, Box<dyn Error>> {
    let mut catalog = Catalog::in_memory()?;
    fill(&mut catalog, articles)?;
    Ok(catalog)
}

fn fill(catalog: &mut Catalog, articles: &[(&str, &str, &str)]) -> Done {
    let mut update = catalog.update()?;
    for (leaf, (id, title, text)) in (1..).zip(articles) {
        put(&mut update, id, leaf, &article(title), text)?;
    }
    Ok(update.finish(state(articles.len() as u64 + 1))?)
}

fn found(catalog: &Catalog, query: &str, filter: Filter) -> Result<Vec<String>, Box<dyn Error>> {
    let mut ids: Vec<_> = catalog.search(query, &filter, 100)?.into_iter().map(|hit| hit.article.id).collect();
    ids.sort();
    Ok(ids)
}

fn listed(catalog: &Catalog, filter: Filter) -> Result<Vec<String>, Box<dyn Error>> {
    let mut ids = Vec::new();
    catalog.list(&filter, &mut |article| {
        ids.push(article.id);
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

#[test]
fn an_update_dropped_without_finish_leaves_nothing() -> Done {
    let mut catalog = filled(&[("a", "One", "moon")])?;
    put(&mut catalog.update()?, "b", 9, &article("Two"), "sun")?;
    assert_eq!(catalog.state()?, state(2));
    assert!(catalog.current("b")?.is_none());
    assert!(found(&catalog, "sun", Filter::default())?.is_empty());
    Ok(())
}

#[test]
fn only_the_current_revision_is_searched_and_all_stay_in_the_history() -> Done {
    let mut catalog = filled(&[("a", "One", "moon")])?;
    let mut update = catalog.update()?;
    put(&mut update, "a", 5, &article("Two"), "sun")?;
    update.finish(state(6))?;
    assert!(found(&catalog, "moon", Filter::default())?.is_empty());
    assert_eq!(found(&catalog, "sun", Filter::default())?, ["a"]);
    assert_eq!(catalog.history("a")?.iter().map(|revision| revision.number.place.0).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(catalog.counts()?, (1, 2));
    Ok(())
}

#[test]
fn a_withdrawn_article_is_blank_until_it_is_put_in_again() -> Done {
    let mut catalog = filled(&[("a", "Secret title", "secret"), ("b", "Other", "other")])?;
    let mut update = catalog.update()?;
    update.withdraw(&of("a"), Some("a"))?;
    update.finish(state(4))?;
    assert!(found(&catalog, "secret", Filter::default())?.is_empty());
    assert_eq!(listed(&catalog, Filter::default())?, ["b"]);
    assert!(catalog.current("a")?.is_none());
    let history = catalog.history("a")?;
    assert!(history[0].withdrawn && history[0].title.is_empty());
    let mut update = catalog.update()?;
    put(&mut update, "a", 4, &article("Again"), "again")?;
    update.finish(state(5))?;
    assert_eq!(catalog.current("a")?.map(|revision| revision.number.place.0), Some(4));
    Ok(())
}

#[test]
fn what_was_withdrawn_is_not_left_in_the_file() -> Done {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("catalog.sqlite");
    let mut catalog = Catalog::open(&path)?;
    fill(&mut catalog, &[("a", "Quixotrivia", "zymurgical"), ("b", "Other", "other")])?;
    let mut update = catalog.update()?;
    update.withdraw(&of("a"), Some("a"))?;
    update.finish(state(4))?;
    assert!(catalog.has_remains()?);
    catalog.forget()?;
    assert!(!catalog.has_remains()?);
    drop(catalog);
    let left = fs::read(&path)?;
    let holds = |word: &str| left.to_ascii_lowercase().windows(word.len()).any(|bytes| bytes == word.as_bytes());
    assert!(!holds("quixotrivia"), "the title is still in the file");
    assert!(!holds("zymurgical"), "the text is still in the file");
    Ok(())
}

#[test]
fn filters_hold_for_list_and_search() -> Done {
    let mut catalog = Catalog::in_memory()?;
    let mut update = catalog.update()?;
    let rows = [
        ("x/a", "Ada Moll", "2026-11-24", "en-GB", "sea"),
        ("x_b", "ÉMILE Zed", "2025", "fr", "Sea salt"),
        ("y/%/c", "", "", "", ""),
    ];
    for (leaf, (id, author, date, language, tag)) in (1..).zip(rows) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let metadata = Article {
            title: "tide".into(),
            authors: some(author).map(|name| Author { name, ..Author::default() }).into_iter().collect(),
            published: Date::parse(date),
            language: some(language),
            tags: some(tag).into_iter().collect(),
            ..Article::default()
        };
        put(&mut update, id, leaf, &metadata, "")?;
    }
    update.finish(state(4))?;
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (Filter { author: text("MOLL"), ..Filter::default() }, vec!["x/a"]),
        (Filter { author: text("émile"), ..Filter::default() }, vec!["x_b"]),
        (Filter { author: text("Moll Ada"), ..Filter::default() }, vec![]),
        (Filter { author: text("mol"), ..Filter::default() }, vec![]),
        (Filter { tag: text("SEA SALT"), ..Filter::default() }, vec!["x_b"]),
        (Filter { from: text("2025-06"), to: text("2026-11"), ..Filter::default() }, vec!["x/a"]),
        (Filter { from: text("2025"), to: text("2025-06"), ..Filter::default() }, vec!["x_b"]),
        (Filter { from: text("1700"), ..Filter::default() }, vec!["x/a", "x_b"]),
        (Filter { from: text("2027"), ..Filter::default() }, vec![]),
        (Filter { below: text("y/%"), ..Filter::default() }, vec!["y/%/c"]),
        (Filter { below: text("y/%/c"), ..Filter::default() }, vec![]),
        (Filter { to: text("2026"), ..Filter::default() }, vec!["x/a", "x_b"]),
        (Filter { from: text("2026-11"), ..Filter::default() }, vec!["x/a"]),
        (Filter { language: text("EN"), ..Filter::default() }, vec!["x/a"]),
        (Filter { tag: text("sea"), ..Filter::default() }, vec!["x/a"]),
        (Filter { below: text("x"), ..Filter::default() }, vec!["x/a"]),
        (Filter { below: text("y/"), ..Filter::default() }, vec!["y/%/c"]),
    ];
    for (filter, ids) in cases {
        assert_eq!(listed(&catalog, filter.clone())?, ids, "list {filter:?}");
        assert_eq!(found(&catalog, "tide", filter.clone())?, ids, "search {filter:?}");
    }
    Ok(())
}

#[test]
fn finds_words_in_any_case_mark_and_script() -> Done {
    let catalog = filled(&[
        ("a", "Über Gezeiten", "der Mond zieht"),
        ("b", "碑", "古い石碑がある"),
        ("c", "碑", "石と木の碑"),
        ("d", "ทะเล", "น้ำขึ้นน้ำลง"),
        ("e", "नक्शा", "पुराना नक्शा"),
    ])?;
    for (query, ids) in [
        ("uber", vec!["a"]),
        ("GEZEITEN mond", vec!["a"]),
        ("\"mond zieht\"", vec!["a"]),
        ("\"zieht mond\"", vec![]),
        ("gez*", vec!["a"]),
        ("gezeiten -mond", vec![]),
        ("石碑", vec!["b"]),
        ("碑 -木", vec!["b"]),
        ("น้ำลง", vec!["d"]),
        ("नक्शा", vec!["e"]),
    ] {
        assert_eq!(found(&catalog, query, Filter::default())?, ids, "{query}");
    }
    Ok(())
}

#[test]
fn answers_any_query() -> Done {
    let catalog = filled(&[("a", "One", "moon and sun")])?;
    let many = "a ".repeat(512);
    let without = format!("moon {}", "-b ".repeat(300));
    let mixed = "-\"x\" y* ".repeat(100);
    for query in [
        "",
        "\"",
        "\"\"",
        "*",
        "-",
        "--",
        "-*",
        "a\0b",
        "a:b",
        "title:moon",
        "NEAR(a b, 2)",
        "a AND",
        "OR",
        "NOT",
        "(",
        "^a",
        "{a}",
        "a+b",
        "'",
        "\"a\"*",
        "\u{301}",
        "²",
        "Ⅷ",
        "\u{1F600}",
        "\u{1E030}",
        "ก*",
        "-ก",
        "\u{16D40}",
        &many,
        &without,
        &mixed,
    ] {
        let answer = catalog.search(query, &Filter::default(), 10);
        assert!(answer.is_ok(), "{query:?}: {answer:?}");
    }
    Ok(())
}

#[test]
fn a_file_that_is_no_catalog_is_made_anew() -> Done {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache/catalog.sqlite");
    for junk in [&b""[..], b"not a database", &[0; 8192]] {
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        fs::write(&path, junk)?;
        assert_eq!(Catalog::open(&path)?.state()?.size, 0);
        Catalog::remove(&path)?;
    }
    Ok(())
}

/// Whatever page is lost, the catalog answers rightly, refuses to answer, or is empty.
#[test]
fn a_catalog_with_a_lost_page_says_nothing_false() -> Done {
    const PAGE_BYTES: usize = 4096;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("catalog.sqlite");
    let mut catalog = Catalog::open(&path)?;
    let ids: Vec<_> = (0..200).map(|n| format!("article-{n:03}")).collect();
    let rows: Vec<_> = ids.iter().map(|id| (id.as_str(), "A title", "moon and sun")).collect();
    fill(&mut catalog, &rows)?;
    drop(catalog);
    let whole = fs::read(&path)?;
    let mut refused = 0;
    for page in 0..whole.len() / PAGE_BYTES {
        let mut lost = whole.clone();
        lost[page * PAGE_BYTES..][..PAGE_BYTES].fill(0);
        Catalog::remove(&path)?;
        fs::write(&path, &lost)?;
        let catalog = Catalog::open(&path)?;
        if catalog.state()?.size == 0 {
            refused += 1;
            continue;
        }
        let mut present = Ok(0);
        for id in &ids {
            present = present.and_then(|n| Ok::<_, Box<dyn Error>>(n + usize::from(catalog.current(id)?.is_some())));
        }
        let hits = catalog.search("moon", &Filter::default(), 1000).map(|hits| hits.len());
        let answers = [listed(&catalog, Filter::default()).ok().map(|ids| ids.len()), present.ok(), hits.ok()];
        refused += usize::from(answers.contains(&None));
        assert!(answers.iter().flatten().all(|n| *n == ids.len()), "page {page}: {answers:?}");
    }
    assert!(refused > 0, "no page was needed");
    Ok(())
}

fn peak_kib() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown").to_owned()
}

/// Run alone, in release: `cargo test --release --test suite catalog -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes, and is a measurement"]
fn bears_a_million_articles() -> Done {
    let articles: u64 = std::env::var("VELLUM_ARTICLES").map_or(Ok(1_000_000), |n| n.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("catalog.sqlite");
    let mut catalog = Catalog::open(&path)?;
    // A vocabulary of 50,000 words whose frequencies fall as the rank rises, as those of a language do.
    let mut seed = 1_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let words: Vec<String> = (0..50_000_u64)
        .map(|_| (0..3 + next() % 8).map(|_| char::from(b'a' + (next() % 26) as u8)).collect())
        .collect();
    let started = Instant::now();
    let mut leaf = 0;
    while leaf < articles {
        let mut update = catalog.update()?;
        for _ in 0..10_000.min(articles - leaf) {
            let mut text = String::from("common even ");
            for _ in 0..40 {
                let share = (next() % 1_000_000) as f64 / 1e6;
                text.push_str(&words[(50_000_f64.powf(share) as usize - 1).min(49_999)]);
                text.push(' ');
            }
            text.push_str(&format!("unique{leaf}"));
            let metadata = Article {
                title: format!("{} {}", words[(next() % 50_000) as usize], words[(next() % 50_000) as usize]),
                authors: vec![Author { name: format!("Author {}", leaf % 5000), ..Author::default() }],
                published: Date::parse(&format!("{}-{:02}-01", 1950 + leaf % 70, 1 + leaf % 12)),
                language: Some("en".into()),
                ..Article::default()
            };
            put(&mut update, &format!("folder-{:03}/article-{leaf:07}", leaf / 1000), leaf, &metadata, &text)?;
            leaf += 1;
        }
        update.finish(state(leaf))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("inserted {articles} in {seconds:.1} s, {:.0} rows/s, {}", articles as f64 / seconds, peak_kib());
    drop(catalog);
    let bytes = fs::metadata(&path)?.len();
    println!("file {bytes} bytes, {} an article", bytes / articles);
    let started = Instant::now();
    let catalog = Catalog::open(&path)?;
    println!("{:>9.1} ms open", started.elapsed().as_secs_f64() * 1e3);
    let none = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let (top, second) = (words[0].clone(), words[1].clone());
    for (name, query, filter) in [
        ("rare word", "unique777".to_owned(), none()),
        ("absent word", "nosuchwordatall".to_owned(), none()),
        ("word in every article", "common".to_owned(), none()),
        ("phrase in every article", "\"common even\"".to_owned(), none()),
        ("phrase of two common words, rare", format!("\"{second} {top}\""), none()),
        ("phrase in no article", "\"even common\"".to_owned(), none()),
        ("two common words", format!("{top} {second}"), none()),
        ("common and rare", "common unique777".to_owned(), none()),
        ("common without common", "common -even".to_owned(), none()),
        ("prefix of 11 thousand words", "unique77*".to_owned(), none()),
        ("prefix of every article", "unique*".to_owned(), none()),
        ("prefix of one letter", "a*".to_owned(), none()),
        ("prefix of two letters, in every article", "un*".to_owned(), none()),
        ("prefix of three letters, in every article", "uni*".to_owned(), none()),
        ("common, rare author", "common".to_owned(), Filter { author: text("Author 4242"), ..none() }),
        ("common, no such author", "common".to_owned(), Filter { author: text("nobody"), ..none() }),
        ("common, one old folder", "common".to_owned(), Filter { below: text("folder-000/"), ..none() }),
        ("common, one year", "common".to_owned(), Filter { from: text("1950"), to: text("1950"), ..none() }),
    ] {
        let mut times = Vec::new();
        let mut hits = 0;
        for _ in 0..3 {
            let started = Instant::now();
            hits = catalog.search(&query, &filter, 20)?.len();
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        println!("{:>9.1} ms first, {:>8.1} ms third, {hits:>2} hits: {name}; {}", times[0], times[2], peak_kib());
    }
    for (name, filter, most) in [
        ("first 20 listed", none(), 20),
        ("first 20 of one folder", Filter { below: text("folder-900/"), ..none() }, 20),
        ("all listed", none(), usize::MAX),
    ] {
        let started = Instant::now();
        let mut count = 0;
        catalog.list(&filter, &mut |_| {
            count += 1;
            if count < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        println!("{:>9.1} ms {name}: {count}; {}", started.elapsed().as_secs_f64() * 1e3, peak_kib());
    }
    let mut catalog = catalog;
    let started = Instant::now();
    let mut update = catalog.update()?;
    update.withdraw(&of("folder-500/article-0500000"), None)?;
    update.finish(state(articles + 1))?;
    println!("{:>9.1} ms one withdrawn; {}", started.elapsed().as_secs_f64() * 1e3, peak_kib());
    let started = Instant::now();
    catalog.forget()?;
    println!("{:>9.1} ms forgotten; {}", started.elapsed().as_secs_f64() * 1e3, peak_kib());
    let started = Instant::now();
    for n in 0..1000 {
        let id = n * (articles / 1000).max(1) + 1;
        assert!(catalog.current(&format!("folder-{:03}/article-{id:07}", id / 1000))?.is_some());
    }
    println!("{:>9.4} ms current, mean of 1000", started.elapsed().as_secs_f64());
    println!("{}", peak_kib());
    Ok(())
}
