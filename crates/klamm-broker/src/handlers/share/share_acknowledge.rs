//! ShareAcknowledge (key 79), versions 1 to 2. Answers to `KafkaApis.handleShareAcknowledgeRequest` (KIP-932).
//!
//! * v2 renewed locks (KIP-1222)

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{ResponseKind, ShareAcknowledgeRequest, ShareAcknowledgeResponse};

use super::{checked, renews, session_key};
use crate::broker::Broker;
use crate::core::RequestContext;
use crate::share::acknowledge::Acknowledgement;
use crate::share::pending::Kind;
use crate::share::session::{FINAL_EPOCH, INITIAL_EPOCH};

/// Takes note of acknowledgements; answers when the share coordinator keeps them.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: ShareAcknowledgeRequest,
) {
    let Broker { core, share, .. } = broker;
    let refuse = |ctx: &mut Ctx<'_>, error: ErrorCode| {
        let response = ShareAcknowledgeResponse::default().with_error_code(error.code());
        ctx.reply(rc.reply_to, ResponseKind::ShareAcknowledge(response));
    };
    let group = request.group_id.as_ref().map(|group| &group.0);
    let session = match session_key(core, group, request.member_id.as_ref()) {
        Ok(session) => session,
        Err(error) => return refuse(ctx, error),
    };
    let epoch = request.share_session_epoch;
    let going_on = match epoch {
        INITIAL_EPOCH => Err(ErrorCode::InvalidShareSessionEpoch),
        FINAL_EPOCH if share.has_session(&session) => Ok(()),
        FINAL_EPOCH => Err(ErrorCode::ShareSessionNotFound),
        _ => share.go_on(&session, epoch, &[], &Default::default()).map(drop),
    };
    if let Err(error) = going_on {
        return refuse(ctx, error);
    }
    let pending = share.begin(rc.reply_to, session, epoch, Kind::Acknowledge);
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
    let said = checked(core, renews(rc.api_version, request.is_renew_ack), said);
    share.acknowledge(core, ctx, pending, said);
    share.maybe_answer(core, ctx, pending);
}
