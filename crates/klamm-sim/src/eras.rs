//! Whether the checker can fail: every old rule must break its invariant.

use std::time::Duration;

use klamm_node::era::{Era, EraInfo, Eras};
use klamm_node::{NodeId, Rng, Timestamp};

use crate::kind::FaultKind;
use crate::options::{Profile, Wanted};
use crate::plan::{Decision, Plan, What};
use crate::run::{run, run_for};
use crate::shrink::{Shrunk, shrink_for};

/// How an old rule was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensitivity {
    /// The switch.
    pub era: &'static EraInfo,
    /// The seeds that were tried, the last of which broke an invariant; `None` when none did.
    pub seeds: Option<u64>,
    /// Which invariant broke, and the smallest plan that breaks it.
    pub shrunk: Option<Shrunk>,
}

/// What runs are drawn from to find an old rule out: the faults that its loss needs, and few others.
pub(crate) fn wanted(era: Era) -> Wanted {
    use FaultKind::{Admin, Controller, Crash, Cut, Pause, Power, Slow, Stop};
    let info = era.info();
    let faults = match era {
        Era::Kip101Only => Some(vec![Admin, Slow, Stop]),
        Era::NoFetchFencing => Some(vec![Crash, Cut, Pause, Stop]),
        Era::NoBrokerEpoch => Some(vec![Power, Slow]),
        Era::Elr => Some(vec![Power, Stop, Crash]),
        Era::CheckQuorum | Era::Prevote => Some(vec![Controller, Cut]),
        _ => None,
    };
    let profile = match era {
        Era::Elr | Era::Kip101Only | Era::NoBrokerEpoch | Era::StrictMinIsr => Profile::Pair,
        _ => Profile::Small,
    };
    Wanted { profile, faults, minutes: 2, eras: Eras::NEWEST.with(era, !info.newest), ..Wanted::default() }
}

/// The plan of a seed that an old rule is tried with. Two of them lose something only where faults follow each other closely, which those
/// of a profile rarely do.
fn plan(era: Era, seed: u64) -> Plan {
    let mut plan = Plan::draw(seed, &wanted(era));
    match era {
        Era::Kip101Only => close_elections(&mut plan),
        Era::NoBrokerEpoch => late_fetches(&mut plan),
        _ => {}
    }
    plan
}

/// What leaves a follower behind in two elections in a row: the brokers do not hear of each other's records in time, the preferred replica is
/// elected, and stops soon.
fn close_elections(plan: &mut Plan) {
    for decision in &mut plan.decisions {
        let mut rng = stream(plan.options.seed, decision);
        match &mut decision.what {
            What::Slow { from, to, by } => {
                (*from, *to) = between_brokers(*from);
                *by = Duration::from_secs(1 + rng.below(4));
            }
            What::Stop(_) => decision.lasts = Duration::from_millis(500 + rng.below(8_000)),
            what => *what = What::Elect,
        }
    }
}

/// What has a fetch of an earlier life arrive after its broker is registered anew: it is on its way for longer than a session lasts, and its broker
/// loses power meanwhile, with what it had not flushed, and is back at once.
fn late_fetches(plan: &mut Plan) {
    let config = &mut plan.options.config;
    config.insert("broker.session.timeout.ms".to_owned(), "3000".to_owned());
    config.insert("log.flush.interval.messages".to_owned(), i64::MAX.to_string());
    let mut slow: Option<(NodeId, Timestamp, u64)> = None;
    for decision in &mut plan.decisions {
        let mut rng = stream(plan.options.seed, decision);
        match &mut decision.what {
            What::Slow { from, to, by } => {
                let seconds = 4 + rng.below(8);
                (*from, *to) = between_brokers(*from);
                *by = Duration::from_secs(seconds);
                decision.lasts = 3 * *by;
                slow = Some((*from, decision.at, seconds));
            }
            What::Power(node) => {
                if let Some((from, at, seconds)) = slow.take() {
                    (*node, decision.at) = (from, at + Duration::from_millis(rng.below(seconds * 1_000)));
                }
                decision.lasts = Duration::from_millis(200 + rng.below(2_000));
            }
            _ => {}
        }
    }
    plan.decisions.sort_by_key(|decision| decision.at);
}

fn stream(seed: u64, decision: &Decision) -> Rng {
    Rng::stream(seed, &format!("sim era decision {}", decision.id))
}

/// From one of two brokers to the other.
fn between_brokers(from: NodeId) -> (NodeId, NodeId) {
    if from == NodeId(1) { (NodeId(1), NodeId(2)) } else { (NodeId(2), NodeId(1)) }
}

/// Runs seeds from 1 on with one old rule, until an invariant breaks that it is known to break; at most `seeds` of them. The run that found
/// it is made small in at most `tries` runs.
pub fn sensitivity(era: Era, seeds: u64, tries: u32) -> Sensitivity {
    let info = era.info();
    for seed in 1..=seeds {
        let plan = plan(era, seed);
        let outcome = run_for(&plan, info.breaks);
        if outcome.broken().is_some() {
            let shrunk = shrink_for(&plan, outcome, tries, info.breaks);
            return Sensitivity { era: info, seeds: Some(seed), shrunk: Some(shrunk) };
        }
    }
    Sensitivity { era: info, seeds: None, shrunk: None }
}

/// Runs one seed with one old rule: the id of the first invariant to break of those that the rule is known to break.
pub fn breaks(era: Era, seed: u64) -> Option<&'static str> {
    run_for(&plan(era, seed), era.info().breaks).broken()
}

/// Runs the same seed with the newest rule in its place: the id of the first invariant to break, of all of them.
pub fn breaks_without(era: Era, seed: u64) -> Option<&'static str> {
    let mut plan = plan(era, seed);
    plan.options.eras = Eras::NEWEST;
    run(&plan).broken()
}
