//! What is refused leaves nothing behind: a cluster that was asked for something it refuses has the same future as one that was not.
//!
//! The same cluster is made twice: with members of every kind of group, positions, acquired records and an open transaction. One of the
//! two is sent a bad request over a connection of a stranger's. Then both are asked the same things, one after another, for three minutes;
//! every answer must be the same in both, and so must what is on their disks.

use std::time::Duration;

use klamm_node::ConnectionId;
use klamm_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use klamm_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use klamm_wire::messages::describe_producers_request::TopicRequest;
use klamm_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use klamm_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
};
use klamm_wire::messages::share_fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, DescribeProducersRequest,
    DescribeShareGroupOffsetsRequest, DescribeTransactionsRequest, EndTxnRequest, FindCoordinatorRequest,
    GroupId, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, ProducerId,
    ResponseKind, ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupDescribeRequest,
    ShareGroupHeartbeatRequest, SyncGroupRequest, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use klamm_wire::{BatchBuilder, ErrorCode, Request, StrBytes};

use crate::cluster::{Cluster, Outcome, topic_name};
use crate::share_coordinator::s;

const CLASSIC: &str = "classic";
const MODERN: &str = "modern";
const SHARE: &str = "share";
const TXN: &str = "txn";
/// The ids that members of the consumer and share protocols give themselves.
const MEMBER: &str = "Zk1lbWJlck9mR3JvdXBzAA";
/// Another member of the share group, whose session nobody uses but who asks for what cannot be.
const OTHER: &str = "T3RoZXJNZW1iZXJPZkdyAA";

/// A cluster and what everybody in it knows of themselves.
struct Scene {
    c: Cluster,
    /// The connection of who asks for what cannot be.
    stranger: ConnectionId,
    good: ConnectionId,
    member: StrBytes,
    generation: i32,
    epoch: i32,
    share_epoch: i32,
    producer: (ProducerId, i16),
    said: Vec<String>,
}

fn group(id: &str) -> GroupId {
    GroupId(s(id))
}

fn tid() -> TransactionalId {
    TransactionalId(s(TXN))
}

/// Asks over a connection and waits.
fn over(c: &mut Cluster, connection: ConnectionId, version: i16, request: impl Into<Request>) -> Outcome {
    let sent = c.send_over(connection, version, request);
    c.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
    c.outcome(sent).cloned().expect("it was waited for")
}

impl Scene {
    fn new() -> Self {
        let config = [("group.min.session.timeout.ms", "1000"), ("offset.metadata.max.bytes", "100")];
        let mut c = Cluster::start(1, &config);
        c.create_topic("t", 1, 1, &[]);
        c.create_topic("k", 1, 1, &[("cleanup.policy", "compact")]);
        let (stranger, good) = (c.connect(1), c.connect(1));
        let mut scene = Self {
            c,
            stranger,
            good,
            member: StrBytes::default(),
            generation: 0,
            epoch: 0,
            share_epoch: 0,
            producer: (ProducerId(-1), -1),
            said: Vec::new(),
        };
        for (key_type, key) in [(0, CLASSIC), (0, MODERN), (0, SHARE), (1, TXN)] {
            let find =
                FindCoordinatorRequest::default().with_key_type(key_type).with_coordinator_keys(vec![s(key)]);
            while !format!("{:?}", scene.ask(6, find.clone())).contains("error_code: 0") {
                scene.c.run(Duration::from_millis(100));
            }
        }
        for value in ["a", "b", "c"] {
            scene.c.produce("t", 0, value);
        }
        scene.join_classic();
        scene.join_modern();
        scene.join_share();
        scene.begin();
        scene.c.run(Duration::from_secs(1));
        scene
    }

    fn ask(&mut self, version: i16, request: impl Into<Request>) -> ResponseKind {
        match over(&mut self.c, self.good, version, request) {
            Outcome::Answered(klamm_wire::Response::Other(kind)) => *kind,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn join_classic(&mut self) {
        let protocol = JoinGroupRequestProtocol::default().with_name(s("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(group(CLASSIC))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_protocol_type(s("consumer"))
            .with_protocols(vec![protocol]);
        let ResponseKind::JoinGroup(joined) = self.ask(3, join) else { panic!("another answer") };
        (self.member, self.generation) = (joined.member_id, joined.generation_id);
        let assignment = SyncGroupRequestAssignment::default().with_member_id(self.member.clone());
        let sync = SyncGroupRequest::default()
            .with_group_id(group(CLASSIC))
            .with_generation_id(self.generation)
            .with_member_id(self.member.clone())
            .with_assignments(vec![assignment]);
        let synced = format!("{:?}", self.ask(3, sync));
        assert!(synced.contains("error_code: 0"), "{synced}");
        let commit = self.commit(CLASSIC, "fine");
        let committed = format!("{:?}", self.ask(8, commit));
        assert!(committed.contains("error_code: 0"), "{committed}");
    }

    fn join_modern(&mut self) {
        let beat = self
            .beat(0)
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![topic_name("t")]))
            .with_topic_partitions(Some(Vec::new()));
        let ResponseKind::ConsumerGroupHeartbeat(joined) = self.ask(1, beat) else {
            panic!("another answer")
        };
        assert_eq!(joined.error_code, 0, "{joined:?}");
        self.epoch = joined.member_epoch;
    }

    fn beat(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group(MODERN))
            .with_member_id(s(MEMBER))
            .with_member_epoch(epoch)
            .with_instance_id(None)
            .with_rack_id(None)
            .with_subscribed_topic_names(None)
            .with_subscribed_topic_regex(None)
            .with_server_assignor(None)
            .with_topic_partitions(None)
    }

    fn join_share(&mut self) {
        for member in [MEMBER, OTHER] {
            let mut epoch = 0;
            let mut assigned = false;
            while !assigned {
                let topics = (epoch == 0).then(|| vec![topic_name("t")]);
                let beat = share_beat(member, epoch).with_subscribed_topic_names(topics);
                let ResponseKind::ShareGroupHeartbeat(joined) = self.ask(1, beat) else {
                    panic!("another answer")
                };
                assert_eq!(joined.error_code, 0, "{joined:?}");
                epoch = joined.member_epoch;
                assigned = joined.assignment.is_some_and(|all| !all.topic_partitions.is_empty());
                self.c.run(Duration::from_millis(100));
            }
            if member == MEMBER {
                self.share_epoch = epoch;
            }
        }
        // The start of the group is the end of the log, so these are the first that it has.
        for (member, epoch) in [(MEMBER, 0), (OTHER, 0), (MEMBER, 1)] {
            if (member, epoch) == (MEMBER, 1) {
                self.c.produce("t", 0, "d");
            }
            let connection = if member == OTHER { self.stranger } else { self.good };
            let fetch = self.share_fetch(member, epoch);
            over(&mut self.c, connection, 1, fetch);
        }
    }

    fn share_fetch(&self, member: &str, epoch: i32) -> ShareFetchRequest {
        let partition = FetchPartition::default().with_partition_index(0);
        let topic =
            FetchTopic::default().with_topic_id(self.c.topic_id("t")).with_partitions(vec![partition]);
        ShareFetchRequest::default()
            .with_group_id(Some(group(SHARE)))
            .with_member_id(Some(s(member)))
            .with_share_session_epoch(epoch)
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(vec![topic])
    }

    fn acknowledge(&self, member: &str, epoch: i32, offset: i64, kind: i8) -> ShareAcknowledgeRequest {
        let batch = AcknowledgementBatch::default()
            .with_first_offset(offset)
            .with_last_offset(offset)
            .with_acknowledge_types(vec![kind]);
        let partition =
            AcknowledgePartition::default().with_partition_index(0).with_acknowledgement_batches(vec![batch]);
        let topic =
            AcknowledgeTopic::default().with_topic_id(self.c.topic_id("t")).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(group(SHARE)))
            .with_member_id(Some(s(member)))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic])
    }

    fn begin(&mut self) {
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(tid()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let ResponseKind::InitProducerId(begun) = self.ask(4, init) else { panic!("another answer") };
        assert_eq!(begun.error_code, 0, "{begun:?}");
        self.producer = (begun.producer_id, begun.producer_epoch);
        let add = self.add(TXN, self.producer);
        let added = format!("{:?}", self.ask(3, add));
        assert!(added.contains("error_code: 0"), "{added}");
        let offsets = AddOffsetsToTxnRequest::default()
            .with_transactional_id(tid())
            .with_producer_id(self.producer.0)
            .with_producer_epoch(self.producer.1)
            .with_group_id(group(CLASSIC));
        let added = format!("{:?}", self.ask(3, offsets));
        assert!(added.contains("error_code: 0"), "{added}");
        let produced = self.ask(9, self.transactional("x", self.producer, 0));
        assert!(format!("{produced:?}").contains("error_code: 0"), "{produced:?}");
    }

    fn add(&self, id: &str, producer: (ProducerId, i16)) -> AddPartitionsToTxnRequest {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t")).with_partitions(vec![0]);
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(s(id)))
            .with_v3_and_below_producer_id(producer.0)
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![topic])
    }

    fn end(&self, producer: (ProducerId, i16)) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(tid())
            .with_producer_id(producer.0)
            .with_producer_epoch(producer.1)
            .with_committed(true)
    }

    fn transactional(&self, value: &str, producer: (ProducerId, i16), sequence: i32) -> ProduceRequest {
        let mut batch = BatchBuilder::new().producer(producer.0.0, producer.1, sequence).transactional();
        batch.push(1_700_000_000_000, Some(b"key"), Some(value.as_bytes()), &[]);
        produce("t", batch).with_transactional_id(Some(tid()))
    }

    fn commit(&self, of: &str, metadata: &str) -> OffsetCommitRequest {
        let (generation, member) = match of {
            CLASSIC => (self.generation, self.member.clone()),
            _ => (self.epoch, s(MEMBER)),
        };
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(1)
            .with_committed_metadata(Some(s(metadata)));
        let topic =
            OffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(group(of))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member)
            .with_group_instance_id(None)
            .with_topics(vec![topic])
    }

    fn commit_in_transaction(&self, metadata: &str, generation: i32) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(2)
            .with_committed_metadata(Some(s(metadata)));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(tid())
            .with_group_id(group(CLASSIC))
            .with_producer_id(self.producer.0)
            .with_producer_epoch(self.producer.1)
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(self.member.clone())
            .with_group_instance_id(None)
            .with_topics(vec![topic])
    }

    fn heartbeat(&self, generation: i32) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(group(CLASSIC))
            .with_generation_id(generation)
            .with_member_id(self.member.clone())
    }

    /// Notes an answer.
    fn hear(&mut self, version: i16, request: impl Into<Request>) {
        let answer = over(&mut self.c, self.good, version, request);
        self.said.push(format!("{answer:?}"));
    }

    /// What there is to know, and what everybody does next.
    fn go_on(&mut self) {
        self.look();
        self.hear(4, self.heartbeat(self.generation));
        let epoch = self.epoch;
        self.hear(
            1,
            self.beat(epoch).with_topic_partitions(Some(vec![
                Owned::default().with_topic_id(self.c.topic_id("t")).with_partitions(vec![0]),
            ])),
        );
        self.hear(1, share_beat(MEMBER, self.share_epoch));
        self.hear(8, self.commit(CLASSIC, "next"));
        self.hear(9, self.commit(MODERN, "next"));
        self.hear(3, self.commit_in_transaction("next", self.generation));
        self.hear(9, self.transactional("y", self.producer, 1));
        self.hear(1, self.acknowledge(MEMBER, 2, 3, 1));
        self.hear(1, self.share_fetch(MEMBER, 3));
        let mut plain = BatchBuilder::new();
        plain.push(1_700_000_000_000, Some(b"key"), Some(b"plain"), &[]);
        self.hear(9, produce("k", plain));
        self.look();
        self.hear(3, self.end(self.producer));
        self.c.run(Duration::from_secs(5));
        self.look();
        // Sessions, locks and transactions run out.
        self.c.run(Duration::from_secs(170));
        self.look();
        let snapshot = self.c.world.snapshot();
        self.said.push(format!("{:#?} {:#?}", snapshot.partitions, snapshot.groups));
        for topic in ["t", "k"] {
            self.said.push(format!("{:?}", self.c.world.stored_log(klamm_node::NodeId(1), topic, 0)));
        }
    }

    fn look(&mut self) {
        let all = [CLASSIC, MODERN, SHARE].map(group);
        self.hear(5, DescribeGroupsRequest::default().with_groups(vec![all[0].clone()]));
        self.hear(1, ConsumerGroupDescribeRequest::default().with_group_ids(vec![all[1].clone()]));
        self.hear(1, ShareGroupDescribeRequest::default().with_group_ids(vec![all[2].clone()]));
        let positions = all[..2].iter().map(|id| {
            OffsetFetchRequestGroup::default()
                .with_group_id(id.clone())
                .with_member_id(None)
                .with_member_epoch(-1)
                .with_topics(None)
        });
        self.hear(9, OffsetFetchRequest::default().with_groups(positions.collect()));
        let topic = DescribeShareGroupOffsetsRequestTopic::default()
            .with_topic_name(topic_name("t"))
            .with_partitions(vec![0]);
        let shared = DescribeShareGroupOffsetsRequestGroup::default()
            .with_group_id(all[2].clone())
            .with_topics(Some(vec![topic]));
        self.hear(0, DescribeShareGroupOffsetsRequest::default().with_groups(vec![shared]));
        self.hear(0, DescribeTransactionsRequest::default().with_transactional_ids(vec![tid()]));
        let topic = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        self.hear(0, DescribeProducersRequest::default().with_topics(vec![topic]));
    }
}

fn share_beat(member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest::default()
        .with_group_id(group(SHARE))
        .with_member_id(s(member))
        .with_member_epoch(epoch)
        .with_rack_id(None)
        .with_subscribed_topic_names(None)
}

fn produce(topic: &'static str, batch: BatchBuilder) -> ProduceRequest {
    let records = batch.build().expect("it is not compressed").to_bytes();
    let data = PartitionProduceData::default().with_index(0).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(TopicName(s(topic))).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic])
}

/// What is asked, and in which version.
type Asks = fn(&Scene) -> (i16, Request);
/// What it is, how it is asked, and the error that it gets.
type Refused = (&'static str, Asks, ErrorCode);

const REFUSED: &[Refused] = &[
    (
        "metadata that is too large",
        |s| (8, s.commit(CLASSIC, LARGE).into()),
        ErrorCode::OffsetMetadataTooLarge,
    ),
    (
        "metadata that is too large, by a member of the consumer protocol",
        |s| (9, s.commit(MODERN, LARGE).into()),
        ErrorCode::OffsetMetadataTooLarge,
    ),
    (
        "metadata that is too large, in a transaction",
        |s| (3, s.commit_in_transaction(LARGE, s.generation).into()),
        ErrorCode::OffsetMetadataTooLarge,
    ),
    (
        "an assignor that nobody knows",
        |s| (1, s.beat(s.epoch).with_server_assignor(Some("best".into())).into()),
        ErrorCode::UnsupportedAssignor,
    ),
    (
        "a regular expression that is none",
        |s| (1, s.beat(s.epoch).with_subscribed_topic_regex(Some("t(".into())).into()),
        ErrorCode::InvalidRegularExpression,
    ),
    (
        "a member without a rebalance timeout",
        |s| {
            let join = s.beat(0).with_member_id("TmV3TWVtYmVyT2ZHcm91cA".into());
            let join = join.with_subscribed_topic_names(Some(vec![topic_name("t")]));
            (1, join.with_topic_partitions(Some(Vec::new())).with_rebalance_timeout_ms(-1).into())
        },
        ErrorCode::InvalidRequest,
    ),
    (
        "a negative session timeout",
        |_| {
            let protocol = JoinGroupRequestProtocol::default().with_name("range".into());
            let join = JoinGroupRequest::default()
                .with_group_id(group(CLASSIC))
                .with_session_timeout_ms(-1)
                .with_protocol_type("consumer".into())
                .with_protocols(vec![protocol]);
            (3, join.into())
        },
        ErrorCode::InvalidSessionTimeout,
    ),
    (
        "a negative transaction timeout",
        |_| {
            let init = InitProducerIdRequest::default()
                .with_transactional_id(Some(tid()))
                .with_transaction_timeout_ms(-1)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            (4, init.into())
        },
        ErrorCode::InvalidTransactionTimeout,
    ),
    ("a generation to come", |s| (4, s.heartbeat(s.generation + 1).into()), ErrorCode::IllegalGeneration),
    (
        "a commit of a generation to come",
        |s| (8, s.commit(CLASSIC, "").with_generation_id_or_member_epoch(s.generation + 1).into()),
        ErrorCode::IllegalGeneration,
    ),
    (
        "a transaction's commit of a generation to come",
        |s| (3, s.commit_in_transaction("", s.generation + 1).into()),
        ErrorCode::IllegalGeneration,
    ),
    (
        "somebody who leaves and was never there",
        |_| {
            let leave =
                LeaveGroupRequest::default().with_group_id(group(CLASSIC)).with_member_id("who".into());
            (2, leave.into())
        },
        ErrorCode::UnknownMemberId,
    ),
    ("a member epoch to come", |s| (1, s.beat(s.epoch + 7).into()), ErrorCode::FencedMemberEpoch),
    (
        "a commit of a member epoch to come",
        |s| (9, s.commit(MODERN, "").with_generation_id_or_member_epoch(s.epoch + 7).into()),
        ErrorCode::StaleMemberEpoch,
    ),
    (
        "a share member's epoch to come",
        |s| (1, share_beat(MEMBER, s.share_epoch + 7).into()),
        ErrorCode::FencedMemberEpoch,
    ),
    (
        "a share session's epoch to come",
        |s| (1, s.acknowledge(OTHER, 7, 3, 1).into()),
        ErrorCode::InvalidShareSessionEpoch,
    ),
    (
        "a leader epoch to come",
        |_| {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(0)
                .with_current_leader_epoch(7)
                .with_leader_epoch(0);
            let topic =
                OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
            (
                4,
                OffsetForLeaderEpochRequest::default()
                    .with_replica_id((-1).into())
                    .with_topics(vec![topic])
                    .into(),
            )
        },
        ErrorCode::UnknownLeaderEpoch,
    ),
    (
        "an acknowledgement of what another member holds",
        |s| (1, s.acknowledge(OTHER, 1, 3, 1).into()),
        ErrorCode::InvalidRecordState,
    ),
    (
        "an acknowledgement of what nobody ever acquired",
        |s| (1, s.acknowledge(OTHER, 1, 1_000, 1).into()),
        ErrorCode::InvalidRequest,
    ),
    (
        "an acknowledgement of no known kind",
        |s| (1, s.acknowledge(OTHER, 1, 3, 9).into()),
        ErrorCode::InvalidRequest,
    ),
    (
        "the end of a transaction by another producer",
        |s| (3, s.end((ProducerId(s.producer.0.0 + 1), s.producer.1)).into()),
        ErrorCode::InvalidProducerIdMapping,
    ),
    (
        "the end of a transaction in an epoch to come",
        |s| (3, s.end((s.producer.0, s.producer.1 + 1)).into()),
        ErrorCode::ProducerFenced,
    ),
    (
        "a partition that another producer adds",
        |s| (3, s.add(TXN, (ProducerId(s.producer.0.0 + 1), s.producer.1)).into()),
        ErrorCode::InvalidProducerIdMapping,
    ),
    (
        "a transactional id that nobody has",
        |s| (3, s.add("nobody", s.producer).into()),
        ErrorCode::InvalidProducerIdMapping,
    ),
    (
        "records of a producer id that was never given out",
        |s| (9, s.transactional("forged", (ProducerId(s.producer.0.0 + 500), 0), 0).into()),
        ErrorCode::InvalidProducerIdMapping,
    ),
    (
        "records with a sequence that cannot be next",
        |s| (9, s.transactional("forged", s.producer, 7).into()),
        ErrorCode::OutOfOrderSequenceNumber,
    ),
    (
        "a record without a key, where keys are all that counts",
        |_| {
            let mut batch = BatchBuilder::new();
            batch.push(1_700_000_000_000, None, Some(b"value"), &[]);
            (9, produce("k", batch).into())
        },
        ErrorCode::InvalidRecord,
    ),
];

/// More than this cluster takes.
const LARGE: &str = "0123456789012345678901234567890123456789012345678901234567890123456789\
                     0123456789012345678901234567890123456789012345678901234567890123456789";

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut untouched = Scene::new();
    untouched.go_on();
    for (what, request, error) in REFUSED {
        let mut scene = Scene::new();
        let (version, request) = request(&scene);
        let stranger = scene.stranger;
        let refused = format!("{:?}", over(&mut scene.c, stranger, version, request));
        let says = |end| refused.contains(&format!("error_code: {}{end}", error.code()));
        assert!(says(',') || says(' '), "{what}: not {error}: {refused}");
        scene.go_on();
        for (at, (said, expected)) in scene.said.iter().zip(&untouched.said).enumerate() {
            assert_eq!(said, expected, "{what}: answer {at}");
        }
    }
}

#[test]
fn what_is_not_refused_is_noticed() {
    let mut untouched = Scene::new();
    untouched.go_on();
    let taken: [(&str, Asks); 4] = [
        ("a commit", |s| (8, s.commit(CLASSIC, "other").into())),
        ("a transaction's end", |s| (3, s.end(s.producer).into())),
        ("an acknowledgement", |s| (1, s.acknowledge(MEMBER, 2, 3, 1).into())),
        ("a member that leaves", |s| (1, s.beat(-1).into())),
    ];
    for (what, request) in taken {
        let mut scene = Scene::new();
        let (version, request) = request(&scene);
        let connection = if what == "an acknowledgement" { scene.good } else { scene.stranger };
        over(&mut scene.c, connection, version, request);
        scene.go_on();
        assert_ne!(scene.said, untouched.said, "{what}");
    }
}
