//! A running cluster, for callers that await.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_server::Server;
use klamm_world::{Command, PartitionStatus, QuorumView, Snapshot, World};

use crate::builder::Builder;
use crate::clock::Clock;
use crate::error::Error;

/// How long [`Cluster::wait_until`] waits.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// A running cluster. Dropping it frees everything it holds.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
}

impl Cluster {
    /// Describes a cluster.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) const fn new(server: Server) -> Self {
        Self { server }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The addresses of its brokers, as clients want them: `127.0.0.1:40001,127.0.0.1:40002`.
    pub fn bootstrap_servers(&self) -> String {
        self.server.bootstrap_servers()
    }

    /// One of its brokers.
    ///
    /// # Errors
    /// [`Error::NoBroker`].
    pub fn broker(&self, id: impl Into<BrokerId>) -> Result<Broker<'_>, Error> {
        let BrokerId(id) = id.into();
        let brokers = self.server.brokers();
        match brokers.iter().find(|broker| broker.id == id) {
            Some(endpoint) => {
                let address = format!("{}:{}", endpoint.host, endpoint.port);
                Ok(Broker { server: &self.server, id, address })
            }
            None => Err(Error::NoBroker { broker: id, last: brokers.last().map_or(0, |last| last.id) }),
        }
    }

    /// One of its controllers. Their ids are 100, 101 and 102.
    ///
    /// # Errors
    /// [`Error::NoController`].
    pub fn controller(&self, id: impl Into<BrokerId>) -> Result<Controller<'_>, Error> {
        let BrokerId(id) = id.into();
        let all = self.server.controllers();
        if all.contains(&id) {
            Ok(Controller { server: &self.server, id })
        } else {
            Err(Error::NoController { controller: id, all })
        }
    }

    /// The controller that decides for the cluster; `None` while none does.
    pub fn active_controller(&self) -> Option<NodeId> {
        self.server.look(World::active_controller)
    }

    /// Its clock.
    pub const fn clock(&self) -> Clock<'_> {
        Clock { server: &self.server }
    }

    /// A partition: leader, epochs and ISR as the controller has them, logs as each replica has them.
    ///
    /// # Errors
    /// [`Error::NoPartition`].
    pub fn partition(&self, topic: &str, partition: i32) -> Result<PartitionStatus, Error> {
        self.server.look(|world| {
            world.partition(topic, partition).ok_or_else(|| Error::NoPartition {
                topic: topic.to_owned(),
                partition,
                hint: hint(world, topic),
            })
        })
    }

    /// Looks at the world: everything there is to know. Nothing happens meanwhile, so be quick.
    pub fn look<T>(&self, f: impl FnOnce(&World) -> T) -> T {
        self.server.look(f)
    }

    /// A consistent cut of the whole cluster: every replica, every node, the quorum, the groups. Two of them can be
    /// compared with [`Snapshot::diff`].
    pub fn snapshot(&self) -> Snapshot {
        self.server.look(World::snapshot)
    }

    /// A simulated world that begins as this cluster is now, and shares no future with it. It is stepped in virtual time with
    /// [`World::run_until`] and [`World::handle`].
    ///
    /// # Errors
    /// [`Error::CannotFork`] where logs are kept on files.
    pub fn fork(&self) -> Result<World, Error> {
        Ok(self.server.look(World::fork)?)
    }

    /// Changes the world: a link's latency, a node's wall clock.
    pub fn command(&self, command: Command) {
        self.server.command(command);
    }

    /// Waits until `condition` is true: it is asked now, and again after everything that happens, without polling.
    ///
    /// # Errors
    /// [`Error::Timeout`] after 30 seconds of real time.
    pub async fn wait_until(&self, condition: impl FnMut(&World) -> bool) -> Result<(), Error> {
        self.wait_until_for(DEFAULT_DEADLINE, condition).await
    }

    /// As [`Cluster::wait_until`], with another deadline in real time.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub async fn wait_until_for(
        &self,
        deadline: Duration,
        mut condition: impl FnMut(&World) -> bool,
    ) -> Result<(), Error> {
        let result = self.server.wait_for(deadline, |world| condition(world).then_some(())).await;
        result.ok_or_else(|| Error::Timeout {
            after: deadline,
            state: self.server.look(|world| world.status().to_string()),
        })
    }

    /// Ends the recording, if there is one; its file is complete then. The cluster goes on.
    pub async fn end_recording(&self) {
        self.server.end_recording().await;
    }

    /// Stops every broker in order, then frees everything.
    pub async fn stop(self) {
        self.server.stop_async().await;
    }
}

/// What there is, when what was asked for is not.
fn hint(world: &World, topic: &str) -> String {
    let topics = world.topics();
    match topics.get(&klamm_wire::StrBytes::from(topic.to_owned())) {
        Some(1) => "the topic has partition 0 only".to_owned(),
        Some(count) => format!("the topic has partitions 0 to {}", count - 1),
        None if topics.is_empty() => "there are no topics".to_owned(),
        None => {
            let names: Vec<_> = topics.keys().take(10).map(|name| &**name).collect();
            format!("the topics are {}", names.join(", "))
        }
    }
}

/// A broker's id, however it is at hand.
#[derive(Debug, Clone, Copy)]
pub struct BrokerId(i32);

impl BrokerId {
    pub(crate) const fn node(self) -> NodeId {
        NodeId(self.0)
    }
}

impl From<i32> for BrokerId {
    fn from(id: i32) -> Self {
        Self(id)
    }
}

impl From<NodeId> for BrokerId {
    fn from(id: NodeId) -> Self {
        Self(id.0)
    }
}

/// One broker of a running cluster.
#[derive(Debug, Clone)]
pub struct Broker<'a> {
    server: &'a Server,
    id: i32,
    address: String,
}

impl<'a> Broker<'a> {
    pub(crate) const fn server(&self) -> &'a Server {
        self.server
    }

    /// Its node id.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// Where clients reach it, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.server.look(|world| world.is_up(NodeId(self.id)))
    }

    /// Stops it in order: it hands its leaderships over first.
    ///
    /// # Errors
    /// When the cluster is dead; here and below.
    pub async fn stop(&self) -> Result<(), Error> {
        Ok(self.server.stop_node(self.id).await?)
    }

    /// Kills its process: nothing is handed over, what it had written stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub async fn crash(&self) -> Result<(), Error> {
        Ok(self.server.crash_node(self.id).await?)
    }

    /// Cuts its power: what it had flushed stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub async fn power_loss(&self) -> Result<(), Error> {
        Ok(self.server.power_loss(self.id).await?)
    }

    /// Starts it again, on its old disk and port; stops it in order first if it runs. Its port is
    /// open when this returns, but it closes every connection until the controller has unfenced it. After a crash that is when
    /// the session of its earlier life is over (`broker.session.timeout.ms`).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        if self.is_up() {
            self.stop().await?;
        }
        Ok(self.server.start_node(self.id).await?)
    }
}

/// One controller of a running cluster.
#[derive(Debug, Clone)]
pub struct Controller<'a> {
    server: &'a Server,
    id: i32,
}

impl Controller<'_> {
    /// Its node id.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.server.look(|world| world.is_up(NodeId(self.id)))
    }

    /// Its part in the quorum; `None` while it is down.
    pub fn quorum(&self) -> Option<QuorumView> {
        self.server.look(|world| world.quorum().get(&NodeId(self.id)).copied())
    }

    /// Stops it in order: one that leads the quorum lets another take over first.
    ///
    /// # Errors
    /// When the cluster is dead; here and below.
    pub async fn stop(&self) -> Result<(), Error> {
        Ok(self.server.stop_node(self.id).await?)
    }

    /// Kills its process: what it had written stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub async fn crash(&self) -> Result<(), Error> {
        Ok(self.server.crash_node(self.id).await?)
    }

    /// Cuts its power: what it had flushed stays.
    ///
    /// # Errors
    /// When the cluster is dead.
    pub async fn power_loss(&self) -> Result<(), Error> {
        Ok(self.server.power_loss(self.id).await?)
    }

    /// Starts it again, on its old disk; stops it in order first if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        if self.is_up() {
            self.stop().await?;
        }
        Ok(self.server.start_node(self.id).await?)
    }
}
