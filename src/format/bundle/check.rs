//! The judge of a bundle: proved in parallel where it is whole, diagnosed where it is not.

use crate::run::Run;

use super::diagnose::{FileState, Report, article_states, diagnose};
use super::prove::{Nobody, Scope, prove};
use super::{Bundle, Error, Source};

/// Checks every byte of a bundle and reports all that is wrong with it, signatures apart.
///
/// # Errors
/// Only where the source cannot be read or the watch asks to stop.
pub fn check<S: Source>(source: &S, run: Run<'_>) -> Result<Report, Error> {
    let proved = Bundle::open(source).and_then(|bundle| {
        let contents = bundle.contents()?;
        run.watch.total(bundle.plain_bytes());
        prove(&bundle, &contents, Scope::Everything, &Nobody, run)?;
        let states = vec![FileState::Whole; contents.list.len()];
        let articles = Some(article_states(&contents.list, &states));
        let (tail, manifest) = (Some(bundle.tail().clone()), Some(bundle.manifest().clone()));
        let file_bytes = bundle.file_bytes();
        let (list, findings, times) = (Some(contents.list), Vec::new(), Vec::new());
        Ok(Report { tail, manifest, findings, counts: false, list, states, times, articles, file_bytes })
    });
    match proved {
        Err(Error::Damaged(first)) => {
            let mut report = diagnose(source, run)?;
            if report.findings.is_empty() {
                report.findings.push(*first);
            }
            Ok(report)
        }
        other => other,
    }
}
