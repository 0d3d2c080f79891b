//! Replaying a recording.

use std::path::Path;

/// Replays the recording at `path` to its end, and renders the state that the cluster ended in.
pub fn replay(_path: &Path) -> Result<String, std::io::Error> {
    todo!()
}
