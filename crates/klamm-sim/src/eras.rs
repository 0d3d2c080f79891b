//! Whether the checker can fail: every old rule must break its invariant.

use klamm_node::era::{Era, EraInfo, Eras};

use crate::kind::FaultKind;
use crate::options::{Profile, Wanted};
use crate::plan::Plan;
use crate::run::run_for;
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
    use FaultKind::{Controller, Crash, Cut, Pause, Power, Slow, Stop};
    let info = era.info();
    let faults = match era {
        Era::Kip101Only => Some(vec![Crash, Power, Stop, Cut]),
        Era::NoFetchFencing => Some(vec![Crash, Cut, Pause, Stop]),
        Era::NoBrokerEpoch => Some(vec![Power, Slow, Pause, Crash]),
        Era::Elr => Some(vec![Power, Stop, Crash]),
        Era::CheckQuorum | Era::Prevote => Some(vec![Controller, Cut]),
        _ => None,
    };
    let profile = if era == Era::Elr { Profile::Pair } else { Profile::Small };
    Wanted { profile, faults, minutes: 2, eras: Eras::NEWEST.with(era, !info.newest), ..Wanted::default() }
}

/// Runs seeds from 1 on with one old rule, until an invariant breaks that it is known to break; at most `seeds` of them. The run that found
/// it is made small in at most `tries` runs.
pub fn sensitivity(era: Era, seeds: u64, tries: u32) -> Sensitivity {
    let info = era.info();
    for seed in 1..=seeds {
        let plan = Plan::draw(seed, &wanted(era));
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
    run_for(&Plan::draw(seed, &wanted(era)), era.info().breaks).broken()
}
