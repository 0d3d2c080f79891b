//! The checker can fail: old rules break invariants within a few seeds. `klamm sim --sensitivity` prints the whole table.

use klamm_node::era::Era;
use klamm_sim::{File, run, sensitivity};

fn is_found(era: Era, within: u64) {
    let found = sensitivity(era, within, 25);
    let shrunk = found.shrunk.unwrap_or_else(|| panic!("{era} broke nothing in {within} seeds"));
    let broken = shrunk.outcome.broken();
    assert!(broken.is_some());
    // What was made small breaks the same when it is read back from its file.
    let file = File { plan: shrunk.plan, breaks: broken.map(str::to_owned) };
    let again = File::parse(&file.render()).unwrap();
    assert_eq!(run(&again.plan).broken(), broken, "{era}");
}

#[test]
fn truncating_to_the_high_watermark_is_found() {
    is_found(Era::TruncateToHw, 20);
}

#[test]
fn fenced_members_of_an_isr_are_found() {
    is_found(Era::NoIsrFencing, 20);
}

#[test]
fn a_controller_that_stays_without_a_majority_is_found() {
    is_found(Era::CheckQuorum, 40);
}

#[test]
fn a_controller_that_deposes_a_healthy_leader_is_found() {
    is_found(Era::Prevote, 40);
}

#[test]
fn a_follower_that_missed_an_election_is_found() {
    is_found(Era::NoFetchFencing, 40);
}
