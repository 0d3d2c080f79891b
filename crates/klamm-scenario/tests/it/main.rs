//! Scenarios through the crate's own door: texts in, reports and diagnostics out.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod concepts;
mod diagnostics;
mod docs;
mod files;
mod properties;
mod reports;
