//! Share consumers, spoken for in requests: who gets which records, how often, and what becomes of them when members, leaders and
//! coordinators go away.

use std::time::Duration;

use klamm_node::{ConnectionId, EventKind, NodeId, TracePattern};
use klamm_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::share_acknowledge_request::{
    self as acknowledge, AcknowledgePartition, AcknowledgeTopic,
};
use klamm_wire::messages::share_fetch_request::{self as fetch, FetchPartition, FetchTopic};
use klamm_wire::messages::share_fetch_response::PartitionData;
use klamm_wire::messages::{
    DeleteGroupsRequest, DescribeShareGroupOffsetsRequest, FindCoordinatorRequest, GroupId, ResponseKind,
    ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
    ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicName,
};
use klamm_wire::{BatchBuilder, ErrorCode, Uuid};
use klamm_world::{Command, Input};

use crate::cluster::{Cluster, Sent};
use crate::share_coordinator::{coordinator, initialize, read, s};

/// Half a minute, as `group.share.record.lock.duration.ms` has it.
const LOCK: Duration = Duration::from_secs(30);

pub(crate) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("the codes are Kafka's")
}

/// A member of the group `g` that reads partition 0 of a topic from one broker.
pub(crate) struct Member {
    id: &'static str,
    broker: i32,
    pub(crate) connection: ConnectionId,
    topic: Uuid,
    epoch: i32,
}

/// What a member says of some records: first, last, types.
pub(crate) type Said<'a> = (i64, i64, &'a [i8]);

impl Member {
    pub(crate) fn new(c: &mut Cluster, id: &'static str, broker: i32) -> Self {
        let connection = c.connect(broker);
        Self { id, broker, connection, topic: c.topic_id(c.topic), epoch: 0 }
    }

    fn request(&mut self, said: &[Said<'_>]) -> ShareFetchRequest {
        let batches = said.iter().map(|(first, last, types)| {
            fetch::AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition =
            FetchPartition::default().with_partition_index(0).with_acknowledgement_batches(batches.collect());
        let topic = FetchTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        let request = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(s("g"))))
            .with_member_id(Some(s(self.id)))
            .with_share_session_epoch(self.epoch)
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(vec![topic]);
        self.epoch = if self.epoch < 0 { 0 } else { self.epoch + 1 };
        request
    }

    fn send(&mut self, c: &mut Cluster, said: &[Said<'_>]) -> Sent {
        let request = self.request(said);
        c.send_over(self.connection, 1, request)
    }

    fn fetch_saying(&mut self, c: &mut Cluster, said: &[Said<'_>]) -> ShareFetchResponse {
        let sent = self.send(c, said);
        fetched(c, sent)
    }

    /// Fetches once: what it got, as first offset, last offset, delivery count.
    pub(crate) fn fetch(&mut self, c: &mut Cluster) -> Vec<(i64, i64, i16)> {
        let response = self.fetch_saying(c, &[]);
        assert_eq!(error(response.error_code), ErrorCode::None);
        acquired(&response)
    }

    pub(crate) fn acknowledge(&mut self, c: &mut Cluster, said: &[Said<'_>]) -> ErrorCode {
        let response = self.acknowledge_at(c, self.epoch, said);
        if response.error_code != 0 {
            return error(response.error_code);
        }
        self.epoch += 1;
        error(response.responses[0].partitions[0].error_code)
    }

    fn acknowledge_at(&self, c: &mut Cluster, epoch: i32, said: &[Said<'_>]) -> ShareAcknowledgeResponse {
        self.say(c, 1, self.saying(epoch, said))
    }

    fn saying(&self, epoch: i32, said: &[Said<'_>]) -> ShareAcknowledgeRequest {
        let batches = said.iter().map(|(first, last, types)| {
            acknowledge::AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition = AcknowledgePartition::default()
            .with_partition_index(0)
            .with_acknowledgement_batches(batches.collect());
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(s("g"))))
            .with_member_id(Some(s(self.id)))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic])
    }

    fn say(
        &self,
        c: &mut Cluster,
        version: i16,
        request: ShareAcknowledgeRequest,
    ) -> ShareAcknowledgeResponse {
        let sent = c.send_over(self.connection, version, request);
        c.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
        let ResponseKind::ShareAcknowledge(answer) = c.answer(sent) else { panic!("another answer") };
        answer.clone()
    }
}

/// Renewals, which have to be announced.
impl Member {
    /// Keeps records for longer: what became of that, and the time for which they are kept.
    fn renew(&mut self, c: &mut Cluster, said: &[Said<'_>]) -> (ErrorCode, Duration) {
        let request = self.saying(self.epoch, said).with_is_renew_ack(true);
        let answer = self.say(c, 2, request);
        assert_eq!(error(answer.error_code), ErrorCode::None);
        self.epoch += 1;
        let lock_ms = answer.acquisition_lock_timeout_ms.unsigned_abs();
        let told = error(answer.responses[0].partitions[0].error_code);
        (told, Duration::from_millis(lock_ms.into()))
    }

    /// As [`Member::renew`], with a fetch.
    fn renew_with_fetch(&mut self, c: &mut Cluster, said: &[Said<'_>]) -> ShareFetchResponse {
        let request = self.request(said).with_is_renew_ack(true);
        let request = request.with_max_bytes(0).with_min_bytes(0).with_max_records(0).with_max_wait_ms(0);
        let sent = c.send_over(self.connection, 2, request);
        fetched(c, sent)
    }

    /// Fetches no more than so many records.
    fn fetch_strictly(&mut self, c: &mut Cluster, records: i32) -> Vec<(i64, i64, i16)> {
        let request = self.request(&[]).with_share_acquire_mode(1).with_max_records(records);
        let sent = c.send_over(self.connection, 2, request);
        acquired(&fetched(c, sent))
    }
}

fn fetched(c: &mut Cluster, sent: Sent) -> ShareFetchResponse {
    c.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
    let ResponseKind::ShareFetch(answer) = c.answer(sent) else { panic!("another answer") };
    answer.clone()
}

fn only(response: &ShareFetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

fn acquired(response: &ShareFetchResponse) -> Vec<(i64, i64, i16)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let records = partitions.flat_map(|partition| &partition.acquired_records);
    records.map(|r| (r.first_offset, r.last_offset, r.delivery_count)).collect()
}

/// A cluster with the topic `t`, whose share group `g` begins at offset 0.
fn cluster(brokers: i32, config: &[(&str, &str)]) -> (Cluster, i32) {
    let mut c = Cluster::start(brokers, config);
    c.create_topic("t", 1, brokers as i16, &[]);
    let t = c.topic_id("t");
    let at = coordinator(&mut c, 1, "g", t, 0);
    assert_eq!(initialize(&mut c, at, "g", t, 0, 1, 0), ErrorCode::None);
    let leader = c.leader("t", 0);
    (c, leader)
}

/// The start offset that the share coordinator keeps, read as the leader reads it.
fn stored_start(c: &mut Cluster) -> i64 {
    let (t, epoch) = (c.topic_id("t"), c.status("t", 0).leader_epoch);
    let at = coordinator(c, 1, "g", t, 0);
    read(c, at, "g", t, 0, epoch).start_offset
}

#[test]
fn members_share_a_partition_and_records_are_done_with_once() {
    let (mut c, leader) = cluster(3, &[]);
    for value in ["a", "b", "c", "d"] {
        c.produce("t", 0, value);
    }
    let mut first = Member::new(&mut c, "one", leader);
    let mut second = Member::new(&mut c, "two", leader);
    // The first fetch has the state loaded.
    let got = first.fetch(&mut c);
    assert_eq!(got, [(0, 3, 1)]);
    assert_eq!(second.fetch(&mut c), []);
    let response = first.fetch_saying(&mut c, &[(0, 1, &[1]), (2, 3, &[3, 2])]);
    assert_eq!(error(only(&response).acknowledge_error_code), ErrorCode::None);
    // The one that was released, whoever comes first.
    let mut redelivered = acquired(&response);
    redelivered.extend(second.fetch(&mut c));
    assert_eq!(redelivered, [(3, 3, 2)]);
    assert_eq!(stored_start(&mut c), 0, "the start that the change was written with");
    c.produce("t", 0, "e");
    assert_eq!(second.fetch(&mut c), [(4, 4, 1)]);
    assert_eq!(second.acknowledge(&mut c, &[(4, 4, &[1])]), ErrorCode::None);
    assert_eq!(stored_start(&mut c), 3);
    for pattern in [
        TracePattern::kind(EventKind::ShareRecordsAcquired)
            .text("group g t-0 0-3 acquired by one, delivery 1"),
        TracePattern::kind(EventKind::ShareRecordsChanged).text("0-1 ACKNOWLEDGED after 1 deliveries"),
        TracePattern::kind(EventKind::ShareRecordsChanged).text("2-2 ARCHIVED"),
    ] {
        assert!(c.world.trace().events().any(|event| pattern.matches(event)), "{pattern}");
    }
}

#[test]
fn a_waiting_fetch_is_answered_by_new_records_and_by_released_ones() {
    let (mut c, leader) = cluster(1, &[]);
    let mut first = Member::new(&mut c, "one", leader);
    let mut second = Member::new(&mut c, "two", leader);
    assert_eq!(first.fetch(&mut c), []);
    let waiting = first.send(&mut c, &[]);
    assert!(c.outcome(waiting).is_none());
    c.produce("t", 0, "a");
    assert!(c.outcome(waiting).is_some(), "no time has passed");
    assert_eq!(acquired(&fetched(&mut c, waiting)), [(0, 0, 1)]);
    let waiting = second.send(&mut c, &[]);
    assert!(c.outcome(waiting).is_none());
    assert_eq!(first.acknowledge(&mut c, &[(0, 0, &[2])]), ErrorCode::None);
    assert_eq!(acquired(&fetched(&mut c, waiting)), [(0, 0, 2)]);
}

#[test]
fn a_member_loses_records_that_it_keeps_for_too_long() {
    let (mut c, leader) = cluster(1, &[("group.share.delivery.count.limit", "2")]);
    c.produce("t", 0, "poison");
    let mut slow = Member::new(&mut c, "slow", leader);
    let mut other = Member::new(&mut c, "other", leader);
    assert_eq!(slow.fetch(&mut c), [(0, 0, 1)]);
    c.run(LOCK - Duration::from_secs(1));
    assert_eq!(other.fetch(&mut c), []);
    c.run(Duration::from_secs(1));
    assert_eq!(slow.acknowledge(&mut c, &[(0, 0, &[1])]), ErrorCode::InvalidRecordState);
    assert_eq!(other.fetch(&mut c), [(0, 0, 2)]);
    c.run(LOCK);
    assert_eq!(other.fetch(&mut c), [], "it was delivered often enough");
    assert_eq!(stored_start(&mut c), 0, "written with the next change");
    c.produce("t", 0, "good");
    assert_eq!(other.fetch(&mut c), [(1, 1, 1)]);
    assert_eq!(other.acknowledge(&mut c, &[(1, 1, &[1])]), ErrorCode::None);
    assert_eq!(other.fetch(&mut c), []);
}

#[test]
fn a_member_keeps_records_for_as_long_as_it_renews_their_locks() {
    let (mut c, leader) = cluster(1, &[]);
    c.produce("t", 0, "a");
    c.produce("t", 0, "b");
    let mut slow = Member::new(&mut c, "slow", leader);
    let mut other = Member::new(&mut c, "other", leader);
    assert_eq!(slow.fetch(&mut c), [(0, 1, 1)]);
    let nearly = LOCK - Duration::from_secs(1);
    c.run(nearly);
    assert_eq!(slow.renew(&mut c, &[(0, 0, &[4])]), (ErrorCode::None, LOCK));
    c.run(Duration::from_secs(1));
    assert_eq!(other.fetch(&mut c), [(1, 1, 2)], "the one that was not renewed");
    assert_eq!(slow.renew(&mut c, &[(1, 1, &[4])]).0, ErrorCode::InvalidRecordState, "it is another's");
    assert_eq!(other.acknowledge(&mut c, &[(1, 1, &[1])]), ErrorCode::None);
    c.produce("t", 0, "c");
    for _ in 0..10 {
        c.run(nearly - Duration::from_secs(2));
        let answer = slow.renew_with_fetch(&mut c, &[(0, 0, &[4])]);
        assert_eq!(error(only(&answer).acknowledge_error_code), ErrorCode::None);
        assert_eq!(acquired(&answer), [], "what it would wait for may outlast what it renewed");
    }
    assert_eq!(other.fetch(&mut c), [(2, 2, 1)]);
    c.run(LOCK);
    assert_eq!(slow.renew(&mut c, &[(0, 0, &[4])]).0, ErrorCode::InvalidRecordState, "too late");
    assert_eq!(other.fetch(&mut c), [(0, 0, 2), (2, 2, 2)], "a renewal is no delivery");
    let pattern = TracePattern::kind(EventKind::ShareRecordsRenewed).text("group g t-0 0-0 renewed by slow");
    let renewed = c.world.trace().events().filter(|event| pattern.matches(event)).count();
    assert_eq!(renewed, 11);
}

#[test]
fn locks_are_renewed_by_who_says_so_and_where_the_group_allows_it() {
    let (mut c, leader) = cluster(1, &[]);
    c.produce("t", 0, "a");
    let mut member = Member::new(&mut c, "one", leader);
    assert_eq!(member.fetch(&mut c), [(0, 0, 1)]);
    assert_eq!(member.acknowledge(&mut c, &[(0, 0, &[4])]), ErrorCode::InvalidRequest, "not in version 1");
    let silent = member.saying(member.epoch, &[(0, 0, &[4])]);
    let answer = member.say(&mut c, 2, silent);
    assert_eq!(
        error(answer.responses[0].partitions[0].error_code),
        ErrorCode::InvalidRequest,
        "not announced"
    );
    member.epoch += 1;
    // Who announces renewals may ask for nothing else.
    let request = member.request(&[(0, 0, &[4])]).with_is_renew_ack(true);
    let sent = c.send_over(member.connection, 2, request);
    assert_eq!(error(fetched(&mut c, sent).error_code), ErrorCode::InvalidRequest);
    member.epoch -= 1;
    c.alter_config(32, "g", "share.renew.acknowledge.enable", Some("false"));
    c.run(Duration::from_secs(1));
    assert_eq!(member.renew(&mut c, &[(0, 0, &[4])]).0, ErrorCode::InvalidRecordState);
    c.alter_config(32, "g", "share.renew.acknowledge.enable", None);
    c.run(Duration::from_secs(1));
    assert_eq!(member.renew(&mut c, &[(0, 0, &[4])]).0, ErrorCode::None);
    // The time is what the group has by now, though it is shorter.
    c.alter_config(32, "g", "share.record.lock.duration.ms", Some("15000"));
    c.run(Duration::from_secs(1));
    assert_eq!(member.renew(&mut c, &[(0, 0, &[4])]), (ErrorCode::None, Duration::from_secs(15)));
    c.run(Duration::from_secs(15));
    assert_eq!(member.fetch(&mut c), [(0, 0, 2)]);
}

#[test]
fn a_strict_limit_gives_a_batch_to_several_members() {
    let (mut c, leader) = cluster(1, &[]);
    let mut batch = BatchBuilder::new();
    for value in ["a", "b", "c"] {
        batch.push(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
    }
    let batch = batch.build().expect("an uncompressed batch").to_bytes();
    let produced = c.send_records(leader, "t", 0, 1, batch);
    c.wait_for("an ack", Duration::from_secs(10), |c| c.outcome(produced).is_some());
    let mut first = Member::new(&mut c, "one", leader);
    let mut second = Member::new(&mut c, "two", leader);
    assert_eq!(first.fetch_strictly(&mut c, 2), [(0, 1, 1)]);
    assert_eq!(second.fetch_strictly(&mut c, 2), [(2, 2, 1)]);
    assert_eq!(first.acknowledge(&mut c, &[(0, 1, &[2])]), ErrorCode::None);
    assert_eq!(second.fetch_strictly(&mut c, 1), [(0, 0, 2)]);
    assert_eq!(first.fetch(&mut c), [(1, 1, 2)]);
    // A limit that nobody knows.
    let request = first.request(&[(1, 1, &[1])]).with_share_acquire_mode(2);
    let sent = c.send_over(first.connection, 2, request);
    assert_eq!(error(fetched(&mut c, sent).error_code), ErrorCode::UnknownServerError);
    assert_eq!(
        first.acknowledge(&mut c, &[(1, 1, &[1])]),
        ErrorCode::InvalidRecordState,
        "it was accepted all the same"
    );
}

#[test]
fn sessions_are_kept_in_order_and_limited() {
    let (mut c, leader) = cluster(1, &[("group.share.max.share.sessions", "1")]);
    let mut member = Member::new(&mut c, "one", leader);
    member.epoch = 3;
    let response = member.fetch_saying(&mut c, &[]);
    assert_eq!(error(response.error_code), ErrorCode::ShareSessionNotFound);
    member.epoch = -1;
    let response = member.fetch_saying(&mut c, &[]);
    assert_eq!(error(response.error_code), ErrorCode::ShareSessionNotFound);
    assert_eq!(member.acknowledge(&mut c, &[]), ErrorCode::InvalidShareSessionEpoch, "it begins none");
    let response = member.fetch_saying(&mut c, &[(0, 0, &[1])]);
    assert_eq!(error(response.error_code), ErrorCode::InvalidRequest, "nothing to acknowledge yet");
    member.epoch = 0;
    assert_eq!(member.fetch(&mut c), []);
    member.epoch = 7;
    let response = member.fetch_saying(&mut c, &[]);
    assert_eq!(error(response.error_code), ErrorCode::InvalidShareSessionEpoch);
    member.epoch = 1;

    let mut other = Member::new(&mut c, "two", leader);
    let sent = other.send(&mut c, &[]);
    c.run(Duration::from_millis(499));
    assert!(c.outcome(sent).is_none(), "told late, so that it does not come again at once");
    assert_eq!(error(fetched(&mut c, sent).error_code), ErrorCode::ShareSessionLimitReached);

    let longer = "0123456789012345678901234567890123456";
    for id in ["", longer] {
        let request = member.request(&[]).with_member_id(Some(s(id)));
        let sent = c.send_over(member.connection, 1, request);
        assert_eq!(error(fetched(&mut c, sent).error_code), ErrorCode::InvalidRequest, "{id}");
    }
}

#[test]
fn forged_acknowledgements_change_nothing() {
    let (mut c, leader) = cluster(1, &[]);
    c.produce("t", 0, "a");
    c.produce("t", 0, "b");
    let mut owner = Member::new(&mut c, "owner", leader);
    let mut thief = Member::new(&mut c, "thief", leader);
    assert_eq!(owner.fetch(&mut c), [(0, 1, 1)]);
    assert_eq!(thief.fetch(&mut c), []);
    for (said, answer) in [
        ((0, 1, &[1][..]), ErrorCode::InvalidRecordState),
        ((0, 5, &[1]), ErrorCode::InvalidRequest),
        ((7, 9, &[1]), ErrorCode::InvalidRequest),
        ((1, 0, &[1]), ErrorCode::InvalidRequest),
        ((0, 1, &[]), ErrorCode::InvalidRequest),
        ((0, 1, &[1, 1, 1]), ErrorCode::InvalidRequest),
        ((0, 1, &[4]), ErrorCode::InvalidRequest),
        ((0, 1, &[-1]), ErrorCode::InvalidRequest),
        ((i64::MIN, i64::MAX, &[1, 1]), ErrorCode::InvalidRequest),
    ] {
        assert_eq!(thief.acknowledge(&mut c, &[said]), answer, "{said:?}");
    }
    assert_eq!(thief.acknowledge(&mut c, &[(0, 0, &[1]), (0, 0, &[1])]), ErrorCode::InvalidRecordState);
    let nowhere = Member { topic: Uuid::from_u128(9), ..Member::new(&mut c, "thief", leader) };
    let response = nowhere.acknowledge_at(&mut c, thief.epoch, &[(0, 0, &[1])]);
    assert_eq!(error(response.responses[0].partitions[0].error_code), ErrorCode::UnknownTopicId);
    assert_eq!(owner.acknowledge(&mut c, &[(0, 1, &[1])]), ErrorCode::None, "it is still the owner's");
    assert_eq!(
        owner.acknowledge(&mut c, &[(0, 1, &[1])]),
        ErrorCode::None,
        "before the start nothing is looked at"
    );
}

#[test]
fn what_a_member_holds_is_free_when_it_leaves_or_its_connection_breaks() {
    let (mut c, leader) = cluster(1, &[]);
    c.produce("t", 0, "a");
    let mut stays = Member::new(&mut c, "stays", leader);
    assert_eq!(stays.fetch(&mut c), [(0, 0, 1)]);
    stays.acknowledge(&mut c, &[(0, 0, &[2])]);
    let mut leaves = Member::new(&mut c, "leaves", leader);
    assert_eq!(leaves.fetch(&mut c), [(0, 0, 2)]);
    leaves.epoch = -1;
    leaves.acknowledge_at(&mut c, -1, &[]);
    assert_eq!(stays.fetch(&mut c), [(0, 0, 3)]);
    stays.acknowledge(&mut c, &[(0, 0, &[2])]);
    let mut dies = Member::new(&mut c, "dies", leader);
    assert_eq!(dies.fetch(&mut c), [(0, 0, 4)]);
    c.input(Input::Disconnect { connection: dies.connection });
    assert_eq!(stays.fetch(&mut c), [(0, 0, 5)]);
}

#[test]
fn the_next_leader_gives_out_what_was_not_acknowledged() {
    let (mut c, leader) = cluster(3, &[]);
    for value in ["a", "b", "c", "d"] {
        c.produce("t", 0, value);
    }
    let mut member = Member::new(&mut c, "one", leader);
    assert_eq!(member.fetch(&mut c), [(0, 3, 1)]);
    assert_eq!(member.acknowledge(&mut c, &[(0, 0, &[1]), (2, 2, &[1])]), ErrorCode::None);
    let another = leader % 3 + 1;
    let mut lost = Member::new(&mut c, "one", another);
    let refused = lost.fetch_saying(&mut c, &[]);
    assert_eq!(error(only(&refused).error_code), ErrorCode::NotLeaderOrFollower);
    assert_eq!(only(&refused).current_leader.leader_id, leader);

    c.command(Command::Crash(NodeId(leader)));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now.0 != leader)
    });
    let next = c.leader("t", 0);
    let mut member = Member::new(&mut c, "one", next);
    // Its coordinator may have to move too: then the first fetches bring nothing.
    let mut got = Vec::new();
    for _ in 0..60 {
        got = member.fetch(&mut c);
        if !got.is_empty() {
            break;
        }
    }
    assert_eq!(got, [(1, 1, 1), (3, 3, 1)], "0 and 2 are done with");
    assert_eq!(member.acknowledge(&mut c, &[(1, 1, &[1]), (3, 3, &[1])]), ErrorCode::None);
    assert_eq!(member.fetch(&mut c), []);
}

#[test]
fn acknowledgements_wait_for_the_next_share_coordinator() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let t = c.topic_id("t");
    let leader = c.leader("t", 0);
    // A group whose coordinator is another broker than the leader.
    let at = coordinator(&mut c, 1, "g", t, 0);
    assert_eq!(initialize(&mut c, at, "g", t, 0, 1, 0), ErrorCode::None);
    c.produce("t", 0, "a");
    let mut member = Member::new(&mut c, "one", leader);
    assert_eq!(member.fetch(&mut c), [(0, 0, 1)]);
    if at == leader {
        // Nothing to see: both go together, which another test does.
        return;
    }
    c.command(Command::Crash(NodeId(at)));
    assert_eq!(member.acknowledge(&mut c, &[(0, 0, &[1])]), ErrorCode::None);
    assert_eq!(member.fetch(&mut c), []);
    assert_ne!(member.broker, at);
}

/// A heartbeat of a member of the group `g`.
pub(crate) fn beat(
    c: &mut Cluster,
    at: i32,
    member: &str,
    epoch: i32,
    topics: Option<&[&str]>,
) -> ShareGroupHeartbeatResponse {
    let topics = topics.map(|topics| topics.iter().map(|topic| TopicName(s(topic))).collect());
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(s("g")))
        .with_member_id(s(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(topics);
    let ResponseKind::ShareGroupHeartbeat(answer) = c.ask(at, 1, request) else { panic!("another answer") };
    answer
}

pub(crate) fn group_coordinator(c: &mut Cluster) -> i32 {
    for _ in 0..100 {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![s("g")]);
        let ResponseKind::FindCoordinator(answer) = c.ask(1, 6, request) else { panic!("another answer") };
        if answer.coordinators[0].error_code == 0 {
            return answer.coordinators[0].node_id.0;
        }
        c.run(Duration::from_millis(100));
    }
    panic!("no coordinator")
}

pub(crate) fn assigned(answer: &ShareGroupHeartbeatResponse) -> Option<Vec<i32>> {
    let topics = &answer.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().flat_map(|topic| topic.partitions.iter().copied()).collect())
}

#[test]
fn a_group_is_assigned_the_partitions_whose_state_is_kept() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 4, 3, &[]);
    let at = group_coordinator(&mut c);
    let first = beat(&mut c, at, "one", 0, Some(&["t"]));
    assert_eq!(
        (error(first.error_code), assigned(&first)),
        (ErrorCode::None, Some(vec![])),
        "nothing is initialised"
    );
    assert_eq!(first.heartbeat_interval_ms, 5_000);
    c.run(Duration::from_secs(5));
    let next = beat(&mut c, at, "one", first.member_epoch, None);
    assert_eq!(assigned(&next), Some(vec![0, 1, 2, 3]));
    let same = beat(&mut c, at, "one", next.member_epoch, None);
    assert_eq!(
        (error(same.error_code), same.member_epoch, assigned(&same)),
        (ErrorCode::None, next.member_epoch, None)
    );
    // The answer may have been lost: the epoch before is as good, no other is.
    let again = beat(&mut c, at, "one", first.member_epoch, None);
    assert_eq!(error(again.error_code), ErrorCode::None);
    assert_eq!(error(beat(&mut c, at, "one", 99, None).error_code), ErrorCode::FencedMemberEpoch);
    assert_eq!(error(beat(&mut c, at, "nobody", 3, None).error_code), ErrorCode::UnknownMemberId);
    assert_eq!(error(beat(&mut c, at, "two", 0, Some(&[])).error_code), ErrorCode::InvalidRequest);
    assert_eq!(error(beat(&mut c, at, "one", -2, None).error_code), ErrorCode::InvalidRequest);

    c.run(Duration::from_secs(2));
    let second = beat(&mut c, at, "two", 0, Some(&["t"]));
    let shared = beat(&mut c, at, "one", next.member_epoch, None);
    let (mut all, more) = (assigned(&shared).expect("it changed"), assigned(&second).expect("it joined"));
    assert_eq!((all.len(), more.len()), (2, 2));
    all.extend(more);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);

    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![GroupId(s("g"))]);
    let ResponseKind::ShareGroupDescribe(answer) = c.ask(at, 1, request) else { panic!("another answer") };
    let group = &answer.groups[0];
    assert_eq!(
        (group.group_state.as_str(), group.assignor_name.as_str(), group.members.len()),
        ("Stable", "simple", 2)
    );

    assert_eq!(error(beat(&mut c, at, "two", -1, None).error_code), ErrorCode::None, "it leaves");
    c.run(Duration::from_secs(2));
    let alone = beat(&mut c, at, "one", shared.member_epoch, None);
    assert_eq!(assigned(&alone), Some(vec![0, 1, 2, 3]));
    c.run(Duration::from_secs(46));
    assert_eq!(
        error(beat(&mut c, at, "one", alone.member_epoch, None).error_code),
        ErrorCode::UnknownMemberId,
        "it was silent"
    );
}

#[test]
fn a_share_group_survives_its_coordinator() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 2, 3, &[]);
    let at = group_coordinator(&mut c);
    let first = beat(&mut c, at, "one", 0, Some(&["t"]));
    c.run(Duration::from_secs(5));
    let next = beat(&mut c, at, "one", first.member_epoch, None);
    assert_eq!(assigned(&next), Some(vec![0, 1]));
    c.command(Command::Crash(NodeId(at)));
    let ask = at % 3 + 1;
    c.wait_for("another coordinator", Duration::from_secs(30), |c| {
        c.world.groups().get("g".as_bytes()).is_some_and(|group| group.coordinator != NodeId(at))
    });
    let now = c.world.groups()["g".as_bytes()].coordinator.0;
    let after = beat(&mut c, now, "one", next.member_epoch, None);
    assert_eq!(
        (error(after.error_code), after.member_epoch),
        (ErrorCode::None, next.member_epoch),
        "through {ask}"
    );
}

fn delete_group(c: &mut Cluster, at: i32) -> ErrorCode {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(s("g"))]);
    let ResponseKind::DeleteGroups(answer) = c.ask(at, 2, request) else { panic!("another answer") };
    error(answer.results[0].error_code)
}

/// Where the group `g` is: topics with partitions and start offsets.
pub(crate) fn offsets(
    c: &mut Cluster,
    at: i32,
    topics: Option<&[(&str, i32)]>,
) -> Vec<(String, Vec<(i32, i64)>)> {
    let topic = |(name, partition): &(&str, i32)| {
        DescribeShareGroupOffsetsRequestTopic::default()
            .with_topic_name(TopicName(s(name)))
            .with_partitions(vec![*partition])
    };
    let group = DescribeShareGroupOffsetsRequestGroup::default()
        .with_group_id(GroupId(s("g")))
        .with_topics(topics.map(|topics| topics.iter().map(topic).collect()));
    let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]);
    let ResponseKind::DescribeShareGroupOffsets(answer) = c.ask(at, 0, request) else {
        panic!("another answer")
    };
    assert_eq!(error(answer.groups[0].error_code), ErrorCode::None);
    let topics = answer.groups[0].topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| (p.partition_index, p.start_offset));
        (topic.topic_name.to_string(), partitions.collect())
    });
    topics.collect()
}

#[test]
fn a_deleted_group_leaves_nothing_to_the_next_of_its_name() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let at = group_coordinator(&mut c);
    let joined = beat(&mut c, at, "one", 0, Some(&["t"]));
    c.run(Duration::from_secs(5));
    assert_eq!(assigned(&beat(&mut c, at, "one", joined.member_epoch, None)), Some(vec![0]));
    let leader = c.leader("t", 0);
    let mut one = Member::new(&mut c, "one", leader);
    assert_eq!(one.fetch(&mut c), [], "it begins with what comes next");
    c.produce("t", 0, "a");
    c.produce("t", 0, "b");
    assert_eq!(one.fetch(&mut c), [(0, 1, 1)]);
    assert_eq!(one.acknowledge(&mut c, &[(0, 0, &[1])]), ErrorCode::None);
    let first_is_done_with = ("t".to_owned(), vec![(0, 1)]);
    c.produce("t", 0, "c");
    assert_eq!(one.fetch(&mut c), [(2, 2, 1)]);
    assert_eq!(one.acknowledge(&mut c, &[(2, 2, &[1])]), ErrorCode::None);
    assert_eq!(offsets(&mut c, at, None), std::slice::from_ref(&first_is_done_with));
    let unknown = ("no-topic".to_owned(), vec![(3, -1)]);
    let asked = [("no-topic", 3), ("t", 0)];
    assert_eq!(offsets(&mut c, at, Some(&asked)), [first_is_done_with, unknown]);
    assert_eq!(delete_group(&mut c, at), ErrorCode::NonEmptyGroup);
    assert_eq!(error(beat(&mut c, at, "one", -1, None).error_code), ErrorCode::None);
    // With its last connection the leader forgets the group.
    c.input(Input::Disconnect { connection: one.connection });

    assert_eq!(delete_group(&mut c, at), ErrorCode::None);
    let t = c.topic_id("t");
    let keeper = coordinator(&mut c, 1, "g", t, 0);
    let kept = read(&mut c, keeper, "g", t, 0, 0);
    assert_eq!(error(kept.error_code), ErrorCode::InvalidRequest, "nothing is kept: {kept:?}");
    assert_eq!(delete_group(&mut c, at), ErrorCode::GroupIdNotFound);
    assert_eq!(offsets(&mut c, at, None), [], "no such group");

    let joined = beat(&mut c, at, "two", 0, Some(&["t"]));
    c.run(Duration::from_secs(5));
    assert_eq!(assigned(&beat(&mut c, at, "two", joined.member_epoch, None)), Some(vec![0]));
    let mut two = Member::new(&mut c, "two", leader);
    assert_eq!(
        two.fetch(&mut c),
        [],
        "the old group still had a record to read, the new one begins at the end"
    );
}
