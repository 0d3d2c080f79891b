//! Random histories, on both disks, against a list of batches.

use std::sync::Arc;

use klamm_log::{
    AppendOrigin, Disk, FetchIsolation, FileDisk, Log, LogConfig, LogLimits, MemoryDisk, OpenLog,
};
use klamm_wire::record::builder::BatchBuilder;
use proptest::prelude::*;

use crate::support::*;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Append { records: Vec<(i64, u8)>, epoch_bump: bool, producer: Option<u8> },
    Read { offset: u16, max_bytes: u16, min_one: bool },
    Truncate { batch: u16 },
    TruncateFully { ahead: u8 },
    Roll,
    Flush,
    RaiseStart { offset: u16 },
    DeleteOld,
    Reopen,
    Crash,
    PowerLoss { keep: u64 },
    Lookup { timestamp: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let record = (-50..50_i64, 0..200_u8);
    let append = (prop::collection::vec(record, 1..5), prop::bool::weighted(0.1), prop::option::of(0..3_u8))
        .prop_map(|(records, epoch_bump, producer)| Step::Append { records, epoch_bump, producer });
    prop_oneof![
        12 => append,
        4 => (any::<u16>(), 0..2000_u16, any::<bool>())
            .prop_map(|(offset, max_bytes, min_one)| Step::Read { offset, max_bytes, min_one }),
        2 => any::<u16>().prop_map(|batch| Step::Truncate { batch }),
        1 => (0..5_u8).prop_map(|ahead| Step::TruncateFully { ahead }),
        1 => Just(Step::Roll),
        1 => Just(Step::Flush),
        1 => any::<u16>().prop_map(|offset| Step::RaiseStart { offset }),
        1 => Just(Step::DeleteOld),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => any::<u64>().prop_map(|keep| Step::PowerLoss { keep }),
        2 => (-60..60_i64).prop_map(|timestamp| Step::Lookup { timestamp }),
    ]
}

#[derive(Debug, Clone)]
struct Batch {
    base: i64,
    epoch: i32,
    records: Vec<(i64, String)>,
    /// (id, first sequence)
    producer: Option<(i64, i32)>,
}

impl Batch {
    fn end(&self) -> i64 {
        self.base + self.records.len() as i64
    }
}

struct Model {
    batches: Vec<Batch>,
    start: i64,
    end: i64,
    epoch: i32,
    appended: u64,
}

impl Model {
    fn records(&self) -> Vec<(i64, i64, i32, String)> {
        let rows = self.batches.iter().flat_map(|b| {
            (b.base..).zip(&b.records).map(|(offset, (t, v))| (offset, *t, b.epoch, v.clone()))
        });
        rows.filter(|r| r.0 >= self.start).collect()
    }

    /// What epochs the log must know, from its records.
    fn epochs(&self) -> Vec<(i32, i64)> {
        let mut out: Vec<(i32, i64)> = Vec::new();
        for (offset, _, epoch, _) in self.records() {
            if out.last().is_none_or(|(last, _)| *last != epoch) {
                out.push((epoch, offset));
            }
        }
        out
    }

    fn next_sequence(&self, producer: i64) -> i32 {
        let of = self.batches.iter().rev().find(|b| b.producer.is_some_and(|(id, _)| id == producer));
        of.map_or(0, |b| b.producer.unwrap().1 + b.records.len() as i32)
    }

    fn last_sequences(&self) -> Vec<(i64, i32)> {
        let known = |id: &i64| self.batches.iter().any(|b| b.producer.is_some_and(|(p, _)| p == *id));
        (0..3).filter(known).map(|id| (id, self.next_sequence(id) - 1)).collect()
    }
}

struct Run<'a> {
    disk: &'a mut dyn Disk,
    config: Arc<LogConfig>,
    log: Log,
    model: Model,
    /// The recovery point that a checkpoint holds.
    checkpoint: i64,
}

fn settings(segment_bytes: u32, interval: u32, index_bytes: u32) -> Arc<LogConfig> {
    config(&[
        // Half of the histories.
        ("preallocate", &segment_bytes.is_multiple_of(2).to_string()),
        ("internal.segment.bytes", &segment_bytes.to_string()),
        ("index.interval.bytes", &interval.to_string()),
        ("segment.index.bytes", &index_bytes.to_string()),
        ("message.timestamp.before.max.ms", &i64::MAX.to_string()),
        ("retention.ms", "-1"),
    ])
}

impl Run<'_> {
    fn step(&mut self, step: &Step) {
        let model = &mut self.model;
        match step {
            Step::Append { records, epoch_bump, producer } => {
                model.epoch += i32::from(*epoch_bump);
                let records: Vec<_> = records
                    .iter()
                    .map(|(t, size)| {
                        model.appended += 1;
                        (NOW + t, format!("{:04}{}", model.appended, "x".repeat(usize::from(*size))))
                    })
                    .collect();
                // The state of a producer outlives its records, as long as the log is not opened anew.
                let known = self.log.active_producers();
                let next =
                    |id: i64| known.iter().find(|p| p.producer_id == id).map_or(0, |p| p.last_sequence + 1);
                let producer = producer.map(|id| (i64::from(id), next(i64::from(id))));
                let mut builder = BatchBuilder::new();
                if let Some((id, sequence)) = producer {
                    builder = builder.producer(id, 0, sequence);
                }
                for (t, value) in &records {
                    builder.push(*t, Some(b"k"), Some(value.as_bytes()), &[]);
                }
                let batch = inspected(builder);
                let info = self
                    .log
                    .append_as_leader(self.disk, &[batch], model.epoch, NOW, AppendOrigin::Client)
                    .unwrap();
                assert_eq!(info.first_offset, model.end);
                model.batches.push(Batch { base: model.end, epoch: model.epoch, records, producer });
                model.end = model.batches.last().unwrap().end();
            }
            Step::Read { offset, max_bytes, min_one } => {
                self.read(*offset, usize::from(*max_bytes), *min_one)
            }
            Step::Truncate { batch } => {
                let at = usize::from(*batch) % (model.batches.len() + 1);
                let to = model.batches.get(at).map_or(model.end, |b| b.base);
                if to < model.start {
                    return;
                }
                assert_eq!(self.log.truncate_to(self.disk, to, NOW).unwrap(), to < model.end);
                model.batches.truncate(at);
                model.end = to;
                self.checkpoint = self.checkpoint.min(to);
            }
            Step::TruncateFully { ahead } => {
                let to = model.end + i64::from(*ahead);
                self.log.truncate_fully_and_start_at(self.disk, to, None, NOW).unwrap();
                model.batches.clear();
                (model.start, model.end) = (to, to);
            }
            Step::Roll => self.log.roll(self.disk, NOW).unwrap(),
            Step::Flush => {
                self.log.flush(self.disk, NOW).unwrap();
                for job in self.disk.take_flush_jobs() {
                    let outcome = job.run();
                    self.disk.complete_flush(&outcome);
                    self.log.on_flushed(&outcome, NOW);
                }
                assert_eq!(self.log.recovery_point(), model.end);
                self.checkpoint = model.end;
            }
            Step::RaiseStart { offset } => {
                let to = model.start + i64::from(*offset) % (model.end - model.start + 1);
                self.log.update_high_watermark(model.end);
                let moved = self.log.maybe_increment_log_start_offset(self.disk, to).unwrap();
                assert_eq!(moved, to > model.start);
                model.start = to;
            }
            Step::DeleteOld => {
                self.log.update_high_watermark(model.end);
                self.log.delete_old_segments(self.disk, NOW).unwrap();
                let segments = self.log.segments();
                assert!(segments.get(1).is_none_or(|second| second.base_offset > model.start));
                model.batches.retain(|b| b.end() > segments[0].base_offset);
                self.log.on_time(self.disk, NOW + 60_000).unwrap();
            }
            Step::Reopen => {
                self.log.close(self.disk, NOW).unwrap();
                let before = self.log.active_producers();
                self.open(true);
                self.checkpoint = self.model.end;
                if self.model.start == 0 {
                    assert_eq!(self.log.active_producers(), before);
                }
            }
            Step::Crash => {
                self.disk.crash();
                let before = self.log.active_producers();
                self.open(false);
                if self.model.start == 0 {
                    assert_eq!(self.log.active_producers(), before);
                }
            }
            Step::PowerLoss { keep } => {
                let mut seed = *keep;
                self.disk.power_loss(&mut |_, unflushed| {
                    seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (seed >> 33) % (unflushed + 1)
                });
                self.open(false);
                let end = self.log.log_end_offset();
                assert!(end >= self.checkpoint, "flushed up to {}, {end} is left", self.checkpoint);
                let model = &mut self.model;
                model.batches.retain(|b| b.end() <= end);
                // Whole batches are left, and none that was not there.
                let last = model.batches.last().map_or(model.start, |b| b.end());
                assert_eq!(end, last.max(model.start));
                model.end = end;
                self.checkpoint = self.checkpoint.min(end);
            }
            Step::Lookup { timestamp } => {
                if self.log.segments()[0].base_offset == self.model.start {
                    let target = NOW + timestamp;
                    let found = self.log.fetch_offset_by_timestamp(self.disk, target).unwrap();
                    let expected = self.model.records().into_iter().find(|r| r.1 >= target);
                    assert_eq!(
                        found.map(|f| (f.offset, f.timestamp, f.leader_epoch)),
                        expected.map(|r| (r.0, r.1, Some(r.2)))
                    );
                }
            }
        }
    }

    fn open(&mut self, clean_shutdown: bool) {
        let options = OpenLog {
            clean_shutdown,
            recovery_point: self.checkpoint,
            log_start_offset: self.model.start,
            high_watermark: self.model.start,
            cleaner_offset: None,
            may_be_compacted: false,
        };
        let config = self.config.clone();
        self.log = Log::open(self.disk, "logs/t-0", config, LogLimits::default(), options, NOW).unwrap();
    }

    fn read(&self, offset: u16, max_bytes: usize, min_one: bool) {
        let model = &self.model;
        let offset = model.start + i64::from(offset) % (model.end - model.start + 1);
        let data = self.log.read(self.disk, offset, max_bytes, FetchIsolation::LogEnd, min_one).unwrap();
        let got = records_in(&data.records);
        assert_eq!(data.size, data.records.iter().map(bytes::Bytes::len).sum::<usize>());
        let from = model.batches.iter().position(|b| b.end() > offset);
        let Some(from) = from else { return assert!(got.is_empty()) };
        let rest: Vec<_> = model.batches[from..]
            .iter()
            .flat_map(|b| (b.base..).zip(&b.records).map(|(o, (t, v))| (o, *t, b.epoch, v.clone())))
            .collect();
        assert_eq!(got, rest[..got.len()], "a read is the records from the first batch on");
        let ends_a_batch = |next: i64| model.batches.iter().any(|b| b.end() == next);
        assert!(got.last().is_none_or(|last| ends_a_batch(last.0 + 1)), "a read is whole batches");
        if min_one {
            assert!(!got.is_empty());
        }
        let one = got.last().is_some_and(|last| last.0 < model.batches[from].end());
        assert!(data.size <= max_bytes || (min_one && one), "{} bytes of {max_bytes}", data.size);
    }

    fn check(&self) {
        let (log, model) = (&self.log, &self.model);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end));
        assert_eq!(all(log, self.disk, 700), model.records());
        assert_eq!(log.verify(self.disk).unwrap(), Vec::<String>::new());
        let epochs: Vec<_> =
            log.leader_epochs().entries().iter().map(|e| (e.epoch, e.start_offset)).collect();
        if !model.records().is_empty() {
            assert_eq!(epochs, model.epochs());
        }
        if model.start == 0 {
            let sequences: Vec<_> =
                log.active_producers().iter().map(|p| (p.producer_id, p.last_sequence)).collect();
            assert_eq!(sequences, model.last_sequences());
        }
    }
}

fn run(disk: &mut dyn Disk, config: Arc<LogConfig>, steps: &[Step]) {
    let log = open(disk, config.clone());
    let model = Model { batches: Vec::new(), start: 0, end: 0, epoch: 0, appended: 0 };
    let mut run = Run { disk, config, log, model, checkpoint: 0 };
    for step in steps {
        run.step(step);
        run.check();
    }
}

fn history() -> impl Strategy<Value = (u32, u32, u32, Vec<Step>)> {
    (1000..4000_u32, 0..600_u32, 48..400_u32, prop::collection::vec(step(), 1..60))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_log_on_the_memory_disk_is_a_list((segment, interval, index, steps) in history()) {
        run(&mut MemoryDisk::new(), settings(segment, interval, index), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_on_the_file_disk_is_a_list((segment, interval, index, steps) in history()) {
        let dir = tempfile::tempdir().unwrap();
        run(&mut FileDisk::open(dir.path()).unwrap(), settings(segment, interval, index), &steps);
    }
}
