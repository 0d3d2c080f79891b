//! UpdateFeatures (key 57): raises or lowers the levels of features (KIP-584). All of a request's features, or none.

use klamm_metadata::MetadataRecord;
use klamm_node::{Ctx, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::update_features_response::UpdatableFeatureResult;
use klamm_wire::messages::{ResponseKind, UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::controller::Controller;
use crate::feature_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    request: &UpdateFeaturesRequest,
) {
    let mut records: Vec<MetadataRecord> = Vec::new();
    let release = controller.settings.kafka_version;
    let node = controller.settings.node;
    let mut response = UpdateFeaturesResponse::default();
    let refused = request.feature_updates.iter().find_map(|update| {
        feature_control::update(&controller.state, release, node, update, &mut records).err()
    });
    if let Some(error) = &refused {
        records.clear();
        let message = format!(
            "The update failed for all features since the following feature had an error: {}",
            error.message.as_deref().unwrap_or_default()
        );
        response = response.with_error_code(error.code.code()).with_error_message(Some(message.into()));
    } else if version <= 1 {
        // Since version 2 the one error code says it all.
        let results = request.feature_updates.iter().map(|update| {
            UpdatableFeatureResult::default()
                .with_feature(update.feature.clone())
                .with_error_code(ErrorCode::None.code())
                .with_error_message(None)
        });
        response.results = results.collect();
    }
    if request.validate_only {
        records.clear();
    }
    controller.commit(ctx, to, &records, "features", ResponseKind::UpdateFeatures(response));
}
