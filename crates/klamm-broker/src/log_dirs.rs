//! The log directories of a broker, each with its logs' manager, its id and its standing (`LogManager`'s side of KIP-112 and
//! KIP-858).

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_log::{
    Disk, LoadedLog, LogConfig, LogError, LogLimits, LogManager, LogManagerSettings, MetaProperties,
};
use klamm_node::{Ctx, TopicPartition};
use klamm_wire::Uuid;

use crate::broker::BrokerSettings;

/// A log directory's place in `log.dirs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Dir(pub(crate) u16);

impl Dir {
    /// The directory that holds the metadata log: the first one, as `metadata.log.dir` is by default.
    pub(crate) const METADATA: Self = Self(0);
}

#[derive(Debug, Clone)]
struct LogDir {
    path: String,
    /// Its id, once `meta.properties` was read or written. Kept when the directory fails.
    id: Option<Uuid>,
    /// What its logs share; `None` once it failed.
    manager: Option<LogManager>,
}

/// Every log directory of a broker, in the order of `log.dirs`.
#[derive(Debug, Clone)]
pub(crate) struct LogDirs {
    dirs: Vec<LogDir>,
}

/// The logs that were found, with the directory of each.
pub(crate) type Found = BTreeMap<TopicPartition, (Dir, LoadedLog)>;

impl LogDirs {
    /// Opens every directory, makes up the ids of new ones, and loads their logs. A directory whose disk fails is left out:
    /// it is offline from the start.
    ///
    /// # Errors
    /// When the first directory, that of the metadata log, fails; when a directory belongs to another node or cluster; when
    /// two hold the same partition or have the same id.
    /// The last are the future logs.
    pub(crate) fn open(
        paths: Vec<String>,
        limits: LogLimits,
        settings: &BrokerSettings,
        defaults: &Arc<LogConfig>,
        disk: &mut dyn Disk,
        ctx: &mut Ctx<'_>,
    ) -> Result<(Self, Found, Found), LogError> {
        let mut dirs = Vec::with_capacity(paths.len());
        let (mut found, mut futures) = (Found::new(), Found::new());
        for (at, path) in (0..).map(Dir).zip(paths) {
            let opened = open_one(&path, limits, settings, defaults, disk, ctx);
            let (manager, id, logs) = match opened {
                Ok(opened) => opened,
                Err(LogError::Disk(error)) if at != Dir::METADATA => {
                    super::directories::trace_offline(ctx, &path, &error.to_string());
                    dirs.push(LogDir { path, id: None, manager: None });
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(twin) = dirs.iter().find(|dir| dir.id == Some(id)) {
                return Err(LogError::Invalid(format!(
                    "the log directories /{} and /{path} have the same directory.id: one is a copy of the other",
                    twin.path
                )));
            }
            for log in logs {
                let name = TopicPartition::new(log.topic.clone(), log.partition);
                let found = if log.is_future { &mut futures } else { &mut found };
                if let Some((other, _)) = found.get(&name) {
                    let other: &LogDir = &dirs[usize::from(other.0)];
                    return Err(LogError::Invalid(format!(
                        "{name} is in two log directories, /{} and /{path}: remove one of them",
                        other.path
                    )));
                }
                found.insert(name, (at, log));
            }
            dirs.push(LogDir { path, id: Some(id), manager: Some(manager) });
        }
        Ok((Self { dirs }, found, futures))
    }

    fn get(&self, dir: Dir) -> Option<&LogDir> {
        self.dirs.get(usize::from(dir.0))
    }

    fn with_places(&self) -> impl Iterator<Item = (Dir, &LogDir)> {
        (0..).map(Dir).zip(&self.dirs)
    }

    /// Every directory, with its path as `log.dirs` has it and whether it is online.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Dir, String, bool)> {
        self.with_places().map(|(at, dir)| (at, format!("/{}", dir.path), dir.manager.is_some()))
    }

    /// The directories that work.
    pub(crate) fn online(&self) -> Vec<Dir> {
        self.with_places().filter(|(_, dir)| dir.manager.is_some()).map(|(at, _)| at).collect()
    }

    /// Whether any directory failed.
    pub(crate) fn any_offline(&self) -> bool {
        self.dirs.iter().any(|dir| dir.manager.is_none())
    }

    /// The ids of the directories that work: what a registration names.
    pub(crate) fn online_ids(&self) -> Vec<Uuid> {
        self.dirs.iter().filter(|dir| dir.manager.is_some()).filter_map(|dir| dir.id).collect()
    }

    /// A directory's path, as `log.dirs` has it.
    pub(crate) fn path(&self, dir: Dir) -> String {
        self.get(dir).map(|dir| format!("/{}", dir.path)).unwrap_or_default()
    }

    /// A directory's id.
    pub(crate) fn id(&self, dir: Dir) -> Option<Uuid> {
        self.get(dir)?.id
    }

    /// A directory that works, by its id.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<Dir> {
        let mut dirs = self.with_places();
        dirs.find(|(_, dir)| dir.id == Some(id) && dir.manager.is_some()).map(|(at, _)| at)
    }

    /// The manager of a directory's logs, while it works.
    pub(crate) fn manager(&self, dir: Dir) -> Option<&LogManager> {
        self.dirs.get(usize::from(dir.0))?.manager.as_ref()
    }

    /// What stands around the logs of a directory, while it works.
    pub(crate) fn manager_mut(&mut self, dir: Dir) -> Option<&mut LogManager> {
        self.dirs.get_mut(usize::from(dir.0))?.manager.as_mut()
    }

    /// Gives a directory up. Its path, when it worked until now.
    pub(crate) fn fail(&mut self, dir: Dir) -> Option<String> {
        let dir = self.dirs.get_mut(usize::from(dir.0))?;
        dir.manager.take().map(|_| dir.path.clone())
    }

    /// The epoch that every directory was closed under (`loadBrokerEpochFromCleanShutdownFiles`); -1 when they were not all
    /// closed in order, or not together.
    pub(crate) fn previous_broker_epoch(&self) -> i64 {
        let mut epochs =
            self.dirs.iter().filter_map(|dir| Some(dir.manager.as_ref()?.previous_broker_epoch()));
        let first = epochs.next().flatten().unwrap_or(-1);
        if epochs.all(|epoch| epoch == Some(first)) { first } else { -1 }
    }
}

/// Opens one directory: its manager, its id and its logs.
fn open_one(
    path: &str,
    limits: LogLimits,
    settings: &BrokerSettings,
    defaults: &Arc<LogConfig>,
    disk: &mut dyn Disk,
    ctx: &mut Ctx<'_>,
) -> Result<(LogManager, Uuid, Vec<LoadedLog>), LogError> {
    // What topics set on themselves is not known before metadata has been read; it is applied when a log is claimed.
    let log_settings = LogManagerSettings { limits, topics_unknown: true, ..LogManagerSettings::new(path) };
    let now = ctx.wall.millis();
    let (manager, loaded) = LogManager::open(disk, log_settings, now, &mut |_| defaults.clone())?;
    if let Some(meta) = manager.meta_properties(disk)? {
        if meta.cluster_id != *settings.cluster_id || meta.node_id != settings.node.0 {
            return Err(LogError::Invalid(format!(
                "the log directory /{path} belongs to node {} of cluster {}, not to node {} of cluster {}",
                meta.node_id, meta.cluster_id, settings.node, settings.cluster_id
            )));
        }
        return Ok((manager, meta.directory_id, loaded));
    }
    let meta = MetaProperties {
        cluster_id: settings.cluster_id.to_string(),
        node_id: settings.node.0,
        directory_id: ctx.rng.uuid(),
    };
    manager.write_meta_properties(disk, &meta)?;
    Ok((manager, meta.directory_id, loaded))
}
