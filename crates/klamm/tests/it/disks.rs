//! Faults of disks that are real: a data directory, and what lies in its files.

use std::path::{Path, PathBuf};

use klamm::{Cluster, DiskFault, DiskOperation, DiskScope, ErrorCode};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::ApiKey;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{IncrementalAlterConfigsRequest, ResponseKind};
use klamm_world::fault::Place;

use crate::client::Client;
use crate::cluster::{fast, leader};

fn log_of(partition: &str) -> DiskScope {
    let (topic, index) = partition.rsplit_once('-').unwrap();
    DiskScope::Partition(TopicPartition::new(topic.to_owned(), index.parse().unwrap()))
}

/// The first segment of a partition under a node's folder, in whichever of its log directories.
fn segment(data: &Path, node: NodeId, partition: &str) -> PathBuf {
    let folders = std::fs::read_dir(data.join(format!("node-{node}"))).unwrap();
    let places = folders.map(|folder| folder.unwrap().path().join(partition));
    let found = places.map(|folder| folder.join("00000000000000000000.log")).find(|file| file.exists());
    found.unwrap_or_else(|| data.join(format!("node-{node}/{partition}/00000000000000000000.log")))
}

/// Whether a broker leads a partition of `t`, and knows it.
fn leads(world: &klamm::World, node: NodeId, index: i32) -> bool {
    world.partition("t", index).is_some_and(|partition| {
        let epoch = partition.logs.get(&node).map(|log| log.leader_epoch);
        partition.leader == Some(node) && epoch == Some(partition.leader_epoch)
    })
}

#[test]
fn bits_that_flip_in_a_file_are_found_at_the_next_start_and_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cluster =
        Cluster::builder().brokers(3).topic("t", 1, 3).data_dir(dir.path()).start_blocking().unwrap();
    let first = cluster.partition("t", 0).unwrap().leader.unwrap();
    let follower = *cluster.partition("t", 0).unwrap().replicas.iter().find(|id| **id != first).unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    for (value, offset) in [("a", 0), ("b", 1), ("c", 2)] {
        assert_eq!(client.produce("t", 0, &[value], -1), Ok(offset));
    }
    let [sound, rotten] = [first, follower].map(|node| segment(dir.path(), node, "t-0"));
    let before = std::fs::read(&sound).unwrap();
    assert_eq!(std::fs::read(&rotten).unwrap(), before);

    let place = Place::Batch { partition: TopicPartition::new("t", 0), offset: 1, byte: 65 };
    let fault = cluster.broker(follower).unwrap().disk(DiskFault::BitRot { place, mask: 0x01 }).unwrap();
    assert_eq!(fault.fired(), 1);
    let flipped = std::fs::read(&rotten).unwrap();
    let differ: Vec<_> = (0..before.len()).filter(|at| before[*at] != flipped[*at]).collect();
    assert_eq!((flipped.len(), differ.len()), (before.len(), 1));
    assert_eq!(before[differ[0]] ^ flipped[differ[0]], 0x01);

    fast(&cluster);
    cluster.broker(follower).unwrap().crash().unwrap();
    cluster.node(follower.0).start().unwrap();
    let whole = |world: &klamm::World| {
        let partition = world.partition("t", 0);
        partition.is_some_and(|partition| {
            partition.isr.len() == 3 && partition.logs.get(&follower).is_some_and(|log| log.log_end == 3)
        })
    };
    cluster.wait_until(whole).unwrap();
    assert_eq!(
        std::fs::read(&rotten).unwrap(),
        before,
        "it was cut before the rotten batch, and fetched the rest"
    );
    assert_eq!(client.fetch("t", 0, 0), ["a", "b", "c"]);
}

#[test]
fn a_log_directory_of_files_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("t", 4, 2)
        .log_dirs(["/d0", "/d1"])
        .data_dir(dir.path())
        .start_blocking()
        .unwrap();
    let one = NodeId(1);
    let of = |folder: &str| {
        let here = |index: &i32| dir.path().join(format!("node-1/{folder}/t-{index}")).is_dir();
        (0..4).find(here).expect("the directories of a broker fill evenly")
    };
    // The first directory has the metadata, and must not fail here.
    let (kept, lost) = (of("d0"), of("d1"));
    for index in [kept, lost] {
        if cluster.partition("t", index).unwrap().leader != Some(one) {
            cluster.faults().move_leader("t", index, 1).unwrap();
        }
        cluster.wait_until(|world| leads(world, one, index)).unwrap();
    }
    let mut client = Client::connect(cluster.broker(1).unwrap().address());
    assert_eq!(client.produce("t", lost, &["a"], -1), Ok(0));

    let broken =
        DiskFault::Error { scope: log_of(&format!("t-{lost}")), on: DiskOperation::Write, times: None };
    let fault = cluster.broker(1).unwrap().disk(broken).unwrap();
    assert_eq!(client.produce("t", lost, &["b"], 1), Err(ErrorCode::KafkaStorageError.code()));
    assert!(fault.fired() > 0);
    cluster.wait_until(|world| leads(world, NodeId(2), lost)).unwrap();
    assert!(cluster.broker(1).unwrap().is_up(), "the other directory works");
    assert_eq!(client.produce("t", kept, &["c"], 1), Ok(0));
    let mut other = Client::connect(cluster.broker(2).unwrap().address());
    assert_eq!(other.produce("t", lost, &["b"], 1), Ok(1));

    // Mended, and started again, it comes back with what it had.
    fault.heal();
    fast(&cluster);
    cluster.broker(1).unwrap().restart().unwrap();
    let whole = |world: &klamm::World| {
        world.partition("t", lost).is_some_and(|partition| {
            partition.isr.len() == 2 && partition.logs.get(&one).is_some_and(|log| log.log_end == 2)
        })
    };
    cluster.wait_until(whole).unwrap();
    let files =
        [one, NodeId(2)].map(|node| std::fs::read(segment(dir.path(), node, &format!("t-{lost}"))).unwrap());
    assert_eq!(files[0], files[1]);
}

/// `preallocate`, changed while the topic is in use, is of effect from the next segment on.
#[test]
fn a_topic_that_gets_preallocate_takes_the_room_of_its_next_segment_at_once() {
    const ROOM: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let cluster =
        Cluster::builder().brokers(1).topic("t", 1, 1).data_dir(dir.path()).start_blocking().unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let first = segment(dir.path(), NodeId(1), "t-0");
    let size = |offset: i64| {
        let file = first.with_file_name(format!("{offset:020}.log"));
        std::fs::metadata(file).map(|file| file.len()).ok()
    };
    let mut set = |key: &str, value: &str| {
        let config = AlterableConfig::default().with_name(key.to_owned().into());
        let config = config.with_value(Some(value.to_owned().into()));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = client.ask(ApiKey::IncrementalAlterConfigs, 1, &request.into());
        let ResponseKind::IncrementalAlterConfigs(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    };
    set("segment.bytes", &ROOM.to_string());
    set("preallocate", "true");
    // Two thirds of a segment each: the second record is the first of the next.
    let value = "v".repeat(700_000);
    assert_eq!(client.produce("t", 0, &[&value], -1), Ok(0));
    let one = size(0).unwrap();
    assert!(one < ROOM, "{one}");
    assert_eq!(client.produce("t", 0, &[&value], -1), Ok(1));
    assert_eq!((size(0), size(1)), (Some(one), Some(ROOM)));
    assert_eq!(client.produce("t", 0, &[&value], -1), Ok(2));
    assert_eq!((size(1), size(2)), (Some(one), Some(ROOM)));
}
