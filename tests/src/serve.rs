//! The `klamm` binary as a process.
