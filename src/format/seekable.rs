//! The zstd seekable-format table at a bundle's end: how long each frame is, packed and plain. (FORMAT.md, "The table")
//!
//! A skippable frame, so `zstd -d` passes over it. It has no checksum of its own: a reader takes it for a hint and holds every frame
//! against it.

/// The most frames a bundle may have: 2 TiB in frames of 2 MiB.
pub const MAX_FRAMES: usize = 1 << 20;
/// Length of the table of a bundle with `n` frames is this, plus [`ENTRY_BYTES`] for each.
pub const FIXED_BYTES: usize = HEADER_BYTES + FOOTER_BYTES;
/// Length of one frame's entry, in bytes.
pub const ENTRY_BYTES: usize = 8;
/// Length of the footer, in bytes.
pub const FOOTER_BYTES: usize = 9;

const HEADER_BYTES: usize = 8;
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;

/// How long one frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    /// In the file, in bytes.
    pub packed: u32,
    /// In the tar, in bytes.
    pub plain: u32,
}

/// Why bytes are no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// The last four bytes are not the seekable format's.
    #[error("no seek table at the end")]
    Magic,
    /// More frames than [`MAX_FRAMES`].
    #[error("the seek table has {0} frames, at most {MAX_FRAMES} are allowed")]
    TooMany(u64),
    /// A length, magic number or flag that does not fit the rest.
    #[error("the seek table is malformed: {0}")]
    Malformed(&'static str),
}

/// Returns how many frames a table with this footer has.
///
/// # Errors
/// Names what makes it no footer.
pub fn decode_footer(footer: &[u8; FOOTER_BYTES]) -> Result<usize, TableFault> {
    if word(footer, 5) != SEEKABLE_MAGIC {
        return Err(TableFault::Magic);
    }
    if footer[4] != 0 {
        return Err(TableFault::Malformed("flags that are not zero"));
    }
    let frames = word(footer, 0);
    match usize::try_from(frames) {
        Ok(n) if n <= MAX_FRAMES => Ok(n),
        _ => Err(TableFault::TooMany(u64::from(frames))),
    }
}

/// Reads a whole table.
///
/// # Errors
/// Names what makes it no table.
pub fn decode(table: &[u8]) -> Result<Vec<FrameSize>, TableFault> {
    let footer = table.last_chunk::<FOOTER_BYTES>().ok_or(TableFault::Magic)?;
    let frames = decode_footer(footer)?;
    if table.len() != FIXED_BYTES + frames * ENTRY_BYTES {
        return Err(TableFault::Malformed("another length than its frames need"));
    }
    if word(table, 0) != SKIPPABLE_MAGIC {
        return Err(TableFault::Malformed("no skippable frame"));
    }
    if word(table, 4) as usize != table.len() - HEADER_BYTES {
        return Err(TableFault::Malformed("another length than it says"));
    }
    let entries = &table[HEADER_BYTES..table.len() - FOOTER_BYTES];
    Ok(entries.chunks_exact(ENTRY_BYTES).map(|e| FrameSize { packed: word(e, 0), plain: word(e, 4) }).collect())
}

/// Returns the bytes of the table of these frames.
pub fn encode(frames: &[FrameSize]) -> Vec<u8> {
    let len = FIXED_BYTES + frames.len() * ENTRY_BYTES;
    let mut out = Vec::with_capacity(len);
    let mut put = |word: u32| out.extend_from_slice(&word.to_le_bytes());
    put(SKIPPABLE_MAGIC);
    put((len - HEADER_BYTES) as u32);
    for frame in frames {
        put(frame.packed);
        put(frame.plain);
    }
    put(frames.len() as u32);
    out.push(0);
    out.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_changed_byte_that_is_not_a_size() {
        let frames = [FrameSize { packed: 100, plain: 2000 }, FrameSize { packed: 7, plain: 1 }];
        let good = encode(&frames);
        assert_eq!(decode(&good), Ok(frames.to_vec()));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let sizes = (HEADER_BYTES..good.len() - FOOTER_BYTES).contains(&at);
            assert_eq!(decode(&bad).is_ok(), sizes, "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut {at}");
        }
    }
}
