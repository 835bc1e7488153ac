//! Where the errors of all floors meet: each becomes a message, its causes, a hint with a command to type, and an exit code.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::archive::{self, catalog};
use crate::collection;
use crate::finding::Code;
use crate::folder;
use crate::folder::walk::{Reason, Refusal};
use crate::format::bundle;
use crate::keys;
use crate::mirror;
use crate::store;

/// The exit code after an interrupt, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why a verb failed.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
    broken_pipe: bool,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, code: 2, broken_pipe: false }
    }

    /// Says that the answer is no, rather than that the verb could not run.
    pub(super) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, ..Self::new(message) }
    }

    /// The same, with an error's words.
    pub(super) fn no_from<E: Into<Self>>(error: E) -> Self {
        Self { code: 1, ..error.into() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Names the thing that an error is about.
    pub(super) fn about(mut self, thing: impl fmt::Display) -> Self {
        let thing = thing.to_string();
        self.message = format!("{thing}: {}", self.message);
        if let Some(hint) = self.hint.as_mut().filter(|_| thing != "-") {
            *hint = hint.replace("BUNDLE`", &format!("{}`", quoted(&thing)));
        }
        self
    }

    pub(super) fn stdout(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self { broken_pipe, ..Self::new("cannot write to standard output").cause(error) }
    }

    /// Names the thing that an error is about, unless the message begins with its name already.
    pub(super) fn naming(self, thing: &str) -> Self {
        if self.message.starts_with(thing) { self } else { self.about(thing) }
    }

    /// Returns the message and its causes in one line.
    pub(super) fn words(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// Returns what a person is told, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.message)];
        lines.extend(self.causes.iter().map(|cause| format!("  caused by: {cause}")));
        if let Some(hint) = &self.hint {
            lines.extend([String::new(), format!("hint: {hint}")]);
        }
        lines
    }

    /// Says whether nothing more shall be done: the reader has gone, or the person has interrupted.
    pub(super) fn ends_all(&self) -> bool {
        self.broken_pipe || self.code == INTERRUPTED
    }

    pub(super) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    fn of(error: &dyn StdError) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }
}

/// Returns an argument as a shell takes it.
pub(super) fn quoted(argument: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | ',' | ':' | '@' | '%' | '=');
    match argument.chars().all(is_plain) && !argument.is_empty() {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

impl From<bundle::Error> for Failure {
    fn from(error: bundle::Error) -> Self {
        let failure = Self::of(&error);
        match &error {
            bundle::Error::Damaged(finding) => {
                let hint = match finding.code {
                    Code::Table | Code::Truncated => {
                        "is it a whole vellum bundle? `vellum verify BUNDLE` says what is wrong with it"
                    }
                    _ => {
                        "`vellum verify BUNDLE` lists all that is wrong; `vellum salvage --to DIR BUNDLE` gets what is still whole"
                    }
                };
                Self { code: 1, ..failure }.hint(hint)
            }
            bundle::Error::Cancelled => Self { code: INTERRUPTED, ..failure },
            _ => failure,
        }
    }
}

impl From<keys::Error> for Failure {
    fn from(error: keys::Error) -> Self {
        use keys::Error as E;
        let no = matches!(error, E::NoteUnsigned { .. } | E::BadSignature { .. });
        if no { Self { code: 1, ..Self::of(&error) } } else { Self::of(&error) }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::of(&error)
    }
}

impl From<catalog::Error> for Failure {
    fn from(error: catalog::Error) -> Self {
        Self::of(&error).hint("the catalog is only a cache: `vellum reindex ARCHIVE` makes it anew")
    }
}

impl From<archive::Error> for Failure {
    fn from(error: archive::Error) -> Self {
        use archive::Error as E;
        match error {
            E::Bundle(error) => error.into(),
            E::Keys(error) => error.into(),
            E::Catalog(error) => error.into(),
            E::Busy { .. } => Self::of(&error).hint("wait until it has ended; the lock goes with its process"),
            E::NoState(ref archive) => {
                let hint = format!(
                    "is it a mirror? `vellum log adopt {archive} --seen OTHER` publishes from here from now on, if nothing newer was ever signed"
                );
                Self::of(&error).hint(hint)
            }
            E::LogKeyAbsent { .. } => {
                Self::of(&error).hint("name its secret key, beside the one before, with `--log-secret FILE`")
            }
            E::NotAnArchive(_) => Self::of(&error).hint("`vellum init --origin NAME FOLDER` makes one"),
            E::Log(_) | E::Checkpoint(_) => {
                Self { code: 1, ..Self::of(&error) }.hint("`vellum verify ARCHIVE` lists all that is wrong")
            }
            E::History(_) => Self { code: 1, ..Self::of(&error) },
            _ => Self::of(&error),
        }
    }
}

impl From<collection::Error> for Failure {
    fn from(error: collection::Error) -> Self {
        use collection::Error as E;
        match error {
            E::Archive(error) => error.into(),
            E::Folder(error) => error.into(),
            E::Bundle(error) => error.into(),
            E::Keys(error) => error.into(),
            E::NoArticle(_) | E::Withdrawn(_) => Self { code: 1, ..Self::of(&error) }
                .hint("`vellum list ARCHIVE` shows the articles; `vellum history` what became of one"),
            E::Threshold { .. } => Self { code: 1, ..Self::of(&error) }
                .hint("`--key` names a key and can be repeated; `vellum trust show ARCHIVE` says who may do what"),
            E::NoBundle(_)
            | E::Deposit { .. }
            | E::Conflict { .. }
            | E::Closed(_)
            | E::Policy(_)
            | E::OtherLog { .. }
            | E::LeavesOut { .. } => Self { code: 1, ..Self::of(&error) },
            _ => Self::of(&error),
        }
    }
}

impl From<mirror::Error> for Failure {
    fn from(error: mirror::Error) -> Self {
        use mirror::Error as E;
        match error {
            E::Archive(error) => error.into(),
            E::Store(error) => error.into(),
            E::Keys(error) => Self { code: 1, ..error.into() },
            E::Bundle(error) => error.into(),
            E::Cancelled => Self { code: INTERRUPTED, ..Self::of(&error) },
            E::Fork { .. } | E::TwoHistories { .. } => Self { code: 1, ..Self::of(&error) }.hint(
                "keep the evidence and tell others: `vellum log compare A B` shows it to anyone; where the archive's owner says which one goes on, `vellum trust pin` his policy",
            ),
            E::Rollback { .. } => {
                Self { code: 1, ..Self::of(&error) }.hint("it may only be a mirror that is behind; name another origin")
            }
            E::NotVouched { what: "witnessed", .. } => Self { code: 1, ..Self::of(&error) }
                .hint("`vellum collect` gathers cosignatures; a witness itself syncs with `--unwitnessed`"),
            E::Unobtainable { .. } => Self::of(&error)
                .hint("what was fetched is kept: the same command goes on from there, also with another origin"),
            E::Incomplete(_) => {
                Self { code: 1, ..Self::of(&error) }.hint("`vellum sync ORIGIN MIRROR` fetches what is missing")
            }
            E::Lacking { .. } => Self { code: 1, ..Self::of(&error) }
                .hint("bring it back from a copy, or from a mirror; `vellum verify ARCHIVE` lists all that is missing"),
            E::SeenOther { .. } => Self { code: 1, ..Self::of(&error) }
                .hint("somebody may be hiding what came since; if this is an older copy on purpose, `--older` takes it"),
            E::NotAMirror { .. } => Self::of(&error).hint("give the mirror a folder of its own"),
            E::History { .. }
            | E::Leaf { .. }
            | E::BadBundle { .. }
            | E::NotVouched { .. }
            | E::Backwards(_)
            | E::Witness { .. }
            | E::Bucket(_) => Self { code: 1, ..Self::of(&error) },
            _ => Self::of(&error),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = Self::no(format!("{}: {}", refusal.place, refusal.reason));
        Self { code: code_of(&refusal), ..failure }
    }
}

/// What cannot be read says nothing about what it is.
fn code_of(refusal: &Refusal) -> u8 {
    if matches!(refusal.reason, Reason::Unreadable(_)) { 2 } else { 1 }
}

impl From<folder::Error> for Failure {
    fn from(error: folder::Error) -> Self {
        use folder::Error as E;
        match error {
            E::Bundle(error) => error.into(),
            E::Keys(error) => error.into(),
            E::Refused(ref refusals) => {
                let code = refusals.iter().map(code_of).max().unwrap_or(1);
                let mut failure = Self { code, ..Self::no(error.to_string()) };
                failure.causes = refusals.iter().take(20).map(|r| format!("{}: {}", r.place, r.reason)).collect();
                if refusals.len() > 20 {
                    failure.causes.push(format!("and {} more: `--json` lists all", refusals.len() - 20));
                }
                let any = |is: fn(&Reason) -> bool| refusals.iter().any(|refusal| is(&refusal.reason));
                let mut hints = vec!["mend them, or leave them out with `--exclude GLOB`"];
                if any(|reason| matches!(reason, Reason::Symlink)) {
                    hints.push("`--follow-symlinks` takes what links point to");
                }
                if any(|reason| matches!(reason, Reason::Percent)) {
                    hints.push("`--allow-percent` takes names with `%0A`, `%0D`, `%25`");
                }
                if any(|reason| matches!(reason, Reason::LongId(_))) {
                    hints.push("an article's `id` stands in its metadata: `vellum draft` writes one to edit");
                }
                if any(|reason| matches!(reason, Reason::OtherSource { .. })) {
                    hints.push("`--take-over` revises what another source holds");
                }
                failure.hint(hints.join("; "))
            }
            E::Exists(_) => Self::of(&error).hint("`--overwrite` writes in its place, or into it where it is a folder"),
            E::OtherForm { .. } => Self::of(&error)
                .hint("`vellum sign FILE` adds a signature to a whole one, `--overwrite` replaces it and loses none"),
            E::Several(_) => {
                Self::of(&error).hint("give a folder with `--output DIR`, or a larger limit with `--bundle-size BYTES`")
            }
            E::Folds { .. } => Self { code: 1, ..Self::of(&error) }.hint(
                "write to a file system that keeps them apart; or each to a folder of its own, with `--article PATH`",
            ),
            E::FileAndFolder(_) | E::SamePlace { .. } => Self { code: 1, ..Self::of(&error) }
                .hint("write each bundle to a folder of its own, or choose with `--article PATH`"),
            E::InTheWay { .. } => Self::of(&error).hint("remove it, or write to another folder with `--to DIR`"),
            E::NoArticles(_) => Self::of(&error).hint("give a folder that holds documents"),
            // A bundle's own list, or what would become one, breaks the rules: the answer is no, as for all other damage.
            E::List(_) => Self { code: 1, ..Self::of(&error) },
            E::OutputInside { .. } => Self::of(&error).hint("give another folder with `--output DIR`"),
            E::Cancelled => Self { code: INTERRUPTED, ..Self::of(&error) },
            _ => Self::of(&error),
        }
    }
}
