// sarama: idempotent producers, a sticky group, and the cluster admin.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	. "klamm/clients/common"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

var compressions = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func main() {
	if os.Getenv("SARAMA_DEBUG") != "" {
		sarama.Logger = log.New(os.Stderr, "", log.LstdFlags|log.Lmicroseconds)
	}
	Main("sarama", run)
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_3_0_0
	config.ClientID = "sarama"
	config.Metadata.Retry.Backoff = 50 * time.Millisecond
	return config
}

func produce(bootstrap, topic string, records *Records, codec string, from, to int) {
	config := config()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Compression = compressions[codec]
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer(Seeds(bootstrap), config)
	Must(err, "producer")
	go func() {
		for n := from; n < to; n++ {
			message := &sarama.ProducerMessage{
				Topic: topic, Key: sarama.ByteEncoder(records.Key(n)), Timestamp: time.UnixMilli(records.Timestamp(n)),
			}
			if value := records.Value(n); value != nil {
				message.Value = sarama.ByteEncoder(value)
			}
			for _, header := range records.Headers(n) {
				message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
			}
			producer.Input() <- message
		}
	}()
	for acked := from; acked < to; acked++ {
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			Must(err.Err, codec)
		case <-time.After(60 * time.Second):
			Check(false, "%s: only %d acks", codec, acked-from)
		}
	}
	Must(producer.Close(), "close")
}

// A member of the group, and the handler of its sessions.
type member struct {
	group   sarama.ConsumerGroup
	checker *Checker
	owned   atomic.Int32
	cancel  context.CancelFunc
	done    chan struct{}
}

func start(i int, bootstrap, topic, group string, checker *Checker) *member {
	config := config()
	config.ClientID = fmt.Sprintf("m%d", i)
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 20 * time.Second
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	consumers, err := sarama.NewConsumerGroup(Seeds(bootstrap), group, config)
	Must(err, "group")
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: consumers, checker: checker, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			err := consumers.Consume(ctx, []string{topic}, m)
			Check(err == nil || errors.Is(err, sarama.ErrClosedConsumerGroup), "m%d: %v", i, err)
		}
		Must(consumers.Close(), "close")
	}()
	return m
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	for _, partitions := range session.Claims() {
		m.owned.Store(int32(len(partitions)))
	}
	return nil
}

// Cleanup commits what was processed; the group waits for it before it hands the partitions on.
func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	m.owned.Store(0)
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open || session.Context().Err() != nil {
				return nil
			}
			m.checker.Accept(plain(message))
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) Owned() int { return int(m.owned.Load()) }

func (m *member) Leave() {
	m.cancel()
	<-m.done
}

func plain(message *sarama.ConsumerMessage) Record {
	headers := make([]Header, 0, len(message.Headers))
	for _, header := range message.Headers {
		headers = append(headers, Header{Key: string(header.Key), Value: header.Value})
	}
	return Record{Partition: message.Partition, Offset: message.Offset, Timestamp: message.Timestamp.UnixMilli(),
		Key: message.Key, Value: message.Value, Headers: headers}
}

func run(bootstrap, topic string) string {
	group := "g-" + topic
	records := NewRecords(codecs)
	admin, err := sarama.NewClusterAdmin(Seeds(bootstrap), config())
	Must(err, "admin")
	create(admin, topic)
	for c, codec := range codecs {
		produce(bootstrap, topic, records, codec, c*PerCodec, (c+1)*PerCodec)
	}

	checker := records.NewChecker(0, records.Total)
	Dance(func(i int) Member { return start(i, bootstrap, topic, group, checker) }, checker, func() {
		Await("a stable group of four", func() bool {
			described, err := admin.DescribeConsumerGroups([]string{group})
			Must(err, "describe group")
			return described[0].State == "Stable" && len(described[0].Members) == 4 && described[0].Protocol == "sticky"
		})
	})
	ends := checker.Next
	committed(admin, group, topic, ends)

	produce(bootstrap, topic, records, "none", records.Total, records.Total+Resumed)
	resumed := records.NewChecker(records.Total, records.Total+Resumed)
	for p, end := range ends {
		resumed.Next[p] = end
	}
	last := start(9, bootstrap, topic, group, resumed)
	Await("the resumed records", resumed.Complete)
	last.Leave()
	ends = resumed.Next
	committed(admin, group, topic, ends)

	seekAndLookUp(bootstrap, topic, records, checker, ends)
	describe(admin, topic, group)
	return fmt.Sprintf("records=%d codecs=%d", records.Total+Resumed, len(codecs))
}

func create(admin sarama.ClusterAdmin, topic string) {
	brokers, controller, err := admin.DescribeCluster()
	Must(err, "describe cluster")
	Check(len(brokers) == 3 && controller > 0, "cluster: %v, controller %d", brokers, controller)
	retention := "86400000"
	detail := &sarama.TopicDetail{
		NumPartitions: Partitions, ReplicationFactor: Replicas, ConfigEntries: map[string]*string{"retention.ms": &retention},
	}
	Must(admin.CreateTopic(topic, detail, false), "create topic")
	Check(errors.Is(admin.CreateTopic(topic, detail, false), sarama.ErrTopicAlreadyExists), "created twice")
	Await("in-sync replicas", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		Must(err, "describe topic")
		good := len(described[0].Partitions) == Partitions
		for _, p := range described[0].Partitions {
			good = good && p.Err == sarama.ErrNoError && p.Leader > 0 && len(p.Replicas) == Replicas && len(p.Isr) == Replicas
		}
		return good
	})
}

func committed(admin sarama.ClusterAdmin, group, topic string, ends map[int32]int64) {
	answer, err := admin.ListConsumerGroupOffsets(group, nil)
	Must(err, "list group offsets")
	Check(len(answer.Blocks[topic]) == len(ends), "committed %v", answer.Blocks)
	for p, end := range ends {
		Check(answer.Blocks[topic][p].Offset == end, "committed %d of partition %d, not %d", answer.Blocks[topic][p].Offset, p, end)
	}
}

func seekAndLookUp(bootstrap, topic string, records *Records, checker *Checker, ends map[int32]int64) {
	config := config()
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	client, err := sarama.NewClient(Seeds(bootstrap), config)
	Must(err, "client")
	consumer, err := sarama.NewConsumerFromClient(client)
	Must(err, "consumer")
	middle := records.Total / 2
	for p, end := range ends {
		found, err := client.GetOffset(topic, p, records.Timestamp(middle))
		Must(err, "offset by timestamp")
		Check(found == checker.OffsetAt(p, middle), "timestamp: %d is %d, not %d", p, found, checker.OffsetAt(p, middle))
		oldest, err := client.GetOffset(topic, p, sarama.OffsetOldest)
		Must(err, "oldest offset")
		newest, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		Must(err, "newest offset")
		Check(oldest == 0 && newest == end, "watermarks of %d: %d %d", p, oldest, newest)
		for _, begin := range []int64{end / 2, end / 3, 0} {
			partition, err := consumer.ConsumePartition(topic, p, begin)
			Must(err, "consume partition")
			for offset := begin; offset < begin+10; offset++ {
				select {
				case message := <-partition.Messages():
					Check(message.Offset == offset, "seek %d-%d: %d", p, offset, message.Offset)
					Check(Number(plain(message)) == checker.NumberAt(p, offset), "seek %d-%d: another record", p, offset)
				case <-time.After(30 * time.Second):
					Check(false, "nothing at %d-%d", p, offset)
				}
			}
			Must(partition.Close(), "close")
		}
	}
	Must(consumer.Close(), "close")
	Must(client.Close(), "close")
}

func describe(admin sarama.ClusterAdmin, topic, group string) {
	topics, err := admin.ListTopics()
	Must(err, "list topics")
	Check(topics[topic].NumPartitions == Partitions, "listed %v", topics[topic])
	value := func(name string) string {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
		Must(err, "describe config")
		for _, entry := range entries {
			if entry.Name == name {
				return entry.Value
			}
		}
		return ""
	}
	Check(value("retention.ms") == "86400000", "retention.ms %s", value("retention.ms"))
	size, retention := "2000000", "43200000"
	Must(admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &size},
	}, false), "incremental alter configs")
	Await("the changed config", func() bool { return value("max.message.bytes") == size && value("retention.ms") == "86400000" })
	Must(admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &retention}, false), "alter configs")
	Await("the replaced config", func() bool { return value("max.message.bytes") == "1048588" && value("retention.ms") == retention })

	groups, err := admin.ListConsumerGroups()
	Must(err, "list groups")
	Check(groups[group] == "consumer", "listed groups: %v", groups)
	dirs, err := admin.DescribeLogDirs([]int32{1, 2, 3})
	Must(err, "log dirs")
	Check(len(dirs) == 3, "log dirs: %v", dirs)
	Must(admin.DeleteConsumerGroupOffset(group, topic, 1), "delete group offset")
	answer, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {1}})
	Must(err, "list group offsets")
	Check(answer.Blocks[topic][1].Offset == -1, "the deleted offset: %d", answer.Blocks[topic][1].Offset)
	Must(admin.DeleteRecords(topic, map[int32]int64{1: 100}), "delete records")
	Must(admin.CreatePartitions(topic, Partitions+1, nil, false), "create partitions")
	Await("a seventh partition", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		return err == nil && len(described[0].Partitions) == Partitions+1
	})
	Must(admin.DeleteConsumerGroup(group), "delete group")
	Must(admin.DeleteTopic(topic), "delete topic")
	Await("the topic to be gone", func() bool {
		topics, err := admin.ListTopics()
		_, there := topics[topic]
		return err == nil && !there
	})
}
