//! Lines that move the cluster, or hold a node at a point.

use klamm_node::TopicPartition;
use klamm_node::pause::PausePoint;
use klamm_world::fault::{Breakpoint, ClusterFault, LogWork};

use crate::error::Mistake;
use crate::line::Line;
use crate::plan::Planner;
use crate::plan::read::Read;
use crate::step::{Inject, Step};

impl Planner<'_> {
    pub(super) fn log_work(&mut self, line: &Line, work: LogWork) -> Option<Step> {
        let partition = self.partition_at(line, 0)?;
        self.one(line, ClusterFault::Log { partition, work }.into())
    }

    pub(super) fn set_isr(&mut self, line: &Line) -> Option<Step> {
        let partition: TopicPartition = self.partition_at(line, 0)?;
        self.needs_controller(line);
        let arg = line.args.get(1)?;
        let ids = crate::syntax::shape::nodes(&line.text(1)).unwrap_or_default();
        let mut isr = Vec::new();
        for id in ids {
            let broker = self.known_broker(id.into(), arg.span)?;
            self.may_host(broker, &partition, arg.span);
            isr.push(broker);
        }
        if isr.is_empty() {
            self.wrong("an ISR has a member at least", arg.span, "the leader is always in it");
        }
        self.one(line, ClusterFault::SetIsr { partition, isr }.into())
    }

    pub(super) fn breakpoint(&mut self, line: &Line) -> Option<Step> {
        let (name, point) = (line.text(0), line.text(1));
        let Ok(at) = point.parse::<PausePoint>() else {
            let mistake =
                Mistake::new(format!("there is no point `{point}`"), line.args.get(1)?.span, "unknown point");
            self.mistakes.push(mistake.suggest(&point, PausePoint::ALL.iter().map(|point| point.name())));
            return None;
        };
        let mut breakpoint = Breakpoint::at(at);
        if let (Some(id), Some(value)) = (line.prop_int("node"), line.get("node")) {
            let node = self.known_node(id, value.span)?;
            self.comes_to(node, at, value.span);
            breakpoint = breakpoint.node(node);
        }
        if line.get("of").is_some() {
            breakpoint = breakpoint.partition(self.partition_prop(line, "of")?);
        }
        match line.prop_int("nth").map(u32::try_from) {
            None => {}
            Some(Ok(nth)) if nth > 0 => breakpoint = breakpoint.nth(nth),
            Some(_) => self.wrong("arrivals are counted from 1", line.span, "`nth` is too small"),
        }
        self.name_fault(&name, line.args.first()?.span);
        let may_not_fire = line.prop_flag("may-not-fire").unwrap_or(false);
        Some(Step::Inject(vec![Inject { name: Some(name), fault: breakpoint.into(), may_not_fire }]))
    }
}
