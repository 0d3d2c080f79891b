//! A disk in memory: log files are ropes of shared slices, so three replicas of a record hold one copy of its payload.

use std::any::Any;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::paths::Paths;
use super::rope::Rope;
use super::{
    DirEntry, Disk, DiskError, DiskErrorKind, FileId, FileKind, FlushId, FlushJob, FlushOutcome, FlushState,
};

/// A disk in memory. Flushing is immediate; what was not flushed is lost with [`Disk::power_loss`] all the same.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    files: Vec<Option<File>>,
    free: Vec<u32>,
    paths: Paths<u32>,
    used: u64,
    /// The flushes under way, where they are reported from outside.
    deferred: Option<Deferred>,
}

/// Flushes that end when [`Disk::complete_flush`] says so.
#[derive(Debug, Clone, Default)]
struct Deferred {
    next: u64,
    /// The first flush that was not handed out.
    handed_out: u64,
    waiting: BTreeMap<FlushId, Waiting>,
}

/// What becomes durable with a flush.
#[derive(Debug, Clone)]
enum Waiting {
    File(FileId, u64),
    Replacement { path: String, contents: Vec<u8> },
}

impl Deferred {
    fn ask(&mut self, waiting: Waiting) -> FlushState {
        let flush = FlushId(self.next);
        self.next += 1;
        self.waiting.insert(flush, waiting);
        FlushState::Pending(flush)
    }
}

#[derive(Debug, Clone)]
struct File {
    data: Data,
    /// Bytes that survive a power loss.
    flushed: u64,
}

#[derive(Debug, Clone)]
enum Data {
    Rope(Rope),
    Flat(Vec<u8>),
}

impl File {
    fn new(kind: FileKind) -> Self {
        let data = match kind {
            FileKind::Log => Data::Rope(Rope::default()),
            FileKind::Index { .. } | FileKind::Plain => Data::Flat(Vec::new()),
        };
        Self { data, flushed: 0 }
    }

    fn len(&self) -> u64 {
        match &self.data {
            Data::Rope(rope) => rope.len(),
            Data::Flat(bytes) => bytes.len() as u64,
        }
    }

    fn truncate(&mut self, len: u64) {
        match &mut self.data {
            Data::Rope(rope) => rope.truncate(len),
            Data::Flat(bytes) => bytes.truncate(len as usize),
        }
        self.flushed = self.flushed.min(len);
    }
}

fn closed(file: FileId) -> DiskError {
    DiskError::new(DiskErrorKind::Io, format!("file {}", file.0), "file was deleted")
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk whose flushes end when they are reported, as a real disk's do: to replay what happened on one.
    pub fn with_deferred_flush() -> Self {
        Self { deferred: Some(Deferred::default()), ..Self::default() }
    }

    fn file(&self, id: FileId) -> Result<&File, DiskError> {
        self.files.get(id.0 as usize).and_then(Option::as_ref).ok_or_else(|| closed(id))
    }

    fn file_mut(&mut self, id: FileId) -> Result<&mut File, DiskError> {
        self.files.get_mut(id.0 as usize).and_then(Option::as_mut).ok_or_else(|| closed(id))
    }

    fn insert(&mut self, path: &str, file: File) -> u32 {
        let slot = self.free.pop().unwrap_or(self.files.len() as u32);
        if slot as usize == self.files.len() {
            self.files.push(Some(file));
        } else {
            self.files[slot as usize] = Some(file);
        }
        self.paths.insert(path, slot);
        slot
    }

    fn remove(&mut self, path: &str) {
        if let Some(slot) = self.paths.remove(path) {
            self.free(slot);
        }
    }

    fn free(&mut self, slot: u32) {
        if let Some(file) = self.files[slot as usize].take() {
            self.used -= file.len();
        }
        self.free.push(slot);
    }
}

impl Disk for MemoryDisk {
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError> {
        match self.paths.get(path) {
            Some(slot) => Ok(FileId(*slot)),
            None => Ok(FileId(self.insert(path, File::new(kind)))),
        }
    }

    fn close(&mut self, _: FileId) {}

    fn seal(&mut self, _: FileId) -> Result<(), DiskError> {
        Ok(())
    }

    fn len(&self, file: FileId) -> u64 {
        self.file(file).map_or(0, File::len)
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        let file = self.file_mut(file)?;
        let before = file.len();
        for chunk in chunks {
            match &mut file.data {
                Data::Rope(rope) => rope.push(chunk.clone()),
                Data::Flat(bytes) => bytes.extend_from_slice(chunk),
            }
        }
        let added = file.len() - before;
        self.used += added;
        Ok(())
    }

    fn append_bytes(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        match &mut self.file_mut(file)?.data {
            Data::Rope(rope) => rope.push(Bytes::copy_from_slice(bytes)),
            Data::Flat(flat) => flat.extend_from_slice(bytes),
        }
        self.used += bytes.len() as u64;
        Ok(())
    }

    fn read(&self, file: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError> {
        match &self.file(file)?.data {
            Data::Rope(rope) => rope.read(position, len, out),
            Data::Flat(bytes) => {
                let start = bytes.len().min(position as usize);
                let end = bytes.len().min(start.saturating_add(len));
                if start < end {
                    out.push(Bytes::copy_from_slice(&bytes[start..end]));
                }
            }
        }
        Ok(())
    }

    fn read_into(&self, file: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        Ok(match &self.file(file)?.data {
            Data::Rope(rope) => rope.read_into(position, buffer),
            Data::Flat(bytes) => {
                let rest = bytes.get(position as usize..).unwrap_or_default();
                let take = rest.len().min(buffer.len());
                buffer[..take].copy_from_slice(&rest[..take]);
                take
            }
        })
    }

    fn contents(&self, id: FileId) -> Result<&[u8], DiskError> {
        match &self.file(id)?.data {
            Data::Flat(bytes) => Ok(bytes),
            Data::Rope(_) => Err(DiskError::new(
                DiskErrorKind::Io,
                format!("file {}", id.0),
                "a log file is not in one piece",
            )),
        }
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let file = self.file_mut(file)?;
        let before = file.len();
        file.truncate(len);
        let gone = before - file.len();
        self.used -= gone;
        Ok(())
    }

    fn request_flush(&mut self, id: FileId) -> Result<FlushState, DiskError> {
        let file = self.file(id)?;
        let (len, flushed) = (file.len(), file.flushed);
        match &mut self.deferred {
            Some(deferred) if flushed < len => Ok(deferred.ask(Waiting::File(id, len))),
            _ => {
                self.flush(id)?;
                Ok(FlushState::Done)
            }
        }
    }

    fn take_flush_jobs(&mut self) -> Vec<FlushJob> {
        let Some(deferred) = &mut self.deferred else { return Vec::new() };
        let first = std::mem::replace(&mut deferred.handed_out, deferred.next);
        let waiting = deferred.waiting.range(FlushId(first)..);
        waiting.map(|(id, _)| FlushJob::new(*id, || Ok(()))).collect()
    }

    fn complete_flush(&mut self, outcome: &FlushOutcome) {
        let Some(deferred) = &mut self.deferred else { return };
        let waiting = deferred.waiting.remove(&outcome.id);
        if outcome.result.is_err() {
            return;
        }
        match waiting {
            Some(Waiting::File(id, len)) => {
                if let Ok(file) = self.file_mut(id) {
                    file.flushed = file.flushed.max(len.min(file.len()));
                }
            }
            Some(Waiting::Replacement { path, contents }) => {
                // A disk in memory does not refuse.
                let _ = self.write_file(&path, &contents);
            }
            None => {}
        }
    }

    fn flush(&mut self, file: FileId) -> Result<(), DiskError> {
        let file = self.file_mut(file)?;
        file.flushed = file.len();
        Ok(())
    }

    fn exists(&self, path: &str) -> bool {
        self.paths.get(path).is_some() || self.paths.has_dir(path)
    }

    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError> {
        Ok(self.paths.list(dir))
    }

    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.paths.make_dir(dir);
        Ok(())
    }

    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        for (_, slot) in self.paths.remove_dir(dir) {
            self.free(slot);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        if let Some(slot) = self.paths.remove(from) {
            self.remove(to);
            self.paths.insert(to, slot);
            return Ok(());
        }
        if !self.paths.rename_dir(from, to) {
            return Err(DiskError::new(DiskErrorKind::NotFound, from, "no such file or directory"));
        }
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        self.remove(path);
        Ok(())
    }

    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(slot) = self.paths.get(path) else { return Ok(None) };
        Ok(Some(match &self.file(FileId(*slot))?.data {
            Data::Rope(rope) => rope.to_vec(),
            Data::Flat(bytes) => bytes.clone(),
        }))
    }

    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.remove(path);
        let len = contents.len() as u64;
        self.insert(path, File { data: Data::Flat(contents.to_vec()), flushed: len });
        self.used += len;
        Ok(())
    }

    fn replace_file(&mut self, path: &str, contents: &[u8]) -> Result<FlushState, DiskError> {
        if let Some(deferred) = &mut self.deferred {
            return Ok(
                deferred.ask(Waiting::Replacement { path: path.to_owned(), contents: contents.to_vec() })
            );
        }
        self.write_file(path, contents)?;
        Ok(FlushState::Done)
    }

    fn used_bytes(&self) -> u64 {
        self.used
    }

    fn corrupt(&mut self, path: &str, position: u64, mask: u8) -> Result<(), DiskError> {
        let missing = |what| DiskError::new(DiskErrorKind::NotFound, path, what);
        let slot = *self.paths.get(path).ok_or_else(|| missing("no such file".to_owned()))?;
        let file = self.file_mut(FileId(slot))?;
        if position >= file.len() {
            return Err(missing(format!("it has {} bytes, so none at {position}", file.len())));
        }
        match &mut file.data {
            Data::Rope(rope) => rope.flip(position, mask),
            Data::Flat(bytes) => bytes[position as usize] ^= mask,
        }
        Ok(())
    }

    fn crash(&mut self) {
        if let Some(deferred) = &mut self.deferred {
            deferred.waiting.clear();
        }
    }

    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        self.crash();
        for (path, slot) in self.paths.all() {
            let Some(file) = &mut self.files[*slot as usize] else { continue };
            let unflushed = file.len() - file.flushed;
            if unflushed > 0 {
                let kept = keep(&path, unflushed).min(unflushed);
                self.used -= unflushed - kept;
                file.truncate(file.flushed + kept);
                file.flushed = file.len();
            }
        }
    }

    fn fork(&self) -> Option<Box<dyn Disk>> {
        Some(Box::new(self.clone()))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
