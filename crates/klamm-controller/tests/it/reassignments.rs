//! Replicas move from broker to broker (SCENARIOS' section on KIP-455; `ReplicationControlManager`).

use klamm_metadata::PartitionRegistration;
use klamm_node::{NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::ListPartitionReassignmentsRequest;
use klamm_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

use crate::harness::{Harness, ids};

/// A partition as one line: leader, epochs, ISR, ELR, replicas, adding, removing.
fn tuple(partition: &PartitionRegistration) -> String {
    format!(
        "L={} e={} pe={} isr={:?} elr={:?} replicas={:?} adding={:?} removing={:?}",
        partition.leader,
        partition.leader_epoch,
        partition.partition_epoch,
        ids(&partition.isr),
        ids(&partition.elr),
        ids(&partition.replicas),
        ids(&partition.adding_replicas),
        ids(&partition.removing_replicas),
    )
}

fn cluster(configs: &[(&str, &str)]) -> Harness {
    let mut h = Harness::new();
    h.start_brokers(1..=5);
    h.create_assigned("t", &[1, 2, 3], configs);
    h
}

fn state(h: &Harness) -> String {
    tuple(&h.partition("t", 0))
}

fn propose(h: &mut Harness, leader: i32, isr: &[i32]) -> ErrorCode {
    let request = h.proposal("t", leader, isr);
    h.propose(request)
}

const DONE: (ErrorCode, String) = (ErrorCode::None, String::new());

#[test]
fn a_replica_is_replaced_in_two_steps_and_the_second_bumps_the_leader_epoch() {
    let mut h = cluster(&[]);
    assert_eq!(h.reassign("t", Some(&[1, 2, 4])), DONE);
    assert_eq!(state(&h), "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]");
    assert_eq!(propose(&mut h, 1, &[1, 2, 3, 4]), ErrorCode::None);
    assert_eq!(state(&h), "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4] adding=[] removing=[]");
    let partition = h.partition("t", 0);
    let own = |id| h.image().cluster.broker(NodeId(id)).unwrap().default_dir();
    assert_eq!(partition.directories, [own(1), own(2), own(4)]);
}

#[test]
fn a_leader_that_is_removed_hears_of_its_successor() {
    let mut h = cluster(&[]);
    assert_eq!(h.reassign("t", Some(&[4, 2, 3])), DONE);
    assert_eq!(state(&h), "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[4, 2, 3, 1] adding=[4] removing=[1]");
    assert_eq!(propose(&mut h, 1, &[1, 2, 3, 4]), ErrorCode::NewLeaderElected);
    assert_eq!(state(&h), "L=4 e=1 pe=2 isr=[2, 3, 4] elr=[] replicas=[4, 2, 3] adding=[] removing=[]");
}

#[test]
fn a_cancelled_move_leaves_what_was() {
    let mut h = cluster(&[]);
    let none = (ErrorCode::NoReassignmentInProgress, String::new());
    assert_eq!(h.reassign("t", None), none);
    h.reassign("t", Some(&[1, 4, 5]));
    assert_eq!(propose(&mut h, 1, &[1, 2, 3, 4]), ErrorCode::None);
    assert_eq!(
        state(&h),
        "L=1 e=0 pe=2 isr=[1, 2, 3, 4] elr=[] replicas=[1, 4, 5, 2, 3] adding=[4, 5] removing=[2, 3]"
    );
    assert_eq!(h.reassign("t", None), DONE);
    // The order of the replicas is that of the target, as far as they were there before.
    assert_eq!(state(&h), "L=1 e=1 pe=3 isr=[1, 2, 3] elr=[] replicas=[1, 2, 3] adding=[] removing=[]");
    assert_eq!(h.reassign("t", None), none);
}

#[test]
fn a_move_whose_origins_are_out_of_sync_is_cancelled_only_uncleanly() {
    for unclean in ["false", "true"] {
        let mut h = cluster(&[("unclean.leader.election.enable", unclean)]);
        h.reassign("t", Some(&[4, 5, 1]));
        assert_eq!(propose(&mut h, 1, &[1, 2, 3, 4]), ErrorCode::None);
        // The leader dies last of those that were there before, and a new replica takes over.
        for broker in [2, 3, 1] {
            h.fence(broker);
        }
        assert_eq!(
            state(&h),
            "L=4 e=1 pe=5 isr=[4] elr=[] replicas=[4, 5, 1, 2, 3] adding=[4, 5] removing=[2, 3]"
        );
        h.heartbeat(1);
        let cancelled = h.reassign("t", None);
        if unclean == "true" {
            assert_eq!(cancelled, DONE);
            // The ISR that Kafka makes up is {1}; its leader counts as in sync, so nothing is marked as recovering.
            assert_eq!(state(&h), "L=1 e=2 pe=6 isr=[1] elr=[] replicas=[1, 2, 3] adding=[] removing=[]");
        } else {
            let message = "Unable to revert partition assignment for t:0 because it would require an unclean leader election.";
            assert_eq!(cancelled, (ErrorCode::InvalidReplicaAssignment, message.to_owned()));
        }
    }
}

#[test]
fn a_target_that_dies_keeps_the_move_open_and_leaders_can_still_change() {
    let mut h = cluster(&[]);
    h.reassign("t", Some(&[1, 2, 4]));
    h.fence(4);
    h.advance(5_000);
    assert_eq!(state(&h), "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]");
    h.fence(1);
    assert_eq!(state(&h), "L=2 e=1 pe=2 isr=[2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]");
    assert_eq!(h.reassign("t", None), DONE);
    assert_eq!(state(&h), "L=2 e=2 pe=3 isr=[2, 3] elr=[] replicas=[1, 2, 3] adding=[] removing=[]");
}

#[test]
fn a_new_order_and_a_smaller_set_take_effect_at_once() {
    let mut h = cluster(&[]);
    assert_eq!(h.reassign("t", Some(&[3, 1, 2])), DONE);
    assert_eq!(state(&h), "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[3, 1, 2] adding=[] removing=[]");
    assert_eq!(h.reassign("t", Some(&[3, 1])), DONE);
    assert_eq!(state(&h), "L=1 e=1 pe=2 isr=[1, 3] elr=[] replicas=[3, 1] adding=[] removing=[]");
    // What is as it is asked for needs no record.
    assert_eq!(h.reassign("t", Some(&[3, 1])), DONE);
    assert_eq!(state(&h), "L=1 e=1 pe=2 isr=[1, 3] elr=[] replicas=[3, 1] adding=[] removing=[]");
}

#[test]
fn a_smaller_set_waits_until_all_of_it_is_in_sync() {
    let mut h = cluster(&[]);
    h.fence(2);
    h.heartbeat(2);
    assert_eq!(h.reassign("t", Some(&[2, 1])), DONE);
    assert_eq!(state(&h), "L=1 e=0 pe=2 isr=[1, 3] elr=[] replicas=[2, 1, 3] adding=[] removing=[3]");
    assert_eq!(propose(&mut h, 1, &[1, 3, 2]), ErrorCode::None);
    assert_eq!(state(&h), "L=1 e=1 pe=3 isr=[1, 2] elr=[] replicas=[2, 1] adding=[] removing=[]");
}

#[test]
fn a_second_move_takes_the_place_of_the_first() {
    let mut h = cluster(&[]);
    h.reassign("t", Some(&[1, 2, 4]));
    assert_eq!(h.reassign("t", Some(&[1, 2, 5])), DONE);
    assert_eq!(
        state(&h),
        "L=1 e=0 pe=2 isr=[1, 2, 3] elr=[] replicas=[1, 2, 5, 3, 4] adding=[5] removing=[3, 4]"
    );
    assert_eq!(propose(&mut h, 1, &[1, 2, 3, 5]), ErrorCode::None);
    assert_eq!(state(&h), "L=1 e=1 pe=3 isr=[1, 2, 5] elr=[] replicas=[1, 2, 5] adding=[] removing=[]");
}

#[test]
fn the_replication_factor_can_be_guarded() {
    let mut h = cluster(&[]);
    let refused = |from, to| {
        let message = format!("The replication factor is changed from {from} to {to}");
        (ErrorCode::InvalidReplicationFactor, message)
    };
    assert_eq!(h.reassign_with("t", Some(&[1, 2]), false), refused(3, 2));
    assert_eq!(h.reassign_with("t", Some(&[1, 2, 3, 4]), false), refused(3, 4));
    assert_eq!(h.reassign_with("t", Some(&[1, 2, 4]), false), DONE);
    // A move under way counts as done.
    assert_eq!(h.reassign_with("t", Some(&[1, 2, 4, 5]), false), refused(3, 4));
    assert_eq!(h.reassign_with("t", Some(&[1, 2, 5]), false), DONE);
}

#[test]
fn a_target_that_makes_no_sense_is_refused() {
    let mut h = cluster(&[]);
    let check = |h: &mut Harness, topic: &str, replicas: &[i32], code, message: &str| {
        assert_eq!(h.reassign(topic, Some(replicas)), (code, message.to_owned()));
    };
    let start = "The manual partition assignment includes";
    let invalid = ErrorCode::InvalidReplicaAssignment;
    check(&mut h, "t", &[], invalid, &format!("{start} an empty replica list."));
    check(&mut h, "t", &[1, 9], invalid, &format!("{start} broker 9, but no such broker is registered."));
    check(&mut h, "t", &[1, -1], invalid, &format!("{start} broker -1, but no such broker is registered."));
    check(&mut h, "t", &[1, 2, 1], invalid, &format!("{start} the broker 1 more than once."));
    check(&mut h, "no", &[1], ErrorCode::UnknownTopicOrPartition, "Unable to find a topic named no.");
    assert_eq!(state(&h), "L=1 e=0 pe=0 isr=[1, 2, 3] elr=[] replicas=[1, 2, 3] adding=[] removing=[]");
}

#[test]
fn every_step_of_a_move_is_told() {
    let mut h = cluster(&[]);
    h.reassign("t", Some(&[1, 2, 4]));
    propose(&mut h, 1, &[1, 2, 3, 4]);
    h.reassign("t", Some(&[4, 1, 2]));
    let told: Vec<String> = h
        .decisions()
        .iter()
        .filter(|kind| matches!(kind, TraceKind::ReplicasChanged { .. }))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "t-0 replicas [1, 2, 4, 3] adding [4] removing [3]: reassignment",
            "t-0 replicas [1, 2, 4] adding [] removing []: proposed by the leader",
            "t-0 replicas [4, 1, 2] adding [] removing []: reassignment",
        ]
    );
}

#[test]
fn moves_under_way_are_listed() {
    let mut h = cluster(&[]);
    h.create_assigned("u", &[2, 3], &[]);
    h.create_assigned("v", &[2, 3], &[]);
    let list = |h: &mut Harness, topics: Option<&[(&str, &[i32])]>| {
        let topics = topics.map(|topics| {
            let asked = topics.iter().map(|(name, indexes)| {
                let name = klamm_wire::StrBytes::from_string((*name).to_owned());
                ListPartitionReassignmentsTopics::default()
                    .with_name(name.into())
                    .with_partition_indexes(indexes.to_vec())
            });
            asked.collect()
        });
        let response = h.list_reassignments(ListPartitionReassignmentsRequest::default().with_topics(topics));
        assert_eq!(response.error_code, 0);
        let mut listed: Vec<String> = response
            .topics
            .iter()
            .flat_map(|topic| {
                topic.partitions.iter().map(|p| {
                    let ids = |list: &[klamm_wire::messages::BrokerId]| -> Vec<i32> {
                        list.iter().map(|id| id.0).collect()
                    };
                    let (replicas, adding, removing) =
                        (ids(&p.replicas), ids(&p.adding_replicas), ids(&p.removing_replicas));
                    format!("{}-{} {replicas:?} +{adding:?} -{removing:?}", &*topic.name, p.partition_index)
                })
            })
            .collect();
        listed.sort();
        listed
    };
    assert_eq!(list(&mut h, None), [] as [&str; 0]);
    h.reassign("t", Some(&[1, 2, 4]));
    h.reassign("v", Some(&[5, 3]));
    let (t, v) = ("t-0 [1, 2, 4, 3] +[4] -[3]", "v-0 [5, 3, 2] +[5] -[2]");
    assert_eq!(list(&mut h, None), [t, v]);
    assert_eq!(list(&mut h, Some(&[("v", &[0, 1]), ("u", &[0]), ("none", &[0])])), [v]);
    assert_eq!(list(&mut h, Some(&[])), [] as [&str; 0]);
    assert_eq!(propose(&mut h, 1, &[1, 2, 3, 4]), ErrorCode::None);
    assert_eq!(list(&mut h, None), [v]);
}
