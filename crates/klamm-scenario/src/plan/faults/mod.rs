//! Lines that make something go wrong.

mod cluster;
mod disks;
mod network;
mod nodes;
mod requests;

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::Fault;
use klamm_world::fault::{ClusterFault, LogWork, NetworkFault, NodeFault};

use crate::error::Mistake;
use crate::line::{Line, Span};
use crate::plan::read::Read;
use crate::plan::{Planner, possible};
use crate::step::{Inject, Step};

impl Planner<'_> {
    pub(in crate::plan) fn fault(&mut self, line: &Line) -> Option<Step> {
        let step = self.any_fault(line)?;
        if let Step::Inject(all) = &step {
            self.names.broken |= all.iter().any(|inject| possible::lasts(&inject.fault));
        }
        Some(step)
    }

    fn any_fault(&mut self, line: &Line) -> Option<Step> {
        Some(match line.word.as_str() {
            "start" => self.each_node(line, NodeFault::Start),
            "restart" => self.each_node(line, NodeFault::Restart),
            "stop" => match self.each_node(line, NodeFault::Stop) {
                Step::Inject(all) => {
                    Step::Stop(all.into_iter().filter_map(|inject| node_of(&inject.fault)).collect())
                }
                step => step,
            },
            "begin-stop" => self.each_node(line, NodeFault::Stop),
            "crash" => self.each_node(line, NodeFault::Crash),
            "pause" => self.each_node(line, NodeFault::Pause),
            "resume" => self.each_node(line, NodeFault::Resume),
            "power-loss" => self.power_loss(line)?,
            "expire-session" => {
                self.needs_controller(line);
                self.each_node(line, NodeFault::ExpireSession)
            }
            "fence" => {
                self.needs_controller(line);
                let node = self.broker(line, 0)?;
                self.one(line, Fault::Node { node, fault: NodeFault::Fence })?
            }
            "slow" | "jump" | "drift" | "skew" => self.clock_or_pace(line)?,
            "cut" => self.cut(line)?,
            "partition-network" => self.partition_network(line)?,
            "delay-link" => self.delay_link(line)?,
            "reset" => {
                let link = self.link_of(line)?;
                self.one(line, NetworkFault::Reset { link }.into())?
            }
            "hold-fetches" => self.hold_fetches(line),
            "release-fetches" => self.release_fetches(line),
            "fault" => self.request_fault(line)?,
            "disk" => self.disk(line)?,
            "move-leader" => {
                let (partition, to) = (self.partition_at(line, 0)?, self.broker(line, 1)?);
                self.needs_controller(line);
                self.may_host(to, &partition, line.args.get(1)?.span);
                self.one(line, ClusterFault::MoveLeader { partition, to }.into())?
            }
            "hold-isr" => {
                let partition = self.partition_at(line, 0)?;
                self.one(line, ClusterFault::HoldIsr { partition }.into())?
            }
            "set-isr" => self.set_isr(line)?,
            "roll" => self.log_work(line, LogWork::Roll)?,
            "apply-retention" => self.log_work(line, LogWork::ApplyRetention)?,
            "compact" => self.log_work(line, LogWork::Compact)?,
            "move-coordinator" => {
                let to = self.broker(line, 1)?;
                let group = self.known_group(line)?.into();
                self.needs_controller(line);
                self.needs_coordinators(line);
                self.one(line, ClusterFault::MoveCoordinator { group, to }.into())?
            }
            "force-rebalance" => {
                let group = self.known_group(line)?;
                self.needs_members(line, &group);
                self.one(line, ClusterFault::ForceRebalance { group: group.into() }.into())?
            }
            "expire-member" => {
                let group = self.known_group(line)?;
                self.needs_members(line, &group);
                let member = line.text(1).into();
                self.one(line, ClusterFault::ExpireMember { group: group.into(), member }.into())?
            }
            "breakpoint" => self.breakpoint(line)?,
            "await-fired" => Step::AwaitFired {
                name: self.known_fault(line, 0)?,
                times: line.prop_int("times").and_then(|times| u64::try_from(times).ok()).unwrap_or(1),
                within: line.prop_time("within").unwrap_or(Duration::from_secs(60)),
            },
            "heal" => self.heal(line),
            // The head's words, which were read before.
            _ => return None,
        })
    }

    /// One fault, with the name that the line gives it.
    fn one(&mut self, line: &Line, fault: Fault) -> Option<Step> {
        let name = line.prop_text("as");
        if let Some(name) = &name {
            self.name_fault(name, line.get("as")?.span);
        }
        Some(Step::Inject(vec![Inject {
            name,
            fault,
            may_not_fire: line.prop_flag("may-not-fire").unwrap_or(false),
        }]))
    }

    fn name_fault(&mut self, name: &str, span: Span) {
        if !self.names.faults.insert(name.to_owned()) {
            self.wrong(format!("there was a fault `{name}` before"), span, "a name is one fault's for ever");
        }
        self.names.armed.insert(name.to_owned());
    }

    pub(in crate::plan) fn known_fault(&mut self, line: &Line, at: usize) -> Option<String> {
        let name = line.text(at);
        if self.names.faults.contains(&name) {
            return Some(name);
        }
        let mistake =
            Mistake::new(format!("there is no fault `{name}`"), line.args.get(at)?.span, "unknown fault");
        self.mistakes.push(if self.names.faults.is_empty() {
            mistake.help("a fault is named with `as=`")
        } else {
            mistake.suggest(&name, self.names.faults.iter().map(String::as_str))
        });
        None
    }

    fn heal(&mut self, line: &Line) -> Step {
        let mut names = Vec::new();
        for (at, arg) in line.args.iter().enumerate() {
            let Some(name) = self.known_fault(line, at) else { continue };
            if !self.names.armed.remove(&name) {
                self.wrong(format!("fault `{name}` is healed already"), arg.span, "impossible");
            }
            names.push(name);
        }
        if line.args.is_empty() {
            if !std::mem::take(&mut self.names.broken) {
                self.wrong("there is nothing to heal", line.span, "no fault lasts here");
            }
            self.names.armed.clear();
        }
        Step::Heal(names)
    }
}

const fn node_of(fault: &Fault) -> Option<NodeId> {
    match fault {
        Fault::Node { node, .. } => Some(*node),
        _ => None,
    }
}
