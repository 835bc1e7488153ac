//! The state of a file that tells whether it has changed: size, times and inode, as the system has them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// What tells whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// In bytes.
    pub size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

impl Stat {
    /// Returns all of it as bytes, for a digest of several.
    pub fn to_bytes(self) -> [u8; 56] {
        let mut out = [0; 56];
        let parts = [self.modified.0, self.modified.1, self.changed.0, self.changed.1].map(i64::cast_unsigned);
        let parts = [self.size, parts[0], parts[1], parts[2], parts[3], self.inode.0, self.inode.1];
        for (place, part) in out.chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        out
    }

    /// Returns when the file was last changed, in UTC, if the calendar has it.
    pub fn modified(&self) -> Option<DateTime> {
        let time = Timestamp::new(self.modified.0, i32::try_from(self.modified.1).ok()?).ok()?;
        Some(Offset::UTC.to_datetime(time)).filter(|time| time.year() > 0)
    }

    /// Says whether the file may have changed after `other`, by at least this many nanoseconds before, without its times telling.
    pub fn is_close_to(&self, other: &Self, nanoseconds: i128) -> bool {
        let point = |time: (i64, i64)| i128::from(time.0) * 1_000_000_000 + i128::from(time.1);
        point(self.changed).max(point(self.modified)) + nanoseconds >= point(other.changed)
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}
