//! Registration, heartbeats, sessions, shutdown.

use klamm_node::{NodeId, TraceKind};
use klamm_wire::messages::{BrokerId, UnregisterBrokerRequest};
use klamm_wire::{ErrorCode, Uuid};

use crate::harness::{Harness, ids};

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

#[test]
fn a_broker_registers_fenced_and_is_unfenced_once_it_has_read_its_registration() {
    let mut h = Harness::new();
    let next = h.controller.high_watermark();
    let response = h.register_broker(Harness::registration(1, 1));
    assert_eq!((response.error_code, response.broker_epoch), (0, next));
    assert!(h.image().cluster.broker(NodeId(1)).unwrap().fenced);

    let behind = h.heartbeat_of(1).with_current_metadata_offset(next - 1);
    let response = h.broker_heartbeat(behind);
    assert_eq!((response.is_caught_up, response.is_fenced), (false, true));

    let wants_to_stay = h.heartbeat_of(1).with_want_fence(true);
    assert!(h.broker_heartbeat(wants_to_stay).is_fenced);

    let response = h.heartbeat(1);
    assert_eq!((response.is_caught_up, response.is_fenced, response.should_shut_down), (true, false, false));
    assert!(h.image().cluster.is_active(NodeId(1)));
    assert!(h.decisions().contains(&TraceKind::BrokerUnfenced { broker: NodeId(1) }));
}

#[test]
fn a_registration_is_refused_for_what_it_says() {
    let mut h = Harness::new();
    h.start_broker(1, 1);
    let good = || Harness::registration(2, 1);
    let dir = |id| vec![Uuid::from_u128(id)];
    for (request, expected) in [
        (good().with_cluster_id("another".into()), ErrorCode::InconsistentClusterId),
        (good().with_is_migrating_zk_broker(true), ErrorCode::BrokerIdNotRegistered),
        (good().with_log_dirs(vec![]), ErrorCode::InvalidRegistration),
        (good().with_log_dirs(dir(99)), ErrorCode::InvalidRegistration),
        (good().with_log_dirs([dir(1000), dir(1000)].concat()), ErrorCode::InvalidRegistration),
        (good().with_log_dirs(Harness::registration(1, 1).log_dirs), ErrorCode::InvalidRegistration),
        (good().with_features(vec![]), ErrorCode::InvalidRegistration),
    ] {
        assert_eq!(code(h.register_broker(request).error_code), expected);
    }
    let mut old = good();
    let metadata_version = old.features.iter_mut().find(|f| &*f.name == "metadata.version");
    metadata_version.unwrap().max_supported_version = 7;
    assert_eq!(code(h.register_broker(old).error_code), ErrorCode::UnsupportedVersion);
    assert!(h.image().cluster.broker(NodeId(2)).is_none());
}

#[test]
fn a_second_process_of_a_broker_waits_for_the_first_ones_session_to_end() {
    let mut h = Harness::new();
    let first = h.start_broker(1, 1);
    let response = h.register_broker(Harness::registration(1, 2));
    assert_eq!(code(response.error_code), ErrorCode::DuplicateBrokerRegistration);

    // The same process may amend its registration, and keeps its epoch.
    let response = h.register_broker(Harness::registration(1, 1));
    assert_eq!((response.error_code, response.broker_epoch), (0, first));
    assert!(h.image().cluster.is_active(NodeId(1)));

    h.advance(9_001);
    let response = h.register_broker(Harness::registration(1, 2));
    assert_eq!(response.error_code, 0);
    assert!(response.broker_epoch > first);

    let stale = h.heartbeat_of(1).with_broker_epoch(first);
    assert_eq!(code(h.broker_heartbeat(stale).error_code), ErrorCode::StaleBrokerEpoch);
}

#[test]
fn brokers_that_fall_silent_are_fenced_one_at_a_time() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    h.create_assigned("t", &[1, 2, 3], &[]);
    h.advance(8_000);
    h.heartbeat(3);
    assert!(h.image().cluster.is_active(NodeId(1)));
    // Sessions of 9 s end; the scan sees it 1,125 ms later, fences one broker, and looks again 10 ms later.
    h.advance(2_136);
    let fenced: Vec<_> = h
        .decisions()
        .into_iter()
        .filter(|kind| matches!(kind, TraceKind::BrokerFenced { .. } | TraceKind::IsrChanged { .. }))
        .skip(1)
        .collect();
    let isr = |from: &[i32], to: &[i32], partition_epoch| TraceKind::IsrChanged {
        partition: klamm_node::TopicPartition::new("t", 0),
        from: from.iter().copied().map(NodeId).collect(),
        to: to.iter().copied().map(NodeId).collect(),
        partition_epoch,
        cause: "session timed out",
    };
    let fence = |id| TraceKind::BrokerFenced { broker: NodeId(id), cause: "session timed out" };
    assert_eq!(fenced, [isr(&[1, 2, 3], &[2, 3], 1), fence(1), isr(&[2, 3], &[3], 2), fence(2)]);
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, partition.leader_epoch), (NodeId(3), 2));
    assert!(h.image().cluster.is_active(NodeId(3)));
}

#[test]
fn a_broker_that_was_fenced_for_silence_comes_back_with_its_old_epoch() {
    let mut h = Harness::new();
    let epoch = h.start_broker(1, 1);
    h.advance(11_000);
    assert!(!h.image().cluster.is_active(NodeId(1)));
    assert!(!h.heartbeat(1).is_fenced);
    assert_eq!(h.epoch(1), epoch);
    // And its new session is watched.
    h.advance(11_000);
    assert!(!h.image().cluster.is_active(NodeId(1)));
}

#[test]
fn a_controlled_shutdown_hands_leadership_over_before_it_is_granted() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.heartbeat(2);
    let lagging = h.controller.high_watermark() - 1;

    let request = h.heartbeat_of(1).with_want_shut_down(true);
    let response = h.broker_heartbeat(request);
    assert_eq!((response.is_fenced, response.should_shut_down), (false, false));
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, ids(&partition.isr), partition.leader_epoch), (NodeId(2), vec![2], 1));
    assert!(h.image().cluster.broker(NodeId(1)).unwrap().in_controlled_shutdown);

    // Broker 2 has not read that it leads, so broker 1 must stay.
    let request = h.heartbeat_of(2).with_current_metadata_offset(lagging);
    h.broker_heartbeat(request);
    let request = h.heartbeat_of(1).with_want_shut_down(true);
    assert!(!h.broker_heartbeat(request).should_shut_down);

    h.heartbeat(2);
    let request = h.heartbeat_of(1).with_want_shut_down(true);
    let response = h.broker_heartbeat(request);
    assert_eq!((response.is_fenced, response.should_shut_down), (true, true));
    assert!(h.image().cluster.broker(NodeId(1)).unwrap().fenced);
}

#[test]
fn a_broker_without_leaderships_may_go_at_once() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    let request = h.heartbeat_of(2).with_want_shut_down(true);
    assert!(h.broker_heartbeat(request).should_shut_down);
    assert_eq!(ids(&h.partition("t", 0).isr), [1]);
}

#[test]
fn a_new_process_leaves_every_isr_first() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    let request = h.heartbeat_of(2).with_want_fence(true).with_want_shut_down(true);
    assert!(h.broker_heartbeat(request).should_shut_down);
    // At once: a process that was let go does not come back, so nobody waits for its session to end.
    let before = h.epoch(2);
    assert!(h.start_broker(2, 2) > before);
    assert_eq!(ids(&h.partition("t", 0).isr), [1]);
}

#[test]
fn an_unregistered_broker_is_gone_from_every_isr() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(1));
    assert_eq!(h.unregister_broker(request.clone()).error_code, 0);
    assert!(h.image().cluster.broker(NodeId(1)).is_none());
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, ids(&partition.isr)), (NodeId(2), vec![2]));

    let response = h.unregister_broker(request);
    assert_eq!(code(response.error_code), ErrorCode::BrokerIdNotRegistered);
    assert_eq!(&*response.error_message.unwrap(), "Broker ID 1 is not currently registered");
}

#[test]
fn an_offline_directory_takes_its_replicas_out_of_their_isrs() {
    let mut h = Harness::new();
    let two_dirs = vec![Uuid::from_u128(5000), Uuid::from_u128(5001)];
    let request = Harness::registration(1, 1).with_log_dirs(two_dirs.clone());
    assert_eq!(h.register_broker(request).error_code, 0);
    h.heartbeat(1);
    h.start_broker(2, 1);
    h.create_assigned("t", &[2, 1], &[]);
    let dir = Harness::registration(2, 1).log_dirs[0];
    assert_eq!(h.partition("t", 0).directories[0], dir);

    let request = h.heartbeat_of(2).with_offline_log_dirs(vec![dir]);
    assert_eq!(h.broker_heartbeat(request).error_code, 0);
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader, ids(&partition.isr)), (NodeId(1), vec![1]));
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    let request = |h: &Harness, broker| {
        klamm_wire::messages::AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_broker_epoch(h.epoch(broker))
    };
    let (first, second) = (request(&h, 1), request(&h, 2));
    let a = h.allocate_producer_ids(first.clone());
    let b = h.allocate_producer_ids(second);
    assert_eq!((a.producer_id_start.0, a.producer_id_len), (0, 1000));
    assert_eq!((b.producer_id_start.0, b.producer_id_len), (1000, 1000));
    let stale = h.allocate_producer_ids(first.with_broker_epoch(-5));
    assert_eq!(code(stale.error_code), ErrorCode::StaleBrokerEpoch);
    let mut h = h.restart(false);
    let again = request(&h, 1);
    assert_eq!(h.allocate_producer_ids(again).producer_id_start.0, 2000);
}
