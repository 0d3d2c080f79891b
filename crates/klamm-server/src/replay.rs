//! Replaying a recording.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use klamm_world::World;
use klamm_world::recording::{self, RecordingError};

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
