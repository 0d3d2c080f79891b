//! The broker itself: what the world calls.

use std::collections::{BTreeMap, VecDeque};

use klamm_log::{Disk, LogError};
use klamm_node::{CallId, ConnectionId, Ctx, Incoming, NodeId, SendError, TimerTable, Timestamp};
use klamm_wire::{Response, StrBytes, Uuid};

use crate::config::BrokerConfig;
use crate::core::{Core, Timer};
use crate::group::GroupCoordinator;
use crate::handlers;

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Its `node.id`.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: StrBytes,
    /// The host that clients are told to connect to.
    pub host: StrBytes,
    /// The port that clients are told to connect to.
    pub port: u16,
    /// Its `broker.rack`.
    pub rack: Option<StrBytes>,
    /// The controllers, in the order to try them.
    pub controllers: Vec<NodeId>,
    /// Server properties by Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// What a broker knows of one partition that it holds a replica of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The leader, -1 for none.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The replicas, in assignment order.
    pub replicas: Vec<NodeId>,
    /// The in-sync replicas, as last committed by the controller.
    pub isr: Vec<NodeId>,
    /// The first offset of the local log.
    pub log_start: i64,
    /// The next offset of the local log.
    pub log_end: i64,
    /// The local high watermark.
    pub high_watermark: i64,
}

/// A broker. Every method is one step: it never blocks, and what it does to the outside are effects in `ctx`.
///
/// The caller delivers requests, responses and timers in any order; after each call [`Broker::next_deadline`] may have changed.
#[derive(Debug)]
pub struct Broker {
    pub(crate) core: Core,
    pub(crate) groups: GroupCoordinator,
}

impl Broker {
    /// Starts a broker on a disk, new or left by an earlier incarnation.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub fn boot(settings: BrokerSettings, disk: Box<dyn Disk>, ctx: &mut Ctx<'_>) -> Result<Self, LogError> {
        let config = BrokerConfig::new(settings.config.clone());
        let mut core = Core {
            settings,
            config,
            disk,
            timers: TimerTable::default(),
            coordinator_events: VecDeque::new(),
        };
        let groups = GroupCoordinator::new(&mut core, ctx);
        let mut broker = Self { core, groups };
        broker.settle(ctx);
        Ok(broker)
    }

    /// A request came.
    pub fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        handlers::dispatch(self, ctx, incoming);
        self.settle(ctx);
    }

    /// A call that this broker made was answered, or failed.
    pub fn on_response(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        let _ = (call, result);
        self.settle(ctx);
    }

    /// Time passed: everything due at `ctx.now` happens.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(timer) = self.core.timers.pop_due(ctx.now) {
            match timer {
                Timer::Group(timer) => self.groups.on_timer(&mut self.core, ctx, timer),
            }
        }
        self.settle(ctx);
    }

    /// When [`Broker::on_timer`] must be called next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.core.timers.next()
    }

    /// A client's connection ended.
    pub fn on_disconnect(&mut self, ctx: &mut Ctx<'_>, connection: ConnectionId) {
        let _ = (ctx, connection);
    }

    /// Asks the controller to move leadership away, then stops: ends with [`klamm_node::Effect::Halt`].
    pub fn begin_controlled_shutdown(&mut self, ctx: &mut Ctx<'_>) {
        let _ = ctx;
    }

    /// Ends this incarnation and gives the disk back.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.core.disk
    }

    /// Whether the broker is registered, unfenced and caught up with the metadata log.
    pub const fn is_ready(&self) -> bool {
        false
    }

    /// What this broker knows of a partition that it holds.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionView> {
        let _ = (topic, partition);
        None
    }

    /// Finishes a step: hands queued events over until nothing is left to do.
    fn settle(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(event) = self.core.coordinator_events.pop_front() {
            self.groups.on_event(&mut self.core, ctx, event);
        }
    }
}
