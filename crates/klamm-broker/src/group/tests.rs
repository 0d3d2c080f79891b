//! The coordinator, driven without a broker.
