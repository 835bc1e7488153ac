//! Opening what a verb reads: a bundle's file, or a pipe.
//!
//! A pipe is spooled to an unnamed temporary file, up to a cap, and then read like a file: the findings are the same by construction, and no
//! decoder sees a byte before the manifest's signature has been looked at.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use crate::archive::catalog::{Catalog, Filter};
use crate::finding::{Code, Finding};
use crate::folder::BUNDLE_ENDING;
use crate::format::bundle::{self, Bundle, Contents};
use crate::ids::{BundleId, Origin};
use crate::path;
use crate::store::Object;
use crate::store::disk::Pipe;
use crate::trust::{self, Judgement, Worth};

use super::keyring::{self, TrustArgs};
use super::ui::Ui;
use super::{Failure, ui};

/// The largest bundle taken from a pipe unless `--max-size` says otherwise, in bytes.
const MAX_PIPED_BYTES: u64 = 16 << 30;

/// Whom a reading verb believes.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    #[command(flatten)]
    trust: TrustArgs,
    /// Accept only bundles of this archive, signed for it
    #[arg(long, value_name = "ORIGIN")]
    archive: Option<Origin>,
    /// Go on although no trusted key has signed: integrity is checked, authenticity is not
    #[arg(long)]
    unsigned: bool,
    /// Judge how fresh an archive is as of this time, not now: 2026-11-24 or 2026-11-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Read a copy of an archive that is older than one seen before
    #[arg(long)]
    older: bool,
    /// The largest bundle to take from a pipe, in bytes [default: 16 GiB]
    #[arg(long, value_name = "BYTES")]
    max_size: Option<u64>,
}

impl ReadArgs {
    pub(super) fn unsigned(&self) -> bool {
        self.unsigned
    }

    pub(super) fn older(&self) -> bool {
        self.older
    }

    /// Refuses options that have no effect on any of the places that a verb reads; `timed` where the verb judges freshness.
    ///
    /// Several places may be named, and an option that is for one of them stands.
    pub(super) fn fit(&self, places: &[impl AsRef<Path>], timed: bool) -> Result<(), Failure> {
        let is_pipe = |place: &Path| {
            place == Path::new("-") || place.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
        };
        let any = |is: &dyn Fn(&Path) -> bool| places.iter().any(|place| is(place.as_ref()));
        self.refuse(any(&super::place::is_archive), any(&is_pipe), timed)
    }

    /// The same for a verb that reads archives, and checkpoints beside them.
    pub(super) fn fit_archive(&self) -> Result<(), Failure> {
        self.refuse(true, false, false)
    }

    fn refuse(&self, archives: bool, pipes: bool, timed: bool) -> Result<(), Failure> {
        let no_effect = |option: &str, why: &str| Failure::new(format!("{option} has no effect here: {why}"));
        if self.max_size.is_some() && !pipes {
            return Err(no_effect("--max-size", "it limits what is read from a pipe, and none is named"));
        }
        if self.older && !archives {
            return Err(no_effect("--older", "it is for archives, and none is named"));
        }
        if self.at.is_some() && !(archives && timed) {
            return Err(no_effect("--at", "only `verify` and `sync` judge how fresh an archive is"));
        }
        for (given, option) in [(self.trust.has_policy(), "--policy"), (self.trust.has_log_key(), "--log-key")] {
            if given && !archives {
                return Err(no_effect(option, "it is for archives, and none is named")
                    .hint("`--key` names the key of a bundle"));
            }
        }
        Ok(())
    }

    /// Returns the time at which freshness shall be judged, if one is given.
    pub(super) fn at(&self) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = &self.at else { return Ok(None) };
        let whole = if text.contains('T') { text.clone() } else { format!("{text}T00:00:00Z") };
        let time = whole.parse().map_err(|_| {
            Failure::new(format!("{text:?} is no time")).hint("write 2026-11-24 or 2026-11-24T12:00:00Z")
        })?;
        Ok(Some(time))
    }

    pub(super) fn archive(&self) -> Option<&Origin> {
        self.archive.as_ref()
    }

    pub(super) fn trust(&self) -> &TrustArgs {
        &self.trust
    }

    /// Returns the options that say whom to believe and what to take, as one types them.
    pub(super) fn typed(&self) -> Vec<String> {
        let mut words = self.trust.typed();
        words.extend(self.archive.iter().flat_map(|archive| ["--archive".to_owned(), archive.to_string()]));
        words.extend(self.max_size.iter().flat_map(|size| ["--max-size".to_owned(), size.to_string()]));
        words
    }

    /// Judges an opened bundle: one with a wrong signature is refused, and without `--unsigned` one that no trusted key has signed.
    pub(super) fn judged(
        &self,
        bundle: &Bundle<Object>,
        archive: Option<&Origin>,
        ui: &Ui,
    ) -> Result<Judgement, Failure> {
        let keys = keyring::trusted(&self.trust, ui)?;
        let judgement = trust::judge(bundle.tail(), bundle.manifest(), &keys, archive.or(self.archive.as_ref()));
        require(&judgement, self.unsigned)?;
        Ok(judgement)
    }

    /// Opens a file, or `-` for standard input.
    pub(super) fn file(&self, path: &Path, ui: &Ui) -> Result<File, Failure> {
        let failed = |error: io::Error| Failure::new(format!("{}: cannot be read", path.display())).cause(error);
        if path != Path::new("-") {
            return match std::fs::metadata(path).map_err(failed)? {
                metadata if metadata.is_file() => File::open(path).map_err(failed),
                metadata if metadata.is_dir() => {
                    Err(Failure::new(format!("{}: is a folder and no archive, expected a bundle", path.display()))
                        .hint(format!("name its bundles: `{}/*{BUNDLE_ENDING}`", path.display())))
                }
                _ => {
                    let pipe = Pipe::open(path, ui.run()).map_err(failed)?;
                    self.spool(pipe, ui).map_err(|failure| failure.about(path.display()))
                }
            };
        }
        self.spool(Pipe::stdin(ui.run()).map_err(failed)?, ui)
    }

    fn spool(&self, mut pipe: Pipe<'_>, ui: &Ui) -> Result<File, Failure> {
        let failed = |error: io::Error| Failure::new("cannot spool the pipe").cause(error);
        let limit = self.max_size.unwrap_or(MAX_PIPED_BYTES);
        let mut file = tempfile::tempfile().map_err(failed)?;
        let copied = io::copy(&mut pipe.by_ref().take(limit.saturating_add(1)), &mut file);
        if ui.run().is_cancelled() {
            return Err(bundle::Error::Cancelled.into());
        }
        let copied = copied.map_err(failed)?;
        if copied > limit {
            return Err(Failure::new(format!("the pipe holds more than {}", ui::bytes(limit)))
                .hint("`--max-size BYTES` takes more"));
        }
        // Some read by place, some from where the file stands: both shall begin at the beginning.
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Judges a bundle's signatures by the keys that the arguments name.
    pub(super) fn judge(
        &self,
        tail: &crate::format::bundle::Tail,
        manifest: &crate::format::manifest::Manifest,
        ui: &Ui,
    ) -> Result<Judgement, Failure> {
        Ok(trust::judge(tail, manifest, &keyring::trusted(&self.trust, ui)?, self.archive.as_ref()))
    }

    /// Opens a bundle whose manifest a trusted key has signed; with `--unsigned`, any.
    pub(super) fn opened(&self, path: &Path, ui: &Ui) -> Result<Bundle<Object>, Failure> {
        self.opened_and_judged(path, ui).map(|(bundle, _)| bundle)
    }

    fn opened_and_judged(&self, path: &Path, ui: &Ui) -> Result<(Bundle<Object>, Judgement), Failure> {
        let about = |failure: Failure| failure.about(path.display());
        let bundle = Bundle::open(Object::File(self.file(path, ui)?)).map_err(|error| about(error.into()))?;
        let judgement = self.judged(&bundle, None, ui).map_err(about)?;
        match file_name_finding(path, bundle.id()) {
            Some(finding) => Err(about(bundle::Error::from(finding).into())),
            None => Ok((bundle, judgement)),
        }
    }

    /// Opens a bundle as [`Self::opened`] does, and reads what it holds.
    pub(super) fn bundle(&self, path: &Path, ui: &Ui) -> Result<(Bundle<Object>, Contents, Judgement), Failure> {
        let about = |failure: Failure| failure.about(path.display());
        let (bundle, judgement) = self.opened_and_judged(path, ui)?;
        let contents = bundle.contents().map_err(|error| about(error.into()))?;
        Ok((bundle, contents, judgement))
    }
}

/// Refuses a bundle that no trusted key has signed, or with a wrong signature, and says what to do about it.
fn require(judgement: &Judgement, unsigned: bool) -> Result<(), Failure> {
    let Some(finding) = judgement.wrong(unsigned).next() else { return Ok(()) };
    Err(match finding.code {
        Code::Unsigned | Code::Untrusted => Failure::no(finding.detail.clone()).hint(trust_hint(judgement)),
        _ => Failure::no(format!("{}: {}", finding.place, finding.detail)),
    })
}

/// Says how to come to trust the signers of a bundle.
pub(super) fn trust_hint(judgement: &Judgement) -> String {
    trust_hint_or(judgement, "--unsigned")
}

/// The same, where `otherwise` is what to type to go on without a signature.
pub(super) fn trust_hint_or(judgement: &Judgement, otherwise: &str) -> String {
    let unknown: Vec<_> =
        judgement.signatures.iter().filter(|s| s.worth == Worth::Untrusted).map(|s| s.key_id.as_str()).collect();
    if judgement.signatures.iter().any(|s| s.worth == Worth::Elsewhere) {
        return "`--archive` asks for a signature made for that archive: without it any by a key that you trust counts"
            .into();
    }
    if unknown.is_empty() {
        return format!("`{otherwise}` goes on without a signature");
    }
    format!(
        "it is signed by {}: get that public key from its owner and trust it with `vellum key trust FILE`, or name it with \
         `--key FILE`; `{otherwise}` goes on without",
        unknown.join(", ")
    )
}

/// Finds a file name that claims another id than the bundle has.
pub(super) fn file_name_finding(path: &Path, id: BundleId) -> Option<Finding> {
    let name = path.file_name()?.to_str()?;
    let claimed: BundleId = name.strip_suffix(BUNDLE_ENDING)?.parse().ok()?;
    (claimed != id).then(|| {
        Finding::new(Code::FileName, path.display().to_string(), format!("the file's name claims another id than {id}"))
    })
}

/// Which articles or files of a bundle a verb is about.
#[derive(Debug, Args)]
pub(super) struct SelectArgs {
    /// Only this article: its path, its id, or a glob such as 'essays/**' (can be repeated)
    #[arg(long = "article", value_name = "ARTICLE")]
    pub(super) articles: Vec<String>,
}

impl SelectArgs {
    /// Marks the lines of the checksum list that belong to the articles asked for; `None` where all are wanted.
    pub(super) fn lines(&self, contents: &Contents) -> Result<Option<Vec<bool>>, Failure> {
        if self.articles.is_empty() {
            return Ok(None);
        }
        let list = &contents.list;
        let paths: Vec<(&str, usize)> = list.articles().collect();
        let mut wanted = vec![false; paths.len()];
        for asked in &self.articles {
            let before = wanted.iter().filter(|w| **w).count();
            let one = |asked: &str| Ok(list.number(asked).or_else(|| contents.by_id(asked)));
            if let Some(n) = typed(asked, one)? {
                wanted[n] = true;
                continue;
            }
            if asked.contains(['*', '?', '[', '{']) {
                let glob = globset::GlobBuilder::new(&path::nfc(asked)).literal_separator(true).build();
                let glob = glob.map_err(|error| Failure::new(format!("{asked:?} is no glob")).cause(error))?;
                let matcher = glob.compile_matcher();
                for (wanted, (path, _)) in wanted.iter_mut().zip(&paths) {
                    *wanted |= matcher.is_match(&*path::nfc(path));
                }
            }
            if wanted.iter().filter(|w| **w).count() == before {
                return Err(not_found(asked));
            }
        }
        Ok(Some((0..list.len()).map(|line| list.owner(line).is_some_and(|owner| wanted[owner])).collect()))
    }
}

impl SelectArgs {
    /// Returns the ids of an archive's current articles that are asked for; all where none is.
    pub(super) fn ids(&self, catalog: &Catalog) -> Result<Vec<String>, Failure> {
        let is_glob = |asked: &str| asked.contains(['*', '?', '[', '{']);
        let mut ids = Vec::new();
        let mut globs = Vec::new();
        for asked in &self.articles {
            if is_glob(asked) {
                let glob = globset::GlobBuilder::new(&path::nfc(asked)).literal_separator(true).build();
                let glob = glob.map_err(|error| Failure::new(format!("{asked:?} is no glob")).cause(error))?;
                globs.push((asked, glob.compile_matcher(), false));
            } else {
                let revision = typed(asked, |asked| Ok(catalog.current(asked)?))?;
                ids.push(revision.ok_or_else(|| not_found(asked))?.id);
            }
        }
        if self.articles.is_empty() || !globs.is_empty() {
            catalog.list(&Filter::default(), &mut |article| {
                let fits = globs
                    .iter_mut()
                    .filter(|(_, glob, _)| glob.is_match(&*path::nfc(&article.id)))
                    .map(|(_, _, found)| *found = true);
                if fits.count() > 0 || self.articles.is_empty() {
                    ids.push(article.id);
                }
                ControlFlow::Continue(())
            })?;
        }
        match globs.iter().find(|(_, _, found)| !found) {
            Some((asked, ..)) => Err(not_found(asked)),
            None => Ok(ids),
        }
    }
}

/// Finds what a person asks for by the name as it was typed, else by its normal form C, in which packers write names.
pub(super) fn typed<T>(
    asked: &str,
    mut find: impl FnMut(&str) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    match (find(asked)?, path::nfc(asked)) {
        (None, Cow::Owned(normal)) => find(&normal),
        (found, _) => Ok(found),
    }
}

/// Says that an article is not there.
pub(super) fn not_found(asked: &str) -> Failure {
    Failure::no(format!("no article {asked:?}")).hint("`vellum list BUNDLE` shows the articles of a bundle")
}

/// The bundles that a verb reads.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Bundle, or - for a pipe; most verbs take an archive as well
    #[arg(required = true, value_name = "BUNDLE")]
    pub(super) files: Vec<PathBuf>,
}
