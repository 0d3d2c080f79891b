//! Clients that do what they are told, one operation at a time, with the rules of Kafka's own clients.
//!
//! A scripted client is added with [`Command::AddClient`](crate::Command::AddClient) and a
//! [`ClientSpec::ScriptedProducer`](crate::ClientSpec::ScriptedProducer), `ScriptedConsumer` or `Admin`; it is handed
//! operations with [`Command::Client`](crate::Command::Client). Each operation has an [`OpId`] (0, 1, 2 … in the order in
//! which the client was asked) and ends in an [`OpResult`], which [`World::client_op`](crate::World::client_op) tells.
//! What all clients did and saw, in one order, is [`World::client_history`](crate::World::client_history).
//!
//! The clients live in the world: they connect through the simulated network (with Kafka's connection backoff and the
//! ApiVersions exchange first), learn leaders from Metadata and leader hints (KIP-951), back off as KIP-580 says, and
//! see nothing else of the cluster. Anything an administrator does is an [`ClientOp::Request`].

mod backoff;
mod base;
mod channels;
mod consumer;
mod error;
mod group;
mod history;
mod metadata;
mod op;
mod producer;
mod requests;
mod settings;

use std::collections::BTreeMap;

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::StrBytes;

use self::base::Base;
use self::consumer::Consumer;
pub use self::error::ClientError;
pub use self::group::{Assignor, MemberState, MemberStatus};
pub use self::history::{History, HistoryEntry, HistoryEvent};
pub use self::metadata::KnownLeader;
pub(crate) use self::op::Ops;
pub use self::op::{
    ClientOp, CommittedOffset, ConsumedRecord, ConsumerOp, FoundOffset, NewRecord, Offsets, OpId, OpRecord,
    OpResult, OpValue, Produced, RequestOp, SeekTo, SendOp, Target,
};
use self::producer::Producer;
use self::requests::Requests;
pub use self::settings::{
    AdminSpec, ClientSettings, GroupProtocol, GroupSettings, OffsetReset, ScriptedConsumerSpec,
    ScriptedProducerSpec,
};
use super::{Answer, ClientCtx};

/// A scripted client.
#[derive(Debug, Clone)]
pub(super) struct Scripted {
    base: Base,
    requests: Requests,
    role: Role,
}

#[derive(Debug, Clone)]
enum Role {
    Producer(Box<Producer>),
    Consumer(Box<Consumer>),
    Admin,
}

impl Scripted {
    pub(super) fn producer(spec: ScriptedProducerSpec) -> Self {
        let base = Base::new(spec.client.clone(), true);
        Self { base, requests: Requests::default(), role: Role::Producer(Box::new(Producer::new(spec))) }
    }

    pub(super) fn consumer(spec: ScriptedConsumerSpec) -> Self {
        let base = Base::new(spec.client.clone(), true);
        Self { base, requests: Requests::default(), role: Role::Consumer(Box::new(Consumer::new(spec))) }
    }

    pub(super) fn admin(spec: AdminSpec) -> Self {
        Self { base: Base::new(spec.client, false), requests: Requests::default(), role: Role::Admin }
    }

    pub(super) const fn settings(&self) -> &ClientSettings {
        &self.base.settings
    }

    /// What it believes of a partition's leader.
    pub(super) fn known_leader(&self, partition: &TopicPartition) -> Option<KnownLeader> {
        self.base.metadata.leader(partition)
    }

    /// Where a consumer is in its partitions; nothing for another client.
    pub(super) fn positions(&self) -> BTreeMap<TopicPartition, Option<i64>> {
        match &self.role {
            Role::Consumer(consumer) => consumer.positions().map(|(name, at)| (name.clone(), at)).collect(),
            Role::Producer(_) | Role::Admin => BTreeMap::new(),
        }
    }

    /// A consumer's place in its group.
    pub(super) fn member(&self) -> Option<MemberStatus> {
        if let Role::Consumer(consumer) = &self.role { consumer.member() } else { None }
    }

    /// Its group, if it is a consumer that has one.
    pub(super) fn group(&self) -> Option<&StrBytes> {
        if let Role::Consumer(consumer) = &self.role { consumer.group() } else { None }
    }

    /// The topics that a member of a group wants to be in it for; nothing once it has given up.
    pub(super) fn subscribed(&self) -> &[StrBytes] {
        if let Role::Consumer(consumer) = &self.role { consumer.subscribed() } else { &[] }
    }

    /// Takes an operation on.
    pub(super) fn ask(&mut self, ctx: &mut ClientCtx<'_>, id: OpId, op: ClientOp) {
        match (op, &mut self.role) {
            (ClientOp::Request(request), _) => self.requests.add(ctx, &mut self.base, id, request),
            (ClientOp::FreezeMetadata(frozen), _) => {
                self.base.metadata.freeze(frozen);
                ctx.end(id, Ok(OpValue::Done));
            }
            (ClientOp::Send(send), Role::Producer(producer)) => producer.send(ctx, &mut self.base, id, send),
            (ClientOp::Flush, Role::Producer(producer)) => producer.flush(ctx, id),
            (ClientOp::Consumer(op), Role::Consumer(consumer)) => consumer.ask(id, op),
            (ClientOp::Send(_), _) => ctx.refuse(id, "only a producer can send"),
            (ClientOp::Flush, _) => ctx.refuse(id, "only a producer can flush"),
            (ClientOp::Consumer(_), _) => ctx.refuse(id, "only a consumer can do that"),
        }
    }

    pub(super) fn on_lost(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        self.base.on_lost(ctx, broker);
        if let Role::Consumer(consumer) = &mut self.role {
            consumer.on_lost(broker);
        }
    }

    pub(super) fn on_answer(&mut self, ctx: &mut ClientCtx<'_>, correlation_id: i32, answer: Answer) {
        if self.base.on_answer(ctx, correlation_id, &answer) {
            return;
        }
        let Some(answer) = self.requests.on_answer(ctx, correlation_id, answer) else { return };
        match &mut self.role {
            Role::Producer(producer) => producer.on_answer(ctx, &mut self.base, correlation_id, &answer),
            Role::Consumer(consumer) => consumer.on_answer(ctx, &mut self.base, correlation_id, answer),
            Role::Admin => {}
        }
    }

    /// Does whatever can be done now.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.requests.go_on(ctx, &mut self.base);
        match &mut self.role {
            Role::Producer(producer) => producer.go_on(ctx, &mut self.base),
            Role::Consumer(consumer) => consumer.go_on(ctx, &mut self.base),
            Role::Admin => {}
        }
        self.base.go_on(ctx);
    }

    pub(super) fn next_deadlines(&self) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        let common = self.base.next_deadlines().chain(self.requests.next_deadlines());
        match &self.role {
            Role::Producer(producer) => Box::new(common.chain(producer.next_deadlines())),
            Role::Consumer(consumer) => Box::new(common.chain(consumer.next_deadlines())),
            Role::Admin => Box::new(common),
        }
    }
}
