//! What classic consumers put into their subscriptions and assignments (Kafka's `ConsumerProtocol`). Every newer version begins
//! like the older ones, so an unknown version is read as the newest known.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_wire::StrBytes;

use crate::group::member::own;

/// The newest version of both schemas.
const NEWEST: i16 = 3;

/// A consumer's subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The schema's version.
    pub(super) version: i16,
    /// The topics.
    pub(super) topics: Vec<StrBytes>,
    /// What the consumer has, since version 1.
    pub(super) owned: Vec<(StrBytes, Vec<i32>)>,
    /// Its rack, since version 3.
    pub(super) rack_id: Option<StrBytes>,
}

/// What an assignor gave a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The partitions.
    pub(super) partitions: Vec<(StrBytes, Vec<i32>)>,
    /// Whether a custom assignor added something of its own.
    pub(super) has_user_data: bool,
}

/// Reads a subscription; `None` when it is malformed.
pub(super) fn subscription(mut bytes: Bytes) -> Option<Subscription> {
    let version = bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
    let known = version.min(NEWEST);
    let topics = array(&mut bytes, string)?;
    user_data(&mut bytes)?;
    let owned = if known >= 1 { array(&mut bytes, topic_partitions)? } else { Vec::new() };
    if known >= 2 {
        bytes.try_get_i32().ok()?;
    }
    let rack_id = if known >= 3 { nullable_string(&mut bytes)? } else { None };
    Some(Subscription { version, topics, owned, rack_id })
}

/// Reads an assignment; `None` when it is malformed.
pub(super) fn assignment(mut bytes: Bytes) -> Option<Assignment> {
    bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
    let partitions = array(&mut bytes, topic_partitions)?;
    let has_user_data = user_data(&mut bytes)? > 0;
    Some(Assignment { partitions, has_user_data })
}

/// Writes an assignment for a consumer whose subscription had this version.
pub(super) fn write_assignment(version: i16, partitions: &[(StrBytes, Vec<i32>)]) -> Bytes {
    let mut out = BytesMut::new();
    let length = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    out.put_i16(version.min(NEWEST));
    out.put_i32(length(partitions.len()));
    for (topic, partitions) in partitions {
        out.put_i16(i16::try_from(topic.len()).unwrap_or(i16::MAX));
        out.put_slice(topic.as_bytes());
        out.put_i32(length(partitions.len()));
        for partition in partitions {
            out.put_i32(*partition);
        }
    }
    // No user data: null.
    out.put_i32(-1);
    out.freeze()
}

/// The elements are read one by one: nothing is reserved for a length that the bytes do not have.
fn array<T>(bytes: &mut Bytes, read: impl Fn(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(read(bytes)?);
    }
    Some(elements)
}

fn string(bytes: &mut Bytes) -> Option<StrBytes> {
    nullable_string(bytes)?
}

/// `None` outside when it is malformed, inside when it is null.
fn nullable_string(bytes: &mut Bytes) -> Option<Option<StrBytes>> {
    let length = bytes.try_get_i16().ok()?;
    let Ok(length) = usize::try_from(length) else { return (length == -1).then_some(None) };
    if bytes.remaining() < length {
        return None;
    }
    StrBytes::from_utf8(bytes.split_to(length)).ok().map(|text| Some(own(&text)))
}

fn topic_partitions(bytes: &mut Bytes) -> Option<(StrBytes, Vec<i32>)> {
    let topic = string(bytes)?;
    let partitions = array(bytes, |bytes| bytes.try_get_i32().ok())?;
    Some((topic, partitions))
}

/// How long the user data is.
fn user_data(bytes: &mut Bytes) -> Option<usize> {
    let length = usize::try_from(bytes.try_get_i32().ok()?).unwrap_or(0);
    if bytes.remaining() < length {
        return None;
    }
    bytes.advance(length);
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let partitions = vec![(StrBytes::from_static_str("t"), vec![0, 3]), (StrBytes::default(), vec![])];
        let written = write_assignment(1, &partitions);
        let read = assignment(written.clone()).unwrap();
        assert_eq!(read, Assignment { partitions, has_user_data: false });
        for end in 0..written.len() {
            assert_eq!(assignment(written.slice(..end)), None, "the first {end} bytes");
        }
    }

    #[test]
    fn a_length_without_bytes_is_malformed() {
        let mut bytes = BytesMut::new();
        bytes.put_i16(0);
        bytes.put_i32(i32::MAX);
        assert_eq!(subscription(bytes.freeze()), None);
    }
}
