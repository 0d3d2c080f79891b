//! Kafka's variable-length integers: seven bits a byte, least significant first; signed ones zigzag
//! (`org.apache.kafka.common.utils.ByteUtils`).

use bytes::BufMut;

/// Reads an unsigned varint of up to 32 bits from the front of `bytes`; `None` when it is cut off or too long.
pub fn read_unsigned(bytes: &mut &[u8]) -> Option<u32> {
    // Almost every varint in a record is one byte.
    if let Some((&first, rest)) = bytes.split_first()
        && first < 0x80
    {
        *bytes = rest;
        return Some(u32::from(first));
    }
    let mut value = 0u32;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if i == 4 && bits > 0x0f {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

/// Reads a zigzag varint of up to 32 bits.
pub fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let raw = read_unsigned(bytes)?;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads a zigzag varint of up to 64 bits.
pub fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let mut raw = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        raw |= bits << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    None
}

/// Writes an unsigned varint.
pub fn write_unsigned(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a zigzag varint of 32 bits.
pub fn write_i32(out: &mut impl BufMut, value: i32) {
    write_unsigned(out, zigzag32(value));
}

/// Writes a zigzag varint of 64 bits.
pub fn write_i64(out: &mut impl BufMut, value: i64) {
    let mut raw = zigzag64(value);
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// How many bytes [`write_unsigned`] takes for `value`.
pub const fn len_unsigned(value: u32) -> usize {
    ((38 - (value | 1).leading_zeros()) / 7) as usize
}

/// How many bytes [`write_i32`] takes for `value`.
pub const fn len_i32(value: i32) -> usize {
    len_unsigned(zigzag32(value))
}

/// How many bytes [`write_i64`] takes for `value`.
pub const fn len_i64(value: i64) -> usize {
    ((70 - (zigzag64(value) | 1).leading_zeros()) / 7) as usize
}

const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_has_the_length_foretold() {
        let mut values = vec![0i64, -1, 1, i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN)];
        for shift in 0..63 {
            values.extend([1i64 << shift, (1 << shift) - 1, -(1 << shift)]);
        }
        for value in values {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(out.len(), len_i64(value), "{value}");
            assert_eq!(read_i64(&mut out.as_slice()), Some(value));
            let Ok(small) = i32::try_from(value) else { continue };
            let mut out = Vec::new();
            write_i32(&mut out, small);
            assert_eq!(out.len(), len_i32(small), "{small}");
            assert_eq!(read_i32(&mut out.as_slice()), Some(small));
        }
    }

    #[test]
    fn too_long_and_cut_off_are_refused() {
        assert_eq!(read_unsigned(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Some(u32::MAX));
        assert_eq!(read_unsigned(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(read_unsigned(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), None);
        assert_eq!(read_unsigned(&mut &[0x80][..]), None);
        assert_eq!(read_i64(&mut &[0xff; 10][..]), None);
        assert_eq!(read_i64(&mut &[][..]), None);
    }
}
