//! What a simulated transactional producer does where its partition is away for long.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::{
    ClientId, ClientSpec, Command, TransactionOutcome, TransactionalReport, TransactionalSpec, WorldSettings,
};

use crate::quorum::{CONTROLLERS, Cluster, settings};

const SECOND: Duration = Duration::from_secs(1);

fn report(cluster: &Cluster) -> TransactionalReport {
    cluster.world.transactional(ClientId(0)).expect("it is a transactional producer").clone()
}

#[test]
fn a_batch_that_gets_too_old_has_its_transaction_aborted_and_the_next_ones_go_on() {
    for v2 in [true, false] {
        let one = WorldSettings { controllers: vec![CONTROLLERS[0]], ..settings(7, 3) };
        let mut cluster = Cluster::ready(one);
        cluster.create_topic(1, "t", 1);
        let leader = cluster.world.metadata().and_then(|metadata| {
            let partition = metadata.topics.by_name("t")?.partitions.first()?;
            Some(partition.leader)
        });
        let leader: NodeId = leader.expect("it has a leader");
        cluster.command(Command::AddClient(ClientSpec::Transactional(TransactionalSpec {
            id: "id".into(),
            topic: "t".into(),
            reads: None,
            timeout: 600 * SECOND,
            transactions: 40,
            batches: 2,
            batch: 3,
            interval: SECOND,
            aborts: 0,
            rest: SECOND,
            v2,
            hasty: false,
        })));
        cluster.run_for(10 * SECOND);
        let before = report(&cluster);
        assert!(!before.outcomes.is_empty() && before.expired == 0, "{before:?}");
        cluster.command(Command::Crash(leader));
        cluster.run_for(115 * SECOND);
        assert_eq!(report(&cluster).expired, 0, "`delivery.timeout.ms` is two minutes");
        cluster.run_for(10 * SECOND);
        let after = report(&cluster);
        assert!(after.expired > 0, "{after:?}");
        assert_eq!(
            after.outcomes.values().filter(|outcome| **outcome == TransactionOutcome::Aborted).count(),
            1,
            "{after:?}\n{}",
            cluster.story()
        );
        cluster.command(Command::Start(leader));
        cluster.run_for(200 * SECOND);
        let last = report(&cluster);
        let committed = last.outcomes.values().filter(|outcome| **outcome != TransactionOutcome::Aborted);
        assert_eq!((committed.count(), last.outcomes.len(), last.fenced), (39, 40, 0), "{last:?}");
        assert_eq!(last.expired, after.expired);
    }
}
