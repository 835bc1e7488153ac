//! The log: tiles and entries read from the store, proofs reckoned from them, and the tiles that new leaves make. (FORMAT.md, "The log")
//!
//! A tile that is not there in the width asked for is looked for full, since partial ones may be removed then. Nothing read here is
//! believed: of a log whose head somebody has signed, each root and each leaf is proved to lead to it before it is handed out.

use std::collections::HashMap;
use std::path::Path;

use crate::digest::Digest;
use crate::format::leaf::Leaf;
use crate::format::tile::{self, Holds, MAX_ENTRIES_BYTES, MAX_TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::merkle::{self, Nodes};
use crate::store::Store;

use super::Error;

/// Tiles kept in memory at a time.
const MAX_CACHED_TILES: usize = 1024;

/// A log of a given size, read from a store.
pub struct Log<'a> {
    store: &'a Store,
    /// Where newer tiles lie that have no place in the store yet.
    newer: Option<&'a Store>,
    size: u64,
    /// The root that was signed.
    signed: Option<Digest>,
    /// Where it is kept what its leaves said when they were last read.
    known: Option<&'a Path>,
    tiles: HashMap<Tile, Vec<Digest>>,
    entries: Option<(u64, Vec<Vec<u8>>)>,
}

/// What an append puts into the store, and the root that comes of it.
#[derive(Debug)]
pub struct Appended {
    /// The tiles, with their paths.
    pub tiles: Vec<(String, Vec<u8>)>,
    /// The new number of leaves.
    pub size: u64,
    /// The new root.
    pub root: Digest,
}

impl Nodes for Log<'_> {
    type Error = Error;

    fn node(&mut self, level: u32, number: u64) -> Result<Digest, Error> {
        let (tile_level, inside) = ((level / TILE_HEIGHT) as u8, level % TILE_HEIGHT);
        let first = number << inside;
        let hashes = self.tile(tile_level, first / TILE_WIDTH)?;
        let from = (first % TILE_WIDTH) as usize;
        let mut row = hashes.get(from..from + (1 << inside)).ok_or_else(|| broken("a tile is too short"))?.to_vec();
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| merkle::node_hash(left, right)).collect();
        }
        Ok(row[0])
    }
}

impl<'a> Log<'a> {
    /// Looks at the first `size` leaves of the log in `store`, as its files have them.
    pub fn new(store: &'a Store, size: u64) -> Self {
        Self { store, newer: None, size, signed: None, known: None, tiles: HashMap::new(), entries: None }
    }

    /// Holds what is read against the root that was signed: what does not lead to it is an error.
    #[must_use]
    pub fn signed(self, root: Digest) -> Self {
        Self { signed: Some(root), ..self }
    }

    /// Keeps in a file what its leaves say, and believes what was kept there as far as it leads to the root that was signed.
    #[must_use]
    pub fn knowing(self, path: Option<&'a Path>) -> Self {
        Self { known: path, ..self }
    }

    /// Returns the file in which it is kept what its leaves say; none where no root was signed that it can be held against.
    pub(super) fn known(&self) -> Option<&'a Path> {
        self.known.filter(|_| self.signed.is_some())
    }

    /// Looks at the first `size` leaves of the log in `store`, whose newer tiles lie in another one.
    pub fn over(store: &'a Store, newer: &'a Store, size: u64) -> Self {
        Self { newer: Some(newer), ..Self::new(store, size) }
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root that the tiles give for the first `size` leaves.
    ///
    /// # Errors
    /// Where a tile cannot be read, or what the tiles give is not what was signed.
    pub fn root(&mut self, size: u64) -> Result<Digest, Error> {
        let root = merkle::root(self, size)?;
        let Some(signed) = self.signed.filter(|_| size > 0) else { return Ok(root) };
        // The tiles of each level are files of their own: what one says of a part, another may not say of the whole.
        let proof = merkle::prove_consistency(self, size, self.size)?;
        match merkle::verify_consistency(size, self.size, &root, &signed, &proof) {
            Ok(()) => Ok(root),
            Err(_) => Err(broken("its tiles do not lead to the root in the checkpoint")),
        }
    }

    /// Checks that each full tile of hashes is what the one above has of it.
    ///
    /// # Errors
    /// Where it is not, or a tile cannot be read.
    pub fn check_tiles(&mut self) -> Result<(), Error> {
        for level in 0_u8.. {
            let count = self.size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
            if count == 0 {
                break;
            }
            for number in 0..count.div_ceil(TILE_WIDTH) {
                let above = match self.tile(level, number)? {
                    row if row.len() == TILE_WIDTH as usize => top(row),
                    _ => continue,
                };
                if self.tile(level + 1, number / TILE_WIDTH)?.get((number % TILE_WIDTH) as usize) != Some(&above) {
                    return Err(broken("a tile of hashes is not what the one above has of it"));
                }
            }
        }
        Ok(())
    }

    /// Checks that all leaves lead to what was signed; `root` is what they lead to.
    ///
    /// # Errors
    /// Where they do not.
    pub(super) fn leads_to(&self, root: &Digest) -> Result<(), Error> {
        match &self.signed {
            Some(signed) if signed != root => Err(broken("its leaves do not lead to the root in the checkpoint")),
            _ => Ok(()),
        }
    }

    /// Returns the bytes of leaf `index`.
    ///
    /// # Errors
    /// Where its bundle of entries cannot be read, or it does not lead to the root that was signed.
    pub fn entry(&mut self, index: u64) -> Result<Vec<u8>, Error> {
        let entry = self.read_entry(index)?;
        if let Some(signed) = self.signed {
            let proof = self.inclusion(index)?;
            let leaf = merkle::leaf_hash(&entry);
            if merkle::verify_inclusion(&leaf, index, self.size, &proof, &signed).is_err() {
                return Err(Error::Log(format!("leaf {index} does not lead to the root in the checkpoint")));
            }
        }
        Ok(entry)
    }

    fn read_entry(&mut self, index: u64) -> Result<Vec<u8>, Error> {
        let number = index / TILE_WIDTH;
        if self.entries.as_ref().is_none_or(|(at, _)| *at != number) {
            self.entries = Some((number, self.read_entries(number)?));
        }
        let entries = self.entries.as_ref().map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        entries.get((index % TILE_WIDTH) as usize).cloned().ok_or_else(|| broken("there is no such leaf"))
    }

    /// Returns leaf `index`, read.
    ///
    /// # Errors
    /// Where it cannot be read, or is no leaf of vellum's.
    pub fn leaf(&mut self, index: u64) -> Result<Leaf, Error> {
        Leaf::decode(&self.entry(index)?).map_err(|fault| Error::Log(format!("leaf {index}: {fault}")))
    }

    /// Returns the proof that leaf `index` is in the log.
    ///
    /// # Errors
    /// Where a tile cannot be read.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Digest>, Error> {
        let size = self.size;
        merkle::prove_inclusion(self, index, size)
    }

    /// Returns the proof that the log extends its first `old` leaves.
    ///
    /// # Errors
    /// Where a tile cannot be read.
    pub fn consistency(&mut self, old: u64) -> Result<Vec<Digest>, Error> {
        let size = self.size;
        merkle::prove_consistency(self, old, size)
    }

    /// Reckons what appending `leaves` puts into the store; nothing is written.
    ///
    /// # Errors
    /// Where the tiles at the log's right edge cannot be read.
    pub fn append(&mut self, leaves: &[Vec<u8>]) -> Result<Appended, Error> {
        let size = self.size + leaves.len() as u64;
        let mut tiles = Vec::new();
        let mut entries = match self.size % TILE_WIDTH {
            0 => Vec::new(),
            _ => {
                // They go into the next tile, under a head that is signed anew.
                let (number, entries) = (self.size / TILE_WIDTH, self.read_entries(self.size / TILE_WIDTH)?);
                let hashes = self.tile(0, number)?;
                if !entries.iter().map(|entry| merkle::leaf_hash(entry)).eq(hashes.iter().copied()) {
                    return Err(broken("the last tile of leaves is not what its hashes say"));
                }
                entries
            }
        };
        entries.extend_from_slice(leaves);
        for (tile, entries) in Tile::at(Holds::Entries, self.size, size).zip(entries.chunks(TILE_WIDTH as usize)) {
            let mut bytes = Vec::new();
            entries.iter().for_each(|entry| tile::encode_entry(entry, &mut bytes));
            tiles.push((tile.to_string(), bytes));
        }
        let mut fresh: Vec<Digest> = leaves.iter().map(|leaf| merkle::leaf_hash(leaf)).collect();
        for level in 0_u8.. {
            if fresh.is_empty() {
                break;
            }
            let before = self.size >> (TILE_HEIGHT * u32::from(level));
            let mut hashes = match before % TILE_WIDTH {
                0 => Vec::new(),
                _ => self.tile(level, before / TILE_WIDTH)?.clone(),
            };
            hashes.append(&mut fresh);
            for (number, row) in (before / TILE_WIDTH..).zip(hashes.chunks(TILE_WIDTH as usize)) {
                let tile = Tile { holds: Holds::Hashes(level), number, width: row.len() as u16 };
                tiles.push((tile.to_string(), tile::encode_hashes(row)));
                if tile.is_full() {
                    fresh.push(top(row));
                }
                self.tiles.insert(Tile { width: 0, ..tile }, row.to_vec());
            }
        }
        let root = merkle::root(self, size)?;
        self.tiles.clear();
        Ok(Appended { tiles, size, root })
    }

    /// Reads a tile of hashes; those of an append come from memory.
    fn tile(&mut self, level: u8, number: u64) -> Result<&Vec<Digest>, Error> {
        let key = Tile { holds: Holds::Hashes(level), number, width: 0 };
        if !self.tiles.contains_key(&key) {
            let tile = Tile::of(key.holds, number, self.size).ok_or_else(|| broken("a tile beyond its end"))?;
            let (bytes, width) = self.read(tile, MAX_TILE_BYTES)?;
            let mut hashes =
                tile::decode_hashes(&bytes, width).map_err(|fault| Error::Log(format!("{tile}: {fault}")))?;
            hashes.truncate(usize::from(tile.width));
            if self.tiles.len() >= MAX_CACHED_TILES {
                self.tiles.clear();
            }
            self.tiles.insert(key, hashes);
        }
        self.tiles.get(&key).ok_or_else(|| broken("a tile was lost"))
    }

    /// Returns how many tiles of entries there are.
    pub fn tiles_of_entries(&self) -> u64 {
        self.size.div_ceil(TILE_WIDTH)
    }

    /// Returns the first index in a tile of entries, and the leaves from there on.
    ///
    /// # Errors
    /// Where it cannot be read or is malformed.
    pub fn entries_of(&self, number: u64) -> Result<(u64, Vec<Vec<u8>>), Error> {
        Ok((number * TILE_WIDTH, self.read_entries(number)?))
    }

    /// Returns the leaves of one bundle of entries, as many as the log has of it.
    ///
    /// # Errors
    /// Where it cannot be read or is malformed.
    pub fn read_entries(&self, number: u64) -> Result<Vec<Vec<u8>>, Error> {
        let tile = Tile::of(Holds::Entries, number, self.size).ok_or_else(|| broken("entries beyond its end"))?;
        let (bytes, width) = self.read(tile, MAX_ENTRIES_BYTES)?;
        let entries = tile::decode_entries(&bytes, width).map_err(|fault| Error::Log(format!("{tile}: {fault}")))?;
        Ok(entries.into_iter().take(usize::from(tile.width)).map(<[u8]>::to_vec).collect())
    }

    /// Reads a tile, or the full one that has taken its place.
    fn read(&self, tile: Tile, limit: u64) -> Result<(Vec<u8>, u16), Error> {
        if let Some(newer) = self.newer
            && let Ok(bytes) = newer.read(&tile.to_string(), limit)
        {
            return Ok((bytes, tile.width));
        }
        match self.store.read(&tile.to_string(), limit) {
            Err(error) if error.is_not_found() && !tile.is_full() => {
                let full = tile.full();
                self.store.read(&full.to_string(), limit).map(|bytes| (bytes, full.width)).map_err(|_| error.into())
            }
            other => Ok((other?, tile.width)),
        }
    }
}

/// Returns the hash above a full row.
fn top(row: &[Digest]) -> Digest {
    let mut row = row.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| merkle::node_hash(left, right)).collect();
    }
    row[0]
}

fn broken(what: &str) -> Error {
    Error::Log(what.to_owned())
}
