//! A log directory from one life of a node to the next.

use klamm_log::{Disk, FileDisk, LoadedLog, LogManager, LogManagerSettings, MemoryDisk, MetaProperties};
use klamm_wire::Uuid;

use crate::support::*;

fn boot(disk: &mut dyn Disk) -> (LogManager, Vec<LoadedLog>) {
    LogManager::open(disk, LogManagerSettings::new("data"), NOW, &mut |_| config(&[])).unwrap()
}

fn names(logs: &[LoadedLog]) -> Vec<String> {
    logs.iter().map(|l| format!("{}-{}", l.topic, l.partition)).collect()
}

fn both(check: impl Fn(&mut dyn Disk)) {
    check(&mut MemoryDisk::new());
    let dir = tempfile::tempdir().unwrap();
    check(&mut FileDisk::open(dir.path()).unwrap());
}

#[test]
fn logs_come_back_with_their_offsets_and_ids() {
    both(|disk| {
        let (mut manager, logs) = boot(disk);
        assert!(logs.is_empty() && !manager.had_clean_shutdown());
        let (a, b) = (Uuid::from_u128(1 << 77), Uuid::from_u128(u128::MAX));
        let mut first = manager.create_log(disk, "topic.with-dashes", 12, Some(a), config(&[]), NOW).unwrap();
        let mut second = manager.create_log(disk, "b", 0, Some(b), config(&[]), NOW).unwrap();
        for _ in 0..5 {
            append(&mut first, disk, &["x", "y"]);
        }
        append(&mut second, disk, &["z"]);
        first.update_high_watermark(8);
        first.maybe_increment_log_start_offset(disk, 3).unwrap();
        let high_watermarks = [(("topic.with-dashes".to_owned(), 12), 8)].into();
        manager.checkpoint_high_watermarks(disk, &high_watermarks).unwrap();
        manager.close(disk, &mut [&mut first, &mut second], Some(41), NOW).unwrap();
        disk.crash();

        let (manager, logs) = boot(disk);
        assert!(manager.had_clean_shutdown());
        assert_eq!(manager.previous_broker_epoch(), Some(41));
        assert_eq!(names(&logs), ["b-0", "topic.with-dashes-12"]);
        assert_eq!(logs.iter().map(|l| l.topic_id).collect::<Vec<_>>(), [Some(b), Some(a)]);
        let log = &logs[1].log;
        assert_eq!((log.log_start_offset(), log.high_watermark(), log.log_end_offset()), (3, 8, 10));
        assert_eq!(logs[0].log.high_watermark(), 0);
        disk.crash();

        let (manager, logs) = boot(disk);
        assert!(!manager.had_clean_shutdown(), "the mark is good for one boot");
        assert_eq!(manager.previous_broker_epoch(), None);
        assert_eq!(logs[1].log.log_end_offset(), 10);
    });
}

#[test]
fn a_new_log_has_an_index_when_it_has_entries_or_was_closed() {
    const INDEXES: [&str; 2] = ["00000000000000000000.index", "00000000000000000000.timeindex"];
    let has_indexes = |disk: &dyn Disk, dir: &str| {
        INDEXES.map(|name| disk.list(dir).unwrap().iter().any(|entry| entry.name == name))
    };
    both(|disk| {
        let (mut manager, _) = boot(disk);
        let config = || config(&[("index.interval.bytes", "50")]);
        let mut small = manager.create_log(disk, "small", 0, None, config(), NOW).unwrap();
        let mut large = manager.create_log(disk, "large", 0, None, config(), NOW).unwrap();
        append(&mut small, disk, &["one"]);
        for n in 0..20 {
            append(&mut large, disk, &[&format!("value {n}")]);
        }
        assert_eq!(has_indexes(disk, "data/small-0"), [false; 2]);
        assert_eq!(has_indexes(disk, "data/large-0"), [true; 2]);
        disk.crash();

        let (_, logs) = boot(disk);
        assert_eq!(logs[0].log.log_end_offset(), 20);
        assert_eq!(values(&logs[1].log, disk), ["one"]);
        assert_eq!(
            has_indexes(disk, "data/small-0"),
            [true; 2],
            "found without indexes, it was given new ones"
        );
        disk.crash();

        let (mut manager, _) = boot(disk);
        let mut log = manager.create_log(disk, "closed", 0, None, config(), NOW).unwrap();
        append(&mut log, disk, &["one"]);
        manager.close(disk, &mut [&mut log], None, NOW).unwrap();
        assert_eq!(has_indexes(disk, "data/closed-0"), [true; 2]);
    });
}

#[test]
fn a_power_loss_takes_what_was_not_flushed() {
    both(|disk| {
        let (mut manager, _) = boot(disk);
        let mut log = manager.create_log(disk, "t", 0, None, config(&[]), NOW).unwrap();
        append(&mut log, disk, &["kept"]);
        log.flush(disk, NOW).unwrap();
        for job in disk.take_flush_jobs() {
            manager.on_flushed(disk, &job.run(), &mut std::iter::once(&mut log), NOW);
        }
        assert_eq!(log.recovery_point(), 1);
        manager.checkpoint_logs(disk, &mut std::iter::once(&log)).unwrap();
        append(&mut log, disk, &["lost"]);
        append(&mut log, disk, &["torn"]);
        disk.power_loss(&mut |_, unflushed| unflushed / 4);
        let (_, logs) = boot(disk);
        assert_eq!(values(&logs[0].log, disk), ["kept"]);
        assert_eq!(logs[0].log.recovery_point(), 1);
    });
}

#[test]
fn a_deleted_log_goes_at_once_and_its_files_later() {
    both(|disk| {
        let (mut manager, _) = boot(disk);
        let topic = "t".repeat(249);
        let mut log = manager.create_log(disk, &topic, 7, None, config(&[]), NOW).unwrap();
        append(&mut log, disk, &["gone"]);
        manager.delete_log(disk, log, NOW).unwrap();
        let entries = |disk: &dyn Disk| {
            disk.list("data").unwrap().into_iter().filter(|e| e.is_dir).map(|e| e.name).collect::<Vec<_>>()
        };
        let left = entries(disk);
        assert!(left.len() == 1 && left[0].len() <= 255 && left[0].ends_with("-delete"), "{left:?}");
        // The name is free again.
        let log = manager.create_log(disk, &topic, 7, None, config(&[]), NOW).unwrap();
        assert!(log.is_empty());
        assert_eq!(manager.on_time(disk, NOW + 59_999, 60_000).unwrap(), Some(NOW + 60_000));
        assert_eq!(entries(disk).len(), 2);
        assert_eq!(manager.on_time(disk, NOW + 60_000, 60_000).unwrap(), None);
        assert_eq!(entries(disk).len(), 1);
        // What a crash left waiting goes at the next boot.
        manager.delete_log(disk, log, NOW).unwrap();
        disk.crash();
        assert!(boot(disk).1.is_empty());
        assert!(entries(disk).is_empty());
    });
}

#[test]
fn meta_properties_come_back() {
    both(|disk| {
        let (manager, _) = boot(disk);
        assert_eq!(manager.meta_properties(disk).unwrap(), None);
        let meta =
            MetaProperties { cluster_id: "a-b_c".into(), node_id: 3, directory_id: Uuid::from_u128(99) };
        manager.write_meta_properties(disk, &meta).unwrap();
        assert_eq!(manager.meta_properties(disk).unwrap(), Some(meta));
        disk.write_file("data/meta.properties", b"cluster.id=x\n").unwrap();
        assert!(manager.meta_properties(disk).is_err());
    });
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let error = FileDisk::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(disk);
    FileDisk::open(dir.path()).unwrap();
}

#[test]
fn a_forked_memory_disk_goes_its_own_way() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    append(&mut log, &mut disk, &["both"]);
    let (mut fork, mut forked) = (disk.fork().unwrap(), log.clone());
    append(&mut log, &mut disk, &["one"]);
    append(&mut forked, &mut *fork, &["other"]);
    assert_eq!(values(&log, &disk), ["both", "one"]);
    assert_eq!(values(&forked, &*fork), ["both", "other"]);
}
