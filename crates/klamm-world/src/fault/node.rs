//! What can happen to a broker or controller.

use std::fmt;
use std::time::Duration;

/// What happens to a broker or controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeFault {
    /// It stops in order: a broker hands over its leaderships first (controlled shutdown).
    Stop,
    /// It starts again, on the disk that it left behind.
    Start,
    /// It stops in order if it runs, and starts again.
    Restart,
    /// Its process is killed. What it had written stays.
    Crash,
    /// Its machine loses power. What it had flushed stays, and what [`DiskFault::AtPowerLoss`](super::DiskFault::AtPowerLoss)
    /// says of the rest; where that says nothing, a torn piece of it is drawn.
    PowerLoss,
    /// Its process is stopped (as by `SIGSTOP`) until healed: it handles nothing, its timers do not fire, its
    /// connections stay open. Then everything that waited for it arrives: a zombie.
    Pause,
    /// Ends its [`NodeFault::Pause`].
    Resume,
    /// Each of its steps takes so much longer.
    Slow {
        /// How much.
        by: Duration,
    },
    /// Its wall clock is set so much further, in milliseconds; negative for back. Healed, the clock is set right again.
    WallClock {
        /// Milliseconds.
        millis: i64,
    },
    /// Its monotonic clock jumps ahead, as when a machine was suspended. It cannot jump back, so it is not healed.
    MonotonicClock {
        /// How far.
        by: Duration,
    },
    /// Both its clocks run faster than time by so many millionths, or slower if negative, until healed; the wall clock
    /// keeps what it has gained.
    Drift {
        /// Millionths, above -1,000,000.
        ppm: i32,
    },
    /// The controller fences this broker, and hears none of its heartbeats until healed.
    Fence,
    /// The controller finds this broker's session expired, once: it fences the broker, whose next heartbeat may unfence it.
    ExpireSession,
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Start => f.write_str("start"),
            Self::Restart => f.write_str("restart"),
            Self::Crash => f.write_str("crash"),
            Self::PowerLoss => f.write_str("power loss"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Slow { by } => write!(f, "slow by {by:?} a step"),
            Self::WallClock { millis } => write!(f, "wall clock {millis:+} ms"),
            Self::MonotonicClock { by } => write!(f, "monotonic clock +{by:?}"),
            Self::Drift { ppm } => write!(f, "clocks drift by {ppm:+} ppm"),
            Self::Fence => f.write_str("fence"),
            Self::ExpireSession => f.write_str("expire its session"),
        }
    }
}
