// Consume, transform and produce in transactions (KIP-447) with franz-go's GroupTransactSession, while brokers crash:
// BOOTSTRAP TOPIC STOP-FILE.
//
// A feeder numbers records into the topic until the file exists. Two sessions of one group, each with a transactional id of its
// own, copy them to TOPIC-copy. Every so many a session aborts a transaction of its own accord, with its copies in the log, and
// copies the batch again. A reader of committed records tells every so often how many copies it has seen (`ACKED n`). In the end
// it has seen every number once, in order within its partition; and a producer whose transactional id another one takes over is
// fenced.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "klamm/clients/common"
)

const (
	group      = "copiers"
	abortEvery = 9
)

var (
	seen, aborted, deliberately, batches atomic.Int64
	leaving                              atomic.Bool
)

func main() { Main("franz-transactions", run) }

func limit() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	_ = cancel // the process ends first
	return ctx
}

func options(bootstrap string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(Seeds(bootstrap)...), kgo.ProducerLinger(5 * time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryTimeout(60 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond),
	}, more...)
}

func number(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

func run(bootstrap, _ string) string {
	topic, stop := os.Args[2], os.Args[3]
	copies := topic + "-copy"
	feeder, err := kgo.NewClient(options(bootstrap)...)
	Must(err, "feeder")
	details, err := kadm.NewClient(feeder).ListTopics(limit(), topic)
	Must(err, "topics")
	partitions := len(details[topic].Partitions)
	left := make(chan struct{})
	for i := range 2 {
		go func() { work(bootstrap, topic, copies, fmt.Sprintf("worker-%d", i)); left <- struct{}{} }()
	}
	go read(bootstrap, copies, partitions)

	n := 0
	for told := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(stop); err == nil {
			break
		}
		if n-int(seen.Load()) < 3000 {
			for range 30 {
				record := &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: number(n)}
				feeder.Produce(limit(), record, func(_ *kgo.Record, err error) { Must(err, "feed") })
				n++
			}
		}
		if time.Since(told) > 50*time.Millisecond {
			told = time.Now()
			fmt.Printf("ACKED %d\n", seen.Load())
		}
	}
	Must(feeder.Flush(limit()), "flush")
	Await("every copy", func() bool { return int(seen.Load()) == n })
	leaving.Store(true)
	for range 2 {
		<-left
	}
	zombie(bootstrap, copies)
	time.Sleep(500 * time.Millisecond)
	Check(int(seen.Load()) == n, "%d copies of %d records", seen.Load(), n)
	Check(deliberately.Load() > 0, "no transaction was aborted deliberately")
	return fmt.Sprintf("records=%d deliberately=%d aborted=%d", n, deliberately.Load(), aborted.Load())
}

// work copies until it is told to leave; a session that cannot go on is replaced, as franz-go asks for.
func work(bootstrap, topic, copies, name string) {
	for !leaving.Load() {
		session, err := kgo.NewGroupTransactSession(options(bootstrap, kgo.TransactionalID(name), kgo.ClientID(name),
			kgo.TransactionTimeout(30*time.Second), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxWait(100*time.Millisecond), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(300*time.Millisecond))...)
		Must(err, "session")
		for err == nil && !leaving.Load() {
			err = copyBatch(session, copies)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			aborted.Add(1)
		}
		session.Close()
	}
}

func copyBatch(session *kgo.GroupTransactSession, copies string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	fetches := session.PollRecords(ctx, 100)
	cancel()
	fetches.EachError(func(topic string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			fmt.Fprintf(os.Stderr, "%s-%d: %v\n", topic, partition, err)
		}
	})
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := session.Begin(); err != nil {
		return err
	}
	promise := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(record *kgo.Record) {
		session.Produce(context.Background(), &kgo.Record{Topic: copies, Partition: record.Partition, Value: record.Value}, promise.Promise())
	})
	if batches.Add(1)%abortEvery == 0 {
		// Else the client would drop what it has not sent yet.
		if err := session.Client().Flush(limit()); err != nil {
			return err
		}
		deliberately.Add(1)
		// It goes back to what is committed by itself.
		_, err := session.End(limit(), kgo.TryAbort)
		return err
	}
	committed, err := session.End(limit(), promise.Err() == nil)
	if !committed {
		aborted.Add(1)
	}
	return err
}

// read sees what is committed, in order and once.
func read(bootstrap, copies string, partitions int) {
	next := make([]int, partitions)
	for p := range next {
		next[p] = p
	}
	reader, err := kgo.NewClient(options(bootstrap, kgo.ConsumeTopics(copies), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))...)
	Must(err, "reader")
	for {
		reader.PollFetches(context.Background()).EachRecord(func(record *kgo.Record) {
			got, err := strconv.Atoi(string(record.Value))
			Must(err, "number")
			Check(got == next[record.Partition], "%s-%d: %d at %d where %d was next", copies, record.Partition, got, record.Offset, next[record.Partition])
			next[record.Partition] += partitions
			seen.Add(1)
		})
	}
}

// zombie shows that a producer that another one of the same id has replaced can do nothing any more.
func zombie(bootstrap, copies string) {
	open := func() *kgo.Client {
		client, err := kgo.NewClient(options(bootstrap, kgo.TransactionalID("zombie"), kgo.TransactionTimeout(30*time.Second))...)
		Must(err, "zombie")
		Must(client.BeginTransaction(), "begin")
		return client
	}
	record := func() *kgo.Record { return &kgo.Record{Topic: copies, Partition: 0, Value: number(-1)} }
	old := open()
	Must(old.ProduceSync(limit(), record()).FirstErr(), "the zombie's record")
	fresh := open()
	Must(fresh.ProduceSync(limit(), record()).FirstErr(), "its successor's record")
	Must(fresh.EndTransaction(limit(), kgo.TryAbort), "abort")
	err := old.EndTransaction(limit(), kgo.TryCommit)
	Check(errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch), "the zombie was told %v", err)
}
