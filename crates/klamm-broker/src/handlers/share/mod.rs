//! The share consumers' API keys, one file each.

pub(crate) mod share_acknowledge;
pub(crate) mod share_fetch;

use klamm_metadata::features::SHARE_VERSION;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::core::Core;
use crate::share::acknowledge::{Acknowledgement, RENEW};
use crate::share::pending::Said;
use crate::share::session::{SessionKey, TopicPartitionId};

/// The longest id of a member, in UTF-16 units.
const MAX_MEMBER_ID: usize = 36;
/// The version of ShareFetch and ShareAcknowledge that brought [`RENEW`], the highest type of an acknowledgement.
const RENEWING: i16 = 2;

/// Whether a request may say that its member keeps records: it has to announce that.
const fn renews(version: i16, is_renew_ack: bool) -> bool {
    version >= RENEWING && is_renew_ack
}

/// Whether the cluster has share groups: `share.version` is 1 or more.
pub(crate) fn enabled(core: &Core) -> bool {
    core.metadata.image().features.level(SHARE_VERSION) >= 1
}

/// Whether a text can be the id of a member (`isMemberIdValid`).
pub(crate) fn is_member_id(id: &StrBytes) -> bool {
    !id.is_empty() && id.encode_utf16().count() <= MAX_MEMBER_ID
}

/// The group and member that a request names.
fn session_key(
    core: &Core,
    group: Option<&StrBytes>,
    member: Option<&StrBytes>,
) -> Result<SessionKey, ErrorCode> {
    if !enabled(core) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    match (group, member.filter(|id| is_member_id(id))) {
        // Copies: what comes in a request shares the memory that its connection was read into.
        (Some(group), Some(member)) => {
            Ok((StrBytes::from_string(group.to_string()), StrBytes::from_string(member.to_string())))
        }
        _ => Err(ErrorCode::InvalidRequest),
    }
}

/// What a request says of each partition's records, as far as it may be said (`handleAcknowledgements`).
fn checked(
    core: &Core,
    renews: bool,
    said: impl Iterator<Item = (TopicPartitionId, Vec<Acknowledgement>)>,
) -> Vec<Said> {
    let mut said: Vec<Said> =
        said.map(|(id, said)| (id, check_acknowledgements(core, renews, id.0, id.1, said))).collect();
    // A partition of which nothing is said is answered beside one of which something is, and else left out.
    let nothing = |said: &Said| said.1.as_ref().is_ok_and(Vec::is_empty);
    if said.iter().all(|partition| partition.1.is_err() || nothing(partition)) {
        said.retain(|partition| !nothing(partition));
    }
    said
}

/// Looks at what a request says of one partition's records before anybody takes note of it (`validateAcknowledgementBatches`).
fn check_acknowledgements(
    core: &Core,
    renews: bool,
    topic: Uuid,
    partition: i32,
    said: Vec<Acknowledgement>,
) -> Result<Vec<Acknowledgement>, ErrorCode> {
    let Some(known) = core.metadata.image().topics.by_id(topic) else {
        return Err(ErrorCode::UnknownTopicId);
    };
    let highest = if renews { RENEW } else { RENEW - 1 };
    let mut previous_last = -1;
    for batch in &said {
        let span = batch.last.wrapping_sub(batch.first);
        let wrong = batch.first > batch.last
            || batch.first < previous_last
            || batch.types.is_empty()
            || batch.types.len() > 1 && span != batch.types.len() as i64 - 1
            || batch.types.iter().any(|ack_type| !(0..=highest).contains(ack_type));
        if wrong {
            return Err(ErrorCode::InvalidRequest);
        }
        previous_last = batch.last;
    }
    if partition < 0 || i64::from(partition) >= known.partitions.len() as i64 {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(said)
}
