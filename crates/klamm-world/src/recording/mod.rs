//! A run written down as its settings and its (time, input) pairs, which is all that it takes to have it again.
//!
//! The file: `KLAMMREC`, a format version, then entries, each a length (4 bytes) and that many bytes. The first entry is
//! the world's settings; the others are inputs, each with the time that passed since the one before. A recording that
//! was cut off (the process was killed) is refused with the place, or read up to its last whole entry for who asks for that.

mod client;
mod codec;
mod value;

use std::fmt;
use std::io::{self, Read, Write};

use klamm_node::Timestamp;

use self::codec::{Decoder, Encoder};
use crate::input::{Input, Output};
use crate::settings::WorldSettings;
use crate::world::World;

const MAGIC: &[u8; 8] = b"KLAMMREC";
const VERSION: u32 = 4;
/// No entry is longer: a request is at most 100 MiB unless its cluster allows more.
const MAX_ENTRY: u32 = 1 << 30;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is none of ours.
    #[error("this is not a klamm recording")]
    NotARecording,
    /// The file was written by another version of klamm.
    #[error("the recording has format {found}, this klamm reads format {VERSION}")]
    Version {
        /// The format it has.
        found: u32,
    },
    /// The file ends in the middle of an entry: it is a part of a recording, or of a run that was killed.
    #[error("the recording is cut short: it ends at byte {bytes}, in the middle of entry {entry}")]
    CutShort {
        /// Which one, counted from 0.
        entry: u64,
        /// How long the file is.
        bytes: u64,
    },
    /// An entry makes no sense.
    #[error("entry {entry} of the recording is damaged: {reason}")]
    Damaged {
        /// Which one, counted from 0.
        entry: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Writes a run down.
pub struct RecordingWriter<W> {
    out: W,
    encoder: Encoder,
    last: Timestamp,
}

impl<W> fmt::Debug for RecordingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingWriter").field("last", &self.last).finish_non_exhaustive()
    }
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording of a world that was made with `settings` and empty disks.
    ///
    /// # Errors
    /// Those of `out`; here and below.
    pub fn begin(mut out: W, settings: &WorldSettings) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut writer = Self { out, encoder: Encoder::default(), last: Timestamp::ZERO };
        writer.encoder.settings(settings);
        writer.entry()?;
        Ok(writer)
    }

    /// Adds an input. A [`Input::Tick`] is worth recording only as the last: it says how long the run went on.
    ///
    /// # Errors
    /// Those of `out`, and a request that cannot be encoded in its version.
    pub fn input(&mut self, now: Timestamp, input: &Input) -> io::Result<()> {
        self.encoder.varint(now.0.saturating_sub(self.last.0));
        self.last = self.last.max(now);
        self.encoder.input(input).map_err(io::Error::other)?;
        self.entry()
    }

    /// Where it is written to.
    pub const fn get_ref(&self) -> &W {
        &self.out
    }

    /// Hands everything written so far on.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn entry(&mut self) -> io::Result<()> {
        let entry = self.encoder.take();
        let len = u32::try_from(entry.len()).ok().filter(|len| *len <= MAX_ENTRY);
        let len = len.ok_or_else(|| io::Error::other("an entry is too long"))?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(entry)
    }
}

/// Reads a recording.
#[derive(Debug)]
pub struct RecordingReader<R> {
    source: R,
    settings: WorldSettings,
    now: Timestamp,
    entry: u64,
    /// How many bytes were read.
    bytes: u64,
    /// Whether a recording that is cut short is read as far as it goes.
    what_is_whole: bool,
}

impl<R: Read> RecordingReader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When it is no recording of this version, here and below.
    pub fn begin(mut source: R) -> Result<Self, RecordingError> {
        let mut head = [0_u8; 12];
        source.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RecordingError::NotARecording,
            _ => RecordingError::Io(error),
        })?;
        let [magic @ .., a, b, c, d] = head;
        if magic != *MAGIC {
            return Err(RecordingError::NotARecording);
        }
        let found = u32::from_le_bytes([a, b, c, d]);
        if found != VERSION {
            return Err(RecordingError::Version { found });
        }
        let mut reader = Self {
            source,
            settings: WorldSettings::default(),
            now: Timestamp::ZERO,
            entry: 0,
            bytes: 12,
            what_is_whole: false,
        };
        let Some(entry) = reader.next_entry()? else {
            return Err(reader.damaged("the settings are missing"));
        };
        reader.settings = Decoder::new(entry).settings().map_err(|error| reader.damaged(error.0))?;
        reader.entry = 1;
        Ok(reader)
    }

    /// Reads a recording that is cut short up to its last whole entry.
    #[must_use]
    pub const fn what_is_whole(mut self) -> Self {
        self.what_is_whole = true;
        self
    }

    /// The settings of the world that was recorded.
    pub const fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// Where it reads from, to give it more.
    pub const fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The next input and its time; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or an entry makes no sense.
    pub fn next_input(&mut self) -> Result<Option<(Timestamp, Input)>, RecordingError> {
        let Some(entry) = self.next_entry()? else { return Ok(None) };
        let mut decoder = Decoder::new(entry);
        let (passed, input) = decoder
            .varint()
            .and_then(|passed| Ok((passed, decoder.input()?)))
            .map_err(|error| self.damaged(error.0))?;
        self.entry += 1;
        self.now = Timestamp(self.now.0.saturating_add(passed));
        Ok(Some((self.now, input)))
    }

    fn next_entry(&mut self) -> Result<Option<Vec<u8>>, RecordingError> {
        let mut len = Vec::new();
        self.fill(&mut len, 4)?;
        let Ok(len) = <[u8; 4]>::try_from(&*len) else {
            return if len.is_empty() { Ok(None) } else { self.cut_short() };
        };
        let len = u32::from_le_bytes(len);
        if len > MAX_ENTRY {
            return Err(self.damaged(format!("it claims {len} bytes")));
        }
        let mut entry = Vec::new();
        self.fill(&mut entry, len.into())?;
        if entry.len() < len as usize { self.cut_short() } else { Ok(Some(entry)) }
    }

    /// Reads so many bytes, or what is there: a damaged length must not reserve what no file holds.
    fn fill(&mut self, bytes: &mut Vec<u8>, len: u64) -> Result<(), RecordingError> {
        self.bytes += self.source.by_ref().take(len).read_to_end(bytes)? as u64;
        Ok(())
    }

    fn cut_short(&self) -> Result<Option<Vec<u8>>, RecordingError> {
        if self.what_is_whole && self.entry > 0 {
            return Ok(None);
        }
        Err(RecordingError::CutShort { entry: self.entry, bytes: self.bytes })
    }

    fn damaged(&self, reason: impl Into<String>) -> RecordingError {
        RecordingError::Damaged { entry: self.entry, reason: reason.into() }
    }
}

/// Replays a recording to its end, and returns the world as it was then.
///
/// # Errors
/// When the recording cannot be read.
pub fn replay(mut reader: RecordingReader<impl Read>) -> Result<World, RecordingError> {
    let mut world = World::new(reader.settings().clone(), std::collections::BTreeMap::new());
    let mut out: Vec<Output> = Vec::new();
    while let Some((now, input)) = reader.next_input()? {
        world.handle(now, input, &mut out);
        out.clear();
    }
    Ok(world)
}

#[cfg(test)]
mod tests;
