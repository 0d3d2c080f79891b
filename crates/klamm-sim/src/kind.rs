//! The kinds of things that the simulator makes happen.

use std::fmt;
use std::str::FromStr;

/// A kind of fault, or of an administrator's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process is killed, and starts again later.
    Crash,
    /// A machine loses power: what was not flushed is lost, or torn.
    Power,
    /// A broker stops in order, and starts again later.
    Stop,
    /// A process stands still for a while: a zombie.
    Pause,
    /// A link between two nodes is cut, one way or both.
    Cut,
    /// A link becomes slow.
    Slow,
    /// A wall clock is set wrong.
    Skew,
    /// A disk fails or fills up.
    Disk,
    /// A controller is killed, and starts again later.
    Controller,
    /// Topics are created and deleted, configurations change, leaders are elected, replicas and records are moved and deleted.
    Admin,
    /// Requests or their answers are delayed, lost, held, refused, or their connections closed.
    Request,
    /// A node is held at a named point.
    Breakpoint,
    /// The coordinator of transactions or groups is killed, or stands still.
    Coordinator,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::Power,
        Self::Stop,
        Self::Pause,
        Self::Cut,
        Self::Slow,
        Self::Skew,
        Self::Disk,
        Self::Controller,
        Self::Admin,
        Self::Request,
        Self::Breakpoint,
        Self::Coordinator,
    ];

    /// So many of them, from the first, are in every profile; the others are drawn where they are asked for.
    pub(crate) const USUAL: usize = 10;

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Power => "power",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Skew => "skew",
            Self::Disk => "disk",
            Self::Controller => "controller",
            Self::Admin => "admin",
            Self::Request => "request",
            Self::Breakpoint => "breakpoint",
            Self::Coordinator => "coordinator",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no kind of fault has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind of fault {0:?}; there are {names}", names = FaultKind::ALL.map(FaultKind::name).join(", "))]
pub struct UnknownFaultKind(pub String);

impl FromStr for FaultKind {
    type Err = UnknownFaultKind;

    fn from_str(name: &str) -> Result<Self, UnknownFaultKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownFaultKind(name.to_owned()))
    }
}
