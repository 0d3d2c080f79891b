//! A disk that can be made to fail below a path.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use klamm_log::disk::{DirEntry, DiskErrorKind, FileKind, FlushJob, FlushOutcome, FlushState};
use klamm_log::{Disk, DiskError, FileId, MemoryDisk};

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// Writing: the disk is full.
    Writes,
    /// Reading of log segments, indexes and small files.
    Reads,
    /// Making durable.
    Flushes,
}

#[derive(Debug, Default)]
struct State {
    failing: Vec<(String, Failing)>,
    /// How many bytes of the log segments below a path outlive a power loss.
    keep: Option<(String, u64)>,
    /// A byte of a log segment that reads differently.
    rotten: Option<(String, u64)>,
    /// How often bytes of a log segment were read for somebody.
    reads: u64,
}

/// Says what fails on a disk from now on, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breaker(Arc<Mutex<State>>);

impl Breaker {
    /// From now on `what` fails below `path`; an empty path is the whole disk.
    pub(crate) fn fail(&self, path: &str, what: Failing) {
        self.state().failing.push((path.to_owned(), what));
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        *self.state() = State::default();
    }

    /// Of the log segments below `path`, a power loss leaves what was flushed and `bytes` more.
    pub(crate) fn keep(&self, path: &str, bytes: u64) {
        self.state().keep = Some((path.to_owned(), bytes));
    }

    /// Flips the bits of one byte of the log segments below `path`.
    pub(crate) fn rot(&self, path: &str, byte: u64) {
        self.state().rotten = Some((path.to_owned(), byte));
    }

    /// How often bytes of a log segment were read for somebody, so far.
    pub(crate) fn reads(&self) -> u64 {
        self.state().reads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a segment as they are now.
    fn read(&self, path: &str, position: u64, bytes: Bytes) -> Bytes {
        let mut state = self.state();
        state.reads += 1;
        match &state.rotten {
            Some((prefix, byte))
                if path.starts_with(prefix.as_str())
                    && path.ends_with(".log")
                    && (position..position + bytes.len() as u64).contains(byte) =>
            {
                let mut rotten = bytes.to_vec();
                rotten[(byte - position) as usize] ^= 0xff;
                rotten.into()
            }
            _ => bytes,
        }
    }

    fn check(&self, path: &str, what: Failing) -> Result<(), DiskError> {
        let state = self.state();
        if !state
            .failing
            .iter()
            .any(|(prefix, failing)| *failing == what && path.starts_with(prefix.as_str()))
        {
            return Ok(());
        }
        let (kind, message) = match what {
            Failing::Writes => (DiskErrorKind::Full, "no space left on device"),
            Failing::Reads | Failing::Flushes => (DiskErrorKind::Io, "input/output error"),
        };
        Err(DiskError::new(kind, path, message))
    }
}

/// A memory disk with a [`Breaker`].
#[derive(Debug, Default)]
pub(crate) struct FailingDisk {
    disk: MemoryDisk,
    breaker: Breaker,
    paths: BTreeMap<FileId, String>,
}

impl FailingDisk {
    pub(crate) fn new() -> (Self, Breaker) {
        let disk = Self::default();
        let breaker = disk.breaker.clone();
        (disk, breaker)
    }

    fn check(&self, path: &str, what: Failing) -> Result<(), DiskError> {
        self.breaker.check(path, what)
    }

    fn check_file(&self, file: FileId, what: Failing) -> Result<(), DiskError> {
        self.check(self.paths.get(&file).map_or("", String::as_str), what)
    }
}

impl Disk for FailingDisk {
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError> {
        let file = self.disk.open(path, kind)?;
        self.paths.insert(file, path.to_owned());
        Ok(file)
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
        self.check_file(file, Failing::Writes)?;
        self.disk.append(file, chunks)
    }
    fn append_bytes(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_file(file, Failing::Writes)?;
        self.disk.append_bytes(file, bytes)
    }
    fn read(&self, file: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError> {
        self.check_file(file, Failing::Reads)?;
        let path = self.paths.get(&file).map_or("", String::as_str);
        let (mut found, mut at) = (Vec::new(), position);
        self.disk.read(file, position, len, &mut found)?;
        for bytes in found {
            let here = at;
            at += bytes.len() as u64;
            out.push(self.breaker.read(path, here, bytes));
        }
        Ok(())
    }
    fn read_into(&self, file: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.check_file(file, Failing::Reads)?;
        self.disk.read_into(file, position, buffer)
    }
    fn contents(&self, file: FileId) -> Result<&[u8], DiskError> {
        self.disk.contents(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.check_file(file, Failing::Writes)?;
        self.disk.truncate(file, len)
    }
    fn request_flush(&mut self, file: FileId) -> Result<FlushState, DiskError> {
        self.check_file(file, Failing::Flushes)?;
        self.disk.request_flush(file)
    }
    fn take_flush_jobs(&mut self) -> Vec<FlushJob> {
        self.disk.take_flush_jobs()
    }
    fn complete_flush(&mut self, outcome: &FlushOutcome) {
        self.disk.complete_flush(outcome);
    }
    fn flush(&mut self, file: FileId) -> Result<(), DiskError> {
        self.check_file(file, Failing::Flushes)?;
        self.disk.flush(file)
    }
    fn exists(&self, path: &str) -> bool {
        self.disk.exists(path)
    }
    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError> {
        self.check(dir, Failing::Reads)?;
        self.disk.list(dir)
    }
    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.check(dir, Failing::Writes)?;
        self.disk.create_dir(dir)
    }
    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        self.disk.remove_dir(dir)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.check(to, Failing::Writes)?;
        for path in self.paths.values_mut() {
            if let Some(rest) = path.strip_prefix(from) {
                *path = format!("{to}{rest}");
            }
        }
        self.disk.rename(from, to)
    }
    fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        self.check(path, Failing::Writes)?;
        self.disk.delete(path)
    }
    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        self.check(path, Failing::Reads)?;
        self.disk.read_file(path)
    }
    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.check(path, Failing::Writes)?;
        self.disk.write_file(path, contents)
    }
    fn used_bytes(&self) -> u64 {
        self.disk.used_bytes()
    }
    fn crash(&mut self) {
        self.disk.crash();
    }
    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        let kept = self.breaker.state().keep.clone();
        self.disk.power_loss(&mut |path, unflushed| match &kept {
            Some((prefix, bytes)) if path.starts_with(prefix.as_str()) && path.ends_with(".log") => {
                (*bytes).min(unflushed)
            }
            Some(_) => unflushed,
            None => keep(path, unflushed),
        });
    }
    fn is_real(&self) -> bool {
        // What is read may not be what was written.
        true
    }
    fn fork(&self) -> Option<Box<dyn Disk>> {
        None
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
