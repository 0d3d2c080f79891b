//! The world moves its nodes in order, and the same way every time.

use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, Timestamp};
use klamm_wire::ApiKey;

use super::*;
use crate::connection::MAX_QUEUED;
use crate::probe::{Order, question};
use crate::settings::{BrokerSpec, LinkSettings};

const CLIENT: ConnectionId = ConnectionId(1);

/// A world of probes, one a given order, with ids from 1.
struct Stage {
    world: World,
    out: Vec<Output>,
}

impl Stage {
    fn new(latency_ms: u64, orders: &[Order]) -> Self {
        let link = LinkSettings { latency: Duration::from_millis(latency_ms), jitter: Duration::ZERO };
        let brokers = (1..=orders.len())
            .map(|id| BrokerSpec {
                node: NodeId(id as i32),
                host: "localhost".into(),
                port: 9092,
                rack: None,
            })
            .collect();
        let settings = WorldSettings {
            link,
            brokers,
            controllers: Vec::new(),
            step_budget: 5_000,
            trace_capacity: 100,
            ..WorldSettings::default()
        };
        let mut stage = Self { world: World::new(settings, BTreeMap::new()), out: Vec::new() };
        for (i, order) in orders.iter().enumerate() {
            stage.world.install(NodeId(i as i32 + 1), *order, &mut stage.out);
        }
        stage.at(0, Input::Connect { connection: CLIENT, broker: NodeId(1), host: "127.0.0.1".into() });
        stage.out.clear();
        stage
    }

    fn at(&mut self, millis: u64, input: Input) {
        self.world.handle(Timestamp::from_millis(millis), input, &mut self.out);
    }

    fn ask(&mut self, millis: u64, correlation_id: i32) {
        self.at(millis, request(correlation_id));
    }

    /// Runs until nothing waits; when each answer came, in milliseconds.
    fn run(&mut self) -> Vec<(i32, i64)> {
        let mut answers = Vec::new();
        loop {
            for output in self.out.drain(..) {
                if let Output::Response { correlation_id, .. } = output {
                    answers.push((correlation_id, self.world.now().as_millis()));
                }
            }
            let Some(at) = self.world.next_deadline() else { return answers };
            self.world.handle(at, Input::Tick, &mut self.out);
        }
    }
}

fn request(correlation_id: i32) -> Input {
    Input::Request(ClientRequest {
        connection: CLIENT,
        correlation_id,
        api_key: ApiKey::ApiVersions,
        api_version: 0,
        client_id: None,
        request: question(),
        inspected: None,
    })
}

#[test]
fn at_zero_latency_a_chain_of_calls_ends_within_one_handle() {
    let mut stage = Stage::new(0, &[Order::Ask(NodeId(2)), Order::Ask(NodeId(3)), Order::Answer]);
    stage.ask(0, 7);
    assert!(matches!(stage.out[..], [Output::Response { correlation_id: 7, .. }]));
    assert_eq!(stage.world.next_deadline().map(Timestamp::as_millis), Some(100), "the calls' time-out bound");
    assert_eq!(stage.world.pending(), 0);
}

#[test]
fn each_hop_takes_the_links_latency() {
    let mut stage = Stage::new(5, &[Order::Ask(NodeId(2)), Order::Ask(NodeId(3)), Order::Answer]);
    stage.ask(0, 7);
    assert_eq!(stage.run(), [(7, 20)]);
}

#[test]
fn requests_of_one_connection_are_handled_one_after_another() {
    let mut stage = Stage::new(0, &[Order::AnswerAfter(10)]);
    stage.ask(0, 1);
    stage.ask(0, 2);
    stage.ask(3, 3);
    assert_eq!(stage.run(), [(1, 10), (2, 20), (3, 30)]);
}

#[test]
fn a_late_caller_misses_nothing_and_everything_has_its_own_time() {
    let mut stage = Stage::new(0, &[Order::AnswerAfter(10)]);
    for id in 1..=3 {
        stage.ask(0, id);
    }
    stage.at(1_000, Input::Tick);
    let times: Vec<_> = stage.world.seen(NodeId(1)).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 10, 20]);
    assert_eq!(stage.run().len(), 3);
}

#[test]
fn a_call_to_a_dead_node_fails_after_the_way_there_and_back() {
    let mut stage = Stage::new(5, &[Order::Ask(NodeId(2)), Order::Answer]);
    stage.at(0, Input::Command(Command::Crash(NodeId(2))));
    stage.ask(0, 1);
    assert_eq!(stage.run(), [(1, 10)]);
    let (at, what) = stage.world.seen(NodeId(1)).last().unwrap();
    assert_eq!((*at, what.as_str()), (10, "disconnected before a response was received"));
}

#[test]
fn a_call_in_flight_fails_when_its_node_dies_even_if_another_incarnation_starts() {
    let mut stage = Stage::new(5, &[Order::Ask(NodeId(2)), Order::Answer]);
    stage.ask(0, 1);
    stage.at(1, Input::Command(Command::Crash(NodeId(2))));
    let mut out = Vec::new();
    stage.world.install(NodeId(2), Order::Answer, &mut out);
    assert_eq!(stage.run(), [(1, 6)]);
    assert_eq!(stage.world.seen(NodeId(2)), [], "the new incarnation has not got the old one's connection");
}

#[test]
fn an_unanswered_call_times_out() {
    let mut stage = Stage::new(5, &[Order::Ask(NodeId(2)), Order::Ignore]);
    stage.ask(0, 1);
    assert_eq!(stage.run(), [(1, 100)]);
    assert_eq!(stage.world.seen(NodeId(1)).last().unwrap().1, "no response within the timeout");
}

#[test]
fn a_dead_broker_closes_its_connections_and_forgets_their_requests() {
    let mut stage = Stage::new(0, &[Order::AnswerAfter(10)]);
    stage.ask(0, 1);
    stage.ask(0, 2);
    stage.at(5, Input::Command(Command::Crash(NodeId(1))));
    assert_eq!(
        stage.out,
        [Output::Close { connection: CLIENT }, Output::NodeStopped { node: NodeId(1), cause: "crash" }]
    );
    assert_eq!(stage.run(), []);
    stage.at(20, Input::Connect { connection: ConnectionId(2), broker: NodeId(1), host: "h".into() });
    assert_eq!(stage.out, [Output::Close { connection: ConnectionId(2) }], "nobody listens");
}

#[test]
fn two_nodes_that_never_come_to_rest_are_named() {
    let mut stage = Stage::new(0, &[Order::Bounce(NodeId(2)), Order::Bounce(NodeId(1))]);
    stage.ask(0, 1);
    let Some(Output::Stalled(stall)) = stage.out.pop() else { panic!("not stalled: {:?}", stage.out) };
    assert_eq!(stall.steps, 5_000);
    let (what, times) = &stall.culprits[0];
    assert!(what == "ApiVersions from node 1 to node 2" && *times >= 500, "{stall}");
    assert_eq!(stage.world.next_deadline(), None);
    stage.ask(1, 2);
    assert_eq!(stage.out, [], "a stalled world does nothing more");
}

#[test]
fn a_flood_on_one_connection_loses_it() {
    let mut stage = Stage::new(0, &[Order::Ignore]);
    for id in 0..=MAX_QUEUED as i32 + 1 {
        stage.ask(0, id);
    }
    assert_eq!(stage.out, [Output::Close { connection: CLIENT }]);
    assert_eq!(stage.world.connections(), 0);
}

#[test]
fn cluster_ids_look_like_kafkas() {
    let id = cluster_id(42);
    assert_eq!(id.len(), 22);
    assert_eq!(id, cluster_id(42));
    assert_ne!(id, cluster_id(43));
}
