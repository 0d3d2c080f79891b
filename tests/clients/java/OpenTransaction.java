import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.ResponseHeader;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Leaves a transaction open, for tools to look at: `--bootstrap-server BROKER ID TOPIC` writes one record to partition 0 with
 * a producer that stays; with a PRODUCER-ID behind, as a batch that was late does it whose transaction is over: to the leader, of
 * which BROKER is the address, and with no coordinator knowing of it.
 */
public final class OpenTransaction {
    private static final short BEFORE_TOPIC_IDS = 11;
    /** Nobody may close them: that aborts what is open. */
    private static final List<KafkaProducer<String, String>> OPEN = new ArrayList<>();

    private OpenTransaction() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 4) {
            open(arguments[1], arguments[2], arguments[3]);
        } else {
            late(arguments[1], arguments[2], arguments[3], Long.parseLong(arguments[4]));
        }
    }

    private static void open(String bootstrap, String id, String topic) throws Exception {
        KafkaProducer<String, String> producer = new KafkaProducer<>(Map.<String, Object>of("bootstrap.servers", bootstrap, "transactional.id", id,
                        "transaction.timeout.ms", 600_000),
                new StringSerializer(), new StringSerializer());
        OPEN.add(producer);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, null, "open")).get();
    }

    private static void late(String broker, String id, String topic, long producerId) throws Exception {
        MemoryRecords records = MemoryRecords.withTransactionalRecords(Compression.NONE, producerId, (short) 0, 0,
                new SimpleRecord(System.currentTimeMillis(), "late".getBytes(StandardCharsets.UTF_8)));
        ProduceRequestData.TopicProduceDataCollection topics = new ProduceRequestData.TopicProduceDataCollection();
        topics.add(new ProduceRequestData.TopicProduceData().setName(topic)
                .setPartitionData(List.of(new ProduceRequestData.PartitionProduceData().setIndex(0).setRecords(records))));
        ProduceRequest request = new ProduceRequest(new ProduceRequestData().setTransactionalId(id).setAcks((short) -1)
                .setTimeoutMs(30_000).setTopicData(topics), BEFORE_TOPIC_IDS);
        ByteBuffer bytes = request.serializeWithHeader(new RequestHeader(ApiKeys.PRODUCE, BEFORE_TOPIC_IDS, "late", 1));
        int colon = broker.lastIndexOf(':');
        try (Socket socket = new Socket(broker.substring(0, colon), Integer.parseInt(broker.substring(colon + 1)))) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            out.flush();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            ByteBuffer answer = ByteBuffer.wrap(in.readNBytes(in.readInt()));
            ResponseHeader.parse(answer, ApiKeys.PRODUCE.responseHeaderVersion(BEFORE_TOPIC_IDS));
            ProduceResponse response = new ProduceResponse(new ProduceResponseData(new ByteBufferAccessor(answer), BEFORE_TOPIC_IDS));
            Map<Errors, Integer> counts = response.errorCounts();
            Records.check(counts.equals(Map.of(Errors.NONE, 1)), "the late batch: %s", counts);
        }
    }
}
