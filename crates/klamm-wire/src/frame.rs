//! Frames: four bytes of length, then that many bytes (`NetworkReceive`).

use bytes::{Buf, Bytes, BytesMut};

use crate::api::{ApiKey, FrameError};

/// The largest request that a broker takes unless told otherwise (`socket.request.max.bytes`), in bytes.
pub const DEFAULT_MAX_FRAME: usize = 100 * 1024 * 1024;

/// Size of the length in front of a frame, in bytes.
pub const PREFIX_LEN: usize = 4;

/// Takes the first frame out of `buffer`, without its length; `Ok(None)` when it is not complete yet.
///
/// Shares the buffer's memory. Nothing is reserved for a length that a client merely claims: while a frame is
/// incomplete, [`missing`] tells how many bytes are still to come.
pub fn split_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(len) = frame_len(buffer, max)? else { return Ok(None) };
    if buffer.len() < PREFIX_LEN + len {
        return Ok(None);
    }
    buffer.advance(PREFIX_LEN);
    Ok(Some(buffer.split_to(len).freeze()))
}

/// How many bytes the first frame in `buffer` still lacks; as many as the length itself lacks when it is not there.
pub fn missing(buffer: &[u8], max: usize) -> Result<usize, FrameError> {
    Ok(match frame_len(buffer, max)? {
        Some(len) => (PREFIX_LEN + len).saturating_sub(buffer.len()),
        None => PREFIX_LEN - buffer.len(),
    })
}

fn frame_len(mut buffer: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    if buffer.len() < PREFIX_LEN {
        return Ok(None);
    }
    let len = buffer.get_i32();
    match usize::try_from(len) {
        Ok(len) if len <= max => Ok(Some(len)),
        _ => Err(FrameError::Size { len, max }),
    }
}

/// What a frame says in its first bytes, without decoding it: for log lines about frames that cannot be decoded.
pub fn peek_api(frame: &[u8]) -> Option<(Result<ApiKey, i16>, i16)> {
    let (key, version) = (frame.get(..2)?, frame.get(2..4)?);
    let key = i16::from_be_bytes([key[0], key[1]]);
    let version = i16::from_be_bytes([version[0], version[1]]);
    Some((ApiKey::try_from(key).map_err(|()| key), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_one_by_one() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03c"[..]);
        assert_eq!(split_frame(&mut buffer, 10).unwrap().unwrap(), "ab");
        assert_eq!(split_frame(&mut buffer, 10).unwrap().unwrap(), "");
        assert_eq!(split_frame(&mut buffer, 10).unwrap(), None);
        assert_eq!(missing(&buffer, 10).unwrap(), 2);
        assert_eq!(missing(&buffer[..1], 10).unwrap(), 3);
    }

    #[test]
    fn negative_and_oversized_lengths_are_refused() {
        for len in [-1, i32::MIN, 11, i32::MAX] {
            let mut buffer = BytesMut::from(&len.to_be_bytes()[..]);
            assert_eq!(split_frame(&mut buffer, 10), Err(FrameError::Size { len, max: 10 }));
            assert_eq!(missing(&buffer, 10), Err(FrameError::Size { len, max: 10 }));
        }
    }
}
