//! A recording replays to the state that was recorded.

use std::time::Duration;

use klamm_log::disk::{DiskError, DiskErrorKind, FlushId, FlushOutcome};
use klamm_node::{ConnectionId, Era, Eras, NodeId, TopicPartition, WallTime};
use klamm_wire::messages::MetadataRequest;
use klamm_wire::{ApiKey, KafkaVersion, Request};

use super::*;
use crate::FaultId;
use crate::client::scripted::{
    AdminSpec, Assignor, ClientOp, ConsumerOp, GroupProtocol, GroupSettings, NewRecord, RequestOp,
    ScriptedConsumerSpec, ScriptedProducerSpec, SeekTo, SendOp, Target,
};
use crate::client::{ClientId, ClientSpec, ConsumerSpec, ProducerSpec, TransactionalSpec, WatcherSpec};
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

/// One fault of every kind, each with every sort of field.
fn faults() -> Vec<crate::Fault> {
    use klamm_node::{PausePoint, TopicPartition};
    use klamm_wire::ErrorCode;

    use crate::fault::*;
    let (t, ms) = (TopicPartition::new("t", 7), Duration::from_millis(1_234));
    let node = |fault| Fault::Node { node: NodeId(-3), fault };
    let disk = |fault| Fault::Disk { node: NodeId(2), fault };
    let link = Link { from: Peer::Node(NodeId(1)), to: Peer::Client(ClientId(4)), both_ways: true };
    let all = RequestMatch::api(ApiKey::Fetch)
        .client_id("me")
        .connection(ConnectionId(u64::MAX))
        .from_node(NodeId(9))
        .to(NodeId(1))
        .topic_partition(&t)
        .first(3)
        .chance(Chance::percent(12));
    let actions = [
        RequestAction::Error(ErrorCode::UnknownServerError),
        RequestAction::Delay(ms),
        RequestAction::DelayAnswer(ms),
        RequestAction::Drop,
        RequestAction::DropAnswer,
        RequestAction::Hold,
        RequestAction::HoldAnswer,
        RequestAction::CloseBefore,
        RequestAction::CloseAfter,
        RequestAction::Truncate { bytes: u32::MAX },
        RequestAction::Corrupt { byte: 3, mask: 255 },
        RequestAction::Throttle(ms),
    ];
    let mut faults: Vec<Fault> = actions.map(|action| all.clone().then(action).into()).into();
    faults.push(RequestMatch::any().from_clients().nth(5).then(RequestAction::Drop).into());
    faults.push(RequestMatch::any().from_nodes().then(RequestAction::Drop).into());
    faults.extend(
        [
            NodeFault::Stop,
            NodeFault::Start,
            NodeFault::Restart,
            NodeFault::Crash,
            NodeFault::PowerLoss,
            NodeFault::Pause,
            NodeFault::Resume,
            NodeFault::Slow { by: ms },
            NodeFault::WallClock { millis: i64::MIN },
            NodeFault::MonotonicClock { by: ms },
            NodeFault::Drift { ppm: -1 },
            NodeFault::Fence,
            NodeFault::ExpireSession,
        ]
        .map(node),
    );
    let (messages, fate) = (Messages::Answers, Fate::Lost);
    faults.extend(
        [
            NetworkFault::cut(Link::between(Peer::Clients, Peer::Anyone)),
            NetworkFault::Cut { link, messages, fate },
            NetworkFault::Cut { link, messages: Messages::Requests, fate },
            NetworkFault::Partition { groups: vec![vec![], vec![1.into(), Peer::Clients]], fate },
            NetworkFault::Latency { link, by: ms },
            NetworkFault::Jitter { link, up_to: ms },
            NetworkFault::Bandwidth { link, bytes_per_second: 9 },
            NetworkFault::Reset { link },
        ]
        .map(Fault::Network),
    );
    let scopes = [DiskScope::Everything, DiskScope::Partition(t.clone()), DiskScope::Path("a/b".to_owned())];
    for scope in scopes {
        faults.extend(
            [
                DiskFault::Full { scope: scope.clone(), after_bytes: 5 },
                DiskFault::Error { scope: scope.clone(), on: DiskOperation::Read, times: Some(2) },
                DiskFault::Error { scope: scope.clone(), on: DiskOperation::Flush, times: None },
                DiskFault::Slow { scope: scope.clone(), on: DiskOperation::Write, by: ms },
                DiskFault::LostDirectory { scope: scope.clone() },
            ]
            .map(disk),
        );
        let keeps = [
            Keep::Nothing,
            Keep::Everything,
            Keep::Bytes(4),
            Keep::UpTo { offset: 8 },
            Keep::Torn { offset: 8, bytes: 3 },
        ];
        faults.extend(keeps.map(|keep| disk(DiskFault::AtPowerLoss { scope: scope.clone(), keep })));
    }
    let place = Place::Batch { partition: t.clone(), offset: 3, byte: 61 };
    faults.push(disk(DiskFault::BitRot { place, mask: 1 }));
    faults
        .push(disk(DiskFault::BitRot { place: Place::File { path: "p".to_owned(), position: 5 }, mask: 0 }));
    faults.extend(
        [
            ClusterFault::MoveLeader { partition: t.clone(), to: NodeId(1) },
            ClusterFault::MoveCoordinator { group: "g".into(), to: NodeId(1) },
            ClusterFault::HoldIsr { partition: t.clone() },
            ClusterFault::SetIsr { partition: t.clone(), isr: vec![NodeId(1), NodeId(2)] },
            ClusterFault::Log { partition: t.clone(), work: LogWork::Roll },
            ClusterFault::Log { partition: t.clone(), work: LogWork::ApplyRetention },
            ClusterFault::Log { partition: t.clone(), work: LogWork::Compact },
            ClusterFault::ForceRebalance { group: "g".into() },
            ClusterFault::ExpireMember { group: "g".into(), member: "m".into() },
        ]
        .map(Fault::Cluster),
    );
    faults.extend(
        PausePoint::ALL
            .iter()
            .map(|at| Breakpoint::at(*at).node(NodeId(1)).partition(t.clone()).nth(2).into()),
    );
    faults
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
        Input::Command(Command::AddClient(ClientSpec::Watcher(WatcherSpec {
            topic: "t".into(),
            interval: Duration::from_millis(50),
        }))),
        Input::Command(Command::AddClient(ClientSpec::Transactional(TransactionalSpec {
            id: "id".into(),
            topic: "t".into(),
            reads: Some("u".into()),
            timeout: Duration::from_secs(5),
            transactions: 7,
            batches: 3,
            batch: 2,
            interval: Duration::from_millis(50),
            aborts: 30,
            rest: Duration::from_secs(2),
            v2: true,
            hasty: false,
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
                protocol: GroupProtocol::Consumer,
                instance_id: Some("i".into()),
                assignors: vec![Assignor::CooperativeSticky, Assignor::Range],
                remote_assignor: Some("range".into()),
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
        Input::Pass { from: Timestamp(7) },
    ];
    let injected = faults().into_iter().enumerate().map(|(id, fault)| {
        Input::Command(Command::Inject { id: FaultId(id as u32), fault: Box::new(fault) })
    });
    let healed = [Input::Command(Command::Heal(FaultId(3))), Input::Command(Command::HealAll)];
    let inputs = inputs.into_iter().chain(injected).chain(healed);
    inputs.enumerate().map(|(i, input)| (Timestamp(i as u64 * 1_000_003), input)).collect()
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
fn a_recording_that_was_cut_off_says_where_or_ends_at_its_last_whole_entry() {
    let file = recorded();
    let (mut counts, mut refused) = (Vec::new(), 0);
    for len in 12..=file.len() {
        let Ok(reader) = RecordingReader::begin(&file[..len]) else { continue };
        let mut reader = reader.what_is_whole();
        let mut count = 0;
        while reader.next_input().unwrap().is_some() {
            count += 1;
        }
        counts.push(count);
        let mut strict = RecordingReader::begin(&file[..len]).unwrap();
        let end = loop {
            match strict.next_input() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(RecordingError::CutShort { entry, bytes }) => break Some((entry, bytes)),
                Err(error) => panic!("{error}"),
            }
        };
        if let Some((entry, bytes)) = end {
            refused += 1;
            assert_eq!((entry, bytes), (count as u64 + 1, len as u64));
        }
    }
    assert!(counts.is_sorted());
    assert_eq!((counts[0], counts[counts.len() - 1]), (0, inputs().len()));
    // Only where an entry ends can it not be told.
    assert_eq!(counts.len() - refused, inputs().len() + 1);
    let settings = RecordingReader::begin(&file[..20]);
    assert!(matches!(settings, Err(RecordingError::CutShort { entry: 0, bytes: 20 })), "{settings:?}");
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
