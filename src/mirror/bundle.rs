//! One bundle of the log: is this file that bundle, whole, and where it takes another's place, just what was left of it?

use crate::archive::History;
use crate::archive::history::LoggedBundle;
use crate::digest::Digest;
use crate::format::bundle::{Bundle, Source, check};
use crate::format::tree;
use crate::run::Run;

use super::Error;

/// Checks a bundle's file. Who has signed it, its leaves say.
pub(super) fn verify<S: Source>(source: &S, history: &History, logged: &LoggedBundle) -> Result<(), Error> {
    let bad = |detail: String| Error::BadBundle { id: logged.id, detail };
    let report = check(source, Run::alone())?;
    if let Some(finding) = report.findings.first() {
        return Err(bad(finding.to_string()));
    }
    if report.id() != Some(logged.id) {
        return Err(bad("is not the bundle that its leaf names".into()));
    }
    if logged.facts.replaces.is_empty() {
        return Ok(());
    }
    let contents = Bundle::open(source)?.contents()?;
    let leaf = |n: usize| tree::leaf(contents.id(n), contents.list.lines_text(n));
    let leaves: Vec<Digest> = (0..contents.list.article_count()).map(leaf).collect();
    if history.is_rest(logged, &leaves) {
        return Ok(());
    }
    Err(Error::NotTheRest { id: logged.id })
}
