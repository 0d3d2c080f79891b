//! The simulator: a cluster, a load and faults drawn from a seed; every invariant checked after every event; and what breaks
//! one made as small as it gets.
//!
//! A [`Plan`] is everything that a run is made of, drawn from the seed before it begins: nothing is drawn while it runs but by
//! the world itself, whose streams are keyed by names. So a plan can be edited (a fault left out, a producer, a partition) and the rest
//! stays what it was, which is what lets [`shrink()`] make a failing one small.

mod admin;
mod eras;
mod file;
mod kind;
mod life;
mod members;
mod options;
mod plan;
mod request;
mod run;
mod shrink;
mod text;
mod transactions;

pub use admin::create_topic;
pub use eras::{Sensitivity, breaks, breaks_without, sensitivity};
pub use file::{File, FileError};
pub use kind::{FaultKind, UnknownFaultKind};
pub use life::Life;
pub use members::Member;
pub use options::{Options, Profile, Range, RangeError, Topic, UnknownProfile, Wanted};
pub use plan::{Decision, Plan, What};
pub use request::{Hit, HitRequests};
pub use run::{Outcome, run, run_for};
pub use shrink::{Shrunk, shrink};
pub use transactions::{breaks_of_version, version_breaks, version_sensitivity};
