//! Bytes that Kafka 4.4.0 wrote. `tests/golden/Golden.java` says how to write them again:
//! `java -cp $KAFKA_JARS Golden.java > kafka-4.4.0.txt`.

use bytes::Bytes;

const LINES: &str = include_str!("../golden/kafka-4.4.0.txt");

/// The bytes under a name.
pub(crate) fn golden(name: &str) -> Bytes {
    let mut lines = LINES.lines().filter_map(|line| line.split_once(' '));
    let (_, hex) = lines.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no golden {name:?}"));
    let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}
