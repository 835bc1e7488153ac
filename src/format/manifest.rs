//! `manifest.toml`, the small signed heart of a bundle. (FORMAT.md, "The manifest")
//!
//! ```text
//! format = "vellum-manifest/1"
//! name = "library-2026-11"
//! title = "The library"
//! articles = 1234
//! files = 2470
//! bytes = 123456789
//! checksums = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! root = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
//! ```
//!
//! One form only: what is parsed is printed again and must give the same bytes. Unknown keys are refused. The SHA-256 of
//! these bytes is the bundle's id.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::digest::Digest;
use crate::ids::{BundleId, Origin};

/// The name of the manifest in the bundle.
pub const NAME: &str = "manifest.toml";
/// The first line's value.
pub const FORMAT: &str = "vellum-manifest/1";
/// The longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 10;
/// The most entries of a list in it.
pub const MAX_LIST_ENTRIES: usize = 32;
/// The largest number in it: TOML's own limit.
const MAX_NUMBER: u64 = i64::MAX as u64;
/// The longest bundle name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 1024;

/// The name of a bundle and of its top folder: `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Makes the nearest valid name of any text; `None` where nothing of it can stay.
    pub fn like(text: &str) -> Option<Self> {
        let mut name = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' | '.' | '_' => name.push(c),
                _ if !name.ends_with('-') => name.push('-'),
                _ => {}
            }
        }
        let name = name.trim_matches(['-', '.', '_']);
        name[..name.len().min(MAX_NAME_BYTES)].parse().ok()
    }

    /// Returns the name of part `n` of a split pack: the first keeps the name, the others add their number.
    ///
    /// # Errors
    /// Where the name with the number is too long.
    pub fn part(&self, n: u64) -> Result<Self, ManifestFault> {
        if n <= 1 { Ok(self.clone()) } else { format!("{}-{n}", self.0).parse() }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ManifestFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if first && text.len() <= MAX_NAME_BYTES && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ManifestFault::Value { key: "name", found: shown(text) })
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a bundle stands in a pack that was split into several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartOf {
    /// Counted from 1.
    pub number: u64,
    /// The part before; part 1 has none.
    pub after: Option<BundleId>,
    /// Whether no part follows.
    pub last: bool,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The archive that the bundle was made for, if any.
    pub archive: Option<Origin>,
    /// The bundle's name and top folder.
    pub name: Name,
    /// A title for people: one line without control characters.
    pub title: String,
    /// Number of articles.
    pub articles: u64,
    /// Number of files under `data/`.
    pub files: u64,
    /// Bytes of all files under `data/`.
    pub bytes: u64,
    /// Digest of the checksum list.
    pub checksums: Digest,
    /// Root of the article tree.
    pub root: Digest,
    /// Digest of the files' times, where they are kept.
    pub times: Option<Digest>,
    /// Which part of a split pack this is, if it was split.
    pub part: Option<PartOf>,
    /// The size of the archive's log when the bundle was packed for it.
    pub base: Option<u64>,
    /// The bundles that this one replaces after a withdrawal, ascending.
    pub replaces: Vec<BundleId>,
    /// The statements of withdrawal that it undoes, ascending.
    pub reinstates: Vec<Digest>,
}

/// Why bytes are no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFault {
    /// More than [`MAX_MANIFEST_BYTES`].
    #[error("manifest of {0} bytes, at most {MAX_MANIFEST_BYTES} are allowed")]
    TooLong(u64),
    /// Not UTF-8, not TOML, an unknown or missing key, a value of the wrong type.
    #[error("malformed manifest: {0}")]
    Malformed(String),
    /// A format that this reader does not know.
    #[error("manifest of format {0:?}, expected {FORMAT:?}")]
    Format(String),
    /// A value outside its grammar.
    #[error("malformed {key}: {found:?}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, cut short.
        found: String,
    },
    /// The same content in another form.
    #[error("the manifest is not in its canonical form")]
    NotCanonical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: String,
    archive: Option<String>,
    name: String,
    title: String,
    articles: u64,
    files: u64,
    bytes: u64,
    checksums: String,
    root: String,
    times: Option<String>,
    part: Option<u64>,
    after: Option<String>,
    last: Option<bool>,
    base: Option<u64>,
    #[serde(default)]
    replaces: Vec<String>,
    #[serde(default)]
    reinstates: Vec<String>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Names what is not as the format has it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestFault> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(ManifestFault::TooLong(bytes.len() as u64));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestFault::Malformed("not UTF-8".into()))?;
        let raw: Raw = toml::from_str(text).map_err(|error| ManifestFault::Malformed(error.message().to_owned()))?;
        if raw.format != FORMAT {
            return Err(ManifestFault::Format(shown(&raw.format)));
        }
        let digest =
            |key, text: &str| text.parse::<Digest>().map_err(|_| ManifestFault::Value { key, found: shown(text) });
        let labelled = |key, text: &str| {
            Digest::from_labelled(text).map_err(|error| ManifestFault::Value { key, found: error.found })
        };
        let list = |key, texts: &[String]| {
            let entries = texts.iter().map(|text| digest(key, text)).collect::<Result<Vec<_>, _>>()?;
            if entries.len() > MAX_LIST_ENTRIES || !entries.is_sorted_by(|one, other| one < other) {
                return Err(ManifestFault::Value {
                    key,
                    found: format!("{} entries, or not ascending", entries.len()),
                });
            }
            Ok(entries)
        };
        let part = match (raw.part, raw.after, raw.last) {
            (None, None, None) => None,
            (Some(number @ 1..), after, last) if after.is_some() == (number > 1) => {
                let after = after.map(|text| digest("after", &text).map(BundleId)).transpose()?;
                Some(PartOf { number, after, last: last.unwrap_or(false) })
            }
            (number, ..) => {
                let found = number.map_or_else(|| "no part".to_owned(), |number| number.to_string());
                return Err(ManifestFault::Value { key: "part", found });
            }
        };
        if !is_title(&raw.title) {
            return Err(ManifestFault::Value { key: "title", found: shown(&raw.title) });
        }
        let manifest = Self {
            archive: raw
                .archive
                .map(|text| text.parse().map_err(|_| ManifestFault::Value { key: "archive", found: shown(&text) }))
                .transpose()?,
            name: raw.name.parse()?,
            title: raw.title,
            articles: raw.articles,
            files: raw.files,
            bytes: raw.bytes,
            checksums: labelled("checksums", &raw.checksums)?,
            root: labelled("root", &raw.root)?,
            times: raw.times.map(|text| labelled("times", &text)).transpose()?,
            part,
            base: raw.base,
            replaces: list("replaces", &raw.replaces)?.into_iter().map(BundleId).collect(),
            reinstates: list("reinstates", &raw.reinstates)?,
        };
        let part = manifest.part.map(|part| part.number);
        let numbers = [Some(manifest.articles), Some(manifest.files), Some(manifest.bytes), part, manifest.base];
        if let Some(number) = numbers.into_iter().flatten().find(|number| *number > MAX_NUMBER) {
            return Err(ManifestFault::Malformed(format!("the number {number} is too large")));
        }
        if manifest.to_string().as_bytes() == bytes { Ok(manifest) } else { Err(ManifestFault::NotCanonical) }
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format = \"{FORMAT}\"")?;
        if let Some(archive) = &self.archive {
            writeln!(f, "archive = \"{archive}\"")?;
        }
        writeln!(f, "name = \"{}\"", self.name)?;
        writeln!(f, "title = \"{}\"", self.title.replace('\\', "\\\\").replace('"', "\\\""))?;
        writeln!(f, "articles = {}\nfiles = {}\nbytes = {}", self.articles, self.files, self.bytes)?;
        writeln!(f, "checksums = \"{}\"", self.checksums.labelled())?;
        writeln!(f, "root = \"{}\"", self.root.labelled())?;
        if let Some(times) = self.times {
            writeln!(f, "times = \"{}\"", times.labelled())?;
        }
        if let Some(part) = &self.part {
            writeln!(f, "part = {}", part.number)?;
            if let Some(after) = part.after {
                writeln!(f, "after = \"{after}\"")?;
            }
            if part.last {
                writeln!(f, "last = true")?;
            }
        }
        if let Some(base) = self.base {
            writeln!(f, "base = {base}")?;
        }
        let replaces: Vec<_> = self.replaces.iter().map(|id| id.0).collect();
        for (key, entries) in [("replaces", &replaces), ("reinstates", &self.reinstates)] {
            if !entries.is_empty() {
                let entries: Vec<_> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
                writeln!(f, "{key} = [{}]", entries.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Says whether a text can be a bundle's title: one line, no control characters, at most [`MAX_TITLE_BYTES`].
pub fn is_title(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TITLE_BYTES
        && !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Manifest {
        Manifest {
            archive: Some("example.org/library".parse().unwrap()),
            name: "library-2026-11".parse().unwrap(),
            title: "Tides, \"and\" \\ winds — 潮".into(),
            articles: 3,
            files: 7,
            bytes: 99,
            checksums: Digest::of(b"list"),
            root: Digest::of(b"tree"),
            times: Some(Digest::of(b"times")),
            part: Some(PartOf { number: 2, after: Some(BundleId(Digest::of(b"1"))), last: true }),
            base: Some(412),
            replaces: vec![BundleId(Digest::of(b"old"))],
            reinstates: {
                let mut both = vec![Digest::of(b"one"), Digest::of(b"other")];
                both.sort();
                both
            },
        }
    }

    #[test]
    fn reads_back_what_it_prints() {
        assert_eq!(Manifest::decode(sample().to_string().as_bytes()), Ok(sample()));
        let plain = Manifest {
            archive: None,
            times: None,
            part: None,
            base: None,
            replaces: Vec::new(),
            reinstates: Vec::new(),
            ..sample()
        };
        assert_eq!(Manifest::decode(plain.to_string().as_bytes()), Ok(plain));
    }

    #[test]
    fn refuses_every_other_form_of_the_same_content() {
        let good = sample().to_string();
        for bad in [
            good.replace("files = 7", "files  = 7"),
            good.replace("files = 7", "files = 0x7"),
            good.replace("files = 7", "files = 7 # seven"),
            good.replace('\n', "\r\n"),
            format!("\n{good}"),
            format!("{good}\n"),
            good.replace("潮", "\\u6f6e"),
            good.trim_end().to_owned(),
        ] {
            assert_eq!(Manifest::decode(bad.as_bytes()), Err(ManifestFault::NotCanonical), "{bad}");
        }
    }

    #[test]
    fn refuses_unknown_keys_other_formats_and_values_outside_the_grammar() {
        let good = sample().to_string();
        for (from, to) in [
            ("articles", "article"),
            ("vellum-manifest/1", "vellum-manifest/2"),
            ("library-2026-11", "../up"),
            ("library-2026-11", "Library"),
            ("example.org/library", "example org"),
            ("part = 2", "part = 1"),
            ("part = 2", "part = 0"),
            ("sha256:", "sha512:"),
            ("files = 7", "files = -7"),
            ("files = 7", "files = 9223372036854775808"),
            ("base = 412", "base = -1"),
            ("replaces = [", "replaces = [\"x\", "),
            ("潮", "\\u001b[31m"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert!(Manifest::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Manifest::decode(&vec![b'#'; 5_000]).is_err());
    }

    #[test]
    fn a_list_is_ascending_and_names_nothing_twice() {
        let one = Digest::of(b"one");
        let twice = Manifest { reinstates: vec![one, one], ..sample() };
        assert!(Manifest::decode(twice.to_string().as_bytes()).is_err());
        let mut both = sample();
        both.reinstates.reverse();
        assert!(Manifest::decode(both.to_string().as_bytes()).is_err());
        let mut many: Vec<_> = (0..=MAX_LIST_ENTRIES as u8).map(|n| Digest::of(&[n])).collect();
        many.sort();
        let many = |n| Manifest { reinstates: many[..n].to_vec(), ..sample() }.to_string();
        assert!(Manifest::decode(many(MAX_LIST_ENTRIES).as_bytes()).is_ok());
        assert!(Manifest::decode(many(MAX_LIST_ENTRIES + 1).as_bytes()).is_err());
    }

    #[test]
    fn makes_a_name_of_any_folder_name() {
        assert_eq!(Name::like("Meine Artikel (2026)").unwrap().as_str(), "meine-artikel-2026");
        assert_eq!(Name::like("日本"), None);
    }

    proptest! {
        #[test]
        fn every_title_survives(title in "[^\\p{Cc}\u{2028}\u{2029}]{1,80}") {
            let manifest = Manifest { title, ..sample() };
            prop_assert_eq!(Manifest::decode(manifest.to_string().as_bytes()), Ok(manifest));
        }
    }
}
