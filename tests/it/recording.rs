//! A run of real clients, and the same run from its recording.

use std::process::Command;

use klamm::blocking::Cluster;
use klamm_tests::{PATIENCE, clients, process, serve, toolchain};

#[test]
fn a_run_of_real_clients_replays_to_the_state_it_ended_in() {
    let names = ["confluent-kafka", "java", "franz-go"];
    let chosen = names.map(|name| clients::find(name).unwrap());
    if chosen.iter().any(|client| toolchain::skip("recording", client.toolchain())) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    let cluster = Cluster::builder().brokers(3).record(&file).start_blocking().unwrap();
    // All at once: their requests are interleaved, and only the recording knows how.
    let bootstrap = &cluster.bootstrap_servers();
    std::thread::scope(|scope| {
        for client in chosen {
            let run = move || client.run_with(bootstrap, &[("KLAMM_CLIENT_KEEP", "1")]).unwrap();
            scope.spawn(run);
        }
    });

    // Nothing may happen between the recording's end and the look at the live state.
    cluster.wait_until_for(PATIENCE, |world| world.connections() == 0).unwrap();
    cluster.clock().pause();
    cluster.end_recording();
    let live = cluster.look(|world| world.status().to_string());
    for name in names {
        assert!(live.contains(&format!("{name}-")), "the topic of {name} is still there:\n{live}");
    }

    let mut replay = Command::new(serve::binary().unwrap());
    replay.arg("replay").arg(&file);
    let said = process::run("klamm-replay", replay, folder.path(), 2 * PATIENCE).unwrap();
    assert_eq!(said.trim_end(), live.trim_end());
}
