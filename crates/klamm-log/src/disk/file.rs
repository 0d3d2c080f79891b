//! A disk of real files under a directory. The one effectful place below the drivers, and the one place with `unsafe`: indexes are
//! mapped into memory.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this disk is made of files")]

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use memmap2::{MmapMut, MmapOptions};

use super::handles::{Handles, open_append, open_write};
use super::{
    DirEntry, Disk, DiskError, DiskErrorKind, FileId, FileKind, FlushId, FlushJob, FlushOutcome, FlushState,
};

/// How many slices go into one `writev` (Linux takes 1,024).
const SLICES: usize = 512;

/// A disk of real files. It locks its directory: two nodes must not share one.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    files: Vec<Option<OpenFile>>,
    free: Vec<u32>,
    paths: BTreeMap<String, u32>,
    /// Closed files that were not flushed, and how much of them was: a simulated power loss cuts them.
    unflushed: BTreeMap<String, u64>,
    handles: Handles,
    jobs: Vec<FlushJob>,
    next_flush: u64,
    /// The flushes under way, and what becomes durable with them.
    flushing: BTreeMap<FlushId, (FileId, u64)>,
    /// False once the process that asked for the jobs under way has ended.
    alive: Arc<Mutex<bool>>,
    _lock: File,
}

#[derive(Debug)]
struct OpenFile {
    path: String,
    len: u64,
    /// Bytes that survive a simulated power loss.
    flushed: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// A log segment: read and written through its handle. Its file is `allocated` bytes long when that is more than was written.
    Log { allocated: u64 },
    /// An index: mapped once it has an entry. No handle is kept; the map lives without.
    Index { map: Option<MmapMut>, max_bytes: u64 },
    /// Small and append-only: also held in memory.
    Plain(Vec<u8>),
}

fn error(path: &str, cause: &io::Error) -> DiskError {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => DiskErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        _ => DiskErrorKind::Io,
    };
    DiskError::new(kind, path, cause.to_string())
}

fn closed(file: FileId) -> DiskError {
    DiskError::new(DiskErrorKind::Io, format!("file {}", file.0), "file was closed or deleted")
}

/// Absent is fine.
fn unless_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn read_at(file: &File, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn read_at(file: &File, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

fn read_full(file: &File, mut position: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(file, position, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => {
                filled += n;
                position += n as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}

fn write_slices(mut file: &File, chunks: &[Bytes]) -> io::Result<()> {
    for group in chunks.chunks(SLICES) {
        let mut slices: Vec<_> = group.iter().map(|c| IoSlice::new(c)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }
    Ok(())
}

impl OpenFile {
    fn failed(&self, cause: &io::Error) -> DiskError {
        error(&self.path, cause)
    }
}

impl FileDisk {
    /// The disk under `root`, which is created when absent. Fails when another process (or disk) holds it.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DiskError> {
        let root = root.as_ref().to_owned();
        let shown = root.display().to_string();
        fs::create_dir_all(&root).map_err(|e| error(&shown, &e))?;
        let path = root.join(".lock");
        let lock = File::create(path).map_err(|e| error(&shown, &e))?;
        lock.try_lock().map_err(|e| {
            let message = match e {
                fs::TryLockError::WouldBlock => "the directory is in use by another node".to_owned(),
                fs::TryLockError::Error(cause) => cause.to_string(),
            };
            DiskError::new(DiskErrorKind::Io, shown, message)
        })?;
        Ok(Self {
            root,
            files: Vec::new(),
            free: Vec::new(),
            paths: BTreeMap::new(),
            unflushed: BTreeMap::new(),
            handles: Handles::default(),
            jobs: Vec::new(),
            next_flush: 0,
            flushing: BTreeMap::new(),
            alive: Arc::new(Mutex::new(true)),
            _lock: lock,
        })
    }

    fn real(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn file(&self, id: FileId) -> Result<&OpenFile, DiskError> {
        self.files.get(id.0 as usize).and_then(Option::as_ref).ok_or_else(|| closed(id))
    }

    fn failed(&self, id: FileId, cause: &io::Error) -> DiskError {
        self.file(id).map_or_else(|closed| closed, |file| file.failed(cause))
    }

    fn file_mut(&mut self, id: FileId) -> Result<&mut OpenFile, DiskError> {
        self.files.get_mut(id.0 as usize).and_then(Option::as_mut).ok_or_else(|| closed(id))
    }

    /// Closes a file, if it is open, without cutting a mapped index; the path's unflushed bytes are remembered.
    fn forget(&mut self, path: &str) -> Option<OpenFile> {
        let slot = self.paths.remove(path)?;
        self.handles.forget(slot);
        let file = self.files[slot as usize].take()?;
        self.free.push(slot);
        if file.flushed < file.len {
            self.unflushed.insert(file.path.clone(), file.flushed);
        }
        Some(file)
    }

    /// Closes a file as [`Disk::close`] does.
    fn close_path(&mut self, path: &str) -> Result<(), DiskError> {
        let Some(OpenFile { data, len, path, .. }) = self.forget(path) else { return Ok(()) };
        let longer = match data {
            Data::Index { map: Some(map), .. } => {
                drop(map);
                true
            }
            Data::Log { allocated } => allocated > len,
            _ => false,
        };
        if longer {
            set_len(&self.real(&path), len).map_err(|e| error(&path, &e))?;
        }
        Ok(())
    }

    fn open_under(&self, dir: &str) -> Vec<String> {
        let prefix = format!("{dir}/");
        let paths = self.paths.range(prefix.clone()..).map(|(path, _)| path);
        paths.take_while(|path| path.starts_with(&prefix)).cloned().collect()
    }

    fn open_data(&self, path: &str, kind: FileKind) -> io::Result<(Data, u64)> {
        let real = self.real(path);
        let len = open_append(&real)?.metadata()?.len();
        Ok(match kind {
            FileKind::Log => (Data::Log { allocated: 0 }, len),
            FileKind::Index { max_bytes } => {
                let map = if len == 0 { None } else { Some(map(&real, len)?) };
                (Data::Index { map, max_bytes }, len)
            }
            FileKind::Plain => (Data::Plain(fs::read(&real)?), len),
        })
    }

    /// The open file behind an id.
    fn handle(&self, id: FileId) -> Result<Arc<File>, DiskError> {
        let file = self.file(id)?;
        let open = || match file.data {
            Data::Log { allocated: 1.. } => open_write(&self.real(&file.path)),
            _ => open_append(&self.real(&file.path)),
        };
        self.handles.get(id.0, open).map_err(|e| file.failed(&e))
    }

    /// Cuts a preallocated log file to `len`; from then on it is appended to as any other.
    fn trim(&mut self, id: FileId, len: u64) -> Result<(), DiskError> {
        if let Data::Log { allocated: 1.. } = self.file(id)?.data {
            let cut = self.handle(id)?.set_len(len);
            cut.map_err(|e| self.failed(id, &e))?;
            self.handles.forget(id.0);
            self.file_mut(id)?.data = Data::Log { allocated: 0 };
        }
        Ok(())
    }
}

fn set_len(path: &Path, len: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(len)
}

fn map(path: &Path, len: u64) -> io::Result<MmapMut> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.set_len(len)?;
    // SAFETY: the map is sound while nobody shortens the file or writes to it behind our back. The file lies in a directory that
    // this disk has locked, every access goes through this disk, and it drops the map before it shortens or removes the file.
    unsafe { MmapOptions::new().len(len as usize).map_mut(&file) }
}

impl Disk for FileDisk {
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError> {
        if let Some(slot) = self.paths.get(path) {
            return Ok(FileId(*slot));
        }
        let (data, len) = self.open_data(path, kind).map_err(|e| error(path, &e))?;
        let flushed = self.unflushed.remove(path).unwrap_or(len);
        let file = OpenFile { path: path.to_owned(), len, flushed, data };
        let slot = self.free.pop().unwrap_or(self.files.len() as u32);
        if slot as usize == self.files.len() {
            self.files.push(Some(file));
        } else {
            self.files[slot as usize] = Some(file);
        }
        self.paths.insert(path.to_owned(), slot);
        Ok(FileId(slot))
    }

    fn preallocate(&mut self, id: FileId, bytes: u64) -> Result<(), DiskError> {
        let real = self.real(&self.file(id)?.path);
        let file = self.file_mut(id)?;
        if let Data::Log { allocated } = &mut file.data
            && file.len == 0
        {
            *allocated = bytes;
            self.handles.forget(id.0);
            set_len(&real, bytes).map_err(|e| self.failed(id, &e))?;
        }
        Ok(())
    }

    fn close(&mut self, file: FileId) {
        if let Ok(file) = self.file(file) {
            let path = file.path.clone();
            // An index that stays too long is found out, and rebuilt, when it is opened again.
            let _ = self.close_path(&path);
        }
    }

    fn seal(&mut self, id: FileId) -> Result<(), DiskError> {
        let real = self.real(&self.file(id)?.path);
        let len = self.file(id)?.len;
        self.trim(id, len)?;
        let file = self.file_mut(id)?;
        if let Data::Index { map: slot, .. } = &mut file.data
            && slot.as_ref().is_some_and(|map| map.len() as u64 > len)
        {
            *slot = None;
            let sealed = if len == 0 { set_len(&real, 0).map(|()| None) } else { map(&real, len).map(Some) };
            *slot = sealed.map_err(|e| error(&file.path, &e))?;
        }
        Ok(())
    }

    fn len(&self, file: FileId) -> u64 {
        self.file(file).map_or(0, |file| file.len)
    }

    fn append(&mut self, id: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        let Data::Log { allocated } = self.file(id)?.data else {
            return chunks.iter().try_for_each(|chunk| self.append_bytes(id, chunk));
        };
        let handle = self.handle(id)?;
        let file = self.file_mut(id)?;
        // A file that is longer than what was written is not written to at its end.
        let at = if allocated > 0 { (&*handle).seek(SeekFrom::Start(file.len)).map(drop) } else { Ok(()) };
        if let Err(cause) = at.and_then(|()| write_slices(&handle, chunks)) {
            // All or nothing: a part of a batch must not stay. If even this fails, recovery cuts it.
            let _ = handle.set_len(file.len);
            return Err(file.failed(&cause));
        }
        file.len += chunks.iter().map(|c| c.len() as u64).sum::<u64>();
        Ok(())
    }

    fn append_bytes(&mut self, id: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        if matches!(self.file(id)?.data, Data::Log { .. }) {
            return self.append(id, &[Bytes::copy_from_slice(bytes)]);
        }
        if matches!(self.file(id)?.data, Data::Plain(_)) {
            let handle = self.handle(id)?;
            let file = self.file_mut(id)?;
            (&*handle).write_all(bytes).map_err(|e| file.failed(&e))?;
            if let Data::Plain(held) = &mut file.data {
                held.extend_from_slice(bytes);
            }
            file.len += bytes.len() as u64;
            return Ok(());
        }
        let real = self.real(&self.file(id)?.path);
        let file = self.file_mut(id)?;
        append_entry(file, &real, bytes).map_err(|e| file.failed(&e))
    }

    fn read(&self, id: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError> {
        let file = self.file(id)?;
        let len = len.min(usize::try_from(file.len.saturating_sub(position)).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(());
        }
        if !matches!(file.data, Data::Log { .. }) {
            let start = position as usize;
            out.push(Bytes::copy_from_slice(&contents(file)[start..start + len]));
            return Ok(());
        }
        let mut buffer = BytesMut::zeroed(len);
        let filled = read_full(&*self.handle(id)?, position, &mut buffer).map_err(|e| file.failed(&e))?;
        buffer.truncate(filled);
        out.push(buffer.freeze());
        Ok(())
    }

    fn read_into(&self, id: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file(id)?;
        let len = buffer.len().min(usize::try_from(file.len.saturating_sub(position)).unwrap_or(usize::MAX));
        if !matches!(file.data, Data::Log { .. }) {
            let start = position as usize;
            buffer[..len].copy_from_slice(contents(file).get(start..start + len).unwrap_or_default());
            return Ok(len);
        }
        read_full(&*self.handle(id)?, position, &mut buffer[..len]).map_err(|e| file.failed(&e))
    }

    fn contents(&self, file: FileId) -> Result<&[u8], DiskError> {
        let file = self.file(file)?;
        if matches!(file.data, Data::Log { .. }) {
            return Err(DiskError::new(
                DiskErrorKind::Io,
                file.path.clone(),
                "a log file is not in one piece",
            ));
        }
        Ok(contents(file))
    }

    fn truncate(&mut self, id: FileId, len: u64) -> Result<(), DiskError> {
        if len >= self.file(id)?.len {
            return Ok(());
        }
        self.trim(id, len)?;
        if matches!(self.file(id)?.data, Data::Log { .. } | Data::Plain(_)) {
            let cut = self.handle(id)?.set_len(len);
            cut.map_err(|e| self.failed(id, &e))?;
        }
        let file = self.file_mut(id)?;
        match &mut file.data {
            Data::Log { .. } => {}
            Data::Plain(bytes) => bytes.truncate(len as usize),
            Data::Index { map, .. } => {
                if let Some(map) = map {
                    map[len as usize..file.len as usize].fill(0);
                }
            }
        }
        file.len = len;
        file.flushed = file.flushed.min(len);
        // An index without entries takes no map, and a tool that meets it sees an empty file.
        if len == 0 { self.seal(id) } else { Ok(()) }
    }

    fn request_flush(&mut self, id: FileId) -> Result<FlushState, DiskError> {
        let file = self.file(id)?;
        if file.flushed == file.len {
            return Ok(FlushState::Done);
        }
        let handle = self.handle(id)?;
        let (path, len) = (file.path.clone(), file.len);
        let flush = FlushId(self.next_flush);
        self.next_flush += 1;
        self.flushing.insert(flush, (id, len));
        // An index's map is made durable by an fsync of its file.
        self.jobs.push(FlushJob::new(flush, move || handle.sync_data().map_err(|e| error(&path, &e))));
        Ok(FlushState::Pending(flush))
    }

    fn take_flush_jobs(&mut self) -> Vec<FlushJob> {
        std::mem::take(&mut self.jobs)
    }

    fn complete_flush(&mut self, outcome: &FlushOutcome) {
        let Some((id, len)) = self.flushing.remove(&outcome.id) else { return };
        if outcome.result.is_ok()
            && let Ok(file) = self.file_mut(id)
        {
            file.flushed = file.flushed.max(len.min(file.len));
        }
    }

    fn flush(&mut self, id: FileId) -> Result<(), DiskError> {
        let file = self.file(id)?;
        if file.flushed < file.len {
            self.handle(id)?.sync_data().map_err(|e| file.failed(&e))?;
            let file = self.file_mut(id)?;
            file.flushed = file.len;
        }
        Ok(())
    }

    fn exists(&self, path: &str) -> bool {
        self.paths.contains_key(path) || self.real(path).exists()
    }

    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError> {
        let entries = match fs::read_dir(self.real(dir)) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(error(dir, &cause)),
        };
        let mut out = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| error(dir, &e))?;
            let is_dir = entry.file_type().map_err(|e| error(dir, &e))?.is_dir();
            out.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
        }
        out.sort();
        Ok(out)
    }

    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        fs::create_dir_all(self.real(dir)).map_err(|e| error(dir, &e))
    }

    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError> {
        for path in self.open_under(dir) {
            self.forget(&path);
        }
        let prefix = format!("{dir}/");
        self.unflushed.retain(|path, _| !path.starts_with(&prefix));
        unless_absent(fs::remove_dir_all(self.real(dir))).map_err(|e| error(dir, &e))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        if !self.real(from).is_dir() {
            self.forget(to);
            self.unflushed.remove(to);
        }
        fs::rename(self.real(from), self.real(to)).map_err(|e| error(from, &e))?;
        let open = self.open_under(from).into_iter().chain([from.to_owned()]);
        for path in open {
            let moved = format!("{to}{}", &path[from.len()..]);
            if let Some(slot) = self.paths.remove(&path) {
                if let Some(file) = &mut self.files[slot as usize] {
                    file.path.clone_from(&moved);
                }
                self.paths.insert(moved, slot);
            }
        }
        let prefix = format!("{from}/");
        let closed: Vec<_> =
            self.unflushed.keys().filter(|p| *p == from || p.starts_with(&prefix)).cloned().collect();
        for path in closed {
            if let Some(flushed) = self.unflushed.remove(&path) {
                self.unflushed.insert(format!("{to}{}", &path[from.len()..]), flushed);
            }
        }
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), DiskError> {
        self.forget(path);
        self.unflushed.remove(path);
        unless_absent(fs::remove_file(self.real(path))).map_err(|e| error(path, &e))
    }

    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        match fs::read(self.real(path)) {
            Ok(mut bytes) => {
                // A mapped index is longer on disk than what was written to it.
                if let Some(slot) = self.paths.get(path) {
                    bytes.truncate(self.len(FileId(*slot)) as usize);
                }
                Ok(Some(bytes))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(error(path, &cause)),
        }
    }

    /// Written beside and renamed, so never half there. It is not fsynced: that would hold the caller for milliseconds, and
    /// what these files hold is found again by reading the log.
    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.forget(path);
        self.unflushed.remove(path);
        let real = self.real(path);
        let beside = self.real(&format!("{path}.tmp"));
        let written = fs::write(&beside, contents).and_then(|()| fs::rename(&beside, &real));
        written.map_err(|e| error(path, &e))
    }

    /// Everything happens in the job, outside the caller's lock: written beside, fsynced, renamed, and the directory fsynced
    /// (`Utils.atomicMoveWithFallback`).
    fn replace_file(&mut self, path: &str, contents: &[u8]) -> Result<FlushState, DiskError> {
        self.forget(path);
        self.unflushed.remove(path);
        let flush = FlushId(self.next_flush);
        self.next_flush += 1;
        let (real, beside) = (self.real(path), self.real(&format!("{path}.{}.part", flush.0)));
        let (alive, contents, path) = (Arc::clone(&self.alive), contents.to_vec(), path.to_owned());
        self.jobs.push(FlushJob::new(flush, move || {
            replace(&real, &beside, &contents, &alive).map_err(|e| error(&path, &e))
        }));
        Ok(FlushState::Pending(flush))
    }

    fn used_bytes(&self) -> u64 {
        fn walk(dir: &Path) -> u64 {
            let Ok(entries) = fs::read_dir(dir) else { return 0 };
            let size = |entry: fs::DirEntry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => walk(&entry.path()),
                Ok(meta) => meta.len(),
                Err(_) => 0,
            };
            entries.filter_map(Result::ok).map(size).sum()
        }
        // Mapped indexes and preallocated logs are counted by what was written to them.
        let slack = self.files.iter().flatten().map(|file| match &file.data {
            Data::Index { map: Some(map), .. } => map.len() as u64 - file.len,
            Data::Log { allocated } => allocated.saturating_sub(file.len),
            _ => 0,
        });
        walk(&self.root).saturating_sub(slack.sum())
    }

    fn corrupt(&mut self, path: &str, position: u64, mask: u8) -> Result<(), DiskError> {
        use std::io::Read as _;
        let flip = || {
            let mut file = fs::OpenOptions::new().read(true).write(true).open(self.real(path))?;
            let mut byte = [0];
            file.seek(SeekFrom::Start(position))?;
            file.read_exact(&mut byte)?;
            file.seek(SeekFrom::Start(position))?;
            file.write_all(&[byte[0] ^ mask])
        };
        flip().map_err(|cause: io::Error| error(path, &cause))
    }

    fn crash(&mut self) {
        let open: Vec<_> = self.paths.keys().cloned().collect();
        for path in open {
            self.forget(&path);
        }
        self.jobs.clear();
        self.flushing.clear();
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.alive = Arc::new(Mutex::new(true));
    }

    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64) {
        let written: BTreeMap<_, _> = self.files.iter().flatten().map(|f| (f.path.clone(), f.len)).collect();
        self.crash();
        for (path, flushed) in std::mem::take(&mut self.unflushed) {
            let real = self.real(&path);
            let on_disk = fs::metadata(&real).map_or(0, |meta| meta.len());
            let len = written.get(&path).copied().unwrap_or(on_disk);
            let unflushed = len.saturating_sub(flushed);
            if unflushed > 0 {
                // A file that cannot be cut is as good as one that was flushed: recovery reads it all the same.
                let _ = set_len(&real, flushed + keep(&path, unflushed).min(unflushed));
            }
        }
    }

    fn is_real(&self) -> bool {
        true
    }

    fn fork(&self) -> Option<Box<dyn Disk>> {
        None
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Puts a file in another's place, durably, unless the process that wanted it has ended: its successor may have written since.
fn replace(real: &Path, beside: &Path, contents: &[u8], alive: &Mutex<bool>) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    {
        let alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
        if !*alive {
            fs::remove_file(beside)?;
            return Err(io::Error::other("the process ended before the file was replaced"));
        }
        fs::rename(beside, real)?;
    }
    // Elsewhere a directory cannot be opened, and need not be.
    #[cfg(unix)]
    if let Some(dir) = real.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn contents(file: &OpenFile) -> &[u8] {
    match &file.data {
        Data::Plain(bytes) => bytes,
        Data::Index { map: Some(map), .. } => &map[..file.len as usize],
        Data::Index { map: None, .. } | Data::Log { .. } => &[],
    }
}

/// Writes an index entry into the map.
fn append_entry(file: &mut OpenFile, real: &Path, bytes: &[u8]) -> io::Result<()> {
    let Data::Index { map: slot, max_bytes } = &mut file.data else { return Ok(()) };
    let (start, end) = (file.len as usize, file.len as usize + bytes.len());
    if slot.as_ref().is_none_or(|map| map.len() < end) {
        // First entry, or first since the file was cut to its length: map all that it may grow to.
        *slot = None;
        *slot = Some(map(real, (end as u64).max(*max_bytes))?);
    }
    if let Some(map) = slot {
        map[start..end].copy_from_slice(bytes);
        file.len = end as u64;
    }
    Ok(())
}
