//! Record batches: views that do not copy, and builders.

pub mod batch;
pub mod inspect;
