//! Damaged files: what is left is a piece of what was there, and nothing panics.

use klamm_log::{
    Disk, FetchIsolation, FileDisk, Log, LogLimits, LogManager, LogManagerSettings, MemoryDisk, OpenLog,
    special_timestamp,
};
use klamm_wire::record::builder::BatchBuilder;
use proptest::prelude::*;

use crate::support::*;

/// What happens to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip { file: u16, at: u32, with: u8 },
    Cut { file: u16, at: u32 },
    Lose { file: u16 },
    Garbage { file: u16, bytes: Vec<u8> },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<u16>(), any::<u32>(), 1..=255_u8).prop_map(|(file, at, with)| Damage::Flip { file, at, with }),
        2 => (any::<u16>(), any::<u32>()).prop_map(|(file, at)| Damage::Cut { file, at }),
        1 => any::<u16>().prop_map(|file| Damage::Lose { file }),
        1 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(file, bytes)| Damage::Garbage { file, bytes }),
    ]
}

fn fill(disk: &mut dyn Disk, log: &mut Log) {
    for n in 0..40_i32 {
        let mut builder = BatchBuilder::new().producer(i64::from(n % 2), 0, n / 2 * 2);
        for i in 0..2 {
            builder.push(NOW + i64::from(n), Some(b"k"), Some(format!("value {n}.{i}").as_bytes()), &[]);
        }
        let batch = [inspected(builder)];
        log.append_as_leader(disk, &batch, n / 10, NOW, klamm_log::AppendOrigin::Client).unwrap();
    }
}

/// Whether a byte of a log belongs to a base offset or a leader epoch: no checksum covers them, in Kafka neither.
fn is_unguarded(bytes: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some(header) = klamm_wire::BatchHeader::read(&bytes[start..]) {
        let end = start + header.size();
        if at < end {
            return (at - start) < 8 || (12..16).contains(&(at - start));
        }
        start = end;
    }
    false
}

/// Where the damage was done: the file's name.
fn apply(disk: &mut dyn Disk, damage: &Damage) -> String {
    let names: Vec<_> = disk.list("logs/t-0").unwrap().into_iter().map(|e| e.name).collect();
    let pick = |file: u16| names[usize::from(file) % names.len()].clone();
    let path = |name: &str| format!("logs/t-0/{name}");
    match damage {
        Damage::Flip { file, at, with } => {
            let name = pick(*file);
            let mut bytes = disk.read_file(&path(&name)).unwrap().unwrap();
            if !bytes.is_empty() {
                let at = *at as usize % bytes.len();
                if !(name.ends_with(".log") && is_unguarded(&bytes, at)) {
                    bytes[at] ^= with;
                }
            }
            disk.write_file(&path(&name), &bytes).unwrap();
            name
        }
        Damage::Cut { file, at } => {
            let name = pick(*file);
            let mut bytes = disk.read_file(&path(&name)).unwrap().unwrap();
            bytes.truncate(*at as usize % (bytes.len() + 1));
            disk.write_file(&path(&name), &bytes).unwrap();
            name
        }
        Damage::Lose { file } => {
            let name = pick(*file);
            disk.delete(&path(&name)).unwrap();
            name
        }
        Damage::Garbage { file, bytes } => {
            let name = pick(*file);
            disk.write_file(&path(&name), bytes).unwrap();
            name
        }
    }
}

/// Everything that reads, for the sake of not panicking.
fn poke(log: &Log, disk: &dyn Disk) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    // Where the last batch's own count of offsets has rotten and nothing is recovered, the end may lie billions of offsets away.
    let near_the_end = start.saturating_add(200).max(end.saturating_sub(20))..=end;
    for offset in (start..=end).take(200).chain(near_the_end) {
        for isolation in [FetchIsolation::LogEnd, FetchIsolation::HighWatermark, FetchIsolation::TxnCommitted]
        {
            let _ = log.read(disk, offset, 300, isolation, true);
        }
    }
    for timestamp in [NOW, NOW + 20, NOW + 1000, special_timestamp::MAX_TIMESTAMP] {
        let _ = log.fetch_offset_by_timestamp(disk, timestamp);
    }
    let _ = log.verify(disk);
}

fn recover(disk: &mut dyn Disk, damages: &[Damage]) {
    let config = config(&[("internal.segment.bytes", "700"), ("index.interval.bytes", "100")]);
    let mut log = open(disk, config.clone());
    fill(disk, &mut log);
    let before = all(&log, disk, 4096);
    let producers = log.active_producers();
    disk.crash();
    let damaged: Vec<_> = damages.iter().map(|damage| apply(disk, damage)).collect();
    let mut log = Log::open(disk, "logs/t-0", config, LogLimits::default(), OpenLog::default(), NOW).unwrap();
    poke(&log, disk);
    let after = all(&log, disk, 4096);
    assert_eq!(log.verify(disk).unwrap(), Vec::<String>::new());
    if damaged.iter().all(|name| !name.ends_with(".log")) {
        assert_eq!(after, before, "the batches are all there");
        assert_eq!(log.active_producers(), producers);
    } else if damages.len() == 1 && !matches!(damages[0], Damage::Lose { .. }) {
        assert!(before.starts_with(&after), "what is left is the beginning");
    }
    // It goes on as a log does.
    let end = log.log_end_offset();
    assert_eq!(append(&mut log, disk, &["more"]), end);
    assert_eq!(values(&log, disk).last().map(String::as_str), Some("more"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn recovery_leaves_a_log_that_holds(damages in prop::collection::vec(damage(), 1..4)) {
        recover(&mut MemoryDisk::new(), &damages);
    }

    /// Bits rot under a log that is in use.
    #[test]
    fn reading_damaged_batches_does_not_panic(damages in prop::collection::vec(damage(), 1..4)) {
        let mut disk = MemoryDisk::new();
        let config = config(&[("internal.segment.bytes", "700"), ("index.interval.bytes", "100")]);
        let mut log = open(&mut disk, config.clone());
        fill(&mut disk, &mut log);
        log.close(&mut disk, NOW).unwrap();
        for damage in &damages {
            apply(&mut disk, damage);
        }
        // After an orderly stop nothing is read again.
        let clean = OpenLog { clean_shutdown: true, recovery_point: 80, ..OpenLog::default() };
        let log = Log::open(&mut disk, "logs/t-0", config, LogLimits::default(), clean, NOW).unwrap();
        poke(&log, &disk);
    }

    #[test]
    fn a_directory_of_garbage_opens(files in prop::collection::vec(("[a-z.0-9-]{1,30}", prop::collection::vec(any::<u8>(), 0..100)), 0..10)) {
        let mut disk = MemoryDisk::new();
        disk.create_dir("logs/t-0").unwrap();
        for (name, bytes) in &files {
            disk.write_file(&format!("logs/{name}"), bytes).unwrap();
            disk.write_file(&format!("logs/t-0/{name}"), bytes).unwrap();
            disk.write_file(&format!("logs/t-0/{:020}.{name}", bytes.len()), bytes).unwrap();
        }
        let _ = LogManager::open(&mut disk, LogManagerSettings::new("logs"), NOW, &mut |_| config(&[]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn recovery_leaves_files_that_hold(damages in prop::collection::vec(damage(), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        recover(&mut FileDisk::open(dir.path()).unwrap(), &damages);
    }
}
