//! The `klamm` command line.

fn main() {}
