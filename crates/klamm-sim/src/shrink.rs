//! Making a failing plan small: delta debugging over its decisions, then its load, then its partitions and brokers.

use std::time::Duration;

use klamm_node::NodeId;

use crate::plan::{Plan, What};
use crate::run::{Outcome, run_for};

/// A plan that fails as the first did, and is as small as the tries allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
    /// How many runs it took.
    pub tries: u32,
}

/// Makes a plan small that breaks `invariant`, in at most `tries` runs. A smaller plan is kept when the same invariant is the first to
/// break.
pub fn shrink(plan: &Plan, outcome: Outcome, tries: u32) -> Shrunk {
    shrink_for(plan, outcome, tries, &[])
}

/// As [`shrink`], where the run ends with one of these invariants whatever else breaks before.
pub(crate) fn shrink_for(
    plan: &Plan,
    outcome: Outcome,
    tries: u32,
    invariants: &'static [&'static str],
) -> Shrunk {
    let best = Shrunk { plan: plan.clone(), outcome, tries: 0 };
    let mut shrinker = Shrinker { best, most: tries, invariants };
    // What happens after the violation, and recovery, cannot matter.
    shrinker.cut_end();
    loop {
        let before = shrinker.best.plan.clone();
        shrinker.decisions();
        shrinker.load();
        shrinker.topology();
        shrinker.durations();
        if shrinker.best.plan == before || shrinker.best.tries >= shrinker.most {
            return shrinker.best;
        }
    }
}

struct Shrinker {
    best: Shrunk,
    most: u32,
    invariants: &'static [&'static str],
}

impl Shrinker {
    /// Keeps a smaller plan if it fails in the same way.
    fn keep(&mut self, plan: Plan) -> bool {
        if self.best.tries >= self.most || plan == self.best.plan {
            return false;
        }
        self.best.tries += 1;
        let outcome = run_for(&plan, self.invariants);
        let same = outcome.broken().is_some() && outcome.broken() == self.best.outcome.broken();
        if same {
            (self.best.plan, self.best.outcome) = (plan, outcome);
        }
        same
    }

    fn with(&self, change: impl FnOnce(&mut Plan)) -> Plan {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        plan
    }

    fn cut_end(&mut self) {
        let Some(violation) = self.best.outcome.violations.first() else { return };
        let at = violation.at;
        let plan = self.with(|plan| plan.decisions.retain(|decision| decision.at <= at));
        self.keep(plan);
    }

    /// Leaves out halves, then quarters … of the decisions, down to single ones (ddmin).
    fn decisions(&mut self) {
        let mut chunk = self.best.plan.decisions.len().div_ceil(2);
        while chunk > 0 && self.best.tries < self.most {
            let mut at = 0;
            while at < self.best.plan.decisions.len() && self.best.tries < self.most {
                let end = (at + chunk).min(self.best.plan.decisions.len());
                let plan = self.with(|plan| drop(plan.decisions.drain(at..end)));
                if !self.keep(plan) {
                    at = end;
                }
            }
            chunk /= 2;
        }
    }

    fn load(&mut self) {
        for i in (0..self.best.plan.options.producers.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.producers.remove(i)));
            self.keep(plan);
        }
        for i in (0..self.best.plan.options.transactional.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.transactional.remove(i)));
            self.keep(plan);
        }
        for i in (0..self.best.plan.options.readers.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.readers.remove(i)));
            self.keep(plan);
        }
        for i in (0..self.best.plan.options.consumers.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.consumers.remove(i)));
            self.keep(plan);
        }
        for i in (0..self.best.plan.options.watchers.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.watchers.remove(i)));
            self.keep(plan);
        }
        for i in (0..self.best.plan.options.members.len()).rev() {
            let plan = self.with(|plan| drop(plan.options.members.remove(i)));
            self.keep(plan);
        }
        for i in 0..self.best.plan.options.producers.len() {
            loop {
                let plan = self.with(|plan| {
                    let producer = &mut plan.options.producers[i];
                    producer.records = producer.records.div_ceil(4).max(1);
                });
                if !self.keep(plan) {
                    break;
                }
            }
            let plan = self.with(|plan| plan.options.producers[i].batch = 1);
            self.keep(plan);
        }
        for i in 0..self.best.plan.options.transactional.len() {
            self.transactions(i);
        }
    }

    /// Fewer and smaller transactions.
    fn transactions(&mut self, i: usize) {
        loop {
            let plan = self.with(|plan| {
                let spec = &mut plan.options.transactional[i];
                spec.transactions = spec.transactions.div_ceil(4).max(1);
            });
            if !self.keep(plan) {
                break;
            }
        }
        let plan = self.with(|plan| plan.options.transactional[i].reads = None);
        self.keep(plan);
        let plan = self.with(|plan| {
            let spec = &mut plan.options.transactional[i];
            (spec.batches, spec.batch) = (1, 1);
        });
        self.keep(plan);
    }

    fn topology(&mut self) {
        for i in 0..self.best.plan.options.topics.len() {
            let plan = self.with(|plan| plan.options.topics[i].partitions = 1);
            self.keep(plan);
        }
        for i in (1..self.best.plan.options.topics.len()).rev() {
            let name = self.best.plan.options.topics[i].name.clone();
            let plan = self.with(|plan| {
                plan.options.topics.remove(i);
                plan.options.producers.retain(|producer| *producer.topic != *name);
                plan.options.transactional.retain(|spec| *spec.topic != *name);
                for spec in &mut plan.options.transactional {
                    spec.reads.take_if(|topic| **topic == *name);
                }
                plan.options.consumers.retain(|topic| *topic != name);
                plan.options.readers.retain(|topic| *topic != name);
                plan.options.watchers.retain(|watcher| *watcher.topic != *name);
                plan.options.members.retain(|member| member.topic != name);
            });
            self.keep(plan);
        }
        let most =
            self.best.plan.options.topics.iter().map(|topic| i32::from(topic.replicas)).max().unwrap_or(1);
        while self.best.plan.options.brokers > most.max(1) {
            let gone = self.best.plan.options.brokers;
            let plan = self.with(|plan| {
                plan.options.brokers -= 1;
                plan.decisions.retain(|decision| !names(&decision.what, gone));
            });
            if !self.keep(plan) {
                break;
            }
        }
        let plan = self.with(|plan| {
            plan.options.link.latency = Duration::from_millis(1);
            plan.options.link.jitter = Duration::ZERO;
        });
        self.keep(plan);
    }

    /// Round times are easier to read.
    fn durations(&mut self) {
        for i in 0..self.best.plan.decisions.len() {
            let plan = self.with(|plan| {
                let lasts = &mut plan.decisions[i].lasts;
                *lasts = Duration::from_secs(lasts.as_secs().max(1));
            });
            self.keep(plan);
        }
    }
}

/// Whether a decision is about a broker.
fn names(what: &What, broker: i32) -> bool {
    match what {
        What::Crash(node) | What::Power(node) | What::Stop(node) | What::Pause(node) => node.0 == broker,
        What::Skew(node, _) | What::Disk(node, _) | What::Isolate(node) | What::Break(node, _) => {
            node.0 == broker
        }
        What::Request(hit) => hit.to == Some(NodeId(broker)),
        What::Cut { from, to, .. } | What::Slow { from, to, .. } => from.0 == broker || to.0 == broker,
        What::Reassign { replicas, .. } => replicas.contains(&broker),
        _ => false,
    }
}
