//! Moves of a group and its coordinator.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::ClientId;
use klamm_world::fault::ClusterFault;
use klamm_world::scripted::{ClientSettings, ConsumerOp, GroupSettings, MemberState, ScriptedConsumerSpec};

use crate::scripted::{Stage, TOPIC};

const CONFIG: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.replication.factor", "3"),
    ("offsets.topic.num.partitions", "1"),
];

/// A group of two members that poll for an hour, settled.
fn with_group(seed: u64) -> (Stage, [ClientId; 2]) {
    let mut stage = Stage::new(seed, CONFIG);
    stage.create_topic(TOPIC, &[&[1, 2, 3], &[2, 3, 1]]);
    let members = ["first", "second"].map(|name| {
        let spec = ScriptedConsumerSpec {
            client: ClientSettings::named(name),
            group: Some(Box::new(GroupSettings::new("g"))),
            ..ScriptedConsumerSpec::default()
        };
        let member = stage.consumer(spec);
        stage.ask(member, ConsumerOp::Subscribe(vec![TOPIC.into()]).into());
        stage.ask(member, ConsumerOp::Consume { within: Duration::from_secs(3_600) }.into());
        member
    });
    settle(&mut stage, &members, -1);
    (stage, members)
}

fn settle(stage: &mut Stage, members: &[ClientId], beyond: i32) {
    stage.run_until("a generation", |world| {
        members.iter().all(|member| {
            let now = world.client_member(*member).unwrap();
            now.state == MemberState::Stable
                && now.generation > beyond
                && world.client_positions(*member).len() == 1
        })
    });
}

fn generation(stage: &Stage, member: ClientId) -> i32 {
    stage.world.client_member(member).unwrap().generation
}

#[test]
fn a_group_is_made_to_rebalance() {
    let (mut stage, members) = with_group(1);
    let before = generation(&stage, members[0]);
    let id = stage.inject(ClusterFault::ForceRebalance { group: "g".into() });
    settle(&mut stage, &members, before);
    assert_eq!(stage.fired(id), 1);
    assert!(stage.story().contains("forced by a fault"));
}

#[test]
fn a_member_is_found_expired_and_joins_anew() {
    let (mut stage, members) = with_group(2);
    let before = generation(&stage, members[0]);
    let id = stage.inject(ClusterFault::ExpireMember { group: "g".into(), member: "second".into() });
    assert!(stage.story().contains("session ended by a fault"), "{}", stage.story());
    settle(&mut stage, &members, before);
    assert_eq!(stage.fired(id), 1);
    let error = stage.try_inject(ClusterFault::ExpireMember { group: "g".into(), member: "nobody".into() });
    assert!(error.unwrap_err().to_string().starts_with("group g has no member nobody; the members are "));
}

#[test]
fn a_coordinator_moves_and_the_group_follows() {
    let (mut stage, members) = with_group(3);
    let group = stage.world.groups().remove(&klamm_wire::StrBytes::from_static_str("g")).unwrap();
    let to = NodeId(group.coordinator.0 % 3 + 1);
    let id = stage.inject(ClusterFault::MoveCoordinator { group: "g".into(), to });
    stage.run_until("the new coordinator", |world| {
        world
            .groups()
            .get(&klamm_wire::StrBytes::from_static_str("g"))
            .is_some_and(|group| group.coordinator == to && group.group.state == "Stable")
    });
    stage.run(Duration::from_secs(10));
    assert_eq!(stage.fired(id), 1);
    assert_eq!(
        stage.world.groups().remove(&klamm_wire::StrBytes::from_static_str("g")).unwrap().group.members.len(),
        members.len()
    );
}
