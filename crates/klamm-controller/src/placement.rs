//! Places the replicas of new partitions evenly over brokers and racks (`StripedReplicaPlacer`).
//!
//! The first replica goes to the brokers in turn, so that leaders are spread; the others go to the racks in turn, and
//! within a rack to its unfenced brokers before its fenced ones. Each partition starts one further.

use std::collections::BTreeMap;

use klamm_node::{NodeId, Rng};
use klamm_wire::StrBytes;

/// A broker that can be given replicas.
#[derive(Debug, Clone)]
pub(crate) struct UsableBroker {
    pub(crate) id: NodeId,
    pub(crate) rack: Option<StrBytes>,
    pub(crate) fenced: bool,
}

/// Brokers that are taken round robin from an offset that moves with each epoch; -1 is no broker.
#[derive(Debug, Default)]
struct BrokerList {
    brokers: Vec<NodeId>,
    index: usize,
    offset: usize,
    epoch: usize,
}

impl BrokerList {
    fn initialize(&mut self, rng: &mut Rng) {
        if !self.brokers.is_empty() {
            self.brokers.sort();
            self.offset = rng.below(self.brokers.len() as u64) as usize;
        }
    }

    fn next(&mut self, epoch: usize) -> Option<NodeId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.index = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.index >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.index + self.offset) % self.brokers.len()];
        self.index += 1;
        Some(broker)
    }
}

#[derive(Debug, Default)]
struct Rack {
    unfenced: BrokerList,
    fenced: BrokerList,
}

impl Rack {
    fn next(&mut self, epoch: usize) -> Option<NodeId> {
        self.unfenced.next(epoch).or_else(|| self.fenced.next(epoch))
    }
}

/// The racks in order of name, those without a name first.
struct RackList {
    racks: Vec<Rack>,
    total: usize,
    unfenced: usize,
    epoch: usize,
    offset: usize,
}

impl RackList {
    fn new(brokers: impl Iterator<Item = UsableBroker>, rng: &mut Rng) -> Self {
        let mut by_name: BTreeMap<Option<StrBytes>, Rack> = BTreeMap::new();
        let (mut total, mut unfenced) = (0, 0);
        for broker in brokers {
            let rack = by_name.entry(broker.rack).or_default();
            if broker.fenced {
                rack.fenced.brokers.push(broker.id);
            } else {
                rack.unfenced.brokers.push(broker.id);
                unfenced += 1;
            }
            total += 1;
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.fenced.initialize(rng);
            rack.unfenced.initialize(rng);
        }
        let offset = if racks.is_empty() { 0 } else { rng.below(racks.len() as u64) as usize };
        Self { racks, total, unfenced, epoch: 0, offset }
    }

    /// Asked only while there is an unfenced broker and no more replicas are wanted than there are brokers, so that
    /// both searches end.
    fn place(&mut self, replicas: usize, rng: &mut Rng) -> Vec<NodeId> {
        // Each leader has had its turn: shuffle, so that the next round does not repeat the same sets. A single
        // unfenced broker has nothing to shuffle.
        if self.epoch == self.unfenced && self.unfenced > 1 {
            shuffle(&mut self.racks, rng);
            for rack in &mut self.racks {
                shuffle(&mut rack.fenced.brokers, rng);
                shuffle(&mut rack.unfenced.brokers, rng);
            }
            self.epoch = 0;
        }
        if self.offset == self.racks.len() {
            self.offset = 0;
        }
        let mut chosen = Vec::with_capacity(replicas);
        let mut first_rack = self.offset;
        loop {
            if let Some(broker) = self.racks[first_rack].unfenced.next(self.epoch) {
                chosen.push(broker);
                break;
            }
            first_rack = (first_rack + 1) % self.racks.len();
        }
        // The leader's rack is passed over once, since it has a replica already.
        let mut skip = Some(first_rack);
        let mut rack = self.offset;
        while chosen.len() < replicas {
            if skip == Some(rack) {
                skip = None;
            } else if let Some(broker) = self.racks[rack].next(self.epoch) {
                chosen.push(broker);
            }
            rack = (rack + 1) % self.racks.len();
        }
        self.epoch += 1;
        self.offset += 1;
        chosen
    }
}

fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.below(i as u64 + 1) as usize);
    }
}

/// The replicas of `partitions` new partitions, or why they cannot be placed (`INVALID_REPLICATION_FACTOR`).
pub(crate) fn place(
    partitions: usize,
    replicas: i16,
    brokers: impl Iterator<Item = UsableBroker>,
    rng: &mut Rng,
) -> Result<Vec<Vec<NodeId>>, String> {
    let mut racks = RackList::new(brokers, rng);
    let wanted = usize::try_from(replicas).unwrap_or(0);
    if wanted == 0 {
        return Err(format!(
            "Invalid replication factor {replicas}: the replication factor must be positive."
        ));
    }
    if racks.unfenced == 0 {
        return Err(
            "All brokers are currently fenced, or have all their log directories cordoned.".to_owned()
        );
    }
    if wanted > racks.total {
        return Err(format!(
            "The target replication factor of {replicas} cannot be reached because only {} broker(s) are \
             registered or some brokers have all their log directories cordoned.",
            racks.total
        ));
    }
    Ok((0..partitions).map(|_| racks.place(wanted, rng)).collect())
}
