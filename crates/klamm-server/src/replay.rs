//! Replaying a recording.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use klamm_node::TraceEvent;
use klamm_world::World;
use klamm_world::recording::{self, RecordingError, RecordingReader};

/// How much of a recording is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it: one that is cut short is refused.
    All,
    /// What is whole of it: of a run that was killed, or of a file that is still written.
    WhatIsWhole,
}

fn open(path: &Path, extent: Extent) -> Result<RecordingReader<BufReader<File>>, RecordingError> {
    let reader = RecordingReader::begin(BufReader::new(File::open(path)?))?;
    Ok(match extent {
        Extent::All => reader,
        Extent::WhatIsWhole => reader.what_is_whole(),
    })
}

/// Replays the recording at `path` to its end, and renders the state that the cluster ended in.
///
/// # Errors
/// When the file cannot be read, is no recording of this version, or is cut short.
pub fn replay(path: &Path, extent: Extent) -> Result<String, RecordingError> {
    Ok(recording::replay(open(path, extent)?)?.status().to_string())
}

/// Replays the recording at `path` to its end, and returns the world as it was then.
///
/// # Errors
/// As [`replay`].
pub fn replay_world(path: &Path) -> Result<World, RecordingError> {
    recording::replay(open(path, Extent::All)?)
}

/// Replays the recording at `path` to its end, and shows every trace event of it.
///
/// # Errors
/// As [`replay`].
pub fn replay_trace(
    path: &Path,
    extent: Extent,
    mut show: impl FnMut(&TraceEvent),
) -> Result<(), RecordingError> {
    let mut reader = open(path, extent)?;
    let mut world = World::new(reader.settings().clone(), BTreeMap::new());
    world.listen_to_trace(true);
    let mut out = Vec::new();
    while let Some((now, input)) = reader.next_input()? {
        world.handle(now, input, &mut out);
        out.clear();
        for event in world.take_heard() {
            show(&event);
        }
    }
    Ok(())
}
