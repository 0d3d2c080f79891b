//! How scripted clients and their operations become bytes, and come back.

use klamm_wire::{Api, Request};

use super::codec::{Decoded, Decoder, Encoder, nonsense};
use super::value::{Value, fields, variants};
use crate::client::TransactionalSpec;
use crate::client::scripted::{
    AdminSpec, Assignor, ClientOp, ClientSettings, CommittedOffset, ConsumerOp, GroupProtocol, GroupSettings,
    NewRecord, OffsetReset, RequestOp, ScriptedConsumerSpec, ScriptedProducerSpec, SeekTo, SendOp, Target,
};

impl<T: Value> Value for Box<T> {
    fn put(&self, to: &mut Encoder) {
        T::put(self, to);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        T::take(from).map(Self::new)
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn put(&self, to: &mut Encoder) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl Value for usize {
    fn put(&self, to: &mut Encoder) {
        to.varint(*self as u64);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.number()
    }
}

fields! {
    ClientSettings { client_id, request_timeout, retry_backoff, retry_backoff_max, metadata_max_age }
    ScriptedProducerSpec { client, acks, idempotent, retries, max_in_flight, delivery_timeout, max_block }
    ScriptedConsumerSpec {
        client, read_committed, auto_offset_reset, fetch_max_wait, fetch_min_bytes, fetch_max_bytes,
        max_partition_fetch_bytes, max_poll_records, rack, group,
    }
    GroupSettings {
        group_id, protocol, instance_id, session_timeout, heartbeat_interval, max_poll_interval, assignors,
        remote_assignor,
    }
    CommittedOffset { offset, leader_epoch }
    AdminSpec { client }
    TransactionalSpec {
        id, topic, reads, timeout, transactions, batches, batch, interval, aborts, rest, v2, hasty,
    }
    NewRecord { key, value, timestamp }
    SendOp { partition, records, to }
}

variants! {
    GroupProtocol {
        0 Classic {}
        1 Consumer {}
    }
    Assignor {
        0 Range {}
        1 CooperativeSticky {}
    }
    Target {
        0 Any {}
        1 Broker { 0: broker }
        2 Leader { 0: partition }
    }
    OffsetReset {
        0 None {}
        1 Earliest {}
        2 Latest {}
    }
    SeekTo {
        0 Beginning {}
        1 End {}
        2 Offset { offset: offset, leader_epoch: leader_epoch }
    }
    ConsumerOp {
        0 Assign { 0: partitions }
        1 Seek { partition: partition, to: to }
        2 FetchFrom { 0: broker }
        3 Poll { at_least: at_least, within: within }
        4 Consume { within: within }
        5 ListOffsets { partition: partition, timestamp: timestamp }
        6 Subscribe { 0: topics }
        7 Unsubscribe {}
        8 Commit { 0: offsets }
        9 Committed { 0: partitions }
    }
}

impl Encoder {
    pub(super) fn client_op(&mut self, op: &ClientOp) -> Result<(), String> {
        match op {
            ClientOp::Request(request) => {
                self.varint(0);
                self.request_op(request)?;
            }
            ClientOp::FreezeMetadata(frozen) => {
                self.varint(1);
                frozen.put(self);
            }
            ClientOp::Send(send) => {
                self.varint(2);
                send.put(self);
            }
            ClientOp::Flush => self.varint(3),
            ClientOp::Consumer(op) => {
                self.varint(4);
                op.put(self);
            }
        }
        Ok(())
    }

    fn request_op(&mut self, op: &RequestOp) -> Result<(), String> {
        let RequestOp { to, api_key, api_version, request, timeout } = op;
        to.put(self);
        api_key.put(self);
        api_version.put(self);
        timeout.put(self);
        let version = api_version.unwrap_or_else(|| Api::of(*api_key).max);
        let mut body = bytes::BytesMut::new();
        request.encode(&mut body, version).map_err(|error| error.to_string())?;
        self.bytes(&body);
        Ok(())
    }
}

impl Decoder {
    pub(super) fn client_op(&mut self) -> Decoded<ClientOp> {
        Ok(match self.varint()? {
            0 => ClientOp::Request(self.request_op()?),
            1 => ClientOp::FreezeMetadata(Value::take(self)?),
            2 => ClientOp::Send(Value::take(self)?),
            3 => ClientOp::Flush,
            4 => ClientOp::Consumer(Value::take(self)?),
            other => return nonsense(format!("there is no operation {other}")),
        })
    }

    fn request_op(&mut self) -> Decoded<RequestOp> {
        let (to, api_key) = (Value::take(self)?, Value::take(self)?);
        let (api_version, timeout): (Option<i16>, _) = (Value::take(self)?, Value::take(self)?);
        let mut body = self.blob()?;
        let version = api_version.unwrap_or_else(|| Api::of(api_key).max);
        let request = Request::decode(api_key, &mut body, version)
            .or_else(|error| nonsense(format!("{api_key:?} v{version}: {error}")))?;
        Ok(RequestOp { to, api_key, api_version, request: Box::new(request), timeout })
    }
}
