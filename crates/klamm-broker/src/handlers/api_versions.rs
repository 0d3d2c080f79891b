//! ApiVersions (key 18), versions 0–4. Answers to `KafkaApis.handleApiVersionsRequest`.
//!
//! * v3 client software name, features (KIP-511, KIP-584) · v4 features that begin at level 0
//!
//! A version not known is answered before it gets here, in version 0. Difference: none known.

use klamm_metadata::supported_features;
use klamm_node::Ctx;
use klamm_wire::api::APIS;
use klamm_wire::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use klamm_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Tells what this broker serves.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: ApiVersionsRequest,
) {
    let release = broker.core.settings.kafka_version;
    let served = APIS.iter().filter(|api| api.is_advertised_by_broker());
    let api_keys = served.filter_map(|api| api.entry_in(release)).collect();
    let mut response = ApiVersionsResponse::default();
    if rc.api_version >= 3
        && !(is_name(&request.client_software_name) && is_name(&request.client_software_version))
    {
        // Kafka lists the keys with this error too.
        response.error_code = ErrorCode::InvalidRequest.code();
        return ctx.reply(rc.reply_to, ResponseKind::ApiVersions(response));
    }
    response.api_keys = api_keys;
    if rc.api_version >= 3 {
        let image = broker.core.metadata.image();
        response.supported_features = supported_features(release)
            .into_iter()
            // Clients before version 4 reject a lowest level of 0.
            .filter(|feature| rc.api_version >= 4 || feature.min > 0)
            .map(|feature| {
                SupportedFeatureKey::default()
                    .with_name(StrBytes::from_static_str(feature.name))
                    .with_min_version(feature.min)
                    .with_max_version(feature.max)
            })
            .collect();
        response.finalized_features_epoch = image.provenance.last_contained_offset;
        response.finalized_features = image
            .features
            .iter()
            .map(|(name, level)| {
                FinalizedFeatureKey::default()
                    .with_name(name.clone())
                    .with_min_version_level(level)
                    .with_max_version_level(level)
            })
            .collect();
    }
    ctx.reply(rc.reply_to, ResponseKind::ApiVersions(response));
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(name.chars().next())
        && ends(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}
