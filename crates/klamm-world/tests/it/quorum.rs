//! The controllers' quorum: elections, failovers, and what they keep and undo.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{ConnectionId, Era, Eras, NodeId, Timestamp, TopicPartition, TraceKind, WallTime};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};
use klamm_world::fault::{ClusterFault, Fate, Fault, Link, NetworkFault, NodeFault, Peer};
use klamm_world::{
    BrokerSpec, ClientRequest, Command, FaultId, Input, LinkSettings, Output, QuorumView, World,
    WorldSettings,
};

pub(crate) const CONTROLLERS: [NodeId; 3] = [NodeId(100), NodeId(101), NodeId(102)];

pub(crate) fn settings(seed: u64, brokers: i32) -> WorldSettings {
    WorldSettings {
        seed,
        brokers: (1..=brokers)
            .map(|id| BrokerSpec {
                node: NodeId(id),
                host: "localhost".into(),
                port: 9091 + id as u16,
                rack: None,
            })
            .collect(),
        controllers: CONTROLLERS.to_vec(),
        link: LinkSettings { latency: Duration::from_micros(500), jitter: Duration::from_micros(200) },
        wall_epoch: WallTime(1_700_000_000_000),
        trace_capacity: 1 << 16,
        ..WorldSettings::default()
    }
}

/// A cluster and one client of it.
pub(crate) struct Cluster {
    pub(crate) world: World,
    out: Vec<Output>,
    next: u64,
}

impl Cluster {
    pub(crate) fn new(settings: WorldSettings) -> Self {
        let (brokers, controllers) = (settings.brokers.len() as i32, settings.controllers.clone());
        let mut cluster = Self { world: World::new(settings, BTreeMap::new()), out: Vec::new(), next: 0 };
        for node in controllers.into_iter().chain((1..=brokers).map(NodeId)) {
            cluster.command(Command::Start(node));
        }
        cluster
    }

    /// A cluster that has elected its first controller.
    pub(crate) fn ready(settings: WorldSettings) -> Self {
        let mut cluster = Self::new(settings);
        cluster.wait_for(10, "readiness", World::is_ready);
        cluster
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(crate) fn input(&mut self, input: Input) {
        let now = self.world.now();
        self.world.handle(now, input, &mut self.out);
    }

    /// Lets the next thing happen that is due by `end`; false when there is none.
    pub(crate) fn step(&mut self, end: Timestamp) -> bool {
        self.world.step_next(end, &mut self.out)
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.world.now() + time;
        let kept = &mut self.out;
        self.world.run_until(end, |_, out| kept.append(out));
    }

    /// Runs until something holds; how long that took.
    pub(crate) fn wait_for(&mut self, seconds: u64, what: &str, holds: impl Fn(&World) -> bool) -> Duration {
        let start = self.world.now();
        while !holds(&self.world) {
            assert!(
                self.world.now() < start + Duration::from_secs(seconds),
                "waited in vain for {what}:\n{}\n{:#?}",
                self.story(),
                self.world.quorum()
            );
            self.run_for(Duration::from_millis(1));
        }
        self.world.now().since(start)
    }

    pub(crate) fn story(&self) -> String {
        self.world.trace().events().map(|event| format!("{event}\n")).collect()
    }

    pub(crate) fn active(&self) -> NodeId {
        self.world.active_controller().expect("no controller is active")
    }

    fn view(&self, node: NodeId) -> QuorumView {
        self.world.quorum()[&node]
    }

    /// Cuts some nodes off from all the others; messages between them are lost.
    pub(crate) fn isolate(&mut self, nodes: &[NodeId]) -> FaultId {
        let settings = self.world.settings();
        let all = settings.controllers.iter().copied().chain(settings.brokers.iter().map(|b| b.node));
        let others = all.filter(|node| !nodes.contains(node)).map(Peer::Node).collect();
        let nodes = nodes.iter().copied().map(Peer::Node).collect();
        let fault = NetworkFault::Partition { groups: vec![nodes, others], fate: Fate::Lost };
        self.world.inject(self.world.now(), fault, &mut self.out).unwrap()
    }

    pub(crate) fn heal(&mut self, fault: FaultId) {
        self.world.heal(self.world.now(), fault, &mut self.out).unwrap();
    }

    /// Asks a broker to create a topic; a number that [`answer`](Self::answer) knows.
    pub(crate) fn ask_for_topic(&mut self, broker: i32, name: &str, replicas: i16, timeout_ms: i32) -> u64 {
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_num_partitions(1)
            .with_replication_factor(replicas);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
        let connection = ConnectionId(self.next);
        self.next += 1;
        let now = self.world.now();
        let connect = Input::Connect { connection, broker: NodeId(broker), host: "test".into() };
        self.world.handle(now, connect, &mut self.out);
        let request = ClientRequest {
            connection,
            correlation_id: 0,
            api_key: ApiKey::CreateTopics,
            api_version: 7,
            client_id: None,
            request: Request::CreateTopics(request),
            inspected: None,
        };
        self.world.handle(now, Input::Request(request), &mut self.out);
        connection.0
    }

    /// What became of a topic that was asked for; `None` while nobody knows.
    pub(crate) fn answer(&self, asked: u64) -> Option<ErrorCode> {
        self.out.iter().find_map(|output| match output {
            Output::Response { connection, response: Response::Other(kind), .. } if connection.0 == asked => {
                let ResponseKind::CreateTopics(response) = &**kind else { return None };
                ErrorCode::from_code(response.topics[0].error_code)
            }
            _ => None,
        })
    }

    pub(crate) fn create_topic(&mut self, broker: i32, name: &str, replicas: i16) {
        let asked = self.ask_for_topic(broker, name, replicas, 30_000);
        let start = self.world.now();
        while self.answer(asked).is_none() {
            assert!(self.world.now() < start + Duration::from_secs(30), "no answer:\n{}", self.story());
            self.run_for(Duration::from_millis(1));
        }
        assert_eq!(self.answer(asked), Some(ErrorCode::None), "{}", self.story());
    }

    fn has_topic(&self, name: &str) -> bool {
        self.world.metadata().is_some_and(|metadata| metadata.topics.by_name(name).is_some())
    }

    fn happened(&self, since: Timestamp, what: impl Fn(NodeId, &TraceKind) -> bool) -> bool {
        let mut events = self.world.trace().events().filter(|event| event.at >= since);
        events.any(|event| event.node.is_some_and(|node| what(node, &event.kind)))
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn three_controllers_elect_one_within_two_election_timeouts() {
    for seed in crate::seeds(0..20) {
        let mut cluster = Cluster::new(settings(seed, 1));
        let took = cluster.wait_for(10, "a leader", |world| world.active_controller().is_some());
        assert!(took >= millis(1000), "nobody stands before an election timeout, but after {took:?}");
        let epoch = cluster.view(cluster.active()).epoch;
        assert!(took < millis(2100) || epoch > 1, "seed {seed}: {took:?} in epoch {epoch}");
        cluster.run_for(Duration::from_secs(30));
        let leaders = cluster.world.quorum().values().filter(|view| view.state == "Leader").count();
        assert_eq!((leaders, cluster.view(cluster.active()).epoch), (1, epoch), "leadership is stable");
        assert!(cluster.world.is_ready(), "{}", cluster.story());
    }
}

/// CTL-01
#[test]
fn when_the_active_controller_crashes_another_takes_over_with_fresh_sessions() {
    for seed in crate::seeds(0..10) {
        let mut cluster = Cluster::ready(settings(seed, 3));
        cluster.create_topic(1, "before", 3);
        // A broker that dies just before the failover is fenced a whole session after it.
        cluster.command(Command::Crash(NodeId(3)));
        cluster.run_for(millis(100));
        let (old, epoch) = (cluster.active(), cluster.view(cluster.active()).epoch);
        cluster.command(Command::Crash(old));
        let took = cluster.wait_for(10, "a successor", |world| {
            world.active_controller().is_some_and(|active| active != old)
        });
        // A fetch timeout of 2 s from the last fetch, then pre-votes and votes.
        assert!(took > millis(1400) && took < millis(5000), "seed {seed}: {took:?}");
        assert!(cluster.view(cluster.active()).epoch > epoch);
        let activation = cluster.world.now();
        let fenced = |world: &World| !world.metadata().unwrap().cluster.is_unfenced(NodeId(3));
        assert!(!fenced(&cluster.world));
        let session = cluster.wait_for(15, "broker 3 to be fenced", fenced);
        assert!(session >= millis(9000) && session < millis(10_300), "seed {seed}: {session:?}");
        assert!(cluster.has_topic("before"));
        cluster.create_topic(2, "after", 2);
        // Nobody else was fenced: the others found the new controller in time.
        let others = |_: NodeId, kind: &TraceKind| matches!(kind, TraceKind::BrokerFenced { broker, .. } if *broker != NodeId(3));
        assert!(!cluster.happened(activation, others), "{}", cluster.story());
        // The old one comes back and follows.
        cluster.command(Command::Start(old));
        cluster.wait_for(5, "the old controller to follow", |world| world.quorum()[&old].state == "Follower");
        cluster.wait_for(5, "the old controller to catch up", |world| {
            let quorum = world.quorum();
            let mut ends = quorum.values().map(|view| (view.log_end, view.high_watermark));
            let first = ends.next().unwrap();
            ends.all(|end| end == first)
        });
    }
}

/// CTL-02
#[test]
fn what_an_isolated_controller_wrote_is_undone_and_its_caller_told() {
    let mut cluster = Cluster::ready(settings(3, 3));
    cluster.create_topic(1, "before", 3);
    let old = cluster.active();
    // Broker 1 stays with the old controller; nothing that they do together can be committed.
    let cut = cluster.isolate(&[old, NodeId(1)]);
    let asked = cluster.ask_for_topic(1, "lost", 1, 2_000);
    cluster.run_for(millis(50));
    let view = cluster.view(old);
    assert!(view.log_end > view.high_watermark, "written, not committed: {view:?}");
    assert_eq!(cluster.answer(asked), None);
    let start = cluster.world.now();
    cluster
        .wait_for(10, "a successor", |world| world.active_controller().is_some_and(|active| active != old));
    cluster.wait_for(10, "the old controller to resign", |world| world.quorum()[&old].state != "Leader");
    let deposed = |node: NodeId, kind: &TraceKind| {
        node == old
            && matches!(kind, TraceKind::ControllerDeposed { reverted_to, from, .. } if reverted_to < from)
    };
    assert!(cluster.happened(start, deposed), "{}", cluster.story());
    cluster.run_for(Duration::from_secs(3));
    assert_eq!(cluster.answer(asked), None, "the broker asks on");
    assert!(!cluster.has_topic("lost"));
    cluster.heal(cut);
    cluster.wait_for(5, "the old controller to follow", |world| {
        let quorum = world.quorum();
        quorum[&old].state == "Follower" && quorum.values().all(|v| v.log_end == quorum[&old].log_end)
    });
    let truncated = |node: NodeId, kind: &TraceKind| {
        node == old
            && matches!(kind, TraceKind::LogTruncated { cause: "diverged from the quorum's leader", .. })
    };
    assert!(cluster.happened(start, truncated), "{}", cluster.story());
    // Broker 1 was refused with NOT_CONTROLLER; the new controller decides afresh.
    cluster.wait_for(20, "the new controller's answer", |world| {
        world.metadata().unwrap().topics.by_name("lost").is_some()
    });
    cluster.wait_for(20, "broker 1 to be back", World::is_ready);
    assert_eq!(cluster.answer(asked), Some(ErrorCode::None));
}

/// CTL-04
#[test]
fn a_leader_that_a_majority_does_not_fetch_from_resigns() {
    let mut cluster = Cluster::ready(settings(4, 1));
    let old = cluster.active();
    let cut = cluster.isolate(&[old]);
    let took = cluster.wait_for(10, "a resignation", |world| world.quorum()[&old].state != "Leader");
    // One and a half fetch timeouts from when a majority was last known to be there.
    assert!(took >= millis(2400) && took <= millis(3002), "{took:?}");
    assert_eq!(cluster.view(old).state, "Resigned");
    cluster.heal(cut);
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.world.quorum().values().filter(|view| view.state == "Leader").count(), 1);

    // Without the rule it leads on, alone.
    let mut old_rule = settings(4, 1);
    old_rule.eras = Eras::NEWEST.with_old(Era::CheckQuorum);
    let mut cluster = Cluster::ready(old_rule);
    let zombie = cluster.active();
    cluster.isolate(&[zombie]);
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(cluster.view(zombie).state, "Leader");
}

/// CTL-05
#[test]
fn a_follower_that_was_cut_off_comes_back_without_disturbing_anybody() {
    let run = |eras: Eras| {
        let mut settings = settings(5, 1);
        settings.eras = eras;
        let mut cluster = Cluster::ready(settings);
        let (leader, epoch) = (cluster.active(), cluster.view(cluster.active()).epoch);
        let follower = *CONTROLLERS.iter().find(|id| **id != leader).unwrap();
        let cut = cluster.isolate(&[follower]);
        cluster.run_for(Duration::from_secs(60));
        let away = cluster.view(follower);
        cluster.heal(cut);
        cluster.run_for(Duration::from_secs(10));
        let now = cluster.active();
        (away.epoch - epoch, cluster.view(now).epoch - epoch, now == leader)
    };
    assert_eq!(run(Eras::NEWEST), (0, 0, true), "with pre-votes");
    let (away, now, _) = run(Eras::NEWEST.with_old(Era::Prevote));
    assert!(away > 5, "without them it stands again and again: {away}");
    assert!(now > away, "and brings a later epoch back: {now}");
}

#[test]
fn without_a_majority_nothing_is_decided_and_with_one_everything_is_there_again() {
    for seed in crate::seeds(0..5) {
        let mut cluster = Cluster::ready(settings(seed, 3));
        cluster.create_topic(1, "kept", 3);
        let leader = cluster.active();
        let others: Vec<NodeId> = CONTROLLERS.into_iter().filter(|id| *id != leader).collect();
        cluster.command(Command::Crash(others[0]));
        cluster.create_topic(1, "two-of-three", 3);
        cluster.command(Command::PowerLoss(leader));
        let asked = cluster.ask_for_topic(2, "none-of-three", 3, 5_000);
        cluster.run_for(Duration::from_secs(31));
        assert_eq!(cluster.world.active_controller(), None);
        assert_eq!(cluster.answer(asked), Some(ErrorCode::RequestTimedOut));
        cluster.command(Command::Start(others[0]));
        cluster.wait_for(10, "a leader", |world| world.active_controller().is_some());
        assert!(cluster.has_topic("kept") && cluster.has_topic("two-of-three"), "{}", cluster.story());
        assert_eq!(cluster.active(), others[1], "only its log has everything");
        cluster.create_topic(3, "again", 3);
    }
}

#[test]
fn a_leader_that_stops_in_order_is_followed_at_once() {
    let mut cluster = Cluster::ready(settings(6, 1));
    let old = cluster.active();
    cluster.command(Command::Stop(old));
    let took = cluster
        .wait_for(5, "a successor", |world| world.active_controller().is_some_and(|active| active != old));
    assert!(took < millis(50), "the first of the successors stands at once: {took:?}");
    cluster.wait_for(1, "the old one to end", |world| !world.is_up(old));
    cluster.create_topic(1, "t", 1);
    // The last two: one of them alone can do nothing, and does not wait for what cannot come.
    for node in CONTROLLERS.into_iter().filter(|id| *id != old) {
        cluster.command(Command::Stop(node));
    }
    cluster.wait_for(2, "all to end", |world| world.quorum().is_empty());
}

#[test]
fn no_vote_leaves_a_controller_before_it_is_durable() {
    let mut settings = settings(7, 1);
    settings.deferred_flush = true;
    let mut cluster = Cluster::new(settings);
    cluster.run_for(Duration::from_secs(20));
    let votes = |_: NodeId, kind: &TraceKind| {
        matches!(kind, TraceKind::VoteAnswered { pre_vote: false, granted: true, .. })
    };
    assert!(!cluster.happened(Timestamp::ZERO, votes), "no candidate has said that it votes for itself");
    assert!(cluster.world.quorum().values().all(|view| view.state != "Leader"));
    // The fsyncs that they wait for end: one of them is elected, and commits once its records are durable too.
    let start = cluster.world.now();
    while cluster.world.active_controller().is_none() {
        assert!(cluster.world.now() < start + Duration::from_secs(10), "{}", cluster.story());
        cluster.run_for(millis(1));
        for (node, job) in cluster.world.take_flush_jobs() {
            cluster.input(Input::Flushed { node, outcome: job.run() });
        }
    }
}

/// CTL-07
#[test]
fn a_broker_that_lags_behind_the_metadata_acts_on_what_it_has() {
    let mut cluster = Cluster::ready(settings(8, 3));
    cluster.create_topic(1, "t", 3);
    cluster.wait_for(5, "replicas", |world| world.is_topic_ready("t"));
    let before = cluster.world.partition("t", 0).unwrap();
    let (late, next) = (before.replicas[0], before.replicas[1]);
    for controller in CONTROLLERS {
        let link = Link::one_way(controller, late);
        let fault = NetworkFault::Latency { link, by: millis(1500) };
        cluster.world.inject(cluster.world.now(), fault, &mut cluster.out).unwrap();
    }
    let partition = TopicPartition::new("t", 0);
    let fault = ClusterFault::MoveLeader { partition, to: next };
    cluster.world.inject(cluster.world.now(), fault, &mut cluster.out).unwrap();
    cluster.run_for(millis(500));
    let now = cluster.world.partition("t", 0).unwrap();
    assert_eq!((now.leader, now.leader_epoch), (Some(next), before.leader_epoch + 1));
    assert_eq!(now.logs[&next].leader_epoch, now.leader_epoch);
    assert_eq!(now.logs[&late].leader_epoch, before.leader_epoch, "it has not heard of the new epoch");
    let took = cluster.wait_for(10, "the late broker to hear of it", |world| {
        let now = world.partition("t", 0).unwrap();
        now.logs[&late].leader_epoch == now.leader_epoch
    });
    assert!(took > millis(500), "{took:?}");
    assert!(cluster.world.is_ready(), "its heartbeats came in time: it was not fenced");
}

#[test]
fn an_overloaded_controller_does_nothing_that_was_asked_for_too_long_ago() {
    let one = WorldSettings { controllers: vec![CONTROLLERS[0]], ..settings(7, 3) };
    let mut cluster = Cluster::ready(one);
    let slow = NodeFault::Slow { by: Duration::from_millis(1500) };
    let (node, now) = (CONTROLLERS[0], cluster.world.now());
    let fault = cluster.world.inject(now, Fault::Node { node, fault: slow }, &mut cluster.out).unwrap();
    cluster.run_for(Duration::from_secs(5));
    let since = cluster.world.now();
    let late = cluster.ask_for_topic(1, "late", 1, 2_000);
    let patient = cluster.ask_for_topic(2, "patient", 1, 25_000);
    cluster.run_for(Duration::from_secs(25));
    assert_eq!(cluster.answer(late), Some(ErrorCode::RequestTimedOut));
    assert_eq!(cluster.answer(patient), Some(ErrorCode::None), "{}", cluster.story());
    let expired = |_, kind: &TraceKind| matches!(kind, TraceKind::RequestExpired { api: "CreateTopics", .. });
    assert!(cluster.happened(since, expired), "{}", cluster.story());
    cluster.heal(fault);
    cluster.run_for(Duration::from_secs(30));
    assert!(cluster.has_topic("patient") && !cluster.has_topic("late"), "{}", cluster.story());
}
