//! How producers pack their records: four ways, all of them unpacked in this process.
//!
//! Pure. Must not know what is packed. What grows beyond a bound is refused before it fills the memory.

use super::wire::{Reader, Torn};
use std::io::Read;

/// Most that one batch of records may be when it is unpacked, in bytes.
const UNPACKED_MAX: usize = 128 * 1024 * 1024;
/// How Java's Snappy begins, which cuts its stream into blocks.
const SNAPPY_BLOCKS: &[u8] = b"\x82SNAPPY\x00";
/// Two version numbers follow.
const SNAPPY_HEAD: usize = SNAPPY_BLOCKS.len() + 8;

/// Why it cannot be unpacked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Sealed {
    /// A way that is not known here.
    #[error(
        "it is packed with the unknown codec {0}; let producers use none, gzip, snappy, lz4 or zstd"
    )]
    Codec(i16),
    /// It is not what it is said to be.
    #[error("it is packed with {0} and cannot be unpacked: {1}")]
    Broken(&'static str, String),
    /// It is too much.
    #[error("it has more than {UNPACKED_MAX} bytes unpacked")]
    Large,
}

/// Unpacks the records of a batch, packed with the codec of this number.
pub(super) fn unpack(codec: i16, packed: &[u8]) -> Result<Vec<u8>, Sealed> {
    match codec {
        0 => Ok(packed.to_vec()),
        1 => drain("gzip", flate2::read::MultiGzDecoder::new(packed)),
        2 => snappy(packed),
        3 => drain("lz4", lz4_flex::frame::FrameDecoder::new(packed)),
        4 => {
            let decoder = zstd::stream::read::Decoder::new(packed);
            drain("zstd", decoder.map_err(|e| broken("zstd", &e))?)
        }
        other => Err(Sealed::Codec(other)),
    }
}

fn broken(codec: &'static str, why: &dyn std::fmt::Display) -> Sealed {
    Sealed::Broken(codec, why.to_string())
}

fn drain(codec: &'static str, from: impl Read) -> Result<Vec<u8>, Sealed> {
    let mut out = Vec::new();
    let most = u64::try_from(UNPACKED_MAX).unwrap_or(u64::MAX);
    let read = from.take(most.saturating_add(1)).read_to_end(&mut out);
    read.map_err(|e| broken(codec, &e))?;
    if out.len() > UNPACKED_MAX {
        return Err(Sealed::Large);
    }
    Ok(out)
}

fn snappy(packed: &[u8]) -> Result<Vec<u8>, Sealed> {
    let mut out = Vec::new();
    if !packed.starts_with(SNAPPY_BLOCKS) {
        snappy_block(packed, &mut out)?;
        return Ok(out);
    }
    let torn = |e: Torn| broken("snappy", &e);
    let mut blocks = Reader::new(packed);
    blocks.take(SNAPPY_HEAD).map_err(torn)?;
    while !blocks.is_empty() {
        let block = blocks.bytes().map_err(torn)?.unwrap_or_default();
        snappy_block(block, &mut out)?;
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), Sealed> {
    let size = snap::raw::decompress_len(block).map_err(|e| broken("snappy", &e))?;
    if out.len().saturating_add(size) > UNPACKED_MAX {
        return Err(Sealed::Large);
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(block);
    out.extend(unpacked.map_err(|e| broken("snappy", &e))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text() -> Vec<u8> {
        b"homing ".repeat(50_000)
    }

    #[test]
    fn each_codec_gives_back_what_was_packed() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text()).unwrap();
        assert_eq!(unpack(1, &gzip.finish().unwrap()), Ok(text()));
        let snappy = snap::raw::Encoder::new().compress_vec(&text()).unwrap();
        assert_eq!(unpack(2, &snappy), Ok(text()));
        let mut blocks = SNAPPY_BLOCKS.to_vec();
        blocks.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        for _ in 0..2 {
            blocks.extend(u32::try_from(snappy.len()).unwrap().to_be_bytes());
            blocks.extend(&snappy);
        }
        assert_eq!(unpack(2, &blocks), Ok([text(), text()].concat()));
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text()).unwrap();
        assert_eq!(unpack(3, &lz4.finish().unwrap()), Ok(text()));
        let zstd = zstd::stream::encode_all(&text()[..], 1).unwrap();
        assert_eq!(unpack(4, &zstd), Ok(text()));
    }

    #[test]
    fn what_is_no_such_thing_is_refused_with_the_reason() {
        for codec in 1..=4 {
            let said = unpack(codec, b"hello").unwrap_err();
            assert!(matches!(said, Sealed::Broken(..)), "{codec}: {said}");
        }
        let said = unpack(7, b"").unwrap_err().to_string();
        assert!(said.contains("codec 7") && said.contains("lz4"), "{said}");
    }

    #[test]
    fn a_few_bytes_do_not_fill_the_memory() {
        let zeros = vec![0_u8; UNPACKED_MAX + 1];
        let zstd = zstd::stream::encode_all(&zeros[..], 1).unwrap();
        assert!(zstd.len() < 100_000);
        assert_eq!(unpack(4, &zstd), Err(Sealed::Large));
        // A block of Snappy says itself how much it will be.
        assert_eq!(
            unpack(2, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(Sealed::Large)
        );
    }
}
