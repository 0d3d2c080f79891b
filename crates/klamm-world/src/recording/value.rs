//! How faults become bytes, and come back. A variant's number and the order of fields never change once recorded.

use std::time::Duration;

use bytes::Bytes;
use klamm_node::pause::PausePoint;
use klamm_node::{ConnectionId, NodeId, TopicPartition};
use klamm_wire::{ApiKey, ErrorCode, StrBytes};

use super::codec::{Decoded, Decoder, Encoder, nonsense};
use crate::client::ClientId;
use crate::fault::{
    Breakpoint, Chance, ClusterFault, DiskFault, DiskOperation, DiskScope, Fate, Fault, FaultId, Keep, Link,
    LogWork, Messages, NetworkFault, NodeFault, Peer, Place, RequestAction, RequestFault, RequestMatch,
    RequestOrigin,
};

/// Something that can be recorded.
pub(super) trait Value: Sized {
    fn put(&self, to: &mut Encoder);
    fn take(from: &mut Decoder) -> Decoded<Self>;
}

impl Value for Bytes {
    fn put(&self, to: &mut Encoder) {
        to.bytes(self);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.blob()
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn put(&self, to: &mut Encoder) {
                to.varint((*self).into());
            }

            fn take(from: &mut Decoder) -> Decoded<Self> {
                from.number()
            }
        }
    )*};
}

macro_rules! signed {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn put(&self, to: &mut Encoder) {
                to.signed((*self).into());
            }

            fn take(from: &mut Decoder) -> Decoded<Self> {
                from.signed()
            }
        }
    )*};
}

unsigned!(u8, u32, u64);
signed!(i16, i32, i64);

impl Value for bool {
    fn put(&self, to: &mut Encoder) {
        to.varint((*self).into());
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        Ok(from.varint()? != 0)
    }
}

impl Value for Duration {
    fn put(&self, to: &mut Encoder) {
        to.varint(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX));
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.varint().map(Self::from_nanos)
    }
}

impl Value for StrBytes {
    fn put(&self, to: &mut Encoder) {
        to.bytes(self.as_bytes());
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.text()
    }
}

impl Value for String {
    fn put(&self, to: &mut Encoder) {
        to.bytes(self.as_bytes());
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.text().map(|text| text.to_string())
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, to: &mut Encoder) {
        to.varint(self.is_some().into());
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        match from.varint()? {
            0 => Ok(None),
            1 => T::take(from).map(Some),
            other => nonsense(format!("{other} is no presence mark")),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn put(&self, to: &mut Encoder) {
        to.varint(self.len() as u64);
        for value in self {
            value.put(to);
        }
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.list(T::take)
    }
}

impl Value for ApiKey {
    fn put(&self, to: &mut Encoder) {
        (*self as i16).put(to);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        let key = i16::take(from)?;
        Self::try_from(key).or_else(|_| nonsense(format!("there is no API {key}")))
    }
}

impl Value for ErrorCode {
    fn put(&self, to: &mut Encoder) {
        self.code().put(to);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        let code = i16::take(from)?;
        Self::from_code(code).map_or_else(|| nonsense(format!("there is no error {code}")), Ok)
    }
}

impl Value for PausePoint {
    fn put(&self, to: &mut Encoder) {
        to.bytes(self.name().as_bytes());
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        from.text()?.parse().or_else(|error| nonsense(format!("{error}")))
    }
}

impl Value for Chance {
    fn put(&self, to: &mut Encoder) {
        self.as_millionths().put(to);
    }

    fn take(from: &mut Decoder) -> Decoded<Self> {
        u32::take(from).map(Self::millionths)
    }
}

/// Structs, their fields in order.
macro_rules! fields {
    ($($type:ty { $($field:tt),* $(,)? })*) => {$(
        impl Value for $type {
            fn put(&self, to: &mut Encoder) {
                $(self.$field.put(to);)*
            }

            fn take(from: &mut Decoder) -> Decoded<Self> {
                Ok(Self { $($field: Value::take(from)?),* })
            }
        }
    )*};
}

fields! {
    FaultId { 0 }
    NodeId { 0 }
    ClientId { 0 }
    ConnectionId { 0 }
    TopicPartition { topic, partition }
    RequestFault { on, action }
    RequestMatch { api, client_id, connection, from, to, topic, partition, skip, count, chance }
    Link { from, to, both_ways }
    Breakpoint { at, node, partition, nth }
}

/// Variants with their number; tuple variants name their fields by position, as in `Error { 0: error }`.
macro_rules! variants {
    ($($type:ident { $($tag:literal $variant:ident { $($field:tt: $name:ident),* })* })*) => {$(
        impl Value for $type {
            fn put(&self, to: &mut Encoder) {
                match self {
                    $(Self::$variant { $($field: $name),* } => {
                        to.varint($tag);
                        $($name.put(to);)*
                    })*
                }
            }

            fn take(from: &mut Decoder) -> Decoded<Self> {
                Ok(match from.varint()? {
                    $($tag => Self::$variant { $($field: Value::take(from)?),* },)*
                    other => return nonsense(format!(concat!("there is no ", stringify!($type), " {}"), other)),
                })
            }
        }
    )*};
}

variants! {
    Fault {
        0 Request { 0: fault }
        1 Node { node: node, fault: fault }
        2 Network { 0: fault }
        3 Disk { node: node, fault: fault }
        4 Cluster { 0: fault }
        5 Breakpoint { 0: breakpoint }
    }
    RequestOrigin {
        0 Clients {}
        1 Nodes {}
        2 Node { 0: node }
    }
    RequestAction {
        0 Error { 0: error }
        1 Delay { 0: by }
        2 DelayAnswer { 0: by }
        3 Drop {}
        4 DropAnswer {}
        5 Hold {}
        6 HoldAnswer {}
        7 CloseBefore {}
        8 CloseAfter {}
        9 Truncate { bytes: bytes }
        10 Corrupt { byte: byte, mask: mask }
        11 Throttle { 0: by }
    }
    NodeFault {
        0 Stop {}
        1 Start {}
        2 Restart {}
        3 Crash {}
        4 PowerLoss {}
        5 Pause {}
        6 Resume {}
        7 Slow { by: by }
        8 WallClock { millis: millis }
        9 MonotonicClock { by: by }
        10 Drift { ppm: ppm }
        11 Fence {}
        12 ExpireSession {}
    }
    Peer {
        0 Node { 0: node }
        1 Client { 0: client }
        2 Clients {}
        3 Anyone {}
    }
    Fate {
        0 Held {}
        1 Lost {}
    }
    Messages {
        0 All {}
        1 Requests {}
        2 Answers {}
    }
    NetworkFault {
        0 Cut { link: link, messages: messages, fate: fate }
        1 Partition { groups: groups, fate: fate }
        2 Latency { link: link, by: by }
        3 Jitter { link: link, up_to: up_to }
        4 Bandwidth { link: link, bytes_per_second: bytes_per_second }
        5 Reset { link: link }
    }
    DiskScope {
        0 Everything {}
        1 Partition { 0: partition }
        2 Path { 0: path }
    }
    DiskOperation {
        0 Read {}
        1 Write {}
        2 Flush {}
    }
    Keep {
        0 Nothing {}
        1 Everything {}
        2 Bytes { 0: bytes }
        3 UpTo { offset: offset }
        4 Torn { offset: offset, bytes: bytes }
    }
    Place {
        0 Batch { partition: partition, offset: offset, byte: byte }
        1 File { path: path, position: position }
    }
    DiskFault {
        0 Full { scope: scope, after_bytes: after_bytes }
        1 Error { scope: scope, on: on, times: times }
        2 Slow { scope: scope, on: on, by: by }
        3 AtPowerLoss { scope: scope, keep: keep }
        4 BitRot { place: place, mask: mask }
        5 LostDirectory { scope: scope }
    }
    ClusterFault {
        0 MoveLeader { partition: partition, to: to }
        1 MoveCoordinator { group: group, to: to }
        2 HoldIsr { partition: partition }
        3 SetIsr { partition: partition, isr: isr }
        4 ForceRebalance { group: group }
        5 ExpireMember { group: group, member: member }
        6 Log { partition: partition, work: work }
    }
    LogWork {
        0 Roll {}
        1 ApplyRetention {}
        2 Compact {}
    }
}

pub(super) use {fields, variants};
