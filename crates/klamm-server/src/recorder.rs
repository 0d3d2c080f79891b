//! Writing a live run down.

use klamm_node::Timestamp;
use klamm_world::Input;

/// Records every input.
#[derive(Debug)]
pub(crate) struct Recorder {}

impl Recorder {
    pub(crate) fn input(&mut self, _now: Timestamp, _input: &Input) {}
}
