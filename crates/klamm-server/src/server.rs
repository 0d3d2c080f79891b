//! A running cluster with listeners.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_node::config::{self, validate_static_broker_config};
use klamm_node::{Eras, NodeId, Timestamp, WallTime};
use klamm_wire::release::UnknownRelease;
use klamm_wire::{KafkaVersion, StrBytes};
use klamm_world::{
    BrokerSpec, Command, Fault, FaultError, FaultId, Input, PartitionStatus, World, WorldSettings,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::bind::bind;
use crate::clock::Clock;
use crate::connection::Limits;
use crate::data_dir::DataDir;
use crate::driver::{Driver, State};
use crate::follow::Teller;
use crate::listener::{self, Listening};
use crate::recorder::Recorder;
use crate::runtime::{self, block_on, enter};
use crate::settings::{ServerSettings, StartError};
use crate::topics;
use crate::trace::TraceStream;

/// How long a broker may take to hand its leaderships over before it is stopped regardless, in real time.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a dropped server waits for its tasks to end, in real time.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// Its node id.
    pub id: i32,
    /// The host that clients are told.
    pub host: String,
    /// The port that clients are told.
    pub port: u16,
}

/// Why a node could not be commanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The cluster has no such node.
    #[error("there is no node {0}")]
    Unknown(i32),
    /// The node did not come up again.
    #[error("node {node} did not start: {message}")]
    Failed {
        /// The node.
        node: i32,
        /// Why.
        message: String,
    },
    /// The cluster does nothing more.
    #[error("the cluster is dead: {0}")]
    Dead(String),
}

/// A running cluster. Dropping it closes every listener and connection, and waits until ports and files are free.
#[derive(Debug)]
pub struct Server {
    core: Core,
    /// Ends when the last task of this server has ended.
    all_ended: mpsc::Receiver<()>,
    /// Has heard the trace from the beginning, until somebody asks for it.
    heard: Mutex<Option<TraceStream>>,
}

/// What a server's tasks and handles share.
#[derive(Debug)]
struct Core {
    driver: Arc<Driver>,
    endpoints: Vec<BrokerEndpoint>,
    controllers: Vec<NodeId>,
    /// Whether each broker's listener accepts.
    is_listening: BTreeMap<NodeId, watch::Receiver<bool>>,
    /// Ends the timer.
    stop: watch::Sender<bool>,
    on_disk: bool,
}

impl Server {
    /// Starts a cluster, and returns when its listeners accept connections, every broker is unfenced and the topics
    /// exist. Blocks for a few milliseconds; call it from any thread, inside a runtime or not.
    ///
    /// # Errors
    /// When the settings are wrong, an address is taken, or the cluster does not come up.
    pub fn start(settings: ServerSettings) -> Result<Self, StartError> {
        block_on(Self::start_inner(settings))
    }

    /// As [`Server::start`], for callers that await, on any runtime.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_async(settings: ServerSettings) -> Result<Self, StartError> {
        enter(Self::start_inner(settings)).await
    }

    async fn start_inner(settings: ServerSettings) -> Result<Self, StartError> {
        let config = properties(&settings)?;
        let (kafka_version, eras) = profile(&settings)?;
        let limits = limits(&config, kafka_version);
        let (endpoints, bound): (Vec<_>, Vec<_>) = bind(&settings)?.into_iter().unzip();
        let controllers = controllers(&settings)?;
        let seed = settings.seed.unwrap_or_else(random_seed);
        let data_dir = settings.data_dir.as_deref().map(|path| DataDir::open(path, seed)).transpose()?;
        let world_settings = WorldSettings {
            seed,
            cluster_id: data_dir.as_ref().map(|dir| dir.cluster_id.clone()),
            brokers: broker_specs(&settings, &endpoints),
            controllers: controllers.clone(),
            config,
            kafka_version,
            eras,
            link: settings.link,
            wall_epoch: settings.wall_epoch.unwrap_or_else(wall_now),
            trace_capacity: settings.trace_capacity,
            deferred_flush: data_dir.is_some(),
            ..WorldSettings::default()
        };
        let disks = match &data_dir {
            Some(dir) => dir.disks(&world_settings)?,
            None => BTreeMap::new(),
        };
        let recorder = match &settings.record {
            None => None,
            Some(path) if data_dir.is_some_and(|dir| !dir.is_new) => {
                let source = io::Error::other(
                    "the data directory is not empty, and a run that begins with old data cannot be replayed",
                );
                return Err(StartError::Record { path: path.clone(), source });
            }
            Some(path) => Some(
                Recorder::create(path, &world_settings)
                    .map_err(|source| StartError::Record { path: path.clone(), source })?,
            ),
        };
        let teller = settings.follow.map(|follow| Teller::begin(follow, &world_settings)).transpose();
        let teller = teller.map_err(|error| StartError::Settings(format!("nobody follows: {error}")))?;
        let driver = Arc::new(Driver::new(World::new(world_settings, disks), recorder));
        driver.with("settings", |state| {
            state.teller = teller;
            if settings.paused {
                state.clock = Clock::stopped();
            }
        });
        let heard = settings.listen.then(|| TraceStream::new(driver.with("listen", State::listen)));

        let mut sockets = Vec::new();
        for (endpoint, bound) in endpoints.iter().zip(bound) {
            let address = bound.address;
            let socket = bound.open().map_err(|source| StartError::Bind { address, source })?;
            sockets.push((NodeId(endpoint.id), socket));
        }
        let (alive, all_ended) = mpsc::channel(1);
        let core = Core {
            driver: driver.clone(),
            endpoints,
            controllers,
            is_listening: BTreeMap::new(),
            stop: watch::Sender::new(false),
            on_disk: settings.data_dir.is_some(),
        };
        // From here on, dropping it on an error frees whatever has begun.
        let mut server = Self { core, all_ended, heard: Mutex::new(heard) };
        if server.core.on_disk {
            spawn(&alive, driver.flush_disks());
        }
        let brokers: Vec<_> = sockets.iter().map(|(broker, _)| *broker).collect();
        boot(&driver, server.core.controllers.iter().chain(&brokers))?;
        if settings.paused {
            driver.advance_until_ready(settings.start_timeout);
        }
        spawn(&alive, keep_time(driver.clone(), server.core.stop.subscribe()));
        server.core.is_listening = listen(&driver, sockets, limits, &alive);
        drop(alive);

        let driver = &server.core.driver;
        let ready = async {
            driver.wait_for("ready", |state| state.world.is_ready().then_some(())).await;
            topics::create(driver, &settings.topics).await
        };
        match timeout(settings.start_timeout, ready).await {
            Ok(created) => created?,
            Err(_) => {
                let state = driver.look("start", |state| state.world.status().to_string());
                return Err(StartError::NotReady { after: settings.start_timeout, state });
            }
        }
        Ok(server)
    }

    /// Where the brokers listen, in order of their ids.
    pub fn brokers(&self) -> &[BrokerEndpoint] {
        &self.core.endpoints
    }

    /// The brokers as a `bootstrap.servers` value.
    pub fn bootstrap_servers(&self) -> String {
        let addresses: Vec<_> = self
            .core
            .endpoints
            .iter()
            .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
            .collect();
        addresses.join(",")
    }

    /// Looks at the world. Nothing happens to it meanwhile, so be quick.
    pub fn look<T>(&self, f: impl FnOnce(&World) -> T) -> T {
        self.core.driver.look("look", |state| f(&state.world))
    }

    /// Listens to the trace from now on, or for the first who asks from the beginning, where [`ServerSettings::listen`] says so.
    pub fn trace(&self) -> TraceStream {
        if let Some(heard) = self.heard.lock().take() {
            return heard;
        }
        TraceStream::new(self.core.driver.with("listen", State::listen))
    }

    /// One partition, as the controller and each of its replicas have it.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionStatus> {
        self.look(|world| world.partition(topic, partition))
    }

    /// Waits until `condition` returns something: it is asked now, and again after everything that happens.
    /// `None` when `deadline` of real time passes first.
    pub async fn wait_for<T>(
        &self,
        deadline: Duration,
        mut condition: impl FnMut(&World) -> Option<T>,
    ) -> Option<T> {
        let result = async {
            timeout(deadline, self.core.driver.wait_for("wait", |state| condition(&state.world))).await.ok()
        };
        enter(result).await
    }

    /// Stops a node in order: a broker hands its leaderships over first. Returns when it is down and its port is closed.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn stop_node(&self, node: i32) -> Result<(), NodeError> {
        let id = self.known(node)?;
        enter(self.core.stop_node(id)).await
    }

    /// Kills a node's process: nothing is handed over, what was written stays.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn crash_node(&self, node: i32) -> Result<(), NodeError> {
        let id = self.known(node)?;
        enter(self.core.down(id, Command::Crash(id))).await
    }

    /// Cuts a node's power: what was flushed stays.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn power_loss(&self, node: i32) -> Result<(), NodeError> {
        let id = self.known(node)?;
        enter(self.core.down(id, Command::PowerLoss(id))).await
    }

    /// Starts a node that is down, on its old disk and port. Returns when it accepts connections again; it may still
    /// be fenced then.
    ///
    /// # Errors
    /// When there is no such node, or it does not start.
    pub async fn start_node(&self, node: i32) -> Result<(), NodeError> {
        let id = self.known(node)?;
        enter(self.core.start_node(id)).await
    }

    /// The cluster's time since it began.
    pub fn elapsed(&self) -> Duration {
        self.core.driver.look("clock", |state| Duration::from_nanos(state.clock.now().0))
    }

    /// Stops the cluster's time. Requests are still served, at a time that does not pass.
    pub fn pause_clock(&self) {
        self.core.driver.set_clock(Clock::pause);
    }

    /// Lets the cluster's time pass again.
    pub fn resume_clock(&self) {
        self.core.driver.set_clock(Clock::resume);
    }

    /// Lets the cluster's time pass `scale` times as fast as real time.
    pub fn scale_clock(&self, scale: f64) {
        self.core.driver.set_clock(|clock| clock.set_scale(scale));
    }

    /// Lets `by` of the cluster's time pass at once; everything that is due in it happens, at its own time.
    pub fn advance_clock(&self, by: Duration) {
        self.core.driver.advance(by);
    }

    /// Lets the cluster's time pass until `at`, and then `input` happen; whoever follows is told when it has. A listener
    /// follows its broker a moment later.
    pub fn play(&self, at: Timestamp, input: Input) {
        self.core.driver.play(at, input);
    }

    /// Changes the world by a command that needs no listener: a link, a skewed clock.
    pub fn command(&self, command: Command) {
        self.core.driver.with("command", |state| state.command(command));
    }

    /// Makes something go wrong.
    ///
    /// # Errors
    /// When the fault cannot be; then nothing of it happened.
    pub fn inject(&self, fault: Fault) -> Result<FaultId, FaultError> {
        self.core.driver.with("fault", |state| state.inject(fault))
    }

    /// Ends a fault.
    ///
    /// # Errors
    /// When there is no such fault, or it is over.
    pub fn heal(&self, id: FaultId) -> Result<(), FaultError> {
        self.core.driver.with("fault", |state| state.heal(id))
    }

    /// Stops every broker in order, then frees everything. Blocks until that is done.
    pub fn stop(self) {
        block_on(self.core.stop());
    }

    /// As [`Server::stop`], for callers that await.
    pub async fn stop_async(self) {
        enter(self.core.stop()).await;
    }

    /// Ends the recording, if there is one. The cluster goes on.
    pub async fn end_recording(&self) {
        enter(self.core.end_recording()).await;
    }

    /// The node ids of the controllers.
    pub fn controllers(&self) -> Vec<i32> {
        self.core.controllers.iter().map(|id| id.0).collect()
    }

    fn known(&self, node: i32) -> Result<NodeId, NodeError> {
        let id = NodeId(node);
        let known = self.core.endpoints.iter().any(|endpoint| endpoint.id == node)
            || self.core.controllers.contains(&id);
        known.then_some(id).ok_or(NodeError::Unknown(node))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        block_on(async {
            if self.core.on_disk {
                // Files are left as an orderly stop leaves them.
                self.core.stop().await;
            }
            self.core.end_recording().await;
            self.core.tear_down();
            if timeout(TEARDOWN_TIMEOUT, self.all_ended.recv()).await.is_err() {
                tracing::error!("a task of a stopped cluster does not end");
            }
        });
    }
}

impl Core {
    async fn stop(&self) {
        self.end_recording().await;
        // All of them at once: one by one, each would wait for the others to learn who leads instead of it.
        self.driver.with("command", |state| {
            for endpoint in &self.endpoints {
                state.command(Command::Stop(NodeId(endpoint.id)));
            }
        });
        for endpoint in &self.endpoints {
            // Errors say that the cluster is dead already.
            let _ = self.stop_node(NodeId(endpoint.id)).await;
        }
        for controller in &self.controllers {
            let _ = self.stop_node(*controller).await;
        }
    }

    /// The recording is of the run, not of its end.
    async fn end_recording(&self) {
        if !self.driver.look("recording", |state| state.recorder.is_some()) {
            return;
        }
        let driver = self.driver.clone();
        // It waits for a file.
        let _ = runtime::handle().spawn_blocking(move || driver.end_recording()).await;
    }

    /// Closes every listener and connection, and ends every task.
    fn tear_down(&self) {
        self.driver.with("tear down", State::close_all);
        self.stop.send_replace(true);
    }

    async fn stop_node(&self, id: NodeId) -> Result<(), NodeError> {
        if timeout(SHUTDOWN_TIMEOUT, self.down(id, Command::Stop(id))).await.is_err() {
            tracing::warn!(node = id.0, "did not stop in order, killing it");
            self.down(id, Command::Crash(id)).await?;
        }
        Ok(())
    }

    async fn down(&self, id: NodeId, command: Command) -> Result<(), NodeError> {
        self.driver.with("command", |state| state.command(command));
        self.until_up(id, false).await?;
        self.until_listening(id, false).await;
        Ok(())
    }

    async fn start_node(&self, id: NodeId) -> Result<(), NodeError> {
        self.driver.with("command", |state| {
            state.failures.remove(&id);
            state.command(Command::Start(id));
        });
        self.until_up(id, true).await?;
        self.until_listening(id, true).await;
        Ok(())
    }

    async fn until_up(&self, id: NodeId, up: bool) -> Result<(), NodeError> {
        self.driver
            .wait_for("node", |state| {
                if let Some(why) = state.dead() {
                    return Some(Err(NodeError::Dead(why.to_owned())));
                }
                if state.world.is_up(id) == up {
                    return Some(Ok(()));
                }
                let message = state.failures.remove(&id)?;
                Some(Err(NodeError::Failed { node: id.0, message }))
            })
            .await
    }

    async fn until_listening(&self, id: NodeId, listening: bool) {
        if let Some(is_listening) = self.is_listening.get(&id) {
            // An error says that the listener's task has ended, and its socket with it.
            let _ = is_listening.clone().wait_for(|now| *now == listening).await;
        }
    }
}

/// Starts a task that the server waits for at its end.
fn spawn(alive: &mpsc::Sender<()>, task: impl Future<Output = ()> + Send + 'static) {
    spawn_on(runtime::handle(), alive, task);
}

fn spawn_on(runtime: &Handle, alive: &mpsc::Sender<()>, task: impl Future<Output = ()> + Send + 'static) {
    let alive = alive.clone();
    runtime.spawn(async move {
        task.await;
        drop(alive);
    });
}

async fn keep_time(driver: Arc<Driver>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = driver.keep_time() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

fn boot<'a>(driver: &Driver, nodes: impl Iterator<Item = &'a NodeId>) -> Result<(), StartError> {
    driver.with("boot", |state| {
        for node in nodes {
            state.command(Command::Start(*node));
        }
        match state.failures.pop_first() {
            Some((node, message)) => Err(StartError::Node { node: node.0, message }),
            None => Ok(()),
        }
    })
}

fn listen(
    driver: &Arc<Driver>,
    sockets: Vec<(NodeId, Listening)>,
    limits: Limits,
    alive: &mpsc::Sender<()>,
) -> BTreeMap<NodeId, watch::Receiver<bool>> {
    let mut is_listening = BTreeMap::new();
    let home = runtime::for_next_server();
    for (broker, socket) in sockets {
        let (listening, follow) = watch::channel(true);
        // The kernel completes connections already; nobody need wait for the thread that takes them up.
        let (accepting, follow_accepting) = watch::channel(true);
        driver.with("listen", |state| state.add_listener(broker, listening));
        is_listening.insert(broker, follow_accepting);
        let task = listener::run(driver.clone(), broker, socket, follow, accepting, limits, alive.clone());
        spawn_on(home, alive, task);
    }
    is_listening
}

/// The server properties: the user's, over those that a cluster of this size needs.
fn properties(settings: &ServerSettings) -> Result<BTreeMap<String, String>, StartError> {
    for (key, value) in &settings.config {
        validate_static_broker_config(key, value).map_err(|error| StartError::Settings(error.to_string()))?;
    }
    let mut properties: BTreeMap<_, _> = config::properties_of_size(usize::from(settings.brokers))
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    properties.extend(settings.config.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(properties)
}

/// The release, and its rules with those that were set otherwise.
fn profile(settings: &ServerSettings) -> Result<(KafkaVersion, Eras), StartError> {
    let wrong = |error: &dyn std::error::Error| StartError::Settings(error.to_string());
    let version = match settings.kafka_version.as_deref() {
        None => KafkaVersion::NEWEST,
        Some(text) => text.parse().map_err(|error: UnknownRelease| wrong(&error))?,
    };
    let mut eras = Eras::of(version);
    for text in &settings.eras {
        eras.set(text).map_err(|error| wrong(&error))?;
    }
    Ok((version, eras))
}

fn controllers(settings: &ServerSettings) -> Result<Vec<NodeId>, StartError> {
    let (brokers, controllers) = (settings.brokers, settings.controllers);
    if brokers == 0 {
        return Err(StartError::Settings("a cluster has at least one broker".to_owned()));
    }
    if !matches!(controllers, 1 | 3) {
        return Err(StartError::Settings(format!("a cluster has 1 or 3 controllers, not {controllers}")));
    }
    // Brokers count from 1 and must not run into the controllers.
    let first = WorldSettings::FIRST_CONTROLLER.max(i32::from(brokers) + 1);
    Ok((0..i32::from(controllers)).map(|i| NodeId(first + i)).collect())
}

fn broker_specs(settings: &ServerSettings, endpoints: &[BrokerEndpoint]) -> Vec<BrokerSpec> {
    let racks = settings.racks.iter().map(|rack| Some(StrBytes::from(rack.clone())));
    endpoints
        .iter()
        .zip(racks.chain(std::iter::repeat(None)))
        .map(|(endpoint, rack)| BrokerSpec {
            node: NodeId(endpoint.id),
            host: StrBytes::from(endpoint.host.clone()),
            port: endpoint.port,
            rack,
        })
        .collect()
}

fn limits(properties: &BTreeMap<String, String>, release: KafkaVersion) -> Limits {
    let number = |key: &str| {
        let value = properties.get(key).map(String::as_str);
        value.or_else(|| config::broker_key(key)?.default)?.parse::<i64>().ok()
    };
    Limits {
        max_request: number("socket.request.max.bytes")
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(100 << 20),
        max_idle: number("connections.max.idle.ms")
            .and_then(|millis| u64::try_from(millis).ok())
            .map(Duration::from_millis),
        release,
    }
}

/// A seed from the operating system: every `RandomState` has another key.
fn random_seed() -> u64 {
    RandomState::new().hash_one("klamm")
}

fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
