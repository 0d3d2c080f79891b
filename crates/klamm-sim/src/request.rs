//! Faults of requests, as the simulator draws them.

use std::fmt;
use std::time::Duration;

use klamm_node::{NodeId, Rng};
use klamm_wire::{ApiKey, ErrorCode};
use klamm_world::fault::{Chance, RequestAction, RequestFault, RequestMatch};

/// Some of the requests of one API are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitRequests {
    /// The API.
    pub api: ApiKey,
    /// The broker that is asked; `None` for requests that go to the controller.
    pub to: Option<NodeId>,
    /// How many in a hundred.
    pub percent: u32,
    /// What happens to them.
    pub action: Hit,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// It arrives later.
    Delay(Duration),
    /// Its answer leaves later.
    DelayAnswer(Duration),
    /// It is lost, and its connection is silent.
    Drop,
    /// Its answer is lost, and its connection is silent.
    DropAnswer,
    /// It arrives when the fault ends.
    Hold,
    /// Its answer leaves when the fault ends.
    HoldAnswer,
    /// Its connection is closed before it is handled.
    CloseBefore,
    /// Its connection is closed after it was handled.
    CloseAfter,
    /// It is answered with an error that its sender may try again after.
    Error,
}

/// The APIs whose requests are hit, and the error that a broker or controller would answer when it is the wrong one to ask.
pub(crate) const APIS: [(ApiKey, ErrorCode); 17] = [
    (ApiKey::Produce, ErrorCode::NotLeaderOrFollower),
    (ApiKey::Fetch, ErrorCode::NotLeaderOrFollower),
    (ApiKey::ListOffsets, ErrorCode::NotLeaderOrFollower),
    (ApiKey::InitProducerId, ErrorCode::CoordinatorLoadInProgress),
    (ApiKey::FindCoordinator, ErrorCode::CoordinatorNotAvailable),
    (ApiKey::JoinGroup, ErrorCode::NotCoordinator),
    (ApiKey::SyncGroup, ErrorCode::NotCoordinator),
    (ApiKey::Heartbeat, ErrorCode::NotCoordinator),
    (ApiKey::OffsetCommit, ErrorCode::NotCoordinator),
    (ApiKey::OffsetFetch, ErrorCode::NotCoordinator),
    (ApiKey::AlterPartition, ErrorCode::NotController),
    (ApiKey::BrokerHeartbeat, ErrorCode::NotController),
    (ApiKey::AddPartitionsToTxn, ErrorCode::NotCoordinator),
    (ApiKey::AddOffsetsToTxn, ErrorCode::NotCoordinator),
    (ApiKey::TxnOffsetCommit, ErrorCode::NotCoordinator),
    (ApiKey::EndTxn, ErrorCode::NotCoordinator),
    (ApiKey::WriteTxnMarkers, ErrorCode::NotLeaderOrFollower),
];

/// How many of them are hit where there are no transactions.
const USUAL: usize = 12;

const HITS: [(&str, Hit); 9] = [
    ("delay", Hit::Delay(Duration::ZERO)),
    ("delay-answer", Hit::DelayAnswer(Duration::ZERO)),
    ("drop", Hit::Drop),
    ("drop-answer", Hit::DropAnswer),
    ("hold", Hit::Hold),
    ("hold-answer", Hit::HoldAnswer),
    ("close-before", Hit::CloseBefore),
    ("close-after", Hit::CloseAfter),
    ("error", Hit::Error),
];

impl Hit {
    /// Its name in files, and how long it takes where that has to be said.
    pub(crate) fn name(self) -> (&'static str, Option<Duration>) {
        let same = |hit: &&(&str, Self)| std::mem::discriminant(&hit.1) == std::mem::discriminant(&self);
        let name = HITS.iter().find(same).map_or("", |(name, _)| *name);
        match self {
            Self::Delay(by) | Self::DelayAnswer(by) => (name, Some(by)),
            _ => (name, None),
        }
    }

    /// What has this name.
    pub(crate) fn named(name: &str, by: impl FnOnce() -> Option<Duration>) -> Option<Self> {
        match HITS.iter().find(|(known, _)| *known == name)?.1 {
            Self::Delay(_) => by().map(Self::Delay),
            Self::DelayAnswer(_) => by().map(Self::DelayAnswer),
            other => Some(other),
        }
    }

    /// The names.
    pub(crate) fn names() -> String {
        HITS.map(|(name, _)| name).join(", ")
    }
}

impl HitRequests {
    /// Draws one.
    pub(crate) fn draw(rng: &mut Rng, broker: NodeId, transactions: bool) -> Self {
        let known = if transactions { APIS.len() } else { USUAL };
        // What makes a transaction is hit more often than the rest.
        let among_transactions = transactions && rng.chance(0.5);
        let at = match among_transactions {
            true => (USUAL + rng.below(6) as usize) % APIS.len(),
            false => rng.below(known as u64) as usize,
        };
        let (api, _) = APIS[at];
        let to_controller = matches!(api, ApiKey::AlterPartition | ApiKey::BrokerHeartbeat);
        let percent = [5, 30, 100][rng.below(3) as usize];
        let by = Duration::from_millis([20, 300, 4_000][rng.below(3) as usize]);
        let action = match HITS[rng.below(HITS.len() as u64) as usize].1 {
            Hit::Delay(_) => Hit::Delay(by),
            Hit::DelayAnswer(_) => Hit::DelayAnswer(by),
            other => other,
        };
        Self { api, to: (!to_controller).then_some(broker), percent, action }
    }

    /// The fault.
    pub(crate) fn fault(self) -> RequestFault {
        let mut on = RequestMatch::api(self.api).chance(Chance::percent(self.percent));
        on.to = self.to;
        let error = APIS.iter().find(|(api, _)| *api == self.api).map(|(_, error)| *error);
        on.then(match self.action {
            Hit::Delay(by) => RequestAction::Delay(by),
            Hit::DelayAnswer(by) => RequestAction::DelayAnswer(by),
            Hit::Drop => RequestAction::Drop,
            Hit::DropAnswer => RequestAction::DropAnswer,
            Hit::Hold => RequestAction::Hold,
            Hit::HoldAnswer => RequestAction::HoldAnswer,
            Hit::CloseBefore => RequestAction::CloseBefore,
            Hit::CloseAfter => RequestAction::CloseAfter,
            Hit::Error => RequestAction::Error(error.unwrap_or(ErrorCode::UnknownServerError)),
        })
    }
}

impl fmt::Display for HitRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault().fmt(f)
    }
}
