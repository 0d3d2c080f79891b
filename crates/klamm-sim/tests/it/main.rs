//! The simulator runs, is deterministic, and finds what is wrong.

mod property;
mod sensitivity;

use klamm_sim::{FaultKind, Plan, Profile, Wanted, What, run};

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2] {
        let plan = Plan::draw(seed, &Wanted { minutes: 1, ..Wanted::default() });
        let (first, second) = (run(&plan), run(&plan));
        assert_eq!((first.hash, first.events), (second.hash, second.events), "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn nothing_is_wrong_with_the_default_profile() {
    for seed in 1..=4 {
        let outcome = run(&Plan::draw(seed, &Wanted { minutes: 1, ..Wanted::default() }));
        assert!(outcome.violations.is_empty(), "seed {seed}: {}", outcome.violations[0]);
        assert!(
            outcome.committed > 100 && !outcome.is_inert() && !outcome.cut_short,
            "seed {seed}: {} events",
            outcome.events
        );
    }
}

#[test]
fn a_run_that_commits_nothing_says_so() {
    let mut plan = Plan::draw(1, &Wanted { profile: Profile::Calm, minutes: 1, ..Wanted::default() });
    plan.options.producers.clear();
    let outcome = run(&plan);
    assert!(outcome.is_inert(), "{} committed, {:?}", outcome.committed, outcome.violations);
}

#[test]
fn leaving_a_decision_out_leaves_the_others_as_they_are() {
    let wanted =
        Wanted { faults: Some(vec![FaultKind::Crash]), profile: Profile::Small, ..Wanted::default() };
    let plan = Plan::draw(5, &wanted);
    let mut less = plan.clone();
    less.decisions.remove(0);
    assert!(less.decisions.len() > 2 && plan.decisions[1..] == less.decisions);
    assert!(run(&less).violations.is_empty());
}

/// A leader loses power with what it had not flushed, and is back before its session ends. Until the controller has it registered anew, its metadata
/// says that it leads; a broker that answered then would have its follower truncate what is committed.
#[test]
fn a_leader_that_is_back_at_once_without_its_log_truncates_nobody() {
    let wanted = Wanted { profile: Profile::Replication, minutes: 1, ..Wanted::default() };
    let mut plan = Plan::draw(21, &wanted);
    plan.decisions.retain(|decision| matches!(decision.what, What::Power(_)));
    plan.decisions.truncate(1);
    let outcome = run(&plan);
    assert!(outcome.violations.is_empty(), "{}", outcome.violations[0]);
    assert!(outcome.trace.len() > 100);
}
