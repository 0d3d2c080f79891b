//! What a broker does with clients that do wrong, and that a good client beside them notices nothing.

use std::io::{Read, Write};
use std::time::Duration;

use klamm::Cluster;
use klamm_wire::messages::{ApiVersionsRequest, ResponseKind};
use klamm_wire::{ApiKey, ErrorCode, Request};

use crate::client::{Client, batch, fetch, produce, produced};
use crate::cluster::leader;

/// A cluster of one broker, and its address.
fn cluster() -> (klamm::blocking::Cluster, String) {
    let cluster = Cluster::builder()
        .brokers(1)
        .topic("t", 1, 1)
        .config("socket.request.max.bytes", "1000000")
        .start_blocking()
        .unwrap();
    let address = leader(&cluster, "t", 0);
    (cluster, address)
}

/// Repeats a good client's everyday while `bad` misbehaves.
fn beside_a_good_client(bad: impl FnOnce(&str)) {
    let (cluster, address) = cluster();
    let mut good = Client::connect(&address);
    let mut everyday = |value: &str| {
        let offset = good.produce("t", 0, &[value], -1).unwrap();
        assert_eq!(good.fetch("t", 0, offset), [value]);
    };
    everyday("before");
    bad(&address);
    everyday("after");
    assert!(cluster.look(|world| world.is_ready()));
    drop(good);
    cluster.wait_until(|world| world.connections() == 0).unwrap();
}

fn closes(address: &str, bytes: &[u8]) {
    let mut client = Client::connect(address);
    // The broker may have closed before everything is written.
    let _ = client.stream.write_all(bytes);
    assert!(client.is_closed(), "{bytes:?}");
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn frames_of_impossible_size_close_the_connection() {
    beside_a_good_client(|address| {
        for length in [-1, i32::MIN, i32::MAX, 1_000_001] {
            closes(address, &length.to_be_bytes());
        }
        closes(address, b"GET / HTTP/1.1\r\nHost: klamm\r\n\r\n");
        closes(address, &[0, 0, 0, 0]);
        closes(address, &[0, 0, 0, 3, 0, 0, 0]);
    });
}

#[test]
fn unknown_apis_and_versions_close_the_connection_except_api_versions() {
    beside_a_good_client(|address| {
        let frame = |key: i16, version: i16| {
            let mut body = Vec::new();
            body.extend(key.to_be_bytes());
            body.extend(version.to_be_bytes());
            body.extend(7_i32.to_be_bytes());
            // No client id, no tagged fields.
            body.extend(b"\xff\xff\0");
            let mut frame = (body.len() as u32).to_be_bytes().to_vec();
            frame.extend(body);
            frame
        };
        for (key, version) in
            [(999, 0), (-1, 0), (0, 2), (0, 99), (0, -1), (1, 3), (3, 999), (52, 0), (56, 2)]
        {
            closes(address, &frame(key, version));
        }
        let mut client = Client::connect(address);
        client.stream.write_all(&frame(18, 99)).unwrap();
        let answer = client.receive_frame().unwrap();
        assert_eq!(answer[..4], 7_i32.to_be_bytes());
        assert_eq!(answer[4..6], ErrorCode::UnsupportedVersion.code().to_be_bytes());
        client.api_versions();
    });
}

#[test]
fn truncated_frames_wait_and_end_with_their_connection() {
    beside_a_good_client(|address| {
        let mut client = Client::connect(address);
        let whole = client.frame(ApiKey::Produce, 9, &produce("t", 0, batch(&["cut off"]), -1));
        for len in 0..whole.len() {
            let mut client = Client::connect(address);
            client.stream.write_all(&whole[..len]).unwrap();
            client.half_close();
            assert!(client.is_closed(), "{len} bytes");
        }
    });
}

#[test]
fn bit_flipped_and_random_frames_never_harm() {
    beside_a_good_client(|address| {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut client = Client::connect(address);
        let whole = client.frame(ApiKey::Produce, 9, &produce("t", 0, batch(&["flipped", "bits"]), 1));
        for _ in 0..300 {
            let mut frame = whole.to_vec();
            for _ in 0..=random.next() % 3 {
                // The length stays, so that the frame is taken as one.
                let at = 4 + (random.next() as usize) % (frame.len() - 4);
                frame[at] ^= 1 << (random.next() % 8);
            }
            let mut client = Client::connect(address);
            client.stream.write_all(&frame).unwrap();
            client.half_close();
            // Whatever comes, it comes to an end.
            client.stream.read_to_end(&mut Vec::new()).unwrap_or_default();
        }
        for _ in 0..300 {
            let mut body: Vec<u8> = (0..random.next() % 200).map(|_| random.next() as u8).collect();
            if body.len() > 4 && random.next().is_multiple_of(2) {
                body[..2].copy_from_slice(&((random.next() % 80) as i16).to_be_bytes());
                body[2..4].copy_from_slice(&((random.next() % 10) as i16).to_be_bytes());
            }
            let mut client = Client::connect(address);
            client.stream.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
            let _ = client.stream.write_all(&body);
            client.half_close();
            client.stream.read_to_end(&mut Vec::new()).unwrap_or_default();
        }
    });
}

#[test]
fn absurd_array_lengths_allocate_nothing() {
    beside_a_good_client(|address| {
        // Metadata v1 with 2,147,483,647 topics, and v12 with as many in compact form.
        closes(address, b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff");
        closes(address, b"\0\0\0\x10\0\x03\0\x0c\0\0\0\x01\xff\xff\0\xff\xff\xff\xff\x0f");
        // Produce v9 with as many.
        closes(
            address,
            b"\0\0\0\x18\0\0\0\x09\0\0\0\x01\xff\xff\0\0\xff\xff\0\0\0\x01\xff\xff\xff\xff\x0f\0",
        );
    });
}

#[test]
fn a_wrong_crc_is_told_and_the_connection_goes_on() {
    beside_a_good_client(|address| {
        let mut client = Client::connect(address);
        let mut records = batch(&["wrong"]).to_vec();
        let last = records.len() - 1;
        records[last] ^= 1;
        let request = produce("t", 0, records.into(), -1);
        let ResponseKind::Produce(response) = client.ask(ApiKey::Produce, 9, &request) else { panic!() };
        assert_eq!(produced(&response), Err(ErrorCode::CorruptMessage.code()));
        client.api_versions();
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_cluster, address) = cluster();
    let mut client = Client::connect(&address);
    let mut bytes = Vec::new();
    for i in 0..1_000 {
        let frame = if i % 3 == 0 {
            client.frame(ApiKey::Fetch, 12, &fetch("t", 0, 0, 1))
        } else {
            client.frame(ApiKey::Produce, 9, &produce("t", 0, batch(&["x"]), if i % 3 == 1 { 1 } else { -1 }))
        };
        bytes.extend(frame);
    }
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for i in 0..1_000 {
        // `receive` checks the correlation id.
        let response = client.receive();
        assert_eq!(matches!(response, ResponseKind::Fetch(_)), i % 3 == 0);
    }
    writing.join().unwrap();
}

#[test]
fn a_client_that_has_said_its_last_is_still_answered() {
    let (_cluster, address) = cluster();
    let mut client = Client::connect(&address);
    client.send(ApiKey::Produce, 9, &produce("t", 0, batch(&["last words"]), -1));
    client.half_close();
    let ResponseKind::Produce(response) = client.receive() else { panic!() };
    assert_eq!(produced(&response), Ok(0));
    assert!(client.is_closed());
}

#[test]
fn a_slow_reader_holds_up_nobody_and_fills_no_memory() {
    beside_a_good_client(|address| {
        let mut slow = Client::connect(address);
        let big = "x".repeat(500_000);
        slow.produce("t", 0, &[&big], -1).unwrap();
        // Asks for gigabytes and reads nothing. The broker stops listening to it, so it cannot even ask for all.
        slow.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut asked = 0;
        for _ in 0..200_000 {
            let frame = slow.frame(ApiKey::Fetch, 12, &fetch("t", 0, 1, 0));
            if slow.stream.write_all(&frame).is_err() {
                break;
            }
            asked += 1;
        }
        assert!(asked < 200_000, "the broker read on");
    });
}

#[test]
fn idle_connections_are_closed() {
    let cluster =
        Cluster::builder().brokers(1).config("connections.max.idle.ms", "200").start_blocking().unwrap();
    let address = cluster.broker(1).unwrap().address().to_owned();
    let mut idle = Client::connect(&address);
    assert!(idle.is_closed());
    let mut late = Client::connect(&address);
    late.api_versions();
    assert!(late.is_closed());
}

#[test]
fn a_thousand_connections_at_once() {
    beside_a_good_client(|address| {
        let mut clients: Vec<_> = (0..1_000).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.api_versions();
        }
        for (i, client) in clients.iter_mut().enumerate() {
            client.send(ApiKey::Produce, 9, &produce("t", 0, batch(&[&i.to_string()]), -1));
        }
        let mut offsets: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let ResponseKind::Produce(response) = client.receive() else { panic!() };
                produced(&response).unwrap()
            })
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), 1_000);
    });
}

#[test]
fn a_quorum_of_two_and_a_controller_that_is_not_there() {
    let error = Cluster::builder().controllers(2).start_blocking().unwrap_err().to_string();
    assert!(error.ends_with("a cluster has 1 or 3 controllers, not 2"), "{error}");
    let (cluster, _) = cluster();
    let error = cluster.controller(101).unwrap_err().to_string();
    assert_eq!(error, "there is no controller 101; the controllers are 100");
}

#[test]
fn what_was_answered_before_the_connection_is_closed_still_arrives() {
    beside_a_good_client(|address| {
        let mut client = Client::connect(address);
        let asked =
            client.frame(ApiKey::ApiVersions, 0, &Request::ApiVersions(ApiVersionsRequest::default()));
        // With acks=0 closing is how the client is told; both requests come in one read.
        let wrong = client.frame(ApiKey::Produce, 9, &produce("t", 99, batch(&["x"]), 0));
        client.stream.write_all(&[&asked[..], &wrong[..]].concat()).unwrap();
        assert!(matches!(client.receive(), ResponseKind::ApiVersions(_)));
        assert!(client.is_closed());
    });
}
