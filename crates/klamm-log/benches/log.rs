//! What an append and a read cost on the memory disk: `cargo bench -p klamm-log`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for a developer's eyes")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use klamm_log::{
    AppendOrigin, Disk, FetchIsolation, FileDisk, Log, LogConfig, LogLimits, MemoryDisk, OpenLog,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::inspect::{InspectedBatch, inspect_batches};

const NOW: i64 = 1_700_000_000_000;
const ROUNDS: u32 = 200_000;

fn batch(records: usize, size: usize, producer: Option<i32>) -> InspectedBatch {
    let mut builder = BatchBuilder::new();
    if let Some(sequence) = producer {
        builder = builder.producer(7, 0, sequence);
    }
    for _ in 0..records {
        builder.push(NOW, Some(b"key"), Some(&vec![b'x'; size]), &[]);
    }
    inspect_batches(&builder.build().unwrap().to_bytes()).unwrap().remove(0)
}

fn open(disk: &mut dyn Disk) -> Log {
    let config = Arc::new(LogConfig::default());
    Log::open(disk, "logs/t-0", config, LogLimits::default(), OpenLog::default(), NOW).unwrap()
}

fn measure(name: &str, rounds: u32, mut step: impl FnMut(u32)) {
    let best = (0..5).map(|_| {
        let start = Instant::now();
        (0..rounds).for_each(&mut step);
        start.elapsed().as_nanos() / u128::from(rounds)
    });
    println!("{name:<44} {:>8} ns", best.min().unwrap());
}

fn main() {
    for (name, batch) in [
        ("append 1 record of 100 bytes", batch(1, 100, None)),
        ("append 1 record of 1 KiB", batch(1, 1024, None)),
        ("append 100 records of 1 KiB", batch(100, 1024, None)),
    ] {
        let (mut disk, mut rounds) = (MemoryDisk::new(), 0);
        let mut log = open(&mut disk);
        measure(name, ROUNDS, |_| {
            rounds += 1;
            let batches = std::slice::from_ref(black_box(&batch));
            log.append_as_leader(&mut disk, batches, 0, NOW, AppendOrigin::Client).unwrap();
            if rounds % 4096 == 0 {
                log.truncate_fully_and_start_at(&mut disk, log.log_end_offset(), None, NOW).unwrap();
                log.on_time(&mut disk, i64::MAX).unwrap();
            }
        });
    }

    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk);
    let batches: Vec<_> = (0..1000).map(|n| batch(1, 100, Some(n))).collect();
    let mut at = 0;
    measure("append 1 record, idempotent", ROUNDS, |_| {
        let batches = std::slice::from_ref(&batches[at % 1000]);
        at += 1;
        log.append_as_leader(&mut disk, batches, 0, NOW, AppendOrigin::Client).unwrap();
        if at % 1000 == 0 {
            // The sequences begin again.
            log.truncate_fully_and_start_at(&mut disk, log.log_end_offset(), None, NOW).unwrap();
            log.on_time(&mut disk, i64::MAX).unwrap();
        }
    });

    let (mut disk, mut follower_disk) = (MemoryDisk::new(), MemoryDisk::new());
    let (mut log, mut follower) = (open(&mut disk), open(&mut follower_disk));
    let one = batch(1, 100, None);
    measure("append, read by a follower, appended there", ROUNDS, |_| {
        log.append_as_leader(&mut disk, std::slice::from_ref(&one), 0, NOW, AppendOrigin::Client).unwrap();
        let data = log.read(&disk, follower.log_end_offset(), 1 << 20, FetchIsolation::LogEnd, true).unwrap();
        follower.append_as_follower(&mut follower_disk, &data.records, 0, NOW).unwrap();
    });
    let end = log.log_end_offset();
    measure("read 64 KiB somewhere", ROUNDS, |n| {
        let offset = i64::from(n.wrapping_mul(2_654_435_761)) % end;
        black_box(log.read(&disk, offset, 1 << 16, FetchIsolation::LogEnd, true).unwrap());
    });

    let dir = std::env::temp_dir().join(format!("klamm-log-bench-{}", std::process::id()));
    let mut disk = FileDisk::open(&dir).unwrap();
    let mut log = open(&mut disk);
    measure("append 1 record of 100 bytes to a file", ROUNDS / 10, |_| {
        log.append_as_leader(&mut disk, std::slice::from_ref(&one), 0, NOW, AppendOrigin::Client).unwrap();
    });
    let mut opened = 0;
    let mut disk = MemoryDisk::new();
    measure("create a log in memory", 10_000, |_| {
        opened += 1;
        let dir = format!("logs/topic-{opened}");
        let config = Arc::new(LogConfig::default());
        black_box(Log::open(&mut disk, &dir, config, LogLimits::default(), OpenLog::default(), NOW).unwrap());
    });
    std::fs::remove_dir_all(dir).unwrap();
}
