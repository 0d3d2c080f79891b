//! Requests as they are: any client can ask any broker anything.

use std::collections::BTreeMap;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::Api;

use super::base::Base;
use super::error::ClientError;
use super::op::{OpId, OpValue, RequestOp, Target};
use crate::client::{Answer, ClientCtx};

/// Requests that wait for a connection, and those that wait for an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    waiting: Vec<Waiting>,
    asked: BTreeMap<i32, OpId>,
}

#[derive(Debug, Clone)]
struct Waiting {
    op: OpId,
    request: RequestOp,
    gives_up: Timestamp,
}

impl Requests {
    pub(super) fn add(&mut self, ctx: &ClientCtx<'_>, base: &mut Base, op: OpId, request: RequestOp) {
        if let Target::Leader(partition) = &request.to {
            base.metadata.want(&partition.topic);
        }
        let patience = request.timeout.unwrap_or(base.settings.request_timeout);
        self.waiting.push(Waiting { op, request, gives_up: ctx.now + patience });
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|waiting| {
            if waiting.gives_up <= ctx.now {
                ctx.end(waiting.op, Err(ClientError::RequestTimedOut));
                return false;
            }
            let Some(to) = target(ctx, base, &waiting.request.to) else { return true };
            let RequestOp { api_key, api_version, request, .. } = &waiting.request;
            let version =
                api_version.unwrap_or_else(|| base.channels.version(to, *api_key, Api::of(*api_key).max));
            let patience = waiting.gives_up.since(ctx.now);
            let correlation_id = ctx.ask_within(to, *api_key, version, (**request).clone(), patience);
            self.asked.insert(correlation_id, waiting.op);
            false
        });
        self.waiting = waiting;
    }

    /// Takes an answer that is one of these'; gives it back when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        correlation_id: i32,
        answer: Answer,
    ) -> Option<Answer> {
        let Some(op) = self.asked.remove(&correlation_id) else { return Some(answer) };
        ctx.end(
            op,
            match answer {
                Answer::Response(response) => Ok(OpValue::Response(Box::new(response))),
                Answer::Disconnected => Err(ClientError::Disconnected),
                Answer::TimedOut => Err(ClientError::RequestTimedOut),
            },
        );
        None
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.waiting.iter().map(|waiting| waiting.gives_up)
    }
}

/// The broker to ask, when a request can be sent to it now.
fn target(ctx: &mut ClientCtx<'_>, base: &mut Base, target: &Target) -> Option<NodeId> {
    let broker = match target {
        Target::Any => return base.channels.least_loaded(ctx),
        Target::Broker(broker) => *broker,
        Target::Leader(partition) => {
            let leader = base.metadata.leader(partition).and_then(|known| known.leader);
            if leader.is_none() {
                base.metadata.request_update();
            }
            leader?
        }
    };
    base.channels.ready(ctx, broker).then_some(broker)
}
