//! How settings and inputs become bytes, and come back.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_log::disk::{DiskError, DiskErrorKind, FlushId, FlushOutcome};
use klamm_node::{ConnectionId, Eras, NodeId, Timestamp, WallTime};
use klamm_wire::release::UnknownRelease;
use klamm_wire::{ApiKey, Request, StrBytes};

use super::value::Value;
use crate::client::{ClientId, ClientSpec, ConsumerSpec, ProducerSpec, WatcherSpec};
use crate::input::{ClientRequest, Command, Input};
use crate::settings::{BrokerSpec, LinkSettings, WorldSettings};

/// The kinds of disk errors, in the order of their numbers.
const DISK_ERRORS: [DiskErrorKind; 4] =
    [DiskErrorKind::NotFound, DiskErrorKind::AlreadyExists, DiskErrorKind::Full, DiskErrorKind::Io];

/// Builds one entry at a time.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    pub(super) entry: BytesMut,
    taken: bool,
}

impl Encoder {
    /// The entry that was built; the next call begins another.
    pub(super) fn take(&mut self) -> &[u8] {
        self.taken = true;
        &self.entry
    }

    fn begin(&mut self) -> &mut BytesMut {
        if std::mem::take(&mut self.taken) {
            self.entry.clear();
        }
        &mut self.entry
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        let out = self.begin();
        while value >= 0x80 {
            out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.put_u8(value as u8);
    }

    /// A signed number, zigzag.
    pub(super) fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.entry.put_slice(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.varint(0),
            Some(text) => {
                self.varint(1);
                self.bytes(text.as_bytes());
            }
        }
    }

    fn node(&mut self, node: NodeId) {
        self.signed(node.0.into());
    }

    fn link(&mut self, link: LinkSettings) {
        self.varint(u64::try_from(link.latency.as_nanos()).unwrap_or(u64::MAX));
        self.varint(u64::try_from(link.jitter.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn settings(&mut self, settings: &WorldSettings) {
        let WorldSettings {
            seed,
            cluster_id,
            brokers,
            controllers,
            config,
            kafka_version,
            eras,
            link,
            wall_epoch,
            trace_capacity,
            client_history,
            deferred_flush,
            step_budget,
        } = settings;
        self.varint(*seed);
        self.optional(cluster_id.as_deref());
        self.varint(brokers.len() as u64);
        for BrokerSpec { node, host, port, rack } in brokers {
            self.node(*node);
            self.bytes(host.as_bytes());
            self.varint((*port).into());
            self.optional(rack.as_deref());
        }
        self.varint(controllers.len() as u64);
        for controller in controllers {
            self.node(*controller);
        }
        self.varint(config.len() as u64);
        for (key, value) in config {
            self.bytes(key.as_bytes());
            self.bytes(value.as_bytes());
        }
        // By name: numbers change when a release or switch is added.
        self.bytes(kafka_version.name().as_bytes());
        self.varint(eras.old().count() as u64);
        for (era, on) in eras.old() {
            self.bytes(format!("{era}={on}").as_bytes());
        }
        self.link(*link);
        self.signed(wall_epoch.0);
        self.varint(*trace_capacity as u64);
        self.varint(*client_history as u64);
        self.varint((*deferred_flush).into());
        self.varint(*step_budget);
    }

    pub(super) fn input(&mut self, input: &Input) -> Result<(), String> {
        match input {
            Input::Tick => self.varint(0),
            Input::Connect { connection, broker, host } => {
                self.varint(1);
                self.varint(connection.0);
                self.node(*broker);
                self.bytes(host.as_bytes());
            }
            Input::Disconnect { connection } => {
                self.varint(2);
                self.varint(connection.0);
            }
            Input::Request(request) => {
                self.varint(3);
                self.request(request)?;
            }
            Input::Command(command) => {
                self.varint(4);
                self.command(command)?;
            }
            Input::Flushed { node, outcome } => {
                self.varint(5);
                self.node(*node);
                self.varint(outcome.id.0);
                match &outcome.result {
                    Ok(()) => self.varint(0),
                    Err(error) => {
                        self.varint(
                            1 + DISK_ERRORS.iter().position(|kind| *kind == error.kind).unwrap_or(0) as u64,
                        );
                        self.bytes(error.path.as_bytes());
                        self.bytes(error.message.as_bytes());
                    }
                }
            }
            Input::Pass { from } => {
                self.varint(6);
                self.varint(from.0);
            }
        }
        Ok(())
    }

    fn request(&mut self, request: &ClientRequest) -> Result<(), String> {
        // What was found out about the records is found out again.
        let ClientRequest {
            connection,
            correlation_id,
            api_key,
            api_version,
            client_id,
            request,
            inspected: _,
        } = request;
        self.varint(connection.0);
        self.signed((*correlation_id).into());
        self.signed((*api_key as i16).into());
        self.signed((*api_version).into());
        self.optional(client_id.as_deref());
        request.encode(&mut self.entry, *api_version).map_err(|error| error.to_string())
    }

    fn command(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Start(node) => self.node_command(0, *node),
            Command::Stop(node) => self.node_command(1, *node),
            Command::Crash(node) => self.node_command(2, *node),
            Command::PowerLoss(node) => self.node_command(3, *node),
            Command::SetLink { from, to, link } => {
                self.node_command(4, *from);
                self.node(*to);
                self.link(*link);
            }
            Command::SetWallSkew { node, millis } => {
                self.node_command(5, *node);
                self.signed(*millis);
            }
            Command::AddClient(spec) => {
                self.varint(6);
                self.client(spec);
            }
            Command::StopClient(ClientId(id)) => {
                self.varint(7);
                self.varint((*id).into());
            }
            Command::Inject { id, fault } => {
                self.varint(8);
                id.put(self);
                fault.put(self);
            }
            Command::Heal(id) => {
                self.varint(9);
                id.put(self);
            }
            Command::HealAll => self.varint(10),
            Command::Client { client, op } => {
                self.varint(11);
                client.put(self);
                self.client_op(op)?;
            }
        }
        Ok(())
    }

    fn client(&mut self, spec: &ClientSpec) {
        match spec {
            ClientSpec::Producer(spec) => {
                let ProducerSpec { topic, acks, idempotent, records, batch, interval, in_flight } = spec;
                self.varint(0);
                self.bytes(topic.as_bytes());
                self.signed((*acks).into());
                self.varint((*idempotent).into());
                self.varint(*records);
                self.varint((*batch).into());
                self.varint(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX));
                self.varint(*in_flight as u64);
            }
            ClientSpec::Consumer(ConsumerSpec { topic, max_wait_ms, read_committed }) => {
                self.varint(1);
                self.bytes(topic.as_bytes());
                self.signed((*max_wait_ms).into());
                self.varint((*read_committed).into());
            }
            ClientSpec::ScriptedProducer(spec) => {
                self.varint(2);
                spec.put(self);
            }
            ClientSpec::Admin(spec) => {
                self.varint(3);
                spec.put(self);
            }
            ClientSpec::ScriptedConsumer(spec) => {
                self.varint(4);
                spec.put(self);
            }
            ClientSpec::Watcher(WatcherSpec { topic, interval }) => {
                self.varint(5);
                self.bytes(topic.as_bytes());
                self.varint(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX));
            }
            ClientSpec::Transactional(spec) => {
                self.varint(6);
                spec.put(self);
            }
        }
    }

    fn node_command(&mut self, tag: u64, node: NodeId) {
        self.varint(tag);
        self.node(node);
    }
}

/// What does not make sense.
#[derive(Debug)]
pub(super) struct Nonsense(pub(super) String);

pub(super) type Decoded<T> = Result<T, Nonsense>;

pub(super) fn nonsense<T>(what: impl Into<String>) -> Decoded<T> {
    Err(Nonsense(what.into()))
}

/// Reads one entry.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) entry: Bytes,
}

impl Decoder {
    pub(super) fn new(entry: Vec<u8>) -> Self {
        Self { entry: entry.into() }
    }

    pub(super) fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Ok(byte) = self.entry.try_get_u8() else { return nonsense("it ends too early") };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        nonsense("a number is too long")
    }

    pub(super) fn signed<T: TryFrom<i64>>(&mut self) -> Decoded<T> {
        let value = self.varint()?;
        let value = (value >> 1) as i64 ^ -((value & 1) as i64);
        T::try_from(value).or_else(|_| nonsense(format!("{value} is out of range")))
    }

    pub(super) fn blob(&mut self) -> Decoded<Bytes> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if len > self.entry.len() {
            return nonsense("bytes are cut off");
        }
        Ok(self.entry.split_to(len))
    }

    pub(super) fn text(&mut self) -> Decoded<StrBytes> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if len > self.entry.len() {
            return nonsense("a text is cut off");
        }
        StrBytes::from_utf8(self.entry.split_to(len)).or_else(|_| nonsense("a text is not UTF-8"))
    }

    fn optional(&mut self) -> Decoded<Option<StrBytes>> {
        match self.varint()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            other => nonsense(format!("{other} is no presence mark")),
        }
    }

    fn node(&mut self) -> Decoded<NodeId> {
        self.signed().map(NodeId)
    }

    fn link(&mut self) -> Decoded<LinkSettings> {
        Ok(LinkSettings {
            latency: Duration::from_nanos(self.varint()?),
            jitter: Duration::from_nanos(self.varint()?),
        })
    }

    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Decoded<T>) -> Decoded<Vec<T>> {
        let count = self.varint()?;
        (0..count).map(|_| item(self)).collect()
    }

    pub(super) fn settings(&mut self) -> Decoded<WorldSettings> {
        Ok(WorldSettings {
            seed: self.varint()?,
            cluster_id: self.optional()?,
            brokers: self.list(|decoder| {
                Ok(BrokerSpec {
                    node: decoder.node()?,
                    host: decoder.text()?,
                    port: u16::try_from(decoder.varint()?).or_else(|_| nonsense("a port is out of range"))?,
                    rack: decoder.optional()?,
                })
            })?,
            controllers: self.list(Self::node)?,
            config: self
                .list(|decoder| Ok((decoder.text()?.to_string(), decoder.text()?.to_string())))?
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            kafka_version: self
                .text()?
                .parse()
                .or_else(|error: UnknownRelease| nonsense(error.to_string()))?,
            eras: self.eras()?,
            link: self.link()?,
            wall_epoch: WallTime(self.signed()?),
            trace_capacity: usize::try_from(self.varint()?).or_else(|_| nonsense("the trace is too long"))?,
            client_history: usize::try_from(self.varint()?)
                .or_else(|_| nonsense("the history is too long"))?,
            deferred_flush: self.varint()? != 0,
            step_budget: self.varint()?,
        })
    }

    fn eras(&mut self) -> Decoded<Eras> {
        let mut eras = Eras::NEWEST;
        for text in self.list(Self::text)? {
            eras.set(&text).or_else(|error| nonsense(error.to_string()))?;
        }
        Ok(eras)
    }

    pub(super) fn input(&mut self) -> Decoded<Input> {
        Ok(match self.varint()? {
            0 => Input::Tick,
            1 => Input::Connect {
                connection: ConnectionId(self.varint()?),
                broker: self.node()?,
                host: self.text()?,
            },
            2 => Input::Disconnect { connection: ConnectionId(self.varint()?) },
            3 => Input::Request(self.request()?),
            4 => Input::Command(self.command()?),
            5 => Input::Flushed { node: self.node()?, outcome: self.flush_outcome()? },
            6 => Input::Pass { from: Timestamp(self.varint()?) },
            other => return nonsense(format!("there is no input {other}")),
        })
    }

    fn flush_outcome(&mut self) -> Decoded<FlushOutcome> {
        let id = FlushId(self.varint()?);
        let result = match self.varint()? {
            0 => Ok(()),
            kind => {
                let kind = usize::try_from(kind - 1).ok().and_then(|kind| DISK_ERRORS.get(kind));
                let Some(kind) = kind else { return nonsense("there is no such disk error") };
                Err(DiskError::new(*kind, &*self.text()?, &*self.text()?))
            }
        };
        Ok(FlushOutcome { id, result })
    }

    fn request(&mut self) -> Decoded<ClientRequest> {
        let connection = ConnectionId(self.varint()?);
        let correlation_id = self.signed()?;
        let key: i16 = self.signed()?;
        let Ok(api_key) = ApiKey::try_from(key) else { return nonsense(format!("there is no API {key}")) };
        let api_version = self.signed()?;
        let client_id = self.optional()?;
        let request = Request::decode(api_key, &mut self.entry, api_version)
            .or_else(|error| nonsense(format!("{api_key:?} v{api_version}: {error}")))?;
        Ok(ClientRequest {
            connection,
            correlation_id,
            api_key,
            api_version,
            client_id,
            request,
            inspected: None,
        })
    }

    fn command(&mut self) -> Decoded<Command> {
        Ok(match self.varint()? {
            0 => Command::Start(self.node()?),
            1 => Command::Stop(self.node()?),
            2 => Command::Crash(self.node()?),
            3 => Command::PowerLoss(self.node()?),
            4 => Command::SetLink { from: self.node()?, to: self.node()?, link: self.link()? },
            5 => Command::SetWallSkew { node: self.node()?, millis: self.signed()? },
            6 => Command::AddClient(self.client()?),
            7 => Command::StopClient(ClientId(self.number()?)),
            8 => Command::Inject { id: Value::take(self)?, fault: Box::new(Value::take(self)?) },
            9 => Command::Heal(Value::take(self)?),
            10 => Command::HealAll,
            11 => Command::Client { client: Value::take(self)?, op: Box::new(self.client_op()?) },
            other => return nonsense(format!("there is no command {other}")),
        })
    }

    fn client(&mut self) -> Decoded<ClientSpec> {
        Ok(match self.varint()? {
            0 => ClientSpec::Producer(ProducerSpec {
                topic: self.text()?,
                acks: self.signed()?,
                idempotent: self.varint()? != 0,
                records: self.varint()?,
                batch: self.number()?,
                interval: Duration::from_nanos(self.varint()?),
                in_flight: self.number()?,
            }),
            1 => ClientSpec::Consumer(ConsumerSpec {
                topic: self.text()?,
                max_wait_ms: self.signed()?,
                read_committed: self.varint()? != 0,
            }),
            2 => ClientSpec::ScriptedProducer(Value::take(self)?),
            3 => ClientSpec::Admin(Value::take(self)?),
            4 => ClientSpec::ScriptedConsumer(Value::take(self)?),
            5 => ClientSpec::Watcher(WatcherSpec {
                topic: self.text()?,
                interval: Duration::from_nanos(self.varint()?),
            }),
            6 => ClientSpec::Transactional(Value::take(self)?),
            other => return nonsense(format!("there is no client {other}")),
        })
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Decoded<T> {
        let value = self.varint()?;
        T::try_from(value).or_else(|_| nonsense(format!("{value} is out of range")))
    }
}
