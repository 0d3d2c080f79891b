//! The engine through its public door.

mod basics;
mod model;
mod support;
