//! Talking with a person: progress bars on a terminal, plain lines elsewhere; data on stdout, everything else on stderr.
//!
//! Every text that reaches a terminal passes here, and here it is escaped: names and titles come from strangers, and may hold what moves the
//! cursor, turns the reading direction or cannot be seen. One call prints one line; a line end in a text is escaped like the rest.

use std::borrow::Cow;
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
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use zeroize::Zeroizing;

use crate::run::Run;
use crate::watch::{Task, Watch};

use super::pace::MachineClock;
use super::{Failure, Global};

/// The version field of each JSON object.
const JSON_VERSION: u64 = 1;

/// The terminal, and what the global options say of it.
pub(super) struct Ui {
    quiet: bool,
    threads: NonZeroUsize,
    pub(super) json: bool,
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
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            threads: global.threads.unwrap_or_else(processors),
            quiet: global.quiet,
            json: global.json,
            config: global.config.clone(),
            bar: Mutex::new(None),
            interrupted,
        }
    }

    /// Returns how work runs for this person: on the threads asked for, watched by this terminal, waiting by the machine's clock.
    pub(super) fn run(&self) -> Run<'_> {
        Run { threads: self.threads, watch: self, clock: &MachineClock }
    }

    /// Returns the folder of keys as one types it, where the environment does not name it already.
    pub(super) fn typed(&self) -> Vec<String> {
        let is_set = std::env::var_os("VELLUM_CONFIG").map(PathBuf::from) == self.config;
        let config = self.config.iter().filter(|_| !is_set);
        config.flat_map(|config| ["--config".to_owned(), config.display().to_string()]).collect()
    }

    /// Says a line on stderr, unless quiet was asked for.
    pub(super) fn say(&self, text: impl Display) {
        if !self.quiet {
            self.above_bar(|| to_stderr(&text.to_string()));
        }
    }

    /// Says what to do next on stderr, unless quiet was asked for.
    pub(super) fn hint(&self, text: impl Display) {
        self.say("");
        self.say(format!("hint: {text}"));
    }

    /// Prints a line of data on stdout.
    pub(super) fn print(&self, text: impl Display) -> Result<(), Failure> {
        self.to_stdout(&escaped(&text.to_string()))
    }

    /// Prints cells in one line on stdout, with tabs between them.
    pub(super) fn print_row(&self, cells: &[impl AsRef<str>]) -> Result<(), Failure> {
        let cells: Vec<_> = cells.iter().map(|cell| escaped(cell.as_ref())).collect();
        self.to_stdout(&cells.join("\t"))
    }

    /// Prints pieces of one line on stdout, each in its style.
    pub(super) fn print_styled(&self, pieces: &[(Style, &str)]) -> Result<(), Failure> {
        let mut line = String::new();
        for (style, text) in pieces {
            let code = match style {
                Style::Plain => None,
                Style::Strong => Some("1"),
                Style::Match => Some("1;33"),
            };
            let text = escaped(text);
            match code {
                Some(code) => line.push_str(&format!("\x1b[{code}m{text}\x1b[0m")),
                None => line.push_str(&text),
            }
        }
        self.to_stdout(&line)
    }

    /// Prints rows on stdout: in columns as wide as needed on a terminal, with cells longer than `widest` cut; with tabs elsewhere.
    pub(super) fn print_table<const N: usize>(
        &self,
        rows: &[[String; N]],
        widest: [usize; N],
        right: usize,
    ) -> Result<(), Failure> {
        if !io::stdout().is_terminal() {
            return rows.iter().try_for_each(|row| self.print_row(row));
        }
        let mut widths = [0; N];
        let mut shown: Vec<Vec<String>> = Vec::with_capacity(rows.len());
        for row in rows {
            let cells = row.iter().zip(widest).map(|(cell, widest)| shortened(&escaped(cell), widest));
            let cells: Vec<String> = cells.collect();
            for (width, cell) in widths.iter_mut().zip(&cells) {
                *width = (*width).max(cell.width());
            }
            shown.push(cells);
        }
        for cells in shown {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let space = width - cell.width();
                let (before, after) = if column == right { (space, 0) } else { (0, space) };
                line.push_str(&format!("{}{cell}{}  ", " ".repeat(before), " ".repeat(after)));
            }
            self.to_stdout(line.trim_end())?;
        }
        Ok(())
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
        let text = text.map_err(|error| Failure::new(error.to_string()))?;
        let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        self.to_stdout(&replaced(&text, units))
    }

    /// Says why the program ends; also when quiet.
    pub(super) fn failure(&self, failure: &Failure) {
        self.finish();
        failure.lines().iter().for_each(|line| to_stderr(line));
    }

    /// Writes what is escaped already, or is only of this program's own words.
    fn to_stdout(&self, line: &str) -> Result<(), Failure> {
        self.above_bar(|| writeln!(anstream::stdout(), "{line}")).map_err(Failure::stdout)
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
        // What is read twice, or found on the way, was not in the total.
        self.with_bar(|bar| {
            bar.inc(amount);
            if bar.length().is_some_and(|length| length < bar.position()) {
                bar.set_length(bar.position());
            }
        });
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

/// Returns a count of leaves: "1 leaf", "3 leaves".
pub(super) fn leaves(n: u64) -> String {
    format!("{} {}", thousands(n), if n == 1 { "leaf" } else { "leaves" })
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

/// How a piece of a line looks on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Bold.
    Strong,
    /// Bold and yellow: what was searched for.
    Match,
}

/// Prints what is wrong with the arguments, or the help that was asked for.
pub(super) fn usage(error: &clap::Error) {
    let plain = error.render().to_string();
    if plain.lines().any(|line| line.contains(is_odd)) {
        // An argument that is quoted may be the name of a stranger's file; colours are not worth the risk.
        plain.lines().for_each(to_stderr);
    } else {
        // A closed pipe while printing help is nobody's failure.
        drop(error.print());
    }
}

/// Asks for a secret at the terminal.
pub(super) fn ask(prompt: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(escaped(prompt)).map(Zeroizing::new)
}

fn to_stderr(line: &str) {
    // Whoever closed stderr does not want to hear it.
    let _ = writeln!(anstream::stderr(), "{}", escaped(line));
}

/// Returns text with everything escaped, visibly, that a terminal would obey or not show.
fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c.escape_default().to_string())
}

fn replaced(text: &str, by: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) {
            out.push_str(&by(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Says whether a character is a control character, turns the reading direction, ends a line, or is invisible: soft hyphen, zero-width
/// characters, invisible operators, byte order mark, annotation marks, tags.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cuts a text to a number of terminal columns, the last of them an ellipsis.
fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    text.chars().take_while(fits).chain(['…']).collect()
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
    fn what_a_terminal_would_obey_or_hide_is_escaped_visibly() {
        assert_eq!(escaped("a\x1b[31mb\u{202e}c\nd\te"), "a\\u{1b}[31mb\\u{202e}c\\nd\\te");
        assert_eq!(escaped("été 日本 \u{1f600} \u{5d0}\u{627}"), "été 日本 \u{1f600} \u{5d0}\u{627}");
        for odd in [
            "\x00",
            "\x7f",
            "\u{85}",
            "\u{9b}",
            "\u{61c}",
            "\u{200b}",
            "\u{200f}",
            "\u{2028}",
            "\u{2069}",
            "\u{feff}",
            "\u{e0041}",
        ] {
            assert!(!escaped(odd).contains(odd), "{odd:?}");
        }
    }
}
