//! The controller's door.

use klamm_log::{Disk, LogError};
use klamm_metadata::MetadataImage;
use klamm_node::{CallId, Ctx, Incoming, SendError, Timestamp};
use klamm_wire::Response;

use crate::settings::ControllerSettings;

/// One controller (`QuorumController`): a state machine over requests, answers and timers.
#[derive(Debug)]
pub struct Controller {
    disk: Box<dyn Disk>,
    image: MetadataImage,
}

#[expect(clippy::todo, unused_variables, reason = "being built")]
impl Controller {
    /// Starts a controller on its disk: loads the metadata log, becomes the quorum's leader where it is alone, and
    /// writes the records of a new cluster where the log is empty.
    ///
    /// # Errors
    /// When the disk fails, or holds a log that is not this cluster's.
    pub fn boot(
        settings: ControllerSettings,
        disk: Box<dyn Disk>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, LogError> {
        todo!()
    }

    /// Handles a request.
    pub fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        todo!()
    }

    /// Handles the answer to a call of this controller's.
    pub fn on_response(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        todo!()
    }

    /// Handles every timer that is due.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        todo!()
    }

    /// When `on_timer` wants to be called next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        todo!()
    }

    /// Ends the controller; its disk goes to the next incarnation.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.disk
    }

    /// The cluster's metadata up to the last committed record.
    pub const fn image(&self) -> &MetadataImage {
        &self.image
    }
}
