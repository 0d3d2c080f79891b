//! A live run, and the same run from its recording.

use klamm::Cluster;
use klamm_server::replay_world;

use crate::client::Client;
use crate::cluster::{fast, leader};

#[test]
fn a_recorded_run_replays_to_the_state_it_ended_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run");
    let cluster = Cluster::builder().topic("t", 3, 3).record(&file).trace(10_000).start_blocking().unwrap();
    fast(&cluster);
    for round in 0..5 {
        for partition in 0..3 {
            let values: Vec<_> = (0..=round).map(|i| format!("{round}/{i}")).collect();
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            Client::connect(&leader(&cluster, "t", partition)).produce("t", partition, &values, -1).unwrap();
        }
        let down = cluster.partition("t", 0).unwrap().leader.unwrap();
        cluster.broker(down).unwrap().crash().unwrap();
        cluster
            .wait_until(|world| {
                (0..3).all(|p| world.partition("t", p).is_some_and(|p| p.leader.is_some_and(|l| l != down)))
            })
            .unwrap();
        cluster.broker(down).unwrap().restart().unwrap();
        cluster
            .wait_until(|world| (0..3).all(|p| world.partition("t", p).is_some_and(|p| p.is_settled())))
            .unwrap();
    }
    // Nothing may happen between the recording's end and the look at the live state.
    cluster.clock().pause();
    cluster.end_recording();
    let live = cluster.look(|world| (world.status(), world.trace().hash(), world.trace().recorded()));

    let replayed = replay_world(&file).unwrap();
    assert_eq!(replayed.status().to_string(), live.0.to_string());
    assert_eq!(replayed.status(), live.0);
    assert_eq!((replayed.trace().hash(), replayed.trace().recorded()), (live.1, live.2));
    assert_eq!(replayed.partition("t", 0).unwrap().log_end(), Some(15));
}

#[test]
fn time_that_was_passed_over_is_passed_over_in_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run");
    let cluster = Cluster::builder().topic("t", 1, 3).record(&file).trace(10_000).start_blocking().unwrap();
    for _ in 0..3 {
        Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["x"], -1).unwrap();
        cluster.clock().advance(std::time::Duration::from_secs(100 * 3600));
    }
    cluster.clock().pause();
    cluster.end_recording();
    let live = cluster.look(|world| (world.status(), world.trace().hash(), world.trace().recorded()));
    let replayed = replay_world(&file).unwrap();
    assert_eq!((replayed.status(), replayed.trace().hash(), replayed.trace().recorded()), live);
    assert!(replayed.trace().events().any(|event| event.kind.name() == "IdleTimeSkipped"));
}

#[test]
fn a_recorded_run_with_faults_replays_exactly() {
    use std::time::Duration;

    use klamm::{ApiKey, DiskFault, DiskOperation, DiskScope, ErrorCode, Peer};

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run");
    let cluster = Cluster::builder()
        .topic("t", 1, 3)
        .record(&file)
        .trace(100_000)
        .seed(5)
        .latency(Duration::from_micros(200))
        .start_blocking()
        .unwrap();
    let _ = cluster
        .faults()
        .on(ApiKey::Produce)
        .chance_percent(40)
        .error(ErrorCode::NotLeaderOrFollower)
        .unwrap();
    let leads = cluster.partition("t", 0).unwrap().leader.unwrap();
    let [follower, other] = [1, 2, 3].into_iter().filter(|id| *id != leads.0).collect::<Vec<_>>()[..] else {
        panic!("three brokers")
    };
    let _ = cluster.network().jitter(leads, other, Duration::from_millis(3)).unwrap();
    let _ = cluster.network().latency(Peer::Clients, leads, Duration::from_millis(1)).unwrap();
    let slow = DiskFault::Slow {
        scope: DiskScope::Everything,
        on: DiskOperation::Write,
        by: Duration::from_micros(50),
    };
    let _ = cluster.broker(other).unwrap().disk(slow).unwrap();
    let held = cluster.breakpoint("follower_fetch_answer_inflight").node(follower).arm().unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let results: Vec<_> = (0..20).map(|_| client.produce("t", 0, &["x"], 1).is_ok()).collect();
    assert!(results.contains(&true) && results.contains(&false), "{results:?}");
    held.reached_blocking().unwrap();
    let _ = cluster.broker(follower).unwrap().pause().unwrap();
    // Refused, which is part of the run too.
    assert!(cluster.broker(follower).unwrap().pause().is_err());
    cluster.faults().heal_all();
    cluster.wait_until(|world| world.partition("t", 0).is_some_and(|p| p.is_settled())).unwrap();
    cluster.clock().pause();
    cluster.end_recording();
    let live = cluster.look(|world| (world.status(), world.faults(), world.trace().hash()));
    let replayed = replay_world(&file).unwrap();
    assert_eq!((replayed.status(), replayed.faults(), replayed.trace().hash()), live);
    cluster.faults().assert_all_fired();
}

#[test]
fn a_run_on_files_with_three_controllers_replays_too() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("run"));
    let cluster = Cluster::builder()
        .controllers(3)
        .topic("t", 3, 3)
        .data_dir(&data)
        .record(&file)
        .trace(10_000)
        .config("broker.session.timeout.ms", "1000")
        .config("broker.heartbeat.interval.ms", "200")
        .start_blocking()
        .unwrap();
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["before"], -1).unwrap();
    let active = cluster.active_controller().unwrap();
    cluster.controller(active).unwrap().crash().unwrap();
    cluster.wait_until(|world| world.active_controller().is_some_and(|now| now != active)).unwrap();
    // The new controller can decide: it fences a broker.
    let down = cluster.partition("t", 0).unwrap().leader.unwrap();
    cluster.broker(down).unwrap().power_loss().unwrap();
    let moved = |world: &klamm::World| {
        world.partition("t", 0).is_some_and(|p| p.leader.is_some_and(|leader| leader != down))
    };
    cluster.wait_until(moved).unwrap();
    cluster.controller(active).unwrap().restart().unwrap();
    cluster.broker(down).unwrap().restart().unwrap();
    cluster.wait_until(|world| world.is_ready()).unwrap();
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["after"], -1).unwrap();
    cluster.clock().pause();
    // Fsyncs end though the clock stands still, and what follows from them is part of the run.
    let durable =
        |view: &klamm::QuorumView| view.flushed == view.log_end && view.high_watermark == view.log_end;
    cluster.wait_until(|world| world.quorum().values().all(durable)).unwrap();
    cluster.end_recording();
    let live = cluster
        .look(|world| (world.status(), world.quorum(), world.trace().hash(), world.trace().recorded()));

    cluster.clock().resume();
    let replayed = replay_world(&file).unwrap();
    assert_eq!(replayed.status().to_string(), live.0.to_string());
    assert_eq!(replayed.quorum(), live.1);
    assert_eq!((replayed.trace().hash(), replayed.trace().recorded()), (live.2, live.3));
}
