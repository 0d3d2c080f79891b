//! Apache Kafka as a place for scenarios: its processes are started and killed, its roads are blocked, and its disks tell what is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use klamm_metadata::MetadataImage;
use klamm_node::{NodeId, Timestamp, TopicPartition, WallTime};
use klamm_scenario::Setting;
use klamm_scenario::theatre::{Answer, Sight, Theatre, Ticket, Wire};
use klamm_theatre::Sockets;
use klamm_wire::messages::{InitProducerIdRequest, ProducerId, ResponseKind};
use klamm_wire::{ApiKey, Request, Response, StrBytes};
use klamm_world::fault::{ClusterFault, DiskFault, DiskScope, Keep, NetworkFault, NodeFault, Place};
use klamm_world::scripted::{ClientOp, MemberStatus, OpId, OpResult};
use klamm_world::{
    ClientId, ClientSpec, Command, Fault, FaultId, FaultStatus, GroupStatus, PartitionStatus, QuorumView,
    StoredLog, World,
};

use crate::folder::Folder;
use crate::members::{Clients, Now};
use crate::nodes::Nodes;
use crate::roads::Roads;
use crate::rules;

/// The client that moves leaders.
const OWNER: u32 = u32::MAX;
const PAUSE: Duration = Duration::from_millis(5);
/// How much later than a file says something may be in real time, beside two processors that do everything.
const LEEWAY: Duration = Duration::from_secs(20);
/// How long the cluster may take to come up, and a request of its owner's to be answered.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Kafka cluster of this process's own.
pub(crate) struct Kafka {
    began: Instant,
    nodes: RefCell<Nodes>,
    roads: Arc<Roads>,
    sockets: RefCell<Sockets>,
    clients: Clients,
    brokers: Vec<NodeId>,
    controllers: Vec<NodeId>,
    /// The metadata, by the end of the log that it was read from.
    image: RefCell<(NodeId, (i32, i64), MetadataImage)>,
    next_fault: u32,
    /// What the next loss of power leaves.
    losses: Vec<(NodeId, DiskScope, Keep)>,
    trouble: Vec<String>,
}

impl Kafka {
    pub(crate) fn new(setting: &Setting<'_>) -> anyhow::Result<Self> {
        let cluster = setting.cluster;
        let roads = Arc::new(Roads::default());
        Ok(Self {
            began: Instant::now(),
            nodes: RefCell::new(Nodes::new(cluster, &roads)?),
            roads,
            sockets: RefCell::default(),
            clients: Clients::default(),
            brokers: (1..=cluster.brokers).map(NodeId).collect(),
            controllers: (0..cluster.controllers).map(|at| NodeId(100 + at)).collect(),
            image: RefCell::new((NodeId(-1), (-1, 0), MetadataImage::default())),
            next_fault: 0,
            losses: Vec::new(),
            trouble: Vec::new(),
        })
    }

    /// Keeps the nodes' disks and what they say when the run is over; where.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.nodes.get_mut().keep()
    }

    fn note(&mut self, done: anyhow::Result<()>) {
        if let Err(error) = done {
            self.trouble.push(format!("{error:#}"));
        }
    }

    fn start(&mut self, node: NodeId) {
        let started = self.nodes.get_mut().start(node);
        self.note(started);
    }

    fn kill(&mut self, node: NodeId) {
        let killed = self.nodes.get_mut().kill(node);
        self.note(killed);
    }

    /// Kills a node and takes from its disk what was not flushed, or what the file says.
    fn power_loss(&mut self, node: NodeId) {
        self.kill(node);
        let folder = self.nodes.get_mut().folder(node);
        for partition in folder.partitions() {
            let said = self.losses.iter().rev().find(|(of, scope, _)| {
                *of == node
                    && match scope {
                        DiskScope::Partition(of) => *of == partition,
                        _ => true,
                    }
            });
            let (offset, torn) = match said.map(|(_, _, keep)| *keep) {
                Some(Keep::Everything) => continue,
                Some(Keep::UpTo { offset }) => (offset, 0),
                Some(Keep::Torn { offset, bytes }) => (offset, bytes),
                _ => (folder.recovery_point(&partition), 0),
            };
            let lost = folder.lose(&partition, offset, torn);
            self.note(lost.map_err(Into::into));
        }
        self.losses.retain(|(of, ..)| *of != node);
    }

    fn inject(&mut self, id: FaultId, fault: Fault) {
        self.next_fault = id.0 + 1;
        match &fault {
            Fault::Node { node, fault } => match fault {
                NodeFault::Restart => {
                    let restarted = self.nodes.get_mut().restart(*node);
                    self.note(restarted);
                }
                NodeFault::Pause => self.nodes.get_mut().pause(*node, true),
                NodeFault::Resume => self.nodes.get_mut().pause(*node, false),
                NodeFault::Fence => {
                    self.roads.arm(id, Fault::Node { node: *node, fault: *fault });
                    self.fence(*node);
                }
                NodeFault::ExpireSession => self.fence(*node),
                _ => self.trouble.push(format!("{fault} is not done")),
            },
            Fault::Network(NetworkFault::Reset { link }) => self.roads.reset(*link),
            Fault::Disk {
                node,
                fault: DiskFault::BitRot { place: Place::Batch { partition, offset, byte }, mask },
            } => {
                let rotten = self.folder_of(*node).rot(partition, *offset, *byte, *mask);
                self.note(rotten.map_err(Into::into));
            }
            Fault::Cluster(ClusterFault::SetIsr { partition, isr }) => {
                let agreed = self.set_isr(partition, isr);
                self.note(agreed);
            }
            Fault::Disk { node, fault: DiskFault::AtPowerLoss { scope, keep } } => {
                self.losses.push((*node, scope.clone(), *keep));
            }
            Fault::Cluster(ClusterFault::MoveLeader { partition, to }) => self.move_leader(partition, *to),
            _ => {}
        }
        self.roads.arm(id, fault);
    }

    fn with_clients<R>(&mut self, f: impl FnOnce(&mut Clients, &mut Now<'_>) -> R) -> R {
        let (now, wall) = (self.now(), WallTime(self.wall_millis()));
        let (sockets, addresses) = (self.sockets.get_mut(), self.nodes.get_mut().addresses());
        f(&mut self.clients, &mut Now { now, wall, sockets, addresses })
    }

    pub(crate) fn running_brokers(&self) -> Vec<NodeId> {
        let mut brokers = self.brokers.clone();
        brokers.retain(|broker| self.is_up(*broker));
        brokers
    }

    pub(crate) fn folder_of(&self, node: NodeId) -> Folder {
        self.nodes.borrow().folder(node)
    }

    pub(crate) fn ask_one(
        &self,
        broker: NodeId,
        key: ApiKey,
        version: i16,
        request: &Request,
    ) -> Option<Response> {
        let mut sockets = self.sockets.borrow_mut();
        let address = self.nodes.borrow().addresses().get(&broker).cloned().unwrap_or_default();
        let ticket = sockets.ask(OWNER, broker, &address, (key, version), request);
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            sockets.pump();
            match sockets.answer(ticket) {
                Some(Answer::Response(response)) => return Some(*response),
                Some(_) => return None,
                None => std::thread::sleep(PAUSE),
            }
        }
        None
    }

    /// Has every broker fetch its block of producer ids: until it has one it refuses idempotent producers, of which no file is about.
    fn warm_up(&mut self) -> Result<(), String> {
        let request = Request::InitProducerId(
            InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        );
        for broker in self.brokers.clone() {
            let began = Instant::now();
            let ready = |response: Option<Response>| match response {
                Some(Response::Other(kind)) => {
                    matches!(*kind, ResponseKind::InitProducerId(answer) if answer.error_code == 0)
                }
                _ => false,
            };
            while !ready(self.ask_one(broker, ApiKey::InitProducerId, 4, &request)) {
                if began.elapsed() > PATIENCE {
                    return Err(format!("broker {broker} has no producer ids after {PATIENCE:?}"));
                }
                std::thread::sleep(10 * PAUSE);
            }
        }
        Ok(())
    }

    /// The running controller whose log goes furthest, and how far that is.
    fn newest_controller(&self) -> Option<((i32, i64), NodeId)> {
        let mut nodes = self.nodes.borrow_mut();
        let running = self.controllers.iter().filter(|node| nodes.is_up(**node)).copied();
        running.collect::<Vec<_>>().into_iter().map(|node| (nodes.folder(node).metadata_end(), node)).max()
    }
}

impl Wire for Kafka {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall_millis(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket {
        let address = self.nodes.get_mut().addresses().get(&broker).cloned().unwrap_or_default();
        self.sockets.get_mut().ask(client, broker, &address, (key, version), &request)
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.sockets.get_mut().answer(ticket)
    }

    fn give_up(&mut self, ticket: Ticket) {
        self.sockets.get_mut().give_up(ticket);
    }

    fn brokers(&self) -> Vec<NodeId> {
        self.brokers.clone()
    }
}

impl Theatre for Kafka {
    fn look<R>(&self, _: impl FnOnce(&World) -> R) -> Option<R> {
        None
    }

    fn boot(&mut self) -> Result<(), String> {
        let all: Vec<_> = self.controllers.iter().chain(&self.brokers).copied().collect();
        all.iter().for_each(|node| self.start(*node));
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(down) = all.iter().find(|node| !self.is_up(**node)) {
                return Err(format!("node {down} ended"));
            }
            let unfenced = self.metadata(|image| {
                self.brokers.iter().all(|id| image.cluster.broker(*id).is_some_and(|broker| !broker.fenced))
            });
            if unfenced == Some(true) {
                self.warm_up()?;
                return self.trouble.pop().map_or(Ok(()), Err);
            }
            std::thread::sleep(10 * PAUSE);
        }
        Err(format!("Kafka is not ready after {PATIENCE:?}\n{}", self.nodes.borrow().said()))
    }

    fn step(&mut self, end: Timestamp) -> bool {
        self.sockets.get_mut().pump();
        let until = self.clients.next_deadline().min(end);
        std::thread::sleep(until.since(self.now()).min(PAUSE));
        self.sockets.get_mut().pump();
        self.with_clients(|clients, now| clients.go_on(now));
        self.now() < end
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Start(node) => self.start(node),
            Command::Stop(node) => self.nodes.get_mut().ask_to_end(node),
            Command::Crash(node) => self.kill(node),
            Command::PowerLoss(node) => self.power_loss(node),
            Command::Inject { id, fault } => self.inject(id, *fault),
            Command::Heal(id) => self.roads.heal(id),
            Command::HealAll => self.roads.heal_all(),
            Command::SetLink { from, to, link } => self.roads.slow(from, to, link.latency),
            // What else there is was refused before anything was started.
            _ => self.trouble.push("Kafka cannot be told to do this".to_owned()),
        }
    }

    fn name_client(&mut self, client: u32, name: &str) {
        self.sockets.get_mut().name(client, name);
    }

    fn add_client(&mut self, spec: ClientSpec) {
        self.clients.add(spec, self.brokers.clone());
    }

    fn ask_client(&mut self, client: ClientId, op: ClientOp) -> Option<OpId> {
        self.with_clients(|clients, now| clients.ask(now, client, op))
    }

    fn end_client(&mut self, client: ClientId) {
        self.with_clients(|clients, now| clients.end(now, client));
    }

    fn client_op(&self, client: ClientId, id: OpId) -> Option<OpResult> {
        self.clients.op(client, id)
    }

    fn client_member(&self, client: ClientId) -> Option<MemberStatus> {
        self.clients.member(client)
    }

    fn client_positions(&self, client: ClientId) -> BTreeMap<TopicPartition, Option<i64>> {
        self.clients.positions(client)
    }

    fn client_reads(&self, client: ClientId, partition: &TopicPartition) -> Vec<Option<Bytes>> {
        self.clients.reads(client, partition)
    }

    fn groups(&self) -> BTreeMap<StrBytes, GroupStatus> {
        self.describe_groups()
    }

    fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    fn take_refusals(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn sees(&self, sight: Sight) -> bool {
        matches!(sight, Sight::Quorum | Sight::Groups)
    }

    fn leeway(&self) -> Duration {
        LEEWAY
    }

    fn metadata<R>(&self, f: impl FnOnce(&MetadataImage) -> R) -> Option<R> {
        let (end, controller) = self.newest_controller()?;
        let mut kept = self.image.borrow_mut();
        if (kept.0, kept.1) != (controller, end) {
            *kept = (controller, end, self.nodes.borrow().folder(controller).metadata());
        }
        let image = kept.2.clone();
        drop(kept);
        Some(f(&image))
    }

    fn stored_log(&self, broker: NodeId, topic: &str, partition: i32) -> Option<StoredLog> {
        self.is_up(broker).then_some(())?;
        self.nodes.borrow().folder(broker).log(&TopicPartition::new(topic.to_owned(), partition))
    }

    fn quorum(&self, controller: NodeId) -> Option<QuorumView> {
        self.is_up(controller).then_some(())?;
        self.nodes.borrow().folder(controller).quorum(controller)
    }

    fn active_controller(&self) -> Option<NodeId> {
        let views = self.controllers.iter().filter_map(|node| Some((*node, self.quorum(*node)?)));
        let leaders = views.filter(|(node, view)| view.leader == *node);
        leaders.max_by_key(|(_, view)| view.epoch).map(|(node, _)| node)
    }

    fn next_fault_id(&self) -> Option<FaultId> {
        Some(FaultId(self.next_fault))
    }

    fn check_fault(&self, fault: &Fault) -> Result<(), String> {
        rules::check(fault)
    }

    fn fault(&self, id: FaultId) -> Option<FaultStatus> {
        let (fault, armed, fired) = self.roads.status(id)?;
        // What is done at once, and what a disk does by itself, never waits.
        let lasts = matches!(fault, Fault::Network(_)) || rules::request_fault(&fault).is_some();
        Some(FaultStatus { id, fault, armed: armed && lasts, fired, held: 0 })
    }

    fn partition(&self, topic: &str, partition: i32) -> Option<PartitionStatus> {
        let at = TopicPartition::new(topic.to_owned(), partition);
        let found =
            self.metadata(|image| image.topics.partition_by_name(topic, partition).cloned()).flatten()?;
        let hosts = self.running_brokers();
        let nodes = self.nodes.borrow();
        let logs = hosts.iter().filter_map(|broker| Some((*broker, nodes.folder(*broker).replica(&at)?)));
        Some(PartitionStatus {
            leader: found.has_leader().then_some(found.leader),
            leader_epoch: found.leader_epoch,
            partition_epoch: found.partition_epoch,
            replicas: found.replicas.clone(),
            isr: found.isr.clone(),
            elr: found.elr.clone(),
            last_known_elr: found.last_known_elr.clone(),
            adding_replicas: found.adding_replicas.clone(),
            removing_replicas: found.removing_replicas.clone(),
            leader_recovery_state: found.leader_recovery_state,
            logs: logs.collect(),
        })
    }

    fn topics(&self) -> BTreeMap<StrBytes, i32> {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let topics = self.metadata(|image| {
            image.topics.iter().map(|topic| (topic.name.clone(), count(topic.iter().len()))).collect()
        });
        topics.unwrap_or_default()
    }

    fn is_topic_ready(&self, topic: &str) -> bool {
        let Some(count) = self.topics().get(topic.as_bytes()).copied() else { return false };
        (0..count).all(|index| {
            let at = TopicPartition::new(topic.to_owned(), index);
            let status = self.partition(topic, index);
            status.is_some_and(|status| {
                status.leader.is_some()
                    && status.isr.iter().all(|id| self.nodes.borrow().folder(*id).holds(&at))
            })
        })
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.nodes.borrow_mut().is_up(node)
    }

    fn breath(&self) -> Duration {
        Duration::from_millis(300)
    }
}
