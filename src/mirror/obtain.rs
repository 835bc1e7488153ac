//! Getting bundles, several at once, each from the first origin that gives it whole, checked before it gets its place.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::history::{Form, LoggedBundle, total};
use crate::archive::{History, layout};
use crate::ids::BundleId;
use crate::watch::Task;

use super::fetch::{Fault, fetch, forget};
use super::sync::{Head, Work};
use super::{Error, bundle};

/// Origins that failed, by number, why, and whether they are asked no more.
type Bad = Mutex<Vec<(usize, String, bool)>>;

impl<'a> Work<'a> {
    /// Fetches bundles, several at once, checks each, and gives it its place; returns those that are not what they are said to be the rest of.
    pub(super) fn bundles(
        &mut self,
        wanted: &[&LoggedBundle],
        heads: &[Head<'a>],
        history: &History,
    ) -> Result<Vec<BundleId>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let incoming = self.mirror.path(layout::INCOMING);
        let write = |source| Error::Write { place: incoming.display().to_string(), source };
        fs::create_dir_all(&incoming).map_err(write)?;
        self.run.watch.begin(Task::Sync, Some(total(wanted.iter().copied())));
        let (next, moved, stop) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let (bad, failed, none) = (Bad::default(), Mutex::new(None), Mutex::new(Vec::new()));
        let this = &*self;
        thread::scope(|scope| {
            for _ in 0..self.options.streams.get().min(wanted.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let Some(logged) = wanted.get(n) else { break };
                        match this.bundle(logged, n, heads, history, &bad, &moved) {
                            Ok(()) => {}
                            Err(Error::NotTheRest { id }) => {
                                none.lock().unwrap_or_else(PoisonError::into_inner).push(id)
                            }
                            Err(error) => {
                                stop.store(true, Ordering::Relaxed);
                                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        self.report.moved += moved.into_inner();
        for (origin, why, _) in bad.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.drop_origin(heads[origin].store, why);
        }
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(none.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Gets one bundle, in the newest of its forms that an origin gives and that is it.
    fn bundle(
        &self,
        logged: &LoggedBundle,
        n: usize,
        heads: &[Head<'a>],
        history: &History,
        bad: &Bad,
        moved: &AtomicU64,
    ) -> Result<(), Error> {
        let mut faults = Vec::new();
        let mut refused = None;
        for form in logged.credible() {
            match self.form(logged, form, n, heads, (history, bad, moved)) {
                Ok(()) => return Ok(()),
                Err(Error::Unobtainable { faults: of_form, .. }) => faults.extend(of_form),
                // The file is the one that was logged: another form may be the bundle.
                Err(error @ (Error::BadBundle { .. } | Error::NotTheRest { .. })) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::Unobtainable { what: format!("bundle {}", logged.id), faults }))
    }

    /// Gets one form from the first origin that gives it whole.
    fn form(
        &self,
        logged: &LoggedBundle,
        form: &Form,
        n: usize,
        heads: &[Head<'a>],
        (history, bad, moved): (&History, &Bad, &AtomicU64),
    ) -> Result<(), Error> {
        let place = layout::bundle(logged.id, &form.file);
        // Several bundles may name one file, and are fetched at once.
        let part = format!("{}-{}", form.file, logged.id);
        let part = self.mirror.own_path(&format!("{}/{}.part", layout::INCOMING, part))?;
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
            let size = (form.size, &form.file);
            match fetch(heads[origin].store, &place, size, &part, self.options.pace, self.run) {
                Ok(bytes) => {
                    moved.fetch_add(bytes, Ordering::Relaxed);
                    let file = File::open(&part)
                        .map_err(|source| Error::Write { place: part.display().to_string(), source })?;
                    // The digest is the log's: what is wrong now is the log's word, not an origin's.
                    if let Err(error) = bundle::verify(&file, history, logged) {
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
