//! DescribeClientQuotas (key 48), versions 0–1. Answers to `KafkaApis.handleDescribeClientQuotasRequest` and
//! `ClientQuotasImage.describe`.
//!
//! * v1 flexible
//!
//! Difference: entities come in a stable order; Kafka's is that of a hash table.

use std::collections::BTreeMap;

use klamm_metadata::quotas::{CLIENT_ID, IP, USER};
use klamm_metadata::{ClientQuotasImage, QuotaEntity};
use klamm_node::Ctx;
use klamm_wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use klamm_wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::RequestContext;

/// What an entity's part of a type must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Match {
    /// This name.
    Exact(StrBytes),
    /// The default.
    Default,
    /// There.
    Specified,
}

/// Tells the quotas of the entities that a filter lets through.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &DescribeClientQuotasRequest,
) {
    let image = &broker.core.metadata.image().client_quotas;
    let response = DescribeClientQuotasResponse::default();
    let response = match filter(request) {
        Ok(filter) => response.with_error_code(ErrorCode::None.code()).with_entries(Some(matching(
            image,
            &filter,
            request.strict,
        ))),
        Err((error, message)) => response
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_entries(None),
    };
    ctx.reply(rc.reply_to, ResponseKind::DescribeClientQuotas(response));
}

fn filter(request: &DescribeClientQuotasRequest) -> Result<BTreeMap<&str, Match>, (ErrorCode, String)> {
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let mut filter = BTreeMap::new();
    for component in &request.components {
        let kind = &*component.entity_type;
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(kind) {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
        if ![IP, USER, CLIENT_ID].contains(&kind) {
            return Err((ErrorCode::UnsupportedVersion, format!("Unsupported entity type {kind}")));
        }
        let wanted = match (component.match_type, &component._match) {
            (0, Some(name)) => Match::Exact(name.clone()),
            (0, None) => {
                return invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
                );
            }
            (1, None) => Match::Default,
            (2, None) => Match::Specified,
            (1 | 2, Some(_)) => {
                let name = if component.match_type == 1 { "DEFAULT" } else { "SPECIFIED" };
                return invalid(format!(
                    "Request specified MATCH_TYPE_{name}, but also specified a match string."
                ));
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

fn matching(image: &ClientQuotasImage, filter: &BTreeMap<&str, Match>, strict: bool) -> Vec<EntryData> {
    let passes = |entity: &QuotaEntity| {
        let parts = filter.iter().all(|(kind, wanted)| match (entity.part(kind), wanted) {
            (None, _) => false,
            (Some(_), Match::Specified) => true,
            (Some(name), Match::Default) => name.is_none(),
            (Some(name), Match::Exact(wanted)) => name == Some(wanted),
        });
        // A strict filter of nothing lets nothing through: no entity has no parts.
        parts && (!strict || entity.parts().len() == filter.len())
    };
    image
        .iter()
        .filter(|(entity, _)| passes(entity))
        .map(|(entity, quotas)| {
            let parts = entity.parts().map(|(kind, name)| {
                EntityData::default().with_entity_type(kind.clone()).with_entity_name(name.cloned())
            });
            let values = quotas
                .iter()
                .map(|(key, value)| ValueData::default().with_key(key.clone()).with_value(value.get()));
            EntryData::default().with_entity(parts.collect()).with_values(values.collect())
        })
        .collect()
}
