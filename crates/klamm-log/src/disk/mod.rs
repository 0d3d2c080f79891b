//! What the engine asks of files.

use std::any::Any;
use std::fmt::Debug;

use bytes::Bytes;

#[cfg(feature = "file")]
mod file;
#[cfg(feature = "file")]
mod handles;
mod memory;
mod paths;
mod rope;

#[cfg(feature = "file")]
pub use file::FileDisk;
pub use memory::MemoryDisk;
pub use paths::Paths;

/// An open file. Valid until the file is closed or deleted, or the disk [crashes](Disk::crash).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A flush under way; unique within a disk's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushId(pub u64);

/// How a file is used, which decides how a disk keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A log segment: appended in slices that are kept, read in slices that are shared.
    Log,
    /// A sparse index that may grow to `max_bytes`: appended in small entries, read through [`Disk::contents`].
    /// The file disk maps it into memory.
    Index {
        /// The size the index may grow to, in bytes.
        max_bytes: u64,
    },
    /// Anything else that is appended to, such as a transaction index.
    Plain,
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of its path.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Whether a flush is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushState {
    /// Everything written before the request is durable.
    Done,
    /// The driver must run the job that [`Disk::take_flush_jobs`] hands out, and report it to [`Disk::complete_flush`].
    Pending(FlushId),
}

/// An fsync to be run outside the world's lock.
pub struct FlushJob {
    /// The flush's name.
    pub id: FlushId,
    run: Box<dyn FnOnce() -> Result<(), DiskError> + Send>,
}

impl FlushJob {
    /// A job that `run` performs.
    pub fn new(id: FlushId, run: impl FnOnce() -> Result<(), DiskError> + Send + 'static) -> Self {
        Self { id, run: Box::new(run) }
    }

    /// Performs the fsync. It blocks: call it on a thread that may, without the world's lock.
    pub fn run(self) -> FlushOutcome {
        FlushOutcome { id: self.id, result: (self.run)() }
    }
}

impl Debug for FlushJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlushJob").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a flush ended; goes back into the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushOutcome {
    /// The flush's name.
    pub id: FlushId,
    /// Whether the data is durable.
    pub result: Result<(), DiskError>,
}

/// Why a disk refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// The path is taken.
    AlreadyExists,
    /// No space left.
    Full,
    /// The device failed, or the directory is lost.
    Io,
}

/// A disk's refusal, with words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct DiskError {
    /// What class of refusal.
    pub kind: DiskErrorKind,
    /// The path it concerns, relative to the disk's root.
    pub path: String,
    /// What was wrong.
    pub message: String,
}

impl DiskError {
    /// An error of `kind` about `path`.
    pub fn new(kind: DiskErrorKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, path: path.into(), message: message.into() }
    }
}

/// A node's disk: files under relative, `/`-separated paths.
///
/// *Written* and *flushed* differ: a process [crash](Self::crash) keeps what was written, a [power loss](Self::power_loss) keeps
/// what was flushed and perhaps a torn piece of what was not. Directory operations, renames, deletions and truncations are
/// durable at once, as is [`write_file`](Self::write_file) (Kafka fsyncs its checkpoint files and their directory).
pub trait Disk: Debug + Send {
    /// Opens a file, creating it (empty) when absent. Opening an open file gives its id again.
    fn open(&mut self, path: &str, kind: FileKind) -> Result<FileId, DiskError>;

    /// Has a log file that is empty take `bytes` on the disk at once (`FileRecords.open` with `preallocate`). Its length stays 0; what is
    /// behind it is zeros, until the file is cut to its length: when it is [sealed](Self::seal), truncated or [closed](Self::close). After
    /// a [crash](Self::crash) the zeros are part of the file, and recovery cuts them. In memory nothing is taken before it is used.
    fn preallocate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        let _ = (file, bytes);
        Ok(())
    }

    /// Gives up a file id. A mapped index is cut to its length, as is a preallocated log file.
    fn close(&mut self, file: FileId);

    /// Says that a file will not grow for now: a mapped index and a preallocated log file are cut to their lengths.
    fn seal(&mut self, file: FileId) -> Result<(), DiskError>;

    /// A file's length, in bytes.
    fn len(&self, file: FileId) -> u64;

    /// Appends slices to a file. A [`FileKind::Log`] file on the memory disk keeps them; nothing is copied.
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError>;

    /// Appends a few bytes to an index or plain file.
    fn append_bytes(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError>;

    /// Adds the `len` bytes at `position` to `out` as slices (shared on the memory disk). Past the end there are fewer.
    fn read(&self, file: FileId, position: u64, len: usize, out: &mut Vec<Bytes>) -> Result<(), DiskError>;

    /// Copies bytes at `position` into `buffer`; returns how many there were.
    fn read_into(&self, file: FileId, position: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// The whole contents of an index or plain file, without copying.
    fn contents(&self, file: FileId) -> Result<&[u8], DiskError>;

    /// Cuts a file to `len` bytes; longer than the file does nothing.
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError>;

    /// Asks that everything written to the file so far become durable.
    fn request_flush(&mut self, file: FileId) -> Result<FlushState, DiskError>;

    /// The fsyncs that were asked for and not yet handed out.
    fn take_flush_jobs(&mut self) -> Vec<FlushJob>;

    /// Notes how a flush ended.
    fn complete_flush(&mut self, outcome: &FlushOutcome);

    /// Makes everything written to the file durable, blocking until it is.
    fn flush(&mut self, file: FileId) -> Result<(), DiskError>;

    /// Whether a file or directory is there.
    fn exists(&self, path: &str) -> bool;

    /// A directory's entries, in name order. A directory that is absent has none.
    fn list(&self, dir: &str) -> Result<Vec<DirEntry>, DiskError>;

    /// Makes a directory and those above it.
    fn create_dir(&mut self, dir: &str) -> Result<(), DiskError>;

    /// Removes a directory and everything in it; open files in it are closed.
    fn remove_dir(&mut self, dir: &str) -> Result<(), DiskError>;

    /// Renames a file or directory, replacing a file at `to`; open files keep their ids.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Deletes a file, closing it; absent is no error.
    fn delete(&mut self, path: &str) -> Result<(), DiskError>;

    /// A small file's contents; `None` when absent.
    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError>;

    /// Replaces a small file, atomically and durably.
    fn write_file(&mut self, path: &str, contents: &[u8]) -> Result<(), DiskError>;

    /// Replaces a small file, atomically, and durably once the flush is done. Until then the old contents stand; a process that
    /// ends before it leaves them, or the new ones. Whoever acts on the new contents must wait for the flush.
    fn replace_file(&mut self, path: &str, contents: &[u8]) -> Result<FlushState, DiskError> {
        self.write_file(path, contents)?;
        Ok(FlushState::Done)
    }

    /// Bytes in use by all files.
    fn used_bytes(&self) -> u64;

    /// Flips bits of a stored byte, as a bad sector or cosmic ray does: nobody is told.
    fn corrupt(&mut self, path: &str, position: u64, mask: u8) -> Result<(), DiskError> {
        let _ = (position, mask);
        Err(DiskError::new(DiskErrorKind::Io, path, "this disk does not rot"))
    }

    /// The process is gone: every file id is invalid, everything written stays.
    fn crash(&mut self);

    /// The machine is gone: every file id is invalid, unflushed bytes are lost but for a torn tail. `keep(path, unflushed)` is
    /// asked once a file that has unflushed bytes, in path order, and says how many of them reached the platter.
    fn power_loss(&mut self, keep: &mut dyn FnMut(&str, u64) -> u64);

    /// Whether what is read may differ from what was written without anybody in this world having changed it: files may, memory does
    /// not. Where it may, followers check the CRC of every batch.
    fn is_real(&self) -> bool {
        false
    }

    /// An independent copy that shares no future; `None` when the disk cannot be copied (a real one).
    fn fork(&self) -> Option<Box<dyn Disk>>;

    /// For downcasting by tests and tools.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// An independent copy, as [`Disk::fork`] makes it.
///
/// # Panics
/// When the disk [is real](Disk::is_real), which its holder asks first.
impl Clone for Box<dyn Disk> {
    fn clone(&self) -> Self {
        self.fork().expect("only disks in memory are copied")
    }
}
