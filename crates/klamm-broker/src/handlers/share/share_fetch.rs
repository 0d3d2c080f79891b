//! ShareFetch (key 78), versions 1 to 2. Answers to `KafkaApis.handleShareFetchRequest` (KIP-932).
//!
//! * v2 renewed locks (KIP-1222), a strict limit of records (KIP-1206)

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::share_fetch_response::PartitionData;
use klamm_wire::messages::{ResponseKind, ShareFetchRequest, ShareFetchResponse};

use super::{checked, renews, session_key};
use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::share::acknowledge::Acknowledgement;
use crate::share::fetch::ShareFetch;
use crate::share::pending::{Fetched, Kind};
use crate::share::session::{FINAL_EPOCH, INITIAL_EPOCH, TopicPartitionId};

/// How strictly `MaxRecords` is meant (`ShareAcquireMode`): batches of the log are given whole.
const BATCH_OPTIMIZED: i8 = 0;
/// No record more.
const RECORD_LIMIT: i8 = 1;

/// Takes note of acknowledgements, and gives records.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: ShareFetchRequest,
) {
    let Broker { core, share, .. } = broker;
    let refuse = |ctx: &mut Ctx<'_>, error: ErrorCode| {
        let response = ShareFetchResponse::default().with_error_code(error.code());
        ctx.reply(rc.reply_to, ResponseKind::ShareFetch(response));
    };
    let group = request.group_id.as_ref().map(|group| &group.0);
    let session = match session_key(core, group, request.member_id.as_ref()) {
        Ok(session) => session,
        Err(error) => return refuse(ctx, error),
    };
    let renews = renews(rc.api_version, request.is_renew_ack);
    // What it asks for would take time, which the locks that it renews may not have.
    let sizes = [request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms];
    if renews && sizes != [0; 4] {
        return refuse(ctx, ErrorCode::InvalidRequest);
    }
    let epoch = request.share_session_epoch;
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.topic_id, partition.partition_index))
    });
    let named: Vec<TopicPartitionId> = named.collect();
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
    let forgotten: BTreeSet<TopicPartitionId> = forgotten.collect();
    let acknowledges = request
        .topics
        .iter()
        .any(|topic| topic.partitions.iter().any(|p| !p.acknowledgement_batches.is_empty()));
    let connection = match rc.reply_to {
        ReplyTo::Client { connection, .. } => Some(connection),
        ReplyTo::Node { .. } => None,
    };
    let partitions = match epoch {
        INITIAL_EPOCH if acknowledges => return refuse(ctx, ErrorCode::InvalidRequest),
        INITIAL_EPOCH => match share.begin_session(&session, &named, connection) {
            Ok(partitions) => partitions,
            Err(_) => return share.refuse_late(ctx, rc.reply_to, request.max_wait_ms),
        },
        FINAL_EPOCH if share.has_session(&session) => Vec::new(),
        FINAL_EPOCH => return refuse(ctx, ErrorCode::ShareSessionNotFound),
        _ => match share.go_on(&session, epoch, &named, &forgotten) {
            Ok(partitions) => partitions,
            Err(error) => return refuse(ctx, error),
        },
    };
    let (group, member) = session.clone();
    let (known, refused) = resolve(core, partitions);
    let mut op = ShareFetch {
        pending: share.begin(rc.reply_to, session, epoch, Kind::Fetch(None)),
        connection,
        partitions: known,
        min_bytes: 0,
        max_bytes: request.max_bytes.min(core.config.hot.fetch_max_bytes),
        max_records: request.max_records,
        strict: request.share_acquire_mode == RECORD_LIMIT,
        batch_size: request.batch_size,
        isolation: core.share_isolation(&group),
        group,
        member,
        refused,
        failed: BTreeMap::new(),
    };
    op.min_bytes = request.min_bytes.min(op.max_bytes);
    // Each turn begins with another partition.
    if epoch > 0 && op.partitions.len() > 1 {
        let first = epoch.unsigned_abs() as usize % op.partitions.len();
        op.partitions.rotate_left(first);
    }
    if acknowledges {
        let said = request.topics.into_iter().flat_map(|topic| {
            let topic_id = topic.topic_id;
            topic.partitions.into_iter().map(move |p| {
                let batches = p.acknowledgement_batches.into_iter().map(|batch| Acknowledgement {
                    first: batch.first_offset,
                    last: batch.last_offset,
                    types: batch.acknowledge_types,
                });
                ((topic_id, p.partition_index), batches.collect::<Vec<_>>())
            })
        });
        let said = checked(core, renews, said);
        share.acknowledge(core, ctx, op.pending, said);
    }
    if renews {
        return share.fetched(core, ctx, op.pending, Vec::new());
    }
    if !(BATCH_OPTIMIZED..=RECORD_LIMIT).contains(&request.share_acquire_mode) && !op.partitions.is_empty() {
        return share.fail(ctx, op.pending, ErrorCode::UnknownServerError);
    }
    share.start_fetch(core, ctx, op, request.max_wait_ms);
}

/// The partitions that the cluster has, and answers for the others.
fn resolve(core: &Core, partitions: Vec<TopicPartitionId>) -> (Vec<TopicPartitionId>, Vec<Fetched>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (topic, partition) in partitions {
        let topics = &core.metadata.image().topics;
        let error = match topics.by_id(topic) {
            None => ErrorCode::UnknownTopicId,
            Some(_) if topics.partition(topic, partition).is_none() => ErrorCode::UnknownTopicOrPartition,
            Some(_) => {
                known.push((topic, partition));
                continue;
            }
        };
        let answer = PartitionData::default()
            .with_partition_index(partition)
            .with_error_code(error.code())
            .with_records(Some(bytes::Bytes::new()));
        unknown.push((topic, answer));
    }
    (known, unknown)
}
