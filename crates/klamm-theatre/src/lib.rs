//! Where scenarios happen outside of virtual time: on listeners of this process, on those of a klamm that is served elsewhere, and on
//! any Kafka cluster, each reached over [sockets](Sockets).

mod remote;
mod seen;
mod served;
mod sockets;

pub use remote::Remote;
pub use served::Served;
pub use sockets::Sockets;
