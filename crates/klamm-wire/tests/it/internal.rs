//! The internal records: what Kafka wrote is read, and written back the same.

use bytes::Bytes;
use klamm_wire::StrBytes;
use klamm_wire::internal::metadata::*;
use klamm_wire::internal::offsets::*;
use klamm_wire::internal::txn::*;
use klamm_wire::internal::{Schema, SchemaError};
use proptest::prelude::*;

use crate::golden::golden;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Reads a version-prefixed value and writes it back.
fn value<T: Schema + PartialEq + std::fmt::Debug>(name: &str, version: i16) -> T {
    let bytes = golden(name);
    let (value, read_version) = T::from_versioned_bytes(&bytes).unwrap();
    assert_eq!(read_version, version, "{name}");
    assert_eq!(value.to_versioned_bytes(version).unwrap(), bytes, "{name}");
    for len in 0..bytes.len() {
        T::from_versioned_bytes(&bytes.slice(..len)).unwrap_err();
    }
    value
}

fn record(name: &str) -> MetadataRecord {
    let bytes = golden(name);
    let (record, version) = MetadataRecord::decode(&bytes).unwrap();
    assert_eq!(record.encode(version).unwrap(), bytes, "{name}");
    for len in 0..bytes.len() {
        MetadataRecord::decode(&bytes.slice(..len)).unwrap_err();
    }
    record
}

#[test]
fn offsets_are_what_kafka_writes() {
    let key = OffsetCommitKey { group: text("g"), topic: text("orders"), partition: 3 };
    assert_eq!(GroupRecordKey::decode(&golden("offset-key")).unwrap(), key.clone().into());
    assert_eq!(GroupRecordKey::from(key).encode().unwrap(), golden("offset-key"));
    for version in 0..=4 {
        let value: OffsetCommitValue = value(&format!("offset-value-{version}"), version);
        assert_eq!((value.offset, value.commit_timestamp), (42, 1000));
        assert_eq!(value.leader_epoch, if version >= 3 { 7 } else { -1 });
        assert_eq!(value.expire_timestamp, if version == 1 { 2000 } else { -1 });
        assert_eq!(value.topic_id.is_nil(), version < 4);
    }
}

#[test]
fn groups_are_what_kafka_writes() {
    let key = GroupRecordKey::from(GroupMetadataKey { group: text("g") });
    assert_eq!(key.encode().unwrap(), golden("group-key"));
    let key = GroupRecordKey::from(ConsumerGroupMetadataKey { group_id: text("g") });
    assert_eq!(GroupRecordKey::decode(&golden("consumer-group-key")).unwrap(), key);
    for version in 0..=4 {
        let value: GroupMetadataValue = value(&format!("group-value-{version}"), version);
        assert_eq!((value.generation, value.members.len()), (5, 1));
        assert_eq!(value.members[0].group_instance_id.is_some(), version >= 3);
    }
    let member: ConsumerGroupMemberMetadataValue = value("consumer-member-value", 0);
    let classic = member.classic_member_metadata.unwrap();
    assert_eq!((classic.session_timeout_ms, &classic.supported_protocols[0].name), (4, &text("range")));
}

#[test]
fn transactions_are_what_kafka_writes() {
    let key = TransactionRecordKey::from(TransactionLogKey { transactional_id: text("pay") });
    assert_eq!(key.encode().unwrap(), golden("txn-key"));
    for version in 0..=1 {
        let value: TransactionLogValue = value(&format!("txn-value-{version}"), version);
        assert_eq!(value.transaction_partitions.unwrap()[0].partition_ids, [0, 2]);
        assert_eq!(value.next_producer_id, if version == 1 { 10 } else { -1 });
    }
}

#[test]
fn metadata_records_are_what_kafka_writes() {
    let MetadataRecord::Topic(topic) = record("topic") else { panic!() };
    assert_eq!(topic.name, text("orders"));
    for version in 0..=2 {
        let MetadataRecord::Partition(partition) = record(&format!("partition-{version}")) else { panic!() };
        assert_eq!((partition.replicas, partition.leader_epoch), (vec![1, 2, 3], 4));
        assert_eq!(partition.eligible_leader_replicas, (version == 2).then(|| vec![3]));
        assert_eq!(partition.last_known_elr, (version == 2).then(Vec::new));
    }
    let MetadataRecord::PartitionChange(change) = record("partition-change") else { panic!() };
    assert_eq!((change.isr, change.replicas, change.leader), (Some(vec![1]), None, -1));
    let MetadataRecord::RegisterBroker(broker) = record("broker") else { panic!() };
    assert_eq!((broker.end_points[0].port, broker.rack, broker.log_dirs.len()), (65535, None, 1));
    assert!(matches!(record("config"), MetadataRecord::Config(ConfigRecord { value: None, .. })));
    let MetadataRecord::ClientQuota(quota) = record("quota") else { panic!() };
    assert_eq!((quota.value, &quota.entity[0].entity_name), (1.5, &None));
    assert_eq!(record("no-op"), NoOpRecord::default().into());
}

#[test]
fn versions_and_fields_that_do_not_fit_are_refused() {
    let partition = PartitionRecord { eligible_leader_replicas: Some(vec![]), ..PartitionRecord::default() };
    assert_eq!(
        MetadataRecord::from(partition).encode(1),
        Err(SchemaError::NotInVersion { field: "PartitionRecord.eligible_leader_replicas", version: 1 })
    );
    let unsupported = |version| Err(SchemaError::UnsupportedVersion { name: "TopicRecord", version });
    assert_eq!(MetadataRecord::from(TopicRecord::default()).encode(1), unsupported(1));
    let decode = |bytes: &'static [u8]| MetadataRecord::decode(&Bytes::from_static(bytes)).unwrap_err();
    assert_eq!(decode(b"\x00\x02\x00"), SchemaError::UnknownFrame(0));
    assert_eq!(decode(b"\x01\x7f\x00"), SchemaError::UnknownType(127));
    assert_eq!(decode(b"\x01\x14\x00\x00\x00"), SchemaError::TrailingBytes(1));
    let key = GroupRecordKey::decode(&Bytes::from_static(b"\x00\x63")).unwrap_err();
    assert_eq!(key, SchemaError::UnknownType(99));
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut bytes = golden("no-op").to_vec();
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend([1, 9, 2, 0xaa, 0xbb]);
    assert_eq!(MetadataRecord::decode(&bytes.into()).unwrap().0, NoOpRecord::default().into());
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_written_back(
        key in 0u8..30,
        version in 0u8..5,
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[1, key, version][..], &tail[..]].concat();
        if let Ok((record, version)) = MetadataRecord::decode(&bytes.into()) {
            let again = record.encode(version).unwrap();
            prop_assert_eq!(MetadataRecord::decode(&again).unwrap().0.encode(version).unwrap(), again);
        }
    }
}
