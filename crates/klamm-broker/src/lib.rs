//! klamm-broker
