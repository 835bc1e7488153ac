//! Titles of Markdown and of plain text, roff manual pages among it.

use super::Fields;

/// Reads YAML front matter's simple lines, else takes the first heading, else the first line.
pub(super) fn markdown(text: &str) -> Fields {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut fields, body) = yaml(text).unwrap_or_else(|| (Fields::default(), text));
    if fields.title.is_none() {
        fields.title = heading(body).or_else(|| first_line(body));
    }
    fields
}

fn heading(text: &str) -> Option<String> {
    let mut before = "";
    let mut fenced = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            let level = trimmed.bytes().take_while(|&b| b == b'#').count();
            let rest = &trimmed[level..];
            if (1..=6).contains(&level) && rest.starts_with([' ', '\t']) {
                return Some(inline(rest.trim().trim_end_matches('#')));
            }
            let underline =
                trimmed.len() >= 2 && (trimmed.bytes().all(|b| b == b'=') || trimmed.bytes().all(|b| b == b'-'));
            if underline && has_words(before) {
                return Some(inline(before));
            }
        }
        before = trimmed;
    }
    None
}

/// Takes emphasis, code marks and link targets out of a heading.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        out.push_str(&rest[..at].replace('[', ""));
        rest = rest[at + 2..].split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.replace(['*', '`'], "")
}

/// Reads `key: value` lines between `---` and `---`; anything deeper is passed over.
fn yaml(text: &str) -> Option<(Fields, &str)> {
    let body = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"))?;
    let mut fields = Fields::default();
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        at += line.len();
        let line = line.trim_end();
        if line == "---" || line == "..." {
            return Some((fields, &body[at..]));
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let one = || Some(unquoted(value)).filter(|value| !value.is_empty());
        let many = || {
            let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
            inner.map_or_else(|| one().into_iter().collect(), |list| list.split(',').map(unquoted).collect::<Vec<_>>())
        };
        match key {
            "title" => fields.title = one(),
            "author" | "authors" => fields.authors = many(),
            "date" => fields.published = one(),
            "lang" | "language" => fields.language = one(),
            "description" | "summary" => fields.summary = one(),
            "tags" | "keywords" => fields.tags = many(),
            "license" => fields.license = one(),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = ['"', '\''].iter().find_map(|&q| text.strip_prefix(q)?.strip_suffix(q));
    inner.unwrap_or(text).to_owned()
}

/// Takes a manual page's name and section, else the first line with words.
pub(super) fn text(text: &str) -> Fields {
    Fields { title: manual_page(text).or_else(|| first_line(text)), ..Fields::default() }
}

fn manual_page(text: &str) -> Option<String> {
    if !text.starts_with(['.', '\'']) {
        return None;
    }
    let line = text.lines().find(|line| line.starts_with(".TH ") || line.starts_with(".Dt "))?;
    let mut words = line.split_whitespace().skip(1).map(|word| word.trim_matches('"'));
    let (name, section) = (words.next()?, words.next()?);
    Some(format!("{name}({section})"))
}

fn first_line(text: &str) -> Option<String> {
    let comment = |line: &str| line.starts_with(".\\\"") || line.starts_with("'\\\"") || line.starts_with(".. ");
    text.lines().map(str::trim).find(|line| has_words(line) && !comment(line)).map(str::to_owned)
}

/// Says whether a line has three letters or digits in a row, or two of a script without spaces.
fn has_words(line: &str) -> bool {
    let mut run = 0;
    line.chars().any(|c| {
        run = if c.is_alphanumeric() { run + if u32::from(c) >= 0x2E80 { 2 } else { 1 } } else { 0 };
        run >= 3
    })
}
