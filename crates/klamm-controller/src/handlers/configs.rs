//! What AlterConfigs and IncrementalAlterConfigs have in common.

use std::collections::BTreeSet;

use klamm_metadata::{ConfigResource, ConfigResourceKind, MetadataRecord};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;
use crate::controller::check_size;

/// The answer for one resource.
pub(super) struct Answer {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    pub(super) error: Option<ApiError>,
}

/// Works through resources, each on its own: one that fails does not stop the others. Resources that are named twice
/// are refused.
pub(super) fn each_resource<T>(
    resources: &[T],
    key: impl Fn(&T) -> (i8, StrBytes),
    alter: impl Fn(&T, ConfigResource) -> Result<Vec<MetadataRecord>, ApiError>,
) -> (Vec<MetadataRecord>, Vec<Answer>) {
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<_> =
        resources.iter().map(&key).filter(|key| !seen.insert(key.clone())).collect();
    let mut records = Vec::new();
    let mut answers: Vec<Answer> = duplicates
        .iter()
        .cloned()
        .map(|(kind, name)| Answer {
            kind,
            name,
            error: Some(ApiError::new(ErrorCode::InvalidRequest, "Duplicate resource.")),
        })
        .collect();
    for resource in resources {
        let (kind, name) = key(resource);
        if duplicates.contains(&(kind, name.clone())) {
            continue;
        }
        let before = records.len();
        let outcome = target(kind, &name).and_then(|target| {
            records.extend(alter(resource, target)?);
            check_size(&records)
        });
        if outcome.is_err() {
            records.truncate(before);
        }
        answers.push(Answer { kind, name, error: outcome.err() });
    }
    (records, answers)
}

fn target(kind: i8, name: &StrBytes) -> Result<ConfigResource, ApiError> {
    let kind = ConfigResourceKind::from_code(kind).ok_or_else(|| {
        ApiError::new(ErrorCode::UnsupportedVersion, format!("Unknown resource type {kind}."))
    })?;
    Ok(ConfigResource { kind, name: name.clone() })
}
