//! The broker's life as the controller sees it: registration, heartbeats, controlled shutdown (`BrokerLifecycleManager`).

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::supported_features;
use klamm_node::{Ctx, Effect, SendError, TraceKind};
use klamm_wire::messages::broker_registration_request::{Feature, Listener};
use klamm_wire::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest, ResponseKind};
use klamm_wire::{ErrorCode, Response, StrBytes, Uuid};

use crate::core::{Call, Core, Timer};

/// The listener that brokers and clients use.
pub(crate) const LISTENER: &str = "PLAINTEXT";

/// How long a controlled shutdown waits for the controller before the broker stops anyway.
const CONTROLLED_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(300);

/// The states of `BrokerState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifecycleState {
    /// Registering, and catching up with the metadata log.
    Starting,
    /// Caught up; wants to be unfenced.
    Recovery,
    /// Unfenced.
    Running,
    /// Asked the controller to be let go.
    PendingControlledShutdown,
    /// Done.
    ShuttingDown,
}

/// The broker's standing with the controller.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    /// Where it stands.
    pub(crate) state: LifecycleState,
    /// Its epoch; -1 before it registered.
    pub(crate) epoch: i64,
    /// The id of this process's life.
    incarnation_id: Uuid,
    /// The ids of the log directories that failed, and whether the controller knows.
    pub(crate) offline_dirs: BTreeMap<Uuid, bool>,
    /// Those that the heartbeat under way names.
    offline_sent: Vec<Uuid>,
    /// The epoch of its last life, if that ended in order (KIP-966); -1 otherwise.
    previous_epoch: i64,
    in_flight: bool,
    /// Ask again as soon as the answer is here.
    again: bool,
    /// The metadata offset of the last heartbeat.
    pub(crate) told_offset: i64,
    shutdown_answered: bool,
}

impl Lifecycle {
    /// A broker that is about to register.
    pub(crate) const fn new(incarnation_id: Uuid, previous_epoch: i64) -> Self {
        Self {
            state: LifecycleState::Starting,
            epoch: -1,
            incarnation_id,
            offline_dirs: BTreeMap::new(),
            offline_sent: Vec::new(),
            previous_epoch,
            in_flight: false,
            again: false,
            told_offset: -1,
            shutdown_answered: false,
        }
    }

    /// Whether the broker has not been unfenced in this life: it listens to nobody yet.
    pub(crate) const fn was_never_unfenced(&self) -> bool {
        matches!(self.state, LifecycleState::Starting | LifecycleState::Recovery)
    }

    /// Whether heartbeats only keep the session: the broker runs, and has nothing to tell.
    pub(crate) fn only_keeps_its_session(&self) -> bool {
        self.state == LifecycleState::Running
            && !self.in_flight
            && !self.again
            && self.offline_dirs.is_empty()
    }

    /// Whether the broker is on its way down.
    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self.state, LifecycleState::PendingControlledShutdown | LifecycleState::ShuttingDown)
    }
}

impl Core {
    /// Registers or sends a heartbeat now, or right after the one that is under way.
    pub(crate) fn heartbeat_now(&mut self, ctx: &mut Ctx<'_>) {
        if self.lifecycle.in_flight {
            self.lifecycle.again = true;
        } else {
            self.communicate(ctx);
        }
    }

    /// The heartbeat's timer has come.
    pub(crate) fn communicate(&mut self, ctx: &mut Ctx<'_>) {
        if self.lifecycle.in_flight || self.lifecycle.state == LifecycleState::ShuttingDown {
            return;
        }
        self.lifecycle.in_flight = true;
        self.lifecycle.again = false;
        if self.lifecycle.epoch < 0 { self.register(ctx) } else { self.heartbeat(ctx) }
    }

    fn register(&mut self, ctx: &mut Ctx<'_>) {
        let features = supported_features(self.settings.kafka_version).into_iter().map(|feature| {
            Feature::default()
                .with_name(StrBytes::from_static_str(feature.name))
                .with_min_supported_version(feature.min)
                .with_max_supported_version(feature.max)
        });
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str(LISTENER))
            .with_host(self.settings.host.clone())
            .with_port(self.settings.port);
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(self.settings.node.0))
            .with_cluster_id(self.settings.cluster_id.clone())
            .with_incarnation_id(self.lifecycle.incarnation_id)
            .with_listeners(vec![listener])
            .with_features(features.collect())
            .with_rack(self.settings.rack.clone())
            .with_log_dirs(self.replicas.dirs.online_ids())
            .with_previous_broker_epoch(self.lifecycle.previous_epoch);
        self.call_controller(ctx, 4, request.into(), self.config.hot.session_timeout_ms, Call::Registration);
    }

    fn heartbeat(&mut self, ctx: &mut Ctx<'_>) {
        let offset = self.metadata.image().provenance.last_contained_offset;
        self.lifecycle.told_offset = offset;
        let offline: Vec<Uuid> = self.lifecycle.offline_dirs.keys().copied().collect();
        self.lifecycle.offline_sent.clone_from(&offline);
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.settings.node.0))
            .with_broker_epoch(self.lifecycle.epoch)
            .with_current_metadata_offset(offset)
            // There is no recovery work between catching up and serving, so the wish is there from the start.
            .with_want_fence(false)
            .with_want_shut_down(self.lifecycle.state == LifecycleState::PendingControlledShutdown)
            .with_offline_log_dirs(offline);
        self.call_controller(ctx, 1, request.into(), self.config.hot.session_timeout_ms, Call::Heartbeat);
    }

    fn heartbeat_in(&mut self, ctx: &Ctx<'_>, delay: Duration) {
        self.timers.set(Timer::Heartbeat, ctx.now + delay);
    }

    /// The registration was answered.
    pub(crate) fn on_registration(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        self.lifecycle.in_flight = false;
        let answer = match &result {
            Ok(Response::Other(kind)) => match &**kind {
                ResponseKind::BrokerRegistration(answer) => Some(answer),
                _ => None,
            },
            _ => None,
        };
        match answer {
            Some(answer) if answer.error_code == 0 => {
                self.lifecycle.epoch = answer.broker_epoch;
                self.communicate(ctx);
            }
            answer => {
                let refused = answer.filter(|answer| answer.error_code != ErrorCode::NotController.code());
                if let Some(answer) = refused {
                    let error =
                        ErrorCode::from_code(answer.error_code).map_or("an unknown error", ErrorCode::name);
                    ctx.trace(TraceKind::RegistrationRefused { error });
                }
                self.heartbeat_failed(ctx, refused.is_some());
            }
        }
    }

    /// Asks again: soon where no active controller was reached, which the channel to it does by itself in Kafka, otherwise with the
    /// next heartbeat.
    fn heartbeat_failed(&mut self, ctx: &Ctx<'_>, reached: bool) {
        let delay = if reached { self.config.hot.heartbeat_interval } else { self.controller.retry_delay() };
        self.heartbeat_in(ctx, delay);
    }

    /// A heartbeat was answered.
    pub(crate) fn on_heartbeat(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        self.lifecycle.in_flight = false;
        let interval = self.config.hot.heartbeat_interval;
        let answer = match result {
            Ok(Response::Other(kind)) => match *kind {
                ResponseKind::BrokerHeartbeat(answer) => answer,
                _ => return self.heartbeat_failed(ctx, true),
            },
            Err(_) | Ok(Response::Fetch(_)) => return self.heartbeat_failed(ctx, false),
        };
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {
                for dir in std::mem::take(&mut self.lifecycle.offline_sent) {
                    self.lifecycle.offline_dirs.insert(dir, true);
                }
            }
            Some(ErrorCode::NotController) => return self.heartbeat_failed(ctx, false),
            _ => return self.heartbeat_failed(ctx, true),
        }
        match self.lifecycle.state {
            LifecycleState::Starting if answer.is_caught_up => {
                self.lifecycle.state = LifecycleState::Recovery;
                self.on_caught_up(ctx);
                if answer.is_fenced {
                    // Kafka asks again after 10 ms; there is nothing to wait for.
                    self.lifecycle.again = true;
                } else {
                    self.on_unfenced(ctx);
                }
            }
            // Asked again as soon as more metadata has been read.
            LifecycleState::Starting if self.metadata_moved_since_heartbeat() => self.lifecycle.again = true,
            LifecycleState::Recovery if !answer.is_fenced => self.on_unfenced(ctx),
            LifecycleState::PendingControlledShutdown => {
                if answer.should_shut_down {
                    return self.finish_shutdown(ctx);
                }
                let first = !std::mem::replace(&mut self.lifecycle.shutdown_answered, true);
                let delay = if first { Duration::from_millis(50) } else { interval };
                return self.heartbeat_in(ctx, delay);
            }
            LifecycleState::ShuttingDown => return,
            _ => {}
        }
        if std::mem::take(&mut self.lifecycle.again) {
            self.communicate(ctx);
        } else {
            self.heartbeat_in(ctx, interval);
        }
    }

    fn on_unfenced(&mut self, ctx: &mut Ctx<'_>) {
        self.lifecycle.state = LifecycleState::Running;
        ctx.trace(TraceKind::BrokerRunning);
    }

    const fn metadata_moved_since_heartbeat(&self) -> bool {
        self.metadata.image().provenance.last_contained_offset > self.lifecycle.told_offset
    }

    /// More metadata was read: a broker that still starts says so at once.
    pub(crate) fn on_metadata_progress(&mut self, ctx: &mut Ctx<'_>) {
        let waiting = match self.lifecycle.state {
            LifecycleState::Starting => self.lifecycle.epoch >= 0,
            LifecycleState::PendingControlledShutdown => self.lifecycle.shutdown_answered,
            _ => false,
        };
        if waiting && !self.lifecycle.in_flight {
            self.communicate(ctx);
        }
    }

    /// Asks the controller to move leadership away.
    pub(crate) fn begin_shutdown(&mut self, ctx: &mut Ctx<'_>) {
        match self.lifecycle.state {
            LifecycleState::Running => {
                self.lifecycle.state = LifecycleState::PendingControlledShutdown;
                self.timers.set(Timer::ControlledShutdownLimit, ctx.now + CONTROLLED_SHUTDOWN_TIMEOUT);
                self.heartbeat_now(ctx);
            }
            LifecycleState::PendingControlledShutdown | LifecycleState::ShuttingDown => {}
            LifecycleState::Starting | LifecycleState::Recovery => self.finish_shutdown(ctx),
        }
    }

    /// The controller lets the broker go, or it waited long enough: ends in order.
    pub(crate) fn finish_shutdown(&mut self, ctx: &mut Ctx<'_>) {
        if self.lifecycle.state == LifecycleState::ShuttingDown {
            return;
        }
        self.lifecycle.state = LifecycleState::ShuttingDown;
        self.close_logs(ctx);
        ctx.effects.push(Effect::Halt);
    }
}
