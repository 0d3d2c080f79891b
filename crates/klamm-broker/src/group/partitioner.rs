//! Which partition of `__consumer_offsets` keeps a group.

/// Kafka's `Utils.abs(groupId.hashCode()) % partitions`: Java's hash of a string runs over UTF-16 units.
pub(crate) fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn hashes_are_javas() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE; the others are `jshell`'s answers.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("hello", 50), 99_162_322 % 50);
        // A letter outside the basic plane is two units.
        assert_eq!(partition_for("\u{1f600}", 1_000_003), 1_772_899 % 1_000_003);
    }
}
