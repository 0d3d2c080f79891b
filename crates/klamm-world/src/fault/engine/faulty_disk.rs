//! A disk with faults: what a node is given as its disk. While none is armed, it costs one branch.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use klamm_log::Disk;
use klamm_log::disk::{
    DirEntry, DiskError, DiskErrorKind, FileId, FileKind, FlushJob, FlushOutcome, FlushState,
};
use klamm_node::TopicPartition;

use super::batches;
use crate::fault::{DiskFault, DiskOperation, DiskScope, FaultId, Keep, Place};

/// What faults have done since the world last looked.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    /// Which fired, and what they did.
    pub(crate) fired: Vec<(FaultId, String)>,
    /// Which are used up.
    pub(crate) over: Vec<FaultId>,
    /// How much longer the step takes.
    pub(crate) cost: Duration,
}

/// A disk, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    inner: Box<dyn Disk>,
    /// The open files' paths.
    open: BTreeMap<FileId, String>,
    /// Every file that was ever opened and is still there.
    known: BTreeSet<String>,
    /// Behind a cell because reading fails too.
    faults: RefCell<Vec<Armed>>,
    deeds: RefCell<Deeds>,
}

#[derive(Debug, Clone)]
struct Armed {
    id: FaultId,
    fault: DiskFault,
    /// Bytes that still fit, or operations that still fail.
    left: u64,
}

impl DiskScope {
    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Partition(partition) => {
                let name = partition.to_string();
                path.split('/').any(|part| part == name)
            }
            Self::Path(scope) => {
                let rest = path.strip_prefix(scope.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl Armed {
    fn new(id: FaultId, fault: DiskFault) -> Self {
        let left = match &fault {
            DiskFault::Full { after_bytes, .. } => *after_bytes,
            DiskFault::Error { times, .. } => times.map_or(u64::MAX, u64::from),
            _ => u64::MAX,
        };
        Self { id, fault, left }
    }

    /// What it does to an operation that writes so many bytes.
    fn hit(
        &mut self,
        path: &str,
        operation: DiskOperation,
        bytes: u64,
        deeds: &mut Deeds,
    ) -> Result<(), DiskError> {
        let failed = |kind, why: &str| Err(DiskError::new(kind, path, format!("{why} (fault {})", self.id)));
        let result = match &self.fault {
            DiskFault::Full { scope, .. } if bytes > 0 && scope.covers(path) => {
                if let Some(left) = self.left.checked_sub(bytes) {
                    self.left = left;
                    return Ok(());
                }
                failed(DiskErrorKind::Full, "No space left on device")
            }
            DiskFault::Error { scope, on, .. } if *on == operation && scope.covers(path) => {
                self.left -= 1;
                if self.left == 0 {
                    deeds.over.push(self.id);
                }
                failed(DiskErrorKind::Io, "Input/output error")
            }
            DiskFault::LostDirectory { scope } if scope.covers(path) => {
                failed(DiskErrorKind::Io, "Input/output error: the directory is lost")
            }
            DiskFault::Slow { scope, on, by } if *on == operation && scope.covers(path) => {
                deeds.cost += *by;
                Ok(())
            }
            _ => return Ok(()),
        };
        let what = result.as_ref().map_or_else(
            |error| format!("{operation} failed: {error}"),
            |()| format!("a {operation} of {path} is slow"),
        );
        deeds.fired.push((self.id, what));
        result
    }
}

impl FaultyDisk {
    pub(crate) fn new(inner: Box<dyn Disk>) -> Self {
        Self {
            inner,
            open: BTreeMap::new(),
            known: BTreeSet::new(),
            faults: RefCell::default(),
            deeds: RefCell::default(),
        }
    }

    pub(crate) fn arm(&mut self, id: FaultId, fault: DiskFault) {
        self.faults.get_mut().push(Armed::new(id, fault));
    }

    pub(crate) fn disarm(&mut self, id: FaultId) {
        self.faults.get_mut().retain(|armed| armed.id != id);
    }

    /// What faults have done since this was last asked.
    pub(crate) fn take_deeds(&mut self) -> Deeds {
        let deeds = std::mem::take(self.deeds.get_mut());
        for id in &deeds.over {
            self.disarm(*id);
        }
        deeds
    }

    /// Flips bits of a stored byte; where it was.
    ///
    /// # Errors
    /// What is wrong with the place, for a person.
    pub(crate) fn rot(&mut self, place: &Place, mask: u8) -> Result<String, String> {
        let mask = if mask == 0 { 0xff } else { mask };
        let (path, position) = match place {
            Place::File { path, position } => (path.clone(), *position),
            Place::Batch { partition, offset, byte } => self.find_batch(partition, *offset, *byte)?,
        };
        self.inner.corrupt(&path, position, mask).map_err(|error| error.to_string())?;
        Ok(format!("byte {position} of {path}"))
    }

    fn find_batch(
        &self,
        partition: &TopicPartition,
        offset: i64,
        byte: u32,
    ) -> Result<(String, u64), String> {
        for path in self.segments(&DiskScope::Partition(partition.clone())) {
            let contents =
                self.inner.read_file(&path).map_err(|error| error.to_string())?.unwrap_or_default();
            if let Some(batch) = batches::of(&contents).find(|batch| batch.holds(offset)) {
                let (start, size) = (batch.position, batch.size);
                if u64::from(byte) >= size {
                    return Err(format!("the batch at offset {offset} has {size} bytes, numbered from 0"));
                }
                return Ok((path, start + u64::from(byte)));
            }
        }
        Err(format!("{partition} has no record at offset {offset} here"))
    }

    /// The log segments in a scope.
    fn segments(&self, scope: &DiskScope) -> Vec<String> {
        let logs = self.known.iter().filter(|path| path.ends_with(".log") && scope.covers(path));
        logs.cloned().collect()
    }

    fn hit(&self, path: &str, operation: DiskOperation, bytes: u64) -> Result<(), DiskError> {
        let mut faults = self.faults.borrow_mut();
        if faults.is_empty() {
            return Ok(());
        }
        let mut deeds = self.deeds.borrow_mut();
        faults
            .iter_mut()
            .filter(|armed| armed.left > 0 || matches!(armed.fault, DiskFault::Full { .. }))
            .try_for_each(|armed| armed.hit(path, operation, bytes, &mut deeds))
    }

    fn hit_file(&self, file: FileId, operation: DiskOperation, bytes: u64) -> Result<(), DiskError> {
        if self.faults.borrow().is_empty() {
            return Ok(());
        }
        let path = self.open.get(&file).map_or("", String::as_str);
        self.hit(path, operation, bytes)
    }

    /// Whether a path cannot be reached.
    fn is_lost(&self, path: &str) -> bool {
        self.faults
            .borrow()
            .iter()
            .any(|armed| matches!(&armed.fault, DiskFault::LostDirectory { scope } if scope.covers(path)))
    }

    fn moved(&mut self, from: &str, to: &str) {
        let moved = |path: &str| {
            let rest = path.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
        };
        for path in self.open.values_mut() {
            if let Some(new) = moved(path) {
                *path = new;
            }
        }
        self.known =
            std::mem::take(&mut self.known).into_iter().map(|path| moved(&path).unwrap_or(path)).collect();
    }

    /// What the armed faults say of a power loss: how many of a file's bytes stay, flushed or not.
    fn kept_lengths(&self) -> BTreeMap<String, u64> {
        let mut kept = BTreeMap::new();
        for armed in self.faults.borrow().iter() {
            let DiskFault::AtPowerLoss { scope, keep } = &armed.fault else { continue };
            let (offset, torn) = match *keep {
                Keep::UpTo { offset } => (offset, 0),
                Keep::Torn { offset, bytes } => (offset, bytes),
                Keep::Nothing | Keep::Everything | Keep::Bytes(_) => continue,
            };
            for path in self.segments(scope) {
                let contents = self.inner.read_file(&path).ok().flatten().unwrap_or_default();
                let lost = batches::of(&contents).find(|batch| batch.last_offset >= offset);
                let len = lost.map_or(contents.len() as u64, |batch| {
                    batch.position + torn.min(batch.size.saturating_sub(1))
                });
                kept.insert(path, len);
            }
        }
        kept
    }
}

impl Disk for FaultyDisk {
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError> {
        self.hit(path, DiskOperation::Write, u64::from(!self.inner.exists(path)))?;
        let file = self.inner.open(path, kind)?;
        self.open.insert(file, path.to_owned());
        self.known.insert(path.to_owned());
        Ok(file)
    }

    fn close(&mut self, file: FileId) {
        self.open.remove(&file);
        self.inner.close(file);
    }

    fn seal(&mut self, file: FileId) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Write, 0)?;
        self.inner.seal(file)
    }

    fn len(&self, file: FileId) -> u64 {
        self.inner.len(file)
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        if !self.faults.get_mut().is_empty() {
            let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            self.hit_file(file, DiskOperation::Write, bytes)?;
        }
        self.inner.append(file, chunks)
    }

    fn append_bytes(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Write, bytes.len() as u64)?;
        self.inner.append_bytes(file, bytes)
    }

    fn read(&self, file: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Read, 0)?;
        self.inner.read(file, position, len, out)
    }

    fn read_into(&self, file: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.hit_file(file, DiskOperation::Read, 0)?;
        self.inner.read_into(file, position, buffer)
    }

    fn contents(&self, file: FileId) -> Result<&[u8], DiskError> {
        self.hit_file(file, DiskOperation::Read, 0)?;
        self.inner.contents(file)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Write, 0)?;
        self.inner.truncate(file, len)
    }

    fn request_flush(&mut self, file: FileId) -> Result<FlushState, DiskError> {
        self.hit_file(file, DiskOperation::Flush, 0)?;
        self.inner.request_flush(file)
    }

    fn take_flush_jobs(&mut self) -> Vec<FlushJob> {
        self.inner.take_flush_jobs()
    }

    fn complete_flush(&mut self, outcome: &FlushOutcome) {
        self.inner.complete_flush(outcome);
    }

    fn flush(&mut self, file: FileId) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Flush, 0)?;
        self.inner.flush(file)
    }

    fn exists(&self, path: &str) -> bool {
        self.inner.exists(path) && !self.is_lost(path)
    }

    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError> {
        self.hit(dir, DiskOperation::Read, 0)?;
        self.inner.list(dir)
    }

    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.hit(dir, DiskOperation::Write, u64::from(!self.inner.exists(dir)))?;
        self.inner.create_dir(dir)
    }

    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.hit(dir, DiskOperation::Write, 0)?;
        let scope = DiskScope::Path(dir.to_owned());
        self.known.retain(|path| !scope.covers(path));
        self.open.retain(|_, path| !scope.covers(path));
        self.inner.remove_dir(dir)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.hit(from, DiskOperation::Write, 0)?;
        self.inner.rename(from, to)?;
        self.moved(from, to);
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        self.hit(path, DiskOperation::Write, 0)?;
        self.known.remove(path);
        self.open.retain(|_, open| open != path);
        self.inner.delete(path)
    }

    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        self.hit(path, DiskOperation::Read, 0)?;
        self.inner.read_file(path)
    }

    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.hit(path, DiskOperation::Write, contents.len() as u64)?;
        self.inner.write_file(path, contents)
    }

    fn replace_file(&mut self, path: &str, contents: &[u8]) -> Result<FlushState, DiskError> {
        self.hit(path, DiskOperation::Write, contents.len() as u64)?;
        self.hit(path, DiskOperation::Flush, 0)?;
        self.inner.replace_file(path, contents)
    }

    fn is_real(&self) -> bool {
        self.inner.is_real()
    }

    fn used_bytes(&self) -> u64 {
        self.inner.used_bytes()
    }

    fn corrupt(&mut self, path: &str, position: u64, mask: u8) -> Result<(), DiskError> {
        self.inner.corrupt(path, position, mask)
    }

    fn crash(&mut self) {
        self.open.clear();
        self.inner.crash();
    }

    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        let lengths = self.kept_lengths();
        let files: BTreeMap<&String, FileId> = self.open.iter().map(|(file, path)| (path, *file)).collect();
        let lengths_now: BTreeMap<String, u64> =
            files.into_iter().map(|(path, file)| (path.clone(), self.inner.len(file))).collect();
        let faults = self.faults.get_mut();
        let deeds = self.deeds.get_mut();
        self.inner.power_loss(&mut |path, unflushed| {
            // The one that was armed last has the last word.
            let armed = faults.iter().rev().find_map(|armed| match &armed.fault {
                DiskFault::AtPowerLoss { scope, keep } if scope.covers(path) => Some((armed.id, *keep)),
                _ => None,
            });
            let Some((id, chosen)) = armed else { return keep(path, unflushed) };
            let kept = match chosen {
                Keep::Nothing => 0,
                Keep::Everything => unflushed,
                Keep::Bytes(bytes) => bytes.min(unflushed),
                // Indexes are built anew from the log.
                Keep::UpTo { .. } | Keep::Torn { .. } => {
                    let len = lengths_now.get(path).copied().unwrap_or(unflushed);
                    let target = lengths.get(path).copied().unwrap_or(0);
                    target.saturating_sub(len.saturating_sub(unflushed)).min(unflushed)
                }
            };
            deeds.fired.push((id, format!("{kept} of {unflushed} unflushed bytes of {path} stay")));
            kept
        });
        for armed in faults.iter() {
            if matches!(armed.fault, DiskFault::AtPowerLoss { .. }) {
                deeds.over.push(armed.id);
            }
        }
        self.open.clear();
    }

    fn fork(&self) -> Option<Box<dyn Disk>> {
        Some(Box::new(Self {
            inner: self.inner.fork()?,
            open: self.open.clone(),
            known: self.known.clone(),
            faults: self.faults.clone(),
            deeds: RefCell::default(),
        }))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
