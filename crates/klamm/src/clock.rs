//! The cluster's time, in its owner's hands.

use std::time::Duration;

use klamm_server::Server;

/// A cluster's clock. It shows real time since the start, until its owner says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    pub(crate) server: &'a Server,
}

impl Clock<'_> {
    /// The cluster's time since its start.
    pub fn elapsed(&self) -> Duration {
        self.server.elapsed()
    }

    /// Stops the cluster's time. Requests are still served, but nothing expires and no message with latency arrives.
    pub fn pause(&self) {
        self.server.pause_clock();
    }

    /// Lets the cluster's time pass again.
    pub fn resume(&self) {
        self.server.resume_clock();
    }

    /// Lets the cluster's time pass `scale` times as fast as real time.
    ///
    /// # Panics
    /// When `scale` is negative, infinite or not a number.
    pub fn scale(&self, scale: f64) {
        assert!(scale.is_finite() && scale >= 0.0, "a clock's scale is 0 or more, not {scale}");
        self.server.scale_clock(scale);
    }

    /// Lets `by` of the cluster's time pass at once, also while it is paused. Whatever is due in it happens, each thing
    /// at its own time. Stretches in which nothing would happen but what always does (fetches without an answer, heartbeats, checks that
    /// find nothing) are passed over at once, and the trace says so: a week of retention and expiry takes milliseconds.
    pub fn advance(&self, by: Duration) {
        self.server.advance_clock(by);
    }
}
