//! Brokers come, live and go (`ClusterControlManager`, and the heartbeat part of `ReplicationControlManager`).

use klamm_metadata::record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
use klamm_metadata::{MetadataRecord, features, is_reserved_directory};
use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;
use crate::broker_heartbeat::{BrokerState, HeartbeatFacts};
use crate::replication_control;
use crate::state::ClusterState;

/// The broker's epoch, and the records of its registration, which end with the registration itself.
///
/// `next_offset` is where the records will lie in the log: it becomes the epoch of a new incarnation.
pub(crate) fn register_broker(
    state: &ClusterState,
    version: i16,
    request: &BrokerRegistrationRequest,
    next_offset: i64,
    now: Timestamp,
    records: &mut Vec<MetadataRecord>,
) -> Result<i64, ApiError> {
    if request.cluster_id != state.cluster_id {
        return Err(ApiError::new(
            ErrorCode::InconsistentClusterId,
            format!("Expected cluster ID {}, but got cluster ID {}", state.cluster_id, request.cluster_id),
        ));
    }
    let id = NodeId(request.broker_id.0);
    let existing = state.image.cluster.broker(id);
    let same_incarnation = existing.is_some_and(|broker| broker.incarnation_id == request.incarnation_id);
    if let Some(existing) = existing
        && !same_incarnation
        && state.heartbeats.has_valid_session(id, existing.epoch, now)
    {
        return Err(ApiError::new(
            ErrorCode::DuplicateBrokerRegistration,
            "Another broker is registered with that broker id. If the broker was recently restarted this should \
             self-resolve once the heartbeat manager expires the broker's session.",
        ));
    }
    if request.is_migrating_zk_broker {
        return Err(ApiError::new(
            ErrorCode::BrokerIdNotRegistered,
            "Controller does not support registering ZK brokers.",
        ));
    }
    check_directories(state, id, request)?;
    check_features(state, request)?;
    let mut record = RegisterBrokerRecord {
        broker_id: id.0,
        incarnation_id: request.incarnation_id,
        broker_epoch: next_offset,
        rack: request.rack.clone(),
        end_points: request
            .listeners
            .iter()
            .map(|listener| BrokerEndpoint {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port,
                security_protocol: listener.security_protocol,
            })
            .collect(),
        features: request
            .features
            .iter()
            .map(|feature| BrokerFeature {
                name: feature.name.clone(),
                min_supported_version: feature.min_supported_version,
                max_supported_version: feature.max_supported_version,
            })
            .collect(),
        log_dirs: request.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    };
    match existing {
        // The same process amends what it said: nothing about its replicas changes.
        Some(existing) if same_incarnation => {
            record.broker_epoch = existing.epoch;
            record.fenced = existing.fenced;
            record.in_controlled_shutdown = existing.in_controlled_shutdown;
        }
        _ => {
            let clean =
                version >= 3 && existing.is_some_and(|broker| broker.epoch == request.previous_broker_epoch);
            replication_control::broker_shutdown(state, id, clean, records);
        }
    }
    let epoch = record.broker_epoch;
    records.push(MetadataRecord::RegisterBroker(record));
    Ok(epoch)
}

fn check_directories(
    state: &ClusterState,
    id: NodeId,
    request: &BrokerRegistrationRequest,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    if request.log_dirs.is_empty() {
        return refuse("No directories specified in request".to_owned());
    }
    if request.log_dirs.iter().any(|dir| is_reserved_directory(*dir)) {
        return refuse("Reserved directory ID in request".to_owned());
    }
    let mut sorted = request.log_dirs.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return refuse("Duplicate directory ID in request".to_owned());
    }
    for other in state.image.cluster.brokers().filter(|other| other.id != id) {
        if let Some(dir) = request.log_dirs.iter().find(|dir| other.log_dirs.contains(dir)) {
            return refuse(format!("Broker {} is already registered with directory {dir}", other.id));
        }
    }
    Ok(())
}

/// A broker must support every finalized feature at its level; level 0 where the cluster has not finalized it.
fn check_features(state: &ClusterState, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    let finalized = &state.image.features;
    let check = |name: &str, min: i16, max: i16| {
        let level = finalized.level(name);
        if (min..=max).contains(&level) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::UnsupportedVersion,
            format!(
                "Unable to register because the broker does not support finalized version {level} of {name}. The \
                 broker wants a version between {min} and {max}, inclusive."
            ),
        ))
    };
    for feature in &request.features {
        check(&feature.name, feature.min_supported_version, feature.max_supported_version)?;
    }
    let supports = |name: &str| request.features.iter().any(|feature| &*feature.name == name);
    if !supports(features::METADATA_VERSION) {
        return Err(ApiError::new(
            ErrorCode::InvalidRegistration,
            format!("Request features do not contain '{}'", features::METADATA_VERSION),
        ));
    }
    let unsupported: Vec<&StrBytes> =
        finalized.iter().map(|(name, _)| name).filter(|name| !supports(name)).collect();
    unsupported.into_iter().try_for_each(|name| check(name, 0, 0))
}

/// What a heartbeat leads to.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    pub(crate) response: BrokerHeartbeatResponse,
    pub(crate) next: BrokerState,
}

/// The answer to a heartbeat, and the records of the state that it leads to.
pub(crate) fn heartbeat(
    state: &ClusterState,
    request: &BrokerHeartbeatRequest,
    records: &mut Vec<MetadataRecord>,
) -> Result<Heartbeat, ApiError> {
    let id = NodeId(request.broker_id.0);
    let register_offset = state.register_offset(id).ok_or_else(|| {
        ApiError::new(
            ErrorCode::StaleBrokerEpoch,
            format!("Receive a heartbeat from broker {id} before registration"),
        )
    })?;
    state.check_broker_epoch(id, request.broker_epoch)?;
    let facts = HeartbeatFacts {
        metadata_offset: request.current_metadata_offset,
        want_fence: request.want_fence,
        want_shut_down: request.want_shut_down,
        register_offset,
        leads: state.index.leads(id),
    };
    let (current, next) = state.heartbeats.next_state(id, facts);
    if current != next {
        match next {
            BrokerState::Fenced | BrokerState::ShutdownNow => {
                replication_control::broker_fenced(state, id, records);
            }
            BrokerState::Unfenced => replication_control::broker_unfenced(state, id, records),
            BrokerState::ControlledShutdown => {
                replication_control::broker_in_controlled_shutdown(state, id, records);
            }
        }
    }
    replication_control::directories_offline(state, id, &request.offline_log_dirs, records);
    let response = BrokerHeartbeatResponse::default()
        .with_is_caught_up(request.current_metadata_offset >= register_offset)
        .with_is_fenced(next.is_fenced())
        .with_should_shut_down(next == BrokerState::ShutdownNow);
    Ok(Heartbeat { response, next })
}
