//! The share coordinator's API keys, one file each: brokers and group coordinators keep share groups' state there.

/// The body of a handler. The five differ in nothing but the types that are generated for their API, in what they ask of a
/// share-partition, and in what they tell of it besides what went wrong.
macro_rules! state_handler {
    (
        $request:ident, $kind:ident($response:ident), $result:ident, $partition:ident,
        $asked:ident => $ask:expr,
        ($told:ident, $answer:ident) => $tell:expr $(,)?
    ) => {
        /// Asks the share coordinator.
        pub(crate) fn handle(
            broker: &mut crate::broker::Broker,
            ctx: &mut klamm_node::Ctx<'_>,
            rc: &crate::core::RequestContext,
            request: &$request,
        ) {
            let asks = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|$asked| ($asked.partition, $ask));
                (topic.topic_id, partitions.collect())
            });
            let (asks, group) = (asks.collect(), &request.group_id);
            broker.share_coordinator.ask(&mut broker.core, ctx, rc.reply_to, group, asks, respond);
        }

        fn respond(
            topics: Vec<crate::share_coordinator::ask::TopicAnswers>,
        ) -> klamm_wire::messages::ResponseKind {
            let results = topics.into_iter().map(|(topic_id, answers)| {
                let partitions = answers.iter().map(|$answer| {
                    let $told = $partition::default()
                        .with_partition($answer.partition)
                        .with_error_code($answer.error.code())
                        .with_error_message($answer.message.clone());
                    $tell
                });
                $result::default().with_topic_id(topic_id).with_partitions(partitions.collect())
            });
            let response = $response::default().with_results(results.collect());
            klamm_wire::messages::ResponseKind::$kind(response)
        }
    };
}

mod delete;
mod initialize;
mod read;
mod summary;
mod write;

use klamm_node::Ctx;
use klamm_wire::Request;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers a request that belongs to the share coordinator.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, request: Request) {
    match request {
        Request::InitializeShareGroupState(request) => initialize::handle(broker, ctx, rc, &request),
        Request::ReadShareGroupState(request) => read::handle(broker, ctx, rc, &request),
        Request::WriteShareGroupState(request) => write::handle(broker, ctx, rc, &request),
        Request::DeleteShareGroupState(request) => delete::handle(broker, ctx, rc, &request),
        Request::ReadShareGroupStateSummary(request) => summary::handle(broker, ctx, rc, &request),
        _ => ctx.close(rc.reply_to),
    }
}
