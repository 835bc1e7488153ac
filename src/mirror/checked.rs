//! Which bundles a mirror has read whole, and when: one is read again when its file has changed, or when that was long ago.
//!
//! `.vellum/state/checked` has a line for each file: its digest, a digest of its state on disk, and the time in seconds since 1970.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::archive::layout;
use crate::digest::Digest;
use crate::folder::stat::Stat;
use crate::store::{Store, Write};

use super::Error;

/// The longest such file, in bytes: a million bundles.
const MAX_CHECKED_BYTES: u64 = 160 << 20;
const SECONDS_A_DAY: u64 = 86_400;

/// What was read.
pub(super) struct Checked {
    /// By the file's digest: its state on disk then, and when.
    records: BTreeMap<Digest, (Digest, u64)>,
    changed: bool,
}

impl Checked {
    /// Reads what is known of a mirror; a file that cannot be read is as good as none.
    pub(super) fn read(store: &Store) -> Self {
        let bytes = store.read(layout::CHECKED, MAX_CHECKED_BYTES).unwrap_or_default();
        let record = |line: &str| {
            let mut words = line.split(' ');
            let file = Digest::from_hex(words.next()?.as_bytes()).ok()?;
            let state = Digest::from_hex(words.next()?.as_bytes()).ok()?;
            Some((file, (state, words.next()?.parse().ok()?)))
        };
        let records = String::from_utf8_lossy(&bytes).lines().filter_map(record).collect();
        Self { records, changed: false }
    }

    /// Says whether a file is as it was when it was read, not longer ago than `days`.
    pub(super) fn holds(&self, store: &Store, place: &str, file: Digest, (now, days): (u64, u32)) -> bool {
        let Some((state, at)) = self.records.get(&file) else { return false };
        let young = *at <= now && now - at < u64::from(days) * SECONDS_A_DAY;
        young && state_of(store, place).is_some_and(|now| now == *state)
    }

    /// Notes that a file was read whole.
    pub(super) fn note(&mut self, store: &Store, place: &str, file: Digest, now: u64) {
        if let Some(state) = state_of(store, place) {
            self.records.insert(file, (state, now));
            self.changed = true;
        }
    }

    /// Writes what is known.
    pub(super) fn keep(&self, store: &Store) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        let mut text = String::new();
        for (file, (state, at)) in &self.records {
            let _ = writeln!(text, "{file} {state} {at}");
        }
        Ok(store.put(layout::CHECKED, text.as_bytes(), Write::Replace)?)
    }
}

fn state_of(store: &Store, place: &str) -> Option<Digest> {
    let metadata = fs::metadata(store.path(place)).ok()?;
    Some(Digest::of(&Stat::from(&metadata).to_bytes()))
}
