//! Lines of what must hold of controllers.

use klamm_node::NodeId;

use super::Planner;
use super::read::Read as _;
use crate::expect::{ControllerFact, Expectation};
use crate::line::{Line, Value};

/// What a voter of the metadata quorum may be.
const STATES: [&str; 6] = ["Unattached", "Prospective", "Candidate", "Leader", "Follower", "Resigned"];

impl Planner<'_> {
    pub(super) fn controller(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let mut facts = Vec::new();
        for (name, _) in &line.props {
            facts.push(match name.as_str() {
                "up" => ControllerFact::Up(line.prop_flag(name)?),
                "active" => ControllerFact::Active(line.prop_flag(name)?),
                "state" => ControllerFact::State(self.quorum_state(line)?),
                "epoch" => ControllerFact::Epoch(line.prop_int(name)?),
                "leader" => ControllerFact::Leader(self.controller_or_none(line)?),
                "log-end" => ControllerFact::LogEnd(line.prop_int(name)?),
                "high-watermark" => ControllerFact::HighWatermark(line.prop_int(name)?),
                _ => continue,
            });
        }
        let mut all = Vec::new();
        for arg in &line.args {
            let Value::Int(id) = arg.value else { continue };
            let controller = self.known_node(id, arg.span)?;
            if !self.names.controllers.contains(&controller) {
                self.wrong(format!("node {id} is a broker"), arg.span, "a controller is expected here");
                return None;
            }
            all.push(Expectation::Controller { controller, facts: facts.clone() });
        }
        Some(all)
    }

    fn quorum_state(&mut self, line: &Line) -> Option<String> {
        let state = line.prop_text("state")?;
        if STATES.contains(&state.as_str()) {
            return Some(state);
        }
        self.wrong(
            format!("no controller is ever {state}"),
            line.get("state")?.span,
            format!("one of {}", STATES.join(", ")),
        );
        None
    }

    fn controller_or_none(&mut self, line: &Line) -> Option<Option<NodeId>> {
        match line.get("leader")?.value {
            Value::Int(_) => self.node_prop(line, "leader").map(Some),
            _ => Some(None),
        }
    }
}
