//! Canonical headers, and members whose headers may lie.

pub const BLOCK: usize = 512;
/// The largest size that a header can say in octal digits.
const MAX_OCTAL: u64 = 0o77_777_777_777;

/// A file in the tar.
#[derive(Clone)]
pub struct Member {
    /// The whole path, with the top folder.
    pub path: Vec<u8>,
    pub bytes: Vec<u8>,
    /// What stands in place of the canonical header.
    pub header: Option<Vec<u8>>,
    /// What stands in place of the zeros up to a full block.
    pub padding: Option<Vec<u8>>,
}

impl Member {
    pub fn new(path: impl Into<Vec<u8>>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), header: None, padding: None }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.header {
            Some(header) => out.extend(header),
            None => out.extend(self.canonical_header()),
        }
        out.extend(&self.bytes);
        match &self.padding {
            Some(padding) => out.extend(padding),
            None => out.resize(out.len() + padding(self.bytes.len()), 0),
        }
    }

    pub fn encoded_len(&self) -> usize {
        let header = self.header.as_ref().map_or_else(|| self.canonical_header().len(), Vec::len);
        let padding = self.padding.as_ref().map_or_else(|| padding(self.bytes.len()), Vec::len);
        header + self.bytes.len() + padding
    }

    pub fn canonical_header(&self) -> Vec<u8> {
        header(&self.path, self.bytes.len() as u64)
    }
}

pub fn padding(len: usize) -> usize {
    len.next_multiple_of(BLOCK) - len
}

/// Where a path is split into prefix and name; `None` where neither name nor prefix hold it.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let slash = (0..path.len()).find(|&at| path[at] == b'/' && path.len() - at - 1 <= 100)?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    ((1..=155).contains(&prefix.len()) && !name.is_empty()).then_some((prefix, name))
}

/// The one header of a path and a size: a block, or a pax header, its records and a block.
pub fn header(path: &[u8], size: u64) -> Vec<u8> {
    let place = split(path);
    let mut records = Vec::new();
    if place.is_none() {
        records.extend(record(b"path", path));
    }
    if size > MAX_OCTAL {
        records.extend(record(b"size", size.to_string().as_bytes()));
    }
    let mut out = Vec::new();
    if !records.is_empty() {
        out.extend(pax(&records));
    }
    let replaced: Vec<u8> = path.iter().take(100).map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect();
    let (prefix, name) = place.unwrap_or((b"", &replaced));
    out.extend(block(prefix, name, if size > MAX_OCTAL { 0 } else { size }, b'0'));
    out
}

/// A pax header and its records, which may be any.
pub fn pax(records: &[u8]) -> Vec<u8> {
    let mut out = block(b"", b"pax_header", records.len() as u64, b'x');
    out.extend(records);
    out.resize(out.len() + padding(records.len()), 0);
    out
}

pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// One block with its checksum.
pub fn block(prefix: &[u8], name: &[u8], size: u64, kind: u8) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    put(345, prefix);
    seal(&mut block);
    block
}

/// Writes the checksum of the last block of a header anew, so that a lie in another field stands alone.
pub fn seal(header: &mut [u8]) {
    let start = header.len() - BLOCK;
    let block = &mut header[start..];
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
