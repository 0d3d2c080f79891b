//! Any faults at any time: proptest draws the decisions, and makes what breaks an invariant small by itself.

use std::time::Duration;

use klamm_node::{NodeId, Timestamp};
use klamm_sim::{Decision, Plan, Profile, Wanted, What, run};
use proptest::prelude::*;

fn what() -> impl Strategy<Value = What> {
    let broker = || (1..=3).prop_map(NodeId);
    prop_oneof![
        broker().prop_map(What::Crash),
        broker().prop_map(What::Stop),
        broker().prop_map(What::Pause),
        broker().prop_map(What::Isolate),
        Just(What::Crash(NodeId(100))),
        (broker(), 1..=2).prop_map(|(from, step)| What::Cut {
            from,
            to: NodeId((from.0 - 1 + step) % 3 + 1),
            both: step == 1,
            lost: step == 2,
        }),
        (broker(), -9_000_i64..9_000).prop_map(|(node, millis)| What::Skew(node, millis)),
        Just(What::Elect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_faults_without_power_loss_break_an_invariant(
        seed in 0_u64..1_000,
        drawn in prop::collection::vec((what(), 5_000_u64..40_000, 100_u64..20_000), 1..12),
    ) {
        let mut plan = Plan::draw(seed, &Wanted { profile: Profile::Small, faults: Some(Vec::new()), minutes: 1, ..Wanted::default() });
        plan.options.controllers = 1;
        plan.options.topics[0].unclean = false;
        let mut decisions: Vec<_> = drawn
            .into_iter()
            .enumerate()
            .map(|(id, (what, at, lasts))| Decision {
                id: id as u32,
                at: Timestamp::from_millis(at),
                what,
                lasts: Duration::from_millis(lasts),
            })
            .collect();
        decisions.sort_by_key(|decision| decision.at);
        plan.decisions = decisions;
        let outcome = run(&plan);
        prop_assert!(outcome.violations.is_empty(), "{}\n{plan}", outcome.violations[0]);
        prop_assert!(outcome.losses.is_empty(), "nothing may be lost: {}\n{plan}", outcome.losses[0]);
    }
}
