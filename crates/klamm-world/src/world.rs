//! The world itself.

use klamm_node::Timestamp;

use crate::input::{Input, Output};
use crate::settings::WorldSettings;

/// A whole cluster.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
}

impl World {
    /// A world in which nothing runs yet: [`Command::Start`](crate::Command::Start) starts each node.
    pub const fn new(settings: WorldSettings) -> Self {
        Self { settings }
    }

    /// What the world is made of.
    pub const fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// Lets everything happen that is due by `now`, then `input`, and what follows from it at that moment.
    pub fn handle(&mut self, _now: Timestamp, _input: Input, _out: &mut Vec<Output>) {
        todo!()
    }

    /// When the world next wants to be handed a [`Input::Tick`].
    pub fn next_deadline(&self) -> Option<Timestamp> {
        todo!()
    }
}
