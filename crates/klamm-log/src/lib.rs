//! klamm-log
