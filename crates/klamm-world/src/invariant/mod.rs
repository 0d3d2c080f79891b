//! The invariants of the whole cluster, one a file, and the checker that looks at a world after each of its steps.
//!
//! The checker stands outside: it reads what brokers and controllers show of themselves, listens at their doors, and keeps its
//! own record (`ghost`) of what was committed, acknowledged and consumed. A world without one pays nothing for it. Definitions follow
//! the TLA+ models of Kafka's replication protocol; `docs/simulator.md` has the table.

mod coordinators;
mod doors;
mod follow;
mod g01_groups;
mod g04_consumer_groups;
mod g06_commits;
mod g08_sessions;
mod g09_at_least_once;
mod ghost;
mod k01_quorum;
mod k09_metadata;
mod k11_stable_leadership;
mod l01_liveness;
mod l06_transactions;
mod l08_groups;
mod mirror;
mod p01_idempotence;
mod p05_definite_error;
mod p06_producer_state;
mod report;
mod s01_log_matching;
mod s02_leader_completeness;
mod s04_replication_quorum;
mod s05_no_global_loss;
mod s06_consistent_read;
mod s07_strong_isr;
mod s08_offset_order;
mod s09_high_watermark;
mod s11_ack_justified;
mod s12_well_formed;
mod s13_single_writer;
mod s14_epochs;
mod s15_registration;
mod s16_truncation;
mod s17_unclean_exclusion;
mod s18_broker_identity;
mod s19_fencing;
mod s20_purgatory;
mod s21_retention;
mod s22_compaction;
mod t01_read_committed;
mod t03_last_stable;
mod t04_atomic;
mod t05_no_hanging;
mod t06_states;
mod t08_zombies;
mod t09_offsets;
mod transaction_doors;
mod transactions;

#[cfg(test)]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use klamm_broker::ReplicaView;
use klamm_metadata::MetadataPublisher;
use klamm_node::config::BrokerConfig;
use klamm_node::era::{Era, Eras};
use klamm_node::{NodeId, Timestamp};
use klamm_wire::Uuid;

pub use self::report::{ExpectedLoss, Invariant, Violation, When};

use self::ghost::Partition;
use self::report::Report;
use crate::client::DELIVERY_TIMEOUT;
use crate::input::Output;
use crate::world::World;

/// Every invariant that a [`Checker`] looks after.
pub const INVARIANTS: &[Invariant] = &[
    s01_log_matching::S1,
    s02_leader_completeness::S2,
    s02_leader_completeness::S3,
    s04_replication_quorum::S4,
    s05_no_global_loss::S5,
    s06_consistent_read::S6,
    s07_strong_isr::S7,
    s08_offset_order::S8,
    s09_high_watermark::S9,
    s09_high_watermark::S10,
    s11_ack_justified::S11,
    s12_well_formed::S12,
    s13_single_writer::S13,
    s14_epochs::S14,
    s15_registration::S15,
    s16_truncation::S16,
    s17_unclean_exclusion::S17,
    s18_broker_identity::S18,
    s19_fencing::S19,
    s20_purgatory::S20,
    s21_retention::S21,
    s22_compaction::S22,
    k01_quorum::K1,
    k01_quorum::K2,
    k01_quorum::K3,
    k01_quorum::K4,
    k01_quorum::K5,
    k01_quorum::K6,
    k01_quorum::K7,
    k01_quorum::K8,
    k09_metadata::K9,
    k09_metadata::K10,
    k11_stable_leadership::K11,
    k01_quorum::K12,
    k09_metadata::K13,
    k09_metadata::K14,
    p01_idempotence::P1,
    p01_idempotence::P2,
    p01_idempotence::P3,
    s11_ack_justified::P4,
    p05_definite_error::P5,
    p06_producer_state::P6,
    t01_read_committed::T1,
    t01_read_committed::T2,
    t03_last_stable::T3,
    t04_atomic::T4,
    t05_no_hanging::T5,
    t06_states::T6,
    t06_states::T7,
    t08_zombies::T8,
    t09_offsets::T9,
    t04_atomic::T10,
    t08_zombies::T11,
    t01_read_committed::T12,
    g01_groups::G1,
    g01_groups::G2,
    g01_groups::G3,
    g04_consumer_groups::G4,
    g04_consumer_groups::G5,
    g06_commits::G6,
    g04_consumer_groups::G7,
    g08_sessions::G8,
    g09_at_least_once::G9,
    l01_liveness::L1,
    l01_liveness::L2,
    l01_liveness::L3,
    l01_liveness::L4,
    l01_liveness::L5,
    l06_transactions::L6,
    l01_liveness::L7,
    l08_groups::L8,
    l01_liveness::L9,
    l01_liveness::L10,
    l01_liveness::L11,
    l01_liveness::L12,
];

/// What the checker remembers of a node.
#[derive(Debug, Clone, Default)]
struct NodeGhost {
    incarnation: u32,
    up: bool,
    /// Whether its last end was a power loss.
    lost_power: bool,
    /// Whether its broker is registered in this life.
    registered: bool,
    /// How much of the metadata log its broker has applied.
    applied: i64,
    /// Each of its replicas, in the broker's order: the partition's place, and the mark that was last seen.
    marks: Vec<((Uuid, i32), usize, u64)>,
    /// A controller's log end, now and before this step.
    log_end: i64,
    seen_log_end: i64,
    /// A controller's epoch when it was last seen to lead.
    led_epoch: Option<i32>,
}

/// Checks a world's invariants.
#[derive(Debug)]
pub struct Checker {
    partitions: Vec<Partition>,
    index: BTreeMap<(Uuid, i32), usize>,
    nodes: BTreeMap<NodeId, NodeGhost>,
    config: BrokerConfig,
    /// Whether an era switch took eligible leader replicas away from a release that has them: what is lost then is no expected loss.
    elr_taken: bool,
    metadata: MetadataPublisher,
    quorum: k01_quorum::Quorum,
    stability: k11_stable_leadership::Stability,
    broker_epochs: s18_broker_identity::BrokerEpochs,
    groups: g01_groups::Groups,
    coordinators: coordinators::Coordinators,
    waiting: s20_purgatory::Waiting,
    writes: k09_metadata::Writes,
    sends: p05_definite_error::Sends,
    transactions: transactions::Transactions,
    doors: doors::Doors,
    report: Report,
    /// What replicas were before this step, where they changed in it.
    before: BTreeMap<(usize, NodeId), ReplicaView>,
    /// Partitions that this step touched, and by which replica.
    touched: BTreeSet<(usize, Option<NodeId>)>,
}

impl Checker {
    /// A checker of this world, from its beginning on.
    pub fn new(world: &mut World) -> Self {
        world.attach_tap();
        let settings = world.settings();
        let config = BrokerConfig::new(settings.config.clone()).unwrap_or_default();
        Self {
            partitions: Vec::new(),
            index: BTreeMap::new(),
            nodes: BTreeMap::new(),
            config,
            elr_taken: Eras::of(settings.kafka_version).on(Era::Elr) && !settings.eras.on(Era::Elr),
            metadata: MetadataPublisher::new(),
            quorum: k01_quorum::Quorum::default(),
            stability: k11_stable_leadership::Stability::default(),
            broker_epochs: s18_broker_identity::BrokerEpochs::default(),
            groups: g01_groups::Groups::default(),
            coordinators: coordinators::Coordinators::default(),
            waiting: s20_purgatory::Waiting::default(),
            writes: k09_metadata::Writes::default(),
            sends: p05_definite_error::Sends::default(),
            transactions: transactions::Transactions::default(),
            doors: doors::Doors::default(),
            report: Report::default(),
            before: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Looks at the world after a step, with the outputs of that step.
    pub fn after_event(&mut self, world: &mut World, out: &[Output]) {
        self.report.at = world.now();
        self.before.clear();
        self.touched.clear();
        let tapped = world.take_tapped();
        self.follow_nodes(world, out);
        self.requests(world, &tapped);
        if let Some(node) = world.stepped() {
            self.follow_node(world, node);
        }
        self.judge();
        self.responses(world, &tapped);
        self.follow_members(world);
        if let Some(stall) = world.stall() {
            self.report.violation(l01_liveness::L11, &"the world", stall.to_string());
        }
    }

    /// Reads whole logs.
    pub fn checkpoint(&mut self, world: &World) {
        self.report.at = world.now();
        for index in 0..self.partitions.len() {
            let partition = &mut self.partitions[index];
            partition.compare();
            partition.settle();
            let partition = &self.partitions[index];
            if partition.registration.is_none() {
                continue;
            }
            s01_log_matching::scan(partition, &mut self.report);
            s02_leader_completeness::scan(partition, &mut self.report);
            s05_no_global_loss::scan(partition, &mut self.report);
            s06_consistent_read::scan(partition, &mut self.report);
            s12_well_formed::scan(partition, &mut self.report);
            self.sends.scan(index, partition, &mut self.report);
        }
        self.compare_copies(world);
        self.forget_closed(world);
        self.waiting.scan(world.now(), &mut self.report);
        self.scan_compacted(world);
        self.scan_groups(world);
    }

    /// What must be true of producers once the faults have healed and twice their delivery timeout is over, while they still go on. Not asked after
    /// an expected loss: a transactional producer may have nobody left who ends its transaction.
    pub fn delivered(&mut self, world: &World) {
        self.report.at = world.now();
        let since = Timestamp(world.now().0.saturating_sub(DELIVERY_TIMEOUT.as_nanos() as u64));
        let undecided: u64 = world.clients.iter().map(|client| client.undecided_since(since)).sum();
        // Without a leader, and without anybody who may become it, a partition is unavailable: clients go on asking.
        let available = |partition: &Partition| {
            partition.registration.as_ref().is_none_or(|registration| registration.has_leader())
        };
        let available = self.partitions.iter().all(available);
        if undecided > 0 && available && self.report.losses.is_empty() {
            let what = format!("{undecided} records that were sent before {since} were not decided in time");
            self.report.violation(l01_liveness::L5, &"the producers", what);
        }
    }

    /// What must be true once the faults have healed, the load has ended, and the time for it is over.
    pub fn healed(&mut self, world: &World) {
        self.report.at = world.now();
        let unwell = self.unwell(world);
        self.report.add(unwell);
        self.transactions_told(world);
    }

    /// Whether it is already. An election may come between, whenever it is looked at.
    pub fn is_well(&self, world: &World) -> bool {
        self.unwell(world).violations.is_empty()
    }

    fn unwell(&self, world: &World) -> Report {
        let mut report = Report::default();
        let committed = self.quorum.committed.end();
        for partition in &self.partitions {
            let is_lost = self.transactions.may_stay_open(&partition.name);
            l01_liveness::check(partition, is_lost, &mut report);
        }
        for broker in world.brokers() {
            l01_liveness::metadata(broker.0, broker.1.applied_metadata(), committed, &mut report);
        }
        self.transactions_decided(world, &mut report);
        for spec in world.settings().brokers.iter().filter(|spec| !world.is_up(spec.node)) {
            l01_liveness::down(spec.node, &mut report);
        }
        let led = world.controllers().any(|(_, controller)| controller.quorum_view().state == "Leader");
        if !led {
            report.violation(l01_liveness::L12, &"the metadata quorum", "it has no leader".to_owned());
        }
        report
    }

    /// A node is about to stand still: what it owes now may come late.
    pub fn excuse_waiting(&mut self, node: NodeId) {
        self.waiting.forget(node);
    }

    /// A breakpoint may hold a node from now on (`true`), or does not any more: what it is asked meanwhile may be answered late.
    pub fn held(&mut self, node: NodeId, begins: bool) {
        self.waiting.held(node, begins);
    }

    /// Something begins (`true`) or ends that keeps a controller from talking to others in time; `alone` if nothing gets through to
    /// it at all.
    pub fn disturbed(&mut self, controller: NodeId, begins: bool, alone: bool, at: Timestamp) {
        if alone {
            self.stability.cut_off(controller, begins, at);
        } else {
            self.stability.disturbed(controller, begins, at);
        }
    }

    /// Every fault is healed.
    pub fn calm(&mut self, at: Timestamp) {
        self.stability.healed(at);
        self.waiting.calm();
    }

    /// What does not hold, in the order in which it was found.
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// Losses that Kafka does not promise to prevent.
    pub fn losses(&self) -> &[ExpectedLoss] {
        &self.report.losses
    }

    /// How many records are known to be committed, over all partitions but those of internal topics.
    pub fn committed(&self) -> i64 {
        let of_clients = self.partitions.iter().filter(|partition| !partition.name.topic.starts_with("__"));
        of_clients.map(|partition| partition.true_hw).sum()
    }

    /// Records that acks=1 acknowledged and that no leader has: nobody promised them.
    pub fn lost_with_leader_acks(&self) -> u64 {
        let lost = |partition: &Partition| {
            let Some((_, leader)) = partition.true_leader() else { return 0 };
            let gone = partition.acked.iter().filter(|ack| {
                ack.level == 1
                    && ack.entry.base >= leader.view.log_start
                    && !leader.log.at(ack.entry.base).is_some_and(|entry| entry.is_same_send(&ack.entry))
            });
            gone.map(|ack| (ack.entry.last - ack.entry.base + 1) as u64).sum()
        };
        self.partitions.iter().filter(|p| p.registration.is_some() && !p.is_compacted()).map(lost).sum()
    }

    /// Checks what this step touched.
    fn judge(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let report = &mut self.report;
        let mut last = None;
        for (index, node) in &touched {
            let partition = &mut self.partitions[*index];
            if last != Some(index) {
                last = Some(index);
                partition.follow_excused();
                let excused = partition.excuse();
                partition.compare();
                if let Some(excuse) = partition.excuse()
                    && let Some(lost) = partition.rebase()
                {
                    let what = format!("offsets {}..{} are lost", lost.start, lost.end);
                    report.loss(&partition.name, what, excuse);
                    self.coordinators.forget_partition(&partition.name);
                    self.transactions.give_up(&partition.name);
                    if &*partition.name.topic == doors::OFFSETS_TOPIC {
                        self.groups.forget();
                        self.coordinators.forget();
                    }
                }
                let from = partition.committed.entries().len();
                partition.advance();
                partition.compare();
                let new = partition.committed.entries()[from..].to_vec();
                if !new.is_empty() {
                    p01_idempotence::committed(partition, &new, report);
                }
                partition.settle();
                let over = partition.excuse().is_none();
                if let Some(excuse) = excused.or_else(|| partition.excuse())
                    && let Some(lost) = partition.forget_lost(over)
                {
                    report.loss(&partition.name, lost, excuse);
                    self.coordinators.forget_partition(&partition.name);
                    self.transactions.give_up(&partition.name);
                    if &*partition.name.topic == doors::OFFSETS_TOPIC {
                        self.groups.forget();
                        self.coordinators.forget();
                    }
                }
                self.transactions.fold(*index, partition, report);
                s02_leader_completeness::check(partition, report);
                s04_replication_quorum::check(partition, report);
                s07_strong_isr::check(partition, report);
                s17_unclean_exclusion::check(partition, report);
                if !self.transactions.is_off() {
                    let leader = partition.true_leader().map(|(id, _)| id);
                    let before = leader.and_then(|id| self.before.get(&(*index, id)));
                    t03_last_stable::check(partition, before, report);
                }
            }
            let Some(node) = node else { continue };
            let before = self.before.get(&(*index, *node));
            s01_log_matching::check(partition, *node, report);
            s08_offset_order::check(partition, *node, report);
            s09_high_watermark::check(partition, *node, before, report);
            s14_epochs::check(partition, *node, report);
            let from = before.map_or(0, |before| before.log_end);
            s12_well_formed::check(partition, *node, from, report);
        }
        self.touched = touched;
        self.transactions.judge(&self.partitions, &mut self.report);
    }
}
