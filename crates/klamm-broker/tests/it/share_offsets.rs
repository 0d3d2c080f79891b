//! Share groups that administrators move: AlterShareGroupOffsets and DeleteShareGroupOffsets.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use klamm_wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, GroupId, ResponseKind, TopicName,
};
use klamm_wire::{ApiKey, ErrorCode};
use klamm_world::fault::{RequestAction, RequestFault, RequestMatch};
use klamm_world::{Command, FaultId, Input};

use crate::cluster::Cluster;
use crate::share::{Member, assigned, beat, error, group_coordinator, offsets};
use crate::share_coordinator::s;

/// Topics with partitions and start offsets.
type Starts<'a> = &'a [(&'a str, &'a [(i32, i64)])];
/// Topics with partitions and what was said of them.
type Altered = Vec<(String, Vec<(i32, ErrorCode)>)>;

fn alteration(group: &str, topics: Starts<'_>) -> AlterShareGroupOffsetsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(partition, start)| {
            AlterShareGroupOffsetsRequestPartition::default()
                .with_partition_index(*partition)
                .with_start_offset(*start)
        });
        AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(TopicName(s(name)))
            .with_partitions(partitions.collect())
    });
    AlterShareGroupOffsetsRequest::default().with_group_id(GroupId(s(group))).with_topics(topics.collect())
}

fn send_alteration(
    c: &mut Cluster,
    at: i32,
    group: &str,
    topics: Starts<'_>,
) -> AlterShareGroupOffsetsResponse {
    let ResponseKind::AlterShareGroupOffsets(answer) = c.ask(at, 0, alteration(group, topics)) else {
        panic!("another answer")
    };
    answer
}

/// Each topic's partitions and what was said of them.
fn alter(c: &mut Cluster, at: i32, topics: Starts<'_>) -> Result<Altered, ErrorCode> {
    let answer = send_alteration(c, at, "g", topics);
    if answer.error_code != 0 {
        assert_eq!(answer.responses, []);
        return Err(error(answer.error_code));
    }
    let topics = answer.responses.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| (p.partition_index, error(p.error_code)));
        (topic.topic_name.to_string(), partitions.collect())
    });
    Ok(topics.collect())
}

fn altered(topic: &str, partition: i32) -> Result<Altered, ErrorCode> {
    Ok(vec![(topic.to_owned(), vec![(partition, ErrorCode::None)])])
}

fn send_deletion(c: &mut Cluster, at: i32, group: &str, topics: &[&str]) -> DeleteShareGroupOffsetsResponse {
    let topic =
        |name: &&str| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(TopicName(s(name)));
    let request = DeleteShareGroupOffsetsRequest::default()
        .with_group_id(GroupId(s(group)))
        .with_topics(topics.iter().map(topic).collect());
    let ResponseKind::DeleteShareGroupOffsets(answer) = c.ask(at, 0, request) else {
        panic!("another answer")
    };
    answer
}

/// Each topic and what was said of it.
fn delete(c: &mut Cluster, at: i32, topics: &[&str]) -> Result<Vec<(String, ErrorCode)>, ErrorCode> {
    let answer = send_deletion(c, at, "g", topics);
    if answer.error_code != 0 {
        assert_eq!(answer.responses, []);
        return Err(error(answer.error_code));
    }
    Ok(answer.responses.iter().map(|t| (t.topic_name.to_string(), error(t.error_code))).collect())
}

fn starts(topic: &str, partitions: &[(i32, i64)]) -> Vec<(String, Vec<(i32, i64)>)> {
    vec![(topic.to_owned(), partitions.to_vec())]
}

/// Joins the group, as what the topic has is assigned to it.
fn join(c: &mut Cluster, at: i32, member: &str, partitions: &[i32]) {
    let joined = beat(c, at, member, 0, Some(&["t"]));
    let mut now = assigned(&joined);
    for _ in 0..10 {
        if now.as_deref() == Some(partitions) {
            return;
        }
        c.run(Duration::from_secs(1));
        now = assigned(&beat(c, at, member, joined.member_epoch, None)).or(now);
    }
    panic!("{now:?} are assigned");
}

#[test]
fn a_group_begins_where_it_is_told_to() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    for value in ["a", "b", "c", "d"] {
        c.produce("t", 0, value);
    }
    let at = group_coordinator(&mut c);
    // Nobody has heard of the group before.
    assert_eq!(alter(&mut c, at, &[("t", &[(0, 2)])]), altered("t", 0));
    assert_eq!(offsets(&mut c, at, None), starts("t", &[(0, 2)]));
    join(&mut c, at, "one", &[0]);
    let leader = c.leader("t", 0);
    let mut one = Member::new(&mut c, "one", leader);
    assert_eq!(one.fetch(&mut c), [(2, 3, 1)]);
    assert_eq!(one.acknowledge(&mut c, &[(2, 2, &[1])]), ErrorCode::None);

    assert_eq!(alter(&mut c, at, &[("t", &[(0, 1)])]), Err(ErrorCode::NonEmptyGroup));
    assert_eq!(delete(&mut c, at, &["t"]), Err(ErrorCode::NonEmptyGroup));
    assert_eq!(error(beat(&mut c, at, "one", -1, None).error_code), ErrorCode::None, "it leaves");
    assert_eq!(alter(&mut c, at, &[("t", &[(0, 1)])]), altered("t", 0));
    // What the leader still knows of the group is fenced by its state epoch.
    assert_eq!(one.acknowledge(&mut c, &[(3, 3, &[1])]), ErrorCode::NotLeaderOrFollower);
    c.input(Input::Disconnect { connection: one.connection });
    c.connect(leader);
    assert_eq!(offsets(&mut c, at, None), starts("t", &[(0, 1)]));

    // Another coordinator knows of it.
    c.command(Command::Crash(NodeId(at)));
    c.wait_for("another coordinator", Duration::from_secs(30), |c| {
        c.world.groups().get("g".as_bytes()).is_some_and(|group| group.coordinator != NodeId(at))
    });
    let at = c.world.groups()["g".as_bytes()].coordinator.0;
    c.wait_for("a leader", Duration::from_secs(30), |c| c.status("t", 0).leader.is_some());
    join(&mut c, at, "two", &[0]);
    let leader = c.leader("t", 0);
    let mut two = Member::new(&mut c, "two", leader);
    let mut got = Vec::new();
    for _ in 0..60 {
        got = two.fetch(&mut c);
        if !got.is_empty() {
            break;
        }
    }
    assert_eq!(got, [(1, 3, 1)]);
}

#[test]
fn what_is_not_there_is_not_altered() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 2, 1, &[]);
    let at = group_coordinator(&mut c);
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let asked: Starts<'_> = &[("t", &[(1, 5), (2, 5), (-1, 5)]), ("no-topic", &[(0, 5)])];
    let answer = alter(&mut c, at, asked).unwrap();
    assert_eq!(
        answer,
        [
            ("no-topic".to_owned(), vec![(0, unknown)]),
            ("t".to_owned(), vec![(1, ErrorCode::None), (2, unknown), (-1, unknown)]),
        ]
    );
    assert_eq!(offsets(&mut c, at, None), starts("t", &[(1, 5)]));
    assert_eq!(error(send_alteration(&mut c, at, "", asked).error_code), ErrorCode::InvalidGroupId);
    assert_eq!(error(send_deletion(&mut c, at, "", &["t"]).error_code), ErrorCode::InvalidGroupId);
    // Offsets that no record can have are taken over, and the group begins where there are records.
    for (nonsense, partition) in [(i64::MAX, 0), (i64::MIN, 1)] {
        assert_eq!(alter(&mut c, at, &[("t", &[(partition, nonsense)])]), altered("t", partition));
    }
    assert_eq!(
        alter(&mut c, at, &[("t", &[(0, 3), (0, 4)])]).map(|topics| topics.len()),
        Ok(1),
        "the last one counts"
    );
    assert_eq!(offsets(&mut c, at, None), starts("t", &[(0, 4), (1, i64::MIN)]));
}

#[test]
fn forgotten_topics_are_read_as_if_for_the_first_time() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 2, 3, &[]);
    c.create_topic("u", 1, 3, &[]);
    let at = group_coordinator(&mut c);
    assert_eq!(delete(&mut c, at, &["t"]), Err(ErrorCode::GroupIdNotFound));
    assert_eq!(
        alter(&mut c, at, &[("t", &[(0, 7), (1, 8)]), ("u", &[(0, 9)])]).map(|topics| topics.len()),
        Ok(2)
    );

    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        delete(&mut c, at, &["no-topic", "t", "t"]),
        Ok(vec![("t".to_owned(), ErrorCode::None), ("no-topic".to_owned(), unknown)])
    );
    assert_eq!(offsets(&mut c, at, None), starts("u", &[(0, 9)]));
    assert_eq!(offsets(&mut c, at, Some(&[("t", 0)])), starts("t", &[(0, -1)]));
    assert_eq!(
        delete(&mut c, at, &["t"]),
        Ok(vec![("t".to_owned(), unknown)]),
        "there is nothing left to delete"
    );

    c.produce("t", 0, "a");
    join(&mut c, at, "one", &[0, 1]);
    let leader = c.leader("t", 0);
    let mut one = Member::new(&mut c, "one", leader);
    assert_eq!(one.fetch(&mut c), [], "it begins at the end");
    c.produce("t", 0, "b");
    assert_eq!(one.fetch(&mut c), [(1, 1, 1)]);
}

/// The next request of an API to a share coordinator goes wrong.
fn fail_next(c: &mut Cluster, id: u32, api: ApiKey) {
    let fault = RequestFault {
        on: RequestMatch { count: Some(1), ..RequestMatch::api(api) },
        action: RequestAction::Error(ErrorCode::KafkaStorageError),
    };
    c.command(Command::Inject { id: FaultId(id), fault: Box::new(fault.into()) });
}

#[test]
fn what_the_share_coordinator_refuses_can_be_asked_for_again() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let at = group_coordinator(&mut c);
    let refused = ErrorCode::KafkaStorageError;
    fail_next(&mut c, 1, ApiKey::InitializeShareGroupState);
    let asked: Starts<'_> = &[("t", &[(0, 7)])];
    assert_eq!(alter(&mut c, at, asked), Ok(vec![("t".to_owned(), vec![(0, refused)])]));
    assert_eq!(offsets(&mut c, at, None), [], "nothing is begun");
    assert_eq!(alter(&mut c, at, asked), altered("t", 0));

    fail_next(&mut c, 2, ApiKey::DeleteShareGroupState);
    assert_eq!(delete(&mut c, at, &["t"]), Ok(vec![("t".to_owned(), refused)]));
    assert_eq!(offsets(&mut c, at, None), [], "it is on its way out");
    assert_eq!(offsets(&mut c, at, Some(&[("t", 0)])), starts("t", &[(0, 7)]), "but still kept");
    assert_eq!(delete(&mut c, at, &["t"]), Ok(vec![("t".to_owned(), ErrorCode::None)]));
    assert_eq!(offsets(&mut c, at, Some(&[("t", 0)])), starts("t", &[(0, -1)]));
}
