//! The metadata log: what fetchers see, and what survives a restart.

use klamm_metadata::{METADATA_TOPIC_ID, features};
use klamm_wire::messages::FetchRequest;
use klamm_wire::{ErrorCode, Request, Response};

use crate::harness::Harness;

#[test]
fn a_new_log_begins_with_a_leader_and_the_metadata_version() {
    let mut h = Harness::new();
    let response = h.fetch(0, 0);
    let partition = &response.topics[0].partitions[0];
    assert_eq!(response.topics[0].topic_id, METADATA_TOPIC_ID);
    assert_eq!(partition.high_watermark, 4);
    let leader = partition.current_leader.as_ref().unwrap();
    assert_eq!((leader.leader_id.0, leader.leader_epoch), (100, 1));
    let image = h.image_from_log();
    assert_eq!(image.features.level("metadata.version"), features::LATEST_METADATA_VERSION);
    assert_eq!(image.provenance.last_contained_offset, 3);
}

#[test]
fn a_fetch_at_the_end_waits_for_records_or_its_time() {
    let mut h = Harness::new();
    let end = h.controller.high_watermark();
    let waiting = h.send(17, Harness::fetch_request(end, 1).into());
    assert_eq!(h.answer(waiting), None);
    h.register_broker(Harness::registration(1, 1));
    let Some(Response::Fetch(response)) = h.answer(waiting) else { panic!("not answered") };
    assert!(!response.topics[0].partitions[0].records.is_empty());

    let end = h.controller.high_watermark();
    let waiting = h.send(17, Harness::fetch_request(end, 1).into());
    h.advance(499);
    assert_eq!(h.answer(waiting), None);
    h.advance(1);
    let Some(Response::Fetch(response)) = h.answer(waiting) else { panic!("not answered") };
    assert!(response.topics[0].partitions[0].records.is_empty());
}

#[test]
fn a_fetch_answered_by_records_reaches_brokers_before_the_client_is_answered() {
    let mut h = Harness::new();
    h.start_brokers(1..=1);
    let end = h.controller.high_watermark();
    let waiting = h.send(17, Harness::fetch_request(end, 1).into());
    let topic = crate::harness::creatable("t", 1, 1);
    let request = klamm_wire::messages::CreateTopicsRequest::default().with_topics(vec![topic]);
    let created = h.send(7, Request::CreateTopics(request));
    let order: Vec<_> = h
        .effects
        .iter()
        .filter_map(|effect| match effect {
            klamm_node::Effect::Reply { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(order, [waiting, created]);
}

#[test]
fn a_fetcher_whose_log_diverged_is_told_where() {
    let mut h = Harness::new().restart(false);
    let diverging = |h: &mut Harness, offset, epoch| {
        let response = h.fetch(offset, epoch);
        response.topics[0].partitions[0].diverging_epoch.clone().map(|end| (end.epoch, end.end_offset))
    };
    // Epoch 1 has offsets 0 to 3, epoch 2 begins at 4.
    assert_eq!(diverging(&mut h, 4, 1), None);
    assert_eq!(diverging(&mut h, 6, 1), Some((1, 4)));
}

#[test]
fn fetches_of_anything_else_are_refused() {
    let mut h = Harness::new();
    let ask = |h: &mut Harness, request: FetchRequest| match h.ask(17, request.into()) {
        Response::Fetch(response) => response,
        Response::Other(_) => panic!("not a fetch response"),
    };
    let good = || Harness::fetch_request(0, 0);
    assert_eq!(ask(&mut h, good().with_topics(vec![])).error_code, ErrorCode::InvalidRequest);
    let other = good().with_cluster_id(Some("other".into()));
    assert_eq!(ask(&mut h, other).error_code, ErrorCode::InconsistentClusterId);
    let mut epoch = good();
    epoch.topics[0].partitions[0].current_leader_epoch = 9;
    assert_eq!(ask(&mut h, epoch).topics[0].partitions[0].error_code, ErrorCode::UnknownLeaderEpoch);
    let mut beyond = good();
    beyond.topics[0].partitions[0].fetch_offset = 99;
    beyond.topics[0].partitions[0].last_fetched_epoch = 1;
    assert!(ask(&mut h, beyond).topics[0].partitions[0].diverging_epoch.is_some());
}

#[test]
fn everything_survives_a_restart() {
    for in_order in [true, false] {
        let mut h = Harness::new();
        h.start_brokers(1..=3);
        h.create_topic("t", 4, 3, &[("retention.ms", "1")]);
        h.fence(2);
        let before = h.image().clone();
        let mut h = h.restart(in_order);
        let after = h.image().clone();
        assert_eq!((&after.topics, &after.cluster), (&before.topics, &before.cluster));
        assert_eq!((&after.configs, &after.features), (&before.configs, &before.features));
        assert_eq!(h.image_from_log().topics, before.topics);
        assert_eq!(h.controller.epoch(), 2);
        // A broker that was alive before gets a whole session from the new controller.
        h.advance(8_900);
        assert!(h.image().cluster.is_active(klamm_node::NodeId(1)));
        h.advance(2_000);
        assert!(!h.image().cluster.is_active(klamm_node::NodeId(1)));
        // And goes on from where it was: the same epoch, another partition epoch.
        assert!(!h.heartbeat(1).is_fenced);
    }
}
