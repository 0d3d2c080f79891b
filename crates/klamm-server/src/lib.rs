//! The live driver: real listeners, real time, and a [`World`](klamm_world::World) behind one lock.
//!
//! Every socket task and timer of every [`Server`] runs on one shared runtime of a few threads, whatever runtime (or
//! none) the caller has: a test that blocks its own thread does not block the cluster it talks to.

mod bind;
mod call;
mod clock;
mod codec;
mod connection;
mod data_dir;
mod door;
mod driver;
mod follow;
mod listener;
mod outbox;
mod recorder;
mod replay;
mod runtime;
mod server;
mod settings;
mod topics;
mod trace;

pub use door::{Door, Visit};
pub use follow::{Followed, Mirror};
pub use replay::{Extent, replay, replay_trace, replay_world};
pub use runtime::block_on;
pub use server::{BrokerEndpoint, NodeError, Server};
pub use settings::{ServerSettings, StartError, TopicSpec};
pub use trace::TraceStream;
