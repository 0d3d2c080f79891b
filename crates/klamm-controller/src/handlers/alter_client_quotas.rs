//! AlterClientQuotas (key 49): sets and removes quotas of users and client ids (KIP-546).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::{MetadataRecord, QuotaEntity};
use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::alter_client_quotas_request::EntryData as Asked;
use klamm_wire::messages::alter_client_quotas_response::{EntityData, EntryData};
use klamm_wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;
use crate::controller::Controller;
use crate::quota_control;

/// Each entity is answered once; of one that is named again the first word counts, and the answer is that of the last.
pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &AlterClientQuotasRequest,
) {
    let mut records: Vec<MetadataRecord> = Vec::new();
    let mut results: BTreeMap<QuotaEntity, Option<ApiError>> = BTreeMap::new();
    for asked in &request.entries {
        let parts = asked.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone()));
        let entity = QuotaEntity::new(parts);
        let error = match values(asked) {
            Some(values) if !results.contains_key(&entity) => {
                match quota_control::alter(&controller.state.image.client_quotas, &entity, &values) {
                    Ok(changed) => {
                        records.extend(changed);
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            // What Kafka says of a key that is named twice as well.
            _ => Some(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Ignoring duplicate entity ClientQuotaEntity(entries={})", java_map(&entity)),
            )),
        };
        results.insert(entity, error);
    }
    if request.validate_only {
        records.clear();
    }
    let entries = results.iter().map(|(entity, error)| entry(entity, error.as_ref())).collect();
    let response = AlterClientQuotasResponse::default().with_entries(entries);
    controller.commit(ctx, to, &records, "client quotas", ResponseKind::AlterClientQuotas(response));
}

/// What is asked of an entity, by key; `None` when a key is named twice.
fn values(asked: &Asked) -> Option<BTreeMap<StrBytes, Option<f64>>> {
    let mut seen = BTreeSet::new();
    let once = asked.ops.iter().all(|op| seen.insert(&op.key));
    once.then(|| asked.ops.iter().map(|op| (op.key.clone(), (!op.remove).then_some(op.value))).collect())
}

fn entry(entity: &QuotaEntity, error: Option<&ApiError>) -> EntryData {
    let parts = entity.parts().map(|(kind, name)| {
        EntityData::default().with_entity_type(kind.clone()).with_entity_name(name.cloned())
    });
    EntryData::default()
        .with_error_code(error.map_or(0, |error| error.code.code()))
        .with_error_message(error.and_then(ApiError::text))
        .with_entity(parts.collect())
}

/// An entity as Java prints a map.
fn java_map(entity: &QuotaEntity) -> String {
    let parts: Vec<String> = entity
        .parts()
        .map(|(kind, name)| format!("{kind}={}", name.map_or("null", |name| &**name)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}
