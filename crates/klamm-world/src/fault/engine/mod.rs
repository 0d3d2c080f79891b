//! How faults are carried out: small hooks in the world lead here, each behind one branch that is not taken while no
//! fault of its kind is armed.

mod breakpoint;
mod cluster;
pub(crate) mod door;
pub(crate) mod network;
mod node;
pub(crate) mod request;
