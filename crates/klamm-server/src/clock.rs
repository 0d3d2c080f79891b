//! The live cluster's time: real time, unless its owner pauses, scales or advances it.

use std::time::{Duration, Instant};

use klamm_node::Timestamp;

/// A clock that its owner commands.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What the clock showed at `since`.
    base: Timestamp,
    since: Instant,
    /// Cluster seconds a real second; 0 while paused.
    rate: f64,
    /// The rate to resume with.
    scale: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { base: Timestamp::ZERO, since: Instant::now(), rate: 1.0, scale: 1.0 }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let real = self.since.elapsed();
        if self.rate == 1.0 {
            return self.base + real;
        }
        self.base + Duration::from_secs_f64(real.as_secs_f64() * self.rate)
    }

    /// A clock that stands at the beginning.
    pub(crate) fn stopped() -> Self {
        Self { rate: 0.0, ..Self::start() }
    }

    /// How long to sleep in real time until the clock shows `at`; `None` while it stands still.
    pub(crate) fn until(&self, at: Timestamp) -> Option<Duration> {
        let left = at.since(self.now());
        if self.rate == 1.0 {
            return Some(left);
        }
        if left.is_zero() {
            return Some(Duration::ZERO);
        }
        (self.rate > 0.0).then(|| {
            let seconds = left.as_secs_f64() / self.rate;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        })
    }

    pub(crate) fn pause(&mut self) {
        self.set_rate(0.0);
    }

    pub(crate) fn resume(&mut self) {
        self.set_rate(self.scale);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.rate == 0.0
    }

    /// Sets the scale; a paused clock stays paused.
    pub(crate) fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
        if !self.is_paused() {
            self.set_rate(scale);
        }
    }

    /// Moves the clock ahead, running or paused.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.base += by;
    }

    fn set_rate(&mut self, rate: f64) {
        self.base = self.now();
        self.since = Instant::now();
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_clock_moves_only_by_hand() {
        let mut clock = Clock::start();
        clock.pause();
        let at = clock.now();
        assert_eq!(clock.until(at + Duration::from_secs(1)), None);
        assert_eq!(clock.until(at), Some(Duration::ZERO));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now(), at + Duration::from_secs(3600));
        clock.set_scale(10.0);
        assert!(clock.is_paused());
        clock.resume();
        assert!(clock.now() >= at + Duration::from_secs(3600));
    }

    #[test]
    fn a_scaled_clock_waits_less() {
        let mut clock = Clock::start();
        clock.set_scale(100.0);
        let wait = clock.until(clock.now() + Duration::from_secs(100)).unwrap();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900), "{wait:?}");
    }
}
