//! Any bytes as a zstd frame: its header and blocks say how long it is, and what decodes is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vellum::format::frame::{self, FrameDecoder, MAX_FRAME_BYTES};

fuzz_target!(|bytes: &[u8]| {
    let declared = frame::declared_size(bytes);
    if let Ok(size) = declared {
        assert!((1..=MAX_FRAME_BYTES).contains(&size));
    }
    let begun = frame::blocks_begun(bytes);
    let Ok((len, blocks)) = frame::measure(bytes) else { return };
    assert!(len <= bytes.len() && (1..=len).contains(&blocks) && begun == blocks + 1);
    // A frame is what it is, whatever follows it; and it is no frame without its last byte.
    assert_eq!(frame::measure(&bytes[..len]), Ok((len, blocks)));
    assert!(frame::measure(&bytes[..len - 1]).is_err());
    let size = declared.expect("a frame with a length has a header");
    let mut plain = Vec::new();
    if FrameDecoder::default().decode(&bytes[..len], size, &mut plain).is_ok() {
        assert_eq!(plain.len() as u64, size);
    }
});
