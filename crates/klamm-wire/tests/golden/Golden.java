import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.metadata.*;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.coordinator.group.generated.*;
import org.apache.kafka.coordinator.transaction.generated.*;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/** Prints what Kafka itself writes, as "name hex" lines; tests/it compares klamm with them. */
public class Golden {
    static void print(String name, ByteBuffer bytes) {
        byte[] out = new byte[bytes.remaining()];
        bytes.duplicate().get(out);
        System.out.println(name + " " + HexFormat.of().formatHex(out));
    }

    static void metadata(String name, ApiMessage message, int version) {
        ApiMessageAndVersion record = new ApiMessageAndVersion(message, (short) version);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = MetadataRecordSerde.INSTANCE.recordSize(record, cache);
        ByteBufferAccessor out = new ByteBufferAccessor(ByteBuffer.allocate(size));
        MetadataRecordSerde.INSTANCE.write(record, cache, out);
        out.flip();
        print(name, out.buffer());
    }

    static byte[] text(String text) {
        return text == null ? null : text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    static void append(MemoryRecordsBuilder builder) {
        Header[] headers = {
            new RecordHeader("trace", text("abc")),
            new RecordHeader("trace", null),
            new RecordHeader("", text("")),
        };
        builder.append(new SimpleRecord(1000, text("key"), text("value"), headers));
        builder.append(new SimpleRecord(3000, null, text("x".repeat(500))));
        builder.append(new SimpleRecord(2000, text("gone"), null));
    }

    static void batches() {
        List<Compression> codecs = List.of(Compression.NONE, Compression.gzip().build(),
            Compression.snappy().build(), Compression.lz4().build(), Compression.zstd().build());
        for (Compression codec : codecs) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, codec,
                TimestampType.CREATE_TIME, 70, -1, 4000, (short) 3, 17, true, 5);
            append(builder);
            print("batch-" + codec.type().name, builder.build().buffer());
        }
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, Compression.NONE,
            TimestampType.LOG_APPEND_TIME, 0, 9999);
        append(builder);
        print("batch-log-append-time", builder.build().buffer());
        print("marker-commit", MemoryRecords.withEndTransactionMarker(12, 777, 6, 4000, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 8)).buffer());
        print("marker-abort", MemoryRecords.withEndTransactionMarker(0, 778, -1, 4001, (short) 0,
            new EndTransactionMarker(ControlRecordType.ABORT, 0)).buffer());
    }

    static void groups() {
        print("offset-key", MessageUtil.toCoordinatorTypePrefixedByteBuffer(
            new OffsetCommitKey().setGroup("g").setTopic("orders").setPartition(3)));
        OffsetCommitValue offset = new OffsetCommitValue().setOffset(42).setLeaderEpoch(7).setMetadata("m")
            .setCommitTimestamp(1000);
        for (short version = 0; version <= 3; version++)
            print("offset-value-" + version, MessageUtil.toVersionPrefixedByteBuffer(version,
                version == 1 ? offset.duplicate().setExpireTimestamp(2000) : offset));
        print("offset-value-4", MessageUtil.toVersionPrefixedByteBuffer((short) 4,
            offset.duplicate().setTopicId(new Uuid(1, 2))));
        print("group-key", MessageUtil.toCoordinatorTypePrefixedByteBuffer(new GroupMetadataKey().setGroup("g")));
        GroupMetadataValue group = new GroupMetadataValue().setProtocolType("consumer").setGeneration(5)
            .setProtocol("range").setLeader("a-1").setCurrentStateTimestamp(99)
            .setMembers(List.of(new GroupMetadataValue.MemberMetadata().setMemberId("a-1").setGroupInstanceId("i")
                .setClientId("a").setClientHost("/127.0.0.1").setRebalanceTimeout(1).setSessionTimeout(2)
                .setSubscription(text("sub")).setAssignment(text("asg"))));
        for (short version = 0; version <= 4; version++)
            print("group-value-" + version, MessageUtil.toVersionPrefixedByteBuffer(version, group));
        print("consumer-group-key", MessageUtil.toCoordinatorTypePrefixedByteBuffer(
            new ConsumerGroupMetadataKey().setGroupId("g")));
        print("consumer-member-value", MessageUtil.toVersionPrefixedByteBuffer((short) 0,
            new ConsumerGroupMemberMetadataValue().setClientId("c").setClientHost("h")
                .setSubscribedTopicNames(List.of("t")).setRebalanceTimeoutMs(3).setServerAssignor("uniform")
                .setClassicMemberMetadata(new ConsumerGroupMemberMetadataValue.ClassicMemberMetadata()
                    .setSessionTimeoutMs(4).setSupportedProtocols(List.of(
                        new ConsumerGroupMemberMetadataValue.ClassicProtocol().setName("range")
                            .setMetadata(text("meta")))))));
    }

    static void transactions() {
        print("txn-key", MessageUtil.toCoordinatorTypePrefixedByteBuffer(
            new TransactionLogKey().setTransactionalId("pay")));
        TransactionLogValue value = new TransactionLogValue().setProducerId(9).setProducerEpoch((short) 1)
            .setTransactionTimeoutMs(60000).setTransactionStatus((byte) 1)
            .setTransactionPartitions(List.of(new TransactionLogValue.PartitionsSchema().setTopic("orders")
                .setPartitionIds(List.of(0, 2)))).setTransactionLastUpdateTimestampMs(5)
            .setTransactionStartTimestampMs(4);
        print("txn-value-0", MessageUtil.toVersionPrefixedByteBuffer((short) 0, value));
        print("txn-value-1", MessageUtil.toVersionPrefixedByteBuffer((short) 1,
            value.duplicate().setPreviousProducerId(8).setNextProducerId(10).setClientTransactionVersion((short) 2)));
    }

    static void metadata() {
        metadata("topic", new TopicRecord().setName("orders").setTopicId(new Uuid(1, 2)), 0);
        PartitionRecord partition = new PartitionRecord().setPartitionId(1).setTopicId(new Uuid(1, 2))
            .setReplicas(List.of(1, 2, 3)).setIsr(List.of(1, 2)).setLeader(1).setLeaderEpoch(4).setPartitionEpoch(5);
        metadata("partition-0", partition, 0);
        partition.setDirectories(List.of(new Uuid(3, 4))).setLeaderRecoveryState((byte) 1);
        metadata("partition-1", partition, 1);
        partition.setEligibleLeaderReplicas(List.of(3)).setLastKnownElr(List.of());
        metadata("partition-2", partition, 2);
        metadata("partition-change", new PartitionChangeRecord().setPartitionId(1).setTopicId(new Uuid(1, 2))
            .setIsr(List.of(1)).setLeader(-1), 0);
        metadata("broker", new RegisterBrokerRecord().setBrokerId(1).setIncarnationId(new Uuid(5, 6))
            .setBrokerEpoch(7).setEndPoints(new RegisterBrokerRecord.BrokerEndpointCollection(List.of(
                new RegisterBrokerRecord.BrokerEndpoint().setName("PLAINTEXT").setHost("h").setPort(65535)
                    .setSecurityProtocol((short) 0)).iterator()))
            .setFeatures(new RegisterBrokerRecord.BrokerFeatureCollection(List.of(
                new RegisterBrokerRecord.BrokerFeature().setName("metadata.version")
                    .setMinSupportedVersion((short) 1).setMaxSupportedVersion((short) 27)).iterator()))
            .setRack(null).setFenced(true).setLogDirs(List.of(new Uuid(8, 9))), 3);
        metadata("config", new ConfigRecord().setResourceType((byte) 2).setResourceName("orders")
            .setName("retention.ms").setValue(null), 0);
        metadata("quota", new ClientQuotaRecord().setEntity(List.of(new ClientQuotaRecord.EntityData()
            .setEntityType("user").setEntityName(null))).setKey("producer_byte_rate").setValue(1.5), 0);
        metadata("no-op", new NoOpRecord(), 0);
    }

    public static void main(String[] arguments) {
        batches();
        groups();
        transactions();
        metadata();
    }
}
