//! Getting bundles, several at once, each from the first origin that gives it whole, checked before it gets its place.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::layout;
use crate::trust::authority::Authority;
use crate::watch::Task;

use super::fetch::{Fault, fetch, forget};
use super::plan::Logged;
use super::sync::{Head, Work};
use super::{Error, bundle};

impl<'a> Work<'a> {
    /// Fetches bundles, several at once, checks each, and gives it its place.
    pub(super) fn bundles(
        &mut self,
        wanted: &[&Logged],
        heads: &[Head<'a>],
        authority: &Authority,
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let incoming = self.mirror.path(layout::INCOMING);
        let write = |source| Error::Write { place: incoming.display().to_string(), source };
        fs::create_dir_all(&incoming).map_err(write)?;
        self.watch.begin(Task::Sync, Some(wanted.iter().map(|logged| logged.size).sum()));
        let (next, moved, stop) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let (bad, failed) = (Mutex::new(Vec::<(usize, String, bool)>::new()), Mutex::new(None));
        let this = &*self;
        thread::scope(|scope| {
            for _ in 0..self.options.streams.get().min(wanted.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let Some(logged) = wanted.get(n) else { break };
                        if let Err(error) = this.bundle(logged, n, heads, authority, &bad, &moved) {
                            stop.store(true, Ordering::Relaxed);
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        }
                    }
                });
            }
        });
        self.report.moved += moved.into_inner();
        for (origin, why, _) in bad.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.drop_origin(heads[origin].store, why);
        }
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Gets one bundle from the first origin that gives it whole; `bad` names those that failed, and whether they are asked no more.
    fn bundle(
        &self,
        logged: &Logged,
        n: usize,
        heads: &[Head<'a>],
        authority: &Authority,
        bad: &Mutex<Vec<(usize, String, bool)>>,
        moved: &AtomicU64,
    ) -> Result<(), Error> {
        let place = layout::bundle(logged.id, &logged.file);
        let part = self.mirror.path(&format!("{}/{}.part", layout::INCOMING, logged.file));
        let mut faults = Vec::new();
        for turn in 0..heads.len() {
            let origin = (n + turn) % heads.len();
            let name = heads[origin].store.name();
            if bad
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .any(|(n, _, asked_no_more)| *n == origin && *asked_no_more)
            {
                faults.push(format!("{name}: dropped for what it gave before"));
                continue;
            }
            let size = (logged.size, &logged.file);
            match fetch(heads[origin].store, &place, size, &part, self.options.pace, self.watch) {
                Ok(bytes) => {
                    moved.fetch_add(bytes, Ordering::Relaxed);
                    let file = File::open(&part)
                        .map_err(|source| Error::Write { place: part.display().to_string(), source })?;
                    // The digest is the log's: what is wrong now is the log's word, not an origin's.
                    if let Err(error) = bundle::verify(&file, logged, self.options.name, authority) {
                        forget(&part)?;
                        return Err(error);
                    }
                    self.mirror.adopt(&part, &place)?;
                    return forget(&part);
                }
                Err(Fault::Here(error)) => return Err(error),
                Err(Fault::Lie(why) | Fault::Broken(why)) => {
                    bad.lock().unwrap_or_else(PoisonError::into_inner).push((origin, why.clone(), true));
                    faults.push(format!("{name}: {why}"));
                }
                // It may still have the others.
                Err(Fault::Absent(why)) => {
                    bad.lock().unwrap_or_else(PoisonError::into_inner).push((origin, why.clone(), false));
                    faults.push(format!("{name}: {why}"));
                }
            }
        }
        Err(Error::Unobtainable { what: format!("bundle {}", logged.id), faults })
    }
}
