//! The levels of features, and how an administrator changes them.

use klamm_node::NodeId;
use klamm_wire::messages::update_features_request::FeatureUpdateKey;
use klamm_wire::messages::{ApiVersionsRequest, ResponseKind, UpdateFeaturesRequest};
use klamm_wire::{ErrorCode, StrBytes};

use crate::cluster::Cluster;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;

/// Asks for a level: the error, and what is said of it.
pub(crate) fn update(
    c: &mut Cluster,
    feature: &'static str,
    level: i16,
    upgrade_type: i8,
    validate_only: bool,
) -> Result<(), String> {
    let key = FeatureUpdateKey::default()
        .with_feature(StrBytes::from_static_str(feature))
        .with_max_version_level(level)
        .with_upgrade_type(upgrade_type);
    let request = UpdateFeaturesRequest::default()
        .with_timeout_ms(10_000)
        .with_feature_updates(vec![key])
        .with_validate_only(validate_only);
    let ResponseKind::UpdateFeatures(answer) = c.ask(1, 2, request) else { panic!("another answer") };
    match ErrorCode::from_code(answer.error_code) {
        Some(ErrorCode::None) => Ok(()),
        Some(ErrorCode::InvalidUpdateVersion) => {
            let prefix = "The update failed for all features since the following feature had an error: ";
            let message = answer.error_message.expect("a reason").to_string();
            Err(message.strip_prefix(prefix).expect("Kafka's words").to_owned())
        }
        other => panic!("{other:?}"),
    }
}

/// Sets `transaction.version`, and waits until every broker has heard of it.
pub(crate) fn set_transaction_version(c: &mut Cluster, level: i16) {
    let before = level_at(c, 1, "transaction.version");
    let upgrade_type = if level < before { SAFE_DOWNGRADE } else { UPGRADE };
    update(c, "transaction.version", level, upgrade_type, false).expect("a level that is supported");
    let brokers: Vec<i32> = (1..).take_while(|id| c.world.is_up(NodeId(*id))).collect();
    for broker in brokers {
        while level_at(c, broker, "transaction.version") != level {
            c.run(std::time::Duration::from_millis(1));
        }
    }
}

/// A finalized feature's level, as a broker tells it.
fn level_at(c: &mut Cluster, broker: i32, feature: &str) -> i16 {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let ResponseKind::ApiVersions(answer) = c.ask(broker, 4, request) else { panic!("another answer") };
    let feature = answer.finalized_features.iter().find(|f| &*f.name == feature);
    feature.map_or(0, |feature| feature.max_version_level)
}

#[test]
fn levels_go_up_and_down_as_they_are_asked_to() {
    let mut c = Cluster::start(3, &[]);
    assert_eq!(level_at(&mut c, 2, "transaction.version"), 2);
    let refused = |why: &str| Err(format!("Invalid update version {why}"));
    let tv = "transaction.version";
    assert_eq!(
        update(&mut c, tv, 3, UPGRADE, false),
        refused("3 for feature transaction.version. Local controller 100 only supports versions 0-2")
    );
    assert_eq!(
        update(&mut c, tv, -1, SAFE_DOWNGRADE, false),
        refused("-1 for feature transaction.version. A feature version cannot be less than 0.")
    );
    assert_eq!(
        update(&mut c, tv, 1, UPGRADE, false),
        refused(
            "1 for feature transaction.version. Can't downgrade the version of this feature without setting the \
             upgrade type to either safe or unsafe downgrade."
        )
    );
    assert_eq!(
        update(&mut c, tv, 1, 9, false),
        refused("1 for feature transaction.version. The controller does not support the given upgrade type.")
    );
    assert_eq!(
        update(&mut c, "nonsense", 1, UPGRADE, false),
        refused("1 for feature nonsense. Local controller 100 does not support this feature.")
    );
    assert_eq!(update(&mut c, tv, 0, SAFE_DOWNGRADE, true), Ok(()), "only looked at");
    assert_eq!(level_at(&mut c, 2, tv), 2);
    set_transaction_version(&mut c, 0);
    assert_eq!(level_at(&mut c, 3, tv), 0);
    assert_eq!(
        update(&mut c, tv, 2, SAFE_DOWNGRADE, false),
        refused("2 for feature transaction.version. Can't downgrade to a newer version.")
    );
    set_transaction_version(&mut c, 2);
    assert_eq!(level_at(&mut c, 1, tv), 2);
}

#[test]
fn what_cannot_be_undone_is_refused() {
    let mut c = Cluster::start(1, &[]);
    let down = update(&mut c, "metadata.version", 20, SAFE_DOWNGRADE, false).unwrap_err();
    assert!(down.contains("might delete metadata information"), "{down}");
    let elr = update(&mut c, "eligible.leader.replicas.version", 0, SAFE_DOWNGRADE, false).unwrap_err();
    assert!(elr.contains("--era elr"), "{elr}");
}
