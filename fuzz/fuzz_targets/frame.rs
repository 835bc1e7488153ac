//! Any bytes as a zstd frame: its header and blocks say how long it is, and what decodes is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::frame::{self, FrameDecoder, MAX_FRAME_BYTES};

fuzz_target!(|bytes: &[u8]| {
    let declared = frame::declared_size(bytes);
    if let Ok(size) = declared {
        assert!((1..=MAX_FRAME_BYTES).contains(&size));
    }
    let mut blocks = 0;
    let found = frame::measure(bytes, &mut blocks);
    assert!(blocks <= bytes.len() + 1, "what is read in vain is bounded by the bytes");
    let Ok(len) = found else { return };
    assert!(len <= bytes.len() && (1..=len).contains(&blocks));
    // A frame is what it is, whatever follows it; and it is no frame without its last byte.
    let mut again = 0;
    assert_eq!((frame::measure(&bytes[..len], &mut again), again), (Ok(len), blocks));
    assert!(frame::measure(&bytes[..len - 1], &mut 0).is_err());
    let size = declared.expect("a frame with a length has a header");
    let mut plain = Vec::new();
    if FrameDecoder::default().decode(&bytes[..len], size, &mut plain).is_ok() {
        assert_eq!(plain.len() as u64, size);
    }
});
