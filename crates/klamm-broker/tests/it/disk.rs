//! A disk that can be made to fail, and what a broker does then.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use klamm_log::disk::{DirEntry, DiskErrorKind, FileKind, FlushJob, FlushOutcome, FlushState};
use klamm_log::{Disk, DiskError, FileId, MemoryDisk};
use klamm_node::NodeId;
use klamm_wire::ErrorCode;

use crate::cluster::{Cluster, fetch};

#[derive(Debug)]
struct FailingDisk {
    disk: MemoryDisk,
    broken: Arc<AtomicBool>,
}

impl FailingDisk {
    fn check(&self) -> Result<(), DiskError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(DiskError::new(DiskErrorKind::Full, "logs", "no space left on device"));
        }
        Ok(())
    }
}

impl Disk for FailingDisk {
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError> {
        self.disk.open(path, kind)
    }
    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }
    fn seal(&mut self, file: FileId) -> Result<(), DiskError> {
        self.disk.seal(file)
    }
    fn len(&self, file: FileId) -> u64 {
        self.disk.len(file)
    }
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        self.check()?;
        self.disk.append(file, chunks)
    }
    fn append_bytes(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.check()?;
        self.disk.append_bytes(file, bytes)
    }
    fn read(&self, file: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError> {
        self.disk.read(file, position, len, out)
    }
    fn read_into(&self, file: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read_into(file, position, buffer)
    }
    fn contents(&self, file: FileId) -> Result<&[u8], DiskError> {
        self.disk.contents(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.disk.truncate(file, len)
    }
    fn request_flush(&mut self, file: FileId) -> Result<FlushState, DiskError> {
        self.disk.request_flush(file)
    }
    fn take_flush_jobs(&mut self) -> Vec<FlushJob> {
        self.disk.take_flush_jobs()
    }
    fn complete_flush(&mut self, outcome: &FlushOutcome) {
        self.disk.complete_flush(outcome);
    }
    fn flush(&mut self, file: FileId) -> Result<(), DiskError> {
        self.disk.flush(file)
    }
    fn exists(&self, path: &str) -> bool {
        self.disk.exists(path)
    }
    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError> {
        self.disk.list(dir)
    }
    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.disk.create_dir(dir)
    }
    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.disk.remove_dir(dir)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        self.disk.delete(path)
    }
    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        self.disk.read_file(path)
    }
    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.check()?;
        self.disk.write_file(path, contents)
    }
    fn used_bytes(&self) -> u64 {
        self.disk.used_bytes()
    }
    fn crash(&mut self) {
        self.disk.crash();
    }
    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        self.disk.power_loss(keep);
    }
    fn fork(&self) -> Option<Box<dyn Disk>> {
        None
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[test]
fn a_broker_whose_disk_is_full_gives_up_its_partitions_and_nothing_else() {
    let broken: BTreeMap<i32, Arc<AtomicBool>> = (1..=3).map(|id| (id, Arc::default())).collect();
    let disks = broken.iter().map(|(id, broken)| {
        let disk = FailingDisk { disk: MemoryDisk::new(), broken: broken.clone() };
        (NodeId(*id), Box::new(disk) as Box<dyn Disk>)
    });
    let mut c = Cluster::with_disks(3, &[("min.insync.replicas", "2")], disks.collect());
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    broken[&leader].store(true, Ordering::Relaxed);
    let sent = c.send_produce(leader, "t", 0, -1, "b");
    assert_eq!(ErrorCode::from_code(c.produced(sent).error_code), Some(ErrorCode::KafkaStorageError));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now != NodeId(leader))
    });
    assert_eq!(c.produce("t", 0, "c"), 1);
    let sent = c.send(leader, 12, fetch("t", 0, 0, 0));
    let error = c.fetched(sent).topics[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::KafkaStorageError);
    // It goes on following the cluster: a topic made now is known there.
    c.run(Duration::from_secs(2));
    let other = leader % 3 + 1;
    c.create_topic_through(other, "later", 1, 2, &[]);
    assert!(c.knows_topic(leader, "later"));
}
