//! klamm-world
