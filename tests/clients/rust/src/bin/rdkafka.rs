//! rdkafka (librdkafka): idempotent producers, an eager round-robin group, static members, and the admin client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_executor::block_on;
use klamm_clients_rust::check;
use klamm_clients_rust::records::{Checker, Outcome, PER_CODEC, Records, number, wait_for};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Message};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const PARTITIONS: usize = 6;
const REPLICAS: usize = 3;
const RESUMED: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() {
    klamm_clients_rust::main("rdkafka", run);
}

/// Collects acknowledgements.
#[derive(Default, Clone)]
struct Acks(Arc<Mutex<(usize, Option<String>)>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut acks = self.0.lock().unwrap();
        match result {
            Ok(message) if message.offset() >= 0 => acks.0 += 1,
            Ok(message) => acks.1 = Some(format!("an ack with offset {}", message.offset())),
            Err((error, _)) => acks.1 = Some(error.to_string()),
        }
    }
}

fn produce(bootstrap: &str, topic: &str, records: &Records, codec: &str, from: usize, to: usize) -> Outcome {
    let acks = Acks::default();
    let producer: ThreadedProducer<Acks> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", codec)
        .set("linger.ms", "5")
        .create_with_context(acks.clone())?;
    for n in from..to {
        let (key, value) = (records.key(n), records.value(n));
        let headers = records.headers(n);
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: value.as_ref() }));
        let mut record = BaseRecord::to(topic).key(&key).timestamp(records.timestamp(n)).headers(headers);
        if let Some(value) = &value {
            record = record.payload(value);
        }
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT * 2)?;
    let (count, error) = acks.0.lock().unwrap().clone();
    check!(error.is_none(), "{codec}: {error:?}");
    check!(count == to - from, "{codec}: {count} acks");
    Ok(())
}

/// What a member and its callbacks know.
struct State {
    owned: Mutex<Vec<i32>>,
    positions: Mutex<BTreeMap<i32, i64>>,
    leaving: AtomicBool,
}

struct Context(Arc<State>);

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                *self.0.owned.lock().unwrap() =
                    list.elements().iter().map(|element| element.partition()).collect();
            }
            Rebalance::Revoke(list) => {
                let topic = list.elements().first().map(|element| element.topic().to_owned());
                commit(consumer, &topic.unwrap_or_default(), &self.0).expect("commit before giving up");
                self.0.owned.lock().unwrap().clear();
            }
            Rebalance::Error(error) => panic!("rebalance: {error}"),
        }
    }
}

fn commit(consumer: &BaseConsumer<Context>, topic: &str, state: &State) -> Outcome {
    let positions = std::mem::take(&mut *state.positions.lock().unwrap());
    if positions.is_empty() {
        return Ok(());
    }
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in positions {
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(consumer.commit(&offsets, CommitMode::Sync)?)
}

struct Member {
    state: Arc<State>,
    thread: JoinHandle<Outcome>,
}

/// What every member of one group shares.
#[derive(Clone)]
struct Group {
    bootstrap: String,
    topic: String,
    id: String,
    records: Arc<Records>,
    checker: Arc<Mutex<Checker>>,
}

impl Group {
    fn start(&self, name: &str) -> Outcome<Member> {
        let state =
            Arc::new(State { owned: Mutex::default(), positions: Mutex::default(), leaving: false.into() });
        let consumer: BaseConsumer<Context> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.id)
            .set("client.id", name)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("partition.assignment.strategy", "roundrobin")
            .set("heartbeat.interval.ms", "300")
            .set("session.timeout.ms", "20000")
            .set("fetch.wait.max.ms", "100")
            .create_with_context(Context(state.clone()))?;
        consumer.subscribe(&[&self.topic])?;
        let (group, shared) = (self.clone(), state.clone());
        let thread = std::thread::spawn(move || {
            while !shared.leaving.load(Ordering::Relaxed) {
                if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                    let message = message?;
                    group.checker.lock().unwrap().accept(&group.records, &message)?;
                    shared.positions.lock().unwrap().insert(message.partition(), message.offset() + 1);
                }
            }
            commit(&consumer, &group.topic, &shared)?;
            consumer.unsubscribe();
            Ok(())
        });
        Ok(Member { state, thread })
    }
}

impl Member {
    fn owned(&self) -> usize {
        self.state.owned.lock().unwrap().len()
    }

    fn leave(self) -> Outcome {
        self.state.leaving.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "a member panicked")?
    }
}

/// Takes out a member whose thread has ended, to report its error.
fn watch(members: &mut Vec<Member>) -> Outcome {
    match members.iter().position(|member| member.thread.is_finished()) {
        Some(ended) => members.remove(ended).leave().and(Err("a member ended by itself".into())),
        None => Ok(()),
    }
}

/// Three members, then four, then two, while the records flow.
fn dance(group: &Group) -> Outcome {
    let mut members = vec![group.start("m0")?, group.start("m1")?, group.start("m2")?];
    let expected = group.checker.lock().unwrap().expected;
    let settled = |members: &mut Vec<Member>, sizes: &[usize]| -> Outcome {
        wait_for(&format!("{sizes:?} partitions"), || {
            watch(members)?;
            let mut owned: Vec<usize> = members.iter().map(Member::owned).collect();
            owned.sort_unstable();
            Ok((owned == sizes).then_some(()))
        })
    };
    let reached = |members: &mut Vec<Member>, count: usize| -> Outcome {
        wait_for(&format!("{count} records"), || {
            watch(members)?;
            Ok((group.checker.lock().unwrap().count() >= count).then_some(()))
        })
    };
    settled(&mut members, &[2, 2, 2])?;
    reached(&mut members, expected / 4)?;
    members.push(group.start("m3")?);
    settled(&mut members, &[1, 1, 2, 2])?;
    let observer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &group.bootstrap).create()?;
    wait_for("a stable group of four", || {
        let list = observer.fetch_group_list(Some(&group.id), TIMEOUT)?;
        let stable = |found: &rdkafka::groups::GroupInfo| {
            found.state() == "Stable" && found.members().len() == 4 && found.protocol() == "roundrobin"
        };
        Ok(list.groups().first().is_some_and(stable).then_some(()))
    })?;
    reached(&mut members, expected / 2)?;
    for member in members.drain(..2) {
        member.leave()?;
    }
    settled(&mut members, &[3, 3])?;
    reached(&mut members, expected)?;
    members.into_iter().try_for_each(Member::leave)
}

fn run(bootstrap: &str, unique: &str) -> Outcome<String> {
    let topic = unique.to_owned();
    let mut records = Records::new(&CODECS);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    create(&admin, &topic)?;
    for (c, codec) in CODECS.iter().enumerate() {
        produce(bootstrap, &topic, &records, codec, c * PER_CODEC, (c + 1) * PER_CODEC)?;
    }
    let total = records.total();

    let id = format!("g-{topic}");
    let checker = Arc::new(Mutex::new(Checker::new(0, total)));
    let group = Group {
        bootstrap: bootstrap.into(),
        topic: topic.clone(),
        id,
        records: Arc::new(Records { codecs: records.codecs.clone(), ..records }),
        checker,
    };
    dance(&group)?;
    let ends = group.checker.lock().unwrap().next.clone();
    committed(&group, &ends)?;

    records.codecs = group.records.codecs.iter().copied().chain(["none"]).collect();
    records.base = group.records.base;
    produce(bootstrap, &topic, &records, "none", total, total + RESUMED)?;
    let mut resumed = Checker::new(total, total + RESUMED);
    resumed.next = ends;
    let resumed = Arc::new(Mutex::new(resumed));
    let again = Group { records: Arc::new(records), checker: resumed.clone(), ..group.clone() };
    let mut last = vec![again.start("resumed")?];
    wait_for("the resumed records", || {
        watch(&mut last)?;
        Ok((resumed.lock().unwrap().count() == RESUMED).then_some(()))
    })?;
    last.into_iter().try_for_each(Member::leave)?;
    let ends = resumed.lock().unwrap().next.clone();
    committed(&again, &ends)?;

    seek_and_look_up(&group, &ends)?;
    describe(&admin, &group, &ends)?;
    Ok(format!("records={} codecs={}", total + RESUMED, CODECS.len()))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn create(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Outcome {
    let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(REPLICAS as i32))
        .set("retention.ms", "86400000");
    for result in block_on(admin.create_topics([&new], &options()))? {
        result.map_err(|(name, code)| format!("create {name}: {code}"))?;
    }
    let again = block_on(admin.create_topics([&new], &options()))?;
    check!(matches!(again[..], [Err((_, RDKafkaErrorCode::TopicAlreadyExists))]), "created twice: {again:?}");
    wait_for("in-sync replicas", || {
        let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT)?;
        check!(metadata.brokers().len() == 3, "{} brokers", metadata.brokers().len());
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let good = partitions
            .iter()
            .all(|p| p.leader() > 0 && p.replicas().len() == REPLICAS && p.isr().len() == REPLICAS);
        Ok((good && partitions.len() == PARTITIONS).then_some(()))
    })
}

fn committed(group: &Group, ends: &BTreeMap<i32, i64>) -> Outcome {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &group.bootstrap).set("group.id", &group.id).create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&group.topic, 0, PARTITIONS as i32 - 1);
    for element in consumer.committed_offsets(list, TIMEOUT)?.elements() {
        let wanted = Offset::Offset(ends[&element.partition()]);
        check!(
            element.offset() == wanted,
            "committed {:?} of {}, not {wanted:?}",
            element.offset(),
            element.partition()
        );
    }
    Ok(())
}

fn seek_and_look_up(group: &Group, ends: &BTreeMap<i32, i64>) -> Outcome {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &group.bootstrap)
        .set("group.id", format!("none-{}", group.topic))
        .set("fetch.wait.max.ms", "100")
        .create()?;
    let checker = group.checker.lock().unwrap();
    let middle = group.records.total() / 2;
    let mut wanted = TopicPartitionList::new();
    for &partition in ends.keys() {
        wanted.add_partition_offset(
            &group.topic,
            partition,
            Offset::Offset(group.records.timestamp(middle)),
        )?;
    }
    for found in consumer.offsets_for_times(wanted, TIMEOUT)?.elements() {
        let right = checker.offset_at(found.partition(), middle).map(Offset::Offset);
        check!(
            Some(found.offset()) == right,
            "timestamp: {} is {:?}, not {right:?}",
            found.partition(),
            found.offset()
        );
    }
    for (&partition, &end) in ends {
        let watermarks = consumer.fetch_watermarks(&group.topic, partition, TIMEOUT)?;
        check!(watermarks == (0, end), "watermarks of {partition}: {watermarks:?}");
        let mut one = TopicPartitionList::new();
        one.add_partition_offset(&group.topic, partition, Offset::Offset(end / 2))?;
        consumer.assign(&one)?;
        read(&consumer, &checker, partition, end / 2)?;
        for start in [end / 3, 0] {
            consumer.seek(&group.topic, partition, Offset::Offset(start), TIMEOUT)?;
            read(&consumer, &checker, partition, start)?;
        }
    }
    Ok(())
}

fn read(consumer: &BaseConsumer, checker: &Checker, partition: i32, start: i64) -> Outcome {
    for offset in start..start + 10 {
        let message =
            wait_for("a record after seek", || Ok(consumer.poll(Duration::from_secs(1)).transpose()?))?;
        let at = (message.partition(), message.offset());
        check!(at == (partition, offset), "seek {partition}-{offset}: {at:?}");
        check!(checker.place[&at] == number(&message)?, "seek {at:?}: another record");
    }
    Ok(())
}

fn describe(admin: &AdminClient<DefaultClientContext>, group: &Group, ends: &BTreeMap<i32, i64>) -> Outcome {
    let topic = group.topic.as_str();
    let resource = ResourceSpecifier::Topic(topic);
    let config = |name: &str| -> Outcome<Option<String>> {
        let described = block_on(admin.describe_configs([&resource], &options()))?;
        let [Ok(described)] = &described[..] else { return Err(format!("{described:?}").into()) };
        Ok(described.get(name).and_then(|entry| entry.value.clone()))
    };
    check!(config("retention.ms")?.as_deref() == Some("86400000"), "retention.ms");
    let change = AlterConfig::new(resource.clone()).set("max.message.bytes", "2000000");
    let altered = block_on(admin.alter_configs([&change], &options()))?;
    check!(matches!(altered[..], [Ok(_)]), "{altered:?}");
    wait_for("the changed config", || {
        Ok((config("max.message.bytes")?.as_deref() == Some("2000000")).then_some(()))
    })?;
    let broker = block_on(admin.describe_configs([&ResourceSpecifier::Broker(1)], &options()))?;
    check!(matches!(&broker[..], [Ok(found)] if found.entries.len() > 50), "broker configs: {broker:?}");

    let observer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &group.bootstrap).create()?;
    let all = observer.fetch_group_list(None, TIMEOUT)?;
    check!(
        all.groups().iter().any(|found| found.name() == group.id && found.state() == "Empty"),
        "group not listed"
    );
    let everything = observer.fetch_metadata(None, TIMEOUT)?;
    check!(everything.topics().iter().any(|found| found.name() == topic), "topic not listed");

    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(topic, 1, Offset::Offset(100))?;
    block_on(admin.delete_records(&cut, &options()))?;
    check!(
        observer.fetch_watermarks(topic, 1, TIMEOUT)? == (100, ends[&1]),
        "watermarks after deleting records"
    );
    let grown = block_on(admin.create_partitions([&NewPartitions::new(topic, PARTITIONS + 1)], &options()))?;
    check!(matches!(grown[..], [Ok(_)]), "{grown:?}");
    wait_for("a seventh partition", || {
        let metadata = observer.fetch_metadata(Some(topic), TIMEOUT)?;
        Ok((metadata.topics()[0].partitions().len() == PARTITIONS + 1).then_some(()))
    })?;
    let deleted = block_on(admin.delete_groups(&[&group.id], &options()))?;
    check!(matches!(deleted[..], [Ok(_)]), "{deleted:?}");
    let deleted = block_on(admin.delete_topics(&[topic], &options()))?;
    check!(matches!(deleted[..], [Ok(_)]), "{deleted:?}");
    wait_for("the topic to be gone", || match observer.fetch_metadata(None, TIMEOUT) {
        Ok(metadata) => Ok((!metadata.topics().iter().any(|found| found.name() == topic)).then_some(())),
        Err(KafkaError::MetadataFetch(_)) => Ok(None),
        Err(error) => Err(error.into()),
    })
}
