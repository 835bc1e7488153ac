//! The canonical tar, written by ourselves: the crate for it reads and writes what tars are in the wild, and this one is a pure function
//! of paths and sizes, so that a reader reckons where every byte lies and accepts no other. It holds regular files only, each header a pure function of path and size. (FORMAT.md, "The tar")
//!
//! A header is plain ustar where path and size fit and the path is ASCII; otherwise one pax header with `path` and `size` alone stands
//! before it. Mode 0644, ids 0, names empty, time 0. Reading accepts exactly what writing gives: a header is decoded, printed
//! again, and compared.

/// Size of a tar block, in bytes.
pub const BLOCK_BYTES: u64 = 512;
/// The end of every tar: two blocks of zeros.
pub const END_BYTES: u64 = 2 * BLOCK_BYTES;
/// Longest header, pax records included, in bytes.
pub const MAX_HEADER_BYTES: u64 = 6 * BLOCK_BYTES;

const BLOCK: usize = BLOCK_BYTES as usize;
const ZEROS: [u8; END_BYTES as usize] = [0; END_BYTES as usize];
const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;
/// The largest size that eleven octal digits hold.
const MAX_OCTAL_SIZE: u64 = 0o777_7777_7777;
const PAX_NAME: &[u8] = b"pax_header";
/// What every header has, the name of the format and the mode, and where.
const MAGIC: &[u8] = b"ustar\x0000";
const MAGIC_AT: usize = 257;
const MODE: &[u8] = b"0000644";
const MODE_AT: usize = 100;

/// Says whether padding, or the end of a tar, is zeros as it must be.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|some| some == &ZEROS[..some.len()])
}

/// What stands at a place in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file's header of `header` bytes; `size` bytes of content and the padding follow.
    File {
        /// The path, top folder included, as its bytes stand there.
        path: Vec<u8>,
        /// Size of the content, in bytes.
        size: u64,
        /// Length of the header, pax records included, in bytes.
        header: u64,
    },
    /// A block of zeros: the end begins.
    End,
}

/// Why bytes are no header of the canonical tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Fewer bytes than a header.
    #[error("the tar ends inside a header")]
    Short,
    /// The header's own sum does not fit.
    #[error("a tar header's checksum does not fit")]
    Sum,
    /// Links, folders, devices and every other kind.
    #[error("a tar member is of type {0:?}, only regular files are allowed")]
    Kind(char),
    /// A number or record that cannot be read.
    #[error("a tar header's {0} is malformed")]
    Malformed(&'static str),
    /// A right header, but not the canonical one for its path and size.
    #[error("the tar header of {0:?} is not in the canonical form")]
    NotCanonical(String),
}

/// Returns the zero bytes that fill the last block of `size` bytes of content.
pub const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES
}

/// Returns the length of the header of a file, in bytes.
pub fn header_len(path: &str, size: u64) -> u64 {
    let records = pax_records(path, fit(path).is_some(), size).len() as u64;
    if records == 0 { BLOCK_BYTES } else { BLOCK_BYTES + records + padding(records) + BLOCK_BYTES }
}

/// Appends the header of a file to `out`.
pub fn encode_header(path: &str, size: u64, out: &mut Vec<u8>) {
    let fitting = fit(path);
    let records = pax_records(path, fitting.is_some(), size);
    if !records.is_empty() {
        block(PAX_NAME, b"", records.len() as u64, b'x', out);
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64) as usize, 0);
    }
    let shown = if size <= MAX_OCTAL_SIZE { size } else { 0 };
    match fitting {
        Some((prefix, name)) => block(name.as_bytes(), prefix.as_bytes(), shown, b'0', out),
        None => {
            let bytes = path.bytes().take(NAME_BYTES);
            let name: Vec<u8> = bytes.map(|b| if b.is_ascii() { b } else { b'_' }).collect();
            block(&name, b"", shown, b'0', out);
        }
    }
}

/// Appends a whole file to `out`: header, content, padding.
pub fn encode_file(path: &str, bytes: &[u8], out: &mut Vec<u8>) {
    encode_header(path, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
    out.resize(out.len() + padding(bytes.len() as u64) as usize, 0);
}

/// Reads the header that `bytes` begin with.
///
/// # Errors
/// Names what is not canonical; [`HeaderFault::Short`] where fewer bytes than the header are given.
pub fn decode_header(bytes: &[u8]) -> Result<Entry, HeaderFault> {
    let first = bytes.get(..BLOCK).ok_or(HeaderFault::Short)?;
    if is_zero(first) {
        return Ok(Entry::End);
    }
    let (kind, size) = fields(first)?;
    let (path, size) = match kind {
        b'0' => (joined(first), size),
        b'x' => {
            let end = usize::try_from(size).ok().filter(|&n| n as u64 <= MAX_HEADER_BYTES - END_BYTES);
            let end = BLOCK + end.ok_or(HeaderFault::Malformed("pax record"))?;
            let records = bytes.get(BLOCK..end).ok_or(HeaderFault::Short)?;
            let (path, pax_size) = read_pax(records).ok_or(HeaderFault::Malformed("pax record"))?;
            let at = end + padding(size) as usize;
            let second = bytes.get(at..at + BLOCK).ok_or(HeaderFault::Short)?;
            let (kind, size) = fields(second)?;
            if kind != b'0' {
                return Err(HeaderFault::Kind(char::from(kind)));
            }
            (path.unwrap_or_else(|| joined(second)), pax_size.unwrap_or(size))
        }
        other => return Err(HeaderFault::Kind(char::from(other))),
    };
    let not_canonical = || HeaderFault::NotCanonical(String::from_utf8_lossy(&path).into_owned());
    let mut again = Vec::with_capacity(MAX_HEADER_BYTES as usize);
    encode_header(std::str::from_utf8(&path).map_err(|_| not_canonical())?, size, &mut again);
    if bytes.get(..again.len()) != Some(&again[..]) {
        return Err(not_canonical());
    }
    Ok(Entry::File { path, size, header: again.len() as u64 })
}

/// Finds the next place, from `from` on, at which a header may begin, on whatever byte.
pub fn next_header(bytes: &[u8], from: usize) -> Option<usize> {
    let begins = |magic: usize| {
        let at = magic.checked_sub(MAGIC_AT)?;
        (at >= from && bytes[at + MODE_AT..].starts_with(MODE)).then_some(at)
    };
    let start = from.saturating_add(MAGIC_AT);
    memchr::memmem::find_iter(bytes.get(start..)?, MAGIC).find_map(|found| begins(start + found))
}

/// Splits a path into ustar's prefix and name; `None` where it needs a pax record.
fn fit(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        None
    } else if path.len() <= NAME_BYTES {
        Some(("", path))
    } else {
        split(path)
    }
}

/// Splits at the first `/` that leaves a name short enough.
fn split(path: &str) -> Option<(&str, &str)> {
    let from = path.len().checked_sub(NAME_BYTES + 1)?;
    let at = from + path.as_bytes().get(from..)?.iter().position(|&b| b == b'/')?;
    (at <= PREFIX_BYTES && at > 0 && at + 1 < path.len()).then(|| (&path[..at], &path[at + 1..]))
}

/// Returns the records that a header needs, where its path does not [`fit`] or its size is too large.
fn pax_records(path: &str, fits: bool, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if !fits {
        record("path", path, &mut out);
    }
    if size > MAX_OCTAL_SIZE {
        record("size", &size.to_string(), &mut out);
    }
    out
}

/// A pax record begins with its own length, the digits of that length included.
fn record(key: &str, value: &str, out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} {key}={value}\n").as_bytes());
}

fn read_pax(mut records: &[u8]) -> Option<(Option<Vec<u8>>, Option<u64>)> {
    let (mut path, mut size) = (None, None);
    while !records.is_empty() {
        let space = records.iter().take(8).position(|&b| b == b' ')?;
        let len: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..len)?.strip_suffix(b"\n")?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        } else if let Some(value) = record.strip_prefix(b"size=") {
            size = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
        } else {
            return None;
        }
        records = records.get(len..)?;
    }
    Some((path, size))
}

/// A block with everything that is the same in all of them; eight spaces stand for its sum.
const TEMPLATE: [u8; BLOCK] = {
    let mut block = [0; BLOCK];
    put(&mut block, MODE_AT, MODE);
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 136, b"00000000000");
    put(&mut block, 148, b"        ");
    put(&mut block, MAGIC_AT, MAGIC);
    put(&mut block, 329, b"0000000");
    put(&mut block, 337, b"0000000");
    block
};
const TEMPLATE_SUM: u64 = {
    let (mut sum, mut at) = (0, 0);
    while at < BLOCK {
        sum += TEMPLATE[at] as u64;
        at += 1;
    }
    sum
};

const fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    let mut n = 0;
    while n < bytes.len() {
        block[at + n] = bytes[n];
        n += 1;
    }
}

/// Appends a block, whose sum follows from the template's and what is written over its zeros.
fn block(name: &[u8], prefix: &[u8], size: u64, kind: u8, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&TEMPLATE);
    let Some(header) = out.get_mut(start..) else { return };
    header[..name.len()].copy_from_slice(name);
    octal(size, &mut header[124..135]);
    header[156] = kind;
    header[345..345 + prefix.len()].copy_from_slice(prefix);
    let added = |bytes: &[u8]| bytes.iter().map(|&b| u64::from(b)).sum::<u64>();
    let sum = TEMPLATE_SUM + added(name) + added(prefix) + added(&header[124..135]) + u64::from(kind);
    octal(sum, &mut header[148..154]);
    header[154] = 0;
}

fn octal(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

fn from_octal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| match digit {
        b'0'..=b'7' => Some(value << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}

/// Checks a block's sum and returns its type and size.
fn fields(header: &[u8]) -> Result<(u8, u64), HeaderFault> {
    let spaces = 8 * u64::from(b' ');
    let sum = header.iter().map(|&b| u64::from(b)).sum::<u64>() + spaces
        - header[148..156].iter().map(|&b| u64::from(b)).sum::<u64>();
    if from_octal(&header[148..154]) != Some(sum) {
        return Err(HeaderFault::Sum);
    }
    let size = from_octal(&header[124..135]).ok_or(HeaderFault::Malformed("size"))?;
    Ok((header[156], size))
}

fn joined(header: &[u8]) -> Vec<u8> {
    let text = |field: &[u8]| field.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    let (name, mut path) = (text(&header[..NAME_BYTES]), text(&header[345..500]));
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(&name);
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(path: &str, size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_header(path, size, &mut out);
        out
    }

    #[test]
    fn a_short_ascii_path_takes_one_block() {
        assert_eq!(header("a/data/b", 5).len(), 512);
        assert_eq!(header(&format!("{}/{}", "d".repeat(155), "f".repeat(100)), 5).len(), 512);
        assert_eq!(header(&"x".repeat(101), 5).len(), 1536);
        assert_eq!(header("é", MAX_OCTAL_SIZE + 1).len(), 1536);
    }

    #[test]
    fn takes_no_changed_header_for_the_same_file() {
        for path in ["a/data/b", "n/data/日本語/x.html"] {
            let good = header(path, 77);
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let other = matches!(decode_header(&bad), Ok(Entry::File { path: p, .. }) if p != path.as_bytes());
                assert!(other || decode_header(&bad).is_err(), "{path}: byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn reading_gives_what_was_written(path in "[a-z/é]{1,300}", size in any::<u64>()) {
            let bytes = header(&path, size);
            prop_assert_eq!(bytes.len() as u64, header_len(&path, size));
            prop_assert_eq!(
                decode_header(&bytes),
                Ok(Entry::File { path: path.into_bytes(), size, header: bytes.len() as u64 })
            );
        }

        #[test]
        fn never_panics_on_noise(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode_header(&bytes);
        }
    }
}
