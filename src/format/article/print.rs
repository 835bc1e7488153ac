//! Printing article metadata as TOML, one form only.

use serde_json::{Map, Value};

use super::Article;

pub(super) fn print(article: &Article) -> String {
    let mut out = String::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push_str(&format!("{key} = {value}\n"));
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(string);
    let agent = |name: &str, uri: &Option<String>, role: &Option<String>| {
        if uri.is_none() && role.is_none() {
            return string(name);
        }
        let mut table = format!("{{ name = {}", string(name));
        for (key, value) in [("uri", uri), ("role", role)] {
            if let Some(value) = value {
                table.push_str(&format!(", {key} = {}", string(value)));
            }
        }
        table + " }"
    };
    put("id", text(&article.id));
    put("title", Some(string(&article.title)));
    put("subtitle", text(&article.subtitle));
    let authors: Vec<_> = article.authors.iter().map(|author| agent(&author.name, &author.uri, &author.role)).collect();
    put("authors", (!authors.is_empty()).then(|| format!("[{}]", authors.join(", "))));
    put("publisher", article.publisher.as_ref().map(|publisher| agent(&publisher.name, &publisher.uri, &None)));
    put("published", article.published.as_ref().map(|date| string(date.as_str())));
    put("modified", article.modified.as_ref().map(|date| string(date.as_str())));
    put("language", text(&article.language));
    put("summary", text(&article.summary));
    let tags: Vec<_> = article.tags.iter().map(|tag| string(tag)).collect();
    put("tags", (!tags.is_empty()).then(|| format!("[{}]", tags.join(", "))));
    put("section", text(&article.section));
    put("kind", text(&article.kind));
    put("source", text(&article.source));
    put("captured", article.captured.as_ref().map(|date| string(date.as_str())));
    put("license", text(&article.license));
    put("rights", text(&article.rights));
    put("replaces", text(&article.replaces));
    put("citation", text(&article.citation));
    put("extra", (!article.extra.is_empty()).then(|| table(&article.extra)));
    out
}

/// A basic string; everything that a terminal or TOML could take amiss is escaped.
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn table(table: &Map<String, Value>) -> String {
    let fields: Vec<_> = table
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, field)| format!("{} = {}", string(key), value(field)))
        .collect();
    if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
}

fn value(field: &Value) -> String {
    match field {
        Value::Null => "\"\"".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => table(fields),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Author, Date, Publisher};
    use super::*;

    fn text() -> impl Strategy<Value = String> {
        "[^\\p{Cc}]{0,12}[a-z]\t?\n?[\"\\\\]?"
    }

    proptest! {
        #[test]
        fn reading_gives_what_was_printed(
            title in text(), name in text(), tags in proptest::collection::vec(text(), 0..3),
            summary in proptest::option::of(text()), number in any::<i64>(), key in text(),
        ) {
            let article = Article {
                title,
                summary,
                tags,
                authors: vec![Author { name: name.clone(), uri: Some("https://a.example/b".into()), role: None }],
                publisher: Some(Publisher { name, uri: None }),
                published: Date::parse("2026-11"),
                extra: [(key, Value::from(number))].into_iter().collect(),
                ..Article::default()
            };
            prop_assert_eq!(Article::parse(article.to_toml().as_bytes()), Ok((article, Default::default())));
        }
    }
}
