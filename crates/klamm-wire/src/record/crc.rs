//! CRC-32C (Castagnoli), the checksum of magic v2 batches.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of one slice.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of two slices as if they were one.
pub fn crc32c_of_two(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(first);
    digest.update(second);
    // The library widens every CRC to 64 bits; the upper half of a 32-bit one is zero.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_castagnoli_polynomial() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c_of_two(b"12345", b"6789"), 0xe306_9283);
        assert_eq!(crc32c_of_two(b"", b""), 0);
    }
}
