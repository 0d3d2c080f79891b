//! klamm-controller
