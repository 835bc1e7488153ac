//! Work done by several threads and handed on in order: the one shape of parallelism in vellum.
//!
//! [`ordered`] runs jobs on worker threads and gives their results to the caller's thread in the order of the jobs, with
//! at most a few results waiting, so that memory is bounded by threads and not by input. [`Relay`] lets a job hand a state to the
//! next one: the digest of a file that spans several frames is made by several jobs, one after the other.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Results that may wait for an earlier one, per thread.
const WAITING_PER_THREAD: usize = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct State<I, R> {
    jobs: Option<I>,
    taken: u64,
    handed_on: u64,
    /// Slot k holds the result of job `handed_on + k`.
    results: VecDeque<Option<R>>,
    stopped: bool,
    workers: usize,
}

/// Runs `jobs` on `threads` threads, each with a worker of its own made by `worker`, and hands the results to `sink` in order.
///
/// Jobs are taken in order as well: when job n runs, all jobs before it have been taken by a running thread. The jobs' iterator runs
/// on the worker threads, one call at a time.
///
/// # Errors
/// Stops at the first error of `sink` and returns it; results of jobs already begun are dropped.
pub fn ordered<J, R, E, I, W>(
    threads: NonZeroUsize,
    jobs: I,
    worker: impl Fn() -> W + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    R: Send,
    I: Iterator<Item = J> + Send,
    W: FnMut(J) -> R,
{
    if threads == NonZeroUsize::MIN {
        // On the caller's own thread: there may be no other, as in a browser.
        let mut work = worker();
        return jobs.into_iter().try_for_each(|job| sink(work(job)));
    }
    let threads = threads.get();
    let limit = (threads * (1 + WAITING_PER_THREAD)) as u64;
    let state = Mutex::new(State {
        jobs: Some(jobs),
        taken: 0,
        handed_on: 0,
        results: VecDeque::new(),
        stopped: false,
        workers: threads,
    });
    let (room, ready) = (Condvar::new(), Condvar::new());

    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _leaving = Leaving { state: &state, ready: &ready, room: &room };
                let mut work = worker();
                while let Some((number, job)) = take(&state, &room, limit) {
                    let result = work(job);
                    let mut now = lock(&state);
                    let slot = usize::try_from(number - now.handed_on).unwrap_or(usize::MAX);
                    if let Some(place) = now.results.get_mut(slot) {
                        *place = Some(result);
                    }
                    ready.notify_one();
                }
            });
        }
        loop {
            let mut now = lock(&state);
            let result = loop {
                if let Some(result) = now.results.front_mut().and_then(Option::take) {
                    now.results.pop_front();
                    now.handed_on += 1;
                    room.notify_all();
                    break result;
                }
                if now.workers == 0 {
                    return Ok(());
                }
                now = ready.wait(now).unwrap_or_else(PoisonError::into_inner);
            };
            drop(now);
            if let Err(error) = sink(result) {
                lock(&state).stopped = true;
                room.notify_all();
                return Err(error);
            }
        }
    })
}

fn take<I: Iterator, R>(state: &Mutex<State<I, R>>, room: &Condvar, limit: u64) -> Option<(u64, I::Item)> {
    let mut now = lock(state);
    loop {
        if now.stopped {
            return None;
        }
        if now.taken - now.handed_on < limit {
            break;
        }
        now = room.wait(now).unwrap_or_else(PoisonError::into_inner);
    }
    let job = now.jobs.as_mut()?.next();
    if job.is_none() {
        now.jobs = None;
    }
    let number = now.taken;
    let job = job?;
    now.taken += 1;
    now.results.push_back(None);
    Some((number, job))
}

/// Counts a worker out, also when it panics; the panic itself is passed on by the scope.
struct Leaving<'a, I, R> {
    state: &'a Mutex<State<I, R>>,
    ready: &'a Condvar,
    room: &'a Condvar,
}

impl<I, R> Drop for Leaving<'_, I, R> {
    fn drop(&mut self) {
        let mut now = lock(self.state);
        now.workers -= 1;
        if thread::panicking() {
            now.stopped = true;
        }
        self.ready.notify_one();
        self.room.notify_all();
    }
}

/// Hands a state from one ordered job to the next; each station is passed once and taken once.
pub struct Relay<T> {
    batons: Mutex<Vec<(u64, Option<T>)>>,
    passed: Condvar,
}

impl<T> Default for Relay<T> {
    fn default() -> Self {
        Self { batons: Mutex::default(), passed: Condvar::new() }
    }
}

impl<T> Relay<T> {
    /// Passes `baton` to `station`; `None` says that the runner before stumbled.
    pub fn pass(&self, station: u64, baton: Option<T>) {
        lock(&self.batons).push((station, baton));
        self.passed.notify_all();
    }

    /// Waits for the baton of `station`; `None` where the runner before stumbled.
    pub fn take(&self, station: u64) -> Option<T> {
        let mut batons = lock(&self.batons);
        loop {
            if let Some(at) = batons.iter().position(|(to, _)| *to == station) {
                return batons.swap_remove(at).1;
            }
            batons = self.passed.wait(batons).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn hands_results_on_in_the_order_of_the_jobs() {
        for n in [1, 2, 7] {
            let mut seen = Vec::new();
            let done: Result<(), ()> = ordered(
                threads(n),
                0..1000_u64,
                || {
                    |job: u64| {
                        if job.is_multiple_of(7) {
                            thread::yield_now();
                            job
                        } else {
                            job
                        }
                    }
                },
                |result| {
                    seen.push(result);
                    Ok(())
                },
            );
            assert_eq!(done, Ok(()));
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn stops_at_the_first_error_of_the_sink() {
        let mut seen = 0;
        let done = ordered(
            threads(3),
            0..,
            || |job: u64| job,
            |job| {
                seen += 1;
                if job == 20 { Err(job) } else { Ok(()) }
            },
        );
        assert_eq!((done, seen), (Err(20), 21));
    }

    #[test]
    fn relay_carries_a_sum_through_all_jobs() {
        let relay = Relay::default();
        relay.pass(0, Some(0_u64));
        let done: Result<(), ()> = ordered(
            threads(4),
            0..500_u64,
            || |job| relay.pass(job + 1, relay.take(job).map(|sum| sum + job)),
            |()| Ok(()),
        );
        assert_eq!((done, relay.take(500)), (Ok(()), Some(499 * 500 / 2)));
    }
}
