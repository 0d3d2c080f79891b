//! The `klamm` binary, as a person or a script meets it.

mod look_around;
mod mistakes;
mod process;
mod serve;
