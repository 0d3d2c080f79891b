//! What becomes of a log directory that fails: its replicas go offline, the others serve on, and the controller is told
//! (`ReplicaManager.handleLogDirFailure`, KIP-112, KIP-858).

use std::time::Duration;

use klamm_log::LogError;
use klamm_node::config::broker;
use klamm_node::{Ctx, Effect, TraceKind};
use klamm_wire::ErrorCode;

use crate::core::{Core, Timer};
use crate::lifecycle::LifecycleState;
use crate::log_dirs::Dir;

/// Says that a directory is not used any more.
pub(crate) fn trace_offline(ctx: &mut Ctx<'_>, path: &str, error: &str) {
    let (directory, cause) = (format!("/{path}"), error.to_owned());
    ctx.trace(TraceKind::LogDirectoryOffline { directory, cause });
}

impl Core {
    /// After a failed read or write the directory is not trusted any more: nothing is read from it or written to it until
    /// the broker starts again.
    pub(crate) fn on_directory_failure(&mut self, ctx: &mut Ctx<'_>, dir: Dir, error: &str) {
        let Some(path) = self.replicas.dirs.fail(dir) else { return };
        trace_offline(ctx, &path, error);
        for slot in self.replicas.slots() {
            let moving = self.replicas.get(slot).and_then(|p| Some((p.dir, p.future.as_ref()?.dir)));
            if moving.is_some_and(|(from, to)| from == dir || to == dir) {
                self.drop_future(ctx, slot, false);
            }
            if self.replicas.get(slot).is_some_and(|partition| partition.dir == dir)
                && let Some(partition) = self.evict_partition(ctx, slot, ErrorCode::KafkaStorageError)
            {
                self.replicas.offline.insert(partition.name, Some(partition.topic_id));
            }
        }
        self.replicas.unclaimed_futures.retain(|_, (at, _)| *at != dir);
        let lost = self.replicas.unclaimed.extract_if(.., |_, (at, _)| *at == dir);
        self.replicas.offline.extend(lost.map(|(name, (_, log))| (name, log.topic_id)));
        if self.replicas.dirs.online().is_empty() || dir == Dir::METADATA {
            return self.halt(ctx);
        }
        if let Some(id) = self.replicas.dirs.id(dir) {
            self.lifecycle.offline_dirs.insert(id, false);
            let limit = self.config.get(broker::LOG_DIR_FAILURE_TIMEOUT_MS);
            let limit = Duration::from_millis(u64::try_from(limit).unwrap_or(0));
            self.timers.set(Timer::DirectoryFailure(dir), ctx.now + limit);
            self.heartbeat_now(ctx);
        }
    }

    /// A replica's log could not be read or written: its directory fails.
    pub(crate) fn on_log_failure(&mut self, ctx: &mut Ctx<'_>, dir: Dir, error: &LogError) {
        self.on_directory_failure(ctx, dir, &error.to_string());
    }

    /// The time is up to tell the controller of a failed directory: a broker whose leaderships nobody can move stops.
    pub(crate) fn check_directory_told(&mut self, ctx: &mut Ctx<'_>, dir: Dir) {
        let told = self.replicas.dirs.id(dir).and_then(|id| self.lifecycle.offline_dirs.get(&id));
        if told == Some(&false) {
            ctx.trace(TraceKind::NodeHalted {
                cause: "no controller could be told of the failed log directory".to_owned(),
            });
            self.finish_shutdown(ctx);
        }
    }

    /// Ends the process at once, without closing the logs (`Exit.halt`).
    fn halt(&mut self, ctx: &mut Ctx<'_>) {
        if self.lifecycle.state == LifecycleState::ShuttingDown {
            return;
        }
        self.lifecycle.state = LifecycleState::ShuttingDown;
        ctx.trace(TraceKind::NodeHalted {
            cause: "the log directory of the metadata log, or the last one, has failed".to_owned(),
        });
        ctx.effects.push(Effect::Halt);
    }
}
