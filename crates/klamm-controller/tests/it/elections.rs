//! Who leads when brokers come and go (SCENARIOS' rules for `PartitionChangeBuilder`).

use klamm_metadata::{LeaderRecoveryState, NO_LEADER, PartitionRegistration};
use klamm_node::NodeId;
use klamm_wire::ErrorCode;

use crate::harness::{Harness, ids};

/// Leader, leader epoch, partition epoch, ISR, ELR.
fn summary(partition: &PartitionRegistration) -> (i32, i32, i32, Vec<i32>, Vec<i32>) {
    let mut elr = ids(&partition.elr);
    elr.sort_unstable();
    (partition.leader.0, partition.leader_epoch, partition.partition_epoch, ids(&partition.isr), elr)
}

#[test]
fn the_first_in_sync_replica_in_order_of_assignment_takes_over() {
    let mut h = Harness::new();
    h.start_brokers(1..=4);
    h.create_assigned("t", &[3, 2, 4], &[]);
    h.fence(3);
    assert_eq!(summary(&h.partition("t", 0)), (2, 1, 1, vec![2, 4], vec![]));
    // A follower that is fenced changes the ISR and not the epoch.
    h.fence(4);
    assert_eq!(summary(&h.partition("t", 0)), (2, 1, 2, vec![2], vec![]));
}

#[test]
fn the_last_in_sync_replica_stays_in_the_isr_and_leads_again_two_epochs_later() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(2);
    h.fence(1);
    assert_eq!(summary(&h.partition("t", 0)), (-1, 1, 2, vec![1], vec![]));
    // Broker 2 is alive but may miss records.
    h.heartbeat(2);
    assert_eq!(h.partition("t", 0).leader, NO_LEADER);
    h.heartbeat(1);
    assert_eq!(summary(&h.partition("t", 0)), (1, 2, 3, vec![1], vec![]));
}

#[test]
fn an_unclean_election_happens_only_where_it_is_allowed() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("safe", &[1, 2], &[]);
    h.create_assigned("bold", &[1, 2], &[("unclean.leader.election.enable", "true")]);
    h.fence(2);
    h.heartbeat(2);
    h.fence(1);
    assert_eq!(summary(&h.partition("safe", 0)), (-1, 1, 2, vec![1], vec![]));
    let bold = h.partition("bold", 0);
    assert_eq!(summary(&bold), (2, 1, 2, vec![2], vec![]));
    assert_eq!(bold.leader_recovery_state, LeaderRecoveryState::Recovering);
    // The leader says that it has recovered, and may then have followers again.
    h.heartbeat(1);
    let mut request = h.proposal("bold", 2, &[2, 1]);
    assert_eq!(h.propose(request.clone()), ErrorCode::InvalidRequest);
    request.topics[0].partitions[0].leader_recovery_state = 0;
    assert_eq!(h.propose(request), ErrorCode::None);
    assert_eq!(h.partition("bold", 0).leader_recovery_state, LeaderRecoveryState::Recovered);
}

#[test]
fn a_sweep_elects_uncleanly_once_it_is_allowed() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(2);
    h.heartbeat(2);
    h.fence(1);
    crate::configs::set_topic(&mut h, "t", "unclean.leader.election.enable", "true");
    assert_eq!(h.partition("t", 0).leader, NO_LEADER);
    for _ in 0..61 {
        h.advance(5_000);
        h.heartbeat(2);
    }
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, ids(&partition.isr)), (NodeId(2), vec![2]));
}

#[test]
fn leadership_goes_back_to_the_preferred_replica_in_time() {
    let run = |config: &[(&str, &str)]| {
        let mut h = Harness::with(config);
        h.start_brokers(1..=2);
        h.create_assigned("t", &[1, 2], &[]);
        h.fence(1);
        h.heartbeat(1);
        let request = h.proposal("t", 2, &[2, 1]);
        assert_eq!(h.propose(request), ErrorCode::None);
        assert_eq!(h.partition("t", 0).leader, NodeId(2));
        for _ in 0..61 {
            h.advance(5_000);
            h.heartbeat(1);
            h.heartbeat(2);
        }
        let partition = h.partition("t", 0);
        (partition.leader.0, partition.leader_epoch)
    };
    assert_eq!(run(&[]), (1, 2));
    assert_eq!(run(&[("auto.leader.rebalance.enable", "false")]), (2, 1));
}

#[test]
fn eligible_leader_replicas_take_over_when_the_isr_is_empty() {
    let mut h = Harness::with_elr(&[("min.insync.replicas", "2")]);
    h.start_brokers(1..=3);
    h.create_assigned("t", &[1, 2, 3], &[]);
    h.fence(3);
    assert_eq!(summary(&h.partition("t", 0)), (1, 0, 1, vec![1, 2], vec![]));
    h.fence(2);
    assert_eq!(summary(&h.partition("t", 0)), (1, 0, 2, vec![1], vec![2]));
    h.fence(1);
    let partition = h.partition("t", 0);
    assert_eq!(summary(&partition), (-1, 1, 3, vec![], vec![1, 2]));
    assert_eq!(ids(&partition.last_known_elr), [1]);

    // Broker 1 comes back as another process that does not know of a clean shutdown: it may have lost records.
    h.advance(20_000);
    h.start_broker(1, 2);
    assert_eq!(summary(&h.partition("t", 0)), (-1, 1, 4, vec![], vec![2]));
    h.heartbeat(2);
    let partition = h.partition("t", 0);
    assert_eq!(summary(&partition), (2, 2, 5, vec![2], vec![]));
    assert_eq!(ids(&partition.last_known_elr), [] as [i32; 0]);
}

#[test]
fn with_nobody_eligible_the_last_leader_is_elected_uncleanly() {
    let mut h = Harness::with_elr(&[("min.insync.replicas", "2")]);
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(2);
    h.fence(1);
    h.advance(20_000);
    h.start_broker(2, 2);
    assert_eq!(h.partition("t", 0).leader, NO_LEADER);
    h.advance(20_000);
    assert_eq!(h.register_broker(Harness::registration(1, 2)).error_code, 0);
    assert_eq!(ids(&h.partition("t", 0).elr), [] as [i32; 0]);
    h.heartbeat(1);
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, ids(&partition.isr)), (NodeId(1), vec![1]));
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovering);
}

#[test]
fn a_clean_shutdown_keeps_a_replica_eligible() {
    let mut h = Harness::with_elr(&[("min.insync.replicas", "2")]);
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(1);
    assert_eq!(ids(&h.partition("t", 0).elr), [1]);
    h.advance(20_000);
    assert_eq!(ids(&h.partition("t", 0).elr), [1, 2]);
    let before = h.epoch(1);
    let request = Harness::registration(1, 2).with_previous_broker_epoch(before);
    assert_eq!(h.register_broker(request).error_code, 0);
    assert_eq!(ids(&h.partition("t", 0).elr), [1, 2]);
    assert_eq!(h.register_broker(Harness::registration(1, 3)).error_code, 0);
    assert_eq!(ids(&h.partition("t", 0).elr), [2]);
}
