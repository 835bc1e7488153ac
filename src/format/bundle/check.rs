//! Checking a bundle: proved in parallel where it is whole, diagnosed where it is not.

use std::num::NonZeroUsize;
use std::thread;

use crate::finding::{Code, Finding};
use crate::format::index::Index;
use crate::watch::Watch;

use super::diagnose::{FileState, KeepNothing, Report, article_states, diagnose, list_findings};
use super::prove::{Nobody, Scope, prove};
use super::{Bundle, Contents, Error, Source};

/// Checks every byte of a bundle and reports all that is wrong with it, signatures apart.
///
/// # Errors
/// Only where the source cannot be read or the watch asks to stop.
pub fn check<S: Source>(source: &S, threads: NonZeroUsize, watch: &dyn Watch) -> Result<Report, Error> {
    let proved = Bundle::open(source).and_then(|bundle| {
        let contents = bundle.contents()?;
        watch.total(contents.layout.end());
        let (findings, proved) = thread::scope(|scope| {
            let findings = scope.spawn(|| bundle.list_findings(&contents));
            let proved = prove(&bundle, &contents, Scope::Everything, &Nobody, threads, watch);
            (findings.join(), proved)
        });
        proved?;
        let findings = findings.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let states = vec![FileState::Whole; contents.list.len()];
        let articles = Some(article_states(&contents.list, &states));
        let (tail, manifest) = (Some(bundle.tail().clone()), Some(bundle.manifest().clone()));
        Ok(Report { tail, manifest, findings, articles, file_bytes: bundle.file_bytes() })
    });
    match proved {
        Err(Error::Damaged(first)) => {
            let mut report = diagnose(source, &mut KeepNothing, watch)?;
            if report.findings.is_empty() {
                report.findings.push(*first);
            }
            Ok(report)
        }
        other => other,
    }
}

impl<S: Source> Bundle<S> {
    /// Checks the list's paths, articles and counts, and the index.
    pub fn list_findings(&self, contents: &Contents) -> Vec<Finding> {
        let bytes = contents.layout.places().iter().map(|place| place.size).sum();
        let mut findings = list_findings(&contents.list, Some(self.manifest()), Some(bytes));
        let index = Index {
            list_offset: contents.layout.end(),
            list_size: contents.list.text().len() as u64,
            frames: self.index.frames.clone(),
            sizes: (0..contents.list.len()).map(|line| contents.place(line).size).collect(),
        };
        if index.encode().as_bytes() != self.tail().index {
            findings.push(Finding::new(Code::Index, "index", "does not say where the members lie"));
        }
        findings
    }
}
