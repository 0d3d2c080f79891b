//! One member of a classic group (Kafka's `ClassicGroupMember`).

use bytes::Bytes;
use klamm_node::{ReplyTo, Rng};
use klamm_wire::StrBytes;

/// A copy of a text, to keep. What comes in a request shares the memory that its connection was read into, and would hold
/// all of it for as long as it lives.
pub(crate) fn own(text: &StrBytes) -> StrBytes {
    StrBytes::from_string(text.as_str().to_owned())
}

/// As [`own`], for bytes.
pub(crate) fn own_bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// An id for a member of a consumer group, as Kafka's `Uuid.toString` has it: URL-safe base64, 22 characters.
pub(crate) fn new_id(rng: &mut Rng) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = rng.uuid().as_u128();
    // 21 digits of 6 bits, and the last 2 bits in a digit of their own.
    let digit = |at: u32| match at {
        21 => (bits << 4) & 63,
        at => bits >> (122 - 6 * at) & 63,
    };
    (0..22).map(|at| char::from(DIGITS[usize::try_from(digit(at)).unwrap_or(0)])).collect()
}

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Where the answer goes.
    pub(crate) to: ReplyTo,
    /// The request's version.
    pub(crate) version: i16,
}

/// A protocol that a member offers: an assignor's name, and the member's subscription in that assignor's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// The assignor.
    pub(crate) name: StrBytes,
    /// The subscription; opaque to the coordinator.
    pub(crate) metadata: Bytes,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Given by the coordinator.
    pub(crate) id: StrBytes,
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance_id: Option<StrBytes>,
    /// `client.id` of the request that added it.
    pub(crate) client_id: StrBytes,
    /// Host of the request that added it, with Kafka's leading slash.
    pub(crate) client_host: StrBytes,
    /// How long the others wait for it to join again, in milliseconds.
    pub(crate) rebalance_timeout_ms: i32,
    /// How long it may be silent, in milliseconds.
    pub(crate) session_timeout_ms: i32,
    /// What it offers, in its order of preference; names are unique.
    pub(crate) protocols: Vec<Protocol>,
    /// What the leader last gave it.
    pub(crate) assignment: Bytes,
    /// Its JoinGroup request, while that waits.
    pub(crate) joining: Option<Parked>,
    /// Its SyncGroup request, while that waits.
    pub(crate) syncing: Option<Parked>,
    /// Whether its first JoinGroup has not been answered yet: it cannot send heartbeats, for it does not know its id.
    pub(crate) is_new: bool,
}

impl Member {
    /// Whether the member is static.
    pub(crate) const fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Its subscription under an assignor; empty for one that it does not offer.
    pub(crate) fn metadata(&self, protocol: Option<&StrBytes>) -> Bytes {
        protocol
            .and_then(|name| self.protocols.iter().find(|p| p.name == *name))
            .map(|p| p.metadata.clone())
            .unwrap_or_default()
    }

    /// Whether silence is excused. A member that waits for the others is not silent; a new one still expires, since a
    /// client that gave up would otherwise leave a ghost in every rebalance.
    pub(crate) const fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }
}
