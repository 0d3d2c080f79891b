//! Lines about nodes: their processes, power, pace and clocks.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::Fault;
use klamm_world::fault::{DiskFault, DiskScope, Keep, NodeFault};

use crate::error::Mistake;
use crate::line::{Line, Span};
use crate::plan::Planner;
use crate::plan::read::Read;
use crate::step::{Inject, Step};

impl Planner<'_> {
    /// The same for each node; up, down and paused are kept account of, so that what cannot be is found here.
    pub(super) fn each_node(&mut self, line: &Line, fault: NodeFault) -> Step {
        let nodes = self.nodes(line);
        for (at, node) in nodes.iter().enumerate() {
            let span = line.args.get(at).map_or(line.span, |arg| arg.span);
            self.turn(*node, fault, line.word != "begin-stop", span);
        }
        let inject = |node| Inject { name: None, fault: Fault::Node { node, fault }, may_not_fire: false };
        Step::Inject(nodes.into_iter().map(inject).collect())
    }

    fn turn(&mut self, node: NodeId, fault: NodeFault, waits: bool, span: Span) {
        let (down, paused) = (self.names.down.contains(&node), self.names.paused.contains(&node));
        let start_first = format!("say `start {node}` before");
        let problem = match fault {
            NodeFault::Start if !down => Some(("runs already", "nothing to start", None)),
            NodeFault::Stop | NodeFault::Crash | NodeFault::PowerLoss | NodeFault::Pause if down => {
                Some(("is down already", "impossible", Some(start_first)))
            }
            NodeFault::Stop | NodeFault::Restart if paused && waits => Some((
                "is paused, and cannot stop in order",
                "impossible",
                Some(format!("say `resume {node}` before")),
            )),
            NodeFault::Pause if paused => Some(("is paused already", "impossible", None)),
            NodeFault::Resume if !paused => Some(("is not paused", "nothing to resume", None)),
            NodeFault::ExpireSession if self.names.controllers.contains(&node) => {
                Some(("is a controller, which has no session", "name a broker", None))
            }
            _ => None,
        };
        if let Some((what, label, help)) = problem {
            let mut mistake = Mistake::new(format!("node {node} {what}"), span, label);
            mistake.help = help;
            self.mistakes.push(mistake);
        }
        match fault {
            NodeFault::Start | NodeFault::Restart => {
                self.names.down.remove(&node);
            }
            NodeFault::Stop | NodeFault::Crash | NodeFault::PowerLoss => {
                self.names.down.insert(node);
                self.names.paused.remove(&node);
            }
            NodeFault::Pause => {
                self.names.paused.insert(node);
            }
            NodeFault::Resume => {
                self.names.paused.remove(&node);
            }
            _ => {}
        }
    }

    pub(super) fn power_loss(&mut self, line: &Line) -> Option<Step> {
        let mut all = Vec::new();
        let nodes = self.nodes(line);
        let disk = |node, scope, keep| Inject {
            name: None,
            fault: Fault::Disk { node, fault: DiskFault::AtPowerLoss { scope, keep } },
            // It fires only where something was not flushed.
            may_not_fire: true,
        };
        for child in &line.block {
            let partition = self.partition_at(child, 0)?;
            let span = child.args.first().map_or(child.span, |arg| arg.span);
            for node in &nodes {
                self.may_host(*node, &partition, span);
            }
            let Some(offset) = child.prop_int("below") else {
                self.wrong("`keeps` needs to know up to where", child.span, "for example below=5");
                continue;
            };
            let keep = match child.prop_int("torn-bytes").and_then(|bytes| u64::try_from(bytes).ok()) {
                Some(bytes) => Keep::Torn { offset, bytes },
                None => Keep::UpTo { offset },
            };
            all.extend(nodes.iter().map(|node| disk(*node, DiskScope::Partition(partition.clone()), keep)));
        }
        let keeps = match line.prop_text("keeps").as_deref() {
            None => None,
            Some("nothing") => Some(Keep::Nothing),
            Some("everything") => Some(Keep::Everything),
            Some(other) => {
                let span = line.get("keeps")?.span;
                let mistake = Mistake::new(format!("a power loss cannot keep `{other}`"), span, "unknown");
                self.mistakes.push(mistake.help("nothing or everything; or a block that says which records"));
                None
            }
        };
        if let Some(keep) = keeps {
            all.extend(nodes.iter().map(|node| disk(*node, DiskScope::Everything, keep)));
        }
        if let Step::Inject(losses) = self.each_node(line, NodeFault::PowerLoss) {
            all.extend(losses);
        }
        Some(Step::Inject(all))
    }

    pub(super) fn clock_or_pace(&mut self, line: &Line) -> Option<Step> {
        let node = *self.nodes(line).first()?;
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let fault = match (line.word.as_str(), line.prop_time("by"), line.prop_int("ppm")) {
            ("slow", Some(by), _) => Some(NodeFault::Slow { by }),
            ("jump", Some(by), _) => Some(NodeFault::MonotonicClock { by }),
            ("drift", _, Some(ppm)) => {
                i32::try_from(ppm).ok().filter(|ppm| *ppm > -1_000_000).map(|ppm| NodeFault::Drift { ppm })
            }
            ("skew", ..) => match (line.prop_time("ahead"), line.prop_time("behind")) {
                (Some(ahead), None) => Some(NodeFault::WallClock { millis: millis(ahead) }),
                (None, Some(behind)) => Some(NodeFault::WallClock { millis: -millis(behind) }),
                _ => None,
            },
            _ => None,
        };
        let Some(fault) = fault else {
            let needs = match line.word.as_str() {
                "drift" => "`ppm`, above -1000000",
                "skew" => "either `ahead` or `behind`",
                _ => "`by`",
            };
            self.wrong(format!("`{}` needs {needs}", line.word), line.span, "how much?");
            return None;
        };
        self.one(line, Fault::Node { node, fault })
    }
}
