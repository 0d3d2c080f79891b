//! The group coordinator.

use klamm_node::Ctx;
use klamm_wire::StrBytes;

use crate::core::{CoordinatorEvent, Core};

/// The group coordinator's deadlines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupTimer {
    /// Forget offsets that expired.
    ExpireOffsets,
    /// A group's rebalance.
    Group(StrBytes),
}

/// Groups, and the offsets they committed (`GroupCoordinatorService`).
#[derive(Debug, Default)]
pub(crate) struct GroupCoordinator {}

impl GroupCoordinator {
    /// A coordinator that has loaded nothing.
    pub(crate) fn new(_core: &mut Core, _ctx: &mut Ctx<'_>) -> Self {
        Self {}
    }

    /// Takes note of an election, a resignation, a commit or a deletion.
    pub(crate) fn on_event(&mut self, _core: &mut Core, _ctx: &mut Ctx<'_>, _event: CoordinatorEvent) {}

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, _core: &mut Core, _ctx: &mut Ctx<'_>, _timer: GroupTimer) {}
}
