//! How faults are carried out: small hooks in the world lead here, each behind one branch that is not taken while no
//! fault of its kind is armed.

mod batches;
mod breakpoint;
mod cluster;
mod disk;
pub(crate) mod door;
pub(crate) mod faulty_disk;
pub(crate) mod network;
mod node;
pub(crate) mod quiet;
pub(crate) mod request;
