//! The `transaction.version` of a marker (KIP-1228), for which WriteTxnMarkers has a field from version 2 on. `kafka-protocol` has
//! version 1, which is flexible: the field travels as a tagged one. Who does not send it means 0, as Kafka reads version 1.

use bytes::Bytes;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;

/// The tag. Kafka gives out its own from 0.
const TAG: i32 = 10_000;

/// The `transaction.version` under which a marker is written.
pub fn transaction_version(marker: &WritableTxnMarker) -> i16 {
    match marker.unknown_tagged_fields.get(&TAG).map(Bytes::as_ref) {
        Some([version]) => i16::from(version.cast_signed()),
        _ => 0,
    }
}

/// A marker that says under which `transaction.version` it is written.
#[must_use]
pub fn with_transaction_version(mut marker: WritableTxnMarker, version: i16) -> WritableTxnMarker {
    let byte = i8::try_from(version).unwrap_or(0).to_be_bytes();
    marker.unknown_tagged_fields.insert(TAG, Bytes::copy_from_slice(&byte));
    marker
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;

    #[test]
    fn a_marker_tells_its_version_over_the_wire() {
        assert_eq!(transaction_version(&WritableTxnMarker::default()), 0);
        let marker = with_transaction_version(WritableTxnMarker::default(), 2);
        let mut bytes = BytesMut::new();
        marker.encode(&mut bytes, 1).unwrap();
        let read = WritableTxnMarker::decode(&mut bytes.freeze(), 1).unwrap();
        assert_eq!(transaction_version(&read), 2);
    }
}
