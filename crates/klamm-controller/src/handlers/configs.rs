//! What AlterConfigs and IncrementalAlterConfigs have in common, the checks of the forwarding broker included
//! (`ConfigAdminManager.preprocess`): klamm's brokers pass the request on as it is.

use std::collections::BTreeSet;

use klamm_metadata::{ConfigResource, ConfigResourceKind, MetadataRecord};
use klamm_node::{NodeId, Origin};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;
use crate::controller::check_size;

/// One resource of a request.
pub(super) struct Asked {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    /// Each key, and whether it is given a value where it needs one.
    pub(super) keys: Vec<(StrBytes, bool)>,
}

/// The answer for one resource.
pub(super) struct Answer {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    pub(super) error: Option<ApiError>,
}

/// Works through resources, each on its own: one that fails does not stop the others.
pub(super) fn each_resource<T>(
    origin: &Origin,
    resources: &[T],
    asked: impl Fn(&T) -> Asked,
    alter: impl Fn(&T, ConfigResource) -> Result<Vec<MetadataRecord>, ApiError>,
) -> (Vec<MetadataRecord>, Vec<Answer>) {
    let mut seen = BTreeSet::new();
    let identity = |resource: &T| {
        let asked = asked(resource);
        (asked.kind, asked.name)
    };
    let repeated: BTreeSet<_> =
        resources.iter().map(identity).filter(|identity| !seen.insert(identity.clone())).collect();
    let mut records = Vec::new();
    let mut answers = Vec::new();
    for resource in resources {
        let asked = asked(resource);
        let before = records.len();
        let outcome = if repeated.contains(&(asked.kind, asked.name.clone())) {
            Err(invalid("Each resource must appear at most once."))
        } else {
            target(origin, &asked).and_then(|target| {
                records.extend(alter(resource, target)?);
                check_size(&records)
            })
        };
        if outcome.is_err() {
            records.truncate(before);
        }
        answers.push(Answer { kind: asked.kind, name: asked.name, error: outcome.err() });
    }
    (records, answers)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

fn target(origin: &Origin, asked: &Asked) -> Result<ConfigResource, ApiError> {
    let mut keys = BTreeSet::new();
    if !asked.keys.iter().all(|(key, _)| keys.insert(key)) {
        return Err(invalid("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> =
        asked.keys.iter().filter(|(_, has_value)| !has_value).map(|(key, _)| &**key).collect();
    if !nulls.is_empty() {
        return Err(invalid(format!("Null value not supported for : {}", nulls.join(", "))));
    }
    let kind = ConfigResourceKind::from_code(asked.kind)
        // There is no runtime logger to set the level of.
        .filter(|kind| *kind != ConfigResourceKind::BrokerLogger)
        .ok_or_else(|| invalid(format!("Unknown resource type {}", asked.kind)))?;
    if kind == ConfigResourceKind::Broker && !asked.name.is_empty() {
        check_broker(origin, &asked.name)?;
    }
    Ok(ConfigResource { kind, name: asked.name.clone() })
}

/// A broker changes its own configuration only: the forwarding broker must be the one that is named.
fn check_broker(origin: &Origin, name: &str) -> Result<(), ApiError> {
    let id: i32 =
        name.parse().map_err(|_| invalid(format!("Node id must be an integer, but it is: {name}")))?;
    match origin {
        Origin::Node(NodeId(forwarder)) if *forwarder != id => {
            Err(invalid(format!("Unexpected broker id, expected {forwarder}, but received {name}")))
        }
        _ => Ok(()),
    }
}
