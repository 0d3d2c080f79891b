//! Tooling: `cargo xtask`.

fn main() {}
