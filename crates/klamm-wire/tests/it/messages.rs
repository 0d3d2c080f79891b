//! Messages whose schemas stand beside `kafka-protocol`'s: where both have a version, both read and write the same bytes; in those that only
//! klamm has, what is written is what is read again.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes of which many are some message: short lengths, and no varint that goes on.
fn plausible() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![3 => Just(0u8), 12 => Just(1), 4 => Just(2), 2 => Just(3), 1 => 0x20u8..0x80];
    vec(byte, 0..400).prop_map(Bytes::from)
}

fn read<M: Decodable>(bytes: &Bytes, version: i16) -> Option<(M, usize)> {
    let mut rest = bytes.clone();
    let message = M::decode(&mut rest, version).ok()?;
    Some((message, rest.len()))
}

fn written(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("what was read can be written");
    assert_eq!(message.compute_size(version).expect("as above"), out.len());
    out.freeze()
}

/// Ours, in a version of its own.
fn goes_there_and_back<M: Message + Decodable + Encodable + PartialEq + Debug>(bytes: &Bytes, version: i16) {
    let Some((message, _)) = read::<M>(bytes, version) else { return };
    let bytes = written(&message, version);
    assert_eq!(read::<M>(&bytes, version), Some((message, 0)), "v{version}");
}

/// Ours and theirs, in a version that both have. (Theirs takes null where there must be none.)
fn are_the_same<M, K>(bytes: &Bytes, version: i16)
where
    M: Message + Decodable + Encodable + HeaderVersion + PartialEq + Debug,
    K: Decodable + Encodable + HeaderVersion,
{
    assert_eq!(M::header_version(version), K::header_version(version), "v{version}");
    goes_there_and_back::<M>(bytes, version);
    let Some((ours, left)) = read::<M>(bytes, version) else { return };
    let theirs = read::<K>(bytes, version).map(|(_, left)| left);
    assert_eq!(theirs, Some(left), "v{version}: {ours:?}");
    let bytes = written(&ours, version);
    let theirs = read::<K>(&bytes, version).map(|(theirs, left)| (written(&theirs, version), left));
    assert_eq!(theirs, Some((bytes, 0)), "v{version}: {ours:?}");
}

fn compare<M, K>(bytes: &Bytes)
where
    M: Message + Decodable + Encodable + HeaderVersion + PartialEq + Debug,
    K: Message + Decodable + Encodable + HeaderVersion,
{
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        match version <= K::VERSIONS.max {
            true => are_the_same::<M, K>(bytes, version),
            false => goes_there_and_back::<M>(bytes, version),
        }
    }
}

macro_rules! messages {
    ($($test:ident: $request:ident;)*) => {
        proptest! {
            $(#[test]
            fn $test(bytes in plausible()) {
                type Ours = klamm_wire::messages::$request;
                type Theirs = kafka_protocol::messages::$request;
                assert_eq!(Ours::KEY, Theirs::KEY);
                let (ours, theirs) = (Ours::VERSIONS.max, Theirs::VERSIONS.max);
                assert!(ours > theirs, "kafka-protocol has all of them now");
                compare::<Ours, Theirs>(&bytes);
                compare::<<Ours as Request>::Response, <Theirs as Request>::Response>(&bytes);
            })*
        }
    };
}

messages! {
    offset_commit: OffsetCommitRequest;
    offset_fetch: OffsetFetchRequest;
    share_acknowledge: ShareAcknowledgeRequest;
    share_fetch: ShareFetchRequest;
    txn_offset_commit: TxnOffsetCommitRequest;
    write_txn_markers: WriteTxnMarkersRequest;
}

/// Most of what is plausible is read, so that the comparison says something.
#[test]
fn plausible_bytes_are_messages() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut requests, mut responses) = (0, 0);
    for _ in 0..200 {
        let bytes = plausible().new_tree(&mut runner).unwrap().current();
        requests += i32::from(read::<klamm_wire::messages::ShareFetchRequest>(&bytes, 2).is_some());
        responses += i32::from(read::<klamm_wire::messages::ShareFetchResponse>(&bytes, 2).is_some());
    }
    assert!(requests > 40 && responses > 40, "{requests}, {responses}");
}
