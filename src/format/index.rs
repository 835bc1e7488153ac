//! The index: where each member lies in the tar, so that one article is read without the rest. (FORMAT.md, "The index")
//!
//! ```text
//! vellum-index/1
//! list 1048576 3490
//! frame ef46db3751d8e999
//! 5120
//! 311
//! ```
//!
//! After the format, where the checksum list begins and how long it is; the mark of each frame but the last; then the size of each file
//! of the list in its order. With the order of the tar these give every place. It is unsigned, a hint: whatever is read through it is
//! checked.

use super::checksums::{ChecksumList, MAX_FILES};
use super::layout::Layout;
use super::seekable::MAX_FRAMES;
use super::tar;

/// The name of the index in the bundle.
pub const NAME: &str = "index";
/// The longest index, in bytes.
pub const MAX_INDEX_BYTES: u64 = 64 + 21 * MAX_FILES + 23 * MAX_FRAMES as u64;

const FORMAT: &str = "vellum-index/1\n";

/// What an index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Where the header of the checksum list begins in the tar.
    pub list_offset: u64,
    /// Size of the checksum list, in bytes.
    pub list_size: u64,
    /// The mark of each frame but the last, in order.
    pub frames: Vec<u64>,
    /// Size of each file, in order of the checksum list, in bytes.
    pub sizes: Vec<u64>,
}

/// Bytes that are no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is malformed")]
pub struct IndexFault;

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// Anything but the one form is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, IndexFault> {
        let rest = bytes.strip_prefix(FORMAT.as_bytes()).ok_or(IndexFault)?;
        let rest = rest.strip_prefix(b"list ").ok_or(IndexFault)?;
        let (list_offset, rest) = number(rest, b' ')?;
        let (list_size, mut rest) = number(rest, b'\n')?;
        let mut frames = Vec::new();
        while let Some(after) = rest.strip_prefix(b"frame ") {
            let (mark, after) = mark(after)?;
            frames.push(mark);
            rest = after;
        }
        let mut sizes = Vec::new();
        while !rest.is_empty() {
            let (size, after) = number(rest, b'\n')?;
            sizes.push(size);
            rest = after;
        }
        if sizes.len() as u64 > MAX_FILES || frames.len() > MAX_FRAMES {
            return Err(IndexFault);
        }
        Ok(Self { list_offset, list_size, frames, sizes })
    }

    /// Returns the index's bytes.
    pub fn encode(&self) -> String {
        let mut out = format!("{FORMAT}list {} {}\n", self.list_offset, self.list_size);
        for mark in &self.frames {
            out.push_str(&format!("frame {mark:016x}\n"));
        }
        for size in &self.sizes {
            out.push_str(&size.to_string());
            out.push('\n');
        }
        out
    }

    /// Reckons the places of the list's files, in order of the tar, in the top folder `name`.
    ///
    /// # Errors
    /// Where the index has another number of files than the list, or its sums go beyond any file.
    pub fn layout(&self, name: &str, list: &ChecksumList) -> Result<Layout, IndexFault> {
        if self.sizes.len() != list.len() || self.sizes.iter().any(|&size| size > u64::MAX / (4 * MAX_FILES)) {
            return Err(IndexFault);
        }
        let mut layout = Layout::at(0);
        let mut path = format!("{name}/");
        let top = path.len();
        for n in list.tar_order() {
            path.truncate(top);
            path.push_str(list.path(n));
            layout.push(tar::header_len(&path, self.sizes[n]), self.sizes[n]);
        }
        Ok(layout)
    }
}

/// Reads sixteen lower-case hex digits and a line feed.
fn mark(bytes: &[u8]) -> Result<(u64, &[u8]), IndexFault> {
    let (digits, rest) = bytes.split_at_checked(16).ok_or(IndexFault)?;
    if !digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(IndexFault);
    }
    let text = std::str::from_utf8(digits).map_err(|_| IndexFault)?;
    let mark = u64::from_str_radix(text, 16).map_err(|_| IndexFault)?;
    Ok((mark, rest.strip_prefix(b"\n").ok_or(IndexFault)?))
}

/// Reads a canonical decimal number up to `end`.
fn number(bytes: &[u8], end: u8) -> Result<(u64, &[u8]), IndexFault> {
    let mut value = 0_u64;
    for (n, &byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' if n == 0 || bytes[0] != b'0' => {
                value = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(byte - b'0'))).ok_or(IndexFault)?;
            }
            _ if byte == end && n > 0 => return Ok((value, &bytes[n + 1..])),
            _ => return Err(IndexFault),
        }
    }
    Err(IndexFault)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_back_what_it_prints(
            list_offset in any::<u64>(), list_size in any::<u64>(), sizes in proptest::collection::vec(any::<u64>(), 0..20),
            frames in proptest::collection::vec(any::<u64>(), 0..4),
        ) {
            let index = Index { list_offset, list_size, frames, sizes };
            prop_assert_eq!(Index::decode(index.encode().as_bytes()), Ok(index));
        }

        #[test]
        fn accepts_nothing_that_it_would_not_print(text in "vellum-index/1\nlist [0-9 ]{1,6}\n([0-9]{0,3}\n){0,3}") {
            if let Ok(index) = Index::decode(text.as_bytes()) {
                prop_assert_eq!(index.encode(), text);
            }
        }
    }
}
