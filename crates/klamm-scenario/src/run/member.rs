//! Consumers that live in the world and behave as Kafka's own.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::TopicPartition;
use klamm_world::scripted::{ClientSettings, ConsumerOp, OpId, OpResult, OpValue, ScriptedConsumerSpec};
use klamm_world::{ClientId, ClientSpec};

use super::Runner;
use crate::report::Failure;
use crate::step::ConsumerSpec;
use crate::theatre::Theatre;

/// Which consumers were given something to do that only these can, and which client of the world each is.
#[derive(Debug, Default)]
pub(super) struct Members {
    specs: BTreeMap<String, ConsumerSpec>,
    clients: BTreeMap<String, ClientId>,
    next: u32,
}

impl<T: Theatre> Runner<T> {
    pub(super) fn declare_member(&mut self, spec: &ConsumerSpec) {
        self.members.specs.insert(spec.name.clone(), spec.clone());
    }

    /// The client of the world that a consumer is, which is added when it is first needed.
    fn member(&mut self, name: &str) -> Option<ClientId> {
        if let Some(client) = self.members.clients.get(name) {
            return Some(*client);
        }
        let spec = self.members.specs.get(name)?;
        let client = ClientSettings {
            request_timeout: spec.request_timeout,
            ..ClientSettings::named(name.to_owned())
        };
        let spec = ScriptedConsumerSpec {
            client,
            read_committed: spec.read_committed,
            auto_offset_reset: spec.member.reset,
            rack: spec.rack.clone().map(Into::into),
            group: spec.member.group.clone().map(Box::new),
            ..ScriptedConsumerSpec::default()
        };
        let id = ClientId(self.members.next);
        self.members.next += 1;
        self.stage.add_client(ClientSpec::ScriptedConsumer(spec));
        self.members.clients.insert(name.to_owned(), id);
        Some(id)
    }

    /// A consumer of the world, with what it was declared as.
    pub(super) fn member_and_spec(&self, name: &str) -> Option<(ClientId, &ConsumerSpec)> {
        Some((self.member_id(name)?, self.members.specs.get(name)?))
    }

    pub(super) fn ask_member(
        &mut self,
        name: &str,
        op: &ConsumerOp,
        error: &str,
        wait: bool,
        patience: Duration,
    ) -> Vec<Failure> {
        let Some(client) = self.member(name) else { return Vec::new() };
        let Some(id) = self.stage.ask_client(client, op.clone().into()) else { return Vec::new() };
        if !wait {
            return Vec::new();
        }
        let ended = |runner: &Self| runner.ended(client, id).is_some();
        self.wait(patience, ended);
        self.told_op(name, client, id);
        let actual = self.op_error(client, id);
        if actual == error {
            return Vec::new();
        }
        vec![Failure::new(format!("what {name} was asked"), error, actual)]
    }

    /// How an operation ended, if it has.
    fn ended(&self, client: ClientId, id: OpId) -> Option<OpResult> {
        self.stage.client_op(client, id)
    }

    fn op_error(&self, client: ClientId, id: OpId) -> String {
        match self.ended(client, id) {
            None => "PENDING".to_owned(),
            Some(Ok(_)) => "NONE".to_owned(),
            Some(Err(error)) => error.name().to_owned(),
        }
    }

    fn told_op(&mut self, name: &str, client: ClientId, id: OpId) {
        let Some(result) = self.ended(client, id) else { return };
        let text = match result {
            Ok(OpValue::Records(records)) => {
                let values = records.iter().map(|record| {
                    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
                });
                format!("{name} reads {} records: {}", records.len(), values.collect::<Vec<_>>().join(" "))
            }
            Ok(_) => return,
            Err(error) => format!("{name}: {error}"),
        };
        self.told.push(text);
    }

    pub(super) fn end_member(&mut self, name: &str) {
        if let Some(client) = self.members.clients.remove(name) {
            self.stage.end_client(client);
        }
    }

    pub(super) fn member_id(&self, name: &str) -> Option<ClientId> {
        self.members.clients.get(name).copied()
    }

    /// Every record of a partition that a consumer of the world has read, in order.
    pub(super) fn member_records(&self, name: &str, partition: &TopicPartition) -> Vec<String> {
        let Some(client) = self.member_id(name) else { return Vec::new() };
        let values = self.stage.client_reads(client, partition).into_iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
            .collect()
    }
}
