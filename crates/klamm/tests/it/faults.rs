//! Faults, in front of a client with a socket.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use klamm::{ApiKey, Cluster, DiskFault, DiskScope, ErrorCode, Fault, Peer};
use klamm_wire::Request;
use klamm_wire::messages::{ApiVersionsRequest, ResponseKind};

use crate::client::{Client, batch, produce};
use crate::cluster::leader;

fn cluster() -> klamm::blocking::Cluster {
    Cluster::builder().brokers(3).topic("t", 1, 3).start_blocking().unwrap()
}

fn versions() -> Request {
    Request::ApiVersions(ApiVersionsRequest::default())
}

/// Everything that still comes over a connection until it is closed.
fn rest(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Whether nothing comes for a while.
fn is_silent(client: &mut Client) -> bool {
    client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = client.stream.read(&mut [0]).unwrap_err();
    client.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn an_error_is_answered_once() {
    let cluster = cluster();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let fault =
        cluster.faults().on(ApiKey::Produce).partition("t", 0).nth(2).error(ErrorCode::KafkaStorageError);
    let fault = fault.unwrap();
    assert_eq!(client.produce("t", 0, &["a"], -1), Ok(0));
    assert_eq!(client.produce("t", 0, &["b"], -1), Err(ErrorCode::KafkaStorageError.code()));
    assert_eq!(client.produce("t", 0, &["c"], -1), Ok(1));
    assert_eq!((fault.fired(), fault.is_armed()), (1, false));
    cluster.faults().assert_all_fired();
}

#[test]
#[should_panic(expected = "1 faults never fired")]
fn a_fault_that_never_fired_fails_the_test_that_asks() {
    let cluster = cluster();
    let _ = cluster.faults().on(ApiKey::DeleteTopics).drop_request().unwrap();
    cluster.faults().assert_all_fired();
}

#[test]
fn a_lost_acknowledgement_leaves_the_connection_silent_and_the_record_there() {
    let cluster = cluster();
    let address = leader(&cluster, "t", 0);
    let mut client = Client::connect(&address);
    let fault = cluster.faults().on(ApiKey::Produce).first(1).drop_answer().unwrap();
    client.send(ApiKey::Produce, 9, &produce("t", 0, batch(&["a"]), -1));
    cluster.wait_until(|world| world.partition("t", 0).unwrap().high_watermark() == Some(1)).unwrap();
    assert!(is_silent(&mut client));
    assert_eq!(fault.fired(), 1);
    assert_eq!(Client::connect(&address).fetch("t", 0, 0), ["a"]);
}

#[test]
fn frames_are_cut_off_and_corrupted() {
    let cluster = cluster();
    let address = leader(&cluster, "t", 0);
    let mut whole = Client::connect(&address);
    whole.send(ApiKey::ApiVersions, 3, &versions());
    let frame = whole.receive_frame().unwrap();

    let _ = cluster.faults().on(ApiKey::ApiVersions).nth(1).truncate_answer(11).unwrap();
    let mut cut = Client::connect(&address);
    cut.send(ApiKey::ApiVersions, 3, &versions());
    let bytes = rest(&mut cut);
    assert_eq!(bytes.len(), 11);
    assert_eq!(bytes[4..], frame[..7]);

    let _ = cluster.faults().on(ApiKey::ApiVersions).nth(1).corrupt_answer(1).unwrap();
    let mut corrupt = Client::connect(&address);
    corrupt.send(ApiKey::ApiVersions, 3, &versions());
    let bytes = corrupt.receive_frame().unwrap();
    let differing: Vec<_> = (0..frame.len()).filter(|at| bytes[*at] != frame[*at]).collect();
    assert_eq!((bytes.len(), differing), (frame.len(), vec![5]), "behind the correlation id");
    assert_eq!(bytes[5], frame[5] ^ 0xff);
    cluster.faults().assert_all_fired();
}

#[test]
fn connections_close_before_and_after() {
    let cluster = cluster();
    let address = leader(&cluster, "t", 0);
    for (end, before) in [(0, true), (1, false)] {
        let rule = cluster.faults().on(ApiKey::Produce).nth(1);
        let fault = if before { rule.close_before() } else { rule.close_after() }.unwrap();
        let mut client = Client::connect(&address);
        client.send(ApiKey::Produce, 9, &produce("t", 0, batch(&["a"]), -1));
        assert!(client.is_closed());
        assert_eq!(fault.fired(), 1);
        assert_eq!(cluster.partition("t", 0).unwrap().log_end(), Some(end));
    }
}

#[test]
fn a_cut_client_gets_its_answer_when_the_link_is_healed() {
    let cluster = cluster();
    let leader_id = cluster.partition("t", 0).unwrap().leader.unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let cut = cluster.network().cut(leader_id, Peer::Clients).unwrap();
    client.send(ApiKey::ApiVersions, 3, &versions());
    assert!(is_silent(&mut client));
    assert_eq!(cut.held(), 1);
    cluster.network().heal();
    assert!(matches!(client.receive(), ResponseKind::ApiVersions(_)));
    assert!(cut.fired() > 0);
}

#[test]
fn a_breakpoint_is_reached_and_released() {
    let cluster = cluster();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let held = cluster.breakpoint("after_append_before_ack").partition("t", 0).arm().unwrap();
    client.send(ApiKey::Produce, 9, &produce("t", 0, batch(&["a"]), -1));
    held.reached_blocking().unwrap();
    assert_eq!(cluster.partition("t", 0).unwrap().log_end(), Some(1));
    assert!(is_silent(&mut client));
    held.release();
    assert!(matches!(client.receive(), ResponseKind::Produce(_)));
    let error = cluster.breakpoint("after_lunch").arm().unwrap_err().to_string();
    assert!(
        error.starts_with("there is no breakpoint \"after_lunch\"; there are after_append_before_ack, "),
        "{error}"
    );
}

#[test]
fn a_paused_broker_keeps_its_connections_and_answers_when_it_goes_on() {
    let cluster = cluster();
    let id = cluster.partition("t", 0).unwrap().leader.unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    let pause = cluster.broker(id).unwrap().pause().unwrap();
    client.send(ApiKey::ApiVersions, 3, &versions());
    assert!(is_silent(&mut client));
    assert!(pause.held() > 0);
    let twice = cluster.broker(id).unwrap().pause().unwrap_err().to_string();
    assert_eq!(twice, format!("node {id} is paused already"));
    cluster.broker(id).unwrap().resume().unwrap();
    assert!(matches!(client.receive(), ResponseKind::ApiVersions(_)));
}

#[test]
fn every_kind_of_fault_can_be_said_in_one_line() {
    let cluster = cluster();
    let faults = cluster.faults();
    let broker = cluster.broker(1).unwrap();
    let ms = Duration::from_millis;
    let healed = [
        faults.on_any_request().client_id("me").from_clients().to(2).chance_percent(5).delay(ms(5)),
        faults.on(ApiKey::Fetch).from_node(2).topic("t").delay_answer(ms(5)),
        faults.on(ApiKey::Metadata).from_nodes().throttle(ms(5)),
        faults.on(ApiKey::Fetch).hold(),
        faults.on(ApiKey::Heartbeat).hold_answer(),
        faults.hold_isr("t", 0),
        cluster.network().cut_one_way(1, 100),
        cluster.network().lose(1, 2, klamm::Messages::Answers),
        cluster.network().partition(&[&[1], &[2, 3]]),
        cluster.network().latency(1, Peer::Clients, ms(1)),
        cluster.network().jitter(1, Peer::Anyone, ms(1)),
        cluster.network().bandwidth(1, 2, 1_000_000),
        broker.slow(ms(1)),
        broker.skew(-1_000),
        broker.fence(),
        cluster.node(100).drift(100),
        broker.disk(DiskFault::Full { scope: DiskScope::Everything, after_bytes: 1 << 30 }),
    ];
    for fault in healed {
        fault.unwrap().heal();
    }
    let _ = cluster.network().reset(1, 2).unwrap();
    cluster.node(100).monotonic_clock(ms(10)).unwrap();
    faults.set_isr("t", 0, &[1, 2, 3]).unwrap();
    broker.expire_session().unwrap();
    assert!(faults.list().iter().all(|status| !status.armed));
    assert!(faults.move_leader("t", 7, 1).unwrap_err().to_string().contains("there is no partition t-7"));
    assert!(faults.force_rebalance("g").unwrap_err().to_string().contains("there is no group g"));
    assert!(faults.expire_member("g", "m").is_err() && faults.move_coordinator("g", 2).is_err());
    let crash = |id| Fault::Node { node: klamm::NodeId(id), fault: klamm::NodeFault::Crash };
    let _ = faults.inject(crash(3)).unwrap();
    assert_eq!(
        faults.inject(crash(3)).unwrap_err().to_string(),
        "node 3 is down, so it cannot be crashed; start it first"
    );
}
