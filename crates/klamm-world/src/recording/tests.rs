//! A recording replays to the state that was recorded.

use std::time::Duration;

use klamm_log::disk::{DiskError, DiskErrorKind, FlushId, FlushOutcome};
use klamm_node::{ConnectionId, Era, Eras, NodeId, TopicPartition, WallTime};
use klamm_wire::messages::MetadataRequest;
use klamm_wire::{ApiKey, KafkaVersion, Request};

use super::*;
use crate::client::scripted::{
    AdminSpec, Assignor, ClientOp, ConsumerOp, GroupSettings, NewRecord, RequestOp, ScriptedConsumerSpec,
    ScriptedProducerSpec, SeekTo, SendOp, Target,
};
use crate::client::{ClientId, ClientSpec, ConsumerSpec, ProducerSpec};
use crate::input::{ClientRequest, Command};
use crate::settings::{BrokerSpec, LinkSettings};

fn settings() -> WorldSettings {
    WorldSettings {
        seed: u64::MAX - 5,
        cluster_id: Some("a cluster".into()),
        brokers: vec![
            BrokerSpec { node: NodeId(1), host: "hier".into(), port: 65_535, rack: Some("r".into()) },
            BrokerSpec { node: NodeId(2), host: "dort".into(), port: 1, rack: None },
        ],
        controllers: vec![NodeId(100), NodeId(-7)],
        config: [("a.b".to_owned(), "c".to_owned())].into(),
        kafka_version: KafkaVersion::V3_6,
        eras: Eras::NEWEST.with_old(Era::Elr).with_old(Era::TruncateToHw),
        link: LinkSettings { latency: Duration::from_micros(3), jitter: Duration::from_secs(9) },
        wall_epoch: WallTime(-1),
        trace_capacity: 17,
        client_history: 18,
        deferred_flush: true,
        step_budget: 99,
    }
}

fn client_op(op: ClientOp) -> Input {
    Input::Command(Command::Client { client: ClientId(2), op: Box::new(op) })
}

fn inputs() -> Vec<(Timestamp, Input)> {
    let link = LinkSettings { latency: Duration::from_millis(5), jitter: Duration::ZERO };
    let (one, two) = (NodeId(1), NodeId(2));
    let flushed =
        |id, result| Input::Flushed { node: one, outcome: FlushOutcome { id: FlushId(id), result } };
    let inputs = [
        flushed(0, Ok(())),
        flushed(u64::MAX, Err(DiskError::new(DiskErrorKind::Full, "a/b", "no space left"))),
        Input::Command(Command::Start(one)),
        Input::Command(Command::Stop(two)),
        Input::Command(Command::Crash(one)),
        Input::Command(Command::PowerLoss(two)),
        Input::Command(Command::SetLink { from: one, to: two, link }),
        Input::Command(Command::SetWallSkew { node: one, millis: -3_600_000 }),
        Input::Command(Command::AddClient(ClientSpec::Producer(ProducerSpec {
            topic: "t".into(),
            acks: -1,
            idempotent: true,
            records: u64::MAX,
            batch: 3,
            interval: Duration::from_millis(7),
            in_flight: 5,
        }))),
        Input::Command(Command::AddClient(ClientSpec::Consumer(ConsumerSpec {
            topic: "t".into(),
            max_wait_ms: 500,
            read_committed: true,
        }))),
        Input::Command(Command::AddClient(ClientSpec::ScriptedProducer(ScriptedProducerSpec::default()))),
        Input::Command(Command::AddClient(ClientSpec::Admin(AdminSpec::default()))),
        client_op(ClientOp::Send(SendOp {
            records: vec![NewRecord::keyed("k", "v"), NewRecord::default()],
            ..SendOp::new("t", 3, ["x"]).to(two)
        })),
        client_op(ClientOp::Flush),
        client_op(ClientOp::FreezeMetadata(true)),
        client_op(ClientOp::Request(RequestOp {
            to: Target::Leader(TopicPartition::new("t", 1)),
            timeout: Some(Duration::from_secs(1)),
            ..RequestOp::any(ApiKey::Metadata, Request::Metadata(MetadataRequest::default()))
        })),
        Input::Command(Command::AddClient(ClientSpec::ScriptedConsumer(ScriptedConsumerSpec::default()))),
        Input::Command(Command::AddClient(ClientSpec::ScriptedConsumer(ScriptedConsumerSpec {
            group: Some(Box::new(GroupSettings {
                instance_id: Some("i".into()),
                assignors: vec![Assignor::CooperativeSticky, Assignor::Range],
                ..GroupSettings::new("g")
            })),
            ..ScriptedConsumerSpec::default()
        }))),
        client_op(ClientOp::Consumer(ConsumerOp::Subscribe(vec!["t".into()]))),
        client_op(ClientOp::Consumer(ConsumerOp::Commit(Some(vec![(
            TopicPartition::new("t", 0),
            7.into(),
        )])))),
        client_op(ClientOp::Consumer(ConsumerOp::Assign(vec![TopicPartition::new("t", 0)]))),
        client_op(ClientOp::Consumer(ConsumerOp::Seek {
            partition: TopicPartition::new("t", 0),
            to: SeekTo::Offset { offset: 7, leader_epoch: Some(3) },
        })),
        client_op(ClientOp::Consumer(ConsumerOp::Poll { at_least: 3, within: Duration::from_secs(1) })),
        Input::Command(Command::StopClient(ClientId(1))),
        Input::Connect { connection: ConnectionId(7), broker: one, host: "::1".into() },
        Input::Request(ClientRequest {
            connection: ConnectionId(7),
            correlation_id: -2,
            api_key: ApiKey::Metadata,
            api_version: 12,
            client_id: Some("ich".into()),
            request: Request::Metadata(MetadataRequest::default().with_topics(None)),
            inspected: None,
        }),
        Input::Disconnect { connection: ConnectionId(7) },
        Input::Tick,
    ];
    inputs.into_iter().enumerate().map(|(i, input)| (Timestamp(i as u64 * 1_000_003), input)).collect()
}

fn recorded() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = RecordingWriter::begin(&mut file, &settings()).unwrap();
    for (now, input) in &inputs() {
        writer.input(*now, input).unwrap();
    }
    file
}

#[test]
fn what_was_written_is_read() {
    let file = recorded();
    let mut reader = RecordingReader::begin(&file[..]).unwrap();
    assert_eq!(*reader.settings(), settings());
    for expected in inputs() {
        assert_eq!(reader.next_input().unwrap(), Some(expected));
    }
    assert_eq!(reader.next_input().unwrap(), None);
}

#[test]
fn a_recording_that_was_cut_off_ends_at_its_last_whole_entry() {
    let file = recorded();
    let mut counts = Vec::new();
    for len in 0..=file.len() {
        let Ok(mut reader) = RecordingReader::begin(&file[..len]) else { continue };
        let mut count = 0;
        while reader.next_input().unwrap().is_some() {
            count += 1;
        }
        counts.push(count);
    }
    assert!(counts.is_sorted());
    assert_eq!((counts[0], counts[counts.len() - 1]), (0, inputs().len()));
}

#[test]
fn a_damaged_recording_is_refused_and_never_panics() {
    let file = recorded();
    for at in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            let Ok(mut reader) = RecordingReader::begin(&damaged[..]) else { continue };
            while let Ok(Some(_)) = reader.next_input() {}
        }
    }
    assert!(matches!(RecordingReader::begin(&b"some other file"[..]), Err(RecordingError::NotARecording)));
    let mut newer = file;
    newer[8] = 9;
    assert!(matches!(RecordingReader::begin(&newer[..]), Err(RecordingError::Version { found: 9 })));
}
