//! How fast a client produces or fetches (`Rate`).

use super::samples::Samples;

/// Units a second over the last samples, as if the time before the first had been quiet: all but one sample are taken to
/// have passed.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    samples: Samples,
    max_samples: usize,
    window_ms: i64,
}

impl Rate {
    pub(super) const fn new(max_samples: usize, window_ms: i64) -> Self {
        Self { samples: Samples::new(max_samples, window_ms), max_samples, window_ms }
    }

    pub(super) fn record(&mut self, value: f64, now_ms: i64) {
        self.samples.record(value, now_ms);
    }

    /// Whether nothing is left of what was recorded.
    pub(super) fn is_stale(&self, now_ms: i64) -> bool {
        self.samples.is_stale(now_ms)
    }

    /// How long nothing may be recorded until the rate is down to `bound` again, in milliseconds
    /// (`QuotaUtils.throttleTime`); 0 when it is not above.
    pub(super) fn throttle_ms(&mut self, bound: f64, now_ms: i64) -> i64 {
        let (total, mut elapsed) = self.samples.measure(now_ms);
        let (full, least) = (elapsed / self.window_ms, self.max_samples as i64 - 1);
        if full < least {
            elapsed += (least - full) * self.window_ms;
        }
        let window = elapsed.max(1) as f64;
        let rate = total / (window / 1_000.0);
        if rate > bound { ((rate - bound) / bound * window).round() as i64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_what_is_above_the_bound_over_ten_seconds() {
        let mut rate = Rate::new(11, 1_000);
        rate.record(10_000.0, 5_000);
        assert_eq!(rate.throttle_ms(1_000.0, 5_000), 0, "ten seconds' worth at once is allowed");
        rate.record(2_000.0, 5_000);
        assert_eq!(rate.throttle_ms(1_000.0, 5_000), 2_000);
        // Part of a window has passed: it counts on top of the ten that are taken for granted.
        assert_eq!(rate.throttle_ms(1_000.0, 5_500), 1_500);
        assert_eq!(rate.throttle_ms(1_000.0, 7_000), 2_000);
    }

    #[test]
    fn a_rate_is_forgotten_eleven_seconds_after_the_last_event() {
        let mut rate = Rate::new(11, 1_000);
        rate.record(50_000.0, 5_000);
        assert!(!rate.is_stale(15_999) && rate.throttle_ms(1_000.0, 15_999) > 0);
        assert!(rate.is_stale(16_000));
        assert_eq!(rate.throttle_ms(1_000.0, 16_000), 0);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut rate = Rate::new(11, 1_000);
        rate.record(10_000.0, 5_000);
        rate.record(7_000.0, 5_000);
        rate.record(-7_000.0, 5_000);
        assert_eq!(rate.throttle_ms(1_000.0, 5_000), 0);
    }
}
