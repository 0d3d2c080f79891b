//! Faults that cannot be are refused, and nothing of them happens.

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::ApiKey;
use klamm_world::fault::{
    Breakpoint, ClusterFault, DiskFault, DiskScope, Fate, Link, NetworkFault, NodeFault, Place,
    RequestAction, RequestMatch,
};
use klamm_world::{Command, Fault, FaultId};

use super::{CONTROLLER, Stage, TOPIC, partition};

#[test]
fn an_impossible_fault_says_what_would_be_right() {
    let mut stage = Stage::with_topic(1, &[]);
    stage.crash(3);
    stage.node_fault(2, NodeFault::Pause);
    let before = (stage.world.status(), stage.world.faults().len());
    let node = |node, fault| Fault::Node { node: NodeId(node), fault };
    let cluster = |fault: ClusterFault| Fault::Cluster(fault);
    let request = |on: RequestMatch| Fault::Request(on.then(RequestAction::Drop));
    let cases = [
        (node(3, NodeFault::Crash), "node 3 is down, so it cannot be crashed; start it first"),
        (node(1, NodeFault::Start), "node 1 runs already, so it cannot be started"),
        (node(9, NodeFault::Crash), "there is no node 9; the nodes are 1, 2, 3, 100"),
        (node(1, NodeFault::Resume), "node 1 is not paused, so it cannot be resumed"),
        (node(2, NodeFault::Pause), "node 2 is paused already"),
        (node(CONTROLLER.0, NodeFault::Fence), "node 100 is a controller, and only a broker can be fenced"),
        (
            node(1, NodeFault::Drift { ppm: -2_000_000 }),
            "a clock that drifts by -1,000,000 ppm or more stands still or runs backwards",
        ),
        (
            NetworkFault::cut(Link::between(1, 1)).into(),
            "1 cannot be cut from itself; a link has two different ends",
        ),
        (
            NetworkFault::Bandwidth { link: Link::between(1, 2), bytes_per_second: 0 }.into(),
            "a link with no bandwidth at all is a cut; use one",
        ),
        (
            NetworkFault::Partition { groups: vec![vec![NodeId(1).into()]], fate: Fate::Held }.into(),
            "this is no partition of the network: it needs two groups at least",
        ),
        (
            cluster(ClusterFault::MoveLeader { partition: partition(), to: NodeId(1) }),
            "node 1 is already the leader of t-0",
        ),
        (
            cluster(ClusterFault::HoldIsr { partition: TopicPartition::new("u", 0) }),
            "there is no topic u; the topics are t",
        ),
        (
            cluster(ClusterFault::HoldIsr { partition: TopicPartition::new(TOPIC, 7) }),
            "there is no partition t-7; the topic has 1, numbered from 0",
        ),
        (
            cluster(ClusterFault::SetIsr { partition: partition(), isr: vec![NodeId(2)] }),
            "node 1 must be in the ISR, for it is the leader of t-0",
        ),
        (
            cluster(ClusterFault::ForceRebalance { group: "g".into() }),
            "there is no group g; there are no groups",
        ),
        (
            request(RequestMatch::api(ApiKey::PushTelemetry)),
            "PushTelemetry is not served, so no request of it can be hit",
        ),
        (request(RequestMatch::any().first(0)), "a fault that hits no request at all is no fault"),
        (
            Fault::Disk {
                node: NodeId(1),
                fault: DiskFault::BitRot {
                    place: Place::Batch { partition: partition(), offset: 5, byte: 0 },
                    mask: 1,
                },
            },
            "disk of node 1: t-0 has no record at offset 5 here",
        ),
        (
            Fault::Disk {
                node: NodeId(1),
                fault: DiskFault::LostDirectory { scope: DiskScope::Partition(TopicPartition::new("u", 0)) },
            },
            "there is no topic u; the topics are t",
        ),
        (
            Breakpoint::at(klamm_node::PausePoint::AfterAppendBeforeAck).nth(0).into(),
            "arrivals are counted from 1",
        ),
    ];
    for (fault, message) in cases {
        assert_eq!(stage.try_inject(fault).unwrap_err().to_string(), message);
    }
    assert_eq!((stage.world.status(), stage.world.faults().len()), before);
}

#[test]
fn an_id_names_one_fault_for_ever() {
    let mut stage = Stage::with_topic(2, &[]);
    let id = stage.inject(RequestMatch::any().nth(1_000_000).then(RequestAction::Drop));
    stage.heal(id);
    let now = stage.world.now();
    let mut out = Vec::new();
    let error = stage.world.heal(now, id, &mut out).unwrap_err();
    assert_eq!(error.to_string(), format!("fault {id} is over already"));
    let error = stage.world.heal(now, FaultId(99), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "there is no fault #99");
    let fault = Box::new(RequestMatch::any().then(RequestAction::Drop).into());
    stage.world.handle(now, klamm_world::Input::Command(Command::Inject { id, fault }), &mut out);
    assert!(
        matches!(&out[..], [klamm_world::Output::FaultRefused { id: refused, .. }] if *refused == id),
        "{out:?}"
    );
}
