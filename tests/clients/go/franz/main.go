// franz-go: idempotent producers, a cooperative-sticky group, and the kadm admin client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "klamm/clients/common"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() { Main("franz-go", run) }

func limit() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	_ = cancel // the process ends first
	return ctx
}

func newClient(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(options...)
	Must(err, "client")
	return client
}

func produce(bootstrap, topic string, records *Records, codec string, from, to int) {
	client := newClient(kgo.SeedBrokers(Seeds(bootstrap)...), kgo.ProducerBatchCompression(compressions[codec]),
		kgo.ProducerLinger(5*time.Millisecond), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	defer client.Close()
	var failed error
	var acked int
	var mutex sync.Mutex
	for n := from; n < to; n++ {
		record := &kgo.Record{
			Topic: topic, Key: records.Key(n), Value: records.Value(n), Timestamp: time.UnixMilli(records.Timestamp(n)),
		}
		for _, header := range records.Headers(n) {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
		client.Produce(limit(), record, func(record *kgo.Record, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			acked++
			if err != nil {
				failed = err
			}
		})
	}
	Must(client.Flush(limit()), "flush")
	mutex.Lock()
	defer mutex.Unlock()
	Must(failed, codec)
	Check(acked == to-from, "%s: %d acks", codec, acked)
}

type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	owned  map[int32]bool
	cancel context.CancelFunc
	done   chan struct{}
}

func start(i int, bootstrap, topic, group string, checker *Checker) *member {
	m := &member{owned: map[int32]bool{}, done: make(chan struct{})}
	commit := func(ctx context.Context, client *kgo.Client) {
		Must(client.CommitUncommittedOffsets(ctx), "commit")
	}
	m.client = newClient(kgo.SeedBrokers(Seeds(bootstrap)...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ClientID(fmt.Sprintf("m%d", i)), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(20*time.Second), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) { m.change(assigned[topic], true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			commit(ctx, client)
			m.change(revoked[topic], false)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			Check(len(lost) == 0, "m%d lost %v", i, lost)
		}))
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			fetches := m.client.PollRecords(ctx, 500)
			fetches.EachError(func(_ string, p int32, err error) {
				Check(errors.Is(err, context.Canceled), "fetching %d: %v", p, err)
			})
			fetches.EachRecord(func(record *kgo.Record) { checker.Accept(plain(record)) })
			m.client.AllowRebalance()
		}
		commit(limit(), m.client)
		m.client.Close()
	}()
	return m
}

func plain(record *kgo.Record) Record {
	headers := make([]Header, 0, len(record.Headers))
	for _, header := range record.Headers {
		headers = append(headers, Header{Key: header.Key, Value: header.Value})
	}
	return Record{Partition: record.Partition, Offset: record.Offset, Timestamp: record.Timestamp.UnixMilli(),
		Key: record.Key, Value: record.Value, Headers: headers}
}

func (m *member) change(partitions []int32, owned bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, p := range partitions {
		if owned {
			m.owned[p] = true
		} else {
			delete(m.owned, p)
		}
	}
}

func (m *member) Owned() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

func (m *member) Leave() {
	m.cancel()
	<-m.done
}

func run(bootstrap, topic string) string {
	group := "g-" + topic
	records := NewRecords(codecs)
	client := newClient(kgo.SeedBrokers(Seeds(bootstrap)...), kgo.MetadataMinAge(50*time.Millisecond))
	admin := kadm.NewClient(client)
	create(admin, topic)
	for c, codec := range codecs {
		produce(bootstrap, topic, records, codec, c*PerCodec, (c+1)*PerCodec)
	}

	checker := records.NewChecker(0, records.Total)
	Dance(func(i int) Member { return start(i, bootstrap, topic, group, checker) }, checker, func() {
		Await("a stable group of four", func() bool {
			described, err := admin.DescribeGroups(limit(), group)
			Must(err, "describe group")
			return described[group].State == "Stable" && len(described[group].Members) == 4 &&
				described[group].Protocol == "cooperative-sticky"
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

	seekAndLookUp(bootstrap, topic, admin, records, checker, ends)
	describe(admin, topic, group, ends)
	return fmt.Sprintf("records=%d codecs=%d", records.Total+Resumed, len(codecs))
}

func create(admin *kadm.Client, topic string) {
	metadata, err := admin.BrokerMetadata(limit())
	Must(err, "metadata")
	Check(len(metadata.Brokers) == 3 && metadata.Cluster != "", "cluster: %v", metadata)
	retention := "86400000"
	config := map[string]*string{"retention.ms": &retention}
	made, err := admin.CreateTopic(limit(), Partitions, Replicas, config, topic)
	Must(err, "create topic")
	Check(made.NumPartitions == Partitions && made.ReplicationFactor == Replicas, "created %+v", made)
	_, err = admin.CreateTopic(limit(), 1, 1, nil, topic)
	Check(errors.Is(err, kerr.TopicAlreadyExists), "created twice: %v", err)
	Await("in-sync replicas", func() bool {
		listed, err := admin.ListTopics(limit(), topic)
		Must(err, "list topics")
		good := len(listed[topic].Partitions) == Partitions
		for _, p := range listed[topic].Partitions {
			good = good && p.Err == nil && p.Leader > 0 && len(p.Replicas) == Replicas && len(p.ISR) == Replicas
		}
		return good
	})
}

func committed(admin *kadm.Client, group, topic string, ends map[int32]int64) {
	offsets, err := admin.FetchOffsets(limit(), group)
	Must(err, "fetch offsets")
	Check(len(offsets[topic]) == len(ends), "committed %v", offsets)
	for p, end := range ends {
		Check(offsets[topic][p].At == end, "committed %d of partition %d, not %d", offsets[topic][p].At, p, end)
	}
}

func seekAndLookUp(bootstrap, topic string, admin *kadm.Client, records *Records, checker *Checker, ends map[int32]int64) {
	middle := records.Total / 2
	found, err := admin.ListOffsetsAfterMilli(limit(), records.Timestamp(middle), topic)
	Must(err, "offsets by timestamp")
	for p, offset := range found[topic] {
		Check(offset.Offset == checker.OffsetAt(p, middle), "timestamp: %d is %v, not %d", p, offset, checker.OffsetAt(p, middle))
	}
	starts, err := admin.ListStartOffsets(limit(), topic)
	Must(err, "start offsets")
	latest, err := admin.ListEndOffsets(limit(), topic)
	Must(err, "end offsets")
	for p, end := range ends {
		Check(starts[topic][p].Offset == 0 && latest[topic][p].Offset == end, "watermarks of %d", p)
	}

	at := map[int32]kgo.Offset{}
	client := newClient(kgo.SeedBrokers(Seeds(bootstrap)...), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	defer client.Close()
	for p, end := range ends {
		for _, begin := range []int64{end / 2, end / 3, 0} {
			client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(begin)}})
			var got []Record
			for len(got) < 10 {
				fetches := client.PollRecords(limit(), 100)
				Must(fetches.Err(), "fetch after seek")
				fetches.EachRecord(func(record *kgo.Record) { got = append(got, plain(record)) })
			}
			for i, record := range got {
				offset := begin + int64(i)
				Check(record.Partition == p && record.Offset == offset, "seek %d-%d: %d-%d", p, offset, record.Partition, record.Offset)
				Check(Number(record) == checker.NumberAt(p, offset), "seek %d-%d: another record", p, offset)
				if i == 9 {
					break
				}
			}
			client.RemoveConsumePartitions(map[string][]int32{topic: {p}})
		}
	}
}

func describe(admin *kadm.Client, topic, group string, ends map[int32]int64) {
	config := func(name string) string {
		configs, err := admin.DescribeTopicConfigs(limit(), topic)
		Must(err, "describe configs")
		for _, config := range configs[0].Configs {
			if config.Key == name {
				return config.MaybeValue()
			}
		}
		return ""
	}
	Check(config("retention.ms") == "86400000", "retention.ms %s", config("retention.ms"))
	value := "2000000"
	altered, err := admin.AlterTopicConfigs(limit(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, topic)
	Must(err, "alter configs")
	Must(altered[0].Err, "alter configs")
	Await("the changed config", func() bool { return config("max.message.bytes") == value })
	brokers, err := admin.DescribeBrokerConfigs(limit(), 1)
	Must(err, "broker configs")
	Check(len(brokers[0].Configs) > 50, "broker configs: %d", len(brokers[0].Configs))

	groups, err := admin.ListGroups(limit())
	Must(err, "list groups")
	Check(groups[group].State == "Empty", "listed group: %+v", groups[group])
	lags, err := admin.Lag(limit(), group)
	Must(err, "lag")
	Check(lags[group].Lag.Total() == 0, "lag %d", lags[group].Lag.Total())
	dirs, err := admin.DescribeAllLogDirs(limit(), kadm.TopicsSet{topic: {0: {}, 1: {}}})
	Must(err, "log dirs")
	Check(len(dirs) == 3, "log dirs: %v", dirs)

	var move kadm.Offsets
	move.AddOffset(topic, 0, 7, -1)
	Must(admin.CommitAllOffsets(limit(), group, move), "commit from outside")
	offsets, err := admin.FetchOffsets(limit(), group)
	Must(err, "fetch offsets")
	Check(offsets[topic][0].At == 7, "committed %v", offsets[topic][0])
	var delete kadm.Offsets
	delete.AddOffset(topic, 1, 100, -1)
	deleted, err := admin.DeleteRecords(limit(), delete)
	Must(err, "delete records")
	Check(deleted[topic][1].LowWatermark == 100, "low watermark %v", deleted[topic][1])
	grown, err := admin.UpdatePartitions(limit(), Partitions+1, topic)
	Must(err, "create partitions")
	Must(grown[topic].Err, "create partitions")
	Await("a seventh partition", func() bool {
		listed, err := admin.ListTopics(limit(), topic)
		return err == nil && len(listed[topic].Partitions) == Partitions+1
	})
	if os.Getenv("KLAMM_CLIENT_KEEP") != "" {
		return
	}
	_, err = admin.DeleteGroup(limit(), group)
	Must(err, "delete group")
	_, err = admin.DeleteTopic(limit(), topic)
	Must(err, "delete topic")
	Await("the topic to be gone", func() bool {
		listed, err := admin.ListTopics(limit())
		return err == nil && !listed.Has(topic)
	})
}
