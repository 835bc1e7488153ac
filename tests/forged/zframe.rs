//! Frames of zstd: by the compressor of others, or put together by hand so that every field can be chosen.

use twox_hash::XxHash64;
use zstd::zstd_safe::CParameter;

pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A frame, and what it holds.
#[derive(Clone)]
pub struct Frame {
    pub packed: Vec<u8>,
    pub plain: Vec<u8>,
}

impl Frame {
    pub fn new(plain: &[u8]) -> Self {
        Self { packed: compress(plain, 3), plain: plain.to_vec() }
    }

    pub fn by_hand(plain: &[u8], hand: &Hand) -> Self {
        Self { packed: hand.frame(plain), plain: plain.to_vec() }
    }
}

pub fn compress(plain: &[u8], level: i32) -> Vec<u8> {
    compress_with(plain, level, &[CParameter::ChecksumFlag(true), CParameter::ContentSizeFlag(true)])
}

pub fn compress_with(plain: &[u8], level: i32, parameters: &[CParameter]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
    for &parameter in parameters {
        compressor.set_parameter(parameter).unwrap();
    }
    compressor.compress(plain).unwrap()
}

/// The choices of a frame made by hand. Its blocks are stored, or one repeated byte where the content is that.
#[derive(Clone)]
pub struct Hand {
    pub magic: [u8; 4],
    /// Length of the field for the content size: 0, 1, 2, 4 or 8 bytes.
    pub size_field: usize,
    /// What the field says, if not the truth.
    pub size: Option<u64>,
    /// The window descriptor; without, the frame is a single segment.
    pub window: Option<u8>,
    pub checksum: bool,
    /// What the checksum is changed by.
    pub checksum_off: u32,
    pub reserved: bool,
    pub unused: bool,
    /// The dictionary id as it stands there: 0, 1, 2 or 4 bytes.
    pub dictionary: &'static [u8],
    pub block: usize,
    /// Empty blocks put before the others.
    pub empty_blocks: usize,
    /// The type given to the last block instead of 0.
    pub last_block: u8,
}

impl Default for Hand {
    fn default() -> Self {
        Self {
            magic: MAGIC,
            size_field: 8,
            size: None,
            window: None,
            checksum: true,
            checksum_off: 0,
            reserved: false,
            unused: false,
            dictionary: b"",
            block: 128 << 10,
            empty_blocks: 0,
            last_block: 0,
        }
    }
}

impl Hand {
    pub fn frame(&self, plain: &[u8]) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        let size_flag = match self.size_field {
            0 | 1 => 0,
            2 => 1,
            4 => 2,
            _ => 3,
        };
        let dictionary_flag = match self.dictionary.len() {
            4 => 3,
            short => short as u8,
        };
        out.push(
            size_flag << 6
                | u8::from(self.window.is_none()) << 5
                | u8::from(self.unused) << 4
                | u8::from(self.reserved) << 3
                | u8::from(self.checksum) << 2
                | dictionary_flag,
        );
        out.extend(self.window);
        out.extend(self.dictionary);
        let size = self.size.unwrap_or(plain.len() as u64);
        let said = if self.size_field == 2 { size.wrapping_sub(256) } else { size };
        out.extend(&said.to_le_bytes()[..self.size_field]);
        for _ in 0..self.empty_blocks {
            out.extend([0, 0, 0]);
        }
        let blocks: Vec<&[u8]> = if plain.is_empty() { vec![b""] } else { plain.chunks(self.block).collect() };
        for (number, block) in blocks.iter().enumerate() {
            let last = number + 1 == blocks.len();
            let repeated = block.len() > 1 && block.iter().all(|&byte| byte == block[0]);
            let kind = if last && self.last_block != 0 { self.last_block } else { u8::from(repeated) };
            let head = (block.len() as u32) << 3 | u32::from(kind) << 1 | u32::from(last);
            out.extend(&head.to_le_bytes()[..3]);
            if kind == 1 { out.extend(&block[..1]) } else { out.extend(*block) }
        }
        if self.checksum {
            let checksum = (XxHash64::oneshot(0, plain) as u32).wrapping_add(self.checksum_off);
            out.extend(checksum.to_le_bytes());
        }
        out
    }
}

/// The table of frames, from pairs of packed and plain length.
pub fn table(entries: &[(u32, u32)]) -> Vec<u8> {
    let mut out = 0x184D_2A5E_u32.to_le_bytes().to_vec();
    out.extend((8 * entries.len() as u32 + 9).to_le_bytes());
    for (packed, plain) in entries {
        out.extend(packed.to_le_bytes());
        out.extend(plain.to_le_bytes());
    }
    out.extend((entries.len() as u32).to_le_bytes());
    out.push(0);
    out.extend(0x8F92_EAB1_u32.to_le_bytes());
    out
}

/// A skippable frame that holds `bytes`.
pub fn skippable(bytes: &[u8]) -> Vec<u8> {
    let mut out = 0x184D_2A50_u32.to_le_bytes().to_vec();
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
    out
}
