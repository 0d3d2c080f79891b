//! Incremental fetch sessions (KIP-227), seen by the client.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use klamm_node::Rng;
use klamm_wire::messages::FetchRequest;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, FetchResponse};

use crate::cluster::{Cluster, topic_name};

/// A fetch by name of these (partition, offset), in a session.
fn request(session_id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
    let asked = partitions.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_current_leader_epoch(-1)
            .with_last_fetched_epoch(-1)
            .with_partition_max_bytes(1 << 20)
    });
    let topics = match partitions {
        [] => Vec::new(),
        _ => vec![FetchTopic::default().with_topic(topic_name("t")).with_partitions(asked.collect())],
    };
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 25)
        .with_session_id(session_id)
        .with_session_epoch(epoch)
        .with_topics(topics)
}

fn ask(c: &mut Cluster, request: FetchRequest) -> FetchResponse {
    let sent = c.send(1, 12, request);
    c.wait_for("an answer", Duration::from_secs(1), |c| c.outcome(sent).is_some());
    c.fetched(sent).clone()
}

/// (partition, records in it, high watermark) of a response.
fn seen(response: &FetchResponse) -> Vec<(i32, bool, i64)> {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|p| (p.partition, p.records_len() > 0, p.high_watermark)).collect()
}

fn cluster() -> Cluster {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 3, 1, &[]);
    c
}

#[test]
fn an_incremental_fetch_tells_only_what_changed() {
    let mut c = cluster();
    let first = ask(&mut c, request(0, 0, &[(0, 0), (1, 0), (2, 0)]));
    assert_ne!(first.session_id, 0);
    assert_eq!(seen(&first), [(0, false, 0), (1, false, 0), (2, false, 0)], "a full answer holds everything");
    let id = first.session_id;

    c.produce("t", 1, "a");
    let second = ask(&mut c, request(id, 1, &[]));
    assert_eq!(seen(&second), [(1, true, 1)]);
    // Not told where the fetcher is now, the broker sends the same again.
    let third = ask(&mut c, request(id, 2, &[]));
    assert_eq!(seen(&third), [(1, true, 1)]);
    let fourth = ask(&mut c, request(id, 3, &[(1, 1)]));
    assert_eq!(seen(&fourth), []);
    assert_eq!(fourth.session_id, id);

    c.produce("t", 0, "a");
    c.produce("t", 2, "a");
    let fifth = ask(&mut c, request(id, 4, &[]));
    assert_eq!(seen(&fifth), [(0, true, 1), (2, true, 1)]);
}

#[test]
fn a_waiting_incremental_fetch_is_woken() {
    let mut c = cluster();
    let id = ask(&mut c, request(0, 0, &[(0, 0), (1, 0)])).session_id;
    let connection = c.connect(1);
    let sent = c.send_over(connection, 12, request(id, 1, &[]));
    assert_eq!(c.outcome(sent), None);
    c.connect(1);
    c.produce("t", 1, "a");
    assert_eq!(seen(c.fetched(sent)), [(1, true, 1)]);
}

#[test]
fn a_forgotten_partition_is_silent() {
    let mut c = cluster();
    let id = ask(&mut c, request(0, 0, &[(0, 0), (1, 0)])).session_id;
    let mut forget = request(id, 1, &[]);
    forget.forgotten_topics_data =
        vec![ForgottenTopic::default().with_topic(topic_name("t")).with_partitions(vec![1])];
    c.produce("t", 1, "a");
    c.produce("t", 0, "a");
    assert_eq!(seen(&ask(&mut c, forget)), [(0, true, 1)]);
}

#[test]
fn a_session_of_nothing_ends() {
    let mut c = cluster();
    let id = ask(&mut c, request(0, 0, &[(0, 0)])).session_id;
    let mut forget = request(id, 1, &[]);
    forget.forgotten_topics_data =
        vec![ForgottenTopic::default().with_topic(topic_name("t")).with_partitions(vec![0])];
    let answer = ask(&mut c, forget);
    assert_eq!((answer.error_code, answer.session_id), (ErrorCode::None, 0));
    assert_eq!(ask(&mut c, request(id, 2, &[])).error_code, ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn wrong_sessions_and_epochs_are_refused() {
    let mut c = cluster();
    let id = ask(&mut c, request(0, 0, &[(0, 0)])).session_id;
    assert_eq!(ask(&mut c, request(id, 5, &[])).error_code, ErrorCode::InvalidFetchSessionEpoch);
    let other = if id == 1 { 2 } else { id - 1 };
    assert_eq!(ask(&mut c, request(other, 1, &[])).error_code, ErrorCode::FetchSessionIdNotFound);
    let sent = c.send(1, 13, request(id, 1, &[]));
    assert_eq!(c.fetched(sent).error_code, ErrorCode::FetchSessionTopicIdError);
    assert_eq!(ask(&mut c, request(id, 1, &[])).error_code, ErrorCode::None, "errors change nothing");
}

#[test]
fn an_unknown_partition_is_told_every_time_until_it_is_there() {
    let mut c = cluster();
    let first = ask(&mut c, request(0, 0, &[(0, 0), (7, 0)]));
    let errors = |r: &FetchResponse| {
        let partitions = r.topics.iter().flat_map(|t| &t.partitions);
        partitions.map(|p| (p.partition, p.error_code)).collect::<Vec<_>>()
    };
    assert!(errors(&first).contains(&(7, ErrorCode::UnknownTopicOrPartition)));
    let second = ask(&mut c, request(first.session_id, 1, &[]));
    assert_eq!(errors(&second), [(7, ErrorCode::UnknownTopicOrPartition)]);
}

#[test]
fn a_deleted_topic_is_not_confused_with_its_successor() {
    let mut c = cluster();
    c.produce("t", 0, "a");
    let id = ask(&mut c, request(0, 0, &[(0, 1), (1, 0)])).session_id;
    c.delete_topic("t");
    c.create_topic("other", 3, 1, &[]);
    c.produce("other", 0, "a");
    let answer = ask(&mut c, request(id, 1, &[]));
    let errors: Vec<_> = answer.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code).collect();
    assert_eq!(errors, [ErrorCode::UnknownTopicOrPartition; 2]);
    c.create_topic("t", 3, 1, &[]);
    c.produce("t", 1, "b");
    let answer = ask(&mut c, request(id, 2, &[(0, 0)]));
    assert_eq!(seen(&answer).len(), 2);
    assert!(seen(&answer).contains(&(1, true, 1)));
}

#[test]
fn the_cache_is_bounded_and_gives_no_session_to_newcomers_of_no_more_worth() {
    let mut c = Cluster::start(1, &[("max.incremental.fetch.session.cache.slots", "2")]);
    c.create_topic("t", 3, 1, &[]);
    for _ in 0..2 {
        assert_ne!(ask(&mut c, request(0, 0, &[(0, 0)])).session_id, 0);
    }
    assert_eq!(ask(&mut c, request(0, 0, &[(0, 0)])).session_id, 0);
    c.run(Duration::from_secs(121));
    assert_ne!(ask(&mut c, request(0, 0, &[(0, 0)])).session_id, 0, "a stale one goes");
}

#[test]
fn partitions_take_turns_when_one_answer_cannot_hold_all() {
    let mut c = cluster();
    for partition in 0..3 {
        for _ in 0..4 {
            c.produce("t", partition, "0123456789");
        }
    }
    let mut full = request(0, 0, &[(0, 0), (1, 0), (2, 0)]);
    full.max_bytes = 1;
    let first = ask(&mut c, full);
    let id = first.session_id;
    let mut positions = [0_i64; 3];
    let mut turns = Vec::new();
    let mut answer = first;
    for epoch in 1..12 {
        let with_records = seen(&answer).into_iter().filter(|(_, records, _)| *records);
        let partition = with_records.map(|(partition, ..)| partition).next().unwrap();
        turns.push(partition);
        positions[partition as usize] += 1;
        let mut next = request(id, epoch, &[(partition, positions[partition as usize])]);
        next.max_bytes = 1;
        answer = ask(&mut c, next);
    }
    // The first fetch of a session does not change its order; each after it does.
    assert_eq!(turns[..7], [0, 0, 1, 2, 0, 1, 2], "each had its turn");
    assert_eq!(positions.iter().sum::<i64>(), 11);
    assert!(positions.iter().all(|p| (3..=4).contains(p)), "{positions:?}");
}

/// A consumer that keeps a session as Kafka's does: it names what changed on its side and believes what it is told.
#[derive(Default)]
struct Reader {
    id: i32,
    epoch: i32,
    /// By partition: its position, and what the broker has been told of it.
    positions: BTreeMap<i32, (i64, Option<i64>)>,
    forgotten: Vec<i32>,
    high_watermarks: BTreeMap<i32, i64>,
}

impl Reader {
    fn request(&mut self, max_bytes: i32, min_bytes: i32) -> FetchRequest {
        let untold: Vec<(i32, i64)> = self
            .positions
            .iter()
            .filter(|(_, (position, told))| *told != Some(*position))
            .map(|(partition, (position, _))| (*partition, *position))
            .collect();
        for (position, told) in self.positions.values_mut() {
            *told = Some(*position);
        }
        let mut request = request(self.id, self.epoch, &untold);
        request.max_bytes = max_bytes;
        request.min_bytes = min_bytes;
        if !self.forgotten.is_empty() {
            let partitions = std::mem::take(&mut self.forgotten);
            request.forgotten_topics_data =
                vec![ForgottenTopic::default().with_topic(topic_name("t")).with_partitions(partitions)];
        }
        request
    }

    fn take(&mut self, answer: &FetchResponse) {
        assert_eq!(answer.error_code, ErrorCode::None);
        self.id = answer.session_id;
        self.epoch += 1;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            assert_eq!(partition.error_code, ErrorCode::None);
            self.high_watermarks.insert(partition.partition, partition.high_watermark);
            let Some((position, _)) = self.positions.get_mut(&partition.partition) else {
                panic!("partition {} was forgotten", partition.partition)
            };
            let mut bytes = BytesMut::new();
            partition.records.iter().for_each(|slice| bytes.extend_from_slice(slice));
            for batch in BatchIter::new(bytes.freeze()) {
                let header = batch.expect("a whole batch").header;
                assert_eq!(header.base_offset, *position, "nothing is skipped, nothing comes twice");
                *position = header.next_offset();
            }
        }
    }
}

#[test]
fn a_session_tells_everything_in_the_end() {
    for seed in 0..40 {
        let mut rng = Rng::stream(seed, "reader");
        let mut c = Cluster::start(1, &[]);
        c.create_topic("t", 5, 1, &[]);
        let mut ends = [0_i64; 5];
        let mut reader = Reader::default();
        for partition in 0..5 {
            reader.positions.insert(partition, (0, None));
        }
        for _ in 0..60 {
            for _ in 0..rng.below(4) {
                let partition = rng.below(5) as i32;
                c.produce("t", partition, "0123456789");
                ends[partition as usize] += 1;
            }
            let partition = rng.below(5) as i32;
            if rng.chance(0.2) && reader.epoch > 0 {
                // Pausing forgets a partition, resuming names it again.
                if let Some((position, told)) = reader.positions.get(&partition).copied() {
                    if told.is_some() && reader.positions.len() > 1 {
                        reader.positions.remove(&partition);
                        reader.forgotten.push(partition);
                        reader.high_watermarks.insert(partition, -position - 1);
                    }
                } else if !reader.forgotten.contains(&partition) {
                    let position = -reader.high_watermarks[&partition] - 1;
                    reader.positions.insert(partition, (position, None));
                }
            }
            let max_bytes = [1, 100, 1 << 20][rng.below(3) as usize];
            let request = reader.request(max_bytes, [0, 1, 500][rng.below(3) as usize]);
            reader.take(&ask(&mut c, request));
        }
        let names: Vec<i32> = reader.positions.keys().copied().collect();
        for _ in 0..200 {
            let request = reader.request(1 << 20, 0);
            reader.take(&ask(&mut c, request));
        }
        for partition in names {
            let end = ends[partition as usize];
            assert_eq!(reader.positions[&partition].0, end, "seed {seed}");
            assert_eq!(reader.high_watermarks[&partition], end, "seed {seed}");
        }
    }
}
