//! Faults of brokers and controllers.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::fault::NodeFault;

use super::once;
use crate::scripted::{CONTROLLER, Stage, TOPIC};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_node_is_stopped_started_and_restarted() {
    let mut stage = Stage::with_topic(1, &[]);
    let stop = stage.node_fault(1, NodeFault::Stop);
    stage.run(2 * SECOND);
    assert!(!stage.world.is_up(NodeId(1)));
    assert_eq!(stage.partition().leader, Some(NodeId(2)), "it handed over");
    let start = stage.node_fault(1, NodeFault::Start);
    stage.run(2 * SECOND);
    assert!(stage.world.is_ready());
    let restart = stage.node_fault(2, NodeFault::Restart);
    stage.run(5 * SECOND);
    let node = stage.world.nodes().into_iter().find(|node| node.node == NodeId(2)).unwrap();
    assert!(node.ready && node.incarnation == 2, "{node:?}");
    assert_eq!([stop, start, restart].map(|id| stage.fired(id)), [1; 3]);
}

#[test]
fn a_crash_and_a_power_loss_end_a_node() {
    for fault in [NodeFault::Crash, NodeFault::PowerLoss] {
        let mut stage = Stage::with_topic(2, &[]);
        let id = stage.node_fault(1, fault);
        assert!(!stage.world.is_up(NodeId(1)));
        assert_eq!(stage.fired(id), 1);
        let cause = fault.to_string();
        assert!(stage.story().contains(&format!("stopped: {cause}")));
    }
}

#[test]
fn a_paused_leader_is_a_zombie_and_hears_of_it_when_it_is_resumed() {
    let mut stage = Stage::with_topic(3, &[]);
    let producer = stage.warm_producer(once());
    let pause = stage.node_fault(1, NodeFault::Pause);
    let op = stage.send(producer, "a");
    stage.run_until("another leader", |world| {
        world.partition(TOPIC, 0).unwrap().leader.is_some_and(|leader| leader != NodeId(1))
    });
    assert!(stage.world.is_up(NodeId(1)));
    assert_eq!(stage.result(producer, op).unwrap_err().name(), "REQUEST_TIMED_OUT");
    assert!(stage.held(pause) > 0, "what came waits at its door");
    let resume = stage.node_fault(1, NodeFault::Resume);
    stage
        .run_until("its return", |world| world.is_ready() && world.partition(TOPIC, 0).unwrap().is_settled());
    assert_eq!((stage.fired(pause), stage.fired(resume)), (1, 1));
    assert!(!stage.world.fault(pause).unwrap().armed);
    // The request reached it after its leadership had gone, or was appended and cut off again.
    assert_eq!(stage.partition().leader_epoch, 1);
}

#[test]
fn a_paused_controller_elects_nobody() {
    let mut stage = Stage::with_topic(4, &[]);
    let pause = stage.node_fault(CONTROLLER.0, NodeFault::Pause);
    stage.crash(1);
    stage.run(60 * SECOND);
    assert_eq!(stage.partition().leader, Some(NodeId(1)));
    stage.heal(pause);
    stage.run_until("another leader", |world| world.partition(TOPIC, 0).unwrap().leader == Some(NodeId(2)));
}

#[test]
fn a_slow_node_takes_its_time() {
    let took = |slow: Option<Duration>| {
        let mut stage = Stage::with_topic(5, &[]);
        let producer = stage.warm_producer(once());
        let fault = slow.map(|by| stage.node_fault(1, NodeFault::Slow { by }));
        let asked = stage.world.now();
        let op = stage.send(producer, "a");
        stage.result(producer, op).unwrap();
        if let Some(fault) = fault {
            assert!(stage.fired(fault) > 0);
            stage.heal(fault);
            stage.run(5 * SECOND);
            assert!(stage.partition().is_settled());
        }
        stage.ended_at(producer, op).since(asked)
    };
    let (quick, slow) = (took(None), took(Some(Duration::from_millis(40))));
    assert!(slow >= quick + Duration::from_millis(80), "{quick:?} {slow:?}");
}

#[test]
fn a_wall_clock_that_jumps_shrinks_the_isr_and_ends_no_session() {
    let mut stage = Stage::with_topic(6, &[("replica.lag.time.max.ms", "10000")]);
    let producer = stage.warm_producer(once());
    let fetches = klamm_world::fault::RequestMatch::api(klamm_wire::ApiKey::Fetch).from_node(NodeId(3));
    let held = stage.inject(fetches.topic(TOPIC).then(klamm_world::fault::RequestAction::Hold));
    stage.run(SECOND);
    let op = stage.send(producer, "a");
    stage.run(SECOND);
    assert_eq!(stage.partition().isr.len(), 3);
    let jump = stage.node_fault(1, NodeFault::WallClock { millis: 60_000 });
    stage.run(6 * SECOND);
    assert_eq!(
        stage.partition().isr.len(),
        2,
        "the follower lags by the leader's clock: {}",
        stage.partition()
    );
    assert!(!stage.story().contains("session timed out"), "sessions go by the monotonic clock");
    stage.heal(jump);
    stage.heal(held);
    let _ = op;
    stage.run_until("the ISR", |world| world.partition(TOPIC, 0).unwrap().is_settled());
}

#[test]
fn a_monotonic_clock_that_jumps_ends_sessions() {
    let mut stage = Stage::with_topic(7, &[]);
    let jump = stage.node_fault(CONTROLLER.0, NodeFault::MonotonicClock { by: 60 * SECOND });
    stage.run(SECOND);
    assert!(stage.story().contains("fenced: session timed out"), "{}", stage.story());
    assert_eq!(stage.fired(jump), 1);
    stage.run_until("everybody's return", |world| {
        world.is_ready() && world.partition(TOPIC, 0).unwrap().is_settled()
    });
    let times: Vec<_> = stage.world.trace().events().map(|event| event.at).collect();
    assert!(times.is_sorted(), "the trace shows the world's time");
}

#[test]
fn a_controller_whose_clock_races_fences_brokers_that_are_well() {
    let mut stage = Stage::with_topic(8, &[]);
    // Heartbeats come every two seconds; a session is nine of the controller's.
    let drift = stage.node_fault(CONTROLLER.0, NodeFault::Drift { ppm: 9_000_000 });
    stage.run(20 * SECOND);
    assert!(stage.story().contains("fenced: session timed out"), "{}", stage.story());
    stage.heal(drift);
    stage.run_until("everybody's return", |world| {
        world.is_ready() && world.partition(TOPIC, 0).unwrap().is_settled()
    });
}

#[test]
fn a_fenced_broker_stays_fenced_and_one_whose_session_expired_comes_back() {
    let mut stage = Stage::with_topic(9, &[]);
    let expired = stage.node_fault(1, NodeFault::ExpireSession);
    assert_eq!(stage.partition().leader, Some(NodeId(2)));
    stage.run_until("its return", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);
    let fence = stage.node_fault(2, NodeFault::Fence);
    stage.run(60 * SECOND);
    assert_eq!(stage.partition().isr.len(), 2, "{}", stage.partition());
    assert!(stage.fired(fence) > 1, "its heartbeats are lost");
    stage.heal(fence);
    stage.run_until("its return", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);
    assert_eq!(stage.fired(expired), 1);
}
