//! Consumer groups (KIP-848): joining, reconciliation, fencing, static members, expressions, metadata.

use klamm_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use klamm_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, ResponseKind, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::harness::{Harness, error, s, topic_id};
use crate::group::modern::consumer::group::ConsumerGroup;

/// What a member knows of itself, and how it talks: full requests when it joins, nothing but its ids otherwise.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) group: &'static str,
    pub(super) id: StrBytes,
    pub(super) epoch: i32,
    pub(super) topic: &'static str,
    pub(super) regex: Option<&'static str>,
    pub(super) instance: Option<&'static str>,
    pub(super) assignor: Option<&'static str>,
    pub(super) owned: Vec<i32>,
    /// Whether an answer was lost: then the next heartbeat says everything, as a consumer's does.
    pub(super) lost: bool,
}

impl Consumer {
    pub(super) fn new(group: &'static str, id: &str, topic: &'static str) -> Self {
        Self {
            group,
            id: s(id),
            epoch: 0,
            topic,
            regex: None,
            instance: None,
            assignor: None,
            owned: Vec::new(),
            lost: false,
        }
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(s(self.group)))
            .with_member_id(self.id.clone())
            .with_member_epoch(self.epoch)
            .with_instance_id(self.instance.map(s))
            .with_rebalance_timeout_ms(-1)
            .with_topic_partitions(None)
            .with_subscribed_topic_names(None)
            .with_subscribed_topic_regex(None)
    }

    /// Says nothing but that it is there.
    pub(super) fn alive(&self) -> ConsumerGroupHeartbeatRequest {
        self.request()
    }

    /// Says everything.
    pub(super) fn full(&self) -> ConsumerGroupHeartbeatRequest {
        let names = if self.regex.is_some() { Vec::new() } else { vec![TopicName(s(self.topic))] };
        self.request()
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(names))
            .with_subscribed_topic_regex(self.regex.map(s))
            .with_server_assignor(self.assignor.map(s))
            .with_topic_partitions(Some(self.owns()))
    }

    fn owns(&self) -> Vec<TopicPartitions> {
        if self.epoch == 0 || self.owned.is_empty() {
            return Vec::new();
        }
        let owned = TopicPartitions::default().with_topic_id(topic_id(self.topic));
        vec![owned.with_partitions(self.owned.clone())]
    }

    /// One heartbeat: a full one when joining, else what the member has. Partitions that it is told to give up it gives up at
    /// once; it will say so in the next.
    pub(super) fn beat(&mut self, h: &mut Harness) -> ErrorCode {
        let request = match self.epoch {
            0 => self.full(),
            _ if self.lost => self.full(),
            _ => self.request().with_topic_partitions(Some(self.owns())),
        };
        let response = h.consumer_beat(request);
        self.learn(&response);
        error(response.error_code)
    }

    pub(super) fn learn(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        if response.error_code != 0 {
            return;
        }
        self.epoch = response.member_epoch;
        self.lost = false;
        if let Some(assignment) = &response.assignment {
            self.owned = assignment.topic_partitions.iter().flat_map(|t| t.partitions.clone()).collect();
        }
    }
}

impl Harness {
    pub(super) fn consumer_beat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let token = self.send_consumer_beat(1, request);
        match self.answer(token) {
            Some(ResponseKind::ConsumerGroupHeartbeat(response)) => response.clone(),
            other => panic!("ConsumerGroupHeartbeat: {other:?}"),
        }
    }

    pub(super) fn send_consumer_beat(
        &mut self,
        version: i16,
        request: ConsumerGroupHeartbeatRequest,
    ) -> super::harness::Token {
        let rc = self.rc(version);
        self.step(|coordinator, broker, ctx| coordinator.consumer_heartbeat(broker, ctx, &rc, request));
        self.requests_sent()
    }

    pub(super) fn consumer_group(&self, group: &str) -> &ConsumerGroup {
        let shard = self.coordinator.shards.get(&0).expect("the partition is led here");
        shard.groups.consumer(&s(group)).unwrap_or_else(|| panic!("no consumer group {group}"))
    }
}

/// Heartbeats of everyone until nobody's epoch or assignment changes.
pub(super) fn settle(h: &mut Harness, members: &mut [Consumer]) {
    for _ in 0..10 {
        for member in &mut *members {
            assert_eq!(member.beat(h), ErrorCode::None, "{}", member.id);
        }
        h.advance(1_000);
    }
}

fn with_topic(partitions: i32) -> Harness {
    let mut h = Harness::with(&[("group.consumer.assignment.interval.ms", "0")]);
    h.broker.set_topic("orders", partitions);
    h
}

#[test]
fn members_are_assigned_everything_in_equal_shares() {
    let mut h = with_topic(6);
    let mut a = Consumer::new("g", "a", "orders");
    assert_eq!(a.beat(&mut h), ErrorCode::None);
    assert_eq!((a.epoch, a.owned.clone()), (2, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(h.consumer_group("g").state().name(), "Stable");

    let mut b = Consumer::new("g", "b", "orders");
    b.beat(&mut h);
    // What b is to have is still a's.
    assert_eq!((b.epoch, b.owned.clone()), (3, vec![]));
    assert_eq!(h.consumer_group("g").state().name(), "Reconciling");
    assert_eq!(h.consumer_group("g").member(&s("b")).unwrap().state.name(), "UNRELEASED_PARTITIONS");
    a.beat(&mut h);
    // a is told to give up three, in its old epoch.
    assert_eq!((a.epoch, a.owned.len()), (2, 3));
    assert_eq!(h.consumer_group("g").member(&s("a")).unwrap().state.name(), "UNREVOKED_PARTITIONS");
    b.beat(&mut h);
    assert_eq!(b.owned, [0; 0], "a has not said yet that it gave them up");
    a.beat(&mut h);
    assert_eq!((a.epoch, a.owned.len()), (3, 3));
    b.beat(&mut h);
    assert_eq!((b.epoch, b.owned.len()), (3, 3));
    assert_eq!(h.consumer_group("g").state().name(), "Stable");
}

#[test]
fn the_next_target_waits_for_the_assignment_interval() {
    let mut h = Harness::new();
    h.broker.set_topic("orders", 2);
    let (mut a, mut b) = (Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders"));
    a.beat(&mut h);
    b.beat(&mut h);
    // KIP-1263: the second target has to wait, b stays in the epoch of the first.
    assert_eq!((b.epoch, h.consumer_group("g").base.epoch), (2, 3));
    assert_eq!(h.consumer_group("g").state().name(), "Assigning");
    h.advance(1_000);
    b.beat(&mut h);
    assert_eq!(b.epoch, 3);
}

#[test]
fn an_epoch_that_does_not_fit_is_fenced() {
    let mut h = with_topic(2);
    let mut a = Consumer::new("g", "a", "orders");
    a.beat(&mut h);
    a.epoch += 1;
    assert_eq!(a.beat(&mut h), ErrorCode::FencedMemberEpoch);
    // One behind is an answer that was lost, as long as the member has only what is its own.
    let mut b = Consumer::new("g", "b", "orders");
    b.beat(&mut h);
    a.epoch = 2;
    for _ in 0..3 {
        a.beat(&mut h);
        b.beat(&mut h);
    }
    assert_eq!(a.epoch, 3);
    a.epoch = 2;
    assert_eq!(a.beat(&mut h), ErrorCode::None);
    a.epoch = 2;
    a.owned = vec![0, 1];
    assert_eq!(a.beat(&mut h), ErrorCode::FencedMemberEpoch);
    // Joining again from nothing is always right.
    a.epoch = 0;
    assert_eq!(a.beat(&mut h), ErrorCode::None);
    let mut stranger = Consumer::new("g", "c", "orders");
    stranger.epoch = 7;
    assert_eq!(stranger.beat(&mut h), ErrorCode::UnknownMemberId);
    let mut nowhere = Consumer::new("none", "c", "orders");
    nowhere.epoch = 7;
    assert_eq!(nowhere.beat(&mut h), ErrorCode::GroupIdNotFound);
}

#[test]
fn a_member_leaves_or_falls_silent_and_the_rest_take_over() {
    let mut h = with_topic(4);
    let mut members = [Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders")];
    settle(&mut h, &mut members);
    let [mut a, mut b] = members;
    b.epoch = -1;
    let left = h.consumer_beat(b.full().with_topic_partitions(None));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    a.beat(&mut h);
    assert_eq!(a.owned.len(), 4);
    let epoch = a.epoch;
    // The session is 45 s by default.
    h.advance(44_000);
    assert_eq!(a.beat(&mut h), ErrorCode::None);
    h.advance(45_000);
    assert!(h.consumer_group("g").is_empty());
    assert_eq!(h.consumer_group("g").base.epoch, epoch + 1);
    assert_eq!(h.consumer_group("g").base.target.epoch, epoch + 1);
    assert_eq!(a.beat(&mut h), ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_does_not_revoke_in_time_is_fenced() {
    let mut h = with_topic(2);
    let (mut a, mut b) = (Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders"));
    a.beat(&mut h);
    b.beat(&mut h);
    // a goes on sending heartbeats, but never says what it has.
    for _ in 0..13 {
        h.advance(5_000);
        b.beat(&mut h);
        let silent = a.request();
        a.learn(&h.consumer_beat(silent));
    }
    assert!(h.consumer_group("g").member(&s("a")).is_none());
    assert_eq!(b.owned, vec![0, 1]);
    assert!(h.causes().iter().any(|cause| cause.contains("did not revoke partitions in time")));
}

#[test]
fn a_static_member_keeps_its_place_while_it_is_away() {
    let mut h = with_topic(2);
    let mut a = Consumer::new("g", "a1", "orders");
    a.instance = Some("worker");
    a.beat(&mut h);
    let mut other = Consumer::new("g", "a2", "orders");
    other.instance = Some("worker");
    assert_eq!(other.beat(&mut h), ErrorCode::UnreleasedInstanceId);
    let epoch = h.consumer_group("g").base.epoch;
    a.epoch = -2;
    assert_eq!(h.consumer_beat(a.request()).member_epoch, -2);
    assert_eq!(other.beat(&mut h), ErrorCode::None);
    assert_eq!((other.epoch, other.owned.clone()), (epoch, vec![0, 1]), "nothing was reassigned");
    a.epoch = epoch;
    assert_eq!(a.beat(&mut h), ErrorCode::FencedInstanceId);
    // It leaves for a while and does not come back.
    other.epoch = -2;
    h.consumer_beat(other.request());
    h.advance(45_000);
    assert!(h.consumer_group("g").is_empty());
}

#[test]
fn an_expression_is_resolved_and_follows_new_topics() {
    let mut h = with_topic(2);
    let mut a = Consumer::new("g", "a", "orders");
    a.regex = Some("ord.*");
    a.beat(&mut h);
    assert_eq!((a.epoch, a.owned.clone()), (1, vec![]), "the expression is looked up after the answer");
    a.beat(&mut h);
    assert_eq!((a.epoch, a.owned.clone()), (2, vec![0, 1]));
    h.broker.set_topic("ordinary", 1);
    h.broker.set_topic("other", 1);
    a.beat(&mut h);
    assert_eq!(a.owned, vec![0, 1], "expressions are looked up ten seconds apart at least");
    h.advance(10_001);
    a.beat(&mut h);
    a.beat(&mut h);
    assert_eq!(a.owned.len(), 3);
    a.regex = Some("(");
    a.epoch = 0;
    assert_eq!(a.beat(&mut h), ErrorCode::InvalidRegularExpression);
}

#[test]
fn more_partitions_raise_the_epoch_at_the_next_heartbeat() {
    let mut h = with_topic(2);
    let mut a = Consumer::new("g", "a", "orders");
    a.beat(&mut h);
    h.broker.set_topic("orders", 4);
    a.beat(&mut h);
    assert_eq!((a.epoch, a.owned.clone()), (3, vec![0, 1, 2, 3]));
    h.broker.set_topic("unrelated", 4);
    a.beat(&mut h);
    assert_eq!(a.epoch, 3);
    h.broker.remove_topic("orders");
    a.beat(&mut h);
    assert_eq!(a.owned, [0; 0]);
}

#[test]
fn a_new_coordinator_has_the_group_as_it_was() {
    let mut h = with_topic(3);
    let mut members = [Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders")];
    settle(&mut h, &mut members);
    let mut other = Harness::on_log(&[], h.broker.log.clone());
    other.broker.set_topic("orders", 3);
    let (mut before, mut after) = (h.consumer_group("g").clone(), other.consumer_group("g").clone());
    before.base.set_metadata_checked(0, 0);
    after.base.set_metadata_checked(0, 0);
    assert_eq!(before, after);
    let [mut a, _] = members;
    assert_eq!(a.beat(&mut other), ErrorCode::None);
    // Sessions began anew: whoever is silent now is out in 45 s.
    other.advance(44_999);
    assert_eq!(a.beat(&mut other), ErrorCode::None);
    other.advance(1);
    assert!(other.consumer_group("g").member(&s("b")).is_none());
}

#[test]
fn requests_that_are_none_are_refused_in_kafkas_words() {
    let mut h = with_topic(1);
    let join = Consumer::new("g", "a", "orders").full();
    let long_gone = Consumer { epoch: -3, ..Consumer::new("g", "a", "orders") }.full();
    let cases = [
        (join.clone().with_member_id(s("")), ErrorCode::InvalidRequest, "MemberId can't be empty."),
        (join.clone().with_group_id(GroupId(s(" "))), ErrorCode::InvalidRequest, "GroupId can't be empty."),
        (join.clone().with_instance_id(Some(s(""))), ErrorCode::InvalidRequest, "InstanceId can't be empty."),
        (
            join.clone().with_rebalance_timeout_ms(-1),
            ErrorCode::InvalidRequest,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            join.clone().with_topic_partitions(None),
            ErrorCode::InvalidRequest,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            join.clone().with_subscribed_topic_names(None),
            ErrorCode::InvalidRequest,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (
            join.with_server_assignor(Some(s("mine"))),
            ErrorCode::UnsupportedAssignor,
            "ServerAssignor mine is not supported. Supported assignors: uniform, range.",
        ),
        (long_gone, ErrorCode::InvalidRequest, "MemberEpoch is invalid."),
    ];
    for (request, code, message) in cases {
        let response = h.consumer_beat(request);
        assert_eq!(error(response.error_code), code);
        assert_eq!(response.error_message.as_deref(), Some(message));
    }
    assert!(!h.has_group("g"));
}

#[test]
fn what_the_log_does_not_take_changes_nothing() {
    let mut h = with_topic(2);
    let mut a = Consumer::new("g", "a", "orders");
    h.broker.append_error = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(a.beat(&mut h), ErrorCode::CoordinatorNotAvailable);
    assert!(!h.has_group("g"));
    h.broker.append_error = None;
    assert_eq!(a.beat(&mut h), ErrorCode::None);
    assert_eq!(a.owned, vec![0, 1]);
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut h = Harness::with(&[("group.consumer.max.size", "1")]);
    h.broker.set_topic("orders", 1);
    assert_eq!(Consumer::new("g", "a", "orders").beat(&mut h), ErrorCode::None);
    assert_eq!(Consumer::new("g", "b", "orders").beat(&mut h), ErrorCode::GroupMaxSizeReached);
    assert_eq!(Consumer::new("g", "a", "orders").beat(&mut h), ErrorCode::None);
}

#[test]
fn a_group_can_have_timeouts_of_its_own() {
    let mut h = with_topic(1);
    let mut set = |key: &str, value: &str| {
        h.broker.group_configs.insert(("g".to_owned(), key.to_owned()), s(value));
    };
    set("consumer.session.timeout.ms", "50000");
    set("consumer.heartbeat.interval.ms", "6000");
    let join = Consumer::new("g", "a", "orders").full();
    assert_eq!(h.consumer_beat(join).heartbeat_interval_ms, 6_000);
    h.advance(49_999);
    assert!(!h.consumer_group("g").is_empty());
    h.advance(1);
    assert!(h.consumer_group("g").is_empty());
}

#[test]
fn a_commit_is_accepted_of_what_the_member_has_had_since_its_epoch() {
    for (release, relaxed) in [("4.2", false), ("4.4", true)] {
        let mut h = Harness::of_release(release, &[("group.consumer.assignment.interval.ms", "0")]);
        h.broker.set_topic("orders", 2);
        let mut members = [Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders")];
        settle(&mut h, &mut members);
        let [a, b] = members;
        let (mine, other) = (a.owned[0], b.owned[0]);
        let mut commit = |epoch: i32, partition: i32| {
            let mut request = super::harness::commit_request("g", epoch, "a", "orders", 1, "");
            request.topics[0].topic_id = topic_id("orders");
            request.topics[0].partitions[0].partition_index = partition;
            let token = h.send_commit_request(9, request);
            h.committed(token)
        };
        assert_eq!(commit(a.epoch, mine), ErrorCode::None);
        assert_eq!(commit(a.epoch + 1, mine), ErrorCode::StaleMemberEpoch);
        // KIP-1251: a has had it since it joined.
        let expected = if relaxed { ErrorCode::None } else { ErrorCode::StaleMemberEpoch };
        assert_eq!(commit(a.epoch - 1, mine), expected, "{release}");
        assert_eq!(commit(a.epoch - 1, other), ErrorCode::StaleMemberEpoch, "{release}");
        assert_eq!(commit(-1, mine), ErrorCode::StaleMemberEpoch, "the group has members");
    }
}

#[test]
fn offsets_are_told_to_members_in_their_epoch_and_to_administrators() {
    let mut h = with_topic(1);
    let mut a = Consumer::new("g", "a", "orders");
    a.beat(&mut h);
    assert_eq!(h.commit("g", a.epoch, "a", "orders", 3), ErrorCode::None);
    assert_eq!(h.fetch("g", "orders"), 3);
    let mut fetch = |member: &str, epoch: i32| {
        let token = h.send_member_fetch("g", member, epoch);
        error(h.fetched(token).groups[0].error_code)
    };
    assert_eq!(fetch("a", a.epoch), ErrorCode::None);
    assert_eq!(fetch("a", a.epoch - 1), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch("b", a.epoch), ErrorCode::UnknownMemberId);
}

#[test]
fn groups_are_listed_described_and_deleted_by_their_kind() {
    let mut h = with_topic(1);
    let mut a = Consumer::new("new", "a", "orders");
    a.beat(&mut h);
    h.stable_group("old", 1);
    let list = |h: &Harness, states: &[&str], types: &[&str]| -> Vec<String> {
        let texts = |of: &[&str]| of.iter().map(|text| s(text)).collect::<Vec<_>>();
        let groups = h.coordinator.list(&texts(states), &texts(types)).unwrap();
        groups.iter().map(|g| format!("{} {} {}", *g.group_id, g.group_type, g.group_state)).collect()
    };
    assert_eq!(list(&h, &[], &[]), ["new consumer Stable", "old classic Stable"]);
    assert_eq!(list(&h, &["STABLE"], &["Consumer"]), ["new consumer Stable"]);
    assert_eq!(list(&h, &["empty"], &[]), [""; 0]);
    let described = h.coordinator.describe(&GroupId(s("new")), 6);
    assert_eq!(error(described.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(described.error_message.as_deref(), Some("Group new is not a classic group."));
    let described = h.coordinator.describe_consumer(&h.broker, &GroupId(s("new")));
    assert_eq!(
        (&*described.group_state, described.group_epoch, described.assignment_epoch),
        ("Stable", 2, 2)
    );
    assert_eq!(described.assignor_name.as_str(), "uniform");
    let member = &described.members[0];
    assert_eq!(
        (member.member_epoch, member.member_type, &member.assignment),
        (2, 1, &member.target_assignment)
    );
    assert_eq!(member.assignment.topic_partitions[0].topic_name.as_str(), "orders");
    let classic = h.coordinator.describe_consumer(&h.broker, &GroupId(s("old")));
    assert_eq!(classic.error_message.as_deref(), Some("Group old is not a consumer group."));

    assert_eq!(h.delete_group("new"), ErrorCode::NonEmptyGroup);
    a.epoch = -1;
    h.consumer_beat(a.alive());
    assert_eq!(h.delete_group("new"), ErrorCode::None);
    assert!(!h.has_group("new"));
    assert!(!Harness::on_log(&[], h.broker.log.clone()).has_group("new"));
}

#[test]
fn offsets_expire_by_their_commit_when_nobody_reads_the_topic() {
    let mut h = Harness::with(&[("offsets.retention.minutes", "60")]);
    h.broker.set_topic("orders", 1);
    h.broker.set_topic("old", 1);
    let mut a = Consumer::new("g", "a", "orders");
    a.beat(&mut h);
    for topic in ["orders", "old"] {
        assert_eq!(h.commit("g", a.epoch, "a", topic, 3), ErrorCode::None);
    }
    for _ in 0..140 {
        h.advance(30_000);
        assert_eq!(a.beat(&mut h), ErrorCode::None);
    }
    assert_eq!((h.fetch("g", "orders"), h.fetch("g", "old")), (3, -1));
    a.epoch = -1;
    h.consumer_beat(a.alive());
    // 70 minutes old already: the next sweep takes it, and the group with it.
    h.advance(600_000);
    assert!(!h.has_group("g"));
}

#[test]
fn faults_rebalance_a_group_and_end_a_session() {
    let mut h = with_topic(2);
    let mut members = [Consumer::new("g", "a", "orders"), Consumer::new("g", "b", "orders")];
    settle(&mut h, &mut members);
    let epoch = members[0].epoch;
    h.step(|coordinator, broker, ctx| coordinator.force_rebalance(broker, ctx, &s("g")));
    settle(&mut h, &mut members);
    assert_eq!((members[0].epoch, members[1].epoch), (epoch + 1, epoch + 1));
    h.step(|coordinator, broker, ctx| coordinator.expire_member(broker, ctx, &s("g"), &s("b")));
    let [mut a, mut b] = members;
    assert_eq!(b.beat(&mut h), ErrorCode::UnknownMemberId);
    a.beat(&mut h);
    assert_eq!(a.owned, [0, 1]);
}
