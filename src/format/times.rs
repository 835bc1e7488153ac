//! `times.txt`: when the files of a bundle were last changed, where a packer was asked to keep that. (FORMAT.md, "Times")
//!
//! ```text
//! 2026-03-01T09:12:44.120000000Z  data/essays/tides/tides.md
//! ```
//!
//! A line a file at most, in the order of the checksum list. The manifest states its digest, so the times are signed; nothing else of a
//! bundle depends on them.

use jiff::civil::DateTime;

use super::checksums::{ChecksumList, MAX_FILES};

/// The name of the file in the bundle.
pub const NAME: &str = "times.txt";
/// The longest such file, in bytes: every file with the longest path.
pub const MAX_TIMES_BYTES: u64 = MAX_FILES * 1100;

/// Why bytes are no `times.txt` of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TimesFault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the times of the files of a list, in UTC: one for each line of the list that has one.
///
/// # Errors
/// Names the first line that is not as the format has it.
pub fn decode(bytes: &[u8], list: &ChecksumList) -> Result<Vec<Option<DateTime>>, TimesFault> {
    let mut times = vec![None; list.len()];
    let text = std::str::from_utf8(bytes).map_err(|_| TimesFault { line: 1, what: "not UTF-8" })?;
    let mut next = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let fault = |what| TimesFault { line: n + 1, what };
        let line = line.strip_suffix('\n').ok_or(fault("does not end with a line feed"))?;
        let (time, path) = line.split_once("  ").ok_or(fault("is not a time, two spaces and a path"))?;
        let utc = time.strip_suffix('Z').ok_or(fault("does not begin with a time in UTC"))?;
        let parsed: DateTime = utc.parse().map_err(|_| fault("does not begin with a time"))?;
        // The year 0 exists for some readers only.
        if print(parsed) != time || time.starts_with("0000") {
            return Err(fault("its time is not in the one form"));
        }
        let found = (next..list.len()).find(|&n| list.path(n) == path);
        let at = found.ok_or(fault("its path is not in the list, or not in its place"))?;
        times[at] = Some(parsed);
        next = at + 1;
    }
    Ok(times)
}

/// Returns the text of the times of a list's files.
pub fn encode(list: &ChecksumList, times: impl Fn(usize) -> Option<DateTime>) -> String {
    let mut out = String::new();
    for n in 0..list.len() {
        if let Some(time) = times(n) {
            out.push_str(&print(time));
            out.push_str("  ");
            out.push_str(list.path(n));
            out.push('\n');
        }
    }
    out
}

/// Prints a time in UTC with nine decimals.
fn print(time: DateTime) -> String {
    format!("{time:.9}Z")
}

#[cfg(test)]
mod tests {
    use super::super::checksums::push_line;
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn times_are_read_as_they_were_written_and_in_no_other_form() {
        let mut text = String::new();
        for path in ["data/a/article.toml", "data/a/x", "data/a/y"] {
            push_line(&mut text, path, &Digest::of(b""));
        }
        let list = ChecksumList::decode(text.into_bytes()).unwrap();
        let time = jiff::civil::datetime(2026, 3, 1, 9, 12, 44, 120_000_000);
        let text = encode(&list, |n| (n > 0).then_some(time));
        assert_eq!(text.lines().next(), Some("2026-03-01T09:12:44.120000000Z  data/a/x"));
        assert_eq!(decode(text.as_bytes(), &list), Ok(vec![None, Some(time), Some(time)]));
        for bad in [
            text.replace(".120000000Z", ".12Z"),
            text.replace("Z  ", "+00:00  "),
            text.replace("data/a/x", "data/a/z"),
            text.lines().rev().map(|line| format!("{line}\n")).collect(),
            text.trim_end().to_owned(),
        ] {
            assert!(decode(bad.as_bytes(), &list).is_err(), "{bad}");
        }
    }
}
