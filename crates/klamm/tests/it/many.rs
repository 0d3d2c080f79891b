//! Many clusters in one process.

use std::thread;

use klamm::Cluster;

use crate::client::Client;
use crate::cluster::leader;

#[test]
fn two_hundred_clusters_live_side_by_side() {
    thread::scope(|scope| {
        for i in 0..200 {
            scope.spawn(move || {
                let cluster = Cluster::builder().brokers(3).topic("t", 2, 3).start_blocking().unwrap();
                let mut client = Client::connect(&leader(&cluster, "t", i % 2));
                let value = format!("cluster {i}");
                assert_eq!(client.produce("t", i % 2, &[&value], -1), Ok(0));
                assert_eq!(client.fetch("t", i % 2, 0), [value]);
                if i % 10 == 0 {
                    cluster.broker(1).unwrap().crash().unwrap();
                    cluster.broker(1).unwrap().restart().unwrap();
                }
            });
        }
    });
}
