//! The checker can fail: old rules break their invariants. `klamm sim --sensitivity` looks for the seeds and prints the table; here are those that
//! it found.

use klamm_node::era::Era;
use klamm_sim::{File, breaks, breaks_without, run_for, sensitivity, version_breaks};

fn is_found(era: Era, seed: u64, invariant: &str) {
    assert_eq!(breaks(era, seed), Some(invariant), "{era} with seed {seed}");
}

#[test]
fn what_is_found_is_made_small_and_read_back_from_its_file() {
    let era = Era::CheckQuorum;
    let shrunk = sensitivity(era, 5, 10).shrunk.unwrap();
    let broken = shrunk.outcome.broken();
    assert_eq!(broken, Some("K11"));
    let file = File { plan: shrunk.plan, breaks: broken.map(str::to_owned) };
    let again = File::parse(&file.render()).unwrap();
    assert_eq!(run_for(&again.plan, era.info().breaks).broken(), broken);
}

#[test]
fn truncating_to_the_high_watermark_is_found() {
    is_found(Era::TruncateToHw, 1, "S16");
}

#[test]
fn logs_that_differ_after_two_quick_elections_are_found() {
    is_found(Era::Kip101Only, 3, "S1");
    assert_eq!(breaks_without(Era::Kip101Only, 3), None, "the newest rule holds under the same faults");
}

#[test]
fn an_end_that_goes_back_for_clients_is_found() {
    is_found(Era::NoOffsetGuard, 39, "S9");
}

#[test]
fn a_follower_that_missed_an_election_is_found() {
    is_found(Era::NoFetchFencing, 11, "S19");
}

#[test]
fn a_leader_that_commits_alone_is_found() {
    is_found(Era::NoMaximalIsr, 2, "S4");
}

#[test]
fn fenced_members_of_an_isr_are_found() {
    is_found(Era::NoIsrFencing, 3, "S15");
}

#[test]
fn a_member_without_committed_records_is_found() {
    is_found(Era::IsrExpandHwOnly, 35, "S3");
}

#[test]
fn a_member_that_lost_records_and_is_vouched_for_by_its_earlier_life_is_found() {
    is_found(Era::NoBrokerEpoch, 9, "S17");
    assert_eq!(breaks_without(Era::NoBrokerEpoch, 9), None, "the newest rule holds under the same faults");
}

#[test]
fn a_high_watermark_of_too_few_is_found() {
    is_found(Era::StrictMinIsr, 1, "S10");
}

#[test]
fn a_last_member_that_comes_back_without_its_records_is_found() {
    is_found(Era::Elr, 5, "S5");
}

#[test]
fn a_controller_that_deposes_a_healthy_leader_is_found() {
    is_found(Era::Prevote, 3, "K11");
}

#[test]
fn records_that_no_coordinator_knows_of_are_found() {
    assert_eq!(version_breaks(0, 19), Some("T5"), "transaction.version 0");
}

#[test]
fn records_of_the_transaction_before_are_found() {
    assert_eq!(version_breaks(1, 30), Some("T10"), "transaction.version 1");
}
