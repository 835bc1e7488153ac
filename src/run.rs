//! How a piece of work runs: on how many threads, who watches it, and by which clock it waits. It goes down from whoever asked for the work.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::watch::{Silent, Watch};

/// Waiting, which the library leaves to whoever calls it.
pub trait Clock: Sync {
    /// Lets this much time pass.
    fn sleep(&self, time: Duration);
}

/// A clock by which no time passes: what waits tries again at once, as often as it would have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Still;

impl Clock for Still {
    fn sleep(&self, _time: Duration) {}
}

/// How a piece of work runs.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// On how many threads.
    pub threads: NonZeroUsize,
    /// Who is told of its progress, and may stop it.
    pub watch: &'a dyn Watch,
    /// By which clock it waits.
    pub clock: &'a dyn Clock,
}

impl Run<'static> {
    /// On the caller's thread, unwatched and without waiting.
    pub fn alone() -> Self {
        Self { threads: NonZeroUsize::MIN, watch: &Silent, clock: &Still }
    }
}

impl<'a> Run<'a> {
    /// The same on so many threads.
    #[must_use]
    pub fn on(self, threads: NonZeroUsize) -> Self {
        Self { threads, ..self }
    }

    /// The same, watched by another.
    #[must_use]
    pub fn watched<'b>(self, watch: &'b dyn Watch) -> Run<'b>
    where
        'a: 'b,
    {
        Run { threads: self.threads, watch, clock: self.clock }
    }

    /// Says whether the work shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.watch.cancelled()
    }
}
