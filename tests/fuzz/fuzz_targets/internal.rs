//! Keys and values of the internal topics, and metadata records.

#![no_main]

use bytes::Bytes;
use klamm_wire::internal::Schema;
use klamm_wire::internal::metadata::MetadataRecord;
use klamm_wire::internal::offsets::{GroupMetadataValue, GroupRecordKey, OffsetCommitValue};
use klamm_wire::internal::txn::{TransactionLogValue, TransactionRecordKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok((record, version)) = MetadataRecord::decode(&bytes) {
        let again = record.encode(version).expect("what was read can be written");
        assert_eq!(MetadataRecord::decode(&again).map(|(record, _)| record.encode(version)), Ok(Ok(again)));
    }
    if let Ok(key) = GroupRecordKey::decode(&bytes) {
        assert_eq!(key.encode(), Ok(bytes.clone()));
    }
    if let Ok(key) = TransactionRecordKey::decode(&bytes) {
        assert_eq!(key.encode(), Ok(bytes.clone()));
    }
    let _ = OffsetCommitValue::from_versioned_bytes(&bytes);
    let _ = GroupMetadataValue::from_versioned_bytes(&bytes);
    let _ = TransactionLogValue::from_versioned_bytes(&bytes);
});
