//! AlterReplicaLogDirs (key 34), versions 1–2. Answers to `ReplicaManager.alterReplicaLogDirs`.
//!
//! A replica that this broker does not have yet is made in the directory asked for; until it is there the answer is
//! `REPLICA_NOT_AVAILABLE`, and administrators ask again.

use klamm_node::{Ctx, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use klamm_wire::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, ResponseKind, TopicName,
};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};

/// The longest name of a directory.
const LONGEST_NAME: usize = 255;
/// What a future log's directory has behind its partition's: a dot, a UUID without dashes, and `-future`.
const FUTURE_SUFFIX: usize = 1 + 32 + 7;

/// Begins to move replicas to other log directories.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: AlterReplicaLogDirsRequest,
) {
    let core = &mut broker.core;
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for index in topic.partitions {
                let name = TopicPartition { topic: topic.name.0.clone(), partition: index };
                let error = alter(core, ctx, &name, &dir.path).err().unwrap_or(ErrorCode::None);
                let result = AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(error.code());
                match results.iter_mut().find(|known| known.topic_name.0 == name.topic) {
                    Some(known) => known.partitions.push(result),
                    None => results.push(
                        AlterReplicaLogDirTopicResult::default()
                            .with_topic_name(TopicName(name.topic))
                            .with_partitions(vec![result]),
                    ),
                }
            }
        }
    }
    let response = AlterReplicaLogDirsResponse::default().with_results(results);
    ctx.reply(rc.reply_to, ResponseKind::AlterReplicaLogDirs(response));
}

fn alter(core: &mut Core, ctx: &mut Ctx<'_>, name: &TopicPartition, path: &str) -> Result<(), ErrorCode> {
    if name.to_string().len() + FUTURE_SUFFIX > LONGEST_NAME {
        return Err(ErrorCode::InvalidTopicException);
    }
    let mut dirs = core.replicas.dirs.iter();
    let Some((dir, _, online)) = dirs.find(|(_, known, _)| known.trim_matches('/') == path.trim_matches('/'))
    else {
        return Err(ErrorCode::LogDirNotFound);
    };
    drop(dirs);
    if !online || core.replicas.offline.contains_key(name) {
        return Err(ErrorCode::KafkaStorageError);
    }
    match core.replicas.slot_by_name(name) {
        Some(slot) => core.alter_log_dir(ctx, slot, dir),
        None => {
            core.replicas.preferred_dirs.insert(name.clone(), dir);
            Err(ErrorCode::ReplicaNotAvailable)
        }
    }
}
