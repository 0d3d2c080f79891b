// Package common is what the Go programs share: the records (the same in every language, see ../../README.md), the
// checker, the choreography of a group, and the deadline.
package common

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	PerCodec   = 20_000
	Partitions = 6
	Replicas   = 3
	Resumed    = 500
	wait       = 100 * time.Second
)

// Header is a record header, in any client.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as it came back, in any client.
type Record struct {
	Partition  int32
	Offset     int64
	Timestamp  int64
	Key, Value []byte
	Headers    []Header
}

// Records makes record number n.
type Records struct {
	Codecs []string
	Base   int64
	Total  int
	ramps  [256][16 + 113]byte
}

func NewRecords(codecs []string) *Records {
	r := &Records{Codecs: codecs, Base: time.Now().UnixMilli() - 600_000, Total: PerCodec * len(codecs)}
	for n := range r.ramps {
		for j := range r.ramps[n] {
			r.ramps[n][j] = byte(n + 31*j)
		}
	}
	return r
}

func (r *Records) Key(n int) []byte { return fmt.Appendf(nil, "key-%03d", n%997) }

func (r *Records) Value(n int) []byte {
	switch n % 1000 {
	case 999:
		return nil
	case 500:
		return []byte{}
	}
	return r.ramps[n&255][:16+n%113]
}

func (r *Records) Headers(n int) []Header {
	codec := r.Codecs[min(n/PerCodec, len(r.Codecs)-1)]
	return []Header{
		{"seq", strconv.AppendInt(nil, int64(n), 10)}, {"codec", []byte(codec)},
		{"bin", []byte{0, 255, byte(n)}}, {"empty", []byte{}}, {"twice", []byte{1}}, {"twice", []byte{2}},
	}
}

func (r *Records) Timestamp(n int) int64 { return r.Base + int64(n) }

// Number is the ordinal that a record carries.
func Number(record Record) int {
	for _, header := range record.Headers {
		if header.Key == "seq" {
			n, err := strconv.Atoi(string(header.Value))
			Check(err == nil, "header seq: %v", err)
			return n
		}
	}
	panic(fmt.Sprintf("%d-%d has no header seq", record.Partition, record.Offset))
}

// Checker wants every record once, byte for byte, in order within its key and without a gap within its partition.
type Checker struct {
	records   *Records
	First     int
	Expected  int
	mutex     sync.Mutex
	seen      map[int]bool
	Next      map[int32]int64
	lastOfKey map[string]int
	homeOfKey map[string]int32
	where     map[int32]map[int64]int
}

func (r *Records) NewChecker(first, last int) *Checker {
	return &Checker{
		records: r, First: first, Expected: last - first, seen: map[int]bool{}, Next: map[int32]int64{},
		lastOfKey: map[string]int{}, homeOfKey: map[string]int32{}, where: map[int32]map[int64]int{},
	}
}

func (c *Checker) Accept(record Record) {
	n := Number(record)
	value := c.records.Value(n)
	Check(bytes.Equal(record.Key, c.records.Key(n)), "record %d: key %q", n, record.Key)
	Check(bytes.Equal(record.Value, value) && (value == nil) == (record.Value == nil), "record %d: value %q", n, record.Value)
	same := slices.EqualFunc(record.Headers, c.records.Headers(n), func(a, b Header) bool {
		return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
	})
	Check(same, "record %d: headers %v", n, record.Headers)
	Check(record.Timestamp == c.records.Timestamp(n), "record %d: timestamp %d", n, record.Timestamp)
	Check(n >= c.First, "record %d belongs to what was committed before", n)

	c.mutex.Lock()
	defer c.mutex.Unlock()
	Check(!c.seen[n], "record %d came twice (%d-%d)", n, record.Partition, record.Offset)
	c.seen[n] = true
	if next, known := c.Next[record.Partition]; known {
		Check(record.Offset == next, "partition %d: offset %d, not %d", record.Partition, record.Offset, next)
	}
	c.Next[record.Partition] = record.Offset + 1
	key := string(record.Key)
	if last, known := c.lastOfKey[key]; known {
		Check(last < n, "key %s: %d after %d", key, n, last)
		Check(c.homeOfKey[key] == record.Partition, "key %s in two partitions", key)
	}
	c.lastOfKey[key], c.homeOfKey[key] = n, record.Partition
	if c.where[record.Partition] == nil {
		c.where[record.Partition] = map[int64]int{}
	}
	c.where[record.Partition][record.Offset] = n
}

func (c *Checker) Count() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.seen)
}

func (c *Checker) Complete() bool { return c.Count() == c.Expected }

func (c *Checker) NumberAt(partition int32, offset int64) int { return c.where[partition][offset] }

// OffsetAt is the first offset of a partition whose record is n or later.
func (c *Checker) OffsetAt(partition int32, n int) int64 {
	first := int64(-1)
	for offset, m := range c.where[partition] {
		if m >= n && (first < 0 || offset < first) {
			first = offset
		}
	}
	return first
}

// Member is one consumer of a group.
type Member interface {
	Owned() int
	Leave()
}

// Dance is a group of three that grows to four and shrinks to two while the records flow.
func Dance(start func(i int) Member, checker *Checker, stable func()) {
	members := []Member{start(0), start(1), start(2)}
	settled := func(sizes ...int) func() bool {
		return func() bool {
			var owned []int
			for _, member := range members {
				owned = append(owned, member.Owned())
			}
			sort.Ints(owned)
			return slices.Equal(owned, sizes)
		}
	}
	reached := func(count int) func() bool { return func() bool { return checker.Count() >= count } }
	Await("2+2+2 partitions", settled(2, 2, 2))
	Await("a quarter of the records", reached(checker.Expected/4))
	members = append(members, start(3))
	Await("1+1+2+2 partitions", settled(1, 1, 2, 2))
	stable()
	Await("half of the records", reached(checker.Expected/2))
	members[0].Leave()
	members[1].Leave()
	members = members[2:]
	Await("3+3 partitions", settled(3, 3))
	Await("all records", reached(checker.Expected))
	for _, member := range members {
		member.Leave()
	}
}

var name, started = "", time.Now()

// Main runs the program in its own deadline and prints the one line.
func Main(program string, body func(bootstrap, unique string) string) {
	name = program
	deadline := 200
	if text := os.Getenv("KLAMM_CLIENT_DEADLINE"); text != "" {
		deadline, _ = strconv.Atoi(text)
	}
	time.AfterFunc(time.Duration(deadline)*time.Second, func() {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		fail(fmt.Sprintf("not done after %d s", deadline))
	})
	report := body(os.Args[1], fmt.Sprintf("%s-%d-%d", program, os.Getpid(), started.UnixMilli()%1_000_000))
	fmt.Printf("OK %s %s seconds=%.1f\n", name, report, time.Since(started).Seconds())
}

func fail(why string) {
	fmt.Printf("FAIL %s: %s\n", name, why)
	os.Exit(1)
}

// Seeds splits a bootstrap address.
func Seeds(bootstrap string) []string { return strings.Split(bootstrap, ",") }

// Check ends the program with the message unless the condition holds.
func Check(condition bool, format string, arguments ...any) {
	if !condition {
		fail(fmt.Sprintf(format, arguments...))
	}
}

// Must ends the program on an error.
func Must(err error, what string) { Check(err == nil, "%s: %v", what, err) }

// Await polls a condition until it holds.
func Await(what string, condition func() bool) {
	for end := time.Now().Add(wait); !condition(); time.Sleep(10 * time.Millisecond) {
		Check(time.Now().Before(end), "waited %s in vain for %s", wait, what)
	}
}
