//! What a share group is configured with: the broker's keys, and the group's own over them (`ShareGroupConfigProvider`).

use klamm_log::FetchIsolation;
use klamm_metadata::ConfigResource;
use klamm_node::config::share;
use klamm_wire::StrBytes;

use super::partition::Limits;
use crate::config::BrokerConfig;
use crate::core::Core;

/// The broker's keys. None of them changes while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareConfig {
    limits: Limits,
    /// `group.share.max.share.sessions`
    pub(crate) max_sessions: usize,
}

/// Where a share-partition begins that nobody has read (`ShareGroupAutoOffsetResetStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetReset {
    /// At the first record.
    Earliest,
    /// After the last record.
    Latest,
    /// At the first record that is at most so many milliseconds old.
    ByDuration(i64),
}

impl ShareConfig {
    /// Reads the broker's configuration.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            limits: Limits {
                max_in_flight: config.get(share::GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS),
                max_deliveries: i16::try_from(config.get(share::GROUP_SHARE_DELIVERY_COUNT_LIMIT))
                    .unwrap_or(i16::MAX),
                lock_ms: u64::try_from(config.get(share::GROUP_SHARE_RECORD_LOCK_DURATION_MS)).unwrap_or(0),
            },
            max_sessions: usize::try_from(config.get(share::GROUP_SHARE_MAX_SHARE_SESSIONS)).unwrap_or(0),
        }
    }

    /// A group's limits.
    pub(crate) fn limits(&self, core: &Core, group: &StrBytes) -> Limits {
        let number = |key: &str| core.group_config(group, key).and_then(|value| value.parse::<i64>().ok());
        let mut limits = self.limits;
        if let Some(value) = number("share.partition.max.record.locks").and_then(|v| i32::try_from(v).ok()) {
            limits.max_in_flight = value;
        }
        if let Some(value) = number("share.delivery.count.limit").and_then(|v| i16::try_from(v).ok()) {
            limits.max_deliveries = value;
        }
        if let Some(value) = number("share.record.lock.duration.ms").and_then(|v| u64::try_from(v).ok()) {
            limits.lock_ms = value;
        }
        limits
    }
}

impl Core {
    /// A key as set on a group.
    fn group_config(&self, group: &StrBytes, key: &str) -> Option<StrBytes> {
        self.metadata.image().configs.value(&ConfigResource::group(group.clone()), key).cloned()
    }

    /// How far a share group sees: `share.isolation.level`.
    pub(crate) fn share_isolation(&self, group: &StrBytes) -> FetchIsolation {
        match self.group_config(group, "share.isolation.level").as_deref() {
            Some("read_committed") => FetchIsolation::TxnCommitted,
            _ => FetchIsolation::HighWatermark,
        }
    }

    /// Where a share group begins: `share.auto.offset.reset`.
    pub(crate) fn share_offset_reset(&self, group: &StrBytes) -> OffsetReset {
        match self.group_config(group, "share.auto.offset.reset").as_deref() {
            Some("earliest") => OffsetReset::Earliest,
            Some(text) => text
                .strip_prefix("by_duration:")
                .and_then(duration_ms)
                .map_or(OffsetReset::Latest, OffsetReset::ByDuration),
            None => OffsetReset::Latest,
        }
    }
}

/// Reads `PnDTnHnMn.nS` in milliseconds, as `Duration.parse` does; `None` for what is negative or no duration.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let (days, time) = match text.to_ascii_uppercase().strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days.to_owned(), time.to_owned()),
        Some(_) => return None,
        None => (text.to_ascii_uppercase().strip_prefix('P')?.to_owned(), String::new()),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    if !days.is_empty() {
        let days: i64 = days.strip_suffix('D')?.parse().ok()?;
        total = days.checked_mul(86_400_000)?;
    }
    let mut rest = time.as_str();
    for (unit, millis) in [('H', 3_600_000_i64), ('M', 60_000), ('S', 1_000)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if unit != 'S' && !fraction.is_empty() {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        total = total.checked_add(whole.checked_mul(millis)?)?;
        if !fraction.is_empty() {
            if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
            total = total.checked_add(digits.parse().ok()?)?;
        }
        rest = after;
    }
    (rest.is_empty() && total >= 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        assert_eq!(duration_ms("PT1H30M"), Some(5_400_000));
        assert_eq!(duration_ms("P2DT3.5S"), Some(2 * 86_400_000 + 3_500));
        assert_eq!(duration_ms("P1D"), Some(86_400_000));
        assert_eq!(duration_ms("pt0.25s"), Some(250));
        for wrong in ["", "P", "PT", "1H", "PT1X", "PT-1H", "P1H", "PT1S1H", "PT1.5H"] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }
}
