//! Time for transfers: a cap on all of them together, the slowest that one may be, and waiting between trials.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::mirror::{Meter, Pace};
use crate::run;

/// A stream that brings less than this in [`WINDOW`] is given up, in bytes.
const SLOWEST_BYTES: u64 = 30 << 10;
const WINDOW: Duration = Duration::from_secs(30);
/// The first wait between trials; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The clock of the machine.
pub(super) struct MachineClock;

impl run::Clock for MachineClock {
    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// The clock of transfers.
pub(super) struct Clock {
    /// Bytes a second for all streams together.
    limit: Option<u64>,
    /// When all bytes so far are paid for.
    paid: Mutex<Instant>,
}

impl Clock {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, paid: Mutex::new(Instant::now()) }
    }

    fn pay(&self, bytes: u64) {
        let Some(limit) = self.limit else { return };
        let wait = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            *paid = (*paid).max(now) + Duration::from_secs_f64(bytes as f64 / limit.max(1) as f64);
            paid.saturating_duration_since(now)
        };
        thread::sleep(wait);
    }
}

impl Pace for Clock {
    fn stream(&self) -> Meter<'_> {
        let (mut since, mut got) = (Instant::now(), 0);
        Box::new(move |bytes| {
            self.pay(bytes);
            got += bytes;
            if since.elapsed() >= WINDOW {
                if got < SLOWEST_BYTES && self.limit.is_none() {
                    let seconds = WINDOW.as_secs();
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("too slow: {got} bytes in {seconds} s"),
                    ));
                }
                (since, got) = (Instant::now(), 0);
            }
            Ok(())
        })
    }

    fn wait(&self, trial: u32) {
        thread::sleep(FIRST_WAIT * 2_u32.pow(trial.saturating_sub(1).min(6)));
    }
}
