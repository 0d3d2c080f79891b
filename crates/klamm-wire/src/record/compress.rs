//! The five codecs of record batches. Decompression is bounded: a bomb is an error, not memory.

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::ErrorCode;
use crate::record::error::RecordError;
use crate::record::lz4_high;

/// The level at which Kafka compresses LZ4 fast (`CompressionType.LZ4.defaultLevel`); at any other it searches for longer.
const LZ4_DEFAULT_LEVEL: i32 = 9;

/// How the records of a batch are compressed (`CompressionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// snappy, in snappy-java's block framing.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard; from Produce v7 on.
    Zstd = 4,
}

impl Compression {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec that a batch's attributes name in their lowest three bits; `None` for the three unassigned numbers.
    pub const fn from_attributes(attributes: i16) -> Option<Self> {
        match attributes & 0x07 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The codec with this name, as `compression.type` spells it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The number in a batch's attributes.
    pub const fn id(self) -> i16 {
        self as i16
    }

    /// The name that `compression.type` uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses `bytes`, giving up when more than `limit` bytes come out.
///
/// Uncompressed records are handed back as they are, whatever the limit.
pub fn decompress(codec: Compression, bytes: &Bytes, limit: usize) -> Result<Bytes, RecordError> {
    let input = &bytes[..];
    let out = match codec {
        Compression::None => return Ok(bytes.clone()),
        Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(input), limit),
        Compression::Snappy => snappy::decompress(input, limit),
        Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(input), limit),
        Compression::Zstd => zstd_codec::decompress(input, limit),
    };
    out.map(Bytes::from).map_err(|error| error.into_record_error(codec, limit))
}

/// Compresses `bytes`; `level` is the codec's own, its default when `None`.
pub fn compress(codec: Compression, bytes: &Bytes, level: Option<i32>) -> Result<Bytes, RecordError> {
    let out = match codec {
        Compression::None => return Ok(bytes.clone()),
        Compression::Gzip => gzip(bytes, level),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => match level {
            None | Some(LZ4_DEFAULT_LEVEL) => lz4(bytes),
            Some(level) => Ok(lz4_high::frame(bytes, level)),
        },
        Compression::Zstd => zstd_codec::compress(bytes, level),
    };
    out.map(Bytes::from).map_err(|error| error.into_record_error(codec, usize::MAX))
}

/// Why a codec gave up.
enum CodecError {
    TooLarge,
    #[cfg_attr(feature = "zstd", expect(dead_code, reason = "only a build without the zstd feature says so"))]
    NotBuiltIn,
    Io(io::Error),
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl CodecError {
    fn into_record_error(self, codec: Compression, limit: usize) -> RecordError {
        let name = codec.name();
        match self {
            Self::TooLarge => {
                RecordError::invalid(format!("the {name} records of a batch expand beyond {limit} bytes"))
            }
            Self::NotBuiltIn => RecordError::new(
                ErrorCode::UnsupportedCompressionType,
                format!("this build of klamm has no {name}"),
            ),
            // Kafka lets the codec's exception escape, and answers with its catch-all code.
            Self::Io(error) => RecordError::new(
                ErrorCode::UnknownServerError,
                format!("failed to decompress the {name} records of a batch: {error}"),
            ),
        }
    }
}

fn read_bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    reader.take((limit as u64).saturating_add(1)).read_to_end(&mut out)?;
    if out.len() > limit { Err(CodecError::TooLarge) } else { Ok(out) }
}

fn gzip(bytes: &[u8], level: Option<i32>) -> Result<Vec<u8>, CodecError> {
    let level = match level {
        Some(level @ 0..=9) => flate2::Compression::new(level.unsigned_abs()),
        _ => flate2::Compression::default(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn lz4(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    // What Kafka's Lz4BlockOutputStream writes: independent blocks of 64 KiB, no checksums.
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.finish().map_err(io::Error::from)?)
}

/// snappy-java's framing: a 16-byte head, then blocks, each behind its length. Bytes without that head are one raw
/// block, as snappy-java reads them too.
mod snappy {
    use super::CodecError;
    use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};
    use std::io;

    const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
    const HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    const BLOCK: usize = 32 * 1024;
    /// Three bytes of input can stand for 64 of output, and no more.
    const MAX_RATIO: usize = 22;

    pub(super) fn decompress(mut input: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        if !input.starts_with(&MAGIC) {
            block(input, limit, &mut out)?;
            return Ok(out);
        }
        while !input.is_empty() {
            if input.starts_with(&MAGIC) {
                input = input.get(HEAD.len()..).ok_or_else(cut_off)?;
                continue;
            }
            let len = input.split_off(..4).ok_or_else(cut_off)?;
            let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
            block(input.split_off(..len).ok_or_else(cut_off)?, limit, &mut out)?;
        }
        Ok(out)
    }

    fn block(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let len = decompress_len(input).map_err(io::Error::from)?;
        if len > limit.saturating_sub(out.len()) {
            return Err(CodecError::TooLarge);
        }
        if len > input.len().saturating_mul(MAX_RATIO) {
            return Err(CodecError::Io(io::Error::other("a block claims more than it can hold")));
        }
        let start = out.len();
        out.resize(start + len, 0);
        Decoder::new().decompress(input, &mut out[start..]).map_err(io::Error::from)?;
        Ok(())
    }

    pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut out = HEAD.to_vec();
        let mut encoder = Encoder::new();
        for block in bytes.chunks(BLOCK) {
            let start = out.len();
            out.resize(start + 4 + max_compress_len(block.len()), 0);
            let len = encoder.compress(block, &mut out[start + 4..]).map_err(io::Error::from)?;
            // A block of 32 KiB compresses to far less than 4 GiB.
            out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
            out.truncate(start + 4 + len);
        }
        Ok(out)
    }

    fn cut_off() -> CodecError {
        CodecError::Io(io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

#[cfg(feature = "zstd")]
mod zstd_codec {
    use super::{CodecError, read_bounded};

    pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
        read_bounded(zstd::stream::read::Decoder::with_buffer(input)?, limit)
    }

    pub(super) fn compress(bytes: &[u8], level: Option<i32>) -> Result<Vec<u8>, CodecError> {
        Ok(zstd::stream::encode_all(bytes, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))?)
    }
}

#[cfg(not(feature = "zstd"))]
mod zstd_codec {
    use super::CodecError;

    pub(super) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::NotBuiltIn)
    }

    pub(super) fn compress(_: &[u8], _: Option<i32>) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::NotBuiltIn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took() {
        let long: Vec<u8> = (0..200_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for sample in [Bytes::new(), Bytes::from_static(b"x"), Bytes::from(long)] {
            for codec in Compression::ALL {
                let packed = compress(codec, &sample, None).unwrap();
                assert_eq!(decompress(codec, &packed, sample.len()).unwrap(), sample, "{codec:?}");
            }
        }
    }

    #[test]
    fn a_bomb_is_an_error() {
        let zeros = Bytes::from(vec![0u8; 4 << 20]);
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let packed = compress(codec, &zeros, None).unwrap();
            let error = decompress(codec, &packed, zeros.len() - 1).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRecord, "{codec:?}: {error}");
        }
    }

    #[test]
    fn raw_snappy_is_read_too() {
        let text = Bytes::from_static(b"a raw block, as some clients send it, without snappy-java's head");
        let raw = Bytes::from(snap::raw::Encoder::new().compress_vec(&text).unwrap());
        assert_eq!(decompress(Compression::Snappy, &raw, 1000).unwrap(), text);
    }

    #[test]
    fn nonsense_is_an_error_in_every_codec() {
        let nonsense = Bytes::from_static(b"\xff\xff\xff\xff\x0f nonsense that no codec wrote");
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            decompress(codec, &nonsense, 1 << 20).unwrap_err();
        }
    }
}
