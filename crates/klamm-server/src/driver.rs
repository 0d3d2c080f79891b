//! The world behind its lock, its timer, and the way of its outputs to the connections.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use klamm_log::disk::FlushJob;
use klamm_node::{ConnectionId, NodeId, Timestamp, TraceEvent};
use klamm_wire::StrBytes;
use klamm_world::{ClientRequest, Command, Fault, FaultError, FaultId, Input, Output, World};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::clock::Clock;
use crate::follow::Teller;
use crate::outbox::{Answer, Outbox};
use crate::recorder::Recorder;

/// How much cluster time passes under one hold of the lock when the clock is advanced.
const ADVANCE_STEP: Duration = Duration::from_secs(1);

/// How many trace events wait for a listener that is slow; older ones it misses, and is told so.
const TRACE_BACKLOG: usize = 1 << 16;

/// One live world. Everything that happens to it goes through [`Driver::with`].
pub(crate) struct Driver {
    state: Mutex<State>,
    /// The earliest deadline moved, or the clock did.
    timer: Notify,
    /// Something happened; whoever waits for a condition looks again.
    changed: watch::Sender<u64>,
    next_connection: AtomicU64,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) recorder: Option<Recorder>,
    /// Tells whoever follows.
    pub(crate) teller: Option<Teller>,
    /// Messages of nodes that failed to start, until somebody asks.
    pub(crate) failures: BTreeMap<NodeId, String>,
    connections: FxHashMap<ConnectionId, Arc<Outbox>>,
    /// Whether each broker's listener should accept.
    listening: BTreeMap<NodeId, watch::Sender<bool>>,
    outputs: Vec<Output>,
    /// The connections to wake once the lock is released.
    wakes: Vec<Arc<Outbox>>,
    /// The connection whose task holds the lock: it looks into its outbox anyway.
    holder: Option<ConnectionId>,
    /// When the timer task will look again.
    armed: Timestamp,
    /// Why the world does nothing more.
    dead: Option<String>,
    inside: Option<&'static str>,
    /// Why the fault of the present command was refused.
    refused: Option<FaultError>,
    /// Where fsyncs are sent to be performed; `None` when every disk is in memory.
    flushes: Option<mpsc::UnboundedSender<(NodeId, FlushJob)>>,
    /// Those who listen to the trace; `None` while nobody ever did.
    listeners: Option<broadcast::Sender<Arc<TraceEvent>>>,
}

impl Driver {
    pub(crate) fn new(world: World, recorder: Option<Recorder>) -> Self {
        let state = State {
            world,
            clock: Clock::start(),
            recorder,
            teller: None,
            failures: BTreeMap::new(),
            connections: FxHashMap::default(),
            listening: BTreeMap::new(),
            outputs: Vec::new(),
            wakes: Vec::new(),
            holder: None,
            armed: Timestamp::MAX,
            dead: None,
            inside: None,
            refused: None,
            flushes: None,
            listeners: None,
        };
        Self {
            state: Mutex::new(state),
            timer: Notify::new(),
            changed: watch::Sender::new(0),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Takes the lock for `purpose`, lets `f` work on the world, and afterwards wakes whom that concerns.
    pub(crate) fn with<T>(&self, purpose: &'static str, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        if let Some(purpose) = state.inside.replace(purpose) {
            // The holder before us panicked: what it left is not to be trusted.
            state.die(format!("klamm has a bug: it panicked while handling \"{purpose}\""));
        }
        let result = f(&mut state);
        state.tell_listeners();
        state.inside = None;
        let wakes = std::mem::take(&mut state.wakes);
        let rearm = state.world.next_deadline().is_some_and(|next| next < state.armed);
        drop(state);

        for outbox in wakes {
            outbox.wake();
        }
        if rearm {
            self.timer.notify_one();
        }
        if self.changed.receiver_count() > 0 {
            self.changed.send_modify(|count| *count += 1);
        }
        result
    }

    /// Performs the world's timers until the driver is dropped.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let sleep = self.with("timer", |state| {
                state.input(Input::Tick);
                if let Some(recorder) = &mut state.recorder {
                    recorder.flush();
                }
                let next = state.world.next_deadline();
                // Paused, nothing is due; resuming and advancing notify.
                let sleep = next.and_then(|at| state.clock.until(at));
                state.armed = if sleep.is_some() { next.unwrap_or(Timestamp::MAX) } else { Timestamp::ZERO };
                if next.is_none() {
                    state.armed = Timestamp::MAX;
                }
                sleep
            });
            let notified = self.timer.notified();
            match sleep {
                Some(sleep) => {
                    tokio::select! {
                        () = tokio::time::sleep(sleep) => {}
                        () = notified => {}
                    }
                }
                None => notified.await,
            }
        }
    }

    /// A new connection's id.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Changes the clock; the timer is set anew.
    pub(crate) fn set_clock(&self, change: impl FnOnce(&mut Clock)) {
        self.with("clock", |state| change(&mut state.clock));
        self.timer.notify_one();
    }

    /// Lets cluster time pass at once. Everything due in it happens, at its own time; stretches in which nothing but idle traffic
    /// would happen are passed over.
    pub(crate) fn advance(&self, by: Duration) {
        let mut left = by;
        while !left.is_zero() {
            left -= self.with("advance", |state| {
                state.input(Input::Tick);
                let from = state.clock.now();
                let idle = state.world.idle_until(from + left).since(from);
                let step = left.min(idle.max(ADVANCE_STEP));
                state.clock.advance(step);
                state.input(Input::Pass { from });
                step
            });
        }
        self.timer.notify_one();
    }

    /// Lets time pass until `at`, then `input` happen, and tells whoever follows that it has.
    pub(crate) fn play(&self, at: Timestamp, input: Input) {
        let mut input = Some(input);
        while input.is_some() {
            self.with("play", |state| {
                let left = at.since(state.clock.now());
                let at_once = matches!(input, Some(Input::Pass { .. }));
                state.clock.advance(if at_once { left } else { left.min(ADVANCE_STEP) });
                if left > ADVANCE_STEP && !at_once {
                    return state.input(Input::Tick);
                }
                if let Some(input) = input.take() {
                    state.input(input);
                }
                if let Some(teller) = &state.teller {
                    teller.reached(&state.world);
                }
            });
        }
        self.timer.notify_one();
    }

    /// Lets as much time pass as the cluster needs to be ready, at most `limit`.
    pub(crate) fn advance_until_ready(&self, limit: Duration) {
        self.with("start", |state| {
            let end = state.clock.now() + limit;
            while !state.world.is_ready() {
                let Some(next) = state.world.next_deadline().filter(|next| *next <= end) else { return };
                state.clock.advance(next.since(state.clock.now()));
                state.input(Input::Tick);
            }
        });
    }

    /// Waits until `condition` returns something. It is asked at once, and again after everything that happens.
    pub(crate) async fn wait_for<T>(
        &self,
        purpose: &'static str,
        mut condition: impl FnMut(&mut State) -> Option<T>,
    ) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            // Asking must not count as something that happened: two who wait would keep each other awake.
            if let Some(result) = self.look(purpose, &mut condition) {
                return result;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Performs the fsyncs that the world's disks ask for, outside the lock, until the driver is torn down.
    pub(crate) fn flush_disks(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (sender, mut jobs) = mpsc::unbounded_channel::<(NodeId, FlushJob)>();
        self.with("flushes", |state| state.flushes = Some(sender));
        let driver = self.clone();
        async move {
            while let Some((node, job)) = jobs.recv().await {
                let Ok(outcome) = tokio::task::spawn_blocking(move || job.run()).await else { continue };
                driver.with("flushed", |state| state.input(Input::Flushed { node, outcome }));
            }
        }
    }

    /// Ends the recording, if there is one, with the state as it is now.
    pub(crate) fn end_recording(&self) {
        let finish = self.with("recording", |state| {
            state.input(Input::Tick);
            let now = state.world.now();
            state.recorder.take().map(|recorder| recorder.end(now))
        });
        if let Some(Err(error)) = finish.map(|finish| finish()) {
            tracing::error!(%error, "the recording is incomplete");
        }
    }

    /// Looks at the world without anything happening to it.
    pub(crate) fn look<T>(&self, purpose: &'static str, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.inside.replace(purpose);
        let result = f(&mut state);
        state.inside = before;
        result
    }
}

impl State {
    /// Begins to listen to the trace.
    pub(crate) fn listen(&mut self) -> broadcast::Receiver<Arc<TraceEvent>> {
        self.world.listen_to_trace(true);
        match &self.listeners {
            Some(listeners) => listeners.subscribe(),
            None => {
                let (listeners, first) = broadcast::channel(TRACE_BACKLOG);
                self.listeners = Some(listeners);
                first
            }
        }
    }

    /// Hands on what was decided under this hold of the lock.
    fn tell_listeners(&mut self) {
        let Some(listeners) = &self.listeners else { return };
        for event in self.world.take_heard() {
            // Nobody is there any more: nothing is lost.
            let _ = listeners.send(event);
        }
        if listeners.receiver_count() == 0 {
            self.listeners = None;
            self.world.listen_to_trace(false);
        }
    }

    /// Lets `input` happen now, and sends its outputs on their way.
    pub(crate) fn input(&mut self, input: Input) {
        if self.dead.is_some() {
            return;
        }
        let now = self.clock.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &input);
        }
        if let Some(teller) = &mut self.teller {
            teller.input(now, &input);
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.world.handle(now, input, &mut outputs);
        for output in outputs.drain(..) {
            self.route(output);
        }
        self.outputs = outputs;
        if let Some(flushes) = &self.flushes {
            for job in self.world.take_flush_jobs() {
                // Fails only when the server is going away, which crashes its disks in any case.
                let _ = flushes.send(job);
            }
        }
    }

    /// Makes something go wrong.
    pub(crate) fn inject(&mut self, fault: Fault) -> Result<FaultId, FaultError> {
        let id = self.world.next_fault_id();
        self.fault_command(Command::Inject { id, fault: Box::new(fault) })?;
        Ok(id)
    }

    /// Ends a fault.
    pub(crate) fn heal(&mut self, id: FaultId) -> Result<(), FaultError> {
        self.fault_command(Command::Heal(id))
    }

    fn fault_command(&mut self, command: Command) -> Result<(), FaultError> {
        self.refused = None;
        self.command(command);
        self.refused.take().map_or(Ok(()), Err)
    }

    /// Commands the world.
    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// A connection is there.
    pub(crate) fn connect(
        &mut self,
        connection: ConnectionId,
        broker: NodeId,
        host: StrBytes,
        outbox: Arc<Outbox>,
    ) {
        if self.dead.is_some() {
            outbox.close();
            self.wakes.push(outbox);
            return;
        }
        self.connections.insert(connection, outbox);
        self.input(Input::Connect { connection, broker, host });
    }

    /// A connection's client is gone.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        if self.connections.remove(&connection).is_some() {
            self.input(Input::Disconnect { connection });
        }
    }

    /// A connection's client asks. The connection's task holds the lock and looks into its outbox afterwards.
    pub(crate) fn requests(
        &mut self,
        connection: ConnectionId,
        requests: impl Iterator<Item = ClientRequest>,
    ) {
        self.holder = Some(connection);
        for request in requests {
            self.input(Input::Request(request));
        }
        self.holder = None;
    }

    /// Adds a broker's listener, which follows what is sent.
    pub(crate) fn add_listener(&mut self, broker: NodeId, listening: watch::Sender<bool>) {
        self.listening.insert(broker, listening);
    }

    /// Why the world does nothing more.
    pub(crate) fn dead(&self) -> Option<&str> {
        self.dead.as_deref()
    }

    fn route(&mut self, output: Output) {
        match output {
            Output::Response { connection, correlation_id, api_key, api_version, response } => {
                self.answer(connection, Answer::Response { correlation_id, api_key, api_version, response });
            }
            Output::Damaged { connection, correlation_id, api_key, api_version, response, damage } => {
                let answer = Answer::Damaged { correlation_id, api_key, api_version, response, damage };
                self.answer(connection, answer);
            }
            Output::NoResponse { connection, .. } => self.answer(connection, Answer::Nothing),
            Output::Close { connection } => {
                if let Some(outbox) = self.connections.remove(&connection) {
                    outbox.close();
                    self.wakes.push(outbox);
                }
            }
            Output::NodeStarted { node } => {
                if let Some(listening) = self.listening.get(&node) {
                    listening.send_replace(true);
                }
            }
            Output::NodeStopped { node, .. } => {
                if let Some(listening) = self.listening.get(&node) {
                    listening.send_replace(false);
                }
            }
            Output::NodeFailed { node, message } => {
                tracing::error!(node = node.0, message, "node failed");
                self.failures.insert(node, message);
            }
            Output::FaultRefused { id, error } => {
                tracing::warn!(fault = id.0, %error, "a fault was refused");
                self.refused = Some(error);
            }
            Output::Stalled(stall) => self.die(stall.to_string()),
        }
    }

    fn answer(&mut self, connection: ConnectionId, answer: Answer) {
        let Some(outbox) = self.connections.get(&connection) else { return };
        outbox.push(answer);
        if self.holder != Some(connection) {
            self.wakes.push(outbox.clone());
        }
    }

    /// Ends this world: every connection is closed, and nothing is handled any more.
    pub(crate) fn die(&mut self, why: String) {
        if self.dead.is_some() {
            return;
        }
        tracing::error!("this cluster is dead: {why}");
        let events = self.world.trace().events();
        let older = events.len().saturating_sub(50);
        for event in events.skip(older) {
            tracing::error!("before that: {event}");
        }
        self.dead = Some(why);
        #[expect(clippy::iter_over_hash_type, reason = "the order in which sockets close decides nothing")]
        for (_, outbox) in self.connections.drain() {
            outbox.close();
            self.wakes.push(outbox);
        }
        for listening in self.listening.values() {
            listening.send_replace(false);
        }
    }

    /// Closes every connection and listener for good.
    pub(crate) fn close_all(&mut self) {
        self.dead.get_or_insert_with(|| "the cluster was stopped".to_owned());
        #[expect(clippy::iter_over_hash_type, reason = "the order in which sockets close decides nothing")]
        for (_, outbox) in self.connections.drain() {
            outbox.close();
            self.wakes.push(outbox);
        }
        self.listening.clear();
        self.flushes = None;
    }
}

#[cfg(test)]
mod tests {
    use klamm_world::WorldSettings;

    use super::*;

    #[test]
    fn a_panic_ends_its_own_world_and_is_told() {
        let driver = Arc::new(Driver::new(World::new(WorldSettings::default(), BTreeMap::new()), None));
        let outbox = Outbox::new();
        driver.with("connect", |state| state.connections.insert(ConnectionId(1), outbox.clone()));
        let unlucky = driver.clone();
        std::thread::spawn(move || unlucky.with("bad luck", |_| panic!("bad luck"))).join().unwrap_err();

        driver.with("afterwards", |state| {
            assert_eq!(state.dead(), Some("klamm has a bug: it panicked while handling \"bad luck\""));
        });
        assert!(outbox.take(&mut Vec::new()), "its connections are closed");
    }
}
