//! Whether expectations of controllers hold.

use super::Runner;
use super::hold::{Check, node};
use crate::expect::ControllerFact;
use crate::report::Failure;
use crate::theatre::{Sight, Theatre};
use klamm_node::NodeId;

impl<T: Theatre> Runner<T> {
    pub(super) fn check_controller(&self, controller: NodeId, facts: &[ControllerFact]) -> Vec<Failure> {
        let view = self.stage.quorum(controller);
        let active = self.stage.active_controller();
        let mut check = Check::new(format!("controller {controller}"));
        let seen = |fact: &&ControllerFact| role(fact).is_none_or(|sight| self.stage.sees(sight));
        for fact in facts.iter().filter(seen) {
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

/// What must be seen for a fact of a controller, beyond the quorum.
pub(super) const fn role(fact: &ControllerFact) -> Option<Sight> {
    match fact {
        ControllerFact::State(_) | ControllerFact::HighWatermark(_) => Some(Sight::RoleOfController),
        _ => None,
    }
}
