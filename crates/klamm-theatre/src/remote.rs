//! Any cluster that is reached by its listeners: what a client can do there, in real time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use klamm_metadata::LeaderRecoveryState;
use klamm_node::{NodeId, Timestamp};
use klamm_scenario::theatre::{Answer, Theatre, Ticket, Wire};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{MetadataRequest, MetadataResponse, ResponseKind, TopicName};
use klamm_wire::{ApiKey, Request, Response, StrBytes};
use klamm_world::{Command, PartitionStatus, World};

use crate::sockets::Sockets;

/// The client that looks around.
const ONLOOKER: u32 = u32::MAX;
const METADATA_VERSION: i16 = 12;
/// How long an answer to a look may take.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// A cluster somewhere.
pub struct Remote {
    began: Instant,
    bootstrap: String,
    sockets: RefCell<Sockets>,
    addresses: BTreeMap<NodeId, String>,
}

impl Remote {
    /// Looks for a cluster.
    ///
    /// # Errors
    /// When no broker answers at any of these addresses (`HOST:PORT`, separated by commas).
    pub fn open(bootstrap: &str) -> Result<Self, String> {
        let mut remote = Self {
            began: Instant::now(),
            bootstrap: bootstrap.to_owned(),
            sockets: RefCell::default(),
            addresses: BTreeMap::new(),
        };
        let found = remote
            .metadata(Some(Vec::new()))
            .ok_or_else(|| format!("no Kafka broker answers at {bootstrap}"))?;
        remote.addresses = found
            .brokers
            .iter()
            .map(|broker| (NodeId(broker.node_id.0), format!("{}:{}", broker.host, broker.port)))
            .collect();
        Ok(remote)
    }

    /// The metadata of these topics, or of all.
    fn metadata(&self, topics: Option<Vec<&str>>) -> Option<MetadataResponse> {
        let topics = topics.map(|topics| {
            let named = |topic: &str| {
                MetadataRequestTopic::default().with_name(Some(TopicName(topic.to_owned().into())))
            };
            topics.into_iter().map(named).collect()
        });
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let mut places: Vec<_> =
            self.addresses.iter().map(|(node, address)| (*node, address.clone())).collect();
        places.extend(
            self.bootstrap
                .split(',')
                .zip(0..)
                .map(|(address, at)| (NodeId(-1 - at), address.trim().to_owned())),
        );
        let mut sockets = self.sockets.borrow_mut();
        for (node, address) in places {
            let request = Request::Metadata(request.clone());
            let ticket =
                sockets.ask(ONLOOKER, node, &address, (ApiKey::Metadata, METADATA_VERSION), &request);
            let asked = Instant::now();
            while asked.elapsed() < PATIENCE {
                sockets.pump();
                match sockets.answer(ticket) {
                    Some(Answer::Response(response)) => {
                        if let Response::Other(kind) = *response
                            && let ResponseKind::Metadata(metadata) = *kind
                        {
                            return Some(metadata);
                        }
                        break;
                    }
                    Some(_) => break,
                    None => std::thread::sleep(PAUSE),
                }
            }
        }
        None
    }
}

impl Wire for Remote {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall_millis(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket {
        let address = self.addresses.get(&broker).cloned().unwrap_or_default();
        self.sockets.get_mut().ask(client, broker, &address, (key, version), &request)
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.sockets.get_mut().answer(ticket)
    }

    fn give_up(&mut self, ticket: Ticket) {
        self.sockets.get_mut().give_up(ticket);
    }

    fn brokers(&self) -> Vec<NodeId> {
        self.addresses.keys().copied().collect()
    }
}

impl Theatre for Remote {
    fn look<R>(&self, _: impl FnOnce(&World) -> R) -> Option<R> {
        None
    }

    fn boot(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn step(&mut self, end: Timestamp) -> bool {
        self.sockets.get_mut().pump();
        let left = end.since(self.now());
        std::thread::sleep(left.min(PAUSE));
        self.sockets.get_mut().pump();
        self.now() < end
    }

    fn command(&mut self, _: Command) {
        // Every step that is one was refused before anything was run.
    }

    fn name_client(&mut self, client: u32, name: &str) {
        self.sockets.get_mut().name(client, name);
    }

    fn take_trouble(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn take_refusals(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn partition(&self, topic: &str, partition: i32) -> Option<PartitionStatus> {
        let metadata = self.metadata(Some(vec![topic]))?;
        let found =
            metadata.topics.first()?.partitions.iter().find(|found| found.partition_index == partition)?;
        let ids = |ids: &[klamm_wire::messages::BrokerId]| ids.iter().map(|id| NodeId(id.0)).collect();
        Some(PartitionStatus {
            leader: (found.leader_id.0 >= 0).then_some(NodeId(found.leader_id.0)),
            leader_epoch: found.leader_epoch,
            partition_epoch: -1,
            replicas: ids(&found.replica_nodes),
            isr: ids(&found.isr_nodes),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            logs: BTreeMap::new(),
        })
    }

    fn topics(&self) -> BTreeMap<StrBytes, i32> {
        let topics = self.metadata(None).map(|metadata| metadata.topics).unwrap_or_default();
        let known = topics.into_iter().filter(|topic| topic.error_code == 0);
        known
            .filter_map(|topic| {
                Some((topic.name?.0, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)))
            })
            .collect()
    }

    fn is_topic_ready(&self, topic: &str) -> bool {
        let metadata = self.metadata(Some(vec![topic]));
        let topic = metadata.and_then(|metadata| metadata.topics.into_iter().next());
        topic.is_some_and(|topic| {
            topic.error_code == 0
                && !topic.partitions.is_empty()
                && topic.partitions.iter().all(|partition| partition.leader_id.0 >= 0)
        })
    }
}
