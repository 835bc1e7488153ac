//! Findings: what is wrong with a bundle, each with a stable code, a place and a severity.
//!
//! Damage is a finding and not an error: a check goes on to the end and reports all of it. The codes are listed in FORMAT.md,
//! "Findings", and never change their meaning.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the verdict stays.
    Notice,
    /// The verdict is no.
    Damage,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident;)+) => {
        /// The stable code of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the code as it is printed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Returns how much findings of this code matter.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// A length, count or depth is over a limit of the format.
    OverLimit = "over-limit", Damage;
    /// The file ends before its table.
    Truncated = "truncated", Damage;
    /// The seek table is absent, malformed, or does not say what the frames are.
    Table = "table", Damage;
    /// A frame does not decode or is not of the required form.
    Frame = "frame", Damage;
    /// A header, padding, order or end of the tar is not the canonical one.
    Tar = "tar", Damage;
    /// The manifest is absent, malformed, not in its one form, or its counts are wrong.
    Manifest = "manifest", Damage;
    /// A member lies outside the top folder that the manifest names.
    TopFolder = "top-folder", Damage;
    /// The file's name claims another id.
    FileName = "file-name", Damage;
    /// There is no signature.
    Unsigned = "unsigned", Damage;
    /// A signature file is malformed, of the legacy kind, or not named for its key.
    SignatureForm = "signature-form", Damage;
    /// A signature by the id of a trusted key does not fit.
    SignatureBad = "signature-bad", Damage;
    /// A trusted comment speaks of something else.
    SignatureComment = "signature-comment", Damage;
    /// A signature is by a key that is not trusted here.
    SignatureUntrusted = "signature-untrusted", Notice;
    /// A signature by a trusted key is for another archive than the one asked for.
    SignatureElsewhere = "signature-elsewhere", Notice;
    /// No trusted key has signed, or fewer than the policy asks for.
    Untrusted = "untrusted", Damage;
    /// The manifest belongs to another archive than the one asked for.
    Archive = "archive", Damage;
    /// The checksum list is absent, malformed, not in the one order, or not the one that the manifest names.
    Checksums = "checksums", Damage;
    /// A path breaks the rules, is file and folder at once, or belongs to no article.
    Path = "path", Damage;
    /// An `article.toml` breaks the rules, an article has no content, or a name stands for two articles.
    Metadata = "metadata", Damage;
    /// A file's bytes are not those that the list names.
    Content = "content", Damage;
    /// A file of the list is not in the bundle.
    Missing = "missing", Damage;
    /// The bundle holds a file that the list does not name.
    Extra = "extra", Damage;
    /// A tag file or `times.txt` is not what manifest and list make it.
    TagFile = "tag-file", Damage;
    /// The articles do not lead to the root in the manifest.
    Tree = "tree", Damage;
    /// The index does not say where the members lie.
    Index = "index", Damage;
    /// What a replacement says of the bundles that it descends from is absent, malformed, or does not lead to them.
    Was = "was", Damage;
    /// The checkpoint is absent, malformed, or not signed by the log's key.
    Checkpoint = "checkpoint", Damage;
    /// Tiles or entries do not lead to the checkpoint's root.
    Log = "log", Damage;
    /// A leaf does not count: it is malformed, or those have not signed it who would have to.
    Void = "void", Notice;
    /// A bundle that the log has is not there.
    BundleMissing = "bundle-missing", Damage;
    /// A bundle's file is not the one that was logged.
    BundleFile = "bundle-file", Damage;
    /// A statement is absent, or a bundle is not what a withdrawal left of another.
    Withdrawal = "withdrawal", Damage;
    /// A version of the trust policy is not believed by the keys that a person trusts.
    Policy = "policy", Notice;
    /// A document of the archive is absent or not the one that was logged.
    Document = "document", Damage;
    /// A file among the bundles that the log does not have.
    Stray = "stray", Notice;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// Where: a file in the bundle, a byte range, a key; as text, since places are of many kinds.
    pub place: String,
    /// What was expected and what was found.
    pub detail: String,
}

impl Finding {
    /// Notes that something of kind `code` is wrong at `place`.
    pub fn new(code: Code, place: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { code, place: place.into(), detail: detail.to_string() }
    }

    /// Returns how much this matters.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.place, self.detail)
    }
}
