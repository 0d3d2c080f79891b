//! Who leads when brokers come and go (SCENARIOS' rules for `PartitionChangeBuilder`).

use klamm_metadata::{LeaderRecoveryState, NO_LEADER, PartitionRegistration};
use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{CreateTopicsRequest, ElectLeadersRequest};

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

/// A cluster of two in which broker 2 leads `count` topics that prefer 1, and `kept` more that prefer 1 are led by it.
fn imbalanced(config: &[(&str, &str)], count: usize, kept: usize) -> Harness {
    let mut h = Harness::with(config);
    h.start_brokers(1..=2);
    for at in 0..count {
        h.create_assigned(&format!("away-{at}"), &[1, 2], &[]);
    }
    h.fence(1);
    h.heartbeat(1);
    for at in 0..count {
        let request = h.proposal(&format!("away-{at}"), 2, &[2, 1]);
        assert_eq!(h.propose(request), ErrorCode::None);
    }
    for at in 0..kept {
        h.create_assigned(&format!("home-{at}"), &[1, 2], &[]);
    }
    h
}

#[test]
fn the_old_percentage_holds_the_balancer_back_when_it_is_set() {
    let led_by_1 = |config: &[(&str, &str)], count, kept| {
        let mut h = imbalanced(config, count, kept);
        for _ in 0..61 {
            h.advance(5_000);
            h.heartbeat(1);
            h.heartbeat(2);
        }
        let topics: Vec<_> = h.image().topics.iter().collect();
        topics.iter().filter(|topic| topic.partitions[0].leader == NodeId(1)).count()
    };
    let percentage = "leader.imbalance.per.broker.percentage";
    // One of ten is 10 %: not more than 10 %.
    assert_eq!(led_by_1(&[(percentage, "10")], 1, 9), 9);
    assert_eq!(led_by_1(&[(percentage, "9")], 1, 9), 10);
    assert_eq!(led_by_1(&[(percentage, "10")], 2, 8), 10);
    assert_eq!(led_by_1(&[], 1, 9), 10);
}

#[test]
fn a_preferred_election_on_request_moves_leadership_at_once() {
    let mut h = imbalanced(&[], 1, 1);
    assert_eq!(summary(&h.partition("away-0", 0)), (2, 1, 2, vec![2, 1], vec![]));
    assert_eq!(h.elect("away-0", 0), ErrorCode::None);
    assert_eq!(summary(&h.partition("away-0", 0)), (1, 2, 3, vec![2, 1], vec![]));
    assert_eq!(h.elect("away-0", 0), ErrorCode::ElectionNotNeeded);
    assert_eq!(h.elect("home-0", 0), ErrorCode::ElectionNotNeeded);
    assert_eq!(h.elect("nowhere", 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(h.elect("away-0", 2), ErrorCode::InvalidRequest);
    assert_eq!(summary(&h.partition("away-0", 0)), (1, 2, 3, vec![2, 1], vec![]));
}

#[test]
fn a_preferred_replica_that_is_not_in_sync_cannot_be_elected() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(1);
    assert_eq!(h.elect("t", 0), ErrorCode::PreferredLeaderNotAvailable);
    h.heartbeat(1);
    // Alive, but not yet in the ISR.
    assert_eq!(h.elect("t", 0), ErrorCode::PreferredLeaderNotAvailable);
    assert_eq!(summary(&h.partition("t", 0)), (2, 1, 1, vec![2], vec![]));
}

#[test]
fn an_unclean_election_on_request_asks_no_configuration() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    assert_eq!(h.elect("t", 1), ErrorCode::ElectionNotNeeded);
    h.fence(2);
    h.fence(1);
    assert_eq!(h.elect("t", 1), ErrorCode::EligibleLeadersNotAvailable);
    h.heartbeat(2);
    assert_eq!(h.elect("t", 1), ErrorCode::None);
    let partition = h.partition("t", 0);
    assert_eq!(summary(&partition), (2, 2, 3, vec![2], vec![]));
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovering);
}

#[test]
fn an_election_everywhere_answers_only_where_there_was_something_to_do() {
    let mut h = imbalanced(&[], 2, 2);
    h.create_assigned("stuck", &[1, 2], &[]);
    h.fence(1);
    h.heartbeat(1);
    let request = h.proposal("home-0", 2, &[2, 1]);
    assert_eq!(h.propose(request), ErrorCode::None);
    let everywhere = ElectLeadersRequest::default().with_topic_partitions(None);
    let response = h.elect_leaders(everywhere);
    let mut answered: Vec<(String, Vec<i16>)> = response
        .replica_election_results
        .iter()
        .map(|topic| {
            let codes = topic.partition_result.iter().map(|partition| partition.error_code).collect();
            (topic.topic.to_string(), codes)
        })
        .collect();
    answered.sort();
    let unavailable = ErrorCode::PreferredLeaderNotAvailable.code();
    let expected = [
        ("away-0", vec![unavailable]),
        ("away-1", vec![unavailable]),
        ("home-0", vec![0]),
        ("home-1", vec![unavailable]),
        ("stuck", vec![unavailable]),
    ];
    assert_eq!(answered, expected.map(|(name, codes)| (name.to_owned(), codes)));
    // Nothing asked, nothing wrong: not even the election type.
    let nothing = ElectLeadersRequest::default().with_election_type(9).with_topic_partitions(Some(vec![]));
    assert_eq!(h.elect_leaders(nothing).error_code, 0);
}

#[test]
fn a_thousand_elections_a_pass_and_the_next_pass_at_once() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    let assignments: Vec<_> = (0..1_500).map(|index| crate::harness::assignment(index, &[1, 2])).collect();
    let topic = crate::harness::creatable("t", -1, -1).with_assignments(assignments);
    let response = h.create_topics(CreateTopicsRequest::default().with_topics(vec![topic]));
    assert_eq!(response.topics[0].error_code, 0);
    h.fence(1);
    h.heartbeat(1);
    for index in 0..1_500 {
        let mut request = h.proposal("t", 2, &[2, 1]);
        request.topics[0].partitions[0].partition_index = index;
        request.topics[0].partitions[0].partition_epoch = 1;
        assert_eq!(h.propose(request), ErrorCode::None);
    }
    let moved = |h: &Harness| {
        let topic = h.image().topics.by_name("t").unwrap();
        topic.partitions.iter().filter(|partition| partition.leader == NodeId(1)).count()
    };
    while moved(&h) == 0 {
        h.advance(1);
        h.heartbeat(1);
        h.heartbeat(2);
    }
    assert_eq!((moved(&h), h.now.as_millis()), (1_000, 300_000));
    h.advance(10);
    assert_eq!(moved(&h), 1_500);
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
