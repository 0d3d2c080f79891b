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
