//! How fast clients may have partitions created and deleted (`ControllerMutationQuotaManager`, KIP-599).
//!
//! The quota is a token bucket, one for those who are counted together, and lives in the active controller alone: a new
//! one begins with full buckets. A request that finds its bucket in debt is refused
//! (`StrictControllerMutationQuota`); clients older than the error for that are let through, and told to wait
//! (`PermissiveControllerMutationQuota`).

use std::collections::BTreeMap;

use klamm_metadata::ClientQuotasImage;
use klamm_metadata::quotas::{CONTROLLER_MUTATION_RATE, QuotaTags};
use klamm_node::config::{BrokerConfig, broker};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;

/// The user of everybody who did not say who they are (`KafkaPrincipal.ANONYMOUS`).
const ANONYMOUS: StrBytes = StrBytes::from_static_str("ANONYMOUS");
/// How often buckets that are full, as new ones are, are looked for and dropped, in milliseconds.
const PURGE_INTERVAL_MS: i64 = 1_000;

/// Permits of those who are counted together; below zero they are in debt (`TokenBucket`).
#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    tokens: f64,
    updated_ms: i64,
}

impl TokenBucket {
    fn refill(&mut self, bound: f64, burst: f64, now_ms: i64) {
        let seconds = (now_ms - self.updated_ms) as f64 / 1_000.0;
        self.tokens = burst.min(self.tokens + bound * seconds);
        self.updated_ms = now_ms;
    }
}

/// Every bucket of a controller.
#[derive(Debug, Clone)]
pub(crate) struct MutationQuotas {
    buckets: BTreeMap<QuotaTags, TokenBucket>,
    /// For how long permits are saved up, in seconds.
    window_secs: f64,
    purged_ms: i64,
}

impl MutationQuotas {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let samples = config.get(broker::CONTROLLER_QUOTA_WINDOW_NUM);
        let seconds = config.get(broker::CONTROLLER_QUOTA_WINDOW_SIZE_SECONDS);
        Self {
            buckets: BTreeMap::new(),
            window_secs: f64::from(samples) * f64::from(seconds),
            purged_ms: i64::MIN,
        }
    }

    /// What the client of one request may do. With `strict` it is refused what it may not.
    pub(crate) fn of_request(
        &mut self,
        image: &ClientQuotasImage,
        client_id: Option<&StrBytes>,
        strict: bool,
        now_ms: i64,
    ) -> MutationQuota<'_> {
        let found = image.limits(CONTROLLER_MUTATION_RATE).and_then(|limits| {
            let tags = limits.tags(&ANONYMOUS, &client_id.cloned().unwrap_or_default());
            limits.bound(&tags).map(|bound| (tags, bound))
        });
        let Some((tags, bound)) = found else {
            return MutationQuota { bucket: None, bound: f64::INFINITY, strict, throttle_ms: 0 };
        };
        let burst = self.window_secs * bound;
        if !self.buckets.contains_key(&tags) && now_ms.saturating_sub(self.purged_ms) >= PURGE_INTERVAL_MS {
            self.purged_ms = now_ms;
            self.buckets.retain(|tags, bucket| {
                let bound = image.limits(CONTROLLER_MUTATION_RATE).and_then(|limits| limits.bound(tags));
                bound.is_some_and(|bound| {
                    let seconds = (now_ms - bucket.updated_ms) as f64 / 1_000.0;
                    bucket.tokens + bound * seconds < self.window_secs * bound
                })
            });
        }
        let bucket = self.buckets.entry(tags).or_insert(TokenBucket { tokens: burst, updated_ms: now_ms });
        bucket.refill(bound, burst, now_ms);
        MutationQuota { bucket: Some(bucket), bound, strict, throttle_ms: 0 }
    }
}

/// What one request may do, and how long its client must wait after it.
#[derive(Debug)]
pub(crate) struct MutationQuota<'a> {
    bucket: Option<&'a mut TokenBucket>,
    bound: f64,
    strict: bool,
    throttle_ms: i32,
}

impl MutationQuota<'_> {
    /// Counts partitions that are created or deleted.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED` when the quota is strict and the bucket is in debt; nothing is counted then.
    pub(crate) fn record(&mut self, partitions: usize) -> Result<(), ApiError> {
        let Some(bucket) = &mut self.bucket else { return Ok(()) };
        if self.strict && bucket.tokens < 0.0 {
            self.throttle_ms = (-bucket.tokens / self.bound * 1_000.0).round() as i32;
            return Err(ErrorCode::ThrottlingQuotaExceeded.into());
        }
        bucket.tokens -= partitions as f64;
        if !self.strict && bucket.tokens < 0.0 {
            self.throttle_ms = (-bucket.tokens / self.bound * 1_000.0).round() as i32;
        }
        Ok(())
    }

    /// How long the client must wait, in milliseconds.
    pub(crate) const fn throttle_ms(&self) -> i32 {
        self.throttle_ms
    }
}
