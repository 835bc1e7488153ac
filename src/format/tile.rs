//! Tiles: where the log's hashes and entries lie. (FORMAT.md, "The log"; C2SP tlog-tiles)
//!
//! ```text
//! tile/0/x001/x234/067        256 hashes of level 0, from leaf 1234067 × 256
//! tile/1/000.p/17             17 hashes of level 8
//! tile/entries/000.p/112      112 entries, each a length of two bytes, big-endian, and its bytes
//! ```
//!
//! A full tile holds 256 hashes; a tile at the right edge is partial and says in its name how many it has. Other spellings are refused.

use std::fmt;

use crate::digest::{DIGEST_BYTES, Digest};

/// Hashes of a full tile, entries of a full bundle of entries.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree that a tile's level spans.
pub const TILE_HEIGHT: u32 = 8;
/// The highest level of a tile.
pub const MAX_LEVEL: u8 = 63;
/// The longest entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// The longest bundle of entries, in bytes.
pub const MAX_ENTRIES_BYTES: u64 = TILE_WIDTH * (2 + MAX_ENTRY_BYTES as u64);
/// A full tile of hashes, in bytes.
pub const MAX_TILE_BYTES: u64 = TILE_WIDTH * DIGEST_BYTES as u64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holds {
    /// Hashes of this level of tiles.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// The place of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What it holds.
    pub holds: Holds,
    /// Its number on its level, from 0.
    pub number: u64,
    /// How many hashes or entries it has, 1 to 256.
    pub width: u16,
}

/// Why bytes are no tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileFault {
    /// Not the length that its width asks for.
    #[error("a tile of {found} bytes, expected {expected}")]
    Length {
        /// In bytes.
        expected: usize,
        /// In bytes.
        found: usize,
    },
    /// An entry whose length leads beyond the end, or bytes after the last one.
    #[error("a bundle of entries that does not hold just {0} of them")]
    Entries(u16),
}

impl Tile {
    /// Returns the tiles of a log of `size` that a log of its first `from` leaves did not have, or had narrower; all full but the last.
    pub fn at(holds: Holds, from: u64, size: u64) -> impl Iterator<Item = Self> {
        let shift = match holds {
            Holds::Entries => 0,
            Holds::Hashes(level) => TILE_HEIGHT * u32::from(level),
        };
        let (from, count) = (from.checked_shr(shift).unwrap_or(0), size.checked_shr(shift).unwrap_or(0));
        // A level that has got no new hash has no new tile: a narrower one may be gone, and must not be asked for.
        let end = if count > from { count.div_ceil(TILE_WIDTH) } else { 0 };
        (from / TILE_WIDTH..end).map(move |number| Self {
            holds,
            number,
            width: (count - number * TILE_WIDTH).min(TILE_WIDTH) as u16,
        })
    }

    /// Returns the tile of this number in a log of `size`; `None` where the log does not reach it.
    pub fn of(holds: Holds, number: u64, size: u64) -> Option<Self> {
        let shift = match holds {
            Holds::Entries => 0,
            Holds::Hashes(level) => TILE_HEIGHT * u32::from(level),
        };
        let width = size.checked_shr(shift)?.checked_sub(number.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
        (width > 0).then_some(Self { holds, number, width: width as u16 })
    }

    /// Says whether nothing more can come to it.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// Returns the same tile, full.
    pub fn full(&self) -> Self {
        Self { width: TILE_WIDTH as u16, ..*self }
    }

    /// Reads a tile's path.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (level, rest) = rest.split_once('/')?;
        let holds = match level {
            "entries" => Holds::Entries,
            _ => Holds::Hashes(level.parse().ok().filter(|level| *level <= MAX_LEVEL)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                (number, width.parse().ok().filter(|width| (1..TILE_WIDTH as u16).contains(width))?)
            }
            None => (rest, TILE_WIDTH as u16),
        };
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let tile = Self { holds, number: digits.parse().ok()?, width };
        (tile.to_string() == path).then_some(tile)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holds {
            Holds::Entries => f.write_str("tile/entries/")?,
            Holds::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.number % 1000];
        let mut rest = self.number / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Returns the bytes of a tile of hashes.
pub fn encode_hashes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads a tile of hashes.
///
/// # Errors
/// Where the length is not that of `width` hashes.
pub fn decode_hashes(bytes: &[u8], width: u16) -> Result<Vec<Digest>, TileFault> {
    let (hashes, rest) = bytes.as_chunks::<DIGEST_BYTES>();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        let expected = usize::from(width) * DIGEST_BYTES;
        return Err(TileFault::Length { expected, found: bytes.len() });
    }
    Ok(hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect())
}

/// Appends an entry to a bundle of entries; entries are at most [`MAX_ENTRY_BYTES`] long.
pub fn encode_entry(entry: &[u8], out: &mut Vec<u8>) {
    debug_assert!(entry.len() <= MAX_ENTRY_BYTES, "leaves are capped where they are made");
    out.extend_from_slice(&(entry.len() as u16).to_be_bytes());
    out.extend_from_slice(entry);
}

/// Reads a bundle of entries.
///
/// # Errors
/// Where it does not hold just `width` of them.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileFault> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(TileFault::Entries(width))?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() == usize::from(width) && rest.is_empty() { Ok(entries) } else { Err(TileFault::Entries(width)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seventy_thousand_leaves_lie_in_the_tiles_of_the_specification() {
        let tiles = |holds| Tile::at(holds, 0, 70_000).collect::<Vec<_>>();
        let zero = tiles(Holds::Hashes(0));
        assert_eq!((zero.len(), zero[273].to_string().as_str()), (274, "tile/0/273.p/112"));
        assert!(zero[..273].iter().all(Tile::is_full));
        let one: Vec<_> = tiles(Holds::Hashes(1)).iter().map(ToString::to_string).collect();
        assert_eq!(one, ["tile/1/000", "tile/1/001.p/17"]);
        let two: Vec<_> = tiles(Holds::Hashes(2)).iter().map(ToString::to_string).collect();
        assert_eq!(two, ["tile/2/000.p/1"]);
        assert_eq!(tiles(Holds::Hashes(3)), []);
    }

    #[test]
    fn between_two_sizes_just_the_tiles_are_named_whose_content_changed() {
        // What a log of a size has at a level: a tile's name says all of its content.
        let names = |holds, size: u64| {
            let count = match holds {
                Holds::Entries => size,
                Holds::Hashes(level) => size / TILE_WIDTH.pow(u32::from(level)),
            };
            let (full, rest) = (count / TILE_WIDTH, (count % TILE_WIDTH) as u16);
            let mut tiles: Vec<_> = (0..full).map(|number| Tile { holds, number, width: 256 }).collect();
            tiles.extend((rest > 0).then_some(Tile { holds, number: full, width: rest }));
            tiles
        };
        let edges = [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537];
        let steps = |size: u64| edges.into_iter().filter(move |to| *to >= size).chain([1, 2, 300].map(|n| size + n));
        for (old, new) in edges.into_iter().flat_map(|old| steps(old).map(move |new| (old, new))) {
            for holds in [Holds::Entries, Holds::Hashes(0), Holds::Hashes(1), Holds::Hashes(2), Holds::Hashes(3)] {
                let before: std::collections::HashSet<_> = names(holds, old).into_iter().collect();
                let expected: Vec<_> = names(holds, new).into_iter().filter(|tile| !before.contains(tile)).collect();
                assert_eq!(Tile::at(holds, old, new).collect::<Vec<_>>(), expected, "{holds:?} from {old} to {new}");
            }
        }
    }

    #[test]
    fn a_large_number_is_written_in_groups_of_three() {
        let tile = Tile { holds: Holds::Entries, number: 1_234_067, width: 256 };
        assert_eq!(tile.to_string(), "tile/entries/x001/x234/067");
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_was_written(level in 0_u8..=63, number: u64, width in 1_u16..=256) {
            let tile = Tile { holds: Holds::Hashes(level), number, width };
            prop_assert_eq!(Tile::parse(&tile.to_string()), Some(tile));
        }

        #[test]
        fn any_text_is_a_path_or_refused(text in "tile/(entries|[0-9]{1,2})/[x0-9/.p]{1,16}") {
            prop_assert!(Tile::parse(&text).is_none_or(|tile| tile.to_string() == text));
        }

        #[test]
        fn entries_are_read_as_they_were_written(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
            let mut bytes = Vec::new();
            entries.iter().for_each(|entry| encode_entry(entry, &mut bytes));
            prop_assert_eq!(decode_entries(&bytes, entries.len() as u16).unwrap(), entries.clone());
            bytes.pop();
            prop_assert!(decode_entries(&bytes, entries.len() as u16).is_err());
        }
    }
}
