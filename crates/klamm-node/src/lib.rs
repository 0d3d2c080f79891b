//! What a node is handed, and all it may do.
//!
//! A broker or controller is a state machine: it is handed a [`Ctx`] with the time, a random stream and a trace, and
//! everything it does to the outside is an [`Effect`] pushed into that context. It has no clock, socket, thread or file
//! of its own.

pub mod config;
pub mod ctx;
pub mod effect;
pub mod era;
pub mod idle;
pub mod ids;
pub mod pause;
#[cfg(test)]
mod release_page;
pub mod rng;
pub mod time;
pub mod timer;
pub mod trace;

pub use ctx::Ctx;
pub use effect::{CallId, Effect, Incoming, Origin, ReplyTo, SendError};
pub use era::{Era, Eras};
pub use ids::{ConnectionId, NodeId, TopicIdPartition, TopicPartition};
pub use pause::PausePoint;
pub use rng::Rng;
pub use time::{Timestamp, WallTime};
pub use timer::TimerTable;
pub use trace::{
    ClientDid, EventId, EventKind, GroupEvent, ShareEvent, Trace, TraceEvent, TraceKind, TracePattern,
    TransactionEvent, UnknownKind,
};
