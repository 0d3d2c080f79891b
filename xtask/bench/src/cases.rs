//! The rows of the table.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cluster;
use crate::compaction;
use crate::coordinators::{classic, commits, consumer_protocol, transactions};
use crate::in_process;
use crate::load::{self, Shape};
use crate::perf_test;
use crate::report::{self, Samples};
use crate::target::{Peers, Running, Target, Topic};

/// How much each case does.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// How often a target is started in a round; Kafka at most twice.
    pub starts: usize,
    /// Batches of 16 × 1 KiB in a throughput case.
    pub batches: usize,
    /// One-record batches in the small-batch case.
    pub small_batches: usize,
    /// Records sent in the latency case.
    pub latency_records: u64,
    /// Records sent by Kafka's own performance tool.
    pub perf_records: u32,
    /// Offset commits.
    pub commits: usize,
    /// Transactions.
    pub transactions: usize,
    /// Members of a group before one more comes.
    pub members: usize,
    /// Keys of the log that is compacted; each is written ten times.
    pub keys: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        starts: 9,
        batches: 12_000,
        small_batches: 120_000,
        latency_records: 4_000,
        perf_records: 200_000,
        commits: 60_000,
        transactions: 6_000,
        members: 500,
        keys: 1_000_000,
    };
    pub(crate) const QUICK: Self = Self {
        starts: 3,
        batches: 1_200,
        small_batches: 12_000,
        latency_records: 500,
        perf_records: 20_000,
        commits: 6_000,
        transactions: 600,
        members: 50,
        keys: 100_000,
    };
}

/// Records a second in the latency case: far below what any target can carry.
const LATENCY_RATE: u64 = 500;
const PARTITIONS: i32 = 6;

const FIRST: Topic = Topic { name: "bench-first", partitions: 1, replication: 3 };
const RF1: Topic = Topic { name: "bench-rf1", partitions: PARTITIONS, replication: 1 };
const RF3: Topic = Topic { name: "bench-rf3", partitions: PARTITIONS, replication: 3 };
const SMALL: Topic = Topic { name: "bench-small", partitions: PARTITIONS, replication: 3 };
const LATENCY: Topic = Topic { name: "bench-latency", partitions: 1, replication: 3 };
/// 4 MiB a partition: the mock keeps no more than 5.
const CONSUME: Topic = Topic { name: "bench-consume", partitions: 48, replication: 3 };
const PERF: Topic = Topic { name: "bench-perf", partitions: PARTITIONS, replication: 3 };
const COORDINATED: Topic = Topic { name: "bench-coordinated", partitions: PARTITIONS, replication: 3 };
/// Two partitions a member.
const GROUP: Topic = Topic { name: "bench-group", partitions: 1_000, replication: 1 };
const TOPICS: [Topic; 8] = [FIRST, RF1, RF3, SMALL, LATENCY, CONSUME, PERF, COORDINATED];

const fn one_kib(acks: i16) -> Shape {
    Shape { value: 1024, records: 16, acks, window: 32 }
}

/// A group of rows that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Part {
    /// Start, and memory when idle.
    Start,
    /// Produce, large batches and small.
    Produce,
    /// Consume.
    Consume,
    /// Latencies.
    Latency,
    /// 1,000 partitions created.
    Partitions,
    /// kafka-producer-perf-test.
    PerfTest,
    /// Commits, transactions, and groups that rebalance.
    Coordinators,
    /// A log compacted.
    Compaction,
}

/// Runs the cases of `parts` once against a fresh `target`.
pub(crate) fn round(
    target: Target,
    peers: &Peers,
    scale: Scale,
    parts: &[Part],
    samples: &mut Samples,
) -> Result<()> {
    let measured = |part: Part| parts.is_empty() || parts.contains(&part);
    let running = if measured(Part::Start) {
        starts(target, peers, scale, samples)?
    } else {
        target.start(peers, &TOPICS)?
    };
    let rest: [(Part, Case); 7] = [
        (Part::Produce, produce),
        (Part::Consume, consume),
        (Part::Latency, latency),
        (Part::Partitions, thousand_partitions),
        (Part::PerfTest, perf_test),
        (Part::Coordinators, coordinators),
        (Part::Compaction, compaction),
    ];
    rest.into_iter()
        .filter(|(part, _)| measured(*part))
        .try_for_each(|(_, case)| case(target, &running, scale, samples))
}

type Case = fn(Target, &Running, Scale, &mut Samples) -> Result<()>;

const IN_PROCESS: &str = "start to first acknowledged record, in process";
const AS_A_PROCESS: &str = "start to first acknowledged record, as a process";
const FIRST_IN_PROCESS: &str = "the first of those starts, in process";
const FIRST_AS_A_PROCESS: &str = "the first of those starts, as a process";

/// Starts the target several times, one behind the other, and leaves the last one running: the first start finds what the machine has dropped
/// from memory since the last round, the others do not.
fn starts(target: Target, peers: &Peers, scale: Scale, samples: &mut Samples) -> Result<Running> {
    let count = if target == Target::Kafka { scale.starts.min(2) } else { scale.starts };
    let (mut in_process, mut as_process) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..count {
        // The one before is gone before the next one starts.
        drop(last.take());
        if matches!(target, Target::Klamm | Target::KlammFile) {
            in_process.push(millis(in_process::start(target == Target::KlammFile)?));
        }
        let begun = Instant::now();
        let running = target.start(peers, &TOPICS)?;
        let listening = Instant::now();
        ready(target, &running, FIRST)?;
        first_acknowledged(&running)?;
        as_process.push(millis(begun.elapsed()));
        in_process.extend(running.own_start().map(|own| millis(own + listening.elapsed())));
        last = Some(running);
    }
    let running = last.context("nothing was started")?;
    for (median_row, first_row, times) in
        [(IN_PROCESS, FIRST_IN_PROCESS, in_process), (AS_A_PROCESS, FIRST_AS_A_PROCESS, as_process)]
    {
        if times.is_empty() {
            samples.cannot(target, median_row, "ms", "is a process");
            samples.cannot(target, first_row, "ms", "is a process");
            continue;
        }
        samples.add(target, median_row, "ms", report::median(&times));
        samples.add(target, first_row, "ms", times[0]);
    }
    // What start-up needed and gives back is not idle memory.
    std::thread::sleep(Duration::from_secs(1));
    samples.add(target, "memory when idle", "MiB", running.resident_kib()? as f64 / 1024.0);
    Ok(running)
}

fn produce(target: Target, running: &Running, scale: Scale, samples: &mut Samples) -> Result<()> {
    for (topic, acks, row) in [
        (RF1, 1, "produce 1 KiB, acks=1, 1 replica"),
        (RF1, -1, "produce 1 KiB, acks=all, 1 replica"),
        (RF3, 1, "produce 1 KiB, acks=1, 3 replicas"),
        (RF3, -1, "produce 1 KiB, acks=all, 3 replicas"),
    ] {
        let leaders = warm(target, running, topic)?;
        load::produce(&leaders, topic.name, one_kib(acks), scale.batches / 4)?;
        let took = load::produce(&leaders, topic.name, one_kib(acks), scale.batches)?;
        let bytes = scale.batches as f64 * 16.0 * 1024.0;
        samples.add(target, row, "MB/s", bytes / took.as_secs_f64() / 1e6);
        done(target, running, topic)?;
    }

    let leaders = warm(target, running, SMALL)?;
    let small = Shape { value: 100, records: 1, acks: -1, window: 256 };
    load::produce(&leaders, SMALL.name, small, scale.small_batches / 4)?;
    let took = load::produce(&leaders, SMALL.name, small, scale.small_batches)?;
    let rate = scale.small_batches as f64 / took.as_secs_f64() / 1e3;
    samples.add(target, "produce 1-record batches of 100 B, acks=all, 3 replicas", "k/s", rate);
    done(target, running, SMALL)
}

fn consume(target: Target, running: &Running, _: Scale, samples: &mut Samples) -> Result<()> {
    let leaders = warm(target, running, CONSUME)?;
    let per_partition = 4096;
    load::produce(&leaders, CONSUME.name, one_kib(-1), per_partition / 16 * 48)?;
    let records = i64::try_from(per_partition)?;
    load::consume(&leaders, CONSUME.name, records / 4)?;
    let (took, count) = load::consume(&leaders, CONSUME.name, records)?;
    samples.add(target, "consume 1 KiB", "MB/s", count as f64 * 1024.0 / took.as_secs_f64() / 1e6);
    done(target, running, CONSUME)
}

fn latency(target: Target, running: &Running, scale: Scale, samples: &mut Samples) -> Result<()> {
    let leaders = ready(target, running, LATENCY)?;
    let (address, _) = leaders.first_key_value().context("a topic without a leader")?;
    let flow = load::Flow { value: 1024, per_second: LATENCY_RATE, count: scale.latency_records };
    for (histogram, what) in [
        (flow.acknowledged(address, LATENCY.name)?, "acks=all, 3 replicas, latency"),
        (flow.consumed(address, LATENCY.name)?, "end-to-end latency"),
    ] {
        for (quantile, label) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
            let micros = histogram.value_at_quantile(quantile) as f64 / 1e3;
            samples.add(target, &format!("{what} {label}"), "µs", micros);
        }
    }
    done(target, running, LATENCY)
}

fn thousand_partitions(target: Target, running: &Running, _: Scale, samples: &mut Samples) -> Result<()> {
    const ROW: &str = "1,000 partitions × 3 created, all led";
    if !target.creates_topics() {
        samples.cannot(target, ROW, "ms", "no CreateTopics");
        return Ok(());
    }
    let start = Instant::now();
    cluster::create_topic(running.bootstrap(), "bench-thousand", 1000, 3)?;
    cluster::leaders(running.bootstrap(), "bench-thousand", 1000)?;
    samples.add(target, ROW, "ms", millis(start.elapsed()));
    cluster::delete_topic(running.bootstrap(), "bench-thousand")
}

fn perf_test(target: Target, running: &Running, scale: Scale, samples: &mut Samples) -> Result<()> {
    const ROW: &str = "kafka-producer-perf-test, 1 KiB, acks=all, 3 replicas";
    warm(target, running, PERF)?;
    match perf_test::produce(running.bootstrap(), PERF.name, scale.perf_records) {
        Ok(rate) => samples.add(target, ROW, "MB/s", rate),
        Err(error) => {
            eprintln!("{}: kafka-producer-perf-test: {error:#}", target.name());
            samples.cannot(target, ROW, "MB/s", "the client fails");
        }
    }
    Ok(())
}

fn coordinators(target: Target, running: &Running, scale: Scale, samples: &mut Samples) -> Result<()> {
    let bootstrap = running.bootstrap();
    let leaders = warm(target, running, COORDINATED)?;
    let a_second = |count: usize, took: Duration| count as f64 / took.as_secs_f64() / 1e3;
    note(target, samples, "offset commits, 6 groups", "k/s", || {
        Ok(a_second(scale.commits, commits::commit(bootstrap, COORDINATED.name, scale.commits)?))
    });
    note(target, samples, "transactions of one record, 6 producers", "k/s", || {
        let took = transactions::commit(bootstrap, &leaders, COORDINATED.name, scale.transactions)?;
        Ok(a_second(scale.transactions, took))
    });
    done(target, running, COORDINATED)?;

    // The mock's members need no topic, and making this one would be in its start.
    if target.creates_topics() {
        ready(target, running, GROUP)?;
    }
    note(target, samples, "a member joins a group of 500, classic", "ms", || {
        Ok(millis(classic::rebalance(bootstrap, GROUP.name, scale.members)?))
    });
    note(target, samples, "a member joins a group of 500, KIP-848", "ms", || {
        let partitions = usize::try_from(GROUP.partitions)?;
        Ok(millis(consumer_protocol::rebalance(bootstrap, GROUP.name, partitions, scale.members)?))
    });
    done(target, running, GROUP)
}

fn compaction(target: Target, _: &Running, scale: Scale, samples: &mut Samples) -> Result<()> {
    const ROW: &str = "10 million records of 1 million keys compacted";
    const PEAK: &str = "resident memory meanwhile, at its peak";
    if !matches!(target, Target::Klamm | Target::KlammFile) {
        samples.cannot(target, ROW, "s", "cannot be asked to");
        samples.cannot(target, PEAK, "MiB", "cannot be asked to");
        return Ok(());
    }
    let compaction = compaction::compact(target == Target::KlammFile, scale.keys)?;
    samples.add(target, ROW, "s", compaction.took.as_secs_f64());
    samples.add(target, PEAK, "MiB", compaction.peak_kib as f64 / 1024.0);
    Ok(())
}

/// Measures a row that not every target can answer; why one cannot goes to stderr.
fn note(
    target: Target,
    samples: &mut Samples,
    row: &str,
    unit: &'static str,
    measure: impl FnOnce() -> Result<f64>,
) {
    match measure() {
        Ok(value) => samples.add(target, row, unit, value),
        Err(error) => {
            eprintln!("{}: {row}: {error:#}", target.name());
            samples.cannot(target, row, unit, "refuses");
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Creates the topic where that is needed, and waits for its leaders.
fn ready(target: Target, running: &Running, topic: Topic) -> Result<cluster::Leaders> {
    if target.creates_topics() {
        cluster::create_topic(running.bootstrap(), topic.name, topic.partitions, topic.replication)?;
    }
    cluster::leaders(running.bootstrap(), topic.name, usize::try_from(topic.partitions)?)
}

/// As [`ready`], and every leader has taken a record: a broker learns of its leadership after the metadata names it.
fn warm(target: Target, running: &Running, topic: Topic) -> Result<cluster::Leaders> {
    let leaders = ready(target, running, topic)?;
    for (address, partitions) in &leaders {
        for partition in partitions {
            load::produce_once(address, topic.name, *partition)?;
        }
    }
    Ok(leaders)
}

fn done(target: Target, running: &Running, topic: Topic) -> Result<()> {
    if target.creates_topics() {
        cluster::delete_topic(running.bootstrap(), topic.name)?;
    }
    Ok(())
}

fn first_acknowledged(running: &Running) -> Result<()> {
    let leaders = cluster::leaders(running.bootstrap(), FIRST.name, 1)?;
    let (address, _) = leaders.first_key_value().context("a topic without a leader")?;
    load::produce_once(address, FIRST.name, 0)?;
    Ok(())
}
