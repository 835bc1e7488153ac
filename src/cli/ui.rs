//! Talking with a person: progress bars on a terminal, plain lines elsewhere; data on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::watch::{Task, Watch};

use super::{Failure, Global};

/// The version field of each JSON object.
const JSON_VERSION: u64 = 1;

/// The terminal, and what the global options say of it.
pub(super) struct Ui {
    quiet: bool,
    pub(super) json: bool,
    threads: Option<NonZeroUsize>,
    pub(super) config: Option<PathBuf>,
    bar: Mutex<Option<ProgressBar>>,
    interrupted: Arc<AtomicBool>,
}

impl Ui {
    pub(super) fn new(global: &Global) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The second signal ends the process at once, for whoever cannot wait. Without handlers a signal ends it anyway.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, interrupted.clone());
            let _ = signal_hook::flag::register(signal, interrupted.clone());
        }
        Self {
            quiet: global.quiet,
            json: global.json,
            threads: global.threads,
            config: global.config.clone(),
            bar: Mutex::new(None),
            interrupted,
        }
    }

    pub(super) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(crate::pipeline::processors)
    }

    /// Says something on stderr, unless quiet was asked for.
    pub(super) fn say(&self, text: impl Display) {
        if !self.quiet {
            self.above_bar(|| {
                // Whoever closed stderr does not want to hear it.
                let _ = writeln!(anstream::stderr(), "{text}");
            });
        }
    }

    /// Prints a line of data on stdout.
    pub(super) fn print(&self, text: impl Display) -> Result<(), Failure> {
        self.above_bar(|| writeln!(anstream::stdout(), "{text}")).map_err(Failure::stdout)
    }

    /// Prints an object with its version and kind on stdout.
    pub(super) fn print_json(&self, kind: &str, value: &impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Versioned<'a, T> {
            v: u64,
            kind: &'a str,
            #[serde(flatten)]
            value: &'a T,
        }
        let text = serde_json::to_string(&Versioned { v: JSON_VERSION, kind, value });
        self.print(text.map_err(|error| Failure::new(error.to_string()))?)
    }

    /// Says why the program ends; also when quiet.
    pub(super) fn failure(&self, failure: &Failure) {
        self.finish();
        // Whoever closed stderr does not want to hear it.
        let _ = write!(anstream::stderr(), "{failure}");
    }

    /// Takes the progress bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    fn above_bar<T>(&self, speak: impl FnOnce() -> T) -> T {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(speak),
            None => speak(),
        }
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            act(bar);
        }
    }
}

impl Watch for Ui {
    fn begin(&self, task: Task, total: Option<u64>) {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total.unwrap_or(0)), ProgressDrawTarget::stderr_with_hz(10));
        let template = match task {
            Task::Index => "{msg:>12} {bar:32} {pos:>11} of {len:<11} {per_sec:>13}, {eta} left",
            _ => "{msg:>12} {bar:32} {bytes:>11} of {total_bytes:<11} {bytes_per_sec:>13}, {eta} left",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(match task {
            Task::Pack => "packing",
            Task::Verify => "verifying",
            Task::Extract => "extracting",
            Task::Recompress => "compressing",
            Task::Salvage => "salvaging",
            Task::Index => "indexing",
            Task::Sync => "syncing",
        });
        self.finish();
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn total(&self, total: u64) {
        self.with_bar(|bar| bar.set_length(total));
    }

    fn advance(&self, amount: u64) {
        self.with_bar(|bar| bar.inc(amount));
    }

    fn cancelled(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Returns a count of bytes for people: 1.4 MB.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} {}", if count == 1 { "byte" } else { "bytes" }),
        _ if value < 10.0 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// Returns a count with its noun: "1 article", "3 articles".
pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// Returns a number with its thousands parted: 17,182.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns text that came from a bundle so that a terminal shows it and obeys nothing in it.
pub(super) fn plain(text: &str) -> String {
    let odd = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(odd) {
        return text.to_owned();
    }
    text.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_for_people() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(1_400_000), "1.4 MB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(count(17_182, "article"), "17,182 articles");
    }

    #[test]
    fn terminal_escapes_are_shown_and_not_obeyed() {
        assert_eq!(plain("a\x1b[31mb\u{202e}"), "a\u{fffd}[31mb\u{fffd}");
    }
}
