//! Helpers for the cross-crate and real-client tests.
