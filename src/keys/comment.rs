//! The trusted comment of vellum's signatures: what was signed, for which archive, and when the signer says it was.
//!
//! ```text
//! vellum/1<TAB>manifest<TAB>archive:example.org/library<TAB>sha256:<64 hex><TAB>time:2026-11-24T03:37:27Z
//! ```
//! minisign has no domain separation, so the comment provides it: kind, archive and digest must agree with the file at
//! hand ([`Comment::agrees_with`]); the time is only a claim. `archive:-` stands for none. Any other spelling is refused.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::{Error, excerpt};
use crate::digest::Digest;
use crate::ids::Origin;

const VERSION: &str = "vellum/1";
const NO_ARCHIVE: &str = "-";
const TIME_RULE: &str = "expected a time like 2026-11-24T03:37:27Z";

/// The kind of file that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A bundle's `manifest.toml`.
    Manifest,
    /// A version of the trust policy.
    Policy,
    /// A statement that withdraws articles.
    Withdraw,
    /// A document of an archive.
    Document,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Manifest, Self::Policy, Self::Withdraw, Self::Document];

    /// Returns the word in the comment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Policy => "policy",
            Self::Withdraw => "withdraw",
            Self::Document => "document",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A trusted comment of the fixed grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    kind: Kind,
    archive: Option<Box<str>>,
    digest: Digest,
    time: Timestamp,
}

impl Comment {
    /// Returns the comment for a file of `kind` with this `digest`, made for `archive` (its origin) or for none, at
    /// `time`, whose fraction of a second is dropped.
    ///
    /// # Errors
    /// [`Error::CommentFormat`] if the origin is empty, `-`, longer than an archive may have, or holds white space, a
    /// control character or `+`; or if the time lies outside the years 1 to 9998.
    pub fn new(kind: Kind, archive: Option<&str>, digest: Digest, time: Timestamp) -> Result<Self, Error> {
        let refused = |rule, found: &str| Error::CommentFormat { rule, found: excerpt(found) };
        let archive = match archive {
            Some(origin) if !is_origin(origin) => {
                return Err(refused(
                    "expected an archive name: 1 to 255 visible ASCII characters without `+`, quotes and backslash",
                    origin,
                ));
            }
            archive => archive.map(Into::into),
        };
        let whole = Timestamp::from_second(time.as_second()).map_err(|_| refused(TIME_RULE, &time.to_string()))?;
        if !has_four_digit_year(&whole.to_string()) {
            return Err(refused(TIME_RULE, &whole.to_string()));
        }
        Ok(Self { kind, archive, digest, time: whole })
    }

    /// Returns the kind of file.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the origin of the archive the file was signed for, if any.
    pub fn archive(&self) -> Option<&str> {
        self.archive.as_deref()
    }

    /// Returns the digest of the signed file.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns when the signer claims to have signed.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Checks that the comment speaks of the file at hand.
    ///
    /// # Errors
    /// [`Error::OtherKind`], [`Error::OtherArchive`] or [`Error::OtherDigest`], the first in this order.
    pub fn agrees_with(&self, kind: Kind, archive: Option<&str>, digest: &Digest) -> Result<(), Error> {
        if self.kind != kind {
            return Err(Error::OtherKind { expected: kind, found: self.kind });
        }
        if self.archive() != archive {
            let named = |origin: Option<&str>| origin.unwrap_or(NO_ARCHIVE).to_owned();
            return Err(Error::OtherArchive { expected: named(archive), found: named(self.archive()) });
        }
        if self.digest != *digest {
            return Err(Error::OtherDigest { expected: *digest, found: self.digest });
        }
        Ok(())
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = self.archive().unwrap_or(NO_ARCHIVE);
        write!(f, "{VERSION}\t{}\tarchive:{archive}\tsha256:{}\ttime:{}", self.kind, self.digest, self.time)
    }
}

impl FromStr for Comment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |rule, found: &str| Error::CommentFormat { rule, found: excerpt(found) };
        let mut fields = text.split('\t');
        let (Some(version), Some(kind), Some(archive), Some(digest), Some(time), None) =
            (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(refused("expected five fields parted by tabs", text));
        };
        if version != VERSION {
            return Err(refused("expected vellum/1", version));
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(|| refused("expected kind manifest, policy, withdraw or document", kind))?;
        let archive = archive.strip_prefix("archive:").ok_or_else(|| refused("expected archive:", archive))?;
        let digest = Digest::from_labelled(digest)
            .map_err(|_| refused("expected sha256: and 64 lower-case hex digits", digest))?;
        let time = time.strip_prefix("time:").ok_or_else(|| refused("expected time:", time))?;
        let claimed = Some(time)
            .filter(|time| has_four_digit_year(time))
            .and_then(|time| time.parse::<Timestamp>().ok())
            .filter(|parsed| parsed.to_string() == time)
            .ok_or_else(|| refused(TIME_RULE, time))?;
        Self::new(kind, Some(archive).filter(|&origin| origin != NO_ARCHIVE), digest, claimed)
    }
}

fn is_origin(text: &str) -> bool {
    text.parse::<Origin>().is_ok()
}

/// Says whether a time is written with a year of four digits and whole seconds; jiff prints others longer.
fn has_four_digit_year(time: &str) -> bool {
    // The year 0 is none for some readers, and the last days of 9999 are none for others.
    let year = time.get(..4).and_then(|year| year.parse::<u16>().ok());
    time.len() == "2026-11-24T03:37:27Z".len() && year.is_some_and(|year| (1..=9998).contains(&year))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str, archive: &str, time: &str) -> String {
        format!("vellum/1\t{kind}\tarchive:{archive}\tsha256:{}\ttime:{time}", Digest::of(b""))
    }

    #[test]
    fn prints_what_it_reads() {
        for kind in Kind::ALL {
            for archive in ["-", "example.org/library", "a.example/(b)"] {
                let text = text(kind.as_str(), archive, "2026-11-24T03:37:27Z");
                assert_eq!(text.parse::<Comment>().unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn drops_fractions_of_a_second_when_made() {
        let time = "2026-11-24T03:37:27.9Z".parse().unwrap();
        let comment = Comment::new(Kind::Policy, None, Digest::of(b""), time).unwrap();
        assert_eq!(comment.to_string(), text("policy", "-", "2026-11-24T03:37:27Z"));
    }

    #[test]
    fn refuses_every_other_spelling() {
        let good = "2026-11-24T03:37:27Z";
        let fine = text("manifest", "-", good);
        for bad in [
            String::new(),
            text("Manifest", "-", good),
            text("", "-", good),
            text("manifest", "", good),
            text("manifest", "a b", good),
            text("manifest", "a+b", good),
            text("manifest", "a\u{a0}b", good),
            text("manifest", "a\u{1b}[31m", good),
            text("manifest", &"x".repeat(256), good),
            text("manifest", "-", "2026-11-24T03:37:27.0Z"),
            text("manifest", "-", "2026-11-24T03:37:27.5Z"),
            text("manifest", "-", "2026-11-24 03:37:27Z"),
            text("manifest", "-", "2026-11-24t03:37:27z"),
            text("manifest", "-", "2026-11-24T03:37:60Z"),
            text("manifest", "-", "2026-02-30T03:37:27Z"),
            text("manifest", "-", "2026-11-24T03:37:27+00:00"),
            text("manifest", "-", "20261124T033727.000Z"),
            text("manifest", "-", "-00001-11-24T03:37Z"),
            fine.replace("vellum/1", "vellum/2"),
            fine.replace("sha256:", "sha512:"),
            fine.replace("sha256:e", "sha256:E"),
            fine.replace("archive:", "bundle:"),
            fine.replace("time:", ""),
            fine.replace('\t', " "),
            format!("{fine}\t"),
            format!(" {fine}"),
            format!("{fine}\n"),
        ] {
            assert!(matches!(bad.parse::<Comment>(), Err(Error::CommentFormat { .. })), "{bad:?}");
        }
        assert!(fine.parse::<Comment>().is_ok());
    }

    #[test]
    fn refuses_what_its_grammar_cannot_print() {
        let (digest, now) = (Digest::of(b""), "2026-11-24T03:37:27Z".parse().unwrap());
        for origin in ["", "-", "a\tb", "a\nb", " "] {
            assert!(Comment::new(Kind::Manifest, Some(origin), digest, now).is_err(), "{origin:?}");
        }
        assert!(Comment::new(Kind::Manifest, None, digest, Timestamp::MIN).is_err());
    }

    #[test]
    fn names_the_field_that_disagrees() {
        let (digest, now) = (Digest::of(b"x"), "2026-11-24T03:37:27Z".parse().unwrap());
        let comment = Comment::new(Kind::Manifest, Some("example.org/a"), digest, now).unwrap();
        assert!(comment.agrees_with(Kind::Manifest, Some("example.org/a"), &digest).is_ok());
        let cases = [
            (comment.agrees_with(Kind::Policy, Some("example.org/a"), &digest), "expected kind policy, found manifest"),
            (
                comment.agrees_with(Kind::Manifest, Some("example.org/b"), &digest),
                "expected archive example.org/b, found example.org/a",
            ),
            (comment.agrees_with(Kind::Manifest, None, &digest), "expected archive -, found example.org/a"),
        ];
        for (outcome, message) in cases {
            assert_eq!(outcome.unwrap_err().to_string(), format!("trusted comment: {message}"));
        }
        let other = comment.agrees_with(Kind::Manifest, Some("example.org/a"), &Digest::of(b"y"));
        assert!(matches!(other, Err(Error::OtherDigest { .. })));
    }
}
