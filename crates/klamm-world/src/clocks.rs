//! A node's two clocks.

use std::time::Duration;

use klamm_node::{Timestamp, WallTime};

/// A node's two clocks, as functions of the world's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// How long the node's machine had been up when the world began.
    uptime: Duration,
    /// What the wall clock showed when the world began, in milliseconds since the epoch.
    wall_epoch: i64,
    /// How far the wall clock is ahead, in milliseconds.
    pub(crate) wall_skew: i64,
    /// By how much the monotonic clock has jumped.
    jumped: Duration,
    /// What both clocks had gained by drifting when the present drift began, in nanoseconds.
    gained: i64,
    /// When the present drift began.
    drifts_since: Timestamp,
    /// By how many millionths both clocks run faster.
    ppm: i32,
}

const MILLION: i128 = 1_000_000;

impl Clocks {
    /// The clocks of a machine that starts with the world.
    pub(crate) const fn new(wall_epoch: i64) -> Self {
        Self {
            uptime: Duration::ZERO,
            wall_epoch,
            wall_skew: 0,
            jumped: Duration::ZERO,
            gained: 0,
            drifts_since: Timestamp::ZERO,
            ppm: 0,
        }
    }

    /// Whether the monotonic clock shows the world's time.
    pub(crate) const fn is_true(&self) -> bool {
        self.uptime.is_zero() && self.jumped.is_zero() && self.gained == 0 && self.ppm == 0
    }

    /// What the monotonic clock shows.
    pub(crate) fn monotonic(&self, now: Timestamp) -> Timestamp {
        let shown = now + self.uptime + self.jumped;
        Timestamp(shown.0.saturating_add_signed(self.gained(now)))
    }

    /// The moment in the world at which the monotonic clock shows `at`, or the first at which it shows more.
    pub(crate) fn to_world(self, at: Timestamp) -> Timestamp {
        let begin = self.monotonic(self.drifts_since);
        if at <= begin || self.ppm == 0 {
            let ahead = i128::from(begin.0) - i128::from(self.drifts_since.0);
            let moment = i128::from(at.0) - ahead;
            return Timestamp(u64::try_from(moment.max(0)).unwrap_or(u64::MAX));
        }
        let to_go = i128::from(at.0 - begin.0);
        let rate = MILLION + i128::from(self.ppm);
        let passes = (to_go * MILLION + rate - 1) / rate;
        let mut moment =
            Timestamp(u64::try_from(i128::from(self.drifts_since.0) + passes).unwrap_or(u64::MAX));
        // The gain is rounded down.
        while self.monotonic(moment) < at && moment != Timestamp::MAX {
            moment = Timestamp(moment.0 + 1);
        }
        moment
    }

    /// What the wall clock shows.
    pub(crate) fn wall(&self, now: Timestamp) -> WallTime {
        let gained = self.gained(now).div_euclid(1_000_000);
        WallTime(
            self.wall_epoch
                .saturating_add(now.as_millis())
                .saturating_add(gained)
                .saturating_add(self.wall_skew),
        )
    }

    /// Has the monotonic clock jump ahead.
    pub(crate) fn jump(&mut self, by: Duration) {
        self.jumped += by;
    }

    /// Has both clocks run faster by so many millionths from now on.
    pub(crate) fn drift(&mut self, now: Timestamp, ppm: i32) {
        self.gained = self.gained(now);
        self.drifts_since = now;
        self.ppm = ppm;
    }

    /// What both clocks have gained by drifting, in nanoseconds.
    fn gained(&self, now: Timestamp) -> i64 {
        if self.ppm == 0 {
            return self.gained;
        }
        let since = i128::from(now.0.saturating_sub(self.drifts_since.0));
        let more = (since * i128::from(self.ppm)).div_euclid(MILLION);
        self.gained.saturating_add(i64::try_from(more).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_met_at_the_first_moment_at_which_the_clock_shows_it() {
        for ppm in [0, 1, 333_333, -333_333, -999_999, 2_000_000] {
            let mut clocks = Clocks::new(0);
            clocks.drift(Timestamp(1_000), 777);
            clocks.jump(Duration::from_nanos(5));
            clocks.drift(Timestamp(10_000_000), ppm);
            let mut last = clocks.monotonic(Timestamp(10_000_000));
            for at in (last.0..last.0 + 500).step_by(7).map(Timestamp) {
                let moment = clocks.to_world(at);
                assert!(clocks.monotonic(moment) >= at, "{ppm} {at:?}");
                if moment > Timestamp(10_000_000) {
                    assert!(clocks.monotonic(Timestamp(moment.0 - 1)) < at, "{ppm} {at:?}");
                }
                assert!(clocks.monotonic(moment) >= last, "{ppm}: it never runs back");
                last = clocks.monotonic(moment);
            }
        }
    }

    #[test]
    fn a_healed_drift_keeps_what_was_gained() {
        let mut clocks = Clocks::new(1_000);
        assert!(clocks.is_true());
        clocks.drift(Timestamp::ZERO, 500_000);
        clocks.drift(Timestamp::from_millis(1_000), 0);
        assert_eq!(clocks.monotonic(Timestamp::from_millis(2_000)), Timestamp::from_millis(2_500));
        assert_eq!(clocks.wall(Timestamp::from_millis(2_000)), WallTime(3_500));
        assert_eq!(clocks.to_world(Timestamp::from_millis(2_500)), Timestamp::from_millis(2_000));
        assert!(!clocks.is_true());
    }
}
