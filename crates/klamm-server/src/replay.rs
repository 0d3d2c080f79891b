//! Replaying a recording.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use klamm_node::TraceEvent;
use klamm_world::World;
use klamm_world::recording::{self, RecordingError, RecordingReader};

/// Replays the recording at `path` to its end, and renders the state that the cluster ended in.
///
/// # Errors
/// When the file cannot be read, or is no recording of this version.
pub fn replay(path: &Path) -> Result<String, RecordingError> {
    Ok(replay_world(path)?.status().to_string())
}

/// Replays the recording at `path` to its end, and returns the world as it was then.
///
/// # Errors
/// As [`replay`].
pub fn replay_world(path: &Path) -> Result<World, RecordingError> {
    recording::replay(BufReader::new(File::open(path)?))
}

/// Replays the recording at `path` to its end, and shows every trace event of it.
///
/// # Errors
/// As [`replay`].
pub fn replay_trace(path: &Path, mut show: impl FnMut(&TraceEvent)) -> Result<(), RecordingError> {
    let mut reader = RecordingReader::begin(BufReader::new(File::open(path)?))?;
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
