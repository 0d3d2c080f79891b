//! Three replicas that lead in turn: what diverged is truncated by leader epoch, and they end up equal.

use klamm_log::{AppendOrigin, FetchIsolation, Log, MemoryDisk};
use proptest::prelude::*;

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    Append { records: u8 },
    Fetch { follower: u8, max_bytes: u16 },
    Elect { leader: u8 },
    Restart { replica: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..4_u8).prop_map(|records| Step::Append { records }),
        8 => (0..3_u8, 1..600_u16).prop_map(|(follower, max_bytes)| Step::Fetch { follower, max_bytes }),
        2 => (0..3_u8).prop_map(|leader| Step::Elect { leader }),
        1 => (0..3_u8).prop_map(|replica| Step::Restart { replica }),
    ]
}

struct Replica {
    disk: MemoryDisk,
    log: Log,
}

struct Partition {
    replicas: Vec<Replica>,
    leader: usize,
    epoch: i32,
    appended: u32,
}

impl Partition {
    fn new() -> Self {
        let replica = |_| {
            let mut disk = MemoryDisk::new();
            let log = open(
                &mut disk,
                config(&[("internal.segment.bytes", "600"), ("index.interval.bytes", "100")]),
            );
            Replica { disk, log }
        };
        let mut partition =
            Self { replicas: (0..3).map(replica).collect(), leader: 0, epoch: 0, appended: 0 };
        partition.elect(0);
        partition
    }

    fn elect(&mut self, leader: usize) {
        self.leader = leader;
        self.epoch += 1;
        let Replica { disk, log } = &mut self.replicas[leader];
        log.assign_epoch_start_offset(disk, self.epoch, log.log_end_offset()).unwrap();
    }

    fn append(&mut self, records: u8) {
        let values: Vec<_> = (0..records).map(|n| format!("{}.{n}", self.appended)).collect();
        self.appended += 1;
        let values: Vec<_> = values.iter().map(|v| (NOW, v.as_str())).collect();
        let Replica { disk, log } = &mut self.replicas[self.leader];
        log.append_as_leader(disk, &[batch(&values)], self.epoch, NOW, AppendOrigin::Client).unwrap();
    }

    /// One fetch of a follower, or the truncation that its answer asks for; false when there is nothing to do.
    fn fetch(&mut self, follower: usize, max_bytes: usize) -> bool {
        if follower == self.leader {
            return false;
        }
        let mut two = self.replicas.get_disjoint_mut([self.leader, follower]).unwrap();
        let [leader, follower] = &mut two;
        let end = follower.log.log_end_offset();
        if let Some(fetched) = follower.log.latest_epoch() {
            let known =
                leader.log.end_offset_for_epoch(fetched).expect("the leader knows every earlier epoch");
            if known.epoch < fetched || known.end_offset < end {
                let own = follower.log.end_offset_for_epoch(known.epoch);
                let to = match own {
                    Some(own) if own.epoch == known.epoch => own.end_offset.min(known.end_offset),
                    Some(own) => own.end_offset,
                    None => known.end_offset,
                };
                follower.log.truncate_to(&mut follower.disk, to.min(end), NOW).unwrap();
                return true;
            }
        }
        let data = leader.log.read(&leader.disk, end, max_bytes, FetchIsolation::LogEnd, true).unwrap();
        follower.log.append_as_follower(&mut follower.disk, &data.records, self.epoch, NOW).unwrap();
        data.size > 0
    }

    fn restart(&mut self, replica: usize) {
        let Replica { disk, log } = &mut self.replicas[replica];
        let config = log.config().clone();
        *log = open(disk, config);
        if replica == self.leader {
            self.elect(replica);
        }
    }

    fn check(&self) {
        for replica in &self.replicas {
            assert_eq!(replica.log.verify(&replica.disk).unwrap(), Vec::<String>::new());
        }
        // Two replicas that hold the same offset in the same epoch agree on everything up to it.
        let rows: Vec<_> = self.replicas.iter().map(|r| all(&r.log, &r.disk, 4096)).collect();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let same = |n: &usize| rows[a][*n].2 == rows[b][*n].2;
            let common = (0..rows[a].len().min(rows[b].len())).rfind(same);
            if let Some(last) = common {
                assert_eq!(rows[a][..=last], rows[b][..=last]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn replicas_agree(steps in prop::collection::vec(step(), 1..80)) {
        let mut partition = Partition::new();
        for step in &steps {
            match step {
                Step::Append { records } => partition.append(*records),
                Step::Fetch { follower, max_bytes } => {
                    partition.fetch(usize::from(*follower), usize::from(*max_bytes));
                }
                Step::Elect { leader } => partition.elect(usize::from(*leader)),
                Step::Restart { replica } => partition.restart(usize::from(*replica)),
            }
            partition.check();
        }
        // The leader says one more thing, and everyone catches up.
        partition.append(1);
        for follower in 0..3 {
            while partition.fetch(follower, 300) {}
        }
        partition.check();
        let rows: Vec<_> = partition.replicas.iter().map(|r| all(&r.log, &r.disk, 4096)).collect();
        assert!(rows.iter().all(|r| *r == rows[0]));
        let epochs: Vec<_> = partition.replicas.iter().map(|r| r.log.leader_epochs().entries().to_vec()).collect();
        assert!(epochs.iter().all(|e| *e == epochs[0]), "{epochs:?}");
    }
}
