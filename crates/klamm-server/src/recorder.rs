//! Writing a live run down. Entries are built under the world's lock, where their order is; a thread of its own writes
//! them to the file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use klamm_node::Timestamp;
use klamm_world::recording::RecordingWriter;
use klamm_world::{Input, WorldSettings};

/// How much is collected before it is handed to the thread, in bytes.
const CHUNK: usize = 64 << 10;
/// How many chunks may wait for the disk; beyond, the cluster waits.
const WAITING: usize = 256;

/// Records every input.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// `None` once the recording has ended or failed.
    writer: Option<RecordingWriter<Spool>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Recorder {
    /// Begins a recording in a new file.
    pub(crate) fn create(path: &Path, settings: &WorldSettings) -> io::Result<Self> {
        let file = File::create(path)?;
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("klamm record".to_owned())
            .spawn(move || spill(&receiver, file))?;
        let spool = Spool { chunk: Vec::with_capacity(CHUNK), sender };
        Ok(Self { writer: Some(RecordingWriter::begin(spool, settings)?), thread: Some(thread) })
    }

    /// Adds an input. Time alone is not recorded: the next input says how much of it passed.
    pub(crate) fn input(&mut self, now: Timestamp, input: &Input) {
        if matches!(input, Input::Tick) {
            return;
        }
        self.write(|writer| writer.input(now, input));
    }

    /// Hands what was recorded so far to the file.
    pub(crate) fn flush(&mut self) {
        self.write(RecordingWriter::flush);
    }

    /// Ends the recording; what returns waits for the file to be complete, and must not be called under the lock.
    pub(crate) fn end(mut self, now: Timestamp) -> impl FnOnce() -> io::Result<()> {
        self.write(|writer| writer.input(now, &Input::Tick));
        self.flush();
        self.writer = None;
        let thread = self.thread.take();
        move || match thread.map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the thread that writes it panicked")),
            None => Ok(()),
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut RecordingWriter<Spool>) -> io::Result<()>) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = write(writer) {
            tracing::error!(%error, "the recording ends here");
            self.writer = None;
        }
    }
}

/// Collects chunks for the thread.
#[derive(Debug)]
struct Spool {
    chunk: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.send(chunk).map_err(|_| io::Error::other("the file cannot be written"))
    }
}

fn spill(chunks: &Receiver<Vec<u8>>, mut file: File) -> io::Result<()> {
    while let Ok(chunk) = chunks.recv() {
        file.write_all(&chunk)?;
    }
    file.flush()
}
