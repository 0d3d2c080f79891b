//! A disk with faults: what a node is given as its disk. While none is armed, it costs one branch.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_log::Disk;
use klamm_log::disk::{
    DirEntry, DiskError, DiskErrorKind, FileId, FileKind, FlushJob, FlushOutcome, FlushState, Paths,
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
    /// The open files' paths, by their ids.
    open: Vec<Option<String>>,
    /// Every file that was ever opened and is still there, with its id while it is open.
    known: Paths<Option<FileId>>,
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
            open: Vec::new(),
            known: Paths::default(),
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
        let known = self.known.all().into_iter().map(|(path, _)| path);
        known.filter(|path| path.ends_with(".log") && scope.covers(path)).collect()
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
        let path = self.open.get(file.0 as usize).and_then(Option::as_deref);
        self.hit(path.unwrap_or_default(), operation, bytes)
    }

    /// Whether a path cannot be reached.
    fn is_lost(&self, path: &str) -> bool {
        self.faults
            .borrow()
            .iter()
            .any(|armed| matches!(&armed.fault, DiskFault::LostDirectory { scope } if scope.covers(path)))
    }

    /// A file or directory is renamed.
    fn moved(&mut self, from: &str, to: &str) {
        if let Some(file) = self.known.remove(from) {
            if let Some(Some(replaced)) = self.known.insert(to, file) {
                self.forget(replaced);
            }
            if let Some(file) = file {
                self.name(file, to.to_owned());
            }
            return;
        }
        for (path, file) in self.known.remove_dir(from) {
            let path = format!("{to}{}", &path[from.len()..]);
            self.known.insert(&path, file);
            if let Some(file) = file {
                self.name(file, path);
            }
        }
    }

    /// An open file has this path.
    fn name(&mut self, file: FileId, path: String) {
        let place = file.0 as usize;
        if place >= self.open.len() {
            self.open.resize(place + 1, None);
        }
        self.open[place] = Some(path);
    }

    /// A file is open no more; its path.
    fn forget(&mut self, file: FileId) -> Option<String> {
        self.open.get_mut(file.0 as usize)?.take()
    }

    /// No file is open any more.
    fn forget_all(&mut self) {
        self.open.clear();
        self.known.values_mut().for_each(|file| *file = None);
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
        if !self.faults.get_mut().is_empty() {
            self.hit(path, DiskOperation::Write, u64::from(!self.inner.exists(path)))?;
        }
        let file = self.inner.open(path, kind)?;
        self.name(file, path.to_owned());
        self.known.insert(path, Some(file));
        Ok(file)
    }

    fn close(&mut self, file: FileId) {
        if let Some(path) = self.forget(file)
            && let Some(known) = self.known.get_mut(&path)
        {
            *known = None;
        }
        self.inner.close(file);
    }

    fn preallocate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        self.hit_file(file, DiskOperation::Write, 0)?;
        self.inner.preallocate(file, bytes)
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
        if !self.faults.get_mut().is_empty() {
            self.hit(dir, DiskOperation::Write, u64::from(!self.inner.exists(dir)))?;
        }
        self.inner.create_dir(dir)
    }

    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.hit(dir, DiskOperation::Write, 0)?;
        for file in self.known.remove_dir(dir).into_iter().filter_map(|(_, file)| file) {
            self.forget(file);
        }
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
        if let Some(Some(file)) = self.known.remove(path) {
            self.forget(file);
        }
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
        self.forget_all();
        self.inner.crash();
    }

    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        let lengths = self.kept_lengths();
        let open = self.known.all().into_iter().filter_map(|(path, file)| Some((path, (*file)?)));
        let lengths_now: BTreeMap<String, u64> =
            open.map(|(path, file)| (path, self.inner.len(file))).collect();
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
        self.forget_all();
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
