//! Quotas: how fast clients may produce and fetch (`ClientQuotaManager`, KIP-13), and replicas catch up.
//!
//! A request is always done, and answered at once. When its client is over its quota then, the answer says for how long, and
//! the broker begins none of the connection's next requests before that has passed (KIP-219).

mod rate;
pub(crate) mod replication;
mod samples;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::quotas::{CONSUMER_BYTE_RATE, ClientLimits, PRODUCER_BYTE_RATE, QuotaTags};
use klamm_node::config::broker;
use klamm_node::{Ctx, ReplyTo, TraceKind};
use klamm_wire::StrBytes;

use self::rate::Rate;
use crate::config::BrokerConfig;
use crate::core::Core;

/// The user of everybody who did not say who they are (`KafkaPrincipal.ANONYMOUS`).
const ANONYMOUS: StrBytes = StrBytes::from_static_str("ANONYMOUS");
/// How often rates of which nothing is left are looked for and dropped, in milliseconds.
const PURGE_INTERVAL_MS: i64 = 1_000;

/// What a request counts for, once it is done.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    /// Its client's id.
    pub(crate) client_id: StrBytes,
    /// Bytes.
    pub(crate) bytes: usize,
}

/// How fast each client is.
#[derive(Debug, Clone)]
pub(crate) struct ClientQuotas {
    produce: ByteRates,
    fetch: ByteRates,
}

impl ClientQuotas {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let samples = config.get(broker::QUOTA_WINDOW_NUM).unsigned_abs() as usize;
        let window_ms = i64::from(config.get(broker::QUOTA_WINDOW_SIZE_SECONDS)) * 1_000;
        let rates = || ByteRates { samples, window_ms, rates: BTreeMap::new(), purged_ms: i64::MIN };
        Self { produce: rates(), fetch: rates() }
    }
}

/// The rates of one quota, of those who are counted together.
#[derive(Debug, Clone)]
struct ByteRates {
    samples: usize,
    window_ms: i64,
    rates: BTreeMap<QuotaTags, Rate>,
    purged_ms: i64,
}

impl ByteRates {
    fn rate(&mut self, tags: QuotaTags, now_ms: i64) -> &mut Rate {
        if !self.rates.contains_key(&tags) && now_ms.saturating_sub(self.purged_ms) >= PURGE_INTERVAL_MS {
            self.purged_ms = now_ms;
            self.rates.retain(|_, rate| !rate.is_stale(now_ms));
        }
        let (samples, window_ms) = (self.samples, self.window_ms);
        self.rates.entry(tags).or_insert_with(|| Rate::new(samples, window_ms))
    }

    /// Counts a client's bytes; how long it must wait, in milliseconds.
    fn count(&mut self, limits: &ClientLimits, charge: &Charge, now_ms: i64) -> i64 {
        let tags = limits.tags(&ANONYMOUS, &charge.client_id);
        let bound = limits.bound(&tags);
        let rate = self.rate(tags, now_ms);
        rate.record(charge.bytes as f64, now_ms);
        bound.map_or(0, |bound| rate.throttle_ms(bound, now_ms))
    }

    /// Takes back what was counted.
    fn take_back(&mut self, limits: &ClientLimits, charge: &Charge, now_ms: i64) {
        let tags = limits.tags(&ANONYMOUS, &charge.client_id);
        self.rate(tags, now_ms).record(-(charge.bytes as f64), now_ms);
    }
}

impl Core {
    /// Whether what clients produce is counted.
    pub(crate) fn counts_produced(&self) -> bool {
        self.metadata.image().client_quotas.limits(PRODUCER_BYTE_RATE).is_some()
    }

    /// Whether what clients fetch is counted.
    pub(crate) fn counts_fetched(&self) -> bool {
        self.metadata.image().client_quotas.limits(CONSUMER_BYTE_RATE).is_some()
    }

    /// Counts a Produce that is done, and has its client wait where it is over its quota: for how many milliseconds.
    pub(crate) fn charge_produce(&mut self, ctx: &mut Ctx<'_>, to: ReplyTo, charge: &Charge) -> i32 {
        let image = Arc::clone(&self.metadata.image().client_quotas);
        let Some(limits) = image.limits(PRODUCER_BYTE_RATE) else { return 0 };
        let by = self.client_quotas.produce.count(limits, charge, ctx.wall.millis());
        throttle(ctx, to, &charge.client_id, PRODUCER_BYTE_RATE, by)
    }

    /// Counts an answer to a consumer's Fetch, and has the client wait where it is over its quota: for how many
    /// milliseconds. The answer is not sent then, and not counted.
    pub(crate) fn charge_fetch(&mut self, ctx: &mut Ctx<'_>, to: ReplyTo, charge: &Charge) -> i32 {
        let image = Arc::clone(&self.metadata.image().client_quotas);
        let Some(limits) = image.limits(CONSUMER_BYTE_RATE) else { return 0 };
        let now_ms = ctx.wall.millis();
        let by = self.client_quotas.fetch.count(limits, charge, now_ms);
        if by > 0 {
            self.client_quotas.fetch.take_back(limits, charge, now_ms);
        }
        throttle(ctx, to, &charge.client_id, CONSUMER_BYTE_RATE, by)
    }

    /// The most bytes that a client may fetch at once without being over its quota (`maxValueInQuotaWindow`); more would
    /// be refused for ever.
    pub(crate) fn most_fetched_at_once(&self, client_id: &StrBytes) -> i32 {
        let Some(limits) = self.metadata.image().client_quotas.limits(CONSUMER_BYTE_RATE) else {
            return i32::MAX;
        };
        let rates = &self.client_quotas.fetch;
        let seconds = (rates.samples as i64 - 1) * rates.window_ms / 1_000;
        limits
            .bound(&limits.tags(&ANONYMOUS, client_id))
            .map_or(i32::MAX, |bound| (bound * seconds as f64) as i32)
    }
}

/// Has a client wait, and says so.
pub(crate) fn throttle(
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    client_id: &StrBytes,
    quota: &'static str,
    by_ms: i64,
) -> i32 {
    let by_ms = i32::try_from(by_ms).unwrap_or(i32::MAX);
    if by_ms > 0 {
        let by = Duration::from_millis(by_ms.unsigned_abs().into());
        ctx.throttle(to, by);
        if ctx.tracing() {
            ctx.trace(TraceKind::ClientThrottled { client_id: client_id.clone(), quota, by });
        }
    }
    by_ms
}
