//! Client quotas (`ClientQuotaControlManager`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use klamm_metadata::quotas::{
    CLIENT_ID, CONNECTION_CREATION_RATE, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, IP,
    PRODUCER_BYTE_RATE, REQUEST_PERCENTAGE, USER, quota_record,
};
use klamm_metadata::{ClientQuotasImage, MetadataRecord, QuotaEntity};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;

/// What a value of a quota must be (`ConfigDef.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Long,
    Double,
}

/// The records that give an entity's keys new values; `None` removes a key.
pub(crate) fn alter(
    image: &ClientQuotasImage,
    entity: &QuotaEntity,
    values: &BTreeMap<StrBytes, Option<f64>>,
) -> Result<Vec<MetadataRecord>, ApiError> {
    validate_entity(entity)?;
    let mut records = Vec::new();
    for (key, value) in values {
        let current = image.value(entity, key);
        match value {
            None if current.is_none() => continue,
            None => {}
            Some(value) => {
                validate_value(entity, key, *value)?;
                if current == Some(*value) {
                    continue;
                }
            }
        }
        records.push(quota_record(entity, key.clone(), *value).into());
    }
    Ok(records)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

fn validate_entity(entity: &QuotaEntity) -> Result<(), ApiError> {
    if entity.parts().len() == 0 {
        return Err(invalid("Invalid empty client quota entity"));
    }
    for (kind, name) in entity.parts() {
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name.is_some_and(|name| name.is_empty()) {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
    }
    let Some(ip) = entity.part(IP) else { return Ok(()) };
    if entity.parts().len() > 1 {
        // Kafka's words, the missing space included.
        return Err(invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ));
    }
    match ip {
        // Kafka resolves names; nothing here may ask a name server.
        Some(ip) if ip.parse::<IpAddr>().is_err() => {
            Err(invalid(format!("{ip} is not a valid IP or resolvable host.")))
        }
        _ => Ok(()),
    }
}

fn validate_value(entity: &QuotaEntity, key: &StrBytes, value: f64) -> Result<(), ApiError> {
    let form = match (&**key, entity.part(IP).is_some()) {
        (PRODUCER_BYTE_RATE | CONSUMER_BYTE_RATE, false) => Form::Long,
        (CONTROLLER_MUTATION_RATE, false) => Form::Double,
        (REQUEST_PERCENTAGE, false) | (CONNECTION_CREATION_RATE, true) => {
            return Err(invalid(format!("klamm does not enforce {key}, and so does not take it")));
        }
        _ => return Err(invalid(format!("Invalid configuration key {key}"))),
    };
    if value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if form == Form::Long {
        if value > i64::MAX as f64 {
            return Err(invalid(format!("Proposed value for {key} is too large for a LONG.")));
        }
        if (value % 1.0).abs() > 1e-6 {
            return Err(invalid(format!("{key} cannot be a fractional value.")));
        }
    }
    Ok(())
}
