//! Any bytes as an `article.toml`: what is read is printed and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::article::Article;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((article, _)) = Article::parse(bytes) {
        let (again, _) = Article::parse(article.to_toml().as_bytes()).expect("what was printed is read");
        assert_eq!(again.title, article.title);
        assert_eq!(again.authors, article.authors);
    }
});
