//! Whether expectations of controllers hold.

use klamm_node::NodeId;
use klamm_world::World;

use super::Runner;
use super::hold::{Check, node};
use crate::expect::ControllerFact;
use crate::report::Failure;
use crate::theatre::Theatre;

impl<T: Theatre> Runner<T> {
    pub(super) fn check_controller(&self, controller: NodeId, facts: &[ControllerFact]) -> Vec<Failure> {
        let view = self.stage.look(|world| world.quorum().remove(&controller)).flatten();
        let active = self.stage.look(World::active_controller).flatten();
        let mut check = Check::new(format!("controller {controller}"));
        for fact in facts {
            match fact {
                ControllerFact::Up(up) => check.flag("up", *up, self.stage.is_up(controller)),
                ControllerFact::Active(is) => {
                    check.flag("active", *is, active == Some(controller));
                }
                ControllerFact::State(state) => {
                    check.text("state", state, view.as_ref().map_or("down", |view| view.state));
                }
                ControllerFact::Epoch(epoch) => {
                    check.number("epoch", *epoch, view.as_ref().map(|view| view.epoch.into()));
                }
                ControllerFact::Leader(leader) => {
                    let known = view.as_ref().map(|view| view.leader).filter(|leader| leader.0 >= 0);
                    check.text("leader", &node(*leader), &node(known));
                }
                ControllerFact::LogEnd(offset) => {
                    check.number("log end", *offset, view.as_ref().map(|view| view.log_end));
                }
                ControllerFact::HighWatermark(offset) => {
                    check.number("high watermark", *offset, view.as_ref().map(|view| view.high_watermark));
                }
            }
        }
        check.failures
    }
}
