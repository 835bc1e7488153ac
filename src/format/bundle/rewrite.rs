//! Making a bundle anew without touching what it says: with further signatures, or compressed otherwise. Its id stays.

use crate::format::frame::{FrameDecoder, FrameEncoder};
use crate::format::framing::Cut;
use crate::pipeline::ordered;
use crate::run::Run;

use super::open::read_frame;
use super::{Bundle, BundleWriter, Contents, Error, MAX_SIGNATURES, Output, SignatureFile, Source, Tail};

/// Writes the bundle with these signatures in place of those it has; every other frame is copied as it is.
///
/// # Errors
/// Where there are too many signatures, or reading or writing fails.
pub fn countersign<S: Source, W: Output>(
    bundle: &Bundle<S>,
    mut signatures: Vec<SignatureFile>,
    out: W,
) -> Result<(W, u64), Error> {
    if signatures.len() > MAX_SIGNATURES {
        let (found, limit) = (signatures.len() as u64, MAX_SIGNATURES as u64);
        return Err(Error::OverLimit { what: "signatures", found, limit });
    }
    let mut writer = BundleWriter::new(out);
    let mut packed = Vec::new();
    let before_tail = bundle.frames.split_last().map_or(&[][..], |(_, before)| before);
    for frame in before_tail {
        packed.resize(frame.size.packed as usize, 0);
        bundle.source.read_at(&mut packed, frame.packed_at).map_err(Error::io("reading the bundle"))?;
        writer.push(&packed, u64::from(frame.size.plain))?;
    }
    signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
    writer.finish(&Tail { signatures, ..bundle.tail().clone() })
}

/// Writes the bundle compressed at another level, cut into frames anew. The old frames are not proved here.
///
/// # Errors
/// Where a frame does not decode, or reading or writing fails.
pub fn recompress<S: Source, W: Output>(
    bundle: &Bundle<S>,
    contents: &Contents,
    level: i32,
    frame_bytes: u64,
    out: W,
    run: Run<'_>,
) -> Result<(W, u64), Error> {
    let mut writer = BundleWriter::new(out);
    let tail_at = bundle.frames.last().map_or(0, |frame| frame.plain_at);
    let cuts = contents.cuts(&bundle.head, tail_at, frame_bytes);
    ordered(
        run.threads,
        cuts.into_iter(),
        || {
            let mut encoder = FrameEncoder::new(level);
            let (mut decoder, mut packed, mut plain) = (FrameDecoder::default(), Vec::new(), Vec::new());
            move |cut: Cut| -> Result<(Vec<u8>, u64), Error> {
                let mut piece = Vec::with_capacity((cut.to - cut.from) as usize);
                let first = bundle.frames.partition_point(|frame| frame.end() <= cut.from);
                for frame in bundle.frames[first..].iter().take_while(|frame| frame.plain_at < cut.to) {
                    read_frame(&bundle.source, frame, &mut decoder, &mut packed, &mut plain)?;
                    let from = cut.from.saturating_sub(frame.plain_at) as usize;
                    let to = plain.len().min((cut.to - frame.plain_at) as usize);
                    piece.extend_from_slice(&plain[from..to]);
                }
                let mut out = Vec::new();
                encoder.encode(&piece, &mut out).map_err(Error::compressing)?;
                Ok((out, piece.len() as u64))
            }
        },
        |done| {
            let (packed, plain) = done?;
            writer.push(&packed, plain)?;
            run.watch.advance(plain);
            if run.watch.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        },
    )?;
    writer.finish(bundle.tail())
}
