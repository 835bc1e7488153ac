//! A file that is hashed while it is read: a reader of bundles asks for its parts nearly in order, so that both digests, of the file and of what
//! it holds, take one reading.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::digest::{Digest, Hasher};
use crate::format::bundle::Source;

/// Bytes that are kept until those before them have been read; beyond that they are read again at the end.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// Bytes that are read at a time at the end.
const REST_BYTES: u64 = 1 << 20;

/// A source that hashes what is read from it.
pub struct Hashed<'a, S> {
    source: &'a S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hasher: Hasher,
    /// Bytes that have been hashed.
    next: u64,
    /// Parts after that, by where they begin.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
}

impl State {
    fn take(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        if end <= self.next {
            return;
        }
        if offset > self.next {
            if self.waiting_bytes + bytes.len() <= MAX_WAITING_BYTES && !self.waiting.contains_key(&offset) {
                self.waiting_bytes += bytes.len();
                self.waiting.insert(offset, bytes.to_vec());
            }
            return;
        }
        self.hasher.update(&bytes[(self.next - offset) as usize..]);
        self.next = end;
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.next) {
            let (offset, bytes) = first.remove_entry();
            self.waiting_bytes -= bytes.len();
            self.take(&bytes, offset);
        }
    }
}

impl<'a, S: Source> Hashed<'a, S> {
    /// Begins at the source's first byte.
    pub fn new(source: &'a S) -> Self {
        Self { source, state: Mutex::default() }
    }

    /// Reads what nobody has read yet, and returns the digest of the whole source.
    ///
    /// # Errors
    /// Where the source cannot be read.
    pub fn digest(self) -> io::Result<Digest> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let size = self.source.size()?;
        let mut buffer = Vec::new();
        while state.next < size {
            let until = state.waiting.first_key_value().map_or(size, |(offset, _)| *offset);
            buffer.resize((until - state.next).min(REST_BYTES) as usize, 0);
            self.source.read_at(&mut buffer, state.next)?;
            let next = state.next;
            state.take(&buffer, next);
        }
        Ok(state.hasher.finish())
    }
}

impl<S: Source> Source for Hashed<'_, S> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_at(out, offset)?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take(out, offset);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_files_in_whatever_order_and_however_often_its_parts_are_read() {
        let bytes: Vec<u8> = (0..300_u32).flat_map(u32::to_le_bytes).collect();
        let all = bytes.len();
        let orders: [&[(usize, usize)]; 6] = [
            &[],
            &[(0, all)],
            &[(900, all), (0, 10), (10, 400), (300, 950)],
            &[(1100, all), (700, 900), (700, 800), (500, 1150), (0, 600)],
            &[(0, 0), (5, 5), (1, 2), (1, 3), (0, 1)],
            &[(100, 200), (150, 160), (0, 120), (0, 1000)],
        ];
        for order in orders {
            let hashed = Hashed::new(&bytes);
            for &(from, to) in order {
                let mut out = vec![0; to - from];
                hashed.read_at(&mut out, from as u64).unwrap();
                assert_eq!(out, bytes[from..to]);
            }
            assert_eq!(hashed.digest().unwrap(), Digest::of(&bytes), "{order:?}");
        }
    }
}
